//! `aplomb bans`: networks that are banned for a while.

use crate::admin;
use crate::cli::BansArgs;
use crate::load::Origin;
use crate::output::{Failure, line};
use http::Method;
use serde_json::{Value, json};

/// `aplomb bans`.
///
/// # Errors
/// No gateway runs, or there is no such ban.
pub fn run(args: &BansArgs) -> Result<(), Failure> {
    let (parsed, _) = Origin::of(&args.config).read().map_err(Failure::wrong)?;
    if let Some(network) = &args.lift {
        let body = json!({ "network": network });
        let path = "/admin/v1/bans/lift";
        admin::ask(&parsed.file, &Method::POST, path, Some(&body))?;
        line(&format!("the ban of {network} is over"));
        return Ok(());
    }
    let told = admin::ask(&parsed.file, &Method::GET, "/admin/v1/bans", None)?;
    let bans = told.get("data").and_then(Value::as_array);
    for ban in bans.into_iter().flatten() {
        if args.json {
            line(&ban.to_string());
            continue;
        }
        let of = |name: &str| ban.get(name).and_then(Value::as_u64).unwrap_or(0);
        let seconds = of("until_ms").saturating_sub(of("since_ms")) / 1000;
        let network = ban.get("network").and_then(Value::as_str);
        line(&format!(
            "{}: {} strikes, banned for {seconds} s",
            network.unwrap_or_default(),
            of("strikes")
        ));
    }
    Ok(())
}
