//! Answers that are checked before they go out, as a client sees them.
#![cfg(test)]

use aplomb_testkit::Dialect::{self, Anthropic, OpenAi};
use aplomb_testkit::client::{Request, Whole};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::wire;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

/// A provider that says these texts one after the other, the last one again and again. A text that begins with `CUT` breaks off.
fn says(texts: &[&str]) -> Upstream {
    let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    Upstream::start(move |seen| {
        let text = texts.get(seen.number).or(texts.last());
        answers(seen, text.map_or("", String::as_str))
    })
}

fn answers(seen: &Seen, text: &str) -> Script {
    let pieces: Vec<String> = text
        .chars()
        .collect::<Vec<_>>()
        .chunks(5)
        .map(|piece| piece.iter().collect())
        .collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    match text.strip_prefix("CUT") {
        Some(_) => {
            let events = wire::Events::text(seen, &pieces).open();
            vec![Step::Send(wire::stream_answer(events.as_bytes()))]
        }
        None => wire::good(seen, &pieces),
    }
}

fn config(upstream: &Upstream, validate: &str, route: &str) -> String {
    let url = upstream.url();
    format!(
        "providers:\n  main: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         spare: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\n\
         prices:\n  main/good: {{ input: 1000 USD, output: 1000 USD }}\n\
         validate:\n{validate}\n\
         routes:\n  chat: {{ targets: [main/good], {route} }}\n"
    )
}

fn gateway(upstream: &Upstream, validate: &str, route: &str) -> Gateway {
    Gateway::start(BINARY, &config(upstream, validate, route))
}

/// The text of an answer, however it came.
fn text(answer: Whole, dialect: Dialect, stream: bool) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !stream {
        let body = answer.json();
        let text = match dialect {
            OpenAi => &body["choices"][0]["message"]["content"],
            Anthropic => &body["content"][0]["text"],
        };
        return text.as_str().unwrap_or_default().to_owned();
    }
    let mut out = String::new();
    for line in answer.text().lines() {
        let Some(data) = line.strip_prefix("data: ").filter(|data| *data != "[DONE]") else {
            continue;
        };
        let event: Value = serde_json::from_str(data).unwrap();
        assert!(event.get("error").is_none(), "{event}");
        let piece = match dialect {
            OpenAi => &event["choices"][0]["delta"]["content"],
            Anthropic => &event["delta"]["text"],
        };
        out.push_str(piece.as_str().unwrap_or_default());
    }
    out
}

/// Each dialect, streamed and not.
fn each(mut check: impl FnMut(Dialect, bool)) {
    for dialect in [OpenAi, Anthropic] {
        for stream in [false, true] {
            check(dialect, stream);
        }
    }
}

const LONG: &str = "  long: [{ length: { words: { min: 3 } } }, { on_fail: [retry, block] }]";

#[test]
fn an_answer_that_fails_is_asked_for_again_streamed_or_not() {
    each(|dialect, stream| {
        let upstream = says(&["too short", "this one is long enough"]);
        let gateway = gateway(&upstream, LONG, "validate: [long]");
        let answer = gateway.chat(dialect, "chat", stream).whole();
        assert_eq!(answer.header("x-aplomb-verdict"), Some("pass; tries=2"));
        assert_eq!(answer.header("x-aplomb-attempts"), Some("2"));
        let said = text(answer, dialect, stream);
        assert_eq!(said, "this one is long enough", "{dialect:?} {stream}");
        let record = gateway.wait_record("done", |record| record["outcome"] == "done");
        assert_eq!(record["validation"], "pass");
        assert_eq!(record["validation_tries"], 2);
        assert_eq!(record["attempts"][0]["fault"], "validation");
        assert_eq!(record["attempts"][1]["fault"], Value::Null);
        // Both answers cost the same, and are told apart: 13 tokens at 1000 USD a million.
        assert_eq!(record["cost_nano"], 13_000_000, "{record}");
        assert_eq!(record["validation_cost_nano"], 13_000_000);
    });
}

