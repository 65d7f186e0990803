//! The closing guard: one record and one count for every ending.
//!
//! An [`Exchange`] belongs to the answer. However it ends (whole, with an error, client gone in any phase, panic), its
//! `Drop` settles: the record goes to the writer's queue, counters grow. No I/O, no wait.

use crate::policy::Target;
use crate::state::State;
use aplomb_core::caller::Caller;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::id::{RequestId, TraceContext};
use aplomb_core::request::ChatRequest;
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_observe::metrics::TargetMetrics;
use aplomb_observe::record::{Attempt, Outcome, PrivacyFacts, Record};
use aplomb_privacy::mask::Report;
use aplomb_privacy::room::Shield;
use aplomb_providers::call::Kind;
use aplomb_providers::fault::UpstreamFault;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One exchange while it runs.
pub struct Exchange {
    state: Arc<State>,
    record: Box<Record>,
    arrived: Instant,
    /// Time spent on upstream calls and waits between them, up to the first content.
    upstream: Duration,
    input_bytes: usize,
    output_bytes: u64,
    usage: Option<Usage>,
    target: Option<Arc<TargetMetrics>>,
}

fn ms(time: Duration) -> f64 {
    // Microseconds are enough, and short in text.
    (time.as_secs_f64() * 1e6).round() / 1e3
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
        } = *opening;
        state.metrics.in_flight.up();
        let record = Box::new(Record {
            request_id: id.to_string(),
            at_ms: state.clock.now_ms(),
            trace_id: trace.trace_hex(),
            tenant: caller.tenant.clone(),
            key_id: caller.key_id.clone(),
            user: caller.user.clone(),
            session: caller.session.clone(),
            tags: caller.tags.clone(),
            operation: request.operation.name(),
            model: request.model.clone(),
            stream: request.delivery.is_stream(),
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
        }
    }

    /// The record as it is so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// When the request came.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// The route that matched.
    pub fn routed(&mut self, route: Option<&Arc<str>>) {
        self.record.route = route.cloned();
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
            restored: 0,
        }));
    }

    /// No provider may see the request.
    pub fn no_agreement(&self) {
        self.state.metrics.privacy_no_agreement.add(1);
    }

    /// What privacy did with the answer.
    pub fn restored(&mut self, restored: u64, invented: &BTreeMap<String, u32>) {
        self.state.metrics.privacy_restored.add(restored);
        self.state.metrics.entities(invented);
        if let Some(facts) = &mut self.record.privacy {
            facts.restored = restored;
            facts.counts.extend(invented.clone());
        }
    }

    /// An attempt failed after `took`.
    pub fn attempt_failed(&mut self, target: &Target, fault: &UpstreamFault, took: Duration) {
        target.metrics.failed.add(1);
        self.upstream += took;
        let status = fault
            .error
            .upstream
            .as_ref()
            .map(|upstream| upstream.status);
        tracing::debug!(upstream = %target.name, fault = fault.kind.name(), cause = fault.error.cause.as_ref().map(tracing::field::display), "attempt failed");
        self.record.attempts.push(Attempt {
            target: target.name.clone(),
            fault: Some(fault.kind.name()),
            status,
            ms: ms(took),
        });
    }

    /// A wait between attempts.
    pub fn waited(&mut self, took: Duration) {
        self.upstream += took;
    }

    /// An attempt gave its first content after `took`: the answer may go out.
    pub fn committed(&mut self, target: &Target, took: Duration) {
        target.metrics.answered.add(1);
        target.metrics.ttft.observe(took);
        self.upstream += took;
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
        self.record.attempts.push(Attempt {
            target: target.name.clone(),
            fault: None,
            status: None,
            ms: ms(took),
        });
        self.target = Some(target.metrics.clone());
    }

    /// Notes what an event of the answer says.
    pub fn saw(&mut self, event: &ChatEvent) {
        self.output_bytes += u64::from(event.output_bytes());
        match event {
            ChatEvent::Start(start) if !start.model.is_empty() => {
                self.record.served_model = Some(start.model.clone())
            }
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            _ => {}
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
        self.record.usage = self.usage.unwrap_or_else(|| self.estimate());
        if let Some(target) = &self.target {
            target.input_tokens.add(self.record.usage.input_total());
            target.output_tokens.add(self.record.usage.output);
        }
        self.state.metrics.in_flight.down();
        self.state.metrics.ended(self.record.outcome, total);
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
        self.settle();
        if let Some(records) = &self.state.records {
            records.put(&self.record);
        }
    }
}
