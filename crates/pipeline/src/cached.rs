//! The response cache in a request's way: asked after masking, filled when an answer has ended.
//!
//! What is kept is what the provider said: placeholders, which are restored anew for whoever gets the answer. What was masked
//! is never shared between users, whatever the scope says.

use crate::policy::{Route, policy_name};
use crate::relay::{Filters, Relay};
use crate::settle::Exchange;
use crate::state::State;
use aplomb_config::caches::{CacheConfig, CacheReplayConfig, CacheScopeConfig};
use aplomb_config::file::{ConfigFile, RouteConfig};
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::{ApiError, BoxError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::id::RequestId;
use aplomb_core::masked::Masked;
use aplomb_core::request::{ChatRequest, Operation};
use aplomb_latency::cache::answer::{Collector, Origin};
use aplomb_latency::cache::directive::Directives;
use aplomb_latency::cache::key::{Digest, Keyer};
use aplomb_latency::cache::request::{Asked, Limits};
use aplomb_latency::cache::store::{Entry, Fill, Found, Owner, Purge, Put, Store};
use aplomb_observe::metrics::CacheMetrics;
use aplomb_observe::record::{CacheFacts, CacheResult, Record};
use aplomb_privacy::restore::Restorer;
use aplomb_providers::stream::EventStream;
use indexmap::IndexMap;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The response cache of a route, compiled.
pub struct Cached {
    exact: Duration,
    scope: CacheScopeConfig,
    replay: CacheReplayConfig,
    limits: Limits,
    /// Of all in the file that can change an answer.
    version: String,
    secret: Arc<[u8]>,
    store: Arc<Store>,
    metrics: Arc<CacheMetrics>,
}

/// Compiles the cache of a route.
pub(crate) fn compile(
    file: &ConfigFile,
    name: &str,
    route: &RouteConfig,
    state: &State,
) -> Option<Cached> {
    let cache = route.cache.as_ref()?;
    let config = file.caches.get(cache)?;
    let metrics = state.metrics.cache(cache);
    metrics.bytes_max.set(wide(config.max.0));
    Some(Cached {
        exact: config.exact.0,
        scope: config.scope,
        replay: config.replay,
        limits: Limits {
            temperature_max: config.temperature_max,
            tools: config.tools,
        },
        version: version(file, name, route, Some(config)),
        secret: state.placeholder_key.clone(),
        store: state.caches.open(cache, config.max.0),
        metrics,
    })
}

/// All in the file that can change an answer of a route.
pub(crate) fn version(
    file: &ConfigFile,
    name: &str,
    route: &RouteConfig,
    cache: Option<&CacheConfig>,
) -> String {
    let providers: BTreeMap<&str, _> = route
        .targets
        .iter()
        .filter_map(|target| target.split_once('/'))
        .filter_map(|(provider, _)| Some((provider, file.providers.get(provider)?)))
        .collect();
    let privacy = file.privacy.get(policy_name(route));
    json!([name, route, cache, providers, privacy, file.recognizers]).to_string()
}

/// An answer that is given again.
pub(crate) struct Hit {
    /// What was found.
    pub(crate) found: Found,
    result: CacheResult,
    replay: CacheReplayConfig,
    metrics: Arc<CacheMetrics>,
}

/// Gathers an answer, to be given again.
pub(crate) struct Keep {
    collector: Collector,
    cached: Arc<Cached>,
    key: Digest,
    owner: Owner,
}

/// Asks the cache of a route. Where it has nothing to give, the exchange gathers the answer, if it may be kept.
///
/// # Errors
/// Only a kept answer is wanted, and there is none.
pub(crate) fn look(
    route: &Route,
    request: &Masked<ChatRequest>,
    restorer: &Restorer,
    wanted: Directives,
    exchange: &mut Exchange,
) -> Result<Option<Hit>, ApiError> {
    let found = match &route.cache {
        None => None,
        Some(cached) => Look {
            cached,
            route,
            request: request.get(),
            restorer,
        }
        .ask(wanted, exchange),
    };
    if found.is_none() && wanted.only_if_cached {
        let message =
            "only a kept answer was wanted (cache-control: only-if-cached), and there is none";
        return Err(ApiError::new(ErrorCode::NotCached, message));
    }
    Ok(found)
}

/// One question to a cache.
struct Look<'a> {
    cached: &'a Arc<Cached>,
    route: &'a Route,
    request: &'a ChatRequest,
    restorer: &'a Restorer,
}

