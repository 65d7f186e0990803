//! Which web pages may call the data plane.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which web pages may call the data plane: cross-origin resource sharing, as in the Fetch standard.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// Origins of pages that may call and read answers, as browsers send them: `https://app.example.com`, with a port where
    /// it is not the scheme's own; or only `*` for any page. Default none. Browsers never send cookies along: a page calls
    /// with its key.
    pub origins: Vec<String>,
}

/// What is wrong with an origin, and the spelling that would be right where one can be told.
pub(crate) fn mistake(origin: &str) -> Option<(&'static str, Option<String>)> {
    if origin == "*" {
        return None;
    }
    if origin == "null" {
        let message = "any local file and any sandboxed frame calls itself `null`; serve the page from an address, or use `*`";
        return Some((message, None));
    }
    let expected = "expected an origin such as `https://app.example.com`, or `*`";
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Some((
            expected,
            (!origin.is_empty() && !origin.contains(['/', '*', ' ']))
                .then(|| format!("https://{origin}")),
        ));
    };
    if scheme.is_empty()
        || rest.is_empty()
        || origin.contains(['*', ' ', '@', '?', '#'])
        || !origin.is_ascii()
    {
        return Some((expected, None));
    }
    let host = rest.split('/').next().unwrap_or_default();
    let (scheme, mut host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let own_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => "",
    };
    if let Some(short) = host.strip_suffix(own_port) {
        host = short.to_owned();
    }
    let right = format!("{scheme}://{host}");
    (right != origin).then(|| {
        let message = "browsers send an origin in lower case, without a path and without the scheme's own port";
        (message, Some(right))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_send_them() {
        for right in [
            "*",
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:3000",
            "chrome-extension://abcdef",
            "capacitor://localhost",
        ] {
            assert!(mistake(right).is_none(), "{right}");
        }
        for (wrong, right) in [
            ("https://app.example.com/", Some("https://app.example.com")),
            (
                "https://App.example.com/chat",
                Some("https://app.example.com"),
            ),
            (
                "https://app.example.com:443",
                Some("https://app.example.com"),
            ),
            ("http://app.example.com:80", Some("http://app.example.com")),
            ("app.example.com", Some("https://app.example.com")),
            ("https://*.example.com", None),
            ("null", None),
            ("", None),
        ] {
            let (_, suggestion) = mistake(wrong).unwrap();
            assert_eq!(suggestion.as_deref(), right, "{wrong}");
        }
    }
}
