//! Readers of single members with errors that say what was found.

use crate::error::ApiError;
use crate::json::{kind_of, range_of};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::ops::Range;

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
pub fn parse<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ApiError> {
    match body.as_bytes().trim_ascii_start().first() {
        Some(b'[' | b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n') => Err(ApiError::invalid(
            "",
            "the request body must be a JSON object (line 1, column 1)",
        )),
        _ => serde_json::from_str(body).map_err(|error| malformed(&error)),
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

/// Where a member's value stands in the body.
pub fn place(body: &str, raw: Option<&RawValue>) -> Option<Range<usize>> {
    range_of(body.as_bytes(), raw?.get())
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

/// What is known of the member `messages` after one look: an array of objects with a `role` is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// As it should be.
    Good,
    /// `null`.
    Null,
    /// No item.
    Empty,
    /// No array, but this.
    NoArray(&'static str),
    /// An item that is no object, but this.
    NoObject(usize, &'static str),
    /// An item without a role that is a string.
    NoRole(usize),
}

/// `messages`: an array of at least one object with a `role`.
pub fn messages(found: Option<Messages>) -> Result<(), ApiError> {
    let at = |param: String, message: String| Err(ApiError::invalid(param, message));
    let expected = "expected an array of messages";
    match found {
        Some(Messages::Good) => Ok(()),
        None | Some(Messages::Null) => at(
            "messages".to_owned(),
            format!("this field is required; {expected}"),
        ),
        Some(Messages::Empty) => at(
            "messages".to_owned(),
            "expected at least one message".to_owned(),
        ),
        Some(Messages::NoArray(kind)) => {
            at("messages".to_owned(), format!("{expected}, found {kind}"))
        }
        Some(Messages::NoObject(index, kind)) => at(
            format!("messages[{index}]"),
            format!("expected an object, found {kind}"),
        ),
        Some(Messages::NoRole(index)) => at(
            format!("messages[{index}].role"),
            "this field is required; expected a string".to_owned(),
        ),
    }
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look).map(|seen| match seen {
            Seen::Array(messages) => messages,
            Seen::Null => Messages::Null,
            Seen::Object { .. } => Messages::NoArray("an object"),
            Seen::Other(kind) => Messages::NoArray(kind),
        })
    }
}

/// What one value is, as far as anybody here asks.
enum Seen {
    Null,
    Array(Messages),
    Object { role: bool },
    Other(&'static str),
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

/// Goes over a value without keeping any of it.
struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Seen;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
        Ok(Seen::Other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Ok(Seen::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other("a number"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen::Other("a string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Seen, A::Error> {
        let mut fault = None;
        let mut count = 0;
        while let Some(seen) = items.next_element::<Seen>()? {
            let found = match seen {
                Seen::Object { role: true } => None,
                Seen::Object { role: false } => Some(Messages::NoRole(count)),
                Seen::Null => Some(Messages::NoObject(count, "null")),
                Seen::Array(_) => Some(Messages::NoObject(count, "an array")),
                Seen::Other(kind) => Some(Messages::NoObject(count, kind)),
            };
            fault = fault.or(found);
            count += 1;
        }
        let empty = (count == 0).then_some(Messages::Empty);
        Ok(Seen::Array(fault.or(empty).unwrap_or(Messages::Good)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Seen, A::Error> {
        let mut role = false;
        while let Some(key) = members.next_key::<Key>()? {
            if key.is_role {
                role = matches!(members.next_value::<Seen>()?, Seen::Other("a string"));
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Seen::Object { role })
    }
}

struct Key {
    is_role: bool,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(Key {
                    is_role: name == "role",
                })
            }
        }
        deserializer.deserialize_identifier(Name)
    }
}
