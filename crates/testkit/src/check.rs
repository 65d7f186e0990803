//! Readers of answers that accept only what the dialects allow.
//!
//! Rules: `OpenAI`: chunks, then `[DONE]` or one error object, nothing after it; one finish reason a choice and no
//! delta after it. Anthropic: the state machine `message_start, (block start, deltas, block stop)*, message_delta,
//! message_stop`, pings anywhere, or one `error` event at the end.

use crate::Dialect;
use crate::sse::Event;
use serde_json::Value;
use std::collections::BTreeMap;

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With `[DONE]` or `message_stop`.
    Whole,
    /// With one error event; its code or type.
    Error(String),
}

/// One tool call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tool {
    /// Its id.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// Arguments, as JSON text.
    pub arguments: String,
}

/// What an answer says, in either dialect.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// All text.
    pub text: String,
    /// All reasoning.
    pub thinking: String,
    /// Tool calls in their order.
    pub tools: Vec<Tool>,
    /// Finish or stop reason.
    pub finish: Option<String>,
    /// The usage object, where there was one.
    pub usage: Option<Value>,
    /// How it ended.
    pub end: End,
}

impl Said {
    fn new() -> Self {
        Said {
            text: String::new(),
            thinking: String::new(),
            tools: Vec::new(),
            finish: None,
            usage: None,
            end: End::Whole,
        }
    }
}

/// Reads a stream.
///
/// # Errors
/// The first rule that it breaks.
pub fn stream(dialect: Dialect, events: &[Event]) -> Result<Said, String> {
    match dialect {
        Dialect::OpenAi => openai_stream(events),
        Dialect::Anthropic => anthropic_stream(events),
    }
}

/// Reads a whole answer.
///
/// # Errors
/// What is missing or wrong.
pub fn whole(dialect: Dialect, body: &Value) -> Result<Said, String> {
    match dialect {
        Dialect::OpenAi => openai_whole(body),
        Dialect::Anthropic => anthropic_whole(body),
    }
}

/// Checks an error object: the dialect's shape, and nothing else in it. Returns its code or type.
///
/// # Errors
/// What is missing.
pub fn error(dialect: Dialect, body: &Value) -> Result<String, String> {
    let bad = || format!("not an error object: {body}");
    let error = body
        .get("error")
        .and_then(Value::as_object)
        .ok_or_else(bad)?;
    let text = |name: &str| {
        error
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    text("message").ok_or_else(bad)?;
    let kind = text("type").ok_or_else(bad)?;
    if dialect == Dialect::Anthropic {
        return if str_at(body, "/type") == Some("error") {
            Ok(kind.to_owned())
        } else {
            Err(bad())
        };
    }
    if !error.contains_key("param") || !error.contains_key("code") {
        return Err(bad());
    }
    Ok(text("code").unwrap_or(kind).to_owned())
}

fn str_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn number_at(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

fn need<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, String> {
    str_at(value, pointer).ok_or_else(|| format!("{pointer} is missing in {value}"))
}

fn openai_stream(events: &[Event]) -> Result<Said, String> {
    let mut said = Said::new();
    let mut id = None;
    let mut tools: BTreeMap<u64, Tool> = BTreeMap::new();
    let (last, chunks) = events.split_last().ok_or("an empty stream")?;
    if let Some(named) = events.iter().find(|event| event.name.is_some()) {
        return Err(format!("an event with a name: {named:?}"));
    }
    for chunk in chunks {
        let value = chunk.json()?;
        let this = need(&value, "/id")?.to_owned();
        if *id.get_or_insert_with(|| this.clone()) != this {
            return Err(format!("another id: {value}"));
        }
        if need(&value, "/object")? != "chat.completion.chunk" {
            return Err(format!("another object: {value}"));
        }
        need(&value, "/model")?;
        openai_chunk(&value, &mut said, &mut tools)?;
    }
    said.tools = tools.into_values().collect();
    said.end = if last.data == "[DONE]" {
        End::Whole
    } else {
        End::Error(error(Dialect::OpenAi, &last.json()?)?)
    };
    if said.end == End::Whole && said.finish.is_none() {
        return Err("[DONE] without a finish reason".to_owned());
    }
    Ok(said)
}

fn openai_chunk(
    value: &Value,
    said: &mut Said,
    tools: &mut BTreeMap<u64, Tool>,
) -> Result<(), String> {
    let choices = value
        .get("choices")
        .and_then(Value::as_array)
        .ok_or_else(|| format!("no choices: {value}"))?;
    if let Some(usage) = value.get("usage").filter(|usage| !usage.is_null()) {
        if !choices.is_empty() || said.usage.is_some() {
            return Err(format!("usage beside choices, or twice: {value}"));
        }
        said.usage = Some(usage.clone());
    } else if choices.is_empty() {
        return Err(format!("a chunk with nothing: {value}"));
    }
    for choice in choices {
        let delta = choice
            .get("delta")
            .and_then(Value::as_object)
            .ok_or_else(|| format!("no delta: {value}"))?;
        let speaks = delta.iter().any(|(_, part)| !part.is_null() && *part != "");
        if speaks && said.finish.is_some() {
            return Err(format!("a delta after the finish reason: {value}"));
        }
        said.text
            .push_str(str_at(choice, "/delta/content").unwrap_or_default());
        said.thinking
            .push_str(str_at(choice, "/delta/reasoning_content").unwrap_or_default());
        for call in choice
            .pointer("/delta/tool_calls")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let index = number_at(call, "/index")
                .ok_or_else(|| format!("a tool call without an index: {value}"))?;
            let tool = tools.entry(index).or_default();
            tool.id.push_str(str_at(call, "/id").unwrap_or_default());
            tool.name
                .push_str(str_at(call, "/function/name").unwrap_or_default());
            tool.arguments
                .push_str(str_at(call, "/function/arguments").unwrap_or_default());
        }
        if let Some(finish) = str_at(choice, "/finish_reason")
            && said.finish.replace(finish.to_owned()).is_some()
        {
            return Err("two finish reasons".to_owned());
        }
    }
    Ok(())
}

/// Where an Anthropic stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Before,
    Between,
    Within,
    AfterDelta,
    Stopped,
}

