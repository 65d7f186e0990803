//! Who asks what at this moment, and what was said lately: whoever asks the same joins the call in flight, or gets the answer
//! again.
//!
//! Calls in flight are as many as requests are; finished answers stand in a [`Store`] with a bound in bytes, in which every
//! entry counts with its overhead, so that it bounds their number too.

use super::tape::{Meter, Reader, Size, Tape};
use crate::cache::key::Digest;
use crate::cache::store::{Entry, Fill, Kept, Listed, Owner, Purge, Put, Store};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happens to a request while the same one is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It gets the same answer.
    Join,
    /// It is refused.
    Reject,
    /// It takes the other one's place.
    Replace,
}

/// A request that may be the same as another one.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What makes it the same.
    pub key: Digest,
    /// What must be the same besides, or else the key was used for something else.
    pub question: Digest,
    /// Whose it is.
    pub owner: Owner,
    /// Its exchange.
    pub source: [u8; 16],
    /// What happens while the same one is in flight.
    pub mode: Mode,
    /// Whether it takes a finished answer.
    pub replay: bool,
    /// Oldest finished answer that it takes; none for any.
    pub age_max: Option<Duration>,
    /// How long its own answer may be given again.
    pub keep: Duration,
    /// When it asks, in milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// What becomes of it.
pub enum Entered<T: Clone, E: Clone> {
    /// It is the first: it makes the call.
    Lead(Box<Source<T, E>>, Reader<T, E>),
    /// It reads what the call of another one says.
    Joined(Reader<T, E>, [u8; 16]),
    /// It reads what was said lately.
    Again(Reader<T, E>, [u8; 16], Duration),
    /// The same request is in flight, and this one is refused.
    Refused,
    /// The same request is in flight, and its answer is too long to be joined by now.
    Closed,
    /// The key was used for another question.
    Mismatch,
}

/// A finished answer.
pub struct Finished<T, E> {
    question: Digest,
    tape: Arc<Tape<T, E>>,
}

impl<T: Clone, E: Clone> Finished<T, E> {
    /// What was said.
    pub fn pieces(&self) -> Vec<T> {
        self.tape.pieces()
    }
}

impl<T: Clone, E: Clone> Kept for Finished<T, E> {
    fn size(&self) -> usize {
        self.tape.memory()
    }
}

struct Flying<T, E> {
    tape: Arc<Tape<T, E>>,
    question: Digest,
    owner: Owner,
    source: [u8; 16],
    since_ms: u64,
    /// Tells it from another call of the same key.
    number: u64,
    keep: Duration,
}

struct Inner<T, E> {
    flying: HashMap<Digest, Flying<T, E>>,
    last: u64,
}

/// Calls in flight and finished answers.
pub struct Register<T, E> {
    inner: Mutex<Inner<T, E>>,
    kept: Store<Finished<T, E>>,
    meter: Arc<Meter>,
}

/// What became of the answer of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is kept; so many others had to go.
    Kept {
        /// Answers that were pushed out.
        evicted: u64,
    },
    /// It is not to be given again.
    Unwanted,
    /// It is too long.
    TooLarge,
    /// It is none.
    Failed,
}

