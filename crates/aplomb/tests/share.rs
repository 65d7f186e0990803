//! Requests that are the same share one upstream call, and an `Idempotency-Key` means one answer.
#![cfg(test)]

use aplomb_testkit::client::{Answer, Connection, Request, Whole, chat_body};
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::signal::Signal;
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::wire::{self, Events};
use aplomb_testkit::{Dialect, check, sse, wait_for};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const JOIN: &str = "dedupe: { mode: join }";
const ALONE: &str = "dedupe: { mode: none }";

fn start(upstream: &Upstream, dedupe: &str, more: &str) -> Gateway {
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\n\
         prices: {{ up/m: {{ input: 1, output: 2 }}, claude/m: {{ input: 1, output: 2 }} }}\n\
         routes:\n  openai: {{ targets: [up/m], {dedupe} }}\n  anthropic: {{ targets: [claude/m], {dedupe} }}\n{more}"
    );
    Gateway::start(BINARY, &config)
}

/// An answer whose text says how many calls there were before; it stops after its first word until the signal.
fn halting(go: &Signal) -> impl Fn(&Seen) -> Script + Send + Sync + 'static {
    let go = go.clone();
    move |seen| {
        let number = format!("call {}", seen.number);
        if !seen.is_stream() {
            let mut script = vec![Step::WaitFor(go.clone())];
            script.extend(wire::good(seen, &[&number, " - né", "e, 日本"]));
            return script;
        }
        let events = Events::text(seen, &[&number, " - né", "e, 日本"]);
        let (first, more) = events.content.split_first().unwrap();
        let rest = [more.concat(), events.finish.concat(), events.end.concat()].concat();
        let begin = events.begin.concat() + first;
        vec![
            Step::Send([wire::stream_head(), wire::chunk(begin.as_bytes())].concat()),
            Step::WaitFor(go.clone()),
            Step::Send([wire::chunk(rest.as_bytes()), wire::LAST_CHUNK.to_vec()].concat()),
        ]
    }
}

fn numbered(seen: &Seen) -> Script {
    wire::good(
        seen,
        &[&format!("call {}", seen.number), " - né", "e, 日本"],
    )
}

fn finish(connection: Connection) -> Whole {
    connection.answer().unwrap().whole().unwrap()
}

/// Waits until so many requests have joined a call.
fn joined(gateway: &Gateway, by: &str, count: f64) {
    let name = format!("aplomb_shared_requests_total{{by=\"{by}\",result=\"joined\"}}");
    wait_for("those that join", || {
        (gateway.metric(&name)? >= count).then_some(())
    });
}

fn shared(gateway: &Gateway, by: &str, result: &str) -> f64 {
    let name = format!("aplomb_shared_requests_total{{by=\"{by}\",result=\"{result}\"}}");
    gateway.metric(&name).unwrap()
}

fn record(gateway: &Gateway, answer: &Whole) -> Value {
    let id = answer.header("x-aplomb-request-id").unwrap().to_owned();
    gateway.wait_record("the record", |record| record["id"] == id.as_str())
}

/// Nothing goes on and nothing is held besides what is kept.
fn nothing_is_left(gateway: &Gateway) {
    wait_for("all calls to end", || {
        let calls = |by| gateway.metric(&format!("aplomb_shared_calls{{by=\"{by}\"}}"));
        let bytes = |by| gateway.metric(&format!("aplomb_shared_calls_bytes{{by=\"{by}\"}}"));
        let sum = calls("content")?
            + calls("idempotency_key")?
            + bytes("content")?
            + bytes("idempotency_key")?
            + gateway.metric("aplomb_requests_in_flight")?;
        (sum == 0.0).then_some(())
    });
}

fn text_of(dialect: Dialect, answer: &Whole, stream: bool) -> String {
    let said = match stream {
        true => check::stream(dialect, &sse::events(&answer.body).unwrap()),
        false => check::whole(dialect, &answer.json()),
    };
    said.unwrap().text
}

