//! One request's way: routed, tried, committed.

use crate::cached::{self, Seen};
use crate::guard;
use crate::limits::{self, Downgrades, Limits};
use crate::plan::Plan;
use crate::policy::Route;
use crate::relay::{Filters, Relay};
use crate::settle::Exchange;
use crate::shared::{Begun, Call, Place, Sharer, Wish};
use crate::turn::Notice;
use crate::validated::{self, Kind};
use aplomb_core::error::ApiError;
use aplomb_core::id::TraceContext;
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use aplomb_latency::cache::directive::Directives;
use aplomb_latency::queue::Class;
use aplomb_observe::record::Outcome;
use aplomb_privacy::room::Guarded;
use aplomb_providers::call::CallContext;
use aplomb_providers::stream::Typed;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A request that was let in.
pub struct Arrival {
    /// What is asked.
    pub request: ChatRequest,
    /// Where it goes.
    pub route: Arc<Route>,
    /// Which trace it belongs to.
    pub trace: TraceContext,
    /// What travels upstream besides the body.
    pub context: CallContext,
    /// The caller's patience, where it is known.
    pub patience: Option<Duration>,
    /// How often the client's SDK has sent this request before.
    pub sent_before: u32,
    /// How urgent the caller says it is.
    pub class: Class,
    /// Where it says that it waits for its turn.
    pub notice: Arc<Notice>,
    /// What the caller wants of the response cache.
    pub cache: Directives,
    /// Limits that may hold for it.
    pub limits: Arc<Limits>,
    /// Where it may go instead when it is over one.
    pub downgrades: Downgrades,
    /// What the caller says about the sharing of its call.
    pub share: Wish,
    /// What answers are to be found in, where the caller says so.
    pub given: Option<String>,
}

/// A request that got no answer. The exchange in it settles when it is dropped.
pub struct Failed {
    /// What the client is told.
    pub error: ApiError,
    /// The exchange, for the headers of the error.
    pub exchange: Exchange,
}

/// Takes a request to its answer's first content (streams) or whole answer.
///
/// Cancel safe: dropping the future ends the upstream call and settles the exchange as `client_gone`; a call that others have
/// joined goes on for them.
///
/// # Errors
/// The last failure, when no attempt gave an answer.
pub async fn chat(mut arrival: Box<Arrival>, mut exchange: Exchange) -> Result<Relay, Box<Failed>> {
    let total = arrival.route.timeouts.total;
    let total = arrival
        .patience
        .map_or(total, |patience| patience.min(total));
    let deadline = Instant::now() + total;
    exchange.class(urgency(&arrival.route, arrival.class));
    let entry = limits::Entry {
        request: &arrival.request,
        route: &arrival.route,
        limits: &arrival.limits,
        downgrades: &arrival.downgrades,
        deadline,
    };
    let admitted = match limits::admit(entry, &mut exchange).await {
        Ok(admitted) => admitted,
        Err(error) => return Err(give_up(error, exchange)),
    };
    if let Err(error) = exchange.spends() {
        return Err(give_up(error, exchange));
    }
    arrival.route = admitted.route.clone();
    let route = arrival.route.clone();
    // A downgrade may have changed the route.
    exchange.class(urgency(&route, arrival.class));
    let guarded = match guard::mask(&route.rules, arrival.request.clone(), &exchange).await {
        Ok(guarded) => guarded,
        Err(error) => return Err(give_up(error, exchange)),
    };
    let Guarded {
        request,
        restorer,
        screen,
        report,
    } = guarded;
    let filters = Filters {
        watch: None,
        screen,
        restorer,
    };
    exchange.masked(route.rules.shield.as_deref(), &report);
    let sent = admitted.bounded(&request);
    let sent = sent.and_then(|bounded| {
        validated::instructed(&route.checking, bounded.unwrap_or_else(|| request.clone()))
    });
    let given = arrival.context_of(&exchange);
    let (sent, given) = match sent.and_then(|sent| Ok((sent, given?))) {
        Ok(sent) => sent,
        Err(error) => return Err(give_up(error, exchange)),
    };
    exchange.asked(&sent);
    if let Err(error) = exchange.begin().await {
        return Err(give_up(error, exchange));
    }
    let back = Back {
        route: &route,
        filters,
        deadline,
    };
    let wish = (std::mem::take(&mut arrival.share), arrival.cache);
    let restorer = &back.filters.restorer;
    let sharer = Sharer::of((&route, &request), restorer, wish, &exchange);
    match sharer.as_ref().map_or(Ok(None), |sharer| sharer.known()) {
        Ok(None) => {}
        Ok(Some(listens)) => {
            let begun = Box::pin(listens.begin(&mut exchange, deadline)).await;
            return back.shared(begun, exchange);
        }
        Err(error) => return Err(give_up(error, exchange)),
    }
    let seen = Seen {
        restorer,
        report: &report,
    };
    match cached::look(&route, &request, seen, arrival.cache, &mut exchange).await {
        Ok(None) => {}
        Ok(Some(hit)) => {
            let relay = hit.relay(&route, exchange, back.filters, deadline).await;
            return Ok(relay);
        }
        Err(error) => return Err(give_up(error, exchange)),
    }
    let plain = sharer.as_ref().is_some_and(|sharer| sharer.plain);
    let checks = route.checking.validation(request.get().operation);
    let plain = plain || checks.is_some();
    arrival.context.typed = typed(&back.filters, plain, &exchange);
    let mut plan = Plan::new(&route);
    if let Err(error) = guard::agree(&route, &report, &mut plan) {
        exchange.no_agreement();
        return Err(give_up(error, exchange));
    }
    if let Err(error) = limits::written(&mut exchange).await {
        return Err(give_up(error, exchange));
    }
    let call = arrival.call((sent, given), plan, (&exchange, deadline));
    match sharer {
        None => back.alone(call, exchange).await,
        // Most requests share nothing, and need no room for it.
        Some(sharer) => Box::pin(back.shares(call, sharer, exchange)).await,
    }
}

