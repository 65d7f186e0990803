//! What the client, the operator and the retry loop each need to know of a failure.
//!
//! Codes, statuses and types are those of the table "JSON" in the public interface reference. The status
//! mapping exists here and nowhere else.

use serde_json::{Value, json};
use std::time::Duration;

/// Any error that can be kept as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Stable, documented, snake_case on the wire. Decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The body cannot be read or has a wrong type.
    InvalidRequest,
    /// No key, or one that does not verify.
    InvalidApiKey,
    /// The key may not use this route, or the caller may not be here.
    NotAllowed,
    /// The operator has turned the panic switch, and this key is not on its list.
    Panic,
    /// A browser has to show something first.
    ChallengeRequired,
    /// No such model, route or provider.
    ModelNotFound,
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The client took too long to send its request.
    RequestTimeout,
    /// The same request is in flight already, or a newer one took its place.
    DuplicateInFlight,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// Body over the configured bound.
    RequestTooLarge,
    /// A privacy policy does not let this request out.
    PrivacyRefused,
    /// A validator does not let the answer out.
    ValidationFailed,
    /// The upstream's own error, passed on with its status.
    Upstream,
    /// All targets failed and none gave a true status.
    UpstreamFailed,
    /// First-token or total timeout.
    UpstreamTimeout,
    /// Only a kept answer was wanted, and there is none.
    NotCached,
    /// Too many requests wait already.
    QueueFull,
    /// A limit of the gateway is used up.
    LimitExceeded,
    /// A limit of money is used up.
    BudgetExhausted,
    /// The answer became more expensive than what is left of a limit of money.
    BudgetCut,
    /// Far more is spent than usual, and the breaker holds it.
    SpendBreakerOpen,
    /// What limits of money need can't be written now.
    LimitStoreUnavailable,
    /// The gateway sheds load or is shutting down.
    Overloaded,
    /// A defect of the gateway.
    Internal,
}

impl ErrorCode {
    /// All codes, in the order of their metrics.
    pub const ALL: [ErrorCode; 26] = [
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidApiKey,
        ErrorCode::NotAllowed,
        ErrorCode::Panic,
        ErrorCode::ChallengeRequired,
        ErrorCode::ModelNotFound,
        ErrorCode::NotFound,
        ErrorCode::MethodNotAllowed,
        ErrorCode::RequestTimeout,
        ErrorCode::DuplicateInFlight,
        ErrorCode::IdempotencyKeyReused,
        ErrorCode::RequestTooLarge,
        ErrorCode::PrivacyRefused,
        ErrorCode::ValidationFailed,
        ErrorCode::Upstream,
        ErrorCode::UpstreamFailed,
        ErrorCode::UpstreamTimeout,
        ErrorCode::NotCached,
        ErrorCode::QueueFull,
        ErrorCode::LimitExceeded,
        ErrorCode::BudgetExhausted,
        ErrorCode::BudgetCut,
        ErrorCode::SpendBreakerOpen,
        ErrorCode::LimitStoreUnavailable,
        ErrorCode::Overloaded,
        ErrorCode::Internal,
    ];

