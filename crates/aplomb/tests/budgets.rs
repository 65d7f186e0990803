//! Limits of tokens and money as clients and providers see them.
#![cfg(test)]

use aplomb_testkit::Dialect::{Anthropic, OpenAi};
use aplomb_testkit::client::{Request, Whole, chat_body};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::signal::Signal;
use aplomb_testkit::upstream::{Seen, Step, Upstream};
use aplomb_testkit::{wait_for, wire};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

/// A tenth of a cent a token: a short request reserves 0.69 USD for its input.
const PRICE: &str = "prices: { up/m: { input: 1000 USD, output: 1000 USD } }\n";

fn config(upstream: &Upstream, more: &str) -> String {
    let url = upstream.url();
    format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n{more}"
    )
}

const ROUTE: &str = "routes:\n  chat: { targets: [up/m], retry: { attempts: 1 } }\n";

fn gateway(upstream: &Upstream, limits: &str) -> Gateway {
    let more = format!("{ROUTE}{PRICE}limits:\n{limits}");
    Gateway::start(BINARY, &config(upstream, &more))
}

fn body(max_tokens: u64) -> Value {
    let mut body = chat_body(OpenAi, "chat", false);
    body["max_tokens"] = json!(max_tokens);
    body
}

fn ask(gateway: &Gateway, body: &Value) -> Whole {
    Request::post(gateway.data, "/v1/chat/completions", body).whole()
}

/// An answer that says what it used.
fn used(seen: &Seen, input: u64, output: u64) -> Vec<Step> {
    let mut answer = wire::whole(seen.dialect(), "hello");
    answer["usage"] = json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output });
    vec![Step::Send(wire::json_answer(200, &answer))]
}

#[test]
fn money_is_never_over_with_sixty_four_clients_failures_and_missing_usage() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(
        move |seen| match count.fetch_add(1, Ordering::Relaxed) % 20 {
            3 => {
                let body = wire::error(OpenAi, "server_error", None, "no");
                vec![Step::Send(wire::json_answer(500, &body))]
            }
            7 => {
                let mut answer = wire::whole(OpenAi, "no usage");
                answer["usage"] = Value::Null;
                vec![Step::Send(wire::json_answer(200, &answer))]
            }
            _ => used(seen, 80, 100),
        },
    );
    let gateway = gateway(&upstream, "  - 10 USD per 1d per tenant\n");
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..64 {
            let (gateway, refused) = (&gateway, &refused);
            scope.spawn(move || {
                for round in 0..6 {
                    if number % 10 == 0 && round == 0 {
                        let sent = Request::post(gateway.data, "/v1/chat/completions", &body(100));
                        sent.send().leave();
                        continue;
                    }
                    let answer = ask(gateway, &body(100));
                    match answer.status {
                        200 | 500 => {}
                        429 => {
                            assert_eq!(answer.error_code(), "insufficient_quota");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("{other}: {}", answer.text()),
                    }
                }
            });
        }
    });
    assert!(refused.load(Ordering::Relaxed) > 0);
    // What is left is used up one by one.
    while ask(&gateway, &body(64)).status != 429 {}
    wait_for("all records", || {
        let records = gateway.records();
        let running = gateway.metric("aplomb_requests_in_flight")?;
        let refused = records
            .iter()
            .filter(|record| record["status"] == 429)
            .count();
        (running < 0.5 && refused > 0).then_some(())
    });
    gateway.terminate();
    let mut gateway = gateway;
    gateway.wait_end();
    let spent: i64 = gateway
        .records()
        .iter()
        .filter_map(|record| record["cost_nano"].as_i64())
        .sum();
    assert!(spent <= 10_000_000_000, "{spent}");
    assert!(
        spent >= 8_000_000_000,
        "{spent}: most of the money can be used"
    );
}

