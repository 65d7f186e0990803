//! The browser client and its example page: bytes within the binary, for anyone, without a key.

use crate::body::ReplyBody;
use crate::reply::Reply;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use std::sync::LazyLock;

/// One file.
pub(crate) struct Asset {
    content_type: &'static str,
    bytes: &'static [u8],
    etag: LazyLock<String>,
}

static CLIENT: Asset = Asset {
    content_type: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../../../clients/js/client.js"),
    etag: LazyLock::new(|| etag(CLIENT.bytes)),
};
static TYPES: Asset = Asset {
    content_type: "application/typescript; charset=utf-8",
    bytes: include_bytes!("../../../clients/js/client.d.ts"),
    etag: LazyLock::new(|| etag(TYPES.bytes)),
};
static EXAMPLE: Asset = Asset {
    content_type: "text/html; charset=utf-8",
    bytes: include_bytes!("../../../clients/js/example/index.html"),
    etag: LazyLock::new(|| etag(EXAMPLE.bytes)),
};

/// How long a browser may use its copy without asking: a new binary's client is everywhere within the hour.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// FNV-1a of the bytes. It tells versions of our own files apart, no more is asked of it.
fn etag(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("\"{hash:016x}\"")
}

/// The file at a path. The example page is there only where the configuration asks for it.
pub(crate) fn find(path: &str, example_page: impl Fn() -> bool) -> Option<&'static Asset> {
    match path {
        "/aplomb/client.js" => Some(&CLIENT),
        "/aplomb/client.d.ts" => Some(&TYPES),
        "/aplomb/example" if example_page() => Some(&EXAMPLE),
        _ => None,
    }
}

impl Asset {
    /// Answers `GET` and `HEAD`, with 304 for a copy that is still right; `None` for other methods.
    ///
    /// Any page may load it, whatever the rules for calls are: it holds nothing but code.
    pub(crate) fn reply(&self, method: &Method, asked: &HeaderMap) -> Option<Reply> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let known = asked.get_all(header::IF_NONE_MATCH).iter().any(|value| {
            let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
            tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
                .any(|tag| tag == "*" || tag == self.etag.as_str())
        });
        let sent = *method == Method::GET && !known;
        let mut reply = Response::new(ReplyBody::whole(if sent { self.bytes } else { b"" }));
        let headers = reply.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&self.etag) {
            headers.insert(header::ETAG, value);
        }
        for (name, value) in [
            (header::CACHE_CONTROL, CACHE),
            (
                header::ACCESS_CONTROL_ALLOW_ORIGIN,
                HeaderValue::from_static("*"),
            ),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static("cross-origin"),
            ),
        ] {
            headers.insert(name, value);
        }
        if known {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(reply);
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.bytes.len()));
        Some(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_is_right_is_not_sent_again() {
        let asset = find("/aplomb/client.js", || false).unwrap();
        let ask = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap());
            asset.reply(&Method::GET, &headers).unwrap().status()
        };
        let etag = asset.etag.as_str();
        for right in [
            etag.to_owned(),
            format!("W/{etag}"),
            format!("\"a\", {etag}"),
            "*".into(),
        ] {
            assert_eq!(ask(&right), 304, "{right}");
        }
        for wrong in ["\"a\"", "", "garbage"] {
            assert_eq!(ask(wrong), 200, "{wrong}");
        }
        assert!(asset.reply(&Method::POST, &HeaderMap::new()).is_none());
    }

    #[test]
    fn the_client_is_small_and_the_example_is_asked_for() {
        assert!(CLIENT.bytes.len() <= 4096, "{} bytes", CLIENT.bytes.len());
        assert!(find("/aplomb/example", || false).is_none());
        assert!(find("/aplomb/example", || true).is_some());
    }
}
