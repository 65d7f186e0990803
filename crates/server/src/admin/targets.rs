//! What was learned of targets: shown, and forgotten on request.

use crate::gateway::Gateway;
use aplomb_core::error::ApiError;
use aplomb_latency::breaker::Phase;
use aplomb_latency::standing::Standing;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn ms(time: Duration) -> Value {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
}

fn one(name: &str, standing: &Standing, now: Instant) -> Value {
    let view = standing.view(1, now);
    let fill = standing.queue.fill();
    let left = |until: Instant| ms(until.saturating_duration_since(now));
    let opens_in = match view.phase {
        Phase::Open { until } => left(until),
        Phase::Closed | Phase::HalfOpen => Value::Null,
    };
    json!({
        "target": name,
        "key": standing.key_number,
        "usable": view.healthy && view.gate.is_none(),
        "breaker": view.phase.name(),
        "breaker_open_ms": opens_in,
        "gate_ms": view.gate.map(ms),
        "key_aside": view.aside.map(|aside| json!({
            "class": aside.class.name(), "for_ms": left(aside.until),
        })),
        "in_flight": view.in_flight,
        "concurrency": (fill.slots > 0).then_some(fill.slots),
        "waiting": fill.waiting,
        "ttft_ewma_ms": view.ttft_ms.map(f64::round),
        "ttft_p95_ms": standing.p95().map(ms),
        "error_rate": (view.error_rate * 1e3).round() / 1e3,
        "requests_left": view.left.0,
        "tokens_left": view.left.1,
        "last_failure": view.last_failure.map(|(class, at)| json!({
            "class": class.name(), "ago_ms": ms(now.saturating_duration_since(at)),
        })),
    })
}

/// All targets that were called or stand in a route, and the retry budgets of their providers.
pub(super) fn list(gateway: &Gateway) -> Value {
    let now = gateway.state.clock.instant();
    let standings = &gateway.state.standings;
    let targets = standings.targets();
    let targets = targets.iter().map(|(name, target)| one(name, target, now));
    let providers = standings.providers();
    let providers = providers.iter().map(
        |(name, provider)| json!({ "provider": name, "retries_left": provider.left(now).floor() }),
    );
    json!({ "data": targets.collect::<Vec<_>>(), "providers": providers.collect::<Vec<_>>() })
}

/// Which target is to be forgotten.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// `provider/model`, with `#2` for its second key; all if absent.
    #[serde(default)]
    target: Option<String>,
}

/// Forgets failures, limits and what keys did.
///
/// # Errors
/// The body is wrong, or there is no such target.
pub(super) fn reset(gateway: &Gateway, body: &[u8]) -> Result<Value, ApiError> {
    let wanted: Reset = if body.is_empty() {
        Reset { target: None }
    } else {
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error.to_string()))?
    };
    let now = gateway.state.clock.instant();
    let mut done = Vec::new();
    for (name, standing) in gateway.state.standings.targets() {
        if wanted.target.as_ref().is_some_and(|target| *target != name) {
            continue;
        }
        if standing.reset(now) {
            let plain = name.split('#').next().unwrap_or(&name);
            gateway.state.metrics.target(plain).breakers_open.down();
        }
        done.push(name);
    }
    if done.is_empty()
        && let Some(target) = wanted.target
    {
        let shown: String = target.chars().take(128).collect();
        let message = format!("there is no target `{shown}`; `aplomb targets` lists them");
        return Err(ApiError::invalid("target", message));
    }
    Ok(json!({ "reset": done }))
}
