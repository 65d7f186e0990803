//! The guard of the semantic cache: do two questions have the same answer?
//!
//! Vectors that lie close do not say so: "list to tuple" and "tuple to list" have a cosine of 0.99. Here words decide first.
//! A [`veto`] refuses a pair for one reason that can be named; what differs in nothing but greetings, case or one typing error
//! is a hit by the light path; the rest is scored with fitted weights ([`score`]). The words are English: of other languages
//! only texts that are equal but for case and punctuation are hits.
//!
//! Nothing here waits or allocates more than [`normal::CHARS_MAX`] and [`normal::WORDS_MAX`] allow. [`Features`] are made once
//! and kept beside an answer.

mod lexicon;
pub mod normal;
pub mod score;
pub mod veto;

use lexicon::LEXICON;
use normal::{Word, number, pieces};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Of the form of [`Features`]: kept ones of another version are made anew.
pub const VERSION: u8 = 1;

/// What the guard knows of one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// [`VERSION`] of the program that made them.
    pub version: u8,
    /// Digest of the whole text, case and space levelled: equal ones are the same question, however long.
    pub whole: [u8; 32],
    /// Whether only a part of the text was read.
    pub cut: bool,
    /// Words in order.
    pub words: Vec<Word>,
    /// Sorted.
    pub numbers: Vec<String>,
    /// Sorted; a unit once.
    pub units: Vec<String>,
    /// Weekdays, months, seasons; sorted.
    pub dates: Vec<String>,
    /// Versions, names of files, addresses, placeholders; sorted.
    pub codes: Vec<String>,
    /// Words that negate.
    pub negations: u8,
    /// What is asked for, a bit each.
    pub asks: u16,
    /// Whether it is English, as far as its small words tell: what the lists can judge.
    pub english: bool,
}

impl Features {
    /// Of a question.
    pub fn of(text: &str) -> Self {
        let (pieces, cut) = pieces(text);
        let mut of = Features {
            version: VERSION,
            whole: whole(text),
            cut,
            words: normal::words(&pieces),
            numbers: Vec::new(),
            units: Vec::new(),
            dates: Vec::new(),
            codes: Vec::new(),
            negations: 0,
            asks: 0,
            english: is_english(&pieces),
        };
        let negates = |word: &&Word| {
            ["not", "no", "never", "none", "nobody", "nothing"].contains(&word.text.as_str())
        };
        let negations = of.words.iter().filter(negates).count();
        of.negations = u8::try_from(negations).unwrap_or(u8::MAX);
        let mut after_number = false;
        for piece in &pieces {
            let number = number(&piece.text).filter(|_| !piece.code);
            of.note(piece, after_number);
            after_number = number.is_some();
            of.numbers.extend(number);
        }
        of.units.sort_unstable();
        of.units.dedup();
        for list in [&mut of.numbers, &mut of.dates, &mut of.codes] {
            list.sort_unstable();
        }
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        of.asks = LEXICON.asks(&format!(" {} ", texts.join(" ")));
        of
    }

    /// A number that questions share which differ in greetings, fillers and punctuation alone, and few others: where to look
    /// for them without a vector. It proves nothing.
    pub fn outline(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let content = self.words.iter().filter(|word| word.content);
        content.for_each(|word| word.stem.hash(&mut hasher));
        hasher.finish()
    }

    /// Bytes of memory.
    pub fn size(&self) -> usize {
        let list = |texts: &[String]| texts.iter().map(|text| text.len() + 24).sum::<usize>();
        let words = self.words.iter();
        let words = words
            .map(|word| size_of::<Word>() + word.text.len() + word.stem.len() + word.own.len());
        let lists = [&self.numbers, &self.units, &self.dates, &self.codes];
        size_of::<Features>()
            + words.sum::<usize>()
            + lists.into_iter().map(|texts| list(texts)).sum::<usize>()
    }

    fn note(&mut self, piece: &normal::Piece, after_number: bool) {
        let text = piece.text.as_str();
        if piece.code {
            self.codes.push(text.to_owned());
        } else if let Some(unit) = LEXICON.unit(text, after_number) {
            self.units.push(unit.to_owned());
        } else if let Some(date) = LEXICON.date(text) {
            self.dates.push(date.to_owned());
        }
    }
}

/// Whether a fourth of the words are small words of English, and at most one is a small word of another language.
fn is_english(pieces: &[normal::Piece]) -> bool {
    let count = |list: &HashSet<&str>| {
        let found = pieces
            .iter()
            .filter(|piece| list.contains(piece.text.as_str()));
        found.count()
    };
    count(&LEXICON.stop) * 4 >= pieces.len() && count(&LEXICON.foreign) <= 1
}

/// Digest of the words in lower case, without the punctuation behind them. A whole one: who can write questions must not be
/// able to make two that are taken for one.
fn whole(text: &str) -> [u8; 32] {
    let end = |c: char| c.is_whitespace() || "?!.,;:".contains(c);
    let mut digest = Sha256::new();
    for word in text.split_whitespace() {
        let word = word.trim_end_matches(end);
        if !word.is_empty() {
            digest.update(word.to_lowercase());
            digest.update([b' ']);
        }
    }
    digest.finalize().into()
}

/// How sure the guard must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// Wrong hits are worse than calls.
    #[default]
    Strict,
    /// Between the two.
    Balanced,
    /// Calls are worse than wrong hits.
    Lenient,
}

