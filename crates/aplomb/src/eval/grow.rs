//! `aplomb eval grow`: a suite from answers that people did not like. Its text is what was recorded: masked.

use super::{Folder, ago, quoted};
use crate::cli::{ConfigArgs, EvalGrowArgs};
use crate::output::{Failure, error_line, line};
use aplomb_config::suite::{SuiteCase, SuiteMessage};
use aplomb_core::id::RequestId;
use aplomb_observe::evals::agree::{Voice, label};
use aplomb_observe::evals::online::Recorded;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Writes cases.
///
/// # Errors
/// The records can't be read, there is nothing to write, or the file can't be written.
pub fn run(config: &ConfigArgs, args: &EvalGrowArgs) -> Result<(), Failure> {
    let folder = Folder::open(config)?;
    let since_ms = ago(args.since.0);
    let rows = folder.rows(
        since_ms,
        "SELECT DISTINCT id FROM feedback WHERE thumb = -1 OR label = 'inaccurate' OR correction IS NOT NULL OR score < 0.5",
    )?;
    let (mut cases, mut without_text) = (Vec::new(), 0);
    for id in rows.iter().rev() {
        let id = id
            .first()
            .and_then(Value::as_str)
            .and_then(RequestId::parse);
        let Some(id) = id.filter(|id| id.at_ms() >= since_ms) else {
            continue;
        };
        let found = folder.reader.one(id, None).map_err(Failure::wrong)?;
        let Some(record) = found.filter(|record| fits(record, args.route.as_deref())) else {
            continue;
        };
        match case(&record) {
            Some(case) => cases.push(case),
            None => without_text += 1,
        }
        if cases.len() >= args.limit {
            break;
        }
    }
    if without_text > 0 {
        error_line(&format!(
            "{without_text} answers were left out: their text is not kept whole, or holds more than text"
        ));
    }
    if cases.is_empty() {
        return Err(Failure::wrong("no bad feedback with text in this time"));
    }
    let written = if args.out.extension().is_some_and(|ending| ending == "jsonl") {
        append(&args.out, &cases)?
    } else {
        create(&folder, &args.out, &cases)?
    };
    line(&format!(
        "{written} cases written to {}",
        args.out.display()
    ));
    Ok(())
}

fn voices(record: &Value) -> Vec<Voice> {
    let list = record.get("feedback").and_then(Value::as_array);
    let voice = |one: &Value| Voice {
        by: text(one, "by").unwrap_or_default(),
        grader: text(one, "source").as_deref() == Some("grader"),
        thumb: one
            .get("thumb")
            .and_then(Value::as_i64)
            .and_then(|thumb| i8::try_from(thumb).ok()),
        score: one.get("score").and_then(Value::as_f64),
        label: text(one, "label"),
    };
    list.into_iter().flatten().map(voice).collect()
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The last word of the last voice that has one of this name.
fn last(record: &Value, name: &str) -> Option<String> {
    let list = record.get("feedback").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .rev()
        .find_map(|one| text(one, name))
}

/// Whether an answer is of this route, and bad to people all in all, or corrected.
fn fits(record: &Value, route: Option<&str>) -> bool {
    let of_route = route.is_none_or(|route| text(record, "route").as_deref() == Some(route));
    let bad = label(&voices(record)).is_some_and(|label| label < 0.5);
    of_route && (bad || last(record, "correction").is_some())
}

/// A case; `None` where the text is not there, or holds more than text.
fn case(record: &Value) -> Option<SuiteCase> {
    let recorded = Recorded::of(record)?;
    let mut case = SuiteCase {
        id: Some(recorded.id),
        system: Some(recorded.system).filter(|system| !system.is_empty()),
        reference: last(record, "correction"),
        from_route: Some(recorded.route).filter(|route| !route.is_empty()),
        note: last(record, "comment"),
        ..SuiteCase::default()
    };
    match serde_json::from_str::<Value>(&recorded.messages) {
        Ok(Value::Array(list)) => {
            let messages: Option<Vec<SuiteMessage>> = list.iter().map(message).collect();
            case.messages = messages?;
            if case.messages.last()?.role != "user" {
                return None;
            }
            if let [only] = case.messages.as_slice() {
                case.prompt = Some(only.content.clone());
                case.messages.clear();
            }
        }
        _ => case.prompt = Some(recorded.messages),
    }
    Some(case)
}

fn message(value: &Value) -> Option<SuiteMessage> {
    let role = text(value, "role").filter(|role| matches!(role.as_str(), "user" | "assistant"))?;
    let content = match value.get("content")? {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Option<Vec<String>> = parts.iter().map(|part| text(part, "text")).collect();
            texts?.join("\n")
        }
        _ => return None,
    };
    Some(SuiteMessage { role, content })
}

/// Adds cases that are not there yet to a file of JSON Lines.
fn append(path: &Path, cases: &[SuiteCase]) -> Result<usize, Failure> {
    let there = std::fs::read_to_string(path).unwrap_or_default();
    let known: HashSet<String> = there
        .lines()
        .filter_map(|line| text(&serde_json::from_str::<Value>(line).ok()?, "id"))
        .collect();
    let is_new = |case: &&SuiteCase| case.id.as_ref().is_none_or(|id| !known.contains(id));
    let fresh: Vec<&SuiteCase> = cases.iter().filter(is_new).collect();
    let mut out = String::new();
    for case in &fresh {
        let _ = writeln!(out, "{}", json!(case));
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(out.as_bytes()))
        .map_err(|error| Failure::wrong(format!("{}: {error}", path.display())))?;
    Ok(fresh.len())
}

/// Writes a new suite: the routes as targets, and the judge of an evaluation of theirs.
fn create(folder: &Folder, path: &Path, cases: &[SuiteCase]) -> Result<usize, Failure> {
    let routes: Vec<&String> = cases
        .iter()
        .filter_map(|case| case.from_route.as_ref())
        .collect();
    let mut targets = routes.clone();
    targets.dedup();
    targets.truncate(1);
    let evals = folder.file.observe.evals.iter();
    let eval = evals
        .filter(|eval| eval.judge.is_some())
        .find(|eval| targets.iter().any(|route| eval.routes.contains(route)));
    let mut out = String::from("# Answers that people did not like. Text is as it was recorded.\n");
    let _ = writeln!(out, "targets: {}", json!(targets));
    let _ = writeln!(out, "rules: [empty, refusal]");
    if let Some(eval) = eval {
        let corrected = cases.iter().any(|case| case.reference.is_some());
        let mut rubrics = eval.rubrics.clone();
        if corrected && !rubrics.iter().any(|rubric| rubric == "correctness") {
            rubrics.push("correctness".into());
        }
        let _ = writeln!(
            out,
            "judge: {}\nrubrics: {}",
            json!(eval.judge),
            json!(rubrics)
        );
    }
    out.push_str("cases:\n");
    for case in cases {
        let _ = writeln!(out, "  - {}", json!(case));
    }
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(out.as_bytes()))
        .map_err(|error| {
            let hint = quoted(&path.display().to_string());
            Failure::wrong(format!(
                "{hint}: {error}; a suite is not written over, a file that ends in .jsonl grows"
            ))
        })?;
    Ok(cases.len())
}
