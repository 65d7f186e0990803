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

/// How sure it must be that two questions have the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GuardConfig {
    /// A wrong answer is worse than a call. Threshold 0.90.
    #[default]
    Strict,
    /// Between the two. Threshold 0.80.
    Balanced,
    /// A call is worse than a wrong answer. Threshold 0.70.
    Lenient,
}

/// What becomes of an answer to a question that is alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheModeConfig {
    /// It is served.
    #[default]
    Serve,
    /// The provider is asked all the same, and the record says what would have been served and how far the two agree.
    Shadow,
}

/// Answers to questions that are not the same, and have the same answer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SemanticConfig {
    /// Least score of the guard, 0.5 to 1. Default: what `guard` says.
    #[schemars(range(min = 0.5, max = 1.0))]
    pub threshold: Option<f32>,
    /// How long an answer may serve other questions. Default `1h`.
    pub ttl: Span,
    /// Who shares them. Default `user`. `tenant` is for questions whose answers hold nothing of a user: help pages, products.
    /// What was masked is never shared between users.
    pub scope: CacheScopeConfig,
    /// How sure it must be that two questions have the same answer. Default `strict`.
    pub guard: GuardConfig,
    /// Whether they are served, or only measured. Default `serve`.
    pub mode: CacheModeConfig,
    /// Most messages before the question, instructions not counted; they must be identical. Default 0.
    pub turns: u32,
    /// A provider's embedding model, as `provider/model`. Default: the one inside this program, which calls nobody.
    pub model: Option<String>,
    /// Longest wait for the vector of a question. Default `100ms`; after it the provider is asked.
    pub wait: Span,
}

impl Default for SemanticConfig {
    fn default() -> Self {
        SemanticConfig {
            threshold: None,
            ttl: Span(Duration::from_secs(3600)),
            scope: CacheScopeConfig::User,
            guard: GuardConfig::Strict,
            mode: CacheModeConfig::Serve,
            turns: 0,
            model: None,
            wait: Span(Duration::from_millis(100)),
        }
    }
}

/// One response cache.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// How long an answer may be given again to the same request. Default `1h`; `0s`: never.
    pub exact: Span,
    /// Answers to questions that are alike. Default: none are given.
    pub semantic: Option<SemanticConfig>,
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
            semantic: None,
            scope: CacheScopeConfig::Tenant,
            max: ByteSize(256 << 20),
            replay: CacheReplayConfig::Instant,
            temperature_max: 1.0,
            tools: false,
        }
    }
}
