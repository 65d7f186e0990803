use super::*;
use crate::diagnostic::Place;
use crate::queue::{ConcurrencyConfig, LearnByConfig};
use proptest::prelude::*;
use std::collections::HashMap;

#[track_caller]
fn check_errors(text: &str, expected: &str) {
    let found = parse(text, "aplomb.yaml").unwrap_err().to_string();
    assert_eq!(found, expected.trim(), "found:\n{found}");
}

#[test]
fn the_simple_case_fits_in_four_lines() {
    let text = "providers:\n  openai: { api_key: env:OPENAI_API_KEY }\nroutes:\n  chat: { targets: [openai/gpt-5-mini] }\n";
    let parsed = parse(text, "aplomb.yaml").unwrap();
    assert_eq!(parsed.file.routes["chat"].targets, ["openai/gpt-5-mini"]);
    assert_eq!(
        parsed.map.place("routes.chat.targets[0]"),
        Some(Place {
            line: 4,
            column: 21
        })
    );
}

#[test]
fn an_empty_file_is_the_defaults() {
    for text in [
        "",
        "\u{feff}",
        "# nothing\n",
        "---\n",
        "routes:\nproviders:\n",
    ] {
        let file = parse(text, "f").unwrap().file;
        assert_eq!(file.server.listen.to_string(), "127.0.0.1:4100");
        assert!(file.routes.is_empty());
    }
}

#[test]
fn origins_that_no_browser_sends_are_named() {
    check_errors(
        "server:\n  cors:\n    origins: [\"https://App.example.com/\", \"null\", \"*\"]\n",
        "
aplomb.yaml:3:15: error: server.cors.origins[0]: browsers send an origin in lower case, without a path and without the scheme's own port
  did you mean `https://app.example.com`?
aplomb.yaml:3:43: error: server.cors.origins[1]: any local file and any sandboxed frame calls itself `null`; serve the page from an address, or use `*`
aplomb.yaml:3:51: error: server.cors.origins[2]: `*` is every origin: name no other beside it
",
    );
}

#[test]
fn an_address_of_a_shared_store_is_looked_at() {
    for (written, expected) in [
        (
            "http://h:1",
            "expected an address such as `redis://host:6379`",
        ),
        (
            "redis://u:p@h:1",
            "must not hold credentials: write `{ url, user, password }`",
        ),
    ] {
        let text = format!("store: {{ shared: \"{written}\" }}\n");
        let expected = format!("aplomb.yaml:1:18: error: store.shared: {expected}");
        check_errors(&text, &expected);
    }
    check_errors(
        "store: { shared: { url: \"redis://h\", user: u } }",
        "aplomb.yaml:1:18: error: store.shared: a user needs a `password`",
    );
    check_errors(
        "store: { shared: { url: \"redis://h\", timeout: 6s } }",
        "aplomb.yaml:1:47: error: store.shared.timeout: a request waits for the store at least 1 ms and at most `5s`",
    );
    let fine = parse("store: { shared: \"redis://h:6379\" }", "f").unwrap();
    assert_eq!(fine.file.store.shared.unwrap().url, "redis://h:6379");
}

#[test]
fn what_a_semantic_cache_can_not_do_is_named() {
    check_errors(
        "providers:
  openai: { api_key: env:A }
caches:
  a: { semantic: { threshold: 1.5, ttl: 0s, model: openia/vectors } }
  b: { semantic: { model: vectors } }
",
        "
aplomb.yaml:4:31: error: caches.a.semantic.threshold: must be at most 1
aplomb.yaml:4:41: error: caches.a.semantic.ttl: no answer would ever serve: leave `semantic` out instead
aplomb.yaml:4:52: error: caches.a.semantic.model: there is no provider `openia`
  did you mean `openai`?
aplomb.yaml:5:27: error: caches.b.semantic.model: a provider's embedding model is `provider/model`; without `model` the one inside this program is used
",
    );
}

#[test]
fn plans_and_segments_have_to_meet() {
    check_errors(
        "plans:
  free: { segment: fre, limits: [1 requests per 0s] }
segments:
  free: { plan: starter, tenants: [acme] }
tenants:
  local: { plan: fre, budget: 1 requests per 1d }
limits:
  - 2 requests per 1h per user where segment = fee
  - 2 requests per 1h per user where plan = gold
",
        "
aplomb.yaml:2:20: error: plans.free.segment: there is no segment `fre`
  did you mean `free`?
aplomb.yaml:2:34: error: plans.free.limits[0].window: a window of no time counts nothing
  write a time such as `1m`, or `per lifetime`
aplomb.yaml:4:17: error: segments.free.plan: there is no plan `starter`
aplomb.yaml:4:36: error: segments.free.tenants[0]: there is no tenant `acme`
aplomb.yaml:6:18: error: tenants.local.plan: there is no plan `fre`
  did you mean `free`?
aplomb.yaml:6:31: error: tenants.local.budget: expected money over a time, such as `500 USD per month`
aplomb.yaml:8:5: error: limits[0].where: there is no segment `fee`
  did you mean `free`?
aplomb.yaml:9:5: error: limits[1].where: there is no plan `gold`
",
    );
}

