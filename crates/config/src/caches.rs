//! The shapes of the response caches; routes pick one by name.

use crate::scalar::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Who shares kept answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheScopeConfig {
    /// Each user has their own.
    User,
    /// All users of a tenant.
    Tenant,
}

/// How a streamed answer from the cache goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheReplayConfig {
    /// At once.
    #[default]
    Instant,
    /// At the pace at which it came from the provider, so that its speed does not tell that it was kept.
    Paced,
}

/// One response cache.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// How long an answer may be given again to the same request. Default `1h`; `0s`: never.
    pub exact: Span,
    /// Who shares answers to the same request. Default `tenant`. What was masked is never shared between users.
    pub scope: CacheScopeConfig,
    /// Most memory. Default `256MiB`. When it is used up, the tenant that holds most gives up its oldest entries.
    pub max: ByteSize,
    /// How a streamed answer from the cache goes out. Default `instant`.
    pub replay: CacheReplayConfig,
    /// Requests with a higher temperature are passed over. Default 1.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature_max: f64,
    /// Requests that offer tools are served too, if the kept answer used none. Default false.
    pub tools: bool,
}

impl Default for CacheConfig {
    fn default() -> Self {
        CacheConfig {
            exact: Span(Duration::from_secs(3600)),
            scope: CacheScopeConfig::Tenant,
            max: ByteSize(256 << 20),
            replay: CacheReplayConfig::Instant,
            temperature_max: 1.0,
            tools: false,
        }
    }
}
