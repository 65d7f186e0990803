//! What one request has taken at the server.

use super::Shared;
use super::spot::{Kind, Spot};
use crate::counter::Now;
use crate::room::Ask;
use crate::rule::{Meter, Method, Rule};
use std::sync::Arc;

struct Piece {
    rule: Arc<Rule>,
    spot: Spot,
    amount: u64,
}

/// What one request has taken at the server, or will be told it has. Dropping it frees its places in flight; everything else
/// stays charged until [`Hold::settle`] puts the truth in its place. Neither waits: the server is told afterwards.
pub(crate) struct Hold {
    shared: Arc<Shared>,
    pieces: Vec<Piece>,
    /// This node has let it in without the server.
    pub(crate) alone: bool,
    settled: bool,
    now: Now,
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

impl Hold {
    pub(super) fn new(shared: Arc<Shared>, now: Now, alone: bool) -> Self {
        Hold {
            shared,
            pieces: Vec::new(),
            alone,
            settled: false,
            now,
        }
    }

    pub(super) fn add(&mut self, ask: &Ask, spot: Spot) {
        self.pieces.push(Piece {
            rule: ask.rule.clone(),
            spot,
            amount: ask.amount,
        });
    }

    /// Takes more, which the server is told afterwards.
    pub(crate) fn extend(&mut self, asks: &[Ask], now: Now) {
        let server_ms = self.shared.link.server_ms(now);
        for ask in asks {
            let spot = self.shared.spot(ask, server_ms);
            let amount = signed(ask.amount);
            self.shared.mirror.used(spot, amount, server_ms);
            self.add(ask, spot);
        }
        self.shared.wake.notify_one();
    }

    /// What was taken by itself belongs to it.
    pub(crate) fn join(&mut self, mut further: Hold) {
        self.pieces.append(&mut further.pieces);
        self.alone |= further.alone;
    }

    /// Puts what was really used in the place of what was taken, and frees its places in flight. A second call does nothing.
    pub(crate) fn settle(&mut self, now: Now, used: impl Fn(Meter) -> Option<u64>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let server_ms = self.shared.link.server_ms(now);
        for (at, piece) in self.pieces.iter().enumerate() {
            let is = match (piece.rule.method(), used(piece.rule.meter)) {
                (Method::Held, _) => 0,
                (_, None) => continue,
                (_, Some(total)) => self.part_of(at, piece, total),
            };
            let difference = signed(is).saturating_sub(signed(piece.amount));
            if difference == 0 {
                continue;
            }
            let mut spot = piece.spot;
            if spot.until() <= server_ms {
                // Its time is over: only what is more counts, and it counts now.
                if difference < 0 {
                    continue;
                }
                spot = now_at(&piece.rule, spot, server_ms);
            }
            self.shared.mirror.used(spot, difference, server_ms);
            if difference < 0 {
                self.shared.known.forget(spot.key);
            }
        }
        self.pieces.clear();
        self.shared.wake.notify_one();
    }

    /// What of a total one of several amounts of a counter was: they are filled in their order, and the last one has the rest.
    fn part_of(&self, at: usize, piece: &Piece, total: u64) -> u64 {
        let same = |other: &&Piece| other.spot.key == piece.spot.key;
        let before = self.pieces.iter().take(at).filter(same);
        let before = before.fold(0u64, |sum, one| sum.saturating_add(one.amount));
        let left = total.saturating_sub(before);
        match self.pieces.iter().skip(at + 1).any(|other| same(&other)) {
            true => left.min(piece.amount),
            false => left,
        }
    }
}

/// Where a rule counts now that counted at a spot before.
fn now_at(rule: &Rule, before: Spot, server_ms: u64) -> Spot {
    let kind = match before.kind {
        Kind::Period(_) => Kind::of(rule, rule.limit, server_ms),
        kind => kind,
    };
    Spot::at(before.key, kind, server_ms)
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.settle(self.now, |_| None);
    }
}
