//! `aplomb eval report` and `aplomb eval drift`.

use super::{DAY_MS, Folder};
use crate::cli::ConfigArgs;
use crate::output::{Failure, line};
use aplomb_core::clock::{Clock, SystemClock};
use aplomb_core::money::NanoUsd;
use aplomb_observe::evals::report::{self, Line};
use aplomb_observe::evals::{agree, drift};
use aplomb_observe::store::embedded::{date, day_of};
use serde_json::json;

/// Scores of the last days, with their agreement with people.
///
/// # Errors
/// The records can't be read.
pub fn report(config: &ConfigArgs, days: u64, json: bool) -> Result<(), Failure> {
    let folder = Folder::open(config)?;
    let today = SystemClock.now_ms() / DAY_MS;
    let range = today.saturating_sub(days.saturating_sub(1))..=today;
    let lines = report::report(&folder.reader, range).map_err(Failure::wrong)?;
    if json {
        line(&json!({ "labels_min": agree::LABELS_MIN, "scores": lines }).to_string());
        return Ok(());
    }
    if lines.is_empty() {
        let hint = if folder.file.observe.evals.is_empty() {
            "; none are configured: see `observe.evals`"
        } else {
            ""
        };
        line(&format!("no scores in the last {days} days{hint}"));
        return Ok(());
    }
    line(&format!(
        "{:<16}  {:<14}  {:<24}  {:<26}  {:>7}  {:>7}  {:>12}  agreement with people",
        "route", "evaluation", "rubric", "mean [95 %]", "n", "invalid", "USD"
    ));
    lines.iter().for_each(|one| line(&shown(one)));
    Ok(())
}

fn shown(one: &Line) -> String {
    let mean = match (one.mean, one.low, one.high) {
        (Some(mean), Some(low), Some(high)) => format!("{mean:.3} [{low:.3}, {high:.3}]"),
        _ => "-".to_owned(),
    };
    let found = &one.agreement;
    let number = |name: &str, value: Option<f64>| {
        value.map_or_else(String::new, |value| format!("{name} {value:.2} "))
    };
    let agreement = if found.calibrated {
        format!(
            "{}{}{}n {}",
            number("kappa", found.kappa),
            number("rho", found.spearman),
            number("AUC", found.auc),
            found.n
        )
    } else {
        format!(
            "uncalibrated: {} answers with a label, {} of both kinds are needed",
            found.n,
            agree::LABELS_MIN
        )
    };
    format!(
        "{:<16}  {:<14}  {:<24}  {mean:<26}  {:>7}  {:>7}  {:>12}  {agreement}",
        one.route,
        one.eval,
        format!("{} ({})", one.rubric, one.better),
        one.n,
        one.invalid,
        NanoUsd(one.cost_nano).to_string(),
    )
}

/// What differs on a day from the days before.
///
/// # Errors
/// The day is none, or the records can't be read.
pub fn drift(config: &ConfigArgs, day: Option<&str>, json: bool) -> Result<(), Failure> {
    let folder = Folder::open(config)?;
    let yesterday = (SystemClock.now_ms() / DAY_MS).saturating_sub(1);
    let day = match day {
        None => yesterday,
        Some(text) => {
            day_of(text).ok_or_else(|| Failure::wrong("expected a day such as 2026-01-31"))?
        }
    };
    let found = drift::check(&folder.reader, day).map_err(Failure::wrong)?;
    if json {
        line(&json!({ "day": date(day), "measures": found }).to_string());
        return Ok(());
    }
    if found.is_empty() {
        line(&format!(
            "{}: too few answers, or too few days before it with answers, to compare",
            date(day)
        ));
        return Ok(());
    }
    let shifted = found.iter().filter(|one| one.shifted).count();
    line(&format!(
        "{}: {shifted} of {} measures have shifted",
        date(day),
        found.len()
    ));
    for one in &found {
        let mark = if one.shifted { "shifted" } else { "quiet" };
        line(&format!(
            "{mark:<8} {:<16} {:<32} {} -> {}  effect {:.3} (usual {:.3})  n {}",
            one.route, one.measure, one.before, one.now, one.effect, one.usual, one.n.0
        ));
    }
    Ok(())
}
