//! Puts the values back into an answer: the last step before the client.
//!
//! Each text of an answer (a choice's text, a tool call's arguments, a thinking block) is restored on its own, so that
//! pieces of one never wait for another. Bytes that hold nothing that could begin a placeholder pass untouched.

mod flat;
mod hold;
mod raw;
pub mod syntax;
mod watch;

use crate::vault::{Place, Vault};
use aplomb_core::error::ApiError;
use aplomb_core::event::{ChatEvent, FinishReason};
use hold::Hold;
use std::collections::HashMap;

/// Which text of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Field {
    Text,
    Refusal,
    /// By the member's name, which differs between servers.
    Reasoning(&'static str),
    /// What is said aloud.
    Transcript,
    /// Text of the reasoning block of this number.
    Detail(u32),
    /// Summary of the reasoning block of this number.
    Summary(u32),
    /// Arguments of the tool call of this number.
    Arguments(u32),
    /// Arguments in OpenAI's older form.
    FunctionCall,
}

impl Field {
    fn place(self) -> Place {
        match self {
            Field::Text
            | Field::Refusal
            | Field::Reasoning(_)
            | Field::Transcript
            | Field::Detail(_)
            | Field::Summary(_) => Place::Text,
            Field::Arguments(_) | Field::FunctionCall => Place::Arguments,
        }
    }
}

/// Choice or block, and which of its texts.
type Key = (u32, Field);

/// Restores one answer.
#[derive(Debug)]
pub struct Restorer {
    vault: Vault,
    holds: HashMap<Key, Hold>,
    /// The answer's text is JSON whatever it begins with, since the request asked for it.
    text_is_json: bool,
    /// Every piece has to be looked at: a surrogate may begin anywhere, or the place in a JSON text matters.
    look_always: bool,
    /// Raw events have names: they are Anthropic's.
    named: bool,
    /// The event at hand is no longer as the provider sent it.
    changed: bool,
    /// Of texts that were there as a whole.
    whole: Restored,
}

/// What became of placeholders in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Values put back.
    pub values: u64,
    /// Placeholders of this request that went out although their values should stand there: leaks.
    pub unrestored: u64,
    /// Texts in the form of a placeholder that this request did not make.
    pub foreign: u64,
}

impl Restored {
    fn add(&mut self, hold: &Hold) {
        self.values += hold.restored;
        self.unrestored += hold.watch.unrestored;
        self.foreign += hold.watch.foreign;
    }
}

impl Restorer {
    /// For the answer to the request that filled this vault.
    pub fn new(vault: Vault, text_is_json: bool) -> Self {
        let surrogates = vault.surrogates(Place::Text).next().is_some();
        let look_always = surrogates || vault.needs_escapes();
        Restorer {
            vault,
            holds: HashMap::new(),
            text_is_json,
            look_always,
            named: false,
            changed: false,
            whole: Restored::default(),
        }
    }

    /// Whether nothing has to be put back, nor looked for.
    pub fn is_empty(&self) -> bool {
        self.vault.is_empty() && !self.vault.is_watched()
    }

    /// Keyed digest of the values it puts back; `None` if there are none.
    pub fn digest(&self, secret: &[u8]) -> Option<[u8; 32]> {
        self.vault.digest(secret)
    }

    /// What became of placeholders so far.
    pub fn restored(&self) -> Restored {
        let mut sum = self.whole;
        self.holds.values().for_each(|hold| sum.add(hold));
        sum
    }

    /// Takes one event and gives what may go out. Runs once per event, in order.
    pub fn on_event(&mut self, event: ChatEvent, out: &mut Vec<ChatEvent>) {
        if !self.vault.is_empty() {
            return self.step(event, out);
        }
        // Nothing comes back: the event passes as it is, and a copy of it is looked over.
        if self.vault.is_watched() && (self.is_waiting() || raw::may_hold(bytes_of(&event))) {
            self.step(event.clone(), &mut Vec::new());
        }
        out.push(event);
    }

    fn step(&mut self, event: ChatEvent, out: &mut Vec<ChatEvent>) {
        match event {
            ChatEvent::Text { choice, text, .. } => {
                self.flush_field(choice, Field::Reasoning(""), out);
                // Log probabilities are told per token of the masked text: beside the restored one they are wrong.
                let text = self.push((choice, Field::Text), &text);
                out.extend(text_event(choice, Field::Text, text));
            }
            ChatEvent::Refusal { choice, text } => {
                let text = self.push((choice, Field::Refusal), &text);
                out.extend(text_event(choice, Field::Refusal, text));
            }
            ChatEvent::Reasoning { choice, text } => {
                let field = Field::Reasoning("");
                self.flush_field(choice, Field::Text, out);
                let text = self.push((choice, field), &text);
                out.extend(text_event(choice, field, text));
            }
            ChatEvent::ToolArguments {
                choice,
                tool,
                fragment,
            } => {
                let field = Field::Arguments(tool);
                let text = self.push((choice, field), &fragment);
                out.extend(text_event(choice, field, text));
            }
            ChatEvent::ReasoningSignature { choice, .. }
            | ChatEvent::RedactedReasoning { choice, .. }
            | ChatEvent::ToolStart { choice, .. } => {
                self.flush_texts(choice, out);
                out.push(event);
            }
            ChatEvent::Finish { choice, reason } => {
                self.flush(choice, out);
                let reason = self.reason(reason);
                out.push(ChatEvent::Finish { choice, reason });
            }
            ChatEvent::Raw(raw) => self.raw(raw, out),
            ChatEvent::RawBody(raw) => {
                let raw = self.raw_body(raw);
                out.push(ChatEvent::RawBody(raw));
            }
            ChatEvent::Start(_) | ChatEvent::Usage(_) => out.push(event),
        }
    }