#[test]
fn a_bound_is_lowered_to_what_is_left_and_travels_as_one() {
    let upstream = Upstream::start(|seen| used(seen, 9, 4));
    let gateway = gateway(&upstream, "  - 1 USD per lifetime per user\n");
    let mut wish = body(1_000);
    wish["max_completion_tokens"] = json!(2_000);
    let answer = ask(&gateway, &wish);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bound: u64 = answer
        .header("x-aplomb-max-tokens-clamped")
        .unwrap()
        .parse()
        .unwrap();
    assert!((64..400).contains(&bound), "{bound}");
    let sent = upstream.seen()[0].json();
    assert_eq!(sent["max_completion_tokens"], bound);
    assert!(sent.get("max_tokens").is_none(), "{sent}");
    // What fits needs no lowering; where none is given, one is written.
    let answer = ask(&gateway, &body(100));
    assert_eq!(answer.header("x-aplomb-max-tokens-clamped"), None);
    assert_eq!(upstream.seen()[1].json()["max_tokens"], 100);
    let open = chat_body(OpenAi, "chat", false);
    let answer = ask(&gateway, &open);
    let bound = answer.header("x-aplomb-max-tokens-clamped").unwrap();
    assert_eq!(upstream.seen()[2].json()["max_tokens"].to_string(), bound);
    // The other dialect has the same bound.
    let answer = gateway.chat(Anthropic, "chat", false).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_budget_that_is_used_up_says_so_in_both_dialects() {
    let upstream = Upstream::start(|seen| used(seen, 200, 200));
    let more =
        format!("{ROUTE}{PRICE}limits: []\ntenants: {{ local: {{ budget: 1 USD per month }} }}\n");
    let gateway = Gateway::start(BINARY, &config(&upstream, &more));
    assert_eq!(ask(&gateway, &body(100)).status, 200);
    let refused = ask(&gateway, &body(100));
    assert_eq!(refused.status, 429);
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&"insufficient_quota".into(), &"insufficient_quota".into())
    );
    let more = &error["aplomb"];
    assert_eq!(
        (&more["rule"], &more["limit"], &more["used"]),
        (&"budget-local".into(), &"1".into(), &"0.4".into())
    );
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert!(refused.header("x-ratelimit-limit-requests").is_none());
    let other = gateway.chat(Anthropic, "chat", false).whole();
    assert_eq!(
        (other.status, other.error_code()),
        (429, "rate_limit_error".into())
    );
}

#[test]
fn an_answer_beyond_its_bound_is_cut_with_an_error_event() {
    let upstream = Upstream::start(|seen| {
        let long: Vec<String> = (0..40).map(|n| format!("{n:020}")).collect();
        let pieces: Vec<&str> = long.iter().map(String::as_str).collect();
        wire::good(seen, &pieces)
    });
    let gateway = gateway(&upstream, "  - 1 USD per lifetime per user, id cap\n");
    let mut wish = body(100);
    wish["stream"] = json!(true);
    let answer = ask(&gateway, &wish);
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(text.contains("\"code\":\"budget_exhausted\""), "{text}");
    assert!(
        !text.contains("[DONE]") && !text.contains("\"finish_reason\":\"stop\""),
        "{text}"
    );
    let record = gateway.wait_record("the cut answer", |record| record["outcome"] == "cut");
    assert_eq!(record["error_code"], "budget_exhausted");
}

