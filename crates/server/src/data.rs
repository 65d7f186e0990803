//! The data plane: one function from request to response.

use crate::arrival::{Asked, admit, check_framing, parse, read_body};
use crate::assets;
use crate::auth::{Access, authenticate};
use crate::body::ReplyBody;
use crate::cors::Cors;
use crate::feedback;
use crate::gateway::Gateway;
use crate::me;
use crate::models;
use crate::names;
use crate::quota;
use crate::reply::{self, Reply};
use crate::screen::{self, Visit};
use crate::session;
use crate::stream::{AnswerBody, Pending};
use aplomb_config::queue::FeedbackConfig;
use aplomb_config::records::OnOverflow;
use aplomb_core::dialect::{Envelope, StreamWriter, fold};
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::RequestId;
use aplomb_core::request::{Delivery, Dialect, Operation};
use aplomb_pipeline::chat::{Arrival, Failed, chat};
use aplomb_pipeline::policy::Policy;
use aplomb_pipeline::relay::Relay;
use aplomb_pipeline::settle::Exchange;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long, and how often, a request waits for room for its record: 250 ms in all.
const RECORD_WAIT: Duration = Duration::from_millis(25);
const RECORD_LOOKS: u32 = 10;

/// So long an SDK may wait before it tries again. Chosen: somebody who reads on a page has left by then.
const PATIENCE: Duration = Duration::from_secs(60);

enum Path<'a> {
    Call(Operation),
    Models,
    Model(&'a str),
    Feedback,
    Limits,
    Decision(&'a str),
    Challenge,
    Session,
    Asset,
    Live,
    Ready,
    Unknown,
}

fn path_of(path: &str) -> Path<'_> {
    match path {
        "/v1/chat/completions" => Path::Call(Operation::ChatCompletions),
        "/v1/messages" => Path::Call(Operation::Messages),
        "/v1/embeddings" => Path::Call(Operation::Embeddings),
        "/v1/completions" => Path::Call(Operation::Completions),
        "/v1/messages/count_tokens" => Path::Call(Operation::CountTokens),
        "/v1/models" => Path::Models,
        "/aplomb/v1/feedback" => Path::Feedback,
        "/aplomb/v1/limits/me" => Path::Limits,
        session::CHALLENGE => Path::Challenge,
        session::SESSION => Path::Session,
        _ if path.starts_with(me::DECISIONS) => Path::Decision(path),
        "/aplomb/client.js" | "/aplomb/client.d.ts" => Path::Asset,
        "/livez" => Path::Live,
        "/readyz" => Path::Ready,
        _ => path
            .strip_prefix("/v1/models/")
            .map_or(Path::Unknown, Path::Model),
    }
}

/// Health, the same on both listeners; `None` for other paths.
pub(crate) fn health(gateway: &Gateway, path: &str) -> Option<Reply> {
    let (status, word) = match path_of(path) {
        Path::Live => (StatusCode::OK, "live"),
        Path::Ready if gateway.is_ready() => (StatusCode::OK, "ready"),
        Path::Ready => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        _ => return None,
    };
    // A node that goes on alone serves all the same.
    let told = match gateway.state.limits_are_shared() {
        Some(shared) if word == "ready" => {
            let limits = if shared { "ok" } else { "degraded" };
            json!({ "status": word, "limits": limits })
        }
        _ => json!({ "status": word }),
    };
    Some(reply::json(status, &told))
}

fn method_of(path: &Path) -> Method {
    if matches!(
        path,
        Path::Call(_) | Path::Feedback | Path::Challenge | Path::Session
    ) {
        Method::POST
    } else {
        Method::GET
    }
}

