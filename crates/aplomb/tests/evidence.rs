//! The questions that prove the lines of the checklist, as the pages of the rooms ask them.
#![cfg(test)]

use aplomb_testkit::Dialect::OpenAi;
use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Step, Upstream};
use aplomb_testkit::{wait_for, wire};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

/// The questions of a page, in their order.
fn questions(page: &str) -> Vec<String> {
    let blocks = page.split("```sql\n").skip(1);
    let ends = blocks.filter_map(|block| block.split_once("```"));
    ends.map(|(question, _)| question.to_owned()).collect()
}

/// The rows of an answer as objects.
fn ask(gateway: &Gateway, question: &str) -> Vec<Value> {
    let token = std::fs::read_to_string(gateway.data_file("admin.token")).unwrap();
    let answer = Request::new(gateway.admin, "POST", "/admin/v1/sql")
        .header("authorization", &format!("Bearer {}", token.trim()))
        .body(json!({ "query": question }).to_string().as_bytes())
        .whole();
    assert_eq!(answer.status, 200, "{question}\n{}", answer.text());
    let answer = answer.json();
    let columns = answer["columns"].as_array().unwrap().clone();
    let object = |row: &Value| {
        let cells = row.as_array().unwrap().iter().cloned();
        let names = columns.iter().map(|name| name.as_str().unwrap().to_owned());
        names.zip(cells).collect()
    };
    answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(object)
        .collect()
}

