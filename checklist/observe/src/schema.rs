//! The columns of a record: one list from which the SQLite tables, the ClickHouse tables and the reference page are made.
//!
//! To add a column, append it with the next [`VERSION`]; older files read as if it were null. Nothing is renamed or
//! retyped.

use crate::prompt::Prompt;
use crate::record::{Attempt, CacheFacts, Record, SharedFacts, ValidationFacts};
use aplomb_core::usage::UsageSource;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Version of the schema: of the newest column, or of the last change of another table.
pub const VERSION: u32 = 4;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UUIDv7 of the exchange.
    Id,
    /// Point in time: microseconds since the Unix epoch, UTC.
    Time,
    /// One of few texts; stored once and referred to.
    Name,
    /// Any text.
    Text,
    /// A number of things; never negative.
    Count,
    /// A length of time in microseconds.
    Micros,
    /// Money in nano-dollars.
    Nano,
    /// A number with a fraction.
    Real,
    /// 0 or 1.
    Flag,
    /// JSON text.
    Json,
}

/// What a column is of one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// Unknown, or does not apply.
    Null,
    /// Count, flag, time, length of time, money.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text, JSON, or a name.
    Text(Cow<'a, str>),
    /// An id: its 16 bytes.
    Id([u8; 16]),
}

/// What a record and the reading of its text give.
pub struct Source<'a> {
    /// The facts.
    pub record: &'a Record,
    /// What was read from the request's text; `None` where nobody kept it.
    pub prompt: Option<&'a Prompt>,
    /// Name of the node that served it.
    pub node: &'a str,
}

/// One column.
pub struct Column {
    /// Its name, everywhere.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Never null.
    pub required: bool,
    /// Schema version that brought it.
    pub since: u32,
    /// Its meaning, for people.
    pub doc: &'static str,
    /// Its value.
    pub cell: for<'a> fn(&'a Source<'a>) -> Cell<'a>,
}

fn name(text: Option<&str>) -> Cell<'_> {
    text.filter(|text| !text.is_empty())
        .map_or(Cell::Null, |text| Cell::Text(Cow::Borrowed(text)))
}

fn count(n: u64) -> Cell<'static> {
    Cell::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn size(n: usize) -> Cell<'static> {
    count(u64::try_from(n).unwrap_or(u64::MAX))
}

/// Microseconds of milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and no exchange lasts for 292,000 years"
)]
pub(crate) fn micros(ms: f64) -> i64 {
    (ms * 1000.0).round() as i64
}

fn time(ms: Option<f64>) -> Cell<'static> {
    ms.map_or(Cell::Null, |ms| Cell::Int(micros(ms)))
}

fn flag(set: bool) -> Cell<'static> {
    Cell::Int(i64::from(set))
}

fn json_text(value: Value) -> Cell<'static> {
    Cell::Text(Cow::Owned(value.to_string()))
}

fn usage_source(source: UsageSource) -> &'static str {
    match source {
        UsageSource::Provider => "provider",
        UsageSource::Counted => "counted",
        UsageSource::Estimated => "estimated",
    }
}

/// The provider's part of `provider/model`.
fn provider(target: Option<&str>) -> Option<&str> {
    target
        .and_then(|target| target.split_once('/'))
        .map(|(provider, _)| provider)
}

macro_rules! column {
    ($name:literal, $kind:ident, $since:literal, $required:literal, $doc:literal, $cell:expr) => {
        Column {
            name: $name,
            kind: Kind::$kind,
            required: $required,
            since: $since,
            doc: $doc,
            cell: $cell,
        }
    };
}

