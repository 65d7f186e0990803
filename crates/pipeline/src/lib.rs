//! From a request to its answer: the one place that knows all rooms.
//!
//! [`policy::Policy`] is what the operator wants (immutable, replaced as a whole), [`state::State`] what the gateway has
//! learned. [`chat::chat`] takes one request through its phases; [`settle::Exchange`] is the closing guard that writes
//! one record for every ending.

mod alerts;
mod analyzer;
pub mod asker;
mod attempt;
mod attempts;
pub mod cached;
pub mod chat;
mod embedder;
mod evals;
mod flight;
mod guard;
pub mod limits;
mod otlp;
mod plan;
pub mod policy;
pub mod relay;
mod resolve;
pub mod screen;
pub mod settle;
pub mod shared;
pub mod shields;
pub mod state;
pub mod target;
mod tokens;
pub mod turn;
pub mod validated;
