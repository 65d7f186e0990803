//! The response cache in a request's way: asked after masking, filled when an answer has ended.
//!
//! What is kept is what the provider said: placeholders, which are restored anew for whoever gets the answer. What was masked
//! is never shared between users, whatever the scope says.

mod alike;
mod shelves;

use crate::policy::{Policy, Route, policy_name};
use crate::relay::{Filters, Relay};
use crate::settle::Exchange;
use crate::state::State;
pub use shelves::Caches;
pub(crate) use shelves::of;

use alike::{Compared, Kept, Looked, Semantic, Shadow};
use aplomb_config::caches::{CacheConfig, CacheModeConfig, CacheReplayConfig, CacheScopeConfig};
use aplomb_config::file::{ConfigFile, RouteConfig};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::id::RequestId;
use aplomb_core::masked::Masked;
use aplomb_core::request::{ChatRequest, Operation};
use aplomb_latency::cache::alike::Match;
use aplomb_latency::cache::answer::{Collector, Origin};
use aplomb_latency::cache::directive::Directives;
use aplomb_latency::cache::key::{Digest, Keyer};
use aplomb_latency::cache::request::{Asked, Limits};
use aplomb_latency::cache::shared::Shared;
use aplomb_latency::cache::store::{Absent, Entry, Fill, Found, Owner, Put, Store};
use aplomb_observe::metrics::CacheMetrics;
use aplomb_observe::record::{CacheFacts, CacheResult, Record};
use aplomb_privacy::mask::Report;
use aplomb_privacy::restore::Restorer;
use aplomb_providers::stream::EventStream;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
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
    shared: Option<Arc<Shared>>,
    semantic: Option<Semantic>,
    metrics: Arc<CacheMetrics>,
}

/// Compiles the cache of a route.
pub(crate) fn compile(
    policy: &Policy,
    name: &str,
    route: &RouteConfig,
    state: &State,
) -> Option<Cached> {
    let file = &policy.file;
    let cache = route.cache.as_ref()?;
    let config = file.caches.get(cache)?;
    let metrics = state.metrics.cache(cache);
    metrics.bytes_max.set(wide(config.max.0));
    let (store, shared) = state.caches.open(cache, config.max.0);
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
        store,
        shared,
        semantic: match &config.semantic {
            None => None,
            Some(semantic) => Some(alike::compile(semantic, policy, state, &metrics)?),
        },
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
    let named = |name: &String| Some((name.clone(), file.validate.get(name)?));
    let validate: Vec<_> = route.validate.iter().filter_map(named).collect();
    json!([
        name,
        route,
        cache,
        providers,
        privacy,
        file.recognizers,
        validate
    ])
    .to_string()
}

/// An answer that is given again.
pub(crate) struct Hit {
    /// What was found.
    pub(crate) found: Found,
    /// How well its question fits; absent where it is the same request.
    score: Option<f32>,
    replay: CacheReplayConfig,
    metrics: Arc<CacheMetrics>,
}

/// Gathers an answer, to be given again.
pub(crate) struct Keep {
    collector: Collector,
    cached: Arc<Cached>,
    key: Digest,
    owner: Owner,
    kept: Kept,
}

/// A semantic cache and what it compares of a request, or why it does not.
type Comparing<'a> = (&'a Semantic, Result<Compared, &'static str>);

/// Asks the cache of a route. Where it has nothing to give, the exchange gathers the answer, if it may be kept.
///
/// # Errors
/// Only a kept answer is wanted, and there is none.
pub(crate) async fn look(
    route: &Route,
    request: &Masked<ChatRequest>,
    seen: Seen<'_>,
    wanted: Directives,
    exchange: &mut Exchange,
) -> Result<Option<Hit>, ApiError> {
    let found = match &route.cache {
        None => None,
        Some(cached) => {
            let look = Look {
                cached,
                route,
                request: request.get(),
                seen,
            };
            look.ask(wanted, exchange).await
        }
    };
    if found.is_none() && wanted.only_if_cached {
        let message =
            "only a kept answer was wanted (cache-control: only-if-cached), and there is none";
        return Err(ApiError::new(ErrorCode::NotCached, message));
    }
    Ok(found)
}

