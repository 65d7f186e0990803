//! A chat request in neutral form, for providers that speak another dialect than the client.
//!
//! It is built only when a request has to be translated or simulated. What has no neutral form is kept as
//! JSON where the target can take it; the encoder of a target names the fields that it had to leave out.

use serde_json::{Map, Value};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions in the middle of a conversation; leading ones are in [`Conversation::system`].
    System,
    /// The end user, and results of tools.
    User,
    /// The model.
    Assistant,
}

/// Where an image or a file comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Fetched by the provider.
    Url(String),
    /// Sent along, base64.
    Base64 { media_type: String, data: String },
    /// Known to the provider by an id.
    FileId(String),
    /// Plain text (Anthropic documents).
    Text(String),
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text. `cache_control` is Anthropic's breakpoint.
    Text {
        text: String,
        cache_control: Option<Value>,
    },
    /// A picture; `detail` is OpenAI's hint.
    Image {
        source: Source,
        detail: Option<String>,
        cache_control: Option<Value>,
    },
    /// A file such as a PDF.
    File {
        source: Source,
        name: Option<String>,
        cache_control: Option<Value>,
    },
    /// A call that the assistant made. `arguments` is JSON text.
    ToolCall {
        id: String,
        name: String,
        arguments: String,
        cache_control: Option<Value>,
    },
    /// The result of a call.
    ToolResult {
        id: String,
        content: Vec<Part>,
        is_error: bool,
        cache_control: Option<Value>,
    },
    /// Reasoning of the assistant, with the signature that makes it replayable.
    Reasoning {
        text: String,
        signature: Option<String>,
    },
    /// Encrypted reasoning.
    RedactedReasoning { data: String },
    /// OpenAI's refusal text of an earlier turn.
    Refusal { text: String },
    /// A part with no counterpart (audio, server tools), by its type name and as it came.
    Other { kind: String, value: Value },
}

impl Part {
    /// A text part without a cache breakpoint.
    pub fn text(text: impl Into<String>) -> Self {
        Part::Text {
            text: text.into(),
            cache_control: None,
        }
    }
}

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// OpenAI `name` of the speaker.
    pub name: Option<String>,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

/// A function the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Name of the function.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub parameters: Value,
    /// OpenAI `strict`.
    pub strict: Option<bool>,
    /// Anthropic's breakpoint.
    pub cache_control: Option<Value>,
}

/// Which tools the model may or must call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No call.
    None,
    /// Some call.
    Required,
    /// This function.
    Named(String),
}

/// Form of the answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema {
        name: String,
        schema: Value,
        strict: Option<bool>,
    },
}

/// How much the model shall think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reasoning {
    /// OpenAI `reasoning_effort`, Anthropic `output_config.effort`: `minimal`, `low`, `medium`, `high`, ...
    Effort(String),
    /// Anthropic `thinking.budget_tokens`.
    Budget(u64),
    /// Anthropic `thinking: {type: adaptive}`.
    Adaptive,
}

/// A chat request, whoever it is for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conversation {
    /// Instructions before the first turn; one part a block.
    pub system: Vec<Part>,
    /// The turns.
    pub messages: Vec<Message>,
    /// Functions on offer.
    pub tools: Vec<Tool>,
    /// Which of them.
    pub tool_choice: Option<ToolChoice>,
    /// False forbids several calls in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// Bound on output tokens.
    pub max_output_tokens: Option<u64>,
    /// Sampling temperature, 0 to 2 as in OpenAI.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Anthropic `top_k`.
    pub top_k: Option<u64>,
    /// Stop sequences.
    pub stop: Vec<String>,
    /// Number of choices.
    pub choices: u32,
    /// Form of the answer.
    pub output_format: OutputFormat,
    /// Thinking.
    pub reasoning: Option<Reasoning>,
    /// True where log probabilities were asked for; with the number of alternatives.
    pub logprobs: Option<u32>,
    /// End user.
    pub user: Option<String>,
    /// Other members of the body, as they came.
    pub rest: Map<String, Value>,
}
