//! What was learned of each target, key, provider and route, by stable names: it outlives a reload of the configuration.

use crate::breaker::{Breaker, Phase, Rule};
use crate::budget::RetryBudget;
use crate::class::{Class, Health};
use crate::gate::{Gate, Told};
use crate::hedge::HedgeBudget;
use crate::hints::{Hint, Learned, Outbox};
use crate::pace::Pace;
use crate::queue::Queue;
use aplomb_core::request::Delivery;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a key without money or quota is set aside.
const QUOTA_ASIDE: Duration = Duration::from_secs(600);
/// How long a key that is not accepted is set aside, unless the configuration is read again before.
const REFUSED_ASIDE: Duration = Duration::from_secs(3600);
/// How long a target is set aside whose key may not use its model.
const FORBIDDEN: Duration = Duration::from_secs(600);

/// Why a key is set aside, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aside {
    /// What its provider said.
    pub class: Class,
    /// When it is tried again.
    pub until: Instant,
}

/// What was learned of one key of a provider.
#[derive(Debug, Default)]
pub struct KeyStanding {
    aside: Mutex<Option<Aside>>,
}

impl KeyStanding {
    /// Why it is set aside now.
    pub fn aside(&self, now: Instant) -> Option<Aside> {
        locked(&self.aside).filter(|aside| aside.until > now)
    }
}

/// What was learned of one provider.
#[derive(Debug)]
pub struct ProviderStanding {
    retries: Mutex<RetryBudget>,
}

impl ProviderStanding {
    /// A first call of a request; `share` of a retry is allowed for it.
    pub fn deposit(&self, share: f64, now: Instant) {
        locked(&self.retries).deposit(share, now);
    }

    /// Whether one retry may be made; it is paid for.
    pub fn withdraw(&self, now: Instant) -> bool {
        locked(&self.retries).withdraw(now)
    }

    /// Retries that could be made now.
    pub fn left(&self, now: Instant) -> f64 {
        locked(&self.retries).left(now)
    }
}

/// What a failed call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// The breaker opened.
    pub opened: bool,
    /// The breaker closed: the target is there, whatever it thinks of the request.
    pub closed: bool,
    /// The key was set aside.
    pub key_aside: bool,
}

/// A failed call, as a standing learns of it.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// Its class.
    pub class: Class,
    /// `Retry-After` of its answer.
    pub retry_after: Option<Duration>,
    /// In `0.0..1.0`.
    pub random: f64,
}

#[derive(Debug)]
struct Inner {
    breaker: Breaker,
    pace: Pace,
    gate: Gate,
    last_failure: Option<(Class, Instant)>,
}

/// What was learned of one target: one model with one key of one provider.
#[derive(Debug)]
pub struct Standing {
    inner: Mutex<Inner>,
    in_flight: AtomicU32,
    /// Who waits for it, where it takes only so many calls at a time.
    pub queue: Arc<Queue>,
    /// Of its key.
    pub key: Arc<KeyStanding>,
    /// Number of the key among those of its provider, from 1.
    pub key_number: usize,
    /// Its name, and who is told what is learned of it.
    tells: Option<(String, Outbox)>,
}

/// A standing at one moment.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Whether it may be asked: not set aside, its breaker does not mind.
    pub healthy: bool,
    /// How long its provider wants it left alone.
    pub gate: Option<Duration>,
    /// How its breaker stands.
    pub phase: Phase,
    /// Calls in flight.
    pub in_flight: u32,
    /// Average time to the first content of a stream.
    pub ttft_ms: Option<f64>,
    /// Average time until a whole answer is there.
    pub whole_ms: Option<f64>,
    /// Share of calls that failed lately.
    pub error_rate: f64,
    /// Share of its weight that it gets.
    pub warmth: f64,
    /// Requests and tokens that its provider said are left.
    pub left: (Option<u64>, Option<u64>),
    /// Its last failure.
    pub last_failure: Option<(Class, Instant)>,
    /// Why its key is set aside.
    pub aside: Option<Aside>,
}

impl Standing {
    fn new(
        key: Arc<KeyStanding>,
        key_number: usize,
        tells: Option<(String, Outbox)>,
        now: Instant,
    ) -> Self {
        Standing {
            inner: Mutex::new(Inner {
                breaker: Breaker::new(now),
                pace: Pace::new(now),
                gate: Gate::default(),
                last_failure: None,
            }),
            in_flight: AtomicU32::new(0),
            queue: Arc::default(),
            key,
            key_number,
            tells,
        }
    }

    /// Tells others what was learned, if there are others.
    fn tell(&self, learned: Learned, time: Duration) {
        let Some((target, outbox)) = &self.tells else {
            return;
        };
        let hint = Hint {
            target: target.clone(),
            learned,
            for_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        };
        // Where too many wait, each node learns by itself.
        let _ = outbox.try_send(hint);
    }

