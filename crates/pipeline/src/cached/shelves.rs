//! All caches of the process: how full they are, what they did, and what is removed from them.

use super::show;
use crate::state::State;
use aplomb_config::caches::CacheConfig;
use aplomb_core::clock::Clock;
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::BoxError;
use aplomb_core::id::RequestId;
use aplomb_engines::redis::{Away, Redis};
use aplomb_engines::tasks::Tasks;
use aplomb_latency::cache::shared::Shared;
use aplomb_latency::cache::store::{Purge, Store};
use aplomb_observe::metrics::CacheMetrics;
use indexmap::IndexMap;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::runtime::Handle;

/// One cache: what this node holds, and what it shares.
struct Shelf {
    store: Arc<Store>,
    shared: Option<Arc<Shared>>,
    /// Its news are followed.
    followed: bool,
}

/// The Redis that nodes share, and who this node is.
struct Link {
    redis: Redis,
    node: String,
    secret: Arc<[u8]>,
}

/// All caches by name. They survive a reload; one that the file no longer names is dropped.
#[derive(Default)]
pub struct Caches {
    shelves: Mutex<BTreeMap<String, Shelf>>,
    link: OnceLock<Link>,
}

impl Caches {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shares what is kept from now on over a Redis. `secret` is the same on every node. To be called once, before a policy is
    /// built.
    pub fn share_over(&self, redis: Redis, secret: Arc<[u8]>, now_ms: u64) {
        let node = RequestId::new(now_ms).to_string();
        let link = Link {
            redis,
            node,
            secret,
        };
        // A second one would be a mistake of the program, and changes nothing.
        let _ = self.link.set(link);
    }

    pub(super) fn open(&self, name: &str, bytes_max: usize) -> (Arc<Store>, Option<Arc<Shared>>) {
        let mut shelves = self.lock();
        let shelf = shelves.entry(name.to_owned()).or_insert_with(|| Shelf {
            store: Arc::default(),
            shared: self.link.get().map(|link| {
                let redis = link.redis.clone();
                Arc::new(Shared::new(redis, name, &link.node, link.secret.clone()))
            }),
            followed: false,
        });
        shelf.store.bound(bytes_max);
        (shelf.store.clone(), shelf.shared.clone())
    }

    /// Follows what other nodes put and purge, in each cache that is not followed yet. To be called inside the runtime, after
    /// each change of the policy.
    pub fn follow(&self, tasks: &Tasks, clock: &Arc<dyn Clock>) {
        for shelf in self.lock().values_mut() {
            if let Some(shared) = shelf.shared.clone().filter(|_| !shelf.followed) {
                shelf.followed = true;
                let (store, clock) = (shelf.store.clone(), clock.clone());
                tasks.spawn(async move { shared.run(&store, || clock.now_ms()).await });
            }
        }
    }

    /// Drops the caches that are not named.
    pub(crate) fn only(&self, named: &IndexMap<String, CacheConfig>) {
        self.lock().retain(|name, shelf| {
            let stays = named.contains_key(name);
            if let (false, Some(shared)) = (stays, &shelf.shared) {
                shared.stop();
            }
            stays
        });
    }

    fn all(&self) -> Vec<(String, Arc<Store>, Option<Arc<Shared>>)> {
        let shelves = self.lock();
        let copies = shelves.iter();
        copies
            .map(|(name, shelf)| (name.clone(), shelf.store.clone(), shelf.shared.clone()))
            .collect()
    }

    /// Removes entries of one cache, or of all, on all nodes, and says how many. It blocks, for a thread that may.
    ///
    /// # Errors
    /// They are gone here; the Redis that is shared is away, so that other nodes may still give them.
    pub fn purge(&self, cache: Option<&str>, purge: &Purge) -> Result<u64, Away> {
        let mut removed = 0;
        let mut outcome = Ok(());
        for (name, store, shared) in self.all() {
            if cache.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let here = store.purge(purge);
            let there = shared.map_or(Ok(0), |shared| {
                let runtime = Handle::try_current().map_err(|_| Away)?;
                runtime.block_on(shared.purge(purge))
            });
            removed += here.max(there.unwrap_or(0));
            outcome = outcome.and(there.map(drop));
        }
        outcome.map(|()| removed)
    }

