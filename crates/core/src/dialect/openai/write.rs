//! Streamed answers in the OpenAI dialect.
//!
//! Raw events pass as they are; typed events become chunks. The usage chunk (`choices: []`) is written once,
//! last, and only if the client asked for it.

use crate::dialect::Envelope;
use crate::error::ApiError;
use crate::event::{ChatEvent, FinishReason, Start};
use crate::sse::write_data;
use crate::usage::Usage;
use bytes::BytesMut;
use serde_json::{Map, Value, json};

/// Writes the error event that ends a broken stream: `data: {"error": {...}}`. No `[DONE]` follows.
pub fn error_event(error: &ApiError, out: &mut BytesMut) {
    write_data(out, error.to_openai().to_string().as_bytes());
}

/// Members that every chunk of an answer carries.
pub(super) struct Frame {
    envelope: Envelope,
    start: Start,
}

impl Frame {
    pub(super) fn new(envelope: Envelope) -> Self {
        Frame {
            envelope,
            start: Start::default(),
        }
    }

    pub(super) fn start(&mut self, start: Start) {
        self.start = start;
    }

    /// An answer or chunk of the given `object` type with its identity and `choices`.
    pub(super) fn object(
        &self,
        object: &str,
        id_prefix: &str,
        choices: Value,
    ) -> Map<String, Value> {
        let mut members = Map::new();
        let id = if self.start.id.is_empty() {
            format!("{id_prefix}{}", self.envelope.request_id)
        } else {
            self.start.id.clone()
        };
        let created = if self.start.created == 0 {
            self.envelope.created
        } else {
            self.start.created
        };
        let model = if self.start.model.is_empty() {
            &self.envelope.model
        } else {
            &self.start.model
        };
        members.insert("id".into(), id.into());
        members.insert("object".into(), object.into());
        members.insert("created".into(), created.into());
        members.insert("model".into(), model.as_str().into());
        members.insert("choices".into(), choices);
        for (name, value) in &self.start.extra {
            members.insert(name.clone(), value.clone());
        }
        members
    }
}

/// Writer of `chat.completion.chunk`s.
pub struct ChatWriter {
    frame: Frame,
    include_usage: bool,
    usage: Option<Usage>,
    /// Choices whose role has been announced.
    announced: Vec<u32>,
}

impl ChatWriter {
    /// A writer for one answer.
    pub fn new(envelope: Envelope) -> Self {
        let include_usage = envelope.include_usage;
        ChatWriter {
            frame: Frame::new(envelope),
            include_usage,
            usage: None,
            announced: Vec::new(),
        }
    }

    /// Writes one event.
    pub fn write(&mut self, event: ChatEvent, out: &mut BytesMut) {
        match event {
            ChatEvent::Raw(raw) | ChatEvent::RawBody(raw) => {
                // Raw streams bring their own usage chunk.
                self.include_usage = false;
                write_data(out, &raw.data);
            }
            ChatEvent::Start(start) => self.frame.start(start),
            ChatEvent::Usage(usage) => self.usage = Some(usage),
            ChatEvent::Finish { choice, reason } => self.finish(choice, &reason, out),
            ChatEvent::Text {
                choice,
                text,
                logprobs,
            } => {
                self.delta(choice, json!({ "content": text }), logprobs, out);
            }
            ChatEvent::Refusal { choice, text } => {
                self.delta(choice, json!({ "refusal": text }), None, out)
            }
            ChatEvent::Reasoning { choice, text } => {
                self.delta(choice, json!({ "reasoning_content": text }), None, out);
            }
            ChatEvent::ReasoningSignature { choice, signature } => {
                let blocks = json!([{ "type": "thinking", "signature": signature }]);
                self.delta(choice, json!({ "thinking_blocks": blocks }), None, out);
            }
            ChatEvent::RedactedReasoning { choice, data } => {
                let blocks = json!([{ "type": "redacted_thinking", "data": data }]);
                self.delta(choice, json!({ "thinking_blocks": blocks }), None, out);
            }
            ChatEvent::ToolStart {
                choice,
                tool,
                id,
                name,
            } => {
                let call = json!([{ "index": tool, "id": id, "type": "function",
                    "function": { "name": name, "arguments": "" } }]);
                self.delta(choice, json!({ "tool_calls": call }), None, out);
            }
            ChatEvent::ToolArguments {
                choice,
                tool,
                fragment,
            } => {
                let call = json!([{ "index": tool, "function": { "arguments": fragment } }]);
                self.delta(choice, json!({ "tool_calls": call }), None, out);
            }
        }
    }

