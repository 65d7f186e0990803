//! When a provider says that trying again makes sense.

use aplomb_core::civil::http_date;
use http::HeaderMap;
use std::time::Duration;

/// Longest wait that is believed. Chosen: a day; nobody waits longer, and no arithmetic overflows.
const MAX: Duration = Duration::from_secs(24 * 3600);

/// `retry-after-ms`, else `retry-after` in seconds (fractions allowed) or as an HTTP date (RFC 9110 section 10.2.3).
///
/// `now_ms`: milliseconds since the Unix epoch. What can't be read, or is negative, counts as absent.
pub fn retry_after(headers: &HeaderMap, now_ms: u64) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let number = |text: &str| {
        text.parse::<f64>()
            .ok()
            .filter(|n| n.is_finite() && *n >= 0.0)
    };
    if let Some(ms) = text("retry-after-ms").and_then(number) {
        return Some(Duration::from_secs_f64(
            (ms / 1000.0).min(MAX.as_secs_f64()),
        ));
    }
    let value = text("retry-after")?;
    if let Some(seconds) = number(value) {
        return Some(Duration::from_secs_f64(seconds.min(MAX.as_secs_f64())));
    }
    let then = http_date(value)?;
    Some(Duration::from_millis(then.saturating_mul(1000).saturating_sub(now_ms)).min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &'static str, value: &str, expected: Option<Duration>) {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        assert_eq!(
            retry_after(&headers, 784_111_770_000),
            expected,
            "{name}: {value}"
        );
    }

    #[test]
    fn every_form_is_read() {
        check("retry-after", "2", Some(Duration::from_secs(2)));
        check("retry-after", "0.5", Some(Duration::from_millis(500)));
        check("retry-after-ms", "250", Some(Duration::from_millis(250)));
        check(
            "retry-after",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            Some(Duration::from_secs(7)),
        );
        check(
            "retry-after",
            "Sun, 06 Nov 1983 08:49:37 GMT",
            Some(Duration::ZERO),
        );
        check("retry-after", "-5", None);
        check("retry-after", "NaN", None);
        check("retry-after", "soon", None);
        check("retry-after", "1e300", Some(MAX));
    }
}
