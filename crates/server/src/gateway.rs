//! What all requests share.

use aplomb_config::diagnostic::Diagnostics;
use aplomb_control::key::KeyHasher;
use aplomb_control::snapshot::KeySnapshot;
use aplomb_control::store::{ControlError, ControlStore};
use aplomb_pipeline::policy::Policy;
use aplomb_pipeline::state::State;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How the last reload went.
#[derive(Debug, Clone, Default)]
pub struct ReloadStatus {
    /// When it was tried, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What was wrong; the policy before it stays.
    pub error: Option<String>,
}

/// The running gateway.
pub struct Gateway {
    policy: ArcSwap<Policy>,
    /// What was learned.
    pub state: Arc<State>,
    /// Hashes presented keys.
    pub hasher: KeyHasher,
    /// Keys and audit trail. Blocking.
    pub control: Arc<dyn ControlStore>,
    /// Text of the admin token.
    pub admin_token: String,
    keys_version: AtomicU64,
    draining: AtomicBool,
    /// Turns true when running answers must end.
    pub stop: watch::Sender<bool>,
    reload: Mutex<ReloadStatus>,
}

/// What decides who may come in.
pub struct AccessParts {
    /// Hashes presented keys.
    pub hasher: KeyHasher,
    /// Keys and audit trail.
    pub control: Arc<dyn ControlStore>,
    /// Text of the admin token.
    pub admin_token: String,
}

impl Gateway {
    /// A gateway with this policy. Keys are read from the store.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn new(
        policy: Policy,
        state: Arc<State>,
        access: AccessParts,
    ) -> Result<Self, ControlError> {
        let AccessParts {
            hasher,
            control,
            admin_token,
        } = access;
        state.otel.configure(policy.otlp.clone());
        let gateway = Gateway {
            policy: ArcSwap::from_pointee(policy),
            state,
            hasher,
            control,
            admin_token,
            keys_version: AtomicU64::new(u64::MAX),
            draining: AtomicBool::new(false),
            stop: watch::Sender::new(false),
            reload: Mutex::default(),
        };
        gateway.refresh_keys()?;
        Ok(gateway)
    }

    /// The policy for one request, kept to its last token.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Takes over a new policy, or keeps the old one and notes why. Keys in the file come with it.
    pub fn reloaded(&self, built: Result<Policy, Diagnostics>) {
        let mut status = ReloadStatus {
            at_ms: self.state.clock.now_ms(),
            error: None,
        };
        match built {
            Ok(policy) => {
                self.state.otel.configure(policy.otlp.clone());
                self.policy.store(Arc::new(policy));
                self.state.standings.keys_may_have_changed();
                self.keys_version.store(u64::MAX, Ordering::Release);
                if let Err(error) = self.refresh_keys() {
                    status.error = Some(error.to_string());
                }
                self.state.metrics.reload_ok.add(1);
                self.state.decided("config.reload", &*self.policy().version);
                tracing::info!("configuration reloaded");
            }
            Err(found) => {
                self.state.metrics.reload_error.add(1);
                let found = found.to_string();
                tracing::error!(errors = %found, "configuration is wrong, the one before stays in force");
                status.error = Some(found);
            }
        }
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// How the last reload went; none was tried if its time is 0.
    pub fn reload_status(&self) -> ReloadStatus {
        self.reload
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the keys again if any process changed them. Blocking.
    ///
    /// # Errors
    /// The store can't be read; the keys before stay.
    pub fn refresh_keys(&self) -> Result<(), ControlError> {
        let version = self.control.version()?;
        if self.keys_version.swap(version, Ordering::AcqRel) == version {
            return Ok(());
        }
        self.state
            .panic
            .store(self.control.panic()?, Ordering::Release);
        let ended = self.control.sessions_from()?;
        let ended = ended.into_iter().collect();
        self.state.sessions_from.store(Arc::new(ended));
        let mut snapshot = KeySnapshot::new(&self.control.list_keys(None)?);
        let policy = self.policy();
        for key in &policy.file_keys {
            snapshot.add_file_key(&key.tenant, key.hash);
        }
        for (tenant, config) in &policy.file.tenants {
            snapshot.bound_tenant(tenant, &config.routes);
        }
        self.state.keys.store(Arc::new(snapshot));
        Ok(())
    }

    /// From now on `/readyz` says no.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the gateway can serve.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Acquire) && !self.policy().providers.is_empty()
    }
}
