//! Time of the checks that ask nobody, for an answer of 2 kB.

use aplomb_config::validate::ValidatorConfig;
use aplomb_validate::answer::Answer;
use aplomb_validate::check::Asked;
use aplomb_validate::course::Course;
use aplomb_validate::policy::Validation;
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
    Ok(())
}
