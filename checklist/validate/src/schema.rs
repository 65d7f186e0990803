//! JSON and JSON Schema (draft 2020-12, unless a schema names another one).
//!
//! References lead to places inside the schema only: nothing is fetched. Patterns are matched in linear time, so a schema with
//! look-around or backreferences does not compile. A value is at most 128 levels deep, as everywhere in this program.

use crate::check::Failure;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Most errors that are told of one value. Chosen: a model that mends five of them mends the others with them.
const TOLD: usize = 5;

/// Longest pattern as a program. Chosen: far above what people write.
const PATTERN_BYTES: usize = 1 << 20;

/// Most characters of one error. Chosen: a line or two.
const ERROR_CHARS: usize = 300;

/// A compiled schema.
pub struct Schema(Validator);

/// What is wrong with one place of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// JSON pointer.
    pub place: String,
    /// In words of the schema alone.
    pub message: String,
    /// With the value, for whoever wrote it.
    pub detail: String,
}

fn short(text: &str) -> String {
    text.chars().take(ERROR_CHARS).collect()
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(schema: &Value) -> Result<Self, String> {
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES);
        let built = jsonschema::options()
            .with_pattern_options(patterns)
            .build(schema);
        built.map(Schema).map_err(|error| {
            let at = match error.instance_path().as_str() {
                "" => String::new(),
                path => format!(" (at {path})"),
            };
            format!(
                "the schema can't be used: {}{at}",
                short(&error.to_string())
            )
        })
    }

    /// What is wrong with a value; the first few.
    pub fn wrong(&self, value: &Value) -> Vec<Wrong> {
        if self.0.is_valid(value) {
            return Vec::new();
        }
        let errors = self.0.iter_errors(value).take(TOLD);
        errors.map(|error| wrong(&error)).collect()
    }
}

fn wrong(error: &ValidationError<'_>) -> Wrong {
    let message = match error.kind() {
        ValidationErrorKind::AdditionalProperties { .. }
        | ValidationErrorKind::UnevaluatedProperties { .. } => {
            "it has members that the schema does not know".to_owned()
        }
        ValidationErrorKind::PropertyNames { .. } => "a member's name is not allowed".to_owned(),
        _ => error.masked().to_string(),
    };
    Wrong {
        place: short(error.instance_path().as_str()),
        message: short(&message),
        detail: short(&error.to_string()),
    }
}

/// Reads a text as one JSON value.
///
/// # Errors
/// Where it is none.
pub fn read(text: &str) -> Result<Value, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::new("it is not JSON: it is empty"));
    }
    serde_json::from_str(text.trim()).map_err(|error| {
        let why = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            _ => "it breaks off the syntax",
        };
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure {
            place: Some(place),
            ..Failure::new(format!("it is not JSON: {why}"))
        }
    })
}

/// Checks a text against a schema.
///
/// # Errors
/// It is no JSON, or does not fit.
pub fn fits(schema: &Schema, text: &str) -> Result<(), Failure> {
    let value = read(text)?;
    let wrong = schema.wrong(&value);
    let Some(first) = wrong.first() else {
        return Ok(());
    };
    let line = |one: &Wrong| match one.place.as_str() {
        "" => one.detail.clone(),
        place => format!("{place}: {}", one.detail),
    };
    let all: Vec<String> = wrong.iter().map(line).collect();
    Err(Failure {
        place: (!first.place.is_empty()).then(|| first.place.clone()),
        message: first.message.clone(),
        detail: Some(all.join("\n")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn invoice() -> Schema {
        let schema = json!({
            "type": "object", "required": ["total"], "additionalProperties": false,
            "properties": { "total": { "type": "number" }, "who": { "type": "string", "pattern": "^[A-Z]" } }
        });
        Schema::new(&schema).unwrap()
    }

    #[test]
    fn what_is_told_holds_nothing_of_the_value() {
        let schema = invoice();
        for (text, place, message) in [
            (
                r#"{"who":"Ada"}"#,
                None,
                r#""total" is a required property"#,
            ),
            (
                r#"{"total":"secret"}"#,
                Some("/total"),
                r#"value is not of type "number""#,
            ),
            (
                r#"{"total":1,"secret":2}"#,
                None,
                "it has members that the schema does not know",
            ),
            (
                r#"{"total":1,"who":"secret"}"#,
                Some("/who"),
                r#"value does not match "^[A-Z]""#,
            ),
        ] {
            let failure = fits(&schema, text).unwrap_err();
            assert_eq!(failure.message, message);
            assert_eq!(failure.place.as_deref(), place);
            let whole = format!("{:?}{}", failure.place, failure.message);
            assert!(!whole.contains("secret"), "{whole}");
        }
        assert_eq!(fits(&schema, " {\"total\": 1.5}\n"), Ok(()));
    }

    #[test]
    fn a_text_that_is_no_json_says_where() {
        let failure = read("{\"a\": 1,").unwrap_err();
        assert_eq!(failure.message, "it is not JSON: it ends too early");
        assert_eq!(failure.place.as_deref(), Some("line 1, column 8"));
        assert!(read("").is_err());
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_err(), "and nothing overflows");
    }

    #[test]
    fn schemas_that_can_not_be_used_are_refused() {
        for (schema, word) in [
            (json!({ "type": "objekt" }), "objekt"),
            (json!({ "$ref": "https://example.com/x" }), "example.com"),
            (json!({ "$ref": "file:///etc/passwd" }), "passwd"),
            (json!({ "pattern": "(?=a)b" }), "(?=a)b"),
            (json!({ "pattern": "(a)\\1" }), "(a)"),
            (json!({ "$ref": "#/nowhere" }), "nowhere"),
        ] {
            let error = Schema::new(&schema).err().unwrap_or_default();
            assert!(error.contains(word), "{schema}: {error}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = Schema::new(&json!({ "allOf": [{ "$ref": "#" }] })).unwrap();
        assert_eq!(schema.wrong(&json!({ "a": [] })), []);
    }
}
