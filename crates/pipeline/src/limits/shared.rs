//! Limits that nodes share, as requests meet them.

use crate::settle::Exchange;
use crate::state::State;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_engines::redis::Redis;
use aplomb_limits::lobby::Place;
use aplomb_limits::room::{Ask, Reservation, Turn};
use aplomb_limits::shared::{Refusal, Settings, Shared};
use aplomb_limits::verdict::Standing;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Who waits for a place in flight looks again after so long: a node is not told when a place is free on another one.
const LOOK: Duration = Duration::from_millis(250);
/// After this time it is worth another try when money can't be counted.
const AGAIN: Duration = Duration::from_secs(1);

/// More of a limit of money, which an answer waits for.
pub(crate) type Growing = Pin<Box<dyn Future<Output = Result<Reservation, Refusal>> + Send>>;

/// Asks for more. Dropping it takes it back.
pub(crate) fn growing(state: Arc<State>, asks: Vec<Ask>) -> Growing {
    Box::pin(async move { state.reserve(&asks, Turn::New).await })
}

impl State {
    /// Counts limits together with other nodes. To be called after the secrets are set. `node` is unlike those of other nodes, `epoch`
    /// a file that survives a restart.
    #[must_use]
    pub fn limits_over(
        mut self,
        redis: Redis,
        (node, deadline): (String, Duration),
        epoch: PathBuf,
    ) -> Self {
        let installation = self.limit_keys.key("installation", []);
        let settings = Settings {
            installation: format!("{:016x}", installation.0 >> 64),
            node,
            deadline,
            epoch: Some(epoch),
        };
        self.limits_shared = Some(Arc::new(Shared::new(redis, settings)));
        self.metrics.limits_shared.get_or_init(Default::default);
        self
    }

    /// Keeps in touch with the server of shared limits until `stop` says so. Returns at once where there is none.
    pub async fn share_limits(self: Arc<Self>, stop: watch::Receiver<bool>) {
        if let Some(shared) = &self.limits_shared {
            shared.run(|| self.limits_now(), stop).await;
        }
    }

    /// Takes from all limits of a request, or from none: together with other nodes, or in this process.
    pub(super) async fn reserve(&self, asks: &[Ask], turn: Turn) -> Result<Reservation, Refusal> {
        let now = self.limits_now();
        match &self.limits_shared {
            Some(shared) if !asks.is_empty() => {
                shared.reserve(&self.limits, asks, (turn, now)).await
            }
            _ => {
                let own = self.limits.reserve(asks, turn, now);
                own.map_err(|broken| Refusal::Over {
                    broken,
                    alone: false,
                })
            }
        }
    }

    /// How limits stand for a caller, for all nodes together where they share them.
    pub(super) async fn limits_stand(&self, asks: &[Ask]) -> Vec<Standing> {
        let now = self.limits_now();
        match &self.limits_shared {
            Some(shared) => shared.standings(&self.limits, asks, now).await,
            None => self.limits.standings(asks, now),
        }
    }

    /// Whether limits are counted together with other nodes at this time; none where they never are.
    pub fn limits_are_shared(&self) -> Option<bool> {
        self.limits_shared.as_ref().map(|shared| shared.is_up())
    }

    /// Waits for a place in flight, at most until then. False where that time is over.
    pub(super) async fn place_may_be(&self, place: &Place, until: Instant) -> bool {
        let look = match self.limits_shared {
            Some(_) => until.min(Instant::now() + LOOK),
            None => until,
        };
        timeout_at(look, place.told()).await.is_ok() || look < until
    }

    pub(super) fn refresh_shared_limits(&self) {
        let (Some(shared), Some(metrics)) = (&self.limits_shared, self.metrics.limits_shared.get())
        else {
            return;
        };
        let counts = shared.counts();
        metrics.up.set(u64::from(shared.is_up()));
        metrics.nodes.set(shared.nodes());
        metrics.alone.set(counts.alone.load(Ordering::Relaxed));
        metrics.closed.set(counts.closed.load(Ordering::Relaxed));
        metrics.spared.set(counts.spared.load(Ordering::Relaxed));
        metrics.failed.set(counts.failed.load(Ordering::Relaxed));
        let owing = u64::try_from(shared.owing()).unwrap_or(u64::MAX);
        metrics.owing.set(owing);
        metrics.lost.set(shared.lost());
    }
}

impl Exchange {
    /// A limit can't be counted now that is closed then: nothing is spent that nobody would know of.
    pub(super) fn uncounted(&mut self) -> ApiError {
        self.decided_alone();
        let message = "a limit can't be counted now: the store that counts it is away";
        let mut error = ApiError::new(ErrorCode::LimitStoreUnavailable, message);
        error.retry_after = Some(AGAIN);
        error
    }
}
