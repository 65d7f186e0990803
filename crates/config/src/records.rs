//! The part of the file about records and prices.

use crate::scalar::{ByteSize, Span, Usd};
use crate::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// Records of exchanges in the data folder: facts always, text where a route keeps it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsConfig {
    /// How long facts are kept; whole days are removed when they are older. Default `400d`.
    pub keep: Span,
    /// How long texts are kept. Default `30d`.
    pub keep_text: Span,
    /// Most bytes of facts; the oldest days go first. Default `20GiB`.
    pub max: ByteSize,
    /// Most bytes of texts; the oldest days go first. Default `20GiB`.
    pub max_text: ByteSize,
    /// Key with which texts are encrypted at rest (AES-256-GCM). Default: none. With another key older texts can't be read.
    pub encrypt: Option<Secret>,
    /// Memory in which records wait for the disk. Over half of it long texts are cut to their heads; when it is full, facts alone are kept in a further 8 MiB. Default `64MiB`.
    pub queue: ByteSize,
    /// What happens to a request when not even its facts could be kept. Default `serve`.
    pub on_overflow: OnOverflow,
    /// Name of this node in records. Default: the host's name.
    pub node: Option<String>,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        RecordsConfig {
            keep: Span(DAY * 400),
            keep_text: Span(DAY * 30),
            max: ByteSize(20 << 30),
            max_text: ByteSize(20 << 30),
            encrypt: None,
            queue: ByteSize(64 << 20),
            on_overflow: OnOverflow::default(),
            node: None,
        }
    }
}

/// What happens to a request whose record would be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnOverflow {
    /// It waits up to 250 ms for room and is then served; the lost record is counted.
    #[default]
    Serve,
    /// It waits up to 250 ms for room and is then refused with status 503.
    Refuse,
}

/// What is recorded of a route's exchanges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteRecordConfig {
    /// Which text is kept. Default `none`.
    pub text: RecordText,
    /// When a record has to be on the disk. Default `relaxed`.
    pub ack: RecordAck,
}

/// Which text of an exchange is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordText {
    /// None: facts only.
    #[default]
    None,
    /// Prompts and answers as masked by the route's privacy policy, which it must have.
    Masked,
    /// Prompts and answers as the provider sees them, on a route without a privacy policy too.
    Plain,
}

/// When a record has to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordAck {
    /// Soon after: a crash of the process loses what came within the last commit, about 20 ms.
    #[default]
    Relaxed,
    /// Before the answer ends.
    Group,
    /// The request before a provider is asked, and the record before the answer ends. A crash leaves a record with the outcome `crashed`.
    Strict,
}

/// How long a tenant's records are kept, where that is shorter than for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepConfig {
    /// Facts.
    pub facts: Option<Span>,
    /// Texts.
    pub text: Option<Span>,
}

/// Prices of a model in US dollars for a million tokens. They go before the built-in price list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    /// Input tokens.
    pub input: Usd,
    /// Output tokens, reasoning included.
    pub output: Usd,
    /// Input tokens read from the provider's prompt cache. Default: as `input`.
    #[serde(default)]
    pub cache_read: Option<Usd>,
    /// Input tokens written to the provider's prompt cache. Default: as `input`.
    #[serde(default)]
    pub cache_write: Option<Usd>,
}
