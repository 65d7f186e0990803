use super::*;
use crate::price::Rate;
use aplomb_core::money::NanoUsd;
use aplomb_core::usage::Usage;

/// 2025-11-01.
const NOVEMBER_2025: u64 = 1_761_955_200_000;
const DAY_MS: u64 = 86_400_000;

fn ms(day: &str) -> u64 {
    let wanted: Day = day.parse().unwrap();
    let found = (0..40_000)
        .map(|days| days * DAY_MS)
        .find(|ms| Day::at_ms(*ms) == wanted);
    found.unwrap()
}

fn usd(text: &str) -> Rate {
    Rate::per_million(text.parse().unwrap()).unwrap()
}

#[track_caller]
fn check_input(prices: &Prices, name: &str, at_ms: u64, expected: Option<&str>) {
    let (provider, model) = name.split_once('/').unwrap();
    let price = prices.price(provider, model, at_ms);
    assert_eq!(
        price.map(|price| price.rates.input),
        expected.map(usd),
        "{name}"
    );
}

#[track_caller]
fn check_cost(name: &str, at_ms: u64, usage: Usage, expected: &str) {
    let (provider, model) = name.split_once('/').unwrap();
    let price = Prices::published().price(provider, model, at_ms).unwrap();
    assert_eq!(price.cost(&usage).to_string(), expected, "{name}");
}

fn own(provider: &str, model: &str, from: Option<&str>, input: &str) -> Override {
    Override {
        provider: provider.into(),
        model: model.into(),
        from: from.map(|day| day.parse().unwrap()),
        rates: Rates::new(usd(input), usd(input)),
        long_context: None,
    }
}

/// By hand: 1,000 x 0.25 + 3,000 x 0.025 + 500 x 2 dollars a million = 250 + 75 + 1,000 millionths of a dollar.
#[test]
fn an_openai_call_by_hand() {
    let usage = Usage::from_openai_text(
        r#"{"prompt_tokens":4000,"completion_tokens":500,
            "prompt_tokens_details":{"cached_tokens":3000},
            "completion_tokens_details":{"reasoning_tokens":448}}"#,
    );
    check_cost(
        "openai/gpt-5-mini-2025-08-07",
        NOVEMBER_2025,
        usage.unwrap(),
        "0.001325",
    );
}

/// By hand, in millionths of a dollar: 21 x 3 + 188,086 x 0.30 + 2,000 x 3.75 + 1,000 x 6 + 393 x 15
/// = 63 + 56,425.8 + 7,500 + 6,000 + 5,895.
#[test]
fn an_anthropic_call_by_hand() {
    let usage = Usage {
        input: 21,
        cache_read: 188_086,
        cache_write_5m: 2_000,
        cache_write_1h: 1_000,
        output: 393,
        ..Usage::default()
    };
    check_cost(
        "anthropic/claude-sonnet-4-5-20250929",
        NOVEMBER_2025,
        usage,
        "0.0758838",
    );
}

/// The same with 10,000 tokens more of input, above 200,000 in all: every price doubles, that of output is half as much
/// again. 10,021 x 6 + 188,086 x 0.60 + 2,000 x 7.50 + 1,000 x 12 + 393 x 22.50
/// = 60,126 + 112,851.6 + 15,000 + 12,000 + 8,842.5.
#[test]
fn a_long_anthropic_call_by_hand() {
    let usage = Usage {
        input: 10_021,
        cache_read: 188_086,
        cache_write_5m: 2_000,
        cache_write_1h: 1_000,
        output: 393,
        ..Usage::default()
    };
    check_cost(
        "anthropic/claude-sonnet-4-5",
        NOVEMBER_2025,
        usage,
        "0.2088201",
    );
}

/// 12,345 x 0.0028 + 55 x 0.14 + 7 x 0.28 = 34.566 + 7.7 + 1.96 millionths of a dollar.
#[test]
fn tokens_below_a_nano_dollar_by_hand() {
    let usage = Usage {
        input: 55,
        cache_read: 12_345,
        output: 7,
        ..Usage::default()
    };
    check_cost(
        "deepseek/deepseek-v4-flash",
        ms("2026-06-01"),
        usage,
        "0.000044226",
    );
}

#[test]
fn embeddings_cost_their_input() {
    let usage = Usage {
        input: 1_000,
        ..Usage::default()
    };
    check_cost(
        "openai/text-embedding-3-small",
        NOVEMBER_2025,
        usage,
        "0.00002",
    );
}

#[test]
fn the_price_of_the_day_holds() {
    let prices = Prices::published();
    for (day, expected) in [
        ("2025-09-04", None),
        ("2025-09-05", Some("0.56")),
        ("2025-09-28", Some("0.56")),
        ("2025-09-29", Some("0.28")),
        ("2026-08-15", Some("0.14")),
    ] {
        check_input(&prices, "deepseek/deepseek-chat", ms(day), expected);
    }
    check_input(&prices, "openai/o3", ms("2025-06-09"), Some("10"));
    check_input(&prices, "openai/o3-2025-04-16", ms("2025-06-10"), Some("2"));
}

