//! The closing guard: one record and one count for every ending.
//!
//! An [`Exchange`] belongs to the answer. However it ends (whole, with an error, client gone in any phase, panic), its
//! `Drop` settles: the record goes to the writer's queue, counters grow. No I/O, no wait.

mod again;
mod calls;
mod limited;
mod validated;

use crate::cached::Keep;
use crate::limits::Admission;
use crate::limits::provider::Charged;
use crate::policy::{Policy, Recording, Route, Target};
use crate::screen::{Suspicion, Watched};
use crate::shared::Lead;
use crate::state::State;
use crate::tokens;
use aplomb_catalog::prices::Prices;
use aplomb_config::records::RecordAck;
use aplomb_core::caller::Caller;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::id::{RequestId, TraceContext};
use aplomb_core::masked::Masked;
use aplomb_core::request::{ChatRequest, Operation};
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_limits::trust::Terms;
use aplomb_observe::evals::online::{Eval, sampling};
use aplomb_observe::metrics::genai::Pauses;
use aplomb_observe::metrics::{RouteMetrics, TargetMetrics, TenantMetrics};
use aplomb_observe::otel::span::{Finished, Trace};
use aplomb_observe::prompt::has_text;
use aplomb_observe::queue::Submission;
use aplomb_observe::record::{Attempt, KeepText, Outcome, PrivacyFacts, Record, Texts};
use aplomb_observe::store::embedded::Started;
use aplomb_privacy::mask::Report;
use aplomb_privacy::restore::Restored;
use aplomb_privacy::room::Shield;
use aplomb_providers::call::Kind;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// One exchange while it runs.
pub struct Exchange {
    pub(crate) state: Arc<State>,
    record: Box<Record>,
    arrived: Instant,
    /// Time spent on upstream calls and waits between them, up to the first content.
    upstream: Duration,
    input_bytes: usize,
    output_bytes: u64,
    usage: Option<Usage>,
    target: Option<Arc<TargetMetrics>>,
    prices: Arc<Prices>,
    evals: Arc<[Arc<Eval>]>,
    recording: Recording,
    texts: Option<Texts>,
    operation: Operation,
    route: Arc<RouteMetrics>,
    tenant: Arc<TenantMetrics>,
    /// Its spans, where they are exported.
    trace: Option<Box<Trace>>,
    /// Pauses between the events of its stream.
    pauses: Pauses,
    /// Class of its failure.
    error: Option<ErrorCode>,
    /// Gathers the answer, where it may be given again.
    keep: Option<Box<Keep>>,
    /// Its tenant's share of busy targets.
    weight: u32,
    /// What it has taken of limits, and how they stood then.
    admission: Option<Box<Admission>>,
    /// What its last answered call has taken of the budget of a provider's key.
    charged: Option<Charged>,
    /// What is wanted of trust; none where users have no levels.
    terms: Option<Terms>,
    /// Its spending, where that is watched.
    pub(crate) spend: Option<Box<Watched>>,
    /// What speaks against it.
    pub(crate) suspicion: Suspicion,
    /// Its part in a call that others may have joined.
    lead: Option<Box<Lead>>,
    /// The target that was asked last; none for a simulated one.
    called: Option<Arc<str>>,
    settled: bool,
}

/// How a hedge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HedgeEnd {
    /// It gave the answer.
    Won,
    /// The first call gave the answer, or neither.
    Lost,
}

/// In the place of a class of failure: another call of the same request was faster.
const HEDGE_LOST: &str = "hedge_lost";

/// Longest wait for a record to be on the disk, where a route asks for it. Chosen: a disk that is slower is failing.
pub(crate) const DURABLE_WAIT: Duration = Duration::from_secs(5);

fn ms(time: Duration) -> f64 {
    // Microseconds are enough, and short in text.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A body may be a piece of its connection's read buffer, and a record that waits for the disk would keep all of that: so it
/// is copied, unless it is so long that it is most of its buffer.
fn on_its_own(body: &Bytes) -> Bytes {
    const LONG: usize = 64 * 1024;
    if body.len() >= LONG {
        return body.clone();
    }
    Bytes::copy_from_slice(body)
}

/// What is known of an exchange when it opens.
pub struct Opening<'a> {
    /// Its id.
    pub id: RequestId,
    /// What is asked.
    pub request: &'a ChatRequest,
    /// Who asks.
    pub caller: &'a Caller,
    /// Which trace it belongs to.
    pub trace: &'a TraceContext,
    /// When it came.
    pub arrived: Instant,
    /// The configuration that it began with.
    pub policy: &'a Policy,
    /// Its route.
    pub route: &'a Route,
    /// How often the client's SDK has sent it before.
    pub sent_before: u32,
}

