//! Cases from recorded traffic, and how much of it there is.

use super::{DAY_MS, Folder, ago, quoted};
use crate::output::Failure;
use aplomb_core::clock::{Clock, SystemClock};
use aplomb_core::id::RequestId;
use aplomb_core::money::NanoUsd;
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_observe::evals::batch::{Case, History};
use aplomb_observe::evals::online::{Recorded, fraction};
use serde_json::Value;
use std::time::Duration;

/// Days of a month, for volumes.
const MONTH_DAYS: f64 = 30.0;

/// Cases of a route: answers that ended well and whose text is kept, spread evenly over the time.
///
/// # Errors
/// The records can't be read, or hold no such text.
pub fn cases(
    folder: &Folder,
    route: &str,
    since: Duration,
    limit: usize,
) -> Result<Vec<Case>, Failure> {
    let since_ms = ago(since);
    let rows = folder.rows(
        since_ms,
        &format!(
            "SELECT id FROM requests WHERE route = {} AND outcome = 'done' AND text_kept = 'whole' AND at >= {} \
             AND operation IN ('chat_completions', 'messages', 'completions')",
            quoted(route),
            since_ms.saturating_mul(1000)
        ),
    )?;
    let mut ids: Vec<(f64, RequestId)> = rows
        .iter()
        .filter_map(|row| RequestId::parse(row.first()?.as_str()?))
        .map(|id| (fraction(id, "traffic"), id))
        .collect();
    ids.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut cases = Vec::new();
    for (_, id) in ids {
        if cases.len() >= limit {
            break;
        }
        let found = folder.reader.one(id, None).map_err(Failure::wrong)?;
        cases.extend(found.as_ref().and_then(case));
    }
    if cases.is_empty() {
        return Err(Failure::wrong(format!(
            "no answers of the route `{route}` with their text in this time: give it `record: {{ text: masked }}`"
        )));
    }
    Ok(cases)
}

/// A case from a record; `None` where its text is no longer there.
pub fn case(record: &Value) -> Option<Case> {
    let number = |name: &str| record.get(name).and_then(Value::as_u64).unwrap_or(0);
    let cost = record.get("cost_usd").and_then(Value::as_str);
    let (read, written) = (number("cache_read_tokens"), number("cache_write_tokens"));
    Some(Case {
        recorded: Recorded::of(record)?,
        history: Some(History {
            took: Duration::from_micros(number("total_us")),
            usage: Usage {
                input: number("input_tokens").saturating_sub(read.saturating_add(written)),
                cache_read: read,
                cache_write_5m: written,
                output: number("output_tokens"),
                source: UsageSource::Provider,
                ..Usage::default()
            },
            cost: cost.and_then(|text| text.parse::<NanoUsd>().ok()),
        }),
        ..Case::default()
    })
}

/// Requests of a route in thirty days, by those since a moment or since the first one after it.
///
/// # Errors
/// The records can't be read.
pub fn monthly(folder: &Folder, route: &str, since: Duration) -> Result<f64, Failure> {
    let since_ms = ago(since);
    let rows = folder.rows(
        since_ms,
        &format!(
            "SELECT sum(requests), min(t) FROM hours WHERE route = {} AND t >= {}",
            quoted(route),
            since_ms / 1000
        ),
    )?;
    let sum: f64 = rows.iter().filter_map(|row| row.first()?.as_f64()).sum();
    let first = rows.iter().filter_map(|row| row.get(1)?.as_u64()).min();
    let now_ms = SystemClock.now_ms();
    let from_ms = first.map_or(since_ms, |first| first.saturating_mul(1000).max(since_ms));
    let days = now_ms.saturating_sub(from_ms).max(DAY_MS) as f64 / DAY_MS as f64;
    Ok(sum / days * MONTH_DAYS)
}
