//! What an answer said, gathered while it passes.
//!
//! Typed events carry their text. Of raw ones the few members that hold text are read; nothing is kept but text, so that
//! an answer in thousands of pieces costs what its text costs. Runs in the masked zone: before anything is restored.

use aplomb_core::event::{ChatEvent, Raw};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most bytes of text that are kept of an answer. Chosen: beyond any model's output bound today.
const BYTES_MAX: usize = 1024 * 1024;

/// One tool call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Name of the function.
    pub name: String,
    /// Its arguments: JSON text as the model wrote it.
    pub arguments: String,
}

/// The text of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Visible text of each choice (OpenAI) or all text blocks (Anthropic), refusals included.
    pub texts: BTreeMap<u32, String>,
    /// Reasoning, all choices.
    pub reasoning: String,
    /// Tool calls by choice and number.
    pub calls: BTreeMap<(u32, u32), Call>,
    /// Text over the bound was left out.
    pub truncated: bool,
    len: usize,
}

#[derive(Deserialize)]
struct OpenAiChunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<OpenAiChoice<'a>>,
}

#[derive(Deserialize)]
struct OpenAiChoice<'a> {
    #[serde(default)]
    index: u32,
    /// Of a stream.
    #[serde(borrow, default)]
    delta: Option<OpenAiMessage<'a>>,
    /// Of a whole answer.
    #[serde(borrow, default)]
    message: Option<OpenAiMessage<'a>>,
    /// Of the legacy operation.
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct OpenAiMessage<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<OpenAiCall<'a>>>,
}

#[derive(Deserialize)]
struct OpenAiCall<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    function: Option<OpenAiFunction<'a>>,
}

#[derive(Deserialize)]
struct OpenAiFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct AnthropicFrame<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    content_block: Option<AnthropicBlock<'a>>,
    #[serde(borrow, default)]
    delta: Option<AnthropicBlock<'a>>,
    /// Of a whole answer.
    #[serde(borrow, default)]
    content: Vec<AnthropicBlock<'a>>,
}

#[derive(Deserialize)]
struct AnthropicBlock<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    partial_json: Option<Cow<'a, str>>,
    #[serde(default)]
    input: Option<Value>,
}

