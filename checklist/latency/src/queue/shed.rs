//! When calls that wait are given up: controlled delay (CoDel, RFC 8289) on the times that calls of a class waited.
//!
//! A queue that is long for a moment is what queues are for. One whose calls *all* wait for long does nothing but make
//! everybody late: then calls are given up, the oldest of whoever has most of them, one after another in shorter and shorter
//! intervals, until none has waited for so long. Meanwhile the newest calls go first: their callers are still there.

use std::time::{Duration, Instant};

/// A wait of so many parts of a class's patience is long. Chosen: a quarter.
const LONG: u32 = 4;
/// And waits are looked at for so many parts of it before anything is given up. Chosen: half of that, as limits of interactive
/// queues have it.
const INTERVAL: u32 = 8;

/// How one class of a queue stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shedder {
    /// All waits were long lately; at this time it has lasted.
    lasts_at: Option<Instant>,
    shedding: Option<Shedding>,
}

#[derive(Debug, Clone, Copy)]
struct Shedding {
    /// When the next call is given up.
    next: Instant,
    count: u32,
}

impl Shedder {
    /// A call's turn came after it had waited so long.
    pub(super) fn waited(&mut self, waited: Duration, patience: Duration, now: Instant) {
        if waited < patience / LONG {
            self.lasts_at = None;
            return;
        }
        let lasts_at = *self.lasts_at.get_or_insert(now + patience / INTERVAL);
        if now >= lasts_at && self.shedding.is_none() {
            self.shedding = Some(Shedding {
                next: now,
                count: 0,
            });
        }
    }

    /// Whether the newest calls go first.
    pub(super) fn is_overloaded(&self) -> bool {
        self.shedding.is_some()
    }

    /// Whether a call is given up now. `oldest`: how long the oldest has waited; none where none waits.
    pub(super) fn sheds(
        &mut self,
        oldest: Option<Duration>,
        patience: Duration,
        now: Instant,
    ) -> bool {
        let Some(shedding) = &mut self.shedding else {
            return false;
        };
        if oldest.is_none_or(|oldest| oldest < patience / LONG) {
            *self = Shedder::default();
            return false;
        }
        if now < shedding.next {
            return false;
        }
        shedding.count = shedding.count.saturating_add(1);
        shedding.next += (patience / INTERVAL).div_f64(f64::from(shedding.count).sqrt());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(8);

    fn seconds(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    #[test]
    fn one_short_wait_shows_that_there_is_no_overload() {
        let start = Instant::now();
        let mut shedder = Shedder::default();
        for n in 0..100 {
            let waited = if n % 10 == 9 { 0.5 } else { 5.0 };
            let now = start + seconds(f64::from(n) * 0.1);
            shedder.waited(seconds(waited), PATIENCE, now);
            assert!(!shedder.sheds(Some(seconds(5.0)), PATIENCE, now), "{n}");
        }
    }

    #[test]
    fn calls_are_given_up_faster_and_faster_until_none_has_waited_long() {
        let start = Instant::now();
        let mut shedder = Shedder::default();
        let mut given_up = Vec::new();
        for n in 0..600 {
            let at = f64::from(n) * 0.01;
            let now = start + seconds(at);
            shedder.waited(seconds(3.0), PATIENCE, now);
            if shedder.sheds(Some(seconds(3.0)), PATIENCE, now) {
                given_up.push((at * 10.0).round() / 10.0);
            }
        }
        assert_eq!(given_up[..6], [1.0, 2.0, 2.7, 3.3, 3.8, 4.2]);
        assert!(shedder.is_overloaded());
        let now = start + seconds(7.0);
        assert!(!shedder.sheds(Some(seconds(1.9)), PATIENCE, now));
        assert!(!shedder.is_overloaded());
    }
}
