//! Limits: which rules hold for a request, and what happens to one that is over them.

use crate::policy::{Policy, Route};
use crate::settle::Exchange;
use crate::state::State;
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::file::ConfigFile;
use aplomb_config::limits::{
    CalendarUnit, ConditionConfig, ExceedConfig, FieldConfig, LimitRule, MeterConfig, ModeConfig,
    ScopeConfig, WindowConfig, names,
};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_limits::calendar::{Calendar, Unit};
use aplomb_limits::counter::Now;
use aplomb_limits::key::Keyer;
use aplomb_limits::lobby::Place;
use aplomb_limits::room::{Ask, Reservation, Turn};
use aplomb_limits::rule::{Meter, Method, Rule, Window};
use aplomb_limits::verdict::{Broken, Standing};
use aplomb_observe::metrics::{LimitMetrics, Metrics};
use aplomb_observe::record::{LimitDecision, LimitFacts, Record};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// One limit of the file, compiled.
pub struct Limit {
    rule: Arc<Rule>,
    /// As one line, for people.
    text: String,
    per: Vec<ScopeConfig>,
    when: Vec<ConditionConfig>,
    on_exceed: ExceedConfig,
    metrics: Arc<LimitMetrics>,
}

/// All limits of the file.
#[derive(Default)]
pub struct Limits {
    all: Vec<Limit>,
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

    fn field(&self, field: FieldConfig) -> Option<&'a str> {
        match field {
            FieldConfig::Tenant => Some(self.tenant),
            FieldConfig::User => Some(self.user().1),
            FieldConfig::Key => Some(self.key),
            FieldConfig::Model => Some(self.model),
            FieldConfig::Route => self.route,
            FieldConfig::Segment | FieldConfig::Plan => None,
        }
    }
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
    fn holds(&self, who: &Who<'_>) -> bool {
        self.when.iter().all(|condition| {
            let value = who.field(condition.field);
            value.is_some_and(|value| fits(&condition.value, value)) == condition.is
        })
    }

    /// The counter of this rule for a caller.
    fn ask(&self, who: &Who<'_>, keyer: &Keyer) -> Ask {
        let mut values: Vec<&str> = Vec::with_capacity(4);
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
                ScopeConfig::Segment | ScopeConfig::ProviderKey => {}
            }
        }
        Ask {
            key: keyer.key(&self.rule.name, values),
            limit: self.rule.limit,
            rule: self.rule.clone(),
            amount: 1,
        }
    }
}

/// Compiles the limits of a file.
pub(crate) fn compile(
    file: &ConfigFile,
    metrics: &Metrics,
    errors: &mut Vec<Diagnostic>,
) -> Limits {
    let rules = &file.limits.0;
    let named = rules.iter().zip(names(rules)).enumerate();
    let all = named.filter_map(|(index, (rule, name))| {
        let path = format!("limits[{index}]");
        match one(rule, &name, metrics) {
            Ok(limit) => Some(limit),
            Err((member, message)) => {
                errors.push(Diagnostic::error(format!("{path}.{member}"), message));
                None
            }
        }
    });
    Limits { all: all.collect() }
}

