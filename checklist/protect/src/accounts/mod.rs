//! Many accounts of one attacker: new accounts that come in a burst from one subnet, or with one kind of client.
//!
//! A group is what accounts have in common; it knows how many came new in the last hour, in slots of five minutes, and how many do so
//! in a usual hour, as a moving average. A burst is more than `usual + 5 sqrt(usual) + 5` in an hour, of which more than a usual quarter of
//! an hour's in the last one, so that it ends soon after the attack. Whoever came new in a burst is linked while it lasts and for a day
//! after it; who came before or comes after is not, since a group may be half of all browsers.
//!
//! What lasts for days becomes the usual: of a burst no more is learned than just makes none. In the first hours of a process nothing is
//! usual yet; then nobody is linked.
//!
//! **Bound.** At most [`GROUPS_MAX`] groups are kept. Where there are more, those that nobody came new to for a day go, then those for an
//! hour; where all are in use, accounts of further groups are not linked by them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most groups. Chosen: 8 MiB.
pub const GROUPS_MAX: usize = 1 << 16;
/// A slot.
const SLOT_MS: u64 = 300_000;
/// Slots that hold an hour: one more than are full.
const SLOTS: usize = 13;
/// Slots that hold a quarter of an hour, the same way.
const RECENT: usize = 4;
const HOUR_MS: u64 = 3_600_000;
/// So long after a burst its accounts are linked. Chosen: free quota is a day's.
const AFTER_MS: u64 = 86_400_000;
/// Part of a usual hour that the latest hour is. Chosen: a night is forgotten in a day, and a wave of the day is followed.
const WEIGHT: f64 = 0.1;
/// Nothing is rarer: eight new accounts in an hour are a burst of a group that nobody knew. Section 2.5 of the design's simulations.
const USUAL_MIN: f64 = 0.2;

/// A burst has begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// New accounts in the last hour.
    pub new: u32,
    /// Those of a usual hour.
    pub usual: f64,
}

#[derive(Debug)]
struct Group {
    slots: [u32; SLOTS],
    /// Number of the latest slot.
    slot: u64,
    /// New ones of the latest hour of the clock.
    in_hour: u32,
    /// Those of the hour before. It is not learned from yet, so that a burst does not hide itself.
    hour_before: u32,
    usual: f64,
    /// The latest burst: its first and its last account.
    burst: Option<(u64, u64)>,
}

fn hour_of(slot: u64) -> u64 {
    slot / (HOUR_MS / SLOT_MS)
}

/// More than this in an hour is a burst.
fn most(usual: f64) -> f64 {
    usual + 5.0 * usual.sqrt() + 5.0
}

impl Group {
    fn new(slot: u64) -> Self {
        Group {
            slots: [0; SLOTS],
            slot,
            in_hour: 0,
            hour_before: 0,
            usual: USUAL_MIN,
            burst: None,
        }
    }

    fn place(slot: u64) -> usize {
        usize::try_from(slot).map_or(0, |slot| slot % SLOTS)
    }

    /// Goes on to a slot. `began` is the hour of the first account of all; whether it is still learning.
    fn roll(&mut self, slot: u64, (began, learning): (u64, bool)) {
        if slot <= self.slot {
            return;
        }
        let (before, now) = (hour_of(self.slot), hour_of(slot));
        for hour in before..now.min(before.saturating_add(200)) {
            let latest = std::mem::take(&mut self.in_hour);
            let seen = f64::from(std::mem::replace(&mut self.hour_before, latest));
            let seen = if learning {
                seen
            } else {
                seen.min(most(self.usual))
            };
            // At first it is the mean of what was seen.
            let known =
                u32::try_from(hour.saturating_sub(began.saturating_add(1))).unwrap_or(u32::MAX);
            let weight = WEIGHT.max(1.0 / (f64::from(known) + 1.0));
            self.usual = (self.usual + weight * (seen - self.usual)).max(USUAL_MIN);
        }
        let passed = slot.saturating_sub(self.slot).min(13);
        for number in 0..passed {
            if let Some(place) = self.slots.get_mut(Self::place(slot - number)) {
                *place = 0;
            }
        }
        self.slot = slot;
    }

    fn sum(&self, slots: usize) -> u32 {
        let numbers = (0..slots).filter_map(|back| {
            let slot = self.slot.checked_sub(u64::try_from(back).ok()?)?;
            self.slots.get(Self::place(slot))
        });
        numbers.fold(0, |sum, one| sum.saturating_add(*one))
    }

    /// One more.
    fn add(&mut self, now_ms: u64, learning: bool) -> Option<Burst> {
        if let Some(place) = self.slots.get_mut(Self::place(self.slot)) {
            *place = place.saturating_add(1);
        }
        self.in_hour = self.in_hour.saturating_add(1);
        let new = self.sum(SLOTS);
        let quarter = self.usual / 4.0;
        let goes_on = f64::from(self.sum(RECENT)) > quarter + 2.0 * quarter.sqrt() + 1.0;
        if learning || !goes_on || f64::from(new) <= most(self.usual) {
            return None;
        }
        match &mut self.burst {
            Some((_, last)) if now_ms.saturating_sub(*last) < HOUR_MS => {
                *last = now_ms.max(*last);
                None
            }
            burst => {
                *burst = Some((now_ms, now_ms));
                let usual = self.usual;
                Some(Burst { new, usual })
            }
        }
    }
}

#[derive(Default)]
struct All {
    groups: HashMap<u128, Group>,
    /// The slot in which the first account came.
    began: Option<u64>,
    /// The latest slot: time that goes backwards is taken for that.
    latest: u64,
    /// The slot in which room was last made.
    swept: u64,
}

/// All groups.
#[derive(Default)]
pub struct Accounts {
    all: Mutex<All>,
}

impl All {
    fn has_room(&mut self, slot: u64) -> bool {
        if self.groups.len() < GROUPS_MAX {
            return true;
        }
        // Looking costs a walk over all: once a slot is enough.
        if self.swept != slot {
            self.swept = slot;
            for slots in [AFTER_MS / SLOT_MS, HOUR_MS / SLOT_MS] {
                if self.groups.len() >= GROUPS_MAX {
                    self.groups
                        .retain(|_, group| slot.saturating_sub(group.slot) <= slots);
                }
            }
        }
        self.groups.len() < GROUPS_MAX
    }
}

impl Accounts {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new account has come to a group; nobody is linked in the first `learn_ms` after the first account. Gives the burst that began with
    /// it.
    pub fn came(&self, group: u128, now_ms: u64, learn_ms: u64) -> Option<Burst> {
        let mut all = self.lock();
        let slot = (now_ms / SLOT_MS).max(all.latest);
        all.latest = slot;
        let began = *all.began.get_or_insert(slot);
        let learning = slot.saturating_sub(began).saturating_mul(SLOT_MS) < learn_ms;
        if !all.groups.contains_key(&group) && !all.has_room(slot) {
            return None;
        }
        let own = all.groups.entry(group).or_insert_with(|| Group::new(slot));
        own.roll(slot, (hour_of(began), learning));
        own.add(now_ms, learning)
    }

    /// Whether an account that came at `first_ms` belongs to a burst of this group.
    pub fn are_linked(&self, group: u128, first_ms: u64, now_ms: u64) -> bool {
        let all = self.lock();
        let burst = all.groups.get(&group).and_then(|group| group.burst);
        burst.is_some_and(|(first, last)| {
            (first..=last).contains(&first_ms) && now_ms.saturating_sub(last) < AFTER_MS
        })
    }
}

#[cfg(test)]
mod tests;