#[test]
fn the_latency_lines_have_their_evidence() {
    let upstream = Upstream::start(|seen| match seen.model().as_str() {
        "down" => vec![Step::Send(wire::answer(503, &[], b"{}"))],
        _ => wire::good(seen, &["hello"]),
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  main: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         spare: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  chat: {{ targets: [main/down, spare/good], cache: faq }}\ncaches:\n  faq: {{ exact: 1h }}\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    for (stream, user) in [(true, "a"), (true, "a"), (false, "b")] {
        let request = gateway.chat(OpenAi, "chat", stream);
        assert_eq!(request.header("x-aplomb-user", user).whole().status, 200);
    }
    wait_for("the records", || {
        (gateway.records().len() == 3).then_some(())
    });
    let questions = questions(include_str!("../../../docs/latency.md"));
    let [streams, targets, cache, fallbacks, waits, hedges] = &questions[..] else {
        panic!("the page has other questions: {questions:?}");
    };
    let streams = ask(&gateway, streams).remove(0);
    assert_eq!(streams["route"], "chat");
    assert!(
        (streams["streamed"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-6,
        "{streams}"
    );
    assert!(streams["ttft_p95_ms"].as_f64().unwrap() > 0.0, "{streams}");
    // The first stream went to a provider, the second came from the cache.
    let targets = ask(&gateway, targets);
    assert_eq!(targets.len(), 1, "{targets:?}");
    assert_eq!(
        (&targets[0]["target"], &targets[0]["streams"]),
        (&json!("spare/good"), &json!(1))
    );
    let ms = |column: &str| targets[0][column].as_f64().unwrap();
    assert!(
        ms("ttft_p95_ms") >= ms("upstream_ttft_p95_ms"),
        "{targets:?}"
    );
    let cache = ask(&gateway, cache).remove(0);
    assert_eq!(
        (&cache["cut"], &cache["hits"], &cache["asked"]),
        (&json!(0), &json!(2), &json!(3))
    );
    // One fallback; the hits went nowhere.
    assert_eq!(
        ask(&gateway, fallbacks),
        [json!({ "route": "chat", "saved": 1 })]
    );
    let waits = ask(&gateway, waits);
    assert_eq!(
        (&waits[0]["user"], &waits[0]["class"], &waits[0]["requests"]),
        (&json!("a"), &json!("interactive"), &json!(2))
    );
    assert_eq!(waits[0]["longest_ms"], json!(0.0));
    assert_eq!(ask(&gateway, hedges), Vec::<Value>::new());
}

#[test]
fn the_limits_lines_have_their_evidence() {
    let config = "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n\
        routes:\n  chat: { targets: [practice/small] }\nkarma: { enabled: true }\n\
        plans:\n  free: { price: 0 USD per month }\ntenants:\n  local: { plan: free }\n\
        limits:\n  - 12 requests per 3h per user, soft 50%, id each\n";
    let gateway = Gateway::start(BINARY, config);
    // Three of twelve in quarantine; with the second of them half is passed.
    for (user, status) in [("a", 200), ("a", 200), ("a", 200), ("a", 429), ("b", 200)] {
        let answer = gateway
            .chat(OpenAi, "chat", false)
            .header("x-aplomb-user", user)
            .whole();
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    wait_for("the records", || {
        (gateway.records().len() == 5).then_some(())
    });
    let questions = questions(include_str!("../../../docs/limits.md"));
    let [spent, flights, users, rules, karma] = &questions[..] else {
        panic!("the page has other questions: {questions:?}");
    };
    assert_eq!(
        ask(&gateway, spent),
        [json!({ "plan": "free", "tenant": "local", "spent_usd": 0.0 })]
    );
    assert_eq!(
        ask(&gateway, flights),
        [json!({ "joined": 0, "parallel_refused": 0, "parallel_waited": 0 })]
    );
    assert_eq!(
        ask(&gateway, users),
        [json!({ "plan": "free", "trust": "quarantine", "users": 2, "requests": 5, "refused": 1 })]
    );
    assert_eq!(
        ask(&gateway, rules),
        [
            json!({ "limit_rule": "each", "limit_decision": "refused", "times": 1, "users": 1 }),
            json!({ "limit_rule": "each", "limit_decision": "soft", "times": 1, "users": 1 }),
        ]
    );
    let karma = ask(&gateway, karma).remove(0);
    assert_eq!(
        (&karma["users"], &karma["explained"]),
        (&json!(2), &json!(1.0))
    );
    let soft = "aplomb_limits_decisions_total{rule=\"each\",decision=\"soft\"}";
    assert_eq!(gateway.metric(soft), Some(1.0));
}

#[test]
fn the_validate_lines_have_their_evidence() {
    let upstream = Upstream::start(|seen| match seen.number {
        0 => wire::good(seen, &["The lamp costs 70 euros."]),
        1 | 4 => wire::good(seen, &["The lamp costs 50 euros."]),
        2 => wire::good(seen, &["It was built by robots on Mars."]),
        _ => wire::good(seen, &["The lamp can't be bought anywhere."]),
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  main: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         prices:\n  main/good: {{ input: 1000 USD, output: 1000 USD }}\n\
         routes:\n  docs: {{ targets: [main/good], validate: [docs] }}\n  \
         odd: {{ targets: [main/good], validate: [odd] }}\n  bare: {{ targets: [main/good] }}\n\
         validate:\n  docs:\n    - {{ grounding: {{ min: 1 }}, on_fail: [retry, flag] }}\n    \
         - {{ closed_domain: {{ refuse: no }} }}\n  odd: [{{ length: {{ words: {{ max: 2 }} }}, on_fail: flag }}]\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    let body = |model: &str| {
        let said = "The lamp costs 50 euros.\n\nQuestion: What does the lamp cost?";
        json!({ "model": model, "messages": [{ "role": "user", "content": said }] }).to_string()
    };
    // Right at the second try; refused after two; flagged; not looked at.
    for route in ["docs", "docs", "odd", "bare"] {
        let request = Request::new(gateway.data, "POST", "/v1/chat/completions");
        assert_eq!(request.body(body(route).as_bytes()).whole().status, 200);
    }
    wait_for("the records", || {
        (gateway.records().len() == 4).then_some(())
    });
    let questions = questions(include_str!("../../../docs/validate.md"));
    let [basic, advanced, expert] = &questions[..] else {
        panic!("the page has other questions: {questions:?}");
    };
    let row = |route: &str, delivered: u64, checked: f64, mended: f64, failing: f64| json!({ "route": route, "delivered": delivered, "checked": checked, "mended": mended, "failing": failing });
    let expected = [
        row("bare", 1, 0.0, 0.0, 0.0),
        row("docs", 2, 1.0, 1.0, 0.0),
        row("odd", 1, 1.0, 0.0, 1.0),
    ];
    assert_eq!(ask(&gateway, basic), expected);
    let found = ask(&gateway, advanced);
    let docs = json!({ "route": "docs", "checked": 2, "beside_the_point": 0, "not_in_context": 2, "refused": 1 });
    assert_eq!((found.len(), &found[1]), (3, &docs));
    let found = ask(&gateway, expert);
    assert_eq!((found.len(), &found[0]["most_tries"]), (2, &json!(2)));
    let turned_down = found[0]["turned_down_usd"].as_f64().unwrap();
    assert!(turned_down > 0.0, "{found:?}");
}

#[test]
fn the_protect_lines_have_their_evidence() {
    let upstream = Upstream::start(|seen| wire::good(seen, &["hello"]));
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         prices: {{ up/m: {{ input: 1000, output: 1000 }} }}\nroutes:\n  chat: {{ targets: [up/m] }}\n\
         protect:\n  cohort: {{ untrusted: 1.2 USD per 1h }}\n  accounts: {{ enabled: true, learn: 0s }}\n\
         segments:\n  partner: {{ users: [\"p-*\"], trust: trusted }}\n"
    );
    let gateway = Setup::new(BINARY, &config)
        .server("trusted_proxies: [127.0.0.0/8]")
        .start();
    let made = ["keys", "--config", "aplomb.yaml", "--json", "create"];
    let made = gateway
        .setup()
        .command(&made)
        .args(["--tenant", "acme"])
        .output();
    let made: Value = serde_json::from_slice(&made.unwrap().stdout).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    wait_for("others to be refused", || {
        let request = Request::new(gateway.data, "GET", "/v1/models");
        (request.whole().status == 401).then_some(())
    });
    let send = |user: &str, text: &str| {
        let body = json!({ "model": "chat", "max_tokens": 100, "messages": [{ "role": "user", "content": text }] });
        let request = Request::new(gateway.data, "POST", "/v1/chat/completions");
        let request = request.header("authorization", &format!("Bearer {key}"));
        let request = request.header("x-forwarded-for", "198.51.100.7");
        let request = request.header("content-type", "application/json");
        let request = request.header("x-aplomb-user", user);
        request.body(body.to_string().as_bytes()).whole().status
    };
    // Each answer costs the same, so a short prompt has many tokens for a character.
    let long = "Please tell me what the weather in the mountains will be like tomorrow morning. "
        .repeat(2);
    let bots: Vec<u16> = (0..60).map(|n| send(&format!("bot-{n}"), &long)).collect();
    let served = bots.iter().filter(|status| **status == 200).count();
    assert!((10..60).contains(&served), "{bots:?}");
    assert_eq!(send("p-bomb", "What is the weather?"), 200);
    assert_eq!(send("p-ada", &"明天早上山里的天气怎么样".repeat(3)), 200);
    wait_for("the records", || {
        let all = ask(&gateway, "SELECT count(*) AS all_of_them FROM requests");
        (all[0]["all_of_them"] == 62).then_some(())
    });
    let questions = questions(include_str!("../../../docs/protect.md"));
    let [languages, bombs, keys, rules, linked] = &questions[..] else {
        panic!("the page has other questions: {questions:?}");
    };
    let languages = ask(&gateway, languages);
    let language = |at: usize| (&languages[at]["language"], &languages[at]["requests"]);
    assert_eq!(language(0), (&json!("eng"), &json!(served + 1)));
    assert_eq!(language(1), (&json!("cmn"), &json!(1)));
    let dear = |at: usize| languages[at]["tokens_per_char"].as_f64().unwrap();
    assert!(dear(1) > 2.0 * dear(0), "{languages:?}");
    let bombs = ask(&gateway, bombs);
    assert_eq!((bombs.len(), &bombs[0]["user"]), (1, &json!("p-bomb")));
    assert_eq!(
        ask(&gateway, keys),
        [json!({ "requests": 62, "without_key": 0, "anonymous": 0 })]
    );
    let refused = 60 - served;
    let rules = ask(&gateway, rules);
    assert_eq!(
        (
            &rules[0]["limit_rule"],
            &rules[0]["refused"],
            &rules[0]["tenants"]
        ),
        (
            &json!("protect-cohort-untrusted"),
            &json!(refused),
            &json!(1)
        )
    );
    let linked = ask(&gateway, linked).remove(0);
    let usd = linked["linked_usd"].as_f64().unwrap();
    assert!(usd > 0.0 && usd <= 1.2, "{linked}");
    assert_eq!(
        linked["linked_users"], 53,
        "from the eighth on, refused or not"
    );
    assert_eq!(
        (
            &linked["cohort_refused"],
            &linked["breaker_refused"],
            &linked["most_risk"]
        ),
        (&json!(refused), &json!(0), &json!(100))
    );
}
