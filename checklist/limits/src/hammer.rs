//! Who goes on asking after a refusal is answered later and later: an instant 429 invites thousands a minute.
//!
//! Each refusal warms a caller by one, and a caller cools to half in ten seconds. The first ten of a burst are answered at once; then each five
//! double the delay, from 50 ms to two seconds. A caller that was very warm is cold again within a minute. Only refusals wait: whoever has room
//! is let in at once.
//!
//! **Bounds.** At most [`CALLERS_MAX`] warm callers are known, and at most [`DELAYED_MAX`] refusals wait at a time; beyond that they are
//! answered at once.

use crate::key::Key;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most callers that are warm. Chosen: 1 MB.
pub const CALLERS_MAX: usize = 16_384;
/// Most refusals that wait. Each holds a connection.
pub const DELAYED_MAX: usize = 1_000;

const HALF_MS: f64 = 10_000.0;
/// Refusals of a burst that are answered at once: a page with several parts, a hasty retry.
const FREE: f64 = 10.0;
const DOUBLES: f64 = 5.0;
const FIRST_MS: f64 = 50.0;
const LONGEST_MS: f64 = 2_000.0;
/// Time between two looks for callers that are cold.
const SWEEP_MS: u64 = 1_000;
/// Warmest that a caller becomes, so that it is cold again within a minute.
const WARMEST: f64 = 100.0;

#[derive(Clone, Copy)]
struct Warmth {
    value: f64,
    at_ms: u64,
}

impl Warmth {
    fn at(&self, now_ms: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a process fit")]
        let halves = now_ms.saturating_sub(self.at_ms) as f64 / HALF_MS;
        self.value * (-halves).exp2()
    }
}

#[derive(Default)]
struct Callers {
    warm: HashMap<Key, Warmth>,
    swept_ms: u64,
}

/// How warm callers are.
#[derive(Default)]
pub struct Hammer {
    callers: Mutex<Callers>,
    delayed: Arc<AtomicUsize>,
}

/// A refusal that waits. Dropping it gives its place to another one.
#[derive(Debug)]
pub struct Delay {
    /// For how long.
    pub time: Duration,
    delayed: Arc<AtomicUsize>,
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.delayed.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hammer {
    /// A caller was refused; how long its answer waits, if it does.
    pub fn refused(&self, caller: Key, now_ms: u64) -> Option<Delay> {
        let warmth = self.warm(caller, now_ms)?;
        if warmth <= FREE {
            return None;
        }
        let ms = (FIRST_MS * ((warmth - FREE) / DOUBLES).exp2()).min(LONGEST_MS);
        if self.delayed.fetch_add(1, Ordering::Relaxed) >= DELAYED_MAX {
            self.delayed.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Delay {
            time: Duration::from_secs_f64(ms / 1000.0),
            delayed: self.delayed.clone(),
        })
    }

    /// How warm it is now; none where there is no room for it.
    fn warm(&self, caller: Key, now_ms: u64) -> Option<f64> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.warm.len() >= CALLERS_MAX && !callers.warm.contains_key(&caller) {
            // Looking for the cold walks over all: not more often than they can have become cold.
            if now_ms.saturating_sub(callers.swept_ms) >= SWEEP_MS {
                callers.swept_ms = now_ms;
                callers.warm.retain(|_, warmth| warmth.at(now_ms) > 0.5);
            }
            if callers.warm.len() >= CALLERS_MAX {
                return None;
            }
        }
        let warmth = callers.warm.entry(caller).or_insert(Warmth {
            value: 0.0,
            at_ms: now_ms,
        });
        warmth.value = (warmth.at(now_ms) + 1.0).min(WARMEST);
        warmth.at_ms = warmth.at_ms.max(now_ms);
        Some(warmth.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(delay: Option<&Delay>) -> u128 {
        delay.map_or(0, |delay| delay.time.as_millis())
    }

    #[test]
    fn delays_grow_are_bounded_and_pass() {
        let hammer = Hammer::default();
        let mut delays = Vec::new();
        for _ in 0..60 {
            delays.push(ms(hammer.refused(Key(1), 1_000).as_ref()));
        }
        assert_eq!(delays[..10], [0; 10]);
        assert!(delays[10] >= 50 && delays[10] < 60, "{delays:?}");
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(*delays.last().unwrap(), 2000);
        assert_eq!(
            ms(hammer.refused(Key(2), 1_000).as_ref()),
            0,
            "others are not meant"
        );
        for _ in 0..10_000 {
            hammer.refused(Key(1), 1_000);
        }
        assert_eq!(
            ms(hammer.refused(Key(1), 1_000 + 60_000).as_ref()),
            0,
            "cold within a minute"
        );
        // A clock that steps back cools nobody and warms nobody more than once.
        assert_eq!(ms(hammer.refused(Key(2), 0).as_ref()), 0);
    }

    #[test]
    fn who_waits_and_who_is_known_is_bounded() {
        let hammer = Hammer::default();
        let mut waiting = Vec::new();
        for _ in 0..2 * DELAYED_MAX {
            waiting.extend(hammer.refused(Key(1), 0));
        }
        assert_eq!(waiting.len(), DELAYED_MAX);
        waiting.clear();
        assert!(hammer.refused(Key(1), 0).is_some());
        for n in 0..2 * CALLERS_MAX {
            hammer.refused(Key(u128::try_from(n).unwrap()), 0);
        }
        assert_eq!(hammer.callers.lock().unwrap().warm.len(), CALLERS_MAX);
        hammer.refused(Key(u128::MAX), 60_000);
        assert!(
            hammer.callers.lock().unwrap().warm.len() < 10,
            "the cold are forgotten"
        );
    }
}
