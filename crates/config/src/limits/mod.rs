//! The part of the file about limits: one line a rule, or a section that says the same.

mod line;
pub mod plans;
pub(crate) mod sense;
mod words;

pub use line::{LINE_BYTES_MAX, Mistake};
pub(crate) use line::{amount, conditions, exceed, scopes, window};
pub(crate) use sense::sense;

use crate::diagnostic::{Diagnostic, Severity};
use crate::file::ConfigFile;
use crate::scalar::{Span, text_scalar};
use aplomb_core::money::NanoUsd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Most rules of a file.
pub const RULES_MAX: usize = 64;

/// What a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeterConfig {
    /// Requests.
    Requests,
    /// Input and output tokens.
    Tokens,
    /// Input tokens, cached or not.
    InputTokens,
    /// Output tokens, reasoning included.
    OutputTokens,
    /// Money.
    Cost,
    /// Requests in flight.
    Concurrent,
}

impl MeterConfig {
    /// As it is written where a meter is named.
    pub fn name(self) -> &'static str {
        match self {
            MeterConfig::Requests => "requests",
            MeterConfig::Tokens => "tokens",
            MeterConfig::InputTokens => "input_tokens",
            MeterConfig::OutputTokens => "output_tokens",
            MeterConfig::Cost => "cost",
            MeterConfig::Concurrent => "concurrent",
        }
    }
}

/// A period of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CalendarUnit {
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
    /// From the first of January.
    Year,
}

impl CalendarUnit {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            CalendarUnit::Day => "day",
            CalendarUnit::Week => "week",
            CalendarUnit::Month => "month",
            CalendarUnit::Year => "year",
        }
    }
}

/// Over which time a rule counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowConfig {
    /// Any stretch of time of this length.
    Sliding(Duration),
    /// A period of the calendar.
    Calendar {
        /// Which one.
        unit: CalendarUnit,
        /// IANA name of the time zone.
        tz: Option<String>,
        /// Day of the month or week, or hour of the day, on which it begins; none for the first.
        anchor: Option<u8>,
    },
    /// For ever.
    Lifetime,
    /// At one time.
    Concurrent,
}

/// What has a count of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeConfig {
    /// Each tenant.
    Tenant,
    /// Each end user of a tenant.
    User,
    /// Each API key.
    Key,
    /// Each model name that is asked for.
    Model,
    /// Each route.
    Route,
    /// Each segment of users.
    Segment,
    /// Each conversation.
    Session,
    /// Each key of a provider.
    ProviderKey,
    /// Each address: an IPv4 address, or a /64 of IPv6.
    Ip,
    /// Each subnet: an IPv4 /24, or a /48 of IPv6.
    Subnet,
}

impl ScopeConfig {
    /// All of them.
    pub const ALL: [ScopeConfig; 10] = [
        ScopeConfig::Tenant,
        ScopeConfig::User,
        ScopeConfig::Key,
        ScopeConfig::Model,
        ScopeConfig::Route,
        ScopeConfig::Segment,
        ScopeConfig::Session,
        ScopeConfig::ProviderKey,
        ScopeConfig::Ip,
        ScopeConfig::Subnet,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            ScopeConfig::Tenant => "tenant",
            ScopeConfig::User => "user",
            ScopeConfig::Key => "key",
            ScopeConfig::Model => "model",
            ScopeConfig::Route => "route",
            ScopeConfig::Segment => "segment",
            ScopeConfig::Session => "session",
            ScopeConfig::ProviderKey => "provider key",
            ScopeConfig::Ip => "ip",
            ScopeConfig::Subnet => "subnet",
        }
    }
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldConfig {
    /// The tenant.
    Tenant,
    /// The end user.
    User,
    /// Public id of the API key.
    Key,
    /// The model name that is asked for.
    Model,
    /// The route.
    Route,
    /// The user's segments.
    Segment,
    /// The user's plan.
    Plan,
    /// How the caller came in: `key`, or `session` for a browser of one of `protect.sites`.
    Via,
}

