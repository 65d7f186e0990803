//! What keeps bad traffic out, on the admin listener: bans, the panic switch, sessions, and the trail of what was done.

mod bans;
mod breaker;
mod panic;
mod sessions;

use super::{BODY_MAX, BODY_TIMEOUT, blocking, no_such_path};
use crate::arrival::read_body;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_core::error::ApiError;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;

/// Rows of the trail that are shown.
const ROWS: u32 = 200;

const PATHS: [&str; 7] = [
    "/admin/v1/audit",
    "/admin/v1/bans",
    "/admin/v1/bans/lift",
    "/admin/v1/breaker",
    "/admin/v1/breaker/reset",
    "/admin/v1/panic",
    "/admin/v1/sessions/revoke",
];

/// Whether a path is answered here.
pub(super) fn has(path: &str) -> bool {
    PATHS.contains(&path)
}

/// Answers it.
pub(super) async fn route(
    gateway: &Arc<Gateway>,
    (method, path): (&Method, &str),
    body: Incoming,
) -> Result<Reply, ApiError> {
    match (method, path) {
        (&Method::GET, "/admin/v1/audit") => {
            let rows = blocking(gateway, |gateway| gateway.control.audit(ROWS)).await?;
            Ok(reply::json(StatusCode::OK, &json!({ "data": rows })))
        }
        (&Method::GET, "/admin/v1/bans") => Ok(bans::list(gateway)),
        (&Method::POST, "/admin/v1/bans/lift") => {
            bans::lift(gateway, &read_body(body, BODY_MAX, BODY_TIMEOUT).await?).await
        }
        (&Method::GET, "/admin/v1/breaker") => breaker::list(gateway),
        (&Method::POST, "/admin/v1/breaker/reset") => {
            breaker::reset(gateway, &read_body(body, BODY_MAX, BODY_TIMEOUT).await?).await
        }
        (&Method::GET, "/admin/v1/panic") => Ok(panic::show(gateway)),
        (&Method::POST, "/admin/v1/panic") => {
            panic::turn(gateway, &read_body(body, BODY_MAX, BODY_TIMEOUT).await?).await
        }
        (&Method::POST, "/admin/v1/sessions/revoke") => {
            sessions::revoke(gateway, &read_body(body, BODY_MAX, BODY_TIMEOUT).await?).await
        }
        _ => Err(no_such_path()),
    }
}
