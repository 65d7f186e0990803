//! What limits have to do with an exchange: what it has taken of them, and what it is charged.

use super::{Exchange, ms};
use crate::limits::provider::Charged;
use crate::limits::{Admission, Growing, growing};
use crate::policy::Route;
use aplomb_catalog::prices::Prices;
use aplomb_core::error::ApiError;
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_limits::key::Key;
use aplomb_limits::room::Reservation;
use aplomb_limits::rule::Meter;
use aplomb_limits::shared::Refusal;
use aplomb_limits::trust::Terms;
use aplomb_limits::verdict::Standing;
use aplomb_observe::record::{LimitDecision, LimitFacts, Outcome, RiskFacts};
use std::time::Duration;
use tokio::sync::oneshot;

impl Exchange {
    /// What it has taken of limits.
    pub(crate) fn set_admission(&mut self, admission: Admission) {
        self.admission = Some(Box::new(admission));
    }

    /// How the limits stood when it was let in or refused.
    pub fn standings(&self) -> &[Standing] {
        self.admission
            .as_ref()
            .map_or(&[], |admission| &admission.standings)
    }

    /// Whether limits were counted: true also where this node has decided alone, since what nodes share was away. None where
    /// nothing was limited.
    pub fn limits_alone(&self) -> Option<bool> {
        self.admission.as_ref().map(|admission| admission.alone)
    }

    /// This node has decided alone.
    pub(crate) fn decided_alone(&mut self) {
        self.admission.get_or_insert_default().alone = true;
    }

    /// Its caller's plan, and how far it is trusted: level and score.
    pub(crate) fn note_standing(
        &mut self,
        plan: Option<&str>,
        trust: Option<(&'static str, Option<f64>)>,
    ) {
        self.record.plan = plan.map(str::to_owned);
        self.record.trust = trust.map(|(level, _)| level);
        self.record.karma = trust.and_then(|(_, score)| score);
    }

    /// What speaks against it.
    pub(crate) fn note_risk(&mut self, facts: RiskFacts) {
        self.record.risk = Some(Box::new(facts));
    }

    /// What is wanted of trust; none where users have no levels.
    pub(crate) fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// What a limit did with it.
    pub(crate) fn note_limit(&mut self, facts: LimitFacts) {
        self.record.limit = Some(facts);
    }

    /// What a limit did with it so far.
    pub(crate) fn limit_decision(&self) -> Option<LimitDecision> {
        self.record.limit.as_ref().map(|facts| facts.decision)
    }

    /// It has waited for room under a limit.
    pub(crate) fn held_back(&mut self, took: Duration) {
        self.record.queue_ms += ms(took);
        self.waited(took);
    }

    /// It goes to another route than the one it asked for.
    pub(crate) fn reroute(&mut self, route: &Route) {
        self.record.route.clone_from(&route.name);
        self.record.keep = route.record.keep;
        self.recording = route.record;
        self.route = route.metrics.clone();
    }

    /// Told when the money that it may cost is written down.
    pub(crate) fn take_written(&mut self) -> Option<oneshot::Receiver<()>> {
        self.admission.as_mut()?.written.take()
    }

    /// The bound of the output that a limit of money has lowered.
    pub fn clamped(&self) -> Option<u64> {
        self.admission.as_ref()?.clamped()
    }

    /// What was known of prices when it came.
    pub(crate) fn prices(&self) -> &Prices {
        &self.prices
    }

    /// Requests whose answers are about as long.
    pub(crate) fn kind(&self) -> Key {
        let route = self.record.route.as_deref().unwrap_or_default();
        let values = [route, &self.record.model];
        self.state.limit_keys.key("output tokens", values)
    }

    /// Reserves more where the answer has become longer than what was reserved. Gives what has to be waited for.
    ///
    /// # Errors
    /// A limit of money has nothing left.
    pub(crate) fn grow(&mut self) -> Result<Option<Growing>, ApiError> {
        match &mut self.admission {
            Some(admission) if admission.growth.is_some() => {
                let now = self.state.limits_now();
                let more = admission.grow(self.output_bytes.div_ceil(4), now)?;
                Ok(more.map(|asks| growing(self.state.clone(), asks)))
            }
            _ => Ok(None),
        }
    }

    /// What was waited for is there, or is not.
    ///
    /// # Errors
    /// A limit of money has nothing left, or can't be counted.
    pub(crate) fn grown(&mut self, more: Result<Reservation, Refusal>) -> Result<(), ApiError> {
        match &mut self.admission {
            Some(admission) => admission.grown(more),
            None => Ok(()),
        }
    }

    /// A call that has answered took this of the budget of its key. What an answer took that was turned down stays taken.
    pub(crate) fn charge(&mut self, charged: Option<Charged>) {
        self.charged = charged;
    }

    /// What the call has used of the budget of its provider's key.
    fn settle_provider(&mut self) {
        let Some(charged) = self.charged.take() else {
            return;
        };
        let (usage, cost) = (self.record.usage, self.record.cost_nano);
        charged.settle(&self.state, |meter| match meter {
            Meter::Requests | Meter::Concurrent => None,
            Meter::Tokens => Some(usage.input_total().saturating_add(usage.output)),
            Meter::InputTokens => Some(usage.input_total()),
            Meter::OutputTokens => Some(usage.output),
            Meter::Cost => cost.map(|nano| u64::try_from(nano).unwrap_or(0)),
        });
    }

    /// Puts what was used in the place of what was taken of limits.
    pub(super) fn settle_limits(&mut self) {
        self.settle_provider();
        let Some(mut admission) = self.admission.take() else {
            return;
        };
        let record = &self.record;
        let usage = record.usage;
        let reported = usage.source == UsageSource::Provider && !record.is_given_again();
        if admission.growth.is_some() && record.outcome == Outcome::Done && reported {
            self.state.outputs.note(self.kind(), usage.output);
        }
        if let Some(reservation) = &mut admission.reservation {
            let now = self.state.limits_now();
            reservation.settle(now, |meter| self.charged(meter));
        }
        self.admission = Some(admission);
    }

    /// What a limit is charged with; none where that is what was reserved.
    ///
    /// A request that failed since the provider failed is given back. One whose client left before its answer began has used its
    /// input. An answer from the cache has used no tokens.
    pub(crate) fn charged(&self, meter: Meter) -> Option<u64> {
        let record = &self.record;
        // Who got the answer of another request has used what that one has.
        let failed = record.outcome == Outcome::Error && record.status >= 500;
        if failed || record.shared.is_some() {
            return Some(0);
        }
        let mut usage = record.usage;
        let mut cost = record.cost_nano;
        if record.is_given_again() {
            usage = Usage::default();
        } else if record.target.is_none()
            && record.outcome == Outcome::ClientGone
            && let Some(called) = &self.called
        {
            usage.input = u64::try_from(self.input_bytes.div_ceil(4)).unwrap_or(u64::MAX);
            cost = self.price_at(called, &usage);
        }
        // Answers that were turned down are paid for too.
        if let Some(facts) = self.validation() {
            usage = usage.plus(&facts.turned_down);
            cost = cost.map(|nano| nano.saturating_add(facts.cost_nano.unwrap_or(0)));
        }
        match meter {
            Meter::Requests | Meter::Concurrent => None,
            Meter::Tokens => Some(usage.input_total().saturating_add(usage.output)),
            Meter::InputTokens => Some(usage.input_total()),
            Meter::OutputTokens => Some(usage.output),
            Meter::Cost => cost.map(|nano| u64::try_from(nano).unwrap_or(0)),
        }
    }
}
