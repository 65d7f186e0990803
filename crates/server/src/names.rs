//! Names of headers, made once: a name given as text is parsed at every look-up.

use http::HeaderName;

pub static X_APLOMB_REQUEST_ID: HeaderName = HeaderName::from_static("x-aplomb-request-id");
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
pub static X_APLOMB_TARGET: HeaderName = HeaderName::from_static("x-aplomb-target");
pub static X_APLOMB_ATTEMPTS: HeaderName = HeaderName::from_static("x-aplomb-attempts");
pub static X_APLOMB_OVERHEAD_MS: HeaderName = HeaderName::from_static("x-aplomb-overhead-ms");
pub static X_APLOMB_TTFT_MS: HeaderName = HeaderName::from_static("x-aplomb-ttft-ms");
pub static X_APLOMB_VERDICT: HeaderName = HeaderName::from_static("x-aplomb-verdict");
pub static X_APLOMB_SIMULATED: HeaderName = HeaderName::from_static("x-aplomb-simulated");
pub static X_APLOMB_CACHE: HeaderName = HeaderName::from_static("x-aplomb-cache");
pub static X_APLOMB_MAX_TOKENS_CLAMPED: HeaderName =
    HeaderName::from_static("x-aplomb-max-tokens-clamped");
pub static X_APLOMB_DROPPED: HeaderName = HeaderName::from_static("x-aplomb-dropped");
pub static X_APLOMB_LIMITS: HeaderName = HeaderName::from_static("x-aplomb-limits");
pub static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub static X_RATELIMIT_LIMIT_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-requests");
pub static X_RATELIMIT_REMAINING_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-requests");
pub static X_RATELIMIT_RESET_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-requests");
pub static X_RATELIMIT_LIMIT_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-tokens");
pub static X_RATELIMIT_REMAINING_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-tokens");
pub static X_RATELIMIT_RESET_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-tokens");
pub static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
pub static X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
pub static X_APLOMB_USER: HeaderName = HeaderName::from_static("x-aplomb-user");
pub static X_APLOMB_CONTEXT: HeaderName = HeaderName::from_static("x-aplomb-context");
pub static X_APLOMB_TAGS: HeaderName = HeaderName::from_static("x-aplomb-tags");
pub static X_APLOMB_SESSION: HeaderName = HeaderName::from_static("x-aplomb-session");
pub static X_APLOMB_DEADLINE_MS: HeaderName = HeaderName::from_static("x-aplomb-deadline-ms");
pub static X_APLOMB_PRIORITY: HeaderName = HeaderName::from_static("x-aplomb-priority");
pub static X_APLOMB_QUEUE_MS: HeaderName = HeaderName::from_static("x-aplomb-queue-ms");
pub static X_APLOMB_QUEUE_POSITION: HeaderName = HeaderName::from_static("x-aplomb-queue-position");
pub static X_STAINLESS_TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-timeout");
pub static X_STAINLESS_RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub static X_APLOMB_DEDUPE: HeaderName = HeaderName::from_static("x-aplomb-dedupe");
pub static X_APLOMB_IDEMPOTENT_REPLAY: HeaderName =
    HeaderName::from_static("x-aplomb-idempotent-replay");
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub static ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
pub static ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
pub static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