#[test]
fn what_is_blocked_is_an_error_that_names_the_check() {
    each(|dialect, stream| {
        let upstream = says(&["too short"]);
        let gateway = gateway(&upstream, LONG, "validate: [long]");
        let answer = gateway.chat(dialect, "chat", stream).whole();
        assert_eq!(answer.status, 422, "{}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        if dialect == OpenAi {
            assert_eq!(error["code"], "validation_failed");
        }
        let message = "the answer fails the check `length` of the validator `long`, after 2 tries: it has 2 words, at least 3 are needed";
        assert_eq!(error["message"], message);
        let told = json!({ "validator": "long", "check": "length", "place": null, "tries": 2 });
        assert_eq!(error["aplomb"], told);
        assert_eq!(
            answer.header("x-aplomb-verdict"),
            Some("block; by=long.length; tries=2")
        );
        assert_eq!(upstream.seen().len(), 2);
        let record = gateway.wait_record("blocked", |record| record["outcome"] == "error");
        assert_eq!(record["status"], 422);
        assert_eq!(record["error_code"], "validation_failed");
        assert_eq!(record["validation_cost_nano"], 26_000_000);
        let steps = json!([["long.length", "retry"], ["long.length", "block"]]);
        let told: Value = match &record["validation_steps"] {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            other => other.clone(),
        };
        assert_eq!(told, steps);
    });
}

#[test]
fn another_provider_may_do_better() {
    let upstream = Upstream::start(|seen| match seen.dialect() {
        OpenAi => answers(seen, "{\"total\": "),
        Anthropic => answers(seen, "{\"total\": 5}"),
    });
    let validate = "  json: [{ check: json, on_fail: [fallback, block] }]";
    let gateway = Gateway::start(
        BINARY,
        &config(&upstream, validate, "validate: [json]")
            .replace("[main/good]", "[main/good, spare/other]"),
    );
    each(|dialect, stream| {
        let answer = gateway.chat(dialect, "chat", stream).whole();
        assert_eq!(answer.header("x-aplomb-target"), Some("spare/other"));
        assert_eq!(text(answer, dialect, stream), "{\"total\": 5}");
    });
    let step = "aplomb_validate_steps_total{validator=\"json\",step=\"fallback\"}";
    assert_eq!(gateway.metric(step), Some(4.0));
    let failed = "aplomb_validate_failures_total{validator=\"json\",check=\"json\"}";
    assert_eq!(gateway.metric(failed), Some(4.0));
    let passed = "aplomb_validate_verdicts_total{verdict=\"pass\"}";
    assert_eq!(gateway.metric(passed), Some(4.0));
}

#[test]
fn what_is_flagged_goes_out_and_is_told_and_not_kept() {
    let upstream = says(&["no number here"]);
    let validate = "  numbered:\n    - { regex: \"[0-9]+\", on_fail: flag }\n    - not_empty";
    let setup = Setup::new(
        BINARY,
        &(config(&upstream, validate, "validate: [numbered], cache: all")
            + "caches: { all: { exact: 1h } }\n"),
    );
    let gateway = setup.start();
    for _ in 0..2 {
        let answer = gateway.chat(OpenAi, "chat", false).whole();
        assert_eq!(
            answer.header("x-aplomb-verdict"),
            Some("flag; by=numbered.regex")
        );
        assert_eq!(text(answer, OpenAi, false), "no number here");
    }
    assert_eq!(upstream.seen().len(), 2, "the cache gave it again");
    let record = gateway.wait_record("flagged", |record| record["validation"] == "flag");
    assert_eq!(record["validation_by"], "numbered.regex");
}

