//! The OpenAI dialect on the client's side: chat completions, legacy completions, embeddings.

pub mod conversation;
pub mod fold;
pub mod read;
pub mod write;
