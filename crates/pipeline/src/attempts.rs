//! One request's way through the targets of its route, until an answer begins.

use crate::attempt::{Ask, Begun, Filtered, attempt};
use crate::flight::{Beginning, Flight};
use crate::limits::provider::Charged;
use crate::plan::{Next, Plan, Weighing};
use crate::policy::{Route, Target};
use crate::settle::{Exchange, HedgeEnd};
use crate::turn::{Notice, Wish, at_once, turn};
use crate::validated::{Fate, Kind};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::TraceContext;
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use aplomb_latency::hedge;
use aplomb_latency::queue::{Class, Permit};
use aplomb_providers::call::CallContext;
use aplomb_providers::fault::UpstreamFault;
use aplomb_validate::watch::Watch;
use serde::Deserialize;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Output tokens that an answer is counted with until it is there, for its turn. Chosen: a long answer.
const OUTPUT: u64 = 1000;

/// What all attempts of a request share.
pub(crate) struct Way<'a> {
    /// Whose targets are asked.
    pub route: &'a Route,
    /// What they are asked.
    pub request: &'a Masked<ChatRequest>,
    /// What the caller gives for answers to be found in.
    pub given: Option<&'a Masked<String>>,
    /// Who reads what they say.
    pub kind: Kind,
    /// What they are asked in its place, after an answer that is to be repaired.
    pub instead: Option<Box<Masked<ChatRequest>>>,
    /// The trace that each call is a span of.
    pub trace: &'a TraceContext,
    /// What travels upstream besides the body.
    pub context: CallContext,
    /// When the request's total time is used up.
    pub deadline: Instant,
    /// What turns of one conversation have in common; none where that is not known.
    pub conversation: Option<u64>,
    /// How often the client's SDK has sent this request before.
    pub sent_before: u32,
    /// How urgent it is.
    pub class: Class,
    /// Where it says that it waits.
    pub notice: Arc<Notice>,
}

/// An answer that has begun, and its call, which is in flight until it ends.
pub(crate) struct Won {
    /// The answer.
    pub begun: Begun,
    /// The call.
    pub flight: Flight,
    /// What checks the rest of it on its way out; none where nothing does.
    pub watch: Option<Box<Watch>>,
}

/// Likewise, with what is needed to decide about it.
pub(crate) struct Got<'a> {
    /// The answer and its call.
    pub won: Won,
    /// Whose it is.
    pub target: &'a Target,
    /// Its number among the attempts in the record.
    pub attempt: usize,
}

type Begins = Result<Begun, UpstreamFault>;

/// A call on its way.
struct Call<'a> {
    target: &'a Target,
    flight: Flight,
    /// What it has taken of the budget of its key.
    charged: Option<Charged>,
    begun_at: Instant,
}

/// How a call began or failed, and after which time.
struct End {
    result: Begins,
    took: Duration,
}

/// Which of two calls at once has ended: the one that gave content, or both where the first to end failed.
enum Finish {
    First(End),
    Second(End),
    Both(Box<(End, End)>),
}

impl Call<'_> {
    fn end(&self, result: Begins) -> End {
        let took = self.begun_at.elapsed();
        End { result, took }
    }
}

/// About four bytes a token.
fn tokens(request: &ChatRequest) -> u64 {
    u64::try_from(request.body.len() / 4).unwrap_or(u64::MAX)
}

/// Whether the provider is to keep the answer: a second call would be kept too.
fn is_stored(request: &ChatRequest) -> bool {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        store: Option<serde_json::Value>,
    }
    let body = serde_json::from_slice::<Body>(&request.body);
    body.is_ok_and(|body| body.store.is_some_and(|store| store != false))
}

