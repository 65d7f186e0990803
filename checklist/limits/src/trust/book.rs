//! All users, in memory.
//!
//! **Bound.** At most [`SUBJECTS_MAX`] users are kept. Where a part is full, those that were not here for 30 days and about whom the
//! operator has said nothing go first; where nobody can go, somebody new is taken for new each time, so that nobody gains by a crowd. At most
//! [`MOVES_MAX`] rows of the audit trail wait for the disk; what is more is lost and counted.

use super::score::{DAY_MS, Parts};
use super::signal::Signal;
use super::subject::{End, Move, Override, Subject};
use super::{Level, Terms};
use crate::key::Key;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most users. Chosen: about 400 MB when all are there.
pub const SUBJECTS_MAX: usize = 1 << 20;
/// Most rows of the audit trail that wait for the disk. Chosen: 30 MB.
pub const MOVES_MAX: usize = 100_000;
/// Parts with a lock each.
const SHARDS: usize = 64;
/// Who was not here for so long may be forgotten, where there are too many.
const GONE_MS: u64 = 30 * DAY_MS;

/// Who it is.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    /// Keyed digest of tenant and user.
    pub key: Key,
    /// Its tenant.
    pub tenant: &'a str,
    /// Its id.
    pub user: &'a str,
}

/// How a user stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stand {
    /// Its level.
    pub level: Level,
    /// Its score, 0 to 100.
    pub score: f64,
    /// What its limits are multiplied by.
    pub multiplier: f64,
}

/// A user, as somebody meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met {
    /// When it came first.
    pub first_ms: u64,
    /// It has come just now: nobody is told this twice of one user that is kept.
    pub new: bool,
    /// Its level was set by the operator.
    pub set: bool,
}

/// All that is known of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Keyed digest of tenant and user.
    pub key: Key,
    /// Its tenant.
    pub tenant: Arc<str>,
    /// Its id.
    pub user: Arc<str>,
    /// What it has done.
    pub subject: Subject,
}

impl Row {
    /// Its parts and what follows from them.
    pub fn stand(&self, terms: &Terms, now_ms: u64) -> (Parts, Stand) {
        (
            self.subject.parts(now_ms),
            stand(&self.subject, terms, now_ms),
        )
    }
}

fn stand(subject: &Subject, terms: &Terms, now_ms: u64) -> Stand {
    let (level, score) = (subject.level(now_ms), subject.score(now_ms));
    Stand {
        level,
        score,
        multiplier: terms.multiplier(level, score),
    }
}

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// Users that have changed.
    pub rows: Vec<Row>,
    /// What has moved their scores.
    pub moves: Vec<(Key, Move)>,
}

impl Batch {
    /// Nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.moves.is_empty()
    }
}

struct Entry {
    row: Row,
    dirty: bool,
}

#[derive(Default)]
struct Shard {
    users: HashMap<Key, Entry>,
    dirty: Vec<Key>,
    swept_ms: u64,
}

#[derive(Default)]
struct Waiting {
    moves: Vec<(Key, Move)>,
    lost: u64,
}

/// All users.
pub struct Book {
    shards: Vec<Mutex<Shard>>,
    shard_max: usize,
    waiting: Mutex<Waiting>,
}

impl Default for Book {
    fn default() -> Self {
        Book::new(SUBJECTS_MAX)
    }
}

impl Shard {
    fn make_room(&mut self, max: usize, now_ms: u64) -> bool {
        if self.users.len() < max {
            return true;
        }
        // Looking costs a walk over all: once a minute is enough.
        if now_ms.saturating_sub(self.swept_ms) >= 60_000 {
            self.swept_ms = now_ms;
            self.users.retain(|_, entry| {
                let subject = &entry.row.subject;
                let gone = now_ms.saturating_sub(subject.seen_ms) >= GONE_MS;
                entry.dirty || !gone || subject.set.is_some()
            });
        }
        self.users.len() < max
    }

