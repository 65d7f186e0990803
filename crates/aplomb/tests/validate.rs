//! Answers that are checked before they go out, as a client sees them.
#![cfg(test)]

use aplomb_testkit::Dialect::{self, Anthropic, OpenAi};
use aplomb_testkit::client::{Request, Whole};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::signal::Signal;
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
    let config = config(&upstream, validate, "validate: [g, f], hold: first_token");
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
        "validate.c[0]: `not_emty` is not one of: not_empty, json, response_format, no_refusal",
        "validate.c[1].on_fail: nothing can come after `block`",
        "validate.d[0]: one entry is one check, and this one has `json_schema`, `regex`",
        "validate.e[0].on_fail[1]: `retri` is not one of: retry",
        "routes.chat.validate[0]: there is no validator `g`",
        "routes.chat.hold: with `first_token` the answer is out before it is checked, and `f` has the step `block`",
    ] {
        assert!(told.contains(wanted), "lacks {wanted}:\n{told}");
    }
}

const INVOICE: &str = "  invoice:\n    - json_schema: { type: object, required: [number, total], \
                       properties: { number: { type: string }, total: { type: number } } }\n    \
                       - on_fail: [fix, repair, repair, block]";

#[test]
fn the_model_is_told_what_is_wrong_and_may_correct_it() {
    each(|dialect, stream| {
        let upstream = says(&["{\"number\": \"A1\"}", "{\"number\": \"A1\", \"total\": 7}"]);
        let gateway = gateway(&upstream, INVOICE, "validate: [invoice]");
        let answer = gateway.chat(dialect, "chat", stream).whole();
        assert_eq!(answer.header("x-aplomb-verdict"), Some("pass; tries=2"));
        assert_eq!(
            text(answer, dialect, stream),
            "{\"number\": \"A1\", \"total\": 7}"
        );
        let asked = upstream.wait_seen(1).json();
        let turns = asked["messages"].as_array().unwrap();
        let [.., said, wish] = turns.as_slice() else {
            panic!("{asked}");
        };
        assert_eq!(said["role"], "assistant");
        assert!(said.to_string().contains("A1"), "{said}");
        assert_eq!(wish["role"], "user");
        assert!(
            wish.to_string().contains("is a required property"),
            "{wish}"
        );
        assert_eq!(turns.len(), 3);
    });
}

#[test]
fn what_can_be_mended_costs_no_call() {
    each(|dialect, stream| {
        let upstream =
            says(&["Sure! Here it is:\n```json\n{'number': \"A1\", 'total': 7,}\n```\nBye."]);
        let gateway = gateway(&upstream, INVOICE, "validate: [invoice]");
        let answer = gateway.chat(dialect, "chat", stream).whole();
        let verdict = answer.header("x-aplomb-verdict");
        assert_eq!(verdict, Some("fix; by=invoice.json_schema"));
        assert_eq!(
            text(answer, dialect, stream),
            "{\"number\":\"A1\",\"total\":7}"
        );
        assert_eq!(upstream.seen().len(), 1);
    });
}

#[test]
fn a_cut_answer_is_not_completed_by_invention() {
    let upstream = says(&["{\"number\": \"A1\", \"total\": 7"]);
    let gateway = gateway(
        &upstream,
        INVOICE,
        "validate: [invoice], retry: { attempts: 1 }",
    );
    let answer = gateway.chat(OpenAi, "chat", true).whole();
    assert_eq!(answer.status, 422, "{}", answer.text());
}

#[test]
fn what_is_not_allowed_is_cut_out_or_another_text_goes_out() {
    let upstream = says(&["the key is sk-123 and that is it", "I hate you"]);
    let validate = "  clean:\n    - { not_regex: \"sk-[0-9]+\", on_fail: [filter, block] }\n    \
                    - { not_contains: [hate], say: \"I'd rather not.\", on_fail: refrain }";
    let gateway = gateway(&upstream, validate, "validate: [clean]");
    let answer = gateway.chat(Anthropic, "chat", true).whole();
    let verdict = answer.header("x-aplomb-verdict");
    assert_eq!(verdict, Some("filter; by=clean.not_regex"));
    assert_eq!(text(answer, Anthropic, true), "the key is  and that is it");
    let answer = gateway.chat(OpenAi, "chat", false).whole();
    let verdict = answer.header("x-aplomb-verdict");
    assert_eq!(verdict, Some("refrain; by=clean.not_contains"));
    assert_eq!(text(answer, OpenAi, false), "I'd rather not.");
}