/// What masking a request has left behind.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The values behind its placeholders.
    pub(crate) restorer: &'a Restorer,
    /// What was found in it.
    pub(crate) report: &'a Report,
}

/// One question to a cache.
struct Look<'a> {
    cached: &'a Arc<Cached>,
    route: &'a Route,
    request: &'a ChatRequest,
    seen: Seen<'a>,
}

impl Look<'_> {
    async fn ask(&self, wanted: Directives, exchange: &mut Exchange) -> Option<Hit> {
        let cached = self.cached;
        let asked = match self.asked(wanted) {
            Ok(asked) => asked,
            Err(reason) => {
                bypassed(cached, reason, exchange);
                return None;
            }
        };
        let owner = owner(exchange.record(), self.route);
        let key = asked.key(self.scope(cached.scope, &owner));
        let compared = self.compared(&asked, &owner);
        let kept = if wanted.no_cache {
            bypassed(cached, "no_cache", exchange);
            Kept::unasked(compared)
        } else {
            match self.find((&key, compared), wanted, exchange).await {
                Ok(hit) => return Some(hit),
                Err(kept) => kept,
            }
        };
        exchange.keep(Keep {
            collector: Collector::default(),
            cached: cached.clone(),
            key,
            owner,
            kept,
        });
        None
    }

    /// What is compared of the request with other questions, or why nothing is.
    fn compared(&self, asked: &Asked, owner: &Owner) -> Option<Comparing<'_>> {
        let semantic = self.cached.semantic.as_ref()?;
        let scope = self.scope(semantic.scope, owner);
        let read = semantic.read(asked, scope, (self.route, self.seen.report));
        Some((semantic, read))
    }

    /// The answer to the same request, or to a question that is alike; else by what this one's will be found.
    async fn find(
        &self,
        (key, compared): (&Digest, Option<Comparing<'_>>),
        wanted: Directives,
        exchange: &mut Exchange,
    ) -> Result<Hit, Kept> {
        let cached = self.cached;
        let (store, now_ms) = (&cached.store, exchange.now_ms());
        let absent = match cached.get(key, (now_ms, wanted.max_age)).await {
            Ok(found) => return Ok(cached.hit(found, None)),
            Err(absent) => absent.name(),
        };
        let (semantic, compared) = match compared {
            Some((semantic, Ok(compared))) => (semantic, compared),
            Some((_, Err(reason))) => {
                missed(cached, (reason, None), exchange);
                return Err(Kept::default());
            }
            None => {
                missed(cached, (absent, None), exchange);
                return Err(Kept::default());
            }
        };
        let at = (now_ms, wanted.max_age);
        let (pending, shadow) = match semantic.look(store, &compared, at, &cached.metrics).await {
            Looked::Hit(found) if semantic.mode == CacheModeConfig::Serve => {
                return Ok(cached.hit(found.found, Some(found.score)));
            }
            Looked::Hit(found) => {
                watched(cached, &found, exchange);
                (None, Some(Shadow(found)))
            }
            Looked::Miss(refused, pending) => {
                let reason = match refused.reason {
                    "unknown" => absent,
                    reason => reason,
                };
                missed(cached, (reason, refused.cosine), exchange);
                (pending, None)
            }
        };
        let alike = Some(semantic.keeps(compared, pending));
        Err(Kept { alike, shadow })
    }

    fn asked(&self, wanted: Directives) -> Result<Asked, &'static str> {
        if wanted.no_store {
            return Err("no_store");
        }
        if self.cached.exact.is_zero() && self.cached.semantic.is_none() {
            return Err("off");
        }
        let (operation, body) = (self.request.operation, &self.request.body);
        Asked::read(operation, body, &self.cached.limits)
    }

    /// Everything besides the body that must be the same.
    fn scope(&self, scope: CacheScopeConfig, owner: &Owner) -> Keyer {
        let cached = self.cached;
        let mut keyer = Keyer::new(&cached.secret, "aplomb cache 1");
        keyer.text(&owner.tenant);
        let values = self.seen.restorer.digest(&cached.secret);
        match (scope, &values) {
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

/// `cosine`: of the question that came nearest.
fn missed(cached: &Cached, (reason, cosine): (&'static str, Option<f32>), exchange: &mut Exchange) {
    cached.metrics.miss(reason);
    exchange.cache_looked(CacheFacts {
        result: CacheResult::Miss,
        reason: Some(reason),
        cosine,
        ..CacheFacts::default()
    });
}

/// An answer would have been served, and is only compared with the one that comes.
fn watched(cached: &Cached, found: &Match, exchange: &mut Exchange) {
    cached.metrics.miss("shadow");
    exchange.cache_looked(CacheFacts {
        result: CacheResult::Miss,
        reason: Some("shadow"),
        source: Some(RequestId::from_bytes(found.found.source)),
        score: Some(found.score),
        ..CacheFacts::default()
    });
}

impl Cached {
    /// The entry of a key, which another node may have put.
    async fn get(
        &self,
        key: &Digest,
        (now_ms, max_age): (u64, Option<Duration>),
    ) -> Result<Found, Absent> {
        match (self.store.get(key, now_ms, max_age), &self.shared) {
            (Err(Absent::Unknown), Some(shared))
                if shared.fetch(&self.store, key, now_ms).await =>
            {
                self.store.get(key, now_ms, max_age)
            }
            (found, _) => found,
        }
    }

    /// Gives an entry to the other nodes.
    fn share(&self, key: Digest, entry: Entry) {
        if let Some(shared) = &self.shared {
            shared.offer(key, entry);
        }
    }

    fn hit(&self, found: Found, score: Option<f32>) -> Hit {
        Hit {
            found,
            score,
            replay: self.replay,
            metrics: self.metrics.clone(),
        }
    }
}

impl Hit {
    /// What the record says of it.
    pub(crate) fn facts(&self, saved_nano: Option<i64>) -> CacheFacts {
        let metrics = &self.metrics;
        let result = match self.score {
            None => {
                metrics.hits_exact.add(1);
                CacheResult::HitExact
            }
            Some(_) => {
                metrics.hits_semantic.add(1);
                CacheResult::HitSemantic
            }
        };
        let saved = saved_nano.and_then(|nano| u64::try_from(nano).ok());
        metrics.saved_nano.add(saved.unwrap_or(0));
        CacheFacts {
            result,
            reason: None,
            score: self.score,
            age_ms: u64::try_from(self.found.age.as_millis()).ok(),
            source: Some(RequestId::from_bytes(self.found.source)),
            saved_nano,
            ..CacheFacts::default()
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

    /// The answer is not kept.
    pub(crate) fn leave(self, why: &'static str) {
        self.cached.metrics.unkept(why);
    }

    /// The answer is whole: it is kept, if it may be.
    pub(crate) fn settle(self, record: &Record, now_ms: u64) {
        let Keep {
            collector,
            cached,
            key,
            owner,
            kept: Kept { alike, .. },
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
            alike: alike.as_ref().map(alike::Found::alike),
        };
        match cached.store.put(key, entry.clone(), now_ms) {
            Put::TooLarge => cached.metrics.unkept("size"),
            Put::Kept { evicted } => {
                cached.metrics.kept.add(1);
                cached.metrics.evicted.add(evicted);
                match alike {
                    Some(alike) => alike.attach(cached.clone(), key, entry),
                    None => cached.share(key, entry),
                }
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
    metrics.vectors.set(wide(fill.vectors));
}