impl Look<'_> {
    fn ask(&self, wanted: Directives, exchange: &mut Exchange) -> Option<Hit> {
        let cached = self.cached;
        let asked = match self.asked(wanted) {
            Ok(asked) => asked,
            Err(reason) => {
                bypassed(cached, reason, exchange);
                return None;
            }
        };
        let owner = owner(exchange.record(), self.route);
        let key = asked.key(self.scope(&owner));
        if wanted.no_cache {
            bypassed(cached, "no_cache", exchange);
        } else {
            let now_ms = exchange.now_ms();
            match cached.store.get(&key, now_ms, wanted.max_age) {
                Ok(found) => {
                    return Some(Hit {
                        found,
                        result: CacheResult::HitExact,
                        replay: cached.replay,
                        metrics: cached.metrics.clone(),
                    });
                }
                Err(absent) => missed(cached, absent.name(), exchange),
            }
        }
        exchange.keep(Keep {
            collector: Collector::default(),
            cached: cached.clone(),
            key,
            owner,
        });
        None
    }

    fn asked(&self, wanted: Directives) -> Result<Asked, &'static str> {
        if wanted.no_store {
            return Err("no_store");
        }
        if self.cached.exact.is_zero() {
            return Err("off");
        }
        let (operation, body) = (self.request.operation, &self.request.body);
        Asked::read(operation, body, &self.cached.limits)
    }

    /// Everything besides the body that must be the same.
    fn scope(&self, owner: &Owner) -> Keyer {
        let cached = self.cached;
        let mut keyer = Keyer::new(&cached.secret, "aplomb cache 1");
        keyer.text(&owner.tenant);
        let values = self.restorer.digest(&cached.secret);
        match (cached.scope, &values) {
            (CacheScopeConfig::Tenant, None) => keyer.text("tenant"),
            (CacheScopeConfig::User, _) | (CacheScopeConfig::Tenant, Some(_)) => {
                keyer.text("user");
                keyer.text(&owner.user);
            }
        }
        keyer.bytes(values.as_ref().map_or(&[], |digest| digest.as_slice()));
        place(
            &mut keyer,
            self.route,
            self.request.operation,
            &cached.version,
        );
        keyer
    }
}

/// To whom what is kept of an exchange belongs.
pub(crate) fn owner(record: &Record, route: &Route) -> Owner {
    let user = record.user.as_deref().unwrap_or(&record.key_id);
    Owner {
        tenant: record.tenant.clone(),
        user: user.into(),
        route: route.name.clone().unwrap_or_default(),
    }
}

/// Where a request goes, and by which part of the file.
pub(crate) fn place(keyer: &mut Keyer, route: &Route, operation: Operation, version: &str) {
    keyer.text(route.name.as_deref().unwrap_or_default());
    for target in &route.targets {
        keyer.text(&target.name);
    }
    keyer.text(operation.name());
    keyer.text(version);
}

fn bypassed(cached: &Cached, reason: &'static str, exchange: &mut Exchange) {
    cached.metrics.bypass(reason);
    exchange.cache_looked(CacheFacts {
        result: CacheResult::Bypass,
        reason: Some(reason),
        ..CacheFacts::default()
    });
}

fn missed(cached: &Cached, reason: &'static str, exchange: &mut Exchange) {
    cached.metrics.miss(reason);
    exchange.cache_looked(CacheFacts {
        result: CacheResult::Miss,
        reason: Some(reason),
        ..CacheFacts::default()
    });
}

impl Hit {
    /// What the record says of it.
    pub(crate) fn facts(&self, saved_nano: Option<i64>) -> CacheFacts {
        let metrics = &self.metrics;
        metrics.hits_exact.add(1);
        let saved = saved_nano.and_then(|nano| u64::try_from(nano).ok());
        metrics.saved_nano.add(saved.unwrap_or(0));
        CacheFacts {
            result: self.result,
            reason: None,
            age_ms: u64::try_from(self.found.age.as_millis()).ok(),
            source: Some(RequestId::from_bytes(self.found.source)),
            saved_nano,
        }
    }

    /// The answer, on its way to the client. Where it is paced, it is held back as long as it took before, within the
    /// time of the request.
    pub(crate) async fn relay(
        self,
        route: &Route,
        mut exchange: Exchange,
        filters: Filters,
        deadline: Instant,
    ) -> Relay {
        let answer = self.found.answer.clone();
        let stream = exchange.record().stream;
        let paced = self.replay == CacheReplayConfig::Paced;
        let wait = match (paced, stream) {
            (false, _) => Duration::ZERO,
            (true, true) => answer.ttft,
            (true, false) => answer.ttft + answer.rest,
        };
        let wait = wait.min(deadline.saturating_duration_since(Instant::now()));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        exchange.hit(&self, wait);
        let (held, events) = if paced && stream {
            (VecDeque::new(), EventStream::paced(answer.paced()))
        } else {
            (answer.events().into(), EventStream::whole(Vec::new()))
        };
        Relay::replaying((held, events), exchange, filters, &route.timeouts, deadline)
    }
}

impl Keep {
    /// Takes the next event of the answer, before it is restored.
    pub(crate) fn on_event(&mut self, event: &ChatEvent) {
        self.collector.on_event(event);
    }

