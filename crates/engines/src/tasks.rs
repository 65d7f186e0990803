//! Tasks that shutdown waits for.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    idle: Notify,
}

/// Spawner that counts what it spawned.
#[derive(Clone, Default)]
pub struct Tasks(Arc<Shared>);

struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Tasks {
    /// Runs a future to its end; [`Tasks::wait`] waits for it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the tracked spawner that the ban points to"
    )]
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.running.fetch_add(1, Ordering::AcqRel);
        let running = Running(self.0.clone());
        tokio::spawn(async move {
            let _running = running;
            future.await;
        });
    }

    /// How many tasks run.
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Acquire)
    }

    /// Waits until none runs, at most `limit`. False if some still run then.
    pub async fn wait(&self, limit: Duration) -> bool {
        let idle = async {
            loop {
                let notified = self.0.idle.notified();
                if self.running() == 0 {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(limit, idle).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_what_was_spawned() {
        let tasks = Tasks::default();
        tasks.spawn(tokio::time::sleep(Duration::from_secs(5)));
        assert!(!tasks.wait(Duration::from_secs(1)).await);
        assert!(tasks.wait(Duration::from_secs(10)).await);
        assert_eq!(tasks.running(), 0);
    }
}
