//! Limits: which rules hold for a request, and what happens to one that is over them.

mod admit;
mod compile;
pub mod explain;
mod need;
pub(crate) mod provider;
mod shared;
pub mod simulate;
mod tell;
pub mod trust;

pub(crate) use admit::{Admission, Entry, admit, written};
pub(crate) use compile::compile;
pub(crate) use shared::{Growing, growing};

use crate::policy::{Policy, Route};
use crate::state::State;
use aplomb_config::limits::{ConditionConfig, ExceedConfig, FieldConfig, ScopeConfig};
use aplomb_core::caller::is_session;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::network::Network;
use aplomb_limits::counter::Now;
use aplomb_limits::key::{Key, Keyer};
use aplomb_limits::room::Ask;
use aplomb_limits::rule::{Meter, Rule};
use aplomb_limits::trust::{Level, Terms};
use aplomb_observe::metrics::LimitMetrics;
use aplomb_observe::record::Record;
use need::Need;
use std::collections::HashMap;
use std::sync::Arc;
use trust::Trusted;

/// The segment of users that came in a burst.
const LINKED: &str = aplomb_config::protect::LINKED;

/// One limit of the file, compiled.
pub struct Limit {
    rule: Arc<Rule>,
    /// As one line, for people.
    text: String,
    per: Vec<ScopeConfig>,
    when: Vec<ConditionConfig>,
    on_exceed: ExceedConfig,
    /// Percent of it from which on somebody wants to know.
    soft: Vec<u8>,
    metrics: Arc<LimitMetrics>,
}

/// All limits of the file.
#[derive(Default)]
pub struct Limits {
    all: Vec<Limit>,
    /// Whether one counts tokens or money, or a breaker does.
    sized: bool,
    segments: Vec<Segment>,
    /// Plans by name: the models that their users may ask for; none for all.
    plans: HashMap<String, Vec<String>>,
    /// Plans of tenants.
    tenants: HashMap<String, String>,
    /// What is wanted of trust; none where users have no levels.
    pub(crate) terms: Option<Terms>,
}

impl Limits {
    /// What is wanted of trust; none where users have no levels.
    pub fn terms(&self) -> Option<Terms> {
        self.terms
    }
}

/// A group of users.
struct Segment {
    name: Arc<str>,
    plans: Vec<String>,
    users: Vec<String>,
    tenants: Vec<String>,
    /// Its multiplier; of a level of trust it is among the terms.
    multiplier: f64,
    models: Vec<String>,
    /// The level that its users are given, or that makes users belong to it.
    trust: Option<Level>,
    /// It names users itself.
    names_users: bool,
}

impl Segment {
    fn has(&self, who: &Who<'_>, plan: Option<&str>) -> bool {
        plan.is_some_and(|plan| self.plans.iter().any(|own| own == plan))
            || self.tenants.iter().any(|tenant| tenant == who.tenant)
            || who
                .user
                .is_some_and(|user| self.users.iter().any(|own| fits(own, user)))
    }
}

/// What a caller's plan, segments and trust are.
#[derive(Debug, Clone, Default)]
struct Standing {
    plan: Option<String>,
    segments: Vec<Arc<str>>,
    /// Of segments that name their users.
    multiplier: f64,
    /// None where users have no levels, and for callers that are no users.
    trust: Option<Trusted>,
}

impl Limits {
    fn standing(&self, who: &Who<'_>, state: &State) -> Standing {
        self.standing_with(who, |terms, given| state.trusted(who, terms, given))
    }

    /// Whether a caller is a user that earns its level of trust.
    fn earns(&self, who: &Who<'_>) -> bool {
        let plan = self.tenants.get(who.tenant).map(String::as_str);
        let given = |one: &Segment| one.names_users && one.trust.is_some() && one.has(who, plan);
        who.user.is_some() && self.terms.is_some() && !self.segments.iter().any(given)
    }

    /// With the trust that `trusted` finds for a level that the file may give.
    fn standing_with(
        &self,
        who: &Who<'_>,
        trusted: impl FnOnce(&Terms, Option<Level>) -> Option<Trusted>,
    ) -> Standing {
        let plan = self.tenants.get(who.tenant);
        let all = self.segments.iter();
        let named = all.clone().filter(|segment| segment.names_users);
        let own: Vec<&Segment> = named
            .filter(|segment| segment.has(who, plan.map(String::as_str)))
            .collect();
        let given = own.iter().filter_map(|segment| segment.trust).min();
        let terms = self.terms.as_ref();
        let earned = terms.and_then(|terms| Some((terms, trusted(terms, given)?)));
        let trust = earned.map(|(terms, trust)| match trust.score {
            // Who is trusted since the file says so stays so.
            Some(score) if who.quarantined && trust.level > Level::Quarantine => Trusted {
                level: Level::Quarantine,
                multiplier: terms.multiplier(Level::Quarantine, score),
                ..trust
            },
            _ => trust,
        });
        let mut segments: Vec<Arc<str>> = own.iter().map(|one| one.name.clone()).collect();
        if who.linked {
            segments.push(LINKED.into());
        }
        if let Some(trust) = trust {
            segments.push(trust.level.name().into());
            let earned = all.filter(|one| !one.names_users && one.trust == Some(trust.level));
            for one in earned.filter(|one| &*one.name != trust.level.name()) {
                segments.push(one.name.clone());
            }
        }
        Standing {
            plan: plan.cloned(),
            multiplier: own.iter().map(|segment| segment.multiplier).product(),
            segments,
            trust,
        }
    }

