//! Each request of a window is remembered: exact, and it knows to the millisecond when there is room again.

use super::{Full, duration};
use crate::verdict::Level;

/// When requests came, oldest first. At most as many as the limit, and what was taken beyond it.
#[derive(Debug, Clone)]
pub struct Log {
    window: u64,
    times: Vec<u64>,
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Log {
    /// For windows of so many milliseconds.
    pub fn new(window: u64) -> Self {
        Log {
            window,
            times: Vec::new(),
        }
    }

    pub(super) fn window(&self) -> u64 {
        self.window
    }

    pub(super) fn times(&self) -> &[u64] {
        &self.times
    }

    /// Forgets what is over. Returns the time as it is taken here.
    fn forget(&mut self, now: u64) -> u64 {
        let now = now.max(self.times.last().copied().unwrap_or(0));
        let over = self
            .times
            .partition_point(|at| at.saturating_add(self.window) <= now);
        self.times.drain(..over);
        now
    }

    /// Until the request that came at `at` is over.
    fn until(&self, at: u64, now: u64) -> u64 {
        at.saturating_add(self.window).saturating_sub(now)
    }

    pub(super) fn check(&mut self, limit: u64, now: u64, amount: u64) -> Result<(), Full> {
        let now = self.forget(now);
        let wanted = count(self.times.len()).saturating_add(amount);
        let Some(over) = wanted.checked_sub(limit).filter(|over| *over > 0) else {
            return Ok(());
        };
        // So many of the oldest have to go.
        let last = usize::try_from(over - 1).ok();
        let last = last
            .filter(|_| amount <= limit)
            .and_then(|at| self.times.get(at));
        Err(Full(last.map(|at| duration(self.until(*at, now)))))
    }

    pub(super) fn take(&mut self, now: u64, amount: u64) -> u64 {
        let now = self.forget(now);
        for _ in 0..amount {
            self.times.push(now);
        }
        now
    }

    pub(super) fn amend(&mut self, now: u64, (stamp, was, is): (u64, u64, u64)) -> u64 {
        let now = self.forget(now);
        for _ in is..was {
            // The last one of that time, if it still counts.
            let at = self.times.partition_point(|at| *at <= stamp);
            if at > 0 && self.times.get(at - 1) == Some(&stamp) {
                self.times.remove(at - 1);
            }
        }
        for _ in was..is {
            self.times.push(now);
        }
        if is > was { now } else { stamp }
    }

    /// From when to when a request counts.
    pub(super) fn span(&self, stamp: u64) -> (u64, u64) {
        (stamp, stamp.saturating_add(self.window))
    }

    pub(super) fn level(&mut self, now: u64) -> Level {
        let now = self.forget(now);
        let until = |at: Option<&u64>| at.map(|at| duration(self.until(*at, now)));
        Level {
            used: count(self.times.len()),
            next: until(self.times.first()),
            full: until(self.times.last()),
        }
    }

    pub(super) fn is_live(&self, now: u64) -> bool {
        let last = self.times.last();
        last.is_some_and(|at| at.saturating_add(self.window) > now)
    }
}
