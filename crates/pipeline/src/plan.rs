//! Which target is called next, and after which wait.

use crate::policy::{Route, Target};
use aplomb_core::error::{ApiError, ErrorCode, UpstreamError};
use aplomb_core::request::Delivery;
use aplomb_latency::backoff;
use aplomb_latency::choose::{Candidate, Choose, order};
use aplomb_latency::class::{Class, Health, Others};
use aplomb_latency::queue;
use aplomb_latency::standing::View;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use std::time::{Duration, Instant};

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Call this target after this wait.
    Call {
        /// Its number.
        target: usize,
        /// How long to wait before.
        wait: Duration,
    },
    /// The failure is the answer.
    GiveUp,
    /// Likewise: another call would be possible, but the provider's retry budget is used up.
    Unaffordable,
}

/// The class of a failure.
pub fn class(fault: &UpstreamFault) -> Class {
    match fault.kind {
        FaultKind::Connect | FaultKind::Reset => Class::Connection,
        FaultKind::Cut | FaultKind::Malformed | FaultKind::TooLarge | FaultKind::Server => {
            Class::Overloaded
        }
        FaultKind::FirstToken | FaultKind::Idle => Class::Slow,
        FaultKind::RateLimited => Class::RateLimited,
        FaultKind::Quota => Class::Quota,
        FaultKind::Credentials => match &fault.error.upstream {
            Some(upstream) if upstream.status == 403 => Class::Forbidden,
            _ => Class::Credentials,
        },
        FaultKind::NotFound => Class::NotFound,
        FaultKind::ContextLength => Class::ContextLength,
        FaultKind::ContentFilter => Class::ContentFilter,
        // The request can't be said in this target's dialect; another target may speak the client's own.
        FaultKind::Request if fault.error.code == ErrorCode::InvalidRequest => {
            Class::Untranslatable
        }
        FaultKind::Request => Class::BadRequest,
        FaultKind::Busy => Class::Busy,
        FaultKind::Total => Class::OutOfTime,
    }
}

/// What the choice of a target depends on, besides the targets.
#[derive(Debug, Clone, Copy)]
pub struct Weighing {
    /// About how many input tokens the request has.
    pub tokens: u64,
    /// What turns of one conversation have in common; none where that is not known.
    pub conversation: Option<u64>,
    /// A random number.
    pub seed: u64,
    /// How the client wants its answer.
    pub delivery: Delivery,
    /// How urgent it is.
    pub class: queue::Class,
}

/// One target in the plan of a request.
#[derive(Debug, Clone, Copy)]
struct Seat {
    target: usize,
    /// Place in the route; the keys of one target share it.
    rank: usize,
    calls: u32,
    /// It is not called any more.
    dead: bool,
    /// Out of order when the request came: after the others.
    aside: bool,
}

/// Whether calls may be made that repeat one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Allowed,
    TooMany,
}

/// The state of one request's way through its targets.
#[derive(Debug)]
pub struct Plan {
    /// In the order in which they are asked.
    seats: Vec<Seat>,
    /// Place of the seat that was called last.
    at: usize,
    calls: u32,
    attempts: u32,
    /// Waits so far; each round over all targets waits once.
    rounds: u32,
}

impl Plan {
    /// For a route, its targets in the order of the file.
    pub fn new(route: &Route) -> Self {
        let seat = |(target, one): (usize, &Target)| Seat {
            target,
            rank: one.rank,
            calls: 0,
            dead: false,
            aside: false,
        };
        Plan {
            seats: route.targets.iter().enumerate().map(seat).collect(),
            at: 0,
            calls: 0,
            attempts: route.manner.attempts,
            rounds: 0,
        }
    }

    /// A target that may not be called at all.
    pub fn refuse(&mut self, target: usize) {
        for seat in &mut self.seats {
            seat.dead |= seat.target == target;
        }
    }

    /// The first target to be called, and after which wait: those that are in order by the route's choice, the others
    /// after them.
    ///
    /// # Errors
    /// All of them are at their limits for longer than makes sense to wait.
    pub fn first(
        &mut self,
        route: &Route,
        weighing: &Weighing,
        (now, left): (Instant, Duration),
    ) -> Result<(usize, Duration), ApiError> {
        self.seats.retain(|seat| !seat.dead);
        let free = |seat: &Seat| {
            let target = route.targets.get(seat.target);
            target.is_some_and(|target| target.standing.is_free(weighing.tokens, now))
        };
        let ordered = self.seats.len() < 2 || route.manner.choose == Choose::Ordered;
        // What nearly always is: the first target is in order, and it is the one to ask.
        let several_keys = self.seats.windows(2).any(|pair| match pair {
            [one, other] => one.rank == other.rank,
            _ => false,
        });
        if let Some(first) = self.seats.first()
            && ordered
            && !several_keys
            && free(first)
        {
            return Ok((first.target, Duration::ZERO));
        }
        self.arrange(route, weighing, now)
            .map(|wait| self.opening(wait, left))
            .unwrap_or_else(|| {
                let message = "the route has no target";
                Err(ApiError::new(ErrorCode::Internal, message))
            })
    }