    /// Name in metrics: one of few, unlike [`ApiError::code_text`], which may hold a provider's own word.
    pub fn name(self) -> &'static str {
        match self {
            ErrorCode::InvalidRequest => "invalid_request",
            ErrorCode::InvalidApiKey => "invalid_api_key",
            ErrorCode::NotAllowed => "not_allowed",
            ErrorCode::Panic => "panic",
            ErrorCode::ChallengeRequired => "challenge_required",
            ErrorCode::ModelNotFound => "model_not_found",
            ErrorCode::NotFound => "not_found",
            ErrorCode::MethodNotAllowed => "method_not_allowed",
            ErrorCode::RequestTimeout => "request_timeout",
            ErrorCode::DuplicateInFlight => "duplicate_in_flight",
            ErrorCode::IdempotencyKeyReused => "idempotency_key_reused",
            ErrorCode::RequestTooLarge => "request_too_large",
            ErrorCode::PrivacyRefused => "privacy_refused",
            ErrorCode::ValidationFailed => "validation_failed",
            ErrorCode::Upstream => "upstream",
            ErrorCode::UpstreamFailed => "upstream_failed",
            ErrorCode::UpstreamTimeout => "upstream_timeout",
            ErrorCode::NotCached => "not_cached",
            ErrorCode::QueueFull => "queue_full",
            ErrorCode::LimitExceeded => "rate_limit_exceeded",
            ErrorCode::BudgetExhausted => "insufficient_quota",
            ErrorCode::BudgetCut => "budget_exhausted",
            ErrorCode::SpendBreakerOpen => "spend_breaker_open",
            ErrorCode::LimitStoreUnavailable => "limit_store_unavailable",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::Internal => "internal_error",
        }
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong.
    Client,
    /// The provider failed.
    Upstream,
    /// The gateway failed.
    Gateway,
}

/// What the upstream said of its own error and clients act on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpstreamError {
    /// HTTP status the client gets.
    pub status: u16,
    /// OpenAI `type`, or the Anthropic type as it was.
    pub kind: Option<String>,
    /// OpenAI `code` such as `context_length_exceeded`.
    pub code: Option<String>,
    /// OpenAI `param`.
    pub param: Option<String>,
}

/// One failure with all its facets.
#[derive(Debug, thiserror::Error)]
#[error("{public}")]
pub struct ApiError {
    /// Stable code. Decides the status.
    pub code: ErrorCode,
    /// Whose fault it is.
    pub fault: Fault,
    /// When trying again can help; becomes `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Safe for the client: no addresses, keys, prompts or other tenants.
    pub public: String,
    /// Field of the request that is wrong, e.g. `messages[2].role`.
    pub param: Option<String>,
    /// The upstream's own facets, for [`ErrorCode::Upstream`].
    pub upstream: Option<Box<UpstreamError>>,
    /// What the gateway tells besides: the object `aplomb` inside `error`.
    pub extension: Option<Box<Value>>,
    /// For the log only.
    #[source]
    pub cause: Option<BoxError>,
}

impl ApiError {
    /// An error with a code and a message for the client.
    pub fn new(code: ErrorCode, public: impl Into<String>) -> Self {
        let fault = match code {
            ErrorCode::Upstream | ErrorCode::UpstreamFailed | ErrorCode::UpstreamTimeout => {
                Fault::Upstream
            }
            ErrorCode::LimitStoreUnavailable | ErrorCode::Overloaded | ErrorCode::Internal => {
                Fault::Gateway
            }
            ErrorCode::InvalidRequest
            | ErrorCode::InvalidApiKey
            | ErrorCode::NotAllowed
            | ErrorCode::Panic
            | ErrorCode::ChallengeRequired
            | ErrorCode::ModelNotFound
            | ErrorCode::NotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::RequestTimeout
            | ErrorCode::DuplicateInFlight
            | ErrorCode::IdempotencyKeyReused
            | ErrorCode::RequestTooLarge
            | ErrorCode::PrivacyRefused
            | ErrorCode::ValidationFailed
            | ErrorCode::QueueFull
            | ErrorCode::LimitExceeded
            | ErrorCode::BudgetExhausted
            | ErrorCode::BudgetCut
            | ErrorCode::SpendBreakerOpen
            | ErrorCode::NotCached => Fault::Client,
        };
        ApiError {
            code,
            fault,
            retry_after: None,
            public: public.into(),
            param: None,
            upstream: None,
            extension: None,
            cause: None,
        }
    }

    /// The same error for another client: all but its cause, which is logged once.
    #[must_use]
    pub fn again(&self) -> Self {
        ApiError {
            code: self.code,
            fault: self.fault,
            retry_after: self.retry_after,
            public: self.public.clone(),
            param: self.param.clone(),
            upstream: self.upstream.clone(),
            extension: self.extension.clone(),
            cause: None,
        }
    }

