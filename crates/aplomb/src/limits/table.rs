//! `aplomb limits table`: what each plan costs and has, by the same rules that are enforced.

use crate::check::compiled;
use crate::cli::ConfigArgs;
use crate::output::{Failure, line};
use aplomb_config::file::ConfigFile;
use serde_json::{Map, Value, json};

/// Prints all plans of the file.
///
/// # Errors
/// The file is wrong.
pub fn run(args: &ConfigArgs, as_json: bool) -> Result<(), Failure> {
    let state = crate::check::state();
    let (_, parsed, policy) = compiled(args, &state)?;
    let plans: Vec<Value> = policy
        .limits
        .plans()
        .into_iter()
        .map(|plan| priced(plan, &parsed.file))
        .collect();
    if as_json {
        let all = json!({ "plans": plans, "rules": policy.limits.lines() });
        line(&all.to_string());
        return Ok(());
    }
    for plan in &plans {
        show(plan);
    }
    if plans.is_empty() {
        line("no plans; the limits of everybody:");
        for rule in policy.limits.lines() {
            line(&format!("  {}", text(&rule, "text")));
        }
    }
    Ok(())
}

fn priced(plan: Value, file: &ConfigFile) -> Value {
    let name = plan.get("plan").and_then(Value::as_str).unwrap_or_default();
    let price = file.plans.get(name).and_then(|plan| plan.price.as_ref());
    let mut members = Map::from_iter([("price".to_owned(), json!(price.map(ToString::to_string)))]);
    if let Value::Object(plan) = plan {
        members.extend(plan);
    }
    Value::Object(members)
}

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn names(value: &Value, name: &str) -> String {
    let all = value.get(name).and_then(Value::as_array);
    let all: Vec<&str> = all
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if all.is_empty() {
        "all".to_owned()
    } else {
        all.join(", ")
    }
}

fn show(plan: &Value) {
    line(&format!(
        "{}: {}, models {}",
        text(plan, "plan"),
        match plan.get("price") {
            Some(Value::String(price)) => price.clone(),
            _ => "no price said".to_owned(),
        },
        names(plan, "models")
    ));
    let limits = plan.get("limits").and_then(Value::as_array);
    for limit in limits.into_iter().flatten() {
        let shadow = match limit.get("mode").and_then(Value::as_str) {
            Some("shadow") => ", not enforced",
            _ => "",
        };
        line(&format!(
            "  {:>12} {:<18} {}{shadow}",
            text(limit, "limit"),
            text(limit, "unit"),
            text(limit, "text")
        ));
    }
}
