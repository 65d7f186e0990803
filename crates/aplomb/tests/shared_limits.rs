//! Limits that several nodes share over one Redis, seen from outside.
#![cfg(test)]

use aplomb_testkit::Dialect::OpenAi;
use aplomb_testkit::client::{Request, Whole, chat_body};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::redis::RedisServer;
use aplomb_testkit::signal::Signal;
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::{wait_for, wire};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

const PRACTICE: &str = "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n\
    routes:\n  chat: { targets: [practice/small] }\n";

/// So long nodes wait for the server where it is there: the test machine may be busy.
const PATIENT: &str = "5s";
/// And where it is not.
const SOON: &str = "50ms";

fn node(redis: &RedisServer, timeout: &str, rest: &str) -> Gateway {
    let config = format!(
        "store: {{ shared: {{ url: \"{}\", timeout: {timeout} }} }}\n{rest}",
        redis.url()
    );
    // All nodes of an installation have one pepper: it names their counters.
    Setup::new(BINARY, &config)
        .server("key_pepper: env:PEPPER")
        .env("PEPPER", "0123456789abcdef0123456789abcdef")
        .start()
}

/// So many nodes that know of one another.
fn nodes(count: usize, redis: &RedisServer, (timeout, rest): (&str, &str)) -> Vec<Gateway> {
    let start = |_| node(redis, timeout, rest);
    let all: Vec<Gateway> = (0..count).map(start).collect();
    together(&all);
    all
}

/// Simulated answers under these limits.
fn practice(limits: &str) -> String {
    format!("{PRACTICE}limits:\n{limits}")
}

/// Several gateways and dozens of clients take all of a small machine: so these tests run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
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
    let _alone = alone();
    for count in [2, 4] {
        let redis = RedisServer::start();
        let config = practice("  - 25 requests per 3h per user\n");
        let all = nodes(count, &redis, (PATIENT, &config));
        let got = attack(&all, "ada", 4);
        let told = |name: &str| {
            all.iter()
                .map(|node| metric(node, name))
                .collect::<Vec<_>>()
        };
        let more = [
            "shared_alone_total",
            "shared_failed_total",
            "shared_spared_total",
        ]
        .map(told);
        assert_eq!(
            got,
            (25, 64 * 4 - 25),
            "{count} nodes: alone, failed, spared {more:?}"
        );
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
        let me = Request::new(all[1].data, "GET", "/aplomb/v1/limits/me");
        let me = me.header("x-aplomb-user", "bob").whole().json();
        assert_eq!(me["limits"][0]["used"], 2, "{me}");
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

/// A provider whose answers wait for a signal.
fn held(go: &Signal) -> Upstream {
    let gate = go.clone();
    Upstream::start(move |seen| {
        let mut script = vec![Step::WaitFor(gate.clone())];
        script.extend(wire::good(seen, &["hello"]));
        script
    })
}

fn over(upstream: &Upstream, limits: &str) -> String {
    format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  chat: {{ targets: [up/m], retry: {{ attempts: 1 }} }}\n\
         prices: {{ up/m: {{ input: 1000 USD, output: 1000 USD }} }}\nlimits:\n{limits}",
        upstream.url()
    )
}

/// An answer that says what it used.
fn used(seen: &Seen, input: u64, output: u64) -> Script {
    let mut answer = wire::whole(seen.dialect(), "hello");
    answer["usage"] = json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output });
    vec![Step::Send(wire::json_answer(200, &answer))]
}

#[test]
fn places_in_flight_of_a_killed_node_are_free_again() {
    let _alone = alone();
    let redis = RedisServer::start();
    let go = Signal::new();
    let upstream = held(&go);
    let config = over(&upstream, "  - 2 concurrent per tenant\n");
    let mut all = nodes(2, &redis, (PATIENT, &config));
    let other = all.pop().unwrap();
    let _lost = [(); 2].map(|()| other.chat(OpenAi, "chat", false).send());
    upstream.wait_seen(1);
    assert_eq!(ask(&all[0], "ada").status, 429, "both are taken");
    drop(other.killed());
    go.set();
    let killed = Instant::now();
    wait_for("the places to be free", || {
        (ask(&all[0], "ada").status == 200).then_some(())
    });
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
    // What one node takes in flight, it gives back at once.
    for _ in 0..4 {
        assert_eq!(ask(&all[0], "ada").status, 200);
    }
}

#[test]
fn a_place_that_another_node_frees_is_found_by_who_waits() {
    let _alone = alone();
    let redis = RedisServer::start();
    let go = Signal::new();
    let upstream = held(&go);
    let config = over(
        &upstream,
        "  - 1 concurrent per tenant, on exceed queue 20s\n",
    );
    let all = nodes(2, &redis, (PATIENT, &config));
    let first = all[0].chat(OpenAi, "chat", false).send();
    upstream.wait_seen(0);
    let second = all[1].chat(OpenAi, "chat", false).send();
    wait_for("it to wait", || {
        (metric(&all[1], "waiting") > 0.5).then_some(())
    });
    go.set();
    for one in [first, second] {
        assert_eq!(one.answer().unwrap().whole().unwrap().status, 200);
    }
}

