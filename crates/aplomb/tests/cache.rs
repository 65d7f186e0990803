//! An answer is given again to who may have it, in whatever form it is asked for, and to nobody else.
#![cfg(test)]

use aplomb_testkit::check::{self, End, Said};
use aplomb_testkit::client::{Request, Whole, chat_body};
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::wire::{self, Events};
use aplomb_testkit::{Dialect, wait_for};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

/// Says how many calls there were before, and the question.
fn numbered(seen: &Seen) -> Script {
    let said = format!("answer {} to {}", seen.number, question(seen));
    wire::good(seen, &[&said, " - né", "e, 日本"])
}

fn question(seen: &Seen) -> String {
    let body = seen.json();
    let last = body["messages"].as_array().and_then(|all| all.last());
    match &last.cloned().unwrap_or_default()["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

fn config(upstream: &Upstream, cache: &str, more: &str) -> String {
    let url = upstream.url();
    format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\n\
         caches:\n  faq: {{ {cache} }}\n\
         routes:\n  chat: {{ targets: [up/m], cache: faq }}\n  other: {{ targets: [up/m], cache: faq }}\n  \
         claude: {{ targets: [claude/m], cache: faq }}\n  plain: {{ targets: [up/m] }}\n{more}"
    )
}

fn start(upstream: &Upstream, cache: &str, more: &str) -> Gateway {
    Gateway::start(BINARY, &config(upstream, cache, more))
}

/// A question of a user.
#[derive(Clone)]
struct Q<'a> {
    route: &'a str,
    user: &'a str,
    text: &'a str,
    stream: bool,
    dialect: Dialect,
    cache_control: &'a str,
    more: Value,
}

const OPENAI: Q = Q {
    route: "chat",
    user: "ada",
    text: "what is a cat",
    stream: false,
    dialect: Dialect::OpenAi,
    cache_control: "max-stale",
    more: Value::Null,
};

impl Q<'_> {
    fn ask(&self, gateway: &Gateway) -> Whole {
        let mut body = chat_body(self.dialect, self.route, self.stream);
        body["messages"] = json!([{ "role": "user", "content": self.text }]);
        if let Value::Object(more) = &self.more {
            body.as_object_mut().unwrap().extend(more.clone());
        }
        Request::post(gateway.data, self.dialect.path(), &body)
            .header("x-aplomb-user", self.user)
            .header("cache-control", self.cache_control)
            .whole()
    }

    /// What is said, and what the cache did.
    fn said(&self, gateway: &Gateway) -> (Said, String) {
        let answer = self.ask(gateway);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cache = answer.header("x-aplomb-cache").unwrap_or("none").to_owned();
        let said = if self.stream {
            let events = aplomb_testkit::sse::events(&answer.body).unwrap();
            check::stream(self.dialect, &events).unwrap()
        } else {
            check::whole(self.dialect, &answer.json()).unwrap()
        };
        assert_eq!(said.end, End::Whole);
        (said, cache)
    }

    /// What the cache did.
    fn cache(&self, gateway: &Gateway) -> String {
        self.said(gateway).1
    }
}

fn admin(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Value {
    let request = gateway.admin_get(path).with_method(method);
    let answer = request.body(body.to_string().as_bytes()).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn purge(gateway: &Gateway, body: &Value) -> u64 {
    let told = admin(gateway, "POST", "/admin/v1/cache/purge", body);
    told["purged"].as_u64().unwrap()
}

#[test]
fn an_answer_serves_both_forms_of_its_dialect() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "", "");
    let mut calls = 0;
    for dialect in Dialect::ALL {
        for (route, first) in [("chat", false), ("claude", true), ("other", true)] {
            let ask = |stream| {
                let counted = stream && dialect == Dialect::OpenAi;
                let more = json!({"stream_options": {"include_usage": true}});
                let more = if counted { more } else { Value::Null };
                Q {
                    dialect,
                    route,
                    stream,
                    more,
                    ..OPENAI
                }
                .said(&gateway)
            };
            let (said, cache) = ask(first);
            assert_eq!(cache, "miss; reason=unknown", "{dialect:?} {route}");
            calls += 1;
            for stream in [true, false] {
                let (again, cache) = ask(stream);
                assert_eq!(cache, "hit; kind=exact");
                assert_eq!(again.text, said.text, "{dialect:?} {route} {stream}");
                assert_eq!(again.usage, said.usage, "{dialect:?} {route} {stream}");
            }
        }
    }
    assert_eq!(upstream.seen().len(), calls);
    assert_eq!(
        Q {
            route: "plain",
            ..OPENAI
        }
        .cache(&gateway),
        "none"
    );
}

