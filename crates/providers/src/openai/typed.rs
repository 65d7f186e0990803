//! Typed events from OpenAI chunks and bodies, for clients of another dialect or another form.

use super::text::{Carry, decode};
use super::wire::{Answer, Choice, Message};
use aplomb_core::event::ChatEvent;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    id: Option<String>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Default)]
struct ChoiceState {
    index: u32,
    text: Carry,
    reasoning: Carry,
    /// Wire index and id of each call so far; the position is the call's number.
    tools: Vec<(u32, String)>,
    arguments: Carry,
}

/// What has to be remembered between chunks.
#[derive(Default)]
pub(super) struct Typed {
    choices: Vec<ChoiceState>,
}

impl Typed {
    /// Emits the events of one chunk or body. Finish reasons come last.
    pub fn answer(&mut self, answer: &Answer<'_>, out: &mut Vec<ChatEvent>) {
        for choice in answer.choices.iter().flatten() {
            let state = self.state(choice.index);
            let message = choice.delta.as_ref().or(choice.message.as_ref());
            if let Some(message) = message {
                state.message(message, choice, out);
            }
            if let Some(text) = choice
                .text
                .and_then(|raw| decode(raw.get(), &mut state.text))
            {
                out.push(ChatEvent::Text {
                    choice: choice.index,
                    text,
                    logprobs: None,
                });
            }
            if let Some(reason) = choice.finish() {
                out.push(ChatEvent::Finish {
                    choice: choice.index,
                    reason,
                });
            }
        }
    }

    fn state(&mut self, index: u32) -> &mut ChoiceState {
        let at = match self.choices.iter().position(|state| state.index == index) {
            Some(at) => at,
            None => {
                self.choices.push(ChoiceState {
                    index,
                    ..ChoiceState::default()
                });
                self.choices.len() - 1
            }
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "`at` was found or pushed just above"
        )]
        &mut self.choices[at]
    }
}

impl ChoiceState {
    fn message(&mut self, message: &Message<'_>, whole: &Choice<'_>, out: &mut Vec<ChatEvent>) {
        let choice = self.index;
        let reasoning = message.reasoning_content.or(message.reasoning);
        if let Some(text) = reasoning
            .and_then(|raw| decode(raw.get(), &mut self.reasoning))
            .filter(|t| !t.is_empty())
        {
            out.push(ChatEvent::Reasoning { choice, text });
        }
        if let Some(text) = message.content.and_then(|raw| text_of(raw, &mut self.text)) {
            let logprobs = whole
                .logprobs
                .and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
            let logprobs = logprobs.filter(|value| !value.is_null());
            if !text.is_empty() || logprobs.is_some() {
                out.push(ChatEvent::Text {
                    choice,
                    text,
                    logprobs,
                });
            }
        }
        if let Some(text) = message
            .refusal
            .and_then(|raw| decode(raw.get(), &mut self.text))
            .filter(|t| !t.is_empty())
        {
            out.push(ChatEvent::Refusal { choice, text });
        }
        if let Some(calls) = message
            .tool_calls
            .and_then(|raw| serde_json::from_str::<Vec<Call>>(raw.get()).ok())
        {
            for (position, call) in calls.into_iter().enumerate() {
                self.tool_call(call, position, out);
            }
        }
        if let Some(function) = message
            .function_call
            .and_then(|raw| serde_json::from_str::<Function>(raw.get()).ok())
        {
            self.tool_call(
                Call {
                    index: Some(0),
                    id: None,
                    function: Some(function),
                },
                0,
                out,
            );
        }
    }

    /// A new wire index, or a new id on a known index (some servers never count), begins a call.
    fn tool_call(&mut self, call: Call<'_>, position: usize, out: &mut Vec<ChatEvent>) {
        let choice = self.index;
        let wire = call
            .index
            .unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX));
        let id = call.id.unwrap_or_default();
        let known = self.tools.iter().rposition(|(index, _)| *index == wire);
        let same = |at: &usize| {
            id.is_empty() || self.tools.get(*at).is_some_and(|(_, known)| *known == id)
        };
        let (name, arguments) = call
            .function
            .map_or((None, None), |f| (f.name, f.arguments));
        let number = match known.filter(same) {
            Some(at) => at,
            None => {
                self.tools.push((wire, id.clone()));
                let number = self.tools.len() - 1;
                let tool = u32::try_from(number).unwrap_or(u32::MAX);
                let id = if id.is_empty() {
                    format!("call_{choice}_{tool}")
                } else {
                    id
                };
                out.push(ChatEvent::ToolStart {
                    choice,
                    tool,
                    id,
                    name: name.unwrap_or_default(),
                });
                number
            }
        };
        let tool = u32::try_from(number).unwrap_or(u32::MAX);
        if let Some(fragment) = arguments
            .and_then(|raw| arguments_of(raw, &mut self.arguments))
            .filter(|f| !f.is_empty())
        {
            out.push(ChatEvent::ToolArguments {
                choice,
                tool,
                fragment,
            });
        }
    }
}

/// Content is a string, or, from some servers, a list of text parts.
fn text_of(raw: &RawValue, carry: &mut Carry) -> Option<String> {
    if let Some(text) = decode(raw.get(), carry) {
        return Some(text);
    }
    let parts: Vec<Value> = serde_json::from_str(raw.get()).ok()?;
    Some(
        parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
    )
}

/// Arguments are JSON text in a string; some servers send the object itself.
fn arguments_of(raw: &RawValue, carry: &mut Carry) -> Option<String> {
    match raw.get().bytes().next()? {
        b'"' => decode(raw.get(), carry),
        b'{' => Some(raw.get().to_owned()),
        _ => None,
    }
}
