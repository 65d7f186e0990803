//! Whole answers in the OpenAI dialect: a fold of the events.

use super::write::Frame;
use crate::dialect::Envelope;
use crate::event::ChatEvent;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One choice while it grows.
#[derive(Default)]
struct Choice {
    text: Option<String>,
    refusal: Option<String>,
    reasoning: Option<String>,
    /// Bytes of `reasoning` that closed thinking blocks hold.
    signed: usize,
    thinking_blocks: Vec<Value>,
    tools: BTreeMap<u32, (String, String, String)>,
    logprobs: Option<Value>,
    finish: Option<&'static str>,
}

fn append(field: &mut Option<String>, text: &str) {
    field.get_or_insert_default().push_str(text);
}

impl Choice {
    fn take(&mut self, event: ChatEvent) {
        match event {
            ChatEvent::Text { text, logprobs, .. } => {
                append(&mut self.text, &text);
                self.add_logprobs(logprobs);
            }
            ChatEvent::Refusal { text, .. } => append(&mut self.refusal, &text),
            ChatEvent::Reasoning { text, .. } => append(&mut self.reasoning, &text),
            ChatEvent::ReasoningSignature { signature, .. } => {
                // A signature covers its own block, not those before it.
                let all = self.reasoning.as_deref().unwrap_or_default();
                let text = all.get(self.signed..).unwrap_or_default();
                self.signed = all.len();
                self.thinking_blocks
                    .push(json!({ "type": "thinking", "thinking": text, "signature": signature }));
            }
            ChatEvent::RedactedReasoning { data, .. } => {
                self.thinking_blocks
                    .push(json!({ "type": "redacted_thinking", "data": data }));
            }
            ChatEvent::ToolStart { tool, id, name, .. } => {
                self.tools.insert(tool, (id, name, String::new()));
            }
            ChatEvent::ToolArguments { tool, fragment, .. } => {
                self.tools.entry(tool).or_default().2.push_str(&fragment);
            }
            ChatEvent::Finish { reason, .. } => self.finish = Some(reason.to_openai()),
            ChatEvent::Start(_)
            | ChatEvent::Usage(_)
            | ChatEvent::Raw(_)
            | ChatEvent::RawBody(_) => {}
        }
    }

