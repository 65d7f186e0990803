//! Simulated traffic: quiet weeks raise nothing, planted shifts are found on their first day.

use super::*;
use fastrand::Rng;

/// Normal by the sum of twelve.
fn normal(random: &mut Rng) -> f64 {
    (0..12).map(|_| random.f64()).sum::<f64>() - 6.0
}

/// What a day of a route is like.
#[derive(Clone, Copy)]
struct Like {
    tokens: f64,
    score: f64,
    refusals: f64,
    german: f64,
}

const USUAL: Like = Like {
    tokens: 180.0,
    score: 0.78,
    refusals: 0.02,
    german: 0.25,
};

/// A day: weekends have fewer, shorter and more German requests, and each day differs a little from all others.
fn day(random: &mut Rng, day: u64, like: Like) -> [Bins; 4] {
    let weekend = day % 7 >= 5;
    let requests = if weekend { 900 } else { 3_000 };
    let own = |random: &mut Rng, sd: f64| 1.0 + sd * normal(random);
    let tokens = like.tokens * own(random, 0.05) * if weekend { 0.85 } else { 1.0 };
    let score = like.score + 0.01 * normal(random);
    let refusals = like.refusals * own(random, 0.15).max(0.2);
    let german = like.german * own(random, 0.08) * if weekend { 1.3 } else { 1.0 };
    let mut bins: [Bins; 4] = Default::default();
    let mut count = |at: usize, bin: String| {
        if let Some(bins) = bins.get_mut(at) {
            *bins.entry(bin).or_default() += 1;
        }
    };
    for n in 0..requests {
        let length = tokens * (0.7 * normal(random)).exp();
        let whole = format!("{length:.0}").parse().unwrap_or(0);
        count(0, length_bin(whole));
        count(1, if random.f64() < german { "deu" } else { "eng" }.into());
        count(2, u8::from(random.f64() < refusals).to_string());
        // An eighth is judged.
        if n % 8 == 0 {
            count(3, score_bin(score + 0.18 * normal(random)));
        }
    }
    bins
}

fn empty() -> Vec<Series> {
    let kinds = [
        ("output_tokens", Kind::Distribution),
        ("language", Kind::Distribution),
        ("filtered", Kind::Share),
        ("score:q/relevance", Kind::Distribution),
    ];
    let series = kinds.map(|(measure, kind)| Series {
        route: "chat".into(),
        measure: measure.into(),
        kind,
        days: BTreeMap::new(),
    });
    series.to_vec()
}

fn push(all: &mut [Series], number: u64, bins: [Bins; 4]) {
    for (series, bins) in all.iter_mut().zip(bins) {
        series.days.insert(number, bins);
    }
}

#[test]
fn fifty_quiet_weeks_raise_nothing() {
    for seed in 1..=2 {
        let mut random = Rng::with_seed(seed);
        let mut all = empty();
        let mut looked = 0;
        for number in 0..350 {
            push(&mut all, number, day(&mut random, number, USUAL));
            let found = look(&all, number);
            looked += found.len();
            let shifted: Vec<&Finding> = found.iter().filter(|one| one.shifted).collect();
            assert!(shifted.is_empty(), "seed {seed}, day {number}: {shifted:?}");
        }
        assert!(looked > 1_000, "{looked}");
    }
}

/// The measures that a day like this shifts, after three weeks as usual; on a weekday and on a weekend.
fn planted(like: Like) -> Vec<Vec<String>> {
    let mut each = Vec::new();
    for (seed, at) in [(3, 21), (4, 22), (5, 26), (6, 23)] {
        let mut random = Rng::with_seed(seed);
        let mut all = empty();
        for number in 0..at {
            push(&mut all, number, day(&mut random, number, USUAL));
        }
        push(&mut all, at, day(&mut random, at, like));
        let found = look(&all, at);
        each.push(
            found
                .into_iter()
                .filter(|one| one.shifted)
                .map(|one| one.measure)
                .collect(),
        );
    }
    each
}

#[test]
fn planted_shifts_are_found_on_their_first_day_and_nothing_else() {
    let cases = [
        (
            Like {
                tokens: 330.0,
                ..USUAL
            },
            "output_tokens",
        ),
        (
            Like {
                tokens: 90.0,
                ..USUAL
            },
            "output_tokens",
        ),
        (
            Like {
                score: 0.55,
                ..USUAL
            },
            "score:q/relevance",
        ),
        (
            Like {
                refusals: 0.10,
                ..USUAL
            },
            "filtered",
        ),
        (
            Like {
                german: 0.65,
                ..USUAL
            },
            "language",
        ),
    ];
    for (like, measure) in cases {
        for found in planted(like) {
            assert_eq!(found, [measure]);
        }
    }
}

#[test]
fn few_values_or_days_say_nothing() {
    let mut random = Rng::with_seed(9);
    let mut all = empty();
    for number in 0..7 {
        push(&mut all, number, day(&mut random, number, USUAL));
        assert!(look(&all, number).is_empty(), "day {number}");
    }
    let few = |count: u64| BTreeMap::from([("0".to_owned(), count)]);
    let series = Series {
        route: String::new(),
        measure: "filtered".into(),
        kind: Kind::Share,
        days: (0..10).map(|day| (day, few(99))).collect(),
    };
    assert_eq!(compare(&series, 9, 1), None);
}

#[test]
fn bins_have_their_bounds() {
    let bins: Vec<String> = [0, 1, 2, 3, 5, 6, 11, 12, 16, 100, 1_000]
        .map(length_bin)
        .to_vec();
    let bounds: Vec<u64> = bins.iter().map(|bin| bin.parse().unwrap()).collect();
    assert_eq!(bounds, [0, 1, 2, 3, 4, 6, 8, 12, 16, 96, 768]);
    assert_eq!(
        [0.0, 0.05, 0.99, 1.0].map(score_bin),
        ["0.0", "0.0", "0.9", "0.9"]
    );
    let even = BTreeMap::from([("0".to_owned(), 500), ("1".to_owned(), 500)]);
    assert!(chance(&even, &even) > 0.99);
    let odd = BTreeMap::from([("0".to_owned(), 400), ("1".to_owned(), 600)]);
    assert!(chance(&even, &odd) < 1e-4);
}
