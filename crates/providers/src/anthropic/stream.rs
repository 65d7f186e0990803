//! Streams of the Messages API, checked against its state machine.
//!
//! `message_stop` is not passed on: the writer ends the answer. Doubled `message_start`s are dropped, as are pings
//! before the first content, and content and a second stop reason after the first. A stop reason makes the answer whole
//! even if `message_stop` is missing.

use super::error::{in_band, malformed};
use crate::decode::{Lane, Step, StreamDecoder};
use crate::fault::{FaultKind, UpstreamFault};
use aplomb_core::event::{ChatEvent, Facts, FinishReason, Raw, Start};
use aplomb_core::sse::SseEvent;
use aplomb_core::usage::Usage;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
}

#[derive(Deserialize)]
struct MessageHead {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    usage: Value,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    /// Number of the call.
    Tool(u32),
    Other,
}

/// Decoder of one stream.
pub struct AnthropicStream {
    lane: Lane,
    started: bool,
    content: bool,
    open: Option<(u32, Kind)>,
    tools: u32,
    stopped: bool,
    usage: Usage,
    counted: bool,
    completed: bool,
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

fn size(raw: Option<&RawValue>) -> u32 {
    raw.map_or(0, |raw| {
        u32::try_from(raw.get().len().saturating_sub(2)).unwrap_or(u32::MAX)
    })
}

impl AnthropicStream {
    /// A decoder for one stream.
    pub fn new(lane: Lane) -> Self {
        AnthropicStream {
            lane,
            started: false,
            content: false,
            open: None,
            tools: 0,
            stopped: false,
            usage: Usage::default(),
            counted: false,
            completed: false,
        }
    }

    fn pass(&mut self, name: &str, data: &Bytes, facts: Facts, out: &mut Vec<ChatEvent>) {
        self.content |= facts.content;
        if self.lane == Lane::Native {
            out.push(ChatEvent::Raw(Raw {
                name: Some(name.into()),
                data: data.clone(),
                facts,
            }));
        }
    }

    fn count(&mut self, usage: &Value) {
        if usage.is_object() {
            self.usage.merge_anthropic(usage);
            self.counted = true;
        }
    }

    fn message_start(
        &mut self,
        frame: &Frame<'_>,
        data: &Bytes,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), UpstreamFault> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        let head: MessageHead = frame
            .message
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .ok_or_else(|| {
                malformed("the provider began its answer with an event that is no message")
            })?;
        self.count(&head.usage);
        out.push(ChatEvent::Start(Start {
            id: head.id,
            model: head.model,
            created: 0,
            extra: Map::new(),
        }));
        if self.lane == Lane::Typed && self.counted {
            out.push(ChatEvent::Usage(self.usage));
        }
        self.pass("message_start", data, Facts::default(), out);
        Ok(())
    }

