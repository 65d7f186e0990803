//! A provider that answers and judges by script, and what asks it.

use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::{Dialect, wait_for, wire};
use serde_json::{Map, Value, json};

pub const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

/// A gateway on a scripted provider, everything on the route `chat` judged.
pub fn config(up: &Upstream, budget: &str) -> String {
    let url = up.url();
    format!(
        "providers:
  up: {{ kind: openai, base_url: \"{url}/v1\", agreement: {{ dpa: own, region: eu, retention: 0d, trains: false }} }}
  far: {{ kind: openai, base_url: \"{url}/v1\", agreement: {{ dpa: signed, region: us, retention: 30d, trains: false }} }}
prices:
  up/judge: {{ input: 2 USD, output: 10 USD }}
  far/judge: {{ input: 2 USD, output: 10 USD }}
  up/strong: {{ input: 2 USD, output: 10 USD }}
  up/weak: {{ input: 0.2 USD, output: 1 USD }}
  up/m: {{ input: 2 USD, output: 10 USD }}
privacy:
  standard: {{ email: mask, \"*\": flag }}
routes:
  chat: {{ targets: [up/m], privacy: standard, require: {{ region: eu }}, record: {{ text: masked }} }}
  other: {{ targets: [up/m], privacy: standard }}
observe:
  evals:
    - {{ name: quality, routes: [chat], sample: 100%, rules: [refusal, empty], judge: up/judge, rubrics: [relevance, \"tone: The answer is polite\"], timeout: 1s, max_output_tokens: 200, budget: {budget} }}
"
    )
}

/// A whole answer of a chat completion.
pub fn answered(text: &str, input: u64, output: u64) -> Script {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m-served",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output },
    });
    vec![Step::Send(wire::json_answer(200, &body))]
}

/// A judge's verdict.
pub fn verdict(scores: &[(&str, f64)]) -> String {
    let one = |(name, score): &(&str, f64)| {
        let verdict = json!({ "reason": "because", "score": score });
        ((*name).to_owned(), verdict)
    };
    Value::Object(scores.iter().map(one).collect::<Map<String, Value>>()).to_string()
}

/// All text of a request's messages.
pub fn said(seen: &Seen) -> String {
    let body = seen.json();
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let texts = messages
        .iter()
        .filter_map(|message| message["content"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// Sends a question; gives the record's id.
pub fn ask(gateway: &Gateway, dialect: Dialect, route: &str, text: &str) -> String {
    let mut body = json!({ "model": route, "messages": [{ "role": "user", "content": text }] });
    if dialect == Dialect::Anthropic {
        body["max_tokens"] = 100.into();
    }
    let answer = Request::post(gateway.data, dialect.path(), &body)
        .header("x-aplomb-user", "u-1")
        .whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-aplomb-request-id").unwrap().to_owned()
}

/// A record with all that is known of it.
pub fn one(gateway: &Gateway, id: &str) -> Value {
    wait_for("the record", || {
        let answer = gateway
            .admin_get(&format!("/admin/v1/requests/{id}"))
            .whole();
        (answer.status == 200).then(|| answer.json())
    })
}
