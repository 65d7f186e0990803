//! Limits as clients see them.
#![cfg(test)]

use aplomb_testkit::Dialect::{Anthropic, OpenAi};
use aplomb_testkit::client::{Request, Whole, chat_body};
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::signal::Signal;
use aplomb_testkit::upstream::{Step, Upstream};
use aplomb_testkit::{wait_for, wire};
use std::sync::atomic::{AtomicUsize, Ordering};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

const PRACTICE: &str = "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n\
    routes:\n  chat: { targets: [practice/small] }\n  mini: { targets: [practice/tiny] }\n";

fn practice(limits: &str) -> Gateway {
    Gateway::start(BINARY, &format!("{PRACTICE}limits:\n{limits}"))
}

/// A provider whose answers wait for a signal.
fn held(limits: &str) -> (Gateway, Upstream, Signal) {
    let go = Signal::new();
    let gate = go.clone();
    let upstream = Upstream::start(move |seen| {
        let mut script = vec![Step::WaitFor(gate.clone())];
        script.extend(wire::good(seen, &["hello"]));
        script
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  chat: {{ targets: [up/m] }}\nlimits:\n{limits}"
    );
    (Gateway::start(BINARY, &config), upstream, go)
}

fn ask(gateway: &Gateway, user: &str) -> Whole {
    let request = gateway.chat(OpenAi, "chat", false);
    request.header("x-aplomb-user", user).whole()
}

fn number(answer: &Whole, header: &str) -> u64 {
    let text = answer
        .header(header)
        .unwrap_or_else(|| panic!("no {header}"));
    text.parse().unwrap()
}

#[test]
fn twenty_five_in_three_hours_under_sixty_four_parallel_clients() {
    let gateway = practice("  - 25 requests per 3h per user\n");
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..4 {
                    match ask(&gateway, "ada").status {
                        200 => served.fetch_add(1, Ordering::Relaxed),
                        429 => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}"),
                    };
                }
            });
        }
    });
    assert_eq!(
        (served.into_inner(), refused.into_inner()),
        (25, 64 * 4 - 25)
    );
    assert_eq!(ask(&gateway, "bob").status, 200, "each user has their own");
    let counted = gateway
        .metric("aplomb_limits_decisions_total{rule=\"requests-3h-user\",decision=\"refused\"}");
    assert_eq!(counted, Some(231.0));
}

#[test]
fn what_is_left_and_why_it_is_over_is_told() {
    let gateway = practice(
        "  - 2 requests per 3h per user, id free\n  - 100 requests per 1m per tenant\n  - 5 concurrent per key\n",
    );
    let first = ask(&gateway, "ada");
    assert_eq!(first.status, 200);
    assert_eq!(number(&first, "x-ratelimit-limit-requests"), 2);
    assert_eq!(number(&first, "x-ratelimit-remaining-requests"), 1);
    assert_eq!(first.header("x-ratelimit-reset-requests"), Some("3h0m0s"));
    let policies = first.header("ratelimit-policy").unwrap();
    assert_eq!(
        policies,
        "\"free\";q=2;w=10800, \"concurrent-key\";q=5;qu=\"concurrent-requests\", \"requests-1m-tenant\";q=100;w=60"
    );
    assert_eq!(ask(&gateway, "ada").status, 200);
    let refused = ask(&gateway, "ada");
    assert_eq!(refused.status, 429);
    let wait = number(&refused, "retry-after");
    assert!((10_790..=10_800).contains(&wait), "{wait}");
    assert!(number(&refused, "retry-after-ms") <= wait * 1000);
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    let state = refused.header("ratelimit").unwrap();
    assert!(state.starts_with("\"free\";r=0;t="), "{state}");
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&"rate_limit_error".into(), &"rate_limit_exceeded".into())
    );
    let more = &error["aplomb"];
    assert_eq!(more["rule"], "free");
    assert_eq!((&more["limit"], &more["used"]), (&2.into(), &2.into()));
    assert_eq!(more["violated-policies"], serde_json::json!(["free"]));
    assert_eq!(
        more["decision_id"],
        refused.header("x-aplomb-request-id").unwrap()
    );
    assert_eq!(more["rule_text"], "2 requests per 3h per user, id free");
    // The other dialect says the same in its own words.
    let other = gateway.chat(Anthropic, "chat", false);
    let other = other.header("x-aplomb-user", "ada").whole();
    assert_eq!(
        (other.status, other.error_code()),
        (429, "rate_limit_error".into())
    );
    assert_eq!(other.json()["error"]["aplomb"]["rule"], "free");
    assert_eq!(number(&other, "x-ratelimit-remaining-requests"), 0);
    let record = gateway.wait_record("a refusal", |record| record["limit_rule"] == "free");
    assert_eq!(
        (
            &record["limit_decision"],
            &record["status"],
            &record["cost_nano"]
        ),
        (&"refused".into(), &429.into(), &0.into())
    );
}

