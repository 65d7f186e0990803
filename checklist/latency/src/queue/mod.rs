//! A fair queue before a target that takes only so many calls at a time.
//!
//! * Who is next is decided by virtual counters (Y. Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024): the
//!   tenant, and in it the user, that was served least so far. A counter grows by a call's estimated tokens when the call
//!   begins and is set right when it ends. It is deficit round robin without rounds: the same shares, at O(log n).
//! * Whoever comes anew begins at the least counter of those who are there: nobody saves up by staying away. A counter above
//!   that is remembered while its owner is away, so that nobody gets rid of what they used by leaving.
//! * Interactive calls go before batch calls. Batch never takes the last tenth of the slots, and gets one slot in eight once
//!   its oldest call has waited for ten seconds.
//! * Inside a user it is first come, first served.
//!
//! All bounds are refused with the time after which trying again makes sense. Instants are passed in; only a permit that is
//! just dropped looks at the clock.

mod line;
mod turn;

pub use line::{Place, Who};
pub use turn::{Permit, Ticket, Turn, Waiting};

use line::Line;
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

/// Bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Calls at a time.
    pub slots: usize,
    /// Most calls of one user that wait.
    pub per_user: usize,
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
    /// When it has waited for too long: its class's patience, or its deadline.
    pub until: Instant,
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
    running: ByClass<usize>,
    lines: ByClass<Line>,
    /// Calls that may begin since then and have not taken their permit.
    granted: HashMap<u64, Instant>,
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
        let wake = inner.resize(rule.slots, now);
        let turn = inner.enter(rule, call, now);
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
        turn.map(|entered| entered.turn(self, now))
    }

    /// A turn at once, or none: for calls that must not wait.
    pub fn enter_at_once(self: &Arc<Self>, rule: Rule, call: Call, now: Instant) -> Option<Permit> {
        let mut inner = self.lock();
        let wake = inner.resize(rule.slots, now);
        let free = inner.waiters.is_empty() && inner.has_room(call.class);
        if free {
            inner.begin(&call.who, call.class, call.cost);
        }
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
        free.then(|| Permit::new(self, &call, now))
    }

    /// Where a waiting call stands by now; none where it waits no longer.
    fn place(&self, number: u64) -> Option<Place> {
        let inner = self.lock();
        let call = &inner.waiters.get(&number)?.call;
        let line = inner.lines.of(call.class);
        let (own, users) = (
            line.place_of(&call.who, number)?,
            line.waiting_of(&call.who).users,
        );
        // It counts itself among those of its class.
        let position = inner.ahead(call.class, own, users).max(1);
        let wait = inner.estimate(call.class, own, users);
        Some(Place { position, wait })
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
    fn resize(&mut self, slots: usize, now: Instant) -> Vec<Waker> {
        self.slots = slots;
        self.grant(now)
    }

    /// Slots that batch may take: all but a tenth, and at least one.
    fn batch_slots(&self) -> usize {
        (self.slots - self.slots.div_ceil(10)).max(1)
    }

    fn running(&self) -> usize {
        self.running.interactive + self.running.batch
    }

    fn has_room(&self, class: Class) -> bool {
        let room = class == Class::Interactive || self.running.batch < self.batch_slots();
        room && self.running() < self.slots
    }

    fn begin(&mut self, who: &Who, class: Class, cost: u64) {
        *self.running.of_mut(class) += 1;
        self.lines.of_mut(class).begin(who, cost);
    }

    fn enter(&mut self, rule: Rule, call: Call, now: Instant) -> Result<Entered, Refused> {
        let line = self.lines.of(call.class);
        if line.is_empty() && self.has_room(call.class) {
            self.begin(&call.who, call.class, call.cost);
            return Ok(Entered::Now(call));
        }
        let held = line.waiting_of(&call.who);
        let wait = self.estimate(call.class, held.user, held.users);
        let full = self.waiters.len() >= WAITING_MAX
            || held.tenant >= TENANT_WAITING_MAX
            || held.user >= rule.per_user;
        if full {
            let retry_after = wait.max(Duration::from_secs(1));
            return Err(Refused::Full { retry_after });
        }
        if now + wait >= call.until {
            return Err(Refused::TooLate { wait });
        }
        let number = self.next;
        self.next += 1;
        let ahead = self.ahead(call.class, held.user, held.users);
        self.lines.of_mut(call.class).push(&call.who, number);
        let waiter = Waiter {
            call: call.clone(),
            since: now,
            waker: None,
        };
        self.waiters.insert(number, waiter);
        let place = Place {
            position: ahead + 1,
            wait,
        };
        Ok(Entered::Later(number, place, call))
    }

    /// About how many calls go first: as many of each user as one has oneself, and all of a more urgent class.
    fn ahead(&self, class: Class, own: usize, users: usize) -> usize {
        let line = self.lines.of(class);
        let fair = (own + 1).saturating_mul(users.max(1));
        let before = match class {
            Class::Interactive => 0,
            Class::Batch => self.lines.interactive.len(),
        };
        before + line.len().min(fair)
    }

    fn estimate(&self, class: Class, own: usize, users: usize) -> Duration {
        let Some(hold) = self.hold else {
            return Duration::ZERO;
        };
        let ahead = self.ahead(class, own, users) + 1;
        Duration::try_from_secs_f64(hold * real(ahead) / real(self.slots.max(1)))
            .unwrap_or(Duration::MAX)
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
        while let Some(class) = self.class(now) {
            let Some((who, number)) = self.lines.of_mut(class).pop() else {
                break;
            };
            let Some(waiter) = self.waiters.remove(&number) else {
                continue;
            };
            // Too late: its own timer tells it so.
            if waiter.call.until <= now {
                wake.extend(waiter.waker);
                continue;
            }
            self.passed = match class {
                Class::Batch => 0,
                Class::Interactive if self.lines.batch.is_empty() => 0,
                Class::Interactive => self.passed.saturating_add(1),
            };
            self.begin(&who, class, waiter.call.cost);
            self.granted.insert(number, now);
            wake.extend(waiter.waker);
        }
        wake
    }

    /// A call has ended after it held its slot for `held`; `used` tokens were used where that is known.
    fn end(&mut self, call: &Ended<'_>, now: Instant) -> Vec<Waker> {
        let running = self.running.of_mut(call.class);
        *running = running.saturating_sub(1);
        self.lines
            .of_mut(call.class)
            .end(call.who, call.cost, call.used);
        let held = call.held.as_secs_f64();
        self.hold = Some(match self.hold {
            None => held,
            Some(mean) => mean + HOLD_WEIGHT * (held - mean),
        });
        self.grant(now)
    }
}

/// A call that has ended.
struct Ended<'a> {
    who: &'a Who,
    class: Class,
    cost: u64,
    used: Option<u64>,
    held: Duration,
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