/// The facts of an exchange. What most questions ask for comes first: a row is read from its beginning.
pub const FACTS: &[Column] = &[
    column!(
        "id",
        Id,
        1,
        true,
        "Record id, as in `x-aplomb-request-id` (UUIDv7: sorts by time).",
        |s| Cell::Id(s.record.id.to_bytes())
    ),
    column!(
        "at",
        Time,
        1,
        true,
        "When the request came, in microseconds since 1970 (UTC).",
        |s| count(s.record.at_ms.saturating_mul(1000))
    ),
    column!(
        "route",
        Name,
        1,
        false,
        "Route that matched; null for `provider/model`.",
        |s| name(s.record.route.as_deref())
    ),
    column!(
        "target",
        Name,
        1,
        false,
        "`provider/model` that answered; null where none did.",
        |s| name(s.record.target.as_deref())
    ),
    column!(
        "outcome",
        Name,
        1,
        true,
        "`done`, `error`, `cut`, `client_gone`, `panic`, `crashed`.",
        |s| name(Some(s.record.outcome.name()))
    ),
    column!(
        "tenant",
        Name,
        1,
        true,
        "Tenant that pays.",
        |s| Cell::Text(Cow::Borrowed(&s.record.tenant))
    ),
    column!(
        "user",
        Name,
        1,
        false,
        "End user; the key where the request names none.",
        |s| name(s.record.user.as_deref())
    ),
    column!(
        "status",
        Count,
        1,
        true,
        "HTTP status that the client got.",
        |s| count(u64::from(s.record.status))
    ),
    column!(
        "cost_nano",
        Nano,
        1,
        false,
        "Cost in nano-dollars; null where the price is not known.",
        |s| s.record.cost_nano.map_or(Cell::Null, Cell::Int)
    ),
    column!(
        "input_tokens",
        Count,
        1,
        true,
        "Input tokens, cached ones included.",
        |s| count(s.record.usage.input_total())
    ),
    column!(
        "output_tokens",
        Count,
        1,
        true,
        "Output tokens, reasoning included.",
        |s| count(s.record.usage.output)
    ),
    column!(
        "total_us",
        Micros,
        1,
        true,
        "From the request's arrival to its end.",
        |s| time(Some(s.record.total_ms))
    ),
    column!(
        "ttft_us",
        Micros,
        1,
        false,
        "From the request's arrival to the first content that went out.",
        |s| time(s.record.ttft_ms)
    ),
    column!(
        "overhead_us",
        Micros,
        1,
        false,
        "The gateway's own part of it.",
        |s| time(s.record.overhead_ms)
    ),
    column!(
        "upstream_ttft_us",
        Micros,
        1,
        false,
        "From the answering attempt's start to its first content.",
        |s| time(s.record.upstream_ttft_ms)
    ),
    column!(
        "per_token_us",
        Micros,
        1,
        false,
        "Time between output tokens of a stream.",
        |s| time(s.record.ms_per_output_token())
    ),
    column!(
        "queue_us",
        Micros,
        1,
        true,
        "Time in queues of the gateway.",
        |s| time(Some(s.record.queue_ms))
    ),
    column!(
        "attempt_count",
        Count,
        1,
        true,
        "Upstream calls.",
        |s| size(s.record.attempts.len())
    ),
    column!(
        "stream",
        Flag,
        1,
        true,
        "The client asked for a stream.",
        |s| flag(s.record.stream)
    ),
    column!(
        "simulated",
        Flag,
        1,
        true,
        "The practice provider answered.",
        |s| flag(s.record.simulated)
    ),
    column!(
        "operation",
        Name,
        1,
        true,
        "`chat_completions`, `messages`, `embeddings`, ...",
        |s| Cell::Text(Cow::Borrowed(s.record.operation))
    ),
    column!("model", Name, 1, true, "Model name as asked for.", |s| {
        Cell::Text(Cow::Borrowed(&s.record.model))
    }),
    column!(
        "served_model",
        Name,
        1,
        false,
        "Model as the provider named it.",
        |s| name(s.record.served_model.as_deref())
    ),
    column!("provider", Name, 1, false, "Provider that answered.", |s| {
        name(provider(s.record.target.as_deref()))
    }),
    column!(
        "key",
        Name,
        1,
        false,
        "Public id of the API key.",
        |s| name(Some(&s.record.key_id))
    ),
    column!(
        "error_code",
        Name,
        1,
        false,
        "Code of the error, where there was one.",
        |s| name(s.record.error_code.as_deref())
    ),
    column!(
        "finish_reason",
        Name,
        1,
        false,
        "Why the answer ended, as OpenAI says it.",
        |s| name(s.record.finish_reason)
    ),
    column!(
        "usage_source",
        Name,
        1,
        true,
        "Who counted the tokens: `provider`, `counted` (here, by the model's tokenizer), `estimated`.",
        |s| name(Some(usage_source(s.record.usage.source)))
    ),
    column!(
        "cache_read_tokens",
        Count,
        1,
        true,
        "Input tokens read from the provider's prompt cache.",
        |s| count(s.record.usage.cache_read)
    ),
    column!(
        "cache_write_tokens",
        Count,
        1,
        true,
        "Input tokens written to it.",
        |s| count(
            s.record
                .usage
                .cache_write_5m
                .saturating_add(s.record.usage.cache_write_1h)
        )
    ),
    column!(
        "reasoning_tokens",
        Count,
        1,
        true,
        "Output tokens spent on reasoning.",
        |s| count(s.record.usage.reasoning)
    ),
    column!("session", Text, 1, false, "Conversation id.", |s| name(
        s.record.session.as_deref()
    )),
    column!(
        "trace_id",
        Text,
        1,
        true,
        "W3C trace id, 32 hexadecimal digits.",
        |s| Cell::Text(Cow::Owned(format!("{:032x}", s.record.trace_id)))
    ),
    column!(
        "response_id",
        Text,
        1,
        false,
        "Id of the answer as the provider named it.",
        |s| name(s.record.response_id.as_deref())
    ),
    column!(
        "tags",
        Json,
        1,
        false,
        "Tags of the request: `{\"k\":\"v\"}`.",
        |s| tags(s.record)
    ),
    column!(
        "privacy",
        Json,
        1,
        false,
        "What the privacy policy did: its name, values by kind and action, restored ones.",
        |s| s
            .record
            .privacy
            .as_ref()
            .map_or(Cell::Null, |facts| json_text(json!(facts)))
    ),
    column!(
        "max_output_tokens",
        Count,
        1,
        false,
        "The client's bound on output tokens.",
        |s| s.record.max_output_tokens.map_or(Cell::Null, count)
    ),
    column!(
        "choices",
        Count,
        1,
        true,
        "Number of choices asked for.",
        |s| count(u64::from(s.record.choices.max(1)))
    ),
    column!(
        "temperature",
        Real,
        1,
        false,
        "Sampling temperature as asked for.",
        |s| s
            .prompt
            .and_then(|prompt| prompt.temperature)
            .map_or(Cell::Null, Cell::Real)
    ),
    column!(
        "top_p",
        Real,
        1,
        false,
        "Nucleus sampling as asked for.",
        |s| s
            .prompt
            .and_then(|prompt| prompt.top_p)
            .map_or(Cell::Null, Cell::Real)
    ),
    column!("tool_count", Count, 1, false, "Tools on offer.", |s| s
        .prompt
        .map_or(Cell::Null, |prompt| size(prompt.tools))),
    column!(
        "message_count",
        Count,
        1,
        false,
        "Messages of the conversation.",
        |s| s.prompt.map_or(Cell::Null, |prompt| size(prompt.messages))
    ),
    column!(
        "language",
        Name,
        1,
        false,
        "Language of the last user message: ISO 639-3, or a script.",
        |s| s.prompt.map_or(Cell::Null, |prompt| name(prompt.language))
    ),
    column!(
        "input_chars",
        Count,
        1,
        false,
        "Characters of text in the request.",
        |s| s.prompt.map_or(Cell::Null, |prompt| size(prompt.chars))
    ),
    column!(
        "output_chars",
        Count,
        1,
        false,
        "Characters of text in the answer.",
        |s| s
            .prompt
            .map_or(Cell::Null, |prompt| size(prompt.answer_chars))
    ),
    column!(
        "text_kept",
        Name,
        1,
        true,
        "`none`, `whole`, `head` (the queue was nearly full) or `lost` (it was full).",
        |s| name(Some(s.prompt.map_or("none", |prompt| prompt.kept.name())))
    ),
    column!(
        "policy_version",
        Name,
        2,
        false,
        "Digest of the configuration in force.",
        |s| name(Some(&s.record.policy_version))
    ),
    column!(
        "text_form",
        Name,
        2,
        false,
        "`masked` by the route's privacy policy, or `plain`; null where the route keeps no text.",
        |s| name(s.record.keep.form())
    ),
    column!("node", Name, 2, false, "Node that served it.", |s| name(
        Some(s.node)
    )),
    column!(
        "sent_before",
        Count,
        3,
        false,
        "How often the client's SDK had sent the request before (`x-stainless-retry-count`).",
        |s| count(u64::from(s.record.sent_before))
    ),
    column!(
        "hedge",
        Name,
        3,
        false,
        "`won` where the second of two calls at once gave the answer, `lost` where it did not; null where there was none.",
        |s| name(s.record.hedge)
    ),
    column!(
        "lost_cost_nano",
        Nano,
        3,
        false,
        "Estimated cost of calls that gave no answer although they were at work: hedges that lost, calls that were too slow.",
        |s| s.record.lost_cost_nano.map_or(Cell::Null, Cell::Int)
    ),
    column!(
        "queue_position",
        Count,
        3,
        false,
        "At which place it began to wait in a queue of the gateway, from 1; null where it did not wait.",
        |s| s
            .record
            .queue_position
            .map_or(Cell::Null, |place| count(u64::from(place)))
    ),
    column!(
        "cache_result",
        Name,
        3,
        false,
        "What the response cache did: `hit_exact`, `hit_semantic`, `miss` or `bypass`; null where the route has none.",
        |s| name(s.record.cache.as_ref().map(|cache| cache.result.name()))
    ),
    column!(
        "cache_reason",
        Name,
        3,
        false,
        "Why the response cache had nothing to give, or was not asked.",
        |s| name(s.record.cache.as_ref().and_then(|cache| cache.reason))
    ),
    column!(
        "cache_age_us",
        Micros,
        3,
        false,
        "How old the answer from the response cache is.",
        |s| cached(s, |cache| cache
            .age_ms
            .map(|ms| count(ms.saturating_mul(1000))))
    ),
    column!(
        "cache_source",
        Text,
        3,
        false,
        "Id of the exchange that the answer from the response cache comes from.",
        |s| cached(s, |cache| {
            let id = cache.source.as_ref()?;
            Some(Cell::Text(Cow::Owned(id.to_string())))
        })
    ),
    column!(
        "cache_saved_nano",
        Nano,
        3,
        false,
        "What the answer from the response cache would have cost; `cost_nano` is 0 then. Null where the price is not known.",
        |s| cached(s, |cache| cache.saved_nano.map(Cell::Int))
    ),
    column!(
        "cache_score",
        Real,
        3,
        false,
        "The guard's score of the answer to another question that was served, or in shadow mode would have been: 0 to 1.",
        |s| cached(s, |cache| cache
            .score
            .map(|score| Cell::Real(f64::from(score))))
    ),
    column!(
        "cache_cosine",
        Real,
        3,
        false,
        "Cosine of the question that came nearest, where the guard refused it.",
        |s| cached(s, |cache| cache
            .cosine
            .map(|cosine| Cell::Real(f64::from(cosine))))
    ),
    column!(
        "cache_agreement",
        Real,
        3,
        false,
        "In shadow mode: share of their content words that the real answer and the one that would have been served both have.",
        |s| cached(s, |cache| cache
            .agreement
            .map(|share| Cell::Real(f64::from(share))))
    ),
    column!(
        "limit_rule",
        Name,
        3,
        false,
        "Limit that did something with the request; null where none did.",
        |s| name(s.record.limit.as_ref().map(|limit| &*limit.rule))
    ),
    column!(
        "limit_decision",
        Name,
        3,
        false,
        "What it did: `refused`, `queued`, `downgraded`, `shadow` where it would have refused, `soft` where a share of it was reached that the file names.",
        |s| name(s.record.limit.as_ref().map(|limit| limit.decision.name()))
    ),
    column!(
        "shared",
        Name,
        3,
        false,
        "The answer is that of another exchange's call: `joined` while it was in flight, `replayed` after its end; `cost_nano` is 0 then.",
        |s| name(s.record.shared.as_ref().map(|shared| shared.how.name()))
    ),
    column!(
        "shared_by",
        Name,
        3,
        false,
        "What made the requests the same: `content` or `idempotency_key`.",
        |s| name(s.record.shared.as_ref().map(|shared| shared.by.name()))
    ),
    column!(
        "shared_source",
        Text,
        3,
        false,
        "Id of the exchange whose call it was.",
        |s| shared(s, |shared| Some(Cell::Text(Cow::Owned(
            shared.source.to_string()
        ))))
    ),
    column!(
        "shared_saved_nano",
        Nano,
        3,
        false,
        "What a call of its own would have cost. Null where the price is not known.",
        |s| shared(s, |shared| shared.saved_nano.map(Cell::Int))
    ),
    column!(
        "class",
        Name,
        3,
        false,
        "How urgent it was: `interactive` or `batch`.",
        |s| name(Some(s.record.class))
    ),
    column!(
        "upstream_per_token_us",
        Micros,
        3,
        false,
        "Time between output tokens of the provider's stream; null where the client held it back, or there was one token.",
        |s| time(s.record.upstream_per_token_ms)
    ),
    column!(
        "limit_detail",
        Json,
        4,
        false,
        "The numbers that the limit went by: its line, what it allows, what was used and asked for, all rules that were broken, segments and multiplier.",
        |s| s
            .record
            .limit
            .as_ref()
            .map_or(Cell::Null, |limit| Cell::Text(Cow::Owned(
                limit.detail.to_string()
            )))
    ),
    column!("plan", Name, 4, false, "Plan of the tenant.", |s| name(
        s.record.plan.as_deref()
    )),
    column!(
        "trust",
        Name,
        4,
        false,
        "Level of trust of the user when the request came: `suspended`, `quarantine`, `standard`, `trusted`; null where users have none.",
        |s| name(s.record.trust)
    ),
    column!(
        "karma",
        Real,
        4,
        false,
        "Score of the user, 0 to 100, when the request came; null where it has none, or its level is given by the file.",
        |s| s.record.karma.map_or(Cell::Null, Cell::Real)
    ),
    column!(
        "client_net",
        Text,
        4,
        false,
        "Subnet that the request came from: an IPv4 /24 or an IPv6 /48. The address itself is not kept.",
        |s| s
            .record
            .subnet
            .map_or(Cell::Null, |net| Cell::Text(Cow::Owned(net.to_string())))
    ),
    column!(
        "validation",
        Name,
        4,
        false,
        "How the answer fared with the route's validators: `pass`, `fix`, `filter`, `flag`, `refrain`, `block`, or `open` where the client left before the end; null where the route has none, or nothing was answered.",
        |s| validated(s, |facts| Some(name(Some(facts.verdict))))
    ),
    column!(
        "validation_by",
        Text,
        4,
        false,
        "Checks that it fails, or did before it was mended, as `validator.check`, with commas.",
        |s| validated(s, |facts| (!facts.by.is_empty())
            .then(|| Cell::Text(Cow::Owned(facts.by.join(",")))))
    ),
    column!(
        "validation_tries",
        Count,
        4,
        false,
        "Answers that validators looked at.",
        |s| validated(s, |facts| Some(count(u64::from(facts.tries))))
    ),
    column!(
        "validation_steps",
        Json,
        4,
        false,
        "What was done about answers that failed, in order: `[check, step]` each.",
        |s| validated(s, |facts| (!facts.steps.is_empty())
            .then(|| json_text(json!(facts.steps))))
    ),
    column!(
        "validation_cost_nano",
        Nano,
        4,
        false,
        "Cost of answers that were turned down, not in `cost_nano`; null where there was none, or the price is not known.",
        |s| validated(s, |facts| facts.cost_nano.map(Cell::Int))
    ),
    column!(
        "risk",
        Count,
        4,
        false,
        "What speaks against the request, 0 to 100; null where it was refused before that was looked at.",
        |s| s
            .record
            .risk
            .as_ref()
            .map_or(Cell::Null, |risk| count(u64::from(risk.score)))
    ),
    column!(
        "risk_parts",
        Json,
        4,
        false,
        "The parts of `risk` by name: `strikes`, `linked_subnet`, `linked_client`, `no_language`, `quarantine`, `spending`, `known_long`; null where there are none.",
        |s| risk_parts(s)
    ),
];

