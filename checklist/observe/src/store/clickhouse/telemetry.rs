//! Metrics of shipping, and its state for people.

use crate::metrics::families::Kind;
use crate::metrics::{Counter, Gauge};
use serde::Serialize;

/// What is counted of shipping.
#[derive(Debug, Default)]
pub struct ShipMetrics {
    /// 1 where a ClickHouse is configured; nothing is shown without.
    pub configured: Gauge,
    /// Rows that ClickHouse has taken: exchanges, feedback, scores.
    pub shipped_rows: Counter,
    /// Inserts and migrations that failed and were tried again.
    pub failed_inserts: Counter,
    /// Rows that were removed from the data folder for want of space before they were shipped.
    pub lost_rows: Counter,
    /// Rows in the data folder that wait.
    pub backlog_rows: Gauge,
    /// Age of the oldest of them, in seconds.
    pub lag_seconds: Gauge,
}

impl ShipMetrics {
    /// Names, kinds, meanings and values. All are 0 where no ClickHouse is configured.
    pub fn samples(&self) -> [(&'static str, Kind, &'static str, u64); 5] {
        [
            (
                "aplomb_clickhouse_shipped_rows_total",
                Kind::Counter,
                "Rows that ClickHouse has taken.",
                self.shipped_rows.get(),
            ),
            (
                "aplomb_clickhouse_failed_inserts_total",
                Kind::Counter,
                "Inserts that failed and were tried again.",
                self.failed_inserts.get(),
            ),
            (
                "aplomb_clickhouse_lost_rows_total",
                Kind::Counter,
                "Rows that were removed for want of space before they were shipped.",
                self.lost_rows.get(),
            ),
            (
                "aplomb_clickhouse_backlog_rows",
                Kind::Gauge,
                "Rows that wait to be shipped.",
                self.backlog_rows.get(),
            ),
            (
                "aplomb_clickhouse_lag_seconds",
                Kind::Gauge,
                "Age of the oldest row that waits.",
                self.lag_seconds.get(),
            ),
        ]
    }
}

/// State of shipping, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShipHealth {
    /// `ok`, or `failing`: the last try failed, rows wait in the data folder and it is tried again.
    pub state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Rows that wait.
    pub backlog_rows: u64,
    /// Age of the oldest of them, in seconds.
    pub lag_seconds: u64,
    /// Rows that were shipped since the start.
    pub shipped_rows: u64,
    /// Rows that were removed before they were shipped.
    pub lost_rows: u64,
}
