//! Responses: errors in the dialect's own shape, whole answers, streams, and the headers they share.

use crate::body::ReplyBody;
use crate::names;
use aplomb_core::error::ApiError;
use aplomb_core::request::Dialect;
use aplomb_observe::record::{CacheFacts, CacheResult, Record, Share, SharedBy, ValidationFacts};
use aplomb_providers::encode::Dropped;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;

/// A response of the gateway.
pub type Reply = Response<ReplyBody>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

pub(crate) fn set(headers: &mut HeaderMap, name: &HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name.clone(), value);
    }
}

/// Room for the headers of an answer, so that the map does not grow step by step.
const HEADERS: usize = 16;

fn response(body: ReplyBody) -> Reply {
    let mut reply = Response::new(body);
    reply.headers_mut().reserve(HEADERS);
    reply
}

/// Names the request in every response. SDKs look for the id under their own provider's header name.
fn set_id(headers: &mut HeaderMap, dialect: Dialect, id: &str) {
    set(headers, &names::X_APLOMB_REQUEST_ID, id);
    match dialect {
        Dialect::OpenAi => set(headers, &names::X_REQUEST_ID, id),
        Dialect::Anthropic => set(headers, &names::REQUEST_ID, id),
    }
}

/// A JSON body with a status.
pub fn json(status: StatusCode, value: &Value) -> Reply {
    let mut reply = Response::new(ReplyBody::whole(value.to_string()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, JSON);
    reply
}

/// Plain text with a status.
pub fn text(status: StatusCode, content_type: &'static str, text: String) -> Reply {
    let mut reply = Response::new(ReplyBody::whole(text));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// An error in the dialect's shape and with its status.
pub fn error(dialect: Dialect, id: &str, error: &ApiError) -> Reply {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let value = match dialect {
        Dialect::OpenAi => error.to_openai(),
        Dialect::Anthropic => error.to_anthropic(id),
    };
    let mut reply = json(status, &value);
    let headers = reply.headers_mut();
    set_id(headers, dialect, id);
    if let Some(after) = error.retry_after {
        set(
            headers,
            &header::RETRY_AFTER,
            &after.as_secs_f64().ceil().to_string(),
        );
        set(
            headers,
            &names::RETRY_AFTER_MS,
            &after.as_millis().to_string(),
        );
    }
    reply
}

/// A number as short as it can be written: times are rounded to microseconds where they are measured.
fn short(ms: f64) -> String {
    Value::from(ms).to_string()
}

/// What an answer tells of itself in headers.
pub fn describe(reply: &mut Reply, record: &Record, dropped: &[Dropped]) {
    let headers = reply.headers_mut();
    if let Some(target) = &record.target {
        set(headers, &names::X_APLOMB_TARGET, target);
    }
    set(
        headers,
        &names::X_APLOMB_ATTEMPTS,
        &record.attempts.len().to_string(),
    );
    if let Some(ms) = record.overhead_ms {
        set(headers, &names::X_APLOMB_OVERHEAD_MS, &short(ms));
    }
    if let Some(ms) = record.ttft_ms {
        set(headers, &names::X_APLOMB_TTFT_MS, &short(ms));
    }
    if let Some(position) = record.queue_position {
        set(headers, &names::X_APLOMB_QUEUE_MS, &short(record.queue_ms));
        set(
            headers,
            &names::X_APLOMB_QUEUE_POSITION,
            &position.to_string(),
        );
    }
    if record.simulated {
        headers.insert(
            names::X_APLOMB_SIMULATED.clone(),
            HeaderValue::from_static("true"),
        );
    }
    if let Some(facts) = &record.validation {
        set(headers, &names::X_APLOMB_VERDICT, &verdict_text(facts));
    }
    describe_origin(headers, record);
    if !dropped.is_empty() {
        set(headers, &names::X_APLOMB_DROPPED, &dropped.join(","));
    }
}

/// Where an answer comes from that was not made for this request alone.
fn describe_origin(headers: &mut HeaderMap, record: &Record) {
    let mut age_ms = None;
    if let Some(shared) = &record.shared {
        set(headers, &names::X_APLOMB_CACHE, "hit; kind=shared");
        age_ms = shared.age_ms;
        if (shared.by, shared.how) == (SharedBy::Key, Share::Replayed) {
            set(headers, &names::X_APLOMB_IDEMPOTENT_REPLAY, "true");
        }
    } else if let Some(cache) = &record.cache {
        set(headers, &names::X_APLOMB_CACHE, &cache_text(cache));
        age_ms = cache.age_ms;
    }
    if let Some(age_ms) = age_ms {
        set(headers, &header::AGE, &(age_ms / 1000).to_string());
    }
}

/// What validators decided, as a header.
fn verdict_text(facts: &ValidationFacts) -> String {
    let mut text = facts.verdict.to_owned();
    if !facts.by.is_empty() {
        text.push_str("; by=");
        text.push_str(&facts.by.join(","));
    }
    if facts.tries > 1 {
        text.push_str(&format!("; tries={}", facts.tries));
    }
    text
}

/// What the response cache did, as a header.
fn cache_text(cache: &CacheFacts) -> String {
    let word = match cache.result {
        CacheResult::HitExact => "hit; kind=exact",
        CacheResult::HitSemantic => "hit; kind=semantic",
        CacheResult::Miss => "miss",
        CacheResult::Bypass => "bypass",
    };
    let mut text = word.to_owned();
    if let Some(reason) = cache.reason {
        text.push_str("; reason=");
        text.push_str(reason);
    }
    if let Some(score) = cache.score {
        text.push_str(&format!("; score={score:.2}"));
    }
    text
}

/// A whole answer.
pub fn whole(dialect: Dialect, id: &str, body: bytes::Bytes) -> Reply {
    let mut reply = response(ReplyBody::whole(body));
    reply.headers_mut().insert(header::CONTENT_TYPE, JSON);
    set_id(reply.headers_mut(), dialect, id);
    reply
}

/// A streamed answer. Proxies are told not to gather it.
pub fn stream(dialect: Dialect, id: &str, body: ReplyBody) -> Reply {
    let mut reply = response(body);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        names::X_ACCEL_BUFFERING.clone(),
        HeaderValue::from_static("no"),
    );
    set_id(headers, dialect, id);
    reply
}
