//! From the limits of a file to rules.

use super::{Limit, Limits, fits};
use crate::policy::Sources;
use aplomb_catalog::prices::Prices;
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::file::{ConfigFile, ProviderKind};
use aplomb_config::limits::{
    CalendarUnit, ConditionConfig, FieldConfig, LimitRule, MeterConfig, ModeConfig, WindowConfig,
    names,
};
use aplomb_limits::calendar::{Calendar, Unit};
use aplomb_limits::rule::{Meter, Rule, Window};
use aplomb_observe::metrics::Metrics;
use std::sync::Arc;

/// Compiles the limits of a file.
pub(crate) fn compile(
    file: &ConfigFile,
    prices: &Prices,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Limits {
    let metrics = &sources.state.metrics;
    let rules = &file.limits.0;
    let mut all = Vec::new();
    for (index, (rule, name)) in rules.iter().zip(names(rules)).enumerate() {
        let path = format!("limits[{index}]");
        if rule.meter == MeterConfig::Cost {
            unpriced(
                file,
                rule,
                &name,
                (prices, sources.state.clock.now_ms()),
                errors,
            );
        }
        match one(rule, &name, metrics) {
            Ok(limit) => all.push(limit),
            Err(message) => errors.push(Diagnostic::error(format!("{path}.tz"), message)),
        }
    }
    for (tenant, config) in &file.tenants {
        let Some(budget) = &config.budget else {
            continue;
        };
        let rule = LimitRule {
            when: vec![ConditionConfig {
                field: FieldConfig::Tenant,
                is: true,
                value: tenant.clone(),
            }],
            ..budget.0.clone()
        };
        let name = format!("budget-{tenant}");
        unpriced(
            file,
            &rule,
            &name,
            (prices, sources.state.clock.now_ms()),
            errors,
        );
        match one(&rule, &name, metrics) {
            Ok(limit) => all.push(limit),
            Err(message) => {
                errors.push(Diagnostic::error(
                    format!("tenants.{tenant}.budget"),
                    message,
                ));
            }
        }
    }
    let sized = all.iter().any(|limit| limit.is_sized());
    Limits { all, sized }
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

fn one(rule: &LimitRule, name: &str, metrics: &Metrics) -> Result<Limit, String> {
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
    Ok(Limit {
        rule: Arc::new(Rule {
            name: name.into(),
            meter: meter(rule.meter),
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