#[test]
fn a_double_click_is_one_call_and_one_price() {
    for (client, provider, stream) in [
        (Dialect::OpenAi, Dialect::OpenAi, true),
        (Dialect::OpenAi, Dialect::OpenAi, false),
        (Dialect::Anthropic, Dialect::Anthropic, true),
        (Dialect::Anthropic, Dialect::Anthropic, false),
        (Dialect::Anthropic, Dialect::OpenAi, true),
        (Dialect::OpenAi, Dialect::Anthropic, false),
    ] {
        let go = Signal::new();
        let upstream = Upstream::start(halting(&go));
        let gateway = start(&upstream, JOIN, "");
        let ask = || gateway.chat(client, provider.name(), stream).send();
        let first = ask();
        upstream.wait_seen(0);
        let second = ask();
        joined(&gateway, "content", 1.0);
        go.set();
        let (first, second) = (finish(first), finish(second));
        assert_eq!((first.status, second.status), (200, 200));
        let what = format!("{client:?} {provider:?} {stream}");
        assert_eq!(
            text_of(client, &first, stream),
            "call 0 - née, 日本",
            "{what}"
        );
        assert_eq!(
            text_of(client, &second, stream),
            "call 0 - née, 日本",
            "{what}"
        );
        assert_eq!(first.header("x-aplomb-cache"), None);
        assert_eq!(second.header("x-aplomb-cache"), Some("hit; kind=shared"));
        assert_eq!(first.header("x-aplomb-attempts"), Some("1"));
        assert_eq!(second.header("x-aplomb-attempts"), Some("0"));
        assert_eq!(
            first.header("x-aplomb-target"),
            second.header("x-aplomb-target")
        );
        assert_eq!(upstream.seen().len(), 1);
        let (paid, free) = (record(&gateway, &first), record(&gateway, &second));
        assert_eq!(paid["cost_nano"], free["shared_saved_nano"], "{what}");
        assert!(paid["cost_nano"].as_i64() > Some(0) && paid["shared"].is_null());
        assert_eq!(
            (&free["shared"], &free["shared_by"]),
            (&json!("joined"), &json!("content"))
        );
        assert_eq!(free["shared_source"], paid["id"]);
        assert_eq!(
            (&free["cost_nano"], &free["attempt_count"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(free["output_tokens"], paid["output_tokens"]);
        assert_eq!(free["outcome"], "done");
        let route = format!("{{route=\"{}\"}}", provider.name());
        let counted = gateway.metric(&format!("aplomb_route_cost_usd_total{route}"));
        let usd = paid["cost_nano"].as_f64().unwrap() / 1e9;
        assert!((counted.unwrap() - usd).abs() < 1e-12, "{what}");
        nothing_is_left(&gateway);
    }
}

/// What identifies an answer is the request's own where the provider has no id for it.
fn sans_ids(text: &str, answer: &Whole) -> String {
    text.replace(answer.header("x-aplomb-request-id").unwrap(), "ID")
}

#[test]
fn whoever_joins_in_mid_stream_gets_the_whole_answer_byte_for_byte() {
    let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": {} } }]);
    let claude_tools = json!([{ "name": "f", "input_schema": { "type": "object" } }]);
    for (dialect, tools) in [
        (Dialect::OpenAi, Value::Null),
        (Dialect::Anthropic, Value::Null),
        (Dialect::OpenAi, tools),
        (Dialect::Anthropic, claude_tools),
    ] {
        let go = Signal::new();
        let upstream = Upstream::start(halting(&go));
        let gateway = start(&upstream, JOIN, "");
        let mut body = chat_body(dialect, dialect.name(), true);
        if !tools.is_null() {
            body["tools"] = tools;
        }
        let request = Request::post(gateway.data, dialect.path(), &body);
        let mut first = request.open();
        let id = first.header("x-aplomb-request-id").unwrap().to_owned();
        let begun = first.event().unwrap();
        let later: Vec<Answer> = (0..8).map(|_| request.open()).collect();
        joined(&gateway, "content", 8.0);
        go.set();
        let mut events = vec![begun];
        events.extend(first.events());
        let whole: Vec<Whole> = later.into_iter().map(|one| one.whole().unwrap()).collect();
        let text = sans_ids(&whole[0].text(), &whole[0]);
        for one in &whole {
            assert_eq!(sans_ids(&one.text(), one), text);
            let own = sse::events(&one.body).unwrap();
            let own: Vec<_> = own.iter().map(|event| sans_ids(&event.data, one)).collect();
            let paid = events.iter().map(|event| event.data.replace(&id, "ID"));
            assert_eq!(own, paid.collect::<Vec<_>>(), "{dialect:?}");
            assert_eq!(text_of(dialect, one, true), "call 0 - née, 日本");
        }
        assert_eq!(upstream.seen().len(), 1);
        nothing_is_left(&gateway);
    }
}

#[test]
fn the_call_goes_on_when_the_first_caller_leaves_and_ends_with_the_last() {
    for stream in [true, false] {
        let go = Signal::new();
        let upstream = Upstream::start(halting(&go));
        let gateway = start(&upstream, JOIN, "");
        let ask = || gateway.chat(Dialect::OpenAi, "openai", stream).send();
        let first = ask();
        upstream.wait_seen(0);
        let second = ask();
        joined(&gateway, "content", 1.0);
        first.leave();
        let third = ask();
        joined(&gateway, "content", 2.0);
        go.set();
        for one in [second, third] {
            let answer = finish(one);
            assert_eq!(
                text_of(Dialect::OpenAi, &answer, stream),
                "call 0 - née, 日本"
            );
            assert_eq!(record(&gateway, &answer)["cost_nano"], 0);
        }
        assert_eq!(upstream.seen().len(), 1);
        // Who left pays for the whole call: it was theirs.
        let left = gateway.wait_record("the first one's record", |record| {
            record["outcome"] == "client_gone"
        });
        assert_eq!(
            (&left["output_tokens"], &left["attempt_count"]),
            (&json!(4), &json!(1))
        );
        assert_eq!(
            left["cost_nano"],
            json!(17_000),
            "9 tokens in at 1 USD, 4 out at 2 USD a million"
        );
        nothing_is_left(&gateway);
    }
}

#[test]
fn the_call_ends_when_the_last_one_has_left() {
    for stream in [true, false] {
        let never = Signal::new();
        let upstream = Upstream::start(halting(&never));
        let gateway = start(&upstream, JOIN, "");
        let ask = || gateway.chat(Dialect::OpenAi, "openai", stream).send();
        let first = ask();
        let seen = upstream.wait_seen(0);
        let second = ask();
        joined(&gateway, "content", 1.0);
        first.leave();
        assert!(!seen.gone().is_set());
        second.leave();
        seen.gone().wait("the upstream call to end");
        nothing_is_left(&gateway);
        wait_for("both records", || {
            let records = gateway.records();
            let gone = records.iter().filter(|one| one["outcome"] == "client_gone");
            (gone.count() == 2).then_some(())
        });
    }
}

#[test]
fn a_streamed_answer_serves_a_whole_one_and_the_other_way_round() {
    for (first, second) in [(true, false), (false, true)] {
        for dialect in Dialect::ALL {
            let go = Signal::new();
            let upstream = Upstream::start(halting(&go));
            let gateway = start(&upstream, JOIN, "");
            let one = gateway.chat(dialect, dialect.name(), first).send();
            upstream.wait_seen(0);
            let other = gateway.chat(dialect, dialect.name(), second).send();
            joined(&gateway, "content", 1.0);
            go.set();
            let (one, other) = (finish(one), finish(other));
            assert_eq!(
                text_of(dialect, &one, first),
                text_of(dialect, &other, second)
            );
            assert_eq!(upstream.seen().len(), 1);
        }
    }
}

#[test]
fn a_finished_answer_is_given_again_within_the_window_only() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "dedupe: { window: 60s }", "");
    let ask = || gateway.chat(Dialect::OpenAi, "openai", true);
    let first = ask().whole();
    let second = ask().whole();
    assert_eq!(second.header("x-aplomb-cache"), Some("hit; kind=shared"));
    assert_eq!(second.header("age"), Some("0"));
    assert_eq!(second.header("x-aplomb-idempotent-replay"), None);
    assert_eq!(
        sans_ids(&first.text(), &first),
        sans_ids(&second.text(), &second)
    );
    assert_eq!(record(&gateway, &second)["shared"], "replayed");
    let fresh = ask().header("cache-control", "no-cache").whole();
    assert_eq!(text_of(Dialect::OpenAi, &fresh, true), "call 1 - née, 日本");
    let short = start(&upstream, "dedupe: { window: 50ms }", "");
    let ask = || short.chat(Dialect::OpenAi, "openai", true).whole();
    ask();
    wait_for("the window to end", || {
        (short.metric("aplomb_shared_entries{by=\"content\"}")? == 0.0).then_some(())
    });
    assert_eq!(ask().header("x-aplomb-cache"), None);
}

#[test]
fn a_duplicate_is_refused_where_the_route_says_so() {
    for dialect in Dialect::ALL {
        let go = Signal::new();
        let upstream = Upstream::start(halting(&go));
        let gateway = start(&upstream, "dedupe: { mode: reject }", "");
        let first = gateway.chat(dialect, dialect.name(), true).send();
        upstream.wait_seen(0);
        let second = gateway.chat(dialect, dialect.name(), true).whole();
        let code = match dialect {
            Dialect::OpenAi => "duplicate_in_flight",
            Dialect::Anthropic => "invalid_request_error",
        };
        assert_eq!((second.status, second.error_code().as_str()), (409, code));
        assert_eq!(second.header("x-should-retry"), Some("false"));
        assert_eq!(
            record(&gateway, &second)["error_code"],
            "duplicate_in_flight"
        );
        go.set();
        assert_eq!(finish(first).status, 200);
        let again = gateway.chat(dialect, dialect.name(), true).whole();
        assert_eq!(again.status, 200, "it is no longer in flight");
        assert_eq!(upstream.seen().len(), 2);
    }
}

#[test]
fn the_newest_takes_the_place_of_the_older_one_which_is_told_so() {
    let go = Signal::new();
    let upstream = Upstream::start(halting(&go));
    let gateway = start(&upstream, "dedupe: { mode: replace }", "");
    let ask = |text: &str, stream: bool| {
        let mut body = chat_body(Dialect::OpenAi, "openai", stream);
        body["messages"][0]["content"] = json!(text);
        let request = Request::post(gateway.data, Dialect::OpenAi.path(), &body);
        request.header("x-aplomb-session", "s1").send()
    };
    // Before its first content, then after it, then the last one; in one conversation whatever is asked.
    let first = ask("hello", false);
    let call = upstream.wait_seen(0);
    let mut second = ask("hello, world", true).answer().unwrap();
    let first = finish(first);
    assert_eq!(
        (first.status, first.error_code()),
        (409, "duplicate_in_flight".into())
    );
    assert_eq!(first.header("x-should-retry"), Some("false"));
    call.gone().wait("the first call to end");
    let begun = second.event().unwrap();
    assert!(begun.json().unwrap()["choices"].is_array());
    let call = upstream.wait_seen(1);
    let third = ask("good bye", true);
    let last = second.events().pop().unwrap();
    assert!(last.data.contains("duplicate_in_flight"), "{}", last.data);
    call.gone().wait("the second call to end");
    upstream.wait_seen(2);
    go.set();
    assert_eq!(
        text_of(Dialect::OpenAi, &finish(third), true),
        "call 2 - née, 日本"
    );
    assert_eq!(shared(&gateway, "content", "replaced"), 2.0);
    nothing_is_left(&gateway);
}

#[test]
fn what_is_not_the_same_has_a_call_of_its_own() {
    let go = Signal::new();
    let upstream = Upstream::start(halting(&go));
    let gateway = start(&upstream, JOIN, "");
    let ask = || gateway.chat(Dialect::OpenAi, "openai", true);
    let mut other = chat_body(Dialect::OpenAi, "openai", true);
    other["messages"][0]["content"] = json!("Say good bye.");
    let mut named = chat_body(Dialect::OpenAi, "openai", true);
    named["user"] = json!("u-1");
    let all = [
        ask(),
        ask().header("x-aplomb-dedupe", "off"),
        ask().header("x-aplomb-user", "somebody else"),
        Request::post(gateway.data, Dialect::OpenAi.path(), &other),
        Request::post(gateway.data, Dialect::OpenAi.path(), &named),
        gateway.chat(Dialect::OpenAi, "anthropic", true),
    ];
    let sent: Vec<_> = all.iter().map(Request::send).collect();
    upstream.wait_seen(all.len() - 1);
    go.set();
    for one in sent {
        let answer = finish(one);
        assert_eq!(
            (answer.status, answer.header("x-aplomb-cache")),
            (200, None)
        );
    }
    // Equal prompts of programs may be deliberate samples.
    let plain = start(&upstream, ALONE, "");
    for _ in 0..2 {
        let answer = plain.chat(Dialect::OpenAi, "openai", true).whole();
        assert_eq!(answer.header("x-aplomb-cache"), None);
    }
}

#[test]
fn a_failure_is_the_failure_of_all_who_share_and_of_nobody_after_them() {
    let go = Signal::new();
    let gate = go.clone();
    let upstream = Upstream::start(move |seen| {
        if seen.number > 0 {
            return numbered(seen);
        }
        let error = wire::error(
            Dialect::OpenAi,
            "invalid_request_error",
            Some("bad"),
            "no such thing",
        );
        vec![
            Step::WaitFor(gate.clone()),
            Step::Send(wire::json_answer(400, &error)),
        ]
    });
    let gateway = start(&upstream, JOIN, "");
    let ask = |stream| gateway.chat(Dialect::OpenAi, "openai", stream).send();
    let first = ask(true);
    upstream.wait_seen(0);
    let (second, third) = (ask(true), ask(false));
    joined(&gateway, "content", 2.0);
    go.set();
    for one in [first, second, third] {
        let answer = finish(one);
        assert_eq!((answer.status, answer.error_code()), (400, "bad".into()));
    }
    assert_eq!(finish(ask(true)).status, 200);
    assert_eq!(upstream.seen().len(), 2);
    nothing_is_left(&gateway);
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_all() {
    let go = Signal::new();
    let gate = go.clone();
    let upstream = Upstream::start(move |seen| {
        let begun = Events::text(seen, &["some"]).open();
        vec![
            Step::Send([wire::stream_head(), wire::chunk(begun.as_bytes())].concat()),
            Step::WaitFor(gate.clone()),
            Step::Reset,
        ]
    });
    let gateway = start(&upstream, JOIN, "");
    let ask = || gateway.chat(Dialect::OpenAi, "openai", true);
    let (mut first, mut second) = (ask().open(), ask().open());
    joined(&gateway, "content", 1.0);
    go.set();
    for one in [&mut first, &mut second] {
        let last = one.events().pop().unwrap();
        assert!(last.data.contains("upstream_failed"), "{}", last.data);
    }
    nothing_is_left(&gateway);
}

#[test]
fn each_caller_reads_their_own_words() {
    let go = Signal::new();
    let gate = go.clone();
    let upstream = Upstream::start(move |seen| {
        let body = seen.json();
        let asked = body["messages"][0]["content"].as_str().unwrap().to_owned();
        assert!(!asked.contains("ada@example.com"), "{asked}");
        let mut script = vec![Step::WaitFor(gate.clone())];
        script.extend(wire::good(seen, &["you wrote: ", &asked]));
        script
    });
    let gateway = start(&upstream, JOIN, "privacy:\n  default: { email: mask }\n");
    let mut body = chat_body(Dialect::OpenAi, "openai", true);
    body["messages"][0]["content"] = json!("I am ada@example.com");
    let request = Request::post(gateway.data, Dialect::OpenAi.path(), &body);
    let first = request.send();
    upstream.wait_seen(0);
    let second = request.send();
    joined(&gateway, "content", 1.0);
    go.set();
    for one in [first, second] {
        let text = text_of(Dialect::OpenAi, &finish(one), true);
        assert_eq!(text, "you wrote: I am ada@example.com");
    }
    assert_eq!(upstream.seen().len(), 1);
}

fn keyed(gateway: &Gateway, key: &str, dialect: Dialect, stream: bool) -> Request {
    let request = gateway.chat(dialect, dialect.name(), stream);
    request.header("idempotency-key", key)
}

#[test]
fn the_same_key_is_the_same_answer() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, ALONE, "");
    for dialect in Dialect::ALL {
        for stream in [true, false] {
            let key = format!("{}-{stream}", dialect.name());
            let first = keyed(&gateway, &key, dialect, stream).whole();
            assert_eq!(first.header("x-aplomb-idempotent-replay"), None);
            // As a structured-field string it is the same key.
            let again = keyed(&gateway, &format!("\"{key}\""), dialect, stream).whole();
            assert_eq!(again.header("x-aplomb-idempotent-replay"), Some("true"));
            assert_eq!(again.header("x-aplomb-cache"), Some("hit; kind=shared"));
            assert_eq!(
                sans_ids(&first.text(), &first),
                sans_ids(&again.text(), &again)
            );
            let record = record(&gateway, &again);
            assert_eq!(record["shared_by"], "idempotency_key");
            assert_eq!(
                (&record["cost_nano"], &record["shared"]),
                (&json!(0), &json!("replayed"))
            );
        }
    }
    assert_eq!(upstream.seen().len(), 4);
    for seen in upstream.seen() {
        assert_eq!(
            seen.header("idempotency-key"),
            None,
            "it is the gateway's to keep"
        );
    }
}

