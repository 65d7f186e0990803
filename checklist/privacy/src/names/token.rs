//! Text as words, numbers and marks, each with its place, its shape and its roles.

use std::ops::Range;

use super::fold::Key;

/// Shape of a word, or what else a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `anna`.
    Lower,
    /// `Anna`, `O'Brien`, `McDonald`.
    Title,
    /// `ANNA`, at least two letters.
    Upper,
    /// `J`, one capital letter.
    Initial,
    /// `fooBar`: capitals inside.
    Mixed,
    /// A run of Chinese characters.
    Han,
    /// A run of hiragana.
    Hiragana,
    /// A run of katakana.
    Katakana,
    /// A run of Korean syllables.
    Hangul,
    /// A word of a script without capitals: Devanagari, Arabic, Hebrew, Thai.
    Caseless,
    Number,
    /// Letters with digits or underscores.
    Ident,
    /// One character that is none of the above.
    Mark(char),
    /// Before the first and after the last token.
    Edge,
}

/// What stands between the token before and this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    Glued,
    Space,
    Line,
    /// A blank line, or the edge of the text.
    Paragraph,
}

/// One token; offsets are bytes of the text.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    pub start: usize,
    pub end: usize,
    pub key: u64,
    pub roles: u32,
    pub kind: Kind,
    pub gap: Gap,
}

/// Stands for the token before the first and after the last.
pub const EDGE: Token = Token {
    start: 0,
    end: 0,
    key: 0,
    roles: 0,
    kind: Kind::Edge,
    gap: Gap::Paragraph,
};

impl Token {
    pub const fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether the word has at least one of the roles.
    pub const fn is(&self, roles: u32) -> bool {
        self.roles & roles != 0
    }

    pub fn is_mark(&self, marks: &str) -> bool {
        matches!(self.kind, Kind::Mark(mark) if marks.contains(mark))
    }

    /// A word that starts with a capital letter.
    pub const fn is_capital(&self) -> bool {
        matches!(self.kind, Kind::Title | Kind::Upper | Kind::Initial)
    }

    pub const fn is_word(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Number | Kind::Ident | Kind::Mark(_) | Kind::Edge
        )
    }

    /// Bytes of the word.
    pub const fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    pub const fn spaced(&self) -> bool {
        matches!(self.gap, Gap::Space)
    }

    pub const fn glued(&self) -> bool {
        matches!(self.gap, Gap::Glued)
    }
}

/// Splits a text. `roles` is asked once for each word.
pub fn split(text: &str, roles: impl Fn(u64) -> u32) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 5 + 8);
    let (mut gap, mut start) = (Gap::Paragraph, 0);
    while let Some(letter) = text.get(start..).and_then(|rest| rest.chars().next()) {
        if letter.is_whitespace() {
            gap = widen(gap, letter);
            start += letter.len_utf8();
            continue;
        }
        let (end, kind, key) = plain_word(text.as_bytes(), start)
            .or_else(|| plain_mark(start, letter))
            .unwrap_or_else(|| any_word(text, start, letter));
        let known = if matches!(kind, Kind::Mark(_) | Kind::Number) {
            0
        } else {
            roles(key)
        };
        tokens.push(Token {
            start,
            end,
            key,
            roles: known,
            kind,
            gap,
        });
        (gap, start) = (Gap::Glued, end);
    }
    tokens
}

/// The common case, byte by byte: ASCII letters of which only the first may be a capital.
fn plain_word(text: &[u8], start: usize) -> Option<(usize, Kind, u64)> {
    let rest = text.get(start..)?;
    let (first, small) = rest.split_first()?;
    if !first.is_ascii_alphabetic() {
        return None;
    }
    let length = small
        .iter()
        .take_while(|byte| byte.is_ascii_lowercase())
        .count();
    let next = small.get(length).copied().unwrap_or(b' ');
    if !next.is_ascii() || next.is_ascii_alphanumeric() || matches!(next, b'_' | b'\'') {
        return None;
    }
    let mut key = Key::new();
    key.push_ascii(first.to_ascii_lowercase());
    small
        .iter()
        .take(length)
        .for_each(|byte| key.push_ascii(*byte));
    let kind = match (first.is_ascii_uppercase(), length) {
        (true, 0) => Kind::Initial,
        (true, _) => Kind::Title,
        (false, _) => Kind::Lower,
    };
    Some((start + 1 + length, kind, key.finish()))
}