    fn block_start(
        &mut self,
        frame: &Frame<'_>,
        data: &Bytes,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), UpstreamFault> {
        let block: Value = frame
            .content_block
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .ok_or_else(|| malformed("the provider opened a content block without saying which"))?;
        if self.open.is_some() {
            return Err(malformed(
                "the provider opened a content block while another was open",
            ));
        }
        let member = |name: &str| {
            block
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let typed = self.lane == Lane::Typed;
        let mut facts = Facts::default();
        let kind = match block.get("type").and_then(Value::as_str) {
            Some("text") => {
                if typed && !member("text").is_empty() {
                    out.push(ChatEvent::Text {
                        choice: 0,
                        text: member("text"),
                        logprobs: None,
                    });
                }
                facts.content = !member("text").is_empty();
                Kind::Text
            }
            Some("thinking") => Kind::Thinking,
            Some("redacted_thinking") => {
                facts.content = true;
                if typed {
                    out.push(ChatEvent::RedactedReasoning {
                        choice: 0,
                        data: member("data"),
                    });
                }
                Kind::Other
            }
            Some("tool_use") => {
                facts.content = true;
                let tool = self.tools;
                self.tools += 1;
                if typed {
                    out.push(ChatEvent::ToolStart {
                        choice: 0,
                        tool,
                        id: member("id"),
                        name: member("name"),
                    });
                }
                Kind::Tool(tool)
            }
            _ => Kind::Other,
        };
        self.open = Some((frame.index.unwrap_or(0), kind));
        self.pass("content_block_start", data, facts, out);
        Ok(())
    }

    fn block_delta(
        &mut self,
        frame: &Frame<'_>,
        data: &Bytes,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), UpstreamFault> {
        let wrong = || malformed("the provider sent a piece of a content block that is not open");
        let (index, kind) = self.open.clone().ok_or_else(wrong)?;
        let delta = frame.delta.as_ref().ok_or_else(wrong)?;
        if frame.index.is_some_and(|at| at != index) {
            return Err(wrong());
        }
        let typed = self.lane == Lane::Typed;
        let (content, event) = match (&kind, delta.kind) {
            (Kind::Text, Some("text_delta")) => {
                let event = || {
                    Some(ChatEvent::Text {
                        choice: 0,
                        text: text(delta.text)?,
                        logprobs: None,
                    })
                };
                (
                    size(delta.text),
                    if typed {
                        Some(event().ok_or_else(wrong)?)
                    } else {
                        None
                    },
                )
            }
            (Kind::Thinking, Some("thinking_delta")) => {
                let event = || {
                    Some(ChatEvent::Reasoning {
                        choice: 0,
                        text: text(delta.thinking)?,
                    })
                };
                (
                    size(delta.thinking),
                    if typed {
                        Some(event().ok_or_else(wrong)?)
                    } else {
                        None
                    },
                )
            }
            (Kind::Thinking, Some("signature_delta")) => {
                let event = || {
                    Some(ChatEvent::ReasoningSignature {
                        choice: 0,
                        signature: text(delta.signature)?,
                    })
                };
                (
                    0,
                    if typed {
                        Some(event().ok_or_else(wrong)?)
                    } else {
                        None
                    },
                )
            }
            (Kind::Tool(tool), Some("input_json_delta")) => {
                let event = || {
                    Some(ChatEvent::ToolArguments {
                        choice: 0,
                        tool: *tool,
                        fragment: text(delta.partial_json)?,
                    })
                };
                (
                    size(delta.partial_json),
                    if typed {
                        Some(event().ok_or_else(wrong)?)
                    } else {
                        None
                    },
                )
            }
            // Citations, and whatever comes with blocks that are not known here.
            (Kind::Other, _) | (Kind::Text, Some("citations_delta")) => (0, None),
            _ => return Err(wrong()),
        };
        out.extend(event);
        let facts = Facts {
            content: content > 0,
            output_bytes: content,
            finish: None,
        };
        self.pass("content_block_delta", data, facts, out);
        Ok(())
    }

    fn message_delta(&mut self, frame: &Frame<'_>, data: &Bytes, out: &mut Vec<ChatEvent>) {
        if let Some(usage) = frame
            .usage
            .and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok())
        {
            self.count(&usage);
        }
        let delta = frame.delta.as_ref();
        let reason = delta.and_then(|delta| {
            let word = delta.stop_reason.as_deref()?;
            Some(FinishReason::from_anthropic(
                word,
                delta.stop_sequence.clone(),
            ))
        });
        if reason.is_some() {
            if std::mem::replace(&mut self.stopped, true) {
                return;
            }
            self.close_block(out);
        }
        if self.lane == Lane::Typed
            && let Some(reason) = reason.clone()
        {
            out.push(ChatEvent::Finish { choice: 0, reason });
        }
        let facts = Facts {
            content: reason.is_some(),
            output_bytes: 0,
            finish: reason,
        };
        self.pass("message_delta", data, facts, out);
    }

    /// Closes a block that the provider left open when it ended the message.
    fn close_block(&mut self, out: &mut Vec<ChatEvent>) {
        if let Some((index, _)) = self.open.take() {
            let data =
                Bytes::from(json!({ "type": "content_block_stop", "index": index }).to_string());
            self.pass("content_block_stop", &data, Facts::default(), out);
        }
    }

    fn complete(&mut self, out: &mut Vec<ChatEvent>) {
        if !std::mem::replace(&mut self.completed, true) && self.counted {
            out.push(ChatEvent::Usage(self.usage));
        }
    }
}

impl StreamDecoder for AnthropicStream {
    fn on_event(
        &mut self,
        event: SseEvent,
        out: &mut Vec<ChatEvent>,
    ) -> Result<Step, UpstreamFault> {
        let frame: Frame = serde_json::from_slice(&event.data)
            .map_err(|_| malformed("the provider sent a stream event that is not valid"))?;
        let name = frame
            .kind
            .clone()
            .or_else(|| event.name.as_deref().map(str::to_owned))
            .unwrap_or_default();
        if name == "error" || event.name.as_deref() == Some("error") {
            return Err(in_band(&event.data));
        }
        if name.is_empty()
            && serde_json::from_slice::<Value>(&event.data).is_ok_and(|v| v.get("error").is_some())
        {
            return Err(in_band(&event.data));
        }
        if !self.started && !matches!(name.as_str(), "message_start" | "ping") {
            return Err(malformed(
                "the provider's answer does not begin with message_start",
            ));
        }
        match name.as_str() {
            // An answer that has its stop reason has no more content.
            other if self.stopped && other.starts_with("content_block") => {}
            "message_start" => self.message_start(&frame, &event.data, out)?,
            "ping" if !self.content => {}
            "content_block_start" => self.block_start(&frame, &event.data, out)?,
            "content_block_delta" => self.block_delta(&frame, &event.data, out)?,
            "content_block_stop" => {
                if self.open.take().is_some() {
                    self.pass(&name, &event.data, Facts::default(), out);
                }
            }
            "message_delta" => self.message_delta(&frame, &event.data, out),
            "message_stop" => {
                self.on_end(out)?;
                return Ok(Step::Done);
            }
            // The API may grow events; clients are told to expect that.
            other => self.pass(other, &event.data, Facts::default(), out),
        }
        Ok(Step::Continue)
    }

