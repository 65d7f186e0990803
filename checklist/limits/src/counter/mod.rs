//! One counter: how much of a limit is used.
//!
//! All of them are told the time, and time that goes backwards is taken for the latest they know.

pub mod log;
pub mod pace;
pub mod period;
pub mod ring;

use crate::rule::{Method, Rule};
use crate::verdict::Level;
use log::Log;
use pace::Pace;
use period::Spent;
use ring::Ring;
use std::time::Duration;

/// The time as a room counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds that only go forwards; at the start of the process they are those of the Unix epoch.
    pub run_ms: u64,
    /// Milliseconds since the Unix epoch, for the calendar.
    pub wall_ms: u64,
}

/// A counter may not take an amount: after which time it may. `None`: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full(pub Option<Duration>);

/// A counter of one rule for one caller.
#[derive(Debug, Clone)]
pub enum Counter {
    /// Each request is remembered.
    Log(Log),
    /// Slots of a window.
    Ring(Ring),
    /// A steady pace.
    Pace(Pace),
    /// One number for a period.
    Period(Spent),
}

/// What a rule says that its counter needs.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What it allows this caller.
    pub limit: u64,
}

pub(crate) fn duration(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Counter {
    /// A counter that has counted nothing; none for what is in flight.
    pub fn new(rule: &Rule, now: Now) -> Option<Self> {
        Some(match rule.method() {
            Method::Log => Counter::Log(Log::new(rule.sliding_ms())),
            Method::Ring => Counter::Ring(Ring::new(rule.sliding_ms())),
            Method::Pace => Counter::Pace(Pace::default()),
            Method::Period => Counter::Period(Spent::new(rule, now.wall_ms)),
            Method::Held => return None,
        })
    }

    /// Whether it counts as the rule wants it: a rule may have changed since the counter was made.
    fn fits(&self, rule: &Rule) -> bool {
        match (self, rule.method()) {
            (Counter::Log(log), Method::Log) => log.window() == rule.sliding_ms(),
            (Counter::Ring(ring), Method::Ring) => ring.window() == rule.sliding_ms(),
            (Counter::Pace(_), Method::Pace) | (Counter::Period(_), Method::Period) => true,
            _ => false,
        }
    }

    /// Becomes a counter for the rule as it is now. What was counted stays counted as far as the new kind can tell it.
    pub fn adapt(&mut self, bound: Bound<'_>, now: Now) {
        if self.fits(bound.rule) {
            return;
        }
        let Some(mut fresh) = Counter::new(bound.rule, now) else {
            return;
        };
        for (at_ms, amount) in self.history(bound, now) {
            let then = Now {
                run_ms: at_ms,
                wall_ms: now.wall_ms,
            };
            fresh.take(bound, then, amount);
        }
        *self = fresh;
    }

    /// What was counted, by the time it was counted at, oldest first.
    pub fn history(&self, bound: Bound<'_>, now: Now) -> Vec<(u64, u64)> {
        match self {
            Counter::Log(log) => log.times().iter().map(|at| (*at, 1)).collect(),
            Counter::Ring(ring) => ring.history(),
            Counter::Pace(pace) => vec![(now.run_ms, pace.taken(bound, now.run_ms))],
            Counter::Period(spent) => vec![(now.run_ms, spent.used())],
        }
    }

    /// Whether it may take an amount.
    ///
    /// # Errors
    /// It may not yet, or never.
    pub fn check(&mut self, bound: Bound<'_>, now: Now, amount: u64) -> Result<(), Full> {
        match self {
            Counter::Log(log) => log.check(bound.limit, now.run_ms, amount),
            Counter::Ring(ring) => ring.check(bound.limit, now.run_ms, amount),
            Counter::Pace(pace) => pace.check(bound, now.run_ms, amount),
            Counter::Period(spent) => spent.check(bound, now.wall_ms, amount),
        }
    }

    /// Takes an amount, whether there is room for it or not. The stamp says where it was counted.
    pub fn take(&mut self, bound: Bound<'_>, now: Now, amount: u64) -> u64 {
        match self {
            Counter::Log(log) => log.take(now.run_ms, amount),
            Counter::Ring(ring) => ring.take(now.run_ms, amount),
            Counter::Pace(pace) => pace.take(bound, now.run_ms, amount),
            Counter::Period(spent) => spent.take(bound.rule, now.wall_ms, amount),
        }
    }

    /// Puts the true amount in the place of one that was taken. Where that place is over, only what is more counts, and it
    /// counts now. Returns the stamp of where the difference was counted.
    pub fn amend(&mut self, bound: Bound<'_>, now: Now, (stamp, was, is): (u64, u64, u64)) -> u64 {
        match self {
            Counter::Log(log) => log.amend(now.run_ms, (stamp, was, is)),
            Counter::Ring(ring) => ring.amend(now.run_ms, (stamp, was, is)),
            Counter::Pace(pace) => pace.amend(bound, now.run_ms, (was, is)),
            Counter::Period(spent) => spent.amend(bound.rule, now.wall_ms, (stamp, was, is)),
        }
    }

    /// From when to when what was counted with a stamp counts, in milliseconds.
    pub fn span(&self, rule: &Rule, stamp: u64) -> (u64, u64) {
        match self {
            Counter::Log(log) => log.span(stamp),
            Counter::Ring(ring) => ring.span(stamp),
            Counter::Pace(pace) => pace.span(rule.sliding_ms(), stamp),
            Counter::Period(spent) => spent.span(),
        }
    }

    /// A counter as it was before a restart: what was used, by time, oldest first.
    pub fn restored(bound: Bound<'_>, used: &[(u64, u64)], now: Now) -> Option<Self> {
        let mut counter = Counter::new(bound.rule, now)?;
        if let Counter::Period(spent) = &mut counter {
            if let Some((start, used)) = used.last() {
                *spent = Spent::restored(bound.rule, *start, *used);
            }
            return Some(counter);
        }
        for (at, amount) in used {
            let then = Now {
                run_ms: *at,
                wall_ms: now.wall_ms,
            };
            counter.take(bound, then, *amount);
        }
        Some(counter)
    }

    /// How it stands.
    pub fn level(&mut self, bound: Bound<'_>, now: Now) -> Level {
        match self {
            Counter::Log(log) => log.level(now.run_ms),
            Counter::Ring(ring) => ring.level(now.run_ms),
            Counter::Pace(pace) => pace.level(bound, now.run_ms),
            Counter::Period(spent) => spent.level(bound.rule, now.wall_ms),
        }
    }

    /// Whether it counts anything that still matters.
    pub fn is_live(&self, now: Now) -> bool {
        match self {
            Counter::Log(log) => log.is_live(now.run_ms),
            Counter::Ring(ring) => ring.is_live(now.run_ms),
            Counter::Pace(pace) => pace.is_live(now.run_ms),
            Counter::Period(spent) => spent.is_live(now.wall_ms),
        }
    }
}
