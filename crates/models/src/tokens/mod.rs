//! Tokens of a text, counted as OpenAI's models since GPT-4o count them (`o200k_base`).
//!
//! # Method
//! Byte-pair encoding: the text is cut into words, numbers, marks and spaces by a fixed pattern, and in each piece the two
//! neighbours that the vocabulary ranks first are joined until none is left that can be. Counts are those of `tiktoken`
//! for the same vocabulary, special tokens excluded: text that looks like one counts as text.
//!
//! # Cost
//! The vocabulary is 1 MiB of the program and takes 5 MiB on the heap, once a process, from the first use on. Time is
//! `O(n log n)` in the length of a piece and linear in their number: no text makes it quadratic. `docs/records.md` has figures.

mod merge;
mod split;
#[cfg(test)]
mod tests;
mod vocabulary;

use split::Splitter;
use std::sync::OnceLock;
use vocabulary::Vocabulary;

pub use vocabulary::VocabularyError;

/// The vocabulary that is part of the program. `train/README.md` says where it comes from.
const EMBEDDED: &[u8] = include_bytes!("../../data/o200k.bin");

/// Counts tokens. Cheap to share; it holds nothing of what it has read.
#[derive(Debug)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    splitter: Splitter,
}

impl Tokenizer {
    /// The one of this process, read at its first use (some 20 ms). `None` if the program's own copy is damaged.
    pub fn shared() -> Option<&'static Tokenizer> {
        static SHARED: OnceLock<Option<Tokenizer>> = OnceLock::new();
        SHARED
            .get_or_init(|| Tokenizer::from_bytes(EMBEDDED).ok())
            .as_ref()
    }

    /// Reads a vocabulary as `train/tokens.py` writes it.
    ///
    /// # Errors
    /// The bytes are no vocabulary.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VocabularyError> {
        Ok(Tokenizer {
            vocabulary: Vocabulary::read(bytes)?,
            splitter: Splitter::new().ok_or(VocabularyError::Pattern)?,
        })
    }

    /// Number of tokens of `text`; at most its length in bytes.
    pub fn count(&self, text: &str) -> usize {
        let pieces = self.splitter.pieces(text);
        pieces
            .map(|piece| merge::count(&self.vocabulary, piece.as_bytes()))
            .sum()
    }
}
