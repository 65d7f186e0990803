//! Batch doors: JSON lines in, a line out for each, in order.

use crate::output::Failure;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

/// A file; `-` is standard input.
///
/// # Errors
/// It can't be opened.
pub fn open(file: &Path) -> Result<Box<dyn Read>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let opened = std::fs::File::open(file);
    let opened = opened.map_err(|error| Failure::wrong(format!("{}: {error}", file.display())))?;
    Ok(Box::new(opened))
}

/// Answers each line; empty ones are passed over. Ends early where nobody reads what is written.
///
/// # Errors
/// A line that is not what is `expected`, with its place.
pub fn each<T: DeserializeOwned>(
    input: impl Read,
    expected: &str,
    mut answer: impl FnMut(T) -> Value,
) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, text) in BufReader::new(input).lines().enumerate() {
        let text = text.map_err(|error| Failure::wrong(format!("line {}: {error}", number + 1)))?;
        if text.trim().is_empty() {
            continue;
        }
        let item = serde_json::from_str(&text).map_err(|error| {
            let place = format!("line {}, column {}", number + 1, error.column());
            Failure::wrong(format!("{place}: expected {expected}"))
        })?;
        if writeln!(out, "{}", answer(item)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
