//! The part of the file that keeps bad traffic out.

use crate::cors;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::file::{ConfigFile, TenantConfig};
use crate::limits::BudgetConfig;
use crate::limits::sense::has_trust;
use crate::scalar::{Span, Usd, text_scalar};
use aplomb_core::money::NanoUsd;
use aplomb_core::network::Network;
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What keeps bad traffic out before anybody knows who is calling.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProtectConfig {
    /// Networks that are let through or kept out.
    pub networks: NetworksConfig,
    /// How much may come from one place, with whatever keys.
    pub arrivals: ArrivalsConfig,
    /// What happens to those that try keys and paths.
    pub guessing: GuessingConfig,
    /// Who is served while the panic switch is on.
    pub panic: PanicConfig,
    /// What happens when a tenant or a key suddenly spends far more than usual.
    pub spend: SpendConfig,
    /// What those may spend together who are not trusted yet.
    pub cohort: CohortConfig,
    /// Whether new users who come from one place, or with one kind of client, in a burst are linked.
    pub accounts: AccountsConfig,
    /// What happens to requests by their risk.
    pub risk: RiskConfig,
    /// Web sites whose pages call without an API key, by name. A tenant pays for each (`tenants.<name>.sites`).
    pub sites: IndexMap<String, SiteConfig>,
    /// What their pages have to show for a session.
    pub challenge: ChallengeConfig,
}

/// What those may spend together who are not trusted yet.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CohortConfig {
    /// Most that all users of a tenant in quarantine spend together, such as `15 USD per 1h`: a limit like those under `limits`, called `protect-cohort-untrusted`. Needs levels of trust (`karma`, or a segment with `trust`). Default: no bound.
    pub untrusted: Option<BudgetConfig>,
}

/// New users of a tenant that come from one subnet, or with one kind of client, in a burst: who they are is one person's work. They count as in quarantine until the burst is over.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountsConfig {
    /// Whether they are linked. Needs levels of trust (`karma`, or a segment with `trust`), and requests whose address is the user's own: directly, or through `server.trusted_proxies`. Default `false`.
    pub enabled: bool,
    /// So long after the start nobody is linked: what is usual is not known yet. At most `7d`. Default `6h`.
    pub learn: Span,
    /// Whose users are not counted: those of keys and tenants that call from a server of their own.
    pub allow: PanicConfig,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        AccountsConfig {
            enabled: false,
            learn: Span(Duration::from_secs(6 * 3600)),
            allow: PanicConfig::default(),
        }
    }
}

/// What happens to requests by their risk, 0 to 100, which stands with its parts in the record.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RiskConfig {
    /// From this risk on a user counts as in quarantine, for this request. 1 to 100. Needs levels of trust (`karma`, or a segment with `trust`). Default: never.
    pub quarantine: Option<u8>,
}

/// A web site whose pages call with short-lived session tokens instead of an API key.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// Origins of its pages, as browsers send them: `https://shop.example`, with a port where it is not the scheme's own. They may read answers as those of `server.cors` may. At least one; `*` is refused.
    pub origins: Vec<String>,
    /// Routes that its sessions may use; a `*` stands for any text. At least one.
    pub routes: Vec<String>,
}

/// When a browser has to show something for its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeModeConfig {
    /// Never: who asks gets a session.
    Never,
    /// Only while far more sessions are asked for than usual. It arms and disarms itself, for each site.
    OnAttack,
    /// Where the user is not trusted. Not available yet.
    Untrusted,
    /// For each session.
    #[default]
    Always,
}

/// What a browser has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeKindConfig {
    /// That it has worked for a while, in the format of ALTCHA version 2. Nobody else is asked.
    #[default]
    ProofOfWork,
}

/// What pages of `protect.sites` have to show for a session.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChallengeConfig {
    /// When. Default `always`.
    pub mode: ChallengeModeConfig,
    /// What. Default `proof_of_work`.
    pub kind: ChallengeKindConfig,
    /// Rounds of PBKDF2 in one try; the gateway does as many for each challenge it makes. Default 1000; 100 to 10000.
    #[schemars(range(min = 100, max = 10_000))]
    pub cost: u32,
    /// Most tries for a solution; it takes at least half as many. Each ten solutions from one subnet in ten minutes double it, up to sixteen times. Default 10000; 2 to 1000000.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub tries: u32,
    /// How long a challenge may be solved. Default `5m`; 10 s to 15 minutes.
    pub time: Span,
    /// How long a session is. Default `10m`; 1 second to 15 minutes.
    pub session: Span,
}

