//! How many calls a target takes at a time, learned from how it answers.
//!
//! * [`Manner::Latency`], for servers of one's own: Gradient2 (Netflix, concurrency-limits) on the time to the first content
//!   and the time per output token. Total times are no signal: they grow with the length of answers.
//! * [`Manner::Errors`], for hosted providers: one more for each window without a failure, a tenth less when the provider
//!   says that it is too much (AIMD). Their times say nothing of the part of their machines that one gets.
//!
//! It differs from Gradient2 as published in three points. The long average learns from a window only if that was not
//! congested, or if the limit is at its least: as published it follows an overload that lasts, and the limit creeps up to its
//! greatest. What is tried beyond the limit is a quarter of it and at most four calls, where four alone would keep a server
//! with three slots overloaded for ever. And a provider that refuses lowers the limit as in AIMD.

use std::time::{Duration, Instant};

/// How a limit is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// From times: fewer calls where they grow.
    Latency,
    /// From refusals alone.
    Errors,
}

/// Bounds of a limit, and how it is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How.
    pub manner: Manner,
    /// Least calls at a time, at least 1.
    pub min: usize,
    /// Most calls at a time.
    pub max: usize,
}

/// What a time is of. Each is compared with its own kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// From a streamed call's start to its first content.
    FirstContent,
    /// Between output tokens of a stream.
    PerToken,
    /// Time of a whole answer for each of its output tokens.
    WholePerToken,
    /// Time of a whole answer with hardly any output tokens, or none.
    WholeShort,
}

const SIGNALS: usize = 4;

/// So much slower than usual is not congestion yet (Gradient2).
const TOLERANCE: f64 = 1.5;
/// The same for times between tokens. Chosen: batches that fill up make them longer, and are worth it.
const TOLERANCE_TOKENS: f64 = 2.0;
/// Windows up to so much slower than usual teach what is usual. Chosen: below what a limit settles at, above chance.
const QUIET: f64 = 1.2;
/// Weight of the newest window in the limit (Gradient2).
const SMOOTHING: f64 = 0.2;
/// Most calls that are tried beyond what is known to work (Gradient2's queue size).
const PROBES_MAX: f64 = 4.0;
/// And as a share of the limit. Chosen: with it, congestion shows as times twice as long, whatever the size.
const PROBES_SHARE: f64 = 0.25;
/// Samples that the long average looks back on (Gradient2).
const LONG: f64 = 600.0;
/// The same where the limit is at its least. Chosen: there the server is not busy with us, and what is seen is how it is.
const LONG_AT_LEAST: f64 = 10.0;
/// Shortest window.
const WINDOW: Duration = Duration::from_secs(1);
/// Answers that are enough for a window: as many as the limit, within these bounds.
const WINDOW_ANSWERS: (usize, usize) = (4, 10);
/// A single time counts as at most so many times what is usual: one straggler of ten is no congestion.
const CLIP: f64 = 4.0;
/// What is left of the limit when a provider refuses (Netflix AIMD).
const BACKOFF: f64 = 0.9;
/// Where limits that only errors lower begin (Netflix).
const FIRST: usize = 20;

/// How long something usually takes.
#[derive(Debug, Clone, Copy, Default)]
struct Usual {
    long: f64,
    seen: f64,
}

impl Usual {
    fn clipped(&self, time: f64) -> f64 {
        if self.seen > 0.0 {
            time.min(CLIP * self.long)
        } else {
            time
        }
    }

