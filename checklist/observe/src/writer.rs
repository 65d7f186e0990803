//! The writer: one thread that takes records from the queue and puts them into the store.
//!
//! Records that came within [`PACE`] of each other share a commit. When the disk fails, the batch is kept and tried again;
//! requests go on, the state is visible, and the queue says what it had to give up.

use crate::metrics::Metrics;
use crate::prompt::{Kept, Prompt};
use crate::queue::{Ack, Fate, Item, Queue, Said, Submission};
use crate::record::KeepText;
use crate::store::Ask;
use crate::store::clickhouse::ship::{Route, Shipper};
use crate::store::clickhouse::telemetry::ShipHealth;
use crate::store::clickhouse::{self, ClickHouse};
use crate::store::embedded::ask::AskError;
use crate::store::embedded::codec::Codec;
use crate::store::embedded::{self, Bounds, DAY_MS, Embedded, Entry, Late, Started, StoreError};
use aplomb_core::clock::Clock;
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::BoxError;
use aplomb_core::id::RequestId;
use serde::Serialize;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Records that share a commit come within this time.
const PACE: Duration = Duration::from_millis(20);
/// Most records of a commit.
const BATCH_ROWS: usize = 4096;
/// Most bytes of a commit.
const BATCH_BYTES: usize = 8 << 20;
/// First and longest wait after a failed commit.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Longest wait for work on the store. It may still be done after that.
const JOB_WAIT: Duration = Duration::from_secs(60);
/// Commits that are tried after the end was asked for.
const LAST_TRIES: u32 = 5;

/// How the writer is set up.
pub struct Settings {
    /// Folder of the day files.
    pub folder: PathBuf,
    /// How texts are stored.
    pub codec: Arc<Codec>,
    /// Name of this node.
    pub node: String,
    /// How long and how much is kept.
    pub bounds: Bounds,
    /// Bytes that may wait in memory.
    pub queue_bytes: usize,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// State of the store, for people.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Health {
    /// `ok`, `waiting` (another process writes to the folder) or `failing` (the last commit failed; it is tried again).
    pub state: &'static str,
    /// Why the last commit failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Bytes that wait in memory.
    pub queue_bytes: usize,
    /// Age of the oldest record that waits, in milliseconds.
    pub lag_ms: u128,
    /// What was lost with damaged files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<String>,
    /// How shipping goes, where a ClickHouse is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clickhouse: Option<ShipHealth>,
}

#[derive(Default)]
struct Status {
    state: Option<&'static str>,
    error: Option<String>,
    losses: Vec<String>,
}

/// The door to the writer thread.
pub struct RecordWriter {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    status: Arc<Mutex<Status>>,
    folder: PathBuf,
    codec: Arc<Codec>,
    reader: Arc<embedded::ask::Reader>,
    bounds: Arc<Mutex<Bounds>>,
    door: Door,
    clickhouse: Option<(Arc<ClickHouse>, Shipper)>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

/// The way to the writer's thread.
#[derive(Clone)]
pub(crate) struct Door {
    queue: Arc<Queue>,
    thread: std::thread::Thread,
}

/// The folder of records below the data folder.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("records")
}

