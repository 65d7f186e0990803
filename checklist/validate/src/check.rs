//! The checks.

use crate::answer::Choice;
use crate::length::Length;
use crate::schema::{self, Schema};
use aplomb_core::conversation::OutputFormat;
use regex_automata::meta::Regex;

/// Why an answer fails a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Where in the answer: a JSON pointer, a line and column, a choice.
    pub place: Option<String>,
    /// In words that hold nothing of the answer.
    pub message: String,
    /// Likewise in more words, which may quote it: for the model that wrote it.
    pub detail: Option<String>,
}

impl Failure {
    /// A failure of the whole answer.
    pub fn new(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            ..Failure::default()
        }
    }
}

/// The form that a request itself asks for.
#[derive(Default)]
pub enum Format {
    /// Any.
    #[default]
    Free,
    /// A JSON object.
    Object,
    /// What fits a schema.
    Schema(Box<Schema>),
}

impl Format {
    /// Of a request. A schema that can't be used here asks for an object.
    pub fn of(format: &OutputFormat) -> Self {
        match format {
            OutputFormat::Text => Format::Free,
            OutputFormat::JsonObject => Format::Object,
            OutputFormat::JsonSchema { schema, .. } => match Schema::new(schema) {
                Ok(schema) => Format::Schema(Box::new(schema)),
                Err(_) => Format::Object,
            },
        }
    }

    fn check(&self, text: &str) -> Result<(), Failure> {
        match self {
            Format::Free => Ok(()),
            Format::Object if schema::read(text)?.is_object() => Ok(()),
            Format::Object => Err(Failure::new("it is JSON, but no object")),
            Format::Schema(schema) => schema::fits(schema, text),
        }
    }
}

/// What a check looks at besides the answer.
#[derive(Default)]
pub struct Asked {
    /// The form that the request asks for.
    pub format: Format,
}

/// One check, compiled.
pub enum Check {
    /// There is an answer.
    NotEmpty,
    /// The text has this length.
    Length(Length),
    /// The text is JSON.
    Json,
    /// The text is JSON that fits a schema.
    Schema(Box<Schema>),
    /// The text has the form that the request asks for.
    ResponseFormat,
    /// The text has a match.
    Regex(Regex),
    /// The text has no match.
    NotRegex(Regex),
    /// The text contains all of these.
    Contains(Vec<String>),
    /// The text contains none of these.
    NotContains(Vec<String>),
    /// The text begins with one of these.
    StartsWith(Vec<String>),
    /// The text ends with one of these.
    EndsWith(Vec<String>),
    /// The text is one of these.
    OneOf(Vec<String>),
}

fn unless(wrong: bool, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if wrong {
        return Err(Failure::new(message()));
    }
    Ok(())
}

/// Texts of the configuration, for a message.
fn quoted(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("`{text}`")).collect();
    quoted.join(", ")
}

impl Check {
    /// Its name, as in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Check::NotEmpty => "not_empty",
            Check::Length(_) => "length",
            Check::Json => "json",
            Check::Schema(_) => "json_schema",
            Check::ResponseFormat => "response_format",
            Check::Regex(_) => "regex",
            Check::NotRegex(_) => "not_regex",
            Check::Contains(_) => "contains",
            Check::NotContains(_) => "not_contains",
            Check::StartsWith(_) => "starts_with",
            Check::EndsWith(_) => "ends_with",
            Check::OneOf(_) => "one_of",
        }
    }

    /// Whether it looks at the request besides the answer.
    pub fn needs_request(&self) -> bool {
        matches!(self, Check::ResponseFormat)
    }

    /// Looks at one choice. Checks of the text do not apply where the model called tools instead.
    ///
    /// # Errors
    /// Why it fails.
    pub fn run(&self, choice: &Choice, asked: &Asked) -> Result<(), Failure> {
        if let Check::NotEmpty = self {
            let nothing = choice.text.trim().is_empty() && choice.refusal.trim().is_empty();
            let empty = nothing && choice.tools.is_empty();
            return unless(empty, || "it is empty".to_owned());
        }
        if choice.only_calls() {
            return Ok(());
        }
        self.text(&choice.text, asked)
    }

    fn text(&self, text: &str, asked: &Asked) -> Result<(), Failure> {
        match self {
            Check::NotEmpty => Ok(()),
            Check::Length(length) => length
                .wrong(text)
                .map_or(Ok(()), |message| Err(Failure::new(message))),
            Check::Json => schema::read(text).map(|_| ()),
            Check::Schema(schema) => schema::fits(schema, text),
            Check::ResponseFormat => asked.format.check(text),
            Check::Regex(regex) => unless(!regex.is_match(text), || {
                "it has no match of the expression".to_owned()
            }),
            Check::NotRegex(regex) => match regex.find(text) {
                None => Ok(()),
                Some(found) => Err(Failure {
                    place: Some(format!("byte {}", found.start())),
                    ..Failure::new("it has a match of the expression")
                }),
            },
            Check::Contains(texts) => {
                let lacking = texts.iter().find(|needle| !text.contains(needle.as_str()));
                lacking.map_or(Ok(()), |needle| {
                    Err(Failure::new(format!("it does not contain `{needle}`")))
                })
            }
            Check::NotContains(texts) => {
                let there = texts
                    .iter()
                    .find_map(|needle| Some((needle, text.find(needle.as_str())?)));
                there.map_or(Ok(()), |(needle, at)| {
                    Err(Failure {
                        place: Some(format!("byte {at}")),
                        ..Failure::new(format!("it contains `{needle}`"))
                    })
                })
            }
            Check::StartsWith(texts) => {
                let text = text.trim_start();
                let good = texts.iter().any(|head| text.starts_with(head.as_str()));
                unless(!good, || {
                    format!("it does not begin with {}", quoted(texts))
                })
            }
            Check::EndsWith(texts) => {
                let text = text.trim_end();
                let good = texts.iter().any(|tail| text.ends_with(tail.as_str()));
                unless(!good, || format!("it does not end with {}", quoted(texts)))
            }
            Check::OneOf(texts) => {
                let good = texts.iter().any(|one| one.trim() == text.trim());
                unless(!good, || format!("it is not one of {}", quoted(texts)))
            }
        }
    }
}
