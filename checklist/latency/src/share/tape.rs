//! What one call says, in pieces, for any number of readers.
//!
//! While a tape holds everything from its beginning, others may join. Beyond [`PAYLOAD_MAX`], or when all tapes together hold
//! more than they may, it lets go of what everyone has read: nobody joins any more, and a reader that is a whole bound behind
//! is cut off as soon as another one waits for more. A lone reader is never cut off: the writer waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Largest answer that others can join, in bytes of what goes out. Specified (design of duplicates).
pub const PAYLOAD_MAX: usize = 1 << 20;
/// How far a tape may be ahead of its readers while all tapes together hold too much. Chosen: a socket's worth.
pub const AHEAD_MAX: usize = 64 * 1024;

/// How large a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes of what goes out.
    pub payload: usize,
    /// Bytes of memory.
    pub memory: usize,
}

/// Memory of all tapes that are being written, and its bound.
#[derive(Debug)]
pub struct Meter {
    held: AtomicUsize,
    max: usize,
}

impl Meter {
    /// With this bound.
    pub fn new(max: usize) -> Self {
        let held = AtomicUsize::new(0);
        Meter { held, max }
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.held() > self.max
    }

    fn add(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<T, E> {
    /// The next piece.
    Piece(T),
    /// Everything was said.
    Done,
    /// The call failed, or was ended from outside.
    Failed(E),
    /// The reader was too far behind.
    Cut,
}

/// Whether anyone waits for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nobody listens.
    Alone,
    /// The tape was ended from outside.
    Ended,
}

struct Place {
    /// Number of the next piece.
    at: u64,
    /// Whether the call goes on for it.
    listens: bool,
    cut: bool,
    waker: Option<Waker>,
}

struct Inner<T, E> {
    pieces: VecDeque<(T, Size)>,
    /// Number of the first piece that is still there.
    first: u64,
    payload: usize,
    memory: usize,
    /// Everything from the beginning is there.
    whole: bool,
    /// Its memory counts among those that are being written.
    metered: bool,
    end: Option<Result<(), E>>,
    places: HashMap<u64, Place>,
    last: u64,
    listeners: usize,
    /// Number of the next piece of the listener that is furthest ahead, or was.
    heard: u64,
    /// The writer, when it waits for room, for the last reader to leave, or for another one to come.
    writers: [Option<Waker>; 3],
}

const ROOM: usize = 0;
const ALONE: usize = 1;
const HEARD: usize = 2;

/// A tape.
pub struct Tape<T, E> {
    inner: Mutex<Inner<T, E>>,
    meter: Arc<Meter>,
}

fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

impl<T: Clone, E: Clone> Tape<T, E> {
    /// An empty tape.
    pub fn new(meter: Arc<Meter>) -> Arc<Self> {
        let inner = Inner {
            pieces: VecDeque::new(),
            first: 0,
            payload: 0,
            memory: 0,
            whole: true,
            metered: true,
            end: None,
            places: HashMap::new(),
            last: 0,
            listeners: 0,
            heard: 0,
            writers: [None, None, None],
        };
        Arc::new(Tape {
            inner: Mutex::new(inner),
            meter,
        })
    }

    /// A reader from the beginning, for which the call goes on. None if the beginning is no longer there.
    pub fn join(self: &Arc<Self>) -> Option<Reader<T, E>> {
        let mut inner = self.lock();
        if !inner.whole {
            return None;
        }
        let id = inner.place(0, true);
        let waker = inner.writers.get_mut(HEARD).and_then(Option::take);
        drop(inner);
        wake(waker.into_iter().collect());
        let tape = self.clone();
        Some(Reader { tape, id })
    }

    /// A reader from a piece on that does not keep the call going. What is no longer there is passed over.
    pub fn follow(self: &Arc<Self>, at: u64) -> Reader<T, E> {
        let id = self.lock().place(at, false);
        let tape = self.clone();
        Reader { tape, id }
    }

    /// Writes a piece. Nothing is written after the end.
    pub fn push(&self, piece: T, size: Size) {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        self.meter.add(size.memory);
        inner.payload += size.payload;
        inner.memory += size.memory;
        inner.pieces.push_back((piece, size));
        let mut wakers = inner.wake_readers();
        if inner.payload > PAYLOAD_MAX || self.meter.is_over() {
            inner.whole = false;
            wakers.extend(inner.writers.get_mut(HEARD).and_then(Option::take));
        }
        inner.trim(&self.meter);
        drop(inner);
        wake(wakers);
    }