/// A number that looks random and is the same each time (splitmix64).
fn random(number: usize) -> u64 {
    let mut x = u64::try_from(number)
        .unwrap()
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x1234_5678_9abc_def0);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[test]
fn a_provider_that_is_wrong_one_time_in_five_gives_answers_that_are_right() {
    const GOOD: &str = "{\"number\": \"A1\", \"total\": 7}";
    let upstream = Upstream::start(|seen| {
        let text = match random(seen.number) % 25 {
            0 => "{\"number\": \"A1\", \"tot",
            1 => "Of course. {\"number\": \"A1\", \"total\": 7} Is there anything else?",
            2 => "",
            3 => "Die Rechnung A1 beträgt sieben Euro.",
            4 => "{\"number\": \"A1\"}",
            _ => GOOD,
        };
        answers(seen, text)
    });
    let gateway = gateway(
        &upstream,
        INVOICE,
        "validate: [invoice], retry: { attempts: 4 }",
    );
    let requests = 1000u32;
    let mut failed = 0u32;
    for number in 0..requests {
        let answer = gateway.chat(OpenAi, "chat", number % 2 == 0).whole();
        if answer.status != 200 {
            failed += 1;
            continue;
        }
        let said = text(answer, OpenAi, number % 2 == 0);
        let value: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(value["total"], 7, "a wrong answer went out");
    }
    let calls = upstream.seen().len();
    let wrong = (0..calls).filter(|number| random(*number) % 25 < 5).count();
    let a_request = f64::from(u32::try_from(calls).unwrap()) / f64::from(requests);
    println!(
        "{requests} requests: {calls} calls ({a_request:.3} an answer), {wrong} wrong answers, {failed} failures delivered"
    );
    assert!(failed < requests / 100, "{failed} failures");
    assert!(a_request <= 1.25, "{a_request} calls an answer");
    assert!(wrong > calls / 6, "the provider is wrong often enough");
}

const SECRETIVE: &str = "  quiet: [{ not_contains: [s3cr3t], on_fail: [retry, block] }]";

/// The visible text of a stream, and its error.
fn parts(answer: &Whole) -> (String, Option<Value>) {
    let (mut said, mut error) = (String::new(), None);
    for line in answer.text().lines() {
        let Some(data) = line.strip_prefix("data: ").filter(|data| *data != "[DONE]") else {
            continue;
        };
        let event: Value = serde_json::from_str(data).unwrap();
        assert!(error.is_none(), "nothing comes after an error");
        error = event.get("error").cloned();
        for piece in [
            &event["choices"][0]["delta"]["content"],
            &event["delta"]["text"],
        ] {
            said.push_str(piece.as_str().unwrap_or_default());
        }
        let finish = &event["choices"][0]["finish_reason"];
        assert!(error.is_none() || finish.is_null());
    }
    (said, error)
}

#[test]
fn a_window_is_released_when_the_checks_have_seen_what_comes_after_it() {
    for dialect in [OpenAi, Anthropic] {
        let gate = Signal::new();
        let held = gate.clone();
        let upstream = Upstream::start(move |seen| {
            let pieces = [
                "so many harmless words to begin with ",
                "and more ",
                "s3c",
                "r3t is the word",
            ];
            let events = wire::Events::text(seen, &pieces);
            let begin = [events.begin.concat(), events.content[..2].concat()].concat();
            let rest = [
                events.content[2..].concat(),
                events.finish.concat(),
                events.end.concat(),
            ]
            .concat();
            vec![
                Step::Send([wire::stream_head(), wire::chunk(begin.as_bytes())].concat()),
                Step::WaitFor(held.clone()),
                Step::Send([wire::chunk(rest.as_bytes()), wire::LAST_CHUNK.to_vec()].concat()),
            ]
        });
        let gateway = gateway(
            &upstream,
            SECRETIVE,
            "validate: [quiet], hold: { window: 4 tokens, overlap: 2 tokens }",
        );
        let mut answer = gateway.chat(dialect, "chat", true).open();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-aplomb-verdict"), Some("open"));
        let mut text = String::new();
        while !text.contains("harmless words") {
            text.push_str(&String::from_utf8(answer.bytes().unwrap().unwrap()).unwrap());
        }
        gate.set();
        let rest = answer.whole().unwrap();
        let (said, error) = parts(&rest);
        assert!(!said.contains("s3c"), "{said}");
        let error = error.expect("an error event");
        assert_eq!(error["aplomb"]["check"], "not_contains");
        let record = gateway.wait_record("cut", |record| record["outcome"] == "cut");
        assert_eq!(record["validation"], "block");
        assert_eq!(record["error_code"], "validation_failed");
    }
}

