//! How long drift and the report take: `cargo run --release -p aplomb-observe --example evals -- [records a day]`.
//!
//! Writes fifteen days of records, one in two hundred with two scores, and asks.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that can't go on must fail, and shows what it found"
)]

use aplomb_core::id::RequestId;
use aplomb_core::usage::Usage;
use aplomb_observe::evals::{drift, report};
use aplomb_observe::record::{Outcome, Record};
use aplomb_observe::store::embedded::ask::Reader;
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::store::embedded::{Embedded, Entry, Late, Score};
use std::sync::Arc;
use std::time::Instant;

const DAY_MS: u64 = 86_400_000;
const FIRST: u64 = 20_500;

fn record(at_ms: u64, n: u64) -> Record {
    Record {
        id: RequestId::new(at_ms),
        at_ms,
        tenant: "acme".into(),
        user: Some(format!("u{}", n % 5_000)),
        operation: "chat_completions",
        model: "chat".into(),
        route: Some(format!("route-{}", n % 5).into()),
        target: Some("openai/gpt-5-mini".into()),
        outcome: Outcome::Done,
        status: 200,
        finish_reason: Some("stop"),
        usage: Usage {
            input: 400,
            output: 20 + n * n % 900,
            ..Usage::default()
        },
        ..Record::default()
    }
}

fn main() {
    let records: u64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let codec = Arc::new(Codec::new(None));
    let mut store = Embedded::new(folder.path().to_owned(), codec.clone(), "node".into());
    for day in FIRST..FIRST + 15 {
        let mut judged = Vec::new();
        for from in (0..records).step_by(5_000) {
            let entries: Vec<Entry> = (from..(from + 5_000).min(records))
                .map(|n| Entry {
                    record: Box::new(record(day * DAY_MS + n * DAY_MS / records, n)),
                    prompt: None,
                })
                .collect();
            store.write(&entries).unwrap();
            // A commit each is slow, and not what is measured here.
            let few = entries.iter().step_by(200);
            judged.extend(few.map(|entry| entry.record.id));
        }
        for id in judged {
            for rubric in ["relevance", "tone"] {
                let score = Score {
                    eval: "quality".into(),
                    rubric: rubric.into(),
                    score: Some(0.5),
                    judge: "x/y".into(),
                    ..Score::default()
                };
                assert!(store.late(id, &Late::Score(Box::new(score))).unwrap());
            }
        }
    }
    let reader = Reader::new(folder.path().to_owned(), codec);
    let begun = Instant::now();
    let found = drift::check(&reader, FIRST + 14).unwrap();
    println!(
        "drift: {} measures of {} records in {:.1} s",
        found.len(),
        records * 15,
        begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    let lines = report::report(&reader, FIRST..=FIRST + 14).unwrap();
    println!(
        "report: {} lines in {:.1} s",
        lines.len(),
        begun.elapsed().as_secs_f64()
    );
}
