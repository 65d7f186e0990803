//! Records go to day files of JSON lines, written by one thread behind a bounded queue.
//!
//! A request never waits for the disk: when the queue is full a record is dropped and counted. Whole lines are written
//! in batches; a torn last line after a crash is ended before the next one.

use crate::metrics::Metrics;
use crate::record::Record;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Records that may wait. Chosen: a record of facts has about 1 KiB, so some 16 MiB.
const QUEUE: usize = 16_384;
/// Bytes of one write.
const BATCH: usize = 256 * 1024;

enum Item {
    Record(Box<Record>),
    End,
}

/// The door to the writer thread.
pub struct RecordWriter {
    queue: SyncSender<Item>,
    metrics: Arc<Metrics>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RecordWriter {
    /// Starts the writer on the folder `records` below `data_dir`.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn start(data_dir: &Path, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let folder = data_dir.join("records");
        std::fs::create_dir_all(&folder)?;
        let (queue, items) = sync_channel(QUEUE);
        let shared = metrics.clone();
        let thread = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || {
                Writer {
                    folder,
                    metrics: shared,
                    open: None,
                    batch: Vec::new(),
                }
                .run(&items)
            })?;
        Ok(RecordWriter {
            queue,
            metrics,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands a record over; never waits.
    pub fn put(&self, record: Box<Record>) {
        match self.queue.try_send(Item::Record(record)) {
            Ok(()) => self.metrics.records_queued.add(1),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.metrics.records_lost.add(1)
            }
        }
    }

    /// Writes what waits and ends the thread.
    pub fn close(&self) {
        // A full queue is being emptied by the thread; this is shutdown, so it may wait.
        let _ = self.queue.send(Item::End);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct Writer {
    folder: PathBuf,
    metrics: Arc<Metrics>,
    /// Day number and its file.
    open: Option<(u64, File)>,
    batch: Vec<u8>,
}

impl Writer {
    fn run(mut self, items: &Receiver<Item>) {
        let mut day = 0;
        loop {
            // Whatever waits is written at the latest after this pause.
            match items.recv_timeout(Duration::from_millis(100)) {
                Ok(Item::Record(record)) => {
                    let its_day = record.at_ms / 86_400_000;
                    if its_day != day {
                        self.flush(day);
                        day = its_day;
                    }
                    if serde_json::to_writer(&mut self.batch, &record).is_ok() {
                        self.batch.push(b'\n');
                    }
                    if self.batch.len() >= BATCH {
                        self.flush(day);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.flush(day),
                Ok(Item::End) | Err(RecvTimeoutError::Disconnected) => return self.flush(day),
            }
        }
    }

    fn flush(&mut self, day: u64) {
        if self.batch.is_empty() {
            return;
        }
        let count = self.batch.iter().filter(|byte| **byte == b'\n').count();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        match self.write(day) {
            Ok(()) => self.metrics.records_written.add(count),
            Err(error) => {
                self.open = None;
                self.metrics.records_lost.add(count);
                tracing::error!(%error, count, "records could not be written and are lost");
            }
        }
        self.batch.clear();
    }

    fn write(&mut self, day: u64) -> std::io::Result<()> {
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
    use aplomb_core::usage::Usage;

    fn record(id: &str, at_ms: u64) -> Box<Record> {
        Box::new(Record {
            request_id: id.into(),
            at_ms,
            trace_id: String::new(),
            tenant: "t".into(),
            key_id: String::new(),
            user: None,
            session: None,
            tags: Vec::new(),
            operation: "messages",
            model: "m".into(),
            route: None,
            target: None,
            served_model: None,
            simulated: false,
            stream: false,
            attempts: Vec::new(),
            outcome: Outcome::Done,
            status: 200,
            error_code: None,
            finish_reason: None,
            usage: Usage::default(),
            ttft_ms: None,
            total_ms: 1.0,
            overhead_ms: None,
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
}
