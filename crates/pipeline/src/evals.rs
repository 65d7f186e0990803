//! Evaluations of the file, compiled: names that mean something, a judge whose price is known and that may see the text.

use crate::policy::{Policy, Route, Target};
use crate::state::State;
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::evals::EvalConfig;
use aplomb_observe::evals::online::{Eval, Judge};
use aplomb_observe::evals::rubric::Rubric;
use aplomb_observe::evals::rules::{Length, Rule};
use aplomb_providers::call::Kind;
use std::sync::Arc;

/// Compiles all evaluations of a policy that has its routes.
///
/// # Errors
/// What is wrong with them, with paths.
pub(crate) fn build(policy: &Policy, state: &State) -> Result<Arc<[Arc<Eval>]>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let configs = policy.file.observe.evals.iter().enumerate();
    let evals: Vec<Arc<Eval>> = configs
        .map(|(index, config)| {
            let path = format!("observe.evals[{index}]");
            Arc::new(Eval {
                name: config.name.clone(),
                routes: config.routes.clone(),
                share: config.sample.0,
                rules: rules(config, &path, &mut errors),
                judge: judge(policy, state, (config, &path), &mut errors),
            })
        })
        .collect();
    if errors.is_empty() {
        Ok(evals.into())
    } else {
        Err(errors)
    }
}

fn rules(config: &EvalConfig, path: &str, errors: &mut Vec<Diagnostic>) -> Vec<Rule> {
    let bound = |chars: Option<u64>| chars.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let default = Length::default();
    let length = Length {
        min: bound(config.chars_min).unwrap_or(default.min),
        max: bound(config.chars_max).unwrap_or(default.max),
    };
    let mut rules = Vec::new();
    for (at, name) in config.rules.iter().enumerate() {
        match Rule::parse(name, length) {
            Some(rule) => rules.push(rule),
            None => errors.push(Diagnostic::error(
                format!("{path}.rules[{at}]"),
                format!(
                    "`{name}` is no rule: expected one of {}",
                    Rule::NAMES.join(", ")
                ),
            )),
        }
    }
    rules
}

fn judge(
    policy: &Policy,
    state: &State,
    (config, path): (&EvalConfig, &str),
    errors: &mut Vec<Diagnostic>,
) -> Option<Judge> {
    let (model, budget) = (config.judge.as_ref()?, config.budget?);
    let mut rubrics: Vec<Rubric> = Vec::new();
    for (at, text) in config.rubrics.iter().enumerate() {
        let parsed = Rubric::parse(text).and_then(|rubric| {
            let twice = rubrics.iter().any(|other| other.name == rubric.name)
                || config.rules.contains(&rubric.name);
            if twice {
                return Err(format!("there are two scores `{}`", rubric.name));
            }
            Ok(rubric)
        });
        match parsed {
            Ok(rubric) => rubrics.push(rubric),
            Err(why) => errors.push(Diagnostic::error(format!("{path}.rubrics[{at}]"), why)),
        }
    }
    if let Err(why) = may_judge(policy, state, config, model) {
        errors.push(Diagnostic::error(format!("{path}.judge"), why));
    }
    Some(Judge {
        model: model.clone(),
        rubrics,
        limit: budget.amount,
        window_ms: u64::try_from(budget.window.as_millis()).unwrap_or(u64::MAX),
        timeout: config.timeout.0,
        max_output_tokens: config.max_output_tokens,
    })
}

/// Whether a judge's price is known, and whether it may see the text of the routes.
fn may_judge(
    policy: &Policy,
    state: &State,
    config: &EvalConfig,
    model: &str,
) -> Result<(), String> {
    let targets = targets(policy, state, model);
    for target in &targets {
        let simulated = matches!(target.provider.kind, Kind::Practice(_));
        let (provider, name) = (&target.provider.name, &target.model);
        let price = policy.prices.price(provider, name, state.clock.now_ms());
        if !simulated && price.is_none() {
            return Err(format!(
                "the price of `{}` is not known, so that its budget can't be kept: add it under `prices`",
                target.name
            ));
        }
    }
    for name in &config.routes {
        let Ok(route) = policy.resolve(name, &state.metrics) else {
            continue;
        };
        let lacking: Vec<String> = targets
            .iter()
            .filter_map(|target| lacks(&route, target))
            .collect();
        if !lacking.is_empty() && lacking.len() == targets.len() {
            return Err(format!(
                "may not see the text of `{name}`: {}",
                lacking.join("; ")
            ));
        }
    }
    Ok(())
}

fn lacks(route: &Route, target: &Target) -> Option<String> {
    let lacks = route.rules.require.lacking(&target.agreement)?;
    Some(format!("the provider `{}` {lacks}", target.provider.name))
}

fn targets(policy: &Policy, state: &State, model: &str) -> Vec<Target> {
    if let Some(route) = policy.routes.get(model) {
        return route.targets.clone();
    }
    let Some((provider, name)) = model.split_once('/') else {
        return Vec::new();
    };
    let listed = policy.providers.get(provider);
    listed
        .into_iter()
        .flat_map(|listed| listed.offers(0, 1))
        .map(|offer| policy.target(&offer, name, &state.metrics))
        .collect()
}
