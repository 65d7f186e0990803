//! Browsers: `POST /aplomb/v1/challenge`, `POST /aplomb/v1/session`, and the tokens that come out of it.
//!
//! A site key is no secret, and the origin that a page tells is what its browser says; a program can say so too. What bounds programs is
//! the work that a session costs, and what limits say `where via = session`.

use crate::auth::Visitor;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_control::key::random_text;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_pipeline::policy::Policy;
use aplomb_pipeline::screen::sites::Site;
use aplomb_pipeline::state::State;
use aplomb_protect::address::Place;
use aplomb_protect::challenge::{Draw, PROOF_BYTES_MAX, Refused};
use aplomb_protect::session::{Invalid, Proven, Session};
use http::StatusCode;
use http::header::{self, HeaderMap};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where challenges are made.
pub(crate) const CHALLENGE: &str = "/aplomb/v1/challenge";
/// Where sessions are.
pub(crate) const SESSION: &str = "/aplomb/v1/session";
/// Longest body of both.
pub(crate) const BODY_MAX: usize = PROOF_BYTES_MAX + 1024;
/// Longest name of a user: it is in each of its tokens.
const USER_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
struct Body {
    site_key: String,
    proof: Option<String>,
    user: Option<String>,
}

/// What a page asks for.
pub(crate) struct Asked {
    site: Arc<Site>,
    proof: Option<String>,
    user: Option<String>,
}

impl Asked {
    /// Reads it.
    ///
    /// # Errors
    /// A malformed body, an unknown site, or a page that is none of the site's.
    pub(crate) fn of(policy: &Policy, headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        let Body {
            site_key,
            proof,
            user,
        } = serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
        let site = policy.screen.sites.get(&site_key).ok_or_else(|| {
            ApiError::new(ErrorCode::NotAllowed, "there is no site with this site key")
        })?;
        if !headers.contains_key(header::ORIGIN) {
            return Err(foreign());
        }
        check_origin(site, headers)?;
        Ok(Asked {
            site: site.clone(),
            proof,
            user,
        })
    }
}

fn foreign() -> ApiError {
    let message = "this page is none of the site's: its origin is not under `protect.sites`";
    ApiError::new(ErrorCode::NotAllowed, message)
}

/// Browsers tell the origin of a page where it is another one than the gateway's.
fn check_origin(site: &Site, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let own = origins.all(|origin| origin.to_str().is_ok_and(|text| site.has_origin(text)));
    own.then_some(()).ok_or_else(foreign)
}

/// A browser has to show something first.
fn required(state: &State, reason: &str, message: impl Into<String>) -> ApiError {
    state.metrics.protect.challenged.add(1);
    let mut error = ApiError::new(ErrorCode::ChallengeRequired, message);
    let told = json!({ "challenge_url": CHALLENGE, "session_url": SESSION, "reason": [reason] });
    error.extension = Some(Box::new(told));
    error
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|_| no_random())?;
    Ok(bytes)
}

fn no_random() -> ApiError {
    ApiError::new(ErrorCode::Internal, "the system gives no random bytes")
}

/// `POST /aplomb/v1/challenge {site_key}`.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn challenge(
    gateway: &Gateway,
    policy: &Policy,
    (asked, place): (&Asked, &Place),
) -> Result<Reply, ApiError> {
    let state = &gateway.state;
    if asked.site.needs(state) == Proven::Nothing {
        return Ok(reply::json(StatusCode::OK, &json!({ "type": "none" })));
    }
    let draw = Draw {
        nonce: random()?,
        salt: random()?,
        place: u32::from_be_bytes(random()?),
    };
    let now_ms = state.clock.now_ms();
    let work = policy.screen.sites.work;
    let mut told = state
        .challenger
        .create(work, (&asked.site.name, place.subnet()), &draw, now_ms);
    if let Some(told) = told.as_object_mut() {
        told.insert("type".to_owned(), Value::from("altcha"));
    }
    state.metrics.protect.challenges.add(1);
    Ok(reply::json(StatusCode::OK, &told))
}