#[test]
fn what_is_shared_uses_up_no_limit() {
    let upstream = Upstream::start(numbered);
    let gateway = start(
        &upstream,
        ALONE,
        "limits:\n  - 2 requests per 3h per user\n",
    );
    let ask = |key| keyed(&gateway, key, Dialect::OpenAi, false).whole().status;
    let statuses = ["a", "a", "a", "b", "b", "c"].map(ask);
    // A request is let in before it is known to be a retry, so the last free place serves no retry.
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
}

#[test]
fn whatever_is_asked_may_have_a_key() {
    let upstream = Upstream::start(|seen| {
        if seen.path != "/v1/embeddings" {
            return numbered(seen);
        }
        let body = json!({ "object": "list", "data": [], "model": "m", "usage": { "prompt_tokens": 1, "total_tokens": 1 } });
        vec![Step::Send(wire::json_answer(200, &body))]
    });
    let gateway = start(&upstream, ALONE, "");
    let body = json!({ "model": "openai", "input": "hello" });
    let ask = Request::post(gateway.data, "/v1/embeddings", &body).header("idempotency-key", "e");
    let (first, second) = (ask.whole(), ask.whole());
    assert_eq!(first.json(), second.json());
    assert_eq!(second.header("x-aplomb-idempotent-replay"), Some("true"));
    // Models without a route have keys too.
    let direct = gateway
        .chat(Dialect::OpenAi, "up/m", false)
        .header("idempotency-key", "d");
    assert_eq!(direct.whole().header("x-aplomb-idempotent-replay"), None);
    assert_eq!(
        direct.whole().header("x-aplomb-idempotent-replay"),
        Some("true")
    );
    // Nothing of what is not to be kept is.
    let unkept = || {
        gateway
            .chat(Dialect::OpenAi, "openai", false)
            .header("idempotency-key", "n")
            .header("cache-control", "no-store")
            .whole()
    };
    unkept();
    assert_eq!(unkept().header("x-aplomb-idempotent-replay"), None);
    assert_eq!(upstream.seen().len(), 4);
}

