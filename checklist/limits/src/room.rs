//! All counters, and the one step in which a request is let in.
//!
//! The counters stand in 256 parts with a lock each. A request locks the parts of all its counters in their order, looks at
//! all of them, and takes from all or from none. Nothing waits under a lock, and nothing is locked over an await.
//!
//! **Bound.** At most [`COUNTERS_MAX`] counters are kept. A counter that counts nothing any more goes first. Where all of a part are
//! in use, callers that have none yet share one counter for each rule: no limit is passed for it, since what all of them use
//! together is not less than what one of them uses; they may be refused too early. A counter that is made later begins with what
//! the shared one says. Counters of requests in flight are not bounded by number: there are no more than requests.

use crate::counter::{Bound, Counter, Full, Now};
use crate::key::Key;
use crate::lobby::Lobby;
use crate::rule::{Meter, Method, Rule};
use crate::shared::Hold;
use crate::store::{Journal, Used, is_kept};
use crate::verdict::{Broken, Level, Standing};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most counters. Chosen: a million users of one rule fit, in about 200 MB.
pub const COUNTERS_MAX: usize = 1 << 20;

/// Parts with a lock each. Chosen: 64 threads seldom meet.
const SHARDS: usize = 256;
/// A part that is full looks again for counters that are over after so long.
const SWEEP_MS: u64 = 1000;
/// Fewest counters of a part before it is looked for those that are over.
const SWEEP_MIN: usize = 64;

/// Keys are digests already.
#[derive(Default)]
struct Digest(u64);

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, number: u128) {
        // The other half chooses the part.
        self.0 = u64::try_from(number >> 64).unwrap_or(0);
    }
}

type Map<V> = HashMap<Key, V, BuildHasherDefault<Digest>>;

/// One rule that holds for a request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Its counter for this caller.
    pub key: Key,
    /// What it allows this caller.
    pub limit: u64,
    /// What the request may use.
    pub amount: u64,
}

impl Ask {
    fn bound(&self) -> Bound<'_> {
        Bound {
            rule: &self.rule,
            limit: self.limit,
        }
    }

    fn shard(&self) -> usize {
        shard_of(self.key)
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn shard_of(key: Key) -> usize {
    usize::try_from(key.0 % 256).unwrap_or(0) % SHARDS
}

/// Whether a request has waited for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has just come: those that wait go first.
    New,
    /// It has just begun to wait: others that wait go first.
    Entered,
    /// It was told that there is room.
    Told,
}

/// Where an amount was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// In the caller's own counter.
    Own,
    /// In the one that callers share where there are too many.
    Shared,
}

#[derive(Default)]
struct Shard {
    counters: Map<Counter>,
    /// Requests in flight.
    held: Map<u64>,
    /// Shared counters by name of the rule.
    shared: HashMap<Arc<str>, Counter>,
    /// What was used before the process began, by counter: those that nobody has asked for yet.
    before: Map<Vec<Used>>,
    sweep_at: usize,
    swept_ms: u64,
}

impl Shard {
    /// The caller's counter, as it was before a restart if that was not looked for yet; else the one that callers share.
    fn find(&mut self, ask: &Ask, now: Now) -> Option<&mut Counter> {
        if let Some(used) = self.before.remove(&ask.key) {
            let positive = |used: Used| Some((used.at, u64::try_from(used.amount).ok()?));
            let used: Vec<(u64, u64)> = used.into_iter().filter_map(positive).collect();
            if let Some(counter) = Counter::restored(ask.bound(), &used, now) {
                self.counters.insert(ask.key, counter);
            }
        }
        match self.counters.get_mut(&ask.key) {
            Some(counter) => Some(counter),
            None => self.shared.get_mut(&ask.rule.name),
        }
    }

    fn check(&mut self, ask: &Ask, now: Now) -> Result<(), Full> {
        if ask.rule.method() == Method::Held {
            let held = self.held.get(&ask.key).copied().unwrap_or(0);
            let fits = held.saturating_add(ask.amount) <= ask.limit;
            return if fits { Ok(()) } else { Err(Full(None)) };
        }
        let bound = ask.bound();
        match self.find(ask, now) {
            Some(counter) => {
                counter.adapt(bound, now);
                counter.check(bound, now, ask.amount)
            }
            None => match Counter::new(&ask.rule, now) {
                Some(mut fresh) => fresh.check(bound, now, ask.amount),
                None => Ok(()),
            },
        }
    }