    fn opening(&self, wait: Duration, left: Duration) -> Result<(usize, Duration), ApiError> {
        let target = self.seats.first().map_or(usize::MAX, |seat| seat.target);
        if wait.is_zero() {
            return Ok((target, wait));
        }
        backoff::wait(1, Some(wait), left, 0.0)
            .map(|wait| (target, wait))
            .ok_or_else(|| at_its_limits(wait))
    }

    /// Puts the seats in order, and gives how long the first of them wants to be left alone; none without seats.
    fn arrange(&mut self, route: &Route, weighing: &Weighing, now: Instant) -> Option<Duration> {
        let mut free = Vec::with_capacity(self.seats.len());
        let mut aside: Vec<(Duration, bool, Seat)> = Vec::new();
        for (index, seat) in self.seats.iter().enumerate() {
            let Some(target) = route.targets.get(seat.target) else {
                continue;
            };
            let view = target.standing.view(weighing.tokens, now);
            if view.healthy && view.gate.is_none() {
                free.push(candidate(index, target, (&view, weighing)));
            } else {
                let seat = Seat {
                    aside: true,
                    ..*seat
                };
                let wait = view.gate.unwrap_or_default();
                aside.push((wait, view.aside.is_some(), seat));
            }
        }
        order(
            route.manner.choose,
            &mut free,
            weighing.conversation,
            weighing.seed,
        );
        let mut seats: Vec<Seat> = free
            .iter()
            .filter_map(|one| self.seats.get(one.index).copied())
            .collect();
        // The least bad one first: whoever asked for no wait, with a key that was accepted.
        aside.sort_by_key(|(wait, key_aside, _)| (*wait, *key_aside));
        let first_wait = aside.first().map(|(wait, ..)| *wait);
        let wait = if seats.is_empty() {
            first_wait?
        } else {
            // Who wants to be left alone is left alone while others are there.
            aside.retain(|(wait, ..)| wait.is_zero());
            Duration::ZERO
        };
        seats.extend(aside.into_iter().map(|(_, _, seat)| seat));
        self.seats = seats;
        Some(wait)
    }

    /// A target for a hedge: the next one that is in order, else the same one again. With it the numbers of those that are
    /// in order and of all.
    pub fn second(
        &self,
        route: &Route,
        tokens: u64,
        now: Instant,
    ) -> Option<(usize, usize, usize)> {
        let free = |seat: &&Seat| {
            let target = route.targets.get(seat.target);
            target.is_some_and(|target| target.standing.is_free(tokens, now))
        };
        let healthy = self.seats.iter().filter(free).count();
        let current = self.seats.get(self.at)?.target;
        let other = self
            .seats
            .iter()
            .filter(|seat| !seat.dead && seat.target != current && seat.calls == 0)
            .find(free);
        let second = other.map_or(current, |seat| seat.target);
        (self.calls + 1 < self.attempts).then_some((second, healthy, self.seats.len()))
    }