    /// How a window's mean compares: 1 if it is as usual, less if it is longer.
    fn gradient(&mut self, window: Mean, tolerance: f64, at_least: bool) -> f64 {
        let short = window.sum / window.count;
        if self.seen == 0.0 {
            self.long = short;
        }
        let gradient = (tolerance * self.long / short).clamp(0.5, 1.0);
        if short <= QUIET * self.long || at_least {
            self.seen += window.count;
            let memory = if at_least { LONG_AT_LEAST } else { LONG };
            let weight = (window.count / self.seen.min(memory)).min(1.0);
            self.long += weight * (short - self.long);
        }
        // It got much better: what was usual is so no longer (Gradient2).
        if !at_least && self.long > 2.0 * short {
            self.long *= 0.95;
        }
        gradient
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

/// What was seen since the limit was looked at last.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    answers: usize,
    /// Most calls at a time.
    busy: usize,
    refused: bool,
    times: [Mean; SIGNALS],
}

impl Window {
    fn new(now: Instant) -> Self {
        Window {
            since: now,
            answers: 0,
            busy: 0,
            refused: false,
            times: [Mean::default(); SIGNALS],
        }
    }
}

/// The limit of one target. Of fixed size.
#[derive(Debug, Clone)]
pub struct Limit {
    rule: Rule,
    limit: f64,
    window: Window,
    usual: [Usual; SIGNALS],
    lowered: Option<Instant>,
    /// It has met its bound since it was at its least; before, it grows five times as fast.
    settled: bool,
}

impl Limit {
    /// A limit that has learned nothing yet: the least where times are looked at, so that they are seen without congestion
    /// first; twenty where only refusals are.
    pub fn new(rule: Rule, now: Instant) -> Self {
        let first = match rule.manner {
            Manner::Latency => rule.min,
            Manner::Errors => FIRST.min(rule.max).max(rule.min),
        };
        Limit {
            rule,
            limit: real(first),
            window: Window::new(now),
            usual: [Usual::default(); SIGNALS],
            lowered: None,
            settled: false,
        }
    }

    /// Its bounds.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Calls at a time.
    pub fn calls(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two numbers of calls"
        )]
        let calls = self.limit as usize;
        calls.clamp(self.rule.min, self.rule.max)
    }

    /// A time was observed, with so many calls at work.
    pub fn took(&mut self, signal: Signal, time: Duration, busy: usize, now: Instant) {
        let at = signal as usize;
        if let (Some(mean), Some(usual)) = (self.window.times.get_mut(at), self.usual.get(at)) {
            mean.sum += usual.clipped(time.as_secs_f64());
            mean.count += 1.0;
        }
        // A stream's times between tokens come after its first content: it is one answer.
        self.window.answers += usize::from(signal != Signal::PerToken);
        self.window.busy = self.window.busy.max(busy);
        let enough = self.calls().clamp(WINDOW_ANSWERS.0, WINDOW_ANSWERS.1);
        let long = now.saturating_duration_since(self.window.since) >= WINDOW;
        if long && self.window.answers >= enough {
            let window = std::mem::replace(&mut self.window, Window::new(now));
            self.learn(&window);
        }
    }

    /// The provider refused a call since it has too much to do, or did not answer in time. Calls that began before the
    /// limit was lowered say nothing new.
    pub fn refused(&mut self, began: Instant, now: Instant) {
        self.window.refused = true;
        if self.lowered.is_some_and(|lowered| began < lowered) {
            return;
        }
        self.lowered = Some(now);
        self.set(self.limit * BACKOFF);
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(real(self.rule.min), real(self.rule.max));
    }

    fn learn(&mut self, window: &Window) {
        let at_least = self.calls() <= self.rule.min;
        self.settled &= !at_least;
        let mut gradient = 1.0_f64;
        for (at, (usual, times)) in self.usual.iter_mut().zip(window.times).enumerate() {
            let tokens = [Signal::PerToken as usize, Signal::WholePerToken as usize].contains(&at);
            let tolerance = if tokens { TOLERANCE_TOKENS } else { TOLERANCE };
            if times.count > 0.0 && times.sum > 0.0 {
                gradient = gradient.min(usual.gradient(times, tolerance, at_least));
            }
        }
        // A limit that nobody needs is no reason to think that more would work.
        if real(window.busy) < self.limit / 2.0 {
            return;
        }
        match self.rule.manner {
            Manner::Latency => {
                let probes = (self.limit * PROBES_SHARE).min(PROBES_MAX);
                let next = self.limit * gradient + probes;
                self.settled |= next < self.limit && !at_least;
                let weight = if self.settled { SMOOTHING } else { 1.0 };
                self.set(self.limit + weight * (next - self.limit));
            }
            Manner::Errors if window.refused => {}
            Manner::Errors => self.set(self.limit + 1.0),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of calls at a time are small"
)]
fn real(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests;