    /// A field of the request is wrong.
    pub fn invalid(param: impl Into<String>, message: impl std::fmt::Display) -> Self {
        let param = param.into();
        let public = if param.is_empty() {
            message.to_string()
        } else {
            format!("{param}: {message}")
        };
        let mut error = ApiError::new(ErrorCode::InvalidRequest, public);
        error.param = (!param.is_empty()).then_some(param);
        error
    }

    /// HTTP status of this error.
    pub fn status(&self) -> u16 {
        match self.code {
            ErrorCode::InvalidRequest => 400,
            ErrorCode::InvalidApiKey => 401,
            ErrorCode::NotAllowed | ErrorCode::Panic | ErrorCode::ChallengeRequired => 403,
            ErrorCode::ModelNotFound | ErrorCode::NotFound => 404,
            ErrorCode::MethodNotAllowed => 405,
            ErrorCode::RequestTimeout => 408,
            ErrorCode::DuplicateInFlight => 409,
            ErrorCode::RequestTooLarge => 413,
            ErrorCode::PrivacyRefused
            | ErrorCode::ValidationFailed
            | ErrorCode::IdempotencyKeyReused => 422,
            ErrorCode::QueueFull
            | ErrorCode::LimitExceeded
            | ErrorCode::BudgetExhausted
            | ErrorCode::BudgetCut
            | ErrorCode::SpendBreakerOpen => 429,
            ErrorCode::Internal => 500,
            ErrorCode::UpstreamFailed => 502,
            ErrorCode::LimitStoreUnavailable | ErrorCode::Overloaded => 503,
            ErrorCode::UpstreamTimeout | ErrorCode::NotCached => 504,
            ErrorCode::Upstream => self.upstream.as_ref().map_or(502, |up| up.status),
        }
    }

    /// Value of OpenAI's `code`, and the name used in records and metrics.
    pub fn code_text(&self) -> Option<&str> {
        match self.code {
            ErrorCode::InvalidRequest => None,
            ErrorCode::InvalidApiKey => Some("invalid_api_key"),
            ErrorCode::NotAllowed => Some("not_allowed"),
            ErrorCode::Panic => Some("panic"),
            ErrorCode::ChallengeRequired => Some("challenge_required"),
            ErrorCode::ModelNotFound => Some("model_not_found"),
            ErrorCode::NotFound => Some("not_found"),
            ErrorCode::MethodNotAllowed => Some("method_not_allowed"),
            ErrorCode::RequestTimeout => Some("request_timeout"),
            ErrorCode::DuplicateInFlight => Some("duplicate_in_flight"),
            ErrorCode::IdempotencyKeyReused => Some("idempotency_key_reused"),
            ErrorCode::RequestTooLarge => Some("request_too_large"),
            ErrorCode::PrivacyRefused => Some("privacy_refused"),
            ErrorCode::ValidationFailed => Some("validation_failed"),
            ErrorCode::UpstreamFailed => Some("upstream_failed"),
            ErrorCode::UpstreamTimeout => Some("upstream_timeout"),
            ErrorCode::NotCached => Some("not_cached"),
            ErrorCode::QueueFull => Some("queue_full"),
            ErrorCode::LimitExceeded => Some("rate_limit_exceeded"),
            ErrorCode::BudgetExhausted => Some("insufficient_quota"),
            ErrorCode::BudgetCut => Some("budget_exhausted"),
            ErrorCode::SpendBreakerOpen => Some("spend_breaker_open"),
            ErrorCode::LimitStoreUnavailable => Some("limit_store_unavailable"),
            ErrorCode::Overloaded => Some("overloaded"),
            ErrorCode::Internal => Some("internal_error"),
            ErrorCode::Upstream => self.upstream.as_ref().and_then(|up| up.code.as_deref()),
        }
    }

