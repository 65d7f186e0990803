//! The admin listener: nothing without the token, but health.

mod cache;
mod evals;
mod grading;
mod limits;
mod privacy;
mod protect;
mod records;
mod simulate;
mod targets;

use crate::arrival::read_body;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_control::store::{Act, ControlError, NewKey};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::RequestId;
use aplomb_core::request::Dialect;
use http::header;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

const BODY_MAX: usize = 64 * 1024;
/// Longest text that is scanned on request.
const SCAN_MAX: usize = 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers one request of the admin listener.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>) -> Reply {
    if let Some(reply) = crate::data::health(&gateway, request.uri().path()) {
        return reply;
    }
    match route(&gateway, request).await {
        Ok(reply) => reply,
        Err(error) => {
            let id = RequestId::new(gateway.state.clock.now_ms()).to_string();
            reply::error(Dialect::OpenAi, &id, &error)
        }
    }
}

/// Answers one request of the listener for scrapers: metrics and health, which hold nothing of anyone.
pub fn scrape<B>(gateway: &Gateway, request: &Request<B>) -> Reply {
    let path = request.uri().path();
    if let Some(reply) = crate::data::health(gateway, path) {
        return reply;
    }
    if request.method() == Method::GET && path.trim_end_matches('/') == "/metrics" {
        return metrics(gateway);
    }
    let error = ApiError::new(
        ErrorCode::NotFound,
        "this listener has /metrics, /livez and /readyz",
    );
    let id = RequestId::new(gateway.state.clock.now_ms()).to_string();
    reply::error(Dialect::OpenAi, &id, &error)
}

fn metrics(gateway: &Gateway) -> Reply {
    let state = &gateway.state;
    state.caches.refresh(state);
    state.shares.refresh(&state.metrics, state.clock.now_ms());
    state.refresh_limits();
    state.refresh_bans();
    reply::text(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        gateway.state.metrics.render(),
    )
}

fn is_signed_in(gateway: &Gateway, headers: &HeaderMap) -> bool {
    let text = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = text
        .and_then(|text| text.strip_prefix("Bearer "))
        .unwrap_or_default();
    token
        .as_bytes()
        .ct_eq(gateway.admin_token.as_bytes())
        .into()
}