/// The file that tells who writes: its owner holds it alone.
fn lock_file(folder: &Path) -> std::io::Result<File> {
    let options = &mut OpenOptions::new();
    options
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RecordWriter {
    /// Starts the writer. If another process holds the folder, records wait in memory until it lets go.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn start(settings: Settings, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        Self::start_shipping(settings, None, metrics)
    }

    /// The same, and ships what it writes to a ClickHouse.
    ///
    /// # Errors
    /// The folder can't be made, or the address of ClickHouse is none.
    pub fn start_shipping(
        settings: Settings,
        to: Option<clickhouse::Settings>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let Settings {
            folder,
            codec,
            node,
            bounds,
            queue_bytes,
            clock,
        } = settings;
        std::fs::create_dir_all(&folder)?;
        let lock = lock_file(&folder)?;
        let queue = Arc::new(Queue::new(queue_bytes));
        metrics.watch(queue.clone());
        let status = Arc::new(Mutex::new(Status::default()));
        let bounds = Arc::new(Mutex::new(bounds));
        let mut store = Embedded::new(folder.clone(), codec.clone(), node);
        if to.is_some() {
            store = store.shipping();
        }
        let work = Writer {
            store,
            queue: queue.clone(),
            metrics: metrics.clone(),
            status: status.clone(),
            bounds: bounds.clone(),
            clock: clock.clone(),
            lock,
            retained: 0,
        };
        let handle = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || work.run())?;
        let reader = Arc::new(embedded::ask::Reader::new(folder.clone(), codec.clone()));
        let door = Door {
            queue: queue.clone(),
            thread: handle.thread().clone(),
        };
        let ship = |to| -> std::io::Result<_> {
            let store = Arc::new(ClickHouse::new(to)?);
            let route = Route {
                store: store.clone(),
                door: door.clone(),
                folder: folder.clone(),
                codec: codec.clone(),
                clock,
                metrics: metrics.clone(),
            };
            Ok((store, Shipper::start(route)?))
        };
        let clickhouse = to.map(ship).transpose()?;
        Ok(RecordWriter {
            queue,
            metrics,
            status,
            folder,
            codec,
            reader,
            bounds,
            door,
            clickhouse,
            handle: Mutex::new(Some(handle)),
        })
    }

    /// Hands a record over; never waits.
    pub fn put(&self, submission: Submission) {
        let (fate, wake) = self.queue.put(submission);
        match fate {
            Fate::Lost => self.metrics.records_lost.add(1),
            Fate::Taken => self.metrics.records_queued.add(1),
            Fate::Shed => {
                self.metrics.records_queued.add(1);
                self.metrics.records_text_shed.add(1);
            }
            Fate::FactsOnly => {
                self.metrics.records_queued.add(1);
                self.metrics.records_text_lost.add(1);
            }
        }
        if wake {
            self.door.thread.unpark();
        }
    }

    /// Notes the beginning of an exchange, so that a crash leaves a trace of it. False if there was no room.
    pub fn begin(&self, started: Started, ack: Option<Ack>) -> bool {
        let (taken, wake) = self.queue.begin(Box::new(started), ack);
        if wake {
            self.door.thread.unpark();
        }
        taken
    }

    /// Whether the next record would be lost.
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Answers questions about what is written.
    pub fn reader(&self) -> Arc<embedded::ask::Reader> {
        self.reader.clone()
    }

    /// The store of this name (`embedded`, `clickhouse`) that answers questions; without a name the one that is asked first.
    ///
    /// # Errors
    /// There is no store of this name.
    pub fn ask(&self, store: Option<&str>) -> Result<Arc<dyn Ask>, AskError> {
        let click = self.clickhouse();
        match (store, click) {
            (None, Some(click)) if click.is_first() => Ok(click.clone()),
            (Some("clickhouse"), Some(click)) => Ok(click.clone()),
            (None | Some("embedded"), _) => Ok(self.reader()),
            (Some(name), _) => Err(AskError::Wrong(format!(
                "store: there is no store `{}` of records",
                name.chars().take(64).collect::<String>()
            ))),
        }
    }

    /// How long and how much is kept from now on.
    pub fn keep(&self, bounds: Bounds) {
        *locked(&self.bounds) = bounds;
    }

    /// How it goes.
    pub fn health(&self) -> Health {
        let waiting = self.queue.lock();
        let (queue_bytes, oldest) = (waiting.bytes, waiting.oldest);
        drop(waiting);
        let status = locked(&self.status);
        Health {
            state: status.state.unwrap_or("ok"),
            error: status.error.clone(),
            queue_bytes,
            lag_ms: oldest.map_or(0, |oldest| oldest.elapsed().as_millis()),
            losses: status.losses.clone(),
            clickhouse: self
                .clickhouse
                .as_ref()
                .map(|(_, shipper)| shipper.health()),
        }
    }

    /// Adds a late fact to an exchange, and waits for it. False if there is no such record. Blocking.
    ///
    /// # Errors
    /// The store fails.
    pub fn late(&self, id: RequestId, late: Late) -> Result<bool, BoxError> {
        self.between(move |store| Ok(store.late(id, &late)?))
    }

    /// The ClickHouse that records are shipped to.
    pub fn clickhouse(&self) -> Option<&Arc<ClickHouse>> {
        self.clickhouse.as_ref().map(|(store, _)| store)
    }

    /// Runs work on the store between two writes, and waits for it. Blocking.
    fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Embedded) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, BoxError> {
        self.door.between(work)
    }

    /// Waits until everything that was handed over before is written. Blocking.
    ///
    /// # Errors
    /// The writer has ended.
    pub fn flush(&self) -> Result<(), BoxError> {
        self.between(|_| Ok(()))
    }

    /// Writes what waits and ends the threads. Blocking.
    pub fn close(&self) {
        if let Some((_, shipper)) = &self.clickhouse {
            shipper.stop();
        }
        self.queue.lock().closed = true;
        self.door.thread.unpark();
        let handle = locked(&self.handle).take();
        if let Some(handle) = handle {
            let _ = handle.join();
        }
        if let Some((_, shipper)) = &self.clickhouse {
            shipper.join();
        }
    }
}

