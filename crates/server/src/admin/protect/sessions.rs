//! Sessions of browsers on the admin listener.

use super::super::blocking;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_control::store::Act;
use aplomb_core::error::{ApiError, ErrorCode};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    site: String,
}

/// `POST /admin/v1/sessions/revoke {site}`: all sessions of a site that were made until now end, on every node.
pub(super) async fn revoke(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let Revoke { site } =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    if gateway.policy().screen.sites.get(&site).is_none() {
        let message = "there is no such site under `protect.sites`";
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    let at_ms = gateway.state.clock.now_ms();
    let told = json!({ "site": site, "until_ms": at_ms });
    blocking(gateway, move |gateway| {
        let act = Act {
            actor: "admin",
            at_ms,
        };
        gateway.control.end_sessions(&site, &act)?;
        gateway.refresh_keys()
    })
    .await?;
    Ok(reply::json(StatusCode::OK, &told))
}
