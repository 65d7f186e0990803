//! What an embedding costs: milliseconds of one core, memory, time to load.
//!
//! `cargo run --release -p aplomb-models --example embed_cost`
#![expect(clippy::print_stdout, reason = "a measurement that is printed")]

use aplomb_models::embed::{Model, Scratch};
use std::hint::black_box;
use std::time::Instant;

const SENTENCE: &str = "The gateway counts the tokens, applies the limits of the user, masks personal data, looks for an \
                        equivalent question and then chooses a provider.";

/// A field of this process's status, in MiB.
fn status(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// Milliseconds that this thread has run, in steps of a few: scheduling and waiting are not in it.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text
        .split_whitespace()
        .next()
        .and_then(|ns| ns.parse::<f64>().ok());
    ns.unwrap_or(f64::NAN) / 1e6
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let model = Model::shared()?;
    println!(
        "load {:.0} ms, resident {:.0} MiB",
        begun.elapsed().as_secs_f64() * 1e3,
        status("VmRSS")
    );
    let mut scratch = Scratch::default();
    for (words, rounds) in [(16, 400_u32), (166, 60)] {
        let text: Vec<&str> = SENTENCE.split(' ').cycle().take(words).collect();
        let text = text.join(" ");
        let mut tokens = 0;
        let from = cpu_ms();
        let mut took: Vec<f64> = (0..rounds)
            .map(|_| {
                let begun = Instant::now();
                tokens = black_box(model.embed(black_box(&text), &mut scratch)).tokens;
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let cpu = (cpu_ms() - from) / f64::from(rounds);
        took.sort_by(f64::total_cmp);
        let at = |part: usize| {
            took.get(took.len() * part / 100)
                .copied()
                .unwrap_or(f64::NAN)
        };
        println!(
            "{tokens} tokens: {cpu:.1} ms of CPU in the mean; p50 {:.1} ms, p95 {:.1} ms, least {:.1} ms",
            at(50),
            at(95),
            at(0)
        );
    }
    println!(
        "resident {:.0} MiB, at most {:.0} MiB",
        status("VmRSS"),
        status("VmHWM")
    );
    Ok(())
}
