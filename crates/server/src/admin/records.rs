//! Records on the admin listener: lists, one exchange, free SQL, the state of the store.

use crate::gateway::Gateway;
use crate::query::decoded;
use crate::reply::{self, Reply};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::RequestId;
use aplomb_observe::help::who_needs_help;
use aplomb_observe::store::Ask;
use aplomb_observe::store::embedded::ask::{AskError, Filter, Limits, Reader, Sql};
use aplomb_observe::store::embedded::day_of;
use aplomb_observe::writer::RecordWriter;
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

/// Asks the store of this name.
async fn ask<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    store: Option<String>,
    work: impl FnOnce(&dyn Ask) -> Result<T, AskError> + Send + 'static,
) -> Result<T, ApiError> {
    answered(gateway, move |records| {
        work(&*records.ask(store.as_deref())?)
    })
    .await
}

/// Asks the files of the data folder, which hold what other stores do not.
pub(super) async fn ask_files<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    work: impl FnOnce(&Reader) -> Result<T, AskError> + Send + 'static,
) -> Result<T, ApiError> {
    answered(gateway, move |records| work(&records.reader())).await
}

/// Runs a question where it may block.
async fn answered<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    work: impl FnOnce(&RecordWriter) -> Result<T, AskError> + Send + 'static,
) -> Result<T, ApiError> {
    let gateway = gateway.clone();
    let done = tokio::task::spawn_blocking(move || match &gateway.state.records {
        Some(records) => work(records),
        None => Err(AskError::Wrong("no records are kept".to_owned())),
    });
    match done.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error @ (AskError::Wrong(_) | AskError::Slow(_)))) => {
            Err(ApiError::invalid("", error))
        }
        Ok(Err(AskError::Away(error))) => {
            tracing::warn!(error, "the shared store of records gave no answer");
            Err(ApiError::new(
                ErrorCode::Internal,
                format!("{error}; `store=embedded` asks the data folder"),
            ))
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

/// The store that a query names.
fn store(query: Option<&str>) -> Option<String> {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.find_map(|pair| pair.strip_prefix("store=").map(decoded))
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
    let mut filter = pairs(query, &numbers)?;
    if let Value::Object(members) = &mut filter {
        members.remove("store");
    }
    serde_json::from_value(filter).map_err(|error| ApiError::invalid("", error))
}

/// `GET /admin/v1/requests?tenant=...&since_ms=...`: exchanges that fit, newest first.
pub(super) async fn list(gateway: &Arc<Gateway>, query: Option<&str>) -> Result<Reply, ApiError> {
    let filter = filter(query)?;
    let rows = ask(gateway, store(query), move |records| records.list(&filter)).await?;
    Ok(reply::json(StatusCode::OK, &json!({ "data": rows })))
}

/// `GET /admin/v1/requests/{id}`: one exchange with its calls, text, feedback and scores.
pub(super) async fn one(
    gateway: &Arc<Gateway>,
    path: &str,
    query: Option<&str>,
) -> Result<Reply, ApiError> {
    let text = path.strip_prefix(REQUESTS).unwrap_or_default();
    let id =
        RequestId::parse(text).ok_or_else(|| ApiError::invalid("id", "expected a record id"))?;
    let found = ask(gateway, store(query), move |records| records.one(id, None)).await?;
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
    /// `embedded` or `clickhouse`.
    #[serde(default)]
    store: Option<String>,
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

/// `POST /admin/v1/sql {query, since?, until?, tenant?, store?, rows?, seconds?}`: a table.
pub(super) async fn sql(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let mut question: Question =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let store = question.store.take();
    let sql = question.sql(gateway.state.clock.now_ms() / DAY_MS)?;
    let table = ask(gateway, store, move |records| records.sql(&sql)).await?;
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
    let people = ask_files(gateway, move |reader| {
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
        let read = filter(Some(
            "store=clickhouse&tenant=acme&user=u%2F1&status=502&limit=5&text=a+b",
        ))
        .unwrap();
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
