//! Limits and trust on the admin listener: how somebody stands and why, who is how far trusted, what the operator says about a user.

use super::{BODY_MAX, BODY_TIMEOUT, blocking, no_such_path, simulate};
use crate::arrival::read_body;
use crate::gateway::Gateway;
use crate::me::shown as decision;
use crate::query::value;
use crate::reply::{self, Reply};
use aplomb_config::scalar::Span;
use aplomb_control::store::Act;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_limits::trust::book::{Name, Row};
use aplomb_limits::trust::signal::Signal;
use aplomb_limits::trust::subject::Override;
use aplomb_limits::trust::{Level, Terms};
use aplomb_observe::store::embedded::ask::Filter;
use aplomb_pipeline::limits::explain::Asked;
use aplomb_pipeline::limits::trust::{shown, told};
use aplomb_pipeline::policy::Policy;
use bytes::Bytes;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most users of a list.
const USERS_MAX: usize = 1000;
/// Decisions that are told with how somebody stands.
const DECISIONS: usize = 10;
/// Longest reason and note, in bytes.
const NOTE_MAX: usize = 1000;

/// Where paths about limits begin.
pub(super) const PATH: &str = "/admin/v1/limits";

/// Answers one request about limits.
///
/// # Errors
/// There is no such path, or what it says is wrong.
pub(super) async fn route(
    gateway: &Arc<Gateway>,
    (method, path, query): (&Method, &str, Option<&str>),
    body: Incoming,
) -> Result<Reply, ApiError> {
    let rest = path.strip_prefix(PATH).unwrap_or_default();
    match (method, rest) {
        (&Method::GET, "") => explain(gateway, query).await,
        (&Method::GET, "/rules") => Ok(rules(gateway)),
        (&Method::GET, "/users") => users(gateway, query),
        (&Method::POST, "/trust") => set(gateway, &read(body).await?).await,
        (&Method::POST, "/signal") => signal(gateway, &read(body).await?).await,
        (&Method::POST, "/simulate") => simulate::run(gateway, &read(body).await?).await,
        _ => Err(no_such_path()),
    }
}

async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    read_body(body, BODY_MAX, BODY_TIMEOUT).await
}

/// Somebody whose limits are asked for.
struct Whom {
    tenant: String,
    key: String,
    user: Option<String>,
}

/// Who is meant: the public id of a key, or a user, whose tenant need not be said where there is only one that fits.
async fn whom(gateway: &Arc<Gateway>, query: Option<&str>) -> Result<Whom, ApiError> {
    let who = value(query, "who")
        .ok_or_else(|| ApiError::invalid("who", "expected the public id of a key, or a user"))?;
    let keys = blocking(gateway, |gateway| gateway.control.list_keys(None)).await?;
    if let Some(key) = keys.iter().find(|key| key.id == who) {
        return Ok(Whom {
            tenant: key.tenant.clone(),
            key: who,
            user: value(query, "user"),
        });
    }
    let tenant = match value(query, "tenant") {
        Some(tenant) => tenant,
        None => {
            let policy = gateway.policy();
            let known = keys.into_iter().map(|key| key.tenant);
            let known = known.chain(policy.file.tenants.keys().cloned());
            only_tenant(gateway, &who, known.collect())?
        }
    };
    Ok(Whom {
        tenant,
        key: String::new(),
        user: Some(who),
    })
}

fn only_tenant(gateway: &Gateway, user: &str, known: BTreeSet<String>) -> Result<String, ApiError> {
    let now_ms = gateway.state.clock.now_ms();
    let rows = gateway
        .state
        .trust
        .book
        .list(now_ms, USERS_MAX, |row| &*row.user == user);
    let of: BTreeSet<String> = rows.iter().map(|row| row.tenant.to_string()).collect();
    let mut of = if of.is_empty() { known } else { of };
    match (of.pop_first(), of.is_empty()) {
        (None, _) => Ok("local".to_owned()),
        (Some(one), true) => Ok(one),
        (Some(one), false) => {
            let all: Vec<String> = [one].into_iter().chain(of).collect();
            let message = format!("say which tenant: {}", all.join(", "));
            Err(ApiError::invalid("tenant", message))
        }
    }
}