    fn level(&mut self, ask: &Ask, now: Now) -> Level {
        if ask.rule.method() == Method::Held {
            return Level {
                used: self.held.get(&ask.key).copied().unwrap_or(0),
                ..Level::default()
            };
        }
        let found = self.find(ask, now);
        let level = found.map(|counter| counter.level(ask.bound(), now));
        level.unwrap_or_else(|| {
            let fresh = Counter::new(&ask.rule, now);
            fresh.map_or(Level::default(), |mut fresh| fresh.level(ask.bound(), now))
        })
    }

    /// Forgets counters that are over, if it is time to look for them.
    fn sweep(&mut self, max: usize, now: Now) {
        let length = self.counters.len();
        let due = length >= self.sweep_at.max(SWEEP_MIN)
            || length >= max && now.run_ms >= self.swept_ms.saturating_add(SWEEP_MS);
        if !due {
            return;
        }
        self.counters.retain(|_, counter| counter.is_live(now));
        self.shared.retain(|_, counter| counter.is_live(now));
        self.before.retain(|_, used| {
            let last = used.iter().map(|used| used.until).max();
            last.is_some_and(|until| until > now.run_ms)
        });
        self.swept_ms = now.run_ms;
        // Twice as many before the next look, so that looking costs a part of what adding them costs.
        self.sweep_at = self.counters.len().saturating_mul(2);
    }

    /// Takes an amount that was checked, or that has to be taken anyway.
    fn take(&mut self, ask: &Ask, now: Now, max: usize) -> Taken {
        let mut taken = Taken {
            ask: ask.clone(),
            stamp: 0,
            counted: Counted::Own,
            span: (0, 0),
            level: Level::default(),
        };
        if ask.rule.method() == Method::Held {
            let held = self.held.entry(ask.key).or_default();
            *held = held.saturating_add(ask.amount);
            taken.level.used = *held;
            return taken;
        }
        if let Some(counter) = self.counters.get_mut(&ask.key) {
            taken.count(counter, now);
            return taken;
        }
        // What was used before a restart was found when the counter was checked.
        self.sweep(max, now);
        let Some(fresh) = Counter::new(&ask.rule, now) else {
            return taken;
        };
        if self.counters.len() >= max {
            let name = ask.rule.name.clone();
            taken.counted = Counted::Shared;
            taken.count(self.shared.entry(name).or_insert(fresh), now);
            return taken;
        }
        let mut counter = self.shared.get(&ask.rule.name).cloned().unwrap_or(fresh);
        taken.count(&mut counter, now);
        self.counters.insert(ask.key, counter);
        taken
    }
}

/// All counters.
pub struct Room {
    shards: Vec<Mutex<Shard>>,
    /// Most counters of a part.
    shard_max: usize,
    /// The latest time that was told.
    latest_ms: AtomicU64,
    /// Amounts that went to a shared counter.
    crowded: AtomicU64,
    /// Where what survives a restart is noted; none where nothing does.
    journal: Option<Arc<Journal>>,
    /// Requests that wait.
    pub lobby: Arc<Lobby>,
}

impl Default for Room {
    fn default() -> Self {
        Room::with_counters(COUNTERS_MAX)
    }
}

impl Room {
    /// A room for at most so many counters.
    pub fn with_counters(max: usize) -> Self {
        Room {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_max: max.div_ceil(SHARDS).max(1),
            latest_ms: AtomicU64::new(0),
            crowded: AtomicU64::new(0),
            journal: None,
            lobby: Arc::default(),
        }
    }

    /// Goes on where a process before has ended, and notes what is used for one that comes after.
    #[must_use]
    pub fn with_journal(mut self, journal: Arc<Journal>, before: Vec<Used>) -> Self {
        self.journal = Some(journal);
        for used in before {
            if let Some(mut shard) = self.lock(shard_of(used.key)) {
                shard.before.entry(used.key).or_default().push(used);
            }
        }
        self
    }

    /// Notes that a counter has used more or less, for a process that comes after.
    fn note(&self, ask: &Ask, (at, until): (u64, u64), amount: i64) {
        if let Some(journal) = &self.journal
            && amount != 0
            && is_kept(&ask.rule)
        {
            journal.note(Used {
                key: ask.key,
                at,
                amount,
                until,
            });
        }
    }

