//! What an alert looks at, read from the rollups and late facts.

use crate::store::embedded::DAY_MS;
use crate::store::embedded::ask::{AskError, Limits, Reader, Sql, quoted};
use aplomb_config::observe::{AlertCondition, Measure};
use serde_json::Value;
use std::time::Duration;

/// Least number of things that a share, a quantile or a mean is taken of. Chosen: one failure out of three is no alarm.
const LEAST: f64 = 10.0;

/// The value of a measure over the time of its condition; `None` where too little has happened. Blocking.
///
/// # Errors
/// The store can't be read.
pub(super) fn measure(
    reader: &Reader,
    condition: &AlertCondition,
    route: Option<&str>,
    now_ms: u64,
) -> Result<Option<f64>, AskError> {
    let span_ms = u64::try_from(condition.span.as_millis()).unwrap_or(u64::MAX);
    let since_ms = now_ms.saturating_sub(span_ms);
    let (query, counted) = question(&condition.measure, route, since_ms);
    let sql = Sql {
        query,
        days: since_ms / DAY_MS..=now_ms / DAY_MS,
        tenant: None,
        limits: Limits {
            time: Duration::from_secs(5),
            ..Limits::default()
        },
    };
    let table = reader.sql(&sql)?;
    let number = |at: usize| {
        table
            .rows
            .first()
            .and_then(|row| row.get(at))
            .and_then(Value::as_f64)
    };
    let minutes = condition.span.as_secs_f64() / 60.0;
    let value = match condition.measure {
        Measure::RequestsPerMinute | Measure::TokensPerMinute => {
            Some(number(0).unwrap_or(0.0) / minutes)
        }
        Measure::SpendPerMinute => Some(number(0).unwrap_or(0.0) / 1e9 / minutes),
        Measure::Spend => Some(number(0).unwrap_or(0.0) / 1e9),
        Measure::Ttft(_) | Measure::Total(_) | Measure::Overhead(_) => number(0).map(|us| us / 1e6),
        Measure::ErrorRate
        | Measure::GoneRate
        | Measure::ThumbsDownRate
        | Measure::LimitsSoft
        | Measure::LimitsRefused
        | Measure::Score(_)
        | Measure::Drift => number(0),
    };
    let enough = !counted || number(1).unwrap_or(0.0) >= LEAST;
    Ok(value.filter(|_| enough))
}

/// The question, and whether its second column counts what the first was taken of.
fn question(measure: &Measure, route: Option<&str>, since_ms: u64) -> (String, bool) {
    let (since, since_us) = (since_ms / 1000 / 60 * 60, since_ms.saturating_mul(1000));
    let from = format!(
        "FROM minutes WHERE t >= {since}{}",
        route.map_or_else(String::new, |route| format!(
            " AND route = {}",
            quoted(route)
        ))
    );
    let share = |of: &str| {
        (
            format!("SELECT sum({of}) * 1.0 / sum(requests), sum(requests) {from}"),
            true,
        )
    };
    let sum = |of: &str| (format!("SELECT sum({of}) {from}"), false);
    let quantile = |of: &str, percent: u8| {
        (
            format!(
                "SELECT hist_quantile(hist_merge({of}), {}), hist_count(hist_merge({of})) {from}",
                f64::from(percent) / 100.0
            ),
            true,
        )
    };
    let limited = |decision: &str| {
        let of = route.map_or_else(String::new, |route| {
            format!(" AND route = {}", quoted(route))
        });
        let from = "FROM requests WHERE limit_decision";
        (
            format!("SELECT count(*) {from} = '{decision}' AND at >= {since_us}{of}"),
            false,
        )
    };
    match measure {
        Measure::ErrorRate => share("failures"),
        Measure::GoneRate => share("gone"),
        Measure::Ttft(percent) => quantile("ttft", *percent),
        Measure::Total(percent) => quantile("total", *percent),
        Measure::Overhead(percent) => quantile("overhead", *percent),
        Measure::RequestsPerMinute => sum("requests"),
        Measure::TokensPerMinute => sum("input_tokens + output_tokens"),
        Measure::SpendPerMinute | Measure::Spend => sum("cost_nano"),
        // Not in the rollups: `Board::drift` looks at it.
        Measure::Drift => ("SELECT NULL, 0".to_owned(), true),
        Measure::ThumbsDownRate => (
            format!(
                "SELECT sum(thumb = -1) * 1.0 / count(*), count(*) FROM feedback WHERE thumb <> 0 AND at >= {since_us}"
            ),
            true,
        ),
        Measure::LimitsSoft => limited("soft"),
        Measure::LimitsRefused => limited("refused"),
        Measure::Score(rubric) => (
            format!(
                "SELECT avg(score), count(score) FROM scores WHERE rubric = {} AND at >= {since_us}",
                quoted(rubric)
            ),
            true,
        ),
    }
}
