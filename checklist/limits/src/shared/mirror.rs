//! What this node has used of each counter, and what of that the server knows.
//!
//! Whatever the two differ by is owed to the server, and is told to it in batches. When the server has forgotten everything, what it
//! knows is nothing, and all that still counts is owed: so a new server hears from each node what that node has used, once.
//!
//! **Bound.** At most [`COUNTERS_MAX`] counters. Beyond that, differences of counters that are not there are lost, and counted: what
//! would have been given back stays charged.

use super::spot::{Kind, Spot};
use crate::key::Key;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most counters of this node. Chosen: users of a quarter of a day, in about 50 MB.
pub const COUNTERS_MAX: usize = 1 << 18;
/// Number of the epoch in which this node ended, before it was started again.
pub(super) const BEFORE: u64 = 0;
/// Parts with a lock each.
const SHARDS: usize = 64;

/// A part that is full looks again for counters that are over after so long.
const SWEEP_MS: u64 = 1000;

/// What was used at one place.
#[derive(Debug, Clone, Copy)]
struct Part {
    spot: Spot,
    /// What this node has used.
    is: i64,
    /// What of it the server knows.
    told: i64,
    /// What is on its way there.
    flying: i64,
}

impl Part {
    fn owed(&self) -> i64 {
        self.is - self.told - self.flying
    }

    /// Whether it says nothing any more.
    fn is_over(&self, server_ms: u64) -> bool {
        let nothing = self.is == 0 && self.told == 0;
        self.flying == 0 && (nothing || self.spot.until() <= server_ms)
    }
}

#[derive(Default)]
struct Own {
    parts: Vec<Part>,
    /// It is in the queue of those that owe something.
    queued: bool,
}

impl Own {
    fn part(&mut self, spot: Spot) -> Option<&mut Part> {
        let at = match self.parts.iter().position(|part| part.spot == spot) {
            Some(at) => at,
            None => {
                self.parts.push(Part {
                    spot,
                    is: 0,
                    told: 0,
                    flying: 0,
                });
                self.parts.len() - 1
            }
        };
        self.parts.get_mut(at)
    }
}

#[derive(Default)]
struct Shard {
    owns: HashMap<Key, Own>,
    /// Number of the epoch that `told` is about.
    epoch: u64,
    sweep_at: usize,
    swept_ms: u64,
}

/// A difference that is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) spot: Spot,
    pub(super) amount: i64,
}

/// All that this node has used.
pub(super) struct Mirror {
    shards: Vec<Mutex<Shard>>,
    /// Counters that owe something.
    queue: Mutex<Vec<Key>>,
    counters: AtomicUsize,
    max: usize,
    pub(super) lost: AtomicU64,
}

