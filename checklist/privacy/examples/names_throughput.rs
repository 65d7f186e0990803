//! How fast names are found in texts of 16 KiB, the size of a longer prompt: `cargo run --release --example names_throughput -p aplomb-privacy`.

use std::io::Write;
use std::time::Instant;

use aplomb_privacy::names::Names;

const ENGLISH: &str = "Hi Anna,\n\nthanks for the notes from Tuesday. I spoke with Mr. Whitlock about the contract, and he said \
    that the office in Chicago will send the invoice again before the end of the month. Please ask Maria Lopez for the numbers.\n";
const PLAIN: &str = "The function takes a list of numbers and returns the sum of all values that are larger than the mean. \
    It does not change its input, and it runs in linear time; see the notes below for what happens when the list is empty.\n";
const GERMAN: &str = "Sehr geehrte Frau Müller,\n\nvielen Dank für Ihre Anfrage. Herr Schneider aus Hamburg wird die Rechnung prüfen \
    und Ihnen bis Freitag antworten. Bitte geben Sie die Nummer des Vertrags an.\n";
const CHINESE: &str = "请联系王伟先生确认订单，客户李小红要求退款。昨天的会议已经取消了，我们下周在上海再讨论这个问题。\n";
const JSON: &str = "{\"first_name\": \"Anna\", \"last_name\": \"Weber\", \"city\": \"Bonn\", \"plan\": \"pro\", \"count\": 12, \"tags\": [\"a\", \"b\"]}\n";
const CODE: &str = "pub fn parse(input: &str) -> Result<Config, ParseError> {\n    let mut parser = Parser::new(input);\n    parser.run()\n}\n";

/// Bytes of each text, and how many are read.
const TEXT_BYTES: usize = 16 << 10;
const TEXTS: u32 = 200;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let names = Names::new();
    writeln!(out, "load {:.1} ms", start.elapsed().as_secs_f64() * 1e3)?;
    for (label, sample) in [
        ("english", ENGLISH),
        ("plain", PLAIN),
        ("german", GERMAN),
        ("chinese", CHINESE),
        ("json", JSON),
        ("code", CODE),
    ] {
        let text = sample.repeat(TEXT_BYTES / sample.len());
        let mut found = Vec::new();
        let start = Instant::now();
        for _ in 0..TEXTS {
            found.clear();
            names.find(&text, &[], &mut found);
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut short = Vec::new();
        let begin = Instant::now();
        for _ in 0..1000 {
            short.clear();
            names.find(sample, &[], &mut short);
        }
        let each = begin.elapsed().as_secs_f64() * 1e3;
        let megabytes =
            f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX)) * f64::from(TEXTS) / 1e6;
        writeln!(
            out,
            "{label:8} {:6.1} MB/s, {} names; {} bytes alone {each:.1} us",
            megabytes / seconds,
            found.len(),
            sample.len()
        )?;
    }
    Ok(())
}
