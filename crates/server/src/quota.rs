//! Headers that say how limits stand: the IETF's `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers-10) and OpenAI's `x-ratelimit-*`, which SDKs of both dialects read.

use crate::names;
use crate::reply::set;
use aplomb_limits::rule::{Meter, Window};
use aplomb_limits::verdict::Standing;
use http::HeaderMap;
use http::header::HeaderName;
use std::time::Duration;

/// Most policies that are told: those that bind most.
const POLICIES: usize = 3;

/// Says how the limits stand, and to what the bound of the output was lowered.
pub(crate) fn tell(headers: &mut HeaderMap, standings: &[Standing], clamped: Option<u64>) {
    if let Some(bound) = clamped {
        set(
            headers,
            &names::X_APLOMB_MAX_TOKENS_CLAMPED,
            &bound.to_string(),
        );
    }
    // Money is told where somebody asks for it, not with every answer.
    let mut told: Vec<&Standing> = standings
        .iter()
        .filter(|one| one.rule.meter != Meter::Cost)
        .collect();
    if told.is_empty() {
        return;
    }
    told.sort_by(|one, other| share(one).total_cmp(&share(other)));
    let first = |tokens: bool| {
        told.iter().find(|one| {
            tokens == counts_tokens(one.rule.meter) && one.rule.meter != Meter::Concurrent
        })
    };
    if let Some(one) = first(false) {
        openai(
            headers,
            one,
            [
                &names::X_RATELIMIT_LIMIT_REQUESTS,
                &names::X_RATELIMIT_REMAINING_REQUESTS,
                &names::X_RATELIMIT_RESET_REQUESTS,
            ],
        );
    }
    if let Some(one) = first(true) {
        openai(
            headers,
            one,
            [
                &names::X_RATELIMIT_LIMIT_TOKENS,
                &names::X_RATELIMIT_REMAINING_TOKENS,
                &names::X_RATELIMIT_RESET_TOKENS,
            ],
        );
    }
    told.truncate(POLICIES);
    let list = |one: fn(&Standing) -> String| {
        let items: Vec<String> = told.iter().map(|standing| one(standing)).collect();
        items.join(", ")
    };
    set(headers, &names::RATELIMIT_POLICY, &list(policy));
    set(headers, &names::RATELIMIT, &list(state));
}

/// Says whether limits were counted as they should be. `alone`: this node has decided alone; none where nothing was limited.
pub(crate) fn store(headers: &mut HeaderMap, alone: Option<bool>) {
    if let Some(alone) = alone {
        let word = if alone { "degraded" } else { "ok" };
        set(headers, &names::X_APLOMB_LIMITS, word);
    }
}

/// Share of the limit that is left.
#[expect(clippy::cast_precision_loss, reason = "it only orders")]
fn share(one: &Standing) -> f64 {
    one.remaining() as f64 / one.limit.max(1) as f64
}

fn counts_tokens(meter: Meter) -> bool {
    match meter {
        Meter::Tokens | Meter::InputTokens | Meter::OutputTokens => true,
        Meter::Requests | Meter::Cost | Meter::Concurrent => false,
    }
}

fn policy(one: &Standing) -> String {
    let unit = match one.rule.meter {
        Meter::Requests | Meter::Cost => "",
        // Not registered by the draft: an extension.
        Meter::Tokens | Meter::InputTokens | Meter::OutputTokens => ";qu=\"tokens\"",
        Meter::Concurrent => ";qu=\"concurrent-requests\"",
    };
    let window = match &one.rule.window {
        Window::Sliding(ms) => format!(";w={}", ms.div_ceil(1000)),
        Window::Calendar(_) | Window::Lifetime | Window::Concurrent => String::new(),
    };
    format!("\"{}\";q={}{unit}{window}", one.rule.name, one.limit)
}