struct Machine {
    said: Said,
    at: At,
    blocks: u64,
    kind: String,
}

fn anthropic_stream(events: &[Event]) -> Result<Said, String> {
    let mut machine = Machine {
        said: Said::new(),
        at: At::Before,
        blocks: 0,
        kind: String::new(),
    };
    for (number, event) in events.iter().enumerate() {
        let value = event.json()?;
        let kind = need(&value, "/type")?;
        if event.name.as_deref() != Some(kind) {
            return Err(format!("name and type differ: {event:?}"));
        }
        if kind == "error" {
            if number + 1 != events.len() || machine.at == At::Stopped {
                return Err("an error event that is not the end".to_owned());
            }
            machine.said.end = End::Error(error(Dialect::Anthropic, &value)?);
            return Ok(machine.said);
        }
        machine
            .step(kind, &value)
            .map_err(|rule| format!("{rule} (at {:?}): {value}", machine.at))?;
    }
    if machine.at == At::Stopped {
        Ok(machine.said)
    } else {
        Err(format!("it ends at {:?}", machine.at))
    }
}

impl Machine {
    fn step(&mut self, kind: &str, value: &Value) -> Result<(), String> {
        match (self.at, kind) {
            (At::Before | At::Stopped, "ping") => {
                return Err("a ping outside of a message".to_owned());
            }
            (_, "ping") => {}
            (At::Before, "message_start") => {
                need(value, "/message/id")?;
                need(value, "/message/model")?;
                number_at(value, "/message/usage/input_tokens").ok_or("no input tokens")?;
                self.at = At::Between;
            }
            (At::Between, "content_block_start") => self.open(value)?,
            (At::Within, "content_block_delta") => self.delta(value)?,
            (At::Within, "content_block_stop") => {
                self.at_index(value)?;
                self.blocks += 1;
                self.at = At::Between;
            }
            (At::Between, "message_delta") => {
                self.said.finish = Some(need(value, "/delta/stop_reason")?.to_owned());
                number_at(value, "/usage/output_tokens").ok_or("no output tokens")?;
                self.said.usage = value.get("usage").cloned();
                self.at = At::AfterDelta;
            }
            (At::AfterDelta, "message_stop") => self.at = At::Stopped,
            (_, "message_start" | "message_delta" | "message_stop") => {
                return Err(format!("{kind} has no place here"));
            }
            (_, kind) if kind.starts_with("content_block_") => {
                return Err(format!("{kind} has no place here"));
            }
            // New types of events may come; clients let them pass.
            (At::Before | At::Stopped, _) => return Err(format!("{kind} outside of a message")),
            _ => {}
        }
        Ok(())
    }

    fn at_index(&self, value: &Value) -> Result<(), String> {
        let index = number_at(value, "/index");
        if index == Some(self.blocks) {
            Ok(())
        } else {
            Err(format!("index {index:?}, expected {}", self.blocks))
        }
    }

    fn open(&mut self, value: &Value) -> Result<(), String> {
        self.at_index(value)?;
        need(value, "/content_block/type")?.clone_into(&mut self.kind);
        if self.kind == "tool_use" {
            let id = need(value, "/content_block/id")?.to_owned();
            let name = need(value, "/content_block/name")?.to_owned();
            self.said.tools.push(Tool {
                id,
                name,
                arguments: String::new(),
            });
        }
        self.at = At::Within;
        Ok(())
    }

