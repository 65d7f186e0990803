//! Lets a request in: at once, after a wait, to another route, with a shorter answer, or not.

use super::need::{Need, bound_name};
use super::tell::cut;
use super::{Downgrades, Limit, Limits, Standing, Who};
use crate::policy::Route;
use crate::settle::Exchange;
use aplomb_config::limits::ExceedConfig;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use aplomb_limits::counter::Now;
use aplomb_limits::lobby::Place;
use aplomb_limits::room::{Ask, Reservation, Turn};
use aplomb_limits::rule::{Meter, Method};
use aplomb_limits::shared::Refusal;
use aplomb_limits::verdict::{self, Broken};
use aplomb_observe::record::LimitDecision;
use aplomb_privacy::room::with_max_output;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

/// What limits said of a request that was let in, or of one that was not.
#[derive(Default)]
pub(crate) struct Admission {
    /// What it has taken; none where it was refused or nothing is limited.
    pub(crate) reservation: Option<Reservation>,
    /// How the rules stand.
    pub(crate) standings: Vec<verdict::Standing>,
    /// What was reserved of its output; none where no rule counts tokens or money.
    pub(crate) growth: Option<Growth>,
    /// Told when the money is written down; none where none is counted, or nothing is written.
    pub(crate) written: Option<oneshot::Receiver<()>>,
    /// This node has decided alone, since what nodes share was away.
    pub(crate) alone: bool,
}

/// Longest wait for money to be written down. Chosen: a disk that is slower is failing.
const WRITTEN: Duration = Duration::from_secs(5);

/// Waits until the money that a request may cost is written down, so that a crash forgets none.
///
/// # Errors
/// It can't be written: money is not spent that nobody would know of.
pub(crate) async fn written(exchange: &mut Exchange) -> Result<(), ApiError> {
    let Some(written) = exchange.take_written() else {
        return Ok(());
    };
    if matches!(timeout(WRITTEN, written).await, Ok(Ok(()))) {
        return Ok(());
    }
    let message = "a limit counts money, and what is spent can't be written down now";
    Err(ApiError::new(ErrorCode::LimitStoreUnavailable, message))
}

/// What was reserved of an answer that grows.
pub(crate) struct Growth {
    /// What the request may use.
    need: Need,
    /// Tokens that are reserved under limits of tokens; none where there is no room for more, and the rest is a debt.
    tokens: Option<u64>,
    /// Tokens that are paid for.
    paid: u64,
}

/// What is reserved at once of an answer that grows, in tokens.
const MORE: u64 = 256;

impl Admission {
    /// The bound of the output was lowered to this, to stay within a limit of money.
    pub(crate) fn clamped(&self) -> Option<u64> {
        self.growth.as_ref()?.need.clamped
    }

    /// The answer has so many tokens by now: more is reserved where that is more than what was. Gives what of money has to be asked
    /// for where nodes share it: the answer waits for that.
    ///
    /// # Errors
    /// A limit of money has nothing left.
    pub(crate) fn grow(&mut self, tokens: u64, now: Now) -> Result<Option<Vec<Ask>>, ApiError> {
        let (Some(growth), Some(reservation)) = (&mut self.growth, &mut self.reservation) else {
            return Ok(None);
        };
        while let Some(reserved) = growth.tokens.filter(|reserved| tokens > *reserved) {
            let more = reservation.extend(now, |meter| match meter {
                Meter::Tokens | Meter::OutputTokens => MORE,
                Meter::Requests | Meter::InputTokens | Meter::Cost | Meter::Concurrent => 0,
            });
            growth.tokens = more.ok().map(|()| reserved.saturating_add(MORE));
        }
        while tokens > growth.paid {
            let cost = growth.need.cost_of_more(growth.paid, MORE);
            let more = |meter| match meter {
                Meter::Cost => cost,
                Meter::Requests
                | Meter::Tokens
                | Meter::InputTokens
                | Meter::OutputTokens
                | Meter::Concurrent => 0,
            };
            if reservation.is_shared() {
                let asks = reservation.more(more);
                if !asks.is_empty() {
                    return Ok(Some(asks));
                }
            } else if let Err(broken) = reservation.extend(now, more) {
                return Err(cut(&broken));
            }
            growth.paid = growth.paid.saturating_add(MORE);
        }
        Ok(None)
    }

    /// What was asked for so that the answer goes on is there, or is not.
    ///
    /// # Errors
    /// A limit of money has nothing left, or can't be counted.
    pub(crate) fn grown(&mut self, more: Result<Reservation, Refusal>) -> Result<(), ApiError> {
        let more = more.map_err(|refusal| match refusal {
            Refusal::Over { broken, .. } => cut(&broken),
            Refusal::Unavailable => {
                let message = "a limit counts money, and the store that counts it is away; the answer ends here";
                ApiError::new(ErrorCode::LimitStoreUnavailable, message)
            }
        })?;
        if let (Some(growth), Some(reservation)) = (&mut self.growth, &mut self.reservation) {
            reservation.join(more);
            growth.paid = growth.paid.saturating_add(MORE);
        }
        Ok(())
    }
}

