//! Writes texts as the name model sees them, for its training:
//! `cargo run --release -p aplomb-privacy --example name_words < texts.jsonl > words.tsv`
//!
//! A line in is `{"text", "spans": [[start, end, "P" | "L" | "O"]]}` with offsets in code points; a line out is a word, its
//! hints, whether a sentence starts, and its tag; an empty line ends a paragraph.

use std::error::Error;
use std::io::Write;

use aplomb_privacy::names::Names;
use serde::Deserialize;

#[derive(Deserialize)]
struct Labelled {
    text: String,
    spans: Vec<(usize, usize, String)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let names = Names::new();
    for line in std::io::stdin().lines() {
        let labelled: Labelled = serde_json::from_str(&line?)?;
        let places: Vec<usize> = labelled
            .text
            .char_indices()
            .map(|(place, _)| place)
            .chain([labelled.text.len()])
            .collect();
        let place = |count: usize| places.get(count).copied().unwrap_or(0);
        for words in names.prose(&labelled.text) {
            let mut last = None;
            for word in words {
                let of_word = |(start, end, _): &&(usize, usize, String)| {
                    (place(*start)..place(*end)).contains(&word.range.start)
                };
                let span = labelled.spans.iter().find(of_word);
                let tag = match span {
                    None => "-".to_owned(),
                    Some((start, _, kind)) if last == Some(*start) => kind.clone(),
                    Some((_, _, kind)) => format!("{kind}+"),
                };
                last = span.map(|span| span.0);
                let text = labelled.text.get(word.range).unwrap_or_default();
                let text = if text.is_empty() { "\\n" } else { text };
                let start = u8::from(word.start);
                writeln!(out, "{text}\t{}\t{start}\t{tag}", word.hints)?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}
