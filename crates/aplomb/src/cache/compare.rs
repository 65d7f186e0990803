//! `aplomb cache compare`: would the answer to one question be given for another one?

use crate::cli::CompareArgs;
use crate::jsonl;
use crate::output::{Failure, line};
use aplomb_latency::cache::guard::{Features, Limits, Ruling, Strictness, compare};
use aplomb_models::embed::{Model, Scratch, cosine};
use serde::Deserialize;
use serde_json::{Value, json};
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
        let input = jsonl::open(Path::new(file))?;
        return jsonl::each(input, "an object with `id`, `a` and `b`", |item: Item| {
            let Ruling { score, hit, reason } = judge.rule(&item.a, &item.b);
            let score = (f64::from(score) * 1e4).round() / 1e4;
            json!({ "id": item.id, "score": score, "hit": hit, "reason": reason })
        });
    }
    let [a, b] = args.texts.as_slice() else {
        return Err(Failure::wrong("expected two questions"));
    };
    let Ruling { score, hit, reason } = judge.rule(a, b);
    let word = if hit { "hit" } else { "miss" };
    line(&format!("{word}  score {score:.3}  ({reason})"));
    Ok(())
}
