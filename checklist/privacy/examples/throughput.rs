//! Speed of detection on one thread: `cargo run --release -p aplomb-privacy --example throughput`.
//!
//! Prints megabytes per second on mixed text (prose of several languages, JSON, logs, code),
//! the time of one kilobyte, the time to build the detector, and the memory it takes.

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aplomb_privacy::detect::{Detector, DetectorError, DetectorSettings, Hint};

const PARTS: [&str; 8] = [
    "Dear team, I would like to ask whether the order that was placed last week has left the warehouse. The customer wrote \
     to support@example.com and asked for a call at +44 20 7946 0958, but nobody answered. Please look into it today and let \
     me know what the carrier says about the parcel; the address on file is 12 Maple Street, Springfield, IL 62701. ",
    "Sehr geehrte Damen und Herren, vielen Dank für Ihre Nachricht. Die Überweisung auf DE89 3704 0044 0532 0130 00 ist heute \
     eingegangen, und wir haben den Vorgang geschlossen. Bei Fragen erreichen Sie uns unter 030/1234567. ",
    "{\"id\": 8123, \"status\": \"active\", \"tags\": [\"a\", \"b\"], \"user\": {\"name\": \"x\", \"created\": \"2024-05-01T12:00:00Z\"}, \
     \"values\": [1.5, 2.25, 3.125], \"ok\": true}\n",
    "2024-05-01 12:00:01.123 INFO [worker-3] request finished path=/v1/items status=200 bytes=5123 ms=12 client=10.1.2.3\n",
    "fn main() {\n    let items: Vec<u32> = (0..10).map(|x| x * 2).collect();\n    for item in &items {\n        println!(\"{item}\");\n    }\n}\n",
    "El pedido fue enviado el lunes y llegará pronto. Si necesita ayuda, escriba a ventas@example.es o llame al 612 345 678. ",
    "我们已经收到您的来信，会尽快处理。如果有任何问题，请随时与我们联系，谢谢您的耐心等待。",
    "The quick brown fox jumps over the lazy dog while the rain keeps falling on the quiet town, and nothing else happens for \
     a long time; then the clock strikes nine and everybody goes home to read a book by the fire. ",
];

fn main() -> Result<(), DetectorError> {
    let memory_before = resident_kib();
    let started = Instant::now();
    let detector = Detector::new(&DetectorSettings::default())?;
    println!("build: {:?}", started.elapsed());
    println!(
        "memory: {} KiB more",
        resident_kib().saturating_sub(memory_before)
    );
    let mixed: String = PARTS.iter().cycle().take(400).copied().collect();
    report("mixed text", &detector, &mixed);
    for part in PARTS {
        let long: String = std::iter::repeat_n(part, 50_000 / part.len()).collect();
        let title: String = part.chars().take(24).collect();
        report(&title, &detector, &long);
    }
    let kilobyte = mixed
        .get(..mixed.floor_char_boundary(1000))
        .unwrap_or_default();
    let (each, _) = time(&detector, kilobyte);
    println!("one kilobyte: {each:?}");
    Ok(())
}

fn report(title: &str, detector: &Detector, text: &str) {
    let (each, found) = time(detector, text);
    let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
    println!(
        "{title:26} {:7.1} MB/s, {found} found in {bytes} bytes",
        f64::from(bytes) / each.as_secs_f64() / 1e6
    );
}

/// The fastest of several rounds, and how much was found.
fn time(detector: &Detector, text: &str) -> (Duration, usize) {
    let mut found = 0;
    let rounds = (0..60).map(|_| {
        let started = Instant::now();
        found = black_box(detector.detect(black_box(text), Hint::default())).len();
        started.elapsed()
    });
    (rounds.min().unwrap_or_default(), found)
}

/// Resident memory of this process; 0 where the system does not tell.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0)
}
