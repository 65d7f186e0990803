//! What speaks against a request: users that came in a burst, and what else is known of it.

use crate::settle::Exchange;
use crate::state::State;
use aplomb_config::protect::{PanicConfig, ProtectConfig};
use aplomb_core::caller::Caller;
use aplomb_limits::trust::Level;
use aplomb_observe::record::RiskFacts;
use aplomb_protect::accounts::Burst;
use aplomb_protect::risk::{Signals, weigh};

/// Somebody who came so long ago is no stranger.
const LONG_MS: u64 = 30 * 86_400_000;

/// What the file says of linked users and of risk.
pub(crate) struct Risks {
    /// So long nobody is linked; none where nobody ever is.
    learn_ms: Option<u64>,
    allow: PanicConfig,
    quarantine: Option<u8>,
}

impl Risks {
    pub(super) fn of(config: &ProtectConfig) -> Self {
        let accounts = &config.accounts;
        let learn = u64::try_from(accounts.learn.0.as_millis()).unwrap_or(u64::MAX);
        Risks {
            learn_ms: accounts.enabled.then_some(learn),
            allow: accounts.allow.clone(),
            quarantine: config.risk.quarantine,
        }
    }

    /// What is asked of a caller's request.
    pub(crate) fn watch(&self, caller: &Caller) -> Suspicion {
        let has = |list: &[String], name: &str| list.iter().any(|one| one == name);
        let allowed = has(&self.allow.keys, &caller.key_id)
            || has(&self.allow.tenants, &caller.tenant)
            || caller.manner.exempt;
        Suspicion {
            learn_ms: self.learn_ms.filter(|_| !allowed),
            quarantine: self.quarantine,
            client: caller.manner.client,
            set: false,
            signals: Signals {
                strikes: caller.manner.strikes,
                no_language: caller.manner.no_language,
                ..Signals::default()
            },
        }
    }
}

/// What is known of a request that may speak against it.
#[derive(Clone, Copy)]
pub(crate) struct Suspicion {
    learn_ms: Option<u64>,
    quarantine: Option<u8>,
    client: u128,
    /// The operator has said how far its user is trusted: that holds.
    set: bool,
    signals: Signals,
}

impl State {
    /// Name of a kind of client, of the parts that tell it.
    pub fn client_key<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> u128 {
        self.limit_keys.key("client", parts).0
    }

    fn burst(&self, tenant: &str, what: &str, burst: Burst) {
        let subject = format!(
            "{tenant}: {} new users in an hour {what}, usual {:.1}",
            burst.new, burst.usual
        );
        self.decided("accounts.linked", subject);
        tracing::warn!(
            tenant,
            new = burst.new,
            "new users come in a burst and are linked; `aplomb audit` shows from where"
        );
    }
}

impl Exchange {
    /// Its user is looked at before anything else is known of it: whether it is new, and whether it came in a burst.
    pub(crate) fn meet(&mut self) {
        let (signals, set) = self.met();
        self.suspicion.signals = signals;
        self.suspicion.set = set;
    }

    fn met(&self) -> (Signals, bool) {
        let (state, record, suspicion) = (&self.state, self.record(), &self.suspicion);
        let mut signals = suspicion.signals;
        let Some(user) = &record.user else {
            return (signals, false);
        };
        let now_ms = state.clock.now_ms();
        let met = state.meet(&record.tenant, user, now_ms);
        signals.known_long = now_ms.saturating_sub(met.first_ms) >= LONG_MS;
        let learn_ms = suspicion.learn_ms.filter(|_| !signals.known_long);
        let (Some(learn_ms), Some(subnet)) = (learn_ms, record.subnet) else {
            return (signals, met.set);
        };
        let (tenant, subnet) = (&*record.tenant, subnet.to_string());
        let client = format!("{:032x}", suspicion.client);
        let of = |what, value: &str| state.limit_keys.key(what, [tenant, value]).0;
        let of_subnet = of("accounts subnet", &subnet);
        let of_client = of("accounts client", &client);
        if met.new {
            let metrics = &state.metrics.protect;
            if let Some(burst) = state.accounts.came(of_subnet, now_ms, learn_ms) {
                metrics.bursts_subnet.add(1);
                state.burst(tenant, &format!("from {subnet}"), burst);
            }
            if let Some(burst) = state.accounts.came(of_client, now_ms, learn_ms) {
                metrics.bursts_client.add(1);
                let short = client.get(..16).unwrap_or_default();
                state.burst(tenant, &format!("with the kind of client {short}"), burst);
            }
        }
        let linked = |group| state.accounts.are_linked(group, met.first_ms, now_ms);
        signals.linked_subnet = linked(of_subnet);
        signals.linked_client = linked(of_client);
        (signals, met.set)
    }

    /// Adds up what speaks against it, now that it is known how far its user is trusted. Says whether its user counts as in quarantine
    /// that would not by itself.
    pub(crate) fn weigh(&mut self, level: Option<Level>) -> bool {
        let suspicion = &mut self.suspicion;
        suspicion.signals.quarantine = level == Some(Level::Quarantine);
        suspicion.signals.spending = self
            .spend
            .as_ref()
            .is_some_and(|watched| self.state.breakers.holds(watched.names()));
        let signals = suspicion.signals;
        let risk = weigh(&signals);
        let linked = !suspicion.set && (signals.linked_subnet || signals.linked_client);
        let quarantine = suspicion.quarantine.filter(|_| !suspicion.set);
        let risky = quarantine.is_some_and(|from| risk.score >= from);
        let metrics = &self.state.metrics.protect;
        if linked {
            metrics.linked.add(1);
        }
        if risky {
            metrics.risky.add(1);
        }
        self.note_risk(RiskFacts {
            score: risk.score,
            parts: risk.parts,
            linked,
            quarantined: linked || risky,
        });
        linked || risky
    }
}
