//! The spans of one exchange: SERVER for what the application asked, and a CLIENT child for each upstream call.
//!
//! Model, tokens and content stand on the CLIENT spans alone: whoever adds them up over a trace must not count twice.

use super::content;
use super::names;
use super::proto::{Any, Attributes, Message};
use crate::metrics::genai::operation_name;
use crate::record::{Attempt, Outcome, Record};
use crate::transcript::Transcript;
use aplomb_core::id::TraceContext;
use aplomb_core::request::Operation;
use aplomb_core::usage::UsageSource;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const STATUS_ERROR: u64 = 2;

/// Longest request whose members are looked at where its content is not exported.
const BODY_MAX: usize = 256 * 1024;

/// One upstream call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Id of its span, which travels upstream.
    pub span_id: u64,
    /// `provider/model`.
    pub target: Arc<str>,
    /// From the exchange's arrival to its start.
    pub start: Duration,
    /// Host and port, where the target is a server.
    pub peer: Option<(String, u16)>,
}

/// What is gathered of an exchange that is sampled.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Trace and span of the caller.
    context: TraceContext,
    /// Span of the exchange.
    span_id: u64,
    /// Upstream calls, in the order of the record's attempts.
    pub calls: Vec<Call>,
    /// Text is exported where a privacy policy has masked it.
    pub content: bool,
}

impl Trace {
    /// The spans of an exchange in a trace.
    pub(crate) fn new(context: TraceContext, content: bool) -> Self {
        Trace {
            context,
            span_id: TraceContext::new_span(),
            calls: Vec::new(),
            content,
        }
    }
}

/// A sampled exchange that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its facts.
    pub record: Record,
    /// Its spans.
    pub trace: Trace,
    /// What was asked for.
    pub operation: Operation,
    /// Class of the failure, where there was one.
    pub error: Option<&'static str>,
    /// The request as the provider saw it.
    pub request: Bytes,
    /// What was answered, as the provider said it; only where content is exported.
    pub answer: Option<Transcript>,
}

impl Finished {
    /// One of an ended exchange. A long request is kept only where its content is exported.
    pub fn new(record: Record, trace: Trace, operation: Operation) -> Self {
        Finished {
            record,
            trace,
            operation,
            error: None,
            request: Bytes::new(),
            answer: None,
        }
    }

    /// With the request as the provider saw it.
    #[must_use]
    pub fn asked(mut self, request: &Bytes) -> Self {
        if self.trace.content || request.len() <= BODY_MAX {
            self.request = request.clone();
        }
        self
    }

    /// How many spans it is.
    pub fn spans(&self) -> u64 {
        u64::try_from(self.trace.calls.len() + 1).unwrap_or(1)
    }

