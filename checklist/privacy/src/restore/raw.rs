//! Restores answers that pass as the provider's own bytes, of either dialect: only texts are changed, all else stays.

use super::{Field, Key, Restorer};
use crate::vault::Place;
use aplomb_core::event::{ChatEvent, Facts, Raw};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Text members of an OpenAI delta or message.
const TEXTS: [(&str, Field); 4] = [
    ("content", Field::Text),
    ("refusal", Field::Refusal),
    ("reasoning_content", Field::Reasoning("reasoning_content")),
    ("reasoning", Field::Reasoning("reasoning")),
];

/// Members of a delta that come in pieces, but for [`TEXTS`].
const STREAMED: [&str; 4] = ["function_call", "audio", "tool_calls", "reasoning_details"];

/// Adds an item to a list, which may not be there yet.
fn push_to(members: &mut Map<String, Value>, name: &str, item: Value) {
    match members.get_mut(name) {
        Some(Value::Array(items)) => items.push(item),
        _ => {
            members.insert(name.to_owned(), Value::Array(vec![item]));
        }
    }
}

/// Whether these bytes can hold the beginning of a placeholder.
pub(super) fn may_hold(bytes: &[u8]) -> bool {
    // An opener is one of these signs, or an escape for one; full-width signs begin with 0xEF.
    memchr::memchr3(b'<', b'&', 0xef, bytes).is_some()
        || memchr::memmem::find(bytes, b"\\u").is_some()
}

