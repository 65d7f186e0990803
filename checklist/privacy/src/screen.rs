//! Personal data that the model invents: looked for in its answer before anything is restored or recorded.
//!
//! Text is held back up to the last white space, and at most a window; a value longer than the window, or one that spans
//! white space across two pieces, is found only as far as it stands within one piece. Whole answers are one piece.
//! Arguments of calls are JSON and held back until they are whole, so that they stay JSON.

use crate::detect::entity::EntityKind;
use crate::detect::{Detector, Hint};
use crate::mask::splice::splice;
use crate::mask::visit::{Slot, Visitor, visit_data};
use crate::placeholder::label;
use crate::policy::Output;
use aplomb_core::event::ChatEvent;
use serde_json::Value;
use std::collections::BTreeMap;
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

/// Which text of a choice, in the order in which they are flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Reasoning,
    Text,
    Refusal,
    /// Arguments of the call of this number.
    Arguments(u32),
}

/// Looks over one answer.
pub struct Screen {
    output: Output,
    detector: Arc<Detector>,
    held: BTreeMap<(u32, Kind), String>,
    counts: BTreeMap<String, u32>,
}

impl Screen {
    /// For a policy; `None` if it does not look at answers.
    pub fn new(output: Output, detector: Arc<Detector>) -> Option<Self> {
        (output != Output::Ignore).then(|| Screen {
            output,
            detector,
            held: BTreeMap::new(),
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
            ChatEvent::Text { choice, text, .. } => self.text(choice, Kind::Text, &text, out),
            ChatEvent::Refusal { choice, text } => self.text(choice, Kind::Refusal, &text, out),
            ChatEvent::Reasoning { choice, text } => self.text(choice, Kind::Reasoning, &text, out),
            ChatEvent::ToolArguments {
                choice,
                tool,
                fragment,
            } => {
                let key = (choice, Kind::Arguments(tool));
                self.held.entry(key).or_default().push_str(&fragment);
                if self.output == Output::Flag {
                    out.extend(piece(choice, key.1, fragment));
                }
            }
            ChatEvent::ToolStart { choice, .. } | ChatEvent::ReasoningSignature { choice, .. } => {
                self.flush_texts(choice, out);
                out.push(event);
            }
            ChatEvent::Finish { choice, .. } => {
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
        choices.dedup();
        for choice in choices {
            self.flush(choice, out);
        }
    }

    fn text(&mut self, choice: u32, kind: Kind, text: &str, out: &mut Vec<ChatEvent>) {
        let text = self.push((choice, kind), text);
        out.extend(piece(choice, kind, text));
    }

    fn flush_texts(&mut self, choice: u32, out: &mut Vec<ChatEvent>) {
        for kind in [Kind::Reasoning, Kind::Text, Kind::Refusal] {
            let held = self.held.remove(&(choice, kind)).unwrap_or_default();
            let text = self.look(&held);
            out.extend(piece(choice, kind, text));
        }
    }

    fn flush(&mut self, choice: u32, out: &mut Vec<ChatEvent>) {
        self.flush_texts(choice, out);
        let calls = (choice, Kind::Arguments(0))..=(choice, Kind::Arguments(u32::MAX));
        let calls: Vec<(u32, Kind)> = self.held.range(calls).map(|(key, _)| *key).collect();
        for key in calls {
            let held = self.held.remove(&key).unwrap_or_default();
            let text = self.arguments(&held);
            // Where nothing is replaced, the pieces are out already.
            if self.output == Output::Redact {
                out.extend(piece(choice, key.1, text));
            }
        }
    }

    /// Looks over arguments of a call, value by value; what is no JSON is a text.
    fn arguments(&mut self, source: &str) -> String {
        let Ok(mut value) = serde_json::from_str::<Value>(source) else {
            return self.look(source);
        };
        if !visit_data(&mut value, self) {
            return source.to_owned();
        }
        splice(source, &value).unwrap_or_else(|| value.to_string())
    }

    fn push(&mut self, key: (u32, Kind), text: &str) -> String {
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
        self.look_with(text, Hint::default())
    }

    fn look_with(&mut self, text: &str, hint: Hint<'_>) -> String {
        if text.is_empty() {
            return String::new();
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for entity in self.detector.detect(text, hint) {
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
            Value::String(text) if key == "arguments" => *text = self.arguments(text),
            Value::Object(_) if matches!(key, "input" | "arguments") => {
                visit_data(value, self);
            }
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

impl Visitor for Screen {
    fn text(&mut self, slot: Slot<'_>, text: &mut String) -> bool {
        let hint = Hint {
            json_key: slot.key,
            in_code: false,
        };
        let looked = self.look_with(text, hint);
        let changed = looked != *text;
        *text = looked;
        changed
    }

    // Data has no parts.
    fn media(&mut self, _: &str) {}
    fn unknown_part(&mut self, _: &str) {}
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

fn piece(choice: u32, kind: Kind, text: String) -> Option<ChatEvent> {
    if text.is_empty() {
        return None;
    }
    Some(match kind {
        Kind::Reasoning => ChatEvent::Reasoning { choice, text },
        Kind::Refusal => ChatEvent::Refusal { choice, text },
        Kind::Arguments(tool) => ChatEvent::ToolArguments {
            choice,
            tool,
            fragment: text,
        },
        Kind::Text => ChatEvent::Text {
            choice,
            text,
            logprobs: None,
        },
    })
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

    /// Events of a call after a refusal, each text cut at every place.
    fn call(output: Output, arguments: &str) -> Vec<(String, String, u32)> {
        let refusal = "No: ada@example.org knows.";
        let detector = Arc::new(detector(Vec::new()).unwrap());
        let run = |cut: usize| {
            let mut screen = Screen::new(output, detector.clone()).unwrap();
            let mut out = Vec::new();
            for text in [&refusal[..cut], &refusal[cut..]] {
                let text = text.to_owned();
                screen.on_event(ChatEvent::Refusal { choice: 0, text }, &mut out);
            }
            for fragment in [&arguments[..cut], &arguments[cut..]] {
                let event = ChatEvent::ToolArguments {
                    choice: 0,
                    tool: 1,
                    fragment: fragment.to_owned(),
                };
                screen.on_event(event, &mut out);
            }
            screen.on_end(&mut out);
            let mut texts = (String::new(), String::new());
            for event in out {
                match event {
                    ChatEvent::Refusal { text, .. } => texts.0 += &text,
                    ChatEvent::ToolArguments { fragment, .. } => texts.1 += &fragment,
                    other => panic!("{other:?}"),
                }
            }
            (texts.0, texts.1, screen.counts().values().sum())
        };
        (0..refusal.len()).map(run).collect()
    }

    #[test]
    fn refusals_and_arguments_are_looked_at_in_streams() {
        let arguments = r#"{ "to": "\nbob@example.org", "n": 1.50, "ssn": 123456789}"#;
        for (refusal, arguments, count) in call(Output::Redact, arguments) {
            assert_eq!(refusal, "No: [EMAIL] knows.");
            let expected = r#"{ "to": "\n[EMAIL]", "n": 1.50, "ssn": "[US_SSN]"}"#;
            assert_eq!((arguments.as_str(), count), (expected, 3));
        }
        for (refusal, left, _) in call(Output::Flag, arguments) {
            assert_eq!(
                (refusal.as_str(), &*left),
                ("No: ada@example.org knows.", arguments)
            );
        }
        let broken = r#"{"to": "bob@example.org", "text": "hel"#;
        for (_, arguments, count) in call(Output::Redact, broken) {
            let expected = r#"{"to": "[EMAIL]", "text": "hel"#;
            assert_eq!((arguments.as_str(), count), (expected, 2));
        }
    }

    #[test]
    fn arguments_of_whole_answers_are_looked_at() {
        let detector = Arc::new(detector(Vec::new()).unwrap());
        let mut screen = Screen::new(Output::Redact, detector).unwrap();
        let body = serde_json::json!({
            "tool_calls": [{ "function": { "arguments": "{\"to\": \"bob@example.org\"}" } }],
            "content": [{ "type": "tool_use", "input": { "to": ["ada@example.org"], "type": "x" } }],
        });
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
        assert_eq!(text.matches("[EMAIL]").count(), 2, "{text}");
    }
}
