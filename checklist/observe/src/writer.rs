//! Records go to day files of JSON lines, written by one thread behind a bounded queue.
//!
//! A request never waits for the disk and wakes nobody: the thread looks at the queue at its own pace (waking it for
//! every record costs more than all the rest of a record). Lines are made where the record is, so that its memory stays
//! with one thread. When the queue is full a record is dropped and counted. Whole lines are written; a torn last line
//! after a crash is ended before the next one.

use crate::erase;
use crate::metrics::Metrics;
use crate::record::Record;
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::BoxError;
use serde_json::Value;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of records that may wait. Chosen: some 20,000 records of facts.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// So many waiting bytes wake the thread before its time.
const MANY_BYTES: usize = QUEUE_BYTES / 8;
/// How often the thread looks: what waits is in the file at the latest after this.
const PACE: Duration = Duration::from_millis(50);
/// Memory that a buffer keeps when it is empty.
const KEPT_BYTES: usize = MANY_BYTES;

thread_local! {
    /// Where a line is made before the queue is locked.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lines of one day.
#[derive(Default)]
struct Lines {
    /// Counted from 1970-01-01.
    day: u64,
    bytes: Vec<u8>,
    count: u64,
}

#[derive(Default)]
struct Waiting {
    /// Lines in order; a new day begins a new item.
    days: Vec<Lines>,
    bytes: usize,
    /// Work on the folder that must not meet a write.
    jobs: Vec<Job>,
    closed: bool,
}

/// Runs between two writes, while no file is open.
type Job = Box<dyn FnOnce(&Path) + Send>;

impl Waiting {
    /// False if there is no room.
    fn add(&mut self, day: u64, line: &[u8]) -> bool {
        if self.closed || self.bytes + line.len() > QUEUE_BYTES {
            return false;
        }
        self.bytes += line.len();
        match self.days.last_mut() {
            Some(lines) if lines.day == day || lines.count == 0 => lines.add(day, line),
            _ => {
                let mut lines = Lines::default();
                lines.add(day, line);
                self.days.push(lines);
            }
        }
        true
    }
}

impl Lines {
    fn add(&mut self, day: u64, line: &[u8]) {
        self.day = day;
        self.bytes.extend_from_slice(line);
        self.count += 1;
    }

    /// Empties it for use again, and gives back what a rush has made it hold.
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.count = 0;
    }
}

#[derive(Default)]
struct Queue(Mutex<Waiting>);

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The door to the writer thread.
pub struct RecordWriter {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    thread: std::thread::Thread,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl RecordWriter {
    /// Starts the writer on the folder `records` below `data_dir`. Day files older than `keep` are removed.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn start(data_dir: &Path, keep: Duration, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let keep_days = (keep.as_secs() / 86_400).max(1);
        let folder = data_dir.join("records");
        std::fs::create_dir_all(&folder)?;
        let lock = erase::lock_file(&folder)?;
        // Held by an erasure that is at work: it ends soon.
        lock.lock_shared()?;
        let queue = Arc::new(Queue::default());
        let (shared, counted) = (queue.clone(), metrics.clone());
        let handle = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || {
                Writer {
                    folder,
                    metrics: counted,
                    open: None,
                    _lock: lock,
                    keep_days,
                    aged: 0,
                }
                .run(&shared)
            })?;
        Ok(RecordWriter {
            queue,
            metrics,
            thread: handle.thread().clone(),
            handle: Mutex::new(Some(handle)),
        })
    }

    /// Hands a record over; never waits for the disk.
    pub fn put(&self, record: &Record) {
        let added = LINE.with_borrow_mut(|line| {
            line.clear();
            serde_json::to_writer(&mut *line, record).ok()?;
            line.push(b'\n');
            let mut waiting = self.queue.lock();
            let before = waiting.bytes;
            let added = waiting.add(record.at_ms / 86_400_000, line);
            added.then_some(before < MANY_BYTES && waiting.bytes >= MANY_BYTES)
        });
        match added {
            None => self.metrics.records_lost.add(1),
            Some(many) => {
                self.metrics.records_queued.add(1);
                if many {
                    self.thread.unpark();
                }
            }
        }
    }

    /// Runs work on the folder between two writes, and waits for it. Blocking.
    fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let gone = || std::io::Error::other("the record writer has ended");
        let (done, result) = sync_channel(1);
        {
            let mut waiting = self.queue.lock();
            if waiting.closed {
                return Err(gone());
            }
            waiting.jobs.push(Box::new(move |folder| {
                // The receiver waits below; it can't be gone.
                let _ = done.send(work(folder));
            }));
        }
        self.thread.unpark();
        result.recv().map_err(|_| gone())?
    }

    /// Writes what waits and ends the thread. Blocking.
    pub fn close(&self) {
        self.queue.lock().closed = true;
        self.thread.unpark();
        let handle = self
            .handle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(handle) = handle {
            let _ = handle.join();
        }
    }
}

impl Erase for RecordWriter {
    fn store(&self) -> &'static str {
        "records"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        let subject = subject.clone();
        Ok(self.between(move |folder| erase::erase(folder, &subject))?)
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        let subject = subject.clone();
        Ok(self.between(move |folder| erase::export(folder, &subject))?)
    }
}

