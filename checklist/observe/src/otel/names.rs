//! Names of the OpenTelemetry conventions, in one place: the GenAI ones are still in development and change.
//!
//! GenAI: open-telemetry/semantic-conventions-genai, as read in 2026. HTTP and errors: the stable conventions.

use aplomb_core::request::Operation;

/// What is asked for: `chat`, `text_completion`, `embeddings`.
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
/// Who serves.
pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
/// Model as asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// A stream was asked for.
pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
/// Bound on output tokens.
pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// Number of choices; left out where it is 1.
pub const REQUEST_CHOICES: &str = "gen_ai.request.choice.count";
/// Members of the request's body that are numbers, and their attributes.
pub const REQUEST_NUMBERS: [(&str, &str); 5] = [
    ("temperature", "gen_ai.request.temperature"),
    ("top_p", "gen_ai.request.top_p"),
    ("top_k", "gen_ai.request.top_k"),
    ("frequency_penalty", "gen_ai.request.frequency_penalty"),
    ("presence_penalty", "gen_ai.request.presence_penalty"),
];
/// Seed of the sampling.
pub const REQUEST_SEED: &str = "gen_ai.request.seed";
/// Texts that end the answer.
pub const REQUEST_STOP: &str = "gen_ai.request.stop_sequences";
/// `text` or `json`.
pub const OUTPUT_TYPE: &str = "gen_ai.output.type";
/// Conversation.
pub const CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// The provider's id of the answer.
pub const RESPONSE_ID: &str = "gen_ai.response.id";
/// Model as the provider named it.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Why the answer ended.
pub const RESPONSE_FINISH: &str = "gen_ai.response.finish_reasons";
/// Seconds to the first content.
pub const RESPONSE_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// All input tokens.
pub const USAGE_INPUT: &str = "gen_ai.usage.input_tokens";
/// All output tokens.
pub const USAGE_OUTPUT: &str = "gen_ai.usage.output_tokens";
/// Input tokens read from the provider's cache.
pub const USAGE_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
/// Input tokens written to it.
pub const USAGE_CACHE_WRITE: &str = "gen_ai.usage.cache_creation.input_tokens";
/// Output tokens spent on reasoning.
pub const USAGE_REASONING: &str = "gen_ai.usage.reasoning.output_tokens";
/// `input` or `output`.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// Instructions before the conversation. Content.
pub const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
/// The conversation. Content.
pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// The answer. Content.
pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// Tools on offer. Content.
pub const TOOL_DEFINITIONS: &str = "gen_ai.tool.definitions";

/// Class of a failure, one of few.
pub const ERROR_TYPE: &str = "error.type";
/// Host that was called.
pub const SERVER_ADDRESS: &str = "server.address";
/// Its port.
pub const SERVER_PORT: &str = "server.port";
/// `POST`.
pub const HTTP_METHOD: &str = "http.request.method";
/// Path of the API.
pub const HTTP_ROUTE: &str = "http.route";
/// Status of the answer.
pub const HTTP_STATUS: &str = "http.response.status_code";

