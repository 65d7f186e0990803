//! How long answers become: the 90th percentile of the last ones, by what was asked.
//!
//! For limits of a rate nine tenths are better than all of them: most of what would be reserved for the longest answer is never
//! used, and a limit that is held for it lets half of its requests through. What an answer is longer is a debt.

use crate::key::Key;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Answers that are remembered of each kind.
const RECENT: usize = 128;
/// Fewest answers that say something.
const ENOUGH: usize = 20;
/// Most kinds; all others are taken for one.
const KINDS_MAX: usize = 1024;

#[derive(Default)]
struct Recent {
    tokens: Vec<u32>,
    next: usize,
}

impl Recent {
    fn note(&mut self, tokens: u32) {
        if self.tokens.len() < RECENT {
            self.tokens.push(tokens);
        } else if let Some(oldest) = self.tokens.get_mut(self.next) {
            *oldest = tokens;
            self.next = (self.next + 1) % RECENT;
        }
    }

    fn p90(&self) -> Option<u64> {
        let mut sorted = self.tokens.clone();
        if sorted.len() < ENOUGH {
            return None;
        }
        let at = sorted.len() * 9 / 10;
        let (_, p90, _) = sorted.select_nth_unstable(at);
        Some(u64::from(*p90))
    }
}

/// Output tokens of recent answers by kind.
#[derive(Default)]
pub struct Outputs(Mutex<HashMap<Key, Recent>>);

/// All kinds beyond the bound.
const OTHER: Key = Key(0);

impl Outputs {
    fn kinds(&self) -> MutexGuard<'_, HashMap<Key, Recent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer had so many output tokens.
    pub fn note(&self, kind: Key, tokens: u64) {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let mut kinds = self.kinds();
        let known = kinds.contains_key(&kind) || kinds.len() < KINDS_MAX;
        let kind = if known { kind } else { OTHER };
        kinds.entry(kind).or_default().note(tokens);
    }

    /// Nine of ten answers of this kind are not longer; none where too few are known.
    pub fn p90(&self, kind: Key) -> Option<u64> {
        let kinds = self.kinds();
        let known = kinds.get(&kind).or_else(|| kinds.get(&OTHER));
        known.and_then(Recent::p90)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_of_ten_are_not_longer_and_old_ones_are_forgotten() {
        let outputs = Outputs::default();
        let kind = Key(7);
        for n in 0..19 {
            outputs.note(kind, n);
        }
        assert_eq!(outputs.p90(kind), None, "too few");
        for n in 19..100 {
            outputs.note(kind, n);
        }
        assert_eq!(outputs.p90(kind), Some(90));
        for _ in 0..RECENT {
            outputs.note(kind, 1000);
        }
        assert_eq!(outputs.p90(kind), Some(1000));
        assert_eq!(outputs.p90(Key(8)), None);
    }

    #[test]
    fn kinds_are_bounded() {
        let outputs = Outputs::default();
        for kind in 1..=5000u128 {
            outputs.note(Key(kind), 10);
        }
        assert!(outputs.kinds().len() <= KINDS_MAX + 1);
        assert_eq!(outputs.p90(Key(9999)), Some(10), "taken for one");
    }
}
