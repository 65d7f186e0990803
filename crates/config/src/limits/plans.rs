//! Plans, which say what is sold and enforced, and segments, which say whom a rule means.

use super::{BudgetConfig, LimitRule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What tenants buy: limits, budget, models and segment in one place.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanConfig {
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

/// A group of users that rules can name. A user may be in several.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentConfig {
    /// All users of this plan. Default: none.
    pub plan: Option<String>,
    /// These users, of any tenant; a `*` stands for any text.
    pub users: Vec<String>,
    /// All users of these tenants.
    pub tenants: Vec<String>,
    /// Limits of requests, tokens and concurrency are multiplied by this and rounded down, to 1 at least; those of several segments multiply. Money is never multiplied. 0 refuses everything. Default 1.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub multiplier: f64,
}

impl Default for SegmentConfig {
    fn default() -> Self {
        SegmentConfig {
            plan: None,
            users: Vec::new(),
            tenants: Vec::new(),
            multiplier: 1.0,
        }
    }
}
