//! Circuit breaker: a target that fails is left alone for a while, then tried with one call.
//!
//! It only advises. Where every target of a route is open, the least bad one is asked all the same (see `choose`): a
//! breaker must not make an outage of its own.

use std::time::{Duration, Instant};

const SLOT: Duration = Duration::from_millis(500);
const SLOTS: usize = 20;
const OPEN_MAX: Duration = Duration::from_secs(300);
/// Spread of the time open, so that nodes do not come back together.
const JITTER: f64 = 0.2;
/// After so long without an opening the next one is a first one again.
const FORGIVEN: Duration = Duration::from_secs(60);
/// How long a target that came back gets less than its share.
const SLOW_START: Duration = Duration::from_secs(30);

/// When a breaker opens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Least calls of the last ten seconds before their share of failures counts.
    pub calls_min: u32,
    /// Share of failures that opens it.
    pub share: f64,
    /// Failures in a row that open it.
    pub in_a_row: u32,
    /// First time open; doubles with each opening that follows soon.
    pub pause: Duration,
}

impl Default for Rule {
    fn default() -> Self {
        Rule {
            calls_min: 10,
            share: 0.5,
            in_a_row: 5,
            pause: Duration::from_secs(5),
        }
    }
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Calls pass.
    Closed,
    /// No calls until then.
    Open { until: Instant },
    /// One call is on its way and decides.
    HalfOpen,
}

impl Phase {
    /// Name in metrics and lists.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Closed => "closed",
            Phase::Open { .. } => "open",
            Phase::HalfOpen => "half_open",
        }
    }
}

/// The breaker of one target. Of fixed size.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// Calls and weighted failures, by half second.
    slots: [(u32, f64); SLOTS],
    newest: u64,
    origin: Instant,
    in_a_row: u32,
    phase: Phase,
    /// Openings that followed soon on one another.
    openings: u32,
    closed_at: Option<Instant>,
}

impl Breaker {
    /// Closed.
    pub fn new(now: Instant) -> Self {
        Breaker {
            slots: [(0, 0.0); SLOTS],
            newest: 0,
            origin: now,
            in_a_row: 0,
            phase: Phase::Closed,
            openings: 0,
            closed_at: None,
        }
    }

