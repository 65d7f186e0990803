//! Levels of users: earned by what they do, set by the operator, or given to those whom the file names.

use super::{Standing, Who};
use crate::settle::Exchange;
use crate::state::State;
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::BoxError;
use aplomb_limits::key::Key;
use aplomb_limits::store::StoreError;
use aplomb_limits::trust::book::{Book, Met, Name, Row, Stand};
use aplomb_limits::trust::store::Keeper;
use aplomb_limits::trust::subject::{End, Move};
use aplomb_limits::trust::{Level, Terms};
use aplomb_observe::record::{LimitDecision, Outcome, Record};
use serde_json::{Value, json};
use std::sync::Arc;

/// Moves of a score that are told with it.
const MOVES: usize = 20;

/// What is known of users.
#[derive(Default)]
pub struct Trust {
    /// All of them.
    pub book: Arc<Book>,
    /// Keeps it over a restart; none in tests that do not restart.
    pub keeper: Option<Keeper>,
}

/// How far a caller is trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trusted {
    pub(crate) level: Level,
    /// None where the file gives the level.
    pub(crate) score: Option<f64>,
    pub(crate) multiplier: f64,
}

impl From<Stand> for Trusted {
    fn from(stand: Stand) -> Self {
        Trusted {
            level: stand.level,
            score: Some(stand.score),
            multiplier: stand.multiplier,
        }
    }
}

impl State {
    /// Name of a user among those that trust knows.
    pub fn trust_key(&self, tenant: &str, user: &str) -> Key {
        self.limit_keys.key("trust", [tenant, user])
    }

    /// Since when a user is known. Who is not known yet is noted.
    pub(crate) fn meet(&self, tenant: &str, user: &str, now_ms: u64) -> Met {
        let key = self.trust_key(tenant, user);
        self.trust.book.meet(&Name { key, tenant, user }, now_ms)
    }

    /// How far a caller is trusted, for somebody who only looks.
    pub(super) fn trusted_now(
        &self,
        who: &Who<'_>,
        terms: &Terms,
        given: Option<Level>,
    ) -> Option<Trusted> {
        let Some(user) = who.user.filter(|_| given.is_none()) else {
            return self.trusted(who, terms, given);
        };
        let key = self.trust_key(who.tenant, user);
        let stand = self.trust.book.peek(key, terms, self.clock.now_ms());
        Some(stand.into())
    }

    /// How far a caller is trusted; none for callers that are no users: a key alone is a program of its tenant.
    pub(super) fn trusted(
        &self,
        who: &Who<'_>,
        terms: &Terms,
        given: Option<Level>,
    ) -> Option<Trusted> {
        if let Some(level) = given {
            return Some(Trusted {
                level,
                score: None,
                multiplier: terms.multiplier(level, 0.0),
            });
        }
        let user = who.user?;
        let name = Name {
            key: self.trust_key(who.tenant, user),
            tenant: who.tenant,
            user,
        };
        let stand = self.trust.book.stand(&name, terms, self.clock.now_ms());
        Some(stand.into())
    }
}

/// How a request ended, as trust sees it.
fn end(record: &Record) -> End {
    let refused =
        |facts: &aplomb_observe::record::LimitFacts| facts.decision == LimitDecision::Refused;
    if record.limit.as_ref().is_some_and(refused) {
        return End::Limited;
    }
    match record.outcome {
        Outcome::Done if record.target.is_some() && !record.is_given_again() => End::Good,
        // What a provider says of its own keys is nobody's fault here.
        Outcome::Error if own_fault(record) => End::Fault,
        _ => End::Other,
    }
}

fn own_fault(record: &Record) -> bool {
    match record.status {
        400 | 413 | 422 => true,
        401..=428 | 430..=499 => record.attempts.is_empty(),
        _ => false,
    }
}