fn terms(policy: &Policy) -> Result<Terms, ApiError> {
    policy.limits.terms().ok_or_else(|| {
        ApiError::new(
            ErrorCode::InvalidRequest,
            "users have no levels of trust: set `karma: { enabled: true }`, or give a segment a `trust`",
        )
    })
}

/// `GET /admin/v1/limits?who=...`: how the limits of a key or user stand, how far it is trusted and what moved that, and the last
/// requests that a limit did something with.
async fn explain(gateway: &Arc<Gateway>, query: Option<&str>) -> Result<Reply, ApiError> {
    let whom = whom(gateway, query).await?;
    let policy = gateway.policy();
    let model = value(query, "model");
    let route = match &model {
        Some(model) => policy.resolve(model, &gateway.state.metrics)?.name.clone(),
        None => None,
    };
    let session = value(query, "session");
    let asked = Asked {
        tenant: &whom.tenant,
        key: &whom.key,
        user: whom.user.as_deref(),
        session: session.as_deref(),
        model: model.as_deref(),
        route: route.as_deref(),
    };
    let mut answer = policy.limits.explain(&gateway.state, &asked).await;
    let history = history(gateway, &policy, whom).await?;
    if let (Some(answer), Value::Object(history)) = (answer.as_object_mut(), history) {
        answer.extend(history);
    }
    Ok(reply::json(StatusCode::OK, &answer))
}

/// What was: the trail of the user's score, and what limits did last.
async fn history(gateway: &Arc<Gateway>, policy: &Policy, whom: Whom) -> Result<Value, ApiError> {
    let (terms, gateway) = (policy.limits.terms(), gateway.clone());
    let read = tokio::task::spawn_blocking(move || {
        let state = &gateway.state;
        let now_ms = state.clock.now_ms();
        let karma = match (&terms, &whom.user) {
            (Some(terms), Some(user)) => {
                let key = state.trust_key(&whom.tenant, user);
                state.trust.explain(key, terms, now_ms)
            }
            _ => Ok(None),
        };
        let decisions = state.records.as_ref().map(|records| {
            // What waits for the disk is worth waiting for: it is the last that happened.
            let _ = records.flush();
            records.reader().list(&refused(&whom))
        });
        let decisions = decisions.and_then(Result::ok).unwrap_or_default();
        let decisions: Vec<Value> = decisions.iter().map(decision).collect();
        karma.map(|karma| json!({ "karma": karma, "decisions": decisions }))
    });
    match read.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::error!(%error, "the trail of scores could not be read");
            Err(failed())
        }
        Err(_) => Err(failed()),
    }
}

/// The last requests of somebody that were refused by a limit.
fn refused(whom: &Whom) -> Filter {
    Filter {
        tenant: Some(whom.tenant.clone()),
        user: whom.user.clone(),
        key: (!whom.key.is_empty()).then(|| whom.key.clone()),
        status: Some(429),
        limit: Some(DECISIONS),
        ..Filter::default()
    }
}

fn failed() -> ApiError {
    ApiError::new(
        ErrorCode::Internal,
        "what is known of users could not be read; the log says why",
    )
}

/// `GET /admin/v1/limits/rules`: all rules in force, as lines.
fn rules(gateway: &Gateway) -> Reply {
    let policy = gateway.policy();
    reply::json(StatusCode::OK, &json!({ "data": policy.limits.lines() }))
}

/// `GET /admin/v1/limits/users?tenant=&level=&limit=`: users by how far they are trusted, the least first.
fn users(gateway: &Gateway, query: Option<&str>) -> Result<Reply, ApiError> {
    let terms = terms(&gateway.policy())?;
    let now_ms = gateway.state.clock.now_ms();
    let tenant = value(query, "tenant");
    let level = match value(query, "level") {
        None => None,
        Some(name) => Some(level(&name)?),
    };
    let max = match value(query, "limit") {
        None => 50,
        Some(text) => {
            let found = text.parse::<usize>().ok().filter(|max| *max <= USERS_MAX);
            found.ok_or_else(|| {
                ApiError::invalid("limit", format!("expected a number up to {USERS_MAX}"))
            })?
        }
    };
    let fits = |row: &Row| {
        tenant.as_ref().is_none_or(|tenant| **tenant == *row.tenant)
            && level.is_none_or(|level| row.subject.level(now_ms) == level)
    };
    let rows = gateway.state.trust.book.list(now_ms, max, fits);
    let rows: Vec<Value> = rows.iter().map(|row| told(row, &terms, now_ms)).collect();
    Ok(reply::json(StatusCode::OK, &json!({ "data": rows })))
}