    /// Whether a caller's plan and segments let it ask for a model at all.
    fn may_ask(&self, model: &str, standing: &Standing) -> Result<(), ApiError> {
        let trust = standing.trust.map_or(1.0, |trust| trust.multiplier);
        if standing.multiplier * trust <= 0.0 {
            let message = "this user is suspended";
            return Err(ApiError::new(ErrorCode::NotAllowed, message));
        }
        let mut segments = self.segments.iter();
        let lacks = segments.find(|one| {
            standing.segments.contains(&one.name)
                && !one.models.is_empty()
                && !one.models.iter().any(|known| fits(known, model))
        });
        if let Some(segment) = lacks {
            let message = format!("the segment `{}` does not have this model", segment.name);
            return Err(ApiError::new(ErrorCode::NotAllowed, message));
        }
        let Some(plan) = &standing.plan else {
            return Ok(());
        };
        let models = self.plans.get(plan).map_or(&[][..], Vec::as_slice);
        if models.is_empty() || models.iter().any(|known| fits(known, model)) {
            return Ok(());
        }
        let message = format!("the plan `{plan}` does not have this model");
        Err(ApiError::new(ErrorCode::NotAllowed, message))
    }
}

/// Whom a request comes from and what it asks for, as rules see it.
#[derive(Debug, Clone, Copy)]
struct Who<'a> {
    tenant: &'a str,
    key: &'a str,
    user: Option<&'a str>,
    session: Option<&'a str>,
    model: &'a str,
    route: Option<&'a str>,
    host: Option<Network>,
    subnet: Option<Network>,
    /// It came in a burst with others.
    linked: bool,
    /// It counts as in quarantine, whatever it has earned.
    quarantined: bool,
}

impl<'a> Who<'a> {
    fn of(record: &'a Record) -> Self {
        Who {
            tenant: &record.tenant,
            key: &record.key_id,
            user: record.user.as_deref(),
            session: record.session.as_deref(),
            model: &record.model,
            route: record.route.as_deref(),
            host: record.host,
            subnet: record.subnet,
            linked: record.risk.as_ref().is_some_and(|risk| risk.linked),
            quarantined: record.risk.as_ref().is_some_and(|risk| risk.quarantined),
        }
    }

    /// The end user: the key, where none is named. Which of the two it is belongs to the name, so that nobody takes the name of
    /// a key.
    fn user(&self) -> (&'static str, &'a str) {
        match self.user {
            Some(user) => ("user", user),
            None => ("key", self.key),
        }
    }

    /// Name of the caller among all.
    fn name(&self, keyer: &Keyer) -> Key {
        let (kind, user) = self.user();
        keyer.key("caller", [self.tenant, kind, user])
    }

    fn field(&self, field: FieldConfig) -> Option<&'a str> {
        match field {
            FieldConfig::Tenant => Some(self.tenant),
            FieldConfig::User => Some(self.user().1),
            FieldConfig::Key => Some(self.key),
            FieldConfig::Model => Some(self.model),
            FieldConfig::Route => self.route,
            FieldConfig::Via if is_session(self.key) => Some("session"),
            FieldConfig::Via => Some("key"),
            FieldConfig::Segment | FieldConfig::Plan => None,
        }
    }
}

/// A limit of a segment: rounded down, and 1 at least.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a limit beyond 2^53 is none, and the cast saturates"
)]
fn multiplied(limit: u64, multiplier: f64) -> u64 {
    if (multiplier - 1.0).abs() < f64::EPSILON {
        return limit;
    }
    ((limit as f64 * multiplier) as u64).max(1)
}

/// Whether a text is this one; a `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return text.ends_with(piece);
        }
        let Some((_, after)) = text.split_once(piece) else {
            return false;
        };
        text = after;
    }
    true
}

impl Limit {
    fn holds(&self, who: &Who<'_>, standing: &Standing) -> bool {
        let same = |value: &str, condition: &ConditionConfig| fits(&condition.value, value);
        self.when.iter().all(|condition| {
            let is = match condition.field {
                FieldConfig::Segment => {
                    let mut segments = standing.segments.iter();
                    segments.any(|segment| same(segment, condition))
                }
                FieldConfig::Plan => standing
                    .plan
                    .as_ref()
                    .is_some_and(|plan| same(plan, condition)),
                field => who.field(field).is_some_and(|value| same(value, condition)),
            };
            is == condition.is
        })
    }