    /// How it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a call may be made now.
    pub fn allows(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Closed => true,
            Phase::Open { until } => now >= until,
            Phase::HalfOpen => false,
        }
    }

    /// A call begins; true if it is the one that decides.
    pub fn begin(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Open { until } if now >= until => {
                self.phase = Phase::HalfOpen;
                true
            }
            _ => false,
        }
    }

    /// The deciding call was given up by the client: the next one decides.
    pub fn abandoned(&mut self) {
        if self.phase == Phase::HalfOpen {
            self.phase = Phase::Open { until: self.origin };
        }
    }

    /// A call was answered. True if that closed the breaker.
    pub fn succeeded(&mut self, now: Instant) -> bool {
        self.turn(now);
        self.in_a_row = 0;
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.slots = [(0, 0.0); SLOTS];
            self.closed_at = Some(now);
            return true;
        }
        self.note(0.0);
        false
    }

    /// A call failed, with a weight up to 1. `random`: in `0.0..1.0`. True if that opened a closed breaker.
    pub fn failed(&mut self, rule: &Rule, weight: f64, now: Instant, random: f64) -> bool {
        self.turn(now);
        self.in_a_row += 1;
        self.note(weight);
        match self.phase {
            Phase::HalfOpen => {
                self.open(rule, now, random);
                false
            }
            // Calls that were made all the same, since nothing else was left.
            Phase::Open { .. } => false,
            Phase::Closed => {
                let (calls, failures) = self.window();
                let share = failures / f64::from(calls.max(1));
                let opens = self.in_a_row >= rule.in_a_row
                    || calls >= rule.calls_min && share >= rule.share;
                if opens {
                    self.open(rule, now, random);
                }
                opens
            }
        }
    }

    /// Share of its weight that the target gets: less just after it came back.
    pub fn warmth(&self, now: Instant) -> f64 {
        let Some(closed_at) = self.closed_at else {
            return 1.0;
        };
        let since = now.saturating_duration_since(closed_at);
        (since.as_secs_f64() / SLOW_START.as_secs_f64()).clamp(0.1, 1.0)
    }

    /// Calls and weighted failures of the last ten seconds.
    pub fn window(&self) -> (u32, f64) {
        self.slots
            .iter()
            .fold((0, 0.0), |sum, slot| (sum.0 + slot.0, sum.1 + slot.1))
    }

    fn open(&mut self, rule: &Rule, now: Instant, random: f64) {
        let soon = self
            .closed_at
            .is_none_or(|closed| now.saturating_duration_since(closed) < FORGIVEN);
        if !soon {
            self.openings = 0;
        }
        let time = rule
            .pause
            .saturating_mul(1 << self.openings.min(10))
            .min(OPEN_MAX);
        let spread = 1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        self.phase = Phase::Open {
            until: now + time.mul_f64(spread),
        };
        self.openings = self.openings.saturating_add(1);
    }

    /// Notes a call in the newest slot.
    fn note(&mut self, weight: f64) {
        let at = usize::try_from(self.newest).unwrap_or(0) % SLOTS;
        if let Some(slot) = self.slots.get_mut(at) {
            slot.0 += 1;
            slot.1 += weight;
        }
    }

    fn turn(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.origin);
        let number = u64::try_from(since.as_millis() / SLOT.as_millis()).unwrap_or(u64::MAX);
        if number.saturating_sub(self.newest) >= 20 {
            self.slots = [(0, 0.0); SLOTS];
            self.newest = number;
        }
        while self.newest < number {
            self.newest += 1;
            let at = usize::try_from(self.newest).unwrap_or(0) % SLOTS;
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = (0, 0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        calls_min: 10,
        share: 0.5,
        in_a_row: 5,
        pause: Duration::from_secs(5),
    };

    fn seconds(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    #[test]
    fn five_in_a_row_open_it_and_one_call_closes_it() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        let opened = (0..5).map(|_| breaker.failed(&RULE, 1.0, start, 0.5));
        assert_eq!(
            opened.collect::<Vec<_>>(),
            [false, false, false, false, true]
        );
        assert!(!breaker.allows(start + seconds(4.9)));
        let due = start + seconds(5.0);
        assert!(breaker.allows(due));
        assert!(breaker.begin(due));
        // Others wait for what the probe finds.
        assert!(!breaker.allows(due));
        assert!(breaker.succeeded(due + seconds(0.1)));
        assert!(breaker.allows(due + seconds(0.1)));
        assert!(breaker.warmth(due + seconds(1.0)) < 0.2);
        assert!((breaker.warmth(due + seconds(60.0)) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn each_failed_probe_doubles_the_time_up_to_a_bound() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(now);
        for _ in 0..5 {
            breaker.failed(&RULE, 1.0, now, 0.5);
        }
        let mut times = Vec::new();
        for _ in 0..8 {
            let Phase::Open { until } = breaker.phase() else {
                panic!("{breaker:?}");
            };
            times.push((until - now).as_secs());
            now = until;
            assert!(breaker.begin(now));
            assert!(!breaker.failed(&RULE, 1.0, now, 0.5));
        }
        assert_eq!(times, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn half_of_ten_failures_open_it_and_half_weights_need_more() {
        let start = Instant::now();
        let run = |weight: f64| {
            let mut breaker = Breaker::new(start);
            for n in 0..20 {
                if n % 2 == 0 {
                    breaker.succeeded(start);
                } else if breaker.failed(&RULE, weight, start, 0.5) {
                    return Some(n);
                }
            }
            None
        };
        assert_eq!(run(1.0), Some(9));
        assert_eq!(run(0.5), None);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        for _ in 0..4 {
            breaker.failed(&RULE, 1.0, start, 0.5);
        }
        breaker.succeeded(start + seconds(1.0));
        assert_eq!(breaker.window(), (5, 4.0));
        breaker.succeeded(start + seconds(30.0));
        assert_eq!(breaker.window(), (1, 0.0));
    }

    #[test]
    fn a_probe_that_nobody_waited_for_decides_nothing() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        for _ in 0..5 {
            breaker.failed(&RULE, 1.0, start, 0.5);
        }
        let due = start + seconds(6.0);
        assert!(breaker.begin(due));
        breaker.abandoned();
        assert!(breaker.allows(due));
    }
}
