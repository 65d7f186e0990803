//! The part of the file about waiting for targets that take only so many calls at a time.

use crate::file::{ProviderConfig, ProviderKind};
use crate::scalar::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;
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

/// How a limit is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LearnByConfig {
    /// From the times to the first content and between tokens: fewer calls where they grow.
    Latency,
    /// From status 429, 503, 504, 529 and timeouts: a tenth fewer calls after one, one more after a second without.
    Errors,
}

/// A limit of calls at a time that is learned from how the provider answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveConfig {
    /// Least calls at a time. Default 1.
    #[schemars(range(min = 1, max = 100_000))]
    pub min: u32,
    /// Most calls at a time. Default 200.
    #[schemars(range(min = 1, max = 100_000))]
    pub max: u32,
    /// What it is learned from. Default: `latency` for servers of one's own (a loopback or private address, a name without a dot or below `.local`, `.internal`, `.lan`; the practice provider), `errors` for all others.
    pub by: Option<LearnByConfig>,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        AdaptiveConfig {
            min: 1,
            max: 200,
            by: None,
        }
    }
}

impl AdaptiveConfig {
    /// What it is learned from, for a provider of this name.
    pub fn by_of(&self, name: &str, provider: &ProviderConfig) -> LearnByConfig {
        let own = provider.kind_of(name) == Some(ProviderKind::Practice)
            || provider.base_url_of(name).is_some_and(|url| is_own(&url));
        self.by.unwrap_or(if own {
            LearnByConfig::Latency
        } else {
            LearnByConfig::Errors
        })
    }
}

/// Whether an address is of the same machine or network.
fn is_own(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => host.split(':').next(),
    };
    let host = host.unwrap_or_default();
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        Err(_) => {
            let within = [".local", ".internal", ".lan", ".localhost"];
            !host.contains('.') || within.iter().any(|end| host.ends_with(end))
        }
    }
}

/// The section beside a plain number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnedConfig {
    /// A limit that is learned from how the provider answers, within bounds.
    pub adaptive: AdaptiveConfig,
}

/// How many calls a provider takes at a time: a number, or `{ adaptive: { min: 1, max: 200 } }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum ConcurrencyConfig {
    /// So many.
    Fixed(u32),
    /// As many as it is seen to take.
    Learned(LearnedConfig),
}

impl JsonSchema for ConcurrencyConfig {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ConcurrencyConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = LearnedConfig::json_schema(generator);
        let number = json_schema!({ "type": "integer", "format": "uint32", "minimum": 1, "maximum": 100_000 });
        json_schema!({ "oneOf": [number, section] })
    }
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn addresses_of_ones_own() {
        for url in [
            "http://127.0.0.1:8000/v1",
            "http://localhost:11434/v1",
            "http://10.1.2.3/v1",
            "http://192.168.0.4:80",
            "http://[::1]:8000/v1",
            "http://[fd00::1]/v1",
            "http://vllm:8000/v1",
            "https://gpu.internal/v1",
        ] {
            assert!(is_own(url), "{url}");
        }
        for url in [
            "https://api.openai.com/v1",
            "https://8.8.8.8/v1",
            "https://local.example.com",
        ] {
            assert!(!is_own(url), "{url}");
        }
    }
}
