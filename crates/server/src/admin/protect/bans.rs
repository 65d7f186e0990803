//! Bans on the admin listener.

use super::super::blocking;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_control::store::Act;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::network::Network;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// `GET /admin/v1/bans`: those that hold, the latest first.
pub(super) fn list(gateway: &Gateway) -> Reply {
    let bans = gateway.state.watch.bans(gateway.state.clock.now_ms());
    let all = bans.iter().map(|ban| {
        json!({
            "network": ban.network.to_string(),
            "since_ms": ban.since_ms,
            "until_ms": ban.until_ms,
            "strikes": ban.strikes,
        })
    });
    reply::json(StatusCode::OK, &json!({ "data": all.collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lift {
    network: String,
}

/// `POST /admin/v1/bans/lift {network}`: ends a ban.
pub(super) async fn lift(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let wanted: Lift =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let network: Network = wanted
        .network
        .parse()
        .map_err(|error| ApiError::invalid("network", error))?;
    if !gateway.state.watch.lift(network) {
        let message = format!("there is no ban of {network}");
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    let at_ms = gateway.state.clock.now_ms();
    blocking(gateway, move |gateway| {
        let act = Act {
            actor: "admin",
            at_ms,
        };
        gateway.control.note("ban.lift", &network.to_string(), &act)
    })
    .await?;
    Ok(reply::json(
        StatusCode::OK,
        &json!({ "lifted": network.to_string() }),
    ))
}
