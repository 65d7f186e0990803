//! Privacy on the admin listener: what a text would show, and one person's data, handed over or erased.

use crate::gateway::Gateway;
use crate::query;
use crate::reply::{self, Reply};
use aplomb_control::store::Act;
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_privacy::detect::{Detector, Hint};
use aplomb_privacy::erase::{EraseError, Signer};
use aplomb_privacy::finder;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Path of users, with the id behind it.
pub(super) const USERS: &str = "/admin/v1/privacy/users/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    text: String,
}

fn internal(message: &str) -> ApiError {
    ApiError::new(ErrorCode::Internal, message)
}

/// `POST /admin/v1/privacy/scan {text}`: findings with their offsets in code points.
pub(super) async fn scan(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let scan: Scan = serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let policy = gateway.policy();
    let work = move || {
        let detector = match policy.detector() {
            Some(detector) => detector,
            None => Arc::new(finder::detector(Vec::new()).map_err(|_| ())?),
        };
        Ok::<_, ()>(spans(&detector, &scan.text))
    };
    let found = tokio::task::spawn_blocking(work).await;
    match found {
        Ok(Ok(spans)) => Ok(reply::json(StatusCode::OK, &json!({ "spans": spans }))),
        _ => Err(internal("the text could not be scanned")),
    }
}

fn spans(detector: &Detector, text: &str) -> Vec<Value> {
    let place = |byte: usize| text.get(..byte).unwrap_or_default().chars().count();
    let found = detector.detect(text, Hint::default());
    found
        .iter()
        .map(|entity| {
            json!({
                "start": place(entity.range.start),
                "end": place(entity.range.end),
                "type": entity.kind.name(),
                "score": entity.score,
                "reason": entity.reason.to_string(),
            })
        })
        .collect()
}

/// Who is meant by a path and its query (`?tenant=acme`).
pub(super) fn subject(path: &str, pairs: Option<&str>) -> Result<Subject, ApiError> {
    let user = query::decoded(path.strip_prefix(USERS).unwrap_or_default());
    if user.is_empty() {
        return Err(ApiError::invalid("", "the path must end with a user id"));
    }
    Ok(Subject {
        tenant: query::value(pairs, "tenant"),
        user,
    })
}

/// `DELETE /admin/v1/privacy/users/{id}`: erases in every store, and answers with the receipt.
pub(super) async fn erase(gateway: &Arc<Gateway>, subject: &Subject) -> Result<Reply, ApiError> {
    let (gateway, subject) = (gateway.clone(), subject.clone());
    let work = move || {
        let now_ms = gateway.state.clock.now_ms();
        let key = gateway.hasher.derive("receipts");
        let receipt =
            aplomb_privacy::erase::erase(&stores(&gateway), &subject, &Signer(&key), now_ms)?;
        let act = Act {
            actor: "admin",
            at_ms: now_ms,
        };
        if let Err(error) = gateway.control.note("privacy.erase", &receipt.id, &act) {
            tracing::error!(%error, "an erasure could not be noted in the audit trail");
        }
        Ok(receipt)
    };
    let receipt = outcome(tokio::task::spawn_blocking(work).await)?;
    Ok(reply::json(StatusCode::OK, &json!(receipt)))
}

/// `GET /admin/v1/privacy/users/{id}`: everything that is kept.
pub(super) async fn export(gateway: &Arc<Gateway>, subject: &Subject) -> Result<Reply, ApiError> {
    let (gateway, subject) = (gateway.clone(), subject.clone());
    let work = move || aplomb_privacy::erase::export(&stores(&gateway), &subject);
    let found = outcome(tokio::task::spawn_blocking(work).await)?;
    Ok(reply::json(StatusCode::OK, &found))
}

/// Every store that keeps something of a person.
fn stores(gateway: &Gateway) -> Vec<&dyn Erase> {
    let state = &gateway.state;
    let mut stores: Vec<&dyn Erase> = vec![&state.caches, &state.shares, &state.trust];
    if let Some(records) = &gateway.state.records {
        // In this order: what is still to be shipped from the data folder is gone when ClickHouse is looked at.
        stores.push(records);
        stores.extend(records.clickhouse().map(|click| &**click as &dyn Erase));
    }
    stores
}

fn outcome<T>(done: Result<Result<T, EraseError>, tokio::task::JoinError>) -> Result<T, ApiError> {
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::error!(store = error.store, cause = %error.source, "a store could not be erased or read");
            Err(internal("a store failed; nothing is confirmed, try again"))
        }
        Err(_) => Err(internal("the work was broken off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_from_paths() {
        let of = |path: &str, query| subject(&format!("{USERS}{path}"), query).unwrap();
        assert_eq!(of("u%2F1%20%C3%A9", None).user, "u/1 é");
        assert_eq!(
            of("a%zz", Some("x=1&tenant=acme")).tenant.as_deref(),
            Some("acme")
        );
        assert_eq!(of("a%zz", None).user, "a%zz");
        assert!(subject(USERS, None).is_err());
    }
}
