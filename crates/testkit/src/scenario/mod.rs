//! Scenarios: what goes in, what the provider does, what comes out and what is noted, each in a file of its own.
//!
//! A scenario is data (see [`Scenario`] for its members); a member that is not known is an error. [`run`] plays it
//! against the real binary and the scripted provider and says what differs. A chat is asked in both dialects, streamed
//! and whole, unless the scenario says otherwise.

mod expect;
mod play;

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

pub use play::run;

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub about: String,
    /// The configuration file but for `server`; `{url}` stands for the provider's address.
    pub config: String,
    /// Lines of the `server` section.
    #[serde(default)]
    pub server: Vec<String>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One request or command, and what is expected after it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A request to the gateway.
    pub request: Option<Request>,
    /// A command of the binary.
    pub command: Option<Command>,
    /// What the provider does with the first, second, ... call of this step; the last holds for the rest. Without any,
    /// it says the last text of the prompt back.
    #[serde(default)]
    pub provider: Vec<Reply>,
    /// What the client gets.
    pub answer: Option<Answer>,
    /// What the provider saw of this request.
    pub provider_saw: Option<Saw>,
    /// Members of the record, by JSON pointer.
    #[serde(default)]
    pub record: BTreeMap<String, Value>,
    /// Values of metrics after this step, by name with labels.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// All that the gateway wrote so far: files of its data folder, and its log.
    pub kept: Option<Texts>,
}

/// A request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A chat, asked in each dialect, streamed and whole.
    pub chat: Option<Chat>,
    /// Only the chats of this dialect.
    pub dialect: Option<DialectName>,
    /// Only streamed chats, or only whole ones.
    pub stream: Option<bool>,
    /// `POST` if nothing else is said.
    pub method: Option<String>,
    /// Path of a request that is no chat.
    pub path: Option<String>,
    /// To the admin listener, with the admin's token.
    #[serde(default)]
    pub admin: bool,
    /// More headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body of a request that is no chat, or more members of a chat's body.
    #[serde(default)]
    pub body: Value,
}

/// A chat.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chat {
    /// Model.
    pub model: String,
    /// The system's text.
    pub system: Option<String>,
    /// The user's text.
    pub text: String,
    /// The end user's id.
    pub end_user: Option<String>,
}

/// Name of a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DialectName {
    /// OpenAI's.
    Openai,
    /// Anthropic's.
    Anthropic,
}

/// What the provider does. In its texts `{prompt}` stands for the last text it was sent, `{placeholder}` for the first
/// placeholder in that.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// It says this.
    pub say: Option<String>,
    /// Characters an event, in streams; 1 if nothing else is said.
    pub piece: Option<usize>,
    /// Status of a JSON answer.
    pub status: Option<u16>,
    /// Headers of a JSON answer.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body of a JSON answer.
    pub json: Option<Value>,
    /// How it ends the connection after its content, instead of finishing the answer.
    pub end: Option<EndName>,
}

/// Ways to end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndName {
    /// In good order.
    Close,
    /// With a reset.
    Reset,
    /// Not at all: nothing more comes.
    Stall,
}

/// What a client gets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// HTTP status; 200 if nothing else is said.
    pub status: Option<u16>,
    /// Headers; `null` for one that must not be there.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// The whole text that is said, streamed or not.
    pub text: Option<String>,
    /// Members of the body, by JSON pointer.
    #[serde(default)]
    pub json: BTreeMap<String, Value>,
    /// Parts of what a chat says, or of the body where that is no chat's answer.
    #[serde(default)]
    pub contains: Vec<String>,
    /// What neither may hold.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// What a provider saw.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saw {
    /// Calls; 1 if nothing else is said.
    pub calls: Option<usize>,
    /// Headers; `null` for one that must not be there.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// Parts of each body.
    #[serde(default)]
    pub contains: Vec<String>,
    /// What no body may hold.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// Parts that a text must and must not have.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// Must.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Must not.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// A command of the binary, run in the gateway's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Its arguments.
    pub run: Vec<String>,
    /// Whether it fails.
    #[serde(default)]
    pub fails: bool,
    /// A file that its output is written to.
    pub save: Option<String>,
    /// Members of its output, by JSON pointer.
    #[serde(default)]
    pub json: BTreeMap<String, Value>,
    /// Parts of its output, and of what it says on standard error.
    #[serde(default)]
    pub contains: Vec<String>,
    /// What neither holds.
    #[serde(default)]
    pub lacks: Vec<String>,
}
