//! One upstream call, up to the moment when its answer may go out.

use crate::policy::{Target, Timeouts};
use aplomb_core::error::UpstreamError;
use aplomb_core::event::{ChatEvent, FinishReason};
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use aplomb_providers::call::CallContext;
use aplomb_providers::encode::Dropped;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use aplomb_providers::limits::Limits;
use aplomb_providers::stream::EventStream;
use std::collections::VecDeque;
use std::future::poll_fn;
use tokio::time::{Instant, timeout_at};

/// Most events that are held before the first content. Chosen: real answers have three or four.
const HELD_MAX: usize = 256;

/// An answer whose first content has come, or which is whole.
pub struct Begun {
    /// Events that have come.
    pub held: VecDeque<ChatEvent>,
    /// Where further ones come from.
    pub events: EventStream,
    /// Fields of the request that the provider has no counterpart for.
    pub dropped: Vec<Dropped>,
    /// What the provider said of its limits.
    pub limits: Limits,
}

/// What a target is asked, and how long it may take.
pub struct Ask<'a> {
    /// The client's request.
    pub request: &'a Masked<ChatRequest>,
    /// What travels besides the body.
    pub context: &'a CallContext,
    /// The route's bounds.
    pub timeouts: &'a Timeouts,
    /// When the request's total time is used up.
    pub deadline: Instant,
    /// What an answer is that its provider's content filter stopped before it began.
    pub filtered: Filtered,
}

/// What an answer is that its provider's content filter stopped before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filtered {
    /// An answer like any other.
    Answer,
    /// A failure, so that another target is asked.
    Failure,
}

/// Calls a target and reads its answer up to the first content (streams) or to its end (whole answers).
///
/// Until this returns, nothing has gone to the client: every failure can still be mended by another attempt.
///
/// # Errors
/// The class of the failure, deadlines included.
pub async fn attempt(target: &Target, ask: &Ask<'_>) -> Result<Begun, UpstreamFault> {
    let Ask {
        request,
        context,
        timeouts,
        deadline,
        filtered,
    } = *ask;
    let stream = request.get().delivery.is_stream();
    let first = Instant::now() + timeouts.first_token;
    let (limit, kind) = if stream && first < deadline {
        (first, FaultKind::FirstToken)
    } else {
        (deadline, FaultKind::Total)
    };
    let work = async {
        let opened = target
            .provider
            .call(request, &target.model, context)
            .await?;
        let mut begun = Begun {
            held: VecDeque::new(),
            events: opened.events,
            dropped: opened.dropped,
            limits: opened.limits,
        };
        while let Some(event) = poll_fn(|cx| begun.events.poll_next(cx)).await {
            let event = event?;
            if filtered == Filtered::Failure && event.finish() == Some(&FinishReason::ContentFilter)
            {
                return Err(content_filter());
            }
            let commits = stream && event.is_content();
            begun.held.push_back(event);
            if commits {
                return Ok(begun);
            }
            if stream && begun.held.len() > HELD_MAX {
                return Err(UpstreamFault::new(
                    FaultKind::Malformed,
                    "the provider's stream has no content",
                ));
            }
        }
        if begun.held.iter().any(ChatEvent::is_content) {
            Ok(begun)
        } else {
            Err(UpstreamFault::new(
                FaultKind::Malformed,
                "the provider sent an empty answer",
            ))
        }
    };
    match timeout_at(limit, work).await {
        Ok(result) => result,
        Err(_) if kind == FaultKind::FirstToken => Err(UpstreamFault::new(
            kind,
            "the provider did not begin its answer in time",
        )),
        Err(_) => Err(UpstreamFault::new(
            kind,
            "the time for this request is used up",
        )),
    }
}

fn content_filter() -> UpstreamFault {
    let facets = UpstreamError {
        status: 400,
        kind: Some("invalid_request_error".to_owned()),
        code: Some("content_filter".to_owned()),
        param: None,
    };
    let message = "the provider's content filter stopped the answer";
    UpstreamFault::upstream(facets, message.to_owned(), None)
}
