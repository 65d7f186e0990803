//! From the limits of a file to rules.

use super::{Limit, Limits, Segment, fits, multiplied};
use crate::policy::Sources;
use aplomb_catalog::prices::Prices;
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::file::{ConfigFile, ProviderKind, TenantConfig};
use aplomb_config::limits::plans::{SegmentConfig, TrustConfig};
use aplomb_config::limits::{
    CalendarUnit, ConditionConfig, ExceedConfig, FieldConfig, LimitRule, MeterConfig, ModeConfig,
    ScopeConfig, StoreErrorConfig, WindowConfig, names,
};
use aplomb_limits::calendar::{Calendar, Unit};
use aplomb_limits::rule::{Away, Meter, Rule, Window};
use aplomb_limits::trust::score::DAY_MS;
use aplomb_limits::trust::{Level, Terms};
use aplomb_observe::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;

/// Compiles the limits of a file.
pub(crate) fn compile(
    file: &ConfigFile,
    prices: &Prices,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Limits {
    let rules = &file.limits.0;
    let mut compiler = Compiler {
        file,
        prices,
        sources,
        errors,
        multiplier: most(file),
        all: Vec::new(),
    };
    for (index, (rule, name)) in rules.iter().zip(names(rules)).enumerate() {
        compiler.add(rule, &name, format!("limits[{index}]"));
    }
    let is = |field, value: &str| ConditionConfig {
        field,
        is: true,
        value: value.to_owned(),
    };
    for (tenant, config) in &file.tenants {
        let Some(budget) = &config.budget else {
            continue;
        };
        let rule = LimitRule {
            when: vec![is(FieldConfig::Tenant, tenant)],
            ..budget.0.clone()
        };
        let path = format!("tenants.{tenant}.budget");
        compiler.add(&rule, &format!("budget-{tenant}"), path);
    }
    if let Some(usd) = &file.protect.spend.per_minute {
        let rule = LimitRule {
            id: None,
            meter: MeterConfig::Cost,
            limit: u64::try_from(usd.0.0).unwrap_or(0),
            window: WindowConfig::Sliding(Duration::from_secs(60)),
            per: vec![ScopeConfig::Tenant],
            when: Vec::new(),
            mode: ModeConfig::Enforce,
            on_exceed: ExceedConfig::Reject,
            burst: None,
            on_store_error: None,
            soft: Vec::new(),
        };
        let path = "protect.spend.per_minute".to_owned();
        compiler.add(&rule, "protect-spend-per-minute", path);
    }
    if let Some(budget) = &file.protect.cohort.untrusted {
        let rule = LimitRule {
            per: vec![ScopeConfig::Tenant],
            when: vec![is(FieldConfig::Segment, Level::Quarantine.name())],
            ..budget.0.clone()
        };
        let path = "protect.cohort.untrusted".to_owned();
        compiler.add(&rule, "protect-cohort-untrusted", path);
    }
    for (plan, config) in &file.plans {
        for (index, (rule, name)) in config.limits.iter().zip(names(&config.limits)).enumerate() {
            let mut rule = rule.clone();
            rule.when.push(is(FieldConfig::Plan, plan));
            let path = format!("plans.{plan}.limits[{index}]");
            compiler.add(&rule, &format!("{plan}-{name}"), path);
        }
        if let Some(budget) = &config.budget {
            let rule = LimitRule {
                per: vec![ScopeConfig::Tenant],
                when: vec![is(FieldConfig::Plan, plan)],
                ..budget.0.clone()
            };
            let path = format!("plans.{plan}.budget");
            compiler.add(&rule, &format!("budget-plan-{plan}"), path);
        }
    }
    let all = compiler.all;
    let plan_of =
        |(tenant, config): (&String, &TenantConfig)| Some((tenant.clone(), config.plan.clone()?));
    Limits {
        sized: all.iter().any(|limit| limit.is_sized()) || file.protect.spend.breaker,
        all,
        segments: segments(file),
        plans: file
            .plans
            .iter()
            .map(|(name, plan)| (name.clone(), plan.models.clone()))
            .collect(),
        tenants: file.tenants.iter().filter_map(plan_of).collect(),
        terms: terms(file),
    }
}

fn level(trust: TrustConfig) -> Level {
    match trust {
        TrustConfig::Suspended => Level::Suspended,
        TrustConfig::Quarantine => Level::Quarantine,
        TrustConfig::Standard => Level::Standard,
        TrustConfig::Trusted => Level::Trusted,
    }
}

/// A user leaves quarantine after so many days, so many of them active, where the file does not say.
const QUARANTINE_DAYS: (u64, u32) = (7, 5);

/// What the file wants of trust; none where it does not speak of it.
fn terms(file: &ConfigFile) -> Option<Terms> {
    let segments = file.segments.values();
    if !file.karma.enabled && !segments.clone().any(|one| one.trust.is_some()) {
        return None;
    }
    let of = |wanted: Level| {
        let mut earned = segments.clone().filter(|one| !one.names_users());
        earned.find(|one| one.trust.map(level) == Some(wanted))
    };
    let quarantine = of(Level::Quarantine);
    let first = quarantine.and_then(|one| one.first);
    let first = first.map_or(QUARANTINE_DAYS.0 * DAY_MS, |span| {
        u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)
    });
    Some(Terms {
        karma: file.karma.enabled,
        first_ms: first,
        active_days: quarantine
            .and_then(|one| one.active_days)
            .unwrap_or(QUARANTINE_DAYS.1),
        smooth: file.karma.smooth,
        multipliers: Level::ALL.map(|level| {
            let own = of(level).and_then(|one| one.multiplier);
            own.unwrap_or_else(|| level.multiplier())
        }),
    })
}

