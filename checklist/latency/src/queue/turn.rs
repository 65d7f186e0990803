//! A call's turn: at once, or after a wait that can be given up.

use super::{Call, Decided, Place, Queue};
use crate::adapt::Signal;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What a call gets when it enters.
pub enum Turn {
    /// It may begin.
    Now(Permit),
    /// It waits.
    Later(Waiting),
}

/// Why a call that waited gets no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Its turn came when it was too late.
    Late,
    /// There is more to do than can be done: it was given up for others.
    Shed,
}

/// Right to make one call. Dropping it gives the slot to the next.
#[must_use = "a permit that is dropped at once gives its slot away before the call"]
pub struct Permit {
    queue: Arc<Queue>,
    call: Call,
    used: Option<u64>,
    since: Instant,
    ended: Option<Instant>,
}

impl Permit {
    pub(super) fn new(queue: &Arc<Queue>, call: &Call, now: Instant) -> Self {
        Permit {
            queue: queue.clone(),
            call: call.clone(),
            used: None,
            since: now,
            ended: None,
        }
    }

    /// It took so long: what a target takes at a time may be learned from it. By how many slots there are more, since that
    /// was asked last.
    pub fn took(&self, signal: Signal, time: Duration, now: Instant) -> i64 {
        self.queue.took((signal, time), now);
        self.queue.grown()
    }

    /// The target refused it since it has too much to do, or did not answer in time. By how many slots there are more.
    pub fn refused(&self, now: Instant) -> i64 {
        self.queue.refused(self.since, now);
        self.queue.grown()
    }

    /// So many tokens were really used.
    pub fn used(&mut self, tokens: u64) {
        self.used = Some(tokens);
    }

    /// The call ends at this moment.
    pub fn end(mut self, now: Instant) {
        self.ended = Some(now);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("class", &self.call.class)
            .finish_non_exhaustive()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.ended.unwrap_or_else(Instant::now).max(self.since);
        let spent = (self.used, now - self.since);
        let wake = self.queue.lock().end(&self.call, spent, now);
        wake.into_iter().for_each(Waker::wake);
    }
}

/// A call that waits. Dropping it leaves the queue, and gives a slot back that it was given meanwhile.
pub struct Waiting {
    queue: Arc<Queue>,
    number: u64,
    /// Where it stood when it came.
    pub place: Place,
    call: Call,
    over: bool,
}

impl Waiting {
    pub(super) fn new(queue: &Arc<Queue>, number: u64, place: Place, call: Call) -> Self {
        Waiting {
            queue: queue.clone(),
            number,
            place,
            call,
            over: false,
        }
    }
}

impl Waiting {
    /// For whoever tells the caller where it stands.
    pub fn ticket(&self) -> Ticket {
        Ticket {
            queue: self.queue.clone(),
            number: self.number,
        }
    }
}

/// A place in a queue, to be looked up.
pub struct Ticket {
    queue: Arc<Queue>,
    number: u64,
}

impl Ticket {
    /// Where the call stands by now; none where it waits no longer.
    pub fn place(&self) -> Option<Place> {
        self.queue.place(self.number)
    }
}

impl Future for Waiting {
    type Output = Result<Permit, Missed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let queue = self.queue.clone();
        let mut inner = queue.lock();
        if let Some(waiter) = inner.waiters.get_mut(&self.number) {
            if !waiter
                .waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                waiter.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let decided = inner.decided.remove(&self.number);
        drop(inner);
        self.over = true;
        Poll::Ready(match decided {
            Some(Decided::Granted(since)) => Ok(Permit::new(&queue, &self.call, since)),
            Some(Decided::Missed(missed)) => Err(missed),
            None => Err(Missed::Late),
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut inner = self.queue.lock();
        if let Some(waiter) = inner.waiters.remove(&self.number) {
            let Call { who, class, .. } = &waiter.call;
            inner.lines.of_mut(*class).remove(who, self.number);
            return;
        }
        let decided = inner.decided.remove(&self.number);
        drop(inner);
        if let Some(Decided::Granted(since)) = decided {
            drop(Permit::new(&self.queue, &self.call, since));
        }
    }
}