impl Exchange {
    /// How its caller stands.
    pub(super) fn stands(&mut self, standing: &Standing) {
        self.note_standing(
            standing.plan.as_deref(),
            standing
                .trust
                .map(|trust| (trust.level.name(), trust.score)),
        );
    }

    /// What it says about its user, at its end.
    pub(crate) fn settle_trust(&self) {
        let Some(terms) = self.terms() else { return };
        let record = self.record();
        let Some(user) = &record.user else { return };
        let state = self.state();
        let name = Name {
            key: state.trust_key(&record.tenant, user),
            tenant: &record.tenant,
            user,
        };
        let id = record.id.to_string();
        let now_ms = state.clock.now_ms();
        state
            .trust
            .book
            .ended(&name, end(record), terms, (now_ms, &id));
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// What moved a score, for people and programs.
pub fn shown(one: &Move) -> Value {
    json!({
        "at_ms": one.at_ms, "cause": one.cause, "units": rounded(one.units),
        "score_before": rounded(one.score.0), "score_after": rounded(one.score.1),
        "level_before": one.level.0.name(), "level_after": one.level.1.name(), "evidence": one.evidence,
    })
}

impl Trust {
    /// All that is known of a user: its score with its parts, its level, who set it, and what moved it last. Blocking.
    ///
    /// # Errors
    /// The trail can't be read.
    pub fn explain(
        &self,
        key: Key,
        terms: &Terms,
        now_ms: u64,
    ) -> Result<Option<Value>, StoreError> {
        let Some(row) = self.book.row(key) else {
            return Ok(None);
        };
        let moves = match &self.keeper {
            Some(keeper) => {
                keeper.flush();
                keeper.trail.moves(key, MOVES)?
            }
            None => Vec::new(),
        };
        let mut told = told(&row, terms, now_ms);
        if let Some(object) = told.as_object_mut() {
            object.insert("moves".into(), moves.iter().map(shown).collect());
        }
        Ok(Some(told))
    }
}

/// A user without its trail.
pub fn told(row: &Row, terms: &Terms, now_ms: u64) -> Value {
    let (parts, stand) = row.stand(terms, now_ms);
    let set = row.subject.set.as_ref().filter(|set| set.until_ms > now_ms);
    json!({
        "tenant": &*row.tenant, "user": &*row.user,
        "level": stand.level.name(), "score": rounded(stand.score), "multiplier": rounded(stand.multiplier),
        "good_units": rounded(parts.good), "bad_units": rounded(parts.bad), "active_days": parts.active_days,
        "first_ms": row.subject.first_ms, "seen_ms": row.subject.seen_ms, "since_ms": row.subject.since_ms(),
        "set": set.map(|set| json!({ "level": set.level.name(), "until_ms": set.until_ms, "reason": set.reason })),
    })
}

impl Erase for Trust {
    fn store(&self) -> &'static str {
        "trust"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        let of = self.book.forget(|row| is(row, subject));
        let Some(keeper) = &self.keeper else {
            return Ok(u64::try_from(of).unwrap_or(u64::MAX));
        };
        keeper.flush();
        let removed = keeper
            .trail
            .remove(&subject.user, subject.tenant.as_deref())?;
        Ok(removed)
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        let found = self.book.list(0, usize::MAX, |row| is(row, subject));
        let one = |row: &Row| -> Result<Value, BoxError> {
            let moves = match &self.keeper {
                Some(keeper) => {
                    keeper.flush();
                    keeper.trail.moves(row.key, usize::MAX)?
                }
                None => Vec::new(),
            };
            let moves: Vec<Value> = moves.iter().map(shown).collect();
            Ok(
                json!({ "tenant": &*row.tenant, "user": &*row.user, "state": row.subject, "moves": moves }),
            )
        };
        found.iter().map(one).collect()
    }
}

fn is(row: &Row, subject: &Subject) -> bool {
    subject.owns(&row.tenant, &row.user)
}

#[cfg(test)]
mod tests;
