//! Who is let in before anybody knows who is calling: networks of the file, compiled.

pub mod decisions;
mod risk;
pub mod sites;
mod spend;

pub(crate) use risk::{Risks, Suspicion};
pub use spend::Spend;
pub(crate) use spend::Watched;

use crate::policy::Sources;
use crate::state::State;
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::file::ConfigFile;
use aplomb_config::protect::{ForwardedConfig, NetworkSource, ProtectConfig, RateConfig};
use aplomb_core::network::{Network, Networks};
use aplomb_protect::address::{self, Header, Place};
use aplomb_protect::watch::{Guessing, Rate, Rules};
use std::net::IpAddr;
use std::sync::atomic::Ordering;

/// Longest list of networks. Chosen: all networks of the world's hosters fit several times.
const LIST_BYTES_MAX: usize = 16 << 20;

/// Networks of the file.
pub struct Screen {
    trusted: Networks,
    /// The header that trusted proxies write.
    pub header: Header,
    allow: Networks,
    deny: Networks,
    only: Networks,
    /// Breakers of spending, where the file has them.
    pub spend: Option<Spend>,
    /// What is made of what speaks against a request.
    pub(crate) risks: Risks,
    /// Sites whose pages call with sessions.
    pub sites: sites::Sites,
}

/// What the lists say of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// It is let in and not counted.
    Exempt,
    /// It is kept out.
    Denied,
    /// They say nothing.
    Unlisted,
}

impl Screen {
    /// Where a request comes from. `values` are those of [`Screen::header`].
    pub fn place<'a>(
        &self,
        peer: IpAddr,
        values: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Place {
        address::place(peer, &self.trusted, self.header, values)
    }

    /// What the lists say of a place.
    pub fn listed(&self, place: &Place) -> Listed {
        let is_in = |networks: &Networks| networks.contains(place.address);
        if is_in(&self.allow) {
            return Listed::Exempt;
        }
        if is_in(&self.deny) || !self.only.is_empty() && !is_in(&self.only) {
            return Listed::Denied;
        }
        if place.is_this_machine() {
            return Listed::Exempt;
        }
        Listed::Unlisted
    }
}

/// Compiles the networks of a file.
pub(crate) fn compile(
    file: &ConfigFile,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Screen {
    let mut of = |at: &str, list: &[NetworkSource]| {
        let mut networks = Networks::default();
        for (index, source) in list.iter().enumerate() {
            if let Err(message) = add(source, sources, &mut networks) {
                errors.push(Diagnostic::error(format!("{at}[{index}]"), message));
            }
        }
        networks
    };
    let lists = &file.protect.networks;
    Screen {
        trusted: of("server.trusted_proxies", &file.server.trusted_proxies),
        allow: of("protect.networks.allow", &lists.allow),
        deny: of("protect.networks.deny", &lists.deny),
        only: of("protect.networks.only", &lists.only),
        spend: Spend::of(&file.protect.spend),
        risks: Risks::of(&file.protect),
        sites: sites::Sites::of(file),
        header: match file.server.forwarded {
            ForwardedConfig::XForwardedFor => Header::XForwardedFor,
            ForwardedConfig::Forwarded => Header::Forwarded,
        },
    }
}

fn add(
    source: &NetworkSource,
    sources: &Sources<'_>,
    networks: &mut Networks,
) -> Result<(), String> {
    let path = match source {
        NetworkSource::Network(network) => {
            networks.add(*network);
            return Ok(());
        }
        NetworkSource::File(path) => path,
    };
    let text = sources
        .env
        .file(&sources.base_dir.join(path))
        .map_err(|error| format!("the list can't be read: {}", error.kind()))?;
    if text.len() > LIST_BYTES_MAX {
        return Err("the list is longer than 16 MiB".to_owned());
    }
    for (number, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        if line.trim().is_empty() {
            continue;
        }
        let network: Network = line
            .parse()
            .map_err(|error| format!("line {} of the list: {error}", number + 1))?;
        networks.add(network);
    }
    Ok(())
}

/// What is counted, and from when on it is too much.
fn rules(config: &ProtectConfig) -> Rules {
    let rate = |rate: RateConfig| Rate {
        count: rate.count.into(),
        window: rate.window,
    };
    let guessing = &config.guessing;
    Rules {
        address: config.arrivals.per_address.map(rate),
        subnet: config.arrivals.per_subnet.map(rate),
        guessing: guessing.enabled.then(|| Guessing {
            window: guessing.window.0,
            slow_after: guessing.slow_after.into(),
            delay: guessing.delay.0,
            ban_address_after: guessing.ban_address_after.into(),
            ban_subnet_after: guessing.ban_subnet_after.into(),
            ban: guessing.ban.0,
        }),
    }
}

impl State {
    /// From now on what a file says of strikes and arrivals holds.
    pub(crate) fn watch_by(&self, config: &ProtectConfig) {
        self.watch.keep_to(rules(config));
    }

    /// Brings the metrics of bans up to date.
    pub fn refresh_bans(&self) {
        let bans = self.watch.bans(self.clock.now_ms()).len();
        let bans = u64::try_from(bans).unwrap_or(u64::MAX);
        self.metrics.protect.banned_now.set(bans);
        let panic = self.panic.load(Ordering::Acquire);
        self.metrics.protect.panic.set(u64::from(panic));
        let [throttled, open, half_open] = self.breakers.standing();
        self.metrics.protect.throttled_now.set(throttled);
        self.metrics.protect.open_now.set(open);
        self.metrics.protect.half_open_now.set(half_open);
    }
}
