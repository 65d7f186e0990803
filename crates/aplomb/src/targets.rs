//! `aplomb targets`: how targets stand, as the running gateway has learned it.

use crate::admin;
use crate::cli::TargetsArgs;
use crate::load::Origin;
use crate::output::{Failure, line};
use http::Method;
use serde_json::{Value, json};

/// `aplomb targets`.
///
/// # Errors
/// The gateway does not run, or there is no such target.
pub fn run(args: &TargetsArgs) -> Result<(), Failure> {
    let (parsed, _) = Origin::of(&args.config).read().map_err(Failure::wrong)?;
    if args.reset {
        let body = json!({ "target": args.target });
        let path = "/admin/v1/targets/reset";
        let done = admin::ask(&parsed.file, &Method::POST, path, Some(&body))?;
        line(&done.to_string());
        return Ok(());
    }
    let all = admin::ask(&parsed.file, &Method::GET, "/admin/v1/targets", None)?;
    let targets = all.get("data").and_then(Value::as_array);
    let wanted = |one: &&Value| {
        let name = one.get("target").and_then(Value::as_str);
        args.target.is_none() || name == args.target.as_deref()
    };
    for one in targets.into_iter().flatten().filter(wanted) {
        line(&if args.json {
            one.to_string()
        } else {
            as_text(one)
        });
    }
    Ok(())
}

fn as_text(one: &Value) -> String {
    let text = |name: &str| match one.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let busy = match one.get("concurrency") {
        None | Some(Value::Null) => text("in_flight"),
        Some(limit) => format!("{}/{limit}", text("in_flight")),
    };
    let aside = one.pointer("/key_aside/class").and_then(Value::as_str);
    let failure = one.pointer("/last_failure/class").and_then(Value::as_str);
    format!(
        "{:<40} breaker {:<9} in flight {:<7} waiting {:<4} ttft {:>6} ms  errors {:<5} gate {:>6} ms  key {}  last failure {}",
        text("target"),
        text("breaker"),
        busy,
        text("waiting"),
        text("ttft_ewma_ms"),
        text("error_rate"),
        text("gate_ms"),
        aside.unwrap_or("ok"),
        failure.unwrap_or("-"),
    )
}
