//! One number for a period of the calendar, or for ever. A clock that steps back does not begin a period again.

use super::{Bound, Full, duration};
use crate::calendar::Period;
use crate::rule::{Rule, Window};
use crate::verdict::Level;

/// What was used in a period.
#[derive(Debug, Clone)]
pub struct Spent {
    period: Period,
    used: u64,
}

fn period(rule: &Rule, now: u64) -> Period {
    match &rule.window {
        Window::Calendar(calendar) => calendar.period(now),
        Window::Sliding(_) | Window::Lifetime | Window::Concurrent => Period::ALL,
    }
}

impl Spent {
    /// Nothing, in the period of `now`.
    pub fn new(rule: &Rule, now: u64) -> Self {
        Spent {
            period: period(rule, now),
            used: 0,
        }
    }

    /// As it was, in the period that began at `start`.
    pub(super) fn restored(rule: &Rule, start: u64, used: u64) -> Self {
        Spent {
            period: period(rule, start),
            used,
        }
    }

    /// What is used.
    pub fn used(&self) -> u64 {
        self.used
    }

    fn forget(&mut self, rule: &Rule, now: u64) {
        if now >= self.period.end {
            *self = Spent::new(rule, now);
        }
    }

    fn left(&self, now: u64) -> Option<std::time::Duration> {
        let end = Some(self.period.end).filter(|end| *end < u64::MAX);
        end.map(|end| duration(end.saturating_sub(now)))
    }

    pub(super) fn check(&mut self, bound: Bound<'_>, now: u64, amount: u64) -> Result<(), Full> {
        self.forget(bound.rule, now);
        if self.used.saturating_add(amount) <= bound.limit {
            return Ok(());
        }
        let wait = self.left(now).filter(|_| amount <= bound.limit);
        Err(Full(wait))
    }

    pub(super) fn take(&mut self, rule: &Rule, now: u64, amount: u64) -> u64 {
        self.forget(rule, now);
        self.used = self.used.saturating_add(amount);
        self.period.start
    }

    pub(super) fn amend(
        &mut self,
        rule: &Rule,
        now: u64,
        (stamp, was, is): (u64, u64, u64),
    ) -> u64 {
        self.forget(rule, now);
        if stamp == self.period.start {
            self.used = self.used.saturating_sub(was).saturating_add(is);
        } else {
            self.used = self.used.saturating_add(is.saturating_sub(was));
        }
        if is > was { self.period.start } else { stamp }
    }

    /// From when to when it counts.
    pub(super) fn span(&self) -> (u64, u64) {
        (self.period.start, self.period.end)
    }

    pub(super) fn level(&mut self, rule: &Rule, now: u64) -> Level {
        self.forget(rule, now);
        let left = self.left(now).filter(|_| self.used > 0);
        Level {
            used: self.used,
            next: left,
            full: left,
        }
    }

    pub(super) fn is_live(&self, now: u64) -> bool {
        self.used > 0 && now < self.period.end
    }
}