/// The dialect of paths that serve both.
fn dialect_of(headers: &HeaderMap) -> Dialect {
    if headers.contains_key(&names::ANTHROPIC_VERSION) {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

/// Answers one request of the data plane.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
    let policy = gateway.policy();
    let sites = policy.screen.sites.origins();
    let cors = Cors::of(&policy.file.server.cors, sites, request.headers());
    let mut reply = match cors.preflight(&request) {
        Some(reply) => reply,
        None => called(gateway, request, peer).await,
    };
    cors.mark(&mut reply);
    reply
}

/// What needs no key: health, and the files of the browser client.
fn open(gateway: &Gateway, request: &Request<Incoming>) -> Option<Reply> {
    let path = request.uri().path();
    let example_page = || gateway.policy().file.server.example_page;
    health(gateway, path)
        .or_else(|| assets::find(path, example_page)?.reply(request.method(), request.headers()))
}

async fn called(gateway: Arc<Gateway>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
    if let Some(reply) = open(&gateway, &request) {
        return reply;
    }
    let id = RequestId::new(gateway.state.clock.now_ms());
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let path = path_of(request.uri().path());
    let allowed = method_of(&path);
    let dialect = match path {
        Path::Call(operation) => operation.dialect(),
        _ => dialect_of(request.headers()),
    };
    let visit = Visit::of(&gateway, request.headers(), peer);
    let routed = match visit.enter() {
        Ok(()) => route(&gateway, request, (peer, &visit), id).await,
        Err(error) => Err(error),
    };
    let mut reply = match routed {
        Ok(reply) => reply,
        Err(error) => {
            let error = visit.refused(error).await;
            gateway.state.metrics.refused.add(1);
            gateway.state.metrics.error(error.code);
            tracing::debug!(request_id = %id, code = error.code_text(), "request refused");
            let mut reply = reply::error(dialect, &id.to_string(), &error);
            if error.code == ErrorCode::MethodNotAllowed
                && let Ok(value) = HeaderValue::from_str(allowed.as_str())
            {
                reply.headers_mut().insert(header::ALLOW, value);
            }
            reply
        }
    };
    if chunked {
        // RFC 9112 section 6.3: after a request whose length two parties may have read differently, the connection ends.
        reply
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

async fn route(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    (peer, visit): (SocketAddr, &Visit<'_>),
    id: RequestId,
) -> Result<Reply, ApiError> {
    let arrived = gateway.state.clock.instant();
    let (head, body) = request.into_parts();
    let path = path_of(head.uri.path());
    let wanted = method_of(&path);
    if matches!(path, Path::Unknown) {
        return Err(ApiError::new(
            ErrorCode::NotFound,
            format!(
                "there is no path {} here; the API begins with /v1",
                shown(head.uri.path())
            ),
        ));
    }
    if head.method != wanted {
        return Err(ApiError::new(
            ErrorCode::MethodNotAllowed,
            format!("this path takes {wanted}"),
        ));
    }
    check_framing(&head.headers)?;
    let policy = gateway.policy();
    if matches!(path, Path::Challenge | Path::Session) {
        let body = read_body(body, session::BODY_MAX, server_timeout(&policy)).await?;
        let asked = session::Asked::of(&policy, &head.headers, &body)?;
        return match path {
            Path::Challenge => session::challenge(gateway, &policy, (&asked, &visit.place)),
            _ => session::begin(gateway, &policy, (&asked, &visit.place)),
        };
    }
    let access = authenticate(gateway, &policy, &head.headers, (peer, &visit.place))?;
    screen::panics(gateway, &policy, &access)?;
    let dialect = dialect_of(&head.headers);
    match path {
        Path::Call(operation) => {
            let server = &policy.file.server;
            let body = read_body(body, server.body_max.0, server.body_timeout.0).await?;
            let asked = Asked {
                id,
                arrived,
                access: &access,
                headers: &head.headers,
                place: &visit.place,
                manner: visit.manner(&head.headers),
                request: parse(operation, body)?,
            };
            room_for_record(gateway, &policy).await?;
            let (arrival, exchange) = admit(gateway, &policy, asked)?;
            let keepalive = server.keepalive_after.0;
            let feedback = policy.file.queue.feedback;
            Ok(answer(gateway, arrival, exchange, (keepalive, feedback)).await)
        }
        Path::Models => Ok(reply::json(
            StatusCode::OK,
            &models::list(&policy, &access, dialect),
        )),
        Path::Model(name) => model(&policy, &access, dialect, name),
        Path::Feedback => {
            let body = read_body(body, feedback::BODY_MAX, server_timeout(&policy)).await?;
            Box::pin(feedback::give(
                gateway,
                &policy,
                (&access, &head.headers),
                &body,
            ))
            .await
        }
        Path::Limits => {
            me::limits(gateway, &policy, (&access, &head.headers, head.uri.query())).await
        }
        Path::Decision(path) => {
            let asked = (path, head.uri.query());
            Box::pin(me::decision(gateway, (&access, &head.headers), asked)).await
        }
        Path::Challenge
        | Path::Session
        | Path::Asset
        | Path::Live
        | Path::Ready
        | Path::Unknown => Err(ApiError::new(
            ErrorCode::NotFound,
            "there is no such path here",
        )),
    }
}

/// Where records are about to be lost, a request waits a little for room, and may be refused.
async fn room_for_record(gateway: &Gateway, policy: &Policy) -> Result<(), ApiError> {
    let Some(records) = &gateway.state.records else {
        return Ok(());
    };
    for _ in 0..RECORD_LOOKS {
        if !records.is_full() {
            return Ok(());
        }
        tokio::time::sleep(RECORD_WAIT).await;
    }
    match policy.file.records.on_overflow {
        OnOverflow::Serve => Ok(()),
        OnOverflow::Refuse => Err(ApiError::new(
            ErrorCode::Overloaded,
            "records can't be written as fast as requests come",
        )),
    }
}

fn server_timeout(policy: &Policy) -> Duration {
    policy.file.server.body_timeout.0
}

/// The beginning of a path, for an error.
fn shown(path: &str) -> String {
    path.chars().take(100).collect()
}

fn model(
    policy: &Policy,
    access: &Access,
    dialect: Dialect,
    name: &str,
) -> Result<Reply, ApiError> {
    let name = name.replace("%2F", "/").replace("%2f", "/");
    models::one(policy, access, dialect, &name).map(|value| reply::json(StatusCode::OK, &value))
}

/// Takes a request through the pipeline and writes its answer.
async fn answer(
    gateway: &Gateway,
    arrival: Box<Arrival>,
    exchange: Exchange,
    (keepalive, feedback): (Duration, FeedbackConfig),
) -> Reply {
    let operation = arrival.request.operation;
    let delivery = arrival.request.delivery;
    let id = exchange.record().id.to_string();
    let envelope = Envelope {
        request_id: id.clone(),
        model: arrival.request.model.clone(),
        created: exchange.record().at_ms / 1000,
        include_usage: matches!(
            delivery,
            Delivery::Stream {
                include_usage: true
            }
        ),
    };
    let dialect = operation.dialect();
    if !delivery.is_stream() {
        return match chat(arrival, exchange).await {
            Ok(relay) => whole(operation, envelope, relay).await,
            Err(failed) => failure(dialect, *failed).await,
        };
    }
    let notice = arrival.notice.clone();
    let mut pending: Pending = Box::pin(chat(arrival, exchange));
    let writer = StreamWriter::new(operation, envelope);
    let stop = gateway.stop.subscribe();
    let patient = async {
        match feedback {
            FeedbackConfig::Sse => {
                let _ = tokio::time::timeout(keepalive, notice.waits()).await;
            }
            FeedbackConfig::None => tokio::time::sleep(keepalive).await,
        }
    };
    let begun = tokio::select! {
        biased;
        begun = &mut pending => Some(begun),
        () = patient => None,
    };
    match begun {
        Some(Ok(relay)) => {
            let mut reply = reply::stream(dialect, &id, ReplyBody::whole(""));
            reply::describe(&mut reply, relay.record(), &relay.dropped);
            quota::tell(reply.headers_mut(), relay.standings(), relay.clamped());
            quota::store(reply.headers_mut(), relay.limits_alone());
            *reply.body_mut() = ReplyBody::Stream(Box::new(AnswerBody::relaying(
                relay, writer, keepalive, stop,
            )));
            reply
        }
        Some(Err(failed)) => failure(dialect, *failed).await,
        None => {
            let body = AnswerBody::waiting((pending, notice), writer, keepalive, stop);
            reply::stream(dialect, &id, ReplyBody::Stream(Box::new(body)))
        }
    }
}

async fn whole(operation: Operation, envelope: Envelope, relay: Relay) -> Reply {
    let mut reply = reply::whole(
        operation.dialect(),
        &envelope.request_id,
        bytes::Bytes::new(),
    );
    reply::describe(&mut reply, relay.record(), &relay.dropped);
    quota::tell(reply.headers_mut(), relay.standings(), relay.clamped());
    quota::store(reply.headers_mut(), relay.limits_alone());
    let (events, exchange) = relay.into_whole();
    exchange.closed().await;
    *reply.body_mut() = ReplyBody::whole(fold(operation, envelope, events));
    reply
}

async fn failure(dialect: Dialect, failed: Failed) -> Reply {
    let record = failed.exchange.record();
    let mut reply = reply::error(dialect, &record.id.to_string(), &failed.error);
    reply::describe(&mut reply, record, &[]);
    quota::tell(reply.headers_mut(), failed.exchange.standings(), None);
    quota::store(reply.headers_mut(), failed.exchange.limits_alone());
    let error = &failed.error;
    let limited = matches!(
        error.code,
        ErrorCode::LimitExceeded | ErrorCode::BudgetExhausted | ErrorCode::SpendBreakerOpen
    ) && error.retry_after.is_none_or(|wait| wait > PATIENCE);
    let duplicate = error.code == ErrorCode::DuplicateInFlight;
    if limited || duplicate || record.attempts.len() > 1 || record.chain_spent {
        // An SDK that tries again would wait too long, or, where the chain is spent, multiply the attempts, or ask for a
        // duplicate after all.
        reply.headers_mut().insert(
            names::X_SHOULD_RETRY.clone(),
            HeaderValue::from_static("false"),
        );
    }
    failed.exchange.closed().await;
    reply
}
