//! Streamed answers in the Anthropic dialect: one `message_start`, contiguous blocks of which one is open at a time,
//! one `message_delta`, one `message_stop`; each frame with its `event:` line.
//!
//! Raw events pass as they are; the decoder has checked their order. Typed events may interleave tool calls, as
//! OpenAI's do; blocks may not. Pieces of a call that is not the open one wait until the open one is done.

use crate::dialect::Envelope;
use crate::error::ApiError;
use crate::event::{ChatEvent, FinishReason, Start};
use crate::sse::write_named;
use crate::usage::Usage;
use bytes::BytesMut;
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Tool(u32),
}

/// A tool call that waits for its turn.
struct Waiting {
    tool: u32,
    id: String,
    name: String,
    arguments: String,
}

/// Writer of one streamed message.
pub struct MessagesWriter {
    envelope: Envelope,
    start: Start,
    usage: Usage,
    begun: bool,
    /// Raw events were written: the provider's own `message_delta` has been sent.
    raw: bool,
    open: Option<Block>,
    /// Index of the next block.
    next: u32,
    waiting: Vec<Waiting>,
    finish: Option<FinishReason>,
}

/// Tool ids as Anthropic accepts them back: letters, digits, `_` and `-`.
pub(super) fn tool_id(id: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            c
        } else {
            '_'
        }
    };
    if id.is_empty() {
        "toolu_0".to_owned()
    } else {
        id.chars().map(plain).collect()
    }
}

/// Ids of messages begin with `msg_`.
pub(super) fn message_id(start: &Start, envelope: &Envelope) -> String {
    let id = if start.id.is_empty() {
        &envelope.request_id
    } else {
        &start.id
    };
    if id.starts_with("msg_") {
        id.clone()
    } else {
        format!("msg_{id}")
    }
}

/// The provider's model name, or the one asked for.
pub(super) fn model<'a>(start: &'a Start, envelope: &'a Envelope) -> &'a str {
    if start.model.is_empty() {
        &envelope.model
    } else {
        &start.model
    }
}

fn frame(name: &str, data: &Value, out: &mut BytesMut) {
    write_named(out, name, data.to_string().as_bytes());
}

impl MessagesWriter {
    /// A writer for one answer.
    pub fn new(envelope: Envelope) -> Self {
        MessagesWriter {
            envelope,
            start: Start::default(),
            usage: Usage::default(),
            begun: false,
            raw: false,
            open: None,
            next: 0,
            waiting: Vec::new(),
            finish: None,
        }
    }

    /// Writes one event. Only the first choice has a place in this dialect.
    pub fn write(&mut self, event: ChatEvent, out: &mut BytesMut) {
        match event {
            ChatEvent::Raw(raw) | ChatEvent::RawBody(raw) => {
                self.raw = true;
                write_named(out, raw.name.as_deref().unwrap_or("message"), &raw.data);
            }
            ChatEvent::Start(start) => self.start = start,
            ChatEvent::Usage(usage) => self.usage = usage,
            ChatEvent::Text {
                choice: 0, text, ..
            }
            | ChatEvent::Refusal { choice: 0, text } => {
                self.delta(Block::Text, &text, out);
            }
            ChatEvent::Reasoning { choice: 0, text } => self.delta(Block::Thinking, &text, out),
            ChatEvent::ReasoningSignature {
                choice: 0,
                signature,
            } => self.signature(&signature, out),
            ChatEvent::RedactedReasoning { choice: 0, data } => {
                self.close(out);
                self.open_block(&json!({ "type": "redacted_thinking", "data": data }), out);
                self.stop_block(out);
            }
            ChatEvent::ToolStart {
                choice: 0,
                tool,
                id,
                name,
            } => self.tool_start(tool, id, name, out),
            ChatEvent::ToolArguments {
                choice: 0,
                tool,
                fragment,
            } => self.tool_arguments(tool, &fragment, out),
            ChatEvent::Finish { choice: 0, reason } => self.finish = Some(reason),
            ChatEvent::Text { .. }
            | ChatEvent::Refusal { .. }
            | ChatEvent::Reasoning { .. }
            | ChatEvent::ReasoningSignature { .. }
            | ChatEvent::RedactedReasoning { .. }
            | ChatEvent::ToolStart { .. }
            | ChatEvent::ToolArguments { .. }
            | ChatEvent::Finish { .. } => {}
        }
    }

