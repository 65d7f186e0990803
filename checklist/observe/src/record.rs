//! The facts of one exchange, and the text that goes with them where a route keeps it.

use crate::transcript::Transcript;
use aplomb_core::id::RequestId;
use aplomb_core::network::Network;
use aplomb_core::request::Operation;
use aplomb_core::usage::Usage;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
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
    /// The process ended while the exchange ran; found at the next start.
    Crashed,
}

impl Outcome {
    /// All outcomes, in the order of their metrics.
    pub const ALL: [Outcome; 6] = [
        Outcome::Done,
        Outcome::Error,
        Outcome::Cut,
        Outcome::ClientGone,
        Outcome::Panic,
        Outcome::Crashed,
    ];

    /// Name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Error => "error",
            Outcome::Cut => "cut",
            Outcome::ClientGone => "client_gone",
            Outcome::Panic => "panic",
            Outcome::Crashed => "crashed",
        }
    }

    /// Whether the caller did not get what was asked for, and it was not their own doing.
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Outcome::Error | Outcome::Cut | Outcome::Panic | Outcome::Crashed
        )
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
    /// Placeholders of this request that went to the client although their values should stand there: leaks.
    pub unrestored: u64,
    /// Texts of a placeholder's form in the answer that this request did not make.
    pub foreign: u64,
}

/// What the response cache did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheResult {
    /// The answer to the same request was given again.
    HitExact,
    /// The answer to another question was given, which the guard takes for the same.
    HitSemantic,
    /// It had nothing to give.
    Miss,
    /// It was not asked.
    #[default]
    Bypass,
}

impl CacheResult {
    /// Name in records.
    pub fn name(self) -> &'static str {
        match self {
            CacheResult::HitExact => "hit_exact",
            CacheResult::HitSemantic => "hit_semantic",
            CacheResult::Miss => "miss",
            CacheResult::Bypass => "bypass",
        }
    }

    /// Whether the answer came from the cache.
    pub fn is_hit(self) -> bool {
        matches!(self, CacheResult::HitExact | CacheResult::HitSemantic)
    }
}

/// What the response cache did, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CacheFacts {
    /// What it did.
    pub result: CacheResult,
    /// Why it had nothing to give or was not asked: one of few words.
    pub reason: Option<&'static str>,
    /// How old the answer is, in milliseconds.
    pub age_ms: Option<u64>,
    /// The exchange that the answer comes from.
    pub source: Option<RequestId>,
    /// What the answer would have cost in nano-dollars, where the price is known.
    pub saved_nano: Option<i64>,
    /// The guard's score of an answer to another question, 0 to 1, served or only watched.
    pub score: Option<f32>,
    /// Cosine of the question that came nearest and was refused.
    pub cosine: Option<f32>,
    /// How far the answer that would have been served says what the provider said, 0 to 1.
    pub agreement: Option<f32>,
}

/// What a limit did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitDecision {
    /// It was refused.
    Refused,
    /// It waited for room.
    Queued,
    /// It went to another route.
    Downgraded,
    /// A rule that is only tried out would have refused it.
    Shadow,
    /// With it a share of the limit was reached from which on somebody wants to know.
    Soft,
}

impl LimitDecision {
    /// Name in records.
    pub fn name(self) -> &'static str {
        match self {
            LimitDecision::Refused => "refused",
            LimitDecision::Queued => "queued",
            LimitDecision::Downgraded => "downgraded",
            LimitDecision::Shadow => "shadow",
            LimitDecision::Soft => "soft",
        }
    }
}

/// How an exchange got the answer of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Its call was in flight.
    Joined,
    /// Its answer was there.
    Replayed,
}

impl Share {
    /// Name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Share::Joined => "joined",
            Share::Replayed => "replayed",
        }
    }
}

/// What made a request the same as another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedBy {
    /// Everything in it.
    Content,
    /// Its `Idempotency-Key`.
    Key,
}

impl SharedBy {
    /// Name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            SharedBy::Content => "content",
            SharedBy::Key => "idempotency_key",
        }
    }
}