    /// Ends the tape, unless it has ended before; readers still get what was written.
    pub fn end(&self, end: Result<(), E>) {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        inner.end = Some(end);
        let mut wakers = inner.wake_readers();
        wakers.extend(inner.writers.iter_mut().filter_map(Option::take));
        drop(inner);
        wake(wakers);
    }

    /// The memory of an ended tape counts elsewhere from now on.
    pub fn unmeter(&self) {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.metered) {
            self.meter.sub(inner.memory);
        }
    }

    /// Whether it holds an answer that was said to its end, so that it can be given again.
    pub fn is_complete(&self) -> bool {
        let inner = self.lock();
        inner.whole && matches!(inner.end, Some(Ok(())))
    }

    /// Whether others can join: its beginning is there.
    pub fn is_open(&self) -> bool {
        self.lock().whole
    }

    /// Whether everything was said, whether it is still there or not.
    pub fn is_success(&self) -> bool {
        matches!(self.lock().end, Some(Ok(())))
    }

    /// How it failed, if it did.
    pub fn failure(&self) -> Option<E> {
        self.lock().end.clone()?.err()
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.lock().memory
    }

    /// All pieces that are there.
    pub fn pieces(&self) -> Vec<T> {
        let inner = self.lock();
        let pieces = inner.pieces.iter();
        pieces.map(|(piece, _)| piece.clone()).collect()
    }

    /// How many pieces the listener has read that is furthest ahead, or was.
    pub fn heard(&self) -> u64 {
        self.lock().heard
    }

    /// Readers for which the call goes on.
    pub fn listeners(&self) -> usize {
        self.lock().listeners
    }

    /// Ready when another piece may be written. Gives the number of readers that were cut off for it.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut inner = self.lock();
        if inner.whole || inner.end.is_some() {
            return Poll::Ready(0);
        }
        let max = if self.meter.is_over() {
            AHEAD_MAX
        } else {
            PAYLOAD_MAX
        };
        inner.trim(&self.meter);
        let (mut cut, mut wakers) = (0, Vec::new());
        while inner.payload > max && inner.someone_waits() {
            wakers.extend(inner.cut_last(&mut cut));
            inner.trim(&self.meter);
        }
        let room = inner.payload <= max;
        if !room {
            inner.await_writer(ROOM, cx);
        }
        drop(inner);
        wake(wakers);
        if room {
            Poll::Ready(cut)
        } else {
            Poll::Pending
        }
    }

    /// Ready when nobody listens any more, or when the tape was ended from outside.
    pub fn poll_alone(&self, cx: &mut Context<'_>) -> Poll<Heard> {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return Poll::Ready(Heard::Ended);
        }
        if inner.listeners == 0 {
            return Poll::Ready(Heard::Alone);
        }
        inner.await_writer(ALONE, cx);
        Poll::Pending
    }

    /// Ready when somebody listens again, or nobody can any more.
    pub fn poll_heard(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.end.is_some() || inner.listeners > 0 || !inner.whole {
            return Poll::Ready(());
        }
        inner.await_writer(HEARD, cx);
        Poll::Pending
    }
}

impl<T, E> Tape<T, E> {
    fn lock(&self) -> MutexGuard<'_, Inner<T, E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, E> Drop for Tape<T, E> {
    fn drop(&mut self) {
        let inner = self.lock();
        if inner.metered {
            self.meter.sub(inner.memory);
        }
    }
}

impl<T, E> Inner<T, E> {
    fn place(&mut self, at: u64, listens: bool) -> u64 {
        self.last += 1;
        let place = Place {
            at: at.max(self.first),
            listens,
            cut: false,
            waker: None,
        };
        self.places.insert(self.last, place);
        self.listeners += usize::from(listens);
        self.last
    }

    /// Number of the piece that will be written next.
    fn head(&self) -> u64 {
        self.first + u64::try_from(self.pieces.len()).unwrap_or(u64::MAX)
    }