#[test]
fn limits_that_cannot_work_are_named_with_a_proposal() {
    check_errors(
        "limits:
  - 25 requests per 3h per usr
  - \"0 requests per 0s\"
  - { meter: requests, limit: 5 USD, window: 1h }
  - { meter: concurrent, limit: 1, window: 1h, mode: shadow, on_exceed: queue 1s }
  - { meter: cost, limit: 5 USD, window: moth, per: user and usr, bust: 1 }
  - 2 USD per month anchor 30 per tenant, burst 3
  - 2 requests per 1h where route = chat, on exceed downgrade to small
",
        "
aplomb.yaml:2:28: error: limits[0]: `usr` is not understood here
  did you mean `user`?
aplomb.yaml:3:5: error: limits[1].limit: a limit of 0 lets nothing through
  leave out the routes that a key may not use with `tenants.<name>.routes`
aplomb.yaml:3:5: error: limits[1].window: a window of no time counts nothing
  write a time such as `1m`, or `per lifetime`
aplomb.yaml:4:5: error: limits[2]: expected a whole number such as `25`, found `5 USD`
aplomb.yaml:5:44: error: limits[3].window: what is in flight is counted at one time, not over a window
  leave the window out, or count `requests`
aplomb.yaml:5:54: error: limits[3].mode: a shadow rule only counts: nothing can happen on exceed
  leave out `on exceed`, or `shadow`
aplomb.yaml:6:42: error: limits[4].window: `moth` is not understood here
  did you mean `month`?
aplomb.yaml:6:62: error: limits[4].per: `usr` is not understood here
  did you mean `user`?
aplomb.yaml:6:67: error: limits[4]: unknown field `bust`
  did you mean `burst`?
aplomb.yaml:7:5: error: limits[5].anchor: the anchor of a month is a day of every month, 1 to 28
aplomb.yaml:7:5: error: limits[5].burst: a burst belongs to requests or tokens over a sliding window
aplomb.yaml:8:5: error: limits[6].on_exceed: there is no route `small`
aplomb.yaml:8:5: error: limits[6].where: there is no route `chat`
",
    );
}

#[test]
fn contradictions_in_resilience_and_waiting_are_named() {
    let text = "providers:
  openai: { api_key: env:A, api_keys: [env:B, env:B], concurrency: 0 }
  vllm: { concurrency: { adaptive: { min: 9, max: 3 } } }
  ollama: { concurrency: { adaptive: { least: 9 } } }
  groq: { concurrency: many }
tenants: { t: { weight: 0 } }
routes:
  chat:
    targets: [{ target: openai/x, weight: 3 }, openai/y]
    ttft_goal: 1s
    hedge: { after: p95, budget: 0% }
    dedupe: { window: 1h }
    breaker: { pause: 0s }
queue: { per_user: 0 }
idempotency: { linger: 2m }
";
    let found = parse(text, "f").unwrap_err().to_string();
    for place in [
        "providers.openai.api_keys:",
        "providers.openai.api_keys[1]:",
        "providers.openai.concurrency:",
        "providers.vllm.concurrency.adaptive.min:",
        "providers.ollama.concurrency.adaptive: unknown field `least`",
        "providers.groq.concurrency: expected a whole number",
        "tenants.t.weight:",
        "routes.chat.breaker.pause:",
        "routes.chat.targets[0].weight:",
        "routes.chat.ttft_goal:",
        "routes.chat.hedge.budget:",
        "routes.chat.dedupe.window:",
        "queue.per_user:",
        "idempotency.linger:",
    ] {
        assert!(found.contains(place), "{place} is missing in\n{found}");
    }
}

#[test]
fn a_limit_is_learned_by_what_fits_the_provider() {
    let text = "providers:
  openai: { concurrency: { adaptive: {} } }
  vllm: { concurrency: { adaptive: { min: 2, max: 64 } } }
  groq: { concurrency: { adaptive: { by: latency } } }
  practice: { concurrency: 4 }
";
    let file = parse(text, "f").unwrap().file;
    let learned = |name: &str| {
        let provider = &file.providers[name];
        match provider.concurrency.clone().unwrap() {
            ConcurrencyConfig::Fixed(n) => (n, n, None),
            ConcurrencyConfig::Learned(learned) => {
                let by = learned.adaptive.by_of(name, provider);
                (learned.adaptive.min, learned.adaptive.max, Some(by))
            }
        }
    };
    assert_eq!(learned("openai"), (1, 200, Some(LearnByConfig::Errors)));
    assert_eq!(learned("vllm"), (2, 64, Some(LearnByConfig::Latency)));
    assert_eq!(learned("groq"), (1, 200, Some(LearnByConfig::Latency)));
    assert_eq!(learned("practice"), (4, 4, None));
}