fn state(one: &Standing) -> String {
    let after = one.level.next;
    let after = after.map_or(String::new(), |after| {
        format!(";t={}", whole_seconds(after))
    });
    format!("\"{}\";r={}{after}", one.rule.name, one.remaining())
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn openai(headers: &mut HeaderMap, one: &Standing, [limit, remaining, reset]: [&HeaderName; 3]) {
    set(headers, limit, &one.limit.to_string());
    set(headers, remaining, &one.remaining().to_string());
    set(
        headers,
        reset,
        &go_duration(one.level.full.unwrap_or_default()),
    );
}

/// A time as Go writes it, which is what OpenAI sends: `120ms`, `1s`, `6m0s`, `2h0m5s`.
fn go_duration(time: Duration) -> String {
    let ms = time.as_millis();
    let (seconds, rest) = (ms / 1000, ms % 1000);
    if seconds == 0 {
        return if rest == 0 {
            "0s".to_owned()
        } else {
            format!("{rest}ms")
        };
    }
    let fraction = match rest {
        0 => String::new(),
        rest => format!(".{}", format!("{rest:03}").trim_end_matches('0')),
    };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aplomb_limits::rule::{Away, Rule};
    use aplomb_limits::verdict::Level;
    use std::sync::Arc;

    fn standing(
        name: &str,
        meter: Meter,
        window: Window,
        (limit, used, ms): (u64, u64, u64),
    ) -> Standing {
        let rule = Rule {
            name: name.into(),
            meter,
            limit,
            most: limit,
            window,
            burst: None,
            shadow: false,
            away: Away::Share,
        };
        let after = (ms > 0).then(|| Duration::from_millis(ms));
        Standing {
            rule: Arc::new(rule),
            limit,
            level: Level {
                used,
                next: after,
                full: after,
            },
        }
    }

    #[test]
    fn the_three_that_bind_most_are_told() {
        let all = [
            standing(
                "day",
                Meter::Requests,
                Window::Sliding(86_400_000),
                (1000, 1, 1000),
            ),
            standing(
                "free-chat",
                Meter::Requests,
                Window::Sliding(10_800_000),
                (25, 22, 4_209_001),
            ),
            standing(
                "tpm",
                Meter::Tokens,
                Window::Sliding(60_000),
                (40_000, 8_750, 12_000),
            ),
            standing("par", Meter::Concurrent, Window::Concurrent, (2, 1, 0)),
            standing("usd", Meter::Cost, Window::Lifetime, (5, 5, 0)),
        ];
        let mut headers = HeaderMap::new();
        tell(&mut headers, &all, Some(70));
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(
            text("ratelimit-policy"),
            Some(
                "\"free-chat\";q=25;w=10800, \"par\";q=2;qu=\"concurrent-requests\", \"tpm\";q=40000;qu=\"tokens\";w=60"
            )
        );
        assert_eq!(
            text("ratelimit"),
            Some("\"free-chat\";r=3;t=4210, \"par\";r=1, \"tpm\";r=31250;t=12")
        );
        assert_eq!(text("x-ratelimit-limit-requests"), Some("25"));
        assert_eq!(text("x-ratelimit-remaining-requests"), Some("3"));
        assert_eq!(text("x-ratelimit-reset-requests"), Some("1h10m9.001s"));
        assert_eq!(text("x-ratelimit-remaining-tokens"), Some("31250"));
        assert_eq!(text("x-ratelimit-reset-tokens"), Some("12s"));
        assert_eq!(text("x-aplomb-max-tokens-clamped"), Some("70"));
        let mut none = HeaderMap::new();
        tell(&mut none, &[], None);
        assert!(none.is_empty());
    }

    #[test]
    fn times_are_written_as_go_does() {
        for (ms, expected) in [
            (0, "0s"),
            (120, "120ms"),
            (1000, "1s"),
            (1500, "1.5s"),
            (360_000, "6m0s"),
            (7_205_000, "2h0m5s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(ms)), expected);
        }
    }
}