#[test]
fn a_refused_stream_has_a_status() {
    let gateway = practice("  - 1 requests per 3h per user\n");
    let first = gateway.chat(OpenAi, "chat", true).whole();
    assert_eq!(number(&first, "x-ratelimit-remaining-requests"), 0);
    let second = gateway.chat(OpenAi, "chat", true).whole();
    assert_eq!(
        (second.status, second.error_code()),
        (429, "rate_limit_exceeded".into())
    );
}

#[test]
fn an_empty_file_has_limits() {
    let defaults = aplomb_config::parse("", "f").unwrap().file.limits;
    let lines: Vec<String> = defaults.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["60 requests per 1m per user", "16 concurrent per key"]
    );
    let written: String = lines.iter().map(|line| format!("  - {line}\n")).collect();
    let answer = ask(&practice(&written), "ada");
    assert_eq!(number(&answer, "x-ratelimit-limit-requests"), 60);
    let policies = answer.header("ratelimit-policy").unwrap();
    assert!(policies.contains("\"concurrent-key\";q=16"), "{policies}");
}

#[test]
fn places_in_flight_are_free_again_however_an_answer_ends() {
    let (gateway, upstream, go) = held("  - 1 concurrent per user\n");
    let running = gateway.chat(OpenAi, "chat", true).send();
    upstream.wait_seen(0);
    let refused = gateway.chat(OpenAi, "chat", false).whole();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.header("x-should-retry").is_none());
    running.leave();
    wait_for("the place to be free", || {
        (gateway.metric("aplomb_limits_in_flight")? < 0.5).then_some(())
    });
    go.set();
    for stream in [true, false, true] {
        assert_eq!(gateway.chat(OpenAi, "chat", stream).whole().status, 200);
    }
    wait_for("the place to be free", || {
        (gateway.metric("aplomb_limits_in_flight")? < 0.5).then_some(())
    });
}

#[test]
fn a_request_waits_for_room_in_its_turn() {
    let (gateway, upstream, go) = held("  - 1 concurrent per user, on exceed queue 20s\n");
    let running = gateway.chat(OpenAi, "chat", false).send();
    upstream.wait_seen(0);
    let waiting: Vec<_> = (1..=3)
        .map(|count| {
            let sent = gateway.chat(OpenAi, "chat", false).send();
            wait_for("it to wait", || {
                let waits = gateway.metric("aplomb_limits_waiting")?;
                ((waits - f64::from(count)).abs() < 0.5).then_some(())
            });
            sent
        })
        .collect();
    assert_eq!(upstream.seen().len(), 1, "one at a time");
    go.set();
    for one in [running].into_iter().chain(waiting) {
        assert_eq!(one.answer().unwrap().whole().unwrap().status, 200);
    }
    let record = gateway.wait_record("one that waited", |record| {
        record["limit_decision"] == "queued"
    });
    assert!(record["queue_us"].as_i64() > Some(0));
    assert_eq!(gateway.metric("aplomb_limits_waiting"), Some(0.0));
}

#[test]
fn a_wait_that_would_be_too_long_is_none() {
    let gateway = practice(
        "  - 1 requests per 3h per user where user = slow, on exceed queue 20s\n  - 1 requests per 1s per user where user = quick, on exceed queue 20s\n",
    );
    for user in ["slow", "quick"] {
        assert_eq!(ask(&gateway, user).status, 200);
    }
    assert_eq!(ask(&gateway, "slow").status, 429);
    let waited = ask(&gateway, "quick");
    assert_eq!(waited.status, 200);
    let impatient = gateway
        .chat(OpenAi, "chat", false)
        .header("x-aplomb-user", "quick")
        .header("x-aplomb-deadline-ms", "50")
        .whole();
    assert_eq!(
        impatient.status, 429,
        "its caller is gone before there is room"
    );
}

