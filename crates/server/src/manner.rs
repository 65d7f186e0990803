//! What kind of client sends a request: which of the usual headers are there, what the user agent calls itself, what an official SDK says
//! of its language and system, and the first language that is asked for.
//!
//! It is our own and coarse on purpose: versions, addresses, keys, and headers that proxies add or that differ from request to request are
//! not part of it, and headers that nobody knows are passed over, so that a name made up for each request makes no new kind. Whoever wants
//! to look like a popular browser can; it only links, and never lets anybody in.

use http::header::{self, HeaderMap};

/// Headers whose presence tells kinds of clients apart.
const TELLING: [&str; 24] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "connection",
    "content-encoding",
    "dnt",
    "expect",
    "keep-alive",
    "openai-organization",
    "openai-project",
    "origin",
    "pragma",
    "priority",
    "referer",
    "sec-ch-ua",
    "sec-fetch-mode",
    "sec-gpc",
    "te",
    "user-agent",
    "x-requested-with",
];

/// Headers of official SDKs whose values tell them apart.
const SDK: [&str; 4] = [
    "x-stainless-lang",
    "x-stainless-runtime",
    "x-stainless-os",
    "x-stainless-arch",
];

/// Browsers by what is in their user agent. The first that fits: most name others too.
const BROWSERS: [(&str, &str); 7] = [
    ("edg", "edge"),
    ("opr/", "opera"),
    ("samsungbrowser", "samsung"),
    ("firefox", "firefox"),
    ("chrome", "chrome"),
    ("crios", "chrome"),
    ("safari", "safari"),
];

/// Longest part. Chosen: what is longer is no name.
const PART_MAX: usize = 32;

/// The parts that tell a kind of client.
pub(crate) fn parts(headers: &HeaderMap) -> Vec<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let here = TELLING.iter().filter(|name| headers.contains_key(**name));
    let mut parts: Vec<&str> = here.copied().collect();
    parts.push(
        headers
            .get(header::USER_AGENT)
            .map_or("", |agent| agent.to_str().map_or("no text", family)),
    );
    parts.extend(SDK.iter().map(|name| short(text(name).unwrap_or_default())));
    let language = text("accept-language").unwrap_or_default();
    let end = |c: char| !c.is_ascii_alphabetic();
    parts.push(short(language.split(end).next().unwrap_or_default()));
    parts
}

fn short(text: &str) -> &str {
    text.get(..PART_MAX).unwrap_or(text)
}

/// What a user agent calls itself, without its version.
fn family(agent: &str) -> &str {
    let lower = agent.to_ascii_lowercase();
    if lower.starts_with("mozilla/") {
        let browser = BROWSERS.iter().find(|(word, _)| lower.contains(word));
        return browser.map_or("other browser", |(_, name)| name);
    }
    let end = |c: char| c == '/' || c.is_ascii_whitespace();
    short(agent.split(end).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderName, HeaderValue};

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let one = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        all.iter().map(one).collect()
    }

    const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";

    #[test]
    fn versions_order_and_what_is_unknown_make_no_other_kind() {
        let one = headers(&[
            ("user-agent", CHROME),
            ("accept-language", "de-DE,de;q=0.9"),
            ("origin", "https://a.example"),
            ("authorization", "Bearer one"),
        ]);
        let other = headers(&[
            ("x-made-up", "1"),
            ("authorization", "Bearer two"),
            ("origin", "https://b.example"),
            ("accept-language", "de"),
            ("x-forwarded-for", "192.0.2.1"),
            ("user-agent", &CHROME.replace("141", "142")),
        ]);
        assert_eq!(parts(&one), parts(&other));
        let english = headers(&[
            ("user-agent", CHROME),
            ("accept-language", "en"),
            ("origin", "https://a.example"),
        ]);
        assert_ne!(parts(&one), parts(&english));
    }

    #[test]
    fn user_agents_have_families() {
        for (agent, expected) in [
            (CHROME, "chrome"),
            (
                "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/18 Safari/605.1.15",
                "safari",
            ),
            (
                "Mozilla/5.0 (X11; rv:143.0) Gecko/20100101 Firefox/143.0",
                "firefox",
            ),
            ("OpenAI/Python 1.99.0", "OpenAI"),
            ("python-requests/2.32.3", "python-requests"),
            ("curl/8.5.0", "curl"),
            ("", ""),
        ] {
            assert_eq!(family(agent), expected, "{agent}");
        }
    }

    #[test]
    fn sdks_are_told_by_their_language() {
        let of = |lang| headers(&[("user-agent", "OpenAI/JS 5"), ("x-stainless-lang", lang)]);
        assert_ne!(parts(&of("js")), parts(&of("python")));
    }
}