/// The answer is that of another exchange, whose call it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFacts {
    /// How it got there.
    pub how: Share,
    /// What made the requests the same.
    pub by: SharedBy,
    /// The other exchange.
    pub source: RequestId,
    /// How old the answer is, in milliseconds; absent where the call was in flight.
    pub age_ms: Option<u64>,
    /// What it would have cost in nano-dollars, where the price is known.
    pub saved_nano: Option<i64>,
}

/// What speaks against a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskFacts {
    /// 0 to 100.
    pub score: u8,
    /// What it is made of.
    pub parts: Vec<(&'static str, i16)>,
    /// Its user came in a burst.
    pub linked: bool,
    /// Its user counts as in quarantine for that.
    pub quarantined: bool,
}

/// Which limit did what with a request.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitFacts {
    /// Name of the rule.
    pub rule: Arc<str>,
    /// What it did.
    pub decision: LimitDecision,
    /// The numbers that it went by, as JSON.
    pub detail: Box<Value>,
}

/// What validators did with the answers of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidationFacts {
    /// How the last one fared: one of few words.
    pub verdict: &'static str,
    /// Checks that it fails, as `validator.check`.
    pub by: Vec<String>,
    /// Checks that earlier ones failed, and what was done then.
    pub steps: Vec<(String, &'static str)>,
    /// Answers that were looked at.
    pub tries: u32,
    /// Tokens of those that were turned down.
    pub turned_down: Usage,
    /// What they cost in nano-dollars; absent where there was none, or no known price.
    pub cost_nano: Option<i64>,
}

/// One exchange: facts, no text.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// UUIDv7, as in `x-aplomb-request-id`. Its first 48 bits are `at_ms`.
    pub id: RequestId,
    /// When the request came, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// W3C trace id.
    pub trace_id: u128,
    /// Tenant that pays.
    pub tenant: Arc<str>,
    /// Public id of the key.
    pub key_id: Arc<str>,
    /// End user.
    pub user: Option<String>,
    /// Conversation id.
    pub session: Option<String>,
    /// What one customer of an access provider has. Not kept.
    pub host: Option<Network>,
    /// The subnet that the request came from.
    pub subnet: Option<Network>,
    /// Tags as given.
    pub tags: Vec<(String, String)>,
    /// `chat_completions`, `messages`, ...
    pub operation: &'static str,
    /// Model name as asked for.
    pub model: String,
    /// Route that matched; absent for `provider/model`.
    pub route: Option<Arc<str>>,
    /// `provider/model` that answered.
    pub target: Option<Arc<str>>,
    /// Model as the provider named it.
    pub served_model: Option<String>,
    /// Id of the answer as the provider named it.
    pub response_id: Option<String>,
    /// True if the answer comes from the practice provider.
    pub simulated: bool,
    /// The client asked for a stream.
    pub stream: bool,
    /// The client's bound on output tokens.
    pub max_output_tokens: Option<u64>,
    /// Number of choices asked for.
    pub choices: u32,
    /// Upstream calls.
    pub attempts: Vec<Attempt>,
    /// How it ended.
    pub outcome: Outcome,
    /// HTTP status that the client got.
    pub status: u16,
    /// Code of the error, where there was one.
    pub error_code: Option<String>,
    /// Why the answer ended, as OpenAI says it.
    pub finish_reason: Option<&'static str>,
    /// Token counts.
    pub usage: Usage,
    /// What it cost in nano-dollars; absent where the price is not known.
    pub cost_nano: Option<i64>,
    /// From the request's arrival to the first content that went to the client, in milliseconds.
    pub ttft_ms: Option<f64>,
    /// From the start of the attempt that answered to its first content, in milliseconds.
    pub upstream_ttft_ms: Option<f64>,
    /// Time between output tokens of the provider's stream, in milliseconds; absent where the client held it back.
    pub upstream_per_token_ms: Option<f64>,
    /// From the request's arrival to its end, in milliseconds.
    pub total_ms: f64,
    /// Time in queues of the gateway, in milliseconds.
    pub queue_ms: f64,
    /// How urgent it was: `interactive` or `batch`.
    pub class: &'static str,
    /// At which place it began to wait, from 1; none where it did not wait.
    pub queue_position: Option<u32>,
    /// The gateway's own part of the time to the first content: all but waiting for upstreams.
    pub overhead_ms: Option<f64>,
    /// What the privacy policy did; absent where there is none.
    pub privacy: Option<Box<PrivacyFacts>>,
    /// In which form the route keeps text.
    pub keep: KeepText,
    /// What the response cache did; absent where the route has none.
    pub cache: Option<Box<CacheFacts>>,
    /// Whose answer it got; absent where it made its own call or none.
    pub shared: Option<Box<SharedFacts>>,
    /// First digits of the digest of the configuration that was in force.
    pub policy_version: Arc<str>,
    /// How often the client's SDK had sent the request before.
    pub sent_before: u32,
    /// Whether a hedge `won` or `lost`; absent where none was sent.
    pub hedge: Option<&'static str>,
    /// Estimated cost in nano-dollars of calls that gave no answer; absent where there was none, or no known price.
    pub lost_cost_nano: Option<i64>,
    /// What a limit did with it; absent where none did.
    pub limit: Option<LimitFacts>,
    /// The tenant's plan.
    pub plan: Option<String>,
    /// The user's level of trust.
    pub trust: Option<&'static str>,
    /// The user's score, 0 to 100, when it came.
    pub karma: Option<f64>,
    /// What speaks against it; absent where it was not let in that far.
    pub risk: Option<Box<RiskFacts>>,
    /// What validators did with its answers; absent where the route has none.
    pub validation: Option<Box<ValidationFacts>>,
    /// A further call was possible and not made, since the retry budget was used up. Not kept.
    pub chain_spent: bool,
}

