//! Puts the values back into an answer: the last step before the client.
//!
//! Each text of an answer (a choice's text, a tool call's arguments, a thinking block) is restored on its own, so that
//! pieces of one never wait for another. Bytes that hold nothing that could begin a placeholder pass untouched.

mod hold;
mod raw;
pub mod syntax;

use crate::vault::{Place, Vault};
use aplomb_core::event::ChatEvent;
use hold::Hold;
use std::collections::HashMap;

/// Which text of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Field {
    Text,
    Refusal,
    /// By the member's name, which differs between servers.
    Reasoning(&'static str),
    /// Arguments of the tool call of this number.
    Arguments(u32),
    /// Arguments in OpenAI's older form.
    FunctionCall,
}

impl Field {
    fn place(self) -> Place {
        match self {
            Field::Text | Field::Refusal | Field::Reasoning(_) => Place::Text,
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
    whole: u64,
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
            whole: 0,
        }
    }

    /// Whether nothing has to be put back.
    pub fn is_empty(&self) -> bool {
        self.vault.is_empty()
    }

    /// Values put back so far.
    pub fn restored(&self) -> u64 {
        self.whole + self.holds.values().map(|hold| hold.restored).sum::<u64>()
    }

    /// Takes one event and gives what may go out. Runs once per event, in order.
    pub fn on_event(&mut self, event: ChatEvent, out: &mut Vec<ChatEvent>) {
        if self.vault.is_empty() {
            return out.push(event);
        }
        match event {
            ChatEvent::Text { choice, text, .. } => {
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
            ChatEvent::Finish { choice, .. } => {
                self.flush(choice, out);
                out.push(event);
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
            Field::Refusal | Field::Reasoning(_) => false,
        };
        let hold = self
            .holds
            .entry(key)
            .or_insert_with(|| Hold::new(key.1.place(), is_json));
        hold.push(&self.vault, piece)
    }

    /// What a text still holds back.
    fn finish(&mut self, key: Key) -> String {
        self.holds
            .get_mut(&key)
            .map(Hold::finish)
            .unwrap_or_default()
    }

    fn flush_texts(&mut self, choice: u32, out: &mut Vec<ChatEvent>) {
        for field in [Field::Reasoning(""), Field::Text, Field::Refusal] {
            let text = self.finish((choice, field));
            out.extend(text_event(choice, field, text));
        }
    }

    fn flush(&mut self, choice: u32, out: &mut Vec<ChatEvent>) {
        self.flush_texts(choice, out);
        for field in self.tools_of(choice) {
            let text = self.finish((choice, field));
            out.extend(text_event(choice, field, text));
        }
    }

    /// Fields of a choice that hold arguments, in order.
    fn tools_of(&self, choice: u32) -> Vec<Field> {
        let of = |(own, field): &Key| {
            (*own == choice && field.place() == Place::Arguments).then_some(*field)
        };
        let mut fields: Vec<Field> = self.holds.keys().filter_map(of).collect();
        fields.sort_unstable();
        fields
    }

    /// Restores a text that is there as a whole.
    fn complete(&mut self, text: &str, place: Place, is_json: bool) -> String {
        let mut hold = Hold::new(place, is_json);
        let mut out = hold.push(&self.vault, text);
        out.push_str(&hold.finish());
        self.whole += hold.restored;
        out
    }

    fn is_holding(&self) -> bool {
        self.holds.values().any(Hold::is_holding)
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
        Field::FunctionCall => return None,
    })
}
