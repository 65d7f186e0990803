//! All breakers.

use super::Rules;
use super::scope::{Change, Scope, State};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most breakers. Chosen: a thousand tenants with several keys, in 25 MiB. At the bound those that were idle for an hour go; if
/// there is none, further tenants and keys are not watched, which is counted.
pub const SCOPES_MAX: usize = 4096;

/// A breaker stands otherwise now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name: `tenant:acme`, `key:k3v9x2ab`.
    pub name: Arc<str>,
    /// How.
    pub change: Change,
}

/// A request may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The breaker that holds it.
    pub name: Arc<str>,
    /// How that stands.
    pub state: State,
    /// When trying again can help.
    pub wait: Duration,
}

/// What a request has taken; to be settled when it has ended.
#[derive(Debug, Default)]
pub struct Ticket {
    taken: Vec<(Arc<str>, u64)>,
    nano: u64,
}

/// One breaker, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: Arc<str>,
    /// How it stands.
    pub state: State,
    /// What is usual for ten seconds, in nano-dollars; none while that is not known.
    pub usual: Option<u64>,
    /// What was asked for in the last minute.
    pub asked: u64,
}

/// All breakers.
#[derive(Default)]
pub struct Breakers {
    all: Mutex<HashMap<Arc<str>, Scope>>,
}

impl Breakers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Scope>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request that will cost so much pass all of these breakers, or none. `None` in the place of a ticket's part: there are
    /// too many breakers, and this one is not watched.
    ///
    /// # Errors
    /// One holds it.
    pub fn ask(
        &self,
        names: &[Arc<str>],
        nano: u64,
        now_ms: u64,
        rules: &Rules,
    ) -> (Result<Ticket, Denied>, Vec<Event>) {
        let mut all = self.lock();
        let mut events = Vec::new();
        let mut denied: Option<Denied> = None;
        for name in names {
            if !all.contains_key(name) && !make_room(&mut all, now_ms) {
                continue;
            }
            let scope = all
                .entry(name.clone())
                .or_insert_with(|| Scope::new(now_ms));
            let rolled = scope.roll(now_ms, rules);
            let (passed, changed) = scope.ask(nano, now_ms, rules);
            let changes = rolled.into_iter().chain(changed);
            events.extend(changes.map(|change| Event {
                name: name.clone(),
                change,
            }));
            if let Err(wait_ms) = passed {
                let wait = Duration::from_millis(wait_ms);
                if denied.as_ref().is_none_or(|known| known.wait < wait) {
                    denied = Some(Denied {
                        name: name.clone(),
                        state: scope.state,
                        wait,
                    });
                }
            }
        }
        if let Some(denied) = denied {
            return (Err(denied), events);
        }
        let taken = names.iter().filter_map(|name| {
            let scope = all.get_mut(name)?;
            Some((name.clone(), scope.take(nano)))
        });
        let taken = taken.collect();
        (Ok(Ticket { taken, nano }), events)
    }

    /// Puts what was spent in the place of what was taken.
    pub fn settle(&self, ticket: Ticket, spent: u64) {
        if spent == ticket.nano {
            return;
        }
        let mut all = self.lock();
        for (name, bucket) in ticket.taken {
            if let Some(scope) = all.get_mut(&name) {
                scope.settle(bucket, ticket.nano, spent);
            }
        }
    }

    /// Closes a breaker, which learns anew. False where there is none.
    pub fn reset(&self, name: &str) -> bool {
        self.lock().remove(name).is_some()
    }

    /// All breakers by name, with what has changed since somebody asked.
    pub fn report(&self, now_ms: u64, rules: &Rules) -> (Vec<Report>, Vec<Event>) {
        let mut all = self.lock();
        let mut events = Vec::new();
        let mut reports: Vec<Report> = Vec::with_capacity(all.len());
        for (name, scope) in all.iter_mut() {
            if let Some(change) = scope.roll(now_ms, rules) {
                events.push(Event {
                    name: name.clone(),
                    change,
                });
            }
            reports.push(Report {
                name: name.clone(),
                state: scope.state,
                usual: scope.usual(),
                asked: scope.asked_in_minute(),
            });
        }
        reports.sort_by(|one, other| one.name.cmp(&other.name));
        (reports, events)
    }

    /// Whether one of these is not closed.
    pub fn holds(&self, names: &[Arc<str>]) -> bool {
        let all = self.lock();
        let mut known = names.iter().filter_map(|name| all.get(name));
        known.any(|scope| scope.state != State::Closed)
    }

    /// How many are not closed: throttled, open, half open.
    pub fn standing(&self) -> [u64; 3] {
        let all = self.lock();
        let mut counts = [0; 3];
        let [throttled, open, half_open] = &mut counts;
        for scope in all.values() {
            match scope.state {
                State::Closed => {}
                State::Throttled => *throttled += 1,
                State::Open { .. } => *open += 1,
                State::HalfOpen => *half_open += 1,
            }
        }
        counts
    }
}

/// Whether one more may be kept.
fn make_room(all: &mut HashMap<Arc<str>, Scope>, now_ms: u64) -> bool {
    if all.len() < SCOPES_MAX {
        return true;
    }
    all.retain(|_, scope| !scope.is_idle(now_ms));
    all.len() < SCOPES_MAX
}