#[test]
fn a_key_that_was_used_for_something_else_is_refused() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, ALONE, "");
    for dialect in Dialect::ALL {
        assert_eq!(keyed(&gateway, "k", dialect, false).whole().status, 200);
        let mut body = chat_body(dialect, dialect.name(), false);
        body["messages"][0]["content"] = json!("something else");
        let other =
            Request::post(gateway.data, dialect.path(), &body).header("idempotency-key", "k");
        let refused = other.whole();
        assert_eq!(refused.status, 422);
        let code = match dialect {
            Dialect::OpenAi => "idempotency_key_reused",
            Dialect::Anthropic => "invalid_request_error",
        };
        assert_eq!(refused.error_code(), code);
        // Another form is another request.
        assert_eq!(keyed(&gateway, "k", dialect, true).whole().status, 422);
        // Another user has keys of their own.
        assert_eq!(other.header("x-aplomb-user", "eve").whole().status, 200);
    }
    let long = "x".repeat(256);
    for wrong in ["", "\"open", "two words", long.as_str()] {
        let refused = keyed(&gateway, wrong, Dialect::OpenAi, false).whole();
        assert_eq!(refused.status, 400, "{wrong:?}");
        assert!(
            refused.text().contains("Idempotency-Key"),
            "{}",
            refused.text()
        );
    }
    let twice = keyed(&gateway, "a", Dialect::OpenAi, false).header("idempotency-key", "b");
    assert_eq!(twice.whole().status, 400);
}

