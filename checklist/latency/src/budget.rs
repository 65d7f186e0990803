//! Retry budget (as in Finagle and tower): retries may be a share of the requests, so that an outage is not amplified.

use std::time::{Duration, Instant};

/// How long a deposit can be spent.
const TTL: Duration = Duration::from_secs(10);
const SLOT: Duration = Duration::from_secs(1);
const SLOTS: usize = 10;
/// Retries a second that are allowed to little traffic. What is deposited takes from them: with much traffic the share alone
/// counts.
const RESERVE_PER_SECOND: f64 = 3.0;
/// So many of them at once: connections that went stale together are no outage.
const RESERVE_MAX: f64 = 10.0;

/// What one provider's retries may be spent from. Of fixed size.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    /// Deposits less withdrawals, by second.
    slots: [f64; SLOTS],
    /// Number of the newest slot since `origin`.
    newest: u64,
    origin: Instant,
    /// Of the reserve, what is there now.
    reserve: f64,
    refilled: Instant,
}

impl RetryBudget {
    /// With a full reserve.
    pub fn new(now: Instant) -> Self {
        RetryBudget {
            slots: [0.0; SLOTS],
            newest: 0,
            origin: now,
            reserve: RESERVE_MAX,
            refilled: now,
        }
    }

    /// A request came that is no retry: `share` of one may be spent on retries.
    pub fn deposit(&mut self, share: f64, now: Instant) {
        self.turn(now);
        self.reserve = (self.reserve - share).max(0.0);
        self.add(share);
    }

    /// Whether one retry may be made; it is paid for.
    pub fn withdraw(&mut self, now: Instant) -> bool {
        self.turn(now);
        if self.slots.iter().sum::<f64>() >= 1.0 {
            self.add(-1.0);
            return true;
        }
        if self.reserve >= 1.0 {
            self.reserve -= 1.0;
            return true;
        }
        false
    }

    /// Retries that could be made now.
    pub fn left(&mut self, now: Instant) -> f64 {
        self.turn(now);
        self.slots.iter().sum::<f64>().max(0.0) + self.reserve
    }

    /// Adds to the newest slot.
    fn add(&mut self, amount: f64) {
        let at = usize::try_from(self.newest).unwrap_or(0) % SLOTS;
        if let Some(slot) = self.slots.get_mut(at) {
            *slot += amount;
        }
    }

    /// Lets old deposits lapse and the reserve fill up.
    fn turn(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.origin);
        let number = since.as_secs() / SLOT.as_secs();
        if number.saturating_sub(self.newest) >= TTL.as_secs() {
            self.slots = [0.0; SLOTS];
            self.newest = number;
        }
        while self.newest < number {
            self.newest += 1;
            let at = usize::try_from(self.newest).unwrap_or(0) % SLOTS;
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = 0.0;
            }
        }
        let gone = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.reserve = (self.reserve + gone * RESERVE_PER_SECOND).min(RESERVE_MAX);
        self.refilled = self.refilled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A total outage: every attempt fails and every request would like two retries.
    fn amplification(per_second: u32, seconds: u32) -> f64 {
        let start = Instant::now();
        let mut budget = RetryBudget::new(start);
        let (mut requests, mut calls) = (0.0, 0.0);
        for n in 0..per_second * seconds {
            let now = start + Duration::from_secs_f64(f64::from(n) / f64::from(per_second));
            budget.deposit(0.2, now);
            requests += 1.0;
            calls += 1.0;
            for _ in 0..2 {
                if !budget.withdraw(now) {
                    break;
                }
                calls += 1.0;
            }
        }
        calls / requests
    }

    #[test]
    fn an_outage_is_amplified_by_a_fifth_only() {
        // A few calls in 60,000 come from the reserve of the first moment.
        let share = amplification(1000, 60);
        assert!((1.19..1.2003).contains(&share), "{share}");
        assert!((1.19..1.2003).contains(&amplification(100, 600)));
        // Four requests in a moment, each twice on a connection that went stale.
        assert!(amplification(4, 1) > 2.9);
        // Little traffic is retried in full.
        assert!(amplification(1, 60) > 2.9);
    }

    #[test]
    fn deposits_lapse() {
        let start = Instant::now();
        let mut budget = RetryBudget::new(start);
        for _ in 0..100 {
            budget.deposit(0.2, start);
        }
        assert!((budget.left(start) - 20.0).abs() < 1e-6);
        let later = start + TTL + SLOT;
        assert!(budget.left(later) <= RESERVE_MAX);
    }
}