#[test]
fn the_price_of_the_hour_holds() {
    let prices = Prices::published();
    let hour = 3_600_000;
    // 2026-10-16 was a Friday.
    let friday = ms("2026-10-16");
    for (at_ms, expected) in [
        (friday + hour - 1, "0.15"),
        (friday + hour, "0.3"),
        (friday + 4 * hour, "0.15"),
        (friday + DAY_MS + 2 * hour, "0.15"),
        (friday + 3 * DAY_MS + 2 * hour, "0.3"),
    ] {
        check_input(&prices, "deepseek/deepseek-flash", at_ms, Some(expected));
    }
}

#[test]
fn names_match_whole_or_without_their_date() {
    let prices = Prices::published();
    for (name, expected) in [
        ("openai/gpt-5", Some("1.25")),
        ("openai/gpt-5-2025-08-07", Some("1.25")),
        ("openai/gpt-5.1", Some("1.25")),
        ("openai/gpt-4o-2024-05-13", Some("5")),
        ("openai/gpt-4o-2024-11-20", Some("2.5")),
        ("anthropic/claude-sonnet-4-20250514", Some("3")),
        ("gemini/gemini-2.5-pro", Some("1.25")),
        ("openai/gpt-5-turbo", None),
        ("openai/gpt-5-2025", None),
        ("openai/gpt-5-2025-08-07-eu", None),
        ("openai/gpt-4o-audio-preview-2024-12-17", None),
        ("openai/-2025-08-07", None),
        ("openai/", None),
        ("openai/*", None),
        ("house/gpt-5", None),
        ("ollama/llama3", None),
    ] {
        check_input(&prices, name, NOVEMBER_2025, expected);
    }
}

#[test]
fn dates_are_cut_at_the_end_only() {
    assert_eq!(undated("gpt-5-mini-2025-08-07"), Some("gpt-5-mini"));
    assert_eq!(undated("claude-opus-4-1-20250805"), Some("claude-opus-4-1"));
    for name in [
        "gpt-5",
        "-20250805",
        "2025-08-07",
        "grok-4-0709",
        "modèle-202508é7",
        "größe-2025-08-0x",
    ] {
        assert_eq!(undated(name), None, "{name}");
    }
}

#[test]
fn the_operator_goes_first() {
    let prices = Prices::published().with_overrides([
        own("openai", "gpt-5", Some("2025-10-01"), "1"),
        own("openai", "gpt-5", Some("2025-12-01"), "0.9"),
        own("house", "*", None, "0.1"),
        own("house", "big", None, "0.5"),
    ]);
    let check = |name, day, expected| check_input(&prices, name, ms(day), expected);
    check("openai/gpt-5", "2025-09-30", Some("1.25"));
    check("openai/gpt-5", "2025-10-01", Some("1"));
    check("openai/gpt-5-2025-08-07", "2026-01-01", Some("0.9"));
    check("openai/gpt-5-mini", "2026-01-01", Some("0.25"));
    check("house/anything", "2026-01-01", Some("0.1"));
    check("house/big-2026-01-01", "2026-01-01", Some("0.5"));
    let origin = |model| {
        prices
            .price("openai", model, NOVEMBER_2025)
            .map(|price| price.origin)
    };
    assert_eq!(origin("gpt-5"), Some(Origin::Operator));
    assert!(
        matches!(origin("gpt-5-mini"), Some(Origin::Published { source, .. }) if source.contains("openai"))
    );
}

#[test]
fn a_later_override_of_a_day_replaces_an_earlier_one() {
    let prices = Prices::published()
        .with_overrides([own("house", "m", None, "1"), own("house", "m", None, "2")])
        .with_overrides([own("house", "n", None, "1")]);
    check_input(&prices, "house/m", 0, Some("2"));
    check_input(&prices, "house/n", 0, Some("1"));
}

#[test]
fn the_simulated_provider_is_known_to_cost_nothing() {
    let prices = Prices::published();
    let price = prices.price("practice", "practice-fast", 0).unwrap();
    assert_eq!(price.origin, Origin::Simulated);
    let usage = Usage {
        input: 9,
        output: 9,
        ..Usage::default()
    };
    assert_eq!(price.cost(&usage), NanoUsd::ZERO);
}

#[test]
fn limits_are_known_by_the_same_names() {
    let prices = Prices::published();
    let limits = prices.limits("openai", "gpt-5-mini-2025-08-07");
    assert_eq!(
        (limits.context, limits.max_output),
        (Some(400_000), Some(128_000))
    );
    assert_eq!(prices.limits("house", "m"), Limits::default());
}

/// The floor is generous: debug builds on a busy machine are an order of magnitude slower than what is served.
#[test]
fn a_lookup_is_quick() {
    let prices = Prices::published().with_overrides([own("openai", "gpt-5", None, "1")]);
    let rounds = 20_000u32;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        let price = prices.price(
            "openai",
            std::hint::black_box("gpt-5-mini-2025-08-07"),
            NOVEMBER_2025,
        );
        assert!(std::hint::black_box(price).is_some());
    }
    let each = start.elapsed() / rounds;
    println!("{each:?} a lookup");
    assert!(each < std::time::Duration::from_micros(50), "{each:?}");
}
