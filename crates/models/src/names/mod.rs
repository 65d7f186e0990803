//! Names of people, places and organisations in English text: a linear-chain tagger.
//!
//! # Method
//! A conditional random field over the tags of the BIO scheme (Lafferty, McCallum and Pereira, 2001). Each word has some
//! forty features: the word, its neighbours, affixes, shape, and what lists the caller has say of it (hints). A feature is
//! a hash; its weights stand in one table of fixed size, rounded to eight bits. The best chain of tags is found by
//! Viterbi, and how sure it is by the best chain in which the words of the name are none.
//!
//! # Cost
//! Linear in the number of words; the weights take 2 MiB on the heap, once a process, from the first use on.
//!
//! # Trade-off
//! No embeddings: a word that training never showed is judged by its looks and its neighbours alone.

pub mod feature;
mod file;
mod lattice;

use std::ops::Range;
use std::sync::OnceLock;

pub use file::{ModelError, SET_ROWS, Set, Weights, place, read, write};

/// Words that are tagged together at most; longer runs are cut.
pub const RUN_WORDS_MAX: usize = 256;

/// The weights that are part of the program. `train/README.md` says how they were made.
const EMBEDDED: &[u8] = include_bytes!("../../data/names.bin");

/// One word, number or mark of a text.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    /// As it is written. A line break is a word too: `"\n"`.
    pub text: &'a str,
    /// What the caller's lists say of it, one bit a list. Training and use must agree on the bits.
    pub hints: u16,
    /// Whether a sentence, a line or a quotation starts here.
    pub start: bool,
}

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Person,
    Location,
    Organization,
}

/// Kinds in the order of their tags.
pub const KINDS: [Kind; 3] = [Kind::Person, Kind::Location, Kind::Organization];

/// Tags in the order of the weights: begin and inside of each kind; the last one is "no name".
pub const TAGS: usize = 7;

/// The tag of words that are no part of a name. Its feature weights are 0: others are relative to it.
pub const OUTSIDE: usize = 6;

/// The tag of the first (`begin`) or a later word of a name.
pub const fn tag(kind: Kind, begin: bool) -> usize {
    let place = match kind {
        Kind::Person => 0,
        Kind::Location => 2,
        Kind::Organization => 4,
    };
    if begin { place } else { place + 1 }
}

/// One name.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// Places of its words.
    pub words: Range<usize>,
    pub kind: Kind,
    /// How sure it is, `0.0..=1.0`: the logistic function of how much better the best reading is than the best one in
    /// which these words are no name.
    pub score: f32,
}

/// The model. Cheap to share; it holds nothing of what it has read.
#[derive(Debug)]
pub struct NameModel {
    weights: Weights,
}

impl NameModel {
    /// The model of this process; the weights are read at the first call (about a millisecond).
    ///
    /// # Errors
    /// [`ModelError`] if the embedded weights are damaged, which a test rules out.
    pub fn shared() -> Result<&'static Self, ModelError> {
        static SHARED: OnceLock<Result<NameModel, ModelError>> = OnceLock::new();
        SHARED
            .get_or_init(|| NameModel::from_bytes(EMBEDDED))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// A model from the bytes of a weights file.
    ///
    /// # Errors
    /// [`ModelError`] if the bytes are no weights file of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Ok(Self {
            weights: read(bytes)?,
        })
    }

    /// Appends the names among `words` to `out`, in order and without overlaps.
    pub fn find(&self, words: &[Word<'_>], out: &mut Vec<Name>) {
        for (place, run) in words.chunks(RUN_WORDS_MAX).enumerate() {
            let from = out.len();
            lattice::find(&self.weights, run, out);
            for name in out.iter_mut().skip(from) {
                let by = place * RUN_WORDS_MAX;
                name.words = name.words.start + by..name.words.end + by;
            }
        }
    }
}

#[cfg(test)]
mod tests;
