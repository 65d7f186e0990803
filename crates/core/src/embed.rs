//! Embeddings of texts: what rooms ask for without knowing where they come from.

/// A text's vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// Its numbers; all vectors of one space are of one length.
    pub values: Vec<f32>,
    /// Whether only a part of the text was read: then it says nothing of the rest.
    pub cut: bool,
}

/// Why there is no vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedFault {
    /// Too many texts wait.
    Busy,
    /// The model failed.
    Failed,
}

impl EmbedFault {
    /// Name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            EmbedFault::Busy => "embedding_busy",
            EmbedFault::Failed => "embedding_failed",
        }
    }
}

/// Takes the result, once.
pub type Then = Box<dyn FnOnce(Result<Vector, EmbedFault>) + Send>;

/// Embeds texts that are masked, away from whoever asks.
pub trait Embed: Send + Sync {
    /// Names the space of the vectors: those of another one can't be compared with them.
    fn space(&self) -> &str;

    /// Numbers in a vector, as far as they are known.
    fn dims(&self) -> usize;

    /// Embeds a text and hands the vector to `then`, on any thread. It does not wait.
    fn embed(&self, text: String, then: Then);
}
