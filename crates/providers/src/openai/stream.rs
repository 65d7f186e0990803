//! Streams of OpenAI-compatible servers, checked for wholeness.
//!
//! On the native lane a chunk passes as it is but for its `usage`: the last one seen is sent once, at the end, and
//! only to a client that asked. An answer is whole when every choice that was opened has a finish reason; `[DONE]`
//! may be missing then, and without it is an error.

use super::error::{self, Malformed};
use super::repair::Repair;
use super::typed::Typed;
use super::wire::{Answer, is_error};
use crate::decode::{Lane, Step, StreamDecoder};
use crate::fault::{FaultKind, UpstreamFault};
use aplomb_core::event::{ChatEvent, Facts, Raw};
use aplomb_core::json::{self, Edit};
use aplomb_core::sse::SseEvent;
use aplomb_core::usage::Usage;
use bytes::Bytes;
use serde_json::{Value, json};

/// Decoder of one stream.
pub struct OpenAiStream {
    lane: Lane,
    /// The client asked for a usage chunk.
    include_usage: bool,
    typed: Typed,
    repair: Repair,
    started: bool,
    /// Choices seen, and whether each has ended.
    choices: Vec<(u32, bool)>,
    /// The last usage, as the server wrote it.
    usage: Option<Value>,
    /// Identity for a usage chunk of our own.
    identity: Value,
    completed: bool,
}

impl OpenAiStream {
    /// A decoder for one stream. `include_usage`: the client asked for the usage chunk (native lane only).
    pub fn new(lane: Lane, include_usage: bool) -> Self {
        OpenAiStream {
            lane,
            include_usage,
            typed: Typed::default(),
            repair: Repair::default(),
            started: false,
            choices: Vec::new(),
            usage: None,
            identity: Value::Null,
            completed: false,
        }
    }

    fn is_whole(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|(_, ended)| *ended)
    }

    fn complete(&mut self, out: &mut Vec<ChatEvent>) {
        if std::mem::replace(&mut self.completed, true) {
            return;
        }
        let Some(usage) = self.usage.take() else {
            return;
        };
        if self.lane == Lane::Native && self.include_usage {
            let mut chunk = std::mem::take(&mut self.identity);
            if let Value::Object(members) = &mut chunk {
                members.insert("choices".into(), json!([]));
                members.insert("usage".into(), usage.clone());
            }
            let data = Bytes::from(chunk.to_string());
            out.push(ChatEvent::Raw(Raw {
                name: None,
                data,
                facts: Facts::default(),
            }));
        }
        if let Some(usage) = Usage::from_openai(&usage) {
            out.push(ChatEvent::Usage(usage));
        }
    }

    fn chunk(&mut self, event: &SseEvent, out: &mut Vec<ChatEvent>) -> Result<(), UpstreamFault> {
        let answer: Answer =
            serde_json::from_slice(&event.data).map_err(|_| error::malformed(Malformed::Event))?;
        if is_error(answer.error) || event.name.as_deref() == Some("error") {
            return Err(error::in_band(&event.data));
        }
        if !self.started {
            self.start(&answer, out);
        }
        if let Some(usage) = answer
            .usage
            .and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok())
            && usage.is_object()
        {
            self.usage = Some(usage);
        }
        let fresh = self.note_choices(&answer);
        match self.lane {
            Lane::Native if fresh => {
                let raw = self.raw(&answer, &event.data);
                out.push(ChatEvent::Raw(raw));
            }
            Lane::Typed if fresh => self.typed.answer(&answer, out),
            // Nothing but usage, or text after a choice's end, which no client expects.
            Lane::Native | Lane::Typed => {}
        }
        Ok(())
    }

    fn start(&mut self, answer: &Answer<'_>, out: &mut Vec<ChatEvent>) {
        self.started = true;
        let start = answer.start(self.lane);
        if self.lane == Lane::Native && self.include_usage {
            self.identity = json!({ "id": start.id, "object": "chat.completion.chunk", "created": start.created,
                "model": start.model });
        }
        out.push(ChatEvent::Start(start));
    }

    /// Notes which choices are open and which end. True if a choice that was still open is in this chunk.
    fn note_choices(&mut self, answer: &Answer<'_>) -> bool {
        let mut fresh = false;
        for choice in answer.choices.iter().flatten() {
            let ends = choice.finish().is_some();
            match self
                .choices
                .iter_mut()
                .find(|(index, _)| *index == choice.index)
            {
                Some((_, ended)) => {
                    fresh |= !*ended;
                    *ended |= ends;
                }
                None => {
                    fresh = true;
                    self.choices.push((choice.index, ends));
                }
            }
        }
        fresh
    }

    fn raw(&mut self, answer: &Answer<'_>, data: &Bytes) -> Raw {
        let choices = || answer.choices.iter().flatten();
        let bytes: usize = choices().map(|choice| choice.output_bytes()).sum();
        let finish = choices().find_map(|choice| choice.finish());
        let facts = Facts {
            content: bytes > 0 || finish.is_some(),
            output_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            finish,
        };
        Raw {
            name: None,
            data: self.tidy(answer, data),
            facts,
        }
    }

    /// The chunk without its usage, and with its repairs.
    fn tidy(&mut self, answer: &Answer<'_>, data: &Bytes) -> Bytes {
        let mut edits = self.repair.edits(answer, data);
        let usage = answer.usage.map(|raw| raw.get());
        if let Some((usage, range)) = usage.and_then(|u| Some((u, json::range_of(data, u)?))) {
            edits.extend(match (self.include_usage, usage == "null") {
                (true, true) => None,
                (true, false) => Some(Edit {
                    range,
                    text: "null".into(),
                }),
                (false, _) => json::remove_member(data, range),
            });
        }
        if edits.is_empty() {
            return data.clone();
        }
        Bytes::from(json::apply(data, edits))
    }

    fn unfinished(&self) -> UpstreamFault {
        if self.choices.is_empty() {
            return error::malformed(Malformed::Empty);
        }
        UpstreamFault::new(
            FaultKind::Cut,
            "the provider's answer ended before it was complete",
        )
    }
}