    /// Works on a user; on somebody new where there is no room for another one.
    fn with<T>(
        &mut self,
        name: &Name<'_>,
        (max, now_ms): (usize, u64),
        work: impl FnOnce(&mut Subject) -> (T, bool),
    ) -> T {
        if !self.users.contains_key(&name.key) {
            if !self.make_room(max, now_ms) {
                return work(&mut Subject::new(now_ms)).0;
            }
            let row = Row {
                key: name.key,
                tenant: name.tenant.into(),
                user: name.user.into(),
                subject: Subject::new(now_ms),
            };
            self.users.insert(name.key, Entry { row, dirty: true });
            self.dirty.push(name.key);
        }
        let Some(entry) = self.users.get_mut(&name.key) else {
            return work(&mut Subject::new(now_ms)).0;
        };
        let (done, changed) = work(&mut entry.row.subject);
        if changed && !std::mem::replace(&mut entry.dirty, true) {
            self.dirty.push(name.key);
        }
        done
    }
}

impl Book {
    /// Room for so many users.
    pub fn new(max: usize) -> Self {
        Book {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_max: max.div_ceil(SHARDS).max(1),
            waiting: Mutex::default(),
        }
    }

    /// With the users of a process before.
    #[must_use]
    pub fn with(self, rows: Vec<Row>) -> Self {
        for row in rows {
            let Some(mut shard) = self.lock(row.key) else {
                continue;
            };
            if shard.users.len() < self.shard_max {
                shard.users.insert(row.key, Entry { row, dirty: false });
            }
        }
        self
    }

    fn lock(&self, key: Key) -> Option<MutexGuard<'_, Shard>> {
        let index = usize::try_from(key.0 % 64).unwrap_or(0) % SHARDS;
        let shard = self.shards.get(index)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work<T>(
        &self,
        name: &Name<'_>,
        now_ms: u64,
        work: impl FnOnce(&mut Subject) -> (T, bool),
    ) -> Option<T> {
        let mut shard = self.lock(name.key)?;
        Some(shard.with(name, (self.shard_max, now_ms), work))
    }

    fn tell(&self, key: Key, moves: impl IntoIterator<Item = Move>) {
        let mut waiting = self.waiting();
        for one in moves {
            if waiting.moves.len() < MOVES_MAX {
                waiting.moves.push((key, one));
            } else {
                waiting.lost += 1;
            }
        }
    }

    /// Since when a user is known. Who is not known yet is noted; where there is no room, nobody is new.
    pub fn meet(&self, name: &Name<'_>, now_ms: u64) -> Met {
        let Some(mut shard) = self.lock(name.key) else {
            return Met {
                first_ms: now_ms,
                new: false,
                set: false,
            };
        };
        let known = shard.users.contains_key(&name.key);
        let at = (self.shard_max, now_ms);
        let (first_ms, set) = shard.with(name, at, |subject| {
            let set = subject
                .set
                .as_ref()
                .is_some_and(|set| set.until_ms > now_ms);
            ((subject.first_ms, set), false)
        });
        let new = !known && shard.users.contains_key(&name.key);
        Met { first_ms, new, set }
    }

    /// How a user stands now. Who is not known yet is noted.
    pub fn stand(&self, name: &Name<'_>, terms: &Terms, now_ms: u64) -> Stand {
        let looked = self.work(name, now_ms, |subject| {
            let moved = subject.look(terms, now_ms);
            let changed = moved.is_some();
            ((stand(subject, terms, now_ms), moved), changed)
        });
        let Some((found, moved)) = looked else {
            return stand(&Subject::new(now_ms), terms, now_ms);
        };
        if moved.is_some() {
            self.tell(name.key, moved);
        }
        found
    }

    /// How a user stands now, for somebody who only looks: who is not known is as new, and is not noted.
    pub fn peek(&self, key: Key, terms: &Terms, now_ms: u64) -> Stand {
        let known = self.lock(key);
        let known = known.and_then(|shard| Some(shard.users.get(&key)?.row.subject.clone()));
        let mut subject = known.unwrap_or_else(|| Subject::new(now_ms));
        subject.look(terms, now_ms);
        stand(&subject, terms, now_ms)
    }

