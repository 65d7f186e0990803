//! Sites whose pages call with sessions, compiled.

use crate::state::State;
use aplomb_config::file::ConfigFile;
use aplomb_config::protect::{ChallengeConfig, ChallengeModeConfig};
use aplomb_control::snapshot::fits;
use aplomb_core::caller::site_key_id;
use aplomb_protect::challenge::Work;
use aplomb_protect::session::Proven;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// A site.
pub struct Site {
    /// Its name, which is its site key.
    pub name: Arc<str>,
    /// Tenant that pays.
    pub tenant: Arc<str>,
    /// What stands for an API key in records and limits.
    pub key_id: Arc<str>,
    origins: Vec<String>,
    routes: Vec<String>,
    tenant_routes: Vec<String>,
    mode: ChallengeModeConfig,
}

impl Site {
    /// Whether its sessions may use a route.
    pub fn may_use(&self, route: &str) -> bool {
        let allowed = |rules: &[String]| rules.iter().any(|rule| fits(rule, route));
        allowed(&self.routes) && (self.tenant_routes.is_empty() || allowed(&self.tenant_routes))
    }

    /// Whether a page is one of its own.
    pub fn has_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|own| own == origin)
    }

    /// What has to be shown for a session that is asked for now, which counts.
    pub fn asks(&self, state: &State) -> Proven {
        match self.mode {
            ChallengeModeConfig::Never => Proven::Nothing,
            ChallengeModeConfig::Always | ChallengeModeConfig::Untrusted => Proven::Work,
            ChallengeModeConfig::OnAttack => {
                let stance = state.siege.asked(&self.name, state.clock.now_ms());
                if stance.changed && stance.armed {
                    tracing::warn!(site = %self.name, "far more sessions are asked for than usual: pages are challenged");
                }
                if stance.changed {
                    let action = match stance.armed {
                        true => "challenge.arm",
                        false => "challenge.disarm",
                    };
                    state.decided(action, &*self.name);
                }
                self.needs(state)
            }
        }
    }

    /// What has to have been shown for a session that is used now.
    pub fn needs(&self, state: &State) -> Proven {
        let armed = || state.siege.is_armed(&self.name, state.clock.now_ms());
        match self.mode {
            ChallengeModeConfig::Never => Proven::Nothing,
            ChallengeModeConfig::OnAttack if !armed() => Proven::Nothing,
            ChallengeModeConfig::OnAttack
            | ChallengeModeConfig::Always
            | ChallengeModeConfig::Untrusted => Proven::Work,
        }
    }
}

/// All of a file.
pub struct Sites {
    by_name: HashMap<Arc<str>, Arc<Site>>,
    origins: HashSet<String>,
    /// How hard their challenges are.
    pub work: Work,
    /// How long a session is.
    pub session: Duration,
}

impl Sites {
    /// Of a file.
    pub(super) fn of(file: &ConfigFile) -> Self {
        let ChallengeConfig {
            mode,
            cost,
            tries,
            time,
            session,
            ..
        } = &file.protect.challenge;
        let site = |(name, config): (&String, &aplomb_config::protect::SiteConfig)| {
            let (tenant, paying) = file
                .tenants
                .iter()
                .find(|(_, tenant)| tenant.sites.contains(name))?;
            let name: Arc<str> = name.as_str().into();
            let site = Site {
                tenant: tenant.as_str().into(),
                key_id: site_key_id(&name).into(),
                origins: config.origins.clone(),
                routes: config.routes.clone(),
                tenant_routes: paying.routes.clone(),
                mode: *mode,
                name: name.clone(),
            };
            Some((name, Arc::new(site)))
        };
        let sites = &file.protect.sites;
        Sites {
            by_name: sites.iter().filter_map(site).collect(),
            origins: sites
                .values()
                .flat_map(|site| site.origins.clone())
                .collect(),
            work: Work {
                cost: *cost,
                tries: *tries,
                time: time.0,
            },
            session: session.0,
        }
    }

    /// A site by its name.
    pub fn get(&self, name: &str) -> Option<&Arc<Site>> {
        self.by_name.get(name)
    }

    /// Origins of all pages.
    pub fn origins(&self) -> &HashSet<String> {
        &self.origins
    }
}
