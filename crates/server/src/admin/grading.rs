//! Human grading on the admin listener.

use super::records::{ask_files, pairs};
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::RequestId;
use aplomb_observe::grading::{LABELS, Sample, agreement, queue};
use aplomb_observe::store::embedded::{Feedback, Late};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

const DAY_MS: u64 = 86_400_000;
/// Most answers that are handed out at once.
const ITEMS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    grader: String,
    #[serde(default)]
    route: Option<String>,
    /// Percent of all answers.
    #[serde(default = "default_percent")]
    percent: u64,
    #[serde(default = "default_days")]
    days: u64,
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_percent() -> u64 {
    5
}

fn default_days() -> u64 {
    7
}

fn default_limit() -> usize {
    10
}

/// `GET /admin/v1/grading?grader=ann&route=...&percent=5&days=7`: the next answers for a grader.
pub(super) async fn next(gateway: &Arc<Gateway>, query: Option<&str>) -> Result<Reply, ApiError> {
    let next: Next = serde_json::from_value(pairs(query, &["percent", "days", "limit"])?)
        .map_err(|error| ApiError::invalid("", error))?;
    let percent = u32::try_from(next.percent)
        .ok()
        .filter(|percent| (1..=100).contains(percent));
    let percent = percent
        .ok_or_else(|| ApiError::invalid("percent", "expected a whole number from 1 to 100"))?;
    let today = gateway.state.clock.now_ms() / DAY_MS;
    let sample = Sample {
        days: today.saturating_sub(next.days)..=today,
        route: next.route,
        share: f64::from(percent) / 100.0,
    };
    let items = ask_files(gateway, move |reader| {
        queue(reader, &sample, &next.grader, next.limit.min(ITEMS_MAX))
    });
    Ok(reply::json(
        StatusCode::OK,
        &json!({ "data": items.await? }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grade {
    request_id: String,
    grader: String,
    label: String,
    #[serde(default)]
    comment: Option<String>,
}

/// `POST /admin/v1/grading {request_id, grader, label, comment?}`: a grade; the last of a grader counts.
pub(super) async fn grade(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let grade: Grade =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let id = RequestId::parse(&grade.request_id)
        .ok_or_else(|| ApiError::invalid("request_id", "expected a record id"))?;
    if !LABELS.contains(&grade.label.as_str()) {
        return Err(ApiError::invalid(
            "label",
            format!("expected one of {}", LABELS.join(", ")),
        ));
    }
    if grade.grader.is_empty() || grade.grader.len() > 256 {
        return Err(ApiError::invalid(
            "grader",
            "expected a name of at most 256 bytes",
        ));
    }
    let gateway = gateway.clone();
    let work = move || {
        let records = gateway.state.records.as_ref()?;
        let feedback = Feedback {
            at_ms: gateway.state.clock.now_ms(),
            by: grade.grader,
            source: "grader",
            label: Some(grade.label),
            comment: grade.comment,
            ..Feedback::default()
        };
        records.late(id, Late::Feedback(Box::new(feedback))).ok()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Some(true)) => Ok(reply::json(
            StatusCode::OK,
            &json!({ "request_id": id.to_string(), "accepted": true }),
        )),
        Ok(Some(false)) => Err(ApiError::new(
            ErrorCode::NotFound,
            "there is no record of this id",
        )),
        _ => Err(ApiError::new(
            ErrorCode::Internal,
            "the grade could not be written; try again",
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    #[serde(default = "default_days")]
    days: u64,
}

/// `GET /admin/v1/grading/report?days=7`: how far graders agree.
pub(super) async fn report(gateway: &Arc<Gateway>, query: Option<&str>) -> Result<Reply, ApiError> {
    let span: Span = serde_json::from_value(pairs(query, &["days"])?)
        .map_err(|error| ApiError::invalid("", error))?;
    let today = gateway.state.clock.now_ms() / DAY_MS;
    let found = ask_files(gateway, move |reader| {
        agreement(reader, today.saturating_sub(span.days)..=today)
    });
    Ok(reply::json(StatusCode::OK, &json!(found.await?)))
}
