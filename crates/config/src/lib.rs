//! The configuration file as written: shapes, defaults, every error with its place, JSON Schema and reference.
//!
//! The Rust types in [`file`] are the one source of truth. Their JSON Schema drives the check of the file (all errors
//! at once, with line, column and a suggestion), the schema for editors, and the reference page. The environment is
//! read in this crate only.

mod check;
pub mod diagnostic;
pub mod discover;
pub mod file;
mod known;
pub mod privacy;
mod reference;
pub mod scalar;
pub mod secret;
mod semantic;
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

/// Reads a configuration from text. `name` is used in messages.
///
/// # Errors
/// All that is wrong with it, sorted by place.
pub fn parse(text: &str, name: &str) -> Result<Parsed, Diagnostics> {
    let fail = |list: Vec<Diagnostic>| Err(Diagnostics::new(name, list));
    let tree = match yaml::parse(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Ok(tree) => tree,
        Err(list) => return fail(list),
    };
    let map = tree.source_map();
    let schema = json_schema();
    let found = check::check(&tree, &schema);
    if !found.is_empty() {
        return fail(found);
    }
    let file: ConfigFile = match serde_json::from_value(tree.to_json(&schema)) {
        Ok(file) => file,
        Err(error) => return fail(vec![Diagnostic::error("", error.to_string())]),
    };
    let (errors, warnings): (Vec<_>, Vec<_>) = semantic::check(&file)
        .into_iter()
        .map(|d| d.placed(&map))
        .partition(|d| d.severity == Severity::Error);
    if errors.is_empty() {
        Ok(Parsed {
            file,
            map,
            warnings,
        })
    } else {
        fail(errors)
    }
}

/// Reads a configuration file.
///
/// # Errors
/// That it can't be read, or all that is wrong with it.
pub fn load(path: &Path) -> Result<Parsed, Diagnostics> {
    let name = path.display().to_string();
    let fail = |message: String| {
        Err(Diagnostics::new(
            &name,
            vec![Diagnostic::error("", message)],
        ))
    };
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            return fail("the file is larger than 1 MiB".to_owned());
        }
        Ok(_) => {}
        Err(error) => return fail(format!("can't be read: {error}")),
    }
    match std::fs::read(path) {
        Err(error) => fail(format!("can't be read: {error}")),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => parse(&text, &name),
            Err(error) => fail(format!(
                "is not UTF-8 text: byte {} is wrong",
                error.utf8_error().valid_up_to()
            )),
        },
    }
}

#[cfg(test)]
mod tests;
