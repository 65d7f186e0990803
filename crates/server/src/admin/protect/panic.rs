//! The panic switch on the admin listener.

use super::super::blocking;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_control::store::Act;
use aplomb_core::error::ApiError;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `GET /admin/v1/panic`.
pub(super) fn show(gateway: &Gateway) -> Reply {
    let on = gateway.state.panic.load(Ordering::Acquire);
    let served = &gateway.policy().file.protect.panic;
    let told = json!({ "on": on, "keys": served.keys, "tenants": served.tenants });
    reply::json(StatusCode::OK, &told)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    on: bool,
}

/// `POST /admin/v1/panic {on}`. Turned on it holds at once, even where that can't be written down; then it is told.
pub(super) async fn turn(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let wanted: Turn =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    if wanted.on {
        gateway.state.panic.store(true, Ordering::Release);
    }
    let at_ms = gateway.state.clock.now_ms();
    blocking(gateway, move |gateway| {
        let act = Act {
            actor: "admin",
            at_ms,
        };
        gateway.control.set_panic(wanted.on, &act)?;
        gateway.state.panic.store(wanted.on, Ordering::Release);
        gateway.refresh_keys()
    })
    .await?;
    Ok(show(gateway))
}