#[test]
fn a_killed_node_gives_nothing_away() {
    let _alone = alone();
    let redis = RedisServer::start();
    let config = practice("  - 100 requests per 3h per user\n");
    let mut all = nodes(4, &redis, (PATIENT, &config));
    let victim = all.pop().unwrap();
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..32 {
            let (served, all, at) = (&served, &all, victim.data);
            let request = victim.chat(OpenAi, "chat", false);
            let request = request.header("x-aplomb-user", "ada").bytes();
            scope.spawn(move || {
                for round in 0..8 {
                    if client % 4 == 3 {
                        // It ends in the middle.
                        let asked = || {
                            let mut connection = TcpStream::connect(at).ok()?;
                            connection.write_all(&request).ok()?;
                            let mut head = [0; 12];
                            connection.read_exact(&mut head).ok()?;
                            Some(head)
                        };
                        let good = asked().is_some_and(|head| &head[9..] == b"200");
                        served.fetch_add(usize::from(good), Ordering::Relaxed);
                    } else {
                        let answer = ask(&all[(client + round) % 3], "ada");
                        assert!(matches!(answer.status, 200 | 429), "{}", answer.status);
                        served.fetch_add(usize::from(answer.status == 200), Ordering::Relaxed);
                    }
                }
            });
        }
        wait_for("half of it to be served", || {
            (served.load(Ordering::Relaxed) > 50).then_some(())
        });
        drop(victim.killed());
    });
    // What was let in and got no answer stays charged.
    let served = served.into_inner();
    let left = attack(&all, "ada", 2).0;
    assert!(served + left <= 100, "{served} {left}");
    assert!(served + left >= 100 - 8, "{served} {left}");
}

/// Asks all nodes in turn, from so many clients, until `stop`. What was served, and what came besides 200 and 429.
fn hammer(all: &[Gateway], user: &str, stop: &AtomicBool) -> (usize, Vec<(u16, String)>) {
    let (served, others) = (AtomicUsize::new(0), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (served, others) = (&served, &others);
            scope.spawn(move || {
                let mut at = client;
                while !stop.load(Ordering::Relaxed) {
                    at += 1;
                    let answer = ask(&all[at % all.len()], user);
                    match answer.status {
                        200 => {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        429 => {}
                        other => others.lock().unwrap().push((other, answer.error_code())),
                    }
                }
            });
        }
    });
    (served.into_inner(), others.into_inner().unwrap())
}

#[track_caller]
fn degraded(all: &[Gateway]) {
    for node in all {
        wait_for("the node to go on alone", || {
            (metric(node, "shared_up") < 0.5).then_some(())
        });
    }
}

#[test]
fn a_server_that_stands_still_for_five_seconds() {
    let _alone = alone();
    let redis = RedisServer::start();
    let config = practice("  - 200 requests per 3h per user\n");
    let all = nodes(2, &redis, (SOON, &config));
    for at in 0..60 {
        assert_eq!(ask(&all[at % 2], "ada").status, 200);
    }
    let stop = AtomicBool::new(false);
    redis.pause();
    let paused = Instant::now();
    let (served, others) = std::thread::scope(|scope| {
        let hammering = scope.spawn(|| hammer(&all, "ada", &stop));
        degraded(&all);
        let answer = ask(&all[0], "bob");
        assert_eq!(
            (answer.status, answer.header("x-aplomb-limits")),
            (200, Some("degraded"))
        );
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("100"));
        let ready = || Request::new(all[0].data, "GET", "/readyz").whole().json();
        assert_eq!(ready(), json!({ "status": "ready", "limits": "degraded" }));
        wait_for("five seconds", || {
            (paused.elapsed() > Duration::from_secs(5)).then_some(())
        });
        redis.resume();
        let resumed = Instant::now();
        together(&all);
        let took = resumed.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(ready()["limits"], "ok");
        stop.store(true, Ordering::Relaxed);
        hammering.join().unwrap()
    });
    assert_eq!(others, []);
    // Each node has used its half before or meanwhile, not more; and nothing was counted twice.
    assert_eq!(60 + served, 200);
    let refused = ask(&all[0], "ada");
    assert_eq!(
        (refused.status, refused.header("x-aplomb-limits")),
        (429, Some("ok"))
    );
    let all_log: Vec<Value> = all[0]
        .log()
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let said = all_log.iter().filter(|line| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("the store of shared limits is away"))
    });
    assert_eq!(said.count(), 1, "it is said once");
    for node in &all {
        assert!(metric(node, "shared_alone_total") > 0.5);
        assert!(metric(node, "shared_lost_total") < 0.5);
    }
}

