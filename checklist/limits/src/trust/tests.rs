use super::book::{Book, Name};
use super::score::DAY_MS;
use super::signal::Signal;
use super::sqlite::SqliteTrust;
use super::store::{Keeper, Trail, TrustStore};
use super::subject::{End, Override, Subject};
use super::{Level, Terms};
use crate::key::{Key, Keyer};
use proptest::prelude::*;
use std::sync::Arc;

const HOUR_MS: u64 = DAY_MS / 24;
/// A Monday, so that days begin where they should.
const START: u64 = 20_000 * DAY_MS;

fn terms() -> Terms {
    Terms {
        karma: true,
        first_ms: 7 * DAY_MS,
        active_days: 5,
        smooth: true,
        multipliers: Level::ALL.map(Level::multiplier),
    }
}

/// Twenty good requests of a day, which is all that counts of one.
fn good_day(subject: &mut Subject, day: u64) {
    for n in 0..20 {
        let now = START + day * DAY_MS + n * HOUR_MS / 2;
        subject.ended(End::Good, &terms(), now, "");
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a score is at most 100")]
fn at(subject: &Subject, day: u64) -> i64 {
    // Twelve hours into it: what was earned is there, and little is lost.
    subject.score(START + day * DAY_MS + DAY_MS / 2).round() as i64
}

/// The curves that were simulated when the score was chosen: somebody steady, somebody who sleeps, a fall and the way back.
#[test]
fn golden_curves() {
    let mut steady = Subject::new(START);
    let mut curve = vec![at(&steady, 0)];
    for day in 0..57 {
        good_day(&mut steady, day);
        if [0, 6, 13, 27, 55].contains(&day) {
            curve.push(at(&steady, day));
        }
    }
    assert_eq!(curve, [20, 21, 30, 38, 50, 66]);

    let dormant = Subject::new(START);
    assert_eq!(at(&dormant, 56), 20);

    let mut fallen = Subject::new(START);
    let mut curve = Vec::new();
    for day in 0..84 {
        good_day(&mut fallen, day);
        // Five bad units: three in a day, which is all that counts of one, and two on the next.
        let flags = match day {
            27 => 3,
            28 => 2,
            _ => 0,
        };
        for _ in 0..flags {
            fallen.signal(Signal::Pressure, &terms(), START + day * DAY_MS, "");
        }
        if [26, 28, 56, 83].contains(&day) {
            curve.push(at(&fallen, day));
        }
    }
    assert_eq!(curve, [49, 13, 33, 58]);

    let mut flagged = Subject::new(START);
    let mut most = 0.0_f64;
    for week in 0..26 {
        for day in 0..7 {
            good_day(&mut flagged, week * 7 + day);
        }
        for hour in 0..2 {
            let now = START + week * 7 * DAY_MS + 6 * DAY_MS + 14 * HOUR_MS + hour * HOUR_MS;
            flagged.signal(Signal::Pressure, &terms(), now, "");
        }
        most = most.max(flagged.score(START + (week + 1) * 7 * DAY_MS));
    }
    assert!(most < 45.0, "two flags a week hold somebody down: {most}");
}

#[test]
fn quarantine_takes_time_days_and_a_score() {
    let mut levels = Vec::new();
    let mut subject = Subject::new(START);
    for day in 0..60 {
        good_day(&mut subject, day);
        let level = subject.level(START + day * DAY_MS);
        if levels.last().map(|(_, last)| *last) != Some(level) {
            levels.push((day, level));
        }
    }
    assert_eq!(
        levels,
        [
            (0, Level::Quarantine),
            (12, Level::Standard),
            (54, Level::Trusted)
        ]
    );
    // Who only waits stays.
    let mut waits = Subject::new(START);
    assert!(waits.look(&terms(), START + 100 * DAY_MS).is_none());
    assert_eq!(waits.level(START + 100 * DAY_MS), Level::Quarantine);
    // Without karma time and active days are enough.
    let plain = Terms {
        karma: false,
        ..terms()
    };
    let mut subject = Subject::new(START);
    for day in 0..8 {
        subject.ended(End::Good, &plain, START + day * DAY_MS + HOUR_MS, "");
    }
    assert_eq!(subject.level(START + 8 * DAY_MS), Level::Standard);
}

#[test]
fn a_severe_signal_acts_at_once_and_a_slight_one_does_not() {
    let mut subject = Subject::new(START);
    for day in 0..60 {
        good_day(&mut subject, day);
    }
    let now = START + 60 * DAY_MS;
    assert_eq!(subject.level(now), Level::Trusted);
    subject.signal(Signal::Pressure, &terms(), now, "");
    assert_eq!(subject.level(now), Level::Trusted);
    let moved = subject
        .signal(Signal::Abuse, &terms(), now, "chargeback")
        .unwrap();
    assert_eq!(moved.level, (Level::Trusted, Level::Quarantine));
    assert!(moved.score.0 > 45.0 && moved.score.1 < 25.0, "{moved:?}");
    assert_eq!(moved.evidence, "chargeback");
}

#[test]
fn farming_earns_no_more_than_a_day_has() {
    let mut subject = Subject::new(START);
    for n in 0..5000 {
        subject.ended(End::Good, &terms(), START + n, "");
    }
    assert!((subject.parts(START).good - 1.0).abs() < 1e-6);
    assert!(
        subject
            .signal(Signal::Vouched, &terms(), START, "")
            .is_some()
    );
    assert!(
        subject
            .signal(Signal::Vouched, &terms(), START, "")
            .is_none(),
        "a promise counts once"
    );
    let paid = subject.signal(Signal::Paid(1_000_000.0), &terms(), START, "");
    assert!((paid.unwrap().units - 10.0).abs() < 1e-9);
    for bad in [f64::NAN, f64::INFINITY, -5.0] {
        assert!(
            subject
                .signal(Signal::Paid(bad), &terms(), START, "")
                .is_none()
        );
    }
}

#[test]
fn wrong_requests_and_pressure_are_seen() {
    let mut subject = Subject::new(START);
    let mut causes = Vec::new();
    for n in 0..40 {
        let end = if n % 3 == 0 { End::Fault } else { End::Good };
        for one in subject.ended(end, &terms(), START + n * 1000, "id") {
            if one.units < 0.0 {
                causes.push((n, one.cause, one.units));
            }
        }
    }
    assert_eq!(causes, [(19, "faulty_requests", -0.5)], "once a day");

    let mut subject = Subject::new(START);
    let mut causes = Vec::new();
    for second in 0..3 * 3600 {
        // Ten requests a minute of which one is let in.
        if second % 6 == 0 {
            let end = if second % 60 == 0 {
                End::Other
            } else {
                End::Limited
            };
            for one in subject.ended(end, &terms(), START + second * 1000, "id") {
                causes.push(one.cause);
            }
        }
    }
    assert_eq!(causes, ["pressure"; 3], "once an hour, three times a day");
    let mut patient = Subject::new(START);
    for minute in 0..600 {
        patient.ended(End::Other, &terms(), START + minute * 60_000, "");
        assert!(
            patient
                .ended(End::Limited, &terms(), START + minute * 60_000 + 1, "")
                .is_empty()
        );
    }
}

#[test]
fn limits_follow_the_score_without_a_jump_upwards() {
    let all = terms();
    let of = |score: f64| all.multiplier(Level::Standard, score);
    assert_eq!(of(30.0), 1.0);
    assert_eq!(of(45.0), 1.5);
    assert_eq!(of(64.0), 2.0);
    assert_eq!(all.multiplier(Level::Trusted, 64.0), 2.0);
    let steps = Terms {
        smooth: false,
        ..all
    };
    assert_eq!(steps.multiplier(Level::Standard, 59.0), 1.0);
}

proptest! {
    /// More good never lowers a score, a flag never raises it, and it stays within its bounds.
    #[test]
    fn good_never_lowers_and_bad_never_raises(
        signals in proptest::collection::vec((0u8..5, 0u64..200 * DAY_MS), 1..60),
        at in 0u64..300 * DAY_MS,
    ) {
        let mut signals = signals;
        signals.sort_by_key(|(_, at)| *at);
        let mut subject = Subject::new(START);
        for (kind, after) in &signals {
            let now = START + after;
            let before = subject.score(now);
            let signal = match kind {
                0 => Signal::Good,
                1 => Signal::Paid(20.0),
                2 => Signal::Vouched,
                3 => Signal::Pressure,
                _ => Signal::Abuse,
            };
            subject.signal(signal, &terms(), now, "");
            let after = subject.score(now);
            prop_assert!((0.0..=100.0).contains(&after));
            match kind {
                0..=2 => prop_assert!(after >= before - 1e-9),
                _ => prop_assert!(after <= before + 1e-9),
            }
        }
        prop_assert!((0.0..=100.0).contains(&subject.score(START + at)));
    }

    /// Noise at a border moves nobody more than once in a day, unless it is severe.
    #[test]
    fn no_level_changes_twice_in_a_day(
        noise in proptest::collection::vec((0u8..4, 0u64..6 * HOUR_MS), 50..400),
        days in 10u64..60,
    ) {
        let mut subject = Subject::new(START);
        for day in 0..days {
            good_day(&mut subject, day);
        }
        let mut now = START + days * DAY_MS;
        let mut changed: Vec<u64> = Vec::new();
        for (kind, pause) in noise {
            now += pause;
            let before = subject.level(now);
            match kind {
                0 => { subject.signal(Signal::Pressure, &terms(), now, ""); }
                1 => { subject.signal(Signal::Paid(30.0), &terms(), now, ""); }
                2 => { subject.ended(End::Good, &terms(), now, ""); }
                _ => { subject.look(&terms(), now); }
            }
            if subject.level(now) != before {
                changed.push(now);
            }
        }
        for pair in changed.windows(2) {
            prop_assert!(pair[1] - pair[0] >= DAY_MS, "{changed:?}");
        }
    }
}

fn name(user: &str) -> Name<'_> {
    Name {
        key: Keyer::new([1; 16]).key("trust", ["acme", user]),
        tenant: "acme",
        user,
    }
}

#[test]
fn what_is_known_survives_a_restart_and_a_score_follows_from_its_trail() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trust.db");
    let book = Arc::new(Book::default());
    let store = SqliteTrust::open(&file).unwrap();
    let trail = Box::new(store.trail());
    let keeper = Keeper::start(book.clone(), Box::new(store), trail).unwrap();
    let mut now = START;
    for day in 0..3 {
        now = START + day * DAY_MS;
        for n in 0..4 {
            book.ended(&name("ada"), End::Good, &terms(), (now + n, "r-1"));
        }
    }
    book.signal(&name("ada"), Signal::Pressure, &terms(), (now, ""));
    let set = Override {
        level: Level::Trusted,
        until_ms: now + DAY_MS,
        reason: "a partner".into(),
    };
    book.put(&name("ada"), Some(set), now);
    let stand = book.stand(&name("ada"), &terms(), now);
    assert_eq!((stand.level, stand.multiplier), (Level::Trusted, 2.0));
    keeper.flush();
    let moves = keeper.trail.moves(name("ada").key, 100).unwrap();
    assert_eq!(moves.len(), 14);
    assert_eq!((moves[0].cause, &*moves[0].evidence), ("set", "a partner"));
    // The trail alone gives the score.
    let mut again = super::score::Parts::default();
    let half = |ms: u64, half: u64| (-(ms as f64) / half as f64).exp2();
    let mut days: Vec<u64> = Vec::new();
    for one in &moves {
        let age = now - one.at_ms.min(now);
        match one.units {
            units if units > 0.0 => again.good += units * half(age, super::score::GOOD_HALF_MS),
            units => again.bad -= units * half(age, super::score::BAD_HALF_MS),
        }
        if one.cause == "good_request" {
            days.push(one.at_ms / DAY_MS);
        }
    }
    days.sort_unstable();
    days.dedup();
    again.active_days = u32::try_from(days.len()).unwrap();
    assert!(
        (again.score() - stand.score).abs() < 0.01,
        "{again:?} {stand:?}"
    );

    keeper.close();
    let mut store = SqliteTrust::open(&file).unwrap();
    let book = Book::default().with(store.load(10).unwrap());
    let after = book.stand(&name("ada"), &terms(), now);
    assert_eq!(after, stand);
    assert_eq!(
        book.stand(&name("ada"), &terms(), now + DAY_MS).level,
        Level::Quarantine
    );
    // Forgotten, it is new, and nothing is left of it.
    assert_eq!(book.forget(|row| &*row.user == "ada"), 1);
    assert!(book.drain().is_empty());
    assert_eq!(store.trail().remove("ada", Some("other")).unwrap(), 0);
    assert_eq!(store.trail().remove("ada", None).unwrap(), 1);
    assert!(store.load(10).unwrap().is_empty());
    assert!(store.trail().moves(name("ada").key, 10).unwrap().is_empty());
}