    /// Ends a complete answer.
    pub fn end(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.filter(|_| self.include_usage) {
            let mut chunk = self
                .frame
                .object("chat.completion.chunk", "chatcmpl-", json!([]));
            chunk.insert("usage".into(), usage.to_openai());
            write_data(out, Value::Object(chunk).to_string().as_bytes());
        }
        write_data(out, b"[DONE]");
    }

    fn delta(
        &mut self,
        choice: u32,
        mut delta: Value,
        logprobs: Option<Value>,
        out: &mut BytesMut,
    ) {
        if !self.announced.contains(&choice) {
            self.announced.push(choice);
            let content = json!({ "role": "assistant", "content": "" });
            self.chunk(json!({ "index": choice, "delta": content, "logprobs": null, "finish_reason": null }), out);
        }
        let delta = delta.take();
        self.chunk(
            json!({ "index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": null }),
            out,
        );
    }

    fn finish(&mut self, choice: u32, reason: &FinishReason, out: &mut BytesMut) {
        if !self.announced.contains(&choice) {
            self.delta(choice, json!({ "content": "" }), None, out);
        }
        let reason = reason.to_openai();
        self.chunk(
            json!({ "index": choice, "delta": {}, "logprobs": null, "finish_reason": reason }),
            out,
        );
    }

    fn chunk(&self, choice: Value, out: &mut BytesMut) {
        let mut chunk = self
            .frame
            .object("chat.completion.chunk", "chatcmpl-", json!([choice]));
        if self.include_usage {
            chunk.insert("usage".into(), Value::Null);
        }
        write_data(out, Value::Object(chunk).to_string().as_bytes());
    }
}

/// Writer of legacy `text_completion` chunks. Only text has a place in them.
pub struct CompletionWriter {
    frame: Frame,
    include_usage: bool,
    usage: Option<Usage>,
}

impl CompletionWriter {
    /// A writer for one answer.
    pub fn new(envelope: Envelope) -> Self {
        let include_usage = envelope.include_usage;
        CompletionWriter {
            frame: Frame::new(envelope),
            include_usage,
            usage: None,
        }
    }

    /// Writes one event.
    pub fn write(&mut self, event: ChatEvent, out: &mut BytesMut) {
        match event {
            ChatEvent::Raw(raw) | ChatEvent::RawBody(raw) => {
                // Raw streams bring their own usage chunk.
                self.include_usage = false;
                write_data(out, &raw.data);
            }
            ChatEvent::Start(start) => self.frame.start(start),
            ChatEvent::Usage(usage) => self.usage = Some(usage),
            ChatEvent::Text { choice, text, .. } | ChatEvent::Refusal { choice, text } => {
                self.chunk(json!({ "index": choice, "text": text, "logprobs": null, "finish_reason": null }), out);
            }
            ChatEvent::Finish { choice, reason } => {
                let reason = reason.to_openai();
                self.chunk(json!({ "index": choice, "text": "", "logprobs": null, "finish_reason": reason }), out);
            }
            ChatEvent::Reasoning { .. }
            | ChatEvent::ReasoningSignature { .. }
            | ChatEvent::RedactedReasoning { .. }
            | ChatEvent::ToolStart { .. }
            | ChatEvent::ToolArguments { .. } => {}
        }
    }

