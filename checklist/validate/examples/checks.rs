//! Time of the checks that ask nobody, for an answer of 2 kB.

use aplomb_config::validate::ValidatorConfig;
use aplomb_validate::answer::Answer;
use aplomb_validate::check::Asked;
use aplomb_validate::course::Course;
use aplomb_validate::grounding::Context;
use aplomb_validate::policy::Validation;
use aplomb_validate::relevance;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 2_000;

fn answer() -> String {
    let line = |n: u32| json!({ "what": format!("item number {n} of the order"), "amount": n * 7, "unit": "pieces" });
    let lines: Vec<Value> = (0..28).map(line).collect();
    json!({ "number": "INV-2041", "lines": lines, "total": 2646 }).to_string()
}

/// Microseconds of one look: the median and the 99th percentile.
fn time(config: Value) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let config: ValidatorConfig = serde_json::from_value(config)?;
    let mut validation = Validation::default();
    let read = |_: &str| Err("no files here".to_owned());
    validation
        .add("v", &config, &read)
        .map_err(|wrong| format!("{wrong:?}"))?;
    let validation = Arc::new(validation);
    let answer = Answer::text(&answer());
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (mut course, answer) = (
                Course::new(validation.clone(), Asked::default()),
                answer.clone(),
            );
            let since = Instant::now();
            course.judge(answer);
            since.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |place: usize| times.get(place).copied().unwrap_or_default();
    Ok((at(ROUNDS / 2), at(ROUNDS * 99 / 100)))
}

/// Milliseconds that ten sentences take, laid beside a context of 2 kB and a question.
fn compared() -> (f64, f64, f64) {
    let context: String = (1..=28)
        .map(|n| {
            format!(
                "The part number {n} costs {} euros and weighs {} grams, but it has no cover. ",
                n * 7,
                n * 31
            )
        })
        .collect();
    let answer: String = (1..=10)
        .map(|n| format!("Part {n} costs {} euros. ", n * 7))
        .collect();
    let mut times: Vec<[f64; 3]> = Vec::new();
    for _ in 0..50 {
        let since = Instant::now();
        let ready = Context::new(&context);
        let read = since.elapsed();
        ready.ground(&answer);
        let laid = since.elapsed();
        relevance::score("What does part 5 cost, and what does it weigh?", &answer);
        let all = since.elapsed();
        times.push([read, laid - read, all - laid].map(|time| time.as_secs_f64() * 1e3));
    }
    let median = |pick: fn(&[f64; 3]) -> f64| {
        let mut all: Vec<f64> = times.iter().map(pick).collect();
        all.sort_by(f64::total_cmp);
        all.get(25).copied().unwrap_or_default()
    };
    (
        median(|[a, _, _]| *a),
        median(|[_, b, _]| *b),
        median(|[_, _, c]| *c),
    )
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = json!({ "type": "object", "required": ["number", "lines", "total"], "additionalProperties": false, "properties": {
        "number": { "type": "string", "pattern": "^INV-[0-9]+$" }, "total": { "type": "number", "minimum": 0 },
        "lines": { "type": "array", "minItems": 1, "items": { "type": "object", "required": ["what", "amount"],
            "properties": { "what": { "type": "string", "maxLength": 200 }, "amount": { "type": "integer" }, "unit": { "enum": ["pieces", "kg"] } } } } } });
    let length = json!({ "length": { "words": { "min": 3 }, "characters": { "max": 100_000 } } });
    let regex = json!({ "regex": "INV-[0-9]+" });
    let sets = [
        ("json_schema", json!([{ "json_schema": schema }])),
        ("length, regex", json!([length, regex])),
        (
            "json_schema, length, regex",
            json!([{ "json_schema": schema }, length, regex]),
        ),
        (
            "no_refusal, no_repetition, no_gibberish, no_invisible, banned_words, links",
            json!(["no_refusal", "no_repetition", "no_gibberish", "no_invisible", { "banned_words": ["acme", "globex"] }, { "links": "example.com" }]),
        ),
    ];
    let mut out = std::io::stdout().lock();
    writeln!(out, "an answer of {} bytes", answer().len())?;
    for (name, config) in sets {
        let (median, p99) = time(config)?;
        writeln!(out, "{median:>7.1} us (p99 {p99:.1})  {name}")?;
    }
    let (read, laid, relevance) = compared();
    writeln!(
        out,
        "{read:.2} ms to read a context, {laid:.2} ms for ten sentences beside it, {relevance:.2} ms for relevance"
    )?;
    Ok(())
}