/// Half of all tokens of JSON and code: an ASCII mark, which is a token of its own.
fn plain_mark(start: usize, letter: char) -> Option<(usize, Kind, u64)> {
    let mark = letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '_';
    mark.then(|| {
        let mut key = Key::new();
        key.push(letter);
        (start + 1, Kind::Mark(letter), key.finish())
    })
}

/// The end, the kind and the key of whatever starts here.
fn any_word(text: &str, start: usize, letter: char) -> (usize, Kind, u64) {
    let mut word = Word::start(letter);
    let mut end = start + letter.len_utf8();
    let rest = text.get(end..).unwrap_or_default();
    for (place, next) in rest.char_indices() {
        if !word.takes(next, rest.get(place..).unwrap_or_default()) {
            break;
        }
        word.push(next);
        end = start + letter.len_utf8() + place + next.len_utf8();
    }
    (end, word.kind(), word.key.finish())
}

fn widen(gap: Gap, space: char) -> Gap {
    match (gap, space) {
        (Gap::Line | Gap::Paragraph, '\n') => Gap::Paragraph,
        (Gap::Glued | Gap::Space, '\n' | '\u{2028}') => Gap::Line,
        (Gap::Glued, _) => Gap::Space,
        (gap, _) => gap,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Cased,
    Caseless,
    Han,
    Hiragana,
    Katakana,
    Hangul,
    Digit,
    Mark,
}

fn class(letter: char) -> Class {
    match letter {
        'a'..='z' | 'A'..='Z' => Class::Cased,
        '0'..='9' | '_' => Class::Digit,
        '\0'..='\u{7f}' => Class::Mark,
        '\u{300}'..='\u{36f}' => Class::Cased,
        '\u{590}'..='\u{8ff}' | '\u{900}'..='\u{963}' | '\u{970}'..='\u{e7f}'
            if mark_of_word(letter) =>
        {
            Class::Caseless
        }
        '\u{3005}'
        | '\u{3007}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}' => Class::Han,
        '\u{3041}'..='\u{309f}' => Class::Hiragana,
        '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' => Class::Katakana,
        '\u{ac00}'..='\u{d7a3}' => Class::Hangul,
        _ if letter.is_lowercase() || letter.is_uppercase() => Class::Cased,
        _ if letter.is_numeric() => Class::Digit,
        _ if letter.is_alphabetic() => Class::Caseless,
        _ => Class::Mark,
    }
}

/// Letters, vowel signs and viramas, but no digits and no punctuation.
fn mark_of_word(letter: char) -> bool {
    letter.is_alphabetic()
        || matches!(letter, '\u{93c}' | '\u{94d}' | '\u{64b}'..='\u{65f}' | '\u{5b0}'..='\u{5bd}' | '\u{e31}' | '\u{e34}'..='\u{e4e}')
}

struct Word {
    key: Key,
    class: Class,
    first: char,
    letters: usize,
    upper: usize,
    /// Capitals after the first letter that a surname explains: `McDonald`, `O'Brien`.
    excused: usize,
    ident: bool,
    last: char,
}

impl Word {
    fn start(letter: char) -> Self {
        let class = class(letter);
        let mut word = Self {
            key: Key::new(),
            class,
            first: letter,
            letters: 0,
            upper: 0,
            excused: 0,
            ident: letter == '_',
            last: letter,
        };
        word.push(letter);
        word
    }

    fn takes(&self, next: char, rest: &str) -> bool {
        let class = class(next);
        match self.class {
            Class::Mark => false,
            Class::Cased | Class::Digit => match class {
                Class::Cased | Class::Digit => true,
                Class::Mark => self.apostrophe(next, rest),
                _ => false,
            },
            Class::Hiragana | Class::Han | Class::Katakana | Class::Hangul | Class::Caseless => {
                class == self.class || matches!(next, '\u{200c}' | '\u{200d}')
            }
        }
    }

    /// `O'Brien` and `D’Angelo` are one word, `Anna's` and `l'Italie` are two.
    fn apostrophe(&self, mark: char, rest: &str) -> bool {
        matches!(mark, '\'' | '\u{2019}')
            && self.letters <= 2
            && self.first.is_uppercase()
            && rest.chars().nth(1).is_some_and(char::is_uppercase)
            && rest.chars().nth(2).is_some_and(char::is_lowercase)
    }

    fn push(&mut self, letter: char) {
        let class = class(letter);
        if letter != '_' {
            self.key.push(letter);
        }
        if self.letters > 0
            && (class == Class::Digit) != (self.class == Class::Digit)
            && class != Class::Mark
        {
            self.ident = true;
        }
        if letter == '_' {
            self.ident = true;
        }
        if letter.is_uppercase() {
            if self.letters > 0 && self.excuses() {
                self.excused += 1;
            }
            self.upper += 1;
        }
        self.letters += 1;
        self.last = letter;
    }

    fn excuses(&self) -> bool {
        matches!(self.last, '\'' | '\u{2019}')
            || (self.first == 'M' && self.last == 'c' && self.letters == 2)
            || (self.first == 'M' && self.last == 'c' && self.letters == 3)
            || (matches!((self.first, self.last), ('D' | 'L', 'e' | 'a')) && self.letters == 2)
    }

    fn kind(&self) -> Kind {
        match self.class {
            Class::Mark => Kind::Mark(self.first),
            _ if self.ident => Kind::Ident,
            Class::Digit => Kind::Number,
            Class::Caseless => Kind::Caseless,
            Class::Han => Kind::Han,
            Class::Hiragana => Kind::Hiragana,
            Class::Katakana => Kind::Katakana,
            Class::Hangul => Kind::Hangul,
            Class::Cased => self.shape(),
        }
    }

    fn shape(&self) -> Kind {
        match (self.upper, self.first.is_uppercase()) {
            (0, _) => Kind::Lower,
            (1, true) if self.letters == 1 => Kind::Initial,
            (upper, true) if upper == 1 + self.excused => Kind::Title,
            (upper, _) if upper == self.letters => Kind::Upper,
            _ => Kind::Mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, Kind)]) {
        let tokens = split(text, |_| 0);
        let found: Vec<_> = tokens
            .iter()
            .map(|token| (&text[token.range()], token.kind))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn shapes_of_words() {
        check(
            "Anna O'Brien McDonald's fooBar first_name J. USA",
            &[
                ("Anna", Kind::Title),
                ("O'Brien", Kind::Title),
                ("McDonald", Kind::Title),
                ("'", Kind::Mark('\'')),
                ("s", Kind::Lower),
                ("fooBar", Kind::Mixed),
                ("first_name", Kind::Ident),
                ("J", Kind::Initial),
                (".", Kind::Mark('.')),
                ("USA", Kind::Upper),
            ],
        );
    }

    #[test]
    fn scripts_are_cut_apart() {
        check(
            "我叫John田中さんアンナ김민준씨 मेरा",
            &[
                ("我叫", Kind::Han),
                ("John", Kind::Title),
                ("田中", Kind::Han),
                ("さん", Kind::Hiragana),
                ("アンナ", Kind::Katakana),
                ("김민준씨", Kind::Hangul),
                ("मेरा", Kind::Caseless),
            ],
        );
    }

    #[test]
    fn gaps_tell_lines_from_paragraphs() {
        let gaps: Vec<_> = split("a b\nc\n\nd-", |_| 0)
            .iter()
            .map(|token| token.gap)
            .collect();
        assert_eq!(
            gaps,
            [
                Gap::Paragraph,
                Gap::Space,
                Gap::Line,
                Gap::Paragraph,
                Gap::Glued
            ]
        );
    }
}
