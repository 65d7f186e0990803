//! Questions that are alike: which of a namespace come near, and whether the guard lets one of their answers serve.
//!
//! A namespace holds questions before which all is identical (tenant, scope, route, model, instructions, parameters). A hit is
//! never further from the question than the guard allows, whatever the vectors say.

use super::guard::{self, Features, Limits, normal};
use super::index::Index;
use super::key::Digest;
use super::store::{Found, Store};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Neighbours that the guard looks at. Chosen: where eight nearer ones are refused, a ninth rarely serves.
const NEIGHBOURS: usize = 8;
/// Bytes of a namespace besides its vectors.
const SPACE_BYTES: usize = 640;

/// By what a kept answer is found for other questions than its own.
#[derive(Debug, Clone)]
pub struct Alike {
    /// Namespace of the question.
    pub space: Digest,
    /// What the guard knows of it.
    pub features: Arc<Features>,
    /// Its vector, where it is there already; [`Store::attach`] adds it later.
    pub vector: Option<Vec<f32>>,
    /// Numbers in a vector, whether or not it is there.
    pub dims: usize,
    /// How long the answer may serve other questions.
    pub ttl: Duration,
}

impl Alike {
    /// Bytes of memory, the vector included that may still come.
    pub fn size(&self) -> usize {
        self.features.size() + Index::bytes_of(self.dims) + SPACE_BYTES
    }
}

/// The questions of one namespace.
#[derive(Debug, Default)]
pub(super) struct Space {
    index: Index,
    entries: usize,
    /// The latest entry of each question, case and punctuation levelled.
    same: HashMap<[u8; 32], Digest>,
    /// The latest entry of each outline ([`Features::outline`]).
    outlines: HashMap<u64, Digest>,
}

impl Space {
    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Vectors.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn insert(&mut self, key: Digest, alike: &Alike) {
        self.entries += 1;
        self.same.insert(alike.features.whole, key);
        self.outlines.insert(alike.features.outline(), key);
        if let Some(vector) = &alike.vector {
            self.index.insert(key, vector);
        }
    }

    pub(super) fn attach(&mut self, key: Digest, vector: &[f32]) {
        self.index.insert(key, vector);
    }

    pub(super) fn remove(&mut self, key: &Digest, features: &Features) {
        self.entries = self.entries.saturating_sub(1);
        self.index.remove(key);
        if self.same.get(&features.whole) == Some(key) {
            self.same.remove(&features.whole);
        }
        let outline = features.outline();
        if self.outlines.get(&outline) == Some(key) {
            self.outlines.remove(&outline);
        }
    }

    /// The latest entry of the same question, and of one with the same outline.
    pub(super) fn likely(&self, features: &Features) -> impl Iterator<Item = Digest> + use<> {
        let same = self.same.get(&features.whole).copied();
        let outlined = self.outlines.get(&features.outline()).copied();
        same.into_iter().chain(outlined)
    }

    pub(super) fn near(&self, vector: &[f32], cosine_min: f32) -> Vec<(Digest, f32)> {
        let near = self.index.search(vector, cosine_min, NEIGHBOURS);
        near.into_iter()
            .map(|near| (near.key, near.cosine))
            .collect()
    }
}

/// A kept answer, and how well its question fits.
#[derive(Debug, Clone)]
pub struct Match {
    /// What was said.
    pub found: Found,
    /// The guard's score, 0 to 1.
    pub score: f32,
}

/// Nothing serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoMatch {
    /// Why, in one word: the guard's reason for the one that came nearest, or that there is none.
    pub reason: &'static str,
    /// Cosine of the one that came nearest.
    pub cosine: Option<f32>,
}

/// When and how a question is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Its namespace.
    pub space: &'a Digest,
    /// What the guard knows of it.
    pub features: &'a Features,
    /// In milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Oldest answer that is wanted.
    pub max_age: Option<Duration>,
}

/// The answer to the same question in another spelling, or with another greeting. It needs no vector.
pub fn same(store: &Store, asking: &Asking<'_>, limits: &Limits) -> Option<Match> {
    let likely = store.likely(asking).into_iter();
    let ruled = likely.map(|(features, found)| {
        // Without a cosine the guard lets only light edits pass.
        let ruling = guard::compare(asking.features, &features, f32::NAN, limits);
        (ruling, found)
    });
    let hits = ruled.filter(|(ruling, _)| ruling.hit);
    hits.map(|(ruling, found)| Match {
        found,
        score: ruling.score,
    })
    .next()
}

/// The answer to a question that the guard takes for the same.
///
/// # Errors
/// Why none serves.
pub fn near(
    store: &Store,
    asking: &Asking<'_>,
    vector: &[f32],
    limits: &Limits,
) -> Result<Match, NoMatch> {
    let near = store.near(asking, vector, limits.cosine_min);
    let mut best: Option<Match> = None;
    let mut refused = NoMatch {
        reason: "unknown",
        cosine: near.first().map(|(cosine, _, _)| *cosine),
    };
    for (cosine, features, found) in near {
        let ruling = guard::compare(asking.features, &features, cosine, limits);
        if !ruling.hit {
            if refused.reason == "unknown" {
                refused.reason = ruling.reason;
            }
        } else if best.as_ref().is_none_or(|best| ruling.score > best.score) {
            best = Some(Match {
                found,
                score: ruling.score,
            });
        }
    }
    best.ok_or(refused)
}

/// How far two answers say the same: the share of their content words that both have (Dice), 0 to 1. Only the beginning of
/// long ones is compared ([`normal::WORDS_MAX`]).
pub fn agreement(one: &str, other: &str) -> f32 {
    let words = |answer: &str| -> BTreeSet<String> {
        let (pieces, _) = normal::pieces(answer);
        let content = normal::words(&pieces)
            .into_iter()
            .filter(|word| word.content);
        content.map(|word| word.stem).collect()
    };
    let (one, other) = (words(one), words(other));
    let all = one.len() + other.len();
    if all == 0 {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a share of some hundred words")]
    let share = 2.0 * one.intersection(&other).count() as f32 / all as f32;
    share
}

#[cfg(test)]
mod tests;
