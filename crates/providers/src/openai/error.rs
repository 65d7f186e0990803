//! Error answers of OpenAI-compatible servers, reduced to what a client may see.

use crate::clean::clean;
use crate::fault::{FaultKind, UpstreamFault};
use aplomb_core::error::UpstreamError;
use serde_json::Value;

/// In what way an answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    Empty,
    Event,
    Body,
}

pub(super) fn malformed(what: Malformed) -> UpstreamFault {
    let message = match what {
        Malformed::Empty => "the provider sent an empty answer",
        Malformed::Event => "the provider sent a stream event that is not a valid chunk",
        Malformed::Body => "the provider sent a body that is not a valid answer",
    };
    UpstreamFault::new(FaultKind::Malformed, message)
}

/// An error object inside a 200 answer or a stream.
pub(super) fn in_band(body: &[u8]) -> UpstreamFault {
    let (facets, message) = facets(200, body);
    UpstreamFault::upstream(facets, message, None)
}

/// Facets and message of an error body that came with `status`.
///
/// Knows OpenAI's object, a bare string, FastAPI's `detail`, Google's array and numeric codes. Anything else,
/// HTML above all, gives a message of our own. An error inside a 200 gets the status it names, else 502.
pub fn facets(status: u16, body: &[u8]) -> (UpstreamError, String) {
    let value = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let value = value.get(0).cloned().unwrap_or(value);
    let error = value
        .get("error")
        .filter(|error| !error.is_null())
        .unwrap_or(&value);
    let text = |name: &str| {
        error
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let code = text("code")
        .or_else(|| google_code(text("status")))
        .map(word);
    let facets = UpstreamError {
        status: true_status(status, error),
        kind: text("type").map(word),
        code,
        param: text("param").map(word),
    };
    let message = text("message")
        .or_else(|| error.as_str())
        .or_else(|| value.get("message").and_then(Value::as_str))
        .or_else(|| value.get("detail").and_then(Value::as_str))
        .map_or_else(
            || format!("the provider answered with status {}", facets.status),
            clean,
        );
    (facets, message)
}

/// Codes are words; anything else in their place is not passed on.
fn word(text: &str) -> String {
    let fits = text.len() <= 128
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b));
    if fits {
        text.to_owned()
    } else {
        "unknown".to_owned()
    }
}

fn google_code(status: Option<&str>) -> Option<&'static str> {
    (status? == "RESOURCE_EXHAUSTED").then_some("rate_limit_exceeded")
}

fn true_status(status: u16, error: &Value) -> u16 {
    if status >= 400 {
        return status;
    }
    let number = error
        .get("code")
        .or_else(|| error.get("status"))
        .and_then(Value::as_u64);
    if let Some(number) = number
        .and_then(|n| u16::try_from(n).ok())
        .filter(|n| (400..600).contains(n))
    {
        return number;
    }
    let names = [error.get("type"), error.get("code"), error.get("status")];
    let named = |word: &str| {
        names
            .iter()
            .flatten()
            .filter_map(|v| v.as_str())
            .any(|name| name.contains(word))
    };
    if named("rate_limit") || named("RESOURCE_EXHAUSTED") || named("insufficient_quota") {
        429
    } else if named("context_length_exceeded")
        || named("content_filter")
        || named("invalid_request")
    {
        400
    } else {
        502
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expected: (u16, Option<&str>, &str)) {
        let (facets, message) = facets(status, body.as_bytes());
        assert_eq!(
            (facets.status, facets.code.as_deref(), message.as_str()),
            expected,
            "{body}"
        );
    }

    #[test]
    fn known_shapes() {
        check(
            400,
            r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            (400, Some("context_length_exceeded"), "too long"),
        );
        check(500, r#"{"error":"boom"}"#, (500, None, "boom"));
        check(422, r#"{"detail":"bad field"}"#, (422, None, "bad field"));
        check(
            200,
            r#"{"error":{"message":"later","code":503}}"#,
            (503, None, "later"),
        );
        check(200, r#"{"error":{"message":"odd"}}"#, (502, None, "odd"));
        check(
            429,
            r#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#,
            (429, Some("rate_limit_exceeded"), "slow"),
        );
    }

    #[test]
    fn html_never_passes() {
        check(
            502,
            "<html><b>nginx</b></html>",
            (502, None, "the provider answered with status 502"),
        );
        check(
            500,
            "",
            (500, None, "the provider answered with status 500"),
        );
    }
}
