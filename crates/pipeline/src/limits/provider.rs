//! What each key of a provider may be asked for: charged for every call, where users are charged once.

use super::need::Need;
use crate::policy::{Route, Target};
use crate::settle::Exchange;
use crate::state::State;
use aplomb_config::limits::{LimitRule, ProviderBudgetConfig};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::request::ChatRequest;
use aplomb_latency::class::Charge;
use aplomb_limits::key::Key;
use aplomb_limits::room::{Ask, Reservation, Turn};
use aplomb_limits::rule::{Meter, Rule};
use aplomb_limits::shared::Refusal;
use aplomb_limits::verdict::Broken;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use std::sync::Arc;
use std::time::Duration;

/// So long a request is told to wait where nobody knows when there is room. Chosen: a rate recovers by then.
const UNKNOWN: Duration = Duration::from_secs(60);

/// The budget of one key.
pub struct Budget {
    rules: Vec<(Arc<Rule>, Key)>,
}

impl Budget {
    /// Of the key of this number.
    ///
    /// # Errors
    /// A time zone that does not exist.
    pub(crate) fn new(
        config: &ProviderBudgetConfig,
        (provider, key): (&str, usize),
        state: &State,
    ) -> Result<Self, String> {
        let rule = |config: LimitRule| -> Result<(Arc<Rule>, Key), String> {
            let name = format!("provider-{provider}-{}", config.meter.name());
            let rule = super::compile::rule(&config, &name, 1.0)?;
            let name = state.limit_keys.key(&name, [key.to_string().as_str()]);
            Ok((Arc::new(rule), name))
        };
        let rules = config.rules().into_iter().map(rule);
        Ok(Budget {
            rules: rules.collect::<Result<_, String>>()?,
        })
    }

    fn asks(&self, need: &Need) -> Vec<Ask> {
        let one = |(rule, key): &(Arc<Rule>, Key)| Ask {
            rule: rule.clone(),
            key: *key,
            limit: rule.limit,
            amount: need.amount(rule.meter, rule.limit),
        };
        self.rules.iter().map(one).collect()
    }
}

/// What one call has taken of its key's budget. Dropping it leaves it charged.
pub(crate) struct Charged {
    taken: Reservation,
    /// Input tokens that were estimated.
    input: u64,
}

impl Target {
    /// Takes from the budget of its key what a call may use; none where it has no budget.
    ///
    /// # Errors
    /// There is not enough left: another target may have it.
    pub(crate) async fn charge(
        &self,
        (request, route): (&ChatRequest, &Route),
        exchange: &Exchange,
    ) -> Result<Option<Charged>, UpstreamFault> {
        let Some(budget) = &self.budget else {
            return Ok(None);
        };
        let state = exchange.state();
        let at = (exchange.prices(), exchange.record().at_ms);
        let usual = state.outputs.p90(exchange.kind());
        let need = Need::of(request, route, at, usual);
        let taken = state.reserve(&budget.asks(&need), Turn::New).await;
        let taken = taken.map_err(|refusal| {
            self.metrics.over_budget.add(1);
            self.spent(&match refusal {
                Refusal::Over { broken, .. } => broken,
                Refusal::Unavailable => Vec::new(),
            })
        })?;
        Ok(Some(Charged {
            taken,
            input: need.amount(Meter::InputTokens, u64::MAX),
        }))
    }

    fn spent(&self, broken: &[Broken]) -> UpstreamFault {
        let waits = broken.iter().map(|one| one.wait.unwrap_or(UNKNOWN));
        let message = format!(
            "the budget of the provider `{}` is used up for now",
            self.provider.name
        );
        let mut error = ApiError::new(ErrorCode::LimitExceeded, message.as_str());
        error.retry_after = Some(waits.max().unwrap_or(UNKNOWN));
        UpstreamFault {
            error,
            ..UpstreamFault::new(FaultKind::Busy, message)
        }
    }
}

impl Charged {
    /// The call gave no answer: what a provider does not charge for is given back, the call itself is not.
    pub(crate) fn failed(mut self, fault: &UpstreamFault, state: &State) {
        let charged = crate::plan::class(fault).action().charge == Charge::Input;
        let input = if charged { self.input } else { 0 };
        self.taken.settle(state.limits_now(), |meter| match meter {
            Meter::Requests | Meter::Concurrent => None,
            Meter::Tokens | Meter::InputTokens => Some(input),
            Meter::OutputTokens => Some(0),
            Meter::Cost if charged => None,
            Meter::Cost => Some(0),
        });
    }

    /// The call gave an answer, and used this.
    pub(crate) fn settle(mut self, state: &State, used: impl Fn(Meter) -> Option<u64>) {
        self.taken.settle(state.limits_now(), used);
    }
}