fn one(rule: &LimitRule, name: &str, metrics: &Metrics) -> Result<Limit, (&'static str, String)> {
    let meter = match rule.meter {
        MeterConfig::Requests => Meter::Requests,
        MeterConfig::Concurrent => Meter::Concurrent,
        MeterConfig::Tokens
        | MeterConfig::InputTokens
        | MeterConfig::OutputTokens
        | MeterConfig::Cost => {
            let message = "tokens and money are not limited yet: not available";
            return Err(("meter", message.to_owned()));
        }
    };
    let window = match &rule.window {
        WindowConfig::Sliding(span) => {
            Window::Sliding(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
        }
        WindowConfig::Calendar { unit, tz, anchor } => {
            let unit = match unit {
                CalendarUnit::Day => Unit::Day,
                CalendarUnit::Week => Unit::Week,
                CalendarUnit::Month => Unit::Month,
                CalendarUnit::Year => Unit::Year,
            };
            let zone = tz.as_deref().unwrap_or("UTC");
            let calendar = Calendar::new(unit, zone, *anchor);
            Window::Calendar(Arc::new(calendar.map_err(|message| ("tz", message))?))
        }
        WindowConfig::Lifetime => Window::Lifetime,
        WindowConfig::Concurrent => Window::Concurrent,
    };
    Ok(Limit {
        rule: Arc::new(Rule {
            name: name.into(),
            meter,
            limit: rule.limit,
            window,
            burst: rule.burst,
            shadow: rule.mode == ModeConfig::Shadow,
        }),
        text: rule.to_string(),
        per: rule.per.clone(),
        when: rule.when.clone(),
        on_exceed: rule.on_exceed.clone(),
        metrics: metrics.limit(name),
    })
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

/// What limits said of a request that was let in, or of one that was not.
#[derive(Default)]
pub(crate) struct Admission {
    /// What it has taken; none where it was refused or nothing is limited.
    pub(crate) reservation: Option<Reservation>,
    /// How the rules stand.
    pub(crate) standings: Vec<Standing>,
}

/// A request that wants to be let in.
pub(crate) struct Entry<'a> {
    /// All limits.
    pub(crate) limits: &'a Limits,
    /// What it may be sent to instead.
    pub(crate) downgrades: &'a Downgrades,
    /// When its time is used up.
    pub(crate) deadline: Instant,
}

/// What is to be done with a request that is over limits.
enum Next {
    Refuse,
    /// It waits for room under the rule of this number, at most until then.
    Wait(usize, Instant),
    /// It goes to this route.
    Downgrade(Arc<Route>),
}

/// Lets a request in, maybe after a wait, maybe to another route, which is returned then.
///
/// Cancel safe: dropping the future leaves the line, and nothing is taken.
///
/// # Errors
/// It is over a limit.
pub(crate) async fn admit(
    entry: Entry<'_>,
    exchange: &mut Exchange,
) -> Result<Option<Arc<Route>>, ApiError> {
    let state = exchange.state().clone();
    let began = Instant::now();
    let mut rerouted: Option<Arc<Route>> = None;
    let mut passed: Vec<Arc<str>> = Vec::new();
    let mut place: Option<Place> = None;
    let mut turn = Turn::New;
    loop {
        let (limits, asks) = entry.asks(exchange.record(), &state.limit_keys, &passed);
        let broken = match state.limits.reserve(&asks, turn, state.limits_now()) {
            Ok(reservation) => {
                exchange.admitted(reservation, &limits, began.elapsed());
                return Ok(rerouted);
            }
            Err(broken) => broken,
        };
        let next = entry.next(&limits, &asks, &broken, began);
        match next {
            Next::Downgrade(route) => {
                for one in &broken {
                    passed.push(one.standing.rule.name.clone());
                }
                exchange.downgraded(&limits, &broken, &route);
                rerouted = Some(route);
            }
            Next::Wait(at, until) => {
                let (Some(ask), Some(one)) = (asks.get(at), broken.iter().find(|one| one.at == at))
                else {
                    return Err(exchange.limited(&limits, broken));
                };
                if place.is_none() {
                    place = state.limits.lobby.enter(ask.key);
                    turn = Turn::Entered;
                    if place.is_some() && ask.rule.method() == Method::Held {
                        // Room may have come before there was a place to be told at.
                        continue;
                    }
                }
                let Some(place) = &place else {
                    return Err(exchange.limited(&limits, broken));
                };
                exchange.queues(&limits, at);
                match one.wait {
                    Some(wait) => sleep_until(Instant::now() + wait).await,
                    None if timeout_at(until, place.told()).await.is_err() => {
                        return Err(exchange.limited(&limits, broken));
                    }
                    None => {}
                }
                turn = Turn::Told;
            }
            Next::Refuse => return Err(exchange.limited(&limits, broken)),
        }
    }
}

impl<'a> Entry<'a> {
    /// The rules that hold for a request, and what it asks of them.
    fn asks(
        &self,
        record: &Record,
        keyer: &Keyer,
        passed: &[Arc<str>],
    ) -> (Vec<&'a Limit>, Vec<Ask>) {
        let who = Who::of(record);
        let holds = |limit: &&Limit| limit.holds(&who) && !passed.contains(&limit.rule.name);
        let limits: Vec<&Limit> = self.limits.all.iter().filter(holds).collect();
        let asks = limits.iter().map(|limit| limit.ask(&who, keyer)).collect();
        (limits, asks)
    }

    fn next(&self, limits: &[&Limit], asks: &[Ask], broken: &[Broken], began: Instant) -> Next {
        let mut next = Next::Refuse;
        for one in broken {
            let Some(limit) = limits.get(one.at) else {
                return Next::Refuse;
            };
            match &limit.on_exceed {
                ExceedConfig::Reject => return Next::Refuse,
                ExceedConfig::Downgrade(name) => {
                    let known = self.downgrades.iter().find(|(known, _)| **known == **name);
                    let Some((_, route)) = known else {
                        return Next::Refuse;
                    };
                    next = Next::Downgrade(route.clone());
                }
                ExceedConfig::Queue(wait) => {
                    let until = self.deadline.min(began + *wait);
                    let held = asks.get(one.at).map(|ask| ask.rule.method()) == Some(Method::Held);
                    let comes = match one.wait {
                        Some(wait) => Instant::now() + wait <= until,
                        None => held && Instant::now() < until,
                    };
                    if !comes {
                        return Next::Refuse;
                    }
                    if !matches!(next, Next::Downgrade(_)) {
                        next = Next::Wait(one.at, until);
                    }
                }
            }
        }
        next
    }
}

fn unit(meter: Meter) -> &'static str {
    match meter {
        Meter::Requests => "requests",
        Meter::Tokens => "tokens",
        Meter::InputTokens => "input tokens",
        Meter::OutputTokens => "output tokens",
        Meter::Cost => "USD",
        Meter::Concurrent => "requests in flight",
    }
}