/// A request that wants to be let in.
pub(crate) struct Entry<'a> {
    /// What it asks.
    pub(crate) request: &'a ChatRequest,
    /// Where it goes.
    pub(crate) route: &'a Arc<Route>,
    /// All limits.
    pub(crate) limits: &'a Limits,
    /// What it may be sent to instead.
    pub(crate) downgrades: &'a Downgrades,
    /// When its time is used up.
    pub(crate) deadline: Instant,
}

/// What is to be done with a request that is over limits.
enum Next {
    Refuse,
    /// It waits for room under the rule of this number, at most until then.
    Wait(usize, Instant),
    /// It goes to this route.
    Downgrade(Arc<Route>),
    /// Its answer is bounded to what so many nano-dollars pay for.
    Clamp(u64),
}

/// A request that was let in.
pub(crate) struct Admitted {
    /// The route that it goes to.
    pub(crate) route: Arc<Route>,
    /// The bound of its output, where it has to be sent: it was lowered, or two names for it say two things.
    bound: Option<u64>,
}

impl Admitted {
    /// The request as it is sent, where that is with another bound. Whether two requests are the same is told by what their
    /// clients have sent: what is left of a budget changes with every one.
    ///
    /// # Errors
    /// Its body can't be read again.
    pub(crate) fn bounded(
        &self,
        request: &Masked<ChatRequest>,
    ) -> Result<Option<Masked<ChatRequest>>, ApiError> {
        let Some(bound) = self.bound else {
            return Ok(None);
        };
        let absent = bound_name(&self.route, request.get().operation);
        with_max_output(request, bound, absent).map(Some)
    }
}

/// Lets a request in, maybe after a wait, maybe to another route. The refusal of a caller that goes on asking is told later and later.
///
/// Cancel safe: dropping the future leaves the line, and nothing is taken.
///
/// # Errors
/// It is over a limit.
pub(crate) async fn admit(entry: Entry<'_>, exchange: &mut Exchange) -> Result<Admitted, ApiError> {
    let admitted = let_in(entry, exchange).await;
    if admitted.is_err() && exchange.limit_decision() == Some(LimitDecision::Refused) {
        let caller = Who::of(exchange.record()).name(&exchange.state().limit_keys);
        let state = exchange.state();
        if let Some(delay) = state.hammer.refused(caller, state.limits_now().run_ms) {
            state.metrics.limits_delayed.add(1);
            sleep_until(Instant::now() + delay.time).await;
        }
    }
    admitted
}

async fn let_in(entry: Entry<'_>, exchange: &mut Exchange) -> Result<Admitted, ApiError> {
    let who = Who::of(exchange.record());
    if entry.limits.earns(&who) {
        exchange.meet();
    }
    let who = Who::of(exchange.record());
    let mut own = entry.limits.standing(&who, exchange.state());
    if exchange.weigh(own.trust.map(|trust| trust.level)) {
        let who = Who::of(exchange.record());
        own = entry.limits.standing(&who, exchange.state());
    }
    exchange.stands(&own);
    let model = exchange.record().model.as_str();
    entry.limits.may_ask(model, &own)?;
    let state = exchange.state().clone();
    let began = Instant::now();
    let mut route = entry.route.clone();
    let mut need = entry.need(&route, exchange);
    let mut passed: Vec<Arc<str>> = Vec::new();
    let mut line: Option<Place> = None;
    let mut turn = Turn::New;
    loop {
        let (limits, asks, own) = entry.asks(exchange, &need, &passed);
        let rules = (limits.as_slice(), &own);
        unpriced(&limits, &need)?;
        let broken = match state.reserve(&asks, turn).await {
            Ok(reservation) => {
                let bound = need.clamped.or_else(|| entry.bound());
                exchange.will_cost(need.usual_cost());
                exchange.admitted(reservation, rules, (began.elapsed(), need));
                return Ok(Admitted { route, bound });
            }
            Err(Refusal::Over { broken, alone }) => {
                if alone {
                    exchange.decided_alone();
                }
                broken
            }
            Err(Refusal::Unavailable) => return Err(exchange.uncounted()),
        };
        match entry.next(&limits, &asks, &broken, began) {
            Next::Clamp(nano) if need.clamp(nano) => {}
            Next::Clamp(_) | Next::Refuse => return Err(exchange.limited(rules, broken)),
            Next::Downgrade(instead) => {
                let names = broken.iter().map(|one| one.standing.rule.name.clone());
                passed.extend(names);
                exchange.downgraded(rules, &broken, &instead);
                need = entry.need(&instead, exchange);
                route = instead;
            }
            Next::Wait(at, until) => {
                let (Some(ask), Some(one)) = (asks.get(at), broken.iter().find(|one| one.at == at))
                else {
                    return Err(exchange.limited(rules, broken));
                };
                let new = line.is_none();
                line = line.or_else(|| state.limits.lobby.enter(ask.key));
                let Some(place) = &line else {
                    return Err(exchange.limited(rules, broken));
                };
                exchange.queues(rules, one, &broken);
                if new && ask.rule.method() == Method::Held {
                    // Room may have come before there was a place to be told at.
                    turn = Turn::Entered;
                    continue;
                }
                match one.wait {
                    Some(wait) => sleep_until(Instant::now() + wait).await,
                    None if !state.place_may_be(place, until).await => {
                        return Err(exchange.limited(rules, broken));
                    }
                    None => {}
                }
                turn = Turn::Told;
            }
        }
    }
}

