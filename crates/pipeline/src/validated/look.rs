//! What becomes of an answer that has begun: it goes out, or another one is asked for, or the client gets an error.

use super::Hold;
use super::hold::gather;
use crate::attempt::Begun;
use crate::attempts::{Got, Way, Won};
use crate::plan::Plan;
use crate::settle::Exchange;
use aplomb_core::dialect;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use aplomb_core::usage::Usage;
use aplomb_privacy::room::continued;
use aplomb_providers::fault::UpstreamFault;
use aplomb_validate::answer::{Answer, with_text_alone, with_texts};
use aplomb_validate::check::Asked;
use aplomb_validate::course::{Course, Next};
use aplomb_validate::verdict::Blocked;
use aplomb_validate::watch::{Watch, Window};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// Longest answer that is looked at on the spot. Chosen: some milliseconds; longer ones go to a thread that may block.
const ON_THE_SPOT_BYTES: usize = 64 * 1024;

/// What becomes of an answer that has begun.
pub(crate) enum Fate {
    /// It goes out.
    Out(Box<Won>),
    /// This target is asked: the request itself, or another one in its place.
    Again(usize, Option<Box<Masked<ChatRequest>>>),
    /// It broke off while it was held.
    Broke(UpstreamFault),
}

/// What can be done about an answer.
enum Resolved {
    Deliver(BTreeMap<u32, String>),
    Refrain(String),
    Again(usize, Option<Box<Masked<ChatRequest>>>),
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
            asked = Asked::of(&conversation);
            if validation.needs_context() {
                let given = self.given.map(|given| given.get().as_str());
                let instruction = validation.instruction();
                asked = asked.with_context(&conversation, given, instruction.as_deref());
            }
        }
        Some(Box::new(Course::new(validation.clone(), asked)))
    }

    /// Decides about an answer that has begun. In memory of its own: most requests need none of it.
    ///
    /// # Errors
    /// No answer goes out.
    pub(crate) fn look<'b>(
        &'b self,
        got: Got<'a>,
        course: &'b mut Option<Box<Course>>,
        steps: (&'b mut Plan, &'b mut Exchange),
    ) -> Pin<Box<dyn Future<Output = Result<Fate, ApiError>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(self.decide(got, course, steps))
    }

    async fn decide(
        &self,
        mut got: Got<'a>,
        course: &mut Option<Box<Course>>,
        (plan, exchange): (&mut Plan, &mut Exchange),
    ) -> Result<Fate, ApiError> {
        let request = self.request.get();
        let hold = match request.delivery.is_stream() {
            true => self.route.checking.hold(request, self.kind),
            false => Hold::Whole,
        };
        let whole = match self.hold(&mut got, hold, exchange).await {
            Ok(whole) => whole,
            Err(fault) => return Ok(Fate::Broke(fault)),
        };
        let Some(own) = course.take() else {
            exchange.committed(got.target);
            return Ok(Fate::Out(Box::new(got.won)));
        };
        if hold == Hold::FirstToken {
            exchange.committed(got.target);
            got.won.watch = Some(Box::new(Watch::new(own, Window::default())));
            return Ok(Fate::Out(Box::new(got.won)));
        }
        let answer = Answer::of(&got.won.begun.held);
        let (own, next) = judge(own, (answer, whole), exchange).await?;
        let own = course.insert(own);
        plan.answered();
        let resolved = self.resolve((own, next), plan, exchange)?;
        exchange.validated(&own.verdict);
        let target = match resolved {
            Resolved::Deliver(texts) => {
                if !texts.is_empty() {
                    replace(&mut got.won.begun, |events| with_texts(events, &texts));
                }
                exchange.committed(got.target);
                if let (false, Hold::Window(window)) = (whole, hold) {
                    let own = course.take();
                    got.won.watch = own.map(|own| Box::new(Watch::new(own, window)));
                }
                return Ok(Fate::Out(Box::new(got.won)));
            }
            Resolved::Refrain(text) => {
                replace(&mut got.won.begun, |events| with_text_alone(events, &text));
                exchange.committed(got.target);
                return Ok(Fate::Out(Box::new(got.won)));
            }
            Resolved::Again(target, request) => Ok(Fate::Again(target, request)),
            Resolved::Block(blocked) => Err(error(&blocked)),
        };
        let usage = used(&got.won.begun);
        let usage = exchange.turned_down(got.attempt, got.target, usage);
        got.won.flight.ended(&usage, None);
        target
    }

    /// Reads as much of an answer as is held before anything of it goes out. Whether that is all.
    async fn hold(
        &self,
        got: &mut Got<'a>,
        hold: Hold,
        exchange: &mut Exchange,
    ) -> Result<bool, UpstreamFault> {
        let enough = match hold {
            Hold::FirstToken => return Ok(false),
            Hold::Window(window) => window.bytes().max(1),
            Hold::Whole => usize::MAX,
        };
        if !self.request.get().delivery.is_stream() {
            return Ok(true);
        }
        let since = Instant::now();
        let bounds = (self.route.timeouts.idle, self.deadline);
        let whole = gather(&mut got.won.begun, enough, bounds).await;
        exchange.held(since.elapsed());
        if let Err(fault) = &whole {
            got.won.flight.failed(fault);
            exchange.broke(got.attempt, got.target, fault);
        }
        whole
    }

    /// The first of the next steps that can be taken.
    fn resolve(
        &self,
        (course, mut next): (&mut Course, Next),
        plan: &mut Plan,
        exchange: &Exchange,
    ) -> Result<Resolved, ApiError> {
        let in_time = !self.left().is_zero();
        loop {
            let (target, request, same) = match next {
                Next::Deliver(texts) => return Ok(Resolved::Deliver(texts)),
                Next::Refrain(text) => return Ok(Resolved::Refrain(text)),
                Next::Block(blocked) => return Ok(Resolved::Block(blocked)),
                Next::Retry => (plan.same(), None, true),
                Next::Fallback => (plan.other(), None, false),
                Next::Repair(repair) => {
                    let longer = continued(self.request, &repair.said, &repair.wish)?;
                    let may = plan.same().filter(|_| longer.is_some());
                    (may, longer.map(Box::new), true)
                }
            };
            if let Some(target) = target.filter(|_| in_time) {
                exchange.again(same);
                plan.go(target);
                return Ok(Resolved::Again(target, request));
            }
            next = course.unable();
        }
    }
}