    /// As it is now, for a call of so many tokens.
    pub fn view(&self, tokens: u64, now: Instant) -> View {
        let aside = self.key.aside(now);
        let inner = locked(&self.inner);
        View {
            healthy: aside.is_none() && inner.breaker.allows(now) && !inner.gate.is_shunned(now),
            gate: inner.gate.wait(tokens, now),
            phase: inner.breaker.phase(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            ttft_ms: inner.pace.ewma_ms(),
            whole_ms: inner.pace.whole_ewma_ms(),
            error_rate: inner.pace.error_rate(),
            warmth: inner.breaker.warmth(now),
            left: inner.gate.left(now),
            last_failure: inner.last_failure,
            aside,
        }
    }

    /// Whether a call of so many tokens may be made now without a second thought.
    pub fn is_free(&self, tokens: u64, now: Instant) -> bool {
        if self.key.aside(now).is_some() {
            return false;
        }
        let inner = locked(&self.inner);
        inner.breaker.allows(now)
            && !inner.gate.is_shunned(now)
            && inner.gate.wait(tokens, now).is_none()
    }

    /// Ninety-fifth percentile of its times to the first content.
    pub fn p95(&self) -> Option<Duration> {
        locked(&self.inner).pace.p95()
    }

    /// How long it usually takes until there is something for the client.
    pub fn usual(&self, delivery: Delivery) -> Option<Duration> {
        locked(&self.inner).pace.usual(delivery)
    }

    /// A call of so many tokens begins; it is in flight until what this returns is dropped.
    pub fn begin(self: &Arc<Self>, tokens: u64, now: Instant) -> InFlight {
        let probes = {
            let mut inner = locked(&self.inner);
            inner.gate.spend(tokens);
            inner.breaker.begin(now)
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            standing: self.clone(),
            probes,
        }
    }

    /// Forgets failures, gates and what its key did. True if its breaker was not closed.
    pub fn reset(&self, now: Instant) -> bool {
        let mut inner = locked(&self.inner);
        let was = inner.breaker.phase();
        inner.breaker = Breaker::new(now);
        inner.gate = Gate::default();
        inner.last_failure = None;
        *locked(&self.key.aside) = None;
        was != Phase::Closed
    }
}

/// A call in flight. Dropping it without a word of how it went decides nothing.
#[must_use = "a call that is dropped is no longer in flight"]
pub struct InFlight {
    standing: Arc<Standing>,
    /// Its outcome decides whether the breaker closes.
    probes: bool,
}

impl InFlight {
    /// It gave its first content, or its whole answer, after `took`. True if that closed the breaker.
    pub fn answered(
        &mut self,
        (delivery, took): (Delivery, Duration),
        told: &Told,
        now: Instant,
    ) -> bool {
        self.probes = false;
        let mut inner = locked(&self.standing.inner);
        inner.gate.told(told, now);
        match delivery {
            Delivery::Stream { .. } => inner.pace.first_content(took, now),
            Delivery::Whole => inner.pace.whole(took, now),
        }
        inner.pace.ended(false, now);
        inner.breaker.succeeded(now)
    }

    /// Number of its key among those of its provider, from 1.
    pub fn key_number(&self) -> usize {
        self.standing.key_number
    }

    /// A stream, it was given up after `took`, since another one was faster.
    pub fn lost(&mut self, took: Duration, now: Instant) {
        locked(&self.standing.inner).pace.first_content(took, now);
    }

