//! All shared calls and their finished answers: bounds, purge, erasure, how full they are.

use super::{Calls, Piece};
use crate::cached;
use aplomb_config::share::IdempotencyConfig;
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::BoxError;
use aplomb_core::event::ChatEvent;
use aplomb_latency::cache::store::Purge;
use aplomb_latency::share::register::Register;
use aplomb_observe::metrics::{Metrics, ShareMetrics};
use aplomb_observe::record::SharedBy;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;

/// Most memory of finished answers that are given again within a window. Chosen: thousands of answers, for seconds.
const WINDOW_BYTES: usize = 16 << 20;
/// Memory of answers in flight beyond which nobody joins them. Chosen: as much as of kept ones.
const FLYING_BYTES: usize = 64 << 20;
/// All shared calls and their finished answers. They survive a reload.
pub struct Shares {
    /// By content.
    pub(super) content: Arc<Calls>,
    /// By idempotency key.
    pub(super) key: Arc<Calls>,
    /// No call goes on for callers that have left.
    pub(super) stop: watch::Sender<bool>,
}

impl Default for Shares {
    fn default() -> Self {
        Shares {
            content: Register::new(WINDOW_BYTES, FLYING_BYTES),
            key: Register::new(0, FLYING_BYTES),
            stop: watch::Sender::new(false),
        }
    }
}

impl Shares {
    /// Takes over the bounds of a file.
    pub(crate) fn bound(&self, config: &IdempotencyConfig) {
        self.key.bound(config.max.0);
    }

    /// From now on calls end when their last caller leaves: no retry can come.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Removes finished answers, and says how many. What is in flight and fits is not kept.
    pub fn purge(&self, purge: &Purge) -> u64 {
        self.content.purge(purge) + self.key.purge(purge)
    }

    /// How full they are.
    pub fn report(&self, now_ms: u64) -> Vec<Value> {
        let one = |(by, calls): (SharedBy, &Arc<Calls>)| {
            let (fill, (flying, bytes)) = (calls.fill(now_ms), calls.flying());
            json!({
                "by": by.name(),
                "entries": fill.entries,
                "bytes": fill.bytes,
                "bytes_max": fill.bytes_max,
                "calls": flying,
                "calls_bytes": bytes,
            })
        };
        self.all().into_iter().map(one).collect()
    }

    fn all(&self) -> [(SharedBy, &Arc<Calls>); 2] {
        [
            (SharedBy::Content, &self.content),
            (SharedBy::Key, &self.key),
        ]
    }

    /// Brings the metrics up to date.
    pub fn refresh(&self, metrics: &Metrics, now_ms: u64) {
        show(&self.content, &metrics.share_content, now_ms);
        show(&self.key, &metrics.share_key, now_ms);
    }
}

/// Brings metrics up to date.
pub(super) fn show(calls: &Calls, metrics: &ShareMetrics, now_ms: u64) {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let (fill, flying) = (calls.fill(now_ms), calls.flying());
    metrics.entries.set(wide(fill.entries));
    metrics.bytes.set(wide(fill.bytes));
    metrics.calls.set(wide(flying.0));
    metrics.calls_bytes.set(wide(flying.1));
}

impl Erase for Shares {
    fn store(&self) -> &'static str {
        "shared answers"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        Ok(self.purge(&cached::of(subject)))
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        let entries = self.all().into_iter().flat_map(|(by, calls)| {
            let kept = calls.list(&cached::of(subject)).into_iter();
            kept.map(move |(at_ms, route, answer)| {
                let said: String = answer.pieces().iter().map(text).collect();
                json!({ "by": by.name(), "at_ms": at_ms, "route": &*route, "answer": said })
            })
        });
        Ok(entries.collect())
    }
}

fn text(piece: &Piece) -> String {
    match piece {
        Piece::Event(ChatEvent::Text { text, .. } | ChatEvent::Refusal { text, .. }) => {
            text.clone()
        }
        Piece::Event(ChatEvent::ToolArguments { fragment, .. }) => fragment.clone(),
        Piece::Event(ChatEvent::Raw(raw) | ChatEvent::RawBody(raw)) => {
            String::from_utf8_lossy(&raw.data).into_owned()
        }
        Piece::Head(_) | Piece::Event(_) => String::new(),
    }
}
