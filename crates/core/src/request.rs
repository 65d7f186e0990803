//! A request as it came: its bytes, and the few fields that the gateway itself acts on.

use bytes::Bytes;
use std::ops::Range;

/// Which of the two API families a request or an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `POST /v1/chat/completions` and its relatives.
    OpenAi,
    /// `POST /v1/messages` and its relatives.
    Anthropic,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/completions` (legacy).
    Completions,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// `POST /v1/embeddings`.
    Embeddings,
}

impl Operation {
    /// The dialect of the request and of its answer.
    pub fn dialect(self) -> Dialect {
        match self {
            Operation::ChatCompletions | Operation::Completions | Operation::Embeddings => {
                Dialect::OpenAi
            }
            Operation::Messages | Operation::CountTokens => Dialect::Anthropic,
        }
    }

    /// Name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Operation::ChatCompletions => "chat_completions",
            Operation::Completions => "completions",
            Operation::Messages => "messages",
            Operation::CountTokens => "count_tokens",
            Operation::Embeddings => "embeddings",
        }
    }
}

/// How the client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// One JSON body.
    Whole,
    /// Server-sent events.
    Stream {
        /// OpenAI `stream_options.include_usage`; always true for Anthropic.
        include_usage: bool,
    },
}

impl Delivery {
    /// True for server-sent events.
    pub fn is_stream(self) -> bool {
        matches!(self, Delivery::Stream { .. })
    }
}

/// Byte ranges of values in a request body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The value of `model`.
    pub model: Range<usize>,
    /// The value of `stream_options`, where the body has this member.
    pub stream_options: Option<Range<usize>>,
}

/// One request: well-formed JSON within bounds, the head read, the rest untouched.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// What is asked for.
    pub operation: Operation,
    /// The body as the client sent it: one valid JSON object.
    pub body: Bytes,
    /// Model name as asked for.
    pub model: String,
    /// How the answer is wanted.
    pub delivery: Delivery,
    /// End user named in the body (`user`, `safety_identifier`, `metadata.user_id`).
    pub user: Option<String>,
    /// The client's bound on output tokens.
    pub max_output_tokens: Option<u64>,
    /// `n`, the number of choices asked for.
    pub choices: u32,
    /// Where members stand in `body` that are replaced on the way to a provider.
    pub places: Places,
}
