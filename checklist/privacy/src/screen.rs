//! Personal data that the model invents: looked for in its answer before anything is restored or recorded.
//!
//! Text is held back up to the last white space, and at most a window; a value longer than the window, or one that spans
//! white space across two pieces, is found only as far as it stands within one piece. Whole answers are one piece.

use crate::detect::entity::EntityKind;
use crate::detect::{Detector, Hint};
use crate::placeholder::label;
use crate::policy::Output;
use aplomb_core::event::ChatEvent;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most bytes that are held back. Chosen: a line of text; sentences end sooner.
const WINDOW_BYTES: usize = 256;

/// Members of a whole answer that are texts, in both dialects.
const TEXTS: [&str; 7] = [
    "content",
    "text",
    "refusal",
    "reasoning_content",
    "reasoning",
    "thinking",
    "transcript",
];

/// Looks over one answer.
pub struct Screen {
    output: Output,
    detector: Arc<Detector>,
    held: HashMap<(u32, bool), String>,
    counts: BTreeMap<String, u32>,
}

impl Screen {
    /// For a policy; `None` if it does not look at answers.
    pub fn new(output: Output, detector: Arc<Detector>) -> Option<Self> {
        (output != Output::Ignore).then(|| Screen {
            output,
            detector,
            held: HashMap::new(),
            counts: BTreeMap::new(),
        })
    }

    /// What was found so far, by `KIND:action`.
    pub fn counts(&self) -> &BTreeMap<String, u32> {
        &self.counts
    }

    /// Takes one event and gives what may go on. Runs once per event, in order.
    pub fn on_event(&mut self, event: ChatEvent, out: &mut Vec<ChatEvent>) {
        match event {
            ChatEvent::Text { choice, text, .. } => {
                let text = self.push((choice, false), &text);
                out.extend(piece(choice, false, text));
            }
            ChatEvent::Reasoning { choice, text } => {
                let text = self.push((choice, true), &text);
                out.extend(piece(choice, true, text));
            }
            ChatEvent::Finish { choice, .. }
            | ChatEvent::ToolStart { choice, .. }
            | ChatEvent::ReasoningSignature { choice, .. } => {
                self.flush(choice, out);
                out.push(event);
            }
            ChatEvent::RawBody(mut raw) => {
                if let Ok(mut value) = serde_json::from_slice::<Value>(&raw.data) {
                    let before = self.counts.clone();
                    self.all("", &mut value);
                    if self.output == Output::Redact && self.counts != before {
                        raw.data = value.to_string().into();
                    }
                }
                out.push(ChatEvent::RawBody(raw));
            }
            other => out.push(other),
        }
    }

    /// The answer is over, or broken off. Runs once.
    pub fn on_end(&mut self, out: &mut Vec<ChatEvent>) {
        let mut choices: Vec<u32> = self.held.keys().map(|(choice, _)| *choice).collect();
        choices.sort_unstable();
        choices.dedup();
        for choice in choices {
            self.flush(choice, out);
        }
    }

    fn flush(&mut self, choice: u32, out: &mut Vec<ChatEvent>) {
        for reasoning in [true, false] {
            let held = self.held.remove(&(choice, reasoning)).unwrap_or_default();
            let text = self.look(&held);
            out.extend(piece(choice, reasoning, text));
        }
    }

    fn push(&mut self, key: (u32, bool), text: &str) -> String {
        let mut all = self.held.remove(&key).unwrap_or_default();
        all.push_str(text);
        let cut = if self.output == Output::Flag {
            all.len()
        } else {
            safe_cut(&all)
        };
        let rest = all.split_off(cut);
        self.held.insert(key, rest);
        self.look(&all)
    }

    fn look(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for entity in self.detector.detect(text, Hint::default()) {
            if !is_telling(&entity.kind) {
                continue;
            }
            let action = if self.output == Output::Redact {
                "redact"
            } else {
                "flag"
            };
            let key = format!("{}:output_{action}", entity.kind.name());
            *self.counts.entry(key).or_default() += 1;
            if self.output == Output::Redact {
                out.push_str(text.get(done..entity.range.start).unwrap_or_default());
                out.push_str(&format!("[{}]", label(&entity.kind)));
                done = entity.range.end;
            }
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }

    fn all(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::String(text) if TEXTS.contains(&key) => *text = self.look(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.all(key, item)),
            Value::Object(members) => {
                for (name, member) in members {
                    self.all(name, member);
                }
            }
            _ => {}
        }
    }
}