#[test]
fn a_server_that_stops_and_comes_back_empty() {
    let _alone = alone();
    let mut redis = RedisServer::start();
    let config = practice("  - 200 requests per 3h per user\n");
    let all = nodes(2, &redis, (SOON, &config));
    // All by one node: the worst that can be.
    for _ in 0..150 {
        assert_eq!(ask(&all[0], "ada").status, 200);
    }
    let stop = AtomicBool::new(false);
    redis.kill();
    let (served, others) = std::thread::scope(|scope| {
        let hammering = scope.spawn(|| hammer(&all, "ada", &stop));
        degraded(&all);
        wait_for("the other node to use its share", || {
            (ask(&all[1], "ada").status == 429).then_some(())
        });
        redis.restart();
        let restarted = Instant::now();
        together(&all);
        let took = restarted.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        stop.store(true, Ordering::Relaxed);
        hammering.join().unwrap()
    });
    assert_eq!(others, []);
    // The bound: the limit, and of the other nodes their share.
    let all_served = 150 + served;
    assert!(all_served <= 300, "{all_served}");
    let refused = ask(&all[0], "ada");
    assert_eq!(refused.status, 429, "the server was told what was used");
    assert_eq!(ask(&all[1], "ada").status, 429);
}

#[test]
fn money_is_never_over_whatever_the_server_does() {
    let _alone = alone();
    let mut redis = RedisServer::start();
    let upstream = Upstream::start(|seen| used(seen, 80, 100));
    // A request reserves about 0.8 USD and costs 0.18.
    let config = over(&upstream, "  - 20 USD per lifetime per tenant\n");
    let mut all = nodes(3, &redis, (SOON, &config));
    let stop = AtomicBool::new(false);
    let body = {
        let mut body = chat_body(OpenAi, "chat", false);
        body["max_tokens"] = json!(100);
        body
    };
    let (served, closed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ask =
        |gateway: &Gateway| Request::post(gateway.data, "/v1/chat/completions", &body).whole();
    std::thread::scope(|scope| {
        for client in 0..16usize {
            let (stop, served, closed, all, ask) = (&stop, &served, &closed, &all, &ask);
            scope.spawn(move || {
                let mut at = client;
                while !stop.load(Ordering::Relaxed) {
                    at += 1;
                    let answer = ask(&all[at % 3]);
                    let counter = match (answer.status, answer.error_code().as_str()) {
                        (200, _) => served,
                        (429, "insufficient_quota") => continue,
                        (503, "limit_store_unavailable") => closed,
                        other => panic!("{other:?}"),
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_for("some to be served", || {
            (served.load(Ordering::Relaxed) > 20).then_some(())
        });
        redis.pause();
        degraded(&all);
        redis.resume();
        together(&all);
        redis.kill();
        degraded(&all);
        wait_for("some to be refused", || {
            (closed.load(Ordering::Relaxed) > 20).then_some(())
        });
        redis.restart();
        together(&all);
        wait_for("all to be used", || {
            (ask(&all[0]).status == 429).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });
    for node in &mut all {
        node.terminate();
        node.wait_end();
    }
    let spent: i64 = all
        .iter()
        .flat_map(Gateway::records)
        .filter_map(|record| record["cost_nano"].as_i64())
        .sum();
    assert!(spent <= 20_000_000_000, "{spent}");
    assert!(
        spent >= 16_000_000_000,
        "{spent}: most of the money can be used"
    );
}

#[test]
fn an_answer_beyond_its_bound_goes_on_while_all_nodes_have_money() {
    let _alone = alone();
    let redis = RedisServer::start();
    let upstream = Upstream::start(|seen| {
        if seen.json()["stream"] != json!(true) {
            return used(seen, 500, 600);
        }
        let long: Vec<String> = (0..80).map(|n| format!("{n:020}")).collect();
        let pieces: Vec<&str> = long.iter().map(String::as_str).collect();
        wire::good(seen, &pieces)
    });
    // 256 tokens more cost 0.256 USD.
    let config = over(&upstream, "  - 1.9 USD per lifetime per tenant\n");
    let all = nodes(2, &redis, (PATIENT, &config));
    let mut body = chat_body(OpenAi, "chat", true);
    body["max_tokens"] = json!(100);
    let stream = |gateway: &Gateway| {
        let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
        (answer.status, answer.text())
    };
    // The server is told what was used when the answer has ended.
    let given_back = |most: f64| {
        wait_for("what was not used to be given back", || {
            let me = Request::new(all[1].data, "GET", "/aplomb/v1/limits/me").whole();
            let used = me.json()["limits"][0]["used"]
                .as_str()?
                .parse::<f64>()
                .ok()?;
            (used < most).then_some(())
        });
    };
    // 400 tokens: the bound, and twice more.
    let (status, text) = stream(&all[0]);
    assert!(status == 200 && text.contains("[DONE]"), "{text}");
    given_back(0.5);
    // What the other one has used is not there for this one.
    assert_eq!(ask(&all[0], "ada").status, 200);
    given_back(1.2);
    let (status, text) = stream(&all[1]);
    assert_eq!(status, 200);
    assert!(text.contains("\"code\":\"budget_exhausted\""), "{text}");
    assert!(!text.contains("[DONE]"), "{text}");
}