#[test]
fn a_crowd_takes_nobodys_place() {
    let book = Book::new(64);
    let mut known = 0;
    for n in 0..1000 {
        let user = format!("u-{n}");
        let name = Name {
            key: Key(n),
            tenant: "t",
            user: &user,
        };
        book.ended(&name, End::Good, &terms(), (START + 1, ""));
        known += usize::from(book.row(Key(n)).is_some());
    }
    assert_eq!(known, 64);
    assert_eq!(book.counts(START).0, [0, 64, 0, 0]);
    // A month later others may come.
    let late = Name {
        key: Key(5000),
        tenant: "t",
        user: "late",
    };
    assert_eq!(
        book.stand(&late, &terms(), START + 40 * DAY_MS).level,
        Level::Quarantine
    );
    assert!(
        book.row(Key(5000)).is_none(),
        "what is not written yet is not forgotten"
    );
    book.drain();
    book.stand(&late, &terms(), START + 41 * DAY_MS);
    assert!(book.row(Key(5000)).is_some());
}

#[test]
fn what_can_not_be_written_waits() {
    let book = Book::default();
    book.ended(&name("ada"), End::Good, &terms(), (START, "r"));
    let batch = book.drain();
    assert_eq!((batch.rows.len(), batch.moves.len()), (1, 1));
    assert!(book.drain().is_empty());
    book.take_back(batch);
    let again = book.drain();
    assert_eq!((again.rows.len(), again.moves.len()), (1, 1));
}
