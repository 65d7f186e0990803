//! `aplomb validate`: what validators say of answers in a file, so that a rule is tuned before it blocks.

use crate::check;
use crate::cli::{ValidateArgs, ValidateCommand};
use crate::jsonl;
use crate::output::{Failure, error_line};
use aplomb_core::dialect;
use aplomb_core::request::Operation;
use aplomb_validate::answer::Answer;
use aplomb_validate::check::Asked;
use aplomb_validate::grounding::{Context, Reason, Sentence};
use aplomb_validate::policy::Validation;
use aplomb_validate::relevance;
use aplomb_validate::schema::Schema;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

/// `aplomb validate`.
///
/// # Errors
/// The configuration, the route or the input is wrong.
pub fn run(args: &ValidateArgs) -> Result<(), Failure> {
    match (&args.command, &args.route, &args.file) {
        (Some(ValidateCommand::Schema { file, .. }), ..) => schema(file),
        (Some(ValidateCommand::Grounding { file, .. }), ..) => grounding(file),
        (Some(ValidateCommand::Relevance { file, .. }), ..) => relevance(file),
        (None, Some(route), Some(file)) => answers(args, route, file),
        (None, ..) => Err(Failure::wrong("expected `--route` and `--file`")),
    }
}

#[derive(Deserialize)]
struct Case {
    id: Value,
    schema: Value,
    instance: Value,
}

fn schema(file: &Path) -> Result<(), Failure> {
    let expected = "an object with `id`, `schema` and `instance`";
    jsonl::each(jsonl::open(file)?, expected, |case: Case| {
        let errors = match Schema::new(&case.schema) {
            Err(error) => vec![json!({ "message": error })],
            Ok(schema) => {
                let wrong = schema.wrong(&case.instance).into_iter();
                wrong
                    .map(|one| json!({ "place": one.place, "message": one.detail }))
                    .collect()
            }
        };
        json!({ "id": case.id, "valid": errors.is_empty(), "errors": errors })
    })
}

#[derive(Deserialize)]
struct Told {
    id: Value,
    context: String,
    answer: String,
}

fn grounding(file: &Path) -> Result<(), Failure> {
    let expected = "an object with `id`, `context` and `answer`";
    jsonl::each(jsonl::open(file)?, expected, |told: Told| {
        let found = Context::new(&told.context).ground(&told.answer);
        let sentence = |one: &Sentence| {
            let reason = one.reason.map(Reason::name);
            json!({ "text": one.text, "supported": reason.is_none(), "reason": reason })
        };
        let sentences: Vec<Value> = found.sentences.iter().map(sentence).collect();
        json!({ "id": told.id, "grounded": found.is_whole(), "sentences": sentences })
    })
}

#[derive(Deserialize)]
struct Pair {
    id: Value,
    question: String,
    answer: String,
}

fn relevance(file: &Path) -> Result<(), Failure> {
    let expected = "an object with `id`, `question` and `answer`";
    jsonl::each(jsonl::open(file)?, expected, |pair: Pair| {
        let score = relevance::score(&pair.question, &pair.answer);
        let rounded = (f64::from(score) * 1e4).round() / 1e4;
        json!({ "id": pair.id, "score": rounded, "relevant": score >= relevance::MIN })
    })
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    id: Value,
    answer: String,
    /// Body of the request, for checks that look at it.
    #[serde(default)]
    request: Option<Value>,
    /// What the answer is to be found in, where that is not in the request.
    #[serde(default)]
    context: Option<String>,
}

impl Item {
    fn asked(&self) -> Asked {
        let body = self.request.as_ref().map(Value::to_string);
        let read =
            body.and_then(|body| dialect::read(Operation::ChatCompletions, Bytes::from(body)).ok());
        let conversation = read.and_then(|request| dialect::conversation(&request).ok());
        conversation.map_or_else(Asked::default, |conversation| {
            let asked = Asked::of(&conversation);
            asked.with_context(&conversation, self.context.as_deref(), None)
        })
    }
}

fn answers(args: &ValidateArgs, route: &str, file: &Path) -> Result<(), Failure> {
    let (_, _, policy) = check::compiled(&args.config, &check::state())?;
    let known = policy.routes.get(route);
    let known = known.ok_or_else(|| Failure::wrong(format!("there is no route `{route}`")))?;
    let validation = known.checking.validation(Operation::ChatCompletions);
    let validation = validation
        .ok_or_else(|| Failure::wrong(format!("the route `{route}` has no validators")))?;
    let mut tally = Tally::new(validation);
    let expected = "an object with `answer`, and perhaps `id` and `request`";
    jsonl::each(jsonl::open(file)?, expected, |item: Item| {
        let failed = validation.audit(&Answer::text(&item.answer), &item.asked());
        let told: Vec<Value> = failed
            .iter()
            .map(|(rule, failure)| {
                json!({ "check": tally.name(*rule), "place": failure.place, "message": failure.message })
            })
            .collect();
        tally.add(failed.iter().map(|(rule, _)| *rule));
        json!({ "id": item.id, "pass": told.is_empty(), "failed": told })
    })?;
    tally.tell();
    Ok(())
}

/// How many answers pass which check.
struct Tally {
    names: Vec<String>,
    failed: Vec<u64>,
    answers: u64,
    passed: u64,
}

impl Tally {
    fn new(validation: &Validation) -> Self {
        let names: Vec<String> = validation
            .rules
            .iter()
            .map(|rule| rule.by.to_string())
            .collect();
        Tally {
            failed: vec![0; names.len()],
            names,
            answers: 0,
            passed: 0,
        }
    }

    fn name(&self, rule: usize) -> &str {
        self.names.get(rule).map_or("", String::as_str)
    }

    fn add(&mut self, failed: impl Iterator<Item = usize>) {
        self.answers += 1;
        let mut passes = true;
        for rule in failed {
            passes = false;
            if let Some(count) = self.failed.get_mut(rule) {
                *count += 1;
            }
        }
        self.passed += u64::from(passes);
    }

    /// On standard error, so that standard output holds a line for each answer and nothing else.
    fn tell(&self) {
        let row = |name: &str, passed: u64| {
            let share = match self.answers {
                0 => 100,
                answers => passed * 100 / answers,
            };
            error_line(&format!(
                "{passed:>8} of {} ({share:>3} %)  {name}",
                self.answers
            ));
        };
        for (name, failed) in self.names.iter().zip(&self.failed) {
            row(name, self.answers - failed);
        }
        row("all checks", self.passed);
    }
}