/// An answer that does not begin before the signal.
fn silent(go: &Signal) -> impl Fn(&Seen) -> Script + Send + Sync + 'static {
    let go = go.clone();
    move |seen| {
        let mut script = vec![Step::WaitFor(go.clone())];
        script.extend(numbered(seen));
        script
    }
}

/// Waits until only the admin's own connection is left.
fn client_gone(gateway: &Gateway) {
    wait_for("the client to be gone", || {
        (gateway.metric("aplomb_connections_open")? <= 1.0).then_some(())
    });
}

#[test]
fn a_retry_after_a_lost_connection_gets_the_same_answer_for_one_price() {
    for stream in [true, false] {
        let go = Signal::new();
        let upstream = Upstream::start(silent(&go));
        let gateway = start(&upstream, ALONE, "idempotency: { linger: 60s }\n");
        let ask = || keyed(&gateway, "once", Dialect::OpenAi, stream);
        let lost = ask().send();
        let call = upstream.wait_seen(0);
        lost.leave();
        client_gone(&gateway);
        let retry = ask().send();
        joined(&gateway, "idempotency_key", 1.0);
        go.set();
        let answer = finish(retry);
        let text = text_of(Dialect::OpenAi, &answer, stream);
        assert_eq!(text, "call 0 - née, 日本");
        assert!(!call.gone().is_set());
        assert_eq!(upstream.seen().len(), 1);
        let lost = gateway.wait_record("the lost one", |record| record["outcome"] == "client_gone");
        assert_eq!(lost["cost_nano"], json!(17_000));
        assert_eq!(record(&gateway, &answer)["cost_nano"], 0);
        nothing_is_left(&gateway);
    }
}

