//! An answer on its way to the client, after its first content.

use crate::attempt::Begun;
use crate::policy::Timeouts;
use crate::settle::Exchange;
use aplomb_core::error::ApiError;
use aplomb_core::event::ChatEvent;
use aplomb_observe::record::{Outcome, Record};
use aplomb_providers::encode::Dropped;
use aplomb_providers::fault::FaultKind;
use aplomb_providers::stream::EventStream;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The events of a committed answer. Dropping it ends the upstream call and settles the exchange.
pub struct Relay {
    exchange: Exchange,
    held: VecDeque<ChatEvent>,
    events: EventStream,
    /// Fields of the request that the provider has no counterpart for.
    pub dropped: Vec<Dropped>,
    idle: Duration,
    deadline: Instant,
    last: Instant,
    timer: Pin<Box<Sleep>>,
    ended: bool,
}

impl Relay {
    pub(crate) fn new(
        begun: Begun,
        exchange: Exchange,
        timeouts: &Timeouts,
        deadline: Instant,
    ) -> Self {
        let last = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(deadline.min(last + timeouts.idle)));
        let Begun {
            held,
            events,
            dropped,
        } = begun;
        Relay {
            exchange,
            held,
            events,
            dropped,
            idle: timeouts.idle,
            deadline,
            last,
            timer,
            ended: false,
        }
    }

    /// The record as it is so far.
    pub fn record(&self) -> &Record {
        self.exchange.record()
    }

    /// The next event; `None` after the last one of a complete answer. After an error nothing more comes.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ChatEvent, ApiError>>> {
        if let Some(event) = self.held.pop_front() {
            self.exchange.saw(&event);
            return Poll::Ready(Some(Ok(event)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            match self.events.poll_next(cx) {
                Poll::Ready(Some(Ok(event))) => {
                    self.last = Instant::now();
                    self.exchange.saw(&event);
                    return Poll::Ready(Some(Ok(event)));
                }
                Poll::Ready(Some(Err(fault))) => {
                    self.cut(&fault.error);
                    return Poll::Ready(Some(Err(fault.error)));
                }
                Poll::Ready(None) => {
                    self.ended = true;
                    self.exchange.done();
                    return Poll::Ready(None);
                }
                Poll::Pending => {}
            }
            // The timer is not moved with every event; when it fires, it is looked up what is really due.
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let idle_at = self.last + self.idle;
            let now = Instant::now();
            if now >= self.deadline {
                self.events.give_up(FaultKind::Total);
            } else if now >= idle_at {
                self.events.give_up(FaultKind::Idle);
            }
            let due = self
                .deadline
                .min(idle_at)
                .max(now + Duration::from_millis(1));
            self.timer.as_mut().reset(due);
        }
    }

    /// All events of a whole answer.
    pub fn into_whole(mut self) -> (Vec<ChatEvent>, Exchange) {
        for event in &self.held {
            self.exchange.saw(event);
        }
        self.exchange.done();
        (self.held.into(), self.exchange)
    }

    /// The gateway ends the answer itself.
    pub fn cut(&mut self, error: &ApiError) {
        self.ended = true;
        self.held.clear();
        self.exchange.failed(Outcome::Cut, error);
    }
}
