//! The configuration file as written: shapes, defaults, every error with its place, JSON Schema and reference.
//!
//! The Rust types in [`file`] are the one source of truth. Their JSON Schema drives the check of the file (all errors
//! at once, with line, column and a suggestion), the schema for editors, and the reference page. The environment is
//! read in this crate only.

pub mod caches;
mod check;
pub mod cors;
pub mod diagnostic;
pub mod discover;
pub mod evals;
pub mod file;
mod known;
pub mod limits;
pub mod observe;
pub mod privacy;
pub mod protect;
pub mod queue;
pub mod records;
mod reference;
pub mod resilience;
mod salvage;
pub mod scalar;
pub mod secret;
mod semantic;
pub mod share;
pub mod store;
pub mod suite;
pub mod telemetry;
pub mod validate;
mod yaml;

pub use known::{KNOWN_PROVIDERS, KnownProvider};
pub use reference::{json_schema, reference};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceMap};
use crate::file::ConfigFile;
use std::path::Path;

/// Largest file that is read, in bytes. Chosen: a thousand routes fit.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file that was read without errors.
#[derive(Debug)]
pub struct Parsed {
    /// What it says.
    pub file: ConfigFile,
    /// Where it says it.
    pub map: SourceMap,
    /// What is legal but unwise.
    pub warnings: Vec<Diagnostic>,
}

/// What a file says as far as it can be read, and what is wrong with it.
#[derive(Debug)]
pub struct Survey {
    name: String,
    errors: Vec<Diagnostic>,
    gaps: salvage::Gaps,
    parsed: Option<Parsed>,
}

impl Survey {
    /// Of a text. `name` is used in messages.
    pub fn of(text: &str, name: &str) -> Self {
        let tree = match yaml::parse(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            Ok(tree) => tree,
            Err(errors) => return Survey::unreadable(name, errors),
        };
        let schema = json_schema();
        let errors = check::check(&tree, &schema);
        let mut survey = Survey::unreadable(name, errors);
        let Some(salvaged) = salvage::salvage(tree, &schema) else {
            return survey;
        };
        survey.gaps = salvaged.gaps;
        let map = salvaged.node.source_map();
        match serde_json::from_value::<ConfigFile>(salvaged.node.to_json(&schema)) {
            Ok(file) => {
                let found = semantic::check(&file);
                let mut parsed = Parsed {
                    file,
                    map,
                    warnings: Vec::new(),
                };
                survey.take(found, &mut parsed);
                survey.parsed = Some(parsed);
            }
            Err(error) if survey.errors.is_empty() => {
                survey.errors.push(Diagnostic::error("", error.to_string()));
            }
            Err(_) => {}
        }
        survey
    }

    /// Of a file.
    pub fn load(path: &Path) -> Self {
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => Survey::of(&text, &name),
            Err(message) => Survey::unreadable(&name, vec![Diagnostic::error("", message)]),
        }
    }

    fn unreadable(name: &str, errors: Vec<Diagnostic>) -> Self {
        Survey {
            name: name.to_owned(),
            errors,
            gaps: salvage::Gaps::default(),
            parsed: None,
        }
    }

    /// What could be read. Faulty members are left out, so it is good for finding more errors and for nothing else,
    /// unless there are none.
    pub fn readable(&self) -> Option<&Parsed> {
        self.parsed.as_ref()
    }

    /// Sorts findings on what was read; those that come from a gap, or that are known at their place, are left out.
    fn take(&mut self, found: Vec<Diagnostic>, parsed: &mut Parsed) {
        for diagnostic in found {
            let placed = diagnostic.placed(&parsed.map);
            let Some(own) = self.gaps.own(placed) else {
                continue;
            };
            if own.severity == Severity::Warning {
                parsed.warnings.push(own);
            } else {
                self.errors.push(own);
            }
        }
    }

    /// The file, if nothing is wrong with it; `more` was found by whoever compiled [`Survey::readable`].
    ///
    /// # Errors
    /// All that is wrong with it, sorted by place.
    pub fn finish(mut self, more: Vec<Diagnostic>) -> Result<Parsed, Diagnostics> {
        let more = more.into_iter().filter_map(|found| self.gaps.own(found));
        for found in more.collect::<Vec<_>>() {
            // What is wrong with a member by itself is told once.
            if self.errors.iter().all(|known| known.path != found.path) {
                self.errors.push(found);
            }
        }
        match self.parsed {
            Some(parsed) if self.errors.is_empty() => Ok(parsed),
            _ => Err(Diagnostics::new(&self.name, self.errors)),
        }
    }
}

/// A text in the file's language as JSON: the same small and strict part of YAML, for other files of this repository.
///
/// # Errors
/// What is no such text.
pub fn yaml_value(text: &str, name: &str) -> Result<serde_json::Value, Diagnostics> {
    let tree = yaml::parse(text).map_err(|errors| Diagnostics::new(name, errors))?;
    Ok(tree.to_json(&serde_json::Value::Null))
}

/// Reads a configuration from text. `name` is used in messages.
///
/// # Errors
/// All that is wrong with it, sorted by place.
pub fn parse(text: &str, name: &str) -> Result<Parsed, Diagnostics> {
    Survey::of(text, name).finish(Vec::new())
}

/// Reads a configuration file.
///
/// # Errors
/// That it can't be read, or all that is wrong with it.
pub fn load(path: &Path) -> Result<Parsed, Diagnostics> {
    Survey::load(path).finish(Vec::new())
}

fn read(path: &Path) -> Result<String, String> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            return Err("the file is larger than 1 MiB".to_owned());
        }
        Ok(_) => {}
        Err(error) => return Err(format!("can't be read: {error}")),
    }
    let bytes = std::fs::read(path).map_err(|error| format!("can't be read: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 text: byte {at} is wrong")
    })
}

#[cfg(test)]
mod tests;