impl FieldConfig {
    /// All of them.
    pub const ALL: [FieldConfig; 8] = [
        FieldConfig::Tenant,
        FieldConfig::User,
        FieldConfig::Key,
        FieldConfig::Model,
        FieldConfig::Route,
        FieldConfig::Segment,
        FieldConfig::Plan,
        FieldConfig::Via,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            FieldConfig::Tenant => "tenant",
            FieldConfig::User => "user",
            FieldConfig::Key => "key",
            FieldConfig::Model => "model",
            FieldConfig::Route => "route",
            FieldConfig::Segment => "segment",
            FieldConfig::Plan => "plan",
            FieldConfig::Via => "via",
        }
    }
}

/// When a rule holds: `segment = free`, `model != gpt-*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionConfig {
    /// What is looked at.
    pub field: FieldConfig,
    /// Whether it has to be so, or must not.
    pub is: bool,
    /// A text; a `*` stands for any text.
    pub value: String,
}

/// Whether a rule refuses, or only counts what it would have refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModeConfig {
    /// It is kept.
    #[default]
    Enforce,
    /// It only counts what it would have refused.
    Shadow,
}

/// What a node does with requests under a rule while the store that nodes share is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreErrorConfig {
    /// It has its share of the limit.
    LocalShare,
    /// It refuses, after a grace in which it spends what its own calls give back.
    FailClosed,
    /// It has the whole limit.
    FailOpen,
}

impl StoreErrorConfig {
    /// All of them.
    pub(crate) const ALL: [StoreErrorConfig; 3] = [
        StoreErrorConfig::LocalShare,
        StoreErrorConfig::FailClosed,
        StoreErrorConfig::FailOpen,
    ];

    /// Its two words.
    pub(crate) fn words(self) -> [&'static str; 2] {
        match self {
            StoreErrorConfig::LocalShare => ["local", "share"],
            StoreErrorConfig::FailClosed => ["fail", "closed"],
            StoreErrorConfig::FailOpen => ["fail", "open"],
        }
    }
}

/// What happens to a request that is over a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExceedConfig {
    /// Status 429.
    #[default]
    Reject,
    /// It waits at most so long for room.
    Queue(Duration),
    /// It goes to this route instead.
    Downgrade(String),
}

impl fmt::Display for ExceedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExceedConfig::Reject => f.write_str("reject"),
            ExceedConfig::Queue(wait) => write!(f, "queue {}", Span(*wait)),
            ExceedConfig::Downgrade(model) => write!(f, "downgrade to {}", words::quoted(model)),
        }
    }
}

/// One limit: a line such as `25 requests per 3h per user where segment = free`, or a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRule {
    /// Its name, where it is given.
    pub id: Option<String>,
    /// What it counts.
    pub meter: MeterConfig,
    /// How much it allows, in nano-dollars where it counts money.
    pub limit: u64,
    /// Over which time.
    pub window: WindowConfig,
    /// What has a count of its own; nothing: all together.
    pub per: Vec<ScopeConfig>,
    /// When it holds: all of these.
    pub when: Vec<ConditionConfig>,
    /// Whether it is kept.
    pub mode: ModeConfig,
    /// What happens to a request that is over it.
    pub on_exceed: ExceedConfig,
    /// Most at once, for a steady pace within the window.
    pub burst: Option<u64>,
    /// What a node does while the store that nodes share is away, where it is said.
    pub on_store_error: Option<StoreErrorConfig>,
    /// Shares of the limit from which on somebody wants to know.
    pub soft: Vec<PercentConfig>,
}

/// A share of a limit: `80%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PercentConfig(pub u8);

impl FromStr for PercentConfig {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let number = text
            .strip_suffix('%')
            .and_then(|text| text.parse::<u8>().ok());
        let number = number.filter(|number| (1..=99).contains(number));
        number
            .map(PercentConfig)
            .ok_or_else(|| Mistake::new("expected a share of the limit from `1%` to `99%`"))
    }
}

impl fmt::Display for PercentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

text_scalar!(PercentConfig, "limit-share", "A share of a limit: `80%`.");

