//! What the tagger sees of a word, as hashes.
//!
//! Training and use call the same function, so that they can't drift apart. A change here needs new weights.

use super::Word;

/// Features of one word, at most.
pub const FEATURES_MAX: usize = 40;

/// Stands before the first and after the last word.
const EDGE: Facts = Facts {
    word: 0x45,
    shape: 0x45,
    hints: 0,
    start: 0,
    prefixes: [0; 3],
    suffixes: [0; 3],
};

/// What is known of one word, hashed once.
#[derive(Debug, Clone, Copy)]
struct Facts {
    word: u64,
    shape: u64,
    hints: u64,
    start: u64,
    prefixes: [u64; 3],
    suffixes: [u64; 3],
}

/// The words of one run, ready to be asked for features.
#[derive(Debug)]
pub struct Run {
    facts: Vec<Facts>,
    /// How capitals are used in the run: 0 none, 1 as in prose, 2 in most words, 3 nothing but capitals.
    pattern: u64,
}

impl Run {
    /// Reads the words of a run.
    pub fn new(words: &[Word<'_>]) -> Self {
        Self {
            facts: words.iter().map(facts).collect(),
            pattern: pattern(words),
        }
    }

    /// Words in the run.
    pub const fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there are no words.
    pub const fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    fn at(&self, index: usize, by: isize) -> &Facts {
        let place = index.checked_add_signed(by);
        place
            .and_then(|place| self.facts.get(place))
            .unwrap_or(&EDGE)
    }

    /// Calls `take` with each feature of the word at `index`, always in the same order; [`FEATURES_MAX`] at most.
    pub fn each(&self, index: usize, mut take: impl FnMut(u64)) {
        let (own, before, after) = (self.at(index, 0), self.at(index, -1), self.at(index, 1));
        let (early, late) = (self.at(index, -2), self.at(index, 2));
        let cast = join(own.shape, own.hints);
        let singles = [
            0,
            own.word,
            before.word,
            after.word,
            early.word,
            late.word,
            own.shape,
            own.hints,
            join(own.shape, own.start),
            join(cast, own.start),
            join(cast, self.pattern),
        ];
        let pairs = [
            join(before.word, own.word),
            join(own.word, after.word),
            join(own.word, own.shape),
            join(before.word, own.shape),
            join(after.word, own.shape),
            join(before.word, own.hints),
            join(after.word, own.hints),
            join(before.hints, own.hints),
            join(own.hints, after.hints),
            join(join(before.shape, own.shape), own.start),
            join(own.shape, after.shape),
            join(join(before.shape, own.shape), after.shape),
            join(join(early.word, before.word), own.shape),
            join(join(after.word, late.word), own.shape),
            join(join(before.word, after.word), own.shape),
            join(join(before.hints, own.hints), after.hints),
            join(join(before.shape, before.hints), cast),
            join(join(after.shape, after.hints), cast),
        ];
        let affixes = own.prefixes.into_iter().chain(own.suffixes);
        let shaped = own.suffixes.map(|suffix| join(suffix, cast));
        let all = singles
            .into_iter()
            .chain(pairs)
            .chain(affixes)
            .chain(shaped);
        for (number, value) in (1_u64..).zip(all) {
            take(mix(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ value));
        }
    }
}

fn facts(word: &Word<'_>) -> Facts {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut prefixes = [0; 3];
    let mut letters = 0_usize;
    for letter in word.text.chars().flat_map(char::to_lowercase) {
        hash = step(hash, letter);
        letters += 1;
        if let Some(prefix) = letters.checked_sub(2).and_then(|at| prefixes.get_mut(at)) {
            *prefix = mix(hash);
        }
    }
    let mut suffixes = [0; 3];
    let mut tail = 0x8422_2325_cbf2_9ce4;
    let backwards = word.text.chars().rev().flat_map(char::to_lowercase);
    for (count, letter) in backwards.take(4).enumerate() {
        tail = step(tail, letter);
        if let Some(suffix) = count.checked_sub(1).and_then(|at| suffixes.get_mut(at)) {
            *suffix = mix(tail);
        }
    }
    Facts {
        word: mix(hash),
        shape: shape(word.text),
        hints: u64::from(word.hints) + 1,
        start: u64::from(word.start) + 1,
        prefixes,
        suffixes,
    }
}

/// Capitals, small letters, digits and marks in their order, each run as one, with a rough length.
fn shape(text: &str) -> u64 {
    let (mut hash, mut last, mut letters) = (7, ' ', 0_u64);
    for letter in text.chars() {
        let class = match letter {
            _ if letter.is_uppercase() => 'A',
            _ if letter.is_alphabetic() => 'a',
            _ if letter.is_numeric() => '0',
            _ => letter,
        };
        // A mark is its own shape; a long row of the same one is no longer than one.
        if class != last && letters < 12 {
            hash = step(hash, class);
            last = class;
            letters += 1;
        }
    }
    let length = match text.len() {
        1 => 1,
        2..=3 => 2,
        4..=12 => 3,
        _ => 4,
    };
    mix(hash ^ length)
}

fn pattern(words: &[Word<'_>]) -> u64 {
    let (mut titles, mut capitals, mut small) = (0_usize, 0_usize, 0_usize);
    for word in words {
        let mut letters = word.text.chars();
        match (letters.next(), letters.next()) {
            (Some(first), Some(second)) if first.is_uppercase() && second.is_uppercase() => {
                capitals += 1;
            }
            (Some(first), Some(_)) if first.is_uppercase() => titles += 1,
            (Some(first), _) if first.is_lowercase() => small += 1,
            _ => {}
        }
    }
    match (titles, capitals, small) {
        (0, 0, _) => 1,
        (_, _, 0) if capitals > titles => 4,
        _ if titles + capitals > small => 3,
        _ => 2,
    }
}

const fn step(hash: u64, letter: char) -> u64 {
    (hash ^ letter as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

const fn join(left: u64, right: u64) -> u64 {
    left.wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29)
        ^ right.wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}

const fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}
