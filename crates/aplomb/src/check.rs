//! `aplomb check` and `aplomb explain`: what the configuration says, without running it.

use crate::cli::{ConfigArgs, ExplainArgs};
use crate::load::{Origin, nothing_found};
use crate::output::{Failure, line};
use aplomb_config::Parsed;
use aplomb_config::diagnostic::{Diagnostic, Diagnostics};
use aplomb_config::file::ConfigFile;
use aplomb_config::secret::{Environment, ProcessEnvironment};
use aplomb_core::clock::SystemClock;
use aplomb_pipeline::policy::{Policy, Route};
use aplomb_pipeline::state::State;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// An environment in which every secret is there: checking needs none. What is missing is a warning.
struct AnyValue;

/// Fits wherever a secret may stand, addresses included. The name leads nowhere (RFC 2606 section 2).
const UNSET: &str = "http://unset.invalid";

impl Environment for AnyValue {
    fn get(&self, _: &str) -> Option<String> {
        Some(UNSET.to_owned())
    }

    fn file(&self, path: &Path) -> std::io::Result<String> {
        Ok(std::fs::read_to_string(path).unwrap_or_else(|_| UNSET.to_owned()))
    }
}

pub(crate) fn compiled(
    args: &ConfigArgs,
    state: &State,
) -> Result<(Origin, Parsed, Policy), Failure> {
    let origin = Origin::of(args);
    let (parsed, policy) = origin.compile(&AnyValue, state).map_err(Failure::wrong)?;
    if parsed.file.providers.is_empty() {
        return Err(Failure::wrong(nothing_found()));
    }
    Ok((origin, parsed, policy))
}

pub(crate) fn state() -> State {
    State::new(Arc::new(SystemClock), Arc::default(), None)
}

/// `aplomb check`.
///
/// # Errors
/// All that is wrong.
pub fn check(args: &ConfigArgs) -> Result<(), Failure> {
    let (origin, parsed, _) = compiled(args, &state())?;
    let mut warnings = parsed.warnings.clone();
    warnings.extend(missing_secrets(&parsed, &origin.base_dir()));
    if !warnings.is_empty() {
        line(&Diagnostics::new("warning", warnings).to_string());
    }
    let file = &parsed.file;
    line(&format!(
        "ok: {} providers, {} routes, {} tenants",
        file.providers.len(),
        file.routes.len(),
        file.tenants.len()
    ));
    for off in what_is_off(file) {
        line(&format!("  off: {off}"));
    }
    Ok(())
}

fn missing_secrets(parsed: &Parsed, base_dir: &Path) -> Vec<Diagnostic> {
    let keys = parsed.file.providers.iter().flat_map(|(name, config)| {
        let keys = config.keys();
        keys.into_iter()
            .map(move |(member, secret)| (format!("providers.{name}.{member}"), secret))
    });
    let missing = keys.filter_map(|(at, secret)| {
        let error = secret.resolve(&ProcessEnvironment, base_dir).err()?;
        Some(Diagnostic::warning(at, error.to_string()).placed(&parsed.map))
    });
    missing.collect()
}

fn what_is_off(file: &ConfigFile) -> Vec<&'static str> {
    let mut off = Vec::new();
    if file.tenants.values().all(|tenant| tenant.keys.is_empty()) {
        off.push("no keys in the file: without keys made by `aplomb keys create` only this machine may call");
    }
    if file.privacy.is_empty() {
        off.push("privacy: requests travel as they are; see `privacy` in the reference");
    }
    if file.server.tls.is_none() {
        off.push("TLS: the data plane speaks plain HTTP");
    }
    off
}

/// `aplomb explain MODEL`.
///
/// # Errors
/// The file is wrong, or the model is unknown.
pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let state = state();
    let (_, parsed, policy) = compiled(&args.config, &state)?;
    let route = policy
        .resolve(&args.model, &state.metrics)
        .map_err(Failure::wrong)?;
    if args.json {
        line(&as_json(&args.model, &route).to_string());
    } else {
        as_text(&args.model, &route, &parsed.file);
    }
    Ok(())
}

fn as_json(model: &str, route: &Route) -> serde_json::Value {
    let targets: Vec<&str> = route.targets.iter().map(|target| &*target.name).collect();
    json!({
        "model": model, "route": route.name.as_deref(), "targets": targets, "attempts": route.manner.attempts,
        "privacy": route.rules.shield.as_ref().map(|shield| shield.profile.name.clone()),
        "timeouts_ms": {
            "first_token": u64::try_from(route.timeouts.first_token.as_millis()).ok(),
            "idle": u64::try_from(route.timeouts.idle.as_millis()).ok(),
            "total": u64::try_from(route.timeouts.total.as_millis()).ok(),
        },
    })
}

fn as_text(model: &str, route: &Route, file: &ConfigFile) {
    match &route.name {
        Some(name) => line(&format!("`{model}` is served by the route `{name}`")),
        None => line(&format!(
            "`{model}` has no route of its own; the provider is called directly"
        )),
    }
    for (index, target) in route.targets.iter().enumerate() {
        let dialect = match target.provider.dialect() {
            aplomb_core::request::Dialect::OpenAi => "OpenAI dialect",
            aplomb_core::request::Dialect::Anthropic => "Anthropic dialect",
        };
        let when = if index == 0 {
            "first"
        } else {
            "then, if the one before fails before its answer begins"
        };
        line(&format!(
            "  {}. {} ({dialect}): {when}",
            index + 1,
            target.name
        ));
    }
    let t = &route.timeouts;
    line(&format!(
        "  at most {} upstream calls in all",
        route.manner.attempts
    ));
    line(&format!(
        "  waits {:?} for the first content of a stream, {:?} between events, {:?} in all",
        t.first_token, t.idle, t.total
    ));
    match &route.rules.shield {
        Some(shield) => line(&format!(
            "  personal data is treated by the policy `{}`: {} unless its kind has an action of its own",
            shield.profile.name,
            shield.profile.default.name()
        )),
        None => line("  personal data is not masked"),
    }
    let text = if route.record.keep != aplomb_observe::record::KeepText::None {
        "facts and text"
    } else {
        "facts, no text"
    };
    let named = route
        .name
        .as_ref()
        .and_then(|name| file.routes.get(&**name));
    let checks = named.map_or(&[][..], |config| config.validate.as_slice());
    let checked = match checks {
        [] => "answers are not checked".to_owned(),
        checks => format!("answers are checked by {}", checks.join(", ")),
    };
    let cache = named.and_then(|config| config.cache.as_ref());
    let cached = cache.map_or("nothing is cached".to_owned(), |name| {
        format!("answers are kept in the cache `{name}`")
    });
    line(&format!("  {checked}, {cached}; records hold {text}"));
}
