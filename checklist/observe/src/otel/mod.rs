//! Export to OpenTelemetry: spans of exchanges and upstream calls, and metrics, by OTLP over HTTP.
//!
//! A request only puts its facts into a bounded queue; encoding, sending and waiting for an endpoint happen in one task.
//! What does not fit, or can't be delivered in time, is dropped and counted: an endpoint that is away never hurts a
//! request.

pub mod content;
pub mod export;
pub mod names;
pub mod proto;
pub mod span;

use crate::metrics::Metrics;
use crate::otel::export::Settings;
use crate::otel::span::{Finished, Trace};
use aplomb_core::clock::Clock;
use aplomb_core::id::TraceContext;
use arc_swap::ArcSwapOption;
use ring::hmac;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{Notify, watch};

/// Exchanges of one export request, at most.
pub(crate) const BATCH: usize = 256;

#[derive(Default)]
struct Waiting {
    items: VecDeque<(Finished, usize)>,
    bytes: usize,
    closed: bool,
}

/// The door to the exporter. Lives as long as the process; a reload changes its settings.
pub struct Otel {
    settings: ArcSwapOption<Settings>,
    queue: Mutex<Waiting>,
    wake: Notify,
    /// Told at changes of the settings; true when the end has come.
    changes: watch::Sender<bool>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// When counting began, in milliseconds since the Unix epoch.
    started_ms: u64,
    user_key: OnceLock<hmac::Key>,
}

impl Otel {
    /// One that exports nothing until it is told where to.
    pub fn new(metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Self {
        Otel {
            settings: ArcSwapOption::empty(),
            queue: Mutex::default(),
            wake: Notify::new(),
            changes: watch::Sender::new(false),
            metrics,
            started_ms: clock.now_ms(),
            clock,
            user_key: OnceLock::new(),
        }
    }

    /// Sets the secret with which users are hashed. Without one, spans say nothing of users.
    pub fn hash_users_with(&self, key: &[u8]) {
        // Set once, when the process starts.
        let _ = self.user_key.set(hmac::Key::new(hmac::HMAC_SHA256, key));
    }

    /// Where to export from now on; `None` ends it.
    pub fn configure(&self, settings: Option<Arc<Settings>>) {
        self.settings.store(settings);
        self.changes.send_modify(|_| {});
    }

    /// A trace that starts here, sampled as the settings say.
    pub fn start_trace(&self) -> TraceContext {
        let mut context = TraceContext::start();
        let settings = self.settings.load();
        if let Some(settings) = settings.as_ref().filter(|settings| settings.traces)
            && fastrand::f64() < settings.sample
        {
            context.flags = 1;
        }
        context
    }

    /// The spans of an exchange in this trace, where they are exported: the caller, or the settings, decided that it is
    /// sampled.
    pub fn follow(&self, context: &TraceContext) -> Option<Trace> {
        let settings = self.settings.load();
        let settings = settings.as_ref().filter(|settings| settings.traces)?;
        context
            .is_sampled()
            .then(|| Trace::new(*context, settings.content))
    }

    /// Takes the spans of an ended exchange; never waits.
    pub fn put(&self, finished: Finished) {
        let spans = finished.spans();
        let bytes = finished.size();
        let max = self
            .settings
            .load()
            .as_ref()
            .map_or(0, |settings| settings.queue_bytes);
        let mut waiting = self.lock();
        if waiting.closed || waiting.bytes + bytes > max {
            self.metrics.otlp_traces.dropped.add(spans);
            return;
        }
        waiting.bytes += bytes;
        waiting.items.push_back((finished, bytes));
        let len = waiting.items.len();
        drop(waiting);
        if len == 1 || len == BATCH {
            self.wake.notify_one();
        }
    }

    /// No more comes: what waits is sent, and [`Otel::run`] ends.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changes.send_replace(true);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keyed hash of a user of a tenant: 16 hexadecimal digits.
    fn user_hash(&self, tenant: &str, user: &str) -> Option<String> {
        let key = self.user_key.get()?;
        let tag = hmac::sign(key, format!("{tenant}\n{user}").as_bytes());
        let digits = tag.as_ref().iter().take(8);
        Some(digits.map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aplomb_core::clock::FakeClock;

    fn otel(settings: Option<Settings>) -> (Arc<Metrics>, Otel) {
        let metrics = Arc::new(Metrics::default());
        let otel = Otel::new(metrics.clone(), Arc::new(FakeClock::at(1_000)));
        otel.configure(settings.map(Arc::new));
        (metrics, otel)
    }

    fn settings(sample: f64) -> Settings {
        let mut settings = Settings::to("http://127.0.0.1:9").unwrap();
        settings.sample = sample;
        settings
    }

    #[test]
    fn nothing_is_sampled_without_settings() {
        let (_, otel) = otel(None);
        assert_eq!(otel.start_trace().flags, 0);
        let mut context = TraceContext::start();
        context.flags = 1;
        assert!(otel.follow(&context).is_none());
    }

    #[test]
    fn the_callers_flag_decides_and_else_the_share() {
        let (_, never) = otel(Some(settings(0.0)));
        assert!((0..100).all(|_| never.start_trace().flags == 0));
        let mut context = TraceContext::start();
        assert!(never.follow(&context).is_none());
        context.flags = 1;
        assert!(never.follow(&context).is_some());
        let (_, always) = otel(Some(settings(1.0)));
        assert!((0..100).all(|_| always.start_trace().flags == 1));
        let (_, half) = otel(Some(settings(0.5)));
        let sampled = (0..2_000)
            .filter(|_| half.start_trace().is_sampled())
            .count();
        assert!((800..1_200).contains(&sampled), "{sampled}");
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let mut small = settings(1.0);
        small.queue_bytes = 10_000;
        let (metrics, otel) = otel(Some(small));
        for _ in 0..100 {
            otel.put(Finished::for_test());
        }
        assert!(otel.lock().bytes <= 10_000);
        let kept = u64::try_from(otel.lock().items.len()).unwrap();
        assert!(kept > 0);
        assert_eq!(metrics.otlp_traces.dropped.get(), 100 - kept);
    }

    #[test]
    fn users_are_hashed_by_tenant() {
        let (_, otel) = otel(None);
        assert_eq!(otel.user_hash("t", "ada"), None);
        otel.hash_users_with(b"secret");
        let hash = otel.user_hash("t", "ada").unwrap();
        assert_eq!(hash.len(), 16);
        assert_ne!(otel.user_hash("u", "ada").unwrap(), hash);
    }
}
