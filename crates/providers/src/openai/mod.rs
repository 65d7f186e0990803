//! OpenAI, and every server that speaks its API: vLLM, llama.cpp, Ollama, Groq, Together, Mistral, DeepSeek, ...
//!
//! What differs between them stands in [`quirks`].

pub mod body;
pub mod error;
pub mod quirks;
mod repair;
pub mod request;
pub mod stream;
mod text;
mod typed;
mod wire;