impl StreamDecoder for OpenAiStream {
    fn on_event(
        &mut self,
        event: SseEvent,
        out: &mut Vec<ChatEvent>,
    ) -> Result<Step, UpstreamFault> {
        if event.data.trim_ascii() == b"[DONE]" {
            self.on_end(out)?;
            return Ok(Step::Done);
        }
        self.chunk(&event, out)?;
        Ok(Step::Continue)
    }

    fn on_end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), UpstreamFault> {
        if !self.is_whole() {
            return Err(self.unfinished());
        }
        self.complete(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aplomb_core::event::FinishReason;

    fn run(
        lane: Lane,
        include_usage: bool,
        events: &[&str],
    ) -> (Vec<ChatEvent>, Result<(), FaultKind>) {
        let mut decoder = OpenAiStream::new(lane, include_usage);
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

    fn raws(events: &[ChatEvent]) -> Vec<String> {
        let text = |raw: &Raw| String::from_utf8(raw.data.to_vec()).unwrap();
        events
            .iter()
            .filter_map(|e| {
                if let ChatEvent::Raw(raw) = e {
                    Some(text(raw))
                } else {
                    None
                }
            })
            .collect()
    }

    const TEXT: &str = r#"{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#;
    const STOP: &str = r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

    #[test]
    fn chunks_pass_as_they_are() {
        let (events, end) = run(Lane::Native, false, &[TEXT, STOP, "[DONE]"]);
        assert_eq!(end, Ok(()));
        assert_eq!(raws(&events), [TEXT, STOP]);
    }

    #[test]
    fn done_may_be_missing_but_not_the_finish_reason() {
        assert_eq!(run(Lane::Native, false, &[TEXT, STOP]).1, Ok(()));
        assert_eq!(run(Lane::Native, false, &[TEXT]).1, Err(FaultKind::Cut));
        assert_eq!(
            run(Lane::Native, false, &[TEXT, "[DONE]"]).1,
            Err(FaultKind::Cut)
        );
        assert_eq!(
            run(Lane::Native, false, &["[DONE]"]).1,
            Err(FaultKind::Malformed)
        );
        assert_eq!(run(Lane::Native, false, &[]).1, Err(FaultKind::Malformed));
    }

    #[test]
    fn every_open_choice_needs_its_end() {
        let other = r#"{"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":null}]}"#;
        assert_eq!(
            run(Lane::Native, false, &[TEXT, other, STOP, "[DONE]"]).1,
            Err(FaultKind::Cut)
        );
    }

    #[test]
    fn usage_is_sent_once_last_and_only_if_asked() {
        let with = r#"{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
        let chunk = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.5}}"#;
        let (events, _) = run(Lane::Native, true, &[with, STOP, chunk, "[DONE]"]);
        let sent = raws(&events);
        assert!(sent[0].contains(r#""usage":null"#), "{}", sent[0]);
        let last: Value = serde_json::from_str(&sent[2]).unwrap();
        assert_eq!(
            (&last["choices"], &last["usage"]["cost"]),
            (&json!([]), &json!(0.5))
        );
        assert!(matches!(events.last(), Some(ChatEvent::Usage(usage)) if usage.output == 2));
        let (events, _) = run(Lane::Native, false, &[with, STOP, chunk, "[DONE]"]);
        assert_eq!(raws(&events).len(), 2);
        assert!(!raws(&events).concat().contains("usage"));
        assert!(matches!(events.last(), Some(ChatEvent::Usage(usage)) if usage.output == 2));
    }

    #[test]
    fn errors_in_the_stream_are_faults() {
        let limited = r#"{"error":{"message":"slow down","type":"rate_limit_error","code":429}}"#;
        assert_eq!(
            run(Lane::Native, false, &[limited]).1,
            Err(FaultKind::RateLimited)
        );
        assert_eq!(
            run(Lane::Native, false, &["<html>"]).1,
            Err(FaultKind::Malformed)
        );
        assert_eq!(
            run(Lane::Native, false, &[TEXT, "{\"choices\":[{"]).1,
            Err(FaultKind::Malformed)
        );
    }

    #[test]
    fn parallel_calls_are_told_apart() {
        let chunk = |calls: &str| {
            format!(
                r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{calls}]}},"finish_reason":null}}]}}"#
            )
        };
        let lines = [
            chunk(
                r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}"#,
            ),
            chunk(
                r#"{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}"#,
            ),
            chunk(r#"{"index":0,"function":{"arguments":"{\"x\":1}"}}"#),
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.to_owned(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (events, end) = run(Lane::Typed, false, &lines);
        assert_eq!(end, Ok(()));
        let expected = vec![
            ChatEvent::ToolStart {
                choice: 0,
                tool: 0,
                id: "a".into(),
                name: "f".into(),
            },
            ChatEvent::ToolStart {
                choice: 0,
                tool: 1,
                id: "b".into(),
                name: "g".into(),
            },
            ChatEvent::ToolArguments {
                choice: 0,
                tool: 1,
                fragment: "{}".into(),
            },
            ChatEvent::ToolArguments {
                choice: 0,
                tool: 0,
                fragment: "{\"x\":1}".into(),
            },
            ChatEvent::Finish {
                choice: 0,
                reason: FinishReason::ToolCalls,
            },
        ];
        assert_eq!(events[1..], expected);
    }
}
