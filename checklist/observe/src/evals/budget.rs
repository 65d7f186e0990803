//! Money for judging, by window: reserved before a call, settled after it, never exceeded.

use aplomb_core::money::NanoUsd;

/// What an evaluation may spend in each window of time. Windows begin at multiples of their length since the Unix epoch,
/// so that a day is a day in UTC.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: NanoUsd,
    window_ms: u64,
    window: u64,
    spent: NanoUsd,
    reserved: NanoUsd,
    told: bool,
}

/// The money of this window does not suffice for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent;

impl Budget {
    /// A budget for windows of this length in milliseconds; 0 means one window without an end.
    pub fn new(limit: NanoUsd, window_ms: u64) -> Self {
        Budget {
            limit,
            window_ms,
            window: 0,
            spent: NanoUsd::ZERO,
            reserved: NanoUsd::ZERO,
            told: false,
        }
    }

    /// When the window of a moment began, in milliseconds since the Unix epoch.
    pub fn began_ms(&self, now_ms: u64) -> u64 {
        self.number(now_ms).saturating_mul(self.window_ms)
    }

    fn number(&self, now_ms: u64) -> u64 {
        now_ms.checked_div(self.window_ms).unwrap_or(0)
    }

    /// What was spent in this window before this process began.
    pub fn restore(&mut self, now_ms: u64, spent: NanoUsd) {
        self.turn(now_ms);
        self.spent = self.spent.saturating_add(spent);
    }

    /// Another limit, after a reload; what was spent stays.
    pub fn limit(&mut self, limit: NanoUsd) {
        self.limit = limit;
    }

    fn turn(&mut self, now_ms: u64) {
        let window = self.number(now_ms);
        if window != self.window {
            self.window = window;
            self.spent = NanoUsd::ZERO;
            self.told = false;
        }
    }

    /// Sets the most that a call can cost aside.
    ///
    /// # Errors
    /// There is less left in this window.
    pub fn reserve(&mut self, now_ms: u64, most: NanoUsd) -> Result<(), Spent> {
        self.turn(now_ms);
        let after = self
            .spent
            .saturating_add(self.reserved)
            .saturating_add(most);
        if after > self.limit {
            return Err(Spent);
        }
        self.reserved = self.reserved.saturating_add(most);
        Ok(())
    }

    /// Replaces what was set aside by what the call has cost.
    pub fn settle(&mut self, now_ms: u64, reserved: NanoUsd, cost: NanoUsd) {
        self.turn(now_ms);
        self.reserved = self.reserved.saturating_sub(reserved).max(NanoUsd::ZERO);
        self.spent = self.spent.saturating_add(cost);
    }

    /// True once a window, for whoever says that the money is used up.
    pub fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// Whether a call of this window found too little left.
    pub fn is_used_up(&mut self, now_ms: u64) -> bool {
        self.turn(now_ms);
        self.told
    }

    /// What was spent in this window.
    pub fn spent(&mut self, now_ms: u64) -> NanoUsd {
        self.turn(now_ms);
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn calls_under_way_count_with_the_most_they_can_cost() {
        let mut budget = Budget::new(NanoUsd(100), DAY);
        assert_eq!(budget.reserve(5, NanoUsd(60)), Ok(()));
        assert_eq!(budget.reserve(5, NanoUsd(60)), Err(Spent));
        budget.settle(6, NanoUsd(60), NanoUsd(10));
        assert_eq!(budget.reserve(7, NanoUsd(90)), Ok(()));
        budget.settle(8, NanoUsd(90), NanoUsd(90));
        assert_eq!(budget.reserve(9, NanoUsd(1)), Err(Spent));
        assert!(budget.tell() && !budget.tell() && budget.is_used_up(9));
        assert!(!budget.is_used_up(DAY), "a new window");
        budget = Budget {
            spent: NanoUsd(100),
            ..Budget::new(NanoUsd(100), DAY)
        };
        assert_eq!(budget.spent(9), NanoUsd(100));
    }

    #[test]
    fn a_new_window_begins_with_what_its_own_calls_cost() {
        let mut budget = Budget::new(NanoUsd(100), DAY);
        budget.restore(DAY + 1, NanoUsd(95));
        assert_eq!(budget.began_ms(DAY + 1), DAY);
        assert_eq!(budget.reserve(DAY + 2, NanoUsd(10)), Err(Spent));
        assert_eq!(budget.reserve(2 * DAY, NanoUsd(10)), Ok(()));
        budget.settle(2 * DAY, NanoUsd(10), NanoUsd(4));
        assert_eq!(budget.spent(2 * DAY), NanoUsd(4));
        let mut whole = Budget::new(NanoUsd(5), 0);
        assert_eq!(whole.reserve(7, NanoUsd(5)), Ok(()));
        whole.settle(7, NanoUsd(5), NanoUsd(5));
        assert_eq!(whole.reserve(900 * DAY, NanoUsd(1)), Err(Spent));
    }
}
