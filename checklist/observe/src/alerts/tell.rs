//! Telling people: the log, a webhook, a Slack-compatible address.

use super::{Change, Standing};
use aplomb_engines::http::HttpClient;
use bytes::Bytes;
use http::{Uri, header};
use http_body_util::Full;
use serde_json::{Value, json};
use std::time::Duration;

/// Tries of a message, and the waits between them.
const WAITS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(10),
];
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a message goes. Addresses may hold secrets: they are never shown.
#[derive(Clone)]
pub enum Channel {
    /// The process's log.
    Log,
    /// JSON.
    Webhook(Uri),
    /// `{"text": ...}`.
    Slack(Uri),
}

/// Sends messages.
#[derive(Clone)]
pub struct Teller {
    client: HttpClient,
    node: String,
}

fn text(standing: &Standing, change: Change) -> String {
    let state = match change {
        Change::Fired => "FIRING",
        Change::Resolved => "resolved",
    };
    let route = standing
        .route
        .as_ref()
        .map_or_else(String::new, |route| format!(" on route {route}"));
    let value = standing
        .value
        .map_or_else(|| "no data".to_owned(), |value| format!("now {value:.4}"));
    let name = if standing.name == standing.when {
        String::new()
    } else {
        format!("{}: ", standing.name)
    };
    format!("[aplomb] {state}: {name}{}{route} ({value})", standing.when)
}

impl Teller {
    /// A teller for the messages of this node.
    pub fn new(node: &str) -> Self {
        Teller {
            client: HttpClient::new(Duration::from_secs(5)),
            node: node.to_owned(),
        }
    }

    /// Tells all channels. False if one could not be told.
    pub async fn tell(
        &self,
        channels: &[Channel],
        standing: &Standing,
        change: Change,
        now_ms: u64,
    ) -> bool {
        let mut told = true;
        let text = text(standing, change);
        for channel in channels {
            let (uri, body) = match channel {
                Channel::Log => {
                    match change {
                        Change::Fired => tracing::warn!(alert = text, "an alert fires"),
                        Change::Resolved => tracing::info!(alert = text, "an alert is resolved"),
                    }
                    continue;
                }
                Channel::Webhook(uri) => (uri, self.message(standing, change, now_ms, &text)),
                Channel::Slack(uri) => (uri, json!({ "text": text })),
            };
            told &= self.deliver(uri, &body).await;
        }
        told
    }

    fn message(&self, standing: &Standing, change: Change, now_ms: u64, text: &str) -> Value {
        json!({
            "alert": standing.name,
            "state": if change == Change::Fired { "firing" } else { "resolved" },
            "when": standing.when,
            "route": standing.route,
            "value": standing.value,
            "since_ms": standing.since_ms,
            "at_ms": now_ms,
            "node": self.node,
            "text": text,
        })
    }

    async fn deliver(&self, uri: &Uri, body: &Value) -> bool {
        let body = Bytes::from(body.to_string());
        for wait in WAITS {
            tokio::time::sleep(wait).await;
            let request = http::Request::post(uri.clone())
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(body.clone()));
            let Ok(request) = request else { return false };
            let answer = tokio::time::timeout(PATIENCE, self.client.send(request)).await;
            if matches!(&answer, Ok(Ok(response)) if response.status().is_success()) {
                return true;
            }
        }
        tracing::error!("an alert could not be delivered to its webhook");
        false
    }
}
