//! When far more sessions of a site are asked for than usual: then its pages have to show something for one.
//!
//! Sessions are counted by the minute, and the usual number is an average over about an hour that an attack does not raise. A minute with more
//! than λ + 5√λ + 5 of them arms the challenge; it is disarmed when no minute of the last half hour had more than half of that.
//! There is one count for each site of the file.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const MINUTE_MS: u64 = 60_000;
/// How long it has to be quiet.
const QUIET_MS: u64 = 30 * MINUTE_MS;
/// Weight of a minute in what is usual.
const WEIGHT: f64 = 1.0 / 60.0;

/// What a site's count says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stance {
    /// Sessions have to be earned.
    pub armed: bool,
    /// It was otherwise before.
    pub changed: bool,
}

/// Counts of all sites.
#[derive(Default)]
pub struct Siege(Mutex<HashMap<String, Count>>);

#[derive(Default)]
struct Count {
    minute: u64,
    seen: f64,
    usual: f64,
    armed_until_ms: Option<u64>,
}

impl Count {
    fn turn(&mut self, now_ms: u64) {
        let minute = now_ms / MINUTE_MS;
        if minute <= self.minute {
            return;
        }
        if self.armed_until_ms.is_none() {
            self.usual += (self.seen - self.usual) * WEIGHT;
            let empty = i32::try_from(minute - self.minute - 1).unwrap_or(i32::MAX);
            self.usual *= (1.0 - WEIGHT).powi(empty);
        }
        (self.minute, self.seen) = (minute, 0.0);
    }

    fn bound(&self) -> f64 {
        self.usual + 5.0 * self.usual.sqrt() + 5.0
    }

    fn stance(&mut self, now_ms: u64) -> Stance {
        let before = self.armed_until_ms.is_some();
        let armed = self.armed_until_ms.is_some_and(|until| until > now_ms);
        let bound = self.bound();
        if self.seen > bound || armed && self.seen > bound / 2.0 {
            self.armed_until_ms = Some(now_ms.saturating_add(QUIET_MS));
        } else if !armed {
            self.armed_until_ms = None;
        }
        let armed = self.armed_until_ms.is_some();
        Stance {
            armed,
            changed: armed != before,
        }
    }
}

impl Siege {
    /// A session of a site is asked for.
    pub fn asked(&self, site: &str, now_ms: u64) -> Stance {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.contains_key(site) {
            counts.insert(site.to_owned(), Count::default());
        }
        let Some(count) = counts.get_mut(site) else {
            return Stance {
                armed: true,
                changed: false,
            };
        };
        count.turn(now_ms);
        count.seen += 1.0;
        count.stance(now_ms)
    }

    /// Whether sessions of a site have to be earned now.
    pub fn is_armed(&self, site: &str, now_ms: u64) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = counts.get(site).and_then(|count| count.armed_until_ms);
        until.is_some_and(|until| until > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_arms_in_a_burst_and_disarms_after_half_an_hour_of_quiet() {
        let siege = Siege::default();
        let mut now = MINUTE_MS * 1000;
        // Two hours of four a minute are usual.
        for _ in 0..120 {
            for n in 0..4 {
                assert!(!siege.asked("shop", now + n * 10_000).armed);
            }
            now += MINUTE_MS;
        }
        let armed_at = (1..=60).find(|n| siege.asked("shop", now + n * 100).armed);
        assert!((15..=20).contains(&armed_at.unwrap()), "{armed_at:?}");
        assert!(siege.is_armed("shop", now + 6000));
        assert!(!siege.is_armed("other", now + 6000));
        // Hours of attack become no habit.
        for _ in 0..180 {
            now += MINUTE_MS;
            (0..60).for_each(|n| assert!(siege.asked("shop", now + n * 500).armed));
        }
        let last = now + 30_000;
        assert!(siege.is_armed("shop", last + QUIET_MS - MINUTE_MS));
        assert!(!siege.is_armed("shop", last + QUIET_MS));
        let stance = siege.asked("shop", last + QUIET_MS);
        assert!(!stance.armed && stance.changed);
    }

    #[test]
    fn busy_sites_are_quiet() {
        let siege = Siege::default();
        let mut rng = fastrand::Rng::with_seed(11);
        let mut now = MINUTE_MS * 1000;
        let mut armed = 0;
        for minute in 0..3 * 24 * 60u64 {
            // A wave by the day around 60 a minute, from the first minute on over an hour.
            let wave = (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
            let rate = (60.0 + 30.0 * wave) * (minute as f64 / 60.0).min(1.0);
            // 600 chances give about a Poisson number.
            let asked = (0..600).filter(|_| rng.f64() < rate / 600.0).count();
            for _ in 0..asked {
                armed += usize::from(siege.asked("shop", now).changed);
            }
            now += MINUTE_MS;
        }
        assert!(armed <= 2, "{armed}");
    }
}
