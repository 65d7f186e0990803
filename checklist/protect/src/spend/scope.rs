//! One breaker: of a tenant, or of a key.

use super::{BUCKET_MS, HARD, Rules, SOFT};
use std::collections::VecDeque;

/// Buckets of what is usual: an hour.
const HOUR: usize = 360;
/// Buckets before anything is unusual: ten minutes.
const WARM: usize = 60;
/// Buckets of a minute.
const MINUTE: usize = 6;
/// Quiet buckets that close a throttled one.
const CALM: u32 = 6;
/// Quiet buckets that close a half-open one.
const CURED: u32 = 12;
/// Times that the open time doubles at most: ten minutes become eleven hours.
const DOUBLINGS: u32 = 6;

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything passes.
    Closed,
    /// What is far above the usual is refused.
    Throttled,
    /// All is refused until then.
    Open {
        /// In milliseconds.
        until_ms: u64,
    },
    /// The usual passes.
    HalfOpen,
}

impl State {
    /// Name in metrics, in the trail and on the admin listener.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Throttled => "throttled",
            State::Open { .. } => "open",
            State::HalfOpen => "half_open",
        }
    }
}

/// It stands otherwise now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// How it stands.
    pub state: State,
    /// What was asked for in the bucket that changed it, in nano-dollars.
    pub asked: u64,
    /// What is usual for a bucket.
    pub usual: u64,
}

/// What a bucket may hold.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    usual: u64,
    soft: u64,
    hard: u64,
}

/// One breaker.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// Buckets in which it was closed, with their numbers, oldest first.
    history: VecDeque<(u64, u64)>,
    bucket: u64,
    /// What was let in, in this bucket.
    spent: u64,
    /// What was asked for.
    asked: u64,
    /// What was asked for in the buckets before, newest last.
    asked_before: VecDeque<u64>,
    /// Whether the last buckets were far too much.
    far: VecDeque<bool>,
    bounds: Option<Bounds>,
    pub(super) state: State,
    calm: u32,
    opened: u32,
}

fn bucket_of(now_ms: u64) -> u64 {
    now_ms / BUCKET_MS
}

fn median(values: &mut [u64]) -> u64 {
    let middle = values.len() / 2;
    if middle >= values.len() {
        return 0;
    }
    *values.select_nth_unstable(middle).1
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "amounts of a bucket are far below 2^53, and the cast saturates"
)]
fn above(median: u64, deviations: f64, deviation: u64) -> u64 {
    (median as f64 + deviations * deviation as f64) as u64
}

impl Scope {
    pub(super) fn new(now_ms: u64) -> Self {
        Scope {
            history: VecDeque::new(),
            bucket: bucket_of(now_ms),
            spent: 0,
            asked: 0,
            asked_before: VecDeque::new(),
            far: VecDeque::new(),
            bounds: None,
            state: State::Closed,
            calm: 0,
            opened: 0,
        }
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self, now_ms: u64) -> bool {
        let hour = u64::try_from(HOUR).unwrap_or(u64::MAX);
        self.state == State::Closed && bucket_of(now_ms) > self.bucket.saturating_add(hour)
    }

    /// What is usual for a bucket; none while that is not known.
    pub(super) fn usual(&self) -> Option<u64> {
        self.bounds.map(|bounds| bounds.usual)
    }

    /// What was asked for in the last minute.
    pub(super) fn asked_in_minute(&self) -> u64 {
        let before = self.asked_before.iter().rev().take(MINUTE - 1);
        before.sum::<u64>().saturating_add(self.asked)
    }

    /// Takes the buckets that are over into account.
    pub(super) fn roll(&mut self, now_ms: u64, rules: &Rules) -> Option<Change> {
        let now = bucket_of(now_ms);
        let mut change = None;
        // What lies farther back than an hour is over in any case.
        let hour = u64::try_from(HOUR).unwrap_or(u64::MAX);
        if now > self.bucket.saturating_add(hour) {
            self.finish(rules, now_ms, &mut change);
            self.history.clear();
            self.asked_before.clear();
            self.far.clear();
            self.bucket = now.saturating_sub(hour);
        }
        while self.bucket < now {
            self.finish(rules, now_ms, &mut change);
            self.bucket += 1;
        }
        change
    }