    /// A hedge goes out: one call more, at this target.
    pub fn hedged(&mut self, target: usize) {
        self.calls += 1;
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.target == target) {
            seat.calls += 1;
        }
    }

    /// Notes a failure of the target that was called last, and gives what comes next.
    ///
    /// * `left`: time that remains; `random`: in `0.0..1.0`.
    /// * `affords`: asked once before a call that repeats one; whether the provider's retry budget pays for it.
    pub fn after(
        &mut self,
        route: &Route,
        fault: &UpstreamFault,
        (left, random): (Duration, f64),
        affords: impl FnOnce(&Target) -> bool,
    ) -> Next {
        self.calls += 1;
        let class = class(fault);
        let Some(current) = self.seats.get_mut(self.at) else {
            return Next::GiveUp;
        };
        current.calls += 1;
        current.dead |= !class.action().again;
        let current = *current;
        if self.calls >= self.attempts || !self.rule_out(route, class, current) {
            return Next::GiveUp;
        }
        let Some((mut index, mut seat)) = self.next(current, Repeats::Allowed) else {
            return Next::GiveUp;
        };
        let harms = matches!(class.action().health, Health::Failed(_));
        let repeats = seat.rank == current.rank || seat.calls > 0;
        if repeats && harms && !route.targets.get(seat.target).is_some_and(affords) {
            let Some(other) = self.next(current, Repeats::TooMany) else {
                return Next::Unaffordable;
            };
            (index, seat) = other;
        }
        self.at = index;
        let target = seat.target;
        if seat.calls == 0 {
            let wait = Duration::ZERO;
            return Next::Call { target, wait };
        }
        self.rounds += 1;
        match backoff::wait(self.rounds, fault.error.retry_after, left, random) {
            Some(wait) => Next::Call { target, wait },
            None => Next::GiveUp,
        }
    }

    /// The target that was called last has answered, and the answer may not go out.
    pub fn answered(&mut self) {
        self.calls += 1;
        if let Some(current) = self.seats.get_mut(self.at) {
            current.calls += 1;
        }
    }

    /// The target that was called last, if it may be called again.
    pub fn same(&self) -> Option<usize> {
        let current = self.seats.get(self.at)?;
        let may = self.calls < self.attempts && !current.dead;
        may.then_some(current.target)
    }

    /// Another place of the route, if there is one that may be called.
    pub fn other(&self) -> Option<usize> {
        let current = *self.seats.get(self.at)?;
        let (_, seat) = self.next(current, Repeats::TooMany)?;
        (self.calls < self.attempts).then_some(seat.target)
    }

    /// This target is called next.
    pub fn go(&mut self, target: usize) {
        let found = self.seats.iter().position(|seat| seat.target == target);
        self.at = found.unwrap_or(self.at);
    }

    /// The seat to be called next: fresh ones first, another key of the same model before all.
    fn next(&self, current: Seat, repeats: Repeats) -> Option<(usize, Seat)> {
        let usable = self.seats.iter().enumerate().filter(|(_, seat)| {
            let fresh = seat.calls == 0 && seat.rank != current.rank;
            !seat.dead && (fresh || repeats == Repeats::Allowed)
        });
        let place = |(index, seat): &(usize, &Seat)| {
            let other_key = seat.rank == current.rank && seat.target != current.target;
            (seat.calls, !other_key, seat.aside, *index)
        };
        let (index, seat) = usable.min_by_key(place)?;
        Some((index, *seat))
    }

    /// A hedge at this target failed too.
    pub fn hedge_failed(&mut self, target: usize, fault: &UpstreamFault) {
        let again = class(fault).action().again;
        for seat in &mut self.seats {
            seat.dead |= seat.target == target && !again;
        }
    }

    /// Takes out the seats that this class of failure makes pointless; false if that is all of them.
    fn rule_out(&mut self, route: &Route, class: Class, current: Seat) -> bool {
        let action = class.action();
        let window = |target: usize| route.targets.get(target).and_then(|one| one.context);
        let too_small = |target: usize| match (window(target), window(current.target)) {
            (Some(other), Some(failed)) => other <= failed,
            // Where a window is not known, a quick refusal tells.
            _ => false,
        };
        for seat in &mut self.seats {
            if seat.rank == current.rank {
                seat.dead |= seat.target != current.target && !action.other_key;
                continue;
            }
            seat.dead |= match action.others {
                Others::None => true,
                Others::All => false,
                Others::Larger => too_small(seat.target),
                Others::IfAllowed => !route.manner.on_content_filter,
            };
        }
        self.seats.iter().any(|seat| !seat.dead)
    }
}

fn candidate(index: usize, target: &Target, (view, weighing): (&View, &Weighing)) -> Candidate {
    let queue = &target.standing.queue;
    Candidate {
        waits: target.slots.is_some() && !queue.is_free(weighing.class),
        index,
        rank: target.rank,
        weight: target.weight * view.warmth,
        in_flight: view.in_flight,
        ttft_ms: match weighing.delivery {
            Delivery::Stream { .. } => view.ttft_ms,
            Delivery::Whole => view.whole_ms,
        },
        error_rate: view.error_rate,
        price: target.price,
        seat: target.seat,
    }
}

/// No target takes a request now.
fn at_its_limits(wait: Duration) -> ApiError {
    let facets = UpstreamError {
        status: 429,
        kind: Some("rate_limit_error".to_owned()),
        code: Some("rate_limit_exceeded".to_owned()),
        param: None,
    };
    let message = "the provider's limit is reached; it has asked to be left alone for a while";
    UpstreamFault::upstream(facets, message.to_owned(), Some(wait)).error
}

#[cfg(test)]
mod tests;
