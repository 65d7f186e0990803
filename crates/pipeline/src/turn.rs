//! Waiting for a target that takes only so many calls at a time.

use crate::policy::Target;
use crate::settle::Exchange;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::request::Delivery;
use aplomb_latency::queue::{Call, Class, Missed, Permit, Place, Refused, Rule, Ticket, Turn, Who};
use aplomb_observe::metrics::QueueMetrics;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Shortest `Retry-After`.
const SECOND: Duration = Duration::from_secs(1);

/// On whose behalf questions of the gateway's own are asked.
const OWN: &str = "aplomb";

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
    /// How its answer comes.
    pub delivery: Delivery,
    /// When its time is used up.
    pub deadline: Instant,
}

/// On whose behalf a turn is wanted, and the tenant's share beside others.
struct Party {
    who: Who,
    weight: u32,
}

impl Party {
    fn of(exchange: &Exchange) -> Self {
        let record = exchange.record();
        let user = record.user.as_deref().unwrap_or(&record.key_id);
        Party {
            who: Who {
                tenant: record.tenant.clone(),
                user: user.into(),
            },
            weight: exchange.weight(),
        }
    }

    /// The gateway itself.
    fn own() -> Self {
        Party {
            who: Who {
                tenant: OWN.into(),
                user: OWN.into(),
            },
            weight: 1,
        }
    }
}

impl Wish {
    /// It waits for as long as its class does, and no longer than there is time for what the target usually needs.
    fn call(&self, target: &Target, rule: &Rule, party: Party) -> Call {
        let needs = target.standing.usual(self.delivery).unwrap_or_default();
        let now = Instant::now();
        let latest = self.deadline.checked_sub(needs).unwrap_or(now);
        let until = latest.min(now + rule.patience(self.class));
        Call {
            who: party.who,
            class: self.class,
            cost: self.cost,
            weight: party.weight,
            until: until.into_std(),
        }
    }
}

/// What is counted of a class.
fn counted(target: &Target, class: Class) -> &QueueMetrics {
    match class {
        Class::Interactive => &target.metrics.interactive,
        Class::Batch => &target.metrics.batch,
    }
}

/// A turn that came, or did not come, after a wait.
struct Came {
    permit: Result<Permit, UpstreamFault>,
    /// At which place it began to wait, and how long it waited; none where it did not wait.
    waited: Option<(usize, Duration)>,
}

async fn come(target: &Target, call: Call, rule: Rule, notice: Option<&Notice>) -> Came {
    let (until, since) = (Instant::from_std(call.until), Instant::now());
    let queue = &target.standing.queue;
    let class = call.class;
    let turn = queue.enter(rule, call, since.into_std());
    target.metrics.slots.shift(queue.grown());
    let waiting = match turn {
        Ok(Turn::Later(waiting)) => waiting,
        Ok(Turn::Now(permit)) => {
            let permit = Ok(permit);
            return Came {
                permit,
                waited: None,
            };
        }
        Err(refused) => {
            let permit = Err(refusal(target, class, refused));
            return Came {
                permit,
                waited: None,
            };
        }
    };
    let position = waiting.place.position;
    let _waits = counted(target, class).waiting.hold();
    if let Some(notice) = notice {
        notice.set(Some(waiting.ticket()));
    }
    let permit = timeout_at(until, waiting)
        .await
        .unwrap_or(Err(Missed::Late));
    if let Some(notice) = notice {
        notice.set(None);
    }
    let took = since.elapsed();
    counted(target, class).wait.observe(took);
    Came {
        permit: permit.map_err(|missed| match missed {
            Missed::Late => too_late(target, class, took),
            Missed::Shed => {
                counted(target, class).shed.add(1);
                let message =
                    "too many requests wait for this model, and this one was given up for others";
                fault(ErrorCode::Overloaded, message, took.max(SECOND))
            }
        }),
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
    let Some(rule) = target.slots else {
        return Ok(None);
    };
    let call = wish.call(target, &rule, Party::of(exchange));
    let came = come(target, call, rule, Some(notice)).await;
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
    let Some(rule) = target.slots else {
        return Ok(None);
    };
    let wish = Wish {
        class: Class::Batch,
        cost,
        delivery: Delivery::Whole,
        deadline,
    };
    let call = wish.call(target, &rule, Party::own());
    let came = come(target, call, rule, None).await;
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
    let Some(rule) = target.slots else {
        return Ok(None);
    };
    let call = wish.call(target, &rule, Party::of(exchange));
    let now = Instant::now().into_std();
    let queue = &target.standing.queue;
    let permit = queue.enter_at_once(rule, call, now);
    target.metrics.slots.shift(queue.grown());
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

fn refusal(target: &Target, class: Class, refused: Refused) -> UpstreamFault {
    match refused {
        Refused::Full { retry_after } => {
            counted(target, class).full.add(1);
            let message = "too many requests of yours wait for this model already";
            fault(ErrorCode::QueueFull, message, retry_after)
        }
        Refused::TooLate { wait } => too_late(target, class, wait),
    }
}

fn too_late(target: &Target, class: Class, wait: Duration) -> UpstreamFault {
    counted(target, class).late.add(1);
    let message = "this model is busy, and its turn would not come in time";
    fault(ErrorCode::Overloaded, message, wait.max(SECOND))
}