#[test]
fn a_call_goes_on_to_its_end_without_callers_and_is_kept() {
    for stream in [true, false] {
        let go = Signal::new();
        let upstream = Upstream::start(silent(&go));
        let gateway = start(&upstream, ALONE, "idempotency: { linger: 60s }\n");
        let ask = || keyed(&gateway, "once", Dialect::OpenAi, stream);
        let lost = ask().send();
        upstream.wait_seen(0);
        lost.leave();
        client_gone(&gateway);
        go.set();
        gateway.wait_record("the lost one", |record| record["outcome"] == "client_gone");
        let retry = ask().whole();
        assert_eq!(retry.header("x-aplomb-idempotent-replay"), Some("true"));
        let text = text_of(Dialect::OpenAi, &retry, stream);
        assert_eq!(text, "call 0 - née, 日本");
    }
}

#[test]
fn a_call_that_nobody_comes_back_for_ends() {
    let never = Signal::new();
    let upstream = Upstream::start(silent(&never));
    let gateway = start(&upstream, ALONE, "idempotency: { linger: 100ms }\n");
    let lost = keyed(&gateway, "once", Dialect::OpenAi, true).send();
    let call = upstream.wait_seen(0);
    lost.leave();
    call.gone().wait("the call to end");
    nothing_is_left(&gateway);
}

#[test]
fn who_stops_a_stream_stops_its_call_at_once() {
    let never = Signal::new();
    let upstream = Upstream::start(halting(&never));
    let gateway = start(&upstream, ALONE, "idempotency: { linger: 60s }\n");
    let mut answer = keyed(&gateway, "once", Dialect::OpenAi, true).open();
    answer.event().unwrap();
    answer.leave();
    upstream.wait_seen(0).gone().wait("the call to end");
    nothing_is_left(&gateway);
}

