//! The practice provider, through its public door.
#![cfg(test)]

use aplomb_core::conversation::Conversation;
use aplomb_core::dialect;
use aplomb_core::event::{ChatEvent, FinishReason};
use aplomb_core::request::Operation;
use aplomb_providers::practice::{Practice, PracticeSettings};
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;

fn practice(error_rate: f64) -> Practice {
    Practice::new(PracticeSettings {
        seed: 7,
        first_token: Duration::from_millis(10),
        tokens_per_second: 100,
        jitter: 0.2,
        error_rate,
    })
}

fn conversation(mut body: Value) -> Conversation {
    body["model"] = "m".into();
    let request = dialect::read(Operation::ChatCompletions, Bytes::from(body.to_string())).unwrap();
    dialect::conversation(&request).unwrap()
}

fn events(body: Value) -> Vec<ChatEvent> {
    let mut answer = practice(0.0).answer(&conversation(body), "m").unwrap();
    std::iter::from_fn(|| answer.next_event())
        .map(|(_, event)| event)
        .collect()
}

fn text(events: &[ChatEvent]) -> String {
    events
        .iter()
        .filter_map(|e| {
            if let ChatEvent::Text {
                choice: 0, text, ..
            } = e
            {
                Some(text.as_str())
            } else {
                None
            }
        })
        .collect()
}

fn finish(events: &[ChatEvent]) -> FinishReason {
    events.iter().find_map(|e| e.finish().cloned()).unwrap()
}

fn ask(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[test]
fn it_says_that_it_is_a_simulation_and_repeats_itself() {
    let first = events(ask("hello there"));
    assert!(text(&first).contains("simulated"));
    assert_eq!(first, events(ask("hello there")));
    assert_ne!(text(&first), text(&events(ask("something else entirely"))));
}

#[test]
fn echo_is_byte_exact() {
    assert_eq!(
        text(&events(ask("echo: grüße 😀\n  <x>"))),
        "grüße 😀\n  <x>"
    );
}

#[test]
fn bounds_and_stops_are_kept() {
    let mut body = ask("echo: one two three four");
    body["max_tokens"] = 2.into();
    assert_eq!(
        (
            text(&events(body.clone())).as_str(),
            finish(&events(body.clone()))
        ),
        ("one two", FinishReason::Length)
    );
    body["max_tokens"] = 100.into();
    body["stop"] = " three".into();
    assert_eq!(text(&events(body.clone())), "one two");
    assert_eq!(
        finish(&events(body)),
        FinishReason::StopSequence(Some(" three".into()))
    );
}

#[test]
fn tools_are_called_with_arguments_that_fit() {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": {"type": "object",
        "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 4}}}}})
    };
    let mut body = ask("use both in parallel");
    body["tools"] = json!([tool("f"), tool("g")]);
    let all = events(body.clone());
    let names: Vec<_> = all
        .iter()
        .filter_map(|e| {
            if let ChatEvent::ToolStart { name, .. } = e {
                Some(name.as_str())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        (names, finish(&all)),
        (vec!["f", "g"], FinishReason::ToolCalls)
    );
    let arguments: String = all
        .iter()
        .filter_map(|e| {
            if let ChatEvent::ToolArguments {
                tool: 1, fragment, ..
            } = e
            {
                Some(fragment.as_str())
            } else {
                None
            }
        })
        .collect();
    assert!(
        (3..=4).contains(
            &serde_json::from_str::<Value>(&arguments).unwrap()["n"]
                .as_i64()
                .unwrap()
        )
    );
    body["tool_choice"] = "none".into();
    assert!(text(&events(body)).contains("simulated"));
}

#[test]
fn results_of_tools_are_quoted() {
    let body = json!({"tools": [{"type": "function", "function": {"name": "f"}}], "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "22 degrees"}]});
    assert!(text(&events(body)).contains("22 degrees"));
}

#[test]
fn json_answers_fit_their_schema_and_choices_differ() {
    let mut body = ask("x");
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object",
        "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}}});
    assert!(serde_json::from_str::<Value>(&text(&events(body))).unwrap()["ok"].is_boolean());
    let mut body = ask("x");
    body["n"] = 3.into();
    let ends = events(body)
        .iter()
        .filter(|e| matches!(e, ChatEvent::Finish { .. }))
        .count();
    assert_eq!(ends, 3);
}

#[test]
fn failures_come_at_their_rate_and_in_the_same_order() {
    let run = || {
        let practice = practice(0.25);
        let conversation = conversation(ask("x"));
        (0..1000)
            .map(|_| practice.answer(&conversation, "m").is_err())
            .collect::<Vec<_>>()
    };
    let failed = run().iter().filter(|failed| **failed).count();
    assert!((200..300).contains(&failed), "{failed}");
    assert_eq!(run(), run());
}

#[test]
fn pauses_follow_the_settings() {
    let mut answer = practice(0.0).answer(&conversation(ask("x")), "m").unwrap();
    let pauses: Vec<_> = std::iter::from_fn(|| answer.next_event())
        .map(|(pause, _)| pause)
        .filter(|p| !p.is_zero())
        .collect();
    assert!(
        pauses
            .iter()
            .all(|pause| (Duration::from_millis(8)..=Duration::from_millis(12)).contains(pause)),
        "{pauses:?}"
    );
}