impl Default for ChallengeConfig {
    fn default() -> Self {
        ChallengeConfig {
            mode: ChallengeModeConfig::Always,
            kind: ChallengeKindConfig::ProofOfWork,
            cost: 1000,
            tries: 10_000,
            time: Span(Duration::from_secs(300)),
            session: Span(Duration::from_secs(600)),
        }
    }
}

/// What happens when a tenant or a key suddenly spends far more than usual.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpendConfig {
    /// Most that a tenant spends in any minute, such as `10 USD`: a limit like those under `limits`, called `protect-spend-per-minute`. Default: no bound.
    pub per_minute: Option<Usd>,
    /// Whether each tenant and each key has a breaker: it holds what is far above the usual of the last hour, and refuses all for a while when that goes on. Default `false`.
    pub breaker: bool,
    /// Nothing is unusual below so much a minute. Default `1 USD`.
    pub from: Usd,
    /// How long a breaker is open; twice as long each time it opens again. Default `10m`.
    pub open: Span,
    /// Who is not held by breakers.
    pub allow: PanicConfig,
}

impl Default for SpendConfig {
    fn default() -> Self {
        SpendConfig {
            per_minute: None,
            breaker: false,
            from: Usd(NanoUsd(1_000_000_000)),
            open: Span(Duration::from_secs(600)),
            allow: PanicConfig::default(),
        }
    }
}

/// Keys and tenants that are served where others are not: while the panic switch is on (`aplomb panic on`), or a breaker is open.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PanicConfig {
    /// Public ids of keys, as `aplomb keys list` shows them.
    pub keys: Vec<String>,
    /// Tenants, with all their keys.
    pub tenants: Vec<String>,
}

/// Networks that are let through or kept out. Each entry is an address, a network such as `192.0.2.0/24`, or `file:PATH` with one of them a line (`#` begins a comment; at most 16 MiB). Files are read when the configuration is.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworksConfig {
    /// They are never kept out, counted, slowed down or banned, whatever else is said.
    pub allow: Vec<NetworkSource>,
    /// They get status 403.
    pub deny: Vec<NetworkSource>,
    /// If there are any: all others get status 403.
    pub only: Vec<NetworkSource>,
}

/// How much may come from one place, with whatever keys; what is more gets status 429 before its body is read. A place is an IPv4 address or an IPv6 /64, a subnet an IPv4 /24 or an IPv6 /48.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArrivalsConfig {
    /// Most requests of an address, such as `600 per 10s`. Default: no bound.
    pub per_address: Option<RateConfig>,
    /// Most requests of a subnet. Default: no bound.
    pub per_subnet: Option<RateConfig>,
}

/// What happens to those that try keys and paths: requests without a known key, or for a path that does not exist, are strikes. Callers with a known key are served all the same. Programs on the gateway's own machine are not counted, unless a trusted proxy speaks for them.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuessingConfig {
    /// Whether strikes are counted. Default `true`.
    pub enabled: bool,
    /// Time in which they are counted. Default `1m`.
    pub window: Span,
    /// From so many strikes of an address on, its refusals are held back for `delay`. Default 10.
    #[schemars(range(min = 1, max = 60_000))]
    pub slow_after: u16,
    /// For so long; at most 512 at a time. Default `1s`.
    pub delay: Span,
    /// From so many strikes of an address on, it gets status 403 for the time `ban`. Default 60.
    #[schemars(range(min = 1, max = 60_000))]
    pub ban_address_after: u16,
    /// From so many strikes of a subnet on, all of it does. Default 300.
    #[schemars(range(min = 1, max = 60_000))]
    pub ban_subnet_after: u16,
    /// How long a ban holds. Default `10m`.
    pub ban: Span,
}

impl Default for GuessingConfig {
    fn default() -> Self {
        GuessingConfig {
            enabled: true,
            window: Span(Duration::from_secs(60)),
            slow_after: 10,
            delay: Span(Duration::from_secs(1)),
            ban_address_after: 60,
            ban_subnet_after: 300,
            ban: Span(Duration::from_secs(600)),
        }
    }
}

/// Header in which trusted proxies tell where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedConfig {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// An address, a network, or a file of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkSource {
    /// `192.0.2.0/24`.
    Network(Network),
    /// `file:deny.txt`.
    File(PathBuf),
}

impl FromStr for NetworkSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().split_once("file:") {
            Some(("", path)) if !path.is_empty() => Ok(NetworkSource::File(path.into())),
            _ => text
                .parse()
                .map(NetworkSource::Network)
                .map_err(|error| format!("{error}, or `file:PATH`")),
        }
    }
}

