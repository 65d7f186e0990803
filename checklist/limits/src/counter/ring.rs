//! A window cut into 60 slots, and one more: never over, whatever the amounts.
//!
//! An amount counts from the beginning of its slot to the end of the 61st, which is never shorter than the window. It may count a
//! sixtieth of the window longer than it had to; that is what the memory of a slot costs less than one of each request. Only slots
//! in which something was used are kept.

use super::{Full, duration};
use crate::verdict::Level;

/// Slots of a window. Chosen: with one slot of slack, 99 % of what an exact log lets through.
const SLOTS: u64 = 60;

/// What was used, by slot.
#[derive(Debug, Clone)]
pub struct Ring {
    window: u64,
    sum: u64,
    /// Number of the slot and what was used in it; at most 61, oldest first.
    slots: Vec<(u64, u64)>,
}

impl Ring {
    /// For windows of so many milliseconds.
    pub fn new(window: u64) -> Self {
        Ring {
            window,
            sum: 0,
            slots: Vec::new(),
        }
    }

    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Length of a slot: rounded up, so that 60 of them are never shorter than the window.
    fn length(&self) -> u64 {
        self.window.div_ceil(SLOTS).max(1)
    }

    /// The first millisecond at which a slot no longer counts.
    fn over(&self, slot: u64) -> u64 {
        slot.saturating_add(SLOTS + 1).saturating_mul(self.length())
    }

    /// Forgets what is over. Returns the number of the slot that is filled now, and the time as it is taken here.
    fn forget(&mut self, now: u64) -> (u64, u64) {
        let last = self.slots.last().map_or(0, |(slot, _)| *slot);
        let now = now.max(last.saturating_mul(self.length()));
        let slot = now / self.length();
        let gone = self
            .slots
            .partition_point(|(at, _)| at.saturating_add(SLOTS) < slot);
        for (_, used) in self.slots.drain(..gone) {
            self.sum = self.sum.saturating_sub(used);
        }
        (slot, now)
    }

    pub(super) fn check(&mut self, limit: u64, now: u64, amount: u64) -> Result<(), Full> {
        let (_, now) = self.forget(now);
        let wanted = self.sum.saturating_add(amount);
        let Some(mut over) = wanted.checked_sub(limit).filter(|over| *over > 0) else {
            return Ok(());
        };
        if amount > limit {
            return Err(Full(None));
        }
        for (slot, used) in &self.slots {
            over = over.saturating_sub(*used);
            if over == 0 {
                let wait = self.over(*slot).saturating_sub(now);
                return Err(Full(Some(duration(wait))));
            }
        }
        Err(Full(None))
    }

    fn add(&mut self, slot: u64, amount: u64) {
        self.sum = self.sum.saturating_add(amount);
        match self.slots.last_mut() {
            Some((last, used)) if *last == slot => *used = used.saturating_add(amount),
            _ => self.slots.push((slot, amount)),
        }
    }

    pub(super) fn take(&mut self, now: u64, amount: u64) -> u64 {
        let (slot, _) = self.forget(now);
        self.add(slot, amount);
        slot
    }

    pub(super) fn amend(&mut self, now: u64, (stamp, was, is): (u64, u64, u64)) -> u64 {
        let (current, _) = self.forget(now);
        let found = self.slots.iter().position(|(slot, _)| *slot == stamp);
        match found.and_then(|at| Some((at, self.slots.get_mut(at)?))) {
            Some((at, (_, used))) => {
                let before = *used;
                *used = used.saturating_sub(was).saturating_add(is);
                self.sum = self.sum.saturating_sub(before).saturating_add(*used);
                if *used == 0 {
                    self.slots.remove(at);
                }
                stamp
            }
            None if is > was => {
                self.add(current, is - was);
                current
            }
            None => stamp,
        }
    }

    /// From when to when a slot counts.
    pub(super) fn span(&self, slot: u64) -> (u64, u64) {
        (slot.saturating_mul(self.length()), self.over(slot))
    }

    pub(super) fn level(&mut self, now: u64) -> Level {
        let (_, now) = self.forget(now);
        let until = |slot: Option<&(u64, u64)>| {
            slot.map(|(slot, _)| duration(self.over(*slot).saturating_sub(now)))
        };
        Level {
            used: self.sum,
            next: until(self.slots.first()),
            full: until(self.slots.last()),
        }
    }

    /// What was used, by the last moment of its slot: a slot of another length that begins there counts long enough.
    pub(super) fn history(&self) -> Vec<(u64, u64)> {
        let end = |slot: u64| slot.saturating_add(1).saturating_mul(self.length()) - 1;
        let slots = self.slots.iter();
        slots.map(|(slot, used)| (end(*slot), *used)).collect()
    }

    pub(super) fn is_live(&self, now: u64) -> bool {
        self.slots
            .last()
            .is_some_and(|(slot, _)| self.over(*slot) > now)
    }
}
