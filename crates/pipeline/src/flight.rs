//! One upstream call as its target's standing sees it: in flight until it is dropped, and what its end teaches.

use crate::plan::class;
use crate::policy::Target;
use aplomb_latency::breaker::Rule;
use aplomb_latency::class::Class;
use aplomb_latency::gate::{Left, Told};
use aplomb_latency::queue::Permit;
use aplomb_latency::standing::{Failure, InFlight};
use aplomb_observe::metrics::TargetMetrics;
use aplomb_providers::fault::UpstreamFault;
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
    /// A call of so many tokens begins.
    pub(crate) fn begin(target: &Target, tokens: u64, rule: Rule, permit: Option<Permit>) -> Self {
        Flight {
            in_flight: target.standing.begin(tokens, Instant::now().into_std()),
            name: target.name.clone(),
            metrics: target.metrics.clone(),
            rule,
            permit,
        }
    }

    /// So many tokens were really used.
    pub(crate) fn used(&mut self, tokens: u64) {
        if let Some(permit) = &mut self.permit {
            permit.used(tokens);
        }
    }

    /// It gave its first content after `took`.
    pub(crate) fn answered(&mut self, took: Duration, limits: &Limits) {
        let now = Instant::now().into_std();
        if self.in_flight.answered(took, &told(limits), now) {
            self.closed();
        }
    }

    /// Another call was faster.
    pub(crate) fn lost(&mut self, took: Duration) {
        self.in_flight.lost(took, Instant::now().into_std());
    }

    /// It failed, before its answer began or after.
    pub(crate) fn failed(&mut self, fault: &UpstreamFault) {
        let class = class(fault);
        let failure = Failure {
            class,
            retry_after: fault.error.retry_after,
            random: fastrand::f64(),
        };
        let told = fault.limits.as_deref().map(told).unwrap_or_default();
        let now = Instant::now().into_std();
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