    fn openai_type(&self) -> &str {
        if let Some(kind) = self.upstream.as_ref().and_then(|up| up.kind.as_deref()) {
            return openai_type_of(kind);
        }
        match self.status() {
            429 if matches!(
                self.code,
                ErrorCode::QueueFull
                    | ErrorCode::BudgetExhausted
                    | ErrorCode::BudgetCut
                    | ErrorCode::SpendBreakerOpen
            ) =>
            {
                "insufficient_quota"
            }
            409 if self.code == ErrorCode::DuplicateInFlight => "conflict_error",
            401 if self.code == ErrorCode::Upstream => "authentication_error",
            400..=402 | 404..=422 => "invalid_request_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            _ => "api_error",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        if let Some(kind) = self.upstream.as_ref().and_then(|up| up.kind.as_deref())
            && let Some(kind) = ANTHROPIC_TYPES.iter().find(|known| **known == kind)
        {
            return kind;
        }
        match self.status() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 | 529 => "overloaded_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }

    /// The OpenAI error object: `{"error": {message, type, param, code}}`, with `aplomb` where there is more to tell.
    pub fn to_openai(&self) -> Value {
        self.extended(json!({"error": {
            "message": self.public,
            "type": self.openai_type(),
            "param": self.param.as_deref().or(self.upstream.as_ref().and_then(|up| up.param.as_deref())),
            "code": self.code_text(),
        }}))
    }

    /// The Anthropic error object: `{"type": "error", "error": {type, message}, "request_id"}`, with `aplomb` where there is
    /// more to tell.
    pub fn to_anthropic(&self, request_id: &str) -> Value {
        self.extended(json!({
            "type": "error",
            "error": { "type": self.anthropic_type(), "message": self.public },
            "request_id": request_id,
        }))
    }

    fn extended(&self, mut body: Value) -> Value {
        if let Some(extension) = &self.extension
            && let Some(error) = body.get_mut("error").and_then(Value::as_object_mut)
        {
            error.insert("aplomb".to_owned(), (**extension).clone());
        }
        body
    }
}

const ANTHROPIC_TYPES: [&str; 10] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "api_error",
    "overloaded_error",
];

/// Anthropic's types in OpenAI's words; OpenAI's own pass through.
fn openai_type_of(kind: &str) -> &str {
    match kind {
        "not_found_error" | "request_too_large" => "invalid_request_error",
        "overloaded_error" | "timeout_error" => "api_error",
        "billing_error" => "insufficient_quota",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_name_the_field() {
        let error = ApiError::invalid("messages[2].role", "expected a string, found a number");
        assert_eq!(error.status(), 400);
        assert_eq!(error.to_openai()["error"]["param"], "messages[2].role");
        assert_eq!(error.to_openai()["error"]["code"], Value::Null);
        assert_eq!(
            error.to_anthropic("r")["error"]["type"],
            "invalid_request_error"
        );
    }

    #[test]
    fn a_duplicate_is_a_conflict_in_openais_words() {
        let error = ApiError::new(ErrorCode::DuplicateInFlight, "twice");
        assert_eq!(error.status(), 409);
        assert_eq!(error.to_openai()["error"]["type"], "conflict_error");
        assert_eq!(
            error.to_anthropic("r")["error"]["type"],
            "invalid_request_error"
        );
    }

    #[test]
    fn upstream_facets_are_kept() {
        let mut error = ApiError::new(ErrorCode::Upstream, "too long");
        error.upstream = Some(Box::new(UpstreamError {
            status: 400,
            kind: Some("invalid_request_error".into()),
            code: Some("context_length_exceeded".into()),
            param: Some("messages".into()),
        }));
        assert_eq!(error.status(), 400);
        assert_eq!(
            error.to_openai()["error"],
            json!({"message": "too long", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"})
        );
    }

    #[test]
    fn overloaded_keeps_its_anthropic_type() {
        let mut error = ApiError::new(ErrorCode::Upstream, "busy");
        error.upstream = Some(Box::new(UpstreamError {
            status: 529,
            kind: Some("overloaded_error".into()),
            ..Default::default()
        }));
        assert_eq!(error.to_anthropic("r")["error"]["type"], "overloaded_error");
        assert_eq!(error.to_openai()["error"]["type"], "api_error");
    }
}