/// Looks at an answer; at a long one in a thread that may block.
async fn judge(
    mut course: Box<Course>,
    (answer, whole): (Answer, bool),
    exchange: &mut Exchange,
) -> Result<(Box<Course>, Next), ApiError> {
    let long = answer.bytes() > ON_THE_SPOT_BYTES || course.compares();
    let work = move || {
        let since = Instant::now();
        let next = match whole {
            true => course.judge(answer),
            false => course.judge_begun(answer),
        };
        (course, next, since.elapsed())
    };
    let (course, next, took): (_, _, Duration) = if long {
        let done = tokio::task::spawn_blocking(work).await;
        let lost = |_| ApiError::new(ErrorCode::Internal, "the answer could not be checked");
        done.map_err(lost)?
    } else {
        work()
    };
    exchange.judged(&course, took);
    Ok((course, next))
}

/// Changes the events of an answer.
fn replace(begun: &mut Begun, change: impl FnOnce(VecDeque<ChatEvent>) -> Vec<ChatEvent>) {
    begun.held = change(std::mem::take(&mut begun.held)).into();
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

pub(crate) fn error(blocked: &Blocked) -> ApiError {
    let mut error = ApiError::new(ErrorCode::ValidationFailed, blocked.message());
    error.extension = Some(Box::new(json!({
        "validator": &*blocked.by.validator,
        "check": blocked.by.check,
        "place": blocked.failure.place,
        "tries": blocked.tries,
    })));
    error
}
