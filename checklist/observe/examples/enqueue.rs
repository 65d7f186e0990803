//! What handing a record over costs the thread of its request.
//!
//! `cargo run --release -p aplomb-observe --example enqueue`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a program for figures"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use aplomb_core::clock::SystemClock;
use aplomb_core::request::Operation;
use aplomb_observe::metrics::Metrics;
use aplomb_observe::queue::Submission;
use aplomb_observe::record::{KeepText, Texts};
use aplomb_observe::store::embedded::Bounds;
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::writer::{RecordWriter, Settings};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use support::{NOON, record};

const RECORDS: u64 = 20_000;

/// CPU time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn submission(n: u64, text: Option<&Bytes>) -> Submission {
    Submission {
        record: Box::new(record(NOON + n / 10, "acme", "u")),
        texts: text.map(|body| Texts {
            operation: Some(Operation::ChatCompletions),
            request: body.clone(),
            ..Texts::default()
        }),
        keep: if text.is_some() {
            KeepText::Masked
        } else {
            KeepText::None
        },
        ack: None,
    }
}

fn main() {
    let body =
        serde_json::json!({ "messages": [{ "role": "user", "content": "word ".repeat(600) }] });
    let body = Bytes::from(body.to_string());
    for (name, text) in [("facts", None), ("3 kB of text", Some(&body))] {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let settings = Settings {
            folder: dir.path().to_owned(),
            codec: Arc::new(Codec::new(None)),
            node: String::new(),
            bounds: Bounds {
                facts_days: 400,
                text_days: 30,
                facts_bytes: u64::MAX,
                text_bytes: u64::MAX,
                tenants: Vec::new(),
            },
            queue_bytes: 256 << 20,
            clock: Arc::new(SystemClock),
        };
        let writer = RecordWriter::start(settings, metrics.clone()).unwrap();
        let ready: Vec<Submission> = (0..RECORDS).map(|n| submission(n, text)).collect();
        let begun = cpu();
        ready
            .into_iter()
            .for_each(|submission| writer.put(submission));
        let spent = cpu() - begun;
        writer.close();
        println!(
            "{name}: {:.2} us CPU a record; {} written, {} lost",
            spent.as_nanos() as f64 / 1e3 / RECORDS as f64,
            metrics.records_written.get(),
            metrics.records_lost.get()
        );
    }
}
