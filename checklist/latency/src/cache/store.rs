//! Answers in memory, within a bound of bytes that is shared fairly.
//!
//! When the bound is reached, the tenant that holds most gives up an entry, and within it the user that holds most: the
//! oldest one that has not been asked for since it was last passed over. So whoever floods the cache pushes out their own
//! entries as soon as they hold more than others.

use super::alike::{Alike, Asking, Space};
use super::answer::Answer;
use super::guard::Features;
use super::key::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Expired entries that one call removes at most, so that none takes long.
const SWEEP: usize = 64;
/// Bytes of an entry besides its answer: keys, owners' names and places in the maps. Measured (`bench/cache.py`, 20,000 entries):
/// resident memory grows by at most 930 bytes an entry besides the answer.
const ENTRY_BYTES: usize = 960;
/// Share of the bound that one answer may take.
const LARGEST_SHARE: usize = 8;

/// To whom an entry belongs: whose share it counts on, and whose purge removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Tenant.
    pub tenant: Arc<str>,
    /// End user, or what stands for them.
    pub user: Arc<str>,
    /// Route.
    pub route: Arc<str>,
}

/// What is kept, whose memory counts.
pub trait Kept {
    /// Bytes of memory.
    fn size(&self) -> usize;
}

impl Kept for Answer {
    fn size(&self) -> usize {
        Answer::size(self)
    }
}

/// What is put into the cache.
#[derive(Debug, Clone)]
pub struct Entry<V = Answer> {
    /// What was said.
    pub answer: Arc<V>,
    /// Whose it is.
    pub owner: Owner,
    /// The exchange that it comes from.
    pub source: [u8; 16],
    /// When it was made, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// How long it may be given again to the same request.
    pub ttl: Duration,
    /// By what it is found for other questions, where it may be.
    pub alike: Option<Alike>,
}

impl<V> Entry<V> {
    pub(super) fn expires_ms(&self) -> u64 {
        let alike = self.alike.as_ref().map(|alike| alike.ttl);
        self.until(self.ttl.max(alike.unwrap_or_default()))
    }

    fn until(&self, ttl: Duration) -> u64 {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.made_ms.saturating_add(ttl)
    }

    fn size(&self) -> usize
    where
        V: Kept,
    {
        let alike = self.alike.as_ref().map_or(0, Alike::size);
        let owner = self.owner.tenant.len() + self.owner.user.len();
        self.answer.size() + owner + ENTRY_BYTES + alike
    }

    /// What is given again, `ttl` after it was made at the latest.
    fn found(
        &self,
        ttl: Duration,
        now_ms: u64,
        max_age: Option<Duration>,
    ) -> Result<Found<V>, Absent> {
        if self.until(ttl) <= now_ms {
            return Err(Absent::Expired);
        }
        let age = Duration::from_millis(now_ms.saturating_sub(self.made_ms));
        if max_age.is_some_and(|max| age > max) {
            return Err(Absent::TooOld);
        }
        Ok(Found {
            answer: self.answer.clone(),
            age,
            source: self.source,
        })
    }
}

/// An entry that was found.
#[derive(Debug, Clone)]
pub struct Found<V = Answer> {
    /// What was said.
    pub answer: Arc<V>,
    /// How long ago.
    pub age: Duration,
    /// The exchange that it comes from.
    pub source: [u8; 16],
}

/// Why nothing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It was never kept, or was pushed out.
    Unknown,
    /// Its time is over.
    Expired,
    /// It is older than the client wants.
    TooOld,
}

impl Absent {
    /// Name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Absent::Unknown => "unknown",
            Absent::Expired => "expired",
            Absent::TooOld => "too_old",
        }
    }
}

/// Which entries to remove: those that fit everything that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purge {
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// Of this route.
    pub route: Option<String>,
    /// Made before this time, in milliseconds since the Unix epoch.
    pub before_ms: Option<u64>,
    /// From this exchange.
    pub source: Option<[u8; 16]>,
}

impl Purge {
    /// Whether something of this owner, made then by this exchange, is meant.
    pub fn fits(&self, owner: &Owner, made_ms: u64, source: [u8; 16]) -> bool {
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|w| w == own);
        is(&self.tenant, &owner.tenant)
            && is(&self.user, &owner.user)
            && is(&self.route, &owner.route)
            && self.before_ms.is_none_or(|before| made_ms < before)
            && self.source.is_none_or(|wanted| wanted == source)
    }

    pub(super) fn fits_entry<V>(&self, entry: &Entry<V>) -> bool {
        self.fits(&entry.owner, entry.made_ms, entry.source)
    }
}