fn level(name: &str) -> Result<Level, ApiError> {
    Level::parse(name).ok_or_else(|| {
        let names = Level::ALL.map(Level::name).join(", ");
        ApiError::invalid("level", format!("expected one of {names}"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    tenant: String,
    user: String,
    /// None: what was set ends.
    level: Option<String>,
    #[serde(default)]
    r#for: Option<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    tenant: String,
    user: String,
    signal: String,
    #[serde(default)]
    usd: Option<f64>,
    #[serde(default)]
    note: String,
}

fn reason(text: &str, member: &'static str) -> Result<(), ApiError> {
    if text.trim().is_empty() || text.len() > NOTE_MAX {
        let message = format!("expected a reason of at most {NOTE_MAX} bytes");
        return Err(ApiError::invalid(member, message));
    }
    Ok(())
}

/// `POST /admin/v1/limits/trust {tenant, user, level, for, reason}`: sets the level of a user for a time, or takes that back.
async fn set(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let wanted: Set = serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    terms(&gateway.policy())?;
    let now_ms = gateway.state.clock.now_ms();
    let set = match &wanted.level {
        None => None,
        Some(name) => {
            let level = level(name)?;
            reason(&wanted.reason, "reason")?;
            let time = wanted.r#for.as_deref().unwrap_or_default();
            let time: Span = time.parse().map_err(|why| ApiError::invalid("for", why))?;
            let ms = u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX);
            Some(Override {
                level,
                until_ms: now_ms.saturating_add(ms),
                reason: wanted.reason.clone(),
            })
        }
    };
    let act = if set.is_some() {
        "trust.set"
    } else {
        "trust.clear"
    };
    let key = gateway.state.trust_key(&wanted.tenant, &wanted.user);
    let name = Name {
        key,
        tenant: &wanted.tenant,
        user: &wanted.user,
    };
    let moved = gateway.state.trust.book.put(&name, set, now_ms);
    noted(gateway, act, &wanted.tenant).await?;
    answer(moved.as_ref().map(shown))
}

/// `POST /admin/v1/limits/signal {tenant, user, signal, usd, note}`: what the operator or its billing knows of a user.
async fn signal(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let said: Said = serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let terms = terms(&gateway.policy())?;
    let signal = match (said.signal.as_str(), said.usd) {
        ("vouched", None) => Signal::Vouched,
        ("abuse", None) => Signal::Abuse,
        ("paid", Some(usd)) if usd.is_finite() && usd > 0.0 => Signal::Paid(usd),
        ("paid", _) => {
            return Err(ApiError::invalid(
                "usd",
                "expected what was paid, in dollars",
            ));
        }
        ("vouched" | "abuse", Some(_)) => {
            return Err(ApiError::invalid("usd", "belongs to the signal `paid`"));
        }
        _ => {
            let message = "expected one of vouched, paid, abuse";
            return Err(ApiError::invalid("signal", message));
        }
    };
    reason(&said.note, "note")?;
    let now_ms = gateway.state.clock.now_ms();
    let name = Name {
        key: gateway.state.trust_key(&said.tenant, &said.user),
        tenant: &said.tenant,
        user: &said.user,
    };
    let book = &gateway.state.trust.book;
    let moved = book.signal(&name, signal, &terms, (now_ms, &said.note));
    noted(gateway, "trust.signal", &said.tenant).await?;
    answer(moved.as_ref().map(shown))
}

fn answer(moved: Option<Value>) -> Result<Reply, ApiError> {
    let told = json!({ "moved": moved });
    Ok(reply::json(StatusCode::OK, &told))
}

/// The audit trail of administration; what it was is in the trail of the user's score.
async fn noted(gateway: &Arc<Gateway>, what: &'static str, of: &str) -> Result<(), ApiError> {
    let (of, at_ms) = (of.to_owned(), gateway.state.clock.now_ms());
    blocking(gateway, move |gateway| {
        let act = Act {
            actor: "admin",
            at_ms,
        };
        gateway.control.note(what, &of, &act)
    })
    .await
}