    fn on_end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), UpstreamFault> {
        if !self.started {
            return Err(malformed("the provider sent an empty answer"));
        }
        if !self.stopped {
            return Err(UpstreamFault::new(
                FaultKind::Cut,
                "the provider's answer ended before it was complete",
            ));
        }
        self.complete(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"c","usage":{"input_tokens":5,"output_tokens":1}}}"#;
    const OPEN: &str =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    const TEXT: &str =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#;
    const CLOSE: &str = r#"{"type":"content_block_stop","index":0}"#;
    const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    fn run(lane: Lane, events: &[&str]) -> (Vec<ChatEvent>, Result<(), FaultKind>) {
        let mut decoder = AnthropicStream::new(lane);
        let mut out = Vec::new();
        for data in events {
            let event = SseEvent {
                name: None,
                data: Bytes::copy_from_slice(data.as_bytes()),
            };
            match decoder.on_event(event, &mut out) {
                Ok(Step::Continue) => {}
                Ok(Step::Done) => return (out, Ok(())),
                Err(fault) => return (out, Err(fault.kind)),
            }
        }
        let end = decoder.on_end(&mut out).map_err(|fault| fault.kind);
        (out, end)
    }

    fn names(events: &[ChatEvent]) -> Vec<&str> {
        events
            .iter()
            .filter_map(|e| {
                if let ChatEvent::Raw(raw) = e {
                    raw.name.as_deref()
                } else {
                    None
                }
            })
            .collect()
    }

    #[test]
    fn a_stream_passes_and_its_usage_is_cumulative() {
        let (events, end) = run(Lane::Native, &[START, OPEN, TEXT, CLOSE, DELTA, STOP]);
        assert_eq!(end, Ok(()));
        let expected = [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
        ];
        assert_eq!(names(&events), expected);
        assert!(
            matches!(events.last(), Some(ChatEvent::Usage(usage)) if (usage.input, usage.output) == (5, 7))
        );
    }

    #[test]
    fn typed_events_come_from_the_same_stream() {
        let (events, _) = run(Lane::Typed, &[START, OPEN, TEXT, CLOSE, DELTA, STOP]);
        assert!(events.contains(&ChatEvent::Text {
            choice: 0,
            text: "hi".into(),
            logprobs: None
        }));
        assert!(events.contains(&ChatEvent::Finish {
            choice: 0,
            reason: FinishReason::Stop
        }));
    }

    #[test]
    fn odd_but_whole_streams_are_mended() {
        let (events, end) = run(
            Lane::Native,
            &[START, START, r#"{"type":"ping"}"#, OPEN, TEXT, DELTA],
        );
        assert_eq!(end, Ok(()));
        let expected = [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
        ];
        assert_eq!(names(&events), expected);
    }

    #[test]
    fn nothing_follows_the_stop_reason_but_usage() {
        const MORE: &str = r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":9}}"#;
        for lane in [Lane::Native, Lane::Typed] {
            let (events, end) = run(
                lane,
                &[
                    START, OPEN, TEXT, CLOSE, DELTA, OPEN, TEXT, CLOSE, MORE, STOP,
                ],
            );
            assert_eq!(end, Ok(()));
            let (plain, _) = run(lane, &[START, OPEN, TEXT, CLOSE, DELTA, STOP]);
            assert_eq!(events.len(), plain.len(), "{events:?}");
            assert!(matches!(events.last(), Some(ChatEvent::Usage(usage)) if usage.output == 9));
        }
    }

    #[test]
    fn broken_streams_are_faults() {
        for (events, kind) in [
            (&[START, OPEN, TEXT][..], FaultKind::Cut),
            (&[START, OPEN, TEXT, STOP], FaultKind::Cut),
            (&[], FaultKind::Malformed),
            (&[OPEN], FaultKind::Malformed),
            (&[START, TEXT], FaultKind::Malformed),
            (&[START, "<html>"], FaultKind::Malformed),
            (
                &[
                    START,
                    OPEN,
                    r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"x"}}"#,
                ],
                FaultKind::Malformed,
            ),
            (
                &[
                    START,
                    r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
                ],
                FaultKind::Server,
            ),
        ] {
            assert_eq!(run(Lane::Native, events).1, Err(kind), "{events:?}");
        }
    }
}