/// Kinds that are somebody's own even where the model invents them; bare names and places are not.
fn is_telling(kind: &EntityKind) -> bool {
    !matches!(
        kind,
        EntityKind::Person | EntityKind::Location | EntityKind::Organization
    )
}

/// Where the text can be cut so that no value is likely to go on behind it.
fn safe_cut(text: &str) -> usize {
    let tail = text.len().saturating_sub(WINDOW_BYTES);
    let from = text.floor_char_boundary(tail);
    let recent = text.get(from..).unwrap_or_default();
    // Numbers are written in groups: a space between two digits is no end.
    let mut cut = None;
    for (at, c) in recent.char_indices() {
        if c.is_whitespace() {
            let before = recent.get(..at).and_then(|t| t.chars().next_back());
            let grouped = before.is_some_and(|b| b.is_ascii_digit()) && c == ' ';
            if !grouped {
                cut = Some(from + at + c.len_utf8());
            }
        }
    }
    cut.unwrap_or(from)
}

fn piece(choice: u32, reasoning: bool, text: String) -> Option<ChatEvent> {
    if text.is_empty() {
        None
    } else if reasoning {
        Some(ChatEvent::Reasoning { choice, text })
    } else {
        Some(ChatEvent::Text {
            choice,
            text,
            logprobs: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finder::detector;
    use aplomb_core::event::{Facts, Raw};

    fn run(output: Output, pieces: &[&str]) -> (String, u32) {
        let detector = Arc::new(detector(Vec::new()).unwrap());
        let mut screen = Screen::new(output, detector).unwrap();
        let mut out = Vec::new();
        for text in pieces {
            let event = ChatEvent::Text {
                choice: 0,
                text: (*text).to_owned(),
                logprobs: None,
            };
            screen.on_event(event, &mut out);
        }
        screen.on_end(&mut out);
        let text = out
            .iter()
            .filter_map(|event| match event {
                ChatEvent::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        (text, screen.counts().values().sum())
    }

    #[test]
    fn an_invented_address_is_replaced_wherever_it_is_cut() {
        let text = "Write to ada@example.org today.";
        let expected = ("Write to [EMAIL] today.".to_owned(), 1);
        for (cut, _) in text.char_indices() {
            let (one, other) = text.split_at(cut);
            assert_eq!(
                run(Output::Redact, &[one, other]),
                expected,
                "{one} | {other}"
            );
        }
        assert_eq!(run(Output::Flag, &[text]), (text.to_owned(), 1));
    }

    #[test]
    fn every_text_of_a_whole_answer_is_looked_at() {
        let detector = Arc::new(detector(Vec::new()).unwrap());
        let mut screen = Screen::new(Output::Redact, detector).unwrap();
        let texts = TEXTS.map(|name| (name.to_owned(), Value::from("to ada@example.org")));
        let body = Value::from(serde_json::Map::from_iter(texts));
        let raw = Raw {
            name: None,
            data: body.to_string().into(),
            facts: Facts::default(),
        };
        let mut out = Vec::new();
        screen.on_event(ChatEvent::RawBody(raw), &mut out);
        let Some(ChatEvent::RawBody(raw)) = out.pop() else {
            panic!("no body");
        };
        let text = String::from_utf8_lossy(&raw.data).into_owned();
        assert_eq!(text.matches("to [EMAIL]").count(), TEXTS.len(), "{text}");
    }

    #[test]
    fn grouped_digits_are_one() {
        let pieces = ["Card 4111 ", "1111 ", "1111 ", "1111 is", " gone."];
        assert_eq!(
            run(Output::Redact, &pieces).0,
            "Card [CREDIT_CARD] is gone."
        );
    }
}
