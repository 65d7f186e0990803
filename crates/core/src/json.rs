//! JSON as bytes: bounds before parsing, and edits of top-level members that leave all other bytes alone.
//!
//! A route that changes nothing but the model name must not pay for a document tree, nor lose a field that
//! nobody here has heard of.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::ops::Range;

/// Deepest nesting that is accepted. Chosen: `serde_json`'s own bound, so that every later step can parse.
pub const DEPTH_MAX: usize = 127;

/// Nesting deeper than [`DEPTH_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nested deeper than {DEPTH_MAX} levels at byte {at}")]
pub struct TooDeep {
    /// Offset of the bracket that opens the level too many.
    pub at: usize,
}

/// Checks the nesting of a document in one pass without a stack. Strings, where most bytes are, are leapt over.
///
/// # Errors
/// [`TooDeep`] with the place. Other faults of the text are left to the parser.
pub fn check_depth(text: &[u8]) -> Result<(), TooDeep> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(TooDeep { at });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(text, at + 1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Offset of the quote that ends a string whose content begins at `at`, or the end of the text.
fn string_end(text: &[u8], mut at: usize) -> usize {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
            return text.len();
        };
        at += found;
        if text.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
}

/// For `#[serde(deserialize_with)]`: keeps an explicit `null` apart from an absent member.
pub fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What kind of JSON value a text is, for error messages.
pub fn kind_of(raw: &RawValue) -> &'static str {
    match raw.get().trim_start().bytes().next() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Byte range of `part` in `whole`, where `part` is a slice of it. `None` if it is not.
pub fn range_of(whole: &[u8], part: &str) -> Option<Range<usize>> {
    let base = whole.as_ptr().addr();
    let start = part.as_ptr().addr().checked_sub(base)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// One change to the bytes of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Bytes to replace; empty to insert.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub text: String,
}

/// Applies edits that do not overlap, in any order.
pub fn apply(text: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let extra: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = Vec::with_capacity(text.len() + extra);
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(text.get(at..edit.range.start).unwrap_or_default());
        out.extend_from_slice(edit.text.as_bytes());
        at = edit.range.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out
}

/// Edit that puts `member` (as `"key":value`) first into the top-level object.
pub fn insert_member(text: &[u8], member: &str) -> Option<Edit> {
    let open = memchr::memchr(b'{', text)? + 1;
    let empty = text.get(open..)?.trim_ascii_start().first() == Some(&b'}');
    let comma = if empty { "" } else { "," };
    Some(Edit {
        range: open..open,
        text: format!("{member}{comma}"),
    })
}

/// Edit that removes the member whose value stands at `value`, with its key and one comma.
///
/// `text` must be valid JSON and `value` the place of the value of an object member.
pub fn remove_member(text: &[u8], value: Range<usize>) -> Option<Edit> {
    let key_end = memchr::memrchr(b'"', text.get(..value.start)?)?;
    // Keys that are removed are known names without escapes, so the quote before is the opening one.
    let key_start = memchr::memrchr(b'"', text.get(..key_end)?)?;
    let before = text.get(..key_start)?.trim_ascii_end();
    if before.last() == Some(&b',') {
        return Some(Edit {
            range: before.len() - 1..value.end,
            text: String::new(),
        });
    }
    let after = text.get(value.end..)?;
    let blanks = after.len() - after.trim_ascii_start().len();
    let comma = usize::from(after.get(blanks) == Some(&b','));
    Some(Edit {
        range: key_start..value.end + (blanks + 1) * comma,
        text: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        usage: Option<&'a RawValue>,
    }

    #[track_caller]
    fn check_removed(text: &str, expected: &str) {
        let probe: Probe = serde_json::from_str(text).unwrap();
        let place = range_of(text.as_bytes(), probe.usage.unwrap().get()).unwrap();
        let edit = remove_member(text.as_bytes(), place).unwrap();
        let out = String::from_utf8(apply(text.as_bytes(), vec![edit])).unwrap();
        assert_eq!(out, expected);
        serde_json::from_str::<Value>(&out).unwrap();
    }

    #[test]
    fn a_member_is_removed_wherever_it_stands() {
        check_removed(r#"{"usage":null,"a":1}"#, r#"{"a":1}"#);
        check_removed(
            r#"{ "a" : 1 , "usage" : {"x":"}"} , "b":2}"#,
            r#"{ "a" : 1  , "b":2}"#,
        );
        check_removed(r#"{"a":1,"usage":null}"#, r#"{"a":1}"#);
        check_removed(r#"{"usage":null}"#, "{}");
    }

    #[test]
    fn null_is_present() {
        assert!(
            serde_json::from_str::<Probe>(r#"{"usage":null}"#)
                .unwrap()
                .usage
                .is_some()
        );
        assert!(serde_json::from_str::<Probe>("{}").unwrap().usage.is_none());
    }

    #[test]
    fn a_member_is_inserted_first() {
        for (text, expected) in [("{}", r#"{"a":1}"#), (r#" { "b":2}"#, r#" {"a":1, "b":2}"#)] {
            let edit = insert_member(text.as_bytes(), r#""a":1"#).unwrap();
            assert_eq!(apply(text.as_bytes(), vec![edit]), expected.as_bytes());
        }
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(check_depth(br#"{"a":"[[[[\"[[[","b":[[]]}"#), Ok(()));
        assert_eq!(check_depth("[".repeat(DEPTH_MAX).as_bytes()), Ok(()));
        assert_eq!(
            check_depth("[".repeat(20_000).as_bytes()),
            Err(TooDeep { at: DEPTH_MAX })
        );
        let pairs = "[]".repeat(20_000);
        assert_eq!(check_depth(pairs.as_bytes()), Ok(()));
    }
}