    /// Bytes of memory, about.
    pub(crate) fn size(&self) -> usize {
        size_of::<Finished>()
            + self.request.len()
            + self.answer.as_ref().map_or(0, Transcript::len)
            + (self.trace.calls.len() + self.record.attempts.len()) * 128
            + 512
    }

    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        let trace = Trace::new(TraceContext::start(), false);
        Finished::new(Record::default(), trace, Operation::ChatCompletions)
    }

    /// Whether text may go out: the operator wants it, and a privacy policy has masked it.
    fn has_content(&self) -> bool {
        self.trace.content && self.record.privacy.is_some()
    }

    fn at(&self, after: Duration) -> u64 {
        let start = self.record.at_ms.saturating_mul(1_000_000);
        start.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX))
    }

    fn end(&self) -> Duration {
        time(self.record.total_ms)
    }

    fn frame(&self, ids: (u64, u64), name: &str, kind: u64) -> Message {
        let (span_id, parent_id) = ids;
        let mut span = Message::default();
        span.bytes(1, &self.trace.context.trace_id.to_be_bytes());
        span.bytes(2, &span_id.to_be_bytes());
        if parent_id != 0 {
            span.bytes(4, &parent_id.to_be_bytes());
        }
        span.text(5, name);
        span.number(6, kind);
        span
    }

    /// Its spans as OTLP messages. `user` is the hashed user.
    pub fn encode(&self, user: Option<&str>) -> Vec<Message> {
        let mut spans = vec![self.server_span(user)];
        let asked = Asked::read(&self.request);
        for (at, call) in self.trace.calls.iter().enumerate() {
            spans.push(self.client_span(at, call, &asked));
        }
        spans
    }

    fn server_span(&self, user: Option<&str>) -> Message {
        let record = &self.record;
        let path = names::path(self.operation);
        let ids = (self.trace.span_id, self.trace.context.parent_id);
        let mut span = self.frame(ids, &format!("POST {path}"), SERVER);
        span.fixed(7, self.at(Duration::ZERO));
        span.fixed(8, self.at(self.end()));
        let mut set = Attributes::of_field(9);
        set.set(names::HTTP_METHOD, Any::Text("POST"));
        set.set(names::HTTP_ROUTE, Any::Text(path));
        if record.status != 0 {
            set.count(names::HTTP_STATUS, u64::from(record.status));
        }
        set.text(names::ERROR_TYPE, self.failure());
        set.text(names::CONVERSATION_ID, record.session.as_deref());
        set.text(names::OWN_REQUEST_ID, Some(&record.id.to_string()));
        set.text(names::OWN_TENANT, Some(&record.tenant));
        set.text(names::OWN_USER, user);
        set.text(names::OWN_ROUTE, record.route.as_deref());
        set.text(names::OWN_TARGET, record.target.as_deref());
        set.set(names::OWN_OUTCOME, Any::Text(record.outcome.name()));
        set.count(
            names::OWN_ATTEMPTS,
            u64::try_from(self.trace.calls.len()).unwrap_or(0),
        );
        set.seconds(names::OWN_TTFT, record.ttft_ms);
        set.seconds(names::OWN_OVERHEAD, record.overhead_ms);
        set.seconds(names::OWN_PER_TOKEN, record.ms_per_output_token());
        set.seconds(names::OWN_UPSTREAM_PER_TOKEN, record.upstream_per_token_ms);
        set.seconds(
            names::OWN_QUEUE,
            record.queue_position.map(|_| record.queue_ms),
        );
        set.text(names::OWN_CLASS, Some(record.class));
        if let Some(privacy) = &record.privacy {
            let found = privacy.counts.values().map(|n| u64::from(*n)).sum();
            set.count(names::OWN_ENTITIES, found);
        }
        set.write(&mut span);
        // The caller's mistakes are no errors of a server (HTTP conventions, "Status").
        let ours = record.status >= 500 || record.outcome != Outcome::Error;
        if record.outcome.is_failure() && ours {
            span.message(15, &status());
        }
        span
    }

    /// Class of the exchange's failure; none where the client got its answer.
    fn failure(&self) -> Option<&'static str> {
        match self.record.outcome {
            Outcome::Done => None,
            Outcome::Error | Outcome::Cut => Some(self.error.unwrap_or(self.record.outcome.name())),
            Outcome::ClientGone | Outcome::Panic | Outcome::Crashed => {
                Some(self.record.outcome.name())
            }
        }
    }

    fn client_span(&self, at: usize, call: &Call, asked: &Asked<'_>) -> Message {
        let (provider, model) = call.target.split_once('/').unwrap_or((&call.target, ""));
        let operation = operation_name(self.operation).unwrap_or("count_tokens");
        let ids = (call.span_id, self.trace.span_id);
        let mut span = self.frame(ids, &format!("{operation} {model}"), CLIENT);
        let attempt = self.record.attempts.get(at);
        let fault = attempt.and_then(|attempt| attempt.fault);
        let answered = attempt.is_some_and(|attempt| attempt.fault.is_none());
        let end = match attempt {
            Some(failed) if fault.is_some() => call.start.saturating_add(time(failed.ms)),
            _ => self.end().max(call.start),
        };
        span.fixed(7, self.at(call.start));
        span.fixed(8, self.at(end));
        let mut set = Attributes::of_field(9);
        set.set(names::OPERATION_NAME, Any::Text(operation));
        set.set(names::PROVIDER_NAME, Any::Text(names::provider(provider)));
        set.text(names::REQUEST_MODEL, Some(model));
        if let Some((host, port)) = &call.peer {
            set.text(names::SERVER_ADDRESS, Some(host));
            set.count(names::SERVER_PORT, u64::from(*port));
        }
        self.request_attributes(asked, &mut set);
        set.count(names::OWN_ATTEMPT, u64::try_from(at + 1).unwrap_or(1));
        let before = at.checked_sub(1).and_then(|at| self.trace.calls.get(at));
        if let Some(before) = before.filter(|before| before.target != call.target) {
            set.text(names::OWN_FALLBACK_FROM, Some(&before.target));
        }
        let error = if answered { self.failure() } else { fault };
        let error = error.or((!answered).then_some("client_gone"));
        set.text(names::ERROR_TYPE, error);
        if let Some(code) = attempt.and_then(|attempt| attempt.status) {
            set.count(names::HTTP_STATUS, u64::from(code));
        }
        if let Some(attempt) = attempt.filter(|_| answered) {
            self.response_attributes(attempt, &mut set);
            if self.has_content() {
                self.content_attributes(asked, &mut set);
            }
        }
        set.write(&mut span);
        if error.is_some_and(|error| error != "client_gone") {
            span.message(15, &status());
        }
        span
    }

    fn request_attributes(&self, asked: &Asked<'_>, set: &mut Attributes) {
        let record = &self.record;
        set.set(names::REQUEST_STREAM, Any::Bool(record.stream));
        if let Some(max) = record.max_output_tokens {
            set.count(names::REQUEST_MAX_TOKENS, max);
        }
        if record.choices > 1 {
            set.count(names::REQUEST_CHOICES, u64::from(record.choices));
        }
        set.text(names::CONVERSATION_ID, record.session.as_deref());
        asked.write(set);
    }

    fn response_attributes(&self, attempt: &Attempt, set: &mut Attributes) {
        let record = &self.record;
        set.text(names::RESPONSE_ID, record.response_id.as_deref());
        set.text(names::RESPONSE_MODEL, record.served_model.as_deref());
        if let Some(reason) = record.finish_reason {
            set.set(names::RESPONSE_FINISH, Any::Texts(vec![reason]));
        }
        if record.stream {
            set.seconds(names::RESPONSE_FIRST_CHUNK, Some(attempt.ms));
        }
        let usage = &record.usage;
        set.count(names::USAGE_INPUT, usage.input_total());
        set.count(names::USAGE_OUTPUT, usage.output);
        let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
        for (name, tokens) in [
            (names::USAGE_CACHE_READ, usage.cache_read),
            (names::USAGE_CACHE_WRITE, written),
            (names::USAGE_REASONING, usage.reasoning),
        ] {
            if tokens > 0 {
                set.count(name, tokens);
            }
        }
        let source = match usage.source {
            UsageSource::Provider => "provider",
            UsageSource::Counted => "counted",
            UsageSource::Estimated => "estimated",
        };
        set.set(names::OWN_USAGE_SOURCE, Any::Text(source));
        if let Some(nano) = record.cost_nano {
            #[expect(
                clippy::cast_precision_loss,
                reason = "what a call costs is far below 2^53 nano-dollars"
            )]
            set.set(names::OWN_COST, Any::Double(nano as f64 / 1e9));
        }
        if record.simulated {
            set.set(names::OWN_SIMULATED, Any::Bool(true));
        }
    }

    fn content_attributes(&self, asked: &Asked<'_>, set: &mut Attributes) {
        let input = content::input(&self.request);
        set.text(names::SYSTEM_INSTRUCTIONS, input.system.as_deref());
        set.text(names::INPUT_MESSAGES, input.messages.as_deref());
        set.text(names::TOOL_DEFINITIONS, asked.tools.map(RawValue::get));
        let output = self
            .answer
            .as_ref()
            .and_then(|answer| content::output(answer, self.record.finish_reason));
        set.text(names::OUTPUT_MESSAGES, output.as_deref());
    }
}

