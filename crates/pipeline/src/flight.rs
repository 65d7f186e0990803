//! One upstream call as its target's standing sees it: in flight until it is dropped, and what its end teaches.

use crate::plan::class;
use crate::policy::Target;
use aplomb_core::request::Delivery;
use aplomb_core::usage::Usage;
use aplomb_latency::adapt::Signal;
use aplomb_latency::breaker::Rule;
use aplomb_latency::class::Class;
use aplomb_latency::gate::{Left, Told};
use aplomb_latency::queue::Permit;
use aplomb_latency::standing::{Failure, InFlight};
use aplomb_observe::metrics::TargetMetrics;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use aplomb_providers::limits::{self, Limits};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A call in flight.
pub(crate) struct Flight {
    in_flight: InFlight,
    name: Arc<str>,
    metrics: Arc<TargetMetrics>,
    rule: Rule,
    /// Its turn, where the target takes only so many calls at a time.
    permit: Option<Permit>,
    delivery: Delivery,
    /// Until its first content, or its whole answer; none where it failed.
    took: Option<Duration>,
}

/// Fewest output tokens of an answer whose pace says something. Chosen: a handful may come at once.
const TOKENS_LEAST: u32 = 8;

/// A call that begins.
pub(crate) struct Beginning {
    /// Its input tokens.
    pub tokens: u64,
    /// How its answer comes.
    pub delivery: Delivery,
    /// When its target's breaker opens.
    pub rule: Rule,
    /// Its turn, where the target takes only so many calls at a time.
    pub permit: Option<Permit>,
}

/// Whether a failure says that the provider has too much to do.
fn is_overload(fault: &UpstreamFault) -> bool {
    let status = fault.error.upstream.as_ref().map(|facets| facets.status);
    match fault.kind {
        FaultKind::RateLimited | FaultKind::FirstToken | FaultKind::Idle => true,
        FaultKind::Server => matches!(status, Some(503 | 504 | 529)),
        _ => false,
    }
}

fn told(limits: &Limits) -> Told {
    let left = |left: limits::Left| Left {
        remaining: left.remaining,
        reset: left.reset,
    };
    Told {
        requests: limits.requests.map(left),
        tokens: limits.tokens.map(left),
    }
}

impl Flight {
    /// A call begins.
    pub(crate) fn begin(target: &Target, beginning: Beginning) -> Self {
        let Beginning {
            tokens,
            delivery,
            rule,
            permit,
        } = beginning;
        Flight {
            in_flight: target.standing.begin(tokens, Instant::now().into_std()),
            name: target.name.clone(),
            metrics: target.metrics.clone(),
            rule,
            permit,
            delivery,
            took: None,
        }
    }

    /// Its answer is whole, and used so much. `pace`: time of each output token of a stream after its first, where the
    /// provider set it and not the client.
    pub(crate) fn ended(&mut self, usage: &Usage, pace: Option<Duration>) {
        let Some(permit) = &mut self.permit else {
            return;
        };
        permit.used(usage.input_total().saturating_add(usage.output));
        let tokens = u32::try_from(usage.output).unwrap_or(u32::MAX);
        let says = tokens >= TOKENS_LEAST;
        let (signal, time) = match self.delivery {
            Delivery::Stream { .. } => (Signal::PerToken, pace.filter(|_| says)),
            Delivery::Whole if says => {
                let pace = self.took.and_then(|took| took.checked_div(tokens));
                (Signal::WholePerToken, pace)
            }
            Delivery::Whole => (Signal::WholeShort, self.took),
        };
        if let Some(time) = time {
            let grown = permit.took(signal, time, Instant::now().into_std());
            self.metrics.slots.shift(grown);
        }
    }

    /// It gave its first content, or its whole answer, after `took`.
    pub(crate) fn answered(&mut self, took: Duration, limits: &Limits) {
        let now = Instant::now().into_std();
        self.took = Some(took);
        let answer = (self.delivery, took);
        if self.in_flight.answered(answer, &told(limits), now) {
            self.closed();
        }
        if self.delivery.is_stream()
            && let Some(permit) = &self.permit
        {
            let grown = permit.took(Signal::FirstContent, took, now);
            self.metrics.slots.shift(grown);
        }
    }

    /// Another call was faster.
    pub(crate) fn lost(&mut self, took: Duration) {
        self.in_flight.lost(took, Instant::now().into_std());
    }

    /// It failed, before its answer began or after.
    pub(crate) fn failed(&mut self, fault: &UpstreamFault) {
        self.took = None;
        let class = class(fault);
        let failure = Failure {
            class,
            retry_after: fault.error.retry_after,
            random: fastrand::f64(),
        };
        let told = fault.limits.as_deref().map(told).unwrap_or_default();
        let now = Instant::now().into_std();
        if is_overload(fault)
            && let Some(permit) = &self.permit
        {
            self.metrics.slots.shift(permit.refused(now));
        }
        let changed = self.in_flight.failed(&self.rule, &failure, &told, now);
        if changed.closed {
            self.closed();
        }
        if changed.opened {
            self.metrics.breakers_open.up();
            self.metrics.breaker_opened.add(1);
            tracing::warn!(upstream = %self.name, fault = fault.kind.name(), "the target fails, others are asked first");
        }
        if changed.key_aside {
            self.metrics.keys_aside.add(1);
            let why = match class {
                Class::Quota => "its quota is used up",
                _ => "it is not accepted",
            };
            tracing::error!(upstream = %self.name, key = self.in_flight.key_number(), why, "a key of the provider is set aside");
        }
    }

    fn closed(&self) {
        self.metrics.breakers_open.down();
        tracing::info!(upstream = %self.name, "the target is in order again");
    }
}