impl<'a> Way<'a> {
    /// Tries targets in the order of the plan until one has begun an answer that may go out. Every attempt is noted in the
    /// exchange.
    ///
    /// Cancel safe: dropping the future ends the upstream calls.
    ///
    /// # Errors
    /// The last failure, in the provider's words.
    pub(crate) async fn walk(
        &mut self,
        plan: &mut Plan,
        exchange: &mut Exchange,
    ) -> Result<Won, ApiError> {
        let now = Instant::now().into_std();
        let weighing = Weighing {
            tokens: tokens(self.request.get()),
            conversation: self.conversation,
            seed: fastrand::u64(..),
            delivery: self.request.get().delivery,
            class: self.class,
        };
        let (mut at, wait) = plan.first(self.route, &weighing, (now, self.left()))?;
        self.deposit(at, now);
        if !wait.is_zero() {
            exchange.gated();
            self.wait(wait, exchange).await;
        }
        let mut course = self.course();
        loop {
            let Some(target) = self.route.targets.get(at) else {
                let message = "the route has no target";
                return Err(ApiError::new(ErrorCode::Internal, message));
            };
            let fault = match self.call(target, plan, exchange).await {
                Ok(got) if self.route.checking.is_idle() => {
                    exchange.committed(got.target);
                    return Ok(got.won);
                }
                Ok(got) => {
                    let steps = (&mut *plan, &mut *exchange);
                    match self.look(got, &mut course, steps).await? {
                        Fate::Out(won) => return Ok(*won),
                        Fate::Broke(fault) => fault,
                        Fate::Again(next, request) => {
                            at = next;
                            self.instead = request;
                            continue;
                        }
                    }
                }
                Err(fault) => fault,
            };
            let chance = (self.left(), fastrand::f64());
            let affords = |target: &Target| target.upstream.withdraw(Instant::now().into_std());
            match plan.after(self.route, &fault, chance, affords) {
                Next::GiveUp => return Err(fault.error),
                Next::Unaffordable => {
                    exchange.retry_refused();
                    return Err(fault.error);
                }
                Next::Call { target: next, wait } => {
                    let next_target = self.route.targets.get(next);
                    exchange.again(next_target.is_some_and(|next| next.rank == target.rank));
                    at = next;
                    if !wait.is_zero() {
                        self.wait(wait, exchange).await;
                    }
                }
            }
        }
    }