impl Strictness {
    /// Least score of a hit.
    pub fn threshold(self) -> f32 {
        match self {
            Strictness::Strict => 0.90,
            Strictness::Balanced => 0.80,
            Strictness::Lenient => 0.70,
        }
    }
}

/// What a hit needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Least score.
    pub threshold: f32,
    /// Least cosine of what is scored. The light path needs none.
    pub cosine_min: f32,
}

impl Limits {
    /// Least cosine of what is worth scoring.
    pub const COSINE_MIN: f32 = 0.70;
}

impl From<Strictness> for Limits {
    fn from(strictness: Strictness) -> Self {
        Limits {
            threshold: strictness.threshold(),
            cosine_min: Self::COSINE_MIN,
        }
    }
}

/// Whether the answer to one question may be given to the other, and why.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ruling {
    /// 0 to 1.
    pub score: f32,
    /// Whether the score reaches the threshold.
    pub hit: bool,
    /// Why, in one word.
    pub reason: &'static str,
}

/// Rules on two questions; their order does not matter.
pub fn compare(one: &Features, other: &Features, cosine: f32, limits: &Limits) -> Ruling {
    let (score, reason) = ruled(one, other, cosine, limits);
    Ruling {
        score,
        hit: score >= limits.threshold,
        reason,
    }
}

fn ruled(one: &Features, other: &Features, cosine: f32, limits: &Limits) -> (f32, &'static str) {
    if one.version != VERSION || other.version != VERSION {
        return (0.0, "version");
    }
    if one.whole == other.whole {
        return (1.0, "same_text");
    }
    if one.cut || other.cut {
        return (0.0, "too_long");
    }
    if !one.english || !other.english {
        return (0.0, "language");
    }
    let pair = veto::Pair::of(one, other);
    if pair.is_light() {
        return (0.98, "light_edit");
    }
    if let Some(veto) = pair.veto() {
        return (0.0, veto.name());
    }
    if cosine.is_nan() || cosine < limits.cosine_min {
        return (0.0, "cosine");
    }
    (score::score(&score::evidence(&pair, cosine)), "score")
}

/// Why a question's answer should not be kept for others at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsuitable {
    /// Nothing is asked.
    Empty,
    /// Longer than what is read.
    Long,
    /// The answer depends on who asks.
    Personal,
    /// The answer depends on when it is asked.
    Momentary,
    /// It speaks of what was said before.
    Follows,
}

/// Whether a question is one whose answer serves others.
pub fn unsuitable(text: &str) -> Option<Unsuitable> {
    let (pieces, cut) = pieces(text);
    let has = |words: &[&str]| {
        pieces
            .iter()
            .any(|piece| words.contains(&piece.text.as_str()))
    };
    let content = normal::words(&pieces).iter().any(|word| word.content);
    if cut {
        Some(Unsuitable::Long)
    } else if !content {
        Some(Unsuitable::Empty)
    } else if has(&["my", "mine", "myself", "our", "ours"]) {
        Some(Unsuitable::Personal)
    } else if has(&[
        "now",
        "today",
        "tomorrow",
        "yesterday",
        "tonight",
        "currently",
        "current",
        "latest",
        "recent",
        "recently",
        "news",
        "ago",
    ]) {
        Some(Unsuitable::Momentary)
    } else if pieces.first().is_some_and(|piece| {
        [
            "it", "that", "this", "and", "but", "also", "then", "they", "he", "she",
        ]
        .contains(&piece.text.as_str())
    }) {
        Some(Unsuitable::Follows)
    } else {
        None
    }
}

/// Whether two stems are one word, or one with a slip of the pen.
fn alike(one: &Word, other: &Word) -> bool {
    if one.stem == other.stem || one.own == other.own {
        return true;
    }
    if LEXICON.opposite(&one.own, &other.own) || LEXICON.opposite(&one.stem, &other.stem) {
        return false;
    }
    slipped(one, other) || same_root(&one.own, &other.own)
}

/// Whether two words are one with a slip of the pen.
fn slipped(one: &Word, other: &Word) -> bool {
    let plain = |word: &Word| {
        word.text.bytes().all(|b| b.is_ascii_lowercase()) && number(&word.text).is_none()
    };
    let opposite =
        LEXICON.opposite(&one.own, &other.own) || LEXICON.opposite(&one.stem, &other.stem);
    plain(one) && plain(other) && !opposite && slip(&one.text, &other.text)
}

fn same_root(one: &str, other: &str) -> bool {
    let shared = one
        .bytes()
        .zip(other.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    shared >= 5 && shared * 10 >= one.len().max(other.len()) * 6
}

/// One letter more, less or other, or two that changed places, behind an equal first letter.
fn slip(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let known = |word: &str| {
        LEXICON.stop.contains(word)
            || LEXICON.knows(word)
            || LEXICON.unit(word, false).is_some()
            || LEXICON.date(word).is_some()
    };
    if long.len() < 4 || long.len() - short.len() > 1 || (known(one) && known(other)) {
        return false;
    }
    let front = short
        .bytes()
        .zip(long.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let (short, long) = (short.as_bytes(), long.as_bytes());
    let back = short
        .iter()
        .rev()
        .zip(long.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    if front == 0 {
        return false;
    }
    if short.len() < long.len() {
        return front + back >= short.len();
    }
    let swapped = front + back + 2 == long.len()
        && short.get(front) == long.get(front + 1)
        && short.get(front + 1) == long.get(front);
    swapped || (front + back + 1 >= long.len() && long.len() >= 6)
}

#[cfg(test)]
mod tests;