#[test]
fn tokens_are_reserved_settled_and_given_back() {
    let upstream = Upstream::start(|seen| match seen.json()["seed"].as_u64() {
        Some(13) => {
            let body = wire::error(OpenAi, "server_error", None, "no");
            vec![Step::Send(wire::json_answer(500, &body))]
        }
        _ => used(seen, 9, 4),
    });
    let more = format!(
        "{ROUTE}  cached: {{ targets: [up/m], cache: faq }}\ncaches: {{ faq: {{ exact: 1h }} }}\n\
         limits:\n  - 60 tokens per 1h per user where route = chat, id tpm\n  - 60 tokens per 1h per user where route = cached\n"
    );
    let gateway = Gateway::start(BINARY, &config(&upstream, &more));
    let mut broken = body(5);
    broken["seed"] = json!(13);
    for _ in 0..5 {
        assert_eq!(ask(&gateway, &broken).status, 500);
    }
    // Each is taken for 30 tokens until it is known to have used 13.
    let first = ask(&gateway, &body(5));
    assert_eq!(
        (first.status, first.header("x-ratelimit-limit-tokens")),
        (200, Some("60"))
    );
    assert_eq!(first.header("x-ratelimit-remaining-tokens"), Some("30"));
    let statuses: Vec<u16> = (0..3).map(|_| ask(&gateway, &body(5)).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    // What is given again uses nothing.
    let mut same = body(5);
    same["model"] = json!("cached");
    for _ in 0..10 {
        assert_eq!(ask(&gateway, &same).status, 200);
    }
    assert_eq!(
        gateway.metric("aplomb_limits_decisions_total{rule=\"tpm\",decision=\"refused\"}"),
        Some(1.0)
    );
}

#[test]
fn who_leaves_before_the_answer_has_used_the_input() {
    let go = Signal::new();
    let gate = go.clone();
    let upstream = Upstream::start(move |seen| {
        let mut script = vec![Step::WaitFor(gate.clone())];
        script.extend(used(seen, 9, 4));
        script
    });
    let gateway = gateway(&upstream, "  - 60 tokens per 1h per user\n");
    for number in 0..2 {
        let sent = Request::post(gateway.data, "/v1/chat/completions", &body(5)).send();
        upstream.wait_seen(number);
        sent.leave();
        wait_for("the exchange to end", || {
            (gateway.metric("aplomb_requests_in_flight")? < 0.5).then_some(())
        });
    }
    go.set();
    // Twice 25 are used: there is no room for 30.
    assert_eq!(ask(&gateway, &body(5)).status, 429);
}

#[test]
fn a_model_without_a_price_is_not_free() {
    let upstream = Upstream::start(|seen| used(seen, 9, 4));
    let limits = "limits:\n  - 1 USD per 1d per user\n";
    let setup = Setup::new(BINARY, "");
    let file = setup.dir().join("aplomb.yaml");
    std::fs::write(&file, config(&upstream, &format!("{ROUTE}{limits}"))).unwrap();
    let out = setup
        .command(&["check", "--config", "aplomb.yaml"])
        .output()
        .unwrap();
    assert!(!out.status.success());
    let text =
        String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    let expected =
        "routes.chat.targets[0]: its price is not known, and limit `cost-1d-user` counts money";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("add `prices: { up/m:"), "{text}");
    // What only a request names is refused when it comes.
    let gateway = Gateway::start(
        BINARY,
        &config(&upstream, &format!("{ROUTE}{PRICE}{limits}")),
    );
    let mut direct = body(5);
    direct["model"] = json!("up/other");
    let refused = ask(&gateway, &direct);
    assert_eq!(
        (refused.status, refused.error_code()),
        (403, "not_allowed".into())
    );
    assert!(upstream.seen().is_empty());
    assert_eq!(ask(&gateway, &body(5)).status, 200);
}

#[test]
fn money_of_a_call_that_a_crash_has_ended_stays_charged() {
    let go = Signal::new();
    let gate = go.clone();
    let upstream = Upstream::start(move |seen| {
        let mut script = vec![Step::WaitFor(gate.clone())];
        script.extend(used(seen, 9, 4));
        script
    });
    let gateway = gateway(&upstream, "  - 1 USD per month per user\n");
    let _lost = Request::post(gateway.data, "/v1/chat/completions", &body(100)).send();
    // The provider has the request, so the money is written down.
    upstream.wait_seen(0);
    let setup = gateway.killed();
    go.set();
    let gateway = setup.start();
    let refused = ask(&gateway, &body(100));
    assert_eq!(refused.status, 429, "{}", refused.text());
    let error = refused.json();
    let used = error["error"]["aplomb"]["used"].as_str().unwrap();
    let used: f64 = used.parse().unwrap();
    assert!((0.7..0.9).contains(&used), "{used}: what it may have cost");
}

#[test]
fn long_windows_and_what_was_settled_survive_a_restart() {
    let upstream = Upstream::start(|seen| used(seen, 9, 4));
    let mut gateway = gateway(
        &upstream,
        "  - 3 requests per 3h per user, id few\n  - 1 USD per month per user, id cap\n",
    );
    for _ in 0..2 {
        assert_eq!(ask(&gateway, &body(5)).status, 200);
    }
    gateway.terminate();
    gateway.wait_end();
    let gateway = gateway.killed().start();
    let third = ask(&gateway, &body(5));
    let left = third.header("x-ratelimit-remaining-requests");
    assert_eq!((third.status, left), (200, Some("0")));
    let refused = ask(&gateway, &body(5));
    assert_eq!(refused.json()["error"]["aplomb"]["rule"], "few");
    // Of one that is killed at most the last second is forgotten.
    wait_for("the ledger", || {
        let written = gateway.metric("aplomb_limits_ledger_written_total")?;
        // A request, what it may cost, and what it did not.
        (written >= 3.0).then_some(())
    });
    let gateway = gateway.killed().start();
    let refused = ask(&gateway, &body(5));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["aplomb"]["rule"], "few");
}

