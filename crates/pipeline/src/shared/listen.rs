//! Callers that read another one's call, or their own one that others may have joined.

use super::{Begins, Begun, Fallen, Head, Listener, Piece};
use crate::settle::Exchange;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_latency::share::tape::Next;
use aplomb_observe::record::SharedFacts;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use aplomb_providers::stream::{EventStream, Feed};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::time::{Instant, timeout_at};

/// A request that gets the answer of another one.
pub(crate) struct Listens {
    /// Reads it.
    pub(super) reader: Listener,
    /// Whose it is.
    pub(super) facts: SharedFacts,
}

impl Listens {
    /// The answer, as soon as it has begun (streams) or is whole.
    ///
    /// Cancel safe: dropping the future leaves the call.
    ///
    /// # Errors
    /// The call failed, or the time of this request is used up.
    pub(crate) async fn begin(mut self, exchange: &mut Exchange, deadline: Instant) -> Begins {
        let since = Instant::now();
        let head = match timeout_at(deadline, next(&mut self.reader)).await {
            Ok(Next::Piece(Piece::Head(head))) => head,
            Ok(Next::Failed(fallen)) => {
                exchange.fell(fallen.0.spent);
                return Err(fallen.fault().error);
            }
            Ok(Next::Cut) => return Err(too_slow().error),
            Ok(Next::Piece(Piece::Event(_)) | Next::Done) => return Err(headless()),
            Err(_) => return Err(timed_out()),
        };
        exchange.shares(&head, self.facts, since.elapsed());
        rest(self.reader, &head, (exchange.record().stream, deadline)).await
    }
}

async fn next(reader: &mut Listener) -> Next<Piece, Fallen> {
    poll_fn(|cx| reader.poll_next(cx)).await
}

fn headless() -> ApiError {
    ApiError::new(ErrorCode::Internal, "a shared answer has no beginning")
}

fn timed_out() -> ApiError {
    let message = "the time for this request is used up";
    ApiError::new(ErrorCode::UpstreamTimeout, message)
}

fn too_slow() -> UpstreamFault {
    let message =
        "this answer is shared with another request of yours, and this one was read too slowly";
    UpstreamFault {
        error: ApiError::new(ErrorCode::Overloaded, message),
        ..UpstreamFault::new(FaultKind::Reset, message)
    }
}

/// What comes after the head: a stream as it comes, a whole answer when it is whole.
pub(super) async fn rest(
    mut reader: Listener,
    head: &Head,
    (stream, deadline): (bool, Instant),
) -> Begins {
    let dropped = head.dropped.clone();
    let mut held = VecDeque::new();
    if stream {
        let events = EventStream::fed(Box::new(Fed(reader)));
        return Ok(Begun {
            held,
            events,
            dropped,
        });
    }
    loop {
        match timeout_at(deadline, next(&mut reader)).await {
            Ok(Next::Piece(Piece::Event(event))) => held.push_back(event),
            Ok(Next::Piece(Piece::Head(_))) => {}
            Ok(Next::Done) => break,
            Ok(Next::Failed(fallen)) => return Err(fallen.fault().error),
            Ok(Next::Cut) => return Err(too_slow().error),
            Err(_) => return Err(timed_out()),
        }
    }
    Ok(Begun {
        held,
        events: EventStream::whole(Vec::new()),
        dropped,
    })
}

/// A reader as the source of an answer's events.
struct Fed(Listener);

impl Feed for Fed {
    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ChatEvent, UpstreamFault>>> {
        loop {
            return match self.0.poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Next::Piece(Piece::Head(_))) => continue,
                Poll::Ready(Next::Piece(Piece::Event(event))) => Poll::Ready(Some(Ok(event))),
                Poll::Ready(Next::Done) => Poll::Ready(None),
                Poll::Ready(Next::Failed(fallen)) => Poll::Ready(Some(Err(fallen.fault()))),
                Poll::Ready(Next::Cut) => Poll::Ready(Some(Err(too_slow()))),
            };
        }
    }
}
