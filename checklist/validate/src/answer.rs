//! An answer as checks see it: its texts and tool calls, choice by choice.

use aplomb_core::event::{ChatEvent, FinishReason};
use std::collections::BTreeMap;

/// A tool call of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// Name of the tool.
    pub name: String,
    /// Its arguments as JSON text.
    pub arguments: String,
}

/// One choice of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Its visible text.
    pub text: String,
    /// OpenAI's refusal text.
    pub refusal: String,
    /// Its tool calls by their numbers.
    pub tools: BTreeMap<u32, ToolCall>,
    /// Why it ended.
    pub finish: Option<FinishReason>,
}

impl Choice {
    /// Whether the model called tools instead of saying something: checks of the text do not apply.
    pub fn only_calls(&self) -> bool {
        !self.tools.is_empty() && self.text.trim().is_empty()
    }
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its choices by their numbers; at least one.
    pub choices: BTreeMap<u32, Choice>,
}

impl Answer {
    /// The answer that typed events make.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a ChatEvent>) -> Self {
        let mut answer = Answer::default();
        for event in events {
            answer.on_event(event);
        }
        answer.choices.entry(0).or_default();
        answer
    }

    /// An answer of one text.
    pub fn text(text: &str) -> Self {
        let choice = Choice {
            text: text.to_owned(),
            ..Choice::default()
        };
        Answer {
            choices: BTreeMap::from([(0, choice)]),
        }
    }

    /// Bytes of all of it.
    pub fn bytes(&self) -> usize {
        let size = |choice: &Choice| {
            let tools = choice.tools.values().map(|call| call.arguments.len());
            choice.text.len() + choice.refusal.len() + tools.sum::<usize>()
        };
        self.choices.values().map(size).sum()
    }

    pub(crate) fn on_event(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::Text { choice, text, .. } => self.choice(*choice).text.push_str(text),
            ChatEvent::Refusal { choice, text } => self.choice(*choice).refusal.push_str(text),
            ChatEvent::ToolStart {
                choice, tool, name, ..
            } => self.call(*choice, *tool).name.clone_from(name),
            ChatEvent::ToolArguments {
                choice,
                tool,
                fragment,
            } => self.call(*choice, *tool).arguments.push_str(fragment),
            ChatEvent::Finish { choice, reason } => {
                self.choice(*choice).finish = Some(reason.clone());
            }
            ChatEvent::Start(_)
            | ChatEvent::Reasoning { .. }
            | ChatEvent::ReasoningSignature { .. }
            | ChatEvent::RedactedReasoning { .. }
            | ChatEvent::Usage(_)
            | ChatEvent::Raw(_)
            | ChatEvent::RawBody(_) => {}
        }
    }

    fn choice(&mut self, number: u32) -> &mut Choice {
        self.choices.entry(number).or_default()
    }

    fn call(&mut self, choice: u32, tool: u32) -> &mut ToolCall {
        self.choice(choice).tools.entry(tool).or_default()
    }
}

/// An answer's events with other texts of choices in the place of their own. What there was besides text stays.
pub fn with_texts<E: IntoIterator<Item = ChatEvent>>(
    events: E,
    texts: &BTreeMap<u32, String>,
) -> Vec<ChatEvent> {
    let mut left = texts.clone();
    let mut out = Vec::new();
    for event in events {
        match &event {
            ChatEvent::Text { choice, .. } | ChatEvent::Finish { choice, .. } => {
                if let Some(text) = left.remove(choice) {
                    out.push(ChatEvent::Text {
                        choice: *choice,
                        text,
                        logprobs: None,
                    });
                }
            }
            _ => {}
        }
        let own = matches!(&event, ChatEvent::Text { choice, .. } if texts.contains_key(choice));
        if !own {
            out.push(event);
        }
    }
    out
}

/// An answer that says nothing but this text: what came of it besides its identity and usage is left out.
pub fn with_text_alone<E: IntoIterator<Item = ChatEvent>>(events: E, text: &str) -> Vec<ChatEvent> {
    let mut out = Vec::new();
    for event in events {
        match event {
            ChatEvent::Finish { choice, .. } => {
                out.push(ChatEvent::Text {
                    choice,
                    text: text.to_owned(),
                    logprobs: None,
                });
                let reason = FinishReason::Stop;
                out.push(ChatEvent::Finish { choice, reason });
            }
            ChatEvent::Start(_) | ChatEvent::Usage(_) => out.push(event),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(choice: u32, text: &str) -> ChatEvent {
        let text = text.to_owned();
        ChatEvent::Text {
            choice,
            text,
            logprobs: None,
        }
    }

    fn finish(choice: u32) -> ChatEvent {
        let reason = FinishReason::Stop;
        ChatEvent::Finish { choice, reason }
    }

    #[test]
    fn texts_are_replaced_and_the_rest_stays_in_order() {
        let events = [
            text(0, "a"),
            text(1, "b"),
            text(0, "c"),
            finish(0),
            finish(1),
            finish(2),
        ];
        let texts = BTreeMap::from([(0, "x".to_owned()), (2, "z".to_owned())]);
        let expected = [
            text(0, "x"),
            text(1, "b"),
            finish(0),
            finish(1),
            text(2, "z"),
            finish(2),
        ];
        assert_eq!(with_texts(events, &texts), expected);
    }

    #[test]
    fn nothing_but_another_text_is_left() {
        let tool = ChatEvent::ToolStart {
            choice: 0,
            tool: 0,
            id: String::new(),
            name: "delete".into(),
        };
        let ends = ChatEvent::Finish {
            choice: 0,
            reason: FinishReason::ToolCalls,
        };
        let refusal = ChatEvent::Refusal {
            choice: 0,
            text: "no".into(),
        };
        let left = with_text_alone([text(0, "a"), refusal, tool, ends], "say");
        assert_eq!(left, [text(0, "say"), finish(0)]);
    }
}
