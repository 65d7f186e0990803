//! Compares what happened with what a scenario expects.

use serde_json::Value;
use std::collections::BTreeMap;

/// `Ok` if a condition holds, else what differs.
pub fn that(holds: bool, differs: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(differs()) }
}

/// Enough of a text to see what it is.
fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(2000)).unwrap_or(text)
}

/// Parts that a text must and must not have.
pub fn parts(what: &str, text: &str, contains: &[String], lacks: &[String]) -> Result<(), String> {
    for part in contains {
        that(text.contains(part), || {
            format!("{what} lacks {part:?}: {}", beginning(text))
        })?;
    }
    for part in lacks {
        that(!text.contains(part), || {
            format!("{what} holds {part:?}: {}", beginning(text))
        })?;
    }
    Ok(())
}

/// Members of a JSON value, by pointer. What is not there is `null`.
pub fn members(
    what: &str,
    value: &Value,
    expected: &BTreeMap<String, Value>,
) -> Result<(), String> {
    for (pointer, expected) in expected {
        let found = value.pointer(pointer).unwrap_or(&Value::Null);
        that(same(found, expected), || {
            format!("{what} {pointer}: expected {expected}, found {found} in {value}")
        })?;
    }
    Ok(())
}

/// Numbers are the same by their value.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        _ => one == other,
    }
}

/// Headers, and headers that must not be there.
pub fn headers<'a>(
    what: &str,
    get: impl Fn(&str) -> Option<&'a str>,
    expected: &BTreeMap<String, Option<String>>,
) -> Result<(), String> {
    for (name, expected) in expected {
        let found = get(name);
        that(found == expected.as_deref(), || {
            format!("{what} {name}: expected {expected:?}, found {found:?}")
        })?;
    }
    Ok(())
}
