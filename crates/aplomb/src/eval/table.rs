//! The comparison as text.

use crate::output::line;
use aplomb_observe::evals::batch::{Ends, Row};

/// Characters of a target's name.
fn width(rows: &[Row]) -> usize {
    let names = rows.iter().map(|row| row.target.chars().count());
    names.max().unwrap_or(0).clamp(8, 48)
}

fn ends(ends: &Ends) -> String {
    format!("{:.3} [{:.3}, {:.3}]", ends.mean, ends.low, ends.high)
}

fn signed(ends: &Ends) -> String {
    format!("{:+.3} [{:+.3}, {:+.3}]", ends.mean, ends.low, ends.high)
}

/// Prints a block for each rubric, then time, tokens and money.
pub fn print(rows: &[Row], cases: usize, monthly: Option<f64>) {
    let width = width(rows);
    let first = rows.first();
    line(&format!("{cases} cases; intervals are 95 %"));
    for (at, head) in first.iter().flat_map(|row| &row.scores).enumerate() {
        line("");
        line(&format!("{} ({} is better)", head.rubric, head.better));
        for row in rows {
            let Some(cell) = row.scores.get(at) else {
                continue;
            };
            let score = cell.score.as_ref().map_or_else(
                || "no scores".to_owned(),
                |score| format!("{}  n {}", ends(score), score.n),
            );
            let difference = match (&cell.difference, cell.verdict) {
                (Some(found), Some(verdict)) => format!("  {}  {verdict}", signed(found)),
                _ => String::new(),
            };
            let invalid = match cell.invalid {
                0 => String::new(),
                n => format!("  ({n} without a usable number)"),
            };
            line(&format!(
                "  {:<width$}  {score}{difference}{invalid}",
                row.target
            ));
        }
    }
    money(rows, width, monthly);
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn money(rows: &[Row], width: usize, monthly: Option<f64>) {
    line("");
    line(&format!(
        "{:<width$}  {:>6}  {:>8}  {:>8}  {:>15}  {:>12}  saves USD a month",
        "target", "errors", "p50 ms", "p95 ms", "tokens in/out", "USD per 1000"
    ));
    for row in rows {
        let tokens = format!(
            "{}/{}",
            number(row.input_tokens, 0),
            number(row.output_tokens, 0)
        );
        let saves = row.saves_usd_a_month.as_ref().map_or_else(
            || "-".to_owned(),
            |found| format!("{:.2} [{:.2}, {:.2}]", found.mean, found.low, found.high),
        );
        line(&format!(
            "{:<width$}  {:>6}  {:>8}  {:>8}  {tokens:>15}  {:>12}  {saves}",
            row.target,
            row.errors,
            number(row.p50_ms, 0),
            number(row.p95_ms, 0),
            number(row.usd_per_1000, 4),
        ));
    }
    for row in rows {
        if let Some(error) = &row.error {
            line(&format!("{}: {error}", row.target));
        }
    }
    if let Some(monthly) = monthly {
        line(&format!("{monthly:.0} requests a month"));
    }
    let paid: i64 = rows.iter().map(|row| row.paid_nano).sum();
    line(&format!(
        "this run has cost {} USD",
        aplomb_core::money::NanoUsd(paid)
    ));
}