impl fmt::Display for NetworkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkSource::Network(network) => network.fmt(f),
            NetworkSource::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

text_scalar!(
    NetworkSource,
    "network",
    "An address, a network such as `192.0.2.0/24`, or `file:PATH` with one of them a line."
);

/// So many in a time: `600 per 10s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateConfig {
    /// How many.
    pub count: u16,
    /// In which time.
    pub window: Duration,
}

impl FromStr for RateConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a rate such as `600 per 10s`, of at most 60000".to_owned();
        let (count, window) = text.split_once(" per ").ok_or_else(wrong)?;
        let count = count.trim().parse::<u16>().map_err(|_| wrong())?;
        let window: Span = window.parse()?;
        if count == 0 || count > 60_000 || window.0.is_zero() {
            return Err(wrong());
        }
        Ok(RateConfig {
            count,
            window: window.0,
        })
    }
}

impl fmt::Display for RateConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, Span(self.window))
    }
}

text_scalar!(RateConfig, "rate", "So many in a time: `600 per 10s`.");

/// Longest time that strikes and arrivals are counted over. Chosen: what is longer is a limit.
const WINDOW_MAX: Duration = Duration::from_secs(3600);
/// Longest time that an answer is held back. Chosen: clients give up soon after.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// Longest time that a breaker is open the first time.
const OPEN_MAX: Duration = Duration::from_secs(86_400);

/// Name of the segment of users that were linked.
pub const LINKED: &str = "linked";

/// Longest time in which it is learned how many new users are usual.
const LEARN_MAX: Duration = Duration::from_secs(7 * 86_400);

/// What goes by levels of trust.
fn untrusted(file: &ConfigFile, error: &mut impl FnMut(&str, &str)) {
    let protect = &file.protect;
    let goes_by = [
        (
            "protect.cohort.untrusted",
            protect.cohort.untrusted.is_some(),
        ),
        ("protect.accounts.enabled", protect.accounts.enabled),
        ("protect.risk.quarantine", protect.risk.quarantine.is_some()),
    ];
    for (path, _) in goes_by.iter().filter(|(_, used)| *used && !has_trust(file)) {
        let message = "nobody is in quarantine here: users have levels of trust with `karma: { enabled: true }`, or with a segment that has `trust`";
        error(path, message);
    }
    let risk = protect.risk.quarantine;
    if risk.is_some_and(|risk| !(1..=100).contains(&risk)) {
        error("protect.risk.quarantine", "must be from 1 to 100");
    }
    if protect.accounts.learn.0 > LEARN_MAX {
        error("protect.accounts.learn", "must be at most 7d");
    }
}

/// Longest session and longest time of a challenge. Chosen: nothing revokes one session, so it ends soon by itself.
const SESSION_MAX: Duration = Duration::from_secs(15 * 60);
/// Shortest time of a challenge. Chosen: a slow phone works that long.
const SOLVE_MIN: Duration = Duration::from_secs(10);
/// Longest name of a site: it is in each of its tokens.
const SITE_BYTES_MAX: usize = 32;