#[test]
fn what_fails_in_the_first_window_is_asked_for_again() {
    let upstream = says(&[
        "s3cr3t at once, and then much more text",
        "all is well, and then much more text",
    ]);
    let gateway = gateway(
        &upstream,
        SECRETIVE,
        "validate: [quiet], hold: { window: 4 tokens }",
    );
    let answer = gateway.chat(OpenAi, "chat", true).whole();
    assert_eq!(answer.header("x-aplomb-attempts"), Some("2"));
    assert_eq!(
        text(answer, OpenAi, true),
        "all is well, and then much more text"
    );
    let record = gateway.wait_record("done", |record| record["outcome"] == "done");
    assert_eq!(record["validation"], "pass");
    assert_eq!(record["validation_tries"], 2);
    // What is not streamed is checked as a whole, and several who read one call hold it.
    let answer = gateway.chat(OpenAi, "chat", false).whole();
    assert_eq!(answer.header("x-aplomb-verdict"), Some("pass"));
    let answer = gateway
        .chat(OpenAi, "chat", true)
        .header("idempotency-key", "k")
        .whole();
    assert_eq!(answer.header("x-aplomb-verdict"), Some("pass"));
}

#[test]
fn what_is_only_flagged_need_not_be_held() {
    let upstream = says(&["one two"]);
    let validate = "  long: [{ length: { words: { min: 3 } }, on_fail: flag }]";
    let gateway = gateway(&upstream, validate, "validate: [long], hold: first_token");
    let answer = gateway.chat(Anthropic, "chat", true).whole();
    assert_eq!(text(answer, Anthropic, true), "one two");
    let record = gateway.wait_record("done", |record| record["outcome"] == "done");
    assert_eq!(record["validation"], "flag");
    assert_eq!(record["validation_by"], "long.length");
}

#[test]
fn a_late_failure_may_say_something_before_the_error() {
    let upstream = says(&["harmless words at the beginning of it and then s3cr3t"]);
    let validate = "  quiet: [{ not_contains: [s3cr3t], on_fail: refrain, say: \" [Stopped.]\" }]";
    let gateway = gateway(
        &upstream,
        validate,
        "validate: [quiet], hold: { window: 2 tokens }",
    );
    let answer = gateway.chat(OpenAi, "chat", true).whole();
    let (said, error) = parts(&answer);
    assert!(
        said.ends_with(" [Stopped.]") && !said.contains("s3"),
        "{said}"
    );
    assert_eq!(error.unwrap()["code"], "validation_failed");
}

