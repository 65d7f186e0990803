//! Replays with a clock of their own: what a breaker lets through when the bill blows up, and what it does to usual days.
//!
//! Usual spending is 2 $ a minute: log-normal in each bucket of ten seconds (sigma 0.35), with a daily wave of 60 % and, in 0.3 % of
//! the buckets, three times as much. A usual bucket has eight requests; one that blows up has as many times more of them.

use super::*;
use std::f64::consts::TAU;
use std::sync::Arc;

const CENT: u64 = 10_000_000;
const DAY: u64 = 86_400_000 / BUCKET_MS;

fn rules() -> Rules {
    Rules {
        from_nano: 1_000_000_000,
        open_ms: 600_000,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some dollars"
)]
fn nano(dollars: f64) -> u64 {
    (dollars * 1e9) as u64
}

struct Replay {
    rng: fastrand::Rng,
    breakers: Breakers,
    names: Vec<Arc<str>>,
    bucket: u64,
    opened: u32,
    throttled: u32,
    asked: u64,
    passed: u64,
}

impl Replay {
    fn new(seed: u64) -> Self {
        Replay {
            rng: fastrand::Rng::with_seed(seed),
            breakers: Breakers::default(),
            names: vec!["tenant:acme".into()],
            bucket: 0,
            opened: 0,
            throttled: 0,
            asked: 0,
            passed: 0,
        }
    }

    fn normal(&mut self) -> f64 {
        let (one, two) = (self.rng.f64().max(1e-12), self.rng.f64());
        (-2.0 * one.ln()).sqrt() * (TAU * two).cos()
    }

    /// Requests of a usual bucket.
    fn usual(&mut self) -> f64 {
        let day = f64::from(u32::try_from(self.bucket % DAY).unwrap())
            / f64::from(u32::try_from(DAY).unwrap());
        let wave = 1.0 + 0.6 * (TAU * day).sin();
        let noise = (0.35 * self.normal() - 0.35 * 0.35 / 2.0).exp();
        let spike = if self.rng.f64() < 0.003 { 3.0 } else { 1.0 };
        200.0 / 6.0 * wave * noise * spike
    }

    /// A bucket with so many times the usual; gives what was let through of it, in dollars.
    fn play(&mut self, times: u32) -> f64 {
        let requests = 8 * u64::from(times);
        let dollars = self.usual() / 100.0 * f64::from(times);
        let nano = nano(dollars) / requests;
        let begin = self.bucket * BUCKET_MS;
        let mut through = 0;
        for n in 0..requests {
            let now = begin + n * BUCKET_MS / requests;
            let (answer, events) = self.breakers.ask(&self.names, nano, now, &rules());
            for event in events {
                match event.change.state {
                    State::Open { .. } => self.opened += 1,
                    State::Throttled => self.throttled += 1,
                    State::Closed | State::HalfOpen => {}
                }
            }
            self.asked += nano;
            if let Ok(ticket) = answer {
                through += nano;
                self.breakers.settle(ticket, nano);
            }
        }
        self.passed += through;
        self.bucket += 1;
        through as f64 / 1e9
    }

    fn days(&mut self, days: u64) {
        for _ in 0..days * DAY {
            self.play(1);
        }
    }

    fn state(&self) -> State {
        let (reports, _) = self.breakers.report(self.bucket * BUCKET_MS, &rules());
        reports
            .iter()
            .find(|one| one.name == self.names[0])
            .unwrap()
            .state
    }
}

#[test]
fn fourteen_usual_days_open_nothing() {
    let mut replay = Replay::new(0);
    replay.days(14);
    let refused = (replay.asked - replay.passed) as f64 / replay.asked as f64;
    println!(
        "14 days: opened {} times, held {} times, {:.3} % of the money refused",
        replay.opened,
        replay.throttled,
        refused * 100.0
    );
    assert_eq!(replay.opened, 0);
    assert!(refused < 0.003, "{refused}");
}

