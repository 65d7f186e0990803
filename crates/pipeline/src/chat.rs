//! One request's way: routed, tried, committed.

use crate::attempts::Way;
use crate::cached::{self, Seen};
use crate::guard;
use crate::limits::{self, Downgrades, Limits};
use crate::plan::Plan;
use crate::policy::Route;
use crate::relay::{Filters, Relay};
use crate::settle::Exchange;
use crate::turn::Notice;
use aplomb_core::error::ApiError;
use aplomb_core::id::TraceContext;
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
/// Cancel safe: dropping the future ends the upstream call and settles the exchange as `client_gone`.
///
/// # Errors
/// The last failure, when no attempt gave an answer.
pub async fn chat(arrival: Arrival, mut exchange: Exchange) -> Result<Relay, Box<Failed>> {
    let Arrival {
        request,
        route,
        trace,
        mut context,
        patience,
        sent_before,
        class,
        notice,
        cache,
        limits,
        downgrades,
    } = arrival;
    let total = patience.map_or(route.timeouts.total, |patience| {
        patience.min(route.timeouts.total)
    });
    let deadline = Instant::now() + total;
    let entry = limits::Entry {
        request: &request,
        route: &route,
        limits: &limits,
        downgrades: &downgrades,
        deadline,
    };
    let entered = match limits::admit(entry, &mut exchange).await {
        Ok(admitted) => admitted.apply(request),
        Err(error) => Err(error),
    };
    let (request, route) = match entered {
        Ok(entered) => entered,
        Err(error) => return Err(give_up(error, exchange)),
    };
    let guarded = match guard::mask(&route.rules, request, &exchange).await {
        Ok(guarded) => guarded,
        Err(error) => return Err(give_up(error, exchange)),
    };
    let Guarded {
        request,
        mut restorer,
        screen,
        report,
    } = guarded;
    exchange.masked(route.rules.shield.as_deref(), &report);
    exchange.asked(&request);
    if let Err(error) = exchange.begin().await {
        return Err(give_up(error, exchange));
    }
    let seen = Seen {
        restorer: &restorer,
        report: &report,
    };
    match cached::look(&route, &request, seen, cache, &mut exchange).await {
        Ok(None) => {}
        Ok(Some(hit)) => {
            let filters = Filters { screen, restorer };
            let relay = hit.relay(&route, exchange, filters, deadline).await;
            return Ok(relay);
        }
        Err(error) => return Err(give_up(error, exchange)),
    }
    context.typed = typed(screen.is_some(), &exchange);
    let mut plan = Plan::new(&route);
    if let Err(error) = guard::agree(&route, &report, &mut plan) {
        exchange.no_agreement();
        return Err(give_up(error, exchange));
    }
    if let Err(error) = limits::written(&mut exchange).await {
        return Err(give_up(error, exchange));
    }
    let way = Way {
        route: &route,
        request: &request,
        trace: &trace,
        context,
        deadline,
        conversation: conversation(&exchange),
        sent_before,
        class: match class {
            Class::Interactive => route.manner.class,
            Class::Batch => Class::Batch,
        },
        notice,
    };
    match way.walk(plan, &mut exchange).await {
        Ok(won) => {
            let filters = Filters { screen, restorer };
            let timeouts = &route.timeouts;
            let call = (won.begun, Some(won.flight));
            Ok(Relay::new(call, exchange, filters, timeouts, deadline))
        }
        Err(error) => {
            let mut failed = give_up(error, exchange);
            // What was noted is what the provider said; the client reads its own words.
            restorer.error(&mut failed.error);
            let restored = restorer.restored();
            failed.exchange.restored(restored, &BTreeMap::new());
            Err(failed)
        }
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
fn typed(screened: bool, exchange: &Exchange) -> Typed {
    match (exchange.is_kept(), screened) {
        (true, _) => Typed::Always,
        (false, true) => Typed::Streams,
        (false, false) => Typed::Never,
    }
}

fn give_up(error: ApiError, mut exchange: Exchange) -> Box<Failed> {
    exchange.failed(Outcome::Error, &error);
    Box::new(Failed { error, exchange })
}