/// What is left of a budget changes with every request; whether two requests are the same does not.
#[test]
fn a_bound_that_money_sets_makes_no_other_request_of_the_same_one() {
    let upstream = Upstream::start(|seen| used(seen, 9, 4));
    let more = format!(
        "{ROUTE}  cached: {{ targets: [up/m], cache: faq }}\ncaches: {{ faq: {{ exact: 1h }} }}\n\
         {PRICE}limits:\n  - 1 USD per lifetime per user\n"
    );
    let gateway = Gateway::start(BINARY, &config(&upstream, &more));
    let keyed = Request::post(gateway.data, "/v1/chat/completions", &body(5_000))
        .header("idempotency-key", "order-17");
    let first = keyed.clone().whole();
    assert_eq!(first.status, 200, "{}", first.text());
    assert!(first.header("x-aplomb-max-tokens-clamped").is_some());
    let again = keyed.whole();
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.header("x-aplomb-idempotent-replay"), Some("true"));

    let mut cached = body(5_000);
    cached["model"] = json!("cached");
    assert_eq!(ask(&gateway, &cached).status, 200);
    // Another call makes what is left smaller.
    assert_eq!(ask(&gateway, &body(7)).status, 200);
    let hit = ask(&gateway, &cached);
    assert_eq!(hit.header("x-aplomb-cache"), Some("hit; kind=exact"));
    // What goes upstream is bounded all the same.
    let bounds = upstream.seen();
    let bounds: Vec<_> = bounds
        .iter()
        .map(|seen| seen.json()["max_tokens"].as_u64())
        .collect();
    assert_eq!(bounds.len(), 3);
    assert!(
        bounds[0] > bounds[1] && bounds[0] < Some(5_000),
        "{bounds:?}"
    );
}

/// What a provider's key may be asked for is charged for each call; users are charged once.
#[test]
fn keys_of_providers_have_budgets_of_their_own() {
    let first = Upstream::start(|seen| match seen.number {
        0 => vec![Step::Send(wire::json_answer(
            500,
            &json!({ "error": { "message": "no" } }),
        ))],
        _ => wire::good(seen, &["one"]),
    });
    let second = Upstream::start(|seen| wire::good(seen, &["two"]));
    let config = format!(
        "providers:\n  one: {{ kind: openai, base_url: \"{}/v1\", api_keys: [env:UP_KEY, env:OTHER_KEY], budget: {{ requests: 2 per 1h }} }}\n  \
         two: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY, budget: {{ tokens: 100000 per 1m }} }}\n\
         routes:\n  both: {{ targets: [one/m, two/m] }}\n  alone: {{ targets: [one/m] }}\n\
         limits:\n  - 5 requests per 1h per user, id user\n",
        first.url(),
        second.url()
    );
    let gateway = Setup::new(BINARY, &config)
        .env("OTHER_KEY", "sk-other")
        .start();
    let said = |model: &str| {
        let answer = gateway.chat(OpenAi, model, false).whole();
        let text = answer.json()["choices"][0]["message"]["content"].clone();
        (answer.status, text.as_str().unwrap_or_default().to_owned())
    };
    // One call fails and one answers: two of the four that both keys have.
    assert_eq!(said("both"), (200, "one".into()));
    assert_eq!(said("both"), (200, "one".into()));
    assert_eq!(said("both"), (200, "one".into()));
    assert_eq!(first.seen().len(), 4);
    assert_eq!(said("both"), (200, "two".into()), "another target has more");
    let over = gateway.metric("aplomb_provider_over_budget_total{target=\"one/m\"}");
    assert!(over.unwrap() >= 2.0, "both keys: {over:?}");
    let refused = gateway.chat(OpenAi, "alone", false).whole();
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(
        refused.text().contains("budget of the provider `one`"),
        "{}",
        refused.text()
    );
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&wait), "{wait}");
    assert_eq!(first.seen().len(), 4, "nothing more was asked");
    // The user was charged for each request once, and the budget is kept over a restart.
    assert_eq!(
        gateway.chat(OpenAi, "both", false).whole().status,
        429,
        "five"
    );
    let mut gateway = gateway;
    gateway.terminate();
    gateway.wait_end();
    let gateway = gateway.killed().start();
    let still = gateway
        .chat(OpenAi, "alone", false)
        .header("x-aplomb-user", "bob")
        .whole();
    assert_eq!(still.status, 429, "{}", still.text());
}
