//! Who is calling: an API key, a browser's session, or anyone on this machine while no key exists.

use crate::gateway::Gateway;
use crate::names;
use crate::session;
use aplomb_control::snapshot::Grant;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_pipeline::policy::Policy;
use aplomb_pipeline::screen::sites::Site;
use aplomb_protect::address::Place;
use aplomb_protect::session::PREFIX;
use http::header::{self, HeaderMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// An authenticated caller.
pub enum Access {
    /// With a key.
    Key(Grant),
    /// With a session of a browser.
    Session(Box<Visitor>),
    /// From this machine, while no key exists.
    Local,
}

impl Access {
    /// Whether this caller may use a route or model.
    pub fn may_use(&self, name: &str) -> bool {
        match self {
            Access::Key(grant) => grant.may_use(name),
            Access::Session(visitor) => visitor.site.may_use(name),
            Access::Local => true,
        }
    }

    /// The tenant that pays, and the public id of what was presented.
    pub fn tenant_and_key(&self) -> (Arc<str>, Arc<str>) {
        match self {
            Access::Key(grant) => (grant.tenant.clone(), grant.key_id.clone()),
            Access::Session(visitor) => (visitor.site.tenant.clone(), visitor.site.key_id.clone()),
            Access::Local => (Arc::from("local"), Arc::from("")),
        }
    }

    /// The end user, where the caller can't choose.
    pub fn user(&self) -> Option<&str> {
        match self {
            Access::Session(visitor) => Some(&visitor.user),
            Access::Key(_) | Access::Local => None,
        }
    }
}

/// A browser with a session.
pub struct Visitor {
    /// Its site.
    pub site: Arc<Site>,
    /// The end user, under the name of the site: nobody there takes the name of a user of somebody with a key.
    pub user: String,
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidApiKey, message)
}

/// The key as presented: `Authorization: Bearer` (OpenAI) or `x-api-key` (Anthropic).
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|text| {
        let (scheme, key) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    bearer.or_else(|| {
        headers
            .get(&names::X_API_KEY)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    })
}

/// Says who is calling.
///
/// # Errors
/// No key, or one that does not verify; a session that has to be made anew; without keys: a caller that is not on this machine.
pub fn authenticate(
    gateway: &Gateway,
    policy: &Policy,
    headers: &HeaderMap,
    (peer, place): (SocketAddr, &Place),
) -> Result<Access, ApiError> {
    let token = presented(headers).filter(|token| token.starts_with(PREFIX));
    if let Some(token) = token {
        return session::visitor(gateway, policy, headers, (token, place)).map(Access::Session);
    }
    let keys = gateway.state.keys.load();
    if keys.is_empty() {
        return local(headers, peer);
    }
    let key = presented(headers)
        .filter(|key| !key.is_empty())
        .ok_or_else(|| {
            refused("no API key: send `Authorization: Bearer KEY` or `x-api-key: KEY`")
        })?;
    let grant = keys.authenticate(key, &gateway.hasher, gateway.state.clock.now_ms());
    grant
        .cloned()
        .map(Access::Key)
        .map_err(|error| refused(error.to_string()))
}

/// Without keys only this machine may call, directly and not by way of a web page or a proxy.
fn local(headers: &HeaderMap, peer: SocketAddr) -> Result<Access, ApiError> {
    let text =
        |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let proxied =
        headers.contains_key(&names::X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED);
    if !peer.ip().to_canonical().is_loopback() || proxied {
        return Err(refused(
            "no keys exist yet, so only this machine may call; make one with `aplomb keys create`",
        ));
    }
    // A web page that resolves its own name to 127.0.0.1 keeps its name in `Host`; one that posts here has an `Origin`.
    if text(header::HOST).is_some_and(|host| !is_local_host(host)) {
        return Err(refused(
            "no keys exist yet, so only `localhost` is answered; make one with `aplomb keys create`",
        ));
    }
    let foreign = |origin: &str| {
        !origin
            .split_once("://")
            .is_some_and(|(_, host)| is_local_host(host))
    };
    if text(header::ORIGIN).is_some_and(foreign) {
        return Err(refused(
            "no keys exist yet, so web pages are not answered; make one with `aplomb keys create`",
        ));
    }
    Ok(Access::Local)
}

fn is_local_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        local(&map, peer.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_this_machine_may_call_without_keys() {
        assert!(from("127.0.0.1:5", &[("host", "127.0.0.1:4100")]));
        assert!(from(
            "[::1]:5",
            &[
                ("host", "localhost:4100"),
                ("origin", "http://localhost:3000")
            ]
        ));
        assert!(from("[::ffff:127.0.0.1]:5", &[]));
        assert!(!from("192.0.2.1:5", &[]));
        assert!(!from("127.0.0.1:5", &[("x-forwarded-for", "192.0.2.1")]));
        assert!(!from("127.0.0.1:5", &[("host", "evil.example")]));
        assert!(!from("127.0.0.1:5", &[("origin", "https://evil.example")]));
    }
}