struct Writer {
    folder: PathBuf,
    metrics: Arc<Metrics>,
    /// Day number and its file.
    open: Option<(u64, File)>,
    /// Held as long as this thread writes.
    _lock: File,
    /// Days that are kept.
    keep_days: u64,
    /// Day on which old files were last looked for.
    aged: u64,
}

impl Writer {
    fn run(mut self, queue: &Queue) {
        let mut taken = vec![Lines::default()];
        loop {
            let mut waiting = queue.lock();
            let closed = waiting.closed;
            waiting.bytes = 0;
            std::mem::swap(&mut waiting.days, &mut taken);
            let jobs = std::mem::take(&mut waiting.jobs);
            drop(waiting);
            for lines in &taken {
                self.write(lines);
            }
            for job in jobs {
                self.open = None;
                job(&self.folder);
            }
            self.age(&taken);
            taken.truncate(1);
            taken.iter_mut().for_each(Lines::clear);
            if closed {
                return;
            }
            std::thread::park_timeout(PACE);
        }
    }

    /// Once a day, as the records' own time tells it: days that are too old go.
    fn age(&mut self, taken: &[Lines]) {
        let today = taken.iter().filter(|lines| lines.count > 0);
        let Some(today) = today.map(|lines| lines.day).max() else {
            return;
        };
        if today == self.aged {
            return;
        }
        self.aged = today;
        match crate::erase::age(&self.folder, today, self.keep_days) {
            Ok(0) => {}
            Ok(days) => tracing::info!(days, "records past their time were removed"),
            Err(error) => tracing::error!(%error, "old records could not be removed"),
        }
    }

    fn write(&mut self, lines: &Lines) {
        if lines.count == 0 {
            return;
        }
        let count = lines.count;
        match self.try_write(lines) {
            Ok(()) => self.metrics.records_written.add(count),
            Err(error) => {
                self.open = None;
                self.metrics.records_lost.add(count);
                tracing::error!(%error, count, "records could not be written and are lost");
            }
        }
    }

    fn try_write(&mut self, lines: &Lines) -> std::io::Result<()> {
        let day = lines.day;
        if self.open.as_ref().is_none_or(|(open, _)| *open != day) {
            let path = self.folder.join(format!("{}.jsonl", date(day)));
            self.open = Some((day, open_for_append(&path)?));
        }
        match &mut self.open {
            Some((_, file)) => file.write_all(&lines.bytes),
            None => Ok(()),
        }
    }
}

fn open_for_append(path: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(path)?;
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0u8];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// `YYYY-MM-DD` of a day counted from 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn date(day: u64) -> String {
    let z = day + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;

    const KEEP: Duration = Duration::from_secs(400 * 86_400);

    fn record(id: &str, at_ms: u64) -> Box<Record> {
        Box::new(Record {
            request_id: id.into(),
            at_ms,
            operation: "messages",
            outcome: Outcome::Done,
            status: 200,
            ..Record::default()
        })
    }

    #[test]
    fn days_have_their_names() {
        assert_eq!(
            (date(0), date(19_782), date(20_454)),
            (
                "1970-01-01".into(),
                "2024-02-29".into(),
                "2026-01-01".into()
            )
        );
    }

    #[test]
    fn records_reach_the_file_of_their_day_and_a_torn_line_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("records")).unwrap();
        let first = dir.path().join("records/1970-01-01.jsonl");
        std::fs::write(&first, "{\"torn").unwrap();
        let metrics = Arc::new(Metrics::default());
        let writer = RecordWriter::start(dir.path(), KEEP, metrics.clone()).unwrap();
        writer.put(&record("a", 5));
        writer.put(&record("b", 86_400_000));
        writer.close();
        let text = std::fs::read_to_string(&first).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.lines()
                .nth(1)
                .unwrap()
                .contains("\"request_id\":\"a\"")
        );
        assert!(dir.path().join("records/1970-01-02.jsonl").exists());
        assert_eq!(
            (metrics.records_written.get(), metrics.records_lost.get()),
            (2, 0)
        );
    }

    #[test]
    fn erasing_meets_no_write() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let writer = RecordWriter::start(dir.path(), KEEP, metrics.clone()).unwrap();
        let of = |user: &str| {
            let mut record = record("r", 86_400_000);
            record.user = Some(user.to_owned());
            record
        };
        for user in ["canary", "other", "canary"] {
            writer.put(&of(user));
        }
        let canary = Subject {
            tenant: None,
            user: "canary".into(),
        };
        assert_eq!(writer.export(&canary).unwrap().len(), 2);
        assert_eq!(writer.erase(&canary).unwrap(), 2);
        writer.put(&of("other"));
        writer.close();
        let text = std::fs::read_to_string(dir.path().join("records/1970-01-02.jsonl")).unwrap();
        assert_eq!((text.lines().count(), text.contains("canary")), (2, false));
        assert!(writer.erase(&canary).is_err());
    }

    #[test]
    fn after_its_end_the_queue_counts_what_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let writer = RecordWriter::start(dir.path(), KEEP, metrics.clone()).unwrap();
        writer.close();
        writer.put(&record("late", 5));
        assert_eq!(
            (metrics.records_queued.get(), metrics.records_lost.get()),
            (0, 1)
        );
    }
}