impl LimitRule {
    /// The name that is given, or one made of what it counts: the same as long as only the amount changes.
    pub fn name(&self) -> String {
        if let Some(id) = &self.id {
            return id.clone();
        }
        let window = match &self.window {
            WindowConfig::Sliding(span) => Some(Span(*span).to_string()),
            WindowConfig::Calendar { unit, .. } => Some(unit.name().to_owned()),
            WindowConfig::Lifetime => Some("lifetime".to_owned()),
            WindowConfig::Concurrent => None,
        };
        let meter = match self.meter {
            MeterConfig::Cost => "cost".to_owned(),
            meter => meter_word(meter).replace(' ', "-"),
        };
        let mut parts = vec![meter];
        parts.extend(window);
        parts.extend(self.per.iter().map(|scope| scope.name().replace(' ', "-")));
        for condition in &self.when {
            let value = condition.value.replace('*', "any");
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let value: String = value.chars().filter(|c| plain(*c)).collect();
            let not = if condition.is { "" } else { "not-" };
            parts.push(format!("{}-{not}{value}", condition.field.name()));
        }
        let mut name = parts.join("-");
        name.truncate(NAME_MAX);
        name
    }
}

/// Longest name of a rule, in bytes: it is a label of metrics, and stands in headers.
pub(crate) const NAME_MAX: usize = 64;

/// A name for each rule: those that would be the same are numbered.
pub fn names(rules: &[LimitRule]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for rule in rules {
        let name = rule.name();
        let mut own = name.clone();
        let mut number = 2;
        while names.contains(&own) {
            own = format!("{name}-{number}");
            number += 1;
        }
        names.push(own);
    }
    names
}

fn meter_word(meter: MeterConfig) -> &'static str {
    match meter {
        MeterConfig::Requests => "requests",
        MeterConfig::Tokens => "tokens",
        MeterConfig::InputTokens => "input tokens",
        MeterConfig::OutputTokens => "output tokens",
        MeterConfig::Cost => "USD",
        MeterConfig::Concurrent => "concurrent",
    }
}

/// The rule as one line; reading it gives the same rule.
impl fmt::Display for LimitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meter {
            MeterConfig::Cost => {
                let nano = i64::try_from(self.limit).unwrap_or(i64::MAX);
                write!(f, "{} USD", NanoUsd(nano))?;
            }
            meter => write!(f, "{} {}", self.limit, meter_word(meter))?,
        }
        match &self.window {
            WindowConfig::Sliding(span) => write!(f, " per {}", Span(*span))?,
            WindowConfig::Calendar { unit, tz, anchor } => {
                write!(f, " per {}", unit.name())?;
                if let Some(tz) = tz {
                    write!(f, " tz {}", words::quoted(tz))?;
                }
                if let Some(anchor) = anchor {
                    write!(f, " anchor {anchor}")?;
                }
            }
            WindowConfig::Lifetime => f.write_str(" per lifetime")?,
            WindowConfig::Concurrent => {}
        }
        for scope in &self.per {
            write!(f, " per {}", scope.name())?;
        }
        for (index, condition) in self.when.iter().enumerate() {
            let word = if index == 0 { "where" } else { "and" };
            let is = if condition.is { "=" } else { "!=" };
            let value = words::quoted(&condition.value);
            write!(f, " {word} {} {is} {value}", condition.field.name())?;
        }
        if self.on_exceed != ExceedConfig::Reject {
            write!(f, ", on exceed {}", self.on_exceed)?;
        }
        if let Some(burst) = self.burst {
            write!(f, ", burst {burst}")?;
        }
        if let Some(error) = self.on_store_error {
            write!(f, ", on store error {}", error.words().join(" "))?;
        }
        if !self.soft.is_empty() {
            f.write_str(", soft")?;
        }
        for share in &self.soft {
            write!(f, " {share}")?;
        }
        if self.mode == ModeConfig::Shadow {
            f.write_str(", shadow")?;
        }
        if let Some(id) = &self.id {
            write!(f, ", id {}", words::quoted(id))?;
        }
        Ok(())
    }
}

impl FromStr for LimitRule {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        line::rule(text)
    }
}

