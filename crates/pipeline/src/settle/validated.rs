//! What an exchange notes of answers that are held and checked.

use super::Exchange;
use crate::plan::class;
use crate::policy::Target;
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_latency::class::Charge;
use aplomb_observe::record::ValidationFacts;
use aplomb_providers::call::Kind;
use aplomb_providers::fault::UpstreamFault;
use aplomb_validate::course::Course;
use aplomb_validate::verdict::{By, Outcome, Verdict};
use std::time::Duration;

/// In the place of a class of failure: the answer came, and was turned down.
const VALIDATION: &str = "validation";

impl Exchange {
    /// An answer was held for so long after its first content.
    pub(crate) fn held(&mut self, took: Duration) {
        self.state.metrics.validation.hold.observe(took);
        self.waited(took);
    }

    /// An answer that was held broke off.
    pub(crate) fn broke(&mut self, attempt: usize, target: &Target, fault: &UpstreamFault) {
        target.metrics.fault(fault.kind.name());
        if class(fault).action().charge == Charge::Input {
            self.lose(target);
        }
        if let Some(attempt) = self.record.attempts.get_mut(attempt) {
            attempt.fault = Some(fault.kind.name());
        }
    }

    /// An answer was looked at.
    pub(crate) fn judged(&self, course: &Course, took: Duration) {
        let metrics = &self.state.metrics;
        metrics.validation.checks.observe(took);
        for by in course.failed_first() {
            metrics.validator(&by.validator).failed(by.check);
        }
    }

    /// It was decided about an answer.
    pub(crate) fn validated(&mut self, verdict: &Verdict) {
        let facts = self.record.validation.get_or_insert_default();
        for taken in verdict.steps.iter().skip(facts.steps.len()) {
            let metrics = self.state.metrics.validator(&taken.by.validator);
            metrics.took(taken.step.name());
        }
        facts.verdict = verdict.outcome.name();
        facts.tries = verdict.tries;
        facts.by = verdict.by.iter().map(By::to_string).collect();
        let steps = verdict.steps.iter();
        facts.steps = steps
            .map(|taken| (taken.by.to_string(), taken.step.name()))
            .collect();
        let sound = matches!(
            verdict.outcome,
            Outcome::Pass | Outcome::Open | Outcome::Fix | Outcome::Filter
        );
        if !sound && let Some(keep) = self.keep.take() {
            keep.leave("validation");
        }
    }

    /// An answer was turned down: what it used, or else how many bytes it had. It is paid for all the same.
    pub(crate) fn turned_down(
        &mut self,
        attempt: usize,
        target: &Target,
        usage: Result<Usage, u64>,
    ) -> Usage {
        if let Some(attempt) = self.record.attempts.get_mut(attempt) {
            attempt.fault = Some(VALIDATION);
        }
        target.metrics.fault(VALIDATION);
        let usage = usage.unwrap_or_else(|bytes| Usage {
            input: u64::try_from(self.input_bytes.div_ceil(4)).unwrap_or(u64::MAX),
            output: bytes.div_ceil(4),
            source: UsageSource::Estimated,
            ..Usage::default()
        });
        target.metrics.input_tokens.add(usage.input_total());
        target.metrics.output_tokens.add(usage.output);
        let price = match target.provider.kind {
            Kind::Practice(_) => None,
            Kind::OpenAi(_) | Kind::Anthropic => self.price_at(&target.name, &usage),
        };
        let facts = self.record.validation.get_or_insert_default();
        facts.turned_down = facts.turned_down.plus(&usage);
        if let Some(nano) = price {
            let cost = facts.cost_nano.unwrap_or(0).saturating_add(nano);
            facts.cost_nano = Some(cost);
            let nano = u64::try_from(nano).unwrap_or(0);
            target.metrics.cost_nano.add(nano);
            self.state.metrics.validation.cost_nano.add(nano);
        }
        usage
    }

    /// What was turned down of its answers.
    pub(super) fn validation(&self) -> Option<&ValidationFacts> {
        self.record.validation.as_deref()
    }
}
