//! The spend breakers of a request's tenant and key.

use crate::settle::Exchange;
use crate::state::State;
use aplomb_config::protect::SpendConfig;
use aplomb_core::caller::Caller;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::money::NanoUsd;
use aplomb_limits::rule::Meter;
use aplomb_protect::spend::{Denied, Event, Report, Rules, State as Stands, Ticket};
use serde_json::json;
use std::sync::Arc;

/// Breakers of the file.
pub struct Spend {
    /// When they open, and for how long.
    pub rules: Rules,
    keys: Vec<String>,
    tenants: Vec<String>,
}

impl Spend {
    pub(super) fn of(config: &SpendConfig) -> Option<Self> {
        config.breaker.then(|| Spend {
            rules: Rules {
                from_nano: u64::try_from(config.from.0.0).unwrap_or(0),
                open_ms: u64::try_from(config.open.0.as_millis()).unwrap_or(u64::MAX),
            },
            keys: config.allow.keys.clone(),
            tenants: config.allow.tenants.clone(),
        })
    }

    /// What watches a caller's spending; none where nothing does.
    pub(crate) fn watch(&self, caller: &Caller) -> Option<Box<Watched>> {
        let has = |list: &[String], name: &str| list.iter().any(|one| one == name);
        if has(&self.keys, &caller.key_id) || has(&self.tenants, &caller.tenant) {
            return None;
        }
        let mut names: Vec<Arc<str>> = vec![format!("tenant:{}", caller.tenant).into()];
        if !caller.key_id.is_empty() {
            names.push(format!("key:{}", caller.key_id).into());
        }
        Some(Box::new(Watched {
            rules: self.rules,
            names,
            will_cost: 0,
            ticket: None,
        }))
    }
}

/// A request whose spending is watched.
pub(crate) struct Watched {
    rules: Rules,
    names: Vec<Arc<str>>,
    will_cost: u64,
    ticket: Option<Ticket>,
}

impl Watched {
    /// Its breakers.
    pub(super) fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}

impl State {
    /// How all breakers stand, and which of them stand otherwise since somebody asked.
    pub fn breaker_reports(&self, rules: &Rules) -> (Vec<Report>, Vec<Event>) {
        self.breakers.report(self.limits_now().run_ms, rules)
    }

    /// Tells of breakers that stand otherwise now.
    pub fn breakers_changed(&self, events: &[Event]) {
        let metrics = &self.metrics.protect;
        for Event { name, change } in events {
            let usd = |nano: u64| NanoUsd(i64::try_from(nano).unwrap_or(i64::MAX)).to_string();
            let subject = || {
                format!(
                    "{name}: {} USD asked for in 10 s, usual {} USD",
                    usd(change.asked),
                    usd(change.usual)
                )
            };
            match change.state {
                Stands::Throttled => metrics.spend_throttled.add(1),
                Stands::Open { .. } => {
                    metrics.spend_opened.add(1);
                    tracing::warn!(breaker = %name, "spending is far above the usual: a spend breaker has opened");
                    self.decided("spend.open", subject());
                }
                Stands::HalfOpen => self.decided("spend.half_open", subject()),
                // What was only throttled is in the metrics: it comes and goes.
                Stands::Closed => metrics.spend_closed.add(1),
            }
        }
    }
}

impl Exchange {
    /// What it will probably cost.
    pub(crate) fn will_cost(&mut self, nano: u64) {
        if let Some(watched) = &mut self.spend {
            watched.will_cost = nano;
        }
    }

    /// Asks the breakers of its tenant and its key.
    ///
    /// # Errors
    /// One holds it.
    pub(crate) fn spends(&mut self) -> Result<(), ApiError> {
        let Some(watched) = &mut self.spend else {
            return Ok(());
        };
        let state = &self.state;
        let now_ms = state.limits_now().run_ms;
        let (answer, events) =
            state
                .breakers
                .ask(&watched.names, watched.will_cost, now_ms, &watched.rules);
        state.breakers_changed(&events);
        match answer {
            Ok(ticket) => {
                watched.ticket = Some(ticket);
                Ok(())
            }
            Err(denied) => {
                state.metrics.protect.spend_refused.add(1);
                Err(refusal(&denied))
            }
        }
    }

    /// Puts what was spent in the place of what it would probably cost.
    pub(crate) fn settle_spend(&mut self) {
        let Some(watched) = &mut self.spend else {
            return;
        };
        let (ticket, will_cost) = (watched.ticket.take(), watched.will_cost);
        if let Some(ticket) = ticket {
            let spent = self.charged(Meter::Cost).unwrap_or(will_cost);
            self.state.breakers.settle(ticket, spent);
        }
    }
}

fn refusal(denied: &Denied) -> ApiError {
    let whose = denied.name.split(':').next().unwrap_or("tenant");
    let message = match denied.state {
        Stands::Open { .. } => format!(
            "this {whose} suddenly spent far more than usual, so nothing is spent for a while"
        ),
        _ => format!("this {whose} spends far more than usual, so it is held to less for now"),
    };
    let mut error = ApiError::new(ErrorCode::SpendBreakerOpen, message);
    error.retry_after = Some(denied.wait);
    error.extension = Some(Box::new(json!({
        "breaker": whose,
        "state": denied.state.name(),
    })));
    error
}