#[test]
fn a_hit_costs_nothing_and_says_where_it_is_from() {
    let upstream = Upstream::start(numbered);
    let prices = "prices:\n  up/m: { input: 1 USD, output: 2 USD }\n";
    let gateway = start(&upstream, "", prices);
    let first = OPENAI.ask(&gateway);
    let second = Q {
        user: "grace",
        ..OPENAI
    }
    .ask(&gateway);
    assert_eq!(second.header("x-aplomb-target"), Some("up/m"));
    assert_eq!(second.header("x-aplomb-attempts"), Some("0"));
    assert!(second.header("age").is_some());
    let id = |answer: &Whole| json!(answer.header("x-aplomb-request-id"));
    assert_ne!(first.json()["id"], second.json()["id"]);
    let miss = gateway.wait_record("the miss", |record| record["cache_result"] == "miss");
    let hit = gateway.wait_record("the hit", |record| record["cache_result"] == "hit_exact");
    assert_eq!(miss["cache_reason"], "unknown");
    assert_eq!(hit["cache_source"], id(&first));
    assert_eq!(hit["cost_nano"], 0);
    assert_eq!(hit["cache_saved_nano"], miss["cost_nano"]);
    assert_eq!(hit["output_tokens"], miss["output_tokens"]);
    assert!(hit["cache_age_us"].as_i64().is_some());
    assert_eq!(hit["outcome"], "done");
    let requests = |result: &str, reason: &str| {
        let labels = format!("{{cache=\"faq\",result=\"{result}\",reason=\"{reason}\"}}");
        gateway.metric(&format!("aplomb_cache_requests_total{labels}"))
    };
    assert_eq!(requests("hit_exact", ""), Some(1.0));
    assert_eq!(requests("miss", "unknown"), Some(1.0));
    assert_eq!(
        gateway.metric("aplomb_cache_entries{cache=\"faq\"}"),
        Some(1.0)
    );
    let tokens = |direction: &str| {
        let labels = format!("{{route=\"chat\",direction=\"{direction}\"}}");
        gateway.metric(&format!("aplomb_route_tokens_total{labels}"))
    };
    assert_eq!(tokens("output"), miss["output_tokens"].as_f64());
    let report = admin(&gateway, "GET", "/admin/v1/cache", &Value::Null);
    assert_eq!(report["data"][0]["hit_rate"], 0.5);
}

#[test]
fn everything_in_the_body_counts_and_routes_do_not_share() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "", "");
    OPENAI.cache(&gateway);
    for more in [
        json!({"temperature": 0.2}),
        json!({"max_tokens": 7}),
        json!({"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": OPENAI.text}]}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"reasoning_effort": "low"}),
    ] {
        let cache = Q {
            more: more.clone(),
            ..OPENAI
        }
        .cache(&gateway);
        assert_eq!(cache, "miss; reason=unknown", "{more}");
    }
    assert_eq!(
        Q {
            route: "other",
            ..OPENAI
        }
        .cache(&gateway),
        "miss; reason=unknown"
    );
    assert_eq!(OPENAI.cache(&gateway), "hit; kind=exact");
}

