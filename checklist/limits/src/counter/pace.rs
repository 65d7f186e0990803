//! A steady pace with a burst: the generic cell rate algorithm (ITU-T I.371, "virtual scheduling").
//!
//! With a limit L and a burst b at most L + b - 1 fit into one window: it shapes traffic, and is used only where the rule says
//! `burst`.

use super::{Bound, Full};
use crate::verdict::Level;
use std::time::Duration;

/// The moment, in nanoseconds, at which all that was taken would be used up at the pace of the rule.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    taken_until: u64,
}

const NS_A_MS: u64 = 1_000_000;

/// Nanoseconds for one unit, rounded up.
fn unit(bound: Bound<'_>) -> u64 {
    let window = bound.rule.sliding_ms().saturating_mul(NS_A_MS);
    window.div_ceil(bound.limit.max(1)).max(1)
}

fn burst(bound: Bound<'_>) -> u64 {
    bound.rule.burst.unwrap_or(bound.limit).min(bound.limit)
}

fn duration(ns: u64) -> Duration {
    // Whole milliseconds: who comes at that time finds room.
    super::duration(ns.div_ceil(NS_A_MS))
}

impl Pace {
    pub(super) fn check(&self, bound: Bound<'_>, now: u64, amount: u64) -> Result<(), Full> {
        let (unit, burst, now) = (unit(bound), burst(bound), now.saturating_mul(NS_A_MS));
        let until = self
            .taken_until
            .max(now)
            .saturating_add(amount.saturating_mul(unit));
        let latest = now.saturating_add(burst.saturating_mul(unit));
        if amount > burst {
            return Err(Full(None));
        }
        match until.checked_sub(latest).filter(|wait| *wait > 0) {
            Some(wait) => Err(Full(Some(duration(wait)))),
            None => Ok(()),
        }
    }

    pub(super) fn take(&mut self, bound: Bound<'_>, now: u64, amount: u64) -> u64 {
        let from = self.taken_until.max(now.saturating_mul(NS_A_MS));
        self.taken_until = from.saturating_add(amount.saturating_mul(unit(bound)));
        now
    }

    pub(super) fn amend(&mut self, bound: Bound<'_>, now: u64, (was, is): (u64, u64)) -> u64 {
        if is >= was {
            return self.take(bound, now, is - was);
        }
        let back = (was - is).saturating_mul(unit(bound));
        self.taken_until = self.taken_until.saturating_sub(back);
        now
    }

    /// From when to when what was taken then counts: as long as it may stand in a line of others, which is not longer than a
    /// window.
    pub(super) fn span(&self, window: u64, stamp: u64) -> (u64, u64) {
        (stamp, stamp.saturating_add(window.saturating_mul(2)))
    }

    /// What was taken and is not used up at the pace of the rule, in units.
    pub(super) fn taken(&self, bound: Bound<'_>, now: u64) -> u64 {
        self.ahead(now).div_ceil(unit(bound))
    }

    fn ahead(&self, now: u64) -> u64 {
        let now = now.saturating_mul(NS_A_MS);
        self.taken_until.saturating_sub(now)
    }

    pub(super) fn level(&self, bound: Bound<'_>, now: u64) -> Level {
        let (unit, limit) = (unit(bound), bound.limit);
        let (ahead, taken) = (self.ahead(now), self.taken(bound, now));
        // What is not in the burst comes later, so for now it is used.
        let used = taken.saturating_add(limit.saturating_sub(burst(bound)));
        let next = ahead.checked_sub(taken.saturating_sub(1).saturating_mul(unit));
        Level {
            used,
            next: next.filter(|_| taken > 0).map(duration),
            full: (taken > 0).then(|| duration(ahead)),
        }
    }

    pub(super) fn is_live(&self, now: u64) -> bool {
        self.taken_until > now.saturating_mul(NS_A_MS)
    }
}