/// What is wrong with sites and their challenge.
fn sites(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    let challenge = &file.protect.challenge;
    let mut error = |path: &str, message: &str| found.push(Diagnostic::error(path, message));
    if challenge.mode == ChallengeModeConfig::Untrusted {
        let message = "`untrusted` is not available yet; use `always`, `on_attack` or `never`";
        error("protect.challenge.mode", message);
    }
    if !(100..=10_000).contains(&challenge.cost) {
        error("protect.challenge.cost", "must be from 100 to 10000");
    }
    if !(2..=1_000_000).contains(&challenge.tries) {
        error("protect.challenge.tries", "must be from 2 to 1000000");
    }
    if !(SOLVE_MIN..=SESSION_MAX).contains(&challenge.time.0) {
        error("protect.challenge.time", "must be from 10s to 15m");
    }
    if !(Duration::from_secs(1)..=SESSION_MAX).contains(&challenge.session.0) {
        error("protect.challenge.session", "must be from 1s to 15m");
    }
    for (name, site) in &file.protect.sites {
        let legal =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let path = format!("protect.sites.{name}");
        if name.is_empty() || name.len() > SITE_BYTES_MAX || !name.bytes().all(legal) {
            let message = "a site's name has 1 to 32 lower-case letters, digits, `.`, `_` or `-`";
            found.push(Diagnostic::error(path.as_str(), message));
        }
        let pays = |tenant: &&TenantConfig| tenant.sites.contains(name);
        let message = match file.tenants.values().filter(pays).count() {
            1 => None,
            0 => Some(format!(
                "no tenant pays for this site: write `tenants.NAME.sites: [{name}]`"
            )),
            _ => Some("only one tenant can pay for a site".to_owned()),
        };
        found.extend(message.map(|message| Diagnostic::error(path.as_str(), message)));
        if site.routes.is_empty() {
            let message = "at least one route; `\"*\"` for all of the tenant's";
            found.push(Diagnostic::error(format!("{path}.routes"), message));
        }
        if site.origins.is_empty() {
            let message = "at least one origin, such as `https://shop.example`";
            found.push(Diagnostic::error(format!("{path}.origins"), message));
        }
        for (index, origin) in site.origins.iter().enumerate() {
            let path = format!("{path}.origins[{index}]");
            if origin == "*" {
                let message = "a site names its origins: a token for all pages is one for none";
                found.push(Diagnostic::error(path, message));
            } else if let Some((message, right)) = cors::mistake(origin) {
                let hint = right.map(|right| format!("write `{right}`"));
                found.push(Diagnostic::error(path, message).suggest(hint));
            }
        }
    }
    for (name, tenant) in &file.tenants {
        for (index, site) in tenant.sites.iter().enumerate() {
            if !file.protect.sites.contains_key(site) {
                let path = format!("tenants.{name}.sites[{index}]");
                let message = format!("there is no site `{site}` under `protect.sites`");
                let known = file.protect.sites.keys().map(String::as_str);
                let suggestion = did_you_mean(site, known);
                found.push(Diagnostic::error(path, message).suggest(suggestion));
            }
        }
    }
}

/// What the shapes alone can't say.
pub(crate) fn sense(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    sites(file, found);
    let guessing = &file.protect.guessing;
    let mut error = |path: &str, message: &str| found.push(Diagnostic::error(path, message));
    let window = guessing.window.0;
    if window.is_zero() || window > WINDOW_MAX {
        error(
            "protect.guessing.window",
            "must be longer than 0 and at most 1h",
        );
    }
    if guessing.delay.0 > DELAY_MAX {
        error("protect.guessing.delay", "must be at most 10s");
    }
    if guessing.ban.0.is_zero() {
        let message = "must be longer than 0; without bans write `enabled: false`";
        error("protect.guessing.ban", message);
    }
    for (index, tenant) in file.protect.panic.tenants.iter().enumerate() {
        // Tenants come with their keys too, so that an unknown one is no mistake for certain.
        if !file.tenants.is_empty() && !file.tenants.contains_key(tenant) {
            let path = format!("protect.panic.tenants[{index}]");
            let message = format!("there is no tenant `{tenant}` in this file");
            let suggestion = did_you_mean(tenant, file.tenants.keys().map(String::as_str));
            found.push(Diagnostic::warning(path, message).suggest(suggestion));
        }
    }
    let mut error = |path: &str, message: &str| found.push(Diagnostic::error(path, message));
    let spend = &file.protect.spend;
    if spend.open.0.is_zero() || spend.open.0 > OPEN_MAX {
        error("protect.spend.open", "must be longer than 0 and at most 1d");
    }
    if spend.per_minute.is_some_and(|usd| usd.0 == NanoUsd::ZERO) {
        let message = "must be more than 0; to stop all spending use `aplomb panic on`";
        error("protect.spend.per_minute", message);
    }
    untrusted(file, &mut error);
    let arrivals = &file.protect.arrivals;
    for (name, rate) in [
        ("per_address", arrivals.per_address),
        ("per_subnet", arrivals.per_subnet),
    ] {
        if rate.is_some_and(|rate| rate.window > WINDOW_MAX) {
            let path = format!("protect.arrivals.{name}");
            error(
                &path,
                "its time is at most 1h; what is longer is a limit: `per ip`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_rates_are_read_and_written() {
        for text in ["192.0.2.0/24", "2001:db8::1", "file:lists/deny.txt"] {
            assert_eq!(text.parse::<NetworkSource>().unwrap().to_string(), text);
        }
        for text in ["", "file:", "deny.txt", "192.0.2.0/40"] {
            assert!(text.parse::<NetworkSource>().is_err(), "{text}");
        }
        assert_eq!(
            "600 per 10s".parse::<RateConfig>().unwrap().to_string(),
            "600 per 10s"
        );
        for text in ["600", "0 per 1s", "5 per 0s", "70000 per 1s", "x per 1s"] {
            assert!(text.parse::<RateConfig>().is_err(), "{text}");
        }
    }
}