impl Mirror {
    pub(super) fn with_counters(max: usize) -> Self {
        Mirror {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            queue: Mutex::default(),
            counters: AtomicUsize::new(0),
            max,
            lost: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: Key) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.shards.get(usize::try_from(key.0 % 64).unwrap_or(0))?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Key>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many counters owe something.
    pub(super) fn owing(&self) -> usize {
        self.queue().len()
    }

    /// The server has let this in, in an epoch: it knows of it.
    pub(super) fn granted(&self, spot: Spot, amount: i64, epoch: u64, server_ms: u64) {
        self.change(spot, server_ms, |part, now| {
            part.is = part.is.saturating_add(amount);
            // A server that came after it does not.
            if epoch == now {
                part.told = part.told.saturating_add(amount);
            }
        });
    }

    /// Whether this node has used anything of a counter since it was started.
    pub(super) fn knows(&self, key: Key) -> bool {
        self.shard(key)
            .is_some_and(|shard| shard.owns.contains_key(&key))
    }

    /// This node has used so much before it was started. The server of that time knows of it, another one does not.
    pub(super) fn used_before(&self, spot: Spot, amount: i64, server_ms: u64) {
        self.granted(spot, amount, BEFORE, server_ms);
    }

    /// What of a counter the server may not know yet.
    pub(super) fn untold(&self, key: Key) -> u64 {
        let Some(shard) = self.shard(key) else {
            return 0;
        };
        let parts = shard.owns.get(&key).map_or(&[][..], |own| &own.parts);
        let all = parts.iter().fold(0i64, |sum, part| {
            sum.saturating_add(part.is.saturating_sub(part.told).max(0))
        });
        u64::try_from(all).unwrap_or(0)
    }

    /// This node has used so much more, or less.
    pub(super) fn used(&self, spot: Spot, amount: i64, server_ms: u64) {
        if amount != 0 {
            self.change(spot, server_ms, |part, _| {
                part.is = part.is.saturating_add(amount);
            });
        }
    }

    fn change(&self, spot: Spot, server_ms: u64, change: impl FnOnce(&mut Part, u64)) {
        let Some(mut shard) = self.shard(spot.key) else {
            return;
        };
        let epoch = shard.epoch;
        if !shard.owns.contains_key(&spot.key) {
            self.sweep(&mut shard, server_ms);
            if self.counters.load(Ordering::Relaxed) >= self.max {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.counters.fetch_add(1, Ordering::Relaxed);
        }
        let own = shard.owns.entry(spot.key).or_default();
        own.parts.retain(|part| !part.is_over(server_ms));
        let Some(part) = own.part(spot) else { return };
        change(part, epoch);
        let owes = part.owed() != 0;
        if owes && !std::mem::replace(&mut own.queued, true) {
            self.queue().push(spot.key);
        }
    }

    /// Forgets what is over, when there are twice as many counters as after the last look.
    fn sweep(&self, shard: &mut Shard, server_ms: u64) {
        let full = self.counters.load(Ordering::Relaxed) >= self.max
            && server_ms >= shard.swept_ms.saturating_add(SWEEP_MS);
        if shard.owns.len() < shard.sweep_at.max(16) && !full {
            return;
        }
        let before = shard.owns.len();
        shard.owns.retain(|_, own| {
            own.parts.retain(|part| !part.is_over(server_ms));
            own.queued || !own.parts.is_empty()
        });
        let gone = before - shard.owns.len();
        self.counters.fetch_sub(gone, Ordering::Relaxed);
        shard.sweep_at = shard.owns.len().saturating_mul(2);
        shard.swept_ms = server_ms;
    }

    /// Spends what the server has counted for this node at a place, and this node has not used. False where that is less.
    pub(super) fn spend(&self, spot: Spot, amount: i64) -> bool {
        let Some(mut shard) = self.shard(spot.key) else {
            return false;
        };
        let Some(own) = shard.owns.get_mut(&spot.key) else {
            return false;
        };
        let Some(part) = own.parts.iter_mut().find(|part| part.spot == spot) else {
            return false;
        };
        // What is on its way to be given back is given back.
        let counted = part.told.saturating_add(part.flying.min(0));
        let fits = counted.saturating_sub(part.is) >= amount;
        if fits {
            part.is = part.is.saturating_add(amount);
        }
        fits
    }

    /// What is owed, at most so many differences. What is taken is on its way until [`Mirror::told`] says that it came.
    pub(super) fn collect(&self, most: usize, server_ms: u64) -> Vec<Owed> {
        let mut all = Vec::new();
        while all.len() < most {
            let Some(key) = self.queue().pop() else { break };
            let Some(mut shard) = self.shard(key) else {
                continue;
            };
            let Some(own) = shard.owns.get_mut(&key) else {
                continue;
            };
            own.queued = false;
            own.parts.retain(|part| !part.is_over(server_ms));
            for part in &mut own.parts {
                let amount = part.owed();
                if amount != 0 {
                    part.flying = part.flying.saturating_add(amount);
                    let spot = part.spot;
                    all.push(Owed { spot, amount });
                }
            }
        }
        all
    }

    /// The server knows these differences.
    pub(super) fn told(&self, batch: &[Owed], epoch: u64) {
        for owed in batch {
            let Some(mut shard) = self.shard(owed.spot.key) else {
                continue;
            };
            if shard.epoch != epoch {
                continue;
            }
            let Some(own) = shard.owns.get_mut(&owed.spot.key) else {
                continue;
            };
            let same = |part: &&mut Part| part.spot == owed.spot;
            let Some(part) = own.parts.iter_mut().find(same) else {
                continue;
            };
            part.flying = part.flying.saturating_sub(owed.amount);
            part.told = part.told.saturating_add(owed.amount);
            // What was taken at a steady pace is used up by itself.
            if matches!(part.spot.kind, Kind::Pace(..)) && part.is == part.told {
                (part.is, part.told) = (0, 0);
            }
        }
    }

    /// The server has forgotten everything.
    pub(super) fn renew(&self, epoch: u64, server_ms: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.epoch = epoch;
            for (key, own) in &mut shard.owns {
                for part in &mut own.parts {
                    (part.told, part.flying) = (0, 0);
                    if matches!(part.spot.kind, Kind::Pace(..)) {
                        part.is = 0;
                    }
                }
                own.parts.retain(|part| !part.is_over(server_ms));
                let owes = own.parts.iter().any(|part| part.owed() != 0);
                if owes && !std::mem::replace(&mut own.queued, true) {
                    self.queue().push(*key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn spot(slot: u64) -> Spot {
        Spot {
            key: Key(7),
            kind: Kind::Ring(HOUR),
            slot,
        }
    }

    fn owed(mirror: &Mirror) -> Vec<i64> {
        let batch = mirror.collect(100, 0);
        batch.iter().map(|one| one.amount).collect()
    }

    #[test]
    fn what_the_server_does_not_know_is_owed_once() {
        let mirror = Mirror::with_counters(10);
        mirror.granted(spot(0), 10, 0, 0);
        assert!(owed(&mirror).is_empty(), "it has counted that itself");
        mirror.used(spot(0), -4, 0);
        mirror.used(spot(0), 1, 0);
        let batch = mirror.collect(100, 0);
        assert_eq!(
            batch,
            [Owed {
                spot: spot(0),
                amount: -3
            }]
        );
        assert!(owed(&mirror).is_empty(), "it is on its way");
        mirror.used(spot(0), 2, 0);
        mirror.told(&batch, 0);
        assert_eq!(owed(&mirror), [2]);
    }

    #[test]
    fn a_server_that_has_forgotten_hears_everything_that_still_counts() {
        let mirror = Mirror::with_counters(10);
        mirror.granted(spot(0), 10, 0, 0);
        mirror.granted(spot(20), 5, 0, 20 * HOUR);
        mirror.used(spot(20), -1, 20 * HOUR);
        let lost = mirror.collect(100, 20 * HOUR);
        mirror.renew(1, 20 * HOUR);
        // An answer and a call of the time before change nothing.
        mirror.told(&lost, 0);
        mirror.granted(spot(20), 3, 0, 20 * HOUR);
        assert_eq!(owed(&mirror), [7], "slot 0 is over");
    }

    #[test]
    fn only_what_was_given_back_can_be_spent() {
        let mirror = Mirror::with_counters(10);
        assert!(!mirror.spend(spot(0), 1));
        mirror.granted(spot(0), 10, 0, 0);
        assert!(!mirror.spend(spot(0), 1));
        mirror.used(spot(0), -4, 0);
        assert!(mirror.spend(spot(0), 3));
        assert!(!mirror.spend(spot(0), 2), "one is left");
        assert!(mirror.spend(spot(0), 1));
        assert!(owed(&mirror).is_empty(), "the server counts all of it");
        mirror.used(spot(0), -4, 0);
        let _flying = mirror.collect(100, 0);
        assert!(!mirror.spend(spot(0), 1), "others may have it");
    }

    #[test]
    fn counters_are_bounded_and_those_that_are_over_go_first() {
        let mirror = Mirror::with_counters(100);
        let one = |key: u128, slot| Spot {
            key: Key(key),
            ..spot(slot)
        };
        for key in 0..100 {
            mirror.granted(one(key * 64, 0), 1, 0, 0);
        }
        mirror.used(one(6400, 0), 1, 0);
        assert_eq!(mirror.lost.load(Ordering::Relaxed), 1);
        mirror.used(one(6400, 30), 1, 30 * HOUR);
        assert_eq!(mirror.lost.load(Ordering::Relaxed), 1);
        assert_eq!(mirror.counters.load(Ordering::Relaxed), 1);
    }
}
