//! Which target is called next, and after which wait.

use aplomb_core::error::ErrorCode;
use aplomb_latency::backoff;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use std::time::Duration;

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Call this target after this wait.
    Call { target: usize, wait: Duration },
    /// The failure is the answer.
    GiveUp,
}

/// What a failure says about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The same target may do it later.
    Passing,
    /// The same target will not do it; another may.
    Dead,
    /// No target will do it.
    Final,
}

fn judge(fault: &UpstreamFault) -> Verdict {
    match fault.kind {
        FaultKind::Connect
        | FaultKind::Reset
        | FaultKind::Cut
        | FaultKind::Malformed
        | FaultKind::TooLarge
        | FaultKind::FirstToken
        | FaultKind::Idle
        | FaultKind::Server
        | FaultKind::RateLimited => Verdict::Passing,
        FaultKind::Quota | FaultKind::Credentials | FaultKind::NotFound => Verdict::Dead,
        // The request can't be said in this target's dialect; another target may speak the client's own.
        FaultKind::Request if fault.error.code == ErrorCode::InvalidRequest => Verdict::Dead,
        FaultKind::Request | FaultKind::Total => Verdict::Final,
    }
}

/// The state of one request's way through its targets.
#[derive(Debug)]
pub struct Plan {
    dead: Vec<bool>,
    at: usize,
    calls: u32,
    attempts: u32,
    /// Waits so far; each round over all targets waits once.
    rounds: u32,
}

impl Plan {
    /// For a route with this many targets and upstream calls.
    pub fn new(targets: usize, attempts: u32) -> Self {
        Plan {
            dead: vec![false; targets],
            at: 0,
            calls: 0,
            attempts,
            rounds: 0,
        }
    }

    /// A target that may not be called at all.
    pub fn refuse(&mut self, target: usize) {
        if let Some(dead) = self.dead.get_mut(target) {
            *dead = true;
        }
    }

    /// The first target to be called.
    pub fn first(&mut self) -> Option<usize> {
        self.at = self.dead.iter().position(|dead| !dead)?;
        Some(self.at)
    }

    /// Notes a failure of the target that was called last. `left`: time that remains; `random`: in `0.0..1.0`.
    pub fn after(&mut self, fault: &UpstreamFault, left: Duration, random: f64) -> Next {
        self.calls += 1;
        let verdict = judge(fault);
        if verdict == Verdict::Final || self.calls >= self.attempts {
            return Next::GiveUp;
        }
        if verdict == Verdict::Dead
            && let Some(dead) = self.dead.get_mut(self.at)
        {
            *dead = true;
        }
        let count = self.dead.len();
        let order = (self.at + 1..count).chain(0..count.min(self.at + 1));
        let Some(target) = order
            .into_iter()
            .find(|target| self.dead.get(*target) == Some(&false))
        else {
            return Next::GiveUp;
        };
        let fresh = target > self.at;
        self.at = target;
        if fresh {
            return Next::Call {
                target,
                wait: Duration::ZERO,
            };
        }
        self.rounds += 1;
        match backoff::wait(self.rounds, fault.error.retry_after, left, random) {
            Some(wait) => Next::Call { target, wait },
            None => Next::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn fault(kind: FaultKind) -> UpstreamFault {
        UpstreamFault::new(kind, "x")
    }

    fn target(next: Next) -> Option<usize> {
        match next {
            Next::Call { target, .. } => Some(target),
            Next::GiveUp => None,
        }
    }

    #[test]
    fn other_targets_come_first_and_at_once() {
        let mut plan = Plan::new(2, 3);
        assert_eq!(
            plan.after(&fault(FaultKind::Server), LONG, 1.0),
            Next::Call {
                target: 1,
                wait: Duration::ZERO
            }
        );
        assert_eq!(
            plan.after(&fault(FaultKind::Server), LONG, 1.0),
            Next::Call {
                target: 0,
                wait: Duration::from_millis(250)
            }
        );
        assert_eq!(
            plan.after(&fault(FaultKind::Server), LONG, 1.0),
            Next::GiveUp
        );
    }

    #[test]
    fn a_target_that_refuses_is_not_asked_again() {
        let mut plan = Plan::new(1, 3);
        assert_eq!(
            plan.after(&fault(FaultKind::Quota), LONG, 0.5),
            Next::GiveUp
        );
        let mut plan = Plan::new(2, 5);
        assert_eq!(
            target(plan.after(&fault(FaultKind::Credentials), LONG, 0.5)),
            Some(1)
        );
        assert_eq!(
            target(plan.after(&fault(FaultKind::Reset), LONG, 0.5)),
            Some(1)
        );
    }

    #[test]
    fn a_wrong_request_is_wrong_everywhere() {
        let mut upstream = fault(FaultKind::Request);
        upstream.error.code = ErrorCode::Upstream;
        assert_eq!(Plan::new(3, 5).after(&upstream, LONG, 0.5), Next::GiveUp);
        let mut ours = fault(FaultKind::Request);
        ours.error.code = ErrorCode::InvalidRequest;
        assert_eq!(target(Plan::new(3, 5).after(&ours, LONG, 0.5)), Some(1));
    }

    #[test]
    fn no_wait_goes_beyond_the_deadline() {
        let mut fault = fault(FaultKind::RateLimited);
        fault.error.retry_after = Some(Duration::from_secs(5));
        assert_eq!(
            Plan::new(1, 3).after(&fault, Duration::from_secs(2), 0.5),
            Next::GiveUp
        );
        assert_eq!(target(Plan::new(1, 3).after(&fault, LONG, 0.5)), Some(0));
    }
}
