//! What clients, records and metrics are told of limits.

use super::admit::{Admission, Growth};
use super::need::Need;
use super::{Limit, Standing as Own};
use crate::policy::Route;
use crate::settle::Exchange;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::money::NanoUsd;
use aplomb_limits::room::Reservation;
use aplomb_limits::rule::{Meter, Method};
use aplomb_limits::verdict::{Broken, Standing};
use aplomb_observe::record::{LimitDecision, LimitFacts, Record};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn unit(meter: Meter) -> &'static str {
    match meter {
        Meter::Requests => "requests",
        Meter::Tokens => "tokens",
        Meter::InputTokens => "input tokens",
        Meter::OutputTokens => "output tokens",
        Meter::Cost => "USD",
        Meter::Concurrent => "requests in flight",
    }
}

/// So long a client waits that is over a limit whose room depends on others. Chosen: a short answer's time.
const OTHERS: Duration = Duration::from_secs(1);

/// An amount as people read it.
fn shown(meter: Meter, amount: u64) -> String {
    match meter {
        Meter::Cost => NanoUsd(i64::try_from(amount).unwrap_or(i64::MAX)).to_string(),
        Meter::Requests
        | Meter::Tokens
        | Meter::InputTokens
        | Meter::OutputTokens
        | Meter::Concurrent => amount.to_string(),
    }
}

/// What of a limit is used: `25 of 25 requests`.
fn fill(standing: &Standing) -> String {
    let meter = standing.rule.meter;
    let (used, limit) = (
        shown(meter, standing.level.used),
        shown(meter, standing.limit),
    );
    format!("{used} of {limit} {}", unit(meter))
}

/// An answer has become more expensive than what is left.
pub(super) fn cut(broken: &[Broken]) -> ApiError {
    let first = broken.first().map(|one| &one.standing);
    let message = match first {
        Some(standing) => format!(
            "limit `{}` is used up: {}; the answer ends here",
            standing.rule.name,
            fill(standing)
        ),
        None => "a limit of money is used up; the answer ends here".to_owned(),
    };
    ApiError::new(ErrorCode::BudgetCut, message)
}

/// What a client is told.
fn error(record: &Record, (limits, own): (&[&Limit], &Own), broken: &[Broken]) -> ApiError {
    let first = broken
        .iter()
        .max_by_key(|one| (one.wait.is_none(), one.wait));
    let Some(first) = first else {
        return ApiError::new(ErrorCode::LimitExceeded, "a limit is used up");
    };
    let (rule, standing) = (&first.standing.rule, &first.standing);
    let held = rule.method() == Method::Held;
    let wait = match (first.wait, held) {
        (None, true) => Some(OTHERS),
        // What a shorter answer needs may come before what this one does.
        (None, false) => standing.level.next.filter(|_| rule.meter == Meter::Cost),
        (wait, _) => wait,
    };
    let fill = fill(standing);
    let message = match wait {
        _ if held => format!("limit `{}` is used up: {fill}", rule.name),
        None => format!(
            "limit `{}` has no room for this request: {fill} used, {} more asked for",
            rule.name,
            shown(rule.meter, first.amount)
        ),
        Some(wait) => format!(
            "limit `{}` is used up: {fill}; there is room again in {} s",
            rule.name,
            wait.as_secs_f64().ceil()
        ),
    };
    let code = match rule.meter {
        Meter::Cost => ErrorCode::BudgetExhausted,
        Meter::Requests
        | Meter::Tokens
        | Meter::InputTokens
        | Meter::OutputTokens
        | Meter::Concurrent => ErrorCode::LimitExceeded,
    };
    let mut error = ApiError::new(code, message);
    error.retry_after = wait;
    let names: Vec<&str> = broken.iter().map(|one| &*one.standing.rule.name).collect();
    let wait_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let text = limits.get(first.at).map_or("", |limit| &limit.text);
    error.extension = Some(Box::new(json!({
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "decision_id": record.id.to_string(),
        "rule": &*rule.name,
        "rule_text": text,
        "violated-policies": names,
        "limit": told(rule.meter, standing.limit),
        "used": told(rule.meter, standing.level.used),
        "unit": unit(rule.meter),
        "retry_after_ms": wait_ms,
        "resets_at_ms": wait_ms.filter(|_| !held).map(|ms| record.at_ms.saturating_add(ms)),
        "trust": own.trust.map(|trust| json!({ "level": trust.level.name(), "multiplier": trust.multiplier })),
    })));
    error
}

/// The numbers of a decision, for the record.
fn detail(limit: &Limit, one: &Broken, all: &[Broken], own: &Own) -> Value {
    let (rule, standing) = (&one.standing.rule, &one.standing);
    let names: Vec<&str> = all.iter().map(|one| &*one.standing.rule.name).collect();
    let wait = one
        .wait
        .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    json!({
        "rule_text": limit.text,
        "limit": told(rule.meter, standing.limit),
        "used": told(rule.meter, standing.level.used),
        "asked": told(rule.meter, one.amount),
        "unit": unit(rule.meter),
        "retry_after_ms": wait,
        "violated": names,
        "segments": own.segments.iter().map(|one| &**one).collect::<Vec<_>>(),
        "multiplier": own.multiplier * own.trust.map_or(1.0, |trust| trust.multiplier),
    })
}

