//! What the gateway has learned and keeps over a reload: connections, metrics, the door to the records.

use crate::cached::Caches;
use crate::embedder::Local;
use crate::limits::trust::Trust;
use crate::screen::decisions::Decisions;
use crate::shared::Shares;
use aplomb_control::snapshot::KeySnapshot;
use aplomb_core::clock::Clock;
use aplomb_core::id::RequestId;
use aplomb_engines::http::HttpClient;
use aplomb_engines::redis::Redis;
use aplomb_engines::tasks::Tasks;
use aplomb_latency::hints::Hints;
use aplomb_latency::standing::Standings;
use aplomb_limits::estimate::Outputs;
use aplomb_limits::hammer::Hammer;
use aplomb_limits::key::Keyer;
use aplomb_limits::room::Room as LimitsRoom;
use aplomb_limits::shared::Shared as SharedLimits;
use aplomb_limits::store::{Ledger, Used};
use aplomb_observe::alerts::Board;
use aplomb_observe::evals::online::{EvalQueue, Room};
use aplomb_observe::metrics::Metrics;
use aplomb_observe::otel::Otel;
use aplomb_observe::writer::RecordWriter;
use aplomb_protect::accounts::Accounts;
use aplomb_protect::challenge::Challenger;
use aplomb_protect::session::Sessions;
use aplomb_protect::siege::Siege;
use aplomb_protect::spend::Breakers;
use aplomb_protect::watch::Watch;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Learned state, shared by all requests.
pub struct State {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Records; none in tests that do not look at them.
    pub records: Option<RecordWriter>,
    /// How the alert rules stand.
    pub alerts: Board,
    /// Export to OpenTelemetry.
    pub otel: Arc<Otel>,
    /// Keys made with `aplomb keys`, as last read from the control store.
    pub keys: ArcSwap<KeySnapshot>,
    /// Secret of the installation that keys placeholders.
    pub placeholder_key: Arc<[u8]>,
    /// What was learned of targets, their keys and providers.
    pub standings: Arc<Standings>,
    /// Answers that wait to be judged.
    pub evals: EvalQueue,
    /// Answers that may be given again.
    pub caches: Caches,
    /// Calls that several share.
    pub shares: Shares,
    /// The model inside this process that embeds texts; it starts where a file needs it.
    pub(crate) embedder: OnceLock<Local>,
    /// What runs besides requests; shutdown waits for it.
    pub tasks: Tasks,
    /// What of the limits is used.
    pub limits: Arc<LimitsRoom>,
    /// Counts them together with other nodes; none where this one is alone.
    pub(crate) limits_shared: Option<Arc<SharedLimits>>,
    /// Keeps it over a restart; none in tests that do not restart.
    pub ledger: Option<Ledger>,
    /// What nodes tell one another of targets; none where there is one node.
    hints: OnceLock<Arc<Hints>>,
    /// What is known of users.
    pub trust: Trust,
    /// Who goes on asking after refusals.
    pub(crate) hammer: Hammer,
    /// How long answers become.
    pub(crate) outputs: Outputs,
    /// Makes the names of their counters.
    pub(crate) limit_keys: Keyer,
    /// What was seen of addresses.
    pub watch: Watch,
    /// What tenants and keys spend.
    pub breakers: Breakers,
    /// New users that have something in common.
    pub(crate) accounts: Accounts,
    /// Challenges of browsers.
    pub challenger: Challenger,
    /// Their session tokens.
    pub sessions: Sessions,
    /// Sessions made before these times are over, by site, as last read from the control store.
    pub sessions_from: ArcSwap<HashMap<String, u64>>,
    /// How many sessions are asked for.
    pub siege: Siege,
    /// What the gateway itself decided, on its way to the audit trail.
    pub decisions: Decisions,
    /// Whether the panic switch is on, as last read from the control store.
    pub panic: AtomicBool,
    /// When the process began, by both clocks.
    pub(crate) began: (u64, Instant),
    clients: Mutex<HashMap<(String, Duration), HttpClient>>,
}

