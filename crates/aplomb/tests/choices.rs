//! `n` choices from a provider that gives one a call: as many calls, one answer, all of them counted.
#![cfg(test)]

use aplomb_testkit::Dialect;
use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::upstream::{Step, Upstream};
use aplomb_testkit::wire;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn gateway(upstream: &Upstream) -> Gateway {
    let config = format!(
        "providers:\n  claude: {{ kind: anthropic, base_url: \"{}\", api_key: env:UP_KEY }}\nroutes:\n  \
         chat: {{ targets: [claude/m], retry: {{ attempts: 1 }} }}\n",
        upstream.url()
    );
    Gateway::start(BINARY, &config)
}

fn body(stream: bool) -> Value {
    let mut body = aplomb_testkit::client::chat_body(Dialect::OpenAi, "chat", stream);
    body["n"] = json!(3);
    body
}

#[test]
fn a_whole_answer_has_every_choice() {
    let upstream = Upstream::start(|seen| wire::good(seen, &["some ", "text"]));
    let gateway = gateway(&upstream);
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body(false)).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let choices = json["choices"].as_array().unwrap();
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], index);
        assert_eq!(choice["message"]["content"], "some text");
        assert_eq!(choice["finish_reason"], "stop");
    }
    assert_eq!((choices.len(), upstream.seen().len()), (3, 3));
    let one = Request::post(
        gateway.data,
        "/v1/chat/completions",
        &aplomb_testkit::client::chat_body(Dialect::OpenAi, "chat", false),
    );
    let single = one.whole().json()["usage"]["total_tokens"].as_u64();
    assert_eq!(
        json["usage"]["total_tokens"].as_u64(),
        single.map(|n| n * 3)
    );
}

#[test]
fn a_stream_has_every_choice() {
    let upstream = Upstream::start(|seen| wire::good(seen, &["some ", "text"]));
    let gateway = gateway(&upstream);
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body(true)).whole();
    let events = aplomb_testkit::sse::events(&answer.body).unwrap();
    let mut texts = [String::new(), String::new(), String::new()];
    let mut finished = 0;
    for event in &events {
        let Ok(chunk) = serde_json::from_str::<Value>(&event.data) else {
            assert_eq!(event.data, "[DONE]");
            continue;
        };
        for choice in chunk["choices"].as_array().unwrap() {
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            texts[index].push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            finished += usize::from(choice["finish_reason"] == "stop");
        }
    }
    assert_eq!(texts, ["some text"; 3]);
    assert_eq!(finished, 3);
}

#[test]
fn one_call_that_fails_fails_the_answer() {
    let upstream = Upstream::always(vec![Step::CloseFin]);
    let gateway = gateway(&upstream);
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body(false)).whole();
    assert_eq!(answer.status, 502, "{}", answer.text());
}