/// So long a client waits that is over a limit whose room depends on others. Chosen: a short answer's time.
const OTHERS: Duration = Duration::from_secs(1);

/// What a client is told.
fn error(record: &Record, limits: &[&Limit], broken: &[Broken]) -> ApiError {
    let first = broken
        .iter()
        .max_by_key(|one| (one.wait.is_none(), one.wait));
    let Some(first) = first else {
        return ApiError::new(ErrorCode::LimitExceeded, "a limit is used up");
    };
    let rule = &first.standing.rule;
    let held = rule.method() == Method::Held;
    let never = first.wait.is_none() && !held;
    let wait = first.wait.unwrap_or(OTHERS);
    let text = limits.get(first.at).map_or("", |limit| &limit.text);
    let used = first.standing.level.used;
    let message = match (held, never) {
        (true, _) => format!(
            "limit `{}` is used up: {used} of {} {}",
            rule.name,
            first.standing.limit,
            unit(rule.meter)
        ),
        (false, true) => format!(
            "limit `{}` never has room for this request: {used} of {} {} are used",
            rule.name,
            first.standing.limit,
            unit(rule.meter)
        ),
        (false, false) => format!(
            "limit `{}` is used up: {used} of {} {}; there is room again in {} s",
            rule.name,
            first.standing.limit,
            unit(rule.meter),
            wait.as_secs_f64().ceil()
        ),
    };
    let mut error = ApiError::new(ErrorCode::LimitExceeded, message);
    error.retry_after = (!never).then_some(wait);
    let names: Vec<&str> = broken.iter().map(|one| &*one.standing.rule.name).collect();
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    error.extension = Some(Box::new(json!({
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "decision_id": record.id.to_string(),
        "rule": &*rule.name,
        "rule_text": text,
        "violated-policies": names,
        "limit": first.standing.limit,
        "used": used,
        "unit": unit(rule.meter),
        "retry_after_ms": (!never).then_some(wait_ms),
        "resets_at_ms": (!never && !held).then(|| record.at_ms.saturating_add(wait_ms)),
    })));
    error
}

/// What the record and the metrics say.
impl Exchange {
    /// The request was let in.
    fn admitted(&mut self, reservation: Reservation, limits: &[&Limit], waited: Duration) {
        for one in &reservation.shadowed {
            if let Some(limit) = limits.get(one.at) {
                limit.metrics.shadow.add(1);
                self.decided(limit, LimitDecision::Shadow);
            }
        }
        if self.limit_decision() == Some(LimitDecision::Queued) {
            self.held_back(waited);
        }
        let standings = reservation.standings().collect();
        self.set_admission(Admission {
            reservation: Some(reservation),
            standings,
        });
    }

    /// It goes to another route.
    fn downgraded(&mut self, limits: &[&Limit], broken: &[Broken], route: &Route) {
        if let Some(limit) = broken.first().and_then(|one| limits.get(one.at)) {
            limit.metrics.downgraded.add(1);
            self.decided(limit, LimitDecision::Downgraded);
        }
        self.reroute(route);
    }

    /// It waits.
    fn queues(&mut self, limits: &[&Limit], at: usize) {
        let Some(limit) = limits.get(at) else { return };
        if self.limit_decision() != Some(LimitDecision::Queued) {
            limit.metrics.queued.add(1);
            self.decided(limit, LimitDecision::Queued);
        }
    }

    /// It is refused.
    fn limited(&mut self, limits: &[&Limit], broken: Vec<Broken>) -> ApiError {
        let told = error(self.record(), limits, &broken);
        for (index, one) in broken.iter().enumerate() {
            let Some(limit) = limits.get(one.at) else {
                continue;
            };
            limit.metrics.refused.add(1);
            if index == 0 {
                self.decided(limit, LimitDecision::Refused);
            }
        }
        self.set_admission(Admission {
            reservation: None,
            standings: broken.into_iter().map(|one| one.standing).collect(),
        });
        told
    }

    fn decided(&mut self, limit: &Limit, decision: LimitDecision) {
        self.note_limit(LimitFacts {
            rule: limit.rule.name.clone(),
            decision,
        });
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