impl Door {
    /// Runs work on the store between two writes, and waits for it. Blocking.
    ///
    /// # Errors
    /// The work fails, or the writer has ended.
    pub(crate) fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Embedded) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, BoxError> {
        let gone = || BoxError::from("the record writer has ended");
        let (done, result) = sync_channel(1);
        {
            let mut waiting = self.queue.lock();
            if waiting.closed {
                return Err(gone());
            }
            waiting.jobs.push(Box::new(move |store| {
                // Who has waited too long has gone.
                let _ = done.send(work(store));
            }));
            waiting.asleep = false;
        }
        self.thread.unpark();
        match result.recv_timeout(JOB_WAIT) {
            Ok(done) => done,
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
            Err(RecvTimeoutError::Timeout) => Err(
                "the store does not answer: another process writes to it, or its disk fails".into(),
            ),
        }
    }
}

impl Erase for RecordWriter {
    fn store(&self) -> &'static str {
        "records"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        let subject = subject.clone();
        self.between(move |store| store.erase(&subject))
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        self.flush()?;
        embedded::export(&self.folder, &self.codec, subject)
    }
}

/// The records of a data folder while no gateway writes to it.
pub struct RecordFolder {
    folder: PathBuf,
    codec: Arc<Codec>,
}

impl RecordFolder {
    /// The folder `records` below `data_dir`.
    pub fn new(data_dir: &Path, codec: Arc<Codec>) -> Self {
        RecordFolder {
            folder: folder(data_dir),
            codec,
        }
    }
}

impl Erase for RecordFolder {
    fn store(&self) -> &'static str {
        "records"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        if !self.folder.exists() {
            return Ok(0);
        }
        let lock = lock_file(&self.folder)?;
        lock.try_lock()
            .map_err(|_| "a gateway writes to this folder: let it erase")?;
        Embedded::new(self.folder.clone(), self.codec.clone(), String::new()).erase(subject)
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        embedded::export(&self.folder, &self.codec, subject)
    }
}

struct Writer {
    store: Embedded,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    status: Arc<Mutex<Status>>,
    bounds: Arc<Mutex<Bounds>>,
    clock: Arc<dyn Clock>,
    lock: File,
    /// Day on which old files were last looked for.
    retained: u64,
}

impl Writer {
    fn run(mut self) {
        if !self.own() {
            return self.lose_all();
        }
        self.recover();
        loop {
            let mut waiting = self.queue.lock();
            let (items, bytes) = waiting.take(BATCH_ROWS, BATCH_BYTES);
            // A job sees everything that was handed over before it.
            let jobs = if waiting.items.is_empty() {
                std::mem::take(&mut waiting.jobs)
            } else {
                Vec::new()
            };
            let (closed, awaited, more) = (waiting.closed, waiting.awaited, waiting.items.len());
            let idle = items.is_empty() && jobs.is_empty();
            waiting.asleep = idle && !closed;
            drop(waiting);
            if idle {
                if closed {
                    return;
                }
                std::thread::park_timeout(Duration::from_secs(60));
                self.queue.lock().asleep = false;
                self.retain();
                continue;
            }
            self.write(items);
            self.free(bytes);
            jobs.into_iter().for_each(|job| job(&mut self.store));
            self.retain();
            if more == 0 && !awaited && !closed {
                // Gathers what comes meanwhile; whoever waits for an acknowledgement does not wait for this.
                std::thread::park_timeout(PACE);
            }
        }
    }

    /// What was written no longer waits.
    fn free(&self, bytes: usize) {
        let mut waiting = self.queue.lock();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }

    /// Takes the folder for itself. False if the end comes first.
    fn own(&self) -> bool {
        loop {
            if self.lock.try_lock().is_ok() {
                locked(&self.status).state = None;
                return true;
            }
            if self.queue.lock().closed {
                return false;
            }
            if locked(&self.status).state.replace("waiting").is_none() {
                tracing::warn!(
                    "another process writes to the records folder; records wait in memory until it ends"
                );
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    fn lose_all(&self) {
        let mut waiting = self.queue.lock();
        let (items, _) = waiting.take(usize::MAX, usize::MAX);
        // Who waits for a job learns that there is nobody to do it.
        waiting.jobs.clear();
        waiting.bytes = 0;
        self.metrics
            .records_lost
            .add(u64::try_from(items.len()).unwrap_or(u64::MAX));
    }

    /// What the process before this one has left: exchanges without an end.
    fn recover(&mut self) {
        let today = self.clock.now_ms() / DAY_MS;
        match self.store.settle_crashed(today) {
            Ok(0) => {}
            Ok(count) => tracing::warn!(
                count,
                "exchanges had begun when the process before this one ended; they are recorded as crashed"
            ),
            Err(error) => {
                tracing::error!(%error, "records of the time before could not be looked at")
            }
        }
        self.report_losses();
    }

    fn report_losses(&mut self) {
        for loss in std::mem::take(&mut self.store.losses) {
            let aside: Vec<String> = loss
                .aside
                .iter()
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect();
            let text = format!(
                "records of {} were damaged: {} facts and {} texts could be read and were kept, the rest of the damaged pages is lost ({})",
                loss.day,
                loss.kept_facts,
                loss.kept_texts,
                aside.join(", ")
            );
            tracing::error!(loss = text, "a file of records was damaged and put aside");
            self.metrics.records_files_damaged.add(1);
            locked(&self.status).losses.push(text);
        }
    }

    fn write(&mut self, items: Vec<Item>) {
        let (mut entries, mut begun, mut acks) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Done { record, said, ack } => {
                    entries.push(Entry {
                        record,
                        prompt: prompt(said),
                    });
                    acks.extend(ack);
                }
                Item::Begun { started, ack } => {
                    begun.push(*started);
                    acks.extend(ack);
                }
            }
        }
        if self.persist(&entries, &begun) {
            self.metrics
                .records_written
                .add(u64::try_from(entries.len()).unwrap_or(0));
            for ack in acks {
                // Who has gone needs no answer.
                let _ = ack.send(());
            }
        } else {
            self.metrics
                .records_lost
                .add(u64::try_from(entries.len()).unwrap_or(0));
        }
    }

    /// Tries until it is written, or until the end is asked for and some more tries have failed.
    fn persist(&mut self, entries: &[Entry], begun: &[Started]) -> bool {
        let (mut wait, mut last) = (RETRY.0, LAST_TRIES);
        loop {
            let begun_at = Instant::now();
            let done = self
                .store
                .begin(begun)
                .and_then(|()| self.store.write(entries));
            self.report_losses();
            let error = match done {
                Ok(()) => {
                    self.metrics.records_commit.observe(begun_at.elapsed());
                    let mut status = locked(&self.status);
                    status.error = None;
                    if status.state.take().is_some() {
                        tracing::info!("records are written again");
                    }
                    self.metrics.records_store_down.set(0);
                    return true;
                }
                Err(error) => error,
            };
            self.failing(&error);
            if self.queue.lock().closed {
                last -= 1;
                if last == 0 {
                    tracing::error!(%error, count = entries.len(), "records could not be written and are lost");
                    return false;
                }
            }
            std::thread::park_timeout(wait);
            wait = (wait * 2).min(RETRY.1);
        }
    }

    fn failing(&self, error: &StoreError) {
        self.metrics.records_store_down.set(1);
        self.metrics.records_commit_failed.add(1);
        let mut status = locked(&self.status);
        status.error = Some(error.to_string());
        if status.state.replace("failing") != Some("failing") {
            tracing::error!(%error, "records can't be written; they wait in memory, and it is tried again");
        }
    }

    /// Once a day: what is too old or too much goes.
    fn retain(&mut self) {
        let today = self.clock.now_ms() / DAY_MS;
        if today == self.retained {
            return;
        }
        self.retained = today;
        let bounds = locked(&self.bounds).clone();
        match self.store.retain(today, &bounds) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "records past their time were removed"),
            Err(error) => tracing::error!(%error, "old records could not be removed"),
        }
        let lost = std::mem::take(&mut self.store.unshipped);
        if lost > 0 {
            self.metrics.clickhouse.lost_rows.add(lost);
            tracing::error!(
                lost,
                "records were removed for want of space before ClickHouse had taken them"
            );
        }
    }
}

fn prompt(said: Said) -> Option<Prompt> {
    match said {
        Said::Nothing => None,
        Said::Read(prompt) => Some(*prompt),
        Said::Texts(texts, keep) => Some(Prompt::read(
            &texts,
            if keep != KeepText::None {
                Kept::Whole
            } else {
                Kept::None
            },
        )),
    }
}
