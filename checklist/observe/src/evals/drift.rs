//! Finds measures that differ from the days before: lengths of answers, languages, refusals, scores.
//!
//! A measure counts as shifted if three things hold, each of which alone gives false alarms. The difference is larger than
//! chance explains (G-test, R. Sokal and F. Rohlf, "Biometry"; Bonferroni's correction for all measures that are looked
//! at). It is large enough to matter: population stability index of at least [`PSI_MIN`], freed of what it is by chance, or
//! for shares a difference of at least [`SHARE_MIN`]. And it is larger than what the days before differ among each other,
//! weekends included. Not found are slow drifts that stay small against the two weeks before.

use super::report::{Scored, scored};
use super::stats::chi_square_tail;
use crate::store::embedded::ask::{AskError, Limits, Reader, Sql};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Days that a day is compared with.
pub const REFERENCE_DAYS: u64 = 14;
/// Fewer of them with values say nothing: a week, so that a weekend was seen.
const DAYS_MIN: usize = 7;
/// Fewer values on a side say nothing.
const VALUES_MIN: u64 = 100;
/// Fewer values of a reference day do not tell what days differ by.
const DAY_VALUES_MIN: u64 = 30;
/// Least population stability index. The usual reading: below 0.1 no shift, above 0.25 a shift that wants action.
pub const PSI_MIN: f64 = 0.25;
/// Least difference of shares.
pub const SHARE_MIN: f64 = 0.03;
/// How much larger than the largest difference among the days before. Chosen with the simulation in the tests.
const BEYOND_DAYS: f64 = 2.0;
/// Probability of a false alarm by chance in all measures of a look together.
const ALPHA: f64 = 0.001;
/// Fewer expected values in a bin are put together with its neighbour.
const EXPECTED_MIN: f64 = 5.0;
/// Longest time and most rows of one question to the store.
const TIME: Duration = Duration::from_secs(60);
const ROWS: usize = 500_000;

/// What a measure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Values in bins.
    Distribution,
    /// How many of all: bins 0 (no) and 1 (yes).
    Share,
}

/// Counts by bin. Bins sort as their values do.
pub type Bins = BTreeMap<String, u64>;

/// A measure of a route by days.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Route; empty for requests without one.
    pub route: String,
    /// `output_tokens`, `language`, `filtered`, or `score:EVAL/RUBRIC`.
    pub measure: String,
    /// What it counts.
    pub kind: Kind,
    /// By day since 1970-01-01.
    pub days: BTreeMap<u64, Bins>,
}

/// A measure that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Route; empty for requests without one.
    pub route: String,
    /// The measure.
    pub measure: String,
    /// What it counts.
    pub kind: Kind,
    /// Values on the day, and in the days before.
    pub n: (u64, u64),
    /// Population stability index, or difference of shares.
    pub effect: f64,
    /// The largest effect among the days before.
    pub usual: f64,
    /// Probability of such a difference by chance, before the correction.
    pub p: f64,
    /// The most common value or the share before, and on the day.
    pub before: String,
    /// See `before`.
    pub now: String,
    /// Whether it counts as shifted.
    pub shifted: bool,
}

fn total(bins: &Bins) -> u64 {
    bins.values().sum()
}

fn add(sum: &mut Bins, bins: &Bins) {
    for (bin, count) in bins {
        *sum.entry(bin.clone()).or_default() += count;
    }
}

fn share(bins: &Bins) -> f64 {
    let yes = bins.get("1").copied().unwrap_or(0);
    yes as f64 / total(bins).max(1) as f64
}

/// Population stability index, half a value added to each bin, less what it is by chance for such numbers of values.
fn psi(now: &Bins, before: &Bins) -> f64 {
    let mut all = now.clone();
    add(&mut all, before);
    let k = all.len() as f64;
    let (n, m) = (total(now) as f64, total(before) as f64);
    let part = |bins: &Bins, bin: &String, sum: f64| {
        (bins.get(bin).copied().unwrap_or(0) as f64 + 0.5) / (sum + 0.5 * k)
    };
    let sum: f64 = all
        .keys()
        .map(|bin| (part(now, bin, n), part(before, bin, m)))
        .map(|(p, q)| (p - q) * (p / q).ln())
        .sum();
    (sum - (k - 1.0) * (1.0 / n.max(1.0) + 1.0 / m.max(1.0))).max(0.0)
}

fn effect(kind: Kind, now: &Bins, before: &Bins) -> f64 {
    match kind {
        Kind::Distribution => psi(now, before),
        Kind::Share => (share(now) - share(before)).abs(),
    }
}

