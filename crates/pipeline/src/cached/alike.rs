//! Questions that are alike, in a request's way: compared where the same request was not kept.

use super::{Cached, Comparing, Keep};
use crate::embedder::{Local, Pending, Remote, Tools};
use crate::guard;
use crate::policy::{Policy, Route, Target};
use crate::state::State;
use aplomb_config::caches::{CacheModeConfig, CacheScopeConfig, GuardConfig, SemanticConfig};
use aplomb_core::embed::Embed;
use aplomb_latency::cache::alike::{self, Alike, Asking, Match, NoMatch};
use aplomb_latency::cache::guard::{Features, Limits, Strictness, Unsuitable, VERSION, unsuitable};
use aplomb_latency::cache::key::{Digest, Keyer};
use aplomb_latency::cache::request::{Asked, Question};
use aplomb_latency::cache::store::{Entry, Store};
use aplomb_observe::metrics::CacheMetrics;
use aplomb_privacy::mask::Report;
use std::sync::Arc;
use std::time::Duration;

/// How a cache compares questions, compiled.
pub(super) struct Semantic {
    limits: Limits,
    ttl: Duration,
    pub(super) scope: CacheScopeConfig,
    pub(super) mode: CacheModeConfig,
    turns: usize,
    wait: Duration,
    embedder: Arc<dyn Embed>,
    /// The model that sees the questions, where it is a provider's.
    remote: Option<Target>,
}

/// Compiles it. `None` if it names a model that the file does not have, which is an error of the file.
pub(super) fn compile(
    config: &SemanticConfig,
    policy: &Policy,
    state: &State,
    metrics: &Arc<CacheMetrics>,
) -> Option<Semantic> {
    let strictness = match config.guard {
        GuardConfig::Strict => Strictness::Strict,
        GuardConfig::Balanced => Strictness::Balanced,
        GuardConfig::Lenient => Strictness::Lenient,
    };
    let mut limits = Limits::from(strictness);
    if let Some(threshold) = config.threshold {
        limits.threshold = threshold;
    }
    let remote = match &config.model {
        None => None,
        Some(name) => Some(policy.first_target(name, &state.metrics)?),
    };
    let embedder: Arc<dyn Embed> = match &remote {
        None => Arc::new(state.embedder.get_or_init(Local::start).clone()),
        Some(target) => Arc::new(Remote::new(
            target.clone(),
            Tools {
                prices: policy.prices.clone(),
                clock: state.clock.clone(),
                metrics: metrics.clone(),
                tasks: state.tasks.clone(),
            },
        )),
    };
    Some(Semantic {
        limits,
        ttl: config.ttl.0,
        scope: config.scope,
        mode: config.mode,
        turns: usize::try_from(config.turns).unwrap_or(usize::MAX),
        wait: config.wait.0,
        embedder,
        remote,
    })
}

/// A question that is compared.
pub(super) struct Compared {
    space: Digest,
    features: Arc<Features>,
    text: String,
}

/// What comparing gave.
pub(super) enum Looked {
    /// An answer that serves.
    Hit(Match),
    /// None does: why, and the vector for when this question's own answer is kept.
    Miss(NoMatch, Option<Pending>),
}

/// By what an answer that is kept will be found, and the vector that may still come.
pub(super) struct Found {
    alike: Alike,
    pending: Option<Pending>,
}