#[test]
fn a_failed_answer_is_not_kept() {
    let upstream = Upstream::start(|seen| match seen.number {
        0 => {
            let error = wire::error(Dialect::OpenAi, "invalid_request_error", None, "no");
            vec![Step::Send(wire::json_answer(400, &error))]
        }
        _ => numbered(seen),
    });
    let gateway = start(&upstream, ALONE, "");
    let ask = || keyed(&gateway, "k", Dialect::OpenAi, false).whole();
    assert_eq!(ask().status, 400);
    let second = ask();
    assert_eq!(
        (second.status, second.header("x-aplomb-idempotent-replay")),
        (200, None)
    );
    assert_eq!(ask().header("x-aplomb-idempotent-replay"), Some("true"));
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn an_answer_that_is_too_long_is_neither_joined_nor_kept() {
    let go = Signal::new();
    let gate = go.clone();
    let upstream = Upstream::start(move |seen| {
        let word = "x".repeat(100_000);
        let events = Events::text(seen, &vec![word.as_str(); 15]);
        let rest = [events.finish.concat(), events.end.concat()].concat();
        vec![
            Step::Send([wire::stream_head(), wire::chunk(events.open().as_bytes())].concat()),
            Step::WaitFor(gate.clone()),
            Step::Send([wire::chunk(rest.as_bytes()), wire::LAST_CHUNK.to_vec()].concat()),
        ]
    });
    let gateway = start(&upstream, ALONE, "");
    let ask = || keyed(&gateway, "long", Dialect::OpenAi, true);
    let mut first = ask().open();
    for _ in 0..12 {
        first.event().unwrap();
    }
    let refused = ask().whole();
    assert_eq!(
        (refused.status, refused.error_code()),
        (409, "duplicate_in_flight".into())
    );
    go.set();
    assert!(first.whole().unwrap().text().ends_with("data: [DONE]\n\n"));
    nothing_is_left(&gateway);
    let unkept = "aplomb_shared_unkept_total{by=\"idempotency_key\",reason=\"size\"}";
    assert_eq!(gateway.metric(unkept), Some(1.0));
    assert_eq!(ask().whole().header("x-aplomb-idempotent-replay"), None);
}

#[test]
fn a_reader_that_falls_behind_is_cut_off_and_the_others_are_not() {
    // Each piece comes when the quick reader has had the one before.
    let steps: Vec<Signal> = (0..100).map(|_| Signal::new()).collect();
    let gates = steps.clone();
    let upstream = Upstream::start(move |seen| {
        let word = "x".repeat(200_000);
        let events = Events::text(seen, &vec![word.as_str(); gates.len()]);
        let begin = wire::chunk(events.begin.concat().as_bytes());
        let mut script = vec![Step::Send([wire::stream_head(), begin].concat())];
        for (piece, gate) in events.content.iter().zip(&gates) {
            script.push(Step::Send(wire::chunk(piece.as_bytes())));
            script.push(Step::WaitFor(gate.clone()));
        }
        let rest = [events.finish.concat(), events.end.concat()].concat();
        let rest = [wire::chunk(rest.as_bytes()), wire::LAST_CHUNK.to_vec()];
        script.push(Step::Send(rest.concat()));
        script
    });
    let gateway = start(&upstream, JOIN, "");
    let ask = || gateway.chat(Dialect::OpenAi, "openai", true);
    // The first caller is the slow one: its own call goes on without it.
    let (slow, mut fast) = (ask().open(), ask().open());
    joined(&gateway, "content", 1.0);
    let mut events = Vec::new();
    let mut steps = steps.iter();
    while let Some(event) = fast.event() {
        if event.data.len() > 200_000 {
            steps.next().unwrap().set();
        }
        events.push(event);
    }
    let said = check::stream(Dialect::OpenAi, &events).unwrap();
    assert_eq!(said.text.len(), 20_000_000);
    let slow = slow.whole().unwrap().text();
    assert!(slow.contains("read too slowly"), "it was not cut off");
    assert!(!slow.contains("finish_reason\":\"stop"));
    let cut = gateway.metric("aplomb_shared_cut_total{by=\"content\"}");
    assert_eq!(cut, Some(1.0));
    let paid = gateway.wait_record("the slow one", |record| record["outcome"] == "cut");
    assert_eq!(paid["cost_nano"], json!(17_000), "the whole call");
    nothing_is_left(&gateway);
}

#[test]
fn sharing_and_the_cache_go_together() {
    let go = Signal::new();
    let upstream = Upstream::start(halting(&go));
    let more = "caches:\n  faq: {}\n";
    let gateway = start(&upstream, "cache: faq, dedupe: { window: 0s }", more);
    let ask = || gateway.chat(Dialect::OpenAi, "openai", true).send();
    let first = ask();
    upstream.wait_seen(0);
    let second = ask();
    joined(&gateway, "content", 1.0);
    go.set();
    let told = |answer: &Whole| answer.header("x-aplomb-cache").unwrap().to_owned();
    assert_eq!(told(&finish(first)), "miss; reason=unknown");
    assert_eq!(told(&finish(second)), "hit; kind=shared");
    assert_eq!(told(&finish(ask())), "hit; kind=exact");
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn purge_and_erasure_reach_what_is_kept() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "dedupe: { window: 60s }", "");
    let ask = |user: &str, key: Option<&str>| {
        let request = gateway
            .chat(Dialect::OpenAi, "openai", false)
            .header("x-aplomb-user", user);
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        request.whole().header("x-aplomb-cache").map(str::to_owned)
    };
    let shared = Some("hit; kind=shared".to_owned());
    for user in ["ada", "bob"] {
        for key in [Some("k"), None] {
            assert_eq!(ask(user, key), None);
            assert_eq!(ask(user, key), shared);
        }
    }
    let purge = gateway
        .admin_get("/admin/v1/cache/purge")
        .with_method("POST");
    let purge = purge.body(json!({ "user": "ada" }).to_string().as_bytes());
    assert_eq!(purge.whole().json()["purged"], 2);
    assert_eq!((ask("ada", Some("k")), ask("ada", None)), (None, None));
    assert_eq!(
        (ask("bob", Some("k")), ask("bob", None)),
        (shared.clone(), shared)
    );
    let show = gateway
        .setup()
        .command(&["cache", "show", "--config", "aplomb.yaml"]);
    let shown = { show }.output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("shared by content: 2 answers"), "{shown}");
    assert!(
        shown.contains("shared by idempotency_key: 2 answers"),
        "{shown}"
    );
    let bob = gateway.admin_get("/admin/v1/privacy/users/bob");
    let kept = bob.whole().json();
    assert_eq!(
        kept["shared answers"].as_array().map(Vec::len),
        Some(2),
        "{kept}"
    );
    let erased = bob.with_method("DELETE").whole().json();
    assert_eq!(erased["removed"]["shared answers"], 2, "{erased}");
    assert_eq!((ask("bob", Some("k")), ask("bob", None)), (None, None));
}

