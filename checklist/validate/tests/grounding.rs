//! Precision and recall on labelled pairs. A family of templates is either tuned on or held back, never both.
#![cfg(test)]

use aplomb_validate::grounding::Context;
use serde_json::Value;

/// Of answers that are called unsupported.
struct Figures {
    caught: f64,
    false_alarms: f64,
    missed: f64,
}

impl Figures {
    fn precision(&self) -> f64 {
        self.caught / (self.caught + self.false_alarms)
    }

    fn recall(&self) -> f64 {
        self.caught / (self.caught + self.missed)
    }
}

fn measure(held: bool) -> Figures {
    let lines = include_str!("data/grounding.jsonl").lines();
    let cases = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut figures = Figures {
        caught: 0.0,
        false_alarms: 0.0,
        missed: 0.0,
    };
    for case in cases.filter(|case| case["held"] == held) {
        let text = |member: &str| case[member].as_str().unwrap();
        let found = Context::new(text("context")).ground(text("answer"));
        match (found.is_whole(), case["grounded"] == true) {
            (true, true) => {}
            (false, false) => figures.caught += 1.0,
            (false, true) => figures.false_alarms += 1.0,
            (true, false) => figures.missed += 1.0,
        }
        // Single cases of what is held back are not for reading.
        if found.is_whole() != (case["grounded"] == true) && !held {
            let reasons: Vec<_> = found.unsupported().map(|(.., reason)| reason).collect();
            println!(
                "{} {}: {} {reasons:?}",
                text("id"),
                text("kind"),
                text("answer")
            );
        }
    }
    figures
}

#[track_caller]
fn check(held: bool, floor: f64) {
    let figures = measure(held);
    let (precision, recall) = (figures.precision(), figures.recall());
    println!("held back: {held}, precision {precision:.3}, recall {recall:.3}");
    assert!(precision >= floor && recall >= floor);
}

#[test]
fn what_was_tuned_on_is_told_apart() {
    check(false, 0.95);
}

#[test]
fn what_was_held_back_is_told_apart() {
    check(true, 0.85);
}