    fn finish(&mut self, rules: &Rules, now_ms: u64, change: &mut Option<Change>) {
        let end_ms = self.bucket.saturating_add(1).saturating_mul(BUCKET_MS);
        let bounds = self.bounds;
        let much = self.asked_in_minute() > rules.from_nano;
        let over = |pick: fn(&Bounds) -> u64| {
            let bound = bounds.as_ref().map(pick);
            much && bound.is_some_and(|bound| self.asked > bound)
        };
        let (soft, hard) = (over(|bounds| bounds.soft), over(|bounds| bounds.hard));
        let again = self.state == State::HalfOpen && soft;
        self.far.push_back(hard || again);
        if self.far.len() > 3 {
            self.far.pop_front();
        }
        let before = self.state;
        let two_of_three = self.far.iter().filter(|far| **far).count() >= 2;
        self.calm = if soft { 0 } else { self.calm.saturating_add(1) };
        self.state = match before {
            State::Closed | State::Throttled | State::HalfOpen if two_of_three => {
                let doubled = rules.open_ms << self.opened.min(DOUBLINGS);
                self.opened = self.opened.saturating_add(1);
                State::Open {
                    until_ms: now_ms.max(end_ms).saturating_add(doubled),
                }
            }
            State::Throttled if self.calm >= CALM => State::Closed,
            State::HalfOpen if self.calm >= CURED => {
                self.opened = 0;
                State::Closed
            }
            State::Open { until_ms } if end_ms >= until_ms => {
                self.calm = 0;
                State::HalfOpen
            }
            other => other,
        };
        if self.state != before {
            self.far.clear();
            *change = Some(self.change());
        }
        if before == State::Closed {
            self.learn();
        }
        self.asked_before.push_back(self.asked);
        if self.asked_before.len() >= MINUTE {
            self.asked_before.pop_front();
        }
        self.spent = 0;
        self.asked = 0;
    }

    fn change(&self) -> Change {
        Change {
            state: self.state,
            asked: self.asked,
            usual: self.usual().unwrap_or(0),
        }
    }

    fn learn(&mut self) {
        self.history.push_back((self.bucket, self.spent));
        if self.history.len() > HOUR {
            self.history.pop_front();
        }
        if self.history.len() < WARM {
            self.bounds = None;
            return;
        }
        let mut spent: Vec<u64> = self.history.iter().map(|(_, spent)| *spent).collect();
        let usual = median(&mut spent);
        let mut away: Vec<u64> = spent.iter().map(|spent| spent.abs_diff(usual)).collect();
        let away = median(&mut away);
        // 1.4826 makes it a standard deviation where amounts are normal. Steady amounts would make every change unusual.
        let deviation = above(0, 1.4826, away).max(usual / 4);
        self.bounds = Some(Bounds {
            usual,
            soft: above(usual, SOFT, deviation),
            hard: above(usual, HARD, deviation),
        });
    }

    /// Whether a request that will cost so much may pass; then until when not. What is asked for is counted in any case.
    pub(super) fn ask(
        &mut self,
        nano: u64,
        now_ms: u64,
        rules: &Rules,
    ) -> (Result<(), u64>, Option<Change>) {
        self.asked = self.asked.saturating_add(nano);
        let next_ms = self.bucket.saturating_add(1).saturating_mul(BUCKET_MS);
        let wait = next_ms.saturating_sub(now_ms);
        if let State::Open { until_ms } = self.state {
            return (Err(until_ms.saturating_sub(now_ms)), None);
        }
        let Some(bounds) = self.bounds else {
            return (Ok(()), None);
        };
        let most = match self.state {
            State::HalfOpen => bounds.usual,
            _ => bounds.soft,
        };
        let half_open = self.state == State::HalfOpen;
        let much = half_open || self.asked_in_minute() > rules.from_nano;
        // One request passes in any case: it may be dearer than a usual bucket.
        if !much || self.spent == 0 || self.spent.saturating_add(nano) <= most {
            return (Ok(()), None);
        }
        let mut change = None;
        if self.state == State::Closed {
            self.state = State::Throttled;
            self.calm = 0;
            change = Some(self.change());
        }
        (Err(wait), change)
    }

    pub(super) fn take(&mut self, nano: u64) -> u64 {
        self.spent = self.spent.saturating_add(nano);
        self.bucket
    }

    /// Puts what was spent in the place of what was taken.
    pub(super) fn settle(&mut self, bucket: u64, taken: u64, spent: u64) {
        let corrected = |known: u64| known.saturating_sub(taken).saturating_add(spent);
        if bucket == self.bucket {
            self.spent = corrected(self.spent);
            self.asked = corrected(self.asked);
        } else if let Ok(at) = self
            .history
            .binary_search_by_key(&bucket, |(number, _)| *number)
            && let Some((_, known)) = self.history.get_mut(at)
        {
            *known = corrected(*known);
        }
    }
}
