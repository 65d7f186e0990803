//! `aplomb cache`: what the response caches of the running gateway hold, the removal of it, and what their guard says.

mod compare;

use crate::admin;
use crate::cli::{CacheArgs, CacheCommand, PurgeArgs};
use crate::load::Origin;
use crate::output::{Failure, line};
use http::Method;
use serde_json::{Map, Value};

/// `aplomb cache`.
///
/// # Errors
/// No gateway runs, or it says what is wrong.
pub fn run(args: &CacheArgs) -> Result<(), Failure> {
    if let CacheCommand::Compare(args) = &args.command {
        return compare::run(args);
    }
    let (parsed, _) = Origin::of(&args.config).read().map_err(Failure::wrong)?;
    match &args.command {
        CacheCommand::Show { json } => {
            let report = admin::ask(&parsed.file, &Method::GET, "/admin/v1/cache", None)?;
            if *json {
                line(&report.to_string());
            } else {
                show(&report);
            }
        }
        CacheCommand::Compare(_) => {}
        CacheCommand::Purge(which) => {
            let body = Value::Object(body(which));
            let path = "/admin/v1/cache/purge";
            let told = admin::ask(&parsed.file, &Method::POST, path, Some(&body))?;
            let purged = told.get("purged").and_then(Value::as_u64);
            line(&format!("{} answers removed", purged.unwrap_or(0)));
        }
    }
    Ok(())
}

fn body(which: &PurgeArgs) -> Map<String, Value> {
    let texts = [
        ("user", which.user.clone()),
        ("tenant", which.tenant.clone()),
        ("route", which.route.clone()),
        ("cache", which.cache.clone()),
        ("older_than", which.older_than.map(|span| span.to_string())),
    ];
    let said = texts.into_iter();
    said.filter_map(|(name, text)| Some((name.to_owned(), text?.into())))
        .collect()
}

fn show(report: &Value) {
    let caches = report.get("data").and_then(Value::as_array);
    for cache in caches.into_iter().flatten() {
        let of = |name: &str| cache.get(name).cloned().unwrap_or_default();
        line(&format!(
            "{}: {} answers, {} of {} bytes, hit rate {} ({} the same request, {} alike)",
            of("cache").as_str().unwrap_or_default(),
            of("entries"),
            of("bytes"),
            of("bytes_max"),
            of("hit_rate"),
            of("hits_exact"),
            of("hits_semantic")
        ));
        if of("shadow").as_u64() > Some(0) {
            line(&format!(
                "  would have been served: {}, mean agreement {}",
                of("shadow"),
                of("shadow_agreement")
            ));
        }
        for what in ["misses", "bypasses", "unkept"] {
            for (reason, count) in of(what).as_object().into_iter().flatten() {
                line(&format!("  {what} {reason}: {count}"));
            }
        }
    }
}
