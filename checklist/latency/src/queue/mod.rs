//! A fair queue before a target that takes only so many calls at a time.
//!
//! * Who is next is decided by virtual counters (Y. Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024): the
//!   tenant, and in it the user, that was served least so far. A counter grows by a call's estimated tokens when the call
//!   begins and is set right when it ends. It is deficit round robin without rounds: the same shares, at O(log n).
//! * Whoever comes anew begins at the least counter of those who are there: nobody saves up by staying away. A counter above
//!   that is remembered while its owner is away, so that nobody gets rid of what they used by leaving.
//! * Interactive calls go before batch calls. Batch never takes the last tenth of the slots, and gets one slot in eight once
//!   its oldest call has waited for ten seconds.
//! * Inside a user, and among users that were served the same, it is first come, first served. While a class is overloaded
//!   its newest calls go first and its oldest are given up ([`shed`]).
//!
//! All bounds are refused with the time after which trying again makes sense. Instants are passed in; only a permit that is
//! just dropped looks at the clock.

mod line;
mod shed;
mod turn;

pub use line::{Place, Who};
pub use turn::{Missed, Permit, Ticket, Turn, Waiting};

use crate::adapt::{self, Limit, Signal};
use line::{Line, Next, Price};
use shed::Shedder;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Most calls that wait at one target. A waiting call is under 1 kB here.
pub const WAITING_MAX: usize = 10_000;
/// Most calls of one tenant that wait at one target.
pub const TENANT_WAITING_MAX: usize = 200;
/// How long the oldest batch call waits before batch gets its share of slots.
const AGED: Duration = Duration::from_secs(10);
/// Then one slot in so many is for batch.
const AGED_SHARE: u32 = 8;
/// Weight of the newest call in the mean time that calls hold a slot.
const HOLD_WEIGHT: f64 = 0.1;

/// How urgent a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Somebody waits for the answer.
    Interactive,
    /// Nobody does.
    Batch,
}

impl Class {
    /// Its name in records, metrics and headers.
    pub fn name(self) -> &'static str {
        match self {
            Class::Interactive => "interactive",
            Class::Batch => "batch",
        }
    }
}

/// One thing for each class.
#[derive(Debug, Default)]
struct ByClass<T> {
    interactive: T,
    batch: T,
}

impl<T> ByClass<T> {
    fn of(&self, class: Class) -> &T {
        match class {
            Class::Interactive => &self.interactive,
            Class::Batch => &self.batch,
        }
    }

    fn of_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Interactive => &mut self.interactive,
            Class::Batch => &mut self.batch,
        }
    }
}

/// How many calls a target takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// So many.
    Fixed(usize),
    /// As many as it is seen to take.
    Learned(adapt::Rule),
}

/// Bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Calls at a time.
    pub slots: Slots,
    /// Most calls of one user that wait.
    pub per_user: usize,
    /// Longest wait of interactive calls.
    pub interactive: Duration,
    /// Longest wait of batch calls.
    pub batch: Duration,
}

impl Rule {
    /// Longest wait of a class.
    pub fn patience(&self, class: Class) -> Duration {
        match class {
            Class::Interactive => self.interactive,
            Class::Batch => self.batch,
        }
    }
}

/// A call that wants a turn.
#[derive(Debug, Clone)]
pub struct Call {
    /// On whose behalf.
    pub who: Who,
    /// How urgent it is.
    pub class: Class,
    /// Its estimated tokens.
    pub cost: u64,
    /// Its tenant's share beside other tenants, at least 1.
    pub weight: u32,
    /// When it has waited for too long: its class's patience, or its deadline.
    pub until: Instant,
}

impl Call {
    fn price(&self) -> Price {
        Price {
            tokens: self.cost,
            weight: self.weight,
        }
    }
}

/// Why a call gets no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The queue, or the caller's part of it, is full.
    Full {
        /// Estimated time until there is room.
        retry_after: Duration,
    },
    /// It would not be served before its time is up.
    TooLate {
        /// Estimated wait.
        wait: Duration,
    },
}