/// At each hour of the day, with two seeds each: the worst loss until it opens.
#[test]
fn a_bill_that_blows_up_is_held() {
    for (times, bound) in [(5, 5.0), (20, 22.0), (200, 230.0)] {
        let (mut worst, mut all, mut runs): (f64, f64, f64) = (0.0, 0.0, 0.0);
        let mut slowest = 0;
        for seed in 0..2 {
            for hour in 0..24 {
                let mut replay = Replay::new(100 * seed + hour);
                replay.bucket = hour * 360;
                for _ in 0..360 {
                    replay.play(1);
                }
                let mut loss = 0.0;
                let mut buckets = 0;
                while !matches!(replay.state(), State::Open { .. }) && buckets < 360 {
                    loss += replay.play(times);
                    buckets += 1;
                }
                assert!(buckets < 360, "x{times} at {hour} h is not seen");
                slowest = slowest.max(buckets);
                worst = worst.max(loss);
                all += loss;
                runs += 1.0;
            }
        }
        println!(
            "x{times}: {:.2} $ on average, {worst:.2} $ at worst, open after at most {} s",
            all / runs,
            slowest * 10
        );
        assert!(all / runs <= bound, "x{times}: {} > {bound}", all / runs);
    }
}

#[test]
fn an_open_breaker_comes_back_when_the_attack_is_over_and_not_before() {
    let mut replay = Replay::new(7);
    for _ in 0..720 {
        replay.play(1);
    }
    for _ in 0..6 {
        replay.play(50);
    }
    assert!(matches!(replay.state(), State::Open { .. }));
    assert_eq!(replay.play(1), 0.0, "nothing passes");
    // The attack goes on for an hour: what passes meanwhile is little.
    let through: f64 = (0..360).map(|_| replay.play(50)).sum();
    assert!(through < 15.0, "{through}");
    assert!(replay.opened >= 2, "{}", replay.opened);
    // It is over: within its doubled time and two minutes all is as it was.
    for _ in 0..720 {
        replay.play(1);
    }
    assert_eq!(replay.state(), State::Closed);
    let before = (replay.asked, replay.passed);
    for _ in 0..60 {
        replay.play(1);
    }
    let refused = (replay.asked - before.0) - (replay.passed - before.1);
    assert!(refused < 100 * CENT, "{refused}");
}

#[test]
fn an_operator_closes_it_and_it_learns_anew() {
    let mut replay = Replay::new(9);
    for _ in 0..720 {
        replay.play(1);
    }
    for _ in 0..6 {
        replay.play(20);
    }
    assert!(replay.breakers.reset("tenant:acme"));
    assert!(!replay.breakers.reset("tenant:nobody"));
    let asked = replay.asked;
    let through: f64 = (0..360).map(|_| replay.play(20)).sum();
    let asked = (replay.asked - asked) as f64 / 1e9;
    assert!(
        through > 0.98 * asked,
        "{through} of {asked}: it is usual now"
    );
}

#[test]
fn little_is_never_unusual_and_parallel_requests_are_seen_before_they_end() {
    let breakers = Breakers::default();
    let names: Vec<Arc<str>> = vec!["tenant:small".into()];
    let ask = |nano, now| breakers.ask(&names, nano, now, &rules()).0;
    // A tenant that asks for a cent every five minutes, and then for 90 cents at once.
    for n in 0..30 {
        assert!(ask(CENT, n * 300_000).is_ok());
    }
    let now = 30 * 300_000;
    assert!((0..90).all(|_| ask(CENT, now).is_ok()));
    // Beyond a dollar a minute it is unusual, though nothing has ended yet.
    let more = (0..90).filter(|_| ask(CENT, now).is_ok()).count();
    assert_eq!(more, 10);
}

#[test]
fn what_was_spent_takes_the_place_of_what_was_taken() {
    let breakers = Breakers::default();
    let names: Vec<Arc<str>> = vec!["tenant:acme".into()];
    for n in 0..100 {
        let (ticket, _) = breakers.ask(&names, 100 * CENT, n * BUCKET_MS, &rules());
        breakers.settle(ticket.unwrap(), CENT);
    }
    let (reports, _) = breakers.report(100 * BUCKET_MS, &rules());
    assert_eq!(reports[0].usual, Some(CENT));
}

#[test]
fn breakers_are_bounded() {
    let breakers = Breakers::default();
    for n in 0..SCOPES_MAX + 10 {
        let names: Vec<Arc<str>> = vec![n.to_string().into()];
        assert!(breakers.ask(&names, CENT, 0, &rules()).0.is_ok());
    }
    assert_eq!(breakers.report(0, &rules()).0.len(), SCOPES_MAX);
    let names: Vec<Arc<str>> = vec!["late".into()];
    assert!(
        breakers
            .ask(&names, CENT, 10 * 3_600_000, &rules())
            .0
            .is_ok()
    );
    assert_eq!(breakers.report(10 * 3_600_000, &rules()).0.len(), 1);
}