    /// `content` and `refusal` are lists per token; pieces are joined.
    fn add_logprobs(&mut self, piece: Option<Value>) {
        let Some(piece) = piece.filter(|piece| !piece.is_null()) else {
            return;
        };
        let Some(Value::Object(all)) = &mut self.logprobs else {
            self.logprobs = Some(piece);
            return;
        };
        let Value::Object(piece) = piece else { return };
        for (name, value) in piece {
            match (all.get_mut(&name), value) {
                (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
                (_, value @ Value::Array(_)) => {
                    all.insert(name, value);
                }
                _ => {}
            }
        }
    }

    fn message(&self) -> Value {
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        message.insert(
            "content".into(),
            self.text.clone().map_or(Value::Null, Value::String),
        );
        message.insert(
            "refusal".into(),
            self.refusal.clone().map_or(Value::Null, Value::String),
        );
        if let Some(reasoning) = &self.reasoning {
            message.insert("reasoning_content".into(), reasoning.as_str().into());
        }
        if !self.thinking_blocks.is_empty() {
            message.insert(
                "thinking_blocks".into(),
                Value::Array(self.thinking_blocks.clone()),
            );
        }
        if !self.tools.is_empty() {
            let calls = self.tools.values().map(|(id, name, arguments)| {
                // A call without arguments is an empty object, which clients can parse.
                let arguments = if arguments.is_empty() { "{}" } else { arguments };
                json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
            });
            message.insert("tool_calls".into(), calls.collect());
        }
        Value::Object(message)
    }
}

fn choice_of(event: &ChatEvent) -> Option<u32> {
    match event {
        ChatEvent::Text { choice, .. }
        | ChatEvent::Refusal { choice, .. }
        | ChatEvent::Reasoning { choice, .. }
        | ChatEvent::ReasoningSignature { choice, .. }
        | ChatEvent::RedactedReasoning { choice, .. }
        | ChatEvent::ToolStart { choice, .. }
        | ChatEvent::ToolArguments { choice, .. }
        | ChatEvent::Finish { choice, .. } => Some(*choice),
        ChatEvent::Start(_) | ChatEvent::Usage(_) | ChatEvent::Raw(_) | ChatEvent::RawBody(_) => {
            None
        }
    }
}

enum Folded {
    Raw(Bytes),
    Typed(Box<Typed>),
}

struct Typed {
    frame: Frame,
    choices: BTreeMap<u32, Choice>,
    usage: Option<Value>,
}

fn collect(envelope: Envelope, events: Vec<ChatEvent>) -> Folded {
    let mut frame = Frame::new(envelope);
    let mut choices = BTreeMap::<u32, Choice>::new();
    let mut usage = None;
    for event in events {
        match event {
            ChatEvent::RawBody(raw) => return Folded::Raw(raw.data),
            ChatEvent::Start(start) => frame.start(start),
            ChatEvent::Usage(counts) => usage = Some(counts.to_openai()),
            event => {
                if let Some(choice) = choice_of(&event) {
                    choices.entry(choice).or_default().take(event);
                }
            }
        }
    }
    Folded::Typed(Box::new(Typed {
        frame,
        choices,
        usage,
    }))
}

fn body(mut members: Map<String, Value>, usage: Option<Value>) -> Bytes {
    if let Some(usage) = usage {
        members.insert("usage".into(), usage);
    }
    Bytes::from(Value::Object(members).to_string())
}

/// A `chat.completion`.
pub fn chat(envelope: Envelope, events: Vec<ChatEvent>) -> Bytes {
    match collect(envelope, events) {
        Folded::Raw(bytes) => bytes,
        Folded::Typed(typed) => {
            let Typed {
                frame,
                choices,
                usage,
            } = *typed;
            let list = choices.iter().map(|(index, choice)| {
                json!({ "index": index, "message": choice.message(), "logprobs": choice.logprobs,
                    "finish_reason": choice.finish })
            });
            body(
                frame.object("chat.completion", "chatcmpl-", list.collect()),
                usage,
            )
        }
    }
}

/// A legacy `text_completion`.
pub fn completion(envelope: Envelope, events: Vec<ChatEvent>) -> Bytes {
    match collect(envelope, events) {
        Folded::Raw(bytes) => bytes,
        Folded::Typed(typed) => {
            let Typed {
                frame,
                choices,
                usage,
            } = *typed;
            let list = choices.iter().map(|(index, choice)| {
                json!({ "index": index, "text": choice.text.as_deref().unwrap_or_default(), "logprobs": null,
                    "finish_reason": choice.finish })
            });
            body(
                frame.object("text_completion", "cmpl-", list.collect()),
                usage,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FinishReason;
    use crate::usage::Usage;

    fn folded(events: Vec<ChatEvent>) -> Value {
        let envelope = Envelope {
            request_id: "r1".into(),
            model: "chat".into(),
            created: 7,
            include_usage: false,
        };
        serde_json::from_slice(&chat(envelope, events)).unwrap()
    }

    #[test]
    fn text_calls_and_usage_are_gathered_per_choice() {
        let text = |choice, text: &str| ChatEvent::Text {
            choice,
            text: text.into(),
            logprobs: None,
        };
        let answer = folded(vec![
            text(0, "a"),
            text(1, "x"),
            text(0, "b"),
            ChatEvent::ToolStart {
                choice: 1,
                tool: 0,
                id: "c".into(),
                name: "f".into(),
            },
            ChatEvent::Finish {
                choice: 0,
                reason: FinishReason::Stop,
            },
            ChatEvent::Finish {
                choice: 1,
                reason: FinishReason::ToolCalls,
            },
            ChatEvent::Usage(Usage {
                input: 4,
                output: 2,
                ..Usage::default()
            }),
        ]);
        assert_eq!(answer["id"], "chatcmpl-r1");
        assert_eq!(answer["choices"][0]["message"]["content"], "ab");
        assert_eq!(answer["choices"][0]["message"]["refusal"], Value::Null);
        assert_eq!(
            answer["choices"][1]["message"]["tool_calls"][0]["function"]["arguments"],
            "{}"
        );
        assert_eq!(answer["choices"][1]["finish_reason"], "tool_calls");
        assert_eq!(answer["usage"]["total_tokens"], 6);
    }

    #[test]
    fn only_a_call_means_null_content() {
        let call = ChatEvent::ToolStart {
            choice: 0,
            tool: 0,
            id: "c".into(),
            name: "f".into(),
        };
        let message = &folded(vec![call])["choices"][0]["message"];
        assert!(message.as_object().unwrap().contains_key("content"));
        assert_eq!(message["content"], Value::Null);
    }

    #[test]
    fn each_thinking_block_keeps_its_own_text() {
        let think = |text: &str, signature: &str| {
            [
                ChatEvent::Reasoning {
                    choice: 0,
                    text: text.into(),
                },
                ChatEvent::ReasoningSignature {
                    choice: 0,
                    signature: signature.into(),
                },
            ]
        };
        let events = [think("first", "s1"), think("second", "s2")].concat();
        let message = &folded(events)["choices"][0]["message"];
        assert_eq!(message["reasoning_content"], "firstsecond");
        assert_eq!(
            message["thinking_blocks"],
            json!([
                {"type": "thinking", "thinking": "first", "signature": "s1"},
                {"type": "thinking", "thinking": "second", "signature": "s2"},
            ])
        );
    }

    #[test]
    fn log_probabilities_are_joined() {
        let piece = |text: &str| ChatEvent::Text {
            choice: 0,
            text: text.into(),
            logprobs: Some(json!({"content": [{"token": text}], "refusal": null})),
        };
        let answer = folded(vec![piece("a"), piece("b")]);
        assert_eq!(
            answer["choices"][0]["logprobs"]["content"],
            json!([{"token": "a"}, {"token": "b"}])
        );
    }
}
