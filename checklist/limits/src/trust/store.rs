//! Where trust is kept: written once a second, and at the end of the process. A crash forgets a second of good behaviour.

use super::book::{Batch, Book, Row};
use super::subject::Move;
use crate::key::Key;
use crate::store::StoreError;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What waits is written after so long.
const EVERY: Duration = Duration::from_secs(1);

/// A store of users and of what has moved their scores.
pub trait TrustStore: Send {
    /// The users that were here last, at most so many.
    ///
    /// # Errors
    /// They can't be read.
    fn load(&mut self, max: usize) -> Result<Vec<Row>, StoreError>;

    /// Writes a batch, all or nothing.
    ///
    /// # Errors
    /// It can't be written; nothing was.
    fn save(&mut self, batch: &Batch) -> Result<(), StoreError>;
}

/// What is on the disk, for others than its writer. Blocking.
pub trait Trail: Send + Sync {
    /// The last moves of a user, the newest first.
    ///
    /// # Errors
    /// They can't be read.
    fn moves(&self, key: Key, max: usize) -> Result<Vec<Move>, StoreError>;

    /// Removes a user, of one tenant or of all, with all that has moved its score. How many there were.
    ///
    /// # Errors
    /// It can't be removed; all of it is still there.
    fn remove(&self, user: &str, tenant: Option<&str>) -> Result<u64, StoreError>;
}

/// Writes a book to a store, on a thread of its own.
pub struct Keeper {
    /// What has moved scores.
    pub trail: Box<dyn Trail>,
    wake: Mutex<Option<SyncSender<SyncSender<()>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

fn write(book: &Book, store: &mut dyn TrustStore) {
    let batch = book.drain();
    if batch.is_empty() || store.save(&batch).is_ok() {
        return;
    }
    book.take_back(batch);
}

impl Keeper {
    /// Starts to write.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        book: Arc<Book>,
        mut store: Box<dyn TrustStore>,
        trail: Box<dyn Trail>,
    ) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel::<SyncSender<()>>(16);
        let writer = std::thread::Builder::new()
            .name("trust".to_owned())
            .spawn(move || {
                loop {
                    let asked = woken.recv_timeout(EVERY);
                    write(&book, &mut *store);
                    match asked {
                        Ok(done) => {
                            let _ = done.send(());
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            })?;
        Ok(Keeper {
            trail,
            wake: Mutex::new(Some(wake)),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Writes what waits now. Blocking.
    pub fn flush(&self) {
        let (done, told) = sync_channel(1);
        let sent = {
            let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
            wake.as_ref().is_some_and(|wake| wake.send(done).is_ok())
        };
        if sent {
            let _ = told.recv();
        }
    }

    /// Writes what is left, and ends. Blocking.
    pub fn close(&self) {
        drop(
            self.wake
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
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

impl Drop for Keeper {
    fn drop(&mut self) {
        self.close();
    }
}
