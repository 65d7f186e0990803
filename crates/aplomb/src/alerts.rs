//! Looks at the alert rules again and again while the gateway runs.

use aplomb_observe::alerts::{Change, Standing, Teller};
use aplomb_pipeline::policy::Policy;
use aplomb_server::gateway::Gateway;
use std::sync::Arc;
use tokio::sync::watch;

/// Looks at the rules of the policy in force until `stop` says so.
pub async fn watch(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let node = gateway
        .policy()
        .file
        .records
        .node
        .clone()
        .unwrap_or_default();
    let teller = Teller::new(&node);
    loop {
        let every = gateway.policy().file.observe.alerts_every.0;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(every.max(std::time::Duration::from_millis(100))) => {}
        }
        let policy = gateway.policy();
        if policy.alerts.is_empty() {
            continue;
        }
        for (index, change, standing) in look(&gateway, &policy).await {
            tell(&gateway, &teller, (&policy, index), &standing, change).await;
        }
    }
}

async fn look(gateway: &Arc<Gateway>, policy: &Arc<Policy>) -> Vec<(usize, Change, Standing)> {
    let (gateway, policy) = (gateway.clone(), policy.clone());
    let work = tokio::task::spawn_blocking(move || {
        let records = gateway.state.records.as_ref()?;
        let now_ms = gateway.state.clock.now_ms();
        let looked = gateway
            .state
            .alerts
            .look(&policy.alerts, &records.reader(), now_ms);
        looked
            .map_err(|error| tracing::error!(%error, "the alert rules could not be looked at"))
            .ok()
    });
    work.await.ok().flatten().unwrap_or_default()
}

async fn tell(
    gateway: &Gateway,
    teller: &Teller,
    (policy, index): (&Policy, usize),
    standing: &Standing,
    change: Change,
) {
    let Some(rule) = policy.alerts.get(index) else {
        return;
    };
    let metrics = &gateway.state.metrics;
    if change == Change::Fired {
        metrics.alerts_fired.add(1);
    }
    if !teller
        .tell(
            &rule.channels,
            standing,
            change,
            gateway.state.clock.now_ms(),
        )
        .await
    {
        metrics.alerts_untold.add(1);
    }
}