#[derive(Debug)]
struct Waiter {
    call: Call,
    since: Instant,
    waker: Option<Waker>,
}

/// What became of a call that waited.
#[derive(Debug, Clone, Copy)]
enum Decided {
    /// It may begin since then.
    Granted(Instant),
    /// It gets no turn.
    Missed(Missed),
}

/// What the queue is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// Calls at work.
    pub running: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls at a time.
    pub slots: usize,
}

#[derive(Debug, Default)]
struct Inner {
    slots: usize,
    /// Where the number of slots comes from; none where it is fixed.
    limit: Option<Limit>,
    /// Slots when somebody asked for the last time by how many they changed.
    told: usize,
    running: ByClass<usize>,
    lines: ByClass<Line>,
    patience: ByClass<Duration>,
    shedders: ByClass<Shedder>,
    /// Calls that wait no longer and do not know it yet.
    decided: HashMap<u64, Decided>,
    waiters: HashMap<u64, Waiter>,
    next: u64,
    /// Interactive calls since the last batch call, while batch waits.
    passed: u32,
    /// Mean time that a call holds its slot, in seconds; none before the first one ended.
    hold: Option<f64>,
}

/// The queue before one target.
#[derive(Debug, Default)]
pub struct Queue {
    inner: Mutex<Inner>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn, waits for one, or is refused.
    ///
    /// # Errors
    /// A bound is reached, or the wait would be too long.
    pub fn enter(self: &Arc<Self>, rule: Rule, call: Call, now: Instant) -> Result<Turn, Refused> {
        let mut inner = self.lock();
        let wake = inner.follow(&rule, now);
        let turn = inner.enter(rule, call, now);
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
        turn.map(|entered| entered.turn(self, now))
    }

    /// A turn at once, or none: for calls that must not wait.
    pub fn enter_at_once(self: &Arc<Self>, rule: Rule, call: Call, now: Instant) -> Option<Permit> {
        let mut inner = self.lock();
        let wake = inner.follow(&rule, now);
        let free = inner.waiters.is_empty() && inner.has_room(call.class);
        if free {
            inner.begin(&call);
        }
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
        free.then(|| Permit::new(self, &call, now))
    }

    /// Whether a call would have its turn at once.
    pub fn is_free(&self, class: Class) -> bool {
        let inner = self.lock();
        // One that nobody has entered yet has no slots yet.
        inner.slots == 0 || inner.lines.of(class).is_empty() && inner.has_room(class)
    }

    /// Where a waiting call stands by now; none where it waits no longer.
    fn place(&self, number: u64) -> Option<Place> {
        let inner = self.lock();
        let call = &inner.waiters.get(&number)?.call;
        let line = inner.lines.of(call.class);
        let own = line.place_of(&call.who, number)?;
        let round = line.waiting_of(&call.who, call.weight).round;
        Some(inner.standing(call.class, (own, round), line.len()))
    }

    /// A call that holds a slot took so long.
    fn took(&self, (signal, time): (Signal, Duration), now: Instant) {
        let mut inner = self.lock();
        let busy = inner.running();
        let wake = inner.learn(now, |limit| limit.took(signal, time, busy, now));
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
    }

    /// A call that began then was refused since the target has too much to do.
    fn refused(&self, began: Instant, now: Instant) {
        let mut inner = self.lock();
        // A limit that gets lower gives nobody a slot.
        inner.learn(now, |limit| limit.refused(began, now));
    }

    /// By how many slots there are more than when this was asked last.
    pub fn grown(&self) -> i64 {
        let mut inner = self.lock();
        let slots = inner.slots;
        let told = std::mem::replace(&mut inner.told, slots);
        let wide = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        wide(slots) - wide(told)
    }

    /// What it is doing.
    pub fn fill(&self) -> Fill {
        let inner = self.lock();
        Fill {
            running: inner.running(),
            waiting: inner.waiters.len(),
            slots: inner.slots,
        }
    }
}