impl Transcript {
    /// Bytes of text.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes what an event says. Runs once per event, in order.
    pub fn on_event(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::Text { choice, text, .. } | ChatEvent::Refusal { choice, text } => {
                self.text(*choice, text)
            }
            ChatEvent::Reasoning { text, .. } => self.reason(text),
            ChatEvent::ToolStart {
                choice, tool, name, ..
            } => self.call((*choice, *tool), name, ""),
            ChatEvent::ToolArguments {
                choice,
                tool,
                fragment,
            } => self.call((*choice, *tool), "", fragment),
            ChatEvent::Raw(raw) if !raw.facts.content => {}
            ChatEvent::Raw(raw) | ChatEvent::RawBody(raw) => self.raw(raw),
            ChatEvent::Start(_)
            | ChatEvent::Usage(_)
            | ChatEvent::Finish { .. }
            | ChatEvent::ReasoningSignature { .. }
            | ChatEvent::RedactedReasoning { .. } => {}
        }
    }

    fn text(&mut self, choice: u32, piece: &str) {
        let room = self.room(piece);
        self.texts.entry(choice).or_default().push_str(room);
    }

    fn reason(&mut self, piece: &str) {
        let room = self.room(piece);
        self.reasoning.push_str(room);
    }

    fn call(&mut self, key: (u32, u32), name: &str, arguments: &str) {
        let (name, arguments) = (self.room(name), self.room(arguments));
        let call = self.calls.entry(key).or_default();
        call.name.push_str(name);
        call.arguments.push_str(arguments);
    }

    /// As much of a piece as there is room for.
    fn room<'p>(&mut self, piece: &'p str) -> &'p str {
        let mut end = piece.len().min(BYTES_MAX.saturating_sub(self.len));
        while !piece.is_char_boundary(end) {
            end -= 1;
        }
        self.truncated |= end < piece.len();
        self.len += end;
        piece.get(..end).unwrap_or_default()
    }

    fn raw(&mut self, raw: &Raw) {
        // Named events and bodies with `content` blocks are Anthropic's; what has neither holds no text.
        if raw.name.is_none()
            && let Ok(chunk) = serde_json::from_slice::<OpenAiChunk<'_>>(&raw.data)
            && !chunk.choices.is_empty()
        {
            return chunk
                .choices
                .into_iter()
                .for_each(|choice| self.openai(choice));
        }
        if let Ok(frame) = serde_json::from_slice::<AnthropicFrame<'_>>(&raw.data) {
            self.anthropic(frame);
        }
    }

    fn openai(&mut self, choice: OpenAiChoice<'_>) {
        let index = choice.index;
        if let Some(text) = &choice.text {
            self.text(index, text);
        }
        let Some(message) = choice.delta.or(choice.message) else {
            return;
        };
        for text in [&message.content, &message.refusal].into_iter().flatten() {
            self.text(index, text);
        }
        if let Some(text) = message.reasoning_content.or(message.reasoning) {
            self.reason(&text);
        }
        for (at, call) in message.tool_calls.into_iter().flatten().enumerate() {
            let number = call.index.or(u32::try_from(at).ok()).unwrap_or(0);
            if let Some(function) = call.function {
                let (name, arguments) = (
                    function.name.unwrap_or_default(),
                    function.arguments.unwrap_or_default(),
                );
                self.call((index, number), &name, &arguments);
            }
        }
    }

    fn anthropic(&mut self, frame: AnthropicFrame<'_>) {
        let index = frame.index;
        let streamed = frame.content_block.into_iter().chain(frame.delta);
        streamed.for_each(|block| self.block(index, block));
        for (at, block) in frame.content.into_iter().enumerate() {
            self.block(u32::try_from(at).unwrap_or(u32::MAX), block);
        }
    }

    fn block(&mut self, index: u32, block: AnthropicBlock<'_>) {
        if let Some(text) = &block.text {
            self.text(0, text);
        }
        if let Some(text) = &block.thinking {
            self.reason(text);
        }
        if let Some(name) = &block.name {
            // A streamed call begins with an empty input; its arguments follow in pieces.
            let input = block
                .input
                .filter(|input| input.as_object().is_some_and(|input| !input.is_empty()));
            self.call(
                (0, index),
                name,
                &input.map(|input| input.to_string()).unwrap_or_default(),
            );
        } else if let Some(piece) = &block.partial_json {
            self.call((0, index), "", piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aplomb_core::event::Facts;
    use bytes::Bytes;

    fn raw(name: Option<&str>, data: &str) -> ChatEvent {
        ChatEvent::Raw(Raw {
            name: name.map(Into::into),
            data: Bytes::copy_from_slice(data.as_bytes()),
            facts: Facts {
                content: true,
                ..Facts::default()
            },
        })
    }

    fn said(events: &[ChatEvent]) -> Transcript {
        let mut transcript = Transcript::default();
        events.iter().for_each(|event| transcript.on_event(event));
        transcript
    }

    #[test]
    fn openai_chunks_and_bodies_are_read() {
        let stream = said(&[
            raw(
                None,
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi \"you\""}}]}"#,
            ),
            raw(
                None,
                r#"{"choices":[{"index":0,"delta":{"content":"!","tool_calls":null}}]}"#,
            ),
            raw(
                None,
                r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm","tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"a\":"}}]}}]}"#,
            ),
            raw(
                None,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
            ),
        ]);
        assert_eq!(
            stream.texts.get(&0).map(String::as_str),
            Some("Hi \"you\"!")
        );
        assert_eq!(stream.reasoning, "hm");
        let call = Call {
            name: "f".into(),
            arguments: "{\"a\":1}".into(),
        };
        assert_eq!(stream.calls.get(&(0, 0)), Some(&call));
        let body = said(&[raw(
            None,
            r#"{"choices":[{"index":0,"message":{"content":"a"}},{"index":1,"message":{"content":"b"}}]}"#,
        )]);
        assert_eq!(body.texts.values().cloned().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn anthropic_frames_and_bodies_are_read() {
        let stream = said(&[
            raw(
                Some("content_block_start"),
                r#"{"index":0,"content_block":{"type":"text","text":""}}"#,
            ),
            raw(
                Some("content_block_delta"),
                r#"{"index":0,"delta":{"type":"text_delta","text":"Hé"}}"#,
            ),
            raw(
                Some("content_block_start"),
                r#"{"index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            ),
            raw(
                Some("content_block_delta"),
                r#"{"index":1,"delta":{"partial_json":"{\"a\":2}"}}"#,
            ),
        ]);
        let body = said(&[raw(
            None,
            r#"{"content":[{"type":"text","text":"Hé"},{"type":"tool_use","name":"f","input":{"a":2}}]}"#,
        )]);
        assert_eq!(stream.texts.get(&0).map(String::as_str), Some("Hé"));
        assert_eq!(stream.calls, body.calls);
        assert_eq!(stream.texts, body.texts);
    }

    #[test]
    fn text_is_bounded() {
        let mut transcript = Transcript::default();
        let piece = "é".repeat(300_000);
        for _ in 0..2 {
            transcript.on_event(&ChatEvent::Text {
                choice: 0,
                text: piece.clone(),
                logprobs: None,
            });
        }
        assert_eq!((transcript.len(), transcript.truncated), (BYTES_MAX, true));
    }
}
