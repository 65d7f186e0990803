//! Cross-origin resource sharing: which web pages may call the data plane.
//!
//! A preflight is answered before anyone is asked for a key, because browsers send none with it; what it promises is checked
//! again on the call itself. Credentials are never allowed: a page calls with its key, not with cookies. Where a request's
//! origin is not named, the reply says nothing, and the browser keeps it from the page.

use crate::body::ReplyBody;
use crate::reply::Reply;
use aplomb_config::cors::CorsConfig;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use std::collections::HashSet;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");
/// How long a browser may remember a preflight, in seconds. Chosen: a removed origin is out soon anyway, as each call is
/// checked too, and an hour costs one preflight a page.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
/// Longest list of headers that a preflight may ask for, in bytes; SDKs ask for about 400.
const ASKED_BYTES_MAX: usize = 4096;
/// What a page can read anyway, or what is not for it.
const NOT_EXPOSED: [HeaderName; 5] = [
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONNECTION,
    header::VARY,
];

/// What the rules say of one request.
pub(crate) enum Cors {
    /// No page may call, or no page calls and every one might.
    Silent,
    /// Rules by origin exist, and none names this one: caches must know that the reply depends on it.
    Foreign,
    /// A page that may call, with the value that tells its browser so.
    Page(HeaderValue),
}

impl Cors {
    /// Looks up the origin of a request; `sites` are those of pages that call with sessions.
    pub(crate) fn of(rules: &CorsConfig, sites: &HashSet<String>, headers: &HeaderMap) -> Self {
        if rules.origins.is_empty() && sites.is_empty() {
            return Cors::Silent;
        }
        let any = rules.origins.iter().any(|origin| origin == "*");
        match headers.get(header::ORIGIN) {
            None if any => Cors::Silent,
            Some(_) if any => Cors::Page(HeaderValue::from_static("*")),
            Some(origin)
                if rules.origins.iter().any(|known| origin == known.as_str())
                    || origin.to_str().is_ok_and(|origin| sites.contains(origin)) =>
            {
                Cors::Page(origin.clone())
            }
            _ => Cors::Foreign,
        }
    }

    /// The answer to a preflight of a page that may call; `None` for anything else.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Reply> {
        let headers = request.headers();
        let asks = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || !matches!(self, Cors::Page(_)) {
            return None;
        }
        let mut reply = Response::new(ReplyBody::whole(""));
        *reply.status_mut() = StatusCode::NO_CONTENT;
        let answer = reply.headers_mut();
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        // `*` would leave out `Authorization`. What a page sends beyond the headers the gateway knows is ignored.
        if let Some(asked) = asked.filter(|asked| asked.len() <= ASKED_BYTES_MAX) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        Some(reply)
    }

    /// Tells the browser whether its page may read this reply, and all its headers with it.
    pub(crate) fn mark(&self, reply: &mut Reply) {
        let headers = reply.headers_mut();
        match self {
            Cors::Silent => {}
            Cors::Foreign => vary(headers),
            Cors::Page(origin) => {
                if let Some(names) = exposed(headers) {
                    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
                }
                if origin != "*" {
                    vary(headers);
                }
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
        }
    }
}

fn vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

/// Names of the headers a page may read: all that this reply has, so that none is forgotten.
fn exposed(headers: &HeaderMap) -> Option<HeaderValue> {
    let names: Vec<&str> = headers
        .keys()
        .filter(|name| !NOT_EXPOSED.contains(name))
        .map(HeaderName::as_str)
        .filter(|name| !name.starts_with("access-control-"))
        .collect();
    if names.is_empty() {
        return None;
    }
    HeaderValue::from_str(&names.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(origins: &[&str]) -> CorsConfig {
        CorsConfig {
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        }
    }

    fn request(method: Method, headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        request
    }

    fn marked(origins: &[&str], origin: Option<&'static str>) -> HeaderMap {
        let headers: Vec<_> = origin
            .map(|origin| ("origin", origin))
            .into_iter()
            .collect();
        let request = request(Method::POST, &headers);
        let mut reply = Response::new(ReplyBody::whole(""));
        reply
            .headers_mut()
            .insert("x-aplomb-request-id", HeaderValue::from_static("1"));
        reply
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Cors::of(&rules(origins), &HashSet::new(), request.headers()).mark(&mut reply);
        reply.headers().clone()
    }

    #[test]
    fn only_named_origins_read_answers() {
        let app = marked(&["https://app.example"], Some("https://app.example"));
        assert_eq!(app["access-control-allow-origin"], "https://app.example");
        assert_eq!(app["access-control-expose-headers"], "x-aplomb-request-id");
        assert_eq!(app["vary"], "origin");
        for origin in [Some("https://evil.example"), Some("null"), None] {
            let other = marked(&["https://app.example"], origin);
            assert_eq!(other.get("access-control-allow-origin"), None, "{origin:?}");
            assert_eq!(other["vary"], "origin");
        }
        assert_eq!(
            marked(&["*"], Some("null"))["access-control-allow-origin"],
            "*"
        );
        assert_eq!(marked(&["*"], Some("null")).get("vary"), None);
        for none in [
            marked(&["*"], None),
            marked(&[], Some("https://app.example")),
        ] {
            assert_eq!(none.len(), 2, "{none:?}");
        }
    }

    #[test]
    fn a_preflight_is_answered_for_named_origins_only() {
        let ask = |origin| {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "authorization,x-aplomb-user",
                ),
            ];
            let request = request(Method::OPTIONS, &headers);
            Cors::of(
                &rules(&["https://app.example"]),
                &HashSet::new(),
                request.headers(),
            )
            .preflight(&request)
        };
        let reply = ask("https://app.example").unwrap();
        assert_eq!(reply.status(), 204);
        let headers = reply.headers();
        assert_eq!(
            headers["access-control-allow-headers"],
            "authorization,x-aplomb-user"
        );
        assert_eq!(headers.get("access-control-allow-credentials"), None);
        assert!(ask("https://evil.example").is_none());
        let plain = request(Method::OPTIONS, &[("origin", "https://app.example")]);
        let cors = Cors::of(&rules(&["*"]), &HashSet::new(), plain.headers());
        assert!(cors.preflight(&plain).is_none());
    }
}
