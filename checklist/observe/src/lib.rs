//! Checklist item 5, observe. So far: one record of facts per exchange, and metrics.
//!
//! Stores, feedback, evals, exports and alerts join as this room is built. Text of prompts and answers is not recorded.

pub mod erase;
pub mod metrics;
pub mod record;
pub mod writer;
