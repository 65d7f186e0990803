//! Anthropic, and servers that speak its Messages API.

pub mod body;
pub mod error;
pub mod request;
pub mod stream;