impl Arrival {
    /// What answers are to be found in, masked, where the route checks for that. Such an answer is for this caller alone: what
    /// is right by one context may be wrong by another.
    ///
    /// # Errors
    /// What the privacy policy refuses.
    fn context_of(&mut self, exchange: &Exchange) -> Result<Option<Masked<String>>, ApiError> {
        let checks = self.route.checking.validation(self.request.operation);
        let compares = checks.is_some_and(|checks| checks.needs_context());
        let Some(given) = self.given.take().filter(|_| compares) else {
            return Ok(None);
        };
        self.share.alone = true;
        self.cache.no_store = true;
        guard::mask_given(&self.route.rules, &given, exchange).map(Some)
    }

    /// The upstream call for what was masked.
    fn call(
        self: Box<Self>,
        (request, given): (Masked<ChatRequest>, Option<Masked<String>>),
        plan: Plan,
        (exchange, deadline): (&Exchange, Instant),
    ) -> Box<Call> {
        let class = urgency(&self.route, self.class);
        Box::new(Call {
            route: self.route,
            request,
            given,
            trace: self.trace,
            context: self.context,
            plan,
            deadline,
            conversation: conversation(exchange),
            sent_before: self.sent_before,
            class,
            notice: self.notice,
        })
    }
}

/// The way of an answer to the client.
struct Back<'a> {
    route: &'a Route,
    filters: Filters,
    deadline: Instant,
}

impl Back<'_> {
    /// A call for one caller.
    async fn alone(
        mut self,
        call: Box<Call>,
        mut exchange: Exchange,
    ) -> Result<Relay, Box<Failed>> {
        match call.walk(Kind::Own, &mut exchange).await {
            Ok(won) => {
                self.filters.watch = won.watch;
                let timeouts = &self.route.timeouts;
                let call = (won.begun, Some(won.flight));
                Ok(Relay::new(
                    call,
                    exchange,
                    self.filters,
                    timeouts,
                    self.deadline,
                ))
            }
            Err(error) => Err(self.failed(error, exchange)),
        }
    }

    /// A call that others may join, or another one's.
    async fn shares(
        self,
        call: Box<Call>,
        sharer: Box<Sharer>,
        mut exchange: Exchange,
    ) -> Result<Relay, Box<Failed>> {
        match sharer.enter() {
            Ok(Place::Alone) => self.alone(call, exchange).await,
            Ok(Place::First(source, reader)) => {
                let (begun, exchange) = sharer.lead(call, (source, reader), exchange).await;
                self.shared(begun, exchange)
            }
            Ok(Place::Listens(listens)) => {
                let begun = listens.begin(&mut exchange, self.deadline).await;
                self.shared(begun, exchange)
            }
            Err(error) => Err(give_up(error, exchange)),
        }
    }

    fn shared(
        self,
        begun: Result<Begun, ApiError>,
        exchange: Exchange,
    ) -> Result<Relay, Box<Failed>> {
        let Begun {
            held,
            events,
            dropped,
        } = match begun {
            Ok(begun) => begun,
            Err(error) => return Err(self.failed(error, exchange)),
        };
        let timeouts = &self.route.timeouts;
        let said = (held, events);
        let mut relay = Relay::replaying(said, exchange, self.filters, timeouts, self.deadline);
        relay.dropped = dropped;
        Ok(relay)
    }

    /// What was noted is what the provider said; the client reads its own words.
    fn failed(mut self, error: ApiError, exchange: Exchange) -> Box<Failed> {
        let mut failed = give_up(error, exchange);
        let restorer = &mut self.filters.restorer;
        restorer.error(&mut failed.error);
        let restored = restorer.restored();
        failed.exchange.restored(restored, &BTreeMap::new());
        failed
    }
}

/// How urgent a request is: as its route says, or less so.
fn urgency(route: &Route, class: Class) -> Class {
    match class {
        Class::Interactive => route.manner.class,
        Class::Batch => Class::Batch,
    }
}

/// What the turns of a conversation have in common, where the client names it.
fn conversation(exchange: &Exchange) -> Option<u64> {
    let record = exchange.record();
    let session = record.session.as_ref()?;
    let mut hasher = DefaultHasher::new();
    (&record.tenant, session).hash(&mut hasher);
    Some(hasher.finish())
}

/// Whether somebody looks into the texts of the answer.
fn typed(filters: &Filters, plain: bool, exchange: &Exchange) -> Typed {
    match (plain || exchange.is_kept(), filters.screen.is_some()) {
        (true, _) => Typed::Always,
        (false, true) => Typed::Streams,
        (false, false) => Typed::Never,
    }
}

fn give_up(error: ApiError, mut exchange: Exchange) -> Box<Failed> {
    exchange.failed(Outcome::Error, &error);
    Box::new(Failed { error, exchange })
}
