//! Anthropic's error answers, reduced to what a client may see.

use crate::clean::clean;
use crate::fault::{FaultKind, UpstreamFault};
use crate::openai;
use aplomb_core::error::UpstreamError;
use serde_json::Value;

/// Facets and message of an error body that came with `status`; of an error inside a 200 too.
pub fn facets(status: u16, body: &[u8]) -> (UpstreamError, String) {
    let value = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let error = value.get("error");
    let kind = error
        .and_then(|error| error.get("type"))
        .and_then(Value::as_str);
    let Some(named) = kind.and_then(status_of) else {
        return openai::error::facets(status, body);
    };
    let status = if status >= 400 { status } else { named };
    let message = error
        .and_then(|error| error.get("message"))
        .and_then(Value::as_str);
    let message = message.map_or_else(
        || format!("the provider answered with status {status}"),
        clean,
    );
    (
        UpstreamError {
            status,
            kind: kind.map(str::to_owned),
            code: None,
            param: None,
        },
        message,
    )
}

/// Status of each error type of the Messages API.
fn status_of(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

pub(super) fn in_band(body: &[u8]) -> UpstreamFault {
    let (facets, message) = facets(200, body);
    UpstreamFault::upstream(facets, message, None)
}

pub(super) fn malformed(message: &str) -> UpstreamFault {
    UpstreamFault::new(FaultKind::Malformed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_give_the_status_of_errors_in_streams() {
        let body =
            br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let (facets, message) = facets(200, body);
        assert_eq!(
            (facets.status, facets.kind.as_deref(), message.as_str()),
            (529, Some("overloaded_error"), "Overloaded")
        );
    }

    #[test]
    fn foreign_shapes_are_read_too() {
        assert_eq!(
            facets(502, b"<html>").1,
            "the provider answered with status 502"
        );
        assert_eq!(
            facets(400, br#"{"error":{"message":"m","code":"c"}}"#)
                .0
                .code
                .as_deref(),
            Some("c")
        );
    }
}
