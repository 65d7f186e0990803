//! What an exchange notes of its upstream calls, up to the one that answers.

use super::{Exchange, HEDGE_LOST, HedgeEnd, ms};
use crate::plan::class;
use crate::policy::Target;
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_latency::class::Charge;
use aplomb_latency::queue::Class;
use aplomb_observe::otel::span::Call;
use aplomb_observe::record::Attempt;
use aplomb_providers::call::{Base, Kind};
use aplomb_providers::fault::UpstreamFault;
use std::time::Duration;

impl Exchange {
    /// An attempt begins; `span_id` travels upstream.
    pub fn calling(&mut self, target: &Target, span_id: u64) {
        if !matches!(target.provider.kind, Kind::Practice(_)) {
            self.called = Some(target.name.clone());
        }
        let Some(trace) = &mut self.trace else { return };
        let now = self.state.clock.instant();
        trace.calls.push(Call {
            span_id,
            target: target.name.clone(),
            start: now.saturating_duration_since(self.arrived),
            peer: target.provider.base.as_ref().map(Base::peer),
        });
    }

    /// After a failed attempt another one follows, at the same target or at the next one.
    pub fn again(&self, same_target: bool) {
        let counter = if same_target {
            &self.route.retries
        } else {
            &self.route.fallbacks
        };
        counter.add(1);
    }

    /// An attempt failed after `took`.
    pub fn attempt_failed(&mut self, target: &Target, fault: &UpstreamFault, took: Duration) {
        target.metrics.fault(fault.kind.name());
        if let Some(series) = target.metrics.client.of(self.operation) {
            series.duration.observe(took, Some(fault.kind.name()));
        }
        let status = fault
            .error
            .upstream
            .as_ref()
            .map(|upstream| upstream.status);
        if class(fault).action().charge == Charge::Input {
            self.lose(target);
        }
        tracing::debug!(upstream = %target.name, fault = fault.kind.name(), cause = fault.error.cause.as_ref().map(tracing::field::display), "attempt failed");
        self.record.attempts.push(Attempt {
            target: target.name.clone(),
            fault: Some(fault.kind.name()),
            status,
            ms: ms(took),
        });
    }

    /// The provider wants to be left alone, and the request waits for it.
    pub(crate) fn gated(&self) {
        self.route.gate_waits.add(1);
    }

    /// A further call would have been more than the provider's retry budget has.
    pub(crate) fn retry_refused(&mut self) {
        self.record.chain_spent = true;
        self.route.retries_refused.add(1);
    }

    /// A hedge would have been more than the route's budget has.
    pub(crate) fn hedge_refused(&self) {
        self.route.hedges_refused.add(1);
    }

    /// A hedge ended: it gave the answer or not.
    pub(crate) fn hedge_ended(&mut self, end: HedgeEnd) {
        let counter = match end {
            HedgeEnd::Won => &self.route.hedges_won,
            HedgeEnd::Lost => &self.route.hedges_lost,
        };
        counter.add(1);
        self.record.hedge = Some(match end {
            HedgeEnd::Won => "won",
            HedgeEnd::Lost => "lost",
        });
    }

    /// A call was given up after `took`, since another one was faster. Its input is likely to be charged.
    pub(crate) fn hedge_lost(&mut self, target: &Target, took: Duration) {
        self.lose(target);
        self.record.attempts.push(Attempt {
            target: target.name.clone(),
            fault: Some(HEDGE_LOST),
            status: None,
            ms: ms(took),
        });
    }

    /// Books the input of a call that gave no answer, as far as its price is known.
    pub(super) fn lose(&mut self, target: &Target) {
        if matches!(target.provider.kind, Kind::Practice(_)) {
            return;
        }
        let price = self
            .prices
            .price(&target.provider.name, &target.model, self.record.at_ms);
        let usage = Usage {
            input: u64::try_from(self.input_bytes.div_ceil(4)).unwrap_or(u64::MAX),
            source: UsageSource::Estimated,
            ..Usage::default()
        };
        if let Some(price) = price {
            let lost = self.record.lost_cost_nano.unwrap_or(0);
            self.record.lost_cost_nano = Some(lost.saturating_add(price.cost(&usage).0));
        }
    }

    /// Its tenant's share of targets that take only so many calls at a time.
    pub(crate) fn weight(&self) -> u32 {
        self.weight
    }

    /// How urgent it is.
    pub(crate) fn class(&mut self, class: Class) {
        self.record.class = class.name();
    }

    /// It has waited for its turn, and began to wait at this place.
    pub(crate) fn queued(&mut self, position: usize, took: Duration) {
        self.record.queue_position = u32::try_from(position).ok();
        self.record.queue_ms += ms(took);
        self.waited(took);
    }

    /// What its call used, as far as it is known at once.
    pub(crate) fn usage(&self) -> Usage {
        self.usage.unwrap_or_else(|| self.estimate())
    }

    /// The provider's stream took so long after its first content. Its time per output token, where there are several.
    pub(crate) fn upstream_took(&mut self, took: Duration) -> Option<Duration> {
        if !self.record.stream || self.record.is_given_again() {
            return None;
        }
        let between = u32::try_from(self.usage().output).ok()?.checked_sub(1)?;
        let pace = took.checked_div(between)?;
        self.record.upstream_per_token_ms = Some(ms(pace));
        if let Some(series) = self
            .target
            .as_ref()
            .and_then(|one| one.client.of(self.operation))
        {
            series.per_token.observe(pace);
        }
        if let Some(series) = self.route.server.of(self.operation) {
            series.upstream_per_token.observe(pace);
        }
        Some(pace)
    }
}
