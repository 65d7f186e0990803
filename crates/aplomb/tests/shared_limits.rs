//! Limits that several nodes share over one Redis, seen from outside.
#![cfg(test)]

use aplomb_testkit::Dialect::OpenAi;
use aplomb_testkit::client::Whole;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::redis::RedisServer;
use aplomb_testkit::wait_for;
use std::sync::atomic::{AtomicUsize, Ordering};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

const PRACTICE: &str = "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n\
    routes:\n  chat: { targets: [practice/small] }\n";

/// A node. The test machine may be so busy that calls take long: they are waited for.
fn node(redis: &RedisServer, rest: &str) -> Gateway {
    let config = format!(
        "store: {{ shared: {{ url: \"{}\", timeout: 5s }} }}\n{rest}",
        redis.url()
    );
    // All nodes of an installation have one pepper: it names their counters.
    Setup::new(BINARY, &config)
        .server("key_pepper: env:PEPPER")
        .env("PEPPER", "0123456789abcdef0123456789abcdef")
        .start()
}

/// So many nodes that know of one another.
fn nodes(count: usize, redis: &RedisServer, limits: &str) -> Vec<Gateway> {
    let rest = format!("{PRACTICE}limits:\n{limits}");
    let all: Vec<Gateway> = (0..count).map(|_| node(redis, &rest)).collect();
    together(&all);
    all
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    gateway.metric(&format!("aplomb_limits_{name}")).unwrap()
}

#[track_caller]
fn together(all: &[Gateway]) {
    let count = f64::from(u32::try_from(all.len()).unwrap());
    wait_for("all nodes to share limits", || {
        let knows = |gateway| {
            let nodes = metric(gateway, "shared_nodes");
            metric(gateway, "shared_up") > 0.5 && (nodes - count).abs() < 0.5
        };
        all.iter().all(knows).then_some(())
    });
}

fn ask(gateway: &Gateway, user: &str) -> Whole {
    let request = gateway.chat(OpenAi, "chat", false);
    request.header("x-aplomb-user", user).whole()
}

/// What 64 parallel clients get who ask each node in turn: served and refused.
fn attack(all: &[Gateway], user: &str, rounds: usize) -> (usize, usize) {
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..64 {
            let (served, refused) = (&served, &refused);
            scope.spawn(move || {
                for round in 0..rounds {
                    let answer = ask(&all[(client + round) % all.len()], user);
                    match answer.status {
                        200 => served.fetch_add(1, Ordering::Relaxed),
                        429 => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}: {}", answer.text()),
                    };
                }
            });
        }
    });
    (served.into_inner(), refused.into_inner())
}

#[test]
fn two_and_four_nodes_let_in_what_one_would() {
    for count in [2, 4] {
        let redis = RedisServer::start();
        let all = nodes(count, &redis, "  - 25 requests per 3h per user\n");
        assert_eq!(attack(&all, "ada", 4), (25, 64 * 4 - 25), "{count} nodes");
        let refused = ask(&all[0], "ada");
        assert_eq!(refused.header("x-aplomb-limits"), Some("ok"));
        assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
        let first = ask(&all[1], "bob");
        assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("24"));
        let second = ask(&all[0], "bob");
        assert_eq!(
            (
                second.status,
                second.header("x-ratelimit-remaining-requests")
            ),
            (200, Some("23"))
        );
        let spared: f64 = all
            .iter()
            .map(|node| metric(node, "shared_spared_total"))
            .sum();
        assert!(spared > 100.0, "most refusals need no call: {spared}");
        for node in &all {
            assert!(metric(node, "shared_alone_total") < 0.5);
        }
    }
}