#[test]
fn no_call_is_made_beyond_the_attempts_of_the_route() {
    let upstream = says(&["short"]);
    let steps = "  long: [{ length: { words: { min: 3 } } }, { on_fail: [retry, retry, retry, fallback, flag] }]";
    let gateway = gateway(&upstream, steps, "validate: [long], retry: { attempts: 2 }");
    let answer = gateway.chat(OpenAi, "chat", true).whole();
    assert_eq!(
        answer.header("x-aplomb-verdict"),
        Some("flag; by=long.length; tries=2")
    );
    assert_eq!(text(answer, OpenAi, true), "short");
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn the_requests_own_format_is_enforced() {
    let schema = json!({ "type": "object", "required": ["total"], "additionalProperties": false,
        "properties": { "total": { "type": "number" } } });
    let upstream = says(&["{\"sum\": 1}", "{\"total\": 1}", "anything"]);
    let validate = "  format: [{ check: response_format, on_fail: [retry, block] }]";
    let gateway = gateway(&upstream, validate, "validate: [format]");
    let body = json!({
        "model": "chat", "messages": [{ "role": "user", "content": "how much?" }],
        "response_format": { "type": "json_schema", "json_schema": { "name": "total", "schema": schema } }
    });
    let request = Request::post(gateway.data, "/v1/chat/completions", &body);
    let answer = request.whole();
    assert_eq!(answer.header("x-aplomb-verdict"), Some("pass; tries=2"));
    assert_eq!(text(answer, OpenAi, false), "{\"total\": 1}");
    // Whoever asks for no form gets any.
    let answer = gateway.chat(OpenAi, "chat", false).whole();
    assert_eq!(text(answer, OpenAi, false), "anything");
}

#[test]
fn a_schema_from_a_file_tells_the_place() {
    let upstream = says(&["{\"lines\": [{\"amount\": 1}, {\"amount\": \"secret\"}]}"]);
    let validate = "  invoice: [{ json_schema: file:invoice.json }]";
    let config = config(&upstream, validate, "validate: [invoice]");
    let setup = Setup::new(BINARY, &config);
    let schema = json!({ "properties": { "lines": { "items": { "properties": { "amount": { "type": "number" } } } } } });
    std::fs::write(setup.dir().join("invoice.json"), schema.to_string()).unwrap();
    let gateway = setup.start();
    let answer = gateway.chat(OpenAi, "chat", false).whole();
    assert_eq!(answer.status, 422);
    let error = &answer.json()["error"];
    assert_eq!(error["aplomb"]["place"], "/lines/1/amount");
    assert!(!answer.text().contains("secret"), "{}", answer.text());
}

#[test]
fn a_held_stream_that_breaks_off_is_asked_for_again() {
    let upstream = says(&["CUT here", "and whole here"]);
    let gateway = gateway(&upstream, "  unused: [not_empty]", "hold: whole");
    let answer = gateway.chat(OpenAi, "chat", true).whole();
    assert_eq!(answer.header("x-aplomb-attempts"), Some("2"));
    assert_eq!(answer.header("x-aplomb-verdict"), None);
    assert_eq!(text(answer, OpenAi, true), "and whole here");
    let record = gateway.wait_record("done", |record| record["outcome"] == "done");
    assert_eq!(record["attempts"][0]["fault"], "cut");
    let (ttft, upstream) = (&record["ttft_us"], &record["upstream_ttft_us"]);
    assert!(ttft.as_i64() > upstream.as_i64(), "{ttft} {upstream}");
}

#[test]
fn what_is_wrong_with_validators_is_told_with_its_place() {
    let upstream = says(&[""]);
    let validate = "  a: [{ regex: \"(a\" }, { regex: \"(?=a)\" }, { length: { words: {} } }]\n  \
                    b: [{ json_schema: { type: objekt } }, { json_schema: file:nowhere.json }]\n  \
                    c: [not_emty, { on_fail: [block, retry] }]\n  \
                    d: [{ json_schema: { type: object }, regex: x }]\n  \
                    e: [{ on_fail: [retry, retri] }]\n  \
                    f: [not_empty]";
    let config = config(&upstream, validate, "validate: [g], hold: first_token");
    let setup = Setup::new(BINARY, &config);
    std::fs::write(setup.dir().join("wrong.yaml"), config).unwrap();
    let out = setup
        .command(&["check", "--config", "wrong.yaml"])
        .output()
        .unwrap();
    let told =
        String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(!out.status.success(), "{told}");
    for wanted in [
        "validate.a[0].regex: the expression can't be used: unclosed group",
        "validate.a[1].regex: the expression can't be used: look-around",
        "validate.a[2].length.words: expected `min`, `max` or both",
        "validate.b[0].json_schema: the schema can't be used",
        "validate.b[1].json_schema: the file nowhere.json can't be read",
        "validate.c[0]: `not_emty` is not one of: not_empty, json, response_format",
        "validate.c[1].on_fail: nothing can come after `block`",
        "validate.d[0]: one entry is one check, and this one has `json_schema`, `regex`",
        "validate.e[0].on_fail[1]: `retri` is not one of: retry",
        "routes.chat.validate[0]: there is no validator `g`",
        "routes.chat.hold: validators see an answer when it is whole",
    ] {
        assert!(told.contains(wanted), "lacks {wanted}:\n{told}");
    }
}