enum Entered {
    Now(Call),
    Later(u64, Place, Call),
}

impl Entered {
    fn turn(self, queue: &Arc<Queue>, now: Instant) -> Turn {
        match self {
            Entered::Now(call) => Turn::Now(Permit::new(queue, &call, now)),
            Entered::Later(number, place, call) => {
                Turn::Later(Waiting::new(queue, number, place, call))
            }
        }
    }
}

impl Inner {
    fn follow(&mut self, rule: &Rule, now: Instant) -> Vec<Waker> {
        self.patience = ByClass {
            interactive: rule.interactive,
            batch: rule.batch,
        };
        let slots = match rule.slots {
            Slots::Fixed(slots) => {
                self.limit = None;
                slots
            }
            Slots::Learned(rule) => match &self.limit {
                Some(limit) if limit.rule() == rule => limit.calls(),
                _ => self.limit.insert(Limit::new(rule, now)).calls(),
            },
        };
        self.set_slots(slots, now)
    }

    fn set_slots(&mut self, slots: usize, now: Instant) -> Vec<Waker> {
        if std::mem::replace(&mut self.slots, slots) >= slots {
            return Vec::new();
        }
        self.grant(now)
    }

    fn learn(&mut self, now: Instant, learn: impl FnOnce(&mut Limit)) -> Vec<Waker> {
        let Some(limit) = &mut self.limit else {
            return Vec::new();
        };
        learn(limit);
        let slots = limit.calls();
        self.set_slots(slots, now)
    }

    /// Slots that batch may take: all but a tenth, and at least one.
    fn batch_slots(&self) -> usize {
        (self.slots - self.slots.div_ceil(10)).max(1)
    }

    fn running(&self) -> usize {
        self.running.interactive + self.running.batch
    }

    /// Slots that interactive calls may take while batch waits: where a tenth is a whole slot, it is for batch.
    fn interactive_slots(&self) -> usize {
        if self.lines.batch.is_empty() {
            self.slots
        } else {
            self.slots - self.slots / 10
        }
    }

    fn has_room(&self, class: Class) -> bool {
        let most = match class {
            Class::Interactive => self.interactive_slots(),
            Class::Batch => self.batch_slots(),
        };
        *self.running.of(class) < most && self.running() < self.slots
    }

    fn begin(&mut self, call: &Call) {
        *self.running.of_mut(call.class) += 1;
        self.lines.of_mut(call.class).begin(&call.who, call.price());
    }

    fn enter(&mut self, rule: Rule, call: Call, now: Instant) -> Result<Entered, Refused> {
        let line = self.lines.of(call.class);
        if line.is_empty() && self.has_room(call.class) {
            self.begin(&call);
            return Ok(Entered::Now(call));
        }
        let held = line.waiting_of(&call.who, call.weight);
        let place = self.standing(call.class, (held.user, held.round), line.len() + 1);
        let full = self.waiters.len() >= WAITING_MAX
            || held.tenant >= TENANT_WAITING_MAX
            || held.user >= rule.per_user;
        if full {
            let retry_after = place.wait.max(Duration::from_secs(1));
            return Err(Refused::Full { retry_after });
        }
        if now
            .checked_add(place.wait)
            .is_none_or(|turn| turn >= call.until)
        {
            return Err(Refused::TooLate { wait: place.wait });
        }
        let number = self.next;
        self.next += 1;
        let line = self.lines.of_mut(call.class);
        line.push(&call.who, call.weight, number);
        let waiter = Waiter {
            call: call.clone(),
            since: now,
            waker: None,
        };
        self.waiters.insert(number, waiter);
        Ok(Entered::Later(number, place, call))
    }

