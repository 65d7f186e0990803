//! Where something is counted at the server: a counter, and its place in it.

use crate::calendar::Period;
use crate::key::Key;
use crate::rule::{Method, Rule, Window};

/// Slots of a window at the server. With one more, no window is ever over. Chosen: a counter that is full is read in 20 µs, with 60
/// slots it would take three times as long.
const SLOTS: u64 = 16;

/// How a counter counts at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Slots of so many milliseconds.
    Ring(u64),
    /// One number for a period.
    Period(Period),
    /// A steady pace: so many microseconds a unit, and at most so many units at once.
    Pace(u64, u64),
    /// What is in flight.
    Held,
}

/// A place in a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) key: Key,
    pub(super) kind: Kind,
    /// Number of the slot; 0 where there is one place.
    pub(super) slot: u64,
}

impl Kind {
    /// How a rule is counted at a time of the server.
    pub(super) fn of(rule: &Rule, limit: u64, server_ms: u64) -> Self {
        match (rule.method(), &rule.window) {
            (Method::Held, _) => Kind::Held,
            (Method::Period, Window::Calendar(calendar)) => {
                Kind::Period(calendar.period(server_ms))
            }
            (Method::Period, _) => Kind::Period(Period::ALL),
            (Method::Pace, _) => {
                let window_us = rule.sliding_ms().saturating_mul(1000);
                let unit = window_us.div_ceil(limit.max(1)).max(1);
                Kind::Pace(unit, rule.burst.unwrap_or(limit).min(limit))
            }
            (Method::Log | Method::Ring, _) => Kind::Ring(rule.sliding_ms().div_ceil(SLOTS).max(1)),
        }
    }

    /// The letter that scripts know it by.
    pub(super) fn letter(self) -> &'static str {
        match self {
            Kind::Ring(_) => "r",
            Kind::Period(_) => "p",
            Kind::Pace(..) => "g",
            Kind::Held => "h",
        }
    }

    /// Its two numbers for scripts. A time that never comes is 0.
    pub(super) fn numbers(self) -> (u64, u64) {
        match self {
            Kind::Ring(length) => (length, 0),
            Kind::Period(period) if period.end == u64::MAX => (0, 0),
            Kind::Period(period) => (period.end, 0),
            Kind::Pace(unit, burst) => (unit, burst),
            Kind::Held => (0, 0),
        }
    }
}

impl Spot {
    /// Where a rule counts at a time of the server.
    pub(super) fn at(key: Key, kind: Kind, server_ms: u64) -> Self {
        let slot = match kind {
            Kind::Ring(length) => server_ms / length.max(1),
            Kind::Period(_) | Kind::Pace(..) | Kind::Held => 0,
        };
        Spot { key, kind, slot }
    }

    /// Name of its counter at the server. What is counted in another way is another counter.
    pub(super) fn name(&self, prefix: &str) -> String {
        let (letter, key) = (self.kind.letter(), self.key.0);
        match self.kind {
            Kind::Ring(length) => format!("{prefix}{letter}:{key:032x}:{length}"),
            Kind::Period(period) => format!("{prefix}{letter}:{key:032x}:{}", period.start),
            Kind::Pace(..) | Kind::Held => format!("{prefix}{letter}:{key:032x}"),
        }
    }

    /// The first moment at which it no longer counts, by the server's clock.
    pub(super) fn until(&self) -> u64 {
        match self.kind {
            Kind::Ring(length) => self.slot.saturating_add(SLOTS + 1).saturating_mul(length),
            Kind::Period(period) => period.end,
            Kind::Pace(..) | Kind::Held => u64::MAX,
        }
    }
}