fn risk_parts(source: &Source<'_>) -> Cell<'static> {
    let risk = source.record.risk.as_ref();
    let Some(risk) = risk.filter(|risk| !risk.parts.is_empty()) else {
        return Cell::Null;
    };
    let parts = risk.parts.iter();
    json_text(parts.map(|(name, points)| (*name, *points)).collect())
}

fn validated<'a>(
    source: &Source<'a>,
    pick: impl FnOnce(&'a ValidationFacts) -> Option<Cell<'a>>,
) -> Cell<'a> {
    let facts = source.record.validation.as_deref();
    facts.and_then(pick).unwrap_or(Cell::Null)
}

fn shared<'a>(
    source: &Source<'a>,
    pick: impl FnOnce(&'a SharedFacts) -> Option<Cell<'a>>,
) -> Cell<'a> {
    let facts = source.record.shared.as_deref();
    facts.and_then(pick).unwrap_or(Cell::Null)
}

fn cached<'a>(
    source: &Source<'a>,
    pick: impl FnOnce(&'a CacheFacts) -> Option<Cell<'a>>,
) -> Cell<'a> {
    let facts = source.record.cache.as_deref();
    facts.and_then(pick).unwrap_or(Cell::Null)
}

fn tags(record: &Record) -> Cell<'_> {
    if record.tags.is_empty() {
        return Cell::Null;
    }
    let pairs = record
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    json_text(Value::Object(pairs.collect()))
}