    /// A request of a user has ended.
    pub fn ended(&self, name: &Name<'_>, end: End, terms: &Terms, (now_ms, id): (u64, &str)) {
        let moves = self.work(name, now_ms, |subject| {
            (subject.ended(end, terms, now_ms, id), true)
        });
        let moves = moves.unwrap_or_default();
        if !moves.is_empty() {
            self.tell(name.key, moves);
        }
    }

    /// A signal about a user; none where it changes nothing.
    pub fn signal(
        &self,
        name: &Name<'_>,
        signal: Signal,
        terms: &Terms,
        (now_ms, evidence): (u64, &str),
    ) -> Option<Move> {
        let moved = self.work(name, now_ms, |subject| {
            (subject.signal(signal, terms, now_ms, evidence), true)
        });
        let moved = moved.flatten();
        self.tell(name.key, moved.clone());
        moved
    }

    /// The operator sets a level, or takes that back.
    pub fn put(&self, name: &Name<'_>, set: Option<Override>, now_ms: u64) -> Option<Move> {
        let moved = self.work(name, now_ms, |subject| (subject.put(set, now_ms), true));
        self.tell(name.key, moved.clone());
        moved
    }

    /// All that is known of a user.
    pub fn row(&self, key: Key) -> Option<Row> {
        let shard = self.lock(key)?;
        shard.users.get(&key).map(|entry| entry.row.clone())
    }

    /// Forgets users that fit, here and in what waits for the disk. How many there were.
    pub fn forget(&self, fits: impl Fn(&Row) -> bool) -> usize {
        let mut gone: Vec<Key> = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let of = shard.users.values().filter(|entry| fits(&entry.row));
            let keys: Vec<Key> = of.map(|entry| entry.row.key).collect();
            for key in keys {
                shard.users.remove(&key);
                gone.push(key);
            }
        }
        self.waiting().moves.retain(|(of, _)| !gone.contains(of));
        gone.len()
    }

    /// Users that fit, those with the least score first.
    pub fn list(&self, now_ms: u64, max: usize, fits: impl Fn(&Row) -> bool) -> Vec<Row> {
        let mut found: Vec<Row> = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let rows = shard.users.values().map(|entry| &entry.row);
            found.extend(rows.filter(|row| fits(row)).cloned());
        }
        found.sort_by(|one, other| {
            let score = |row: &Row| row.subject.score(now_ms);
            score(one)
                .total_cmp(&score(other))
                .then_with(|| one.user.cmp(&other.user))
        });
        found.truncate(max);
        found
    }

    /// Users of each level, in the order of [`Level::ALL`], and rows of the audit trail that were lost.
    pub fn counts(&self, now_ms: u64) -> ([u64; 4], u64) {
        let mut counts = [0; 4];
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in shard.users.values() {
                let level = entry.row.subject.level(now_ms);
                let levels = Level::ALL.iter().zip(&mut counts);
                for (_, count) in levels.filter(|(one, _)| **one == level) {
                    *count += 1;
                }
            }
        }
        (counts, self.waiting().lost)
    }

    /// What is to be written since the last call.
    pub fn drain(&self) -> Batch {
        let mut batch = Batch {
            moves: std::mem::take(&mut self.waiting().moves),
            rows: Vec::new(),
        };
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for key in std::mem::take(&mut shard.dirty) {
                if let Some(entry) = shard.users.get_mut(&key) {
                    entry.dirty = false;
                    batch.rows.push(entry.row.clone());
                }
            }
        }
        batch
    }

    /// What could not be written waits again.
    pub fn take_back(&self, batch: Batch) {
        for row in batch.rows {
            if let Some(mut shard) = self.lock(row.key)
                && let Some(entry) = shard.users.get_mut(&row.key)
                && !std::mem::replace(&mut entry.dirty, true)
            {
                shard.dirty.push(row.key);
            }
        }
        for (key, one) in batch.moves {
            self.tell(key, [one]);
        }
    }
}
