//! Sentence embeddings: all-MiniLM-L6-v2 in 8 bits.
//!
//! # What it promises
//! Texts that mean alike have vectors with a high cosine. Against the original in single floats a vector has a cosine of at
//! least 0.998 (0.996 for a text of one token or none), 0.999 in the mean, and the cosine of two texts moves by at most
//! 0.016; all of that is the rounding of weights to 8 bits. Tests hold it to this on 48 texts in many languages. Bytes
//! that are no weights are an error, and no text is one.
//!
//! # What it does not
//! Only the first [`TOKENS_MAX`] tokens of a text are read, and [`Embedding::cut`] says so: two texts that differ only
//! after them have one vector. The model knows English; other languages are compared by their spelling. A high cosine is no
//! equality: texts that differ in one number or one name score as high as texts that were reworded.
//!
//! # Cost
//! Linear in the length of a text but for attention; `bench/README.md` has the figures. It is for threads of their own, never
//! for async ones.
//!
//! # Trade-off
//! Sums of floats are ordered by the processor's width: on two kinds of processors the numbers of a vector differ by up to
//! some 0.0003, its cosines by far less.

mod bert;
pub mod file;
mod kernel;
mod wordpiece;

use bert::{Bert, Buffers};
use file::{File, ModelError};
use kernel::Cpu;
use std::sync::OnceLock;
use wordpiece::{Cut, Vocabulary};

/// Numbers in a vector.
pub const DIMENSIONS: usize = 384;

/// Tokens of a text that are read, the two that frame it included. Attention grows with the square of the length.
pub const TOKENS_MAX: usize = 256;

/// Bytes of a text that are looked at: even 256 tokens of the longest words have less, unless it is mostly space.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// Names the space that vectors lie in: those of another space cannot be compared with them. It changes with the weights
/// and with whatever changes vectors.
pub const SPACE: &str = "all-MiniLM-L6-v2/8bit/256";

/// The weights that are part of the program. `train/README.md` says how they were made.
const EMBEDDED: &[u8] = include_bytes!("../../data/minilm.safetensors");

/// A text's vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// `[DIMENSIONS]`, of length 1.
    pub vector: Vec<f32>,
    /// Tokens that were read.
    pub tokens: usize,
    /// Whether the text has more than was read.
    pub cut: bool,
}

/// Memory of the forward pass, to be used again for the next text: some 6 MB for the longest one.
#[derive(Debug, Default)]
pub struct Scratch {
    ids: Vec<u32>,
    buffers: Buffers,
}

/// The model. Cheap to share; it holds nothing of what it has read.
#[derive(Debug)]
pub struct Model<'a> {
    vocabulary: Vocabulary,
    bert: Bert<'a>,
    centre: OnceLock<Vec<f32>>,
}

impl Model<'static> {
    /// The model of this process; the weights are read at the first call, which takes some 100 ms.
    ///
    /// # Errors
    /// [`ModelError`] if the embedded weights are damaged, which a test rules out.
    pub fn shared() -> Result<&'static Self, ModelError> {
        static SHARED: OnceLock<Result<Model<'static>, ModelError>> = OnceLock::new();
        SHARED
            .get_or_init(|| Model::from_bytes(EMBEDDED))
            .as_ref()
            .map_err(Clone::clone)
    }
}

impl<'a> Model<'a> {
    /// A model from the bytes of a file. The table of words is used where it lies; the other matrices are laid out anew.
    ///
    /// # Errors
    /// [`ModelError`] if the bytes are not the weights of a model of this kind.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, ModelError> {
        Self::with(bytes, Cpu::best())
    }

    fn with(bytes: &'a [u8], cpu: Cpu) -> Result<Self, ModelError> {
        let file = File::read(bytes)?;
        let vocabulary = Vocabulary::read(file.text("vocab")?)?;
        let bert = Bert::read(&file, vocabulary.len(), cpu)?;
        Ok(Model {
            vocabulary,
            bert,
            centre: OnceLock::new(),
        })
    }

    /// The vector of a text.
    pub fn embed(&self, text: &str, scratch: &mut Scratch) -> Embedding {
        let Scratch { ids, buffers } = scratch;
        let front = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX));
        let front = front.unwrap_or_default();
        let cut = self.vocabulary.encode(front, TOKENS_MAX, ids);
        let mut vector = self.bert.pooled(ids, buffers);
        normalize(&mut vector);
        Embedding {
            vector,
            tokens: ids.len(),
            cut: cut == Cut::Yes || front.len() < text.len(),
        }
    }

    /// The vector of a word on its own, before the model has read any sentence: how alike two words are used. It is the
    /// mean of its pieces' rows of the table of words, less the mean of all rows, of length 1; `None` for what the
    /// vocabulary does not know.
    pub fn word(&self, word: &str) -> Option<Vec<f32>> {
        let mut ids = Vec::new();
        let word = word.get(..word.floor_char_boundary(TEXT_BYTES_MAX))?;
        self.vocabulary.encode(word, TOKENS_MAX, &mut ids);
        let pieces = ids.get(1..ids.len().checked_sub(1)?)?;
        if pieces.is_empty() || pieces.iter().any(|id| self.vocabulary.is_unknown(*id)) {
            return None;
        }
        let mut sum = self.bert.mean_row(pieces.iter().copied());
        let all = 0..u32::try_from(self.vocabulary.len()).unwrap_or(0);
        let centre = self.centre.get_or_init(|| self.bert.mean_row(all));
        for (value, centre) in sum.iter_mut().zip(centre) {
            *value -= centre;
        }
        normalize(&mut sum);
        Some(sum)
    }

    /// Cosine of two words' vectors, [`Model::word`]; `None` if one is not known.
    pub fn word_similarity(&self, one: &str, other: &str) -> Option<f32> {
        Some(cosine(&self.word(one)?, &self.word(other)?))
    }
}

/// Cosine of two vectors of length 1, `-1.0..=1.0`. Numbers that only one of them has count as 0.
pub fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let ((one, one_rest), (other, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    for (one, other) in one.iter().zip(other) {
        for (sum, (one, other)) in sums.iter_mut().zip(one.iter().zip(other)) {
            *sum += one * other;
        }
    }
    let rest = one_rest.iter().zip(other_rest);
    let rest: f32 = rest.map(|(one, other)| one * other).sum();
    (sums.iter().sum::<f32>() + rest).clamp(-1.0, 1.0)
}

/// Makes a vector's length 1.
fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    let by = 1.0 / length.max(1e-12);
    vector.iter_mut().for_each(|value| *value *= by);
}

#[cfg(test)]
mod tests;