    /// What it allows a caller.
    fn limit(&self, standing: &Standing) -> u64 {
        if self.rule.meter == Meter::Cost {
            return self.rule.limit;
        }
        let trust = standing.trust.filter(|_| self.is_personal());
        let trust = trust.map_or(1.0, |trust| trust.multiplier);
        multiplied(self.rule.limit, standing.multiplier * trust)
    }

    /// Whether it counts for each user: trust in one changes no limit that it shares with others.
    fn is_personal(&self) -> bool {
        let mut per = self.per.iter();
        per.any(|scope| matches!(scope, ScopeConfig::User | ScopeConfig::Session))
    }

    /// Whether it goes by where a request comes from.
    fn needs_place(&self) -> bool {
        let places = [ScopeConfig::Ip, ScopeConfig::Subnet];
        places.iter().any(|place| self.per.contains(place))
    }

    /// Whether it counts tokens or money.
    fn is_sized(&self) -> bool {
        match self.rule.meter {
            Meter::Requests | Meter::Concurrent => false,
            Meter::Tokens | Meter::InputTokens | Meter::OutputTokens | Meter::Cost => true,
        }
    }

    /// The counter of this rule for a caller, and what a request takes of it.
    fn ask(&self, (who, standing): (&Who<'_>, &Standing), keyer: &Keyer, need: &Need) -> Ask {
        let mut values: Vec<&str> = Vec::with_capacity(4);
        let text = |scope, network: Option<Network>| {
            let network = network.filter(|_| self.per.contains(&scope));
            network.map(|network| network.to_string())
        };
        let ip = text(ScopeConfig::Ip, who.host);
        let subnet = text(ScopeConfig::Subnet, who.subnet);
        for scope in &self.per {
            match scope {
                ScopeConfig::Tenant => values.push(who.tenant),
                ScopeConfig::User | ScopeConfig::Session => {
                    let (kind, user) = who.user();
                    values.extend([who.tenant, kind, user]);
                    if *scope == ScopeConfig::Session {
                        values.push(who.session.unwrap_or_default());
                    }
                }
                ScopeConfig::Key => values.extend([who.tenant, who.key]),
                ScopeConfig::Model => values.push(who.model),
                ScopeConfig::Route => values.push(who.route.unwrap_or_default()),
                ScopeConfig::Segment => values.extend(standing.segments.iter().map(|one| &**one)),
                ScopeConfig::ProviderKey => {}
                ScopeConfig::Ip => values.push(ip.as_deref().unwrap_or_default()),
                ScopeConfig::Subnet => values.push(subnet.as_deref().unwrap_or_default()),
            }
        }
        let limit = self.limit(standing);
        Ask {
            key: keyer.key(&self.rule.name, values),
            limit,
            rule: self.rule.clone(),
            amount: need.amount(self.rule.meter, limit),
        }
    }
}

/// Routes that a request may be sent to instead of its own.
pub type Downgrades = Vec<(Arc<str>, Arc<Route>)>;

impl Policy {
    /// Where requests of a caller may be sent instead of their own routes, when they are over a limit.
    pub fn downgrades(&self, may_use: impl Fn(&str) -> bool) -> Downgrades {
        let named = self.limits.all.iter().filter_map(|limit| {
            let ExceedConfig::Downgrade(name) = &limit.on_exceed else {
                return None;
            };
            let route = self.routes.get(name).filter(|_| may_use(name))?;
            Some((Arc::from(name.as_str()), route.clone()))
        });
        named.collect()
    }
}

impl State {
    /// Brings the metrics of limits up to date.
    pub fn refresh_limits(&self) {
        let fill = self.limits.fill();
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.metrics.limits_counters.set(wide(fill.counters));
        self.metrics.limits_in_flight.set(fill.held);
        self.metrics.limits_crowded.set(fill.crowded);
        self.metrics
            .limits_waiting
            .set(wide(self.limits.lobby.all()));
        self.refresh_shared_limits();
        let (told, heard) = self.hints().unwrap_or_default();
        for (gauge, count) in self.metrics.hints.iter().zip([told, heard]) {
            gauge.set(count);
        }
        let (levels, lost) = self.trust.book.counts(self.clock.now_ms());
        for (gauge, count) in self.metrics.trust_users.iter().zip(levels) {
            gauge.set(count);
        }
        self.metrics.trust_lost.set(lost);
        if let Some(ledger) = &self.ledger {
            let report = ledger.journal.report();
            self.metrics.limits_written.set(report.written);
            self.metrics.limits_lost.set(report.lost);
            self.metrics.limits_write_failed.set(report.failed);
        }
    }

    /// The time, as limits count it: what slides goes by a clock that only goes forwards, the calendar by the other.
    pub(crate) fn limits_now(&self) -> Now {
        let run = self.clock.instant().saturating_duration_since(self.began.1);
        let run_ms = u64::try_from(run.as_millis()).unwrap_or(u64::MAX);
        Now {
            run_ms: self.began.0.saturating_add(run_ms),
            wall_ms: self.clock.now_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("gpt-*", "gpt-5", true),
            ("gpt-*", "o3", false),
            ("*", "", true),
            ("*-mini", "gpt-5-mini", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("chat", "chat", true),
            ("chat", "chats", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
