//! What is counted. Handles are plain fields: counting costs one atomic addition, no look-up.
//!
//! [`families`] gives all of it as families of samples, from which the Prometheus text, the OTLP export and the reference
//! page are made. Every label has a bound; users are never one.

pub mod families;
pub mod genai;
mod rooms;

pub use rooms::{
    CacheMetrics, LimitMetrics, ProtectMetrics, ShareMetrics, ValidationMetrics, ValidatorMetrics,
};

use crate::queue::Queue;
use crate::record::Outcome;
use crate::store::clickhouse::telemetry::ShipMetrics;
use crate::store::embedded::Feedback;
use aplomb_core::error::ErrorCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// One more, until what is returned is dropped.
    #[must_use = "it is one less at once"]
    pub fn hold(&self) -> Held<'_> {
        self.up();
        Held(self)
    }

    /// So many more, or less.
    pub fn shift(&self, by: i64) {
        self.0.fetch_add(by.cast_unsigned(), Ordering::Relaxed);
    }

    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of what a gauge counts.
pub struct Held<'a>(&'a Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.down();
    }
}

/// Upper bounds of the time buckets, in seconds. From a cached answer to a long one.
const BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// Numbers in buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[Counter]>,
    /// Sum in millionths.
    micros: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram::new(BOUNDS)
    }
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Upper bounds, ascending.
    pub bounds: &'static [f64],
    /// How many numbers are in each bucket, not summed up; one more than bounds.
    pub counts: Vec<u64>,
    /// Sum of all numbers.
    pub sum: f64,
}

impl Snapshot {
    /// Of nothing yet.
    pub fn empty(bounds: &'static [f64]) -> Self {
        Snapshot {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds those of another one with the same bounds.
    pub fn add(&mut self, other: &Snapshot) {
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            *own += more;
        }
        self.sum += other.sum;
    }
}

impl Histogram {
    /// With these upper bounds, ascending.
    pub fn new(bounds: &'static [f64]) -> Self {
        Histogram {
            bounds,
            buckets: (0..=bounds.len()).map(|_| Counter::default()).collect(),
            micros: Counter::default(),
        }
    }

    /// Notes one time, in seconds.
    pub fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.note(time.as_secs_f64(), micros);
    }

    /// Notes a number of things.
    pub fn observe_count(&self, n: u64) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a bucket is wider than what is lost"
        )]
        let number = n as f64;
        self.note(number, n.saturating_mul(1_000_000));
    }

    /// Notes a time in milliseconds; what is no time is passed over.
    pub fn observe_ms(&self, ms: f64) {
        if let Ok(time) = Duration::try_from_secs_f64(ms / 1000.0) {
            self.observe(time);
        }
    }

    fn note(&self, value: f64, micros: u64) {
        self.add(
            self.bounds.partition_point(|bound| *bound < value),
            1,
            micros,
        );
    }

    /// Adds `count` numbers to the bucket at `at`; together they are so many millionths.
    fn add(&self, at: usize, count: u64, micros: u64) {
        if let Some(bucket) = self.buckets.get(at) {
            bucket.add(count);
        }
        self.micros.add(micros);
    }

    /// As it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            bounds: self.bounds,
            counts: self.buckets.iter().map(Counter::get).collect(),
            sum: Duration::from_micros(self.micros.get()).as_secs_f64(),
        }
    }
}

/// What is counted of the requests of one class that want a turn at a target.
#[derive(Debug, Default)]
pub struct QueueMetrics {
    /// Requests that wait.
    pub waiting: Gauge,
    /// How long they waited.
    pub wait: Histogram,
    /// Requests that found the queue, or their part of it, full.
    pub full: Counter,
    /// Requests whose turn did not come, or would not have come, in time.
    pub late: Counter,
    /// Requests that were given up while their class was overloaded.
    pub shed: Counter,
}

/// What is counted for each target.
#[derive(Debug, Default)]
pub struct TargetMetrics {
    /// Upstream calls that gave an answer.
    pub answered: Counter,
    /// Upstream calls that failed.
    pub failed: Counter,
    /// Input tokens.
    pub input_tokens: Counter,
    /// Output tokens.
    pub output_tokens: Counter,
    /// Cost of its answers in nano-dollars, where the price is known.
    pub cost_nano: Counter,
    /// Answers whose price is not known.
    pub cost_unknown: Counter,
    /// What the GenAI conventions count of a client.
    pub client: genai::Client,
    /// Host and port, where the target is a server.
    pub peer: OnceLock<(String, u16)>,
    /// Breakers (one a key) that are not closed.
    pub breakers_open: Gauge,
    /// Calls that were not made since the budget of the key was used up.
    pub over_budget: Counter,
    /// How often a breaker opened.
    pub breaker_opened: Counter,
    /// How often a key was set aside: not accepted, or without quota.
    pub keys_aside: Counter,
    /// Calls that it takes at a time: of all its keys together, 0 where there is no bound.
    pub slots: Gauge,
    /// Interactive requests that want a turn.
    pub interactive: QueueMetrics,
    /// Batch requests that do.
    pub batch: QueueMetrics,
    faults: Mutex<BTreeMap<&'static str, u64>>,
}

