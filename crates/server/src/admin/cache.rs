//! The response caches on the admin listener: how full they are, what they did, and their purge.

use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_config::scalar::Span;
use aplomb_control::store::Act;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_latency::cache::store::Purge;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// `GET /admin/v1/cache`.
pub(super) fn report(gateway: &Gateway) -> Reply {
    let state = &gateway.state;
    let caches = state.caches.report(state);
    reply::json(StatusCode::OK, &json!({ "data": caches }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Wanted {
    cache: Option<String>,
    tenant: Option<String>,
    user: Option<String>,
    route: Option<String>,
    older_than: Option<Span>,
}

/// `POST /admin/v1/cache/purge {cache?, tenant?, user?, route?, older_than?}`: removes what fits everything that is said.
pub(super) async fn purge(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let wanted: Wanted =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let gateway = gateway.clone();
    let work = move || {
        let now_ms = gateway.state.clock.now_ms();
        let age = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
        let purge = Purge {
            tenant: wanted.tenant,
            user: wanted.user,
            route: wanted.route,
            before_ms: wanted
                .older_than
                .map(|span| now_ms.saturating_sub(age(span))),
            source: None,
        };
        let purged = gateway.state.caches.purge(wanted.cache.as_deref(), &purge);
        let act = Act {
            actor: "admin",
            at_ms: now_ms,
        };
        let what = match &purged {
            Ok(purged) => format!("{purged} entries"),
            Err(_) => "entries of this node; the shared store was away".to_owned(),
        };
        if let Err(error) = gateway.control.note("cache.purge", &what, &act) {
            tracing::error!(%error, "a purge could not be noted in the audit trail");
        }
        purged
    };
    let purged = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ApiError::new(ErrorCode::Internal, "the purge was broken off"))?
        .map_err(|_| {
            let message = "the entries are gone from this node; the store that nodes share is away, so that others may still \
                           give them: purge again when it is back";
            ApiError::new(ErrorCode::Overloaded, message)
        })?;
    Ok(reply::json(StatusCode::OK, &json!({ "purged": purged })))
}
