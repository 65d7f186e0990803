//! What happens to a request before anybody knows who is calling, and to those that nobody knows.

use crate::auth::Access;
use crate::gateway::Gateway;
use crate::manner;
use crate::names;
use aplomb_core::caller::Manner;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_pipeline::policy::Policy;
use aplomb_pipeline::screen::Listed;
use aplomb_protect::address::{Header, Place};
use aplomb_protect::watch::{Ban, Struck, TooMany};
use http::header::{self, HeaderMap};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A request, and where it comes from.
pub(crate) struct Visit<'a> {
    gateway: &'a Gateway,
    /// Where it comes from.
    pub place: Place,
    listed: Listed,
    ban: Option<Ban>,
}

impl<'a> Visit<'a> {
    pub(crate) fn of(gateway: &'a Gateway, headers: &HeaderMap, peer: SocketAddr) -> Self {
        let policy = gateway.policy();
        let screen = &policy.screen;
        let name = match screen.header {
            Header::XForwardedFor => &names::X_FORWARDED_FOR,
            Header::Forwarded => &header::FORWARDED,
        };
        // A value that is no text is nothing that a proxy wrote: the trail ends there.
        let values = headers.get_all(name).iter();
        let values = values.map(|value| value.to_str().unwrap_or("?"));
        let place = screen.place(peer.ip(), values);
        let listed = screen.listed(&place);
        let counted = listed == Listed::Unlisted;
        let now_ms = gateway.state.clock.now_ms();
        let ban = counted.then(|| gateway.state.watch.ban_of(&place, now_ms));
        Visit {
            gateway,
            place,
            listed,
            ban: ban.flatten(),
        }
    }

    /// What its manner says.
    pub(crate) fn manner(&self, headers: &HeaderMap) -> Manner {
        let state = &self.gateway.state;
        let exempt = self.listed == Listed::Exempt;
        let strikes = if exempt {
            0
        } else {
            state.watch.strikes(&self.place, state.clock.now_ms())
        };
        Manner {
            client: state.client_key(manner::parts(headers)),
            no_language: !headers.contains_key(header::ACCEPT_LANGUAGE),
            strikes,
            exempt,
        }
    }

    /// Lets it in, as far as its address says.
    ///
    /// # Errors
    /// Its network is kept out, or has sent too much.
    pub(crate) fn enter(&self) -> Result<(), ApiError> {
        let state = &self.gateway.state;
        let metrics = &state.metrics.protect;
        match self.listed {
            Listed::Exempt => return Ok(()),
            Listed::Denied => {
                metrics.denied.add(1);
                let message = "requests from this network are not served";
                return Err(ApiError::new(ErrorCode::NotAllowed, message));
            }
            Listed::Unlisted => {}
        }
        let arrived = state.watch.arrive(&self.place, state.clock.now_ms());
        arrived.map_err(|TooMany { subnet, wait }| {
            let (counter, what) = match subnet {
                false => (&metrics.crowded_address, "address"),
                true => (&metrics.crowded_subnet, "network"),
            };
            counter.add(1);
            let message = format!("too many requests come from this {what}");
            let mut error = ApiError::new(ErrorCode::LimitExceeded, message);
            error.retry_after = Some(wait);
            error
        })
    }

    /// What a request is told that was refused: whoever tries keys and paths is slowed down, and then banned for a while.
    pub(crate) async fn refused(&self, error: ApiError) -> ApiError {
        let guessed = matches!(error.code, ErrorCode::InvalidApiKey | ErrorCode::NotFound);
        if !guessed || self.listed != Listed::Unlisted {
            return error;
        }
        let state = &self.gateway.state;
        let (metrics, now_ms) = (&state.metrics.protect, state.clock.now_ms());
        if let Some(ban) = &self.ban {
            metrics.banned.add(1);
            return banned(ban, now_ms);
        }
        metrics.strikes.add(1);
        match state.watch.strike(&self.place, now_ms) {
            Struck::Noted => error,
            Struck::Slow(delay) => {
                match state.watch.hold() {
                    Some(_held) => {
                        metrics.slowed.add(1);
                        tokio::time::sleep(delay).await;
                    }
                    None => metrics.unslowed.add(1),
                }
                error
            }
            Struck::Banned(ban) => {
                let of = if ban.network == self.place.host() {
                    &metrics.bans_address
                } else {
                    &metrics.bans_subnet
                };
                of.add(1);
                state.decided(
                    "ban.begin",
                    format!("{}: {} strikes", ban.network, ban.strikes),
                );
                tracing::warn!(
                    strikes = ban.strikes,
                    "a network that tried keys or paths is banned; `aplomb bans` shows which"
                );
                banned(&ban, now_ms)
            }
        }
    }
}

/// While the panic switch is on, only some keys are served.
///
/// # Errors
/// It is on, and this caller's key is not among them.
pub(crate) fn panics(gateway: &Gateway, policy: &Policy, access: &Access) -> Result<(), ApiError> {
    let state = &gateway.state;
    if !state.panic.load(Ordering::Acquire) {
        return Ok(());
    }
    let served = &policy.file.protect.panic;
    if !matches!(access, Access::Local) {
        let has = |list: &[String], name: &str| list.iter().any(|one| one == name);
        let (tenant, key_id) = access.tenant_and_key();
        if has(&served.keys, &key_id) || has(&served.tenants, &tenant) {
            return Ok(());
        }
    }
    state.metrics.protect.panicked.add(1);
    let message = "the operator has stopped this service for now";
    Err(ApiError::new(ErrorCode::Panic, message))
}

fn banned(ban: &Ban, now_ms: u64) -> ApiError {
    let message =
        "too many requests without a valid API key, or for unknown paths, came from this network";
    let mut error = ApiError::new(ErrorCode::NotAllowed, message);
    let left = Duration::from_millis(ban.until_ms.saturating_sub(now_ms));
    error.retry_after = Some(left);
    error
}
