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

    fn on_event(&mut self, event: &ChatEvent) {
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