/// A rule counts money, and nobody knows what the request would cost.
fn unpriced(limits: &[&Limit], need: &Need) -> Result<(), ApiError> {
    let counts = |limit: &&&Limit| limit.rule.meter == Meter::Cost && !limit.rule.shadow;
    match (&need.unpriced, limits.iter().find(counts)) {
        (Some(target), Some(limit)) => {
            let message = format!(
                "limit `{}` counts money, and the price of `{target}` is not known",
                limit.rule.name
            );
            Err(ApiError::new(ErrorCode::NotAllowed, message))
        }
        _ => Ok(()),
    }
}

impl<'a> Entry<'a> {
    /// The rules that hold for a request, and what it asks of them.
    fn asks(
        &self,
        exchange: &Exchange,
        need: &Need,
        passed: &[Arc<str>],
    ) -> (Vec<&'a Limit>, Vec<Ask>, Standing) {
        let (who, keyer) = (Who::of(exchange.record()), &exchange.state().limit_keys);
        let own = self.limits.standing(&who, exchange.state());
        let holds = |limit: &&Limit| limit.holds(&who, &own) && !passed.contains(&limit.rule.name);
        let limits: Vec<&Limit> = self.limits.all.iter().filter(holds).collect();
        let asks = limits
            .iter()
            .map(|limit| limit.ask((&who, &own), keyer, need));
        let asks = asks.collect();
        (limits, asks, own)
    }

    /// What the request may use on this route; nothing is looked for where no rule asks for it.
    fn need(&self, route: &Route, exchange: &Exchange) -> Need {
        if !self.limits.sized {
            return Need::default();
        }
        let state = exchange.state();
        let usual = state.outputs.p90(exchange.kind());
        let at = (exchange.prices(), exchange.record().at_ms);
        Need::of(self.request, route, at, usual)
    }

    /// The bound that has to be sent: servers may follow either of two names.
    fn bound(&self) -> Option<u64> {
        let has = |name: &[u8]| memchr::memmem::find(&self.request.body, name).is_some();
        let both = self.limits.sized && has(b"\"max_tokens\"") && has(b"\"max_completion_tokens\"");
        self.request.max_output_tokens.filter(|_| both)
    }

    fn next(&self, limits: &[&Limit], asks: &[Ask], broken: &[Broken], began: Instant) -> Next {
        // What is too expensive may be made cheaper, if nothing else is in the way.
        if broken
            .iter()
            .all(|one| one.standing.rule.meter == Meter::Cost)
        {
            let left = broken.iter().map(|one| one.standing.remaining()).min();
            let refuses = |one: &Broken| {
                let limit = limits.get(one.at);
                limit.is_some_and(|limit| limit.on_exceed == ExceedConfig::Reject)
            };
            if let Some(left) = left.filter(|_| broken.iter().all(refuses)) {
                return Next::Clamp(left);
            }
        }
        let mut next = Next::Refuse;
        for one in broken {
            let Some(limit) = limits.get(one.at) else {
                return Next::Refuse;
            };
            match &limit.on_exceed {
                ExceedConfig::Reject => return Next::Refuse,
                ExceedConfig::Downgrade(name) => {
                    let known = self.downgrades.iter().find(|(known, _)| **known == **name);
                    let Some((_, route)) = known else {
                        return Next::Refuse;
                    };
                    next = Next::Downgrade(route.clone());
                }
                ExceedConfig::Queue(wait) => {
                    let until = self.deadline.min(began + *wait);
                    let held = asks.get(one.at).map(|ask| ask.rule.method()) == Some(Method::Held);
                    let comes = match one.wait {
                        Some(wait) => Instant::now() + wait <= until,
                        None => held && Instant::now() < until,
                    };
                    if !comes {
                        return Next::Refuse;
                    }
                    if !matches!(next, Next::Downgrade(_)) {
                        next = Next::Wait(one.at, until);
                    }
                }
            }
        }
        next
    }
}

impl Growth {
    pub(super) fn of(need: Need) -> Self {
        let (tokens, paid) = need.reserved();
        Growth {
            need,
            tokens: Some(tokens),
            paid,
        }
    }
}
