//! Whole answers in the Anthropic dialect: a fold of the events.

use super::write::{message_id, model, tool_id};
use crate::dialect::Envelope;
use crate::event::{ChatEvent, FinishReason, Start};
use crate::usage::Usage;
use bytes::Bytes;
use serde_json::{Value, json};

enum Block {
    Text(String),
    Thinking {
        text: String,
        signature: String,
    },
    Redacted(String),
    Tool {
        tool: u32,
        id: String,
        name: String,
        arguments: String,
    },
}

/// A message. Only the first choice has a place in this dialect.
pub fn message(envelope: Envelope, events: Vec<ChatEvent>) -> Bytes {
    let mut start = Start::default();
    let mut usage = Usage::default();
    let mut blocks = Vec::new();
    let mut finish = None;
    for event in events {
        match event {
            ChatEvent::RawBody(raw) => return raw.data,
            ChatEvent::Start(identity) => start = identity,
            ChatEvent::Usage(counts) => usage = counts,
            ChatEvent::Finish { choice: 0, reason } => finish = Some(reason),
            event => add(&mut blocks, event),
        }
    }
    let sequence = if let Some(FinishReason::StopSequence(text)) = &finish {
        text.clone()
    } else {
        None
    };
    let message = json!({
        "id": message_id(&start, &envelope), "type": "message", "role": "assistant",
        "model": model(&start, &envelope), "content": blocks.into_iter().map(block).collect::<Vec<_>>(),
        "stop_reason": finish.as_ref().map(FinishReason::to_anthropic), "stop_sequence": sequence,
        "usage": usage.to_anthropic(),
    });
    Bytes::from(message.to_string())
}

fn add(blocks: &mut Vec<Block>, event: ChatEvent) {
    match event {
        ChatEvent::Text {
            choice: 0, text, ..
        }
        | ChatEvent::Refusal { choice: 0, text }
            if !text.is_empty() =>
        {
            match blocks.last_mut() {
                Some(Block::Text(all)) => all.push_str(&text),
                _ => blocks.push(Block::Text(text)),
            }
        }
        ChatEvent::Reasoning { choice: 0, text } => match blocks.last_mut() {
            Some(Block::Thinking {
                text: all,
                signature,
            }) if signature.is_empty() => all.push_str(&text),
            _ => blocks.push(Block::Thinking {
                text,
                signature: String::new(),
            }),
        },
        ChatEvent::ReasoningSignature {
            choice: 0,
            signature: mark,
        } => match blocks.last_mut() {
            Some(Block::Thinking { signature, .. }) => *signature = mark,
            _ => blocks.push(Block::Thinking {
                text: String::new(),
                signature: mark,
            }),
        },
        ChatEvent::RedactedReasoning { choice: 0, data } => blocks.push(Block::Redacted(data)),
        ChatEvent::ToolStart {
            choice: 0,
            tool,
            id,
            name,
        } => {
            blocks.push(Block::Tool {
                tool,
                id,
                name,
                arguments: String::new(),
            });
        }
        ChatEvent::ToolArguments {
            choice: 0,
            tool: number,
            fragment,
        } => {
            let call = blocks.iter_mut().rev().find_map(|block| match block {
                Block::Tool {
                    tool, arguments, ..
                } if *tool == number => Some(arguments),
                _ => None,
            });
            if let Some(arguments) = call {
                arguments.push_str(&fragment);
            }
        }
        _ => {}
    }
}

fn block(block: Block) -> Value {
    match block {
        Block::Text(text) => json!({ "type": "text", "text": text }),
        Block::Thinking { text, signature } => {
            json!({ "type": "thinking", "thinking": text, "signature": signature })
        }
        Block::Redacted(data) => json!({ "type": "redacted_thinking", "data": data }),
        Block::Tool {
            id,
            name,
            arguments,
            ..
        } => {
            json!({ "type": "tool_use", "id": tool_id(&id), "name": name, "input": input(&arguments) })
        }
    }
}

/// `input` must be an object. What the model wrote is kept even where it is none, so that the caller can see it.
fn input(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str::<Value>(arguments) {
        Ok(value @ Value::Object(_)) => value,
        _ => json!({ "__invalid_json": arguments }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_gathered() {
        let envelope = Envelope {
            request_id: "r".into(),
            model: "m".into(),
            created: 0,
            include_usage: true,
        };
        let text = |text: &str| ChatEvent::Text {
            choice: 0,
            text: text.into(),
            logprobs: None,
        };
        let events = vec![
            ChatEvent::Reasoning {
                choice: 0,
                text: "hm".into(),
            },
            ChatEvent::ReasoningSignature {
                choice: 0,
                signature: "s".into(),
            },
            text("a"),
            text("b"),
            ChatEvent::ToolStart {
                choice: 0,
                tool: 0,
                id: "c.1".into(),
                name: "f".into(),
            },
            ChatEvent::ToolStart {
                choice: 0,
                tool: 1,
                id: "d".into(),
                name: "g".into(),
            },
            ChatEvent::ToolArguments {
                choice: 0,
                tool: 0,
                fragment: "{\"x\":1}".into(),
            },
            ChatEvent::ToolArguments {
                choice: 0,
                tool: 1,
                fragment: "nonsense".into(),
            },
            ChatEvent::Finish {
                choice: 0,
                reason: FinishReason::ToolCalls,
            },
        ];
        let message: Value = serde_json::from_slice(&message(envelope, events)).unwrap();
        assert_eq!(
            message["content"],
            json!([
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "ab"},
                {"type": "tool_use", "id": "c_1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "d", "name": "g", "input": {"__invalid_json": "nonsense"}},
            ])
        );
        assert_eq!(
            (&message["id"], &message["stop_reason"]),
            (&json!("msg_r"), &json!("tool_use"))
        );
    }
}
