//! One key for all spellings of a word: small letters, no accents.
//!
//! `Müller`, `MULLER` and `Mu\u{308}ller` have the same key, and so `Muller` has too. Names are written without
//! their accents so often that telling the spellings apart would lose more than it wins.

/// Base letters of U+00C0 to U+024F; `*` stands where there is none.
const LATIN: &[u8] = b"\
    aaaaaaaceeeeiiiidnooooo*ouuuuytsaaaaaaaceeeeiiiidnooooo*ouuuuytyaaaaaaccccccccddddeeeeee\
    eeeegggggggghhhhiiiiiiiiiiiijjkkkllllll**llnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuu\
    uuuuwwyyyzzzzzzsbb********d****e********kk******oo*************uu**yy*******************\
    *****aaiioouuuuuuuuuu*aaaaaa**ggkkoooo**j***gg**nnaaaaooaaaaeeeeiiiioooorrrruuuusstt**hh\
    ******aaeeooooooooyy***************b************";

/// Base letters of U+1E00 to U+1EFF, among them the Vietnamese ones.
const LATIN_MORE: &[u8] = b"\
    aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppp\
    rrrrrrrrssssssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy*s**s*aaaaaaaaaaaaaaaa\
    aaaaaaaaeeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy******";

/// The folded form of one letter; `None` for marks that are dropped.
pub fn fold(letter: char) -> Option<char> {
    match letter {
        'a'..='z' | '\u{2e80}'..='\u{d7ff}' => Some(letter),
        'A'..='Z' => Some(letter.to_ascii_lowercase()),
        '\u{c0}'..='\u{24f}' => Some(base(LATIN, letter, 0xc0)),
        '\u{1e00}'..='\u{1eff}' => Some(base(LATIN_MORE, letter, 0x1e00)),
        '\u{300}'..='\u{36f}'
        | '\u{ad}'
        | '\u{200b}'..='\u{200d}'
        | '\''
        | '\u{2019}'
        | '\u{2bc}' => None,
        // Scripts without case, skipped because their letters are looked up most often.
        '\u{590}'..='\u{109f}' => Some(letter),
        'Ё' | 'ё' => Some('е'),
        'ά' | 'Ά' => Some('α'),
        'έ' | 'Έ' => Some('ε'),
        'ή' | 'Ή' => Some('η'),
        'ί' | 'Ί' | 'ϊ' | 'ΐ' => Some('ι'),
        'ό' | 'Ό' => Some('ο'),
        'ύ' | 'Ύ' | 'ϋ' => Some('υ'),
        'ώ' | 'Ώ' => Some('ω'),
        'ς' => Some('σ'),
        // Letters of scripts without case come back as they are.
        _ => letter.to_lowercase().next(),
    }
}

fn base(table: &[u8], letter: char, first: u32) -> char {
    let place = usize::try_from(u32::from(letter).saturating_sub(first)).unwrap_or(usize::MAX);
    match table.get(place) {
        Some(b'*') | None => letter,
        Some(&byte) => char::from(byte),
    }
}

/// The hash of a word, fed one letter at a time (FNV-1a over folded letters, mixed at the end).
#[derive(Debug, Clone, Copy)]
pub struct Key(u64);

impl Key {
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub fn push(&mut self, letter: char) {
        // `ß` is written `ss` in capitals and in Switzerland.
        if letter == 'ß' {
            self.step('s');
        }
        if let Some(folded) = fold(letter) {
            self.step(folded);
        }
    }

    /// As [`Key::push`], for a small ASCII letter.
    pub fn push_ascii(&mut self, letter: u8) {
        self.step(char::from(letter));
    }

    fn step(&mut self, letter: char) {
        self.0 = (self.0 ^ u64::from(u32::from(letter))).wrapping_mul(0x0000_0100_0000_01b3);
    }

    pub const fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }

    /// The key of a whole word.
    pub fn of(word: &str) -> u64 {
        let mut key = Self::new();
        word.chars().for_each(|letter| key.push(letter));
        key.finish()
    }

    /// The key of a phrase, from the keys of its words.
    pub fn join(phrase: u64, word: u64) -> u64 {
        (phrase.rotate_left(17) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_share_a_key() {
        for (left, right) in [
            ("Müller", "MULLER"),
            ("Mu\u{308}ller", "Müller"),
            ("Strauß", "STRAUSS"),
            ("O’Brien", "O'brien"),
            ("Nguyễn", "nguyen"),
            ("Łukasz", "Lukasz"),
            ("Фёдор", "ФЕДОР"),
        ] {
            assert_eq!(Key::of(left), Key::of(right), "{left} {right}");
        }
        assert_ne!(Key::of("Anna"), Key::of("Hanna"));
    }

    #[test]
    fn tables_cover_their_ranges() {
        assert_eq!(LATIN.len(), 0x250 - 0xc0);
        assert_eq!(LATIN_MORE.len(), 0x100);
    }
}
