//! The facts of one exchange.

use aplomb_core::usage::Usage;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client got a whole answer.
    Done,
    /// The client got an error instead of an answer.
    Error,
    /// The answer broke off after it had begun; the client got an error event.
    Cut,
    /// The client went away first.
    #[default]
    ClientGone,
    /// The gateway failed.
    Panic,
}

impl Outcome {
    /// All outcomes, in the order of their metrics.
    pub const ALL: [Outcome; 5] = [
        Outcome::Done,
        Outcome::Error,
        Outcome::Cut,
        Outcome::ClientGone,
        Outcome::Panic,
    ];

    /// Name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Error => "error",
            Outcome::Cut => "cut",
            Outcome::ClientGone => "client_gone",
            Outcome::Panic => "panic",
        }
    }
}

/// One upstream call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// `provider/model`.
    pub target: Arc<str>,
    /// Class of its failure; absent where it gave the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// The upstream's status, where a failure had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From its start to its first content or its failure, in milliseconds.
    pub ms: f64,
}

/// What the privacy policy did: kinds and numbers, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PrivacyFacts {
    /// Name of the policy.
    pub policy: String,
    /// Values by kind and action: `EMAIL:mask`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u32>,
    /// Pictures, sound and files that travelled without a look.
    pub media: u32,
    /// Parts of unknown type that travelled.
    pub unknown_parts: u32,
    /// Values put back into the answer.
    pub restored: u64,
}

/// One exchange: facts only, no text.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Record {
    /// UUIDv7, as in `x-aplomb-request-id`.
    pub request_id: String,
    /// When the request came, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// W3C trace id.
    pub trace_id: String,
    /// Tenant that pays.
    pub tenant: Arc<str>,
    /// Public id of the key.
    pub key_id: Arc<str>,
    /// End user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Conversation id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Tags as given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// `chat_completions`, `messages`, ...
    pub operation: &'static str,
    /// Model name as asked for.
    pub model: String,
    /// Route that matched; absent for `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Arc<str>>,
    /// `provider/model` that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Arc<str>>,
    /// Model as the provider named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_model: Option<String>,
    /// True if the answer comes from the practice provider.
    pub simulated: bool,
    /// The client asked for a stream.
    pub stream: bool,
    /// Upstream calls.
    pub attempts: Vec<Attempt>,
    /// How it ended.
    pub outcome: Outcome,
    /// HTTP status that the client got.
    pub status: u16,
    /// Code of the error, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Why the answer ended, as OpenAI says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<&'static str>,
    /// Token counts.
    pub usage: Usage,
    /// From the request's arrival to the first content from upstream, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// From the request's arrival to its end, in milliseconds.
    pub total_ms: f64,
    /// The gateway's own part of the time to the first content: all but waiting for upstreams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead_ms: Option<f64>,
    /// What the privacy policy did; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Box<PrivacyFacts>>,
}
