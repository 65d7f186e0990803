//! A vector that is on its way.

use aplomb_core::embed::{Embed, EmbedFault, Vector};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

type Told = Result<Arc<Vector>, EmbedFault>;

#[derive(Default)]
struct Inner {
    told: Option<Told>,
    then: Option<Box<dyn FnOnce(Told) + Send>>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    come: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A vector that may be waited for, and that may come later than anybody waits.
pub(crate) struct Pending(Arc<Shared>);

impl Pending {
    /// Asks for the vector of a text.
    pub(crate) fn ask(embedder: &dyn Embed, text: String) -> Self {
        let shared = Arc::new(Shared::default());
        let told = shared.clone();
        embedder.embed(
            text,
            Box::new(move |result| {
                let result = result.map(Arc::new);
                let then = {
                    let mut inner = told.lock();
                    inner.told = Some(result.clone());
                    inner.then.take()
                };
                told.come.notify_waiters();
                if let Some(then) = then {
                    then(result);
                }
            }),
        );
        Pending(shared)
    }

    /// Waits for it, no longer than `limit`; `None` if it has not come by then.
    pub(crate) async fn wait(&self, limit: Duration) -> Option<Told> {
        let come = async {
            loop {
                let notified = self.0.come.notified();
                tokio::pin!(notified);
                notified.as_mut().enable();
                if let Some(told) = self.0.lock().told.clone() {
                    return told;
                }
                notified.await;
            }
        };
        tokio::time::timeout(limit, come).await.ok()
    }

    /// Hands it on, now or when it comes.
    pub(crate) fn then(self, then: impl FnOnce(Told) + Send + 'static) {
        let told = {
            let mut inner = self.0.lock();
            match inner.told.clone() {
                Some(told) => told,
                None => {
                    inner.then = Some(Box::new(then));
                    return;
                }
            }
        };
        then(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aplomb_core::embed::Then;

    /// Keeps what is to be told.
    #[derive(Default)]
    struct Later(Mutex<Option<Then>>);

    impl Embed for Later {
        fn space(&self) -> &'static str {
            "test"
        }

        fn dims(&self) -> usize {
            1
        }

        fn embed(&self, _text: String, then: Then) {
            *self.0.lock().unwrap() = Some(then);
        }
    }

    impl Later {
        fn tell(&self) {
            let vector = Vector {
                values: vec![1.0],
                cut: false,
            };
            (self.0.lock().unwrap().take().unwrap())(Ok(vector));
        }
    }

    #[tokio::test]
    async fn one_that_is_late_is_still_handed_on_once() {
        let later = Later::default();
        let pending = Pending::ask(&later, "x".into());
        assert!(pending.wait(Duration::ZERO).await.is_none());
        let (sender, told) = std::sync::mpsc::sync_channel(2);
        pending.then(move |told| sender.send(told.is_ok()).unwrap());
        assert!(told.try_recv().is_err());
        later.tell();
        assert_eq!(told.iter().collect::<Vec<_>>(), [true]);
    }

    #[tokio::test]
    async fn one_that_is_there_is_not_waited_for() {
        let later = Later::default();
        let pending = Pending::ask(&later, "x".into());
        later.tell();
        assert!(pending.wait(Duration::ZERO).await.unwrap().is_ok());
        let (sender, told) = std::sync::mpsc::sync_channel(1);
        pending.then(move |told| sender.send(told.is_ok()).unwrap());
        assert!(told.recv().unwrap());
    }
}