impl Exchange {
    /// Opens the exchange of a request that came at `arrived`.
    pub fn open(state: Arc<State>, opening: &Opening<'_>) -> Self {
        let Opening {
            id,
            request,
            caller,
            trace,
            arrived,
            policy,
            route,
            sent_before,
        } = *opening;
        state.metrics.in_flight.up();
        let tenant = state.metrics.tenant(&caller.tenant);
        let followed = state.otel.follow(trace).map(Box::new);
        let record = Box::new(Record {
            id,
            at_ms: id.at_ms(),
            trace_id: trace.trace_id,
            tenant: caller.tenant.clone(),
            key_id: caller.key_id.clone(),
            user: caller.user.clone(),
            session: caller.session.clone(),
            host: caller.host,
            subnet: caller.subnet,
            tags: caller.tags.clone(),
            operation: request.operation.name(),
            model: request.model.clone(),
            route: route.name.clone(),
            stream: request.delivery.is_stream(),
            max_output_tokens: request.max_output_tokens,
            choices: request.choices,
            keep: route.record.keep,
            sent_before,
            policy_version: policy.version.clone(),
            outcome: Outcome::ClientGone,
            ..Record::default()
        });
        let input_bytes = request.body.len();
        let upstream = Duration::ZERO;
        Exchange {
            state,
            record,
            arrived,
            upstream,
            input_bytes,
            output_bytes: 0,
            usage: None,
            target: None,
            prices: policy.prices.clone(),
            evals: policy.evals.clone(),
            recording: route.record,
            texts: None,
            operation: request.operation,
            route: route.metrics.clone(),
            tenant,
            trace: followed,
            pauses: Pauses::default(),
            error: None,
            keep: None,
            weight: policy.weight(&caller.tenant),
            admission: None,
            charged: None,
            spend: policy
                .screen
                .spend
                .as_ref()
                .and_then(|spend| spend.watch(caller)),
            suspicion: policy.screen.risks.watch(caller),
            terms: policy.limits.terms,
            lead: None,
            called: None,
            settled: false,
        }
    }

    /// What all requests share.
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The request as the provider sees it: the record looks into it, or keeps it, as the route says.
    pub fn asked(&mut self, request: &Masked<ChatRequest>) {
        let looked_at = self.state.records.is_some() || self.trace.is_some();
        if looked_at && has_text(self.operation) {
            self.texts = Some(Texts {
                operation: Some(self.operation),
                request: on_its_own(&request.get().body),
                ..Texts::default()
            });
        }
    }

    /// Notes on the disk that the exchange has begun, where its route asks for that.
    ///
    /// # Errors
    /// The route does not serve what it can't record, and it can't be recorded now.
    pub async fn begin(&self) -> Result<(), ApiError> {
        let Some(records) = &self.state.records else {
            return Ok(());
        };
        let started = || Started::of(&self.record, self.operation);
        match self.recording.ack {
            RecordAck::Relaxed => Ok(()),
            RecordAck::Group => {
                records.begin(started(), None);
                Ok(())
            }
            RecordAck::Strict => {
                let (ack, acked) = oneshot::channel();
                let taken = records.begin(started(), Some(ack));
                let durable = tokio::time::timeout(DURABLE_WAIT, acked);
                if taken && matches!(durable.await, Ok(Ok(()))) {
                    return Ok(());
                }
                let message =
                    "this route serves only what it can record, and records can't be written now";
                Err(ApiError::new(ErrorCode::Overloaded, message))
            }
        }
    }