/// Columns of an upstream call besides `id` and `n`; the row of a sole call that answered is made from the facts.
pub const ATTEMPT_COLUMNS: [(&str, Kind); 4] = [
    ("target", Kind::Name),
    ("fault", Kind::Name),
    ("status", Kind::Count),
    ("us", Kind::Micros),
];

/// Whether the calls of a record need rows of their own: more than one, or one that failed.
pub fn needs_attempt_rows(attempts: &[Attempt]) -> bool {
    attempts.len() > 1 || attempts.iter().any(|attempt| attempt.fault.is_some())
}

/// The reference page of the records.
pub fn reference() -> String {
    let mut page = String::from(
        "# Columns of a record\n\nGenerated; do not edit. One row an exchange, in the view `requests` of the embedded \
         store and in the table `requests` of ClickHouse. Times are microseconds, money is nano-dollars \
         (1,000,000,000 = 1 USD).\n\n| column | type | since | meaning |\n|---|---|---|---|\n",
    );
    for column in FACTS {
        let null = if column.required { "" } else { ", may be null" };
        page.push_str(&format!(
            "| `{}` | {}{null} | {} | {} |\n",
            column.name,
            kind_name(column.kind),
            column.since,
            column.doc.replace('|', "\\|")
        ));
    }
    page
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Id => "id",
        Kind::Time => "time",
        Kind::Name => "name",
        Kind::Text => "text",
        Kind::Count => "count",
        Kind::Micros => "microseconds",
        Kind::Nano => "nano-dollars",
        Kind::Real => "number",
        Kind::Flag => "0 or 1",
        Kind::Json => "JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn columns_have_names_of_their_own_and_versions_that_exist() {
        let names: HashSet<&str> = FACTS.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), FACTS.len());
        assert!(
            FACTS
                .iter()
                .all(|column| (1..=VERSION).contains(&column.since))
        );
        let newer = FACTS.windows(2).all(|pair| pair[0].since <= pair[1].since);
        assert!(newer, "new columns are appended");
    }

    #[test]
    fn required_columns_are_never_null() {
        let record = Record {
            tenant: "t".into(),
            ..Record::default()
        };
        let source = Source {
            record: &record,
            prompt: None,
            node: "",
        };
        for column in FACTS.iter().filter(|column| column.required) {
            assert_ne!((column.cell)(&source), Cell::Null, "{}", column.name);
        }
    }
}
