//! The embedding model of a provider.

use crate::attempt::{self, attempt};
use crate::policy::{Target, Timeouts, default_timeouts};
use crate::turn::own_turn;
use aplomb_catalog::prices::Prices;
use aplomb_core::clock::Clock;
use aplomb_core::dialect;
use aplomb_core::embed::{Embed, EmbedFault, Then, Vector};
use aplomb_core::event::ChatEvent;
use aplomb_core::request::Operation;
use aplomb_core::usage::Usage;
use aplomb_engines::tasks::Tasks;
use aplomb_observe::metrics::CacheMetrics;
use aplomb_privacy::mask::More;
use aplomb_privacy::room::{Who, guard};
use aplomb_providers::call::CallContext;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Calls that run at most; beyond it a text gets no vector.
const CALLS_MAX: usize = 64;
/// Longest call. Whoever waits for a vector waits for less; a late one still serves later questions.
const CALL_TIME: Duration = Duration::from_secs(10);
/// Dimensions before the first vector has come.
const DIMS: usize = 1_536;
/// Most numbers of a vector. Chosen: more than any embedding model gives.
const DIMS_MAX: usize = 16_384;

/// Calls a provider for each text. The texts are masked already; whether it may see them is asked before.
pub(crate) struct Remote(Arc<Call>);

struct Call {
    target: Target,
    prices: Arc<Prices>,
    clock: Arc<dyn Clock>,
    metrics: Arc<CacheMetrics>,
    tasks: Tasks,
    running: AtomicUsize,
}

/// What calls are made with.
pub(crate) struct Tools {
    pub(crate) prices: Arc<Prices>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<CacheMetrics>,
    pub(crate) tasks: Tasks,
}

#[derive(Deserialize)]
struct Body {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    embedding: Vec<f32>,
}

impl Remote {
    pub(crate) fn new(target: Target, tools: Tools) -> Self {
        let Tools {
            prices,
            clock,
            metrics,
            tasks,
        } = tools;
        Remote(Arc::new(Call {
            target,
            prices,
            clock,
            metrics,
            tasks,
            running: AtomicUsize::new(0),
        }))
    }
}

impl Embed for Remote {
    fn space(&self) -> &str {
        &self.0.target.name
    }

    fn dims(&self) -> usize {
        DIMS
    }

    fn embed(&self, text: String, then: Then) {
        let call = self.0.clone();
        if call.running.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
            call.running.fetch_sub(1, Ordering::Relaxed);
            return then(Err(EmbedFault::Busy));
        }
        self.0.tasks.spawn(async move {
            let vector = call.vector(&text).await;
            call.running.fetch_sub(1, Ordering::Relaxed);
            then(vector.ok_or(EmbedFault::Failed));
        });
    }
}

impl Call {
    /// The vector; `None` whatever goes wrong: nobody is told more than that it failed.
    async fn vector(&self, text: &str) -> Option<Vector> {
        let target = &self.target;
        let deadline = Instant::now() + CALL_TIME;
        let body = json!({ "model": &*target.model, "input": text, "encoding_format": "float" });
        let request = dialect::read(Operation::Embeddings, Bytes::from(body.to_string())).ok()?;
        let who = Who {
            tenant: "aplomb",
            user: "embedding",
        };
        let guarded = guard(None, who, request, &More::default()).ok()?;
        let context = CallContext {
            now_ms: self.clock.now_ms(),
            ..CallContext::default()
        };
        let timeouts = Timeouts {
            total: CALL_TIME,
            ..default_timeouts()
        };
        let ask = attempt::Ask {
            request: &guarded.request,
            context: &context,
            timeouts: &timeouts,
            deadline,
            filtered: attempt::Filtered::Failure,
        };
        let _permit = own_turn(target, 1, deadline).await.ok()?;
        let Ok(begun) = attempt(target, &ask).await else {
            target.metrics.failed.add(1);
            return None;
        };
        target.metrics.answered.add(1);
        self.charge(begun.held.iter());
        let body = begun.held.iter().find_map(|event| match event {
            ChatEvent::RawBody(raw) => Some(&raw.data),
            _ => None,
        })?;
        let body: Body = serde_json::from_slice(body).ok()?;
        let values = body.data.into_iter().next()?.embedding;
        let sound = !values.is_empty()
            && values.len() <= DIMS_MAX
            && values.iter().all(|number| number.is_finite());
        sound.then_some(Vector { values, cut: false })
    }

    /// Counts what the call used, with its target and with the cache.
    fn charge<'a>(&self, events: impl Iterator<Item = &'a ChatEvent>) {
        let usage = events.fold(None, |known, event| match event {
            ChatEvent::Usage(usage) => Some(*usage),
            _ => known,
        });
        let usage: Usage = usage.unwrap_or_default();
        let target = &self.target;
        target.metrics.input_tokens.add(usage.input_total());
        let price = self
            .prices
            .price(&target.provider.name, &target.model, self.clock.now_ms());
        if let Some(cost) = price.and_then(|price| u64::try_from(price.cost(&usage).0).ok()) {
            self.metrics.embedding_nano.add(cost);
        }
    }
}
