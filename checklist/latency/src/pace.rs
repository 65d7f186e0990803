//! How fast a target is: a peak-sensitive average for choosing, quantiles for hedging, a share of errors.

use std::time::{Duration, Instant};

/// How fast the average forgets (Finagle's peak EWMA).
const FORGETS: f64 = 10.0;
/// How fast errors are forgotten.
const ERRORS_FORGET: f64 = 60.0;
/// How long one half of the observed times is collected; quantiles are those of both halves.
const HALF: Duration = Duration::from_secs(60);
/// Fewest times that quantiles are told of.
const LEAST: u32 = 20;
/// Times are kept in buckets, each a tenth wider than the one before: from one millisecond to more than ten minutes.
const BUCKETS: usize = 144;
const WIDER: f64 = 1.1;

/// What was observed of one target. Of fixed size.
#[derive(Debug, Clone)]
pub struct Pace {
    ewma_ms: Option<f64>,
    at: Instant,
    calls: f64,
    errors: f64,
    counted_at: Instant,
    newer: Box<[u32; BUCKETS]>,
    older: Box<[u32; BUCKETS]>,
    half_since: Instant,
}

impl Pace {
    /// Nothing observed yet.
    pub fn new(now: Instant) -> Self {
        Pace {
            ewma_ms: None,
            at: now,
            calls: 0.0,
            errors: 0.0,
            counted_at: now,
            newer: Box::new([0; BUCKETS]),
            older: Box::new([0; BUCKETS]),
            half_since: now,
        }
    }

    /// A time to the first content.
    pub fn first_content(&mut self, took: Duration, now: Instant) {
        let ms = took.as_secs_f64() * 1e3;
        self.ewma_ms = Some(match self.ewma_ms {
            Some(average) if ms < average => {
                let gone = now.saturating_duration_since(self.at).as_secs_f64();
                ms + (average - ms) * (-gone / FORGETS).exp()
            }
            // A peak counts at once.
            _ => ms,
        });
        self.at = now;
        let since = now.saturating_duration_since(self.half_since);
        if since >= HALF {
            std::mem::swap(&mut self.newer, &mut self.older);
            *self.newer = [0; BUCKETS];
            if since >= HALF * 2 {
                *self.older = [0; BUCKETS];
            }
            self.half_since = now;
        }
        if let Some(count) = self.newer.get_mut(bucket(ms)) {
            *count += 1;
        }
    }

    /// A call ended, well or not.
    pub fn ended(&mut self, failed: bool, now: Instant) {
        let gone = now.saturating_duration_since(self.counted_at).as_secs_f64();
        let kept = (-gone / ERRORS_FORGET).exp();
        self.calls = self.calls * kept + 1.0;
        self.errors = self.errors * kept + f64::from(u8::from(failed));
        self.counted_at = now;
    }

    /// Average time to the first content in milliseconds: rises at once, falls slowly.
    pub fn ewma_ms(&self) -> Option<f64> {
        self.ewma_ms
    }

    /// Share of calls that failed lately.
    pub fn error_rate(&self) -> f64 {
        if self.calls > 0.0 {
            self.errors / self.calls
        } else {
            0.0
        }
    }

    /// The 95th percentile of the times to the first content of the last one to two minutes; none where there are too
    /// few. At most a tenth too high.
    pub fn p95(&self) -> Option<Duration> {
        let counts = || self.newer.iter().zip(self.older.iter()).map(|(a, b)| a + b);
        let all: u32 = counts().sum();
        if all < LEAST {
            return None;
        }
        let wanted = (f64::from(all) * 0.95).ceil();
        let mut below = 0.0;
        for (at, count) in counts().enumerate() {
            below += f64::from(count);
            if below >= wanted {
                return Some(upper(at));
            }
        }
        None
    }
}

fn bucket(ms: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the buckets"
    )]
    let at = (ms.max(1.0).ln() / WIDER.ln()).clamp(0.0, 143.0) as usize;
    at.min(BUCKETS - 1)
}

fn upper(bucket: usize) -> Duration {
    let power = i32::try_from(bucket + 1).unwrap_or(i32::MAX);
    Duration::from_secs_f64(WIDER.powi(power) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_rises_at_once_and_falls_slowly() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.first_content(Duration::from_millis(100), start);
        pace.first_content(Duration::from_millis(900), start);
        assert_eq!(pace.ewma_ms(), Some(900.0));
        let later = start + Duration::from_secs(10);
        pace.first_content(Duration::from_millis(100), later);
        let average = pace.ewma_ms().unwrap();
        assert!((390.0..400.0).contains(&average), "{average}");
    }

    #[test]
    fn quantiles_need_enough_and_are_of_late() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for n in 1..=19 {
            pace.first_content(Duration::from_millis(n * 10), start);
        }
        assert_eq!(pace.p95(), None);
        for n in 20..=100 {
            pace.first_content(Duration::from_millis(n * 10), start);
        }
        let p95 = pace.p95().unwrap().as_millis();
        assert!((950..1050).contains(&p95), "{p95}");
        let later = start + HALF * 3;
        for _ in 0..30 {
            pace.first_content(Duration::from_millis(50), later);
        }
        assert!(pace.p95().unwrap() < Duration::from_millis(60));
    }

    #[test]
    fn errors_are_forgotten() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..10 {
            pace.ended(true, start);
        }
        assert!((pace.error_rate() - 1.0).abs() < 1e-9);
        let later = start + Duration::from_secs(120);
        for _ in 0..10 {
            pace.ended(false, later);
        }
        assert!(pace.error_rate() < 0.13, "{}", pace.error_rate());
    }
}
