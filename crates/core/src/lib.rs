//! The vocabulary of the gateway, without I/O: what a request, an answer, an error and a token count are.
//!
//! Everything here is pure: no sockets, no files, no timers. Bytes of the two API dialects (OpenAI and
//! Anthropic) are read and written in [`dialect`]; in between, an answer is always a stream of
//! [`event::ChatEvent`]s.

pub mod ask;
pub mod caller;
pub mod civil;
pub mod clock;
pub mod conversation;
pub mod dialect;
pub mod embed;
pub mod erase;
pub mod error;
pub mod event;
pub mod id;
pub mod json;
pub mod masked;
pub mod money;
pub mod network;
pub mod request;
pub mod sse;
pub mod usage;