    /// Number of the next piece of the reader that is furthest behind.
    fn furthest(&self) -> u64 {
        let places = self.places.values().filter(|place| !place.cut);
        places.map(|place| place.at).min().unwrap_or(self.head())
    }

    /// Lets go of what everyone has read, where others can't join.
    fn trim(&mut self, meter: &Meter) {
        if self.whole {
            return;
        }
        let furthest = self.furthest();
        while self.first < furthest
            && let Some((_, size)) = self.pieces.pop_front()
        {
            self.first += 1;
            self.payload -= size.payload;
            self.memory -= size.memory;
            if self.metered {
                meter.sub(size.memory);
            }
        }
    }

    fn someone_waits(&self) -> bool {
        let head = self.head();
        let mut places = self.places.values();
        places.any(|place| place.listens && !place.cut && place.at >= head)
    }

    /// Cuts off those that are furthest behind.
    fn cut_last(&mut self, cut: &mut usize) -> Vec<Waker> {
        let (furthest, mut wakers) = (self.furthest(), Vec::new());
        let places = self.places.values_mut();
        for place in places.filter(|place| !place.cut && place.at <= furthest) {
            place.cut = true;
            *cut += 1;
            wakers.extend(place.waker.take());
        }
        wakers
    }

    fn wake_readers(&mut self) -> Vec<Waker> {
        let places = self.places.values_mut();
        places.filter_map(|place| place.waker.take()).collect()
    }

    fn await_writer(&mut self, what: usize, cx: &Context<'_>) {
        if let Some(slot) = self.writers.get_mut(what) {
            *slot = Some(cx.waker().clone());
        }
    }
}

/// A place on a tape. Dropping it leaves.
pub struct Reader<T, E> {
    tape: Arc<Tape<T, E>>,
    id: u64,
}

impl<T: Clone, E: Clone> Reader<T, E> {
    /// The next piece, or how it ended.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<T, E>> {
        self.read(Some(cx)).map_or(Poll::Pending, Poll::Ready)
    }

    /// What is there already; none where it has to be waited for.
    pub fn try_next(&mut self) -> Option<Next<T, E>> {
        self.read(None)
    }

    /// The tape that is read.
    pub fn tape(&self) -> &Arc<Tape<T, E>> {
        &self.tape
    }

    fn read(&mut self, cx: Option<&mut Context<'_>>) -> Option<Next<T, E>> {
        let mut inner = self.tape.lock();
        let (first, whole) = (inner.first, inner.whole);
        let place = inner.places.get_mut(&self.id)?;
        if place.cut {
            return Some(Next::Cut);
        }
        let at = place.at;
        let index = usize::try_from(at - first).ok()?;
        let Some((piece, _)) = inner.pieces.get(index) else {
            return match &inner.end {
                Some(Ok(())) => Some(Next::Done),
                Some(Err(error)) => Some(Next::Failed(error.clone())),
                None => {
                    let place = inner.places.get_mut(&self.id)?;
                    place.waker = cx.map(|cx| cx.waker().clone());
                    // The writer may wait until a reader wants more.
                    let waker = inner.writers.get_mut(ROOM).and_then(Option::take);
                    drop(inner);
                    wake(waker.into_iter().collect());
                    None
                }
            };
        };
        let piece = piece.clone();
        if let Some(place) = inner.places.get_mut(&self.id) {
            place.at += 1;
            if place.listens {
                inner.heard = inner.heard.max(at + 1);
            }
        }
        let waker = (!whole).then(|| inner.writers.get_mut(ROOM).and_then(Option::take));
        drop(inner);
        wake(waker.flatten().into_iter().collect());
        Some(Next::Piece(piece))
    }
}

impl<T, E> Drop for Reader<T, E> {
    fn drop(&mut self) {
        let mut inner = self.tape.lock();
        let Some(place) = inner.places.remove(&self.id) else {
            return;
        };
        inner.listeners -= usize::from(place.listens);
        if place.at <= inner.first {
            inner.trim(&self.tape.meter);
        }
        let mut wakers = Vec::new();
        wakers.extend(inner.writers.get_mut(ROOM).and_then(Option::take));
        if inner.listeners == 0 {
            wakers.extend(inner.writers.get_mut(ALONE).and_then(Option::take));
        }
        drop(inner);
        wake(wakers);
    }
}

#[cfg(test)]
mod tests;