/// An entry in a list: when it was made, its route, and what was said.
pub type Listed<V = Answer> = (u64, Arc<str>, Arc<V>);

/// An entry whose question comes near: its cosine, what is known of the question, and what was said.
pub(super) type Near<V = Answer> = (f32, Arc<Features>, Found<V>);

/// How full a cache is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// Entries.
    pub entries: usize,
    /// Bytes of memory, estimated upwards.
    pub bytes: usize,
    /// Bound of them.
    pub bytes_max: usize,
    /// Questions with a vector, by which others are compared.
    pub vectors: usize,
}

/// What became of an entry that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there; so many others had to go.
    Kept {
        /// Entries that were pushed out.
        evicted: u64,
    },
    /// It is larger than an eighth of the cache.
    TooLarge,
}

struct Slot<V> {
    entry: Entry<V>,
    size: usize,
    /// Tells it from an earlier entry of the same key.
    number: u64,
    /// It was asked for since it was last passed over.
    used: bool,
}

#[derive(Default)]
struct Share {
    bytes: usize,
    /// Keys in the order in which they came; those that are gone are passed over.
    order: VecDeque<(Digest, u64)>,
    entries: usize,
}

#[derive(Default)]
struct TenantShare {
    bytes: usize,
    users: HashMap<Arc<str>, Share>,
    by_size: BTreeSet<(usize, Arc<str>)>,
}

struct Inner<V> {
    slots: HashMap<Digest, Slot<V>>,
    /// Searched without the lock of this.
    spaces: HashMap<Digest, Arc<RwLock<Space>>>,
    /// Vectors of all of them.
    vectors: usize,
    tenants: HashMap<Arc<str>, TenantShare>,
    by_size: BTreeSet<(usize, Arc<str>)>,
    /// When entries expire, in about that order.
    expiry: VecDeque<(u64, Digest, u64)>,
    bytes: usize,
    bytes_max: usize,
    last: u64,
}

/// One cache. A call holds its lock for some microseconds, a purge for as long as it takes to look at all entries.
pub struct Store<V = Answer>(Mutex<Inner<V>>);

impl<V> Default for Store<V> {
    fn default() -> Self {
        Store(Mutex::new(Inner {
            slots: HashMap::new(),
            spaces: HashMap::new(),
            vectors: 0,
            tenants: HashMap::new(),
            by_size: BTreeSet::new(),
            expiry: VecDeque::new(),
            bytes: 0,
            bytes_max: 0,
            last: 0,
        }))
    }
}

impl<V: Kept> Store<V> {
    /// With this bound.
    pub fn new(bytes_max: usize) -> Self {
        let store = Store::default();
        store.bound(bytes_max);
        store
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the bound; what no longer fits goes.
    pub fn bound(&self, bytes_max: usize) {
        let mut inner = self.lock();
        inner.bytes_max = bytes_max;
        inner.make_room(0);
    }

    /// The entry of a key that is at most `max_age` old.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(
        &self,
        key: &Digest,
        now_ms: u64,
        max_age: Option<Duration>,
    ) -> Result<Found<V>, Absent> {
        let mut inner = self.lock();
        let slot = inner.slots.get_mut(key).ok_or(Absent::Unknown)?;
        let found = slot.entry.found(slot.entry.ttl, now_ms, max_age);
        slot.used |= found.is_ok();
        if slot.entry.expires_ms() <= now_ms {
            inner.remove(key);
        }
        found
    }

    /// Entries whose questions may be the same in another spelling.
    pub(super) fn likely(&self, asking: &Asking<'_>) -> Vec<(Arc<Features>, Found<V>)> {
        let Some(space) = self.lock().spaces.get(asking.space).cloned() else {
            return Vec::new();
        };
        let likely = read(&space).likely(asking.features);
        likely.filter_map(|key| self.alike(&key, asking)).collect()
    }