#[test]
fn all_errors_are_reported_at_once_with_their_place() {
    check_errors(
        "server:\n  lisen: 1.2.3.4:80\n  body_max: 10MB\nproviders:\n  openai: { api_key: sk-secret }\nroutes:\n  chat:\n    targets: openai/x\n    retry: { attempts: 0 }\nlog: { level: inf }\n",
        "
aplomb.yaml:2:3: error: server: unknown field `lisen`
  did you mean `listen`?
aplomb.yaml:3:13: error: server.body_max: expected a size such as `512KiB`, `10MiB` or a number of bytes
aplomb.yaml:5:22: error: providers.openai.api_key: a secret must be a reference: `env:NAME` or `file:PATH`; it never stands in the file itself
aplomb.yaml:8:14: error: routes.chat.targets: expected a list, found text
aplomb.yaml:9:24: error: routes.chat.retry.attempts: must be at least 1
aplomb.yaml:10:15: error: log.level: `inf` is not one of: error, warn, info, debug, trace
  did you mean `info`?",
    );
}

/// Errors of the shape hide no others, and what only follows from one is not told.
#[test]
fn errors_of_shape_and_meaning_come_together() {
    check_errors(
        "providrs:\n  openai: { base_ulr: \"https://x.example\" }\n  mine: 5\nroutes:\n  a: { targets: [[], openai/x, opnai/x, mine/x] }\n  b: { targets: mine/x, privacy: p }\n  c: { targets: [mine/x], privacy: q, timeouts: { idle: 0s, total: long } }\nprivacy:\n  p: { email: masc }\nrecognizers:\n  - { pattern: x }\n  - { name: t, pattern: [] }\n  - { name: u }\n",
        "
aplomb.yaml:1:1: error: unknown field `providrs`
  did you mean `providers`?
aplomb.yaml:5:18: error: routes.a.targets[0]: expected text, found a list
aplomb.yaml:5:32: error: routes.a.targets[2]: unknown provider `opnai`
  did you mean `openai`?
aplomb.yaml:6:17: error: routes.b.targets: expected a list, found text
aplomb.yaml:7:36: error: routes.c.privacy: there is no privacy policy `q`
aplomb.yaml:7:57: error: routes.c.timeouts.idle: must be longer than 0
aplomb.yaml:7:68: error: routes.c.timeouts.total: expected a time span such as `250ms`, `15s`, `2m30s` or `3h`
aplomb.yaml:9:15: error: privacy.p.email: `masc` is not one of: allow, flag, mask, redact, hash, surrogate, block
  did you mean `mask`?
aplomb.yaml:11:5: error: recognizers[0]: `name` is missing
aplomb.yaml:12:25: error: recognizers[1].pattern: expected text, found a list
aplomb.yaml:13:5: error: recognizers[2]: needs a `pattern` or `words`",
    );
}

#[test]
fn names_must_meet() {
    check_errors(
        "providers:\n  openai: {}\n  mine: {}\nroutes:\n  a: { targets: [opnai/x, openai/*] }\n  b: { targets: [] }\n",
        "
aplomb.yaml:3:9: error: providers.mine: `mine` is not a known provider, so `kind` is needed
  add `kind: openai` for a server that speaks OpenAI's API
aplomb.yaml:5:18: error: routes.a.targets[0]: unknown provider `opnai`
  did you mean `openai`?
aplomb.yaml:5:27: error: routes.a.targets[1]: a `*` in a target needs one in the route's name
aplomb.yaml:6:17: error: routes.b.targets: expected at least 1 in this list",
    );
}

#[test]
fn hostile_yaml_is_refused_with_a_place() {
    for text in [
        "a: [",
        "a: &x 1\nb: *x\n",
        "a: !!python/object x\n",
        "a: 1\na: 2\n",
        "? [x]\n: y\n",
        "a: 1\n---\nb: 2\n",
        "\t- x",
        "- just\n- a list\n",
        "just text",
    ] {
        let found = parse(text, "f").unwrap_err();
        assert!(
            found.list.iter().all(|d| d.place.is_some()),
            "{text}: {found}"
        );
    }
    assert!(parse(&"[".repeat(100_000), "f").is_err());
    assert!(parse(&"a: ".repeat(1000), "f").is_err());
}

