//! Where requests wait for room under a limit.
//!
//! Bounded: at most 64 wait for one counter and 4096 in all; who comes then is refused as if nobody could wait.

use crate::key::Key;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most that wait for one counter.
pub const LINE_MAX: usize = 64;
/// Most that wait in all.
pub const LOBBY_MAX: usize = 4096;

#[derive(Default)]
struct Line {
    waiting: usize,
    room: Arc<Notify>,
}

/// All that wait.
#[derive(Default)]
pub struct Lobby {
    all: AtomicUsize,
    lines: Mutex<HashMap<Key, Line>>,
}

/// A place in the line for a counter. Dropping it leaves the line.
pub struct Place {
    lobby: Arc<Lobby>,
    key: Key,
    room: Arc<Notify>,
}

impl Lobby {
    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the line for a counter; none where too many wait already.
    pub fn enter(self: &Arc<Self>, key: Key) -> Option<Place> {
        let mut lines = self.lines();
        if self.all.load(Ordering::SeqCst) >= LOBBY_MAX {
            return None;
        }
        let line = lines.entry(key).or_default();
        if line.waiting >= LINE_MAX {
            return None;
        }
        line.waiting += 1;
        let room = line.room.clone();
        self.all.fetch_add(1, Ordering::SeqCst);
        Some(Place {
            lobby: self.clone(),
            key,
            room,
        })
    }

    /// How many wait for a counter.
    pub fn waiting(&self, key: Key) -> usize {
        if self.all.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        self.lines().get(&key).map_or(0, |line| line.waiting)
    }

    /// How many wait in all.
    pub fn all(&self) -> usize {
        self.all.load(Ordering::SeqCst)
    }

    /// There is room: the one that waits longest is told.
    pub(crate) fn tell(&self, key: Key) {
        if self.all.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(line) = self.lines().get(&key) {
            line.room.notify_one();
        }
    }
}

impl Place {
    /// Ends when there may be room. Cancel safe: who leaves while being told hands it on.
    pub async fn told(&self) {
        self.room.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.lobby.lines();
        self.lobby.all.fetch_sub(1, Ordering::SeqCst);
        if let Some(line) = lines.get_mut(&self.key) {
            line.waiting = line.waiting.saturating_sub(1);
            if line.waiting == 0 {
                lines.remove(&self.key);
            }
        }
    }
}
