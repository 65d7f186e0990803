//! Readers of single members with errors that say what was found.

use crate::error::ApiError;
use crate::json::kind_of;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Turns a parser error into one for the client: place, but no text of the body.
pub fn malformed(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    // Data errors quote the offending text, which may be a prompt.
    let reason = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early".to_owned(),
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            text.split(" at line").next().unwrap_or_default().to_owned()
        }
        serde_json::error::Category::Data if text.starts_with("duplicate field") => {
            text.split(" at line").next().unwrap_or_default().to_owned()
        }
        serde_json::error::Category::Data => "expected a JSON object".to_owned(),
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    ApiError::invalid(
        "",
        format!("the request body is not valid JSON for this endpoint: {reason} ({place})"),
    )
}

/// Parses the head of a body. Only an object will do: the parser alone would also take a list of the members.
///
/// # Errors
/// [`malformed`].
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    match body.trim_ascii_start().first() {
        Some(b'[' | b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n') => Err(ApiError::invalid(
            "",
            "the request body must be a JSON object (line 1, column 1)",
        )),
        _ => serde_json::from_slice(body).map_err(|error| malformed(&error)),
    }
}

fn is_null(raw: &RawValue) -> bool {
    raw.get().trim() == "null"
}

/// An optional member of a simple type; `null` counts as absent.
pub fn optional<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, ApiError> {
    match raw {
        None => Ok(None),
        Some(raw) if is_null(raw) => Ok(None),
        Some(raw) => match serde_json::from_str(raw.get()) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(ApiError::invalid(
                name,
                format!("expected {expected}, found {}", kind_of(raw)),
            )),
        },
    }
}

/// A member that must be there.
pub fn required<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    name: &str,
    expected: &str,
) -> Result<T, ApiError> {
    optional(raw, name, expected)?.ok_or_else(|| {
        ApiError::invalid(name, format!("this field is required; expected {expected}"))
    })
}

/// The model name: a non-empty string of at most 256 bytes.
pub fn model(raw: Option<&RawValue>) -> Result<String, ApiError> {
    let model: String = required(raw, "model", "a string")?;
    if model.is_empty() || model.len() > 256 {
        return Err(ApiError::invalid(
            "model",
            "expected a model name of 1 to 256 bytes",
        ));
    }
    Ok(model)
}

/// `messages`: an array of at least one object with a `role`.
pub fn messages(raw: Option<&RawValue>) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Turn<'a> {
        #[serde(borrow, default)]
        role: Option<&'a RawValue>,
    }
    let turns: Vec<&RawValue> = required(raw, "messages", "an array of messages")?;
    if turns.is_empty() {
        return Err(ApiError::invalid(
            "messages",
            "expected at least one message",
        ));
    }
    for (index, turn) in turns.into_iter().enumerate() {
        let Ok(head) = serde_json::from_str::<Turn>(turn.get()) else {
            let found = kind_of(turn);
            return Err(ApiError::invalid(
                format!("messages[{index}]"),
                format!("expected an object, found {found}"),
            ));
        };
        if !head.role.is_some_and(|role| role.get().starts_with('"')) {
            return Err(ApiError::invalid(
                format!("messages[{index}].role"),
                "this field is required; expected a string",
            ));
        }
    }
    Ok(())
}