fn number(value: Option<&Value>) -> u32 {
    let number = value.and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn rewritten(raw: Raw, value: &Value) -> Raw {
    Raw {
        data: Bytes::from(value.to_string()),
        ..raw
    }
}

impl Restorer {
    pub(super) fn raw(&mut self, raw: Raw, out: &mut Vec<ChatEvent>) {
        if !self.look_always && !self.is_waiting() && !may_hold(&raw.data) {
            return out.push(ChatEvent::Raw(raw));
        }
        self.named |= raw.name.is_some();
        if let Some(raw) = self.flat(&raw) {
            return out.push(ChatEvent::Raw(raw));
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(&raw.data) else {
            return out.push(ChatEvent::Raw(raw));
        };
        self.changed = false;
        if raw.name.is_some() {
            self.anthropic(&mut value, out);
        } else {
            self.openai(&mut value);
        }
        out.push(ChatEvent::Raw(if self.changed {
            rewritten(raw, &value)
        } else {
            raw
        }));
    }

    fn openai(&mut self, chunk: &mut Value) {
        let Value::Object(members) = chunk else {
            return;
        };
        for (name, member) in members.iter_mut().filter(|(name, _)| *name != "choices") {
            self.document_member(name, member, Place::Text);
        }
        let choices = members.get_mut("choices").and_then(Value::as_array_mut);
        for choice in choices.into_iter().flatten() {
            let index = number(choice.get("index"));
            let ends = choice
                .get("finish_reason")
                .is_some_and(|reason| !reason.is_null());
            let Value::Object(members) = choice else {
                continue;
            };
            match members.get_mut("delta") {
                Some(Value::Object(delta)) => self.delta(delta, index, ends),
                _ => self.member(members, "text", (index, Field::Text), ends),
            }
            // They are told per token of the masked text: beside the restored one they are wrong.
            if let (true, Some(logprobs)) = (self.changed, members.get_mut("logprobs")) {
                *logprobs = Value::Null;
            }
        }
    }

    /// Restores one text member; what a text that ends still held back is added to it.
    fn member(&mut self, members: &mut Map<String, Value>, name: &str, key: Key, ends: bool) {
        let piece = match members.get(name) {
            Some(Value::String(piece)) => Some(self.push(key, piece)),
            _ => None,
        };
        let rest = if ends {
            self.finish(key)
        } else {
            String::new()
        };
        if piece.is_none() && rest.is_empty() {
            return;
        }
        let text = piece.unwrap_or_default() + &rest;
        if members.get(name).and_then(Value::as_str) != Some(text.as_str()) {
            self.changed = true;
            members.insert(name.to_owned(), text.into());
        }
    }

    fn delta(&mut self, delta: &mut Map<String, Value>, choice: u32, ends: bool) {
        for (name, member) in delta.iter_mut() {
            let in_pieces = TEXTS.iter().any(|(known, _)| known == name) && member.is_string();
            if !in_pieces && !STREAMED.contains(&name.as_str()) {
                self.document_member(name, member, Place::Text);
            }
        }
        for (name, field) in TEXTS {
            self.member(delta, name, (choice, field), ends);
        }
        self.details(delta, choice, ends);
        if let Some(Value::Object(call)) = delta.get_mut("function_call") {
            self.member(call, "arguments", (choice, Field::FunctionCall), ends);
        }
        if let Some(Value::Object(audio)) = delta.get_mut("audio") {
            self.member(audio, "transcript", (choice, Field::Transcript), ends);
        }
        let mut seen = Vec::new();
        let calls = delta.get_mut("tool_calls").and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten() {
            let field = Field::Arguments(number(call.get("index")));
            seen.push(field);
            if let Some(Value::Object(function)) = call.get_mut("function") {
                self.member(function, "arguments", (choice, field), ends);
            }
        }
        if ends {
            self.finish_calls(delta, choice, &seen);
        }
    }

    /// Reasoning in blocks, which some servers number: each has a text or a summary.
    fn details(&mut self, delta: &mut Map<String, Value>, choice: u32, ends: bool) {
        let mut seen = Vec::new();
        let details = delta
            .get_mut("reasoning_details")
            .and_then(Value::as_array_mut);
        for (place, detail) in details.into_iter().flatten().enumerate() {
            let Value::Object(detail) = detail else {
                continue;
            };
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            let index = detail
                .get("index")
                .map_or(place, |index| number(Some(index)));
            for (name, field) in [
                ("text", Field::Detail(index)),
                ("summary", Field::Summary(index)),
            ] {
                seen.push(field);
                self.member(detail, name, (choice, field), ends);
            }
        }
        if ends {
            self.finish_details(delta, choice, &seen);
        }
    }

    /// Blocks of reasoning that end with a chunk which does not name them.
    fn finish_details(&mut self, delta: &mut Map<String, Value>, choice: u32, seen: &[Field]) {
        for field in self.fields_of(choice) {
            let (index, kind, name) = match field {
                Field::Detail(index) => (index, "reasoning.text", "text"),
                Field::Summary(index) => (index, "reasoning.summary", "summary"),
                _ => continue,
            };
            let rest = self.finish((choice, field));
            if rest.is_empty() || seen.contains(&field) {
                continue;
            }
            self.changed = true;
            let detail = json!({ "type": kind, "index": index, name: rest });
            push_to(delta, "reasoning_details", detail);
        }
    }

    /// Arguments that end with a chunk which does not name them.
    fn finish_calls(&mut self, delta: &mut Map<String, Value>, choice: u32, seen: &[Field]) {
        for field in self.fields_of(choice) {
            let Field::Arguments(index) = field else {
                continue;
            };
            let rest = self.finish((choice, field));
            if rest.is_empty() || seen.contains(&field) {
                continue;
            }
            self.changed = true;
            let call = json!({ "index": index, "function": { "arguments": rest } });
            push_to(delta, "tool_calls", call);
        }
    }

    fn anthropic(&mut self, event: &mut Value, out: &mut Vec<ChatEvent>) {
        let index = number(event.get("index"));
        match event.get("type").and_then(Value::as_str) {
            Some("content_block_delta") => {
                let Some(Value::Object(delta)) = event.get_mut("delta") else {
                    return;
                };
                for (name, field) in BLOCK_TEXTS {
                    self.member(delta, name, (index, field), false);
                }
                if let Some(citation) = delta.get_mut("citation") {
                    self.all(citation, Place::Text);
                }
            }
            Some("content_block_stop") => self.flush_block(index, out),
            Some("message_delta") => {
                if let Some(sequence) = event.pointer_mut("/delta/stop_sequence") {
                    self.all(sequence, Place::Text);
                }
            }
            Some("content_block_start") => {
                if let Some(block) = event.get_mut("content_block") {
                    self.all(block, Place::Text);
                }
            }
            _ => {}
        }
    }

    pub(super) fn flush_block(&mut self, index: u32, out: &mut Vec<ChatEvent>) {
        for (name, field) in BLOCK_TEXTS {
            let rest = self.finish((index, field));
            out.extend(block_delta(index, name, rest));
        }
    }

    pub(super) fn raw_body(&mut self, raw: Raw) -> Raw {
        if !self.look_always && !may_hold(&raw.data) {
            return raw;
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(&raw.data) else {
            return raw;
        };
        self.changed = false;
        self.all(&mut value, Place::Text);
        if self.changed {
            rewritten(raw, &value)
        } else {
            raw
        }
    }

    /// Restores every string of a document that is there as a whole.
    fn all(&mut self, value: &mut Value, place: Place) {
        match value {
            Value::String(text) => *text = self.complete(text, place, false),
            Value::Array(items) => items.iter_mut().for_each(|item| self.all(item, place)),
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    self.document_member(name, member, place);
                }
                if place == Place::Arguments && members.keys().any(|key| key.contains('<')) {
                    let restored = std::mem::take(members).into_iter();
                    *members = restored
                        .map(|(key, member)| (self.complete(&key, place, false), member))
                        .collect();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn document_member(&mut self, name: &str, member: &mut Value, place: Place) {
        match (name, &mut *member) {
            // What a tool is called with is data: no name in it means anything.
            _ if place == Place::Arguments => self.all(member, place),
            ("logprobs", _) => *member = Value::Null,
            ("arguments" | "partial_json", Value::String(text)) => {
                *text = self.complete(text, Place::Arguments, true);
            }
            ("content", Value::String(text)) => {
                *text = self.complete(text, place, self.text_is_json);
            }
            ("input" | "arguments", _) => self.all(member, Place::Arguments),
            _ => self.all(member, place),
        }
    }
}

/// Text members of an Anthropic delta.
const BLOCK_TEXTS: [(&str, Field); 3] = [
    ("text", Field::Text),
    ("thinking", Field::Reasoning("thinking")),
    ("partial_json", Field::Arguments(0)),
];

/// The event that gives the rest of a block's text.
fn block_delta(index: u32, name: &str, rest: String) -> Option<ChatEvent> {
    if rest.is_empty() {
        return None;
    }
    let kind = match name {
        "thinking" => "thinking_delta",
        "partial_json" => "input_json_delta",
        _ => "text_delta",
    };
    let facts = Facts {
        content: true,
        output_bytes: u32::try_from(rest.len()).unwrap_or(u32::MAX),
        finish: None,
    };
    let mut delta = json!({ "type": kind });
    if let Value::Object(members) = &mut delta {
        members.insert(name.to_owned(), rest.into());
    }
    let data = json!({ "type": "content_block_delta", "index": index, "delta": delta });
    Some(ChatEvent::Raw(Raw {
        name: Some("content_block_delta".into()),
        data: Bytes::from(data.to_string()),
        facts,
    }))
}