impl Semantic {
    /// What is compared of a request.
    ///
    /// # Errors
    /// Why it is not compared, in one word.
    pub(super) fn read(
        &self,
        asked: &Asked,
        scope: Keyer,
        (route, report): (&Route, &Report),
    ) -> Result<Compared, &'static str> {
        let question = asked.question().ok_or("form")?;
        if question.turns > self.turns {
            return Err("turns");
        }
        self.suits(&question)?;
        if let Some(target) = &self.remote
            && guard::required(route, report)
                .0
                .lacking(&target.agreement)
                .is_some()
        {
            return Err("not_allowed");
        }
        let mut scope = scope;
        scope.text(self.embedder.space());
        scope.bytes(&[VERSION]);
        Ok(Compared {
            space: question.namespace(scope),
            features: Arc::new(Features::of(&question.text)),
            text: question.text,
        })
    }

    fn suits(&self, question: &Question) -> Result<(), &'static str> {
        match unsuitable(&question.text) {
            // A user may be told again what they were told about themselves.
            Some(Unsuitable::Personal) if self.scope == CacheScopeConfig::User => Ok(()),
            Some(Unsuitable::Personal) => Err("personal"),
            Some(Unsuitable::Momentary) => Err("momentary"),
            Some(Unsuitable::Follows) => Err("follows"),
            Some(Unsuitable::Empty) => Err("empty"),
            Some(Unsuitable::Long) => Err("too_long"),
            None => Ok(()),
        }
    }

    /// Looks for an answer that serves. The vector is waited for only where there is something to compare it with.
    pub(super) async fn look(
        &self,
        store: &Store,
        compared: &Compared,
        (now_ms, max_age): (u64, Option<Duration>),
        metrics: &CacheMetrics,
    ) -> Looked {
        let asking = Asking {
            space: &compared.space,
            features: &compared.features,
            now_ms,
            max_age,
        };
        if let Some(found) = alike::same(store, &asking, &self.limits) {
            return Looked::Hit(found);
        }
        let pending = self.ask(compared);
        let missed = |reason| NoMatch {
            reason,
            cosine: None,
        };
        if !store.has_space(&compared.space) {
            return Looked::Miss(missed("unknown"), Some(pending));
        }
        let begun = std::time::Instant::now();
        let told = pending.wait(self.wait).await;
        metrics.embedding.observe(begun.elapsed());
        match told {
            None => Looked::Miss(missed("embedding_late"), Some(pending)),
            Some(Err(fault)) => Looked::Miss(missed(fault.name()), None),
            Some(Ok(vector)) if vector.cut => Looked::Miss(missed("too_long"), None),
            Some(Ok(vector)) => match alike::near(store, &asking, &vector.values, &self.limits) {
                Ok(found) => Looked::Hit(found),
                Err(refused) => Looked::Miss(refused, Some(pending)),
            },
        }
    }

    /// Asks for the vector of a question.
    pub(super) fn ask(&self, compared: &Compared) -> Pending {
        Pending::ask(&*self.embedder, compared.text.clone())
    }

    /// By what the answer to a question will be found.
    pub(super) fn keeps(&self, compared: Compared, pending: Option<Pending>) -> Found {
        Found {
            alike: Alike {
                space: compared.space,
                features: compared.features,
                vector: None,
                dims: self.embedder.dims(),
                ttl: self.ttl,
            },
            pending,
        }
    }
}

impl Found {
    /// By what the answer is found, as it is kept.
    pub(super) fn alike(&self) -> Alike {
        self.alike.clone()
    }

    /// Adds the vector to the answer that was kept, now or when it comes, and gives both to the other nodes.
    pub(super) fn attach(self, cached: Arc<Cached>, key: Digest, mut entry: Entry) {
        let Some(pending) = self.pending else {
            return cached.share(key, entry);
        };
        pending.then(move |told| {
            if let Ok(vector) = told
                && !vector.cut
            {
                cached.store.attach(&key, &entry.source, &vector.values);
                if let Some(alike) = &mut entry.alike {
                    alike.vector = Some(vector.values.clone());
                }
            }
            cached.share(key, entry);
        });
    }
}

/// What would have been served, had the cache not only been watched.
pub(super) struct Shadow(pub(super) Match);

/// What comparing leaves for when the answer has come.
#[derive(Default)]
pub(super) struct Kept {
    /// By what the answer will be found for other questions.
    pub(super) alike: Option<Found>,
    /// What would have been served instead.
    pub(super) shadow: Option<Shadow>,
}

impl Kept {
    /// Where nothing was compared, as the client wanted.
    pub(super) fn unasked(compared: Option<Comparing<'_>>) -> Self {
        let alike = match compared {
            Some((semantic, Ok(compared))) => {
                let pending = semantic.ask(&compared);
                Some(semantic.keeps(compared, Some(pending)))
            }
            Some((_, Err(_))) | None => None,
        };
        Kept {
            alike,
            shadow: None,
        }
    }
}

impl Keep {
    /// Counts how far the answer that came says what would have been served; `None` where nothing would have been.
    pub(crate) fn agreement(&self) -> Option<f32> {
        let Shadow(would) = self.kept.shadow.as_ref()?;
        let said = self.collector.said();
        let agreement = alike::agreement(&would.found.answer.text(), &said);
        self.cached.metrics.shadowed(agreement);
        Some(agreement)
    }
}