impl TargetMetrics {
    /// Counts a failed call by the class of its failure.
    pub fn fault(&self, class: &'static str) {
        self.failed.add(1);
        *locked(&self.faults).entry(class).or_default() += 1;
    }
}

/// What is counted for each route.
#[derive(Debug, Default)]
pub struct RouteMetrics {
    /// Exchanges by outcome, in the order of [`Outcome::ALL`].
    pub requests: [Counter; Outcome::ALL.len()],
    /// Input tokens.
    pub input_tokens: Counter,
    /// Output tokens.
    pub output_tokens: Counter,
    /// Cost in nano-dollars, where the price is known.
    pub cost_nano: Counter,
    /// Answers whose price is not known.
    pub cost_unknown: Counter,
    /// Further calls to the target that failed before.
    pub retries: Counter,
    /// Calls to another target after a failed one.
    pub fallbacks: Counter,
    /// Retries that were not made, since the provider's retry budget was used up.
    pub retries_refused: Counter,
    /// Requests that waited since every target wanted to be left alone.
    pub gate_waits: Counter,
    /// Hedges that gave the answer.
    pub hedges_won: Counter,
    /// Hedges that did not.
    pub hedges_lost: Counter,
    /// Hedges that were not sent, since the route's budget was used up.
    pub hedges_refused: Counter,
    /// What the GenAI conventions count of a server.
    pub server: genai::Server,
}

/// What is counted for each tenant.
#[derive(Debug, Default)]
pub struct TenantMetrics {
    /// Exchanges.
    pub requests: Counter,
    /// Exchanges whose caller did not get what was asked for.
    pub failed: Counter,
    /// Input tokens.
    pub input_tokens: Counter,
    /// Output tokens.
    pub output_tokens: Counter,
    /// Cost in nano-dollars, where the price is known.
    pub cost_nano: Counter,
}

/// What is counted of the OTLP export of one signal.
#[derive(Debug, Default)]
pub struct ExportMetrics {
    /// Spans or metric points that the endpoint has taken.
    pub sent: Counter,
    /// Those that were given up: the queue was full, or the endpoint was away or refused them.
    pub dropped: Counter,
    /// Calls of the endpoint that failed.
    pub failed: Counter,
}

/// Counters by a name that has many values: those beyond a bound share the name `other`.
#[derive(Debug)]
struct Named<T> {
    max: usize,
    map: Mutex<BTreeMap<String, Arc<T>>>,
}

impl<T: Default> Named<T> {
    fn up_to(max: usize) -> Self {
        Named {
            max,
            map: Mutex::default(),
        }
    }

    fn get(&self, name: &str) -> Arc<T> {
        let mut map = locked(&self.map);
        if let Some(known) = map.get(name) {
            return known.clone();
        }
        let full = map.len() >= self.max;
        map.entry(if full { "other" } else { name }.to_owned())
            .or_default()
            .clone()
    }