    /// About where a call stands before which `own` ones of its user wait: after as many rounds, and after all of a more
    /// urgent class. `len`: calls of its class, itself included.
    fn standing(&self, class: Class, (own, round): (usize, usize), len: usize) -> Place {
        let fair = (own + 1).saturating_mul(round);
        let before = match class {
            Class::Interactive => 0,
            Class::Batch => self.lines.interactive.len(),
        };
        let position = before + len.min(fair).max(1);
        let seconds = self
            .hold
            .map(|hold| hold * real(position) / real(self.slots.max(1)));
        let wait =
            seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        Place {
            position,
            wait: wait.unwrap_or_default(),
        }
    }

    /// Which class is next, of those that wait and have room.
    fn class(&self, now: Instant) -> Option<Class> {
        let can = |class: Class| !self.lines.of(class).is_empty() && self.has_room(class);
        let aged = || {
            let oldest = self.lines.batch.oldest();
            let since = oldest.and_then(|number| self.waiters.get(&number));
            since.is_some_and(|waiter| now.saturating_duration_since(waiter.since) >= AGED)
        };
        match (can(Class::Interactive), can(Class::Batch)) {
            (true, true) if self.passed + 1 >= AGED_SHARE && aged() => Some(Class::Batch),
            (true, _) => Some(Class::Interactive),
            (false, true) => Some(Class::Batch),
            (false, false) => None,
        }
    }

    /// Gives free slots to those who wait; whom to wake.
    fn grant(&mut self, now: Instant) -> Vec<Waker> {
        let mut wake = Vec::new();
        for class in [Class::Interactive, Class::Batch] {
            self.shed(class, now, &mut wake);
        }
        while let Some(class) = self.class(now) {
            let next = match self.shedders.of(class).is_overloaded() {
                true => Next::Newest,
                false => Next::Oldest,
            };
            let Some(number) = self.lines.of_mut(class).pop(next) else {
                break;
            };
            let Some(waiter) = self.waiters.remove(&number) else {
                continue;
            };
            let decided = if waiter.call.until <= now {
                Decided::Missed(Missed::Late)
            } else {
                let waited = now.saturating_duration_since(waiter.since);
                let patience = *self.patience.of(class);
                let shedder = self.shedders.of_mut(class);
                shedder.waited(waited, patience, now);
                self.passed = match class {
                    Class::Batch => 0,
                    Class::Interactive if self.lines.batch.is_empty() => 0,
                    Class::Interactive => self.passed.saturating_add(1),
                };
                self.begin(&waiter.call);
                Decided::Granted(now)
            };
            self.decided.insert(number, decided);
            wake.extend(waiter.waker);
        }
        wake
    }

    /// Gives up calls of an overloaded class.
    fn shed(&mut self, class: Class, now: Instant, wake: &mut Vec<Waker>) {
        let patience = *self.patience.of(class);
        loop {
            let oldest = self.lines.of(class).oldest();
            let oldest = oldest.and_then(|number| self.waiters.get(&number));
            let age = oldest.map(|waiter| now.saturating_duration_since(waiter.since));
            if !self.shedders.of_mut(class).sheds(age, patience, now) {
                return;
            }
            let Some(number) = self.lines.of_mut(class).give_up() else {
                return;
            };
            if let Some(waiter) = self.waiters.remove(&number) {
                let missed = Decided::Missed(Missed::Shed);
                self.decided.insert(number, missed);
                wake.extend(waiter.waker);
            }
        }
    }

    /// A call has ended after it held its slot for `held`; `used` tokens were used where that is known.
    fn end(
        &mut self,
        call: &Call,
        (used, held): (Option<u64>, Duration),
        now: Instant,
    ) -> Vec<Waker> {
        let running = self.running.of_mut(call.class);
        *running = running.saturating_sub(1);
        let line = self.lines.of_mut(call.class);
        line.end(&call.who, call.price(), used);
        let held = held.as_secs_f64();
        self.hold = Some(match self.hold {
            None => held,
            Some(mean) => mean + HOLD_WEIGHT * (held - mean),
        });
        self.grant(now)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of waiting calls are small"
)]
fn real(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