/// A limit as a section.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("format" = "limit-section"))]
struct LimitSection {
    /// Its name in answers, headers, records and metrics. Default: made of what it counts, such as `requests-3h-user`.
    #[serde(default)]
    id: Option<String>,
    /// What it counts.
    meter: MeterConfig,
    /// How much it allows: a whole number, or an amount such as `5 USD` for `cost`.
    #[schemars(extend("format" = "limit-amount"))]
    limit: String,
    /// Over which time: a time span for any stretch of that length, `day`, `week`, `month` or `year` for periods of the calendar, or `lifetime`. None for `concurrent`.
    #[serde(default)]
    #[schemars(extend("format" = "limit-window"))]
    window: Option<String>,
    /// Time zone of a period of the calendar, such as `Europe/Berlin`. Default `UTC`.
    #[serde(default)]
    tz: Option<String>,
    /// Where a period of the calendar begins: day of the month (1 to 28), day of the week (1, Monday, to 7), hour of the day (0 to 23), or month of the year (1 to 12).
    #[serde(default)]
    #[schemars(range(max = 28))]
    anchor: Option<u8>,
    /// What has a count of its own, such as `user`, or `user and model`. Default: all together.
    #[serde(default)]
    #[schemars(extend("format" = "limit-scopes"))]
    per: Option<String>,
    /// When it holds, such as `segment = free and model != gpt-*`. Default: always.
    #[serde(default)]
    #[schemars(extend("format" = "limit-conditions"))]
    r#where: Option<String>,
    /// `shadow` refuses nothing and only counts what it would have refused. Default `enforce`.
    #[serde(default)]
    mode: ModeConfig,
    /// What happens to a request that is over it: `reject` (status 429), `queue 20s` (it waits at most so long), or `downgrade to MODEL` (another route of this file). Default `reject`.
    #[serde(default)]
    #[schemars(extend("format" = "limit-exceed"))]
    on_exceed: Option<String>,
    /// Most at once: what is above comes at a steady pace within the window. Default: the whole limit may come at once.
    #[serde(default)]
    burst: Option<u64>,
    /// What a node does while `store.shared` is away: `local_share` (it has its share of the limit), `fail_closed` (for 30 seconds it spends what its own calls give back, then status 503), or `fail_open` (it has the whole limit). Default `fail_closed` for `cost`, else `local_share`.
    #[serde(default)]
    on_store_error: Option<StoreErrorConfig>,
    /// Shares of the limit, such as `[80%, 95%]`: a request with which one is reached is noted, and alerts can go by that (`limits_soft > 0`). Default: none.
    #[serde(default)]
    #[schemars(length(max = 4))]
    soft: Vec<PercentConfig>,
}

impl LimitSection {
    fn rule(self) -> Result<LimitRule, Mistake> {
        let mut time = match &self.window {
            Some(text) => window(text)?,
            None if self.meter == MeterConfig::Concurrent => WindowConfig::Concurrent,
            None => return Err(Mistake::new("`window` is missing")),
        };
        match &mut time {
            WindowConfig::Calendar { tz, anchor, .. } => {
                *tz = self.tz;
                *anchor = self.anchor;
            }
            _ if self.tz.is_some() || self.anchor.is_some() => {
                let message = "`tz` and `anchor` belong to `day`, `week`, `month` and `year`";
                return Err(Mistake::new(message));
            }
            _ => {}
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Ok(LimitRule {
            id: self.id,
            meter: self.meter,
            limit: amount(&self.limit, self.meter)?,
            window: time,
            per: scopes(&text(&self.per))?,
            when: conditions(&text(&self.r#where))?,
            mode: self.mode,
            on_exceed: exceed(&text(&self.on_exceed))?,
            burst: self.burst,
            on_store_error: self.on_store_error,
            soft: self.soft,
        })
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Line(String),
    Section(LimitSection),
}

impl<'de> Deserialize<'de> for LimitRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = match Written::deserialize(deserializer)? {
            Written::Line(text) => text.parse(),
            Written::Section(section) => section.rule(),
        };
        rule.map_err(de::Error::custom)
    }
}

impl Serialize for LimitRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for LimitRule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LimitRule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = LimitSection::json_schema(generator);
        let line = "A limit: `25 requests per 3h per user where segment = free`.";
        json_schema!({ "oneOf": [{ "type": "string", "format": "limit-rule", "description": line }, section] })
    }
}

