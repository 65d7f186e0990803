//! Aplomb latency.
