//! The Anthropic dialect on the client's side: messages and token counts.

pub mod conversation;
pub mod fold;
pub mod read;
pub mod write;