    /// Entries of the questions that come near, nearest first, with their cosine. The store is free while they are searched.
    pub(super) fn near(
        &self,
        asking: &Asking<'_>,
        vector: &[f32],
        cosine_min: f32,
    ) -> Vec<Near<V>> {
        let Some(space) = self.lock().spaces.get(asking.space).cloned() else {
            return Vec::new();
        };
        let near = read(&space).near(vector, cosine_min).into_iter();
        let lives = |(key, cosine): (Digest, f32)| {
            let (features, found) = self.alike(&key, asking)?;
            Some((cosine, features, found))
        };
        near.filter_map(lives).collect()
    }

    /// Whether a namespace has anything to compare with.
    pub fn has_space(&self, space: &Digest) -> bool {
        self.lock().spaces.contains_key(space)
    }

    fn alike(&self, key: &Digest, asking: &Asking<'_>) -> Option<(Arc<Features>, Found<V>)> {
        let mut inner = self.lock();
        let slot = inner.slots.get_mut(key)?;
        let alike = slot
            .entry
            .alike
            .as_ref()
            .filter(|alike| alike.space == *asking.space)?;
        let found = slot
            .entry
            .found(alike.ttl, asking.now_ms, asking.max_age)
            .ok()?;
        let features = alike.features.clone();
        slot.used = true;
        Some((features, found))
    }

    /// Adds the vector of the entry that came from this exchange, if it is still there.
    pub fn attach(&self, key: &Digest, source: &[u8; 16], vector: &[f32]) {
        let mut inner = self.lock();
        let slot = inner
            .slots
            .get(key)
            .filter(|slot| slot.entry.source == *source);
        if let Some(alike) = slot.and_then(|slot| slot.entry.alike.as_ref()) {
            let space = alike.space;
            inner.change(&space, |space| space.attach(*key, vector));
        }
    }

    /// Keeps an entry; it takes the place of an older one of the same key.
    pub fn put(&self, key: Digest, entry: Entry<V>, now_ms: u64) -> Put {
        let size = entry.size();
        let mut inner = self.lock();
        if size > inner.bytes_max / LARGEST_SHARE {
            return Put::TooLarge;
        }
        inner.sweep(now_ms);
        inner.remove(&key);
        let evicted = inner.make_room(size);
        inner.insert(key, entry, size);
        Put::Kept { evicted }
    }

    /// Removes entries, and says how many.
    pub fn purge(&self, purge: &Purge) -> u64 {
        let mut inner = self.lock();
        let slots = inner.slots.iter();
        let fitting = slots.filter(|(_, slot)| purge.fits_entry(&slot.entry));
        let keys: Vec<Digest> = fitting.map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| inner.remove(key));
        u64::try_from(keys.len()).unwrap_or(u64::MAX)
    }

    /// Entries that fit, oldest first: when each was made, its route and what was said.
    pub fn list(&self, purge: &Purge) -> Vec<Listed<V>> {
        let inner = self.lock();
        let slots = inner.slots.values();
        let fitting = slots.filter(|slot| purge.fits_entry(&slot.entry));
        let mut all: Vec<_> = fitting
            .map(|slot| {
                let entry = &slot.entry;
                (
                    entry.made_ms,
                    entry.owner.route.clone(),
                    entry.answer.clone(),
                )
            })
            .collect();
        all.sort_by_key(|(made_ms, _, _)| *made_ms);
        all
    }

    /// How full it is. What has expired goes first.
    pub fn fill(&self, now_ms: u64) -> Fill {
        let mut inner = self.lock();
        inner.sweep(now_ms);
        Fill {
            entries: inner.slots.len(),
            bytes: inner.bytes,
            bytes_max: inner.bytes_max,
            vectors: inner.vectors,
        }
    }
}

fn read(space: &RwLock<Space>) -> RwLockReadGuard<'_, Space> {
    space.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(space: &RwLock<Space>) -> RwLockWriteGuard<'_, Space> {
    space.write().unwrap_or_else(PoisonError::into_inner)
}

/// Moves a name to the place of its new size.
fn resize(by_size: &mut BTreeSet<(usize, Arc<str>)>, name: &Arc<str>, old: usize, new: usize) {
    by_size.remove(&(old, name.clone()));
    if new > 0 {
        by_size.insert((new, name.clone()));
    }
}