    /// The time as it is counted here: it never goes backwards.
    fn time(&self, now: Now) -> Now {
        let before = self.latest_ms.fetch_max(now.run_ms, Ordering::AcqRel);
        Now {
            run_ms: before.max(now.run_ms),
            ..now
        }
    }

    fn lock(&self, index: usize) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.shards.get(index)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets a request in under all of these rules, or under none. A shadow rule that it would break lets it in, is not charged, and
    /// is told.
    ///
    /// # Errors
    /// All rules that it would break.
    pub fn reserve(
        self: &Arc<Self>,
        asks: &[Ask],
        turn: Turn,
        now: Now,
    ) -> Result<Reservation, Vec<Broken>> {
        let mut parts: Vec<usize> = asks.iter().map(Ask::shard).collect();
        parts.sort_unstable();
        parts.dedup();
        let mut locked: Vec<(usize, MutexGuard<'_, Shard>)> = Vec::with_capacity(parts.len());
        for part in parts {
            if let Some(shard) = self.lock(part) {
                locked.push((part, shard));
            }
        }
        // Read under the locks: so each counter is told times in their order.
        let now = self.time(now);
        let (mut broken, mut shadowed) = (Vec::new(), Vec::new());
        let mut spared: Vec<usize> = Vec::new();
        for (index, ask) in asks.iter().enumerate() {
            let Some(shard) = part(&mut locked, ask) else {
                continue;
            };
            let mut checked = shard.check(ask, now);
            if ask.rule.method() == Method::Held && self.others_wait(ask.key, turn) {
                checked = Err(Full(None));
            }
            let Err(Full(wait)) = checked else { continue };
            let one = Broken {
                at: index,
                standing: Standing {
                    rule: ask.rule.clone(),
                    limit: ask.limit,
                    level: shard.level(ask, now),
                },
                amount: ask.amount,
                wait,
            };
            if ask.rule.shadow {
                spared.push(index);
                shadowed.push(one);
            } else {
                broken.push(one);
            }
        }
        if !broken.is_empty() {
            return Err(broken);
        }
        let mut reservation = Reservation {
            room: self.clone(),
            taken: Vec::with_capacity(asks.len()),
            shadowed,
            at_ms: now.run_ms,
            hold: None,
            settled: false,
        };
        for (index, ask) in asks.iter().enumerate() {
            let Some(shard) = part(&mut locked, ask) else {
                continue;
            };
            if spared.contains(&index) {
                continue;
            }
            let taken = shard.take(ask, now, self.shard_max);
            match taken.counted {
                Counted::Own => self.note(ask, taken.span, signed(ask.amount)),
                Counted::Shared => {
                    self.crowded.fetch_add(1, Ordering::Relaxed);
                }
            }
            reservation.taken.push(taken);
        }
        Ok(reservation)
    }

    /// Whether others wait for room under a rule, and go first.
    fn others_wait(&self, key: Key, turn: Turn) -> bool {
        match turn {
            Turn::New => self.lobby.waiting(key) > 0,
            Turn::Entered => self.lobby.waiting(key) > 1,
            Turn::Told => false,
        }
    }

    /// Puts what was really used in the place of what was taken.
    fn amend(&self, taken: &Taken, now: Now, is: u64) {
        let Some(mut shard) = self.lock(taken.ask.shard()) else {
            return;
        };
        let counter = match taken.counted {
            Counted::Own => shard.counters.get_mut(&taken.ask.key),
            Counted::Shared => shard.shared.get_mut(&taken.ask.rule.name),
        };
        let was = taken.ask.amount;
        match counter {
            Some(counter) => {
                let stamp = counter.amend(taken.ask.bound(), now, (taken.stamp, was, is));
                let difference = signed(is).saturating_sub(signed(was));
                let same = stamp == taken.stamp;
                let span = if same {
                    taken.span
                } else {
                    counter.span(&taken.ask.rule, stamp)
                };
                if taken.counted == Counted::Own {
                    self.note(&taken.ask, span, difference);
                }
            }
            // Its time was over, and it is forgotten: only what is more counts, and it counts now.
            None if is > was => {
                let more = Ask {
                    amount: is - was,
                    ..taken.ask.clone()
                };
                let taken = shard.take(&more, now, self.shard_max);
                if taken.counted == Counted::Own {
                    self.note(&more, taken.span, signed(more.amount));
                }
            }
            None => {}
        }
    }

    /// Frees the place of a request in flight, and tells who waits for it.
    fn free(&self, ask: &Ask) {
        self.leave(ask);
        self.lobby.tell(ask.key);
    }

    fn leave(&self, ask: &Ask) {
        if let Some(mut shard) = self.lock(ask.shard())
            && let Some(held) = shard.held.get_mut(&ask.key)
        {
            *held = held.saturating_sub(ask.amount);
            if *held == 0 {
                shard.held.remove(&ask.key);
            }
        }
    }

    /// What a counter has used that survives a restart, by time; nothing where none does.
    pub(crate) fn history(&self, ask: &Ask, now: Now) -> Vec<(u64, u64)> {
        if self.journal.is_none() || !is_kept(&ask.rule) {
            return Vec::new();
        }
        let now = self.time(now);
        let Some(mut shard) = self.lock(ask.shard()) else {
            return Vec::new();
        };
        if shard.level(ask, now).used == 0 {
            return Vec::new();
        }
        let counter = shard.counters.get(&ask.key);
        counter.map_or_else(Vec::new, |counter| counter.history(ask.bound(), now))
    }

    /// How the rules stand for a caller.
    pub fn standings(&self, asks: &[Ask], now: Now) -> Vec<Standing> {
        let now = self.time(now);
        let one = |ask: &Ask| {
            let level = self.lock(ask.shard())?.level(ask, now);
            Some(Standing {
                rule: ask.rule.clone(),
                limit: ask.limit,
                level,
            })
        };
        asks.iter().filter_map(one).collect()
    }

    /// Counters that are kept, and places of requests in flight.
    pub fn fill(&self) -> Fill {
        let mut fill = Fill {
            crowded: self.crowded.load(Ordering::Relaxed),
            ..Fill::default()
        };
        for index in 0..SHARDS {
            if let Some(shard) = self.lock(index) {
                fill.counters += shard.counters.len() + shard.shared.len();
                let held = shard.held.values();
                fill.held = held.fold(fill.held, |sum, held| sum.saturating_add(*held));
            }
        }
        fill
    }
}

fn part<'s, 'a>(
    locked: &'s mut [(usize, MutexGuard<'a, Shard>)],
    ask: &Ask,
) -> Option<&'s mut Shard> {
    let index = ask.shard();
    let at = locked
        .binary_search_by_key(&index, |(part, _)| *part)
        .ok()?;
    locked.get_mut(at).map(|(_, shard)| &mut **shard)
}

