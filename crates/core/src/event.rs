//! An answer as a stream of events: the one form that every step between provider and client sees.
//!
//! There are two lanes. Where both sides speak the same dialect and nobody needs to look inside, an event
//! carries the provider's own bytes ([`ChatEvent::Raw`]) with the few facts the gateway needs. Otherwise the
//! events are typed, and are written anew for the client.

use crate::usage::Usage;
use bytes::Bytes;
use serde_json::{Map, Value};

/// Why a choice ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// A stop sequence was met; the text of it where the provider says so.
    StopSequence(Option<String>),
    /// The bound on output tokens, or the context window, was reached.
    Length,
    /// The model wants tools to be run.
    ToolCalls,
    /// Refused or cut by the provider's safety system.
    ContentFilter,
    /// Anthropic `pause_turn`: the turn can be continued by sending it back.
    PauseTurn,
    /// A reason that is not known here, as the provider spelled it.
    Other(String),
}

impl FinishReason {
    /// Reads OpenAI's `finish_reason`.
    pub fn from_openai(text: &str) -> Self {
        match text {
            "stop" => FinishReason::Stop,
            "length" => FinishReason::Length,
            "tool_calls" | "function_call" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            other => FinishReason::Other(other.to_owned()),
        }
    }

    /// OpenAI's `finish_reason`; only values that its SDKs know.
    pub fn to_openai(&self) -> &'static str {
        match self {
            FinishReason::Stop
            | FinishReason::StopSequence(_)
            | FinishReason::PauseTurn
            | FinishReason::Other(_) => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
        }
    }

    /// Reads Anthropic's `stop_reason`.
    pub fn from_anthropic(text: &str, stop_sequence: Option<String>) -> Self {
        match text {
            "end_turn" => FinishReason::Stop,
            "stop_sequence" => FinishReason::StopSequence(stop_sequence),
            "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
            "tool_use" => FinishReason::ToolCalls,
            "refusal" => FinishReason::ContentFilter,
            "pause_turn" => FinishReason::PauseTurn,
            other => FinishReason::Other(other.to_owned()),
        }
    }

    /// Anthropic's `stop_reason`; only values that its SDKs know.
    pub fn to_anthropic(&self) -> &'static str {
        match self {
            FinishReason::Stop | FinishReason::StopSequence(None) | FinishReason::Other(_) => {
                "end_turn"
            }
            FinishReason::StopSequence(Some(_)) => "stop_sequence",
            FinishReason::Length => "max_tokens",
            FinishReason::ToolCalls => "tool_use",
            FinishReason::ContentFilter => "refusal",
            FinishReason::PauseTurn => "pause_turn",
        }
    }
}

/// Identity of an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Start {
    /// The provider's id of the answer, e.g. `chatcmpl-...` or `msg_...`.
    pub id: String,
    /// Model as the provider names it.
    pub model: String,
    /// Seconds since the Unix epoch; 0 where the provider gives none.
    pub created: u64,
    /// Further top-level members of an OpenAI answer (`system_fingerprint`, `service_tier`).
    pub extra: Map<String, Value>,
}

/// What the gateway needs to know of bytes that it passes on unread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Holds a part of the answer: text, refusal, reasoning, a tool call or a finish reason.
    pub content: bool,
    /// Bytes of generated text in it, as an upper bound of tokens where no usage is reported.
    pub output_bytes: u32,
    /// A choice ended here.
    pub finish: Option<FinishReason>,
}

/// The provider's own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Anthropic's event name; `None` on OpenAI streams and whole bodies.
    pub name: Option<Box<str>>,
    /// One JSON document.
    pub data: Bytes,
    /// What was read from it.
    pub facts: Facts,
}

