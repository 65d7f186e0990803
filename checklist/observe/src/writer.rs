//! Records go to day files of JSON lines, written by one thread behind a bounded queue.
//!
//! A request never waits for the disk and wakes nobody: the thread looks at the queue at its own pace (waking it for
//! every record costs more than all the rest of a record). When the queue is full a record is dropped and counted. Whole
//! lines are written in batches; a torn last line after a crash is ended before the next one.

use crate::metrics::Metrics;
use crate::record::Record;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Records that may wait. Chosen: a record of facts has about 1 KiB, so some 16 MiB.
const QUEUE: usize = 16_384;
/// So many waiting records wake the thread before its time.
const MANY: usize = QUEUE / 4;
/// How often the thread looks: what waits is in the file at the latest after this.
const PACE: Duration = Duration::from_millis(50);
/// Bytes of one write.
const BATCH: usize = 256 * 1024;

#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "records come boxed; only a pointer moves while the lock is held"
)]
struct Waiting {
    records: Vec<Box<Record>>,
    closed: bool,
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
    /// Starts the writer on the folder `records` below `data_dir`.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn start(data_dir: &Path, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let folder = data_dir.join("records");
        std::fs::create_dir_all(&folder)?;
        let queue = Arc::new(Queue::default());
        let (shared, counted) = (queue.clone(), metrics.clone());
        let handle = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || {
                Writer {
                    folder,
                    metrics: counted,
                    open: None,
                    batch: Vec::new(),
                    day: 0,
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
    pub fn put(&self, record: Box<Record>) {
        let mut waiting = self.queue.lock();
        if waiting.closed || waiting.records.len() >= QUEUE {
            drop(waiting);
            return self.metrics.records_lost.add(1);
        }
        waiting.records.push(record);
        let many = waiting.records.len() == MANY;
        drop(waiting);
        self.metrics.records_queued.add(1);
        if many {
            self.thread.unpark();
        }
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

struct Writer {
    folder: PathBuf,
    metrics: Arc<Metrics>,
    /// Day number and its file.
    open: Option<(u64, File)>,
    batch: Vec<u8>,
    /// Day of the lines in the batch, counted from 1970-01-01.
    day: u64,
}

impl Writer {
    fn run(mut self, queue: &Queue) {
        let mut taken = Vec::new();
        loop {
            let mut waiting = queue.lock();
            let closed = waiting.closed;
            std::mem::swap(&mut waiting.records, &mut taken);
            drop(waiting);
            for record in taken.drain(..) {
                self.add(&record);
            }
            self.flush();
            if closed {
                return;
            }
            std::thread::park_timeout(PACE);
        }
    }

    fn add(&mut self, record: &Record) {
        let day = record.at_ms / 86_400_000;
        if day != self.day || self.batch.len() >= BATCH {
            self.flush();
            self.day = day;
        }
        if serde_json::to_writer(&mut self.batch, record).is_ok() {
            self.batch.push(b'\n');
        }
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let count = self.batch.iter().filter(|byte| **byte == b'\n').count();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        match self.write() {
            Ok(()) => self.metrics.records_written.add(count),
            Err(error) => {
                self.open = None;
                self.metrics.records_lost.add(count);
                tracing::error!(%error, count, "records could not be written and are lost");
            }
        }
        self.batch.clear();
    }

    fn write(&mut self) -> std::io::Result<()> {
        let day = self.day;
        if self.open.as_ref().is_none_or(|(open, _)| *open != day) {
            let path = self.folder.join(format!("{}.jsonl", date(day)));
            self.open = Some((day, open_for_append(&path)?));
        }
        match &mut self.open {
            Some((_, file)) => file.write_all(&self.batch),
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
fn date(day: u64) -> String {
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
        let writer = RecordWriter::start(dir.path(), metrics.clone()).unwrap();
        writer.put(record("a", 5));
        writer.put(record("b", 86_400_000));
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
    fn after_its_end_the_queue_counts_what_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let writer = RecordWriter::start(dir.path(), metrics.clone()).unwrap();
        writer.close();
        writer.put(record("late", 5));
        assert_eq!(
            (metrics.records_queued.get(), metrics.records_lost.get()),
            (0, 1)
        );
    }
}