/// How full a room is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// Counters.
    pub counters: usize,
    /// Places of requests in flight.
    pub held: u64,
    /// Amounts that went to a shared counter, since there were too many.
    pub crowded: u64,
}

struct Taken {
    ask: Ask,
    stamp: u64,
    counted: Counted,
    /// From when to when it counts.
    span: (u64, u64),
    /// How the counter stood then.
    level: Level,
}

impl Taken {
    fn count(&mut self, counter: &mut Counter, now: Now) {
        let bound = self.ask.bound();
        self.stamp = counter.take(bound, now, self.ask.amount);
        self.span = counter.span(&self.ask.rule, self.stamp);
        self.level = counter.level(bound, now);
    }
}

/// What one request has taken. Dropping it frees its places in flight; everything else stays charged until
/// [`settle`](Reservation::settle) puts the truth in its place.
#[must_use = "a reservation that is dropped at once frees its place before the answer ends"]
pub struct Reservation {
    room: Arc<Room>,
    taken: Vec<Taken>,
    /// Shadow rules that it would have broken.
    pub shadowed: Vec<Broken>,
    /// The time at which it was counted, as the room counts it.
    pub at_ms: u64,
    /// What it has taken where nodes share limits.
    hold: Option<Hold>,
    settled: bool,
}

impl Reservation {
    /// Whether it counts money, which is written down before it is spent.
    pub fn counts_money(&self) -> bool {
        let mut taken = self.taken.iter();
        taken.any(|taken| taken.ask.rule.meter == Meter::Cost && taken.ask.amount > 0)
    }

    /// How the rules stood when it was let in, with the request in them.
    pub fn standings(&self) -> impl Iterator<Item = Standing> {
        self.taken.iter().map(|taken| Standing {
            rule: taken.ask.rule.clone(),
            limit: taken.ask.limit,
            level: taken.level,
        })
    }

