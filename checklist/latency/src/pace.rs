//! How fast a target is: a peak-sensitive average for choosing, quantiles for hedging, a share of errors.

use aplomb_core::request::Delivery;
use std::time::{Duration, Instant};

/// How fast the average forgets (Finagle's peak EWMA).
const FORGETS: f64 = 10.0;
/// Weight of the newest time in what is usual.
const NEWEST: f64 = 0.1;
/// How fast errors are forgotten.
const ERRORS_FORGET: f64 = 60.0;
/// How long one half of the observed times is collected; quantiles are those of both halves.
const HALF: Duration = Duration::from_secs(60);
/// Fewest times that quantiles are told of.
const LEAST: u32 = 20;
/// Times are kept in buckets, each a tenth wider than the one before: from one millisecond to more than ten minutes.
const BUCKETS: usize = 144;
const WIDER: f64 = 1.1;

/// Times of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    /// Rises at once, falls slowly; and since when.
    peak_ms: Option<(f64, Instant)>,
    /// What is usual.
    mean_ms: Option<f64>,
}

impl Average {
    fn add(&mut self, ms: f64, now: Instant) {
        let peak = match self.peak_ms {
            Some((average, at)) if ms < average => {
                let gone = now.saturating_duration_since(at).as_secs_f64();
                ms + (average - ms) * (-gone / FORGETS).exp()
            }
            // A peak counts at once.
            _ => ms,
        };
        self.peak_ms = Some((peak, now));
        let mean = self.mean_ms.unwrap_or(ms);
        self.mean_ms = Some(mean + NEWEST * (ms - mean));
    }

    fn peak(&self) -> Option<f64> {
        self.peak_ms.map(|(ms, _)| ms)
    }
}

/// What was observed of one target. Of fixed size.
#[derive(Debug, Clone)]
pub struct Pace {
    /// First contents of streams.
    streams: Average,
    /// Whole answers.
    wholes: Average,
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
            streams: Average::default(),
            wholes: Average::default(),
            calls: 0.0,
            errors: 0.0,
            counted_at: now,
            newer: Box::new([0; BUCKETS]),
            older: Box::new([0; BUCKETS]),
            half_since: now,
        }
    }

    /// The time until a whole answer was there.
    pub fn whole(&mut self, took: Duration, now: Instant) {
        self.wholes.add(took.as_secs_f64() * 1e3, now);
    }

    /// The time until a stream gave its first content.
    pub fn first_content(&mut self, took: Duration, now: Instant) {
        let ms = took.as_secs_f64() * 1e3;
        self.streams.add(ms, now);
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

    /// Average time to the first content in milliseconds: rises at once, falls slowly. That of whole answers where no
    /// stream was seen.
    pub fn ewma_ms(&self) -> Option<f64> {
        self.streams.peak().or(self.wholes.peak())
    }

    /// Likewise until a whole answer is there; that of streams where none was seen.
    pub fn whole_ewma_ms(&self) -> Option<f64> {
        self.wholes.peak().or(self.streams.peak())
    }

    /// How long it usually takes until there is something for the client.
    pub fn usual(&self, delivery: Delivery) -> Option<Duration> {
        let ms = match delivery {
            Delivery::Stream { .. } => self.streams.mean_ms,
            Delivery::Whole => self.wholes.mean_ms,
        };
        Duration::try_from_secs_f64(ms? / 1e3).ok()
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
    fn streams_and_whole_answers_are_told_apart() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.whole(Duration::from_secs(8), start);
        assert_eq!(pace.ewma_ms(), Some(8000.0));
        let stream = Delivery::Stream {
            include_usage: false,
        };
        assert_eq!(pace.usual(stream), None);
        for _ in 0..30 {
            pace.first_content(Duration::from_millis(200), start);
        }
        assert_eq!(pace.ewma_ms(), Some(200.0));
        assert_eq!(pace.whole_ewma_ms(), Some(8000.0));
        assert_eq!(pace.usual(stream), Some(Duration::from_millis(200)));
        assert_eq!(pace.usual(Delivery::Whole), Some(Duration::from_secs(8)));
        // When a hedge is sent is a question of streams.
        assert!(pace.p95().unwrap() < Duration::from_millis(230));
        // One straggler is not usual.
        pace.first_content(Duration::from_millis(5200), start);
        assert_eq!(pace.usual(stream), Some(Duration::from_millis(700)));
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
