//! Detection with names: the one detector that the room offers to others.

use crate::detect::custom::CustomRecognizer;
use crate::detect::entity::{Entity, EntityKind, Strength};
use crate::detect::{Detector, DetectorError, DetectorSettings, NameFinder};
use crate::names::{NameKind, Names};

struct Finder(Names);

impl NameFinder for Finder {
    fn find(&self, text: &str, found: &[Entity], out: &mut Vec<Entity>) {
        let emails: Vec<_> = found
            .iter()
            .filter(|entity| entity.kind == EntityKind::Email)
            .map(|entity| entity.range.clone())
            .collect();
        let mut names = Vec::new();
        self.0.find(text, &emails, &mut names);
        out.extend(names.into_iter().map(|name| {
            let kind = match name.kind {
                NameKind::Person => EntityKind::Person,
                NameKind::Location => EntityKind::Location,
                NameKind::Organization => EntityKind::Organization,
            };
            Entity::new(name.range, kind, Strength::Name, name.score).because(name.reason, None)
        }));
    }
}

/// How names are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameSource {
    /// By lists, titles and cues.
    #[default]
    Rules,
    /// In the same way, and by the local model in English prose. Its weights are read once a process.
    Model,
}

/// A detector of everything that is built in, and of what the operator named.
///
/// # Errors
/// A recognizer of the operator's that can't be used.
pub fn detector(custom: Vec<CustomRecognizer>) -> Result<Detector, DetectorError> {
    detector_with(custom, NameSource::Rules)
}

/// The same, with a choice of how names are found.
///
/// # Errors
/// A recognizer of the operator's that can't be used, or weights of the model that can't be read.
pub fn detector_with(
    custom: Vec<CustomRecognizer>,
    source: NameSource,
) -> Result<Detector, DetectorError> {
    let settings = DetectorSettings {
        custom,
        ..DetectorSettings::default()
    };
    with_settings(&settings, source)
}

/// A detector with names, by its settings.
///
/// # Errors
/// As [`detector_with`].
pub fn with_settings(
    settings: &DetectorSettings,
    source: NameSource,
) -> Result<Detector, DetectorError> {
    let names = match source {
        NameSource::Rules => Names::new(),
        NameSource::Model => Names::new().with_model()?,
    };
    Ok(Detector::new(settings)?.with_names(Box::new(Finder(names))))
}
