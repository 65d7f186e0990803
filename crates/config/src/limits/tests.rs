use super::*;
use proptest::prelude::*;

#[track_caller]
fn read(text: &str) -> LimitRule {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn one_line_says_what_a_section_says() {
    for (line, section) in [
        (
            "25 requests per 3h per user where segment = free",
            "{ meter: requests, limit: 25, window: 3h, per: user, where: segment = free }",
        ),
        (
            "200000 tokens per 1m per tenant",
            "{ meter: tokens, limit: 200000, window: 1m, per: tenant }",
        ),
        (
            "2 USD per 1d per user where segment = quarantine and model != gpt-*",
            "{ meter: cost, limit: 2 USD, window: 1d, per: user, where: segment = quarantine and model != gpt-* }",
        ),
        (
            "1 concurrent per user, on exceed queue 20s",
            "{ meter: concurrent, limit: 1, per: user, on_exceed: queue 20s }",
        ),
        (
            "5 USD per lifetime per tenant where plan = trial, shadow, id trial",
            "{ id: trial, meter: cost, limit: 5 USD, window: lifetime, per: tenant, where: plan = trial, mode: shadow }",
        ),
        (
            "500 USD per month tz Europe/Berlin anchor 15 per tenant and model",
            "{ meter: cost, limit: 500 USD, window: month, tz: Europe/Berlin, anchor: 15, per: tenant and model }",
        ),
        (
            "600 input tokens per 1m per key, burst 60, on exceed downgrade to small",
            "{ meter: input_tokens, limit: 600, window: 1m, per: key, burst: 60, on_exceed: downgrade to small }",
        ),
    ] {
        let tree = crate::yaml_value(section, "section").unwrap();
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::Number(number) => number.to_string().into(),
            other => other.clone(),
        };
        let mut tree = tree;
        tree["limit"] = text(&tree["limit"]);
        let by_section: LimitRule = serde_json::from_value(tree).unwrap();
        assert_eq!(read(line), by_section, "{line}");
    }
}

#[test]
fn what_is_not_understood_is_named_with_its_place_and_a_proposal() {
    for (line, at, expected) in [
        ("", 0, "expected a rule such as"),
        ("many requests per 1h", 0, "a rule begins with a number"),
        ("25 request per 3h per usr", 22, "did you mean `user`?"),
        ("25 reqests per 3h", 3, "did you mean `requests`?"),
        ("25 requests", 0, "add `per 1m`"),
        ("25 requests per minute", 16, "write `per 1m`"),
        ("25 requests per 3x", 16, "expected a time span"),
        ("25 requests per 1h per 2h", 23, "one rule has one"),
        (
            "25 requests per 1h per asn",
            23,
            "`asn` needs the protect room: not available",
        ),
        (
            "25 requests per 1h per cohort",
            23,
            "needs the protect room",
        ),
        ("25 requests per 1h per org", 23, "did you mean `tenant`?"),
        (
            "25 requests per 1h per user per user",
            32,
            "is there already",
        ),
        (
            "25 requests per 1h were model = x",
            19,
            "did you mean `where`?",
        ),
        (
            "25 requests per 1h where modl = x",
            25,
            "did you mean `model`?",
        ),
        (
            "25 requests per 1h where model x",
            31,
            "expected `=` or `!=`",
        ),
        ("25 requests per 1h where model =", 32, "expected a value"),
        (
            "25 requests per 1h, on exceed challenge",
            30,
            "needs the protect room",
        ),
        ("25 requests per 1h, on exceed wait", 30, "expected one of"),
        ("25 requests per 1h, shadow, shadow", 28, "said twice"),
        (
            "25 requests per 1h tz UTC",
            19,
            "follows a period of the calendar",
        ),
        ("2 EUR per 1d", 2, "counted in `USD`"),
        ("2.5 requests per 1d", 0, "expected a whole number"),
        ("3 queued per user", 2, "queue: { per_user: 3 }"),
        ("2 requests per 1d where user = \"a", 31, "not closed"),
    ] {
        let mistake = line.parse::<LimitRule>().unwrap_err();
        let text = mistake.to_string();
        assert!(text.contains(expected), "{line}: {text}");
        assert_eq!(mistake.at, at, "{line}: {text}");
    }
    let long = format!(
        "1 requests per 1h where user = {}",
        "x".repeat(LINE_BYTES_MAX)
    );
    assert!(long.parse::<LimitRule>().is_err());
}

#[test]
fn a_name_stays_when_only_the_amount_changes() {
    let name = |line: &str| read(line).name();
    assert_eq!(name("25 requests per 3h per user"), "requests-3h-user");
    assert_eq!(
        name("25 requests per 3h per user where model = gpt-*"),
        "requests-3h-user-model-gpt-any"
    );
    assert_eq!(name("5 USD per lifetime per tenant, id trial"), "trial");
    let rules = [
        read("25 requests per 3h per user"),
        read("50 requests per 3h per user"),
    ];
    assert_eq!(names(&rules), ["requests-3h-user", "requests-3h-user-2"]);
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9*./ ,=!-]{1,12}".prop_filter("a value", |text| !text.trim().is_empty())
}

prop_compose! {
    fn any_rule()(
        meter in 0..6usize, limit in 0u64..1_000_000, window in 1u64..10_000_000, scopes in 0usize..4,
        when in prop::collection::vec((0..7usize, any::<bool>(), word()), 0..3),
        (shadow, exceed, burst, id) in (any::<bool>(), 0..3u8, prop::option::of(1u64..9), prop::option::of("[a-z-]{1,9}")),
        model in word(), store in prop::option::of(0..3usize), soft in prop::collection::vec(1u8..100, 0..3),
    ) -> LimitRule {
        let meter = [MeterConfig::Requests, MeterConfig::Tokens, MeterConfig::InputTokens, MeterConfig::OutputTokens,
            MeterConfig::Cost, MeterConfig::Concurrent][meter];
        LimitRule {
            id,
            meter,
            limit,
            window: match (meter, window % 3) {
                (MeterConfig::Concurrent, _) => WindowConfig::Concurrent,
                (_, 0) => WindowConfig::Lifetime,
                (_, 1) => WindowConfig::Calendar { unit: CalendarUnit::Month, tz: Some("Asia/Tokyo".into()), anchor: Some(3) },
                _ => WindowConfig::Sliding(Duration::from_millis(window)),
            },
            per: ScopeConfig::ALL[..scopes].to_vec(),
            when: when.into_iter().map(|(field, is, value)| ConditionConfig { field: FieldConfig::ALL[field], is, value }).collect(),
            mode: if shadow { ModeConfig::Shadow } else { ModeConfig::Enforce },
            on_exceed: match exceed {
                0 => ExceedConfig::Reject,
                1 => ExceedConfig::Queue(Duration::from_secs(20)),
                _ => ExceedConfig::Downgrade(model),
            },
            burst,
            on_store_error: store.map(|at| StoreErrorConfig::ALL[at]),
            soft: soft.into_iter().map(PercentConfig).collect(),
        }
    }
}

proptest! {
    #[test]
    fn a_rule_as_written_is_read_as_it_was(rule in any_rule()) {
        prop_assert_eq!(rule.to_string().parse::<LimitRule>(), Ok(rule));
    }

    #[test]
    fn any_text_is_a_rule_or_a_mistake_within_it(text in ".{0,80}") {
        if let Err(mistake) = text.parse::<LimitRule>() {
            prop_assert!(mistake.at <= text.len() && text.is_char_boundary(mistake.at));
        }
    }
}