async fn route(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Result<Reply, ApiError> {
    if !is_signed_in(gateway, request.headers()) {
        let message = "send `Authorization: Bearer TOKEN` with the token in <data_dir>/admin.token";
        return Err(ApiError::new(ErrorCode::InvalidApiKey, message));
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/').to_owned();
    let gateway = &gateway.clone();
    match (&head.method, path.as_str()) {
        (&Method::GET, "/metrics") => Ok(metrics(gateway)),
        (&Method::GET, "/admin/v1/config") => Ok(reply::json(StatusCode::OK, &config(gateway))),
        (&Method::GET, "/admin/v1/targets") => {
            Ok(reply::json(StatusCode::OK, &targets::list(gateway)))
        }
        (&Method::POST, "/admin/v1/targets/reset") => {
            let body = read_body(body, BODY_MAX, BODY_TIMEOUT).await?;
            let done = targets::reset(gateway, &body)?;
            gateway.state.decided("targets.reset", done.to_string());
            Ok(reply::json(StatusCode::OK, &done))
        }
        (&Method::GET, "/admin/v1/keys") => {
            let keys = blocking(gateway, |gateway| gateway.control.list_keys(None)).await?;
            Ok(reply::json(StatusCode::OK, &json!({ "data": keys })))
        }
        (&Method::POST, "/admin/v1/keys") => {
            create_key(gateway, read_body(body, BODY_MAX, BODY_TIMEOUT).await?).await
        }
        (&Method::GET, "/admin/v1/requests") => records::list(gateway, head.uri.query()).await,
        (&Method::GET, path) if path.starts_with(records::REQUESTS) => {
            records::one(gateway, path, head.uri.query()).await
        }
        (&Method::POST, "/admin/v1/sql") => {
            records::sql(gateway, &read_body(body, BODY_MAX, BODY_TIMEOUT).await?).await
        }
        (method, path) if protect::has(path) => protect::route(gateway, (method, path), body).await,
        (_, path) if path.starts_with(limits::PATH) => {
            let asked = (&head.method, path, head.uri.query());
            limits::route(gateway, asked, body).await
        }
        (&Method::GET, "/admin/v1/cache") => Ok(cache::report(gateway)),
        (&Method::POST, "/admin/v1/cache/purge") => {
            cache::purge(gateway, &read_body(body, BODY_MAX, BODY_TIMEOUT).await?).await
        }
        (&Method::GET, "/admin/v1/alerts") => Ok(reply::json(
            StatusCode::OK,
            &json!({ "data": gateway.state.alerts.standings() }),
        )),
        (&Method::GET, "/admin/v1/grading") => grading::next(gateway, head.uri.query()).await,
        (&Method::GET, "/admin/v1/grading/report") => {
            grading::report(gateway, head.uri.query()).await
        }
        (&Method::POST, "/admin/v1/grading") => {
            grading::grade(gateway, &read_body(body, BODY_MAX, BODY_TIMEOUT).await?).await
        }
        (&Method::GET, "/admin/v1/users/help") => records::help(gateway, head.uri.query()).await,
        (&Method::GET, "/admin/v1/records") => records::health(gateway),
        (&Method::GET, "/admin/v1/evals") => evals::scores(gateway, head.uri.query()).await,
        (&Method::GET, "/admin/v1/evals/drift") => evals::drifted(gateway).await,
        (&Method::POST, "/admin/v1/privacy/scan") => {
            let body = read_body(body, SCAN_MAX, BODY_TIMEOUT).await?;
            privacy::scan(gateway, &body).await
        }
        (&Method::DELETE, path) if path.starts_with(privacy::USERS) => {
            privacy::erase(gateway, &privacy::subject(path, head.uri.query())?).await
        }
        (&Method::GET, path) if path.starts_with(privacy::USERS) => {
            privacy::export(gateway, &privacy::subject(path, head.uri.query())?).await
        }
        (&Method::DELETE, path) if path.starts_with("/admin/v1/keys/") => {
            let id = path.trim_start_matches("/admin/v1/keys/").to_owned();
            let at_ms = gateway.state.clock.now_ms();
            let key = blocking(gateway, move |gateway| {
                let key = gateway.control.revoke_key(
                    &id,
                    &Act {
                        actor: "admin",
                        at_ms,
                    },
                )?;
                gateway.refresh_keys()?;
                Ok(key)
            });
            Ok(reply::json(StatusCode::OK, &json!(key.await?)))
        }
        _ => Err(no_such_path()),
    }
}

fn no_such_path() -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        "there is no such path on the admin listener",
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateKey {
    tenant: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    env: Option<String>,
    #[serde(default)]
    expires_at_ms: Option<u64>,
    #[serde(default)]
    routes: Vec<String>,
}

async fn create_key(gateway: &Arc<Gateway>, body: bytes::Bytes) -> Result<Reply, ApiError> {
    let wanted: CreateKey =
        serde_json::from_slice(&body).map_err(|error| ApiError::invalid("", error))?;
    let at_ms = gateway.state.clock.now_ms();
    let made = blocking(gateway, move |gateway| {
        let new = NewKey {
            tenant: wanted.tenant,
            name: wanted.name,
            env: wanted.env.unwrap_or_else(|| "live".to_owned()),
            expires_at_ms: wanted.expires_at_ms,
            routes: wanted.routes,
        };
        let made = gateway.control.create_key(
            &new,
            &gateway.hasher,
            &Act {
                actor: "admin",
                at_ms,
            },
        )?;
        gateway.refresh_keys()?;
        Ok(made)
    });
    let (plain, record) = made.await?;
    let mut value = json!(record);
    if let Value::Object(members) = &mut value {
        members.insert("key".into(), plain.expose().into());
    }
    Ok(reply::json(StatusCode::CREATED, &value))
}

/// Runs a call of the control store where it may block.
async fn blocking<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    work: impl FnOnce(&Gateway) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ApiError> {
    let gateway = gateway.clone();
    let done = tokio::task::spawn_blocking(move || work(&gateway)).await;
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error @ (ControlError::NoSuchKey(_) | ControlError::BadName(_)))) => {
            Err(ApiError::invalid("", error))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the control store failed");
            Err(ApiError::new(
                ErrorCode::Internal,
                "the control store failed; the log says why",
            ))
        }
        Err(_) => Err(ApiError::new(
            ErrorCode::Internal,
            "the control store failed",
        )),
    }
}

fn config(gateway: &Gateway) -> Value {
    let policy = gateway.policy();
    let status = gateway.reload_status();
    let outcome = match (&status.error, status.at_ms) {
        (_, 0) => "never",
        (None, _) => "ok",
        (Some(_), _) => "error",
    };
    json!({
        "reload": { "outcome": outcome, "at_ms": status.at_ms, "error": status.error },
        "providers": policy.file.providers.keys().collect::<Vec<_>>(),
        "routes": policy.file.routes,
    })
}