/// The most that segments multiply a limit by: a user may be in all of them.
fn most(file: &ConfigFile) -> f64 {
    let named = file.segments.values().filter(|one| one.names_users());
    let multipliers = named.filter_map(|segment| segment.multiplier);
    let named: f64 = multipliers.filter(|multiplier| *multiplier > 1.0).product();
    let trust = terms(file).map_or(1.0, |terms| {
        terms.multipliers.into_iter().fold(1.0, f64::max)
    });
    named * trust
}

/// Segments with the plans that name them.
fn segments(file: &ConfigFile) -> Vec<Segment> {
    let one = |(name, config): (&String, &SegmentConfig)| {
        let naming = file.plans.iter();
        let naming = naming.filter(|(_, plan)| plan.segment.as_ref() == Some(name));
        let plans = naming.map(|(plan, _)| plan.clone());
        Segment {
            name: name.as_str().into(),
            plans: plans.chain(config.plan.clone()).collect(),
            users: config.users.clone(),
            tenants: config.tenants.clone(),
            multiplier: config.multiplier.unwrap_or(1.0),
            models: config.models.clone(),
            trust: config.trust.map(level),
            names_users: config.names_users()
                || file
                    .plans
                    .values()
                    .any(|plan| plan.segment.as_ref() == Some(name)),
        }
    };
    file.segments.iter().map(one).collect()
}

struct Compiler<'a> {
    file: &'a ConfigFile,
    prices: &'a Prices,
    sources: &'a Sources<'a>,
    errors: &'a mut Vec<Diagnostic>,
    /// The most that limits of anyone are multiplied by.
    multiplier: f64,
    all: Vec<Limit>,
}

impl Compiler<'_> {
    fn add(&mut self, rule: &LimitRule, name: &str, path: String) {
        let state = self.sources.state;
        if rule.meter == MeterConfig::Cost {
            let priced = (self.prices, state.clock.now_ms());
            unpriced(self.file, rule, name, priced, self.errors);
        }
        match one(rule, name, (&state.metrics, self.multiplier)) {
            Ok(limit) => self.all.push(limit),
            Err(message) => self
                .errors
                .push(Diagnostic::error(format!("{path}.tz"), message)),
        }
    }
}

/// A target whose price is not known, under a rule that counts money: it would be free.
fn unpriced(
    file: &ConfigFile,
    rule: &LimitRule,
    name: &str,
    (prices, now_ms): (&Prices, u64),
    errors: &mut Vec<Diagnostic>,
) {
    let may_hold = |route: &str| {
        rule.when.iter().all(|condition| match condition.field {
            FieldConfig::Route | FieldConfig::Model => {
                fits(&condition.value, route) == condition.is
            }
            FieldConfig::Tenant
            | FieldConfig::User
            | FieldConfig::Key
            | FieldConfig::Via
            | FieldConfig::Segment
            | FieldConfig::Plan => true,
        })
    };
    for (route, config) in &file.routes {
        if route.contains('*') || !may_hold(route) {
            continue;
        }
        for (index, target) in config.targets.iter().enumerate() {
            let Some((provider, model)) = target.split_once('/') else {
                continue;
            };
            let kind = file
                .providers
                .get(provider)
                .and_then(|one| one.kind_of(provider));
            let simulated = kind == Some(ProviderKind::Practice);
            if simulated || prices.price(provider, model, now_ms).is_some() {
                continue;
            }
            let path = format!("routes.{route}.targets[{index}]");
            let message = format!("its price is not known, and limit `{name}` counts money");
            let hint =
                format!("add `prices: {{ {provider}/{model}: {{ input: ..., output: ... }} }}`");
            let error = Diagnostic::error(&path, message).suggest(Some(hint));
            // Once is enough, however many rules count money.
            if !errors.iter().any(|known| known.path == path) {
                errors.push(error);
            }
        }
    }
}

fn meter(meter: MeterConfig) -> Meter {
    match meter {
        MeterConfig::Requests => Meter::Requests,
        MeterConfig::Concurrent => Meter::Concurrent,
        MeterConfig::Tokens => Meter::Tokens,
        MeterConfig::InputTokens => Meter::InputTokens,
        MeterConfig::OutputTokens => Meter::OutputTokens,
        MeterConfig::Cost => Meter::Cost,
    }
}

fn one(
    config: &LimitRule,
    name: &str,
    (metrics, multiplier): (&Metrics, f64),
) -> Result<Limit, String> {
    Ok(Limit {
        rule: Arc::new(rule(config, name, multiplier)?),
        text: config.to_string(),
        per: config.per.clone(),
        when: config.when.clone(),
        on_exceed: config.on_exceed.clone(),
        soft: config.soft.iter().map(|share| share.0).collect(),
        metrics: metrics.limit(name),
    })
}

/// A rule as it is counted, whose limit may be multiplied by so much.
pub(super) fn rule(rule: &LimitRule, name: &str, multiplier: f64) -> Result<Rule, String> {
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
            Window::Calendar(Arc::new(Calendar::new(unit, zone, *anchor)?))
        }
        WindowConfig::Lifetime => Window::Lifetime,
        WindowConfig::Concurrent => Window::Concurrent,
    };
    Ok(Rule {
        name: name.into(),
        meter: meter(rule.meter),
        limit: rule.limit,
        most: multiplied(rule.limit, multiplier),
        window,
        burst: rule.burst,
        shadow: rule.mode == ModeConfig::Shadow,
        away: match (rule.on_store_error, rule.meter) {
            (Some(StoreErrorConfig::LocalShare), _) => Away::Share,
            (Some(StoreErrorConfig::FailOpen), _) => Away::Open,
            (Some(StoreErrorConfig::FailClosed), _) | (None, MeterConfig::Cost) => Away::Closed,
            (None, _) => Away::Share,
        },
    })
}
