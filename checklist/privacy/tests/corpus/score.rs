//! Counting: a labelled span is found if a finding of its kind overlaps it, a finding is right
//! if it overlaps a span of its kind.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use aplomb_privacy::detect::{Detector, Hint};

use super::Labelled;

/// Counts of one kind.
#[derive(Default, Clone, Copy)]
pub struct Count {
    pub labelled: u32,
    pub found: u32,
    pub right: u32,
    pub reported: u32,
    /// Labelled spans that any finding overlaps.
    pub masked: u32,
}

impl Count {
    pub fn recall(&self) -> f64 {
        share(self.found, self.labelled)
    }

    pub fn precision(&self) -> f64 {
        share(self.right, self.reported)
    }

    /// Recall counts four times as much as precision.
    pub fn f2(&self) -> f64 {
        let (p, r) = (self.precision(), self.recall());
        if p + r == 0.0 {
            0.0
        } else {
            5.0 * p * r / (4.0 * p + r)
        }
    }

    fn add(&mut self, other: &Self) {
        self.labelled += other.labelled;
        self.found += other.found;
        self.right += other.right;
        self.reported += other.reported;
        self.masked += other.masked;
    }
}

fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 {
        1.0
    } else {
        f64::from(part) / f64::from(whole)
    }
}

/// Counts by kind, and the first misses for reading.
#[derive(Default)]
pub struct Score {
    pub kinds: BTreeMap<String, Count>,
    pub misses: Vec<String>,
}

impl Score {
    pub fn all(&self) -> Count {
        let mut all = Count::default();
        self.kinds.values().for_each(|count| all.add(count));
        all
    }

    pub fn table(&self) -> String {
        let mut out = String::from("kind                  labelled     P     R    F2  masked\n");
        for (kind, count) in &self.kinds {
            let _ = writeln!(
                out,
                "{kind:22} {:7} {:5.3} {:5.3} {:5.3} {:6.3}",
                count.labelled,
                count.precision(),
                count.recall(),
                count.f2(),
                share(count.masked, count.labelled)
            );
        }
        out
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Runs the detector over all texts.
pub fn score(detector: &Detector, texts: &[Labelled]) -> Score {
    let mut score = Score::default();
    for labelled in texts {
        let found = detector.detect(&labelled.text, Hint::default());
        for (range, kind) in &labelled.spans {
            let count = score.kinds.entry(kind.clone()).or_default();
            count.labelled += 1;
            let hit = found
                .iter()
                .any(|e| e.kind.name() == kind && overlap(&e.range, range));
            count.found += u32::from(hit);
            count.masked += u32::from(found.iter().any(|e| overlap(&e.range, range)));
            if !hit {
                let got: Vec<_> = found
                    .iter()
                    .map(|e| (e.kind.name(), &labelled.text[e.range.clone()]))
                    .collect();
                score.misses.push(format!(
                    "MISS {kind} `{}` in {:?} got {got:?}",
                    &labelled.text[range.clone()],
                    labelled.text
                ));
            }
        }
        for entity in &found {
            let count = score
                .kinds
                .entry(entity.kind.name().to_owned())
                .or_default();
            count.reported += 1;
            let right = labelled
                .spans
                .iter()
                .any(|(range, kind)| entity.kind.name() == kind && overlap(&entity.range, range));
            count.right += u32::from(right);
            if !right {
                let value = &labelled.text[entity.range.clone()];
                score.misses.push(format!(
                    "WRONG {} `{value}` ({}) in {:?}",
                    entity.kind, entity.reason, labelled.text
                ));
            }
        }
    }
    score
}