impl<T: Clone, E: Clone> Register<T, E> {
    /// `kept_max`: bytes of finished answers. `flying_max`: bytes of answers in flight beyond which nobody joins.
    pub fn new(kept_max: usize, flying_max: usize) -> Arc<Self> {
        let inner = Inner {
            flying: HashMap::new(),
            last: 0,
        };
        Arc::new(Register {
            inner: Mutex::new(inner),
            kept: Store::new(kept_max),
            meter: Arc::new(Meter::new(flying_max)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T, E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the bound of finished answers; what no longer fits goes.
    pub fn bound(&self, kept_max: usize) {
        self.kept.bound(kept_max);
    }

    /// What is known of the same request; none where it would be the first.
    pub fn known(&self, ask: &Ask) -> Option<Entered<T, E>> {
        self.find(&self.lock(), ask)
    }

    /// A request asks. `replaced`: what those are told whose place it takes.
    pub fn enter(self: &Arc<Self>, ask: Ask, replaced: E, lost: E) -> Entered<T, E> {
        let mut inner = self.lock();
        if let Some(known) = self.find(&inner, &ask) {
            return known;
        }
        let tape = Tape::new(self.meter.clone());
        // A tape that was just made holds its beginning.
        let Some(reader) = tape.join() else {
            return Entered::Closed;
        };
        inner.last += 1;
        let number = inner.last;
        let flying = Flying {
            tape: tape.clone(),
            question: ask.question,
            owner: ask.owner,
            source: ask.source,
            since_ms: ask.now_ms,
            number,
            keep: ask.keep,
        };
        let older = inner.flying.insert(ask.key, flying);
        drop(inner);
        if let Some(older) = older {
            older.tape.end(Err(replaced));
        }
        let source = Source {
            register: self.clone(),
            tape,
            key: ask.key,
            number,
            lost: Some(lost),
        };
        Entered::Lead(Box::new(source), reader)
    }

    fn find(&self, inner: &Inner<T, E>, ask: &Ask) -> Option<Entered<T, E>> {
        if let Some(flying) = inner.flying.get(&ask.key)
            && !flying.tape.is_ended()
        {
            return match ask.mode {
                _ if flying.question != ask.question => Some(Entered::Mismatch),
                Mode::Replace => None,
                Mode::Reject => Some(Entered::Refused),
                Mode::Join => match flying.tape.join() {
                    Some(reader) => Some(Entered::Joined(reader, flying.source)),
                    // It is of no use to anyone: a new call takes its place.
                    None if flying.tape.listeners() == 0 => None,
                    None => Some(Entered::Closed),
                },
            };
        }
        if !ask.replay {
            return None;
        }
        let found = self.kept.get(&ask.key, ask.now_ms, ask.age_max).ok()?;
        if found.answer.question != ask.question {
            return Some(Entered::Mismatch);
        }
        let reader = found.answer.tape.join()?;
        Some(Entered::Again(reader, found.source, found.age))
    }

    /// Removes finished answers, and says how many. Those in flight that fit are not kept when they have ended.
    pub fn purge(&self, purge: &Purge) -> u64 {
        let mut inner = self.lock();
        for flying in inner.flying.values_mut() {
            if purge.fits(&flying.owner, flying.since_ms, flying.source) {
                flying.keep = Duration::ZERO;
            }
        }
        self.kept.purge(purge)
    }

    /// Finished answers that fit, oldest first: when each ended, its route and what was said.
    pub fn list(&self, purge: &Purge) -> Vec<Listed<Finished<T, E>>> {
        self.kept.list(purge)
    }

    /// How full it is with finished answers. What has expired goes first.
    pub fn fill(&self, now_ms: u64) -> Fill {
        self.kept.fill(now_ms)
    }

    /// Calls in flight, and bytes of what they have said.
    pub fn flying(&self) -> (usize, usize) {
        (self.lock().flying.len(), self.meter.held())
    }
}

/// The one who makes a call and writes what it says. Dropping it before the end tells readers that the call was lost.
pub struct Source<T: Clone, E: Clone> {
    register: Arc<Register<T, E>>,
    tape: Arc<Tape<T, E>>,
    key: Digest,
    number: u64,
    /// What readers are told if the call ends without an end.
    lost: Option<E>,
}

impl<T: Clone, E: Clone> Source<T, E> {
    /// What is written.
    pub fn tape(&self) -> &Arc<Tape<T, E>> {
        &self.tape
    }

    /// Writes a piece.
    pub fn push(&self, piece: T, size: Size) {
        self.tape.push(piece, size);
    }

    /// Everything was said, or the call failed.
    pub fn end(mut self, end: Result<(), E>, now_ms: u64) -> Ended {
        self.lost = None;
        let register = self.register.clone();
        let mut inner = register.lock();
        let replaced = self.tape.is_ended();
        self.tape.end(end);
        self.tape.unmeter();
        let Some(flying) = self.leave(&mut inner) else {
            return Ended::Unwanted;
        };
        if replaced || !self.tape.is_success() {
            return Ended::Failed;
        }
        if flying.keep.is_zero() {
            return Ended::Unwanted;
        }
        if !self.tape.is_complete() {
            return Ended::TooLarge;
        }
        let finished = Finished {
            question: flying.question,
            tape: self.tape.clone(),
        };
        let entry = Entry {
            answer: Arc::new(finished),
            owner: flying.owner,
            source: flying.source,
            made_ms: now_ms,
            ttl: flying.keep,
            alike: None,
        };
        match register.kept.put(self.key, entry, now_ms) {
            Put::Kept { evicted } => Ended::Kept { evicted },
            Put::TooLarge => Ended::TooLarge,
        }
    }

    /// Takes the call out of the register, unless a newer one has its place.
    fn leave(&self, inner: &mut Inner<T, E>) -> Option<Flying<T, E>> {
        let own = inner.flying.get(&self.key)?.number == self.number;
        own.then(|| inner.flying.remove(&self.key)).flatten()
    }
}

impl<T: Clone, E: Clone> Drop for Source<T, E> {
    fn drop(&mut self) {
        let Some(lost) = self.lost.take() else { return };
        self.leave(&mut self.register.lock());
        self.tape.end(Err(lost));
    }
}

#[cfg(test)]
mod tests;
