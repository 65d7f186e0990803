//! Hedged requests (Dean and Barroso, "The Tail at Scale", 2013): a second call when the first is slow to begin; the
//! first content wins. A budget keeps them few.

use std::time::Duration;

/// When a hedge is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// When a call takes longer than 95 of 100 did lately.
    P95,
    /// After a fixed time.
    Fixed(Duration),
}

/// How a route hedges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// When.
    pub after: After,
    /// Most hedges, as a share of the requests.
    pub share: f64,
}

/// Longest request that is hedged, in tokens. Chosen: a second reading of a long prompt costs more than it saves.
pub const TOKENS_MAX: u64 = 4000;
/// Share of unhealthy targets above which nothing is hedged: what is left has enough to do.
const UNHEALTHY_MAX: f64 = 0.2;
/// Most hedges that are saved up.
const SAVED_MAX: f64 = 10.0;

impl Rule {
    /// How long the first call is waited for; none while too little is known.
    pub fn delay(&self, p95: Option<Duration>) -> Option<Duration> {
        match self.after {
            After::Fixed(after) => Some(after),
            After::P95 => p95,
        }
    }
}

/// Whether a request may be hedged at all.
pub fn allowed(tokens: u64, healthy: usize, all: usize) -> bool {
    let unhealthy = u32::try_from(all.saturating_sub(healthy)).unwrap_or(u32::MAX);
    let all = u32::try_from(all.max(1)).unwrap_or(u32::MAX);
    tokens <= TOKENS_MAX && f64::from(unhealthy) / f64::from(all) <= UNHEALTHY_MAX
}

/// What a route's hedges are spent from.
#[derive(Debug, Clone, Copy, Default)]
pub struct HedgeBudget {
    saved: f64,
}

impl HedgeBudget {
    /// A request came that could be hedged.
    pub fn deposit(&mut self, share: f64) {
        self.saved = (self.saved + share).min(SAVED_MAX);
    }

    /// Whether a hedge may be sent; it is paid for.
    pub fn withdraw(&mut self) -> bool {
        // Twenty deposits of a twentieth are one, whatever the last bit says.
        let enough = self.saved >= 1.0 - 1e-9;
        if enough {
            self.saved -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::Pace;
    use std::time::Instant;

    #[test]
    fn conditions() {
        assert!(allowed(100, 2, 2));
        assert!(!allowed(100, 1, 2));
        assert!(allowed(100, 4, 5));
        assert!(!allowed(4001, 2, 2));
        let mut budget = HedgeBudget::default();
        for _ in 0..20 {
            assert!(!budget.withdraw());
            budget.deposit(0.05);
        }
        assert!(budget.withdraw());
        assert!(!budget.withdraw());
    }

    /// A time to the first content: 3 % of the calls take 5 to 30 seconds.
    fn sample(random: &mut fastrand::Rng) -> f64 {
        if random.f64() < 0.03 {
            return 5.0 + 25.0 * random.f64();
        }
        // About log-normal around 0.8 s.
        let normal: f64 = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        0.8 * (0.35 * normal).exp()
    }

    fn quantile(times: &mut [f64], share: f64) -> f64 {
        times.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a short list"
        )]
        let at = (times.len() as f64 * share) as usize;
        times[at]
    }

    /// p99 without and with hedges, and the share of further calls.
    fn simulate(rule: Rule) -> (f64, f64, f64) {
        let mut random = fastrand::Rng::with_seed(11);
        let start = Instant::now();
        let (mut pace, mut budget) = (Pace::new(start), HedgeBudget::default());
        let (mut plain, mut hedged, mut calls) = (Vec::new(), Vec::new(), 0.0);
        let count = 50_000;
        for n in 0..count {
            let now = start + Duration::from_millis(20 * n);
            let first = sample(&mut random);
            plain.push(first);
            budget.deposit(rule.share);
            let delay = rule.delay(pace.p95()).map(|delay| delay.as_secs_f64());
            let took = match delay {
                Some(delay) if first > delay && budget.withdraw() => {
                    calls += 1.0;
                    let second = delay + sample(&mut random);
                    pace.first_content(Duration::from_secs_f64(first.min(second)), now);
                    first.min(second)
                }
                _ => {
                    pace.first_content(Duration::from_secs_f64(first), now);
                    first
                }
            };
            hedged.push(took);
        }
        let further = calls / f64::from(u32::try_from(count).unwrap_or(1));
        (
            quantile(&mut plain, 0.99),
            quantile(&mut hedged, 0.99),
            further,
        )
    }

    #[test]
    fn the_slow_tail_is_cut_for_few_further_calls() {
        let rule = Rule {
            after: After::P95,
            share: 0.05,
        };
        let (plain, hedged, further) = simulate(rule);
        println!(
            "p99 {plain:.2} s -> {hedged:.2} s for {:.1} % more calls",
            further * 100.0
        );
        assert!(hedged < plain * 0.2, "{plain} -> {hedged}");
        assert!(further <= 0.05, "{further}");
    }
}
