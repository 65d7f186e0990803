//! How many tokens one piece is.

use super::vocabulary::Vocabulary;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many bytes all pairs are looked at for each join: faster than a heap for what words are made of.
const SHORT: usize = 64;
/// In the place of the rank of two parts that can't be joined.
const NONE: u32 = u32::MAX;

/// Tokens of `piece`.
pub(super) fn count(vocabulary: &Vocabulary, piece: &[u8]) -> usize {
    if piece.len() < 2 || vocabulary.rank(piece).is_some() {
        return usize::from(!piece.is_empty());
    }
    if piece.len() <= SHORT {
        short(vocabulary, piece)
    } else {
        long(vocabulary, piece)
    }
}

/// One part of a short piece: where it starts, and the rank of it joined with the next one.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    rank: u32,
}

/// Quadratic in the length of the piece, which is bounded.
pub(super) fn short(vocabulary: &Vocabulary, piece: &[u8]) -> usize {
    let rank = |start: usize, end: usize| {
        let joined = piece.get(start..end);
        joined
            .and_then(|joined| vocabulary.rank(joined))
            .unwrap_or(NONE)
    };
    let mut parts: Vec<Part> = (0..piece.len())
        .map(|start| Part {
            start,
            rank: rank(start, start + 2),
        })
        .collect();
    loop {
        let best = parts.iter().enumerate().min_by_key(|(_, part)| part.rank);
        let Some((at, _)) = best.filter(|(_, part)| part.rank != NONE) else {
            return parts.len();
        };
        parts.remove(at + 1);
        let start = |at: usize| parts.get(at).map_or(piece.len(), |part| part.start);
        let joined = |at: usize| match at + 1 < parts.len() {
            true => rank(start(at), start(at + 2)),
            false => NONE,
        };
        let (here, before) = (
            joined(at),
            at.checked_sub(1).map(|before| (before, joined(before))),
        );
        if let Some(part) = parts.get_mut(at) {
            part.rank = here;
        }
        if let Some((before, rank)) = before
            && let Some(part) = parts.get_mut(before)
        {
            part.rank = rank;
        }
    }
}

/// A long piece: parts as a linked list over its bytes, pairs in a heap. A pair that is no longer one is passed over.
struct Chain<'a> {
    vocabulary: &'a Vocabulary,
    piece: &'a [u8],
    /// Where the part that starts here ends; 0 where none starts.
    ends: Vec<usize>,
    /// Where the part before the one that starts here starts.
    before: Vec<usize>,
    /// Rank, start of the left part, end of the right part.
    pairs: BinaryHeap<Reverse<(u32, usize, usize)>>,
}

impl Chain<'_> {
    fn end(&self, start: usize) -> usize {
        self.ends.get(start).copied().unwrap_or(0)
    }

    /// Offers the part that starts here and the next one.
    fn offer(&mut self, start: usize) {
        let end = match self.end(start) {
            0 => return,
            middle => self.end(middle),
        };
        let joined = self.piece.get(start..end);
        if let Some(rank) = joined.and_then(|joined| self.vocabulary.rank(joined)) {
            self.pairs.push(Reverse((rank, start, end)));
        }
    }

    /// Joins the parts from `start` to `end`, if they are still two.
    fn join(&mut self, start: usize, end: usize) -> bool {
        let middle = self.end(start);
        if middle == 0 || middle >= end || self.end(middle) != end {
            return false;
        }
        if let Some(slot) = self.ends.get_mut(start) {
            *slot = end;
        }
        if let Some(slot) = self.ends.get_mut(middle) {
            *slot = 0;
        }
        if let Some(slot) = self.before.get_mut(end) {
            *slot = start;
        }
        self.offer(start);
        if start > 0 {
            let before = self.before.get(start).copied().unwrap_or(0);
            self.offer(before);
        }
        true
    }
}

pub(super) fn long(vocabulary: &Vocabulary, piece: &[u8]) -> usize {
    let length = piece.len();
    let mut chain = Chain {
        vocabulary,
        piece,
        ends: (1..=length).collect(),
        before: (0..length).map(|start| start.saturating_sub(1)).collect(),
        pairs: BinaryHeap::with_capacity(length),
    };
    for start in 0..length {
        chain.offer(start);
    }
    let mut parts = length;
    while let Some(Reverse((_, start, end))) = chain.pairs.pop() {
        if chain.join(start, end) {
            parts -= 1;
        }
    }
    parts
}