#[test]
fn a_request_over_its_limit_goes_to_another_route() {
    let gateway = practice(
        "  - 1 requests per 3h per user where model = chat, on exceed downgrade to mini\n  - 3 requests per 3h per user, id all\n",
    );
    let targets: Vec<Option<String>> = (0..4)
        .map(|_| {
            let answer = ask(&gateway, "ada");
            answer.header("x-aplomb-target").map(str::to_owned)
        })
        .collect();
    let target = |name: &str| Some(name.to_owned());
    assert_eq!(
        targets,
        [
            target("practice/small"),
            target("practice/tiny"),
            target("practice/tiny"),
            None
        ]
    );
    let record = gateway.wait_record("a request that was sent elsewhere", |record| {
        record["limit_decision"] == "downgraded"
    });
    assert_eq!(
        (&record["route"], &record["model"]),
        (&"mini".into(), &"chat".into())
    );
}

#[test]
fn a_shadow_rule_refuses_nothing_and_counts() {
    let gateway = practice("  - 1 requests per 3h per user, shadow, id tried\n");
    for _ in 0..3 {
        let answer = ask(&gateway, "ada");
        assert_eq!(answer.status, 200);
    }
    let counted =
        gateway.metric("aplomb_limits_decisions_total{rule=\"tried\",decision=\"shadow\"}");
    assert_eq!(counted, Some(2.0));
}

#[test]
fn a_failure_of_the_provider_is_given_back_and_the_clients_own_is_not() {
    let upstream = Upstream::start(|seen| {
        let broken = seen.json()["metadata"]["kind"] == "broken";
        let (status, kind) = match broken {
            true => (500, "server_error"),
            false => (400, "invalid_request_error"),
        };
        let body = wire::error(OpenAi, kind, None, "no");
        vec![Step::Send(wire::json_answer(status, &body))]
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  chat: {{ targets: [up/m], retry: {{ attempts: 1 }} }}\nlimits:\n  - 2 requests per 3h per user\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    let ask = |kind: &str| {
        let mut body = chat_body(OpenAi, "chat", false);
        body["metadata"] = serde_json::json!({ "kind": kind });
        Request::post(gateway.data, OpenAi.path(), &body).whole()
    };
    for _ in 0..3 {
        assert_eq!(ask("broken").status, 500);
    }
    assert_eq!(ask("wrong").status, 400);
    assert_eq!(ask("wrong").status, 400);
    assert_eq!(ask("wrong").status, 429);
}

#[test]
fn counts_survive_a_reload_and_a_new_limit_holds_at_once() {
    let gateway = practice("  - 3 requests per 3h per user\n");
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "ada").status, 200);
    }
    assert_eq!(ask(&gateway, "ada").status, 429);
    gateway.write_config(&format!(
        "{PRACTICE}limits:\n  - 5 requests per 3h per user\n"
    ));
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_log("configuration reloaded");
    let answer = ask(&gateway, "ada");
    assert_eq!(answer.status, 200);
    assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), 1);
}

#[test]
fn plans_and_segments_say_whom_a_rule_means() {
    let config = format!(
        "{PRACTICE}limits:\n  - 2 requests per 3h per user where segment = free, id free\n  - 1 requests per 3h per user where segment != free, id others\n\
         plans:\n  starter: {{ segment: free, models: [chat], limits: [\"4 requests per 3h per tenant\"] }}\n\
         segments:\n  free: {{}}\n  partner: {{ users: [\"p-*\"], multiplier: 2.5 }}\n  gone: {{ users: [gone], multiplier: 0 }}\n\
         tenants: {{ local: {{ plan: starter }} }}\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    let limit = |user: &str| {
        let answer = ask(&gateway, user);
        let policies = answer
            .header("ratelimit-policy")
            .unwrap_or_default()
            .to_owned();
        (answer.status, policies)
    };
    let (status, policies) = limit("ada");
    assert_eq!(status, 200);
    assert_eq!(
        policies,
        "\"free\";q=2;w=10800, \"starter-requests-3h-tenant\";q=4;w=10800"
    );
    // Twice and a half of the limits, rounded down.
    let (status, policies) = limit("p-17");
    assert_eq!(status, 200);
    assert!(
        policies.contains("\"free\";q=5") && policies.contains("tenant\";q=10"),
        "{policies}"
    );
    assert_eq!(limit("ada").0, 200);
    assert_eq!(limit("ada").0, 429);
    // A multiplier of 0 refuses, and a plan has its models.
    let gone = ask(&gateway, "gone");
    assert_eq!(
        (gone.status, gone.error_code()),
        (403, "not_allowed".into())
    );
    let other = gateway.chat(OpenAi, "mini", false).whole();
    assert_eq!(
        (other.status, other.error_code()),
        (403, "not_allowed".into())
    );
    assert!(
        other
            .text()
            .contains("the plan `starter` does not have this model"),
        "{}",
        other.text()
    );
}
