//! What is counted before anybody knows who is calling.

use super::*;
use crate::metrics::ProtectMetrics;

pub(super) fn families(metrics: &ProtectMetrics) -> [Family; 16] {
    let plain = |name, help, counter: &Counter| {
        Family::counter(name, help).with(Vec::new(), number(counter.get()))
    };
    let mut refused = Family::counter(
        "aplomb_protect_refused_total",
        "Requests refused before their body was read, by reason: `denied` (by a list), `banned`, `address` `subnet` (too many came from it), or `panic` (the switch is on).",
    );
    for (reason, counter) in [
        ("denied", &metrics.denied),
        ("banned", &metrics.banned),
        ("address", &metrics.crowded_address),
        ("subnet", &metrics.crowded_subnet),
        ("panic", &metrics.panicked),
    ] {
        refused.push(one("reason", reason), number(counter.get()));
    }
    [
        refused,
        plain(
            "aplomb_protect_strikes_total",
            "Requests without a known key, or for paths that do not exist.",
            &metrics.strikes,
        ),
        Family::counter(
            "aplomb_protect_slowed_total",
            "Refusals that were to be held back, by outcome: `held`, or `full` where too many were held back already.",
        )
        .with(one("outcome", "held"), number(metrics.slowed.get()))
        .with(one("outcome", "full"), number(metrics.unslowed.get())),
        Family::counter("aplomb_protect_bans_total", "Bans that have begun, by what was banned.")
            .with(one("of", "address"), number(metrics.bans_address.get()))
            .with(one("of", "subnet"), number(metrics.bans_subnet.get())),
        Family::new("aplomb_protect_banned", Kind::Gauge, "Bans that hold now.")
            .with(Vec::new(), number(metrics.banned_now.get())),
        Family::new("aplomb_protect_panic", Kind::Gauge, "1 while the panic switch is on.")
            .with(Vec::new(), number(metrics.panic.get())),
        plain(
            "aplomb_protect_spend_refused_total",
            "Requests that a spend breaker refused.",
            &metrics.spend_refused,
        ),
        Family::counter(
            "aplomb_protect_spend_changes_total",
            "How often spend breakers began to stand otherwise, by how they stood then.",
        )
        .with(one("state", "throttled"), number(metrics.spend_throttled.get()))
        .with(one("state", "open"), number(metrics.spend_opened.get()))
        .with(one("state", "closed"), number(metrics.spend_closed.get())),
        Family::new(
            "aplomb_protect_spend_breakers",
            Kind::Gauge,
            "Spend breakers that are not closed, by how they stand.",
        )
        .with(one("state", "throttled"), number(metrics.throttled_now.get()))
        .with(one("state", "open"), number(metrics.open_now.get()))
        .with(one("state", "half_open"), number(metrics.half_open_now.get())),
        Family::counter(
            "aplomb_protect_bursts_total",
            "Bursts of new users that were linked, by what they have in common: `subnet`, or the kind of `client`.",
        )
        .with(one("of", "subnet"), number(metrics.bursts_subnet.get()))
        .with(one("of", "client"), number(metrics.bursts_client.get())),
        plain(
            "aplomb_protect_linked_requests_total",
            "Requests of users that came in a burst.",
            &metrics.linked,
        ),
        plain(
            "aplomb_protect_risky_requests_total",
            "Requests whose risk puts their users in quarantine.",
            &metrics.risky,
        ),
        plain(
            "aplomb_protect_challenges_total",
            "Challenges that were made for browsers.",
            &metrics.challenges,
        ),
        plain(
            "aplomb_protect_sessions_total",
            "Sessions that were made for browsers.",
            &metrics.sessions,
        ),
        plain(
            "aplomb_protect_challenge_required_total",
            "Requests of browsers that have to show something first.",
            &metrics.challenged,
        ),
        plain(
            "aplomb_audit_lost_total",
            "Decisions of the gateway that could not be noted in the audit trail.",
            &metrics.unnoted,
        ),
    ]
}
