//! `aplomb breaker`: spend breakers of tenants and keys.

use crate::admin;
use crate::cli::BreakerArgs;
use crate::load::Origin;
use crate::output::{Failure, line};
use http::Method;
use serde_json::{Value, json};

/// `aplomb breaker`.
///
/// # Errors
/// No gateway runs, it has no breakers, or there is no such one.
pub fn run(args: &BreakerArgs) -> Result<(), Failure> {
    let (parsed, _) = Origin::of(&args.config).read().map_err(Failure::wrong)?;
    if let Some(name) = &args.reset {
        let body = json!({ "name": name });
        let path = "/admin/v1/breaker/reset";
        admin::ask(&parsed.file, &Method::POST, path, Some(&body))?;
        line(&format!("{name} is closed, and learns anew what is usual"));
        return Ok(());
    }
    let told = admin::ask(&parsed.file, &Method::GET, "/admin/v1/breaker", None)?;
    let all = told.get("data").and_then(Value::as_array);
    for one in all.into_iter().flatten() {
        if args.json {
            line(&one.to_string());
            continue;
        }
        let text = |name: &str| {
            one.get(name)
                .and_then(Value::as_str)
                .unwrap_or("not known yet")
        };
        line(&format!(
            "{:<40} {:<9}  last minute {} USD, usual {}",
            text("name"),
            text("state"),
            text("asked_usd_last_minute"),
            text("usual_usd_per_minute"),
        ));
    }
    Ok(())
}
