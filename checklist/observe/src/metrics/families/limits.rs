//! What limits count.

use super::*;
use crate::metrics::{Gauge, SharedLimitMetrics};

pub(super) fn families(metrics: &Metrics) -> Vec<Family> {
    let mut decisions = Family::counter(
        "aplomb_limits_decisions_total",
        "Requests with which a limit did something, by rule and decision: `refused`, `queued`, `downgraded`, `shadow` (it would have refused), or `soft` (a share of the limit was reached).",
    );
    for (name, limit) in metrics.limits.all() {
        for (decision, count) in [
            ("refused", &limit.refused),
            ("queued", &limit.queued),
            ("downgraded", &limit.downgraded),
            ("shadow", &limit.shadow),
            ("soft", &limit.soft),
        ] {
            let labels = two(("rule", &name), ("decision", decision));
            decisions.push(labels, number(count.get()));
        }
    }
    let mut users = Family::new(
        "aplomb_trust_users",
        Kind::Gauge,
        "Users that are known, by level of trust.",
    );
    let levels = ["suspended", "quarantine", "standard", "trusted"];
    for (level, count) in levels.into_iter().zip(&metrics.trust_users) {
        users.push(one("level", level), number(count.get()));
    }
    let delayed = Family::counter(
        "aplomb_limits_delayed_total",
        "Refusals that were told late, since their callers go on asking.",
    );
    let mut all = vec![
        decisions,
        gauge(
            "aplomb_limits_counters",
            "Counters of limits that are kept.",
            &metrics.limits_counters,
        ),
        gauge(
            "aplomb_limits_in_flight",
            "Places that requests in flight take under limits.",
            &metrics.limits_in_flight,
        ),
        gauge(
            "aplomb_limits_waiting",
            "Requests that wait for room under a limit.",
            &metrics.limits_waiting,
        ),
        counter(
            "aplomb_limits_crowded_total",
            "Uses that were counted together with those of other callers, since there were too many for counters of their own.",
            &metrics.limits_crowded,
        ),
        counter(
            "aplomb_limits_ledger_written_total",
            "Uses of limits that are on the disk, for a process that comes after.",
            &metrics.limits_written,
        ),
        counter(
            "aplomb_limits_ledger_lost_total",
            "Uses of limits that could not be kept for a process that comes after.",
            &metrics.limits_lost,
        ),
        counter(
            "aplomb_limits_ledger_failed_total",
            "Writes of the ledger of limits that failed and were tried again.",
            &metrics.limits_write_failed,
        ),
        delayed.with(Vec::new(), number(metrics.limits_delayed.get())),
        users,
        counter(
            "aplomb_trust_lost_total",
            "Rows of the trail of trust that could not be kept.",
            &metrics.trust_lost,
        ),
    ];
    if let Some(shared) = metrics.limits_shared.get() {
        all.extend(nodes(shared));
    }
    all
}

/// Limits that nodes share.
fn nodes(shared: &SharedLimitMetrics) -> [Family; 8] {
    [
        gauge(
            "aplomb_limits_shared_up",
            "Whether limits are counted together with other nodes (1), or this node goes on alone with its share (0). Only with `store.shared`.",
            &shared.up,
        ),
        gauge(
            "aplomb_limits_shared_nodes",
            "Nodes that share limits, this one included. Only with `store.shared`.",
            &shared.nodes,
        ),
        counter(
            "aplomb_limits_shared_alone_total",
            "Requests that this node decided alone, since the shared store was away or too slow. Only with `store.shared`.",
            &shared.alone,
        ),
        counter(
            "aplomb_limits_shared_closed_total",
            "Requests that were refused since a limit that is closed without the shared store could not be counted. Only with `store.shared`.",
            &shared.closed,
        ),
        counter(
            "aplomb_limits_shared_spared_total",
            "Requests that were refused without asking the shared store, since a limit was known to be used up. Only with `store.shared`.",
            &shared.spared,
        ),
        counter(
            "aplomb_limits_shared_failed_total",
            "Calls to the shared store of limits that failed or were too slow. Only with `store.shared`.",
            &shared.failed,
        ),
        gauge(
            "aplomb_limits_shared_owing",
            "Counters of which the shared store does not know everything yet. Only with `store.shared`.",
            &shared.owing,
        ),
        counter(
            "aplomb_limits_shared_lost_total",
            "Uses of limits that the shared store will never know. Only with `store.shared`.",
            &shared.lost,
        ),
    ]
}

fn gauge(name: &'static str, help: &'static str, gauge: &Gauge) -> Family {
    Family::new(name, Kind::Gauge, help).with(Vec::new(), number(gauge.get()))
}

fn counter(name: &'static str, help: &'static str, gauge: &Gauge) -> Family {
    Family::counter(name, help).with(Vec::new(), number(gauge.get()))
}
