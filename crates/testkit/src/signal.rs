//! A latch between threads.

use crate::PATIENCE;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Set once, seen by all who wait. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    /// One that is not set.
    pub fn new() -> Self {
        Signal::default()
    }

    /// Sets it.
    pub fn set(&self) {
        let (flag, changed) = &*self.0;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at most `bound`. True if it is set.
    pub fn wait_at_most(&self, bound: Duration) -> bool {
        let (flag, changed) = &*self.0;
        let held = flag.lock().unwrap_or_else(PoisonError::into_inner);
        let (held, _) = changed
            .wait_timeout_while(held, bound, |set| !*set)
            .unwrap_or_else(PoisonError::into_inner);
        *held
    }

    /// Waits for it; fails with `what` when [`PATIENCE`] is over.
    #[track_caller]
    pub fn wait(&self, what: &str) {
        assert!(self.wait_at_most(PATIENCE), "waited in vain for {what}");
    }
}
