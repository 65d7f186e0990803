//! A streamed answer as bytes: keep-alive comments while the model thinks, events as they come, one ending.
//!
//! Everything that is ready goes out with one write; nothing waits for more.

use aplomb_core::dialect::StreamWriter;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_latency::queue::Place;
use aplomb_pipeline::chat::Failed;
use aplomb_pipeline::relay::Relay;
use aplomb_pipeline::turn::Notice;
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// Most bytes of one write. Chosen: a pipe's worth; more would only delay the first of them.
const WRITE_BYTES: usize = 16 * 1024;

/// How often a client that waits for its turn is told where it stands.
const NOTICE: Duration = Duration::from_secs(2);

/// An answer that is still being begun.
pub type Pending = Pin<Box<dyn Future<Output = Result<Relay, Box<Failed>>> + Send>>;

/// A comment that keeps the connection, and says where the request stands if it waits for its turn.
fn comment(place: Option<Place>) -> Bytes {
    match place {
        None => Bytes::from_static(b": keep-alive\n\n"),
        Some(Place { position, wait }) => {
            let eta = wait.as_millis();
            Bytes::from(format!(": queued position={position} eta_ms={eta}\n\n"))
        }
    }
}

enum Phase {
    /// The response is committed, the answer is not.
    Waiting(Pending, Arc<Notice>),
    Relaying(Box<Relay>),
    Over,
}

/// The body of a streamed response.
pub struct AnswerBody {
    phase: Phase,
    writer: StreamWriter,
    keepalive: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl AnswerBody {
    fn new(
        phase: Phase,
        writer: StreamWriter,
        keepalive: Duration,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let last = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(last + keepalive));
        AnswerBody {
            phase,
            writer,
            keepalive,
            last,
            timer,
            stop: Box::pin(stopped(stop)),
        }
    }

    /// For an answer whose first content has come.
    pub fn relaying(
        relay: Relay,
        writer: StreamWriter,
        keepalive: Duration,
        stop: watch::Receiver<bool>,
    ) -> Self {
        AnswerBody::new(Phase::Relaying(Box::new(relay)), writer, keepalive, stop)
    }

    /// For an answer that has not come within the keep-alive time; a comment goes out at once.
    pub fn waiting(
        (pending, notice): (Pending, Arc<Notice>),
        writer: StreamWriter,
        keepalive: Duration,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut body = AnswerBody::new(Phase::Waiting(pending, notice), writer, keepalive, stop);
        body.last = Instant::now().checked_sub(keepalive).unwrap_or(body.last);
        body.timer.as_mut().reset(Instant::now());
        body
    }

    /// The next bytes; `None` at the end.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut out = BytesMut::new();
        self.advance(cx, &mut out);
        if !out.is_empty() {
            self.last = Instant::now();
            return Poll::Ready(Some(out.freeze()));
        }
        if matches!(self.phase, Phase::Over) {
            return Poll::Ready(None);
        }
        self.poll_keepalive(cx)
    }

    fn poll_keepalive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let place = self.place();
            let pace = if place.is_some() {
                NOTICE.min(self.keepalive)
            } else {
                self.keepalive
            };
            let due = self.last + pace;
            if now >= due {
                self.last = now;
                self.timer.as_mut().reset(now + pace);
                return Poll::Ready(Some(comment(place)));
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// Where the request waits for its turn.
    fn place(&self) -> Option<Place> {
        match &self.phase {
            Phase::Waiting(_, notice) => notice.place(),
            Phase::Relaying(_) | Phase::Over => None,
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) {
        if !matches!(self.phase, Phase::Over) && self.stop.as_mut().poll(cx).is_ready() {
            return self.stop_now(out);
        }
        if let Phase::Waiting(pending, _) = &mut self.phase {
            match pending.as_mut().poll(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(relay)) => self.phase = Phase::Relaying(Box::new(relay)),
                Poll::Ready(Err(failed)) => {
                    self.phase = Phase::Over;
                    return self.writer.fail(&failed.error, out);
                }
            }
        }
        while let Phase::Relaying(relay) = &mut self.phase {
            match relay.poll_next(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(event))) => self.writer.write(event, out),
                Poll::Ready(Some(Err(error))) => {
                    self.writer.fail(&error, out);
                    self.phase = Phase::Over;
                }
                Poll::Ready(None) => {
                    self.writer.end(out);
                    self.phase = Phase::Over;
                }
            }
            if out.len() >= WRITE_BYTES {
                return;
            }
        }
    }

    fn stop_now(&mut self, out: &mut BytesMut) {
        let error = ApiError::new(ErrorCode::Overloaded, "the gateway is shutting down");
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.cut(&error);
        }
        self.phase = Phase::Over;
        self.writer.fail(&error, out);
    }
}
