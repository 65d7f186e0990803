//! What scores say, and how far people agree with them.

use super::agree::{Agreement, Voice, agreement, label};
use super::rubric::{Better, better};
use super::stats;
use crate::store::embedded::ask::{AskError, Limits, Reader, Sql};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Longest time and most rows of one question to the store.
const TIME: Duration = Duration::from_secs(60);
const ROWS: usize = 500_000;

/// Scores of one rubric of an evaluation on a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Route.
    pub route: String,
    /// Evaluation.
    pub eval: String,
    /// Rubric or rule.
    pub rubric: String,
    /// Which end is good: `higher` or `lower`.
    pub better: &'static str,
    /// Answers with a score.
    pub n: usize,
    /// Verdicts without a usable number.
    pub invalid: usize,
    /// Mean score with its 95 % interval.
    pub mean: Option<f64>,
    /// See `mean`.
    pub low: Option<f64>,
    /// See `mean`.
    pub high: Option<f64>,
    /// What it cost in nano-dollars.
    pub cost_nano: i64,
    /// How far people agree.
    pub agreement: Agreement,
}

#[derive(Default)]
struct Sum {
    scores: Vec<f64>,
    invalid: usize,
    cost_nano: i64,
    /// Score and label.
    pairs: Vec<(f64, f64)>,
}

fn ask(reader: &Reader, day: u64, query: &str) -> Result<Vec<Vec<Value>>, AskError> {
    let sql = Sql {
        query: query.to_owned(),
        days: day..=day,
        tenant: None,
        limits: Limits {
            rows: ROWS,
            bytes: 128 << 20,
            time: TIME,
        },
    };
    Ok(reader.sql(&sql)?.rows)
}

fn text(row: &[Value], at: usize) -> String {
    let found = row.get(at).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

/// Labels of a day's answers, by record id.
fn labels(reader: &Reader, day: u64) -> Result<HashMap<String, f64>, AskError> {
    let query = "SELECT id, by, source, thumb, score, label FROM feedback ORDER BY at";
    let mut voices: HashMap<String, Vec<Voice>> = HashMap::new();
    for row in ask(reader, day, query)? {
        let thumb = row.get(3).and_then(Value::as_i64);
        voices.entry(text(&row, 0)).or_default().push(Voice {
            by: text(&row, 1),
            grader: text(&row, 2) == "grader",
            thumb: thumb.and_then(|thumb| i8::try_from(thumb).ok()),
            score: row.get(4).and_then(Value::as_f64),
            label: row.get(5).and_then(Value::as_str).map(str::to_owned),
        });
    }
    let labelled = voices
        .into_iter()
        .filter_map(|(id, voices)| Some((id, label(&voices)?)));
    Ok(labelled.collect())
}

/// One score with the route of its answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scored {
    pub(super) id: String,
    pub(super) route: String,
    pub(super) eval: String,
    pub(super) rubric: String,
    pub(super) score: Option<f64>,
    pub(super) cost_nano: i64,
}

/// All scores of a day's answers.
///
/// The views have ids as text that no index knows: a join of them would compare each score with each record, so routes are
/// read in one pass and joined here.
pub(super) fn scored(reader: &Reader, day: u64) -> Result<Vec<Scored>, AskError> {
    let query = "SELECT id, eval, rubric, score, cost_nano FROM scores";
    let scores = ask(reader, day, query)?;
    if scores.is_empty() {
        return Ok(Vec::new());
    }
    let query = "SELECT id, route FROM requests WHERE id IN (SELECT id FROM scores)";
    let routes: HashMap<String, String> = ask(reader, day, query)?
        .iter()
        .map(|row| (text(row, 0), text(row, 1)))
        .collect();
    let one = |row: Vec<Value>| {
        let id = text(&row, 0);
        Scored {
            route: routes.get(&id).cloned().unwrap_or_default(),
            id,
            eval: text(&row, 1),
            rubric: text(&row, 2),
            score: row.get(3).and_then(Value::as_f64),
            cost_nano: row.get(4).and_then(Value::as_i64).unwrap_or(0),
        }
    };
    Ok(scores.into_iter().map(one).collect())
}

/// Scores of these days by route, evaluation and rubric. Blocking.
///
/// # Errors
/// The store can't be read.
pub fn report(reader: &Reader, days: RangeInclusive<u64>) -> Result<Vec<Line>, AskError> {
    let mut sums: BTreeMap<(String, String, String), Sum> = BTreeMap::new();
    for day in days {
        let scores = scored(reader, day)?;
        if scores.is_empty() {
            continue;
        }
        let labels = labels(reader, day)?;
        for one in scores {
            let label = labels.get(&one.id).copied();
            let sum = sums.entry((one.route, one.eval, one.rubric)).or_default();
            sum.cost_nano += one.cost_nano;
            match one.score {
                None => sum.invalid += 1,
                Some(score) => {
                    sum.scores.push(score);
                    sum.pairs.extend(label.map(|label| (score, label)));
                }
            }
        }
    }
    let line = |((route, eval, rubric), sum): ((String, String, String), Sum)| {
        let interval = stats::bootstrap(&sum.scores, 7);
        let better = better(&rubric);
        Line {
            route,
            eval,
            better: match better {
                Better::Higher => "higher",
                Better::Lower => "lower",
            },
            n: sum.scores.len(),
            invalid: sum.invalid,
            mean: interval.map(|found| found.mean),
            low: interval.map(|found| found.low),
            high: interval.map(|found| found.high),
            cost_nano: sum.cost_nano,
            agreement: agreement(&sum.pairs, better),
            rubric,
        }
    };
    Ok(sums.into_iter().map(line).collect())
}