    /// How the rules stood when it was let in, and what it took of each.
    pub fn taken_amounts(&self) -> impl Iterator<Item = (Standing, u64)> {
        let amounts = self.taken.iter().map(|taken| taken.ask.amount);
        self.standings().zip(amounts)
    }

    /// Takes more of some meters, under all of their rules or under none.
    ///
    /// # Errors
    /// All rules that it would break. What was taken before stays taken.
    pub fn extend(&mut self, now: Now, more: impl Fn(Meter) -> u64) -> Result<(), Vec<Broken>> {
        let asks = self.more(more);
        let mut further = self.room.reserve(&asks, Turn::New, now)?;
        self.taken.append(&mut further.taken);
        if let Some(hold) = &mut self.hold {
            hold.extend(&asks, now);
        }
        Ok(())
    }

    /// More of some meters, under all of its rules.
    pub fn more(&self, more: impl Fn(Meter) -> u64) -> Vec<Ask> {
        let mut asks: Vec<Ask> = Vec::new();
        for taken in &self.taken {
            let amount = more(taken.ask.rule.meter);
            if amount > 0 && !asks.iter().any(|ask| ask.key == taken.ask.key) {
                asks.push(Ask {
                    amount,
                    ..taken.ask.clone()
                });
            }
        }
        asks
    }

    /// What was taken by itself belongs to it.
    pub fn join(&mut self, mut further: Reservation) {
        self.taken.append(&mut further.taken);
        if let (Some(hold), Some(further)) = (&mut self.hold, further.hold.take()) {
            hold.join(further);
        }
    }

    /// It is counted where nodes share limits too, which stand there like this.
    pub(crate) fn share<'a>(
        &mut self,
        hold: Hold,
        levels: impl IntoIterator<Item = (&'a Ask, Level)>,
    ) {
        for (ask, level) in levels {
            let mut taken = self.taken.iter_mut();
            if let Some(taken) = taken.find(|taken| taken.ask.key == ask.key) {
                taken.level = level;
            }
        }
        self.hold = Some(hold);
    }

    /// Whether it is counted together with other nodes.
    pub fn is_shared(&self) -> bool {
        self.hold.is_some()
    }

    /// Whether this node has let it in alone, since what nodes share was away.
    pub fn is_alone(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.alone)
    }

    /// Puts what was really used in the place of what was reserved, and frees its places in flight. `None` for a meter: what was
    /// reserved stays. A second call does nothing.
    pub fn settle(&mut self, now: Now, used: impl Fn(Meter) -> Option<u64>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        if let Some(hold) = &mut self.hold {
            hold.settle(now, &used);
        }
        let now = self.room.time(now);
        for (at, taken) in self.taken.iter().enumerate() {
            if taken.ask.rule.method() == Method::Held {
                continue;
            }
            let Some(total) = used(taken.ask.rule.meter) else {
                continue;
            };
            let is = self.part_of(at, taken, total);
            if is != taken.ask.amount {
                self.room.amend(taken, now, is);
            }
        }
        self.free();
    }

    /// What of a total one of several amounts of a counter was: they are filled in their order, and the last one has the rest.
    fn part_of(&self, at: usize, taken: &Taken, total: u64) -> u64 {
        let same = |other: &&Taken| other.ask.key == taken.ask.key;
        let before = self.taken.iter().take(at).filter(same);
        let before = before.fold(0u64, |sum, one| sum.saturating_add(one.ask.amount));
        let left = total.saturating_sub(before);
        match self.taken.iter().skip(at + 1).any(|other| same(&other)) {
            true => left.min(taken.ask.amount),
            false => left,
        }
    }

    /// Gives everything back, as if it had never been taken: who waits is not told, since there was no room.
    pub(crate) fn undo(mut self, now: Now) {
        let now = self.room.time(now);
        for taken in self.taken.drain(..) {
            match taken.ask.rule.method() {
                Method::Held => self.room.leave(&taken.ask),
                Method::Log | Method::Ring | Method::Pace | Method::Period => {
                    self.room.amend(&taken, now, 0);
                }
            }
        }
    }

    fn free(&mut self) {
        for taken in self.taken.drain(..) {
            if taken.ask.rule.method() == Method::Held {
                self.room.free(&taken.ask);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests;