#[test]
fn a_rule_is_tried_out_on_a_file_before_it_blocks() {
    let upstream = says(&[""]);
    let validate = "  short: [not_empty, { length: { words: { max: 3 } } }, response_format]";
    let setup = Setup::new(BINARY, "");
    let config = config(&upstream, validate, "validate: [short]");
    std::fs::write(setup.dir().join("rules.yaml"), config).unwrap();
    let lines = [
        json!({ "id": 1, "answer": "one two" }),
        json!({ "id": 2, "answer": "one two three four" }),
        json!({ "id": 3, "answer": "" }),
        json!({ "id": 4, "answer": "no", "request": { "model": "m", "messages": [{ "role": "user", "content": "?" }],
            "response_format": { "type": "json_object" } } }),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(setup.dir().join("answers.jsonl"), text).unwrap();
    let arguments = [
        "validate",
        "--config",
        "rules.yaml",
        "--route",
        "chat",
        "--file",
        "answers.jsonl",
    ];
    let out = setup.command(&arguments).output().unwrap();
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{told}");
    let said = String::from_utf8(out.stdout).unwrap();
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let passes: Vec<bool> = said
        .iter()
        .map(|line| line["pass"].as_bool().unwrap())
        .collect();
    assert_eq!(passes, [true, false, false, false]);
    assert_eq!(said[1]["id"], 2);
    assert_eq!(said[1]["failed"][0]["check"], "short.length");
    assert_eq!(said[3]["failed"][0]["check"], "short.response_format");
    assert!(told.contains("3 of 4 ( 75 %)  short.not_empty"), "{told}");
    assert!(told.contains("1 of 4 ( 25 %)  all checks"), "{told}");
}

#[test]
fn values_are_checked_against_schemas_line_by_line() {
    let setup = Setup::new(BINARY, "");
    let lines = [
        json!({ "id": "a", "schema": { "type": "integer" }, "instance": 3 }),
        json!({ "id": "b", "schema": { "items": { "type": "integer" } }, "instance": [1, "x"] }),
        json!({ "id": "c", "schema": { "type": "integr" }, "instance": 3 }),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(setup.dir().join("cases.jsonl"), text).unwrap();
    let out = setup
        .command(&["validate", "schema", "--jsonl", "cases.jsonl"])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let said = String::from_utf8(out.stdout).unwrap();
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said[0], json!({ "id": "a", "valid": true, "errors": [] }));
    assert_eq!(said[1]["valid"], false);
    assert_eq!(said[1]["errors"][0]["place"], "/1");
    assert!(
        said[2]["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("integr")
    );
}

#[test]
fn tool_calls_must_fit_what_the_request_describes() {
    let call = |arguments: &str, finish: &str| {
        let mut body = wire::whole(OpenAi, "");
        body["choices"][0]["message"]["content"] = Value::Null;
        body["choices"][0]["message"]["tool_calls"] = json!([{ "id": "c1", "type": "function",
            "function": { "name": "weather", "arguments": arguments } }]);
        body["choices"][0]["finish_reason"] = json!(finish);
        vec![Step::Send(wire::json_answer(200, &body))]
    };
    let upstream = Upstream::queue(vec![
        call("{\"town\": \"Bern\"}", "tool_calls"),
        call("{\"city\": \"Be", "length"),
        call("{\"city\": \"Bern\"}", "tool_calls"),
    ]);
    let validate =
        "  tools: [no_truncation, tool_arguments, not_empty, { on_fail: [repair, retry, block] }]";
    let gateway = gateway(&upstream, validate, "validate: [tools]");
    let schema = json!({ "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } });
    let body = json!({ "model": "chat", "messages": [{ "role": "user", "content": "weather?" }],
        "tools": [{ "type": "function", "function": { "name": "weather", "parameters": schema } }] });
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-aplomb-verdict"), Some("pass; tries=3"));
    let called = answer.json();
    let arguments = &called["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"];
    assert_eq!(arguments, "{\"city\": \"Bern\"}");
    let wish = &upstream.wait_seen(1).json()["messages"][1];
    assert!(
        wish.to_string().contains("is a required property"),
        "{wish}"
    );
    let truncated = "aplomb_validate_failures_total{validator=\"tools\",check=\"no_truncation\"}";
    assert_eq!(gateway.metric(truncated), Some(1.0));
}

const DOCS: &str = "The Orion blender costs 89 dollars and has a warranty of two years. The Vega blender costs 120 dollars.";

/// What a client asks of the documents, in either dialect.
fn asks(gateway: &Gateway, dialect: Dialect, stream: bool, question: &str) -> Request {
    let path = match dialect {
        OpenAi => "/v1/chat/completions",
        Anthropic => "/v1/messages",
    };
    let said = json!([
        { "role": "user", "content": format!("Documents: {DOCS}\n\nQuestion: {question}") }
    ]);
    let body = json!({ "model": "chat", "max_tokens": 50, "stream": stream, "messages": said });
    Request::new(gateway.data, "POST", path).body(body.to_string().as_bytes())
}

#[test]
fn what_is_not_in_the_context_is_asked_for_again() {
    each(|dialect, stream| {
        let upstream = says(&["The Orion costs 120 dollars.", "The Orion costs $89."]);
        let list = "  docs: [{ grounding: { min: 0.8 } }, { on_fail: [repair, block] }]";
        let gateway = gateway(&upstream, list, "validate: [docs]");
        let answer = asks(&gateway, dialect, stream, "What does the Orion cost?").whole();
        assert_eq!(answer.header("x-aplomb-verdict"), Some("pass; tries=2"));
        assert_eq!(text(answer, dialect, stream), "The Orion costs $89.");
        let told = upstream.wait_seen(1).json().to_string();
        assert!(told.contains("the context does not support this"), "{told}");
    });
}

#[test]
fn a_context_in_a_header_is_looked_into_instead() {
    let upstream = says(&["The Lyra costs 30 dollars."]);
    let list = "  docs: [grounding: { min: 1 }]";
    let gateway = gateway(&upstream, list, "validate: [docs]");
    let ask = || asks(&gateway, OpenAi, false, "What does the Lyra cost?");
    assert_eq!(ask().whole().status, 422);
    // `The Lyra costs 30 dollars a piece.`
    let given = ask().header(
        "x-aplomb-context",
        "VGhlIEx5cmEgY29zdHMgMzAgZG9sbGFycyBhIHBpZWNlLg==",
    );
    assert_eq!(given.whole().header("x-aplomb-verdict"), Some("pass"));
    let unread = ask().header("x-aplomb-context", "no base64!").whole();
    assert_eq!(unread.status, 400, "{}", unread.text());
}

#[test]
fn a_closed_domain_is_told_to_the_model_and_kept_to() {
    each(|dialect, stream| {
        let upstream = says(&[
            "The Orion is made of titanium in a factory near Oslo.",
            "The Orion costs 89 dollars.",
            "Not in the documents.",
        ]);
        let list = "  docs: [closed_domain: { refuse: \"Not in the documents.\" }]";
        let gateway = gateway(&upstream, list, "validate: [docs]");
        let ask = || asks(&gateway, dialect, stream, "What is the Orion made of?").whole();
        let refused = ask();
        let verdict = Some("refrain; by=docs.closed_domain");
        assert_eq!(refused.header("x-aplomb-verdict"), verdict);
        assert_eq!(text(refused, dialect, stream), "Not in the documents.");
        let told = upstream.wait_seen(0).json().to_string();
        assert!(
            told.contains("say exactly this and nothing else: Not in the documents."),
            "{told}"
        );
        for expected in ["The Orion costs 89 dollars.", "Not in the documents."] {
            let answer = ask();
            assert_eq!(answer.header("x-aplomb-verdict"), Some("pass"));
            assert_eq!(text(answer, dialect, stream), expected);
        }
    });
}

#[test]
fn an_answer_to_another_question_is_not_relevant() {
    let upstream = says(&[
        "Cats sleep most of the day.",
        "The Orion has a warranty of two years.",
    ]);
    let list = "  apt: [{ relevance: { min: 0.35 } }, { on_fail: [retry, block] }]";
    let gateway = gateway(&upstream, list, "validate: [apt]");
    let answer = asks(
        &gateway,
        OpenAi,
        false,
        "How long is the warranty of the Orion?",
    )
    .whole();
    assert_eq!(answer.header("x-aplomb-verdict"), Some("pass; tries=2"));
}

#[test]
fn grounding_and_relevance_are_judged_in_files() {
    let setup = Setup::new(BINARY, "");
    let run = |command: &str, input: Value| -> Value {
        std::fs::write(setup.dir().join("in.jsonl"), input.to_string()).unwrap();
        let out = setup
            .command(&["validate", command, "--jsonl", "in.jsonl"])
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let answer = "The Orion costs 89 dollars. The Vega costs 130 dollars.";
    let told = run(
        "grounding",
        json!({ "id": 1, "context": DOCS, "answer": answer }),
    );
    let expected = json!({ "id": 1, "grounded": false, "sentences": [
        { "text": "The Orion costs 89 dollars.", "supported": true, "reason": null },
        { "text": "The Vega costs 130 dollars.", "supported": false, "reason": "number" },
    ] });
    assert_eq!(told, expected);
    let told = run(
        "relevance",
        json!({ "id": "r", "question": "What does the Orion cost?", "answer": answer }),
    );
    assert_eq!(
        (&told["id"], &told["relevant"]),
        (&json!("r"), &json!(true))
    );
    assert!(told["score"].as_f64().unwrap() > 0.35, "{told}");
}
