//! Spend breakers on the admin listener.

use super::super::blocking;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_control::store::Act;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::money::NanoUsd;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// `GET /admin/v1/breaker`: all breakers by name.
///
/// # Errors
/// The file has none.
pub(super) fn list(gateway: &Gateway) -> Result<Reply, ApiError> {
    let policy = gateway.policy();
    let Some(spend) = &policy.screen.spend else {
        let message = "there are no spend breakers: set `protect.spend.breaker`";
        return Err(ApiError::new(ErrorCode::NotFound, message));
    };
    let state = &gateway.state;
    let (reports, events) = state.breaker_reports(&spend.rules);
    state.breakers_changed(&events);
    let usd = |nano: u64| NanoUsd(i64::try_from(nano).unwrap_or(i64::MAX)).to_string();
    let all = reports.iter().map(|one| {
        json!({
            "name": &*one.name,
            "state": one.state.name(),
            "usual_usd_per_minute": one.usual.map(|usual| usd(usual.saturating_mul(6))),
            "asked_usd_last_minute": usd(one.asked),
        })
    });
    let all: Vec<_> = all.collect();
    Ok(reply::json(StatusCode::OK, &json!({ "data": all })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    name: String,
}

/// `POST /admin/v1/breaker/reset {name}`: closes a breaker, which learns anew what is usual.
pub(super) async fn reset(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let wanted: Reset =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    if !gateway.state.breakers.reset(&wanted.name) {
        let shown: String = wanted.name.chars().take(100).collect();
        let message = format!("there is no breaker `{shown}`; `aplomb breaker` lists them");
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    let at_ms = gateway.state.clock.now_ms();
    let name = wanted.name.clone();
    blocking(gateway, move |gateway| {
        let act = Act {
            actor: "admin",
            at_ms,
        };
        gateway.control.note("spend.reset", &name, &act)
    })
    .await?;
    Ok(reply::json(
        StatusCode::OK,
        &json!({ "reset": wanted.name }),
    ))
}