    /// Removes the answer that an exchange gave first.
    ///
    /// # Errors
    /// As [`Caches::purge`].
    pub fn forget(&self, source: RequestId) -> Result<u64, Away> {
        let purge = Purge {
            source: Some(source.to_bytes()),
            ..Purge::default()
        };
        self.purge(None, &purge)
    }

    /// Brings the metrics up to date: what has expired, or was purged, is no longer shown.
    pub fn refresh(&self, state: &State) {
        let now_ms = state.clock.now_ms();
        for (name, store, shared) in self.all() {
            let metrics = state.metrics.cache(&name);
            show(&metrics, store.fill(now_ms));
            if let Some(shared) = shared {
                show_shared(&metrics, &shared);
            }
        }
    }

    /// How full each cache is, and what it did.
    pub fn report(&self, state: &State) -> Vec<Value> {
        let now_ms = state.clock.now_ms();
        let one = |(name, store, shared): (String, Arc<Store>, Option<Arc<Shared>>)| {
            let (fill, metrics) = (store.fill(now_ms), state.metrics.cache(&name));
            show(&metrics, fill);
            let (exact, semantic) = (metrics.hits_exact.get(), metrics.hits_semantic.get());
            let hits = exact + semantic;
            let misses: u64 = metrics.misses().values().sum();
            json!({
                "cache": name,
                "shared": shared.as_deref().map(told),
                "entries": fill.entries,
                "bytes": fill.bytes,
                "bytes_max": fill.bytes_max,
                "vectors": fill.vectors,
                "hits_exact": exact,
                "hits_semantic": semantic,
                "hit_rate": mean(real(hits), hits + misses),
                "misses": metrics.misses(),
                "bypasses": metrics.bypasses(),
                "kept": metrics.kept.get(),
                "unkept": metrics.left_out(),
                "evicted": metrics.evicted.get(),
                "saved_nano": metrics.saved_nano.get(),
                "embedding_nano": metrics.embedding_nano.get(),
                "shadow": metrics.shadow.get(),
                "shadow_agreement": mean(metrics.shadow_agreement(), metrics.shadow.get()),
            })
        };
        self.all().into_iter().map(one).collect()
    }
}

/// How the part stands that is shared.
fn told(shared: &Shared) -> Value {
    let counts = shared.counts();
    json!({
        "up": shared.is_up(),
        "put": counts.put.load(Ordering::Relaxed),
        "unput": counts.unput.load(Ordering::Relaxed),
        "fetched": counts.fetched.load(Ordering::Relaxed),
        "dropped": counts.dropped.load(Ordering::Relaxed),
    })
}

fn show_shared(metrics: &CacheMetrics, shared: &Shared) {
    let counts = shared.counts();
    metrics.shared_up.set(u64::from(shared.is_up()));
    for (gauge, count) in [
        (&metrics.shared_put, &counts.put),
        (&metrics.shared_unput, &counts.unput),
        (&metrics.shared_fetched, &counts.fetched),
        (&metrics.shared_dropped, &counts.dropped),
    ] {
        gauge.set(count.load(Ordering::Relaxed));
    }
}

/// A number, which loses nothing that is seen.
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers above 2^53 keep their size"
)]
fn real(n: u64) -> f64 {
    n as f64
}

/// A mean of what was counted, or a share of it; null where nothing was.
fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / real(count))
}

impl Erase for Caches {
    fn store(&self) -> &'static str {
        "response cache"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        self.purge(None, &of(subject)).map_err(|away| {
            format!("{away}: what other nodes hold is still there; try again").into()
        })
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        let all = self.all().into_iter();
        let entries = all.flat_map(|(name, store, _)| {
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
