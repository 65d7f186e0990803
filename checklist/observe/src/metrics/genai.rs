//! The histograms of the OpenTelemetry GenAI conventions: as a client of providers, and as a server to applications.
//!
//! Their difference is the gateway's own part. Names, units and bounds of buckets are those of `otel::names`.

use crate::metrics::{Histogram, Snapshot, locked};
use crate::otel::names::{CHUNK, DURATION, PER_TOKEN, TOKENS, TTFT};
use aplomb_core::request::Operation;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Operations with histograms of their own.
const OPERATIONS: usize = 3;

/// The conventions' name of an operation; none for what asks no model.
pub fn operation_name(operation: Operation) -> Option<&'static str> {
    index(operation).and_then(|at| NAMES.get(at)).copied()
}

const NAMES: [&str; OPERATIONS] = ["chat", "text_completion", "embeddings"];

fn index(operation: Operation) -> Option<usize> {
    match operation {
        Operation::ChatCompletions | Operation::Messages => Some(0),
        Operation::Completions => Some(1),
        Operation::Embeddings => Some(2),
        Operation::CountTokens => None,
    }
}

/// Durations of what went well, and of what failed by the kind of failure.
#[derive(Debug)]
pub struct Durations {
    good: Histogram,
    failed: Mutex<BTreeMap<&'static str, Arc<Histogram>>>,
}

impl Default for Durations {
    fn default() -> Self {
        Durations {
            good: Histogram::new(DURATION),
            failed: Mutex::default(),
        }
    }
}

impl Durations {
    /// Notes one; `error` is the kind of failure, one of few.
    pub fn observe(&self, took: Duration, error: Option<&'static str>) {
        let Some(error) = error else {
            return self.good.observe(took);
        };
        let histogram = {
            let mut failed = locked(&self.failed);
            let new = || Arc::new(Histogram::new(DURATION));
            failed.entry(error).or_insert_with(new).clone()
        };
        histogram.observe(took);
    }

    /// All of them, with their kind of failure.
    pub fn all(&self) -> Vec<(Option<&'static str>, Snapshot)> {
        let failed = locked(&self.failed);
        let failed = failed
            .iter()
            .map(|(error, one)| (Some(*error), one.snapshot()));
        std::iter::once((None, self.good.snapshot()))
            .chain(failed)
            .collect()
    }
}

/// What is counted of upstream calls of one operation.
#[derive(Debug)]
pub struct ClientSeries {
    /// From a call's start to its end.
    pub duration: Durations,
    /// Input tokens of a call.
    pub input: Histogram,
    /// Output tokens of a call.
    pub output: Histogram,
    /// From a streamed call's start to its first content.
    pub first_chunk: Histogram,
    /// Between two events of a stream.
    pub per_chunk: Histogram,
    /// Between output tokens of a provider's stream, after the first.
    pub per_token: Histogram,
    /// From the arrival of a streamed request to the first content that went out.
    pub delivered_ttft: Histogram,
    /// Between output tokens of a stream as they went out, after the first.
    pub delivered_per_token: Histogram,
}

impl Default for ClientSeries {
    fn default() -> Self {
        ClientSeries {
            duration: Durations::default(),
            input: Histogram::new(TOKENS),
            output: Histogram::new(TOKENS),
            first_chunk: Histogram::new(CHUNK),
            per_chunk: Histogram::new(CHUNK),
            per_token: Histogram::new(PER_TOKEN),
            delivered_ttft: Histogram::new(TTFT),
            delivered_per_token: Histogram::new(PER_TOKEN),
        }
    }
}

/// What is counted of exchanges of one operation.
#[derive(Debug)]
pub struct ServerSeries {
    /// From a request's arrival to its end.
    pub duration: Durations,
    /// From the arrival of a streamed request to the first content that went out.
    pub ttft: Histogram,
    /// Between output tokens of a stream, after the first.
    pub per_token: Histogram,
    /// From the answering call's start to its first content.
    pub upstream_ttft: Histogram,
    /// Between output tokens of the provider's stream, after the first.
    pub upstream_per_token: Histogram,
}

impl Default for ServerSeries {
    fn default() -> Self {
        ServerSeries {
            duration: Durations::default(),
            ttft: Histogram::new(TTFT),
            per_token: Histogram::new(PER_TOKEN),
            upstream_ttft: Histogram::new(TTFT),
            upstream_per_token: Histogram::new(PER_TOKEN),
        }
    }
}

/// Series by operation, made when they are first used.
#[derive(Debug, Default)]
pub struct ByOperation<T>([OnceLock<Box<T>>; OPERATIONS]);

impl<T: Default> ByOperation<T> {
    /// The series of an operation; none for what asks no model.
    pub fn of(&self, operation: Operation) -> Option<&T> {
        let slot = index(operation).and_then(|at| self.0.get(at))?;
        Some(slot.get_or_init(Box::default))
    }

    /// Those that were used, with the operation's name.
    pub fn used(&self) -> impl Iterator<Item = (&'static str, &T)> {
        NAMES
            .iter()
            .zip(&self.0)
            .filter_map(|(name, slot)| Some((*name, &**slot.get()?)))
    }
}

/// Of a target.
pub type Client = ByOperation<ClientSeries>;
/// Of a route.
pub type Server = ByOperation<ServerSeries>;

/// Pauses between the events of one stream, gathered without atomics and added at its end.
#[derive(Debug, Default)]
pub struct Pauses(Vec<(u64, usize)>);

impl Pauses {
    /// Notes one. Equal buckets share an entry, so there are few.
    pub fn note(&mut self, pause: Duration) {
        let seconds = pause.as_secs_f64();
        let at = CHUNK.partition_point(|bound| *bound < seconds);
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        if self.0.len() <= at {
            self.0.resize(at + 1, (0, 0));
        }
        if let Some((sum, count)) = self.0.get_mut(at) {
            *sum = sum.saturating_add(micros);
            *count += 1;
        }
    }

    /// Adds all to a histogram with the bounds of [`CHUNK`].
    pub fn add_to(&self, histogram: &Histogram) {
        for (at, (micros, count)) in self.0.iter().enumerate() {
            if *count > 0 {
                histogram.add(at, u64::try_from(*count).unwrap_or(u64::MAX), *micros);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_come_out_as_if_each_were_observed() {
        let (gathered, direct) = (Histogram::new(CHUNK), Histogram::new(CHUNK));
        let mut pauses = Pauses::default();
        for ms in [0, 5, 10, 11, 300, 100_000] {
            pauses.note(Duration::from_millis(ms));
            direct.observe(Duration::from_millis(ms));
        }
        pauses.add_to(&gathered);
        assert_eq!(gathered.snapshot(), direct.snapshot());
    }

    #[test]
    fn failures_are_kept_apart() {
        let durations = Durations::default();
        durations.observe(Duration::from_millis(30), None);
        durations.observe(Duration::from_secs(1), Some("connect"));
        let all = durations.all();
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].0, all[1].1.count()), (Some("connect"), 1));
    }
}