    /// The record as it is so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.state.clock.now_ms()
    }

    /// When the request came.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// What the privacy policy found in the request.
    pub fn masked(&mut self, shield: Option<&Shield>, report: &Report) {
        let Some(shield) = shield else { return };
        let counts: BTreeMap<String, u32> = report
            .counts
            .iter()
            .map(|((kind, action), count)| (format!("{kind}:{action}"), *count))
            .collect();
        self.state.metrics.entities(&counts);
        self.record.privacy = Some(Box::new(PrivacyFacts {
            policy: shield.profile.name.clone(),
            counts,
            media: report.media,
            unknown_parts: report.unknown_parts,
            ..PrivacyFacts::default()
        }));
    }

    /// No provider may see the request.
    pub fn no_agreement(&self) {
        self.state.metrics.privacy_no_agreement.add(1);
    }

    /// What privacy did with the answer.
    pub fn restored(&mut self, restored: Restored, invented: &BTreeMap<String, u32>) {
        let metrics = &self.state.metrics;
        metrics.privacy_restored.add(restored.values);
        metrics.privacy_unrestored.add(restored.unrestored);
        metrics.privacy_foreign.add(restored.foreign);
        self.state.metrics.entities(invented);
        if let Some(facts) = &mut self.record.privacy {
            facts.restored = restored.values;
            facts.unrestored = restored.unrestored;
            facts.foreign = restored.foreign;
            facts.counts.extend(invented.clone());
        }
    }

    /// Time spent on upstream calls, and on waits between them.
    pub fn waited(&mut self, took: Duration) {
        self.upstream += took;
    }

    /// An attempt gave its first content after `took`. Its number among the attempts.
    pub fn answered(&mut self, target: &Target, took: Duration) -> usize {
        target.metrics.answered.add(1);
        if self.record.stream {
            if let Some(series) = target.metrics.client.of(self.operation) {
                series.first_chunk.observe(took);
            }
            if let Some(series) = self.route.server.of(self.operation) {
                series.upstream_ttft.observe(took);
            }
        }
        self.record.upstream_ttft_ms = Some(ms(took));
        self.record.attempts.push(Attempt {
            target: target.name.clone(),
            fault: None,
            status: None,
            ms: ms(took),
        });
        self.record.attempts.len() - 1
    }

    /// The answer of a target may go out.
    pub fn committed(&mut self, target: &Target) {
        let since = self
            .state
            .clock
            .instant()
            .saturating_duration_since(self.arrived);
        let overhead = since.saturating_sub(self.upstream);
        self.state.metrics.overhead.observe(overhead);
        self.record.ttft_ms = Some(ms(since));
        self.record.overhead_ms = Some(ms(overhead));
        self.record.target = Some(target.name.clone());
        self.record.simulated = matches!(target.provider.kind, Kind::Practice(_));
        self.record.status = 200;
        self.target = Some(target.metrics.clone());
    }

    /// So long the provider's stream stood still before its next event.
    pub(crate) fn paused(&mut self, pause: Duration) {
        self.pauses.note(pause);
    }

    /// Whether the answer's text is looked at besides its size.
    fn transcribes(&self) -> bool {
        let exported = self.trace.as_ref().is_some_and(|trace| trace.content);
        self.recording.keep != KeepText::None || exported && self.record.privacy.is_some()
    }

    /// Notes what an event of the answer says.
    pub fn saw(&mut self, event: &ChatEvent) {
        self.output_bytes += u64::from(event.output_bytes());
        if let Some(lead) = &mut self.lead {
            lead.saw();
        }
        match event {
            ChatEvent::Start(start) => {
                let known = |text: &String| (!text.is_empty()).then(|| text.clone());
                self.record.served_model = known(&start.model);
                self.record.response_id = known(&start.id);
            }
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
        if self.transcribes()
            && let Some(texts) = &mut self.texts
        {
            texts.answer.on_event(event);
        }
        if let Some(keep) = &mut self.keep {
            keep.on_event(event);
        }
        if let Some(reason) = event.finish() {
            self.record.finish_reason = Some(reason.to_openai());
        }
    }

    /// The answer is complete.
    pub fn done(&mut self) {
        self.record.outcome = Outcome::Done;
    }

    /// The client gets an error: instead of an answer, or in the middle of one (`Cut`).
    pub fn failed(&mut self, outcome: Outcome, error: &ApiError) {
        self.record.outcome = outcome;
        self.error = Some(error.code);
        self.state.metrics.error(error.code);
        if outcome == Outcome::Error {
            self.record.status = error.status();
        }
        if error.code == ErrorCode::PrivacyRefused {
            self.state.metrics.privacy_refused.add(1);
        }
        self.record.error_code = error.code_text().map(str::to_owned);
    }

    fn settle(&mut self) {
        let total = self
            .state
            .clock
            .instant()
            .saturating_duration_since(self.arrived);
        self.record.total_ms = ms(total);
        if std::thread::panicking() {
            self.record.outcome = Outcome::Panic;
        }
        let reported = self.usage.or_else(|| self.counted());
        self.record.usage = reported.unwrap_or_else(|| self.estimate());
        self.record.cost_nano = self.cost();
        self.settle_limits();
        self.settle_spend();
        self.settle_trust();
        let own = self.price_of(&self.record.usage);
        if let Some(shared) = &mut self.record.shared {
            shared.saved_nano = own;
        }
        if let Some(keep) = self.keep.take()
            && self.record.outcome == Outcome::Done
        {
            if let (Some(agreement), Some(cache)) = (keep.agreement(), &mut self.record.cache) {
                cache.agreement = Some(agreement);
            }
            keep.settle(&self.record, self.state.clock.now_ms());
        }
        if let Some(facts) = self.validation() {
            self.state.metrics.validation.decided(facts.verdict);
        }
        self.count(total);
        self.state.metrics.in_flight.down();
        self.state.metrics.ended(self.record.outcome, total);
    }

    /// Counts the exchange by its target, its route and its tenant.
    fn count(&self, total: Duration) {
        let usage = &self.record.usage;
        // Tokens of an answer that is given again were counted when it was given first.
        let (input, output) = match self.record.is_given_again() {
            true => (0, 0),
            false => (usage.input_total(), usage.output),
        };
        let (cost, unknown) = match self.record.cost_nano {
            Some(nano) => (u64::try_from(nano).unwrap_or(0), 0),
            None => (0, 1),
        };
        let failure = self.failure();
        if let Some(target) = &self.target {
            target.input_tokens.add(input);
            target.output_tokens.add(output);
            target.cost_nano.add(cost);
            target.cost_unknown.add(unknown);
            self.count_call(target, total, failure);
        }
        let (route, tenant) = (&self.route, &self.tenant);
        let outcome = self.record.outcome;
        let at = Outcome::ALL.iter().position(|known| *known == outcome);
        if let Some(counter) = at.and_then(|at| route.requests.get(at)) {
            counter.add(1);
        }
        route.input_tokens.add(input);
        route.output_tokens.add(output);
        route.cost_nano.add(cost);
        route.cost_unknown.add(unknown);
        tenant.requests.add(1);
        tenant.failed.add(u64::from(outcome.is_failure()));
        tenant.input_tokens.add(input);
        tenant.output_tokens.add(output);
        tenant.cost_nano.add(cost);
        if let Some(facts) = self.validation() {
            let nano = facts.cost_nano.unwrap_or(0);
            let nano = u64::try_from(nano).unwrap_or(0);
            let (input, output) = (facts.turned_down.input_total(), facts.turned_down.output);
            route.input_tokens.add(input);
            route.output_tokens.add(output);
            route.cost_nano.add(nano);
            tenant.input_tokens.add(input);
            tenant.output_tokens.add(output);
            tenant.cost_nano.add(nano);
        }
        if let Some(series) = route.server.of(self.operation) {
            series.duration.observe(total, failure);
            if let Some(ttft) = self.record.ttft_ms.filter(|_| self.record.stream) {
                series.ttft.observe_ms(ttft);
            }
            if let Some(pace) = self.record.ms_per_output_token() {
                series.per_token.observe_ms(pace);
            }
        }
    }

    /// Counts the call that answered. It ends with the exchange.
    fn count_call(&self, target: &TargetMetrics, total: Duration, failure: Option<&'static str>) {
        let Some(series) = target.client.of(self.operation) else {
            return;
        };
        let (first, upstream) = (self.record.ttft_ms, self.record.upstream_ttft_ms);
        let began = first.unwrap_or(0.0) - upstream.unwrap_or(0.0);
        let before = Duration::try_from_secs_f64(began / 1000.0).unwrap_or_default();
        series
            .duration
            .observe(total.saturating_sub(before), failure);
        series.input.observe_count(self.record.usage.input_total());
        series.output.observe_count(self.record.usage.output);
        if let Some(ttft) = first.filter(|_| self.record.stream) {
            series.delivered_ttft.observe_ms(ttft);
        }
        if let Some(pace) = self.record.ms_per_output_token() {
            series.delivered_per_token.observe_ms(pace);
        }
        self.pauses.add_to(&series.per_chunk);
    }

    /// Class of the exchange's failure; none where the client got a whole answer.
    fn failure(&self) -> Option<&'static str> {
        match self.record.outcome {
            Outcome::Done => None,
            Outcome::Error | Outcome::Cut => Some(self.error.map_or("unknown", ErrorCode::name)),
            other => Some(other.name()),
        }
    }

    /// The exchange's spans, to be exported.
    fn finished(&mut self) -> Option<Finished> {
        let trace = *self.trace.take()?;
        let content = trace.content;
        let mut finished = Finished::new((*self.record).clone(), trace, self.operation);
        finished.error = self.error.map(ErrorCode::name);
        if let Some(texts) = &self.texts {
            finished = finished.asked(&texts.request);
            finished.answer = content.then(|| texts.answer.clone());
        }
        Some(finished)
    }

    /// What the answer cost; `None` where the price is not known. Nothing, if no upstream began to answer.
    fn cost(&self) -> Option<i64> {
        let Some(target) = &self.record.target else {
            return Some(0);
        };
        if self.record.simulated || self.record.is_given_again() {
            return Some(0);
        }
        self.price_at(target, &self.record.usage)
    }

    fn price_of(&self, usage: &Usage) -> Option<i64> {
        self.price_at(self.record.target.as_ref()?, usage)
    }

    fn price_at(&self, target: &str, usage: &Usage) -> Option<i64> {
        let (provider, model) = target.split_once('/')?;
        let price = self.prices.price(provider, model, self.record.at_ms)?;
        Some(price.cost(usage).0)
    }

    /// Settles now, and gives the moment at which the record is on the disk, where the route waits for that.
    pub(crate) fn close(&mut self) -> Option<oneshot::Receiver<()>> {
        if std::mem::replace(&mut self.settled, true) {
            return None;
        }
        self.settle();
        if let Some(finished) = self.finished() {
            self.state.otel.put(finished);
        }
        let records = self.state.records.as_ref()?;
        let waits = self.recording.ack != RecordAck::Relaxed;
        let (ack, acked) = if waits {
            let (ack, acked) = oneshot::channel();
            (Some(ack), Some(acked))
        } else {
            (None, None)
        };
        let with_text = self.texts.is_some() && self.recording.keep != KeepText::None;
        let sampled = if with_text && self.record.outcome == Outcome::Done {
            sampling(&self.evals, &self.record)
        } else {
            Vec::new()
        };
        let id = self.record.id;
        records.put(Submission {
            record: std::mem::take(&mut self.record),
            texts: self.texts.take(),
            keep: self.recording.keep,
            ack,
        });
        let counters = &self.state.metrics.evals;
        self.state.evals.offer(sampled, id, counters);
        acked
    }

    /// Settles, and waits until the record is on the disk, where the route says so.
    pub async fn closed(mut self) {
        if let Some(acked) = self.close() {
            // A disk that is slower than this is counted and shown by the writer; the answer is not held back for it.
            let _ = tokio::time::timeout(DURABLE_WAIT, acked).await;
        }
    }

    /// What was asked and answered, where its text is at hand and the tokenizer of the model is known.
    fn counted(&self) -> Option<Usage> {
        let target = self.record.target.as_deref()?;
        let model = target.split_once('/').map_or(target, |(_, model)| model);
        let texts = self.texts.as_ref().filter(|_| self.transcribes())?;
        tokens::count(model, texts)
    }

    /// About four bytes a token; the body's JSON counts as text, so this errs upwards. Nothing was used if no upstream
    /// began to answer.
    fn estimate(&self) -> Usage {
        if self.target.is_none() {
            return Usage::default();
        }
        let input = u64::try_from(self.input_bytes.div_ceil(4)).unwrap_or(u64::MAX);
        let output = self.output_bytes.div_ceil(4);
        Usage {
            input,
            output,
            source: UsageSource::Estimated,
            ..Usage::default()
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(lead) = self.lead.take()
            && !self.settled
        {
            let exchange = self.moved_out();
            return lead.go_on(exchange);
        }
        // Nobody is left to wait for it.
        let _ = self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_waits_does_not_hold_a_connections_buffer() {
        let buffer = Bytes::from(vec![b'x'; 128 * 1024]);
        let body = buffer.slice(1_000..2_000);
        let kept = on_its_own(&body);
        assert_eq!(kept, body);
        assert!(kept.is_unique(), "a piece of a buffer is not");
    }
}
