//! `GET /admin/v1/evals`: scores with their agreement with people, and what is configured.

use super::records::ask_files;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_core::error::ApiError;
use aplomb_observe::evals::{agree, drift, report};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Days that are looked at unless the query says `days=N`.
const DAYS: u64 = 30;
const DAYS_MAX: u64 = 400;
const DAY_MS: u64 = 86_400_000;

/// Scores of the last days by route, evaluation and rubric.
pub(super) async fn scores(gateway: &Arc<Gateway>, query: Option<&str>) -> Result<Reply, ApiError> {
    let days = match query.unwrap_or_default() {
        "" => DAYS,
        query => {
            let days = query
                .strip_prefix("days=")
                .and_then(|days| days.parse().ok());
            days.filter(|days| (1..=DAYS_MAX).contains(days))
                .ok_or_else(|| ApiError::invalid("days", "expected `days=` and 1 to 400"))?
        }
    };
    let today = gateway.state.clock.now_ms() / DAY_MS;
    let range = today.saturating_sub(days - 1)..=today;
    let lines = ask_files(gateway, move |reader| report::report(reader, range)).await?;
    let evals = gateway.policy().file.observe.evals.clone();
    let spending = gateway.state.evals.spending(gateway.state.clock.now_ms());
    let spending: Vec<Value> = spending
        .into_iter()
        .map(|(eval, spent, used_up)| json!({ "eval": eval, "spent_usd": spent, "used_up": used_up }))
        .collect();
    Ok(reply::json(
        StatusCode::OK,
        &json!({ "evals": evals, "budgets": spending, "labels_min": agree::LABELS_MIN, "scores": lines }),
    ))
}

/// `GET /admin/v1/evals/drift`: measures of the last whole day against the days before.
pub(super) async fn drifted(gateway: &Arc<Gateway>) -> Result<Reply, ApiError> {
    let day = (gateway.state.clock.now_ms() / DAY_MS).saturating_sub(1);
    let found = ask_files(gateway, move |reader| drift::check(reader, day)).await?;
    Ok(reply::json(StatusCode::OK, &json!({ "data": found })))
}