/// Money over a time: `500 USD per month`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetConfig(pub LimitRule);

impl FromStr for BudgetConfig {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let rule: LimitRule = text.parse()?;
        let plain = rule.per.is_empty() && rule.when.is_empty() && rule.id.is_none();
        if rule.meter != MeterConfig::Cost || !plain || rule.limit == 0 {
            return Err(Mistake::new(
                "expected money over a time, such as `500 USD per month`",
            ));
        }
        Ok(BudgetConfig(rule))
    }
}

impl fmt::Display for BudgetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_scalar!(
    BudgetConfig,
    "limit-budget",
    "Money over a time: `500 USD per month`."
);

/// What each key of a provider may be asked for. Calls that would be more go to another target; where there is none, they are refused with
/// status 429.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderBudgetConfig {
    /// Calls, such as `4000 per 1m`. Default: any number.
    pub requests: Option<PerTimeConfig>,
    /// Input and output tokens, such as `400000 per 1m`. Default: any number.
    pub tokens: Option<PerTimeConfig>,
    /// Input tokens. Default: any number.
    pub input_tokens: Option<PerTimeConfig>,
    /// Output tokens. Default: any number.
    pub output_tokens: Option<PerTimeConfig>,
    /// Money, such as `200 USD per 1d`. Default: any amount.
    pub cost: Option<BudgetConfig>,
}

impl ProviderBudgetConfig {
    /// As rules.
    pub fn rules(&self) -> Vec<LimitRule> {
        let rates = [
            (MeterConfig::Requests, &self.requests),
            (MeterConfig::Tokens, &self.tokens),
            (MeterConfig::InputTokens, &self.input_tokens),
            (MeterConfig::OutputTokens, &self.output_tokens),
        ];
        let rates = rates.into_iter().filter_map(|(meter, rate)| {
            let rate = rate.as_ref()?;
            Some(LimitRule {
                meter,
                ..rate.0.clone()
            })
        });
        rates
            .chain(self.cost.iter().map(|cost| cost.0.clone()))
            .collect()
    }
}

/// How much of a budget's meter in which time: `4000 per 1m`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerTimeConfig(LimitRule);

impl FromStr for PerTimeConfig {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let wrong = || Mistake::new("expected a number and a time, such as `4000 per 1m`");
        let (number, time) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let rule: LimitRule = format!("{number} requests {}", time.trim()).parse()?;
        let plain = rule.per.is_empty() && rule.when.is_empty() && rule.id.is_none();
        if !plain || rule.limit == 0 || rule.on_exceed != ExceedConfig::Reject {
            return Err(wrong());
        }
        Ok(PerTimeConfig(rule))
    }
}

impl fmt::Display for PerTimeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text.replacen(" requests", "", 1))
    }
}

text_scalar!(
    PerTimeConfig,
    "limit-rate",
    "So many in a time: `4000 per 1m`."
);

/// All that is wrong with the limits, plans and segments of a file; warnings are left out.
pub fn mistakes(file: &ConfigFile) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    sense::sense(file, &mut found);
    found.retain(|one| one.severity == Severity::Error);
    found
}

/// All limits of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct LimitsConfig(#[schemars(length(max = 64))] pub Vec<LimitRule>);

impl Default for LimitsConfig {
    fn default() -> Self {
        let rule = |meter, limit, window, scope| LimitRule {
            id: None,
            meter,
            limit,
            window,
            per: vec![scope],
            when: Vec::new(),
            mode: ModeConfig::Enforce,
            on_exceed: ExceedConfig::Reject,
            burst: None,
            on_store_error: None,
            soft: Vec::new(),
        };
        let minute = WindowConfig::Sliding(Duration::from_secs(60));
        LimitsConfig(vec![
            rule(MeterConfig::Requests, 60, minute, ScopeConfig::User),
            rule(
                MeterConfig::Concurrent,
                16,
                WindowConfig::Concurrent,
                ScopeConfig::Key,
            ),
        ])
    }
}

#[cfg(test)]
mod tests;