    /// Ends a complete answer.
    pub fn end(&mut self, out: &mut BytesMut) {
        if !self.raw {
            self.begin(out);
            self.close(out);
            self.flush_waiting(out);
            let reason = self.finish.take().unwrap_or(FinishReason::Stop);
            let sequence = if let FinishReason::StopSequence(text) = &reason {
                text.clone()
            } else {
                None
            };
            let delta = json!({ "stop_reason": reason.to_anthropic(), "stop_sequence": sequence });
            let usage = self.usage.to_anthropic();
            frame(
                "message_delta",
                &json!({ "type": "message_delta", "delta": delta, "usage": usage }),
                out,
            );
        }
        frame("message_stop", &json!({ "type": "message_stop" }), out);
    }

    /// Ends an answer that broke off.
    pub fn fail(&mut self, error: &ApiError, out: &mut BytesMut) {
        frame("error", &error.to_anthropic(&self.envelope.request_id), out);
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let mut usage = self.usage;
        usage.output = 0;
        let message = json!({
            "id": message_id(&self.start, &self.envelope), "type": "message", "role": "assistant",
            "model": model(&self.start, &self.envelope), "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage.to_anthropic(),
        });
        frame(
            "message_start",
            &json!({ "type": "message_start", "message": message }),
            out,
        );
    }

    fn open_block(&mut self, block: &Value, out: &mut BytesMut) {
        self.begin(out);
        let start =
            json!({ "type": "content_block_start", "index": self.next, "content_block": block });
        frame("content_block_start", &start, out);
    }

    fn stop_block(&mut self, out: &mut BytesMut) {
        frame(
            "content_block_stop",
            &json!({ "type": "content_block_stop", "index": self.next }),
            out,
        );
        self.next += 1;
        self.open = None;
    }

    fn close(&mut self, out: &mut BytesMut) {
        if self.open.is_some() {
            self.stop_block(out);
        }
    }

    fn block_delta(&self, delta: &Value, out: &mut BytesMut) {
        let data = json!({ "type": "content_block_delta", "index": self.next, "delta": delta });
        frame("content_block_delta", &data, out);
    }

    fn delta(&mut self, block: Block, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        if self.open != Some(block) {
            self.close(out);
            let empty = match block {
                Block::Thinking => json!({ "type": "thinking", "thinking": "", "signature": "" }),
                Block::Text | Block::Tool(_) => json!({ "type": "text", "text": "" }),
            };
            self.open_block(&empty, out);
            self.open = Some(block);
        }
        let delta = match block {
            Block::Thinking => json!({ "type": "thinking_delta", "thinking": text }),
            Block::Text | Block::Tool(_) => json!({ "type": "text_delta", "text": text }),
        };
        self.block_delta(&delta, out);
    }

    fn signature(&mut self, signature: &str, out: &mut BytesMut) {
        if self.open != Some(Block::Thinking) {
            self.close(out);
            self.open_block(
                &json!({ "type": "thinking", "thinking": "", "signature": "" }),
                out,
            );
            self.open = Some(Block::Thinking);
        }
        self.block_delta(
            &json!({ "type": "signature_delta", "signature": signature }),
            out,
        );
        self.close(out);
    }

    fn tool_start(&mut self, tool: u32, id: String, name: String, out: &mut BytesMut) {
        if matches!(self.open, Some(Block::Tool(_))) {
            self.waiting.push(Waiting {
                tool,
                id,
                name,
                arguments: String::new(),
            });
            return;
        }
        self.close(out);
        self.open_block(
            &json!({ "type": "tool_use", "id": tool_id(&id), "name": name, "input": {} }),
            out,
        );
        self.open = Some(Block::Tool(tool));
    }

