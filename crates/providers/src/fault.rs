//! How an upstream call fails, in the classes that a retry, a fallback or the client acts on.

use crate::limits::Limits;
use aplomb_core::error::{ApiError, ErrorCode, UpstreamError};
use std::time::Duration;

/// What went wrong with one upstream call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// No connection: refused, unknown host, TLS, connect timeout.
    Connect,
    /// The connection broke while the answer was awaited or read, or its framing is wrong.
    Reset,
    /// The answer ended although no finish reason came.
    Cut,
    /// An answer that is none: HTML, broken JSON, an empty body, a redirect, an unknown encoding.
    Malformed,
    /// An event or a body over the bound.
    TooLarge,
    /// Nothing of the answer came within the first-token deadline.
    FirstToken,
    /// The stream stood still for longer than the idle bound.
    Idle,
    /// The request's total time is used up.
    Total,
    /// HTTP error status 5xx, 408, 409, or an error object inside a 200.
    Server,
    /// HTTP 429 that passes with time.
    RateLimited,
    /// The account has no money or quota left; time alone does not help.
    Quota,
    /// 401 or 403: the provider does not accept the gateway's credentials.
    Credentials,
    /// 404: the provider does not know the model or the path.
    NotFound,
    /// The request is longer than what the model takes.
    ContextLength,
    /// The provider's content filter refused the request, or stopped its answer before it began.
    ContentFilter,
    /// The gateway's own queue before the target: full, or too slow.
    Busy,
    /// 400, 413, 422: the request itself is wrong, wherever it goes.
    Request,
}

impl FaultKind {
    /// Name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Connect => "connect",
            FaultKind::Reset => "reset",
            FaultKind::Cut => "cut",
            FaultKind::Malformed => "malformed",
            FaultKind::TooLarge => "too_large",
            FaultKind::FirstToken => "first_token_timeout",
            FaultKind::Idle => "idle_timeout",
            FaultKind::Total => "total_timeout",
            FaultKind::Server => "server_error",
            FaultKind::RateLimited => "rate_limited",
            FaultKind::Quota => "quota",
            FaultKind::Credentials => "credentials",
            FaultKind::NotFound => "not_found",
            FaultKind::ContextLength => "context_length",
            FaultKind::ContentFilter => "content_filter",
            FaultKind::Busy => "busy",
            FaultKind::Request => "request",
        }
    }
}

/// One failed upstream call: the class, and what the client may be told.
#[derive(Debug)]
pub struct UpstreamFault {
    /// The class.
    pub kind: FaultKind,
    /// What the client is told if this is the last word.
    pub error: ApiError,
    /// What the provider said of its limits with it.
    pub limits: Option<Box<Limits>>,
}

impl UpstreamFault {
    /// A failure without a true status of its own (502, or 504 for timeouts).
    pub fn new(kind: FaultKind, public: impl Into<String>) -> Self {
        let code = match kind {
            FaultKind::FirstToken | FaultKind::Idle | FaultKind::Total => {
                ErrorCode::UpstreamTimeout
            }
            _ => ErrorCode::UpstreamFailed,
        };
        UpstreamFault {
            kind,
            error: ApiError::new(code, public),
            limits: None,
        }
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<aplomb_core::error::BoxError>) -> Self {
        self.error.cause = Some(cause.into());
        self
    }

    /// The upstream's own error object, already reduced to safe facets.
    ///
    /// `facets.status` is the status that the client gets: the upstream's own, or 502 where an error object
    /// came inside a 200 and names none.
    pub fn upstream(facets: UpstreamError, public: String, retry_after: Option<Duration>) -> Self {
        let kind = classify(&facets, &public);
        let mut error = ApiError::new(ErrorCode::Upstream, public);
        error.retry_after = retry_after;
        error.upstream = Some(Box::new(facets));
        UpstreamFault {
            kind,
            error,
            limits: None,
        }
    }
}

/// The class of an error that the upstream itself reported.
fn classify(facets: &UpstreamError, message: &str) -> FaultKind {
    let names = [facets.code.as_deref(), facets.kind.as_deref()];
    let named = |word: &str| names.iter().flatten().any(|name| *name == word);
    if names.iter().flatten().any(|name| {
        matches!(
            *name,
            "insufficient_quota" | "billing_error" | "billing_hard_limit_reached"
        )
    }) {
        return FaultKind::Quota;
    }
    if matches!(facets.status, 400 | 403 | 413 | 422) {
        if named("context_length_exceeded") || is_too_long(message) {
            return FaultKind::ContextLength;
        }
        if named("content_filter") || named("content_policy_violation") {
            return FaultKind::ContentFilter;
        }
    }
    match facets.status {
        401 | 403 => FaultKind::Credentials,
        402 => FaultKind::Quota,
        404 => FaultKind::NotFound,
        429 => FaultKind::RateLimited,
        408 | 409 | 500..=599 => FaultKind::Server,
        _ => FaultKind::Request,
    }
}

/// Servers that have no code for a request that is too long say it in these words.
fn is_too_long(message: &str) -> bool {
    [
        // Anthropic.
        "prompt is too long",
        // OpenAI, vLLM, SGLang.
        "maximum context length",
        // llama.cpp, Mistral.
        "context size",
        "too large for model with",
    ]
    .iter()
    .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, code: Option<&str>, expected: FaultKind) {
        let facets = UpstreamError {
            status,
            code: code.map(str::to_owned),
            ..Default::default()
        };
        assert_eq!(
            UpstreamFault::upstream(facets, "x".into(), None).kind,
            expected
        );
    }

    #[test]
    fn classes_follow_status_and_code() {
        check(429, None, FaultKind::RateLimited);
        check(429, Some("insufficient_quota"), FaultKind::Quota);
        check(
            400,
            Some("context_length_exceeded"),
            FaultKind::ContextLength,
        );
        check(400, Some("content_filter"), FaultKind::ContentFilter);
        check(400, None, FaultKind::Request);
        check(529, None, FaultKind::Server);
        check(401, None, FaultKind::Credentials);
        check(404, None, FaultKind::NotFound);
    }

    #[test]
    fn servers_without_codes_are_understood_by_their_words() {
        for message in [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "This model's maximum context length is 8192 tokens",
        ] {
            let facets = UpstreamError {
                status: 400,
                ..Default::default()
            };
            let fault = UpstreamFault::upstream(facets, message.into(), None);
            assert_eq!(fault.kind, FaultKind::ContextLength, "{message}");
        }
    }
}
