//! Checklist item 5, observe: every exchange becomes one record that costs the request nothing, is never lost in silence,
//! and can be asked anything.
//!
//! A [`record::Record`] goes to [`writer::RecordWriter`], whose thread writes it to the [`store`]; questions are answered by
//! [`store::embedded::ask::Reader`].

pub mod alerts;
pub mod evals;
pub mod export;
pub mod grading;
pub mod help;
pub mod histogram;
pub mod metrics;
pub mod otel;
pub mod prompt;
pub mod queue;
pub mod record;
pub mod schema;
pub mod store;
pub mod transcript;
pub mod writer;
