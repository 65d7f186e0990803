//! From an HTTP request to a request of the pipeline: body within bounds and time, head checked, caller known.

use crate::auth::Access;
use crate::gateway::Gateway;
use crate::names;
use aplomb_core::caller::{Caller, ID_BYTES_MAX, Manner, parse_tags};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::TraceContext;
use aplomb_core::json::check_depth;
use aplomb_core::request::{ChatRequest, Operation};
use aplomb_core::{dialect, id::RequestId};
use aplomb_latency::cache::directive::Directives;
use aplomb_latency::queue::Class;
use aplomb_latency::share::label;
use aplomb_pipeline::chat::Arrival;
use aplomb_pipeline::policy::Policy;
use aplomb_pipeline::settle::{Exchange, Opening};
use aplomb_pipeline::shared::Wish;
use aplomb_protect::address::Place;
use aplomb_providers::call::CallContext;
use aplomb_providers::stream::Typed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most bytes of a refused body that are read away, so that the client sees the answer instead of a broken connection.
const DISCARD_MAX: usize = 32 * 1024 * 1024;
/// Longest wait for the next bytes of a refused body. Chosen: a client that is still writing writes at once.
const DISCARD_WAIT: Duration = Duration::from_millis(200);

fn too_large(max: usize) -> ApiError {
    ApiError::new(
        ErrorCode::RequestTooLarge,
        format!("the request body is larger than {max} bytes"),
    )
}

/// Reads a body of at most `max` bytes within `limit`.
///
/// # Errors
/// `RequestTooLarge`, `RequestTimeout`, or that the body broke off.
pub async fn read_body(mut body: Incoming, max: usize, limit: Duration) -> Result<Bytes, ApiError> {
    let declared = body.size_hint().lower();
    if usize::try_from(declared).map_or(true, |declared| declared > max) {
        discard(body).await;
        return Err(too_large(max));
    }
    let read = async {
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let broken = |error: hyper::Error| {
                let mut api = ApiError::invalid("", "the request body broke off");
                api.cause = Some(error.into());
                api
            };
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            if all.len() + data.len() > max {
                discard(body).await;
                return Err(too_large(max));
            }
            if body.is_end_stream() && all.is_empty() {
                return Ok(data);
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    };
    match tokio::time::timeout(limit, read).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::new(
            ErrorCode::RequestTimeout,
            "the request body did not come in time",
        )),
    }
}

async fn discard(mut body: Incoming) {
    let mut seen = 0;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(DISCARD_WAIT, body.frame()).await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > DISCARD_MAX {
            return;
        }
    }
}