    fn wish(&self) -> Wish {
        let request = self.request.get();
        let output = request.max_output_tokens.unwrap_or(OUTPUT).min(OUTPUT);
        Wish {
            class: self.class,
            cost: tokens(request).saturating_add(output),
            delivery: request.delivery,
            deadline: self.deadline,
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    async fn wait(&self, wait: Duration, exchange: &mut Exchange) {
        tokio::time::sleep(wait).await;
        exchange.waited(wait);
    }

    /// A request pays for retries at the provider that it asks first, and for hedges; one that is a retry of the client's
    /// own is paid for itself.
    fn deposit(&self, at: usize, now: std::time::Instant) {
        let Some(target) = self.route.targets.get(at) else {
            return;
        };
        if self.sent_before > 0 {
            target.upstream.withdraw(now);
            return;
        }
        let manner = &self.route.manner;
        target.upstream.deposit(manner.retry_share, now);
        if let Some(hedging) = &manner.hedging {
            let mut budget = hedging
                .budget
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            budget.deposit(hedging.rule.share);
        }
    }

    /// One attempt at one target, with a second one beside it where the route hedges and the first is slow.
    async fn call(
        &self,
        target: &'a Target,
        plan: &mut Plan,
        exchange: &mut Exchange,
    ) -> Result<Got<'a>, UpstreamFault> {
        let permit = turn(target, self.wish(), (exchange, &self.notice)).await?;
        let charged = self.charge(target, exchange).await?;
        let (call, context) = self.begin(target, (permit, charged), exchange);
        let ask = self.ask(&context);
        let Some(delay) = self.hedge_delay(target) else {
            let end = call.end(attempt(target, &ask).await);
            exchange.waited(end.took);
            return ended(call, end, exchange);
        };
        let mut first = pin!(attempt(target, &ask));
        let first_end = match timeout(delay, &mut first).await {
            Ok(result) => call.end(result),
            Err(_) => match self.second(plan, exchange) {
                // Few calls are hedged, and most need no room for two.
                Some(other) => {
                    let race = self.race((call, first), other, (plan, exchange));
                    return Box::pin(race).await;
                }
                None => call.end(first.await),
            },
        };
        exchange.waited(first_end.took);
        ended(call, first_end, exchange)
    }

    /// Sends a hedge beside a call. The first content wins, the other call is dropped; a failure waits for the other call.
    async fn race(
        &self,
        (mut call, mut first): (Call<'a>, Pin<&mut impl Future<Output = Begins>>),
        (at, other): (usize, (&'a Target, Option<Permit>)),
        (plan, exchange): (&mut Plan, &mut Exchange),
    ) -> Result<Got<'a>, UpstreamFault> {
        plan.hedged(at);
        let charged = match self.charge(other.0, exchange).await {
            Ok(charged) => charged,
            // A hedge is not worth a wait.
            Err(_) => {
                let end = call.end(first.await);
                exchange.waited(end.took);
                return ended(call, end, exchange);
            }
        };
        let (mut hedge, context) = self.begin(other.0, (other.1, charged), exchange);
        let ask = self.ask(&context);
        let mut second = pin!(attempt(hedge.target, &ask));
        let finish = tokio::select! {
            result = &mut first => match call.end(result) {
                end if end.result.is_ok() => Finish::First(end),
                end => Finish::Both(Box::new((end, hedge.end(second.await)))),
            },
            result = &mut second => match hedge.end(result) {
                end if end.result.is_ok() => Finish::Second(end),
                end => Finish::Both(Box::new((call.end(first.await), end))),
            },
        };
        exchange.waited(call.begun_at.elapsed());
        // Noted in the order in which they began.
        match finish {
            Finish::First(end) => {
                let won = ended(call, end, exchange);
                lost(&mut hedge, exchange);
                exchange.hedge_ended(HedgeEnd::Lost);
                won
            }
            Finish::Second(end) => {
                lost(&mut call, exchange);
                exchange.hedge_ended(HedgeEnd::Won);
                ended(hedge, end, exchange)
            }
            Finish::Both(both) => {
                let (one, two) = *both;
                if let Err(fault) = &two.result {
                    plan.hedge_failed(at, fault);
                }
                let one = ended(call, one, exchange);
                let two = ended(hedge, two, exchange);
                let won = if one.is_err() && two.is_ok() {
                    HedgeEnd::Won
                } else {
                    HedgeEnd::Lost
                };
                exchange.hedge_ended(won);
                one.or(two)
            }
        }
    }

    /// Takes from the budget of a target's key.
    async fn charge(
        &self,
        target: &Target,
        exchange: &Exchange,
    ) -> Result<Option<Charged>, UpstreamFault> {
        // Most providers have none, and need no room for it.
        match target.budget {
            None => Ok(None),
            Some(_) => {
                let asked = (self.request.get(), self.route);
                Box::pin(target.charge(asked, exchange)).await
            }
        }
    }

    /// A call begins: in flight, in the trace, with headers of its own.
    fn begin(
        &self,
        target: &'a Target,
        (permit, charged): (Option<Permit>, Option<Charged>),
        exchange: &mut Exchange,
    ) -> (Call<'a>, CallContext) {
        let span_id = TraceContext::new_span();
        let context = CallContext {
            traceparent: Some(self.trace.header(span_id)),
            ..self.context.clone()
        };
        exchange.calling(target, span_id);
        let request = self.request.get();
        let beginning = Beginning {
            tokens: tokens(request),
            delivery: request.delivery,
            rule: self.route.manner.breaker,
            permit,
        };
        let call = Call {
            target,
            flight: Flight::begin(target, beginning),
            charged,
            begun_at: Instant::now(),
        };
        (call, context)
    }

    fn ask<'b>(&'b self, context: &'b CallContext) -> Ask<'b> {
        Ask {
            request: self.instead.as_deref().unwrap_or(self.request),
            context,
            timeouts: &self.route.timeouts,
            deadline: self.deadline,
            filtered: if self.route.manner.on_content_filter {
                Filtered::Failure
            } else {
                Filtered::Answer
            },
        }
    }

    /// After which time a second call is sent; none where this request is not hedged.
    fn hedge_delay(&self, target: &Target) -> Option<Duration> {
        let hedging = self.route.manner.hedging.as_ref()?;
        let request = self.request.get();
        if !request.delivery.is_stream() || tokens(request) > hedge::TOKENS_MAX {
            return None;
        }
        hedging.rule.delay(target.standing.p95())
    }

    /// The target of a hedge, paid for.
    fn second(
        &self,
        plan: &Plan,
        exchange: &mut Exchange,
    ) -> Option<(usize, (&'a Target, Option<Permit>))> {
        let request = self.request.get();
        let now = Instant::now().into_std();
        let (at, healthy, all) = plan.second(self.route, tokens(request), now)?;
        if is_stored(request) || !hedge::allowed(tokens(request), healthy, all) {
            return None;
        }
        let target = self.route.targets.get(at)?;
        let permit = at_once(target, self.wish(), exchange).ok()?;
        let hedging = self.route.manner.hedging.as_ref()?;
        let mut budget = hedging
            .budget
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !budget.withdraw() {
            exchange.hedge_refused();
            return None;
        }
        Some((at, (target, permit)))
    }
}

/// A call began its answer, or failed: noted in the exchange and in its target's standing.
fn ended<'a>(
    mut call: Call<'a>,
    end: End,
    exchange: &mut Exchange,
) -> Result<Got<'a>, UpstreamFault> {
    match end.result {
        Ok(begun) => {
            let attempt = exchange.answered(call.target, end.took);
            call.flight.answered(end.took, &begun.limits);
            exchange.charge(call.charged.take());
            let flight = call.flight;
            Ok(Got {
                won: Won {
                    begun,
                    flight,
                    watch: None,
                },
                target: call.target,
                attempt,
            })
        }
        Err(fault) => {
            call.flight.failed(&fault);
            if let Some(charged) = call.charged.take() {
                charged.failed(&fault, exchange.state());
            }
            exchange.attempt_failed(call.target, &fault, end.took);
            Err(fault)
        }
    }
}

/// A call that another one was faster than.
fn lost(call: &mut Call<'_>, exchange: &mut Exchange) {
    let took = call.begun_at.elapsed();
    call.flight.lost(took);
    exchange.hedge_lost(call.target, took);
}
