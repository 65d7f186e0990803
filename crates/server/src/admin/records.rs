//! Records on the admin listener: lists, one exchange, free SQL, the state of the store.

use super::privacy::decoded;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::RequestId;
use aplomb_observe::help::who_needs_help;
use aplomb_observe::store::embedded::ask::{AskError, Filter, Limits, Reader, Sql};
use aplomb_observe::store::embedded::day_of;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Path of exchanges, with the id behind it.
pub(super) const REQUESTS: &str = "/admin/v1/requests/";

/// Days that a question of SQL sees unless it says otherwise.
const DAYS: u64 = 30;
/// Most rows and longest time that a question may ask for.
const ROWS_MAX: usize = 100_000;
const SECONDS_MAX: u64 = 60;
const DAY_MS: u64 = 86_400_000;

/// Runs a question where it may block.
pub(super) async fn ask<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    work: impl FnOnce(&Reader) -> Result<T, AskError> + Send + 'static,
) -> Result<T, ApiError> {
    let gateway = gateway.clone();
    let done = tokio::task::spawn_blocking(move || match &gateway.state.records {
        Some(records) => work(&records.reader()),
        None => Err(AskError::Wrong("no records are kept".to_owned())),
    });
    match done.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error @ (AskError::Wrong(_) | AskError::Slow(_)))) => {
            Err(ApiError::invalid("", error))
        }
        Ok(Err(AskError::Store(error))) => {
            tracing::error!(%error, "the records could not be read");
            Err(ApiError::new(
                ErrorCode::Internal,
                "the records could not be read; the log says why",
            ))
        }
        Err(_) => Err(ApiError::new(
            ErrorCode::Internal,
            "the question was broken off",
        )),
    }
}

/// The pairs of a query as JSON: numbers for fields that hold numbers.
pub(super) fn pairs(query: Option<&str>, numbers: &[&str]) -> Result<Value, ApiError> {
    let mut members = Map::new();
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = decoded(&value.replace('+', " "));
        let value = if numbers.contains(&name) {
            let number: u64 = text
                .parse()
                .map_err(|_| ApiError::invalid(name, "expected a whole number"))?;
            number.into()
        } else {
            Value::from(text)
        };
        members.insert(name.to_owned(), value);
    }
    Ok(Value::Object(members))
}

fn filter(query: Option<&str>) -> Result<Filter, ApiError> {
    let numbers = ["status", "slower_than_ms", "since_ms", "until_ms", "limit"];
    serde_json::from_value(pairs(query, &numbers)?).map_err(|error| ApiError::invalid("", error))
}

/// `GET /admin/v1/requests?tenant=...&since_ms=...`: exchanges that fit, newest first.
pub(super) async fn list(gateway: &Arc<Gateway>, query: Option<&str>) -> Result<Reply, ApiError> {
    let filter = filter(query)?;
    let rows = ask(gateway, move |reader| reader.list(&filter)).await?;
    Ok(reply::json(StatusCode::OK, &json!({ "data": rows })))
}

/// `GET /admin/v1/requests/{id}`: one exchange with its calls, text, feedback and scores.
pub(super) async fn one(gateway: &Arc<Gateway>, path: &str) -> Result<Reply, ApiError> {
    let text = path.strip_prefix(REQUESTS).unwrap_or_default();
    let id =
        RequestId::parse(text).ok_or_else(|| ApiError::invalid("id", "expected a record id"))?;
    let found = ask(gateway, move |reader| reader.one(id, None)).await?;
    match found {
        Some(value) => Ok(reply::json(StatusCode::OK, &value)),
        None => Err(ApiError::new(
            ErrorCode::NotFound,
            "there is no record of this id",
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    query: String,
    /// First and last day, `YYYY-MM-DD`.
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    rows: Option<usize>,
    #[serde(default)]
    seconds: Option<u64>,
}

impl Question {
    fn sql(self, today: u64) -> Result<Sql, ApiError> {
        let day = |name: &str, text: Option<&String>, default: u64| match text {
            None => Ok(default),
            Some(text) => day_of(text)
                .ok_or_else(|| ApiError::invalid(name, "expected a day such as 2026-01-31")),
        };
        let until = day("until", self.until.as_ref(), today)?;
        let since = day("since", self.since.as_ref(), until.saturating_sub(DAYS))?;
        let default = Limits::default();
        Ok(Sql {
            query: self.query,
            days: since..=until,
            tenant: self.tenant,
            limits: Limits {
                rows: self.rows.unwrap_or(default.rows).min(ROWS_MAX),
                time: self.seconds.map_or(default.time, |s| {
                    Duration::from_secs(s.clamp(1, SECONDS_MAX))
                }),
                ..default
            },
        })
    }
}

/// `POST /admin/v1/sql {query, since?, until?, tenant?, rows?, seconds?}`: a table.
pub(super) async fn sql(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let question: Question =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let sql = question.sql(gateway.state.clock.now_ms() / DAY_MS)?;
    let table = ask(gateway, move |reader| reader.sql(&sql)).await?;
    Ok(reply::json(StatusCode::OK, &table.to_json()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Help {
    days: u64,
    tenant: Option<String>,
    limit: usize,
}

impl Default for Help {
    fn default() -> Self {
        Help {
            days: 7,
            tenant: None,
            limit: 20,
        }
    }
}

/// `GET /admin/v1/users/help?days=7&tenant=...&limit=20`: users with trouble, worst first.
pub(super) async fn help(gateway: &Arc<Gateway>, query: Option<&str>) -> Result<Reply, ApiError> {
    let help: Help = serde_json::from_value(pairs(query, &["days", "limit"])?)
        .map_err(|error| ApiError::invalid("", error))?;
    let today = gateway.state.clock.now_ms() / DAY_MS;
    let days = today.saturating_sub(help.days.saturating_sub(1))..=today;
    let people = ask(gateway, move |reader| {
        who_needs_help(reader, days, help.tenant.as_deref(), help.limit.min(1_000))
    });
    Ok(reply::json(
        StatusCode::OK,
        &json!({ "data": people.await? }),
    ))
}

/// `GET /admin/v1/records`: the state of the store.
pub(super) fn health(gateway: &Gateway) -> Result<Reply, ApiError> {
    let health = gateway
        .state
        .records
        .as_ref()
        .map(|records| json!(records.health()));
    Ok(reply::json(
        StatusCode::OK,
        &health.unwrap_or_else(|| json!({ "state": "off" })),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_from_queries() {
        let read = filter(Some("tenant=acme&user=u%2F1&status=502&limit=5&text=a+b")).unwrap();
        assert_eq!(
            (read.tenant.as_deref(), read.user.as_deref(), read.status),
            (Some("acme"), Some("u/1"), Some(502))
        );
        assert_eq!((read.limit, read.text.as_deref()), (Some(5), Some("a b")));
        assert_eq!(
            filter(Some("limit=x")).unwrap_err().public,
            "limit: expected a whole number"
        );
        assert!(
            filter(Some("tennant=acme"))
                .unwrap_err()
                .public
                .contains("unknown field `tennant`")
        );
    }
}
