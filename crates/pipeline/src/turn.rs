//! Waiting for a target that takes only so many calls at a time.

use crate::policy::Target;
use crate::settle::Exchange;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_latency::queue::{Call, Class, Permit, Place, Refused, Rule, Ticket, Turn, Who};
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// On whose behalf questions of the gateway's own are asked.
const OWN: &str = "aplomb";

/// Bounds of a target that takes only so many calls at a time.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// Calls at a time, and waiting calls of a user.
    pub rule: Rule,
    /// Longest wait of interactive calls.
    pub interactive: Duration,
    /// Longest wait of batch calls.
    pub batch: Duration,
}

/// Where a request waits, for whoever tells its client.
#[derive(Default)]
pub struct Notice {
    ticket: Mutex<Option<Ticket>>,
    waits: Notify,
}

impl Notice {
    fn set(&self, ticket: Option<Ticket>) {
        let waits = ticket.is_some();
        *self.ticket.lock().unwrap_or_else(PoisonError::into_inner) = ticket;
        if waits {
            self.waits.notify_one();
        }
    }

    /// Ends when the request begins to wait.
    pub async fn waits(&self) {
        self.waits.notified().await;
    }

    /// Where it stands by now; none where it does not wait.
    pub fn place(&self) -> Option<Place> {
        let ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner);
        ticket.as_ref()?.place()
    }
}

/// A request that wants turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// How urgent it is.
    pub class: Class,
    /// Its estimated tokens, those of the answer included.
    pub cost: u64,
    /// When its time is used up.
    pub deadline: Instant,
}

impl Wish {
    fn call(&self, slots: &Slots, who: Who) -> Call {
        let patience = match self.class {
            Class::Interactive => slots.interactive,
            Class::Batch => slots.batch,
        };
        let until = self.deadline.min(Instant::now() + patience);
        Call {
            who,
            class: self.class,
            cost: self.cost,
            until: until.into_std(),
        }
    }
}

fn who(exchange: &Exchange) -> Who {
    let record = exchange.record();
    let user = record.user.as_deref().unwrap_or(&record.key_id);
    Who {
        tenant: record.tenant.clone(),
        user: user.into(),
    }
}

/// A turn that came, or did not come, after a wait.
struct Came {
    permit: Result<Permit, UpstreamFault>,
    /// At which place it began to wait, and how long it waited; none where it did not wait.
    waited: Option<(usize, Duration)>,
}

async fn come(target: &Target, call: Call, slots: &Slots, notice: Option<&Notice>) -> Came {
    let (until, since) = (Instant::from_std(call.until), Instant::now());
    let queue = &target.standing.queue;
    let waiting = match queue.enter(slots.rule, call, since.into_std()) {
        Ok(Turn::Later(waiting)) => waiting,
        Ok(Turn::Now(permit)) => {
            let permit = Ok(permit);
            return Came {
                permit,
                waited: None,
            };
        }
        Err(refused) => {
            let permit = Err(refusal(target, refused));
            return Came {
                permit,
                waited: None,
            };
        }
    };
    let position = waiting.place.position;
    let _waits = target.metrics.queue_waiting.hold();
    if let Some(notice) = notice {
        notice.set(Some(waiting.ticket()));
    }
    let permit = timeout_at(until, waiting).await.ok().flatten();
    if let Some(notice) = notice {
        notice.set(None);
    }
    let took = since.elapsed();
    target.metrics.queue_wait.observe(took);
    Came {
        permit: permit.ok_or_else(|| too_late(target, took)),
        waited: Some((position, took)),
    }
}

/// Waits for a turn at a target; none is needed where it takes any number of calls.
///
/// Cancel safe: dropping the future leaves the queue.
///
/// # Errors
/// The queue is full, or the turn did not come in time.
pub(crate) async fn turn(
    target: &Target,
    wish: Wish,
    (exchange, notice): (&mut Exchange, &Notice),
) -> Result<Option<Permit>, UpstreamFault> {
    let Some(slots) = &target.slots else {
        return Ok(None);
    };
    let call = wish.call(slots, who(exchange));
    let came = come(target, call, slots, Some(notice)).await;
    if let Some((position, took)) = came.waited {
        exchange.queued(position, took);
    }
    came.permit.map(Some)
}

/// Likewise for a question of the gateway's own, which lets all requests go first.
///
/// # Errors
/// The turn did not come in time.
pub(crate) async fn own_turn(
    target: &Target,
    cost: u64,
    deadline: Instant,
) -> Result<Option<Permit>, UpstreamFault> {
    let Some(slots) = &target.slots else {
        return Ok(None);
    };
    let wish = Wish {
        class: Class::Batch,
        cost,
        deadline,
    };
    let own = Who {
        tenant: OWN.into(),
        user: OWN.into(),
    };
    let call = wish.call(slots, own);
    let came = come(target, call, slots, None).await;
    came.permit.map(Some)
}

/// A turn that needs no wait, for calls that are made besides another one.
///
/// # Errors
/// There is none.
pub(crate) fn at_once(
    target: &Target,
    wish: Wish,
    exchange: &Exchange,
) -> Result<Option<Permit>, ()> {
    let Some(slots) = &target.slots else {
        return Ok(None);
    };
    let (call, now) = (wish.call(slots, who(exchange)), Instant::now().into_std());
    let permit = target.standing.queue.enter_at_once(slots.rule, call, now);
    permit.map(Some).ok_or(())
}

fn fault(code: ErrorCode, message: &str, retry_after: Duration) -> UpstreamFault {
    let mut error = ApiError::new(code, message);
    error.retry_after = Some(retry_after);
    UpstreamFault {
        error,
        ..UpstreamFault::new(FaultKind::Busy, message)
    }
}

fn refusal(target: &Target, refused: Refused) -> UpstreamFault {
    match refused {
        Refused::Full { retry_after } => {
            target.metrics.queue_refused_full.add(1);
            let message = "too many requests of yours wait for this model already";
            fault(ErrorCode::QueueFull, message, retry_after)
        }
        Refused::TooLate { wait } => too_late(target, wait),
    }
}

fn too_late(target: &Target, wait: Duration) -> UpstreamFault {
    target.metrics.queue_refused_late.add(1);
    let message = "this model is busy, and its turn would not come in time";
    fault(
        ErrorCode::Overloaded,
        message,
        wait.max(Duration::from_secs(1)),
    )
}
