//! Plans, which say what is sold and enforced, and segments, which say whom a rule means.

use super::Mistake;
use super::{BudgetConfig, LimitRule, MeterConfig, WindowConfig};
use crate::scalar::{Span, text_scalar};
use aplomb_core::money::NanoUsd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// What tenants buy: limits, budget, models and segment in one place.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanConfig {
    /// What a tenant pays for it, such as `49 USD per month`; `0 USD per month` is for nothing. It is told, and compared with what was spent; nothing is charged. Default: not said.
    pub price: Option<PriceConfig>,
    /// Segment of its users. Default: none.
    pub segment: Option<String>,
    /// What each tenant may spend, such as `30 USD per month`. Default: no bound.
    pub budget: Option<BudgetConfig>,
    /// Routes and models that its users may ask for; a `*` stands for any text. Default: all.
    pub models: Vec<String>,
    /// Limits of its users, besides those of all.
    #[schemars(length(max = 16))]
    pub limits: Vec<LimitRule>,
}

/// How far a user is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrustConfig {
    /// Nothing is answered.
    Suspended,
    /// New, or fallen back.
    Quarantine,
    /// As everybody.
    Standard,
    /// Has been good for a while.
    Trusted,
}

impl TrustConfig {
    /// All of them, the least first.
    pub const ALL: [TrustConfig; 4] = [
        TrustConfig::Suspended,
        TrustConfig::Quarantine,
        TrustConfig::Standard,
        TrustConfig::Trusted,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            TrustConfig::Suspended => "suspended",
            TrustConfig::Quarantine => "quarantine",
            TrustConfig::Standard => "standard",
            TrustConfig::Trusted => "trusted",
        }
    }
}

/// Limits that follow behaviour.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KarmaConfig {
    /// Users are scored by what they do, and their level of trust follows the score. Default false.
    pub enabled: bool,
    /// Between `standard` and `trusted` the multiplier grows with the score instead of in one step. Default true.
    pub smooth: bool,
}

impl Default for KarmaConfig {
    fn default() -> Self {
        KarmaConfig {
            enabled: false,
            smooth: true,
        }
    }
}

/// A group of users that rules can name. A user may be in several.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentConfig {
    /// All users of this plan. Default: none.
    pub plan: Option<String>,
    /// These users, of any tenant; a `*` stands for any text.
    pub users: Vec<String>,
    /// All users of these tenants.
    pub tenants: Vec<String>,
    /// Limits of requests, tokens and concurrency are multiplied by this and rounded down, to 1 at least; those of several segments multiply. Money is never multiplied. 0 refuses everything. Default 1; of a level of trust 0.25 (`quarantine`), 1 (`standard`), 2 (`trusted`), 0 (`suspended`).
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub multiplier: Option<f64>,
    /// Alone: all users of this level of trust. With `plan`, `users` or `tenants`: those users always have this level, whatever they do. Default: none.
    pub trust: Option<TrustConfig>,
    /// Of `trust: quarantine` alone: a user stays in it so long after its first request. Default 7d.
    pub first: Option<Span>,
    /// Of `trust: quarantine` alone: days with at least one answered request before a user leaves it. Default 5.
    #[schemars(range(max = 365))]
    pub active_days: Option<u32>,
    /// Routes and models that its users may ask for; a `*` stands for any text. Default: all.
    pub models: Vec<String>,
}

impl SegmentConfig {
    /// Whether it names users by itself, and not by what they have earned.
    pub fn names_users(&self) -> bool {
        self.plan.is_some() || !self.users.is_empty() || !self.tenants.is_empty()
    }
}

/// What is paid for a period of the calendar: `49 USD per month`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceConfig(LimitRule);

impl PriceConfig {
    /// The money.
    pub fn amount(&self) -> NanoUsd {
        NanoUsd(i64::try_from(self.0.limit).unwrap_or(i64::MAX))
    }

    /// For how long.
    pub fn window(&self) -> &WindowConfig {
        &self.0.window
    }
}

impl FromStr for PriceConfig {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let rule: LimitRule = text.parse()?;
        let plain = rule.per.is_empty() && rule.when.is_empty() && rule.id.is_none();
        let period = matches!(rule.window, WindowConfig::Calendar { .. });
        if rule.meter != MeterConfig::Cost || !plain || !period {
            return Err(Mistake::new(
                "expected money for a day, week, month or year, such as `49 USD per month`",
            ));
        }
        Ok(PriceConfig(rule))
    }
}

impl fmt::Display for PriceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_scalar!(
    PriceConfig,
    "limit-price",
    "Money for a period of the calendar: `49 USD per month`."
);
