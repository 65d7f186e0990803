//! What callers may ask about themselves: `GET /aplomb/v1/limits/me`, `GET /aplomb/v1/decisions/{id}`.

use crate::auth::Access;
use crate::gateway::Gateway;
use crate::names;
use crate::query::value;
use crate::reply::{self, Reply};
use aplomb_core::caller::ID_BYTES_MAX;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::RequestId;
use aplomb_pipeline::limits::explain::Asked;
use aplomb_pipeline::policy::Policy;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

/// Path of decisions, with the id behind it.
pub(crate) const DECISIONS: &str = "/aplomb/v1/decisions/";

/// The end user that a caller means: `x-aplomb-user`, or `user` of the query; for a session, its own.
fn user(
    access: &Access,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Option<String>, ApiError> {
    if let Some(user) = access.user() {
        return Ok(Some(user.to_owned()));
    }
    let header = headers.get(&names::X_APLOMB_USER);
    let header = header.and_then(|value| value.to_str().ok()).map(str::trim);
    let header = header.filter(|text| !text.is_empty()).map(str::to_owned);
    let user = header.or_else(|| value(query, "user"));
    if user.as_ref().is_some_and(|user| user.len() > ID_BYTES_MAX) {
        let message = format!("expected at most {ID_BYTES_MAX} bytes");
        return Err(ApiError::invalid("user", message));
    }
    Ok(user)
}

/// How the caller's limits stand, with `?model=` for requests to that model.
///
/// # Errors
/// Unknown model, or one that this key may not use.
pub(crate) async fn limits(
    gateway: &Gateway,
    policy: &Policy,
    (access, headers, query): (&Access, &HeaderMap, Option<&str>),
) -> Result<Reply, ApiError> {
    let (tenant, key) = access.tenant_and_key();
    let user = user(access, headers, query)?;
    let model = value(query, "model");
    let session = headers.get(&names::X_APLOMB_SESSION);
    let route = match &model {
        Some(model) if !access.may_use(model) => {
            let message = "this API key may not use this model";
            return Err(ApiError::new(ErrorCode::NotAllowed, message));
        }
        Some(model) => policy.resolve(model, &gateway.state.metrics)?.name.clone(),
        None => None,
    };
    let asked = Asked {
        tenant: &tenant,
        key: &key,
        user: user.as_deref(),
        session: session.and_then(|value| value.to_str().ok()),
        model: model.as_deref(),
        route: route.as_deref(),
    };
    let told = policy.limits.explain(&gateway.state, &asked).await;
    Ok(reply::json(StatusCode::OK, &told))
}

fn unknown() -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        "there is no such decision, or it is not yours",
    )
}

/// Why a request was limited: what its record says, for its own tenant and user.
///
/// # Errors
/// There is none, or it is somebody else's, which nobody can tell apart.
pub(crate) async fn decision(
    gateway: &Arc<Gateway>,
    (access, headers): (&Access, &HeaderMap),
    (path, query): (&str, Option<&str>),
) -> Result<Reply, ApiError> {
    let text = path.strip_prefix(DECISIONS).unwrap_or_default();
    let id = RequestId::parse(text).ok_or_else(unknown)?;
    let (tenant, _) = access.tenant_and_key();
    let user = user(access, headers, query)?;
    let gateway = gateway.clone();
    let read = tokio::task::spawn_blocking(move || {
        let records = gateway.state.records.as_ref()?;
        let look = || records.reader().one(id, Some(&tenant)).ok().flatten();
        look().or_else(|| {
            records.flush().ok()?;
            look()
        })
    });
    let record = read.await.ok().flatten().ok_or_else(unknown)?;
    let own = record.get("user").and_then(Value::as_str);
    if user.is_some() && own != user.as_deref() {
        return Err(unknown());
    }
    Ok(reply::json(StatusCode::OK, &shown(&record)))
}

/// What of a record is told to whom it is about.
pub(crate) fn shown(record: &Value) -> Value {
    let of = |name: &str| record.get(name).cloned().unwrap_or(Value::Null);
    let decision = record.get("limit_decision").and_then(Value::as_str);
    let decision = decision.unwrap_or("admitted");
    let mut told = json!({
        "decision_id": of("id"), "at": of("at"), "model": of("model"), "status": of("status"),
        "decision": decision, "rule": of("limit_rule"), "plan": of("plan"),
        "trust": match record.get("trust") {
            None | Some(Value::Null) => Value::Null,
            Some(level) => json!({ "level": level, "score": of("karma") }),
        },
    });
    if let (Some(told), Some(Value::Object(detail))) =
        (told.as_object_mut(), record.get("limit_detail"))
    {
        told.extend(detail.clone());
    }
    told
}
