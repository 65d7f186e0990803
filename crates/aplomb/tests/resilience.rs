//! Targets that fail, are slow or are at their limits, as a client sees them.
#![cfg(test)]

use aplomb_testkit::Dialect::OpenAi;
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::signal::Signal;
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::{wait_for, wire};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn fails(status: u16, code: Option<&str>, headers: &[(&str, &str)]) -> Script {
    let body = wire::error(OpenAi, "some_error", code, "no").to_string();
    vec![Step::Send(wire::answer(status, headers, body.as_bytes()))]
}

/// A provider that answers by the model that is asked for.
fn by_model(bad: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |seen| match seen.model().as_str() {
        "good" => wire::good(seen, &["hello"]),
        _ => bad(seen),
    })
}

fn gateway(upstream: &Upstream, route: &str) -> Gateway {
    let url = upstream.url();
    let config = format!(
        "providers:\n  main: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         spare: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  chat: {{ {route} }}\n"
    );
    Gateway::start(BINARY, &config)
}

fn target(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.admin_get("/admin/v1/targets").whole().json();
    let mut found = all["data"].as_array().unwrap().iter();
    let found = found.find(|one| one["target"] == name);
    found.cloned().unwrap_or(Value::Null)
}

#[test]
fn an_outage_is_not_amplified_and_the_breaker_opens() {
    let upstream = by_model(|_| fails(503, None, &[]));
    let gateway = gateway(&upstream, "targets: [main/bad, spare/good]");
    for _ in 0..100 {
        let answer = gateway.chat(OpenAi, "chat", false).whole();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-aplomb-target"), Some("spare/good"));
    }
    let tried = upstream.seen_of("bad").len();
    assert!(tried <= 10, "{tried} calls of a target that is down");
    assert!(upstream.seen().len() <= 120);
    assert_eq!(target(&gateway, "main/bad")["breaker"], "open");
    let open = gateway.metric("aplomb_breakers_open{target=\"main/bad\"}");
    assert_eq!(open, Some(1.0));
    // An operator who knows better.
    let path = "/admin/v1/targets/reset";
    let reset = gateway.admin_get(path).with_method("POST").whole();
    assert_eq!(reset.status, 200, "{}", reset.text());
    assert_eq!(target(&gateway, "main/bad")["breaker"], "closed");
}

#[test]
fn a_breaker_recovers_by_itself() {
    let broken = Arc::new(AtomicBool::new(true));
    let go = Signal::new();
    let (state, gate) = (broken.clone(), go.clone());
    let upstream = by_model(move |seen| {
        if state.load(Ordering::Relaxed) {
            return fails(503, None, &[]);
        }
        let mut script = vec![Step::WaitFor(gate.clone())];
        script.extend(wire::good(seen, &["better"]));
        script
    });
    let route = "targets: [main/bad, spare/good], retry: { attempts: 2 }, breaker: { in_a_row: 3, pause: 300ms }";
    let gateway = gateway(&upstream, route);
    let ask = || gateway.chat(OpenAi, "chat", false).send();
    let breaker = || target(&gateway, "main/bad")["breaker"].clone();
    for _ in 0..3 {
        assert_eq!(ask().answer().unwrap().whole().unwrap().status, 200);
    }
    assert_eq!(breaker(), "open");
    assert_eq!(upstream.seen_of("bad").len(), 3);
    // A probe that fails opens it again, for twice as long; the client gets its answer elsewhere.
    wait_for("a probe that fails", || {
        let answer = ask().answer().unwrap().whole().unwrap();
        assert_eq!(answer.header("x-aplomb-target"), Some("spare/good"));
        (upstream.seen_of("bad").len() == 4).then_some(())
    });
    assert_eq!(breaker(), "open");
    broken.store(false, Ordering::Relaxed);
    // One request finds out whether it got better; the others do not wait for that.
    let probe = wait_for("a probe", || {
        let before = upstream.seen().len();
        let request = ask();
        if upstream.wait_seen(before).model() == "bad" {
            return Some(request);
        }
        assert_eq!(request.answer().unwrap().whole().unwrap().status, 200);
        None
    });
    assert_eq!(breaker(), "half_open");
    let other = ask().answer().unwrap().whole().unwrap();
    assert_eq!(other.header("x-aplomb-target"), Some("spare/good"));
    go.set();
    let probe = probe.answer().unwrap().whole().unwrap();
    assert_eq!(probe.header("x-aplomb-target"), Some("main/bad"));
    assert_eq!(breaker(), "closed");
    let open = gateway.metric("aplomb_breakers_open{target=\"main/bad\"}");
    assert_eq!(open, Some(0.0));
    let next = ask().answer().unwrap().whole().unwrap();
    assert_eq!(next.header("x-aplomb-target"), Some("main/bad"));
}

#[test]
fn an_outage_with_nothing_else_left_is_hardly_amplified() {
    let upstream = by_model(|_| fails(503, None, &[("retry-after-ms", "0")]));
    // The breaker would help: here it is the budget alone.
    let gateway = gateway(
        &upstream,
        "targets: [main/bad], retry: { attempts: 3 }, breaker: { in_a_row: 1000, calls_min: 100000 }",
    );
    let requests = 400;
    let began = Instant::now();
    for _ in 0..requests / 50 {
        let sent: Vec<_> = (0..50)
            .map(|_| gateway.chat(OpenAi, "chat", false).send())
            .collect();
        for one in sent {
            assert_eq!(one.answer().unwrap().whole().unwrap().status, 503);
        }
    }
    let calls = upstream.seen().len();
    println!("{requests} requests in an outage made {calls} calls");
    // A fifth more, and what is always allowed: ten at once and three a second.
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let most = requests * 12 / 10 + 10 + 3 * seconds;
    assert!(calls <= most, "{calls} calls, {most} at most");
    assert!(calls > requests, "it was tried again at all");
}

