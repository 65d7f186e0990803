//! The part of the file about targets that fail or are slow: choice, retries, hedges, fallback, breakers.

use crate::evals::Share;
use crate::scalar::{Span, text_scalar};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

/// One target of a route: `provider/model`, or a section with its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetConfig {
    /// `provider/model`.
    pub target: String,
    /// Its share among the route's targets. Default 1.
    pub weight: u32,
}

impl Deref for TargetConfig {
    type Target = str;

    fn deref(&self) -> &str {
        &self.target
    }
}

impl PartialEq<&str> for TargetConfig {
    fn eq(&self, other: &&str) -> bool {
        self.target == *other
    }
}

/// A target with its weight, as a section.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WeightedTarget {
    /// `provider/model`.
    #[schemars(extend("format" = "target"))]
    target: String,
    /// Its share among the route's targets, for `choose: weighted`, `least_busy` and `fastest`. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    weight: u32,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Section(WeightedTarget),
}

impl<'de> Deserialize<'de> for TargetConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Name(target) => TargetConfig { target, weight: 1 },
            Written::Section(WeightedTarget { target, weight }) => TargetConfig { target, weight },
        })
    }
}

impl Serialize for TargetConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.weight == 1 {
            return serializer.serialize_str(&self.target);
        }
        let section = WeightedTarget {
            target: self.target.clone(),
            weight: self.weight,
        };
        section.serialize(serializer)
    }
}

impl JsonSchema for TargetConfig {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TargetConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = WeightedTarget::json_schema(generator);
        json_schema!({ "oneOf": [{ "type": "string", "format": "target" }, section] })
    }
}

/// How a route chooses among its targets. Those that are out of order come last in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChooseConfig {
    /// In the order of the file.
    #[default]
    Ordered,
    /// By chance, in proportion to their weights.
    Weighted,
    /// The one with the fewest calls in flight for its weight.
    LeastBusy,
    /// The one that is likely to begin its answer first: of two by chance, the better one by time to the first content, calls in flight and errors.
    Fastest,
    /// The one with the lowest price. With `ttft_goal`, those that are typically slower come after the others.
    Cheapest,
}

/// How often to try.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Upstream calls in all, fallbacks included. Default 3.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u32,
    /// Further calls to a target that failed, as a share of the requests to its provider; three a second are always allowed. What is above is not tried again, so that an outage is not made worse. Default `20%`.
    pub budget: Share,
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig {
            attempts: 3,
            budget: Share(0.2),
        }
    }
}

/// When a hedge is sent: `p95`, or a time span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// When a call takes longer than 95 of 100 did lately.
    P95,
    /// After a fixed time.
    Fixed(Span),
}

impl FromStr for HedgeAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "p95" {
            return Ok(HedgeAfter::P95);
        }
        let span = text.parse::<Span>().map(HedgeAfter::Fixed);
        span.map_err(|_| "expected `p95` or a time span such as `800ms`".to_owned())
    }
}

impl fmt::Display for HedgeAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HedgeAfter::P95 => f.write_str("p95"),
            HedgeAfter::Fixed(span) => span.fmt(f),
        }
    }
}

text_scalar!(
    HedgeAfter,
    "hedge-after",
    "`p95`, or a time span such as `800ms`."
);

/// A second call when the first is slow to begin; the first content wins, the other call is given up. Only streams of at most 4000 input tokens, and not while a fifth of the route's targets is out of order.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HedgeConfig {
    /// When the second call is sent: `p95` (when the first takes longer than 95 of 100 calls of that target did in the last minutes; nothing is sent before 20 were seen), or a time span. Default `p95`.
    pub after: HedgeAfter,
    /// Most second calls, as a share of the route's requests. Default `5%`.
    pub budget: Share,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        HedgeConfig {
            after: HedgeAfter::P95,
            budget: Share(0.05),
        }
    }
}

/// When another target is asked, beyond what is always done.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FallbackConfig {
    /// Also when a provider's own content filter refused the request or its answer. Default false: a filter is not gone round unasked.
    pub on_content_filter: bool,
}

/// When a target is left alone for a while. Then one request tries whether it got better.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Failures in a row. Default 5.
    #[schemars(range(min = 1, max = 1000))]
    pub in_a_row: u32,
    /// Or this share of failures in the last ten seconds. Default `50%`.
    pub share: Share,
    /// Least calls in the last ten seconds before their share counts. Default 10.
    #[schemars(range(min = 1, max = 100_000))]
    pub calls_min: u32,
    /// How long it is left alone at first; doubling up to 5 minutes while it does not get better. Default `5s`.
    pub pause: Span,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig {
            in_a_row: 5,
            share: Share(0.5),
            calls_min: 10,
            pause: Span(Duration::from_secs(5)),
        }
    }
}
