//! Where the exchange of a first caller that has left lies while its call goes on for others.

use super::lead::Used;
use super::{Listener, Piece, Tapes};
use crate::settle::Exchange;
use aplomb_latency::share::tape::Next;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first caller's part in its call, while it listens.
pub(crate) struct Lead {
    /// Where its exchange goes when it leaves.
    pub(super) desk: Arc<Desk>,
    /// What it reads.
    pub(super) tape: Arc<Tapes>,
    /// How many events its exchange has noted.
    pub(super) seen: u64,
}

impl Lead {
    /// Its exchange has noted another event.
    pub(crate) fn saw(&mut self) {
        self.seen += 1;
    }

    /// The first caller has left, or is over: its exchange is noted to the end of the call.
    pub(crate) fn go_on(self, exchange: Exchange) {
        // Before the events stands the head.
        let reader = self.tape.follow(self.seen + 1);
        self.desk.put(Box::new(Following { exchange, reader }));
    }
}

/// An exchange that is noted without its caller.
struct Following {
    exchange: Exchange,
    reader: Listener,
}

impl Following {
    fn catch_up(&mut self) {
        while let Some(Next::Piece(piece)) = self.reader.try_next() {
            if let Piece::Event(event) = piece {
                self.exchange.saw(&event);
            }
        }
    }

    /// The call has ended. Of what was said while its caller was too slow at least the tokens are noted.
    fn settle(self, used: &Used) {
        let mut exchange = self.exchange;
        exchange.used(used);
    }
}

/// Where the exchange of a caller that has left lies while its call goes on.
#[derive(Default)]
pub(super) struct Desk(Mutex<OnDesk>);

#[derive(Default)]
pub(super) struct OnDesk {
    following: Option<Box<Following>>,
    /// The call has ended.
    is_closed: bool,
    /// What the call has used.
    pub(super) used: Used,
}

impl OnDesk {
    /// The exchange that lies here notes what was said meanwhile.
    pub(super) fn follow(&mut self) {
        if let Some(following) = &mut self.following {
            following.catch_up();
        }
    }
}

impl Desk {
    pub(super) fn lock(&self) -> MutexGuard<'_, OnDesk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut following: Box<Following>) {
        let mut desk = self.lock();
        following.catch_up();
        if !desk.is_closed {
            desk.following = Some(following);
            return;
        }
        let used = desk.used;
        drop(desk);
        following.settle(&used);
    }
}

/// An open desk. Dropping it settles what lies on it.
pub(super) struct Open(pub(super) Arc<Desk>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut desk = self.0.lock();
        desk.is_closed = true;
        let (left, used) = (desk.following.take(), desk.used);
        drop(desk);
        if let Some(mut following) = left {
            following.catch_up();
            following.settle(&used);
        }
    }
}
