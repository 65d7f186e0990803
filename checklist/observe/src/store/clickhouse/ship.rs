//! The shipper: a thread that takes batches from the outboxes of the day files, in order, and sends each until ClickHouse has
//! taken it. Requests never wait for it; what it can't send stays on the disk.

use super::rows::SendError;
use super::telemetry::ShipHealth;
use super::{CallError, ClickHouse};
use crate::metrics::Metrics;
use crate::store::embedded::codec::Codec;
use crate::store::embedded::outbox::{Batch, BatchBounds};
use crate::writer::{Door, locked};
use aplomb_core::clock::Clock;
use aplomb_core::error::BoxError;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Rows that came within this time go together.
const PACE: Duration = Duration::from_secs(1);
/// Most rows of a batch, about; bounds memory to some tens of megabytes.
const BATCH_ROWS: usize = 5_000;
/// Most bytes of stored (compressed) texts of a batch.
const BATCH_TEXT_BYTES: usize = 8 << 20;
/// First and longest wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long the end of the process waits for a batch that is under way; it is sent again at the next start.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("the outbox can't be used: {0}")]
    Outbox(BoxError),
}

/// What one round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Nothing waits, or little.
    Rest,
    /// More waits.
    More,
}

/// The running shipper.
pub(crate) struct Shipper {
    stop: Arc<AtomicBool>,
    error: Arc<Mutex<Option<String>>>,
    metrics: Arc<Metrics>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

/// What the shipper works on.
pub(crate) struct Route {
    pub(crate) store: Arc<ClickHouse>,
    pub(crate) door: Door,
    pub(crate) folder: PathBuf,
    pub(crate) codec: Arc<Codec>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Shipper {
    pub(crate) fn start(route: Route) -> std::io::Result<Self> {
        let metrics = route.metrics.clone();
        metrics.clickhouse.configured.set(1);
        let (stop, error) = (Arc::<AtomicBool>::default(), Arc::<Mutex<_>>::default());
        let work = Work {
            route,
            stop: stop.clone(),
            error: error.clone(),
            ready: false,
        };
        let handle = std::thread::Builder::new()
            .name("shipper".to_owned())
            .spawn(move || work.run())?;
        Ok(Shipper {
            stop,
            error,
            metrics,
            handle: Mutex::new(Some(handle)),
        })
    }

    pub(crate) fn health(&self) -> ShipHealth {
        let error = locked(&self.error).clone();
        let counts = &self.metrics.clickhouse;
        ShipHealth {
            state: if error.is_some() { "failing" } else { "ok" },
            error,
            backlog_rows: counts.backlog_rows.get(),
            lag_seconds: counts.lag_seconds.get(),
            shipped_rows: counts.shipped_rows.get(),
            lost_rows: counts.lost_rows.get(),
        }
    }

    /// Says that it should end. What is under way may end first.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(handle) = &*locked(&self.handle) {
            handle.thread().unpark();
        }
    }

    /// Waits a little for its end.
    pub(crate) fn join(&self) {
        let Some(handle) = locked(&self.handle).take() else {
            return;
        };
        let begun = Instant::now();
        while !handle.is_finished() {
            if begun.elapsed() > FAREWELL {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let _ = handle.join();
    }
}

struct Work {
    route: Route,
    stop: Arc<AtomicBool>,
    error: Arc<Mutex<Option<String>>>,
    /// The tables are there.
    ready: bool,
}

impl Work {
    fn run(mut self) {
        let mut wait = RETRY.0;
        while !self.stop.load(Ordering::Relaxed) {
            match self.round() {
                Ok(round) => {
                    wait = RETRY.0;
                    if locked(&self.error).take().is_some() {
                        tracing::info!("records are shipped again");
                    }
                    if round == Round::Rest {
                        self.sleep(PACE);
                    }
                }
                Err(error) => {
                    if self.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    self.failed(&error);
                    self.sleep(wait);
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }

    fn sleep(&self, time: Duration) {
        let begun = Instant::now();
        while let Some(left) = time.checked_sub(begun.elapsed())
            && !self.stop.load(Ordering::Relaxed)
        {
            std::thread::park_timeout(left);
        }
    }

    fn failed(&mut self, error: &ShipError) {
        // Somebody may have dropped or changed a table.
        self.ready = false;
        self.route.metrics.clickhouse.failed_inserts.add(1);
        let text = error.to_string();
        if locked(&self.error).replace(text).is_none() {
            tracing::warn!(%error, "records can't be shipped; they wait in the data folder, and it is tried again");
        }
    }

    fn round(&mut self) -> Result<Round, ShipError> {
        let batch = self.next()?;
        if !self.ready {
            self.route.store.migrate()?;
            self.ready = true;
        }
        let Some(batch) = batch else {
            return Ok(Round::Rest);
        };
        let route = &self.route;
        route.store.send(&route.folder, &route.codec, &batch)?;
        let rows = u64::try_from(batch.len()).unwrap_or(0);
        let sent = batch.clone();
        let left = route
            .door
            .between(move |store| {
                store.shipped(&sent)?;
                Ok(store.backlog()?)
            })
            .map_err(ShipError::Outbox)?;
        let counts = &route.metrics.clickhouse;
        counts.shipped_rows.add(rows);
        counts.backlog_rows.set(left);
        if left == 0 {
            counts.lag_seconds.set(0);
        }
        let many = left >= u64::try_from(BATCH_ROWS).unwrap_or(u64::MAX);
        Ok(if many || batch.len() >= BATCH_ROWS {
            Round::More
        } else {
            Round::Rest
        })
    }

    /// The batch that comes next; tells how much waits.
    fn next(&self) -> Result<Option<Batch>, ShipError> {
        let bounds = BatchBounds {
            rows: BATCH_ROWS,
            text_bytes: if self.route.store.keeps_texts() {
                BATCH_TEXT_BYTES
            } else {
                0
            },
        };
        let (backlog, batch) = self
            .route
            .door
            .between(move |store| {
                let backlog = store.backlog()?;
                Ok((backlog, store.next_batch(bounds)?))
            })
            .map_err(ShipError::Outbox)?;
        let counts = &self.route.metrics.clickhouse;
        counts.backlog_rows.set(backlog);
        let now_ms = self.route.clock.now_ms();
        let oldest = batch.as_ref().map(|batch| batch.oldest_ms);
        let lag_ms = oldest
            .filter(|ms| *ms > 0)
            .map_or(0, |ms| now_ms.saturating_sub(ms));
        counts.lag_seconds.set(lag_ms / 1000);
        Ok(batch)
    }
}