#[test]
fn what_is_passed_over_is_never_kept() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "temperature_max: 0.5", "");
    for (more, reason) in [
        (json!({"temperature": 0.6}), "temperature"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}),
            "tools",
        ),
        (json!({"n": 1, "store": true}), "store"),
    ] {
        for _ in 0..2 {
            let cache = Q {
                more: more.clone(),
                ..OPENAI
            }
            .cache(&gateway);
            assert_eq!(cache, format!("bypass; reason={reason}"));
        }
    }
    assert_eq!(
        gateway.metric("aplomb_cache_entries{cache=\"faq\"}"),
        Some(0.0)
    );
}

#[test]
fn the_client_decides_with_cache_control() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "", "");
    let with = |cache_control| Q {
        cache_control,
        ..OPENAI
    };
    let refused = with("only-if-cached").ask(&gateway);
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (504, "not_cached")
    );
    assert_eq!(with("no-store").cache(&gateway), "bypass; reason=no_store");
    assert_eq!(with("max-age=60").cache(&gateway), "miss; reason=unknown");
    let (old, cache) = with("only-if-cached, max-age=60").said(&gateway);
    assert_eq!(cache, "hit; kind=exact");
    assert_eq!(with("no-store").cache(&gateway), "bypass; reason=no_store");
    let (fresh, cache) = with("no-cache").said(&gateway);
    assert_eq!(cache, "bypass; reason=no_cache");
    assert_ne!(fresh.text, old.text);
    assert_eq!(
        OPENAI.said(&gateway).0.text,
        fresh.text,
        "the fresh one is kept"
    );
    let plain = Q {
        route: "plain",
        cache_control: "only-if-cached",
        ..OPENAI
    };
    assert_eq!(plain.ask(&gateway).status, 504);
}

#[test]
fn answers_expire() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "exact: 300ms", "");
    OPENAI.cache(&gateway);
    wait_for("the answer to expire", || {
        let cache = Q {
            cache_control: "only-if-cached",
            ..OPENAI
        }
        .ask(&gateway);
        (cache.status == 504).then_some(())
    });
    assert!(OPENAI.cache(&gateway).starts_with("miss"));
}

/// Nobody gets an answer that stands for another one's data, even where users share.
#[test]
fn what_was_masked_is_never_shared() {
    let echo = |seen: &Seen| wire::good(seen, &["I wrote to ", &question(seen)]);
    let upstream = Upstream::start(echo);
    let privacy = "privacy:\n  default: { email: mask, phone: surrogate }\n";
    for scope in ["tenant", "user"] {
        let gateway = start(&upstream, &format!("scope: {scope}"), privacy);
        for kind in ["{}@example.org", "+44 20 7946 09{}"] {
            let value = |who: &str| kind.replace("{}", who);
            for (user, who) in [
                ("ada", "58"),
                ("grace", "59"),
                ("ada", "59"),
                ("ada", "58"),
                ("grace", "59"),
            ] {
                let text = format!("write to {}", value(who));
                let (said, cache) = Q {
                    user,
                    text: &text,
                    ..OPENAI
                }
                .said(&gateway);
                assert_eq!(
                    said.text,
                    format!("I wrote to {text}"),
                    "{scope} {user} {cache}"
                );
            }
            let text = format!("write to {}", value("58"));
            assert_eq!(
                Q {
                    text: &text,
                    ..OPENAI
                }
                .cache(&gateway),
                "hit; kind=exact"
            );
            assert_eq!(
                Q {
                    user: "grace",
                    text: &text,
                    ..OPENAI
                }
                .cache(&gateway),
                "miss; reason=unknown",
                "{scope}: another user with the same value"
            );
        }
        let kept = Q {
            text: "nobody's data",
            ..OPENAI
        };
        kept.cache(&gateway);
        let shared = Q {
            user: "grace",
            ..kept
        }
        .cache(&gateway);
        assert_eq!(shared.starts_with("hit"), scope == "tenant", "{shared}");
    }
}

