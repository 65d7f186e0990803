//! What becomes of an answer that has begun: it goes out, or another one is asked for, or the client gets an error.

use super::hold::gather;
use crate::attempt::Begun;
use crate::attempts::{Got, Way, Won};
use crate::plan::Plan;
use crate::settle::Exchange;
use aplomb_core::dialect;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::usage::Usage;
use aplomb_providers::fault::UpstreamFault;
use aplomb_validate::answer::Answer;
use aplomb_validate::check::{Asked, Format};
use aplomb_validate::course::{Course, Next};
use aplomb_validate::verdict::Blocked;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Longest answer that is looked at on the spot. Chosen: some milliseconds; longer ones go to a thread that may block.
const ON_THE_SPOT_BYTES: usize = 64 * 1024;

/// What becomes of an answer that has begun.
pub(crate) enum Fate {
    /// It goes out.
    Out(Box<Won>),
    /// This target is asked.
    Again(usize),
    /// It broke off while it was held.
    Broke(UpstreamFault),
}

/// What can be done about an answer.
enum Resolved {
    Deliver,
    Again(usize),
    Block(Box<Blocked>),
}

impl<'a> Way<'a> {
    /// The way of this request through its route's validators.
    pub(crate) fn course(&self) -> Option<Box<Course>> {
        let request = self.request.get();
        let validation = self.route.checking.validation(request.operation)?;
        let mut asked = Asked::default();
        if validation.needs_request()
            && let Ok(conversation) = dialect::conversation(request)
        {
            asked.format = Format::of(&conversation.output_format);
        }
        Some(Box::new(Course::new(validation.clone(), asked)))
    }

    /// Decides about an answer that has begun.
    ///
    /// # Errors
    /// No answer goes out.
    pub(crate) async fn look(
        &self,
        mut got: Got<'a>,
        course: &mut Option<Box<Course>>,
        (plan, exchange): (&mut Plan, &mut Exchange),
    ) -> Result<Fate, ApiError> {
        if self.route.checking.whole && self.request.get().delivery.is_stream() {
            let since = Instant::now();
            let bounds = (self.route.timeouts.idle, self.deadline);
            let whole = gather(&mut got.won.begun, bounds.0, bounds.1).await;
            exchange.held(since.elapsed());
            if let Err(fault) = whole {
                got.won.flight.failed(&fault);
                exchange.broke(got.attempt, got.target, &fault);
                return Ok(Fate::Broke(fault));
            }
        }
        let Some(own) = course.take() else {
            exchange.committed(got.target);
            return Ok(Fate::Out(Box::new(got.won)));
        };
        let answer = Answer::of(&got.won.begun.held);
        let (own, next) = judge(own, answer, exchange).await?;
        let own = course.insert(own);
        plan.answered();
        let resolved = self.resolve((own, next), plan, exchange);
        exchange.validated(&own.verdict);
        let target = match resolved {
            Resolved::Deliver => {
                exchange.committed(got.target);
                return Ok(Fate::Out(Box::new(got.won)));
            }
            Resolved::Again(target) => Ok(Fate::Again(target)),
            Resolved::Block(blocked) => Err(error(&blocked)),
        };
        let usage = used(&got.won.begun);
        let usage = exchange.turned_down(got.attempt, got.target, usage);
        got.won.flight.ended(&usage, None);
        target
    }

    /// The first of the next steps that can be taken.
    fn resolve(
        &self,
        (course, mut next): (&mut Course, Next),
        plan: &mut Plan,
        exchange: &Exchange,
    ) -> Resolved {
        let in_time = !self.left().is_zero();
        loop {
            let target = match next {
                Next::Deliver => return Resolved::Deliver,
                Next::Block(blocked) => {
                    exchange.stepped(&course.verdict);
                    return Resolved::Block(blocked);
                }
                Next::Retry => plan.same().map(|target| (target, true)),
                Next::Fallback => plan.other().map(|target| (target, false)),
            };
            if let Some((target, same)) = target.filter(|_| in_time) {
                exchange.stepped(&course.verdict);
                exchange.again(same);
                plan.go(target);
                return Resolved::Again(target);
            }
            next = course.unable();
        }
    }
}

/// Looks at an answer; at a long one in a thread that may block.
async fn judge(
    mut course: Box<Course>,
    answer: Answer,
    exchange: &mut Exchange,
) -> Result<(Box<Course>, Next), ApiError> {
    let long = answer.bytes() > ON_THE_SPOT_BYTES;
    let work = move || {
        let since = Instant::now();
        let next = course.judge(&answer);
        (course, next, since.elapsed())
    };
    let (course, next, took): (_, _, Duration) = if long {
        let done = tokio::task::spawn_blocking(work).await;
        let lost = |_| ApiError::new(ErrorCode::Internal, "the answer could not be checked");
        done.map_err(lost)?
    } else {
        work()
    };
    exchange.judged(&course.verdict, took);
    Ok((course, next))
}

/// What the provider says that an answer has used.
fn used(begun: &Begun) -> Result<Usage, u64> {
    let told = begun.held.iter().rev().find_map(|event| match event {
        ChatEvent::Usage(usage) => Some(*usage),
        _ => None,
    });
    told.ok_or_else(|| {
        let sizes = begun
            .held
            .iter()
            .map(|event| u64::from(event.output_bytes()));
        sizes.sum()
    })
}

fn error(blocked: &Blocked) -> ApiError {
    let mut error = ApiError::new(ErrorCode::ValidationFailed, blocked.message());
    error.extension = Some(Box::new(json!({
        "validator": &*blocked.by.validator,
        "check": blocked.by.check,
        "place": blocked.failure.place,
        "tries": blocked.tries,
    })));
    error
}
