//! What of limits survives a restart: windows of ten minutes and more, periods of the calendar, and everything that counts money.
//!
//! Each use is one addition to what was used by a counter at a time; what turns out to be less or more is another. Additions are
//! gathered and written once a second, and at the end of the process. **Money is written before the call**: a request that counts money
//! waits until its addition is on the disk ([`Journal::written`]), so that a process that is killed can only have charged too much.
//! Of other limits a crash forgets at most the last second.
//!
//! **Bounds.** At most [`PENDING_MAX`] additions wait for the disk, added up by counter and time. Beyond that, or while the disk
//! fails, additions of other limits are lost and counted, and requests that count money are refused.

pub mod sqlite;

use crate::key::Key;
use crate::rule::{Meter, Rule, Window};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Most additions that wait for the disk. Chosen: 16 MB.
pub const PENDING_MAX: usize = 200_000;
/// Additions that nobody waits for are written after so long.
const EVERY: Duration = Duration::from_secs(1);
/// Shortest window that survives a restart: what is shorter is over before anybody has noticed.
const LONG_MS: u64 = 600_000;

/// Whether the counters of a rule survive a restart.
pub fn is_kept(rule: &Rule) -> bool {
    match &rule.window {
        Window::Concurrent => false,
        Window::Calendar(_) | Window::Lifetime => true,
        Window::Sliding(ms) => *ms >= LONG_MS || rule.meter == Meter::Cost,
    }
}

/// What a counter has used at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The counter.
    pub key: Key,
    /// When, in milliseconds; of a period its first moment.
    pub at: u64,
    /// How much.
    pub amount: i64,
    /// From when on it no longer counts.
    pub until: u64,
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
#[error("the ledger of limits {file}: {message}")]
pub struct StoreError {
    /// Its file.
    pub file: String,
    /// What went wrong.
    pub message: String,
}

/// Where additions are kept.
pub trait LedgerStore: Send {
    /// All that still counts, by counter and time.
    ///
    /// # Errors
    /// It can't be read.
    fn load(&mut self, now_ms: u64) -> Result<Vec<Used>, StoreError>;

    /// Adds to what is there, all or nothing, and returns when it is on the disk.
    ///
    /// # Errors
    /// It can't be written; nothing was added.
    fn add(&mut self, additions: &[Used]) -> Result<(), StoreError>;
}

#[derive(Default)]
struct Pending {
    additions: HashMap<(Key, u64), (i64, u64)>,
    waiting: Vec<oneshot::Sender<()>>,
    lost: u64,
    written: u64,
    failed: u64,
    closed: bool,
}

/// Gathers additions for a store.
#[derive(Default)]
pub struct Journal {
    pending: Mutex<Pending>,
    wake: Condvar,
}

/// What a journal has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Additions that are on the disk.
    pub written: u64,
    /// Additions that were given up.
    pub lost: u64,
    /// Writes that failed.
    pub failed: u64,
}

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an addition.
    pub fn note(&self, used: Used) {
        let mut pending = self.lock();
        let place = (used.key, used.at);
        if pending.additions.len() >= PENDING_MAX && !pending.additions.contains_key(&place) {
            pending.lost += 1;
            return;
        }
        let (amount, until) = pending.additions.entry(place).or_default();
        *amount = amount.saturating_add(used.amount);
        *until = used.until.max(*until);
    }

    /// Told when all that was noted before is on the disk; an error if it could not be written.
    pub fn written(&self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        let mut pending = self.lock();
        // Where additions were lost, this one may be among them.
        if !pending.closed && pending.additions.len() < PENDING_MAX {
            pending.waiting.push(tell);
            self.wake.notify_one();
        }
        told
    }

    /// What it has done so far.
    pub fn report(&self) -> Report {
        let pending = self.lock();
        Report {
            written: pending.written,
            lost: pending.lost,
            failed: pending.failed,
        }
    }

    /// Waits for something to write; `None` when there is nothing more to come.
    fn next(&self) -> Option<(Vec<Used>, Vec<oneshot::Sender<()>>)> {
        let mut pending = self.lock();
        if pending.waiting.is_empty() && !pending.closed {
            let idle = |pending: &mut Pending| pending.waiting.is_empty() && !pending.closed;
            let waited = self.wake.wait_timeout_while(pending, EVERY, idle);
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let additions: Vec<Used> = pending
            .additions
            .drain()
            .map(|((key, at), (amount, until))| Used {
                key,
                at,
                amount,
                until,
            })
            .filter(|used| used.amount != 0)
            .collect();
        let waiting = std::mem::take(&mut pending.waiting);
        if pending.closed && additions.is_empty() && waiting.is_empty() {
            return None;
        }
        Some((additions, waiting))
    }

    /// Writes what is there now.
    #[cfg(test)]
    pub(crate) fn drain_into(&self, store: &mut dyn LedgerStore) {
        self.lock().closed = true;
        self.write_all(store);
    }

    fn write_all(&self, store: &mut dyn LedgerStore) {
        while let Some((additions, waiting)) = self.next() {
            let count = u64::try_from(additions.len()).unwrap_or(u64::MAX);
            if additions.is_empty() || store.add(&additions).is_ok() {
                self.lock().written += count;
                for tell in waiting {
                    let _ = tell.send(());
                }
                continue;
            }
            // Who waits is told by the end of the channel.
            drop(waiting);
            for used in additions {
                self.note(used);
            }
            let mut pending = self.lock();
            pending.failed += 1;
            if pending.closed {
                return;
            }
        }
    }
}

/// A journal whose additions are written by a thread of its own.
pub struct Ledger {
    /// Takes additions.
    pub journal: Arc<Journal>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Starts to write to a store.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(mut store: Box<dyn LedgerStore>) -> std::io::Result<Self> {
        let journal = Arc::new(Journal::default());
        let writes = journal.clone();
        let writer = std::thread::Builder::new()
            .name("limits".to_owned())
            .spawn(move || writes.write_all(&mut *store))?;
        Ok(Ledger {
            journal,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Writes what is left, and ends. Blocking.
    pub fn close(&self) {
        self.journal.lock().closed = true;
        self.journal.wake.notify_one();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
