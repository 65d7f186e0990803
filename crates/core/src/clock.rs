//! Time as it is passed in: wall clock for what is written down, monotonic clock for what is measured.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Source of both kinds of time. Timers themselves come from the async runtime.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
    /// Monotonic instant, for durations.
    fn instant(&self) -> Instant;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that moves only when told to, for tests.
#[derive(Debug)]
pub struct FakeClock {
    start: Instant,
    state: Mutex<(u64, Duration)>,
}

impl FakeClock {
    /// Starts at `now_ms` milliseconds since the Unix epoch.
    pub fn at(now_ms: u64) -> Self {
        FakeClock {
            start: Instant::now(),
            state: Mutex::new((now_ms, Duration::ZERO)),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 = state
            .0
            .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        state.1 += by;
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0
    }

    fn instant(&self) -> Instant {
        self.start
            + self
                .state
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fake_clock_moves_both_times() {
        let clock = FakeClock::at(1_000);
        let before = clock.instant();
        clock.advance(Duration::from_millis(250));
        assert_eq!(clock.now_ms(), 1_250);
        assert_eq!(clock.instant() - before, Duration::from_millis(250));
    }
}
