//! Figures of shipping to ClickHouse: what the outbox costs the writer, and how fast batches go.
//!
//! `cargo run --release -p aplomb-observe --example clickhouse -- URL ROWS facts|texts`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::panic,
    reason = "a program for figures"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use aplomb_observe::store::clickhouse::{ClickHouse, INSERT, Keep, Settings};
use aplomb_observe::store::embedded::ask::{Filter, Limits, Sql};
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::store::embedded::outbox::BatchBounds;
use aplomb_observe::store::embedded::{Embedded, Entry};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{DAY_MS, NOW, entry, prompt, record_at};

/// CPU time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn entries(from: u64, count: u64, texts: bool) -> Vec<Entry> {
    let one = |n: u64| {
        let mut record = record_at(
            NOW + n * 250,
            &format!("t{}", n % 50),
            &format!("u{}", n * n % 9_973),
        );
        record.total_ms = 200.0 + (n * 7_919 % 5_000) as f64;
        record.ttft_ms = Some(record.total_ms / 4.0);
        let text = || {
            prompt(
                "You are a helpful assistant.",
                &format!("Question {n}: {}", "what is it? ".repeat(60)),
                &"An answer. ".repeat(80),
            )
        };
        entry(record, texts.then(text))
    };
    (from..from + count).map(one).collect()
}

fn fill(store: &mut Embedded, rows: u64, texts: bool) -> Duration {
    let mut spent = Duration::ZERO;
    for from in (0..rows).step_by(512) {
        let part = entries(from, 512.min(rows - from), texts);
        let begun = cpu();
        store.write(&part).unwrap();
        spent += cpu() - begun;
    }
    spent
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (url, rows, texts) = (
        &arguments[1],
        arguments[2].parse::<u64>().unwrap(),
        arguments[3] == "texts",
    );
    let per_row = |time: Duration| time.as_secs_f64() * 1e6 / rows as f64;
    let (plain, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let codec = Arc::new(Codec::new(None));
    let new =
        |dir: &tempfile::TempDir| Embedded::new(dir.path().to_owned(), codec.clone(), "n".into());
    println!(
        "write: {:.1} us CPU a row",
        per_row(fill(&mut new(&plain), rows, texts))
    );
    let mut store = new(&dir).shipping();
    println!(
        "write with outbox: {:.1} us CPU a row",
        per_row(fill(&mut store, rows, texts))
    );
    let click = ClickHouse::new(Settings {
        url: url.clone(),
        database: format!("figures_{}", std::process::id()),
        user: "default".into(),
        password: None,
        texts,
        keep: Keep {
            facts_days: 400,
            text_days: 30,
        },
        first: false,
        insert: INSERT,
    })
    .unwrap();
    click.migrate().unwrap();
    let bounds = BatchBounds {
        rows: 5_000,
        text_bytes: 8 << 20,
    };
    let (begun, spent, mut batches) = (Instant::now(), cpu(), 0);
    while let Some(batch) = store.next_batch(bounds).unwrap() {
        click.send(dir.path(), &codec, &batch).unwrap();
        store.shipped(&batch).unwrap();
        batches += 1;
    }
    println!(
        "ship: {:.1} us CPU a row in the gateway, {:.0} rows/s, {batches} batches",
        per_row(cpu() - spent),
        rows as f64 / begun.elapsed().as_secs_f64()
    );
    for query in [
        "SELECT model, toStartOfHour(at) AS h, count(), sum(cost_nano) FROM requests GROUP BY model, h",
        "SELECT target, quantileDDMerge(0.01, 0.95)(ttft), sum(requests) FROM hours GROUP BY target",
        "SELECT user, sum(cost_nano) AS cost FROM users GROUP BY user ORDER BY cost DESC LIMIT 20",
    ] {
        let sql = Sql {
            query: query.into(),
            days: 0..=NOW / DAY_MS + 40,
            tenant: None,
            limits: Limits::default(),
        };
        let best = (0..5).map(|_| {
            let begun = Instant::now();
            click.sql(&sql).unwrap();
            begun.elapsed()
        });
        println!("{:.0} ms: {query}", best.min().unwrap().as_secs_f64() * 1e3);
    }
    let filter = Filter {
        tenant: Some("t1".into()),
        ..Filter::default()
    };
    let begun = Instant::now();
    let rows = click.list(&filter).unwrap();
    println!(
        "{:.0} ms: latest {} of a tenant",
        begun.elapsed().as_secs_f64() * 1e3,
        rows.len()
    );
}
