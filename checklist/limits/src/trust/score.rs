//! The score: one number from 0 to 100 whose parts can be told.
//!
//! `100 · σ(b + 0.9 ln(1 + P/10) + 0.02 min(D, 90) − 1.1 ln(1 + N))` with good units P that halve in 14 days, bad units N that halve
//! in 30 (bad memory is longer), and D days with at least one good request: age alone earns nothing. Somebody new has 20.

use serde::{Deserialize, Serialize};

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;
/// Good units are half of what they were after so long.
pub const GOOD_HALF_MS: u64 = 14 * DAY_MS;
/// Bad units are half of what they were after so long.
pub const BAD_HALF_MS: u64 = 30 * DAY_MS;
/// Score from which a user is one as everybody.
pub const STANDARD: f64 = 30.0;
/// Score from which a user is trusted.
pub const TRUSTED: f64 = 60.0;
/// A level changes when the score is so far beyond its border.
pub const MARGIN: f64 = 5.0;

const BASE: f64 = -1.4;
const ACTIVE_MAX: u32 = 90;

/// A number that becomes less with time. It is worked out when somebody looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Decaying {
    value: f64,
    at_ms: u64,
}

impl Decaying {
    /// What it is at a time, where it halves in so long. Before its last change it is what it was then.
    pub fn at(&self, now_ms: u64, half_ms: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a lifetime fit")]
        let halves = now_ms.saturating_sub(self.at_ms) as f64 / half_ms as f64;
        self.value * (-halves).exp2()
    }

    /// Adds to it.
    pub fn add(&mut self, more: f64, now_ms: u64, half_ms: u64) {
        self.value = self.at(now_ms, half_ms) + more;
        self.at_ms = self.at_ms.max(now_ms);
    }
}

/// What a score is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Parts {
    /// Good units that are left.
    pub good: f64,
    /// Bad units that are left.
    pub bad: f64,
    /// Days with at least one good request.
    pub active_days: u32,
}

impl Parts {
    /// The score of these parts, 0 to 100.
    pub fn score(&self) -> f64 {
        let active = f64::from(self.active_days.min(ACTIVE_MAX));
        let sum = BASE + 0.9 * (self.good / 10.0).ln_1p() + 0.02 * active - 1.1 * self.bad.ln_1p();
        100.0 / (1.0 + (-sum).exp())
    }
}
