//! Speed of detection on one thread: `cargo run --release -p aplomb-privacy --example throughput`.
//!
//! Prints, for texts of one kilobyte and of fifty, megabytes per second and the time of one
//! text: of structured data alone, together with names, and with the name model. Then the time to build the
//! detector and the memory it takes.
//!
//! `throughput <text> <structured|joined|model> <rounds>` runs one text alone. Under
//! `valgrind --tool=callgrind`, the difference of two numbers of rounds is what detection costs
//! in instructions, which other work on the machine does not change.

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aplomb_privacy::detect::{Detector, DetectorSettings, Hint};
use aplomb_privacy::finder::{self, NameSource};

/// What each text is made of, over and over.
const TEXTS: [(&str, &str); 6] = [
    (
        "chat",
        "Hi Anna, I would like to ask whether the order that was placed last week has left the warehouse. The customer \
         wrote to support@example.com and asked for a call at +44 20 7946 0958, but nobody answered. Please look into it \
         today and let me know what the carrier says about the parcel; the address on file is 12 Maple Street, \
         Springfield, IL 62701. Can you explain why the function returns nothing when the list is empty? It worked \
         yesterday, and I changed only the name of the module. The rain kept falling on the quiet town, and nothing \
         else happened for a long time; then the clock struck nine and everybody went home. I spoke with Mr. Whitlock \
         about the contract, and he said that the office in Chicago will send the invoice before the end of the month. ",
    ),
    (
        "code",
        "pub fn parse(input: &str) -> Result<Config, ParseError> {\n    let mut parser = Parser::new(input);\n    \
         let items: Vec<u32> = (0..10).map(|x| x * 2).collect();\n    for item in &items {\n        \
         println!(\"{item}\");\n    }\n    // Errors carry the line, so that the caller can show it.\n    \
         if parser.rest().len() > 1024 {\n        return Err(ParseError::TooLong { line: parser.line });\n    }\n    \
         parser.run()\n}\n",
    ),
    (
        "json",
        "{\"id\": 8123, \"status\": \"active\", \"tags\": [\"a\", \"b\"], \"first_name\": \"Anna\", \"created\": \
         \"2024-05-01T12:00:00Z\", \"values\": [1.5, 2.25, 3.125], \"ok\": true, \"email\": \"anna@example.com\"}\n",
    ),
    (
        "log",
        "2024-05-01 12:00:01.123 INFO [worker-3] request finished path=/v1/items status=200 bytes=5123 ms=12 \
         client=10.1.2.3 id=550e8400-e29b-41d4-a716-446655440000\n",
    ),
    (
        "chinese",
        "我们已经收到您的来信，会尽快处理。请联系王伟先生确认订单，如果有任何问题，请随时与我们联系，谢谢您的耐心等待。\
         昨天的会议已经取消了，我们下周在上海再讨论这个问题，电话是13912345678。",
    ),
    (
        "german",
        "Sehr geehrte Frau Müller, vielen Dank für Ihre Nachricht. Die Überweisung auf DE89 3704 0044 0532 0130 00 ist \
         heute eingegangen, und wir haben den Vorgang geschlossen. Bei Fragen erreichen Sie uns unter 030/1234567. ",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let memory_before = resident_kib();
    let started = Instant::now();
    let structured = Detector::new(&DetectorSettings::default())?;
    let built = started.elapsed();
    let memory = resident_kib().saturating_sub(memory_before);
    let joined = finder::detector(Vec::new())?;
    let memory_before = resident_kib();
    let model = finder::detector_with(Vec::new(), NameSource::Model)?;
    // The weights are read and used once before memory is looked at.
    black_box(model.detect(&filled(TEXTS[0].1, 1000), Hint::default()));
    let memory_model = resident_kib().saturating_sub(memory_before);
    let mut arguments = std::env::args().skip(1);
    if let (Some(title), Some(which), Some(rounds)) =
        (arguments.next(), arguments.next(), arguments.next())
    {
        let of_title = TEXTS.iter().find(|(known, _)| *known == title);
        let text = filled(of_title.ok_or("no such text")?.1, 1000);
        let detector = match which.as_str() {
            "joined" => joined,
            "model" => model,
            _ => structured,
        };
        for _ in 0..rounds.parse::<u32>()? {
            black_box(detector.detect(black_box(&text), Hint::default()));
        }
        return Ok(());
    }
    for size in [1000, 50_000] {
        println!(
            "texts of {size} bytes   structured              joined with names       and the name model"
        );
        for (title, part) in TEXTS {
            let text = filled(part, size);
            let shown = |detector| shown(&text, time(detector, &text));
            let (alone, both, all) = (shown(&structured), shown(&joined), shown(&model));
            println!("{title:20} {alone}    {both}    {all}");
        }
    }
    println!(
        "build: {built:?}, {memory} KiB (structured); a second detector with the name model {memory_model} KiB"
    );
    Ok(())
}

/// The text of this size that repeats `part`.
fn filled(part: &str, size: usize) -> String {
    let mut text = part.repeat(size / part.len() + 1);
    text.truncate(text.floor_char_boundary(size));
    text
}

fn shown(text: &str, (each, found): (Duration, usize)) -> String {
    let bytes = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let speed = bytes / each.as_secs_f64() / 1e6;
    let micros = each.as_secs_f64() * 1e6;
    format!("{speed:6.1} MB/s {micros:7.1} us {found:4} found")
}

/// The fastest of several rounds, and how much was found.
fn time(detector: &Detector, text: &str) -> (Duration, usize) {
    let mut found = 0;
    let rounds = (0..200).map(|_| {
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