    /// The answer is whole: it is kept, if it may be.
    pub(crate) fn settle(self, record: &Record, now_ms: u64) {
        let Keep {
            collector,
            cached,
            key,
            owner,
        } = self;
        let time = |ms: Option<f64>| {
            let seconds = ms.unwrap_or(0.0) / 1000.0;
            Duration::try_from_secs_f64(seconds).unwrap_or_default()
        };
        let ttft = time(record.upstream_ttft_ms);
        let rest = time(Some(record.total_ms)).saturating_sub(time(record.ttft_ms));
        let origin = Origin {
            target: record.target.as_deref().unwrap_or_default().to_owned(),
            simulated: record.simulated,
            ttft,
            rest: if record.stream { rest } else { Duration::ZERO },
        };
        let answer = match collector.finish(origin) {
            Ok(answer) => Arc::new(answer),
            Err(why) => return cached.metrics.unkept(why),
        };
        let entry = Entry {
            answer,
            owner,
            source: record.id.to_bytes(),
            made_ms: now_ms,
            ttl: cached.exact,
        };
        match cached.store.put(key, entry, now_ms) {
            Put::TooLarge => cached.metrics.unkept("size"),
            Put::Kept { evicted } => {
                cached.metrics.kept.add(1);
                cached.metrics.evicted.add(evicted);
            }
        }
        show(&cached.metrics, cached.store.fill(now_ms));
    }
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn show(metrics: &CacheMetrics, fill: Fill) {
    metrics.entries.set(wide(fill.entries));
    metrics.bytes.set(wide(fill.bytes));
    metrics.bytes_max.set(wide(fill.bytes_max));
}

/// All caches by name. They survive a reload; one that the file no longer names is dropped.
#[derive(Default)]
pub struct Caches(Mutex<BTreeMap<String, Arc<Store>>>);

impl Caches {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Store>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, name: &str, bytes_max: usize) -> Arc<Store> {
        let mut caches = self.lock();
        let store = caches.entry(name.to_owned()).or_default().clone();
        store.bound(bytes_max);
        store
    }

    /// Drops the caches that are not named.
    pub(crate) fn only(&self, named: &IndexMap<String, CacheConfig>) {
        self.lock().retain(|name, _| named.contains_key(name));
    }

    fn all(&self) -> Vec<(String, Arc<Store>)> {
        let caches = self.lock();
        let copies = caches.iter();
        copies
            .map(|(name, store)| (name.clone(), store.clone()))
            .collect()
    }

    /// Removes entries of one cache, or of all, and says how many. Blocks for as long as it takes to look at all entries.
    pub fn purge(&self, cache: Option<&str>, purge: &Purge) -> u64 {
        let all = self.all().into_iter();
        all.filter(|(name, _)| cache.is_none_or(|wanted| wanted == name))
            .map(|(_, store)| store.purge(purge))
            .sum()
    }

    /// Removes the answer that an exchange gave first.
    pub fn forget(&self, source: RequestId) -> u64 {
        let purge = Purge {
            source: Some(source.to_bytes()),
            ..Purge::default()
        };
        self.purge(None, &purge)
    }

    /// Brings the metrics up to date: what has expired, or was purged, is no longer shown.
    pub fn refresh(&self, state: &State) {
        let now_ms = state.clock.now_ms();
        for (name, store) in self.all() {
            show(&state.metrics.cache(&name), store.fill(now_ms));
        }
    }

    /// How full each cache is, and what it did.
    pub fn report(&self, state: &State) -> Vec<Value> {
        let now_ms = state.clock.now_ms();
        let one = |(name, store): (String, Arc<Store>)| {
            let (fill, metrics) = (store.fill(now_ms), state.metrics.cache(&name));
            show(&metrics, fill);
            let hits = metrics.hits_exact.get();
            let misses: u64 = metrics.misses().values().sum();
            json!({
                "cache": name,
                "entries": fill.entries,
                "bytes": fill.bytes,
                "bytes_max": fill.bytes_max,
                "hits_exact": hits,
                "hit_rate": share(hits, hits + misses),
                "misses": metrics.misses(),
                "bypasses": metrics.bypasses(),
                "kept": metrics.kept.get(),
                "unkept": metrics.left_out(),
                "evicted": metrics.evicted.get(),
                "saved_nano": metrics.saved_nano.get(),
            })
        };
        self.all().into_iter().map(one).collect()
    }
}

/// A share of what was asked; null where nothing was.
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers above 2^53 keep their size"
)]
fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

impl Erase for Caches {
    fn store(&self) -> &'static str {
        "response cache"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        Ok(self.purge(None, &of(subject)))
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        let all = self.all().into_iter();
        let entries = all.flat_map(|(name, store)| {
            let entries = store.list(&of(subject)).into_iter();
            entries.map(move |(at_ms, route, answer)| {
                json!({ "cache": name, "at_ms": at_ms, "route": &*route, "answer": answer.text() })
            })
        });
        Ok(entries.collect())
    }
}

/// What belongs to a person.
pub(crate) fn of(subject: &Subject) -> Purge {
    Purge {
        tenant: subject.tenant.clone(),
        user: Some(subject.user.clone()),
        ..Purge::default()
    }
}
