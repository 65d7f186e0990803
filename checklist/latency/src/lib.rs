//! Checklist item 4, latency. So far: how long to wait before the next attempt.
//!
//! Plans, breakers, hedges, queues and caches join as this room is built.

pub mod backoff;
