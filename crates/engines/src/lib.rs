//! Opened handles: the HTTP client, a shared Redis and the spawner of tracked tasks. No meaning, only mechanism.

pub mod http;
pub mod redis;
pub mod tasks;
