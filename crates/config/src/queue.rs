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

/// What a client is told while it waits for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeedbackConfig {
    /// Nothing before `server.keepalive_after`, so that a refusal still has a status of its own.
    #[default]
    None,
    /// The response is opened at once, and comments such as `: queued position=3 eta_ms=4200` say where the request stands.
    Sse,
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
    /// What a client is told while it waits for a stream. Default `none`.
    pub feedback: FeedbackConfig,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            interactive: Span(Duration::from_secs(20)),
            batch: Span(Duration::from_secs(15 * 60)),
            per_user: 3,
            feedback: FeedbackConfig::None,
        }
    }
}