impl<V> Inner<V> {
    /// Changes a namespace; one that is empty then goes.
    fn change(&mut self, name: &Digest, work: impl FnOnce(&mut Space)) {
        let Some(space) = self.spaces.get(name) else {
            return;
        };
        let (before, after, empty) = {
            let mut space = write(space);
            let before = space.len();
            work(&mut space);
            (before, space.len(), space.is_empty())
        };
        self.vectors = (self.vectors + after).saturating_sub(before);
        if empty {
            self.spaces.remove(name);
        }
    }

    fn insert(&mut self, key: Digest, mut entry: Entry<V>, size: usize) {
        if let Some(alike) = &mut entry.alike {
            self.spaces.entry(alike.space).or_default();
            self.change(&alike.space, |space| space.insert(key, alike));
            // The index has it now.
            alike.vector = None;
        }
        self.last += 1;
        let number = self.last;
        let Owner { tenant, user, .. } = entry.owner.clone();
        self.expiry.push_back((entry.expires_ms(), key, number));
        let slot = Slot {
            entry,
            size,
            number,
            used: false,
        };
        self.slots.insert(key, slot);
        self.bytes += size;
        let share = self.tenants.entry(tenant.clone()).or_default();
        resize(&mut self.by_size, &tenant, share.bytes, share.bytes + size);
        share.bytes += size;
        let own = share.users.entry(user.clone()).or_default();
        resize(&mut share.by_size, &user, own.bytes, own.bytes + size);
        own.bytes += size;
        own.entries += 1;
        own.order.push_back((key, number));
        if own.order.len() > 2 * own.entries + 16 {
            let slots = &self.slots;
            let lives = |(key, number): &(Digest, u64)| {
                slots.get(key).is_some_and(|slot| slot.number == *number)
            };
            own.order.retain(lives);
        }
        if self.expiry.len() > 2 * self.slots.len() + 64 {
            let slots = &self.slots;
            self.expiry.retain(|(_, key, number)| {
                slots.get(key).is_some_and(|slot| slot.number == *number)
            });
        }
    }

    fn remove(&mut self, key: &Digest) {
        let Some(slot) = self.slots.remove(key) else {
            return;
        };
        if let Some(alike) = &slot.entry.alike {
            self.change(&alike.space, |space| space.remove(key, &alike.features));
        }
        self.bytes = self.bytes.saturating_sub(slot.size);
        let Owner { tenant, user, .. } = &slot.entry.owner;
        let Some(share) = self.tenants.get_mut(tenant) else {
            return;
        };
        let left = share.bytes.saturating_sub(slot.size);
        resize(&mut self.by_size, tenant, share.bytes, left);
        share.bytes = left;
        if let Some(own) = share.users.get_mut(user) {
            let left = own.bytes.saturating_sub(slot.size);
            resize(&mut share.by_size, user, own.bytes, left);
            own.bytes = left;
            own.entries = own.entries.saturating_sub(1);
            if own.entries == 0 {
                share.users.remove(user);
            }
        }
        if share.users.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    /// Removes some of what has expired.
    fn sweep(&mut self, now_ms: u64) {
        for _ in 0..SWEEP {
            match self.expiry.front() {
                Some((at, key, number)) if *at <= now_ms => {
                    let (key, number) = (*key, *number);
                    self.expiry.pop_front();
                    if self
                        .slots
                        .get(&key)
                        .is_some_and(|slot| slot.number == number)
                    {
                        self.remove(&key);
                    }
                }
                _ => return,
            }
        }
    }

    /// Pushes entries out until `size` more bytes fit, and says how many.
    fn make_room(&mut self, size: usize) -> u64 {
        let mut evicted = 0;
        while self.bytes + size > self.bytes_max {
            let Some(key) = self.victim() else { break };
            self.remove(&key);
            evicted += 1;
        }
        evicted
    }

    /// The oldest entry of the largest user of the largest tenant that was not asked for lately.
    fn victim(&mut self) -> Option<Digest> {
        let (_, tenant) = self.by_size.last()?;
        let share = self.tenants.get_mut(tenant)?;
        let (_, user) = share.by_size.last()?;
        let own = share.users.get_mut(user)?;
        while let Some((key, number)) = own.order.pop_front() {
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            if slot.number != number {
                continue;
            }
            if std::mem::take(&mut slot.used) {
                own.order.push_back((key, number));
                continue;
            }
            return Some(key);
        }
        None
    }
}

#[cfg(test)]
mod tests;