/// What was shown, where something has to be.
fn proven(state: &State, asked: &Asked, place: &Place) -> Result<Proven, ApiError> {
    if asked.site.asks(state) == Proven::Nothing {
        return Ok(Proven::Nothing);
    }
    let Some(proof) = &asked.proof else {
        let message = "a session of this site takes a proof: get a challenge and solve it";
        return Err(required(state, "proof", message));
    };
    let now_ms = state.clock.now_ms();
    let checked = state
        .challenger
        .verify(proof, (&asked.site.name, place.subnet()), now_ms);
    checked.map_err(|refused| match refused {
        Refused::Unreadable => ApiError::invalid("proof", refused.to_string()),
        Refused::Full => ApiError::new(ErrorCode::Overloaded, refused.to_string()),
        Refused::Foreign => required(state, "altered", refused.to_string()),
        Refused::Expired => required(state, "expired", refused.to_string()),
        Refused::Wrong => required(state, "wrong", refused.to_string()),
        Refused::Spent => required(state, "used", refused.to_string()),
    })?;
    Ok(Proven::Work)
}

/// The user that a page names, or a new one.
fn user_of(asked: &Asked) -> Result<String, ApiError> {
    let Some(user) = &asked.user else {
        let text = random_text(16).map_err(|_| no_random())?;
        return Ok(format!("~{text}"));
    };
    if user.is_empty() || user.len() > USER_BYTES_MAX || user.chars().any(char::is_control) {
        let message = format!("expected 1 to {USER_BYTES_MAX} bytes without control characters");
        return Err(ApiError::invalid("user", message));
    }
    Ok(user.clone())
}

/// `POST /aplomb/v1/session {site_key, proof, user?}`.
///
/// # Errors
/// Something has to be shown, or what was shown is not right.
pub(crate) fn begin(
    gateway: &Gateway,
    policy: &Policy,
    (asked, place): (&Asked, &Place),
) -> Result<Reply, ApiError> {
    let state = &gateway.state;
    let user = user_of(asked)?;
    let proven = proven(state, asked, place)?;
    let time = policy.screen.sites.session;
    let now_ms = state.clock.now_ms();
    let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let session = Session {
        tenant: asked.site.tenant.to_string(),
        site: asked.site.name.to_string(),
        user,
        made_ms: now_ms,
        ends_ms: now_ms.saturating_add(time_ms),
        proven,
    };
    let token = state.sessions.token(&session, place.subnet());
    let token = token.map_err(|error| ApiError::invalid("user", error.to_string()))?;
    state.metrics.protect.sessions.add(1);
    let told = json!({ "token": token, "expires_in": time.as_secs() });
    Ok(reply::json(StatusCode::OK, &told))
}

/// Whose session a token is.
///
/// # Errors
/// It is none of ours, or a new one has to be made.
pub(crate) fn visitor(
    gateway: &Gateway,
    policy: &Policy,
    headers: &HeaderMap,
    (token, place): (&str, &Place),
) -> Result<Box<Visitor>, ApiError> {
    let state = &gateway.state;
    let read = state
        .sessions
        .read(token, place.subnet(), state.clock.now_ms());
    let session = read.map_err(|invalid| match invalid {
        Invalid::Forged => ApiError::new(ErrorCode::InvalidApiKey, invalid.to_string()),
        Invalid::Ended => required(state, "ended", invalid.to_string()),
        Invalid::Moved => required(state, "network", invalid.to_string()),
    })?;
    let revoked = || required(state, "revoked", "this session was revoked");
    let site = policy.screen.sites.get(&session.site);
    let site = site.filter(|site| *site.tenant == session.tenant);
    let site = site.ok_or_else(revoked)?;
    check_origin(site, headers)?;
    let from = state.sessions_from.load();
    if from
        .get(&session.site)
        .is_some_and(|from| session.made_ms <= *from)
    {
        return Err(revoked());
    }
    if session.proven < site.needs(state) {
        let message = "sessions of this site take a proof now: get a challenge and solve it";
        return Err(required(state, "proof", message));
    }
    Ok(Box::new(Visitor {
        user: format!("{}:{}", session.site, session.user),
        site: site.clone(),
    }))
}
