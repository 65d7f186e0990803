//! What of a request is looked at, and that the rest of it travels byte for byte.
#![cfg(test)]

use aplomb_testkit::Dialect;
use aplomb_testkit::client::{Request, chat_body};
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::upstream::Upstream;
use aplomb_testkit::wire;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const WHO: &str = "ada.lovelace@example.org";

/// A path and a body.
type Case = (&'static str, Value);

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\n\
         privacy:\n  default: {{ \"*\": mask }}\n"
    );
    Gateway::start(BINARY, &config)
}

fn always_good() -> Upstream {
    Upstream::start(|seen| wire::good(seen, &["ok"]))
}

fn with(mut body: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut body, more) {
        members.extend(more);
    }
    body
}

fn openai(more: Value) -> Case {
    let body = json!({ "model": "up/m", "messages": [{ "role": "user", "content": "x" }] });
    ("/v1/chat/completions", with(body, more))
}

fn said(role: &str, more: Value) -> Case {
    let message = with(json!({ "role": role, "content": "x" }), more);
    openai(json!({ "messages": [{ "role": "user", "content": "x" }, message] }))
}

fn anthropic(content: Value, more: Value) -> Case {
    let messages = json!([{ "role": "user", "content": content }]);
    let body = json!({ "model": "claude/m", "max_tokens": 9, "messages": messages });
    ("/v1/messages", with(body, more))
}

fn schema() -> Value {
    json!({ "type": "object", "properties": { "to": { "type": "string", "description": WHO,
        "enum": [WHO], "default": WHO, "examples": [WHO] } } })
}

fn openai_cases() -> Vec<Case> {
    let schema = schema();
    let arguments = json!({ "to": WHO, "list": [{ WHO: { "deep": WHO } }] }).to_string();
    vec![
        openai(json!({ "user": WHO, "metadata": { "k": WHO, WHO: "v" } })),
        openai(json!({ "stop": [WHO], "x_unknown": { "deep": [[WHO]] } })),
        openai(
            json!({ "prediction": { "type": "content", "content": [{ "type": "text", "text": WHO }] } }),
        ),
        openai(json!({ "functions": [{ "name": "f", "description": WHO, "parameters": schema }] })),
        openai(
            json!({ "tools": [{ "type": "function", "function": { "name": "f", "parameters": schema } }] }),
        ),
        openai(
            json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "s", "schema": schema } } }),
        ),
        said("system", json!({ "content": WHO })),
        said(
            "developer",
            json!({ "content": [{ "type": "text", "text": WHO }] }),
        ),
        said("user", json!({ "name": WHO })),
        said(
            "assistant",
            json!({ "refusal": WHO, "reasoning_content": WHO }),
        ),
        said(
            "assistant",
            json!({ "content": [{ "type": "refusal", "refusal": WHO }] }),
        ),
        said(
            "assistant",
            json!({ "function_call": { "name": "f", "arguments": arguments } }),
        ),
        said(
            "assistant",
            json!({ "tool_calls": [{ "id": "c", "type": "function",
            "function": { "name": "f", "arguments": arguments } }] }),
        ),
        said(
            "assistant",
            json!({ "reasoning_details": [{ "type": "reasoning.text", "text": WHO }] }),
        ),
        said(
            "tool",
            json!({ "tool_call_id": "c", "content": format!("{{\"to\":\"{WHO}\"}}") }),
        ),
        said("function", json!({ "name": "f", "content": WHO })),
        (
            "/v1/completions",
            json!({ "model": "up/m", "prompt": [WHO], "suffix": WHO }),
        ),
        (
            "/v1/embeddings",
            json!({ "model": "up/m", "input": [WHO, "x"] }),
        ),
    ]
}

fn anthropic_cases() -> Vec<Case> {
    let schema = schema();
    let source = json!({ "type": "text", "media_type": "text/plain", "data": WHO });
    let parts = json!({ "type": "content", "content": [{ "type": "text", "text": WHO }] });
    vec![
        anthropic(
            json!("x"),
            json!({ "system": WHO, "metadata": { "user_id": WHO } }),
        ),
        anthropic(
            json!("x"),
            json!({ "system": [{ "type": "text", "text": WHO }], "stop_sequences": [WHO] }),
        ),
        anthropic(
            json!("x"),
            json!({ "tools": [{ "name": "f", "description": WHO, "input_schema": schema }] }),
        ),
        anthropic(
            json!([{ "type": "tool_result", "tool_use_id": "t", "content": WHO }]),
            json!({}),
        ),
        anthropic(
            json!([{ "type": "tool_result", "tool_use_id": "t",
            "content": [{ "type": "text", "text": WHO }] }]),
            json!({}),
        ),
        anthropic(
            json!([{ "type": "tool_use", "id": "t", "name": "f", "input": { "to": WHO, WHO: [WHO] } }]),
            json!({}),
        ),
        anthropic(
            json!([{ "type": "document", "title": WHO, "context": WHO, "source": source }]),
            json!({}),
        ),
        anthropic(json!([{ "type": "document", "source": parts }]), json!({})),
        anthropic(
            json!([{ "type": "search_result", "source": format!("https://x.example/{WHO}"), "title": WHO,
            "content": [{ "type": "text", "text": WHO }] }]),
            json!({}),
        ),
        anthropic(
            json!([{ "type": "text", "text": "x", "citations": [{ "type": "char_location",
            "cited_text": WHO, "document_title": WHO }] }]),
            json!({}),
        ),
        anthropic(
            json!([{ "type": "web_search_tool_result", "tool_use_id": "t", "content": [
            { "type": "web_search_result", "title": WHO, "url": "https://x.example", "encrypted_content": "AAAA" }] }]),
            json!({}),
        ),
        anthropic(
            json!([{ "type": "thinking", "thinking": WHO, "signature": "s" }, { "type": "text", "text": WHO }]),
            json!({}),
        ),
    ]
}

