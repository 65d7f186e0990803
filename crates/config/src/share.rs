//! The part of the file about requests that are the same: those in flight at a time, and those with an `Idempotency-Key`.

use crate::scalar::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest window. Chosen: what is asked again later than that belongs to a cache.
pub const WINDOW_MAX: Duration = Duration::from_secs(60);
/// Longest time for which a call goes on without a caller. Chosen: a retry comes within seconds.
pub const LINGER_MAX: Duration = Duration::from_secs(60);

/// What happens to a request while the same one of the same user is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DedupeModeConfig {
    /// It gets the same answer, from the beginning, for one call and one price.
    #[default]
    Join,
    /// It gets status 409, `duplicate_in_flight`.
    Reject,
    /// It takes the older one's place, which is cancelled and told so. With `x-aplomb-session` a newer request of the same conversation does so whatever it asks.
    Replace,
    /// It is a request of its own.
    None,
}

/// What happens to a request while the same one of the same user is in flight. The header `x-aplomb-dedupe: off` takes a request out of this.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DedupeConfig {
    /// What happens. Default `join`.
    pub mode: DedupeModeConfig,
    /// For `join`: for how long after its end an answer is still given to the same request. Default `2s`; at most `60s`; `0s`: only while it is in flight.
    pub window: Span,
}

impl Default for DedupeConfig {
    fn default() -> Self {
        DedupeConfig {
            mode: DedupeModeConfig::Join,
            window: Span(Duration::from_secs(2)),
        }
    }
}

/// Requests with an `Idempotency-Key`: the same key of the same user on the same route means the same answer. They are in the memory of one node.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdempotencyConfig {
    /// For how long an answer is given again to its key. Default `24h`; `0s`: only while it is in flight. Failures are not kept: a retry runs again.
    pub keep: Span,
    /// Most memory of kept answers. Default `64MiB`. When it is used up, the tenant that holds most gives up its oldest answers, which are then made anew. An answer over 1 MiB is not kept.
    pub max: ByteSize,
    /// For how long a call goes on when its caller has left before the response began, so that a retry finds its answer. A stream that has begun ends with its caller. Default `5s`; at most `60s`; `0s`: all end at once.
    pub linger: Span,
}

impl Default for IdempotencyConfig {
    fn default() -> Self {
        IdempotencyConfig {
            keep: Span(Duration::from_secs(24 * 3600)),
            max: ByteSize(64 << 20),
            linger: Span(Duration::from_secs(5)),
        }
    }
}