#[test]
fn a_target_alone_is_asked_again_within_the_budget() {
    let upstream = by_model(|_| fails(503, None, &[]));
    let gateway = gateway(&upstream, "targets: [main/bad]");
    let mut told = 0;
    for _ in 0..60 {
        let answer = gateway.chat(OpenAi, "chat", false).whole();
        assert_eq!(answer.status, 503);
        told += u32::from(answer.header("x-should-retry") == Some("false"));
    }
    let refused = gateway.metric("aplomb_retries_refused_total{route=\"chat\"}");
    assert!(refused.unwrap() > 0.0);
    assert_eq!(
        told, 60,
        "the chain is spent, whether by calls or by the budget"
    );
}

#[test]
fn what_will_not_pass_is_not_asked_again() {
    for (status, code) in [
        (400, None),
        (401, None),
        (403, None),
        (404, None),
        (413, None),
        (422, None),
        (429, Some("insufficient_quota")),
    ] {
        let upstream = by_model(move |_| fails(status, code, &[]));
        let gateway = gateway(&upstream, "targets: [main/bad]");
        let answer = gateway.chat(OpenAi, "chat", false).whole();
        assert_eq!(answer.status, status);
        assert_eq!(upstream.seen().len(), 1, "{status} {code:?}");
    }
}

#[test]
fn a_key_that_is_refused_is_set_aside_and_the_other_goes_on() {
    let upstream = Upstream::start(|seen| match seen.header("authorization") {
        Some("Bearer sk-dead-key-1234567890") => fails(401, None, &[]),
        _ => wire::good(seen, &["hello"]),
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_keys: [env:DEAD, env:UP_KEY] }}\n\
         routes:\n  chat: {{ targets: [up/m] }}\n"
    );
    let gateway = aplomb_testkit::gateway::Setup::new(BINARY, &config)
        .env("DEAD", "sk-dead-key-1234567890")
        .start();
    for _ in 0..30 {
        assert_eq!(gateway.chat(OpenAi, "chat", false).whole().status, 200);
    }
    let dead = upstream.seen().len() - 30;
    assert_eq!(dead, 1, "the dead key is tried once");
    assert_eq!(
        target(&gateway, "up/m")["key_aside"]["class"],
        "credentials"
    );
    assert_eq!(target(&gateway, "up/m#2")["key_aside"], Value::Null);
    let aside = gateway.metric("aplomb_keys_set_aside_total{target=\"up/m\"}");
    assert_eq!(aside, Some(1.0));
    gateway.wait_log("a key of the provider is set aside");
}

#[test]
fn a_limit_is_obeyed_and_the_next_target_is_asked_meanwhile() {
    for header in [
        ("retry-after", "30"),
        ("retry-after-ms", "30000"),
        ("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT"),
    ] {
        let upstream = by_model(move |_| fails(429, None, &[header]));
        let gateway = gateway(&upstream, "targets: [main/bad, spare/good]");
        for _ in 0..5 {
            assert_eq!(gateway.chat(OpenAi, "chat", false).whole().status, 200);
        }
        assert_eq!(upstream.seen_of("bad").len(), 1, "{header:?}");
        let found = target(&gateway, "main/bad");
        assert!(found["gate_ms"].as_u64().unwrap() > 20_000, "{found}");
        assert_eq!(found["breaker"], "closed");
    }
}

#[test]
fn a_slow_call_gets_a_second_one_and_the_loser_is_closed() {
    let upstream = by_model(|_| vec![Step::Stall]);
    let route = "targets: [main/slow, spare/good], hedge: { after: 20ms, budget: 100% }";
    let gateway = gateway(&upstream, route);
    let answer = gateway.chat(OpenAi, "chat", true).whole();
    assert_eq!(answer.header("x-aplomb-target"), Some("spare/good"));
    assert_eq!(answer.header("x-aplomb-attempts"), Some("2"));
    let loser = upstream.seen_of("slow").remove(0);
    loser.gone().wait("the loser's connection to close");
    let won = gateway.metric("aplomb_hedges_total{route=\"chat\",outcome=\"won\"}");
    assert_eq!(won, Some(1.0));
    let record = gateway.wait_record("the record", |record| record["hedge"] == "won");
    assert_eq!(record["attempts"][0]["fault"], "hedge_lost");
}

#[test]
fn an_error_in_a_good_answer_and_a_filter_go_to_the_next_target() {
    let filtered = |_: &Seen| fails(400, Some("content_filter"), &[]);
    let upstream = by_model(filtered);
    let asked = "targets: [main/bad, spare/good], fallback: { on_content_filter: true }";
    for (route, status) in [("targets: [main/bad, spare/good]", 400), (asked, 200)] {
        let gateway = gateway(&upstream, route);
        let answer = gateway.chat(OpenAi, "chat", false).whole();
        assert_eq!(answer.status, status, "{route}");
    }
    let upstream = by_model(|_| fails(200, None, &[]));
    let gateway = gateway(&upstream, "targets: [main/bad, spare/good]");
    assert_eq!(gateway.chat(OpenAi, "chat", false).whole().status, 200);
}

#[test]
fn the_client_s_patience_and_its_own_retries_are_noticed() {
    let upstream = by_model(|_| vec![Step::Stall]);
    let gateway = gateway(&upstream, "targets: [main/bad]");
    let request = gateway.chat(OpenAi, "chat", false);
    let answer = request
        .header("x-aplomb-deadline-ms", "50")
        .header("x-stainless-retry-count", "2")
        .whole();
    assert_eq!(answer.status, 504);
    gateway.wait_record("the record", |record| record["sent_before"] == 2);
}