    /// It failed, and its provider told this.
    pub fn failed(&mut self, rule: &Rule, failure: &Failure, told: &Told, now: Instant) -> Changed {
        let mut changed = Changed::default();
        let mut inner = locked(&self.standing.inner);
        inner.gate.told(told, now);
        inner.last_failure = Some((failure.class, now));
        match failure.class.action().health {
            // The target is there: a probe that ends so has found it well.
            Health::Unharmed => {
                if std::mem::take(&mut self.probes) {
                    changed.closed = inner.breaker.succeeded(now);
                }
            }
            Health::Failed(weight) => {
                self.probes = false;
                inner.pace.ended(true, now);
                changed.opened = inner.breaker.failed(rule, weight, now, failure.random);
                if changed.opened
                    && let Phase::Open { until } = inner.breaker.phase()
                {
                    let time = until.saturating_duration_since(now);
                    self.standing.tell(Learned::Fails, time);
                }
            }
            Health::Gated if failure.class == Class::Forbidden => inner.gate.shun(FORBIDDEN, now),
            Health::Gated => {
                inner.gate.shut(failure.retry_after, now);
                if let Some(time) = failure.retry_after {
                    self.standing.tell(Learned::Limited, time);
                }
            }
            Health::KeyAside => {
                let time = match failure.class {
                    Class::Quota => QUOTA_ASIDE,
                    _ => REFUSED_ASIDE,
                };
                let mut aside = locked(&self.standing.key.aside);
                changed.key_aside = aside.is_none_or(|aside| aside.until <= now);
                if changed.key_aside {
                    self.standing.tell(Learned::KeyAside, time);
                }
                *aside = Some(Aside {
                    class: failure.class,
                    until: now + time,
                });
            }
        }
        changed
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.standing.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.probes {
            locked(&self.standing.inner).breaker.abandoned();
        }
    }
}

/// Most standings of one kind. Model names come from clients, so there is a bound: beyond it those are forgotten that
/// nobody holds (a route holds its own), and if all are held a new one is not kept.
const STANDINGS_MAX: usize = 2000;

type Map<T> = Mutex<HashMap<String, Arc<T>>>;

/// All standings.
#[derive(Debug, Default)]
pub struct Standings {
    targets: Map<Standing>,
    keys: Map<KeyStanding>,
    providers: Map<ProviderStanding>,
    hedges: Map<Mutex<HedgeBudget>>,
    /// Who is told what is learned; nobody where there is one node.
    outbox: OnceLock<Outbox>,
}

fn get<T>(map: &Map<T>, name: &str, new: impl FnOnce() -> T) -> Arc<T> {
    let mut map = locked(map);
    if let Some(known) = map.get(name) {
        return known.clone();
    }
    if map.len() >= STANDINGS_MAX {
        map.retain(|_, one| Arc::strong_count(one) > 1);
    }
    let made = Arc::new(new());
    if map.len() < STANDINGS_MAX {
        map.insert(name.to_owned(), made.clone());
    }
    made
}

/// `name`, or `name#2` for the second key and so on.
pub fn with_key(name: &str, key: usize) -> String {
    if key == 0 {
        name.to_owned()
    } else {
        format!("{name}#{}", key + 1)
    }
}

impl Standings {
    /// Of a model (`provider/model`) with the key of that number, from 0.
    pub fn target(&self, provider: &str, model: &str, key: usize, now: Instant) -> Arc<Standing> {
        let of_key = || get(&self.keys, &with_key(provider, key), KeyStanding::default);
        let name = with_key(&format!("{provider}/{model}"), key);
        get(&self.targets, &name, || {
            let tells = self
                .outbox
                .get()
                .map(|outbox| (name.clone(), outbox.clone()));
            Standing::new(of_key(), key + 1, tells, now)
        })
    }

    /// Tells others what is learned of targets. To be called before there are any.
    pub fn tell_others(&self, outbox: Outbox) {
        // A second one would be a mistake of the program, and changes nothing.
        let _ = self.outbox.set(outbox);
    }

    /// Another node has learned this: other targets are asked first for a while. False where the target is not known here.
    pub fn hear(&self, hint: &Hint, now: Instant) -> bool {
        let Some(standing) = locked(&self.targets).get(&hint.target).cloned() else {
            return false;
        };
        let mut inner = locked(&standing.inner);
        match hint.learned {
            // What this node knows by itself may hold for longer.
            Learned::Limited if inner.gate.wait(0, now).is_none() => {
                inner.gate.shut(Some(hint.time()), now);
            }
            Learned::Limited => {}
            Learned::Fails | Learned::KeyAside if !inner.gate.is_shunned(now) => {
                inner.gate.shun(hint.time(), now);
            }
            Learned::Fails | Learned::KeyAside => {}
        }
        true
    }

    /// Of a provider.
    pub fn provider(&self, name: &str, now: Instant) -> Arc<ProviderStanding> {
        get(&self.providers, name, || ProviderStanding {
            retries: Mutex::new(RetryBudget::new(now)),
        })
    }

    /// The hedges of a route.
    pub fn hedges(&self, route: &str) -> Arc<Mutex<HedgeBudget>> {
        get(&self.hedges, route, Mutex::default)
    }

    /// All targets by name, in the order of their names.
    pub fn targets(&self) -> Vec<(String, Arc<Standing>)> {
        let mut all: Vec<_> = locked(&self.targets)
            .iter()
            .map(|(name, one)| (name.clone(), one.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// All providers by name, in the order of their names.
    pub fn providers(&self) -> Vec<(String, Arc<ProviderStanding>)> {
        let mut all: Vec<_> = locked(&self.providers)
            .iter()
            .map(|(name, one)| (name.clone(), one.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// The configuration was read again: keys that were set aside are tried again.
    pub fn keys_may_have_changed(&self) {
        for key in locked(&self.keys).values() {
            *locked(&key.aside) = None;
        }
    }
}

#[cfg(test)]
mod tests;
