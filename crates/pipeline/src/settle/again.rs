//! Answers that are given again, from the response cache or from another exchange's call.

use super::{Exchange, ms};
use crate::cached::{Hit, Keep};
use crate::shared::{Head, Lead, Used};
use aplomb_observe::record::{CacheFacts, SharedFacts};
use std::sync::Arc;
use std::time::Duration;

impl Exchange {
    /// What the response cache did with the request.
    pub(crate) fn cache_looked(&mut self, facts: CacheFacts) {
        self.record.cache = Some(Box::new(facts));
    }

    /// The answer is gathered, to be given again.
    pub(crate) fn keep(&mut self, keep: Keep) {
        self.keep = Some(Box::new(keep));
    }

    /// Whether the answer is gathered.
    pub(crate) fn is_kept(&self) -> bool {
        self.keep.is_some()
    }

    /// The answer comes from the response cache. `waited`: so long it was held back, to come as it did before.
    pub(crate) fn hit(&mut self, hit: &Hit, waited: Duration) {
        let answer = &hit.found.answer;
        self.given((*answer.target).into(), answer.simulated, waited);
        let saved = answer.usage.and_then(|usage| self.price_of(&usage));
        self.record.cache = Some(Box::new(hit.facts(saved)));
    }

    /// The answer is that of another exchange's call, for whose beginning this one has waited.
    pub(crate) fn shares(&mut self, head: &Head, facts: SharedFacts, waited: Duration) {
        self.given(head.target.clone(), head.simulated, waited);
        self.record.shared = Some(Box::new(facts));
    }

    /// The call that it waited for failed, and its chain of targets was gone through or not.
    pub(crate) fn fell(&mut self, spent: bool) {
        self.record.chain_spent = spent;
    }

    /// An answer without a call of its own begins.
    pub(super) fn given(&mut self, target: Arc<str>, simulated: bool, waited: Duration) {
        self.upstream += waited;
        let now = self.state.clock.instant();
        let since = now.saturating_duration_since(self.arrived);
        let overhead = since.saturating_sub(self.upstream);
        self.state.metrics.overhead.observe(overhead);
        self.record.ttft_ms = Some(ms(since));
        self.record.overhead_ms = Some(ms(overhead));
        self.record.target = Some(target);
        self.record.simulated = simulated;
        self.record.status = 200;
    }

    /// Its call is one that others may have joined.
    pub(crate) fn leads(&mut self, lead: Lead) {
        self.lead = Some(Box::new(lead));
    }

    /// What its call has used in all, whether it has seen that or not.
    pub(crate) fn used(&mut self, used: &Used) {
        self.usage = used.usage.or(self.usage);
        self.output_bytes = self.output_bytes.max(used.output_bytes);
    }

    /// All that it holds, for somebody else who goes on with it. What is left of it settles nothing.
    pub(super) fn moved_out(&mut self) -> Self {
        self.settled = true;
        Exchange {
            state: self.state.clone(),
            weight: self.weight,
            called: self.called.clone(),
            record: std::mem::take(&mut self.record),
            arrived: self.arrived,
            upstream: self.upstream,
            input_bytes: self.input_bytes,
            output_bytes: self.output_bytes,
            usage: self.usage,
            target: self.target.take(),
            prices: self.prices.clone(),
            evals: self.evals.clone(),
            recording: self.recording,
            texts: self.texts.take(),
            operation: self.operation,
            route: self.route.clone(),
            tenant: self.tenant.clone(),
            trace: self.trace.take(),
            pauses: std::mem::take(&mut self.pauses),
            error: self.error,
            keep: self.keep.take(),
            admission: self.admission.take(),
            charged: self.charged.take(),
            spend: self.spend.take(),
            suspicion: self.suspicion,
            terms: self.terms,
            lead: None,
            settled: false,
        }
    }
}