    /// The answer is over, or broken off: gives what was held back as it is. Runs once.
    pub fn on_end(&mut self, out: &mut Vec<ChatEvent>) {
        let mut choices: Vec<u32> = self.holds.keys().map(|(choice, _)| *choice).collect();
        choices.sort_unstable();
        choices.dedup();
        for choice in choices {
            if self.named {
                self.flush_block(choice, out);
            } else {
                self.flush(choice, out);
            }
        }
    }

    fn push(&mut self, key: Key, piece: &str) -> String {
        let is_json = match key.1 {
            Field::Text => self.text_is_json,
            Field::Arguments(_) | Field::FunctionCall => true,
            Field::Refusal
            | Field::Reasoning(_)
            | Field::Transcript
            | Field::Detail(_)
            | Field::Summary(_) => false,
        };
        let hold = self
            .holds
            .entry(key)
            .or_insert_with(|| Hold::new(key.1.place(), is_json));
        hold.push(&self.vault, piece)
    }

    /// Restores what the client is told of a failure. Logs and records have what the provider said.
    pub fn error(&mut self, error: &mut ApiError) {
        if self.is_empty() {
            return;
        }
        error.public = self.complete(&error.public, Place::Text, false);
        let upstream = error.upstream.as_mut();
        if let Some(param) = upstream.and_then(|upstream| upstream.param.as_mut()) {
            *param = self.complete(param, Place::Text, false);
        }
    }

    /// What a text still holds back.
    fn finish(&mut self, key: Key) -> String {
        let hold = self.holds.get_mut(&key);
        hold.map(|hold| hold.finish(&self.vault))
            .unwrap_or_default()
    }

    /// A text that another one follows is over: its rest must not come behind that one.
    fn flush_field(&mut self, choice: u32, field: Field, out: &mut Vec<ChatEvent>) {
        let text = self.finish((choice, field));
        out.extend(text_event(choice, field, text));
    }

    fn flush_texts(&mut self, choice: u32, out: &mut Vec<ChatEvent>) {
        for field in [Field::Reasoning(""), Field::Text, Field::Refusal] {
            self.flush_field(choice, field, out);
        }
    }

    /// The stop sequence that was met is one of the request's.
    fn reason(&mut self, reason: FinishReason) -> FinishReason {
        match reason {
            FinishReason::StopSequence(Some(text)) => {
                FinishReason::StopSequence(Some(self.complete(&text, Place::Text, false)))
            }
            other => other,
        }
    }

    fn flush(&mut self, choice: u32, out: &mut Vec<ChatEvent>) {
        self.flush_texts(choice, out);
        for field in self.fields_of(choice) {
            if field.place() == Place::Arguments {
                self.flush_field(choice, field, out);
            }
        }
    }

    /// Texts of a choice that were seen so far, in order.
    fn fields_of(&self, choice: u32) -> Vec<Field> {
        let of = |(own, field): &Key| (*own == choice).then_some(*field);
        let mut fields: Vec<Field> = self.holds.keys().filter_map(of).collect();
        fields.sort_unstable();
        fields
    }

    /// Restores a text that is there as a whole.
    fn complete(&mut self, text: &str, place: Place, is_json: bool) -> String {
        let mut hold = Hold::new(place, is_json);
        let mut out = hold.push(&self.vault, text);
        out.push_str(&hold.finish(&self.vault));
        self.whole.add(&hold);
        self.changed |= out != text;
        out
    }

    fn is_waiting(&self) -> bool {
        self.holds.values().any(Hold::is_waiting)
    }
}

/// The bytes of an event in which a placeholder can stand.
fn bytes_of(event: &ChatEvent) -> &[u8] {
    match event {
        ChatEvent::Text { text, .. }
        | ChatEvent::Refusal { text, .. }
        | ChatEvent::Reasoning { text, .. } => text.as_bytes(),
        ChatEvent::ToolArguments { fragment, .. } => fragment.as_bytes(),
        ChatEvent::Raw(raw) | ChatEvent::RawBody(raw) => &raw.data,
        ChatEvent::Finish {
            reason: FinishReason::StopSequence(Some(text)),
            ..
        } => text.as_bytes(),
        ChatEvent::Start(_)
        | ChatEvent::Usage(_)
        | ChatEvent::Finish { .. }
        | ChatEvent::ReasoningSignature { .. }
        | ChatEvent::RedactedReasoning { .. }
        | ChatEvent::ToolStart { .. } => &[],
    }
}

/// The event for a piece of text; none for an empty one.
fn text_event(choice: u32, field: Field, text: String) -> Option<ChatEvent> {
    if text.is_empty() {
        return None;
    }
    Some(match field {
        Field::Text => ChatEvent::Text {
            choice,
            text,
            logprobs: None,
        },
        Field::Refusal => ChatEvent::Refusal { choice, text },
        Field::Reasoning(_) => ChatEvent::Reasoning { choice, text },
        Field::Arguments(tool) => ChatEvent::ToolArguments {
            choice,
            tool,
            fragment: text,
        },
        Field::FunctionCall | Field::Transcript | Field::Detail(_) | Field::Summary(_) => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests;