/// One step of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatEvent {
    /// Always first, once. Carries no content.
    Start(Start),
    /// Visible text of a choice, with OpenAI `logprobs` where they were asked for.
    Text {
        choice: u32,
        text: String,
        logprobs: Option<Value>,
    },
    /// OpenAI's refusal text.
    Refusal { choice: u32, text: String },
    /// Reasoning text (`reasoning_content`, thinking).
    Reasoning { choice: u32, text: String },
    /// Signature that closes a thinking block and must be replayed unchanged.
    ReasoningSignature { choice: u32, signature: String },
    /// Encrypted reasoning that must be replayed unchanged.
    RedactedReasoning { choice: u32, data: String },
    /// A tool call begins. `tool` counts the calls of a choice from 0.
    ToolStart {
        choice: u32,
        tool: u32,
        id: String,
        name: String,
    },
    /// A piece of the call's JSON arguments.
    ToolArguments {
        choice: u32,
        tool: u32,
        fragment: String,
    },
    /// A choice ended.
    Finish { choice: u32, reason: FinishReason },
    /// Token counts. The last one holds.
    Usage(Usage),
    /// One event of a stream as the provider sent it; same dialect on both sides.
    Raw(Raw),
    /// A whole JSON body as the provider sent it; same dialect on both sides.
    RawBody(Raw),
}

impl ChatEvent {
    /// True if this event may be the first that a client sees of an answer: text, a call, an end.
    pub fn is_content(&self) -> bool {
        match self {
            ChatEvent::Start(_) | ChatEvent::Usage(_) => false,
            ChatEvent::Text { text, .. }
            | ChatEvent::Refusal { text, .. }
            | ChatEvent::Reasoning { text, .. } => !text.is_empty(),
            ChatEvent::ReasoningSignature { .. }
            | ChatEvent::RedactedReasoning { .. }
            | ChatEvent::ToolStart { .. }
            | ChatEvent::ToolArguments { .. }
            | ChatEvent::Finish { .. } => true,
            ChatEvent::Raw(raw) => raw.facts.content,
            ChatEvent::RawBody(_) => true,
        }
    }

    /// The same event as a part of another choice. Raw events name their choice in their bytes and stay as they are.
    #[must_use]
    pub fn with_choice(mut self, number: u32) -> Self {
        match &mut self {
            ChatEvent::Text { choice, .. }
            | ChatEvent::Refusal { choice, .. }
            | ChatEvent::Reasoning { choice, .. }
            | ChatEvent::ReasoningSignature { choice, .. }
            | ChatEvent::RedactedReasoning { choice, .. }
            | ChatEvent::ToolStart { choice, .. }
            | ChatEvent::ToolArguments { choice, .. }
            | ChatEvent::Finish { choice, .. } => *choice = number,
            ChatEvent::Start(_)
            | ChatEvent::Usage(_)
            | ChatEvent::Raw(_)
            | ChatEvent::RawBody(_) => {}
        }
        self
    }

    /// Bytes of generated text that this event carries.
    pub fn output_bytes(&self) -> u32 {
        let size = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        match self {
            ChatEvent::Text { text, .. }
            | ChatEvent::Refusal { text, .. }
            | ChatEvent::Reasoning { text, .. } => size(text),
            ChatEvent::ToolStart { name, .. } => size(name),
            ChatEvent::ToolArguments { fragment, .. } => size(fragment),
            ChatEvent::Raw(raw) | ChatEvent::RawBody(raw) => raw.facts.output_bytes,
            ChatEvent::Start(_)
            | ChatEvent::Usage(_)
            | ChatEvent::Finish { .. }
            | ChatEvent::ReasoningSignature { .. }
            | ChatEvent::RedactedReasoning { .. } => 0,
        }
    }

    /// The finish reason, where this event ends a choice.
    pub fn finish(&self) -> Option<&FinishReason> {
        match self {
            ChatEvent::Finish { reason, .. } => Some(reason),
            ChatEvent::Raw(raw) | ChatEvent::RawBody(raw) => raw.facts.finish.as_ref(),
            _ => None,
        }
    }
}
