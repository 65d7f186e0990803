//! What a provider says of its limits in the headers of an answer.

use aplomb_core::civil;
use http::{HeaderMap, HeaderName};
use std::time::Duration;

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Requests or tokens.
    pub remaining: u64,
    /// When there will be more.
    pub reset: Duration,
}

/// What is left of a provider's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests.
    pub requests: Option<Left>,
    /// Input tokens, or all tokens where it does not tell them apart.
    pub tokens: Option<Left>,
}

/// Longest time to a reset that is believed. Chosen: a day, as of `Retry-After`.
const RESET_MAX: Duration = Duration::from_secs(24 * 3600);

// Made once: a name given as text is parsed at every look-up.
static OPENAI_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
static OPENAI_REQUESTS_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
static OPENAI_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
static OPENAI_TOKENS_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");
static ANTHROPIC_REQUESTS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-requests-remaining");
static ANTHROPIC_REQUESTS_RESET: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-requests-reset");
static ANTHROPIC_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining");
static ANTHROPIC_TOKENS_RESET: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-input-tokens-reset");

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

impl Limits {
    /// Reads the headers of OpenAI and Anthropic, and of those who copied them; what can't be read counts as absent.
    ///
    /// `now_ms`: milliseconds since the Unix epoch.
    pub fn read(headers: &HeaderMap, now_ms: u64) -> Limits {
        let openai = |remaining, reset| {
            let remaining = text(headers, remaining)?.parse().ok()?;
            let reset = span(text(headers, reset)?)?.min(RESET_MAX);
            Some(Left { remaining, reset })
        };
        let anthropic = |remaining, reset| {
            let remaining = text(headers, remaining)?.parse().ok()?;
            let reset = until(text(headers, reset)?, now_ms)?.min(RESET_MAX);
            Some(Left { remaining, reset })
        };
        Limits {
            requests: openai(&OPENAI_REQUESTS, &OPENAI_REQUESTS_RESET)
                .or_else(|| anthropic(&ANTHROPIC_REQUESTS, &ANTHROPIC_REQUESTS_RESET)),
            tokens: openai(&OPENAI_TOKENS, &OPENAI_TOKENS_RESET)
                .or_else(|| anthropic(&ANTHROPIC_TOKENS, &ANTHROPIC_TOKENS_RESET)),
        }
    }
}

/// `6m0s`, `1.5s`, `20ms`, `1h2m`; a plain number is seconds.
fn span(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        let tail = rest.get(digits..)?;
        let end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let seconds = match tail.get(..end)? {
            "ms" => number / 1e3,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            "d" => number * 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = tail.get(end..)?;
    }
    Some(total)
}

/// Time until an RFC 3339 date in UTC, such as `2026-11-25T07:48:23Z`; nothing where it is past.
fn until(text: &str, now_ms: u64) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char| {
        let mut parts = text.split(by).map(|part| part.parse::<u64>().ok());
        Some((parts.next()??, parts.next()??, parts.next()??))
    };
    let (year, month, day) = numbers(date, '-')?;
    let (hour, minute, second) = numbers(time.split('.').next()?, ':')?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let then = civil::day(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Duration::from_millis(
        then.saturating_mul(1000).saturating_sub(now_ms),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Limits {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        // 1994-11-06T08:49:30Z.
        Limits::read(&headers, 784_111_770_000)
    }

    #[test]
    fn both_families_are_read() {
        let openai = read(&[
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "6m0.5s"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "20ms"),
        ]);
        let left = |remaining, ms| {
            Some(Left {
                remaining,
                reset: Duration::from_millis(ms),
            })
        };
        assert_eq!(openai.requests, left(59, 360_500));
        assert_eq!(openai.tokens, left(149_984, 20));
        let anthropic = read(&[
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "1994-11-06T08:49:37Z"),
        ]);
        assert_eq!(anthropic.requests, left(0, 7_000));
        assert_eq!(anthropic.tokens, None);
    }

    #[test]
    fn nonsense_counts_as_absent() {
        for (remaining, reset) in [
            ("x", "1s"),
            ("5", ""),
            ("5", "soon"),
            ("5", "5x"),
            ("-1", "1s"),
            ("5", "1e999s"),
        ] {
            let limits = read(&[
                ("x-ratelimit-remaining-requests", remaining),
                ("x-ratelimit-reset-requests", reset),
            ]);
            // An empty text is no time, and no time is at once.
            let at_once = limits.requests.is_none_or(|left| left.reset.is_zero());
            assert!(at_once, "{remaining} {reset}: {limits:?}");
        }
        let anthropic = read(&[
            ("anthropic-ratelimit-requests-remaining", "1"),
            ("anthropic-ratelimit-requests-reset", "yesterday"),
        ]);
        assert_eq!(anthropic, Limits::default());
    }
}
