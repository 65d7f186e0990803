//! What is wrong with a file, and where.

use std::collections::HashMap;
use std::fmt;

/// A place in the file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// The file can be used; someone should look.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Path in the file, e.g. `routes.chat.targets[0]`; empty for the file itself.
    pub path: String,
    /// Where that is.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
    /// How bad it is.
    pub severity: Severity,
}

impl Diagnostic {
    /// An error at `path`.
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic {
            path: path.into(),
            place: None,
            message: message.into(),
            suggestion: None,
            severity: Severity::Error,
        }
    }

    /// A warning at `path`.
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(path, message)
        }
    }

    /// With a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// With a suggestion, if there is one.
    #[must_use]
    pub fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }

    /// With the place of its path, or of the nearest member above it.
    #[must_use]
    pub fn placed(mut self, map: &SourceMap) -> Self {
        self.place = self.place.or_else(|| map.place(&self.path));
        self
    }
}

/// The best match for a word that is not known, if one is near enough to be meant.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|name| format!("did you mean `{name}`?"))
}

pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase()),
                name,
            )
        })
        .min()?;
    let (distance, name) = near;
    (distance <= 1 + name.len() / 4 && distance < name.len()).then_some(name)
}

/// Where each member of the file stands.
#[derive(Debug, Clone, Default)]
pub struct SourceMap(pub(crate) HashMap<String, Place>);

impl SourceMap {
    /// The place of `path`, or of the nearest member above it.
    pub fn place(&self, path: &str) -> Option<Place> {
        let mut at = path;
        loop {
            if let Some(place) = self.0.get(at) {
                return Some(*place);
            }
            at = at.rfind(['.', '[']).and_then(|end| at.get(..end))?;
        }
    }
}

/// All findings about one file, sorted by place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    file: String,
    /// The findings.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Findings about the file `name`.
    pub fn new(name: &str, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by(|a, b| (a.place, &a.path).cmp(&(b.place, &b.path)));
        Diagnostics {
            file: name.to_owned(),
            list,
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, d) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file)?;
            if let Some(place) = d.place {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            let severity = if d.severity == Severity::Error {
                "error"
            } else {
                "warning"
            };
            write!(f, ": {severity}: ")?;
            if !d.path.is_empty() {
                write!(f, "{}: ", d.path)?;
            }
            write!(f, "{}", d.message)?;
            if let Some(suggestion) = &d.suggestion {
                write!(f, "\n  {suggestion}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