    /// Ends a complete answer.
    pub fn end(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.filter(|_| self.include_usage) {
            let mut chunk = self.frame.object("text_completion", "cmpl-", json!([]));
            chunk.insert("usage".into(), usage.to_openai());
            write_data(out, Value::Object(chunk).to_string().as_bytes());
        }
        write_data(out, b"[DONE]");
    }

    fn chunk(&self, choice: Value, out: &mut BytesMut) {
        let chunk = self
            .frame
            .object("text_completion", "cmpl-", json!([choice]));
        write_data(out, Value::Object(chunk).to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(include_usage: bool) -> Envelope {
        Envelope {
            request_id: "r1".into(),
            model: "chat".into(),
            created: 7,
            include_usage,
        }
    }

    fn written(include_usage: bool, events: Vec<ChatEvent>) -> Vec<String> {
        let mut writer = ChatWriter::new(envelope(include_usage));
        let mut out = BytesMut::new();
        for event in events {
            writer.write(event, &mut out);
        }
        writer.end(&mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        text.split_terminator("\n\n")
            .map(|frame| frame.strip_prefix("data: ").unwrap().to_owned())
            .collect()
    }

    #[test]
    fn raw_streams_bring_their_own_usage_chunk() {
        let raw = crate::event::Raw {
            name: None,
            data: bytes::Bytes::from_static(b"{}"),
            facts: crate::event::Facts::default(),
        };
        let usage = Usage {
            output: 2,
            ..Usage::default()
        };
        assert_eq!(
            written(true, vec![ChatEvent::Raw(raw), ChatEvent::Usage(usage)]),
            ["{}", "[DONE]"]
        );
    }

    #[test]
    fn text_is_announced_once_and_ends_with_done() {
        let text = |text: &str| ChatEvent::Text {
            choice: 0,
            text: text.into(),
            logprobs: None,
        };
        let frames = written(
            true,
            vec![
                text("a"),
                text("b"),
                ChatEvent::Finish {
                    choice: 0,
                    reason: FinishReason::Stop,
                },
                ChatEvent::Usage(Usage {
                    input: 3,
                    output: 2,
                    ..Usage::default()
                }),
            ],
        );
        let json: Vec<Value> = frames[..frames.len() - 1]
            .iter()
            .map(|f| serde_json::from_str(f).unwrap())
            .collect();
        assert_eq!(json[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(json[1]["choices"][0]["delta"], json!({"content": "a"}));
        assert_eq!(json[3]["choices"][0]["finish_reason"], "stop");
        assert_eq!(json[3]["usage"], Value::Null);
        assert_eq!(json[4]["choices"], json!([]));
        assert_eq!(json[4]["usage"]["prompt_tokens"], 3);
        assert_eq!(frames.last().unwrap(), "[DONE]");
    }

    #[test]
    fn usage_is_not_written_unasked() {
        let frames = written(false, vec![ChatEvent::Usage(Usage::default())]);
        assert_eq!(frames, ["[DONE]"]);
    }

    #[test]
    fn tool_calls_name_themselves_once() {
        let frames = written(
            false,
            vec![
                ChatEvent::ToolStart {
                    choice: 0,
                    tool: 1,
                    id: "c".into(),
                    name: "f".into(),
                },
                ChatEvent::ToolArguments {
                    choice: 0,
                    tool: 1,
                    fragment: "{}".into(),
                },
            ],
        );
        let first: Value = serde_json::from_str(&frames[1]).unwrap();
        let second: Value = serde_json::from_str(&frames[2]).unwrap();
        assert_eq!(
            first["choices"][0]["delta"]["tool_calls"][0]["function"]["name"],
            "f"
        );
        assert_eq!(
            second["choices"][0]["delta"]["tool_calls"][0],
            json!({"index": 1, "function": {"arguments": "{}"}})
        );
    }
}