/// Probability of a difference at least like this by chance: G-test of two rows, sparse bins put together.
fn chance(now: &Bins, before: &Bins) -> f64 {
    let mut all = now.clone();
    add(&mut all, before);
    let (n, m) = (total(now) as f64, total(before) as f64);
    let part = n.min(m) / (n + m);
    let mut columns: Vec<(f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0);
    for bin in all.keys() {
        open.0 += now.get(bin).copied().unwrap_or(0) as f64;
        open.1 += before.get(bin).copied().unwrap_or(0) as f64;
        if (open.0 + open.1) * part >= EXPECTED_MIN {
            columns.push(std::mem::take(&mut open));
        }
    }
    match columns.last_mut() {
        Some(last) => *last = (last.0 + open.0, last.1 + open.1),
        None => return 1.0,
    }
    if columns.len() < 2 {
        return 1.0;
    }
    let term = |seen: f64, expected: f64| {
        if seen > 0.0 {
            seen * (seen / expected).ln()
        } else {
            0.0
        }
    };
    let g: f64 = columns
        .iter()
        .map(|(a, b)| {
            let column = a + b;
            term(*a, column * n / (n + m)) + term(*b, column * m / (n + m))
        })
        .sum();
    chi_square_tail(2.0 * g, columns.len() as f64 - 1.0)
}

fn shown(kind: Kind, bins: &Bins) -> String {
    match kind {
        Kind::Share => format!("{:.1} %", share(bins) * 100.0),
        Kind::Distribution => median_or_mode(bins),
    }
}

/// The bin in the middle where bins are numbers, else the most common one.
fn median_or_mode(bins: &Bins) -> String {
    let numbers = bins.keys().all(|bin| bin.parse::<f64>().is_ok());
    if !numbers {
        let most = bins.iter().max_by_key(|(_, count)| **count);
        return most.map(|(bin, _)| bin.clone()).unwrap_or_default();
    }
    let mut left = total(bins) / 2;
    for (bin, count) in bins {
        if left < *count {
            return bin.trim_start_matches('0').to_owned();
        }
        left -= count;
    }
    String::new()
}

/// Compares a day of a measure with the days before it. `None` where there are too few values or days.
///
/// * `looks`: measures that are looked at together, for the correction.
pub fn compare(series: &Series, day: u64, looks: usize) -> Option<Finding> {
    let now = series.days.get(&day)?;
    let reference: Vec<&Bins> = series
        .days
        .range(day.saturating_sub(REFERENCE_DAYS)..day)
        .map(|(_, bins)| bins)
        .filter(|bins| total(bins) >= DAY_VALUES_MIN)
        .collect();
    let mut before = Bins::new();
    reference.iter().for_each(|bins| add(&mut before, bins));
    if reference.len() < DAYS_MIN || total(now) < VALUES_MIN || total(&before) < VALUES_MIN {
        return None;
    }
    let usual = reference
        .iter()
        .map(|own| {
            let mut others = before.clone();
            for (bin, count) in *own {
                if let Some(sum) = others.get_mut(bin) {
                    *sum -= count;
                }
            }
            effect(series.kind, own, &others)
        })
        .fold(0.0, f64::max);
    let (effect, p) = (effect(series.kind, now, &before), chance(now, &before));
    let least = match series.kind {
        Kind::Distribution => PSI_MIN,
        Kind::Share => SHARE_MIN,
    };
    let rare = p < ALPHA / looks.max(1) as f64;
    Some(Finding {
        route: series.route.clone(),
        measure: series.measure.clone(),
        kind: series.kind,
        n: (total(now), total(&before)),
        effect,
        usual,
        p,
        before: shown(series.kind, &before),
        now: shown(series.kind, now),
        shifted: rare && effect >= least && effect > BEYOND_DAYS * usual,
    })
}

/// Compares a day of all measures, shifted ones first.
pub fn look(all: &[Series], day: u64) -> Vec<Finding> {
    let mut found: Vec<Finding> = all
        .iter()
        .filter_map(|series| compare(series, day, all.len()))
        .collect();
    found.sort_by(|a, b| {
        let order = (b.shifted, b.effect).partial_cmp(&(a.shifted, a.effect));
        order.unwrap_or(std::cmp::Ordering::Equal)
    });
    found
}

/// Name of the bin of a number of tokens: its lower bound, two bins an octave.
pub fn length_bin(tokens: u64) -> String {
    let mut low = 0;
    let mut next = 1;
    while next <= tokens {
        low = next;
        // 1, 2, 3, 4, 6, 8, 12, 16, ...
        next = if next < 4 || next.is_power_of_two() {
            next + (next / 2).max(1)
        } else {
            next / 3 * 4
        };
    }
    format!("{low:07}")
}