impl Record {
    /// Whether the answer came from the response cache or from another exchange's call: it cost nothing, and its tokens are
    /// counted there.
    pub fn is_given_again(&self) -> bool {
        let hit = self
            .cache
            .as_ref()
            .is_some_and(|cache| cache.result.is_hit());
        hit || self.shared.is_some()
    }

    /// Whether the caller did not get what was asked for, and it was not their own doing: a request that is wrong, refused
    /// or over a limit of the gateway is no failure; one that the provider limits is.
    pub fn is_failure(&self) -> bool {
        let own = self.outcome == Outcome::Error && (400..500).contains(&self.status);
        let limited = self.status == 429 && !self.attempts.is_empty();
        self.outcome.is_failure() && (!own || limited)
    }

    /// Time between output tokens after the first content, in milliseconds.
    pub fn ms_per_output_token(&self) -> Option<f64> {
        let tokens = u32::try_from(self.usage.output).ok().filter(|n| *n > 1)?;
        let after_first = self.total_ms - self.ttft_ms?;
        (self.stream && after_first > 0.0).then(|| after_first / f64::from(tokens - 1))
    }
}

/// How much of the text of its exchanges a route keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeepText {
    /// Facts only.
    #[default]
    None,
    /// As the route's privacy policy masked it.
    Masked,
    /// As the provider saw it, whether a policy masked it or not.
    Plain,
}

impl KeepText {
    /// Name in records; `None` where nothing is kept.
    pub fn form(self) -> Option<&'static str> {
        match self {
            KeepText::None => None,
            KeepText::Masked => Some("masked"),
            KeepText::Plain => Some("plain"),
        }
    }
}

/// The text of one exchange, in the masked zone: as the provider saw it and said it.
#[derive(Debug, Default)]
pub struct Texts {
    /// What kind of body it is.
    pub operation: Option<Operation>,
    /// The request's body.
    pub request: Bytes,
    /// What was answered.
    pub answer: Transcript,
}

impl Texts {
    /// Bytes of memory.
    pub fn size(&self) -> usize {
        self.request.len() + self.answer.len()
    }
}
