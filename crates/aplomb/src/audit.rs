//! `aplomb audit`, and the task that notes the gateway's own decisions in the trail.

use crate::cli::{AuditArgs, AuditCommand};
use crate::keys::store;
use crate::load::Origin;
use crate::output::{Failure, line};
use aplomb_control::audit::Anchor;
use aplomb_control::store::{Act, ControlStore};
use aplomb_core::civil;
use aplomb_pipeline::screen::decisions::Decision;
use aplomb_server::gateway::Gateway;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// `aplomb audit`.
///
/// # Errors
/// The store can't be read, or the trail is not whole.
pub fn run(args: &AuditArgs) -> Result<(), Failure> {
    let (parsed, _) = Origin::of(&args.config).read().map_err(Failure::wrong)?;
    let store = store(&parsed.file.server).map_err(Failure::wrong)?;
    if let Some(AuditCommand::Verify { anchor }) = &args.command {
        return verify(&store, anchor.as_deref(), args.json);
    }
    for row in store.audit(args.limit).map_err(Failure::wrong)? {
        if args.json {
            line(&json!(row).to_string());
        } else {
            let at = utc(row.at_ms);
            line(&format!(
                "{:>6}  {at}  {:<8} {:<14} {}",
                row.seq, row.actor, row.action, row.subject
            ));
        }
    }
    Ok(())
}

/// A time as people read it, in UTC.
fn utc(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let day = civil::date(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        day.year,
        day.month,
        day.day,
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

fn verify(store: &dyn ControlStore, anchor: Option<&str>, json: bool) -> Result<(), Failure> {
    let anchor: Option<Anchor> = anchor
        .map(str::parse)
        .transpose()
        .map_err(|error| Failure::wrong(format!("--anchor: {error}")))?;
    let whole = store.verify(anchor.as_ref()).map_err(Failure::wrong)?;
    let head = whole.head.map(|head| format!("{}:{}", head.seq, head.hash));
    if json {
        line(&json!({ "whole": true, "rows": whole.rows, "head": head }).to_string());
        return Ok(());
    }
    line(&format!("the trail is whole: {} rows", whole.rows));
    if let Some(head) = head {
        line(&format!("write its end down elsewhere: {head}"));
    }
    Ok(())
}

/// Notes the gateway's own decisions until `stop` says so, then those that are still on their way.
pub async fn note(
    gateway: Arc<Gateway>,
    mut decisions: mpsc::Receiver<Decision>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = tokio::select! {
            decision = decisions.recv() => decision,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(decision) = next else { break };
        noted(&gateway, decision).await;
    }
    while let Ok(decision) = decisions.try_recv() {
        noted(&gateway, decision).await;
    }
}

async fn noted(gateway: &Arc<Gateway>, decision: Decision) {
    let control = gateway.control.clone();
    let work = tokio::task::spawn_blocking(move || {
        let act = Act {
            actor: "gateway",
            at_ms: decision.at_ms,
        };
        control.note(decision.action, &decision.subject, &act)
    });
    match work.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            gateway.state.metrics.protect.unnoted.add(1);
            tracing::error!(%error, "a decision could not be noted in the audit trail");
        }
        Err(_) => gateway.state.metrics.protect.unnoted.add(1),
    }
}
