//! `aplomb cache compare`: would the answer to one question be given for another one?

use crate::cli::CompareArgs;
use crate::output::{Failure, line};
use aplomb_latency::cache::guard::{Features, Limits, Ruling, Strictness, compare};
use aplomb_models::embed::{Model, Scratch, cosine};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

#[derive(Deserialize)]
struct Item {
    id: Value,
    a: String,
    b: String,
}

/// The local embedder and the guard.
struct Judge {
    model: &'static Model<'static>,
    scratch: Scratch,
    limits: Limits,
}

impl Judge {
    fn new(threshold: Option<f32>) -> Result<Self, Failure> {
        let mut limits = Limits::from(Strictness::Strict);
        if let Some(threshold) = threshold {
            limits.threshold = threshold;
        }
        Ok(Judge {
            model: Model::shared().map_err(Failure::wrong)?,
            scratch: Scratch::default(),
            limits,
        })
    }

    fn rule(&mut self, a: &str, b: &str) -> Ruling {
        let one = self.model.embed(a, &mut self.scratch);
        let other = self.model.embed(b, &mut self.scratch);
        let close = cosine(&one.vector, &other.vector);
        compare(&Features::of(a), &Features::of(b), close, &self.limits)
    }
}

/// `aplomb cache compare`.
///
/// # Errors
/// What is asked can't be read.
pub fn run(args: &CompareArgs) -> Result<(), Failure> {
    let mut judge = Judge::new(args.threshold)?;
    if args.jsonl {
        let [file] = args.texts.as_slice() else {
            return Err(Failure::wrong(
                "expected one file with `--jsonl`; `-` reads from standard input",
            ));
        };
        return lines(&mut judge, BufReader::new(open(Path::new(file))?));
    }
    let [a, b] = args.texts.as_slice() else {
        return Err(Failure::wrong("expected two questions"));
    };
    let Ruling { score, hit, reason } = judge.rule(a, b);
    let word = if hit { "hit" } else { "miss" };
    line(&format!("{word}  score {score:.3}  ({reason})"));
    Ok(())
}

fn open(file: &Path) -> Result<Box<dyn Read>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let opened = std::fs::File::open(file);
    let opened = opened.map_err(|error| Failure::wrong(format!("{}: {error}", file.display())))?;
    Ok(Box::new(opened))
}

fn lines(judge: &mut Judge, input: impl BufRead) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, text) in input.lines().enumerate() {
        let text = text.map_err(|error| Failure::wrong(format!("line {}: {error}", number + 1)))?;
        if text.trim().is_empty() {
            continue;
        }
        let item: Item = serde_json::from_str(&text).map_err(|error| {
            let place = format!("line {}, column {}", number + 1, error.column());
            Failure::wrong(format!(
                "{place}: expected an object with `id`, `a` and `b`"
            ))
        })?;
        let Ruling { score, hit, reason } = judge.rule(&item.a, &item.b);
        let score = (f64::from(score) * 1e4).round() / 1e4;
        let answer = json!({ "id": item.id, "score": score, "hit": hit, "reason": reason });
        if writeln!(out, "{answer}").is_err() {
            return Ok(());
        }
    }
    Ok(())
}