#[test]
fn tenants_never_share() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "", "");
    let key = |tenant: &str| {
        let arguments = [
            "keys",
            "--config",
            "aplomb.yaml",
            "--json",
            "create",
            "--tenant",
            tenant,
        ];
        let out = gateway.setup().command(&arguments).output().unwrap();
        let made: Value = serde_json::from_slice(&out.stdout).unwrap();
        format!("Bearer {}", made["key"].as_str().unwrap())
    };
    let keys = [key("acme"), key("globex")];
    let ask = |key: &str| {
        let request = gateway.chat(Dialect::OpenAi, "chat", false);
        request
            .header("authorization", key)
            .header("x-aplomb-user", "ada")
            .whole()
    };
    wait_for("anonymous callers to be refused", || {
        let status = gateway.chat(Dialect::OpenAi, "chat", false).whole().status;
        (status == 401 && ask(&keys[1]).status == 200).then_some(())
    });
    assert_eq!(
        ask(&keys[1]).header("x-aplomb-cache"),
        Some("hit; kind=exact")
    );
    assert_eq!(
        ask(&keys[0]).header("x-aplomb-cache"),
        Some("miss; reason=unknown")
    );
}

#[test]
fn purges_and_erasure_remove_answers_and_are_noted() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "scope: user", "");
    let fill = || {
        for user in ["ada", "grace"] {
            for route in ["chat", "other"] {
                Q {
                    user,
                    route,
                    ..OPENAI
                }
                .cache(&gateway);
            }
        }
    };
    fill();
    assert_eq!(purge(&gateway, &json!({"older_than": "1h"})), 0);
    assert_eq!(purge(&gateway, &json!({"user": "ada", "route": "chat"})), 1);
    assert_eq!(purge(&gateway, &json!({"cache": "nothing"})), 0);
    assert_eq!(
        purge(&gateway, &json!({"cache": "faq", "tenant": "local"})),
        3
    );
    fill();
    let run = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--config", "aplomb.yaml"]);
        let out = gateway.setup().command(&all).output().unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(
        run(&["cache", "purge", "--user", "grace", "--route", "chat"]),
        "1 answers removed\n"
    );
    assert!(run(&["cache", "show"]).starts_with("faq: 3 answers"));
    let export = run(&["privacy", "export", "--user", "ada"]);
    assert!(export.contains("answer 0 to what is a cat") || export.contains("to what is a cat"));
    run(&["privacy", "erase", "--user", "ada"]);
    assert!(run(&["cache", "show"]).starts_with("faq: 1 answers"));
    assert_eq!(
        Q {
            route: "other",
            user: "grace",
            ..OPENAI
        }
        .cache(&gateway),
        "hit; kind=exact"
    );
    let audit = admin(&gateway, "GET", "/admin/v1/audit", &Value::Null).to_string();
    assert!(audit.contains("cache.purge"), "{audit}");
    let refused = gateway
        .setup()
        .command(&["cache", "purge", "--config", "aplomb.yaml"])
        .output();
    assert!(
        !refused.unwrap().status.success(),
        "a purge of all must be said"
    );
}

/// Answers that are not whole and plain, or that a user calls bad, are not given again.
#[test]
fn a_bad_answer_is_not_given_again() {
    let upstream = Upstream::start(|seen| {
        let end = |finish: &str| {
            let mut body = wire::whole(seen.dialect(), "half an ans");
            body["choices"][0]["finish_reason"] = json!(finish);
            vec![Step::Send(wire::json_answer(200, &body))]
        };
        match question(seen).as_str() {
            "filtered" => end("content_filter"),
            "long" => end("length"),
            "cut" => {
                let events = Events::text(seen, &["half ", "an answer"]).join();
                let half = events.split_at(events.len() / 2).0.to_owned();
                vec![
                    Step::Send(wire::stream_head()),
                    Step::Send(wire::chunk(half.as_bytes())),
                    Step::CloseFin,
                ]
            }
            _ => numbered(seen),
        }
    });
    let gateway = start(&upstream, "", "");
    for (text, stream) in [("filtered", false), ("long", false), ("cut", true)] {
        for _ in 0..2 {
            let answer = Q {
                text,
                stream,
                ..OPENAI
            }
            .ask(&gateway);
            assert_eq!(
                answer.header("x-aplomb-cache"),
                Some("miss; reason=unknown"),
                "{text}"
            );
        }
    }
    assert_eq!(
        gateway.metric("aplomb_cache_unkept_total{cache=\"faq\",reason=\"finish\"}"),
        Some(4.0)
    );
    OPENAI.cache(&gateway);
    let hit = OPENAI.ask(&gateway);
    assert_eq!(hit.header("x-aplomb-cache"), Some("hit; kind=exact"));
    let down = json!({"request_id": hit.header("x-aplomb-request-id"), "thumb": "down"});
    let told = Request::post(gateway.data, "/aplomb/v1/feedback", &down).whole();
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(OPENAI.cache(&gateway), "miss; reason=unknown");
}