/// Name of the bin of a score: its lower tenth.
pub fn score_bin(score: f64) -> String {
    format!(
        "{:.1}",
        (score.clamp(0.0, 1.0) * 10.0).floor().min(9.0) / 10.0
    )
}

/// Reads all measures of a day and the days before it. Blocking; scans the facts of those days.
///
/// # Errors
/// The store can't be read.
pub fn read(reader: &Reader, day: u64) -> Result<Vec<Series>, AskError> {
    let mut found = Measures::new();
    for at in day.saturating_sub(REFERENCE_DAYS)..=day {
        for (query, shape) in QUESTIONS {
            let table = reader.sql(&Sql {
                query: (*query).to_owned(),
                days: at..=at,
                tenant: None,
                limits: Limits {
                    rows: ROWS,
                    bytes: 64 << 20,
                    time: TIME,
                },
            })?;
            for row in &table.rows {
                note(&mut found, *shape, at, row);
            }
        }
        for scored in &scored(reader, at)? {
            if let Some(point) = Point::score(scored) {
                point.count(&mut found, at, 1);
            }
        }
    }
    Ok(found.into_values().collect())
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Tokens,
    Language,
    Filtered,
}

const QUESTIONS: &[(&str, Shape)] = &[
    (
        "SELECT route, output_tokens, count(*) FROM requests WHERE outcome = 'done' GROUP BY 1, 2",
        Shape::Tokens,
    ),
    (
        "SELECT route, language, count(*) FROM requests WHERE outcome = 'done' AND language IS NOT NULL GROUP BY 1, 2",
        Shape::Language,
    ),
    (
        "SELECT route, finish_reason = 'content_filter', count(*) FROM requests WHERE outcome = 'done' \
         AND finish_reason IS NOT NULL GROUP BY 1, 2",
        Shape::Filtered,
    ),
];

fn note(found: &mut BTreeMap<(String, String), Series>, shape: Shape, day: u64, row: &[Value]) {
    let text = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or_default();
    let value = row.get(1).unwrap_or(&Value::Null);
    let count = row.get(2).and_then(Value::as_u64).unwrap_or(0);
    let flag = |yes: bool| (Kind::Share, u8::from(yes).to_string());
    let (measure, (kind, bin)) = match shape {
        Shape::Tokens => {
            let bin = length_bin(value.as_u64().unwrap_or(0));
            ("output_tokens".to_owned(), (Kind::Distribution, bin))
        }
        Shape::Language => (
            "language".to_owned(),
            (Kind::Distribution, text(1).to_owned()),
        ),
        Shape::Filtered => ("filtered".to_owned(), flag(value.as_i64() == Some(1))),
    };
    let point = Point {
        route: text(0),
        measure,
        kind,
        bin,
    };
    point.count(found, day, count);
}

/// Values of one bin.
struct Point<'a> {
    route: &'a str,
    measure: String,
    kind: Kind,
    bin: String,
}

impl Point<'_> {
    fn count(self, found: &mut Measures, day: u64, count: u64) {
        let key = (self.route.to_owned(), self.measure.clone());
        let series = found.entry(key).or_insert_with(|| Series {
            route: self.route.to_owned(),
            measure: self.measure,
            kind: self.kind,
            days: BTreeMap::new(),
        });
        let bins = series.days.entry(day).or_default();
        *bins.entry(self.bin).or_default() += count;
    }

    /// A score: those that are mostly 0 or 1 count as shares.
    fn score(scored: &Scored) -> Option<Point<'_>> {
        let score = scored.score?;
        let rubric = scored.rubric.as_str();
        let share = matches!(
            rubric,
            "refusal" | "empty" | "length" | "language_match" | "toxicity"
        );
        let (kind, bin) = if share {
            (Kind::Share, u8::from(score >= 0.5).to_string())
        } else {
            (Kind::Distribution, score_bin(score))
        };
        Some(Point {
            route: &scored.route,
            measure: format!("score:{}/{rubric}", scored.eval),
            kind,
            bin,
        })
    }
}

/// Series by route and measure.
type Measures = BTreeMap<(String, String), Series>;

/// Compares a day of all measures with the days before it, shifted ones first. This is what an alert asks. Blocking.
///
/// # Errors
/// The store can't be read.
pub fn check(reader: &Reader, day: u64) -> Result<Vec<Finding>, AskError> {
    Ok(look(&read(reader, day)?, day))
}

#[cfg(test)]
mod tests;
