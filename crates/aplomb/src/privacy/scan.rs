//! `aplomb privacy scan`: the findings of a text, for people and for programs.

use crate::cli::Unit;
use crate::jsonl;
use crate::output::{Failure, error_line, line};
use aplomb_config::Parsed;
use aplomb_config::diagnostic::Diagnostics;
use aplomb_pipeline::shields;
use aplomb_privacy::detect::entity::Entity;
use aplomb_privacy::detect::{Detector, Hint};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

#[derive(Deserialize)]
struct Item {
    id: Value,
    text: String,
}

pub(super) fn run(parsed: &Parsed, file: &Path, lines: bool, unit: Unit) -> Result<(), Failure> {
    let mut errors = Vec::new();
    let detector = shields::recognizers(&parsed.file, &mut errors);
    let Some(detector) = detector else {
        let placed = errors.into_iter().map(|error| error.placed(&parsed.map));
        let all = Diagnostics::new("recognizers", placed.collect());
        return Err(Failure::wrong(all));
    };
    let input = jsonl::open(file)?;
    if lines {
        jsonl::each(input, "an object with `id` and `text`", |item: Item| {
            let found = detector.detect(&item.text, Hint::default());
            json!({ "id": item.id, "spans": spans(&item.text, &found, unit) })
        })
    } else {
        people(&detector, input)
    }
}

fn spans(text: &str, found: &[Entity], unit: Unit) -> Vec<Value> {
    let mut counted = Counted::new(text, unit);
    found
        .iter()
        .map(|entity| {
            json!({
                "start": counted.at(entity.range.start),
                "end": counted.at(entity.range.end),
                "type": entity.kind.name(),
                "score": (f64::from(entity.score) * 1e4).round() / 1e4,
                "reason": entity.reason.to_string(),
            })
        })
        .collect()
}

/// Turns growing byte offsets into the unit asked for, in one pass.
struct Counted<'a> {
    text: &'a str,
    unit: Unit,
    byte: usize,
    count: usize,
}

impl<'a> Counted<'a> {
    fn new(text: &'a str, unit: Unit) -> Self {
        Counted {
            text,
            unit,
            byte: 0,
            count: 0,
        }
    }

    fn at(&mut self, byte: usize) -> usize {
        if self.unit == Unit::Byte {
            return byte;
        }
        let between = self.text.get(self.byte..byte).unwrap_or_default();
        self.count += between.chars().count();
        self.byte = byte;
        self.count
    }
}

fn people(detector: &Detector, mut input: impl Read) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(Failure::wrong)?;
    let text = String::from_utf8_lossy(&bytes);
    let found = detector.detect(&text, Hint::default());
    for entity in &found {
        let before = text.get(..entity.range.start).unwrap_or_default();
        let row = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let value = text.get(entity.range.clone()).unwrap_or_default();
        let value = value.replace('\n', " ");
        line(&format!(
            "{row}:{column}  {:<20} {:.2}  {value}  ({})",
            entity.kind.name(),
            entity.score,
            entity.reason
        ));
    }
    error_line(&format!("{} found", found.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_code_points() {
        let mut counted = Counted::new("añb🎉c", Unit::Codepoint);
        assert_eq!((counted.at(1), counted.at(3), counted.at(8)), (1, 2, 4));
        assert_eq!(Counted::new("añb", Unit::Byte).at(3), 3);
    }
}