impl State {
    /// State that has learned nothing yet.
    pub fn new(
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        records: Option<RecordWriter>,
    ) -> Self {
        let otel = Arc::new(Otel::new(metrics.clone(), clock.clone()));
        let began = (clock.now_ms(), clock.instant());
        let mut own = [0; 32];
        fastrand::fill(&mut own);
        State {
            began,
            limits: Arc::default(),
            watch: Watch::default(),
            breakers: Breakers::default(),
            accounts: Accounts::default(),
            challenger: Challenger::new(&own),
            sessions: Sessions::new(&own),
            sessions_from: ArcSwap::default(),
            siege: Siege::default(),
            decisions: Decisions::default(),
            panic: AtomicBool::new(false),
            limits_shared: None,
            ledger: None,
            hints: OnceLock::new(),
            trust: Trust::default(),
            hammer: Hammer::default(),
            outputs: Outputs::default(),
            limit_keys: Keyer::new(fastrand::u128(..).to_le_bytes()),
            clock,
            metrics,
            otel,
            records,
            alerts: Board::default(),
            keys: ArcSwap::default(),
            placeholder_key: Arc::from(&b"unset"[..]),
            standings: Arc::default(),
            evals: EvalQueue::default(),
            caches: Caches::default(),
            shares: Shares::default(),
            embedder: OnceLock::new(),
            tasks: Tasks::default(),
            clients: Mutex::default(),
        }
    }

    /// With the secret that keys placeholders; the same on every node.
    #[must_use]
    pub fn with_placeholder_key(mut self, key: &[u8]) -> Self {
        self.placeholder_key = key.into();
        self
    }

    /// With the secret that signs challenges and sessions; the same on every node.
    #[must_use]
    pub fn with_session_key(mut self, key: &[u8; 32]) -> Self {
        self.challenger = Challenger::new(key);
        self.sessions = Sessions::new(key);
        self
    }

    /// With what limits have used before, and a ledger for what they will use.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger, before: Vec<Used>) -> Self {
        let room = LimitsRoom::default();
        self.limits = Arc::new(room.with_journal(ledger.journal.clone(), before));
        self.ledger = Some(ledger);
        self
    }

    /// With what is known of users.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// With the secret that names the counters of limits; the same on every node and after a restart.
    #[must_use]
    pub fn with_limits_key(mut self, key: &[u8; 32]) -> Self {
        if let Some(half) = key.first_chunk::<16>() {
            self.limit_keys = Keyer::new(*half);
        }
        self
    }

    /// Over a Redis that other nodes use too. To be called after the secrets are set.
    #[must_use]
    pub fn shared_over(self, redis: Redis) -> Self {
        let now_ms = self.clock.now_ms();
        let secret = self.placeholder_key.clone();
        let node = RequestId::new(now_ms).to_string();
        let (hints, outbox) = Hints::new(redis.clone(), &node);
        self.standings.tell_others(outbox);
        // A second one would be a mistake of the program, and changes nothing.
        let _ = self.hints.set(Arc::new(hints));
        self.caches.share_over(redis, secret, now_ms);
        self
    }

    /// Tells other nodes what is learned of targets, and hears what they have learned, until [`State::hear_no_more`]. Returns at once
    /// where there is one node.
    pub async fn hear_others(self: Arc<Self>) {
        if let Some(hints) = self.hints.get() {
            hints.run(&self.standings, || self.clock.instant()).await;
        }
    }

    /// Ends [`State::hear_others`].
    pub fn hear_no_more(&self) {
        if let Some(hints) = self.hints.get() {
            hints.stop();
        }
    }

    /// Hints that others were told, and that others have told; none where there is one node.
    pub fn hints(&self) -> Option<(u64, u64)> {
        self.hints.get().map(|hints| hints.counts())
    }

    /// The connections of a provider, by its stable name.
    pub fn client(&self, provider: &str, connect_timeout: Duration) -> HttpClient {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (provider.to_owned(), connect_timeout);
        clients
            .entry(key)
            .or_insert_with(|| HttpClient::new(connect_timeout))
            .clone()
    }
}

impl Room for State {
    fn queue(&self) -> &EvalQueue {
        &self.evals
    }

    fn records(&self) -> Option<&RecordWriter> {
        self.records.as_ref()
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}