#[test]
fn a_storm_of_callers_that_leave_holds_nothing_back() {
    let go = Signal::new();
    let upstream = Upstream::start(halting(&go));
    let gateway = start(&upstream, JOIN, "");
    let ask = || gateway.chat(Dialect::OpenAi, "openai", true);
    let first = ask().send();
    upstream.wait_seen(0);
    let storm: Vec<_> = (0..200).map(|_| ask().send()).collect();
    joined(&gateway, "content", 200.0);
    storm.into_iter().for_each(Connection::leave);
    wait_for("the storm to be over", || {
        (gateway.metric("aplomb_requests_in_flight")? == 1.0).then_some(())
    });
    go.set();
    assert_eq!(
        text_of(Dialect::OpenAi, &finish(first), true),
        "call 0 - née, 日本"
    );
    nothing_is_left(&gateway);
}

#[test]
fn shutdown_waits_for_nobody_who_could_only_come_later() {
    let never = Signal::new();
    let upstream = Upstream::start(silent(&never));
    let mut gateway = start(&upstream, ALONE, "idempotency: { linger: 60s }\n");
    let lost = keyed(&gateway, "once", Dialect::OpenAi, true).send();
    let call = upstream.wait_seen(0);
    lost.leave();
    client_gone(&gateway);
    assert!(!call.gone().is_set());
    gateway.terminate();
    assert!(gateway.wait_end().success());
    call.gone().wait("the call to end");
}

#[test]
fn a_new_policy_begins_with_no_answers_but_calls_in_flight_go_on() {
    let go = Signal::new();
    let upstream = Upstream::start(halting(&go));
    let gateway = start(&upstream, "dedupe: { window: 60s }", "");
    let ask = || gateway.chat(Dialect::OpenAi, "openai", true);
    let first = ask().send();
    upstream.wait_seen(0);
    let url = upstream.url();
    gateway.write_config(&format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  openai: {{ targets: [up/m], dedupe: {{ window: 50s }}, timeouts: {{ idle: 9s }} }}\n"
    ));
    gateway.signal(rustix::process::Signal::HUP);
    wait_for("the reload", || {
        let count = gateway.metric("aplomb_config_reload_total{outcome=\"ok\"}")?;
        (count >= 1.0).then_some(())
    });
    let second = ask().send();
    upstream.wait_seen(1);
    go.set();
    assert_eq!(
        text_of(Dialect::OpenAi, &finish(first), true),
        "call 0 - née, 日本"
    );
    assert_eq!(
        text_of(Dialect::OpenAi, &finish(second), true),
        "call 1 - née, 日本"
    );
    assert_eq!(
        ask().whole().header("x-aplomb-cache"),
        Some("hit; kind=shared")
    );
    assert_eq!(upstream.seen().len(), 2);
}