#[test]
fn a_paced_answer_takes_the_time_it_took() {
    let config = "providers:\n  practice: { practice: { first_token: 120ms, tokens_per_second: 200, jitter: 0 } }\n\
        caches:\n  faq: { replay: paced }\nroutes:\n  chat: { targets: [practice/small], cache: faq }\n";
    let gateway = Gateway::start(BINARY, config);
    let timed = |stream| {
        let begun = Instant::now();
        let (said, cache) = Q { stream, ..OPENAI }.said(&gateway);
        (said.text, cache, begun.elapsed())
    };
    let (text, _, took) = timed(true);
    for stream in [true, false] {
        let (again, cache, time) = timed(stream);
        assert_eq!(
            (again.as_str(), cache.as_str()),
            (text.as_str(), "hit; kind=exact")
        );
        assert!(
            time > took / 2 && time > Duration::from_millis(120),
            "{time:?} of {took:?}"
        );
    }
}

/// A change of what can change an answer empties the cache; another change does not.
#[test]
fn a_reload_keeps_what_still_holds() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "", "");
    let prefix = config(&upstream, "", "");
    OPENAI.cache(&gateway);
    let reload = |text: &str| {
        let before = gateway.metric("aplomb_config_reload_total{outcome=\"ok\"}");
        gateway.write_config(text);
        gateway.signal(rustix::process::Signal::HUP);
        wait_for("the reload", || {
            let now = gateway.metric("aplomb_config_reload_total{outcome=\"ok\"}");
            (now > before).then_some(())
        });
    };
    reload(&format!(
        "{prefix}prices:\n  up/m: {{ input: 1 USD, output: 2 USD }}\n"
    ));
    assert_eq!(OPENAI.cache(&gateway), "hit; kind=exact");
    reload(&format!("{prefix}privacy:\n  default: {{ email: mask }}\n"));
    assert_eq!(OPENAI.cache(&gateway), "miss; reason=unknown");
}

#[test]
fn two_questions_can_be_compared_without_a_gateway() {
    use std::io::Write;
    let compare = |arguments: &[&str]| {
        let mut command = std::process::Command::new(BINARY);
        command.args(["cache", "compare"]).args(arguments);
        command
    };
    let said = compare(&["Where is the invoice?", "hi, where is an invoice"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&said.stdout).starts_with("hit"),
        "{said:?}"
    );
    let asked = "{\"id\":1,\"a\":\"Is 5 GB enough?\",\"b\":\"Is 50 GB enough?\"}\n\n\
                 {\"id\":\"x\",\"a\":\"Is it open?\",\"b\":\"is it open\"}\n";
    let jsonl = |text: &str| {
        let mut child = compare(&["--jsonl", "-"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    let lines: Vec<Value> = String::from_utf8(jsonl(asked).stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines[0],
        json!({ "id": 1, "score": 0.0, "hit": false, "reason": "number" })
    );
    assert_eq!(
        (&lines[1]["id"], &lines[1]["hit"]),
        (&json!("x"), &json!(true))
    );
    // What can't be read is named by its line.
    let said = jsonl("{\"id\":1,\"a\":\"x\",\"b\":\"y\"}\n{\"id\":2}\n");
    assert_eq!(said.status.code(), Some(1));
    let told = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(told.contains("line 2, column"), "{told}");
}