fn time(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

fn status() -> Message {
    let mut status = Message::default();
    status.number(3, STATUS_ERROR);
    status
}

/// The members of a request's body that have an attribute.
#[derive(Default, Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    top_p: Option<&'a RawValue>,
    #[serde(borrow, default)]
    top_k: Option<&'a RawValue>,
    #[serde(borrow, default)]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(borrow, default)]
    presence_penalty: Option<&'a RawValue>,
    #[serde(borrow, default)]
    seed: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_sequences: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response_format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
}

impl<'a> Asked<'a> {
    /// Of a body; of one that is none, nothing.
    fn read(body: &'a [u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    fn write(&self, set: &mut Attributes) {
        let numbers = [
            self.temperature,
            self.top_p,
            self.top_k,
            self.frequency_penalty,
            self.presence_penalty,
        ];
        for ((_, name), raw) in names::REQUEST_NUMBERS.iter().zip(numbers) {
            if let Some(number) = parsed::<f64>(raw) {
                set.set(name, Any::Double(number));
            }
        }
        if let Some(seed) = parsed::<i64>(self.seed) {
            set.set(names::REQUEST_SEED, Any::Int(seed));
        }
        let stop = self.stop.or(self.stop_sequences);
        let stops = parsed::<Vec<String>>(stop).or_else(|| Some(vec![parsed::<String>(stop)?]));
        if let Some(stops) = stops {
            let texts = stops.iter().map(String::as_str).collect();
            set.set(names::REQUEST_STOP, Any::Texts(texts));
        }
        let format = parsed::<Value>(self.response_format);
        let format = format.as_ref().and_then(|format| format.get("type"));
        if let Some(format) = format.and_then(Value::as_str) {
            let json = format.starts_with("json");
            let name = if json { "json" } else { "text" };
            set.set(names::OUTPUT_TYPE, Any::Text(name));
        }
    }
}

fn parsed<T: serde::de::DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}