    fn all(&self) -> Vec<(String, Arc<T>)> {
        let map = locked(&self.map);
        map.iter()
            .map(|(name, one)| (name.clone(), one.clone()))
            .collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All metrics of the process.
pub struct Metrics {
    /// Evaluations.
    pub evals: crate::evals::online::EvalMetrics,
    /// Exchanges by outcome, in the order of [`Outcome::ALL`].
    pub requests: [Counter; Outcome::ALL.len()],
    /// Requests that were refused before the pipeline (authentication, malformed, unknown model).
    pub refused: Counter,
    /// Exchanges that run now.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Whole time of exchanges.
    pub duration: Histogram,
    /// The gateway's own part of the time to the first content.
    pub overhead: Histogram,
    /// Records handed to the writer.
    pub records_queued: Counter,
    /// Records written.
    pub records_written: Counter,
    /// Records lost: the queue was full or the disk failed.
    pub records_lost: Counter,
    /// Records whose text was cut to its head, since the queue was over half full.
    pub records_text_shed: Counter,
    /// Records whose text was left out, since the queue was full.
    pub records_text_lost: Counter,
    /// Commits that failed and were tried again.
    pub records_commit_failed: Counter,
    /// 1 while records can't be written.
    pub records_store_down: Gauge,
    /// Files of records that were damaged and put aside.
    pub records_files_damaged: Counter,
    /// Time of a commit of records.
    pub records_commit: Histogram,
    /// Configurations that were taken over.
    pub reload_ok: Counter,
    /// Configurations that were refused; the one before stays.
    pub reload_error: Counter,
    /// Requests that a privacy policy refused.
    pub privacy_refused: Counter,
    /// Requests that no provider with the required agreement could take.
    pub privacy_no_agreement: Counter,
    /// Values put back into answers.
    pub privacy_restored: Counter,
    /// Alerts that began to fire.
    pub alerts_fired: Counter,
    /// Messages of alerts that could not be delivered.
    pub alerts_untold: Counter,
    /// Feedback with a thumb up.
    pub feedback_up: Counter,
    /// Feedback with a thumb down.
    pub feedback_down: Counter,
    /// Other feedback.
    pub feedback_other: Counter,
    /// Placeholders that went to clients although their values should stand there.
    pub privacy_unrestored: Counter,
    /// Texts of a placeholder's form in answers to requests that did not make them.
    pub privacy_foreign: Counter,
    /// Shipping to ClickHouse.
    pub clickhouse: ShipMetrics,
    /// Answers that the gateway made itself instead of the wanted ones, by code, in the order of [`ErrorCode::ALL`].
    errors: [Counter; ErrorCode::ALL.len()],
    /// Export of spans.
    pub otlp_traces: ExportMetrics,
    /// Export of metrics.
    pub otlp_metrics: ExportMetrics,
    targets: Named<TargetMetrics>,
    routes: Named<RouteMetrics>,
    tenants: Named<TenantMetrics>,
    caches: Named<CacheMetrics>,
    limits: Named<LimitMetrics>,
    validators: Named<ValidatorMetrics>,
    /// Answers that validators look at.
    pub validation: ValidationMetrics,
    /// Counters of limits that are kept.
    pub limits_counters: Gauge,
    /// Places of requests in flight that limits count.
    pub limits_in_flight: Gauge,
    /// Requests that wait for room under a limit.
    pub limits_waiting: Gauge,
    /// Uses that were counted together with those of other callers, since there were too many for counters of their own.
    pub limits_crowded: Gauge,
    /// Hints about targets that other nodes were told, and that they have told.
    pub hints: [Gauge; 2],
    /// Refusals that were told late, since their callers go on asking.
    pub limits_delayed: Counter,
    /// Users of each level of trust: suspended, quarantine, standard, trusted.
    pub trust_users: [Gauge; 4],
    /// Rows of the trail of trust that were lost.
    pub trust_lost: Gauge,
    /// Requests before anybody knows who is calling.
    pub protect: ProtectMetrics,
    /// Requests with the same content.
    pub share_content: Arc<ShareMetrics>,
    /// Requests with the same `Idempotency-Key`.
    pub share_key: Arc<ShareMetrics>,
    /// Uses of limits that are written down for a process that comes after.
    pub limits_written: Gauge,
    /// Uses that could not be written down.
    pub limits_lost: Gauge,
    /// Writes of them that failed and were tried again.
    pub limits_write_failed: Gauge,
    /// Where nodes share limits; none where they do not.
    pub limits_shared: OnceLock<SharedLimitMetrics>,
    records_queue: OnceLock<Arc<Queue>>,
    /// Values by kind and action. Kinds are those of the configuration: few.
    entities: Mutex<BTreeMap<String, u64>>,
}

/// Most targets with metrics of their own. `provider/model` comes from clients, so labels need a bound.
const TARGETS_MAX: usize = 500;
/// Most routes with metrics of their own. They stand in the file; the bound is for files that are made by programs.
const ROUTES_MAX: usize = 500;
/// Most tenants with metrics of their own.
const TENANTS_MAX: usize = 100;

/// Most response caches with metrics of their own.
const CACHES_MAX: usize = 50;

/// What is known of limits that nodes share.
#[derive(Default)]
pub struct SharedLimitMetrics {
    /// 1 while they are counted together, 0 while this node goes on alone.
    pub up: Gauge,
    /// Nodes that share them.
    pub nodes: Gauge,
    /// Requests that were decided alone.
    pub alone: Gauge,
    /// Requests that were refused since a limit that is closed could not be counted.
    pub closed: Gauge,
    /// Requests that were refused without asking.
    pub spared: Gauge,
    /// Calls that failed.
    pub failed: Gauge,
    /// Counters of which the store does not know everything yet.
    pub owing: Gauge,
    /// Differences that it will never know.
    pub lost: Gauge,
}

/// Most limits with metrics of their own: those of several versions of a file.
const LIMITS_MAX: usize = 200;

/// Most validators with metrics of their own.
const VALIDATORS_MAX: usize = 100;

/// The route of requests that name a model without a route.
pub const DIRECT: &str = "(direct)";

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            alerts_fired: Default::default(),
            alerts_untold: Default::default(),
            clickhouse: Default::default(),
            evals: Default::default(),
            requests: Default::default(),
            refused: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            duration: Histogram::default(),
            overhead: Histogram::default(),
            records_queued: Counter::default(),
            records_written: Counter::default(),
            records_lost: Counter::default(),
            records_text_shed: Counter::default(),
            records_text_lost: Counter::default(),
            records_commit_failed: Counter::default(),
            records_store_down: Gauge::default(),
            records_files_damaged: Counter::default(),
            records_commit: Histogram::default(),
            reload_ok: Counter::default(),
            reload_error: Counter::default(),
            privacy_refused: Counter::default(),
            privacy_no_agreement: Counter::default(),
            privacy_restored: Counter::default(),
            feedback_up: Counter::default(),
            feedback_down: Counter::default(),
            feedback_other: Counter::default(),
            privacy_unrestored: Counter::default(),
            privacy_foreign: Counter::default(),
            errors: Default::default(),
            otlp_traces: ExportMetrics::default(),
            otlp_metrics: ExportMetrics::default(),
            records_queue: OnceLock::default(),
            entities: Mutex::default(),
            targets: Named::up_to(TARGETS_MAX),
            routes: Named::up_to(ROUTES_MAX),
            tenants: Named::up_to(TENANTS_MAX),
            caches: Named::up_to(CACHES_MAX),
            limits: Named::up_to(LIMITS_MAX),
            validators: Named::up_to(VALIDATORS_MAX),
            validation: ValidationMetrics::default(),
            limits_counters: Gauge::default(),
            protect: ProtectMetrics::default(),
            limits_in_flight: Gauge::default(),
            limits_waiting: Gauge::default(),
            limits_crowded: Gauge::default(),
            hints: Default::default(),
            limits_delayed: Counter::default(),
            trust_users: Default::default(),
            trust_lost: Gauge::default(),
            share_content: Arc::default(),
            share_key: Arc::default(),
            limits_written: Gauge::default(),
            limits_lost: Gauge::default(),
            limits_write_failed: Gauge::default(),
            limits_shared: OnceLock::new(),
        }
    }
}

