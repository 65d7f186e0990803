//! Opened handles: the HTTP client and the spawner of tracked tasks. No meaning, only mechanism.

pub mod http;
pub mod tasks;
