//! `aplomb limits`: how somebody stands and why, what plans have, who is trusted how far, what other rules would have done.

mod show;
mod table;

use crate::admin::{self, encoded};
use crate::cli::{LimitsArgs, LimitsCommand, SignalArgs, SimulateArgs, TrustArgs};
use crate::load::Origin;
use crate::output::{Failure, line};
use aplomb_config::file::ConfigFile;
use http::Method;
use serde_json::{Value, json};
use std::path::Path;

/// `aplomb limits`.
///
/// # Errors
/// No gateway runs, or it says what is wrong; the file is wrong.
pub fn run(args: &LimitsArgs) -> Result<(), Failure> {
    if let LimitsCommand::Table { json } = &args.command {
        return table::run(&args.config, *json);
    }
    let (parsed, _) = Origin::of(&args.config).read().map_err(Failure::wrong)?;
    let file = &parsed.file;
    let get = |path: &str| admin::ask(file, &Method::GET, path, None);
    let post = |path: &str, body: &Value| admin::ask(file, &Method::POST, path, Some(body));
    match &args.command {
        LimitsCommand::Table { .. } => Ok(()),
        LimitsCommand::Explain(who) => {
            let pairs = [
                ("who", Some(&who.who)),
                ("tenant", who.tenant.as_ref()),
                ("model", who.model.as_ref()),
            ];
            let answer = get(&format!("/admin/v1/limits?{}", query(&pairs)))?;
            told(who.json, &answer, show::somebody)
        }
        LimitsCommand::Users(args) => {
            let limit = args.limit.to_string();
            let pairs = [
                ("tenant", args.tenant.as_ref()),
                ("level", args.level.as_ref()),
                ("limit", Some(&limit)),
            ];
            let answer = get(&format!("/admin/v1/limits/users?{}", query(&pairs)))?;
            told(args.json, &answer, show::users)
        }
        LimitsCommand::Set(args) => {
            let answer = post("/admin/v1/limits/trust", &set(args))?;
            told(false, &answer, show::moved)
        }
        LimitsCommand::Clear { user, tenant } => {
            let body = json!({ "tenant": tenant, "user": user, "level": null });
            let answer = post("/admin/v1/limits/trust", &body)?;
            told(false, &answer, show::moved)
        }
        LimitsCommand::Signal(args) => {
            let answer = post("/admin/v1/limits/signal", &signal(args))?;
            told(false, &answer, show::moved)
        }
        LimitsCommand::Simulate(args) => {
            let answer = post("/admin/v1/limits/simulate", &simulation(args)?)?;
            told(args.json, &answer, show::simulated)
        }
    }
}

fn told(json: bool, answer: &Value, show: fn(&Value)) -> Result<(), Failure> {
    if json {
        line(&answer.to_string());
    } else {
        show(answer);
    }
    Ok(())
}

fn query(pairs: &[(&str, Option<&String>)]) -> String {
    let said = pairs
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)));
    let all: Vec<String> = said
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    all.join("&")
}

fn set(args: &TrustArgs) -> Value {
    json!({
        "tenant": args.tenant, "user": args.user, "level": args.trust, "for": args.r#for.to_string(),
        "reason": args.reason,
    })
}

fn signal(args: &SignalArgs) -> Value {
    json!({
        "tenant": args.tenant, "user": args.user, "signal": args.signal, "usd": args.usd, "note": args.note,
    })
}

/// Limits, plans, segments and karma of another file.
fn simulation(args: &SimulateArgs) -> Result<Value, Failure> {
    let mut body = json!({ "days": args.days, "tenant": args.tenant });
    let Some(path) = &args.file else {
        return Ok(body);
    };
    let file = other(path)?;
    if let Some(members) = body.as_object_mut() {
        members.insert("limits".into(), json!(file.limits));
        members.insert("plans".into(), json!(file.plans));
        members.insert("segments".into(), json!(file.segments));
        members.insert("karma".into(), json!(file.karma));
    }
    Ok(body)
}

fn other(path: &Path) -> Result<ConfigFile, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::wrong(format!("{}: {error}", path.display())))?;
    let parsed =
        aplomb_config::parse(&text, &path.display().to_string()).map_err(Failure::wrong)?;
    Ok(parsed.file)
}
