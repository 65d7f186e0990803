//! Metrics and traces for other systems: who may scrape them, and where they are pushed to.

use crate::scalar::{ByteSize, Span};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// Metrics in the Prometheus format.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Address of a listener for scrapers: `/metrics`, `/livez`, `/readyz`, and nothing else, without a token. Default: none. Read at the start.
    #[schemars(extend("format" = "socket-address"))]
    pub listen: Option<SocketAddr>,
}

/// Traces and metrics to an OpenTelemetry endpoint: OTLP over HTTP with Protocol Buffers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpConfig {
    /// Base URL of the endpoint, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are added to it.
    pub endpoint: String,
    /// Further headers of each call, such as `authorization`. Values are texts, or secrets by reference.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// Spans are exported: one of each exchange, one of each upstream call. Default true.
    #[serde(default = "yes")]
    pub traces: bool,
    /// Metrics are exported. Default true.
    #[serde(default = "yes")]
    pub metrics: bool,
    /// Share of the traces that start here, 0 to 1. Where a request brings a `traceparent`, its flag `sampled` decides. Default 1.
    #[serde(default = "all")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
    /// Spans hold prompts and answers as a privacy policy has masked them; exchanges without a policy hold none. Default false.
    #[serde(default)]
    pub content: bool,
    /// Time between two pushes of metrics. Default `15s`.
    #[serde(default = "interval")]
    pub interval: Span,
    /// Longest time of one call of the endpoint. Default `10s`.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Bodies are compressed with gzip. Default false.
    #[serde(default)]
    pub gzip: bool,
    /// Memory in which exchanges wait for the endpoint; what does not fit is dropped and counted. Default `16MiB`.
    #[serde(default = "queue")]
    pub queue: ByteSize,
    /// Name of this service (`service.name`). Default `aplomb`.
    #[serde(default = "service")]
    pub service: String,
    /// Further attributes of the resource, such as `deployment.environment.name`.
    #[serde(default)]
    pub attributes: IndexMap<String, String>,
}

fn yes() -> bool {
    true
}

fn all() -> f64 {
    1.0
}

fn interval() -> Span {
    Span(Duration::from_secs(15))
}

fn timeout() -> Span {
    Span(Duration::from_secs(10))
}

fn queue() -> ByteSize {
    ByteSize(16 << 20)
}

fn service() -> String {
    "aplomb".to_owned()
}
