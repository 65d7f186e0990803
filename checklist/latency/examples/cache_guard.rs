//! Prints what the guard sees of labelled pairs, for the fit of its weights:
//! `cargo run -p aplomb-latency --example cache_guard -- checklist/latency/data/pairs/tuned.jsonl | train/guard_fit.py`.

use aplomb_latency::cache::guard::score::evidence;
use aplomb_latency::cache::guard::veto::Pair;
use aplomb_latency::cache::guard::{Features, Limits, Strictness, compare};
use serde_json::{Value, json};
use std::io::Write;

fn main() -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for path in std::env::args().skip(1) {
        for line in std::fs::read_to_string(path)?.lines() {
            let mut pair: Value = serde_json::from_str(line)?;
            let text = |name: &str| pair.get(name).and_then(Value::as_str).unwrap_or_default();
            let (a, b) = (Features::of(text("a")), Features::of(text("b")));
            let cosine: f32 =
                serde_json::from_value(pair.get("cosine").cloned().unwrap_or_default())?;
            let ruling = compare(&a, &b, cosine, &Limits::from(Strictness::Strict));
            let facts = evidence(&Pair::of(&a, &b), cosine);
            if let Some(object) = pair.as_object_mut() {
                object.insert("ruling".to_owned(), json!(ruling));
                object.insert("facts".to_owned(), json!(facts));
            }
            writeln!(out, "{pair}")?;
        }
    }
    Ok(())
}