/// Id of the record.
pub const OWN_REQUEST_ID: &str = "aplomb.request.id";
/// Tenant that pays.
pub const OWN_TENANT: &str = "aplomb.tenant.id";
/// Keyed hash of the end user.
pub const OWN_USER: &str = "aplomb.user.id";
/// Route that matched.
pub const OWN_ROUTE: &str = "aplomb.route";
/// `provider/model` that answered.
pub const OWN_TARGET: &str = "aplomb.target";
/// How the exchange ended.
pub const OWN_OUTCOME: &str = "aplomb.outcome";
/// Number of the upstream call, from 1.
pub const OWN_ATTEMPT: &str = "aplomb.attempt";
/// How many upstream calls there were.
pub const OWN_ATTEMPTS: &str = "aplomb.attempts";
/// Target whose failure led to this call.
pub const OWN_FALLBACK_FROM: &str = "aplomb.fallback.from";
/// Cost in US dollars; absent where the price is not known.
pub const OWN_COST: &str = "aplomb.cost.usd";
/// The gateway's own part of the time to the first content, in seconds.
pub const OWN_OVERHEAD: &str = "aplomb.overhead";
/// Seconds from the arrival to the first content that went out.
pub const OWN_TTFT: &str = "aplomb.time_to_first_token";
/// Seconds between output tokens of a stream, as they went out.
pub const OWN_PER_TOKEN: &str = "aplomb.time_per_output_token";
/// Seconds between output tokens of the provider's stream.
pub const OWN_UPSTREAM_PER_TOKEN: &str = "aplomb.upstream.time_per_output_token";
/// Seconds in queues of the gateway.
pub const OWN_QUEUE: &str = "aplomb.queue.wait";
/// How urgent it was: `interactive` or `batch`.
pub const OWN_CLASS: &str = "aplomb.class";
/// Values that a privacy policy found.
pub const OWN_ENTITIES: &str = "aplomb.pii.entities.count";
/// The practice provider answered.
pub const OWN_SIMULATED: &str = "aplomb.simulated";
/// Who counted the tokens: `provider`, `counted` (here, by the model's tokenizer) or `estimated`.
pub const OWN_USAGE_SOURCE: &str = "aplomb.usage.source";

/// Buckets of durations, in seconds.
pub const DURATION: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
/// Buckets of times to chunks and between them, in seconds.
pub const CHUNK: &[f64] = DURATION;
/// Buckets of token counts.
pub const TOKENS: &[f64] = &[
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];
/// Buckets of times to the first token, in seconds.
pub const TTFT: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Buckets of times between tokens, in seconds.
pub const PER_TOKEN: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];

/// One metric of the conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its meaning.
    pub help: &'static str,
}

/// Time of an upstream call.
pub const CLIENT_DURATION: Metric = Metric {
    name: "gen_ai.client.operation.duration",
    unit: "s",
    help: "Time of upstream calls, by target and failure.",
};
/// Tokens of an upstream call.
pub const CLIENT_TOKENS: Metric = Metric {
    name: "gen_ai.client.token.usage",
    unit: "{token}",
    help: "Tokens of upstream calls.",
};
/// Time to the first content of a streamed upstream call.
pub const CLIENT_FIRST_CHUNK: Metric = Metric {
    name: "gen_ai.client.operation.time_to_first_chunk",
    unit: "s",
    help: "Time from a streamed upstream call's start to its first content.",
};
/// Time between events of a streamed upstream call.
pub const CLIENT_PER_CHUNK: Metric = Metric {
    name: "gen_ai.client.operation.time_per_output_chunk",
    unit: "s",
    help: "Time between two events of a streamed upstream call.",
};
/// Time of an exchange.
pub const SERVER_DURATION: Metric = Metric {
    name: "gen_ai.server.request.duration",
    unit: "s",
    help: "Time of exchanges as applications see it, by route and failure.",
};
/// Time to the first content of a streamed exchange.
pub const SERVER_TTFT: Metric = Metric {
    name: "gen_ai.server.time_to_first_token",
    unit: "s",
    help: "Time from a streamed request's arrival to the first content that went out.",
};
/// Time between output tokens.
pub const SERVER_PER_TOKEN: Metric = Metric {
    name: "gen_ai.server.time_per_output_token",
    unit: "s",
    help: "Time between output tokens of a stream after the first.",
};

/// The conventions' name of a provider; one that they do not know goes by its name in the configuration.
pub fn provider(name: &str) -> &str {
    match name {
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        "gemini" => "gcp.gemini",
        "vertex" => "gcp.vertex_ai",
        "bedrock" => "aws.bedrock",
        "azure" => "azure.ai.openai",
        "moonshot" => "moonshot_ai",
        other => other,
    }
}

/// The path at which an operation is asked for.
pub fn path(operation: Operation) -> &'static str {
    match operation {
        Operation::ChatCompletions => "/v1/chat/completions",
        Operation::Completions => "/v1/completions",
        Operation::Messages => "/v1/messages",
        Operation::CountTokens => "/v1/messages/count_tokens",
        Operation::Embeddings => "/v1/embeddings",
    }
}