/// Every place of a request in which a text can stand, with the same address in each.
#[test]
fn every_surface_is_masked() {
    let upstream = always_good();
    let gateway = gateway(&upstream);
    let cases = [openai_cases(), anthropic_cases()].concat();
    for (number, (path, body)) in cases.iter().enumerate() {
        let answer = Request::post(gateway.data, path, body).whole();
        let seen = upstream.seen();
        assert_eq!(seen.len(), number + 1, "{body}: {}", answer.text());
        let sent = String::from_utf8_lossy(&seen[number].body).into_owned();
        assert!(!sent.contains(WHO), "{path} {sent}");
        assert!(sent.contains("EMAIL_"), "{path} {sent}");
    }
}

/// What the parser would not look at does not travel: of a key that stands twice, only the last value.
#[test]
fn a_key_that_stands_twice_hides_nothing() {
    let upstream = always_good();
    let gateway = gateway(&upstream);
    let twice = |arguments: &str| {
        format!(
            "{{\"model\":\"up/m\",\"messages\":[{{\"role\":\"user\",\"content\":\"ada@example.org\",\"content\":\"x\"}},\
             {{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{{\"id\":\"c\",\"type\":\"function\",\
             \"function\":{{\"name\":\"f\",\"arguments\":{}}}}}]}}]}}",
            json!(arguments)
        )
    };
    let once = twice("{\"a\":\"bob@example.org\",\"a\":1}")
        .replace("\"content\":\"ada@example.org\",", "");
    for body in [twice("{}"), once] {
        let answer = Request::new(gateway.data, "POST", "/v1/chat/completions")
            .body(body.as_bytes())
            .whole();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for seen in upstream.seen() {
        let sent = String::from_utf8_lossy(&seen.body).into_owned();
        assert!(!sent.contains("@example.org"), "{sent}");
        assert!(sent.contains("\"content\":\"x\""), "{sent}");
    }
}

/// Only values change: numbers keep their digits, schemas their order, escapes their form.
#[test]
fn what_is_no_value_keeps_its_bytes() {
    let upstream = always_good();
    let gateway = gateway(&upstream);
    let rest = "\"x\" : [1.50, 123456789012345678901234567890, 1e2],  \"temperature\":0.70";
    let arguments = "{ \"id\": 123456789012345678901234567890, \"to\": \"ada@example.org\" }";
    let body = format!(
        "{{\"model\":\"up/m\",{rest},\"messages\":[{{\"role\":\"user\",\"content\":\"\\u00e9 ada@example.org\"}},\
         {{\"role\":\"user\",\"content\":\"\\u00e9\"}},{{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[\
         {{\"id\":\"c\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\"arguments\":{}}}}}]}}]}}",
        json!(arguments)
    );
    let answer = Request::new(gateway.data, "POST", "/v1/chat/completions")
        .body(body.as_bytes())
        .whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = String::from_utf8_lossy(&upstream.seen()[0].body).into_owned();
    assert!(sent.contains(rest), "{sent}");
    assert!(sent.contains("\"content\":\"\\u00e9\""), "{sent}");
    let seen = &upstream.seen()[0].json()["messages"][2]["tool_calls"][0]["function"]["arguments"];
    let placeholder = prompt_of(&sent);
    assert_eq!(*seen, arguments.replace("ada@example.org", &placeholder));
}

/// A value that one message names is the same in another, whatever its letters.
#[test]
fn known_values_are_found_in_any_case() {
    let upstream = always_good();
    let gateway = gateway(&upstream);
    let mut body = chat_body(Dialect::OpenAi, "up/m", false);
    body["messages"] = json!([
        { "role": "user", "content": "My name is Quentin Abernathy." },
        { "role": "user", "content": "so then QUENTIN ABERNATHY=yes; quentin abernathy" }]);
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = String::from_utf8_lossy(&upstream.seen()[0].body).to_lowercase();
    assert!(!sent.contains("quentin abernathy"), "{sent}");
}

/// The first placeholder of a text.
fn prompt_of(sent: &str) -> String {
    sent[sent.find('<').unwrap()..=sent.find('>').unwrap()].to_owned()
}