    fn delta(&mut self, value: &Value) -> Result<(), String> {
        self.at_index(value)?;
        match (self.kind.as_str(), need(value, "/delta/type")?) {
            ("text", "text_delta") => self.said.text.push_str(need(value, "/delta/text")?),
            ("text", "citations_delta") => {}
            ("thinking", "thinking_delta") => {
                self.said.thinking.push_str(need(value, "/delta/thinking")?)
            }
            ("thinking", "signature_delta") => {}
            ("tool_use" | "server_tool_use", "input_json_delta") => {
                let piece = need(value, "/delta/partial_json")?;
                if let Some(tool) = self.said.tools.last_mut() {
                    tool.arguments.push_str(piece);
                }
            }
            (block, delta) => return Err(format!("{delta} in a {block} block")),
        }
        Ok(())
    }
}

fn openai_whole(body: &Value) -> Result<Said, String> {
    let mut said = Said::new();
    need(body, "/id")?;
    need(body, "/model")?;
    if need(body, "/object")? != "chat.completion" {
        return Err(format!("another object: {body}"));
    }
    said.text
        .push_str(str_at(body, "/choices/0/message/content").unwrap_or_default());
    said.thinking
        .push_str(str_at(body, "/choices/0/message/reasoning_content").unwrap_or_default());
    for call in body
        .pointer("/choices/0/message/tool_calls")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        said.tools.push(Tool {
            id: need(call, "/id")?.to_owned(),
            name: need(call, "/function/name")?.to_owned(),
            arguments: need(call, "/function/arguments")?.to_owned(),
        });
    }
    said.finish = Some(need(body, "/choices/0/finish_reason")?.to_owned());
    said.usage = body.get("usage").cloned();
    Ok(said)
}

fn anthropic_whole(body: &Value) -> Result<Said, String> {
    let mut said = Said::new();
    need(body, "/id")?;
    need(body, "/model")?;
    if need(body, "/type")? != "message" || need(body, "/role")? != "assistant" {
        return Err(format!("no message: {body}"));
    }
    for block in body
        .get("content")
        .and_then(Value::as_array)
        .ok_or("no content")?
    {
        match need(block, "/type")? {
            "text" => said.text.push_str(need(block, "/text")?),
            "thinking" => said.thinking.push_str(need(block, "/thinking")?),
            "tool_use" => said.tools.push(Tool {
                id: need(block, "/id")?.to_owned(),
                name: need(block, "/name")?.to_owned(),
                arguments: block.get("input").ok_or("no input")?.to_string(),
            }),
            _ => {}
        }
    }
    said.finish = Some(need(body, "/stop_reason")?.to_owned());
    said.usage = body.get("usage").cloned();
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Events, data, named, openai_chunk};
    use serde_json::json;

    fn read(dialect: Dialect, text: &str) -> Result<Said, String> {
        stream(dialect, &crate::sse::events(text.as_bytes())?)
    }

    fn good(dialect: Dialect) -> Events {
        crate::wire::events_of(dialect, &["a", "b"], true)
    }

    #[test]
    fn good_streams_are_read() {
        for dialect in Dialect::ALL {
            let said = read(dialect, &good(dialect).join()).unwrap();
            assert_eq!(
                (said.text.as_str(), said.finish.as_deref()),
                ("ab", Some(dialect.stop()))
            );
            assert!(said.usage.is_some());
        }
    }

    #[test]
    fn broken_streams_are_refused() {
        let delta = data(&openai_chunk(&json!({ "content": "c" }), None));
        let openai = good(Dialect::OpenAi);
        let anthropic = good(Dialect::Anthropic);
        let cases = [
            (Dialect::OpenAi, openai.open()),
            (Dialect::OpenAi, openai.open() + &openai.end.concat()),
            (Dialect::OpenAi, openai.join() + &openai.end.concat()),
            (
                Dialect::OpenAi,
                openai.open() + &openai.finish.concat() + &delta + &openai.end.concat(),
            ),
            (Dialect::Anthropic, anthropic.open()),
            (
                Dialect::Anthropic,
                anthropic.open() + &anthropic.end.concat(),
            ),
            (
                Dialect::Anthropic,
                anthropic.join() + &named(&json!({ "type": "ping" })),
            ),
            (
                Dialect::Anthropic,
                anthropic.begin.concat() + &anthropic.begin.concat(),
            ),
        ];
        for (dialect, text) in cases {
            assert!(read(dialect, &text).is_err(), "{text}");
        }
    }
}
