//! What routes call: a model of a provider with one of its keys, and how a route goes about its targets.

use crate::limits::provider::Budget;
use crate::policy::{Listed, Policy, Target};
use aplomb_config::file::RouteConfig;
use aplomb_config::queue::{ClassConfig, ConcurrencyConfig, LearnByConfig};
use aplomb_config::resilience::{BreakerConfig, ChooseConfig, HedgeAfter, RetryConfig};
use aplomb_core::usage::Usage;
use aplomb_latency::adapt;
use aplomb_latency::breaker;
use aplomb_latency::choose::Choose;
use aplomb_latency::hedge::{self, After, HedgeBudget};
use aplomb_latency::queue::{self, Class};
use aplomb_latency::standing::Standings;
use aplomb_observe::metrics::Metrics;
use aplomb_privacy::agreements::Known;
use aplomb_providers::call::Provider;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// One key of a provider, in one place of a route.
#[derive(Clone)]
pub struct Offer {
    /// The provider with that key.
    pub provider: Arc<Provider>,
    /// Number of the key, from 0.
    pub key: usize,
    /// What the provider is known to have agreed to.
    pub agreement: Arc<Known>,
    /// Place in the route; the keys of one target share it.
    pub rank: usize,
    /// Share among the route's targets.
    pub weight: f64,
    /// What the key may be asked for; none for any number of calls.
    pub budget: Option<Arc<Budget>>,
}

impl Listed {
    /// All keys of the provider, for one place of a route.
    pub fn offers(&self, rank: usize, weight: u32) -> impl Iterator<Item = Offer> {
        let keys = u32::try_from(self.keys.len().max(1)).unwrap_or(1);
        let weight = f64::from(weight) / f64::from(keys);
        self.keys
            .iter()
            .enumerate()
            .map(move |(key, provider)| Offer {
                provider: provider.clone(),
                key,
                agreement: self.agreement.clone(),
                rank,
                weight,
                budget: self.budgets.get(key).cloned(),
            })
    }
}

impl Policy {
    /// A model as it is offered.
    pub(crate) fn target(&self, offer: &Offer, model: &str, metrics: &Metrics) -> Target {
        let provider = &offer.provider;
        let name = format!("{}/{model}", provider.name);
        let metrics = metrics.target(&name);
        if let Some(base) = &provider.base {
            metrics.peer.get_or_init(|| base.peer());
        }
        let now = Instant::now().into_std();
        let mut hasher = DefaultHasher::new();
        (&name, offer.key).hash(&mut hasher);
        Target {
            standing: self.standings.target(&provider.name, model, offer.key, now),
            upstream: self.standings.provider(&provider.name, now),
            context: self.prices.limits(&provider.name, model).context,
            price: self.typical_price(&provider.name, model),
            seat: hasher.finish(),
            rank: offer.rank,
            weight: offer.weight,
            slots: self.slots(&provider.name),
            budget: offer.budget.clone(),
            metrics,
            name: name.into(),
            model: model.into(),
            agreement: offer.agreement.clone(),
            provider: provider.clone(),
        }
    }

    /// A model of a provider with the first of its keys, by `provider/model`.
    pub(crate) fn first_target(&self, name: &str, metrics: &Metrics) -> Option<Target> {
        let (provider, model) = name.split_once('/')?;
        let offer = self.providers.get(provider)?.offers(0, 1).next()?;
        Some(self.target(&offer, model, metrics))
    }

    /// How many calls a provider takes at a time, and how long others wait.
    fn slots(&self, provider: &str) -> Option<queue::Rule> {
        let wide = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let queue = &self.file.queue;
        let config = self.file.providers.get(provider)?;
        let slots = match config.concurrency.as_ref()? {
            ConcurrencyConfig::Fixed(calls) => queue::Slots::Fixed(wide(*calls)),
            ConcurrencyConfig::Learned(learned) => queue::Slots::Learned(adapt::Rule {
                manner: match learned.adaptive.by_of(provider, config) {
                    LearnByConfig::Latency => adapt::Manner::Latency,
                    LearnByConfig::Errors => adapt::Manner::Errors,
                },
                min: wide(learned.adaptive.min),
                max: wide(learned.adaptive.max),
            }),
        };
        Some(queue::Rule {
            slots,
            per_user: wide(queue.per_user),
            interactive: queue.interactive.0,
            batch: queue.batch.0,
        })
    }

    /// Price of three input tokens for each output token, as they are used on the whole.
    fn typical_price(&self, provider: &str, model: &str) -> Option<i64> {
        let price = self.prices.price(provider, model, self.built_ms)?;
        let usage = Usage {
            input: 750_000,
            output: 250_000,
            ..Usage::default()
        };
        Some(price.cost(&usage).0)
    }
}

/// How a route hedges, and what it may spend on it.
#[derive(Clone)]
pub struct Hedging {
    /// When.
    pub rule: hedge::Rule,
    /// Shared by all requests of the route, over reloads.
    pub budget: Arc<Mutex<HedgeBudget>>,
}

/// How a route goes about its targets.
#[derive(Clone)]
pub struct Manner {
    /// Upstream calls in all.
    pub attempts: u32,
    /// Retries as a share of the requests to a provider.
    pub retry_share: f64,
    /// Which target is asked first.
    pub choose: Choose,
    /// Second calls; none where the route does not hedge.
    pub hedging: Option<Hedging>,
    /// A content filter is gone round.
    pub on_content_filter: bool,
    /// When a breaker opens.
    pub breaker: breaker::Rule,
    /// How urgent its requests are.
    pub class: Class,
}

impl Default for Manner {
    fn default() -> Self {
        let retry = RetryConfig::default();
        Manner {
            attempts: retry.attempts,
            retry_share: retry.budget.0,
            choose: Choose::default(),
            hedging: None,
            on_content_filter: false,
            breaker: rule(&BreakerConfig::default()),
            class: Class::Interactive,
        }
    }
}

fn rule(config: &BreakerConfig) -> breaker::Rule {
    breaker::Rule {
        calls_min: config.calls_min,
        share: config.share.0,
        in_a_row: config.in_a_row,
        pause: config.pause.0,
    }
}

impl Manner {
    /// Of a route in the file.
    pub(crate) fn of(name: &str, config: &RouteConfig, standings: &Standings) -> Self {
        let hedging = config.hedge.as_ref().map(|hedge| Hedging {
            rule: hedge::Rule {
                after: match hedge.after {
                    HedgeAfter::P95 => After::P95,
                    HedgeAfter::Fixed(span) => After::Fixed(span.0),
                },
                share: hedge.budget.0,
            },
            budget: standings.hedges(name),
        });
        Manner {
            attempts: config.retry.attempts,
            retry_share: config.retry.budget.0,
            choose: match config.choose {
                ChooseConfig::Ordered => Choose::Ordered,
                ChooseConfig::Weighted => Choose::Weighted,
                ChooseConfig::LeastBusy => Choose::LeastBusy,
                ChooseConfig::Fastest => Choose::Fastest,
                ChooseConfig::Cheapest => Choose::Cheapest {
                    ttft_max: config.ttft_goal.map(|goal| goal.0),
                },
            },
            hedging,
            on_content_filter: config.fallback.on_content_filter,
            breaker: rule(&config.breaker),
            class: match config.class {
                ClassConfig::Interactive => Class::Interactive,
                ClassConfig::Batch => Class::Batch,
            },
        }
    }
}
