//! Several nodes on one Redis, seen from outside.
#![cfg(test)]

use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::redis::RedisServer;
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::{wait_for, wire};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn numbered(seen: &Seen) -> Script {
    wire::good(seen, &[&format!("answer {}", seen.number)])
}

fn start(upstream: &Upstream, redis: &str) -> Gateway {
    let config = format!(
        "store: {{ shared: \"{redis}\" }}\n\
         providers:\n  up: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n\
         caches:\n  faq: {{ exact: 1h, semantic: {{ scope: tenant, wait: 10s }} }}\n\
         routes:\n  chat: {{ targets: [up/m], cache: faq }}\n",
        upstream.url()
    );
    // All nodes of an installation have one pepper: entries of another one do not thaw.
    Setup::new(BINARY, &config)
        .server("key_pepper: env:PEPPER")
        .env("PEPPER", "0123456789abcdef0123456789abcdef")
        .start()
}

/// What was answered, and what the cache did.
fn ask(gateway: &Gateway, text: &str) -> (String, String) {
    let body = json!({ "model": "chat", "messages": [{ "role": "user", "content": text }] });
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = answer.json()["choices"][0]["message"]["content"].clone();
    let cache = answer.header("x-aplomb-cache").unwrap().to_owned();
    (said.as_str().unwrap().to_owned(), cache)
}

fn shown(gateway: &Gateway) -> Value {
    let report = gateway.admin_get("/admin/v1/cache").whole().json();
    report["data"][0].clone()
}

fn purge(gateway: &Gateway) -> u16 {
    let request = gateway
        .admin_get("/admin/v1/cache/purge")
        .with_method("POST");
    request.body(b"{}").whole().status
}

#[test]
fn what_one_node_was_told_another_one_gives_again() {
    let redis = RedisServer::start();
    let upstream = Upstream::start(numbered);
    let (one, other) = (
        start(&upstream, &redis.url()),
        start(&upstream, &redis.url()),
    );
    let (first, _) = ask(&one, "How do I cancel the Pro plan?");
    wait_for("the entry on the other node", || {
        (shown(&other)["vectors"] == 1).then_some(())
    });
    let same = ask(&other, "How do I cancel the Pro plan?");
    assert_eq!(same, (first.clone(), "hit; kind=exact".to_owned()));
    let (alike, cache) = ask(&other, "What is the way to cancel the Pro plan?");
    assert_eq!(alike, first, "{cache}");
    // A node that starts later knows it too.
    let late = start(&upstream, &redis.url());
    wait_for("the entry on a later node", || {
        (shown(&late)["vectors"] == 1).then_some(())
    });
    assert_eq!(ask(&late, "How do I cancel the Pro plan?").0, first);
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(shown(&late)["shared"]["up"], true);

    assert_eq!(purge(&late), 200);
    wait_for("the purge on all nodes", || {
        let empty = |gateway| shown(gateway)["entries"] == 0;
        (empty(&one) && empty(&other)).then_some(())
    });
    let (again, cache) = ask(&one, "How do I cancel the Pro plan?");
    assert!(again != first && cache.starts_with("miss"), "{cache}");
}

#[test]
fn without_the_store_each_node_goes_on_alone_and_says_so() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::start(numbered);
    let one = start(&upstream, &redis.url());
    ask(&one, "How do I cancel the Pro plan?");
    wait_for("the store", || {
        (shown(&one)["shared"]["put"] == 1).then_some(())
    });
    redis.kill();
    let (first, cache) = ask(&one, "What does the Pro plan cost?");
    assert!(cache.starts_with("miss"), "{cache}");
    assert_eq!(ask(&one, "What does the Pro plan cost?").0, first);
    wait_for("the store is seen to be away", || {
        let shown = shown(&one);
        (shown["shared"]["up"] == false && shown["shared"]["unput"] == 1).then_some(())
    });
    let metrics = one.admin_get("/metrics").whole().text();
    assert!(
        metrics.contains("aplomb_cache_shared_up{cache=\"faq\"} 0"),
        "{metrics}"
    );
    // What can't be removed everywhere is not said to be removed.
    assert_eq!(purge(&one), 503);
    assert_eq!(shown(&one)["entries"], 0);
    redis.restart();
    wait_for("the store again", || (purge(&one) == 200).then_some(()));
}

/// One node learns that a provider is down; the other one asks somebody else before it has failed there itself.
#[test]
fn what_one_node_learns_of_a_target_is_a_hint_for_others() {
    let redis = RedisServer::start();
    let down = Upstream::always(vec![Step::Send(wire::answer(503, &[], b"{}"))]);
    let limited = Upstream::always(vec![Step::Send(wire::answer(
        429,
        &[("retry-after", "20")],
        b"{}",
    ))]);
    let good = Upstream::start(numbered);
    let node = || {
        let config = format!(
            "store: {{ shared: \"{}\" }}\nproviders:\n  \
             down: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n  \
             limited: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n  \
             good: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n\
             routes:\n  chat: {{ targets: [down/m, good/m], retry: {{ attempts: 2 }} }}\n  \
             busy: {{ targets: [limited/m, good/m], retry: {{ attempts: 2 }} }}\n",
            redis.url(),
            down.url(),
            limited.url(),
            good.url()
        );
        Setup::new(BINARY, &config)
            .server("key_pepper: env:PEPPER")
            .env("PEPPER", "0123456789abcdef0123456789abcdef")
            .start()
    };
    let (one, other) = (node(), node());
    let usable = |gateway: &Gateway, target: &str| {
        let all = gateway.admin_get("/admin/v1/targets").whole().json();
        let mut all = all["data"].as_array().unwrap().iter();
        all.find(|one| one["target"] == target).unwrap()["usable"] == true
    };
    assert!(usable(&other, "down/m") && usable(&other, "limited/m"));
    // Each node listens from when it has come: the first hint may be before that, so it is told again.
    let asks = |model: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }] });
        let answer = Request::post(one.data, "/v1/chat/completions", &body).whole();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    wait_for("the hint of a breaker", || {
        asks("chat");
        if !usable(&other, "down/m") {
            return Some(());
        }
        one.admin_get("/admin/v1/targets/reset")
            .with_method("POST")
            .body(b"{}")
            .whole();
        for _ in 0..5 {
            asks("chat");
        }
        None
    });
    wait_for("the hint of a gate", || {
        asks("busy");
        if !usable(&other, "limited/m") {
            return Some(());
        }
        one.admin_get("/admin/v1/targets/reset")
            .with_method("POST")
            .body(b"{}")
            .whole();
        None
    });
    let before = (down.seen().len(), limited.seen().len());
    for model in ["chat", "busy"] {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }] });
        let answer = Request::post(other.data, "/v1/chat/completions", &body).whole();
        assert_eq!(
            (
                answer.status,
                answer.header("x-aplomb-target"),
                answer.header("x-aplomb-attempts")
            ),
            (200, Some("good/m"), Some("1"))
        );
    }
    assert_eq!((down.seen().len(), limited.seen().len()), before);
    // Its own breaker is as it was: a hint is no failure.
    let all = other.admin_get("/admin/v1/targets").whole().json();
    let of = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["target"] == "down/m")
        .unwrap();
    assert_eq!(of["breaker"], "closed");
}
