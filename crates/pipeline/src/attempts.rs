//! One request's way through the targets of its route, until an answer begins.

use crate::attempt::{Ask, Begun, attempt};
use crate::plan::{Next, Plan};
use crate::policy::{Route, Target};
use crate::settle::Exchange;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::TraceContext;
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use aplomb_providers::call::CallContext;
use aplomb_providers::fault::UpstreamFault;
use tokio::time::Instant;

/// What all attempts of a request share.
pub(crate) struct Way<'a> {
    /// Whose targets are asked.
    pub route: &'a Route,
    /// What they are asked.
    pub request: &'a Masked<ChatRequest>,
    /// The trace that each call is a span of.
    pub trace: &'a TraceContext,
    /// What travels upstream besides the body.
    pub context: CallContext,
    /// When the request's total time is used up.
    pub deadline: Instant,
}

impl Way<'_> {
    /// Tries targets in the order of the plan until one has begun its answer. Every attempt is noted in the exchange.
    ///
    /// Cancel safe: dropping the future ends the upstream call.
    ///
    /// # Errors
    /// The last failure, in the provider's words.
    pub(crate) async fn walk(
        mut self,
        mut plan: Plan,
        exchange: &mut Exchange,
    ) -> Result<Begun, ApiError> {
        let mut at = plan.first().unwrap_or(usize::MAX);
        loop {
            let Some(target) = self.route.targets.get(at) else {
                let message = "the route has no target";
                return Err(ApiError::new(ErrorCode::Internal, message));
            };
            let fault = match self.call(target, exchange).await {
                Ok(begun) => return Ok(begun),
                Err(fault) => fault,
            };
            let left = self.deadline.saturating_duration_since(Instant::now());
            match plan.after(&fault, left, fastrand::f64()) {
                Next::GiveUp => return Err(fault.error),
                Next::Call { target, wait } => {
                    exchange.again(at == target);
                    at = target;
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                        exchange.waited(wait);
                    }
                }
            }
        }
    }

    /// One attempt at one target.
    async fn call(
        &mut self,
        target: &Target,
        exchange: &mut Exchange,
    ) -> Result<Begun, UpstreamFault> {
        let span_id = TraceContext::new_span();
        self.context.traceparent = Some(self.trace.header(span_id));
        exchange.calling(target, span_id);
        let begun_at = Instant::now();
        let ask = Ask {
            request: self.request,
            context: &self.context,
            timeouts: &self.route.timeouts,
            deadline: self.deadline,
        };
        let result = attempt(target, &ask).await;
        match &result {
            Ok(_) => exchange.committed(target, begun_at.elapsed()),
            Err(fault) => exchange.attempt_failed(target, fault, begun_at.elapsed()),
        }
        result
    }
}
