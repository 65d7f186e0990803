//! Checklist item 4, latency: how long to wait before the next attempt, and answers that are given again.
//!
//! Plans, breakers, hedges and queues join as this room is built.

pub mod backoff;
pub mod cache;