#[test]
fn a_key_over_plain_http_is_a_warning_except_on_this_machine() {
    let with = |host: &str| {
        format!(
            "providers:\n  x: {{ kind: openai, base_url: \"http://{host}/v1\", api_key: env:K }}\n"
        )
    };
    assert_eq!(parse(&with("example.com"), "f").unwrap().warnings.len(), 1);
    assert_eq!(parse(&with("127.0.0.1:80"), "f").unwrap().warnings.len(), 0);
    assert_eq!(parse(&with("[::1]:80"), "f").unwrap().warnings.len(), 0);
    assert!(
        parse(
            "providers:\n  x: { kind: openai, base_url: \"https://u:p@h/\" }\n",
            "f"
        )
        .is_err()
    );
}

#[test]
fn providers_are_found_in_the_environment() {
    let env = HashMap::from([
        ("OPENAI_API_KEY".to_owned(), "k".to_owned()),
        ("GROQ_API_KEY".to_owned(), String::new()),
    ]);
    let found = discover::discover(&env);
    assert_eq!(found.found, ["openai (OPENAI_API_KEY)"]);
    assert_eq!(
        found.file.providers["openai"]
            .api_key
            .as_ref()
            .unwrap()
            .reference(),
        "env:OPENAI_API_KEY"
    );
}

#[test]
fn the_reference_names_every_field_of_the_schema() {
    let page = reference();
    for field in [
        "`listen`",
        "`keepalive_after`",
        "`targets`",
        "`first_token`",
        "`error_rate`",
        "`level`",
    ] {
        assert!(
            page.contains(&format!("| {field} |")),
            "{field} is missing:\n{page}"
        );
    }
    assert!(
        !page.contains("|  |"),
        "a field has no value or meaning:\n{page}"
    );
}

#[test]
fn files_are_read_with_clear_errors() {
    let found = load(Path::new("/nonexistent/aplomb.yaml"))
        .unwrap_err()
        .to_string();
    assert!(found.contains("can't be read"), "{found}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z:{}\\[\\]\\-*&!|>%@`\"' \n\t#0-9]{0,80}") {
        let _ = parse(&text, "f");
    }

    #[test]
    fn no_unicode_panics(text in "\\PC{0,60}") {
        let _ = parse(&text, "f");
    }
}

#[test]
fn stores_of_records_are_words_or_sections_with_errors_at_their_place() {
    let good = parse(
        "store:\n  records:\n    - embedded\n    - clickhouse: { url: \"http://127.0.0.1:8123\", password: env:P, texts: true }\n",
        "f",
    )
    .unwrap();
    let store = &good.file.store;
    let click = store.clickhouse().unwrap();
    assert!(store.embedded() && click.texts && good.warnings.is_empty());
    assert_eq!(
        (click.database.as_str(), click.user.as_str()),
        ("aplomb", "default")
    );
    let none = parse("log: {}\n", "f").unwrap().file.store;
    assert!(none.embedded() && none.clickhouse().is_none());
    for (records, path, message) in [
        ("[]", "store.records", "at least 1"),
        (
            "[embeded]",
            "store.records[0]",
            "not one of: embedded, or a section `clickhouse`",
        ),
        ("[embedded, embedded]", "store.records[1]", "there already"),
        (
            "[{ clickhouse: {} }]",
            "store.records[0].clickhouse",
            "`url` is missing",
        ),
        (
            "[{ clickhouse: { url: \"ftp://x\" } }]",
            "store.records[0].clickhouse.url",
            "expected a URL",
        ),
        (
            "[{ clickhouse: { url: \"http://u:p@x\" } }]",
            "store.records[0].clickhouse.url",
            "use `password`",
        ),
        (
            "[{ clickhouse: { url: \"http://x\", database: a-b } }]",
            "store.records[0].clickhouse.database",
            "letters",
        ),
        (
            "[{ clickhouse: { url: \"http://x\", password: hunter2 } }]",
            "store.records[0].clickhouse.password",
            "reference",
        ),
        (
            "[{ clickhouse: { url: \"http://x\", txts: true } }]",
            "store.records[0].clickhouse",
            "unknown field `txts`",
        ),
    ] {
        let found = parse(&format!("store: {{ records: {records} }}\n"), "f").unwrap_err();
        assert!(
            found
                .list
                .iter()
                .any(|d| d.path == path && d.message.contains(message) && d.place.is_some()),
            "{records}: {found}"
        );
    }
    let plain = "records: { encrypt: env:K }\nstore: { records: [{ clickhouse: { url: \"http://x\", texts: true, password: env:P } }] }\n";
    assert_eq!(parse(plain, "f").unwrap().warnings.len(), 2);
}
