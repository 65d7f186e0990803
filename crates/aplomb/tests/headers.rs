//! What travels on to the provider and back to the client, and what does not.
#![cfg(test)]

use aplomb_testkit::Dialect;
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::upstream::{Seen, Step, Upstream};
use aplomb_testkit::wire;

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn pair() -> (Upstream, Gateway) {
    let upstream = Upstream::start(|seen| {
        let mut script = wire::good(seen, &["hello"]);
        if let Some(Step::Send(bytes)) = script.first_mut() {
            let extra = b"\r\nset-cookie: a=b\r\nx-ratelimit-remaining-tokens: 5\r\nserver: secret\r\nopenai-organization: org\r\n";
            let at = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap();
            bytes.splice(at..at + 2, extra.iter().copied());
        }
        script
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY, headers: {{ x-team: blue }} }}\n\
         routes:\n  openai: {{ targets: [up/m] }}\n  anthropic: {{ targets: [claude/m] }}\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    (upstream, gateway)
}

#[test]
fn the_client_s_own_headers_stay_here() {
    let (upstream, gateway) = pair();
    for dialect in Dialect::ALL {
        let answer = gateway
            .chat(dialect, dialect.name(), false)
            .header("cookie", "session=client-secret")
            .header("x-aplomb-user", "alice@example.com")
            .header("x-aplomb-tags", "team=blue")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("x-forwarded-host", "localhost")
            .header("proxy-authorization", "Basic client-secret")
            .header("te", "trailers")
            .header("user-agent", "client-secret/1.0")
            .whole();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for seen in upstream.seen() {
        for name in [
            "cookie",
            "x-aplomb-user",
            "x-aplomb-tags",
            "x-hop",
            "x-forwarded-host",
            "proxy-authorization",
            "te",
        ] {
            assert_eq!(seen.header(name), None, "{name} went upstream");
        }
        let all = format!("{:?}", seen.headers);
        assert!(
            !all.contains("client-secret") && !all.contains("alice"),
            "{all}"
        );
    }
}

/// The provider's key goes to its host in its own way; a client's key never does.
#[test]
fn each_provider_gets_its_own_key() {
    let (upstream, gateway) = pair();
    for dialect in Dialect::ALL {
        gateway
            .chat(dialect, dialect.name(), false)
            .header("x-api-key", "client-key")
            .whole();
    }
    let seen = upstream.seen();
    let one = |dialect: Dialect| seen.iter().find(|seen| seen.dialect() == dialect).unwrap();
    let openai = one(Dialect::OpenAi);
    assert_eq!(
        openai.header("authorization"),
        Some("Bearer sk-provider-secret-1234567890")
    );
    assert_eq!(openai.header("x-api-key"), None);
    let anthropic = one(Dialect::Anthropic);
    assert_eq!(
        anthropic.header("x-api-key"),
        Some("sk-provider-secret-1234567890")
    );
    assert_eq!(anthropic.header("authorization"), None);
    assert_eq!(anthropic.header("x-team"), Some("blue"));
    assert!(anthropic.header("anthropic-version").is_some());
}

fn trace_of(seen: &Seen) -> Vec<String> {
    seen.header("traceparent")
        .expect("a traceparent")
        .split('-')
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_trace_goes_on() {
    let (upstream, gateway) = pair();
    gateway
        .chat(Dialect::OpenAi, "openai", false)
        .header("traceparent", TRACE)
        .header("tracestate", "a=b")
        .whole();
    gateway
        .chat(Dialect::OpenAi, "openai", false)
        .header("traceparent", "00-nonsense")
        .header("tracestate", "a=b")
        .whole();
    let seen = upstream.seen();
    let first = trace_of(&seen[0]);
    assert_eq!(first[1], "0af7651916cd43dd8448eb211c80319c");
    assert_ne!(
        first[2], "b7ad6b7169203331",
        "the gateway's call is a span of its own"
    );
    assert_eq!(seen[0].header("tracestate"), Some("a=b"));
    let second = trace_of(&seen[1]);
    assert_ne!(second[1], first[1]);
    assert_eq!(
        seen[1].header("tracestate"),
        None,
        "the state of a trace that could not be read"
    );
    gateway.wait_record("the trace in the record", |record| {
        record["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    });
}

#[test]
fn dialect_headers_travel() {
    let (upstream, gateway) = pair();
    gateway
        .chat(Dialect::Anthropic, "anthropic", false)
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "some-feature-2025-01-01")
        .whole();
    let seen = upstream.seen();
    assert_eq!(
        seen[0].header("anthropic-beta"),
        Some("some-feature-2025-01-01")
    );
}

#[test]
fn answers_say_what_happened() {
    let (_upstream, gateway) = pair();
    for dialect in Dialect::ALL {
        for stream in [true, false] {
            let answer = gateway.chat(dialect, dialect.name(), stream).open();
            let id = answer
                .header("x-aplomb-request-id")
                .expect("a request id")
                .to_owned();
            let own = if dialect == Dialect::OpenAi {
                "x-request-id"
            } else {
                "request-id"
            };
            assert_eq!(answer.header(own), Some(id.as_str()));
            let target = if dialect == Dialect::OpenAi {
                "up/m"
            } else {
                "claude/m"
            };
            assert_eq!(answer.header("x-aplomb-target"), Some(target));
            assert_eq!(answer.header("x-aplomb-attempts"), Some("1"));
            let overhead: f64 = answer
                .header("x-aplomb-overhead-ms")
                .expect("the overhead")
                .parse()
                .unwrap();
            assert!((0.0..1000.0).contains(&overhead));
            for name in [
                "set-cookie",
                "x-ratelimit-remaining-tokens",
                "server",
                "openai-organization",
            ] {
                assert_eq!(answer.header(name), None, "{name} came back");
            }
            if stream {
                assert_eq!(answer.header("x-accel-buffering"), Some("no"));
                assert!(
                    answer.header("cache-control").is_some_and(
                        |value| value.contains("no-cache") || value.contains("no-store")
                    )
                );
            }
            let _ = answer.whole().unwrap();
            gateway.wait_record("the record", |record| {
                record["id"] == id.as_str() && record["outcome"] == "done"
            });
        }
    }
}

/// The provider sees the model's own name, and the client's other members as they were.
#[test]
fn bodies_pass_but_for_the_model() {
    let (upstream, gateway) = pair();
    let mut body = aplomb_testkit::client::chat_body(Dialect::OpenAi, "openai", false);
    body["some_new_member"] = serde_json::json!({ "deep": [1, 2.50, "ü"] });
    body["seed"] = serde_json::json!(12_345_678_901_234_567_u64);
    aplomb_testkit::client::Request::post(gateway.data, "/v1/chat/completions", &body).whole();
    let sent = upstream.wait_seen(0).json();
    assert_eq!(sent["model"], "m");
    assert_eq!(
        (&sent["some_new_member"], &sent["seed"]),
        (&body["some_new_member"], &body["seed"])
    );
}

/// A provider that closes a connection just when it is used again: the request is sent anew, the client sees nothing.
///
/// One request after the other leaves at most two idle connections behind (an answer may end just before its connection
/// is free again), so that the default of three attempts always reaches a fresh one.
#[test]
fn a_stale_connection_is_not_the_client_s_trouble() {
    let upstream = Upstream::start(|seen| {
        if seen.on_connection > 0 {
            vec![Step::Reset]
        } else {
            wire::good(seen, &["hello"])
        }
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\nroutes:\n  chat: {{ targets: [up/m] }}\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    for stream in [false, true, false, true] {
        let answer = gateway.chat(Dialect::OpenAi, "chat", stream).whole();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(
        upstream.seen().iter().any(|seen| seen.on_connection > 0),
        "no connection was reused"
    );
}
