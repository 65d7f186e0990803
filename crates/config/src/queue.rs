//! The part of the file about waiting for targets that take only so many calls at a time.

use crate::scalar::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How urgent requests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClassConfig {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Nobody does: interactive requests go first.
    Batch,
}

/// How long requests wait for a provider with a `concurrency`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Longest wait of an interactive request; then it gets status 503. Default `20s`.
    pub interactive: Span,
    /// Longest wait of a batch request. Default `15m`.
    pub batch: Span,
    /// Most requests of one user that wait for one target; further ones get status 429. Default 3.
    #[schemars(range(min = 1, max = 200))]
    pub per_user: u32,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            interactive: Span(Duration::from_secs(20)),
            batch: Span(Duration::from_secs(15 * 60)),
            per_user: 3,
        }
    }
}
