//! What the gateway itself decided to protect somebody, on its way to the audit trail.
//!
//! Nobody waits for it: at most [`QUEUE`] decisions are on their way; further ones are counted and left out.

use crate::state::State;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Most decisions on their way. Chosen: those of a second of the worst attack; the trail takes some hundred a second.
const QUEUE: usize = 1024;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What: `ban.begin`, ...
    pub action: &'static str,
    /// On whom, and why.
    pub subject: String,
}

/// Decisions on their way.
pub struct Decisions {
    to: Sender<Decision>,
    from: Mutex<Option<Receiver<Decision>>>,
}

impl Default for Decisions {
    fn default() -> Self {
        let (to, from) = channel(QUEUE);
        Decisions {
            to,
            from: Mutex::new(Some(from)),
        }
    }
}

impl Decisions {
    /// Where they come out; once a process.
    pub fn take(&self) -> Option<Receiver<Decision>> {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        from.take()
    }
}

impl State {
    /// Notes a decision in the audit trail, soon.
    pub fn decided(&self, action: &'static str, subject: impl Into<String>) {
        let decision = Decision {
            at_ms: self.clock.now_ms(),
            action,
            subject: subject.into(),
        };
        if self.decisions.to.try_send(decision).is_err() {
            self.metrics.protect.unnoted.add(1);
        }
    }
}