/// Parses a body into a request of the pipeline.
///
/// # Errors
/// `InvalidRequest` with the place.
pub fn parse(operation: Operation, body: Bytes) -> Result<ChatRequest, ApiError> {
    check_depth(&body)
        .map_err(|error| ApiError::invalid("", format!("the request body is {error}")))?;
    dialect::read(operation, body)
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn bounded(id: &str) -> Option<String> {
    (id.len() <= ID_BYTES_MAX).then(|| id.to_owned())
}

/// Who is calling, of what the key, the request and its headers say.
///
/// # Errors
/// A user id that is too long: it would be cut, and two users could become one.
pub fn caller(
    access: &Access,
    headers: &HeaderMap,
    request: &ChatRequest,
) -> Result<Caller, ApiError> {
    let user = access
        .user()
        .or(request.user.as_deref())
        .or_else(|| text(headers, &names::X_APLOMB_USER));
    if user.is_some_and(|user| user.len() > ID_BYTES_MAX) {
        return Err(ApiError::invalid(
            "user",
            format!("expected at most {ID_BYTES_MAX} bytes"),
        ));
    }
    let (tenant, key_id) = access.tenant_and_key();
    Ok(Caller {
        tenant,
        key_id,
        user: user.map(str::to_owned),
        tags: text(headers, &names::X_APLOMB_TAGS)
            .map(parse_tags)
            .unwrap_or_default(),
        session: text(headers, &names::X_APLOMB_SESSION).and_then(bounded),
        host: None,
        subnet: None,
        manner: Manner::default(),
    })
}

/// The caller's patience: `x-aplomb-deadline-ms`, or what the official SDKs say of their read timeout.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let own = text(headers, &names::X_APLOMB_DEADLINE_MS)
        .and_then(|ms| ms.parse::<u64>().ok())
        .map(Duration::from_millis);
    let sdk = || text(headers, &names::X_STAINLESS_TIMEOUT).and_then(|s| s.parse::<f64>().ok());
    own.or_else(|| sdk().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
        .filter(|d| !d.is_zero())
}

/// How often the official SDKs say they have sent this request before.
fn sent_before(headers: &HeaderMap) -> u32 {
    text(headers, &names::X_STAINLESS_RETRY_COUNT)
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

/// How urgent the caller says the request is: `x-aplomb-priority: batch` lets others go first.
fn class(headers: &HeaderMap) -> Class {
    match text(headers, &names::X_APLOMB_PRIORITY) {
        Some("batch") => Class::Batch,
        _ => Class::Interactive,
    }
}

/// What the caller wants of the response cache.
fn directives(headers: &HeaderMap) -> Directives {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    Directives::read(values.filter_map(|value| value.to_str().ok()))
}

/// What the caller says about the sharing of its call: `x-aplomb-dedupe: off`, and `Idempotency-Key`.
///
/// # Errors
/// A key that can't be read: to pass over it would be to answer a retry twice.
fn share(headers: &HeaderMap) -> Result<Wish, ApiError> {
    let mut keys = headers.get_all(&names::IDEMPOTENCY_KEY).iter();
    let key = keys.next().map(|value| {
        let text = value.to_str().map_err(|_| "has characters beyond ASCII")?;
        match keys.next() {
            None => label::read(text),
            Some(_) => Err("is there twice"),
        }
    });
    let wrong = |why| ApiError::invalid("", format!("the header Idempotency-Key {why}"));
    Ok(Wish {
        alone: text(headers, &names::X_APLOMB_DEDUPE) == Some("off"),
        key: key.transpose().map_err(wrong)?,
    })
}

/// What answers are to be found in: `x-aplomb-context`, base64 of UTF-8. Its size is bounded by that of all headers.
///
/// # Errors
/// It can't be read: to pass over it would be to check answers by something else.
fn given(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(&names::X_APLOMB_CONTEXT) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(value.as_bytes().trim_ascii());
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let wrong = || ApiError::invalid("", "the header x-aplomb-context is not UTF-8 in base64");
    text.map(Some).ok_or_else(wrong)
}

/// A request whose sender is known.
pub struct Asked<'a> {
    /// Number of the request.
    pub id: RequestId,
    /// When it came.
    pub arrived: Instant,
    /// What its sender may use.
    pub access: &'a Access,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Where it comes from.
    pub place: &'a Place,
    /// What its manner says.
    pub manner: Manner,
    /// Its body.
    pub request: ChatRequest,
}

/// A request that was let in, with its exchange opened.
///
/// # Errors
/// Unknown model, or one that this key may not use.
pub fn admit(
    gateway: &Gateway,
    policy: &Policy,
    asked: Asked<'_>,
) -> Result<(Box<Arrival>, Exchange), ApiError> {
    let Asked {
        id,
        arrived,
        access,
        headers,
        place,
        manner,
        request,
    } = asked;
    let mut caller = caller(access, headers, &request)?;
    caller.host = Some(place.host());
    caller.subnet = Some(place.subnet());
    caller.manner = manner;
    if !access.may_use(&request.model) {
        let message = "this API key may not use this model";
        return Err(ApiError::new(ErrorCode::NotAllowed, message));
    }
    let share = share(headers)?;
    let given = given(headers)?;
    let route = policy.resolve(&request.model, &gateway.state.metrics)?;
    let trace = text(headers, &names::TRACEPARENT).and_then(TraceContext::parse);
    let context = CallContext {
        traceparent: None,
        tracestate: trace.and_then(|_| headers.get(&names::TRACESTATE).cloned()),
        anthropic_beta: headers.get(&names::ANTHROPIC_BETA).cloned(),
        anthropic_version: headers.get(&names::ANTHROPIC_VERSION).cloned(),
        now_ms: gateway.state.clock.now_ms(),
        typed: Typed::Never,
    };
    let trace = trace.unwrap_or_else(|| gateway.state.otel.start_trace());
    let opening = Opening {
        id,
        request: &request,
        caller: &caller,
        trace: &trace,
        arrived,
        policy,
        route: &route,
        sent_before: sent_before(headers),
    };
    let exchange = Exchange::open(gateway.state.clone(), &opening);
    Ok((
        Box::new(Arrival {
            request,
            route,
            trace,
            context,
            patience: patience(headers),
            sent_before: sent_before(headers),
            class: class(headers),
            notice: Arc::default(),
            cache: directives(headers),
            limits: policy.limits.clone(),
            downgrades: policy.downgrades(|name| access.may_use(name)),
            share,
            given,
        }),
        exchange,
    ))
}

/// Framing that two parties could read in two ways is refused.
///
/// # Errors
/// More than one `Transfer-Encoding`, or one together with `Content-Length`.
pub fn check_framing(headers: &HeaderMap) -> Result<(), ApiError> {
    let encodings = headers.get_all(header::TRANSFER_ENCODING).iter().count();
    let twice = headers
        .get(header::TRANSFER_ENCODING)
        .is_some_and(|value| value.as_bytes().contains(&b','));
    if encodings > 1 || twice {
        return Err(ApiError::invalid("", "more than one Transfer-Encoding"));
    }
    if encodings == 1 && headers.contains_key(header::CONTENT_LENGTH) {
        return Err(ApiError::invalid(
            "",
            "both Transfer-Encoding and Content-Length",
        ));
    }
    Ok(())
}
