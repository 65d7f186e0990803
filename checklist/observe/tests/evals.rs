//! Evaluations on real files: what drift and the report read from the store.
#![cfg(test)]

mod support;

use aplomb_observe::alerts::{Board, Rule};
use aplomb_observe::evals::{drift, report};
use aplomb_observe::store::embedded::ask::Reader;
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::store::embedded::{Embedded, Feedback, Late, Score};
use std::path::Path;
use std::sync::Arc;
use support::{DAY_MS, NOON, entry, prompt, record};

const TODAY: u64 = NOON / DAY_MS;

/// A day of a route: answers of this length, scores around this one.
fn write(store: &mut Embedded, day: u64, tokens: u64, score: f64) {
    let mut entries = Vec::new();
    for n in 0..120_u64 {
        let mut one = record(day * DAY_MS + n * 1_000, "acme", "u1");
        one.usage.output = tokens + n % 7 * tokens / 10;
        let said = prompt("", "Where is the next railway station, please?", "There.");
        entries.push(entry(one, Some(said)));
    }
    store.write(&entries).unwrap();
    for (n, one) in entries.iter().enumerate() {
        let id = one.record.id;
        let noise = f64::from(u32::try_from(n % 5).unwrap()) / 20.0;
        let late = Late::Score(Box::new(Score {
            eval: "quality".into(),
            rubric: "relevance".into(),
            score: (n % 50 > 0).then_some(score + noise),
            judge: "up/judge".into(),
            cost_nano: Some(5),
            ..Score::default()
        }));
        assert!(store.late(id, &late).unwrap());
        if n % 5 < 2 {
            let late = Late::Feedback(Box::new(Feedback {
                by: "u1".into(),
                source: "user",
                thumb: Some(if n % 5 == 0 { -1 } else { 1 }),
                ..Feedback::default()
            }));
            assert!(store.late(id, &late).unwrap());
        }
    }
}

fn files(folder: &Path) -> (Embedded, Reader) {
    let codec = Arc::new(Codec::new(None));
    (
        Embedded::new(folder.to_owned(), codec.clone(), "node-1".into()),
        Reader::new(folder.to_owned(), codec),
    )
}

#[test]
fn drift_and_agreement_are_read_from_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, reader) = files(folder.path());
    for day in TODAY - 9..TODAY {
        write(&mut store, day, 120, 0.7);
    }
    let quiet = drift::check(&reader, TODAY - 1).unwrap();
    assert_eq!(quiet.len(), 4, "{quiet:?}");
    assert!(quiet.iter().all(|one| !one.shifted), "{quiet:?}");
    write(&mut store, TODAY, 300, 0.3);
    let found = drift::check(&reader, TODAY).unwrap();
    let shifted: Vec<&str> = found
        .iter()
        .filter(|one| one.shifted)
        .map(|one| one.measure.as_str())
        .collect();
    assert_eq!(shifted.len(), 2, "{found:?}");
    assert!(shifted.contains(&"output_tokens") && shifted.contains(&"score:quality/relevance"));
    assert_eq!(found[0].route, "chat");
    assert!(drift::check(&reader, TODAY + 1).unwrap().is_empty());

    // An alert looks at the last whole day.
    let rule = |route: Option<&str>| Rule {
        name: "drift".into(),
        condition: "drift > 0".parse().unwrap(),
        route: route.map(str::to_owned),
        channels: Vec::new(),
    };
    let rules = [rule(None), rule(Some("chat")), rule(Some("other"))];
    let look = |now_ms| {
        let changes = Board::default().look(&rules, &reader, now_ms).unwrap();
        changes.iter().map(|(rule, ..)| *rule).collect::<Vec<_>>()
    };
    assert_eq!(look(NOON), Vec::<usize>::new());
    assert_eq!(look(NOON + DAY_MS), [0, 1]);

    let lines = report::report(&reader, TODAY - 20..=TODAY).unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!((line.n, line.invalid, line.cost_nano), (1_170, 30, 6_000));
    // The lowest of five scores has a thumb down, the second lowest one up; the last day is lower.
    let found = &line.agreement;
    assert_eq!((found.n, found.calibrated), (450, true));
    assert!((0.6..1.0).contains(&found.auc.unwrap()), "{found:?}");
}