impl Metrics {
    /// The handle of a target, to be kept. Beyond a bound all share the target `other`.
    pub fn target(&self, name: &str) -> Arc<TargetMetrics> {
        self.targets.get(name)
    }

    /// The handle of a route, to be kept. Beyond a bound all share the route `other`.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.routes.get(name)
    }

    /// The handle of a tenant. Beyond a bound all share the tenant `other`.
    pub fn tenant(&self, name: &str) -> Arc<TenantMetrics> {
        self.tenants.get(name)
    }

    /// The handle of a response cache, to be kept. Beyond a bound all share the cache `other`.
    pub fn cache(&self, name: &str) -> Arc<CacheMetrics> {
        self.caches.get(name)
    }

    /// The handle of a limit, to be kept. Beyond a bound all share the limit `other`.
    pub fn limit(&self, name: &str) -> Arc<LimitMetrics> {
        self.limits.get(name)
    }

    /// The handle of a validator. Beyond a bound all share the validator `other`.
    pub fn validator(&self, name: &str) -> Arc<ValidatorMetrics> {
        self.validators.get(name)
    }

    /// Counts an error that a client got.
    pub fn error(&self, code: ErrorCode) {
        let at = ErrorCode::ALL.iter().position(|known| *known == code);
        if let Some(counter) = at.and_then(|at| self.errors.get(at)) {
            counter.add(1);
        }
    }

    /// From now on the queue of the records is shown too.
    pub(crate) fn watch(&self, queue: Arc<Queue>) {
        // A process has one queue; a second one, in tests, is not shown.
        let _ = self.records_queue.set(queue);
    }

    /// Counts feedback.
    pub fn feedback(&self, feedback: &Feedback) {
        match feedback.thumb {
            Some(1) => self.feedback_up.add(1),
            Some(-1) => self.feedback_down.add(1),
            _ => self.feedback_other.add(1),
        }
    }

    /// Counts values found by a privacy policy: by `KIND:action`.
    pub fn entities(&self, counts: &BTreeMap<String, u32>) {
        let mut all = self.entities.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, count) in counts {
            let sum = all.entry(name.clone()).or_default();
            *sum = sum.saturating_add(u64::from(*count));
        }
    }

    /// Counts an ended exchange.
    pub fn ended(&self, outcome: Outcome, duration: Duration) {
        let at = Outcome::ALL.iter().position(|known| *known == outcome);
        if let Some(counter) = at.and_then(|at| self.requests.get(at)) {
            counter.add(1);
        }
        self.duration.observe(duration);
    }

    /// Metrics without labels: name, type, help, value.
    fn plain(&self) -> [(&'static str, &'static str, &'static str, u64); 16] {
        [
            (
                "aplomb_alerts_fired_total",
                "counter",
                "Alerts that began to fire.",
                self.alerts_fired.get(),
            ),
            (
                "aplomb_alerts_undelivered_total",
                "counter",
                "Messages of alerts that could not be delivered.",
                self.alerts_untold.get(),
            ),
            (
                "aplomb_records_commit_failed_total",
                "counter",
                "Commits of records that failed and were tried again.",
                self.records_commit_failed.get(),
            ),
            (
                "aplomb_records_store_down",
                "gauge",
                "1 while records can't be written.",
                self.records_store_down.get(),
            ),
            (
                "aplomb_records_files_damaged_total",
                "counter",
                "Files of records that were damaged and put aside.",
                self.records_files_damaged.get(),
            ),
            (
                "aplomb_requests_refused_total",
                "counter",
                "Requests refused before the pipeline.",
                self.refused.get(),
            ),
            (
                "aplomb_requests_in_flight",
                "gauge",
                "Exchanges that run now.",
                self.in_flight.get(),
            ),
            (
                "aplomb_connections_open",
                "gauge",
                "Open client connections.",
                self.connections.get(),
            ),
            (
                "aplomb_privacy_refused_total",
                "counter",
                "Requests refused by a privacy policy.",
                self.privacy_refused.get(),
            ),
            (
                "aplomb_privacy_no_agreement_total",
                "counter",
                "Requests refused since no provider has the required agreement.",
                self.privacy_no_agreement.get(),
            ),
            (
                "aplomb_privacy_restored_total",
                "counter",
                "Values put back into answers.",
                self.privacy_restored.get(),
            ),
            (
                "aplomb_privacy_placeholders_unrestored_total",
                "counter",
                "Placeholders that went to clients although their values should stand there.",
                self.privacy_unrestored.get(),
            ),
            (
                "aplomb_privacy_placeholders_foreign_total",
                "counter",
                "Texts of a placeholder's form in answers to requests that did not make them.",
                self.privacy_foreign.get(),
            ),
            (
                "aplomb_records_queued_total",
                "counter",
                "Records handed to the writer.",
                self.records_queued.get(),
            ),
            (
                "aplomb_records_written_total",
                "counter",
                "Records written.",
                self.records_written.get(),
            ),
            (
                "aplomb_records_lost_total",
                "counter",
                "Records lost.",
                self.records_lost.get(),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_text_holds_what_was_counted() {
        let metrics = Metrics::default();
        metrics.ended(Outcome::Cut, Duration::from_millis(30));
        metrics.target("a/\"b\"").answered.add(2);
        let text = metrics.render();
        assert!(text.contains("aplomb_requests_total{outcome=\"cut\"} 1\n"));
        assert!(text.contains("aplomb_request_duration_seconds_bucket{le=\"0.025\"} 0\n"));
        assert!(text.contains("aplomb_request_duration_seconds_bucket{le=\"0.05\"} 1\n"));
        assert!(text.contains(
            "aplomb_upstream_calls_total{target=\"a/\\\"b\\\"\",outcome=\"answered\"} 2\n"
        ));
    }

    #[test]
    fn names_are_bounded() {
        let metrics = Metrics::default();
        for n in 0..TARGETS_MAX + 50 {
            metrics.target(&n.to_string()).failed.add(1);
            metrics.route(&n.to_string()).retries.add(1);
            metrics.tenant(&n.to_string()).requests.add(1);
        }
        assert_eq!(metrics.target("new one").failed.get(), 50);
        assert_eq!(metrics.route("new one").retries.get(), 50);
        assert_eq!(metrics.tenant("new one").requests.get(), 450);
        assert_eq!(metrics.tenant("7").requests.get(), 1);
    }
}