    fn tool_arguments(&mut self, tool: u32, fragment: &str, out: &mut BytesMut) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.tool == tool) {
            waiting.arguments.push_str(fragment);
        } else if self.open == Some(Block::Tool(tool)) && !fragment.is_empty() {
            self.block_delta(
                &json!({ "type": "input_json_delta", "partial_json": fragment }),
                out,
            );
        }
    }

    fn flush_waiting(&mut self, out: &mut BytesMut) {
        for call in std::mem::take(&mut self.waiting) {
            self.tool_start(call.tool, call.id, call.name, out);
            self.tool_arguments(call.tool, &call.arguments, out);
            self.close(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(events: Vec<ChatEvent>) -> Vec<(String, Value)> {
        let envelope = Envelope {
            request_id: "r".into(),
            model: "m".into(),
            created: 0,
            include_usage: true,
        };
        let mut writer = MessagesWriter::new(envelope);
        let mut out = BytesMut::new();
        for event in events {
            writer.write(event, &mut out);
        }
        writer.end(&mut out);
        let mut decoder = crate::sse::SseDecoder::default();
        decoder.push(&out);
        let mut frames = Vec::new();
        while let Some(event) = decoder.next_event().unwrap() {
            frames.push((
                event.name.unwrap().into(),
                serde_json::from_slice(&event.data).unwrap(),
            ));
        }
        frames
    }

    /// The state machine of the Messages stream, as strict as its clients.
    fn validate(frames: &[(String, Value)]) -> Result<(), String> {
        let names: Vec<&str> = frames.iter().map(|(name, _)| name.as_str()).collect();
        if names.first() != Some(&"message_start") || names.last() != Some(&"message_stop") {
            return Err(format!("begins or ends wrongly: {names:?}"));
        }
        let mut open: Option<(u64, String)> = None;
        let mut next = 0;
        for (name, data) in &frames[1..frames.len() - 1] {
            if data["type"] != name.as_str() {
                return Err(format!("event {name} with type {}", data["type"]));
            }
            let index = data["index"].as_u64();
            match name.as_str() {
                "content_block_start" if open.is_none() && index == Some(next) => {
                    open = Some((next, data["content_block"]["type"].as_str().unwrap().into()));
                }
                "content_block_delta" => {
                    let (at, kind) = open.as_ref().ok_or("delta outside a block")?;
                    let fits = matches!(
                        (kind.as_str(), data["delta"]["type"].as_str().unwrap()),
                        ("text", "text_delta")
                            | ("tool_use", "input_json_delta")
                            | ("thinking", "thinking_delta" | "signature_delta")
                    );
                    if !fits || index != Some(*at) {
                        return Err(format!("{data} in a {kind} block {at}"));
                    }
                }
                "content_block_stop" if open.as_ref().map(|(at, _)| *at) == index => {
                    open = None;
                    next += 1;
                }
                "message_delta" if open.is_none() => {}
                other => return Err(format!("unexpected {other}: {data}")),
            }
        }
        Ok(())
    }

    fn event() -> impl Strategy<Value = ChatEvent> {
        prop_oneof![
            "[a-z]{0,3}".prop_map(|text| ChatEvent::Text {
                choice: 0,
                text,
                logprobs: None
            }),
            "[a-z]{0,3}".prop_map(|text| ChatEvent::Reasoning { choice: 0, text }),
            Just(ChatEvent::ReasoningSignature {
                choice: 0,
                signature: "s".into()
            }),
            Just(ChatEvent::RedactedReasoning {
                choice: 0,
                data: "d".into()
            }),
            (0u32..3).prop_map(|tool| ChatEvent::ToolStart {
                choice: 0,
                tool,
                id: "i d".into(),
                name: "f".into()
            }),
            (0u32..3).prop_map(|tool| ChatEvent::ToolArguments {
                choice: 0,
                tool,
                fragment: "{}".into()
            }),
            Just(ChatEvent::Usage(Usage {
                output: 3,
                ..Usage::default()
            })),
        ]
    }

    proptest! {
        #[test]
        fn any_order_of_events_keeps_the_state_machine(events in proptest::collection::vec(event(), 0..30)) {
            let frames = run(events);
            prop_assert_eq!(validate(&frames), Ok(()), "{:?}", frames);
        }
    }

    #[test]
    fn interleaved_calls_are_written_one_after_the_other() {
        let call = |tool, id: &str| ChatEvent::ToolStart {
            choice: 0,
            tool,
            id: id.into(),
            name: "f".into(),
        };
        let arguments = |tool, text: &str| ChatEvent::ToolArguments {
            choice: 0,
            tool,
            fragment: text.into(),
        };
        let frames = run(vec![
            call(0, "a"),
            arguments(0, "{\"x\""),
            call(1, "b"),
            arguments(1, "{}"),
            arguments(0, ":1}"),
            ChatEvent::Finish {
                choice: 0,
                reason: FinishReason::ToolCalls,
            },
            ChatEvent::Usage(Usage {
                output: 9,
                ..Usage::default()
            }),
        ]);
        validate(&frames).unwrap();
        let pieces: Vec<_> = frames
            .iter()
            .filter(|(name, _)| name == "content_block_delta")
            .collect();
        let text = |at: usize| pieces[at].1["delta"]["partial_json"].as_str().unwrap();
        assert_eq!([text(0), text(1), text(2)], ["{\"x\"", ":1}", "{}"]);
        let delta = &frames[frames.len() - 2].1;
        assert_eq!(
            (
                &delta["delta"]["stop_reason"],
                &delta["usage"]["output_tokens"]
            ),
            (&json!("tool_use"), &json!(9))
        );
    }
}
