//! Human grading: a sample of answers is graded by two people who see neither who answered nor each other's grades; how far
//! they agree is told by Cohen's kappa.

use crate::evals::online::fraction;
use crate::evals::stats::kappa;
use crate::store::embedded::ask::{AskError, Reader};
use aplomb_core::id::RequestId;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Graders of one answer.
const GRADERS: usize = 2;
/// Labels of a grade, best first.
pub const LABELS: [&str; 3] = ["accurate", "partly", "inaccurate"];

/// Which answers are graded.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Days, counted from 1970-01-01.
    pub days: RangeInclusive<u64>,
    /// Only of this route.
    pub route: Option<String>,
    /// Share of all answers, 0 to 1. The same share takes the same answers.
    pub share: f64,
}

/// Grades by exchange: who, and which label.
type Grades = BTreeMap<RequestId, Vec<(String, String)>>;

fn grades(reader: &Reader, days: RangeInclusive<u64>) -> Result<Grades, AskError> {
    let mut grades = Grades::new();
    reader.each_day(days, |connection, _| {
        let sql = "SELECT id, by, label FROM feedback WHERE source = 'grader' AND label IS NOT NULL ORDER BY seq";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (by, label): (String, String) = (row.get(1)?, row.get(2)?);
            let given = grades.entry(RequestId::from_bytes(row.get(0)?)).or_default();
            // The last grade of a grader counts.
            given.retain(|(known, _)| *known != by);
            given.push((by, label));
        }
        Ok(())
    })?;
    Ok(grades)
}

/// The next answers for a grader, oldest first: in the sample, with text, not graded by them, and by fewer than two others.
/// What could sway them is left out: the model, the target, other grades.
///
/// # Errors
/// The store can't be read.
pub fn queue(
    reader: &Reader,
    sample: &Sample,
    grader: &str,
    limit: usize,
) -> Result<Vec<Value>, AskError> {
    let grades = grades(reader, sample.days.clone())?;
    let mut ids = Vec::new();
    reader.each_day(sample.days.clone(), |connection, with_text| {
        if !with_text {
            return Ok(());
        }
        let sql = "SELECT f.id FROM facts AS f JOIN t.texts AS x ON x.id = f.id \
                   WHERE f.outcome = (SELECT id FROM names WHERE text = 'done') \
                   AND (?1 IS NULL OR f.route = (SELECT id FROM names WHERE text = ?1)) ORDER BY f.id";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([&sample.route])?;
        while let Some(row) = rows.next()? {
            let id = RequestId::from_bytes(row.get(0)?);
            let given = grades.get(&id).map(Vec::as_slice).unwrap_or_default();
            let open = given.len() < GRADERS && given.iter().all(|(by, _)| by != grader);
            if open && ids.len() < limit && fraction(id, "grading") < sample.share {
                ids.push(id);
            }
        }
        Ok(())
    })?;
    let mut items = Vec::with_capacity(ids.len());
    for id in ids {
        let text = reader
            .one(id, None)?
            .and_then(|mut one| one.get_mut("text").map(Value::take));
        let text = text.unwrap_or(Value::Null);
        let part = |name: &str| text.get(name).cloned().unwrap_or(Value::Null);
        items.push(json!({ "request_id": id.to_string(), "system": part("system"), "messages": part("messages"), "answer": part("output") }));
    }
    Ok(items)
}

/// How far graders agree.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Answers with at least one grade.
    pub graded: usize,
    /// Answers with two.
    pub pairs: usize,
    /// Share of pairs with the same label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same: Option<f64>,
    /// Cohen's kappa: 1 full agreement, 0 as by chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kappa: Option<f64>,
    /// Grades by label.
    pub labels: BTreeMap<String, usize>,
}

fn ratio(a: usize, b: usize) -> f64 {
    let float = |n: usize| u32::try_from(n).map_or(f64::from(u32::MAX), f64::from);
    float(a) / float(b)
}

/// Agreement of all grades in these days.
///
/// # Errors
/// The store can't be read.
pub fn agreement(reader: &Reader, days: RangeInclusive<u64>) -> Result<Agreement, AskError> {
    let grades = grades(reader, days)?;
    let mut labels = BTreeMap::new();
    for (_, label) in grades.values().flatten() {
        *labels.entry(label.clone()).or_default() += 1;
    }
    // The first grader by name is always the first of a pair, so that kappa sees two people where there are two.
    let pair = |given: &Vec<(String, String)>| {
        let mut given = given.clone();
        given.sort();
        Some((given.first()?.1.clone(), given.get(1)?.1.clone()))
    };
    let pairs: Vec<(String, String)> = grades.values().filter_map(pair).collect();
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    Ok(Agreement {
        graded: grades.len(),
        pairs: pairs.len(),
        same: (!pairs.is_empty())
            .then(|| ratio(pairs.iter().filter(|(a, b)| a == b).count(), pairs.len())),
        kappa: kappa(&pairs),
        labels,
    })
}