/// An amount in JSON: money is a decimal string.
pub(super) fn told(meter: Meter, amount: u64) -> Value {
    match meter {
        Meter::Cost => shown(meter, amount).into(),
        Meter::Requests
        | Meter::Tokens
        | Meter::InputTokens
        | Meter::OutputTokens
        | Meter::Concurrent => amount.into(),
    }
}

/// What the record and the metrics say.
impl Exchange {
    /// The request was let in.
    pub(super) fn admitted(
        &mut self,
        reservation: Reservation,
        (limits, own): (&[&Limit], &Own),
        (waited, need): (Duration, Need),
    ) {
        for one in &reservation.shadowed {
            if let Some(limit) = limits.get(one.at) {
                limit.metrics.shadow.add(1);
                let detail = detail(limit, one, &reservation.shadowed, own);
                self.decided(limit, LimitDecision::Shadow, detail);
            }
        }
        self.soft((limits, own), &reservation);
        if self.limit_decision() == Some(LimitDecision::Queued) {
            self.held_back(waited);
        }
        let standings = reservation.standings().collect();
        let sized = limits.iter().any(|limit| limit.is_sized());
        let ledger = self.state().ledger.as_ref();
        let ledger = ledger.filter(|_| reservation.counts_money());
        let written = ledger.map(|ledger| ledger.journal.written());
        self.set_admission(Admission {
            alone: reservation.is_alone(),
            reservation: Some(reservation),
            standings,
            growth: sized.then(|| Growth::of(need)),
            written,
        });
    }

    /// Notes the rules whose soft shares are reached with this request.
    fn soft(&mut self, (limits, own): (&[&Limit], &Own), reservation: &Reservation) {
        for (standing, amount) in reservation.taken_amounts() {
            let of = |limit: &&&Limit| limit.rule.name == standing.rule.name;
            let Some(limit) = limits.iter().find(of) else {
                continue;
            };
            let before = standing.level.used.saturating_sub(amount);
            let reached = |share: u8| {
                let from = (u128::from(standing.limit) * u128::from(share)).div_ceil(100);
                u128::from(before) < from && from <= u128::from(standing.level.used)
            };
            if !limit.soft.iter().any(|share| reached(*share)) {
                continue;
            }
            limit.metrics.soft.add(1);
            if self.limit_decision().is_none() {
                let one = Broken {
                    at: 0,
                    standing,
                    amount,
                    wait: None,
                };
                let mut detail = detail(limit, &one, &[], own);
                if let Some(detail) = detail.as_object_mut() {
                    detail.remove("violated");
                }
                self.decided(limit, LimitDecision::Soft, detail);
            }
        }
    }

    /// It goes to another route.
    pub(super) fn downgraded(
        &mut self,
        (limits, own): (&[&Limit], &Own),
        broken: &[Broken],
        route: &Route,
    ) {
        if let Some(one) = broken.first()
            && let Some(limit) = limits.get(one.at)
        {
            limit.metrics.downgraded.add(1);
            let detail = detail(limit, one, broken, own);
            self.decided(limit, LimitDecision::Downgraded, detail);
        }
        self.reroute(route);
    }

    /// It waits.
    pub(super) fn queues(
        &mut self,
        (limits, own): (&[&Limit], &Own),
        one: &Broken,
        broken: &[Broken],
    ) {
        let Some(limit) = limits.get(one.at) else {
            return;
        };
        if self.limit_decision() != Some(LimitDecision::Queued) {
            limit.metrics.queued.add(1);
            let detail = detail(limit, one, broken, own);
            self.decided(limit, LimitDecision::Queued, detail);
        }
    }

    /// It is refused.
    pub(super) fn limited(
        &mut self,
        (limits, own): (&[&Limit], &Own),
        broken: Vec<Broken>,
    ) -> ApiError {
        let told = error(self.record(), (limits, own), &broken);
        for (index, one) in broken.iter().enumerate() {
            let Some(limit) = limits.get(one.at) else {
                continue;
            };
            limit.metrics.refused.add(1);
            if index == 0 {
                let detail = detail(limit, one, &broken, own);
                self.decided(limit, LimitDecision::Refused, detail);
            }
        }
        self.set_admission(Admission {
            alone: self.limits_alone() == Some(true),
            standings: broken.into_iter().map(|one| one.standing).collect(),
            ..Admission::default()
        });
        told
    }

    fn decided(&mut self, limit: &Limit, decision: LimitDecision, detail: Value) {
        self.note_limit(LimitFacts {
            rule: limit.rule.name.clone(),
            decision,
            detail: Box::new(detail),
        });
    }
}
