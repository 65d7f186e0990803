//! Finds personal data and secrets in one text.
//!
//! Structure first: check digits, provider prefixes, formats, and the words around a value in
//! sixteen languages. One pass of an automaton finds the words, one walk over the text tries
//! each word start; nothing backtracks, so time is linear in the text. What needs a model or a
//! dictionary (names of persons, places, organisations) comes through [`NameFinder`].
//!
//! The result is a function of text, hint and settings alone.

mod address;
mod birth;
mod bytes;
mod context;
pub mod custom;
mod digits;
mod document;
mod email;
pub mod entity;
mod net;
mod normal;
mod phone;
mod resolve;
mod schemes;
mod secret;
mod shapes;
mod table;
pub mod validate;
mod walk;
mod words;

use context::{Scan, Words};
use custom::{Compiled, CustomError, CustomRecognizer};
use entity::{Entity, EntityKind};
use normal::Normal;
use secret::prefix::Prefixes;
use shapes::Shapes;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct DetectorSettings {
    /// Kinds to report; empty means all but those of [`EntityKind::OFF_BY_DEFAULT`]. Custom
    /// recognizers always report.
    pub kinds: Vec<EntityKind>,
    pub custom: Vec<CustomRecognizer>,
    /// Findings below are left out, `0.0..=1.0`. 0 keeps all.
    pub score_min: f32,
}

/// What the caller knows about a text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint<'a> {
    /// Key of the JSON value that the text is.
    pub json_key: Option<&'a str>,
    /// Whether the text is program code: numbers without any naming word are not reported.
    pub in_code: bool,
}

/// Finds names of persons, places and organisations.
///
/// Called once per text, after structured data was found and before overlaps are resolved.
pub trait NameFinder: Send + Sync {
    /// Adds findings to `out`. All ranges, also those of `found`, are bytes of `text`, which
    /// is the text as it is scanned: spaces, digits and escapes already unified.
    fn find(&self, text: &str, found: &[Entity], out: &mut Vec<Entity>);
}

/// Why a detector cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    #[error(transparent)]
    Custom(#[from] CustomError),
    #[error(transparent)]
    NameModel(#[from] aplomb_models::names::ModelError),
    #[error("context words do not compile")]
    Words(#[from] aho_corasick::BuildError),
    #[error("shapes do not compile")]
    Shapes(#[from] Box<regex_automata::dfa::dense::BuildError>),
}

/// The compiled recognizers; built once, shared by all threads.
pub struct Detector {
    words: Words,
    shapes: Shapes,
    prefixes: Prefixes,
    custom: Vec<Compiled>,
    names: Option<Box<dyn NameFinder>>,
    /// Set of [`EntityKind::bit`].
    kinds: u64,
    score_min: f32,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector")
            .field("kinds", &self.kinds)
            .finish_non_exhaustive()
    }
}

impl Detector {
    /// # Errors
    /// [`DetectorError::Custom`] for a recognizer that cannot be used; the others do not
    /// happen with the built-in tables.
    pub fn new(settings: &DetectorSettings) -> Result<Self, DetectorError> {
        let custom: Result<Vec<Compiled>, CustomError> =
            settings.custom.iter().map(Compiled::new).collect();
        Ok(Self {
            words: Words::new()?,
            shapes: Shapes::new()?,
            prefixes: Prefixes::new(),
            custom: custom?,
            names: None,
            kinds: kind_set(&settings.kinds),
            score_min: settings.score_min,
        })
    }

    /// The same detector with a finder of names.
    #[must_use]
    pub fn with_names(mut self, names: Box<dyn NameFinder>) -> Self {
        self.names = Some(names);
        self
    }

    /// Everything found in `text`: sorted, not overlapping, on character boundaries. Never
    /// fails; linear in the length of the text.
    pub fn detect(&self, text: &str, hint: Hint<'_>) -> Vec<Entity> {
        let normal = Normal::new(text);
        let scan = Scan::new(&normal.text, &self.words, hint);
        let mut found = Vec::new();
        walk::find(&scan, &self.shapes, &self.prefixes, &mut found);
        for custom in &self.custom {
            custom.find(scan.text, &mut found);
        }
        found.retain(|entity| self.reports(entity));
        let mut found = resolve::resolve(scan.text, found);
        if let Some(names) = &self.names {
            let mut more = Vec::new();
            names.find(scan.text, &found, &mut more);
            more.retain(|entity| {
                self.reports(entity) && scan.text.get(entity.range.clone()).is_some()
            });
            // What was resolved already stays as it is when no name joins it.
            if !more.is_empty() {
                found.append(&mut more);
                found = resolve::resolve(scan.text, found);
            }
        }
        for entity in &mut found {
            let range = normal.original(&entity.range);
            entity.range =
                text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end);
        }
        found
    }

    fn reports(&self, entity: &Entity) -> bool {
        let wanted = entity
            .kind
            .bit()
            .is_none_or(|bit| self.kinds >> bit & 1 == 1);
        wanted && entity.score >= self.score_min && !entity.range.is_empty()
    }
}

fn kind_set(kinds: &[EntityKind]) -> u64 {
    let set = |kinds: &[EntityKind]| {
        kinds
            .iter()
            .filter_map(EntityKind::bit)
            .fold(0, |set, bit| set | 1 << bit)
    };
    match kinds {
        [] => !set(EntityKind::OFF_BY_DEFAULT),
        _ => set(kinds),
    }
}
