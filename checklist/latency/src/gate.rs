//! Gates: until when a target is not asked, because its provider said so. A gate is no failure.

use std::time::{Duration, Instant};

/// What a provider said is left of one of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Requests or tokens that it still takes.
    pub remaining: u64,
    /// When there will be more.
    pub reset: Duration,
}

/// What a provider said of its limits with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Requests.
    pub requests: Option<Left>,
    /// Input tokens, or all tokens where it does not tell them apart.
    pub tokens: Option<Left>,
}

/// A limit as it was told, and what was used of it since.
#[derive(Debug, Clone, Copy)]
struct Learned {
    remaining: u64,
    until: Instant,
}

impl Learned {
    fn new(left: Left, now: Instant) -> Self {
        Learned {
            remaining: left.remaining,
            until: now + left.reset,
        }
    }
}

/// Longest time a gate stays shut for one word of the provider. Chosen: a limit by the day is looked at again each hour.
const SHUT_MAX: Duration = Duration::from_secs(3600);
/// How long others are asked first, where the provider did not say. Chosen: most limits are by the minute, and refill all
/// the time.
const SHUNNED: Duration = Duration::from_secs(2);

/// The gate of one target. Of fixed size.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gate {
    shut_until: Option<Instant>,
    /// Until when others are asked first, if there are others.
    shunned_until: Option<Instant>,
    requests: Option<Learned>,
    tokens: Option<Learned>,
}

impl Gate {
    /// Shuts for as long as the provider asked for; without a word of it others are asked first for a while.
    pub fn shut(&mut self, asked: Option<Duration>, now: Instant) {
        match asked {
            Some(asked) => self.shut_until = Some(now + asked.min(SHUT_MAX)),
            None => self.shun(SHUNNED, now),
        }
    }

    /// Others are asked first for so long.
    pub fn shun(&mut self, time: Duration, now: Instant) {
        self.shunned_until = Some(now + time);
    }

    /// Whether others are asked first.
    pub fn is_shunned(&self, now: Instant) -> bool {
        self.shunned_until.is_some_and(|until| until > now)
    }

    /// Learns what is left.
    pub fn told(&mut self, told: &Told, now: Instant) {
        if let Some(left) = told.requests {
            self.requests = Some(Learned::new(left, now));
        }
        if let Some(left) = told.tokens {
            self.tokens = Some(Learned::new(left, now));
        }
    }

    /// A call goes out: one request and so many tokens less are left.
    pub fn spend(&mut self, tokens: u64) {
        if let Some(requests) = &mut self.requests {
            requests.remaining = requests.remaining.saturating_sub(1);
        }
        if let Some(left) = &mut self.tokens {
            left.remaining = left.remaining.saturating_sub(tokens);
        }
    }

    /// How long it stays shut for a call of so many tokens; none if it is open.
    pub fn wait(&self, tokens: u64, now: Instant) -> Option<Duration> {
        let short = |learned: &Option<Learned>, needed: u64| {
            learned
                .filter(|learned| learned.remaining < needed)
                .map(|learned| learned.until.min(now + SHUT_MAX))
        };
        let until = [
            self.shut_until,
            short(&self.requests, 1),
            // A call larger than what is ever left would wait for ever: some tokens are enough to try.
            short(&self.tokens, tokens.clamp(1, 1000)),
        ];
        let until = until.into_iter().flatten().max()?;
        let wait = until.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Requests and tokens that are left, as far as they are known and still hold.
    pub fn left(&self, now: Instant) -> (Option<u64>, Option<u64>) {
        let holds = |learned: Option<Learned>| {
            learned
                .filter(|learned| learned.until > now)
                .map(|learned| learned.remaining)
        };
        (holds(self.requests), holds(self.tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn it_opens_when_the_provider_said() {
        let now = Instant::now();
        let mut gate = Gate::default();
        assert_eq!(gate.wait(1, now), None);
        gate.shut(Some(seconds(20)), now);
        assert_eq!(gate.wait(1, now), Some(seconds(20)));
        assert_eq!(gate.wait(1, now + seconds(20)), None);
        gate.shut(Some(seconds(1_000_000)), now);
        assert_eq!(gate.wait(1, now), Some(SHUT_MAX));
        let mut gate = Gate::default();
        gate.shut(None, now);
        assert_eq!((gate.wait(1, now), gate.is_shunned(now)), (None, true));
        assert!(!gate.is_shunned(now + SHUNNED));
    }

    #[test]
    fn what_is_left_is_counted_down() {
        let now = Instant::now();
        let mut gate = Gate::default();
        let left = |remaining| {
            Some(Left {
                remaining,
                reset: seconds(30),
            })
        };
        let told = Told {
            requests: left(2),
            tokens: left(1000),
        };
        gate.told(&told, now);
        gate.spend(100);
        assert_eq!(gate.left(now), (Some(1), Some(900)));
        assert_eq!(gate.wait(100, now), None);
        gate.spend(800);
        assert_eq!(gate.wait(1, now), Some(seconds(30)));
        assert_eq!(gate.wait(1, now + seconds(30)), None);
        assert_eq!(gate.left(now + seconds(30)), (None, None));
    }
}
