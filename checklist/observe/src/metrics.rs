//! Metrics in the Prometheus text format. Handles are plain fields: counting costs one atomic addition, no look-up.

use crate::record::Outcome;
use crate::store::clickhouse::telemetry::ShipMetrics;
use crate::store::embedded::Feedback;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the time buckets, in seconds. From a cached answer to a long one.
const BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// Times in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len()],
    count: Counter,
    micros: Counter,
}

impl Histogram {
    /// Notes one time.
    pub fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        if let Some(bucket) = BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .and_then(|at| self.buckets.get(at))
        {
            bucket.add(1);
        }
        self.count.add(1);
        self.micros
            .add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    fn render(&self, name: &str, labels: &str, out: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut sum = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.buckets) {
            sum += bucket.get();
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {sum}");
        }
        let _ = writeln!(
            out,
            "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}",
            self.count.get()
        );
        let _ = writeln!(
            out,
            "{name}_sum{{{labels}}} {}",
            Duration::from_micros(self.micros.get()).as_secs_f64()
        );
        let _ = writeln!(out, "{name}_count{{{labels}}} {}", self.count.get());
    }
}

/// What is counted for each target.
#[derive(Debug, Default)]
pub struct TargetMetrics {
    /// Upstream calls that gave an answer.
    pub answered: Counter,
    /// Upstream calls that failed.
    pub failed: Counter,
    /// Input tokens.
    pub input_tokens: Counter,
    /// Output tokens.
    pub output_tokens: Counter,
    /// Time from an attempt's start to its first content.
    pub ttft: Histogram,
}

/// All metrics of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Evaluations.
    pub evals: crate::evals::online::EvalMetrics,
    /// Exchanges by outcome, in the order of [`Outcome::ALL`].
    pub requests: [Counter; Outcome::ALL.len()],
    /// Requests that were refused before the pipeline (authentication, malformed, unknown model).
    pub refused: Counter,
    /// Exchanges that run now.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Whole time of exchanges.
    pub duration: Histogram,
    /// The gateway's own part of the time to the first content.
    pub overhead: Histogram,
    /// Records handed to the writer.
    pub records_queued: Counter,
    /// Records written.
    pub records_written: Counter,
    /// Records lost: the queue was full or the disk failed.
    pub records_lost: Counter,
    /// Records whose text was cut to its head, since the queue was over half full.
    pub records_text_shed: Counter,
    /// Records whose text was left out, since the queue was full.
    pub records_text_lost: Counter,
    /// Commits that failed and were tried again.
    pub records_commit_failed: Counter,
    /// 1 while records can't be written.
    pub records_store_down: Gauge,
    /// Files of records that were damaged and put aside.
    pub records_files_damaged: Counter,
    /// Time of a commit of records.
    pub records_commit: Histogram,
    /// Configurations that were taken over.
    pub reload_ok: Counter,
    /// Configurations that were refused; the one before stays.
    pub reload_error: Counter,
    /// Requests that a privacy policy refused.
    pub privacy_refused: Counter,
    /// Requests that no provider with the required agreement could take.
    pub privacy_no_agreement: Counter,
    /// Values put back into answers.
    pub privacy_restored: Counter,
    /// Alerts that began to fire.
    pub alerts_fired: Counter,
    /// Messages of alerts that could not be delivered.
    pub alerts_untold: Counter,
    /// Feedback with a thumb up.
    pub feedback_up: Counter,
    /// Feedback with a thumb down.
    pub feedback_down: Counter,
    /// Other feedback.
    pub feedback_other: Counter,
    /// Placeholders that went to clients although their values should stand there.
    pub privacy_unrestored: Counter,
    /// Texts of a placeholder's form in answers to requests that did not make them.
    pub privacy_foreign: Counter,
    /// Shipping to ClickHouse.
    pub clickhouse: ShipMetrics,
    targets: Mutex<BTreeMap<String, Arc<TargetMetrics>>>,
    /// Values by kind and action. Kinds are those of the configuration: few.
    entities: Mutex<BTreeMap<String, u64>>,
}

/// Most targets with metrics of their own. `provider/model` comes from clients, so labels need a bound.
const TARGETS_MAX: usize = 500;

impl Metrics {
    /// The handle of a target, to be kept. Beyond a bound all share the target `other`.
    pub fn target(&self, name: &str) -> Arc<TargetMetrics> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = targets.len() >= TARGETS_MAX && !targets.contains_key(name);
        targets
            .entry(if full { "other" } else { name }.to_owned())
            .or_default()
            .clone()
    }

    /// Counts feedback.
    pub fn feedback(&self, feedback: &Feedback) {
        match feedback.thumb {
            Some(1) => self.feedback_up.add(1),
            Some(-1) => self.feedback_down.add(1),
            _ => self.feedback_other.add(1),
        }
    }

    /// Counts values found by a privacy policy: by `KIND:action`.
    pub fn entities(&self, counts: &BTreeMap<String, u32>) {
        let mut all = self.entities.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, count) in counts {
            let sum = all.entry(name.clone()).or_default();
            *sum = sum.saturating_add(u64::from(*count));
        }
    }

    fn render_entities(&self, out: &mut String) {
        let name = "aplomb_privacy_entities_total";
        header(out, name, "counter", "Values found, by kind and action.");
        let all = self.entities.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in &*all {
            let (kind, action) = key.split_once(':').unwrap_or((key, ""));
            let _ = writeln!(out, "{name}{{kind=\"{kind}\",action=\"{action}\"}} {count}");
        }
    }

    /// Counts an ended exchange.
    pub fn ended(&self, outcome: Outcome, duration: Duration) {
        let at = Outcome::ALL.iter().position(|known| *known == outcome);
        if let Some(counter) = at.and_then(|at| self.requests.get(at)) {
            counter.add(1);
        }
        self.duration.observe(duration);
    }

    /// Metrics without labels: name, type, help, value.
    fn plain(&self) -> [(&'static str, &'static str, &'static str, u64); 16] {
        [
            (
                "aplomb_alerts_fired_total",
                "counter",
                "Alerts that began to fire.",
                self.alerts_fired.get(),
            ),
            (
                "aplomb_alerts_undelivered_total",
                "counter",
                "Messages of alerts that could not be delivered.",
                self.alerts_untold.get(),
            ),
            (
                "aplomb_records_commit_failed_total",
                "counter",
                "Commits of records that failed and were tried again.",
                self.records_commit_failed.get(),
            ),
            (
                "aplomb_records_store_down",
                "gauge",
                "1 while records can't be written.",
                self.records_store_down.get(),
            ),
            (
                "aplomb_records_files_damaged_total",
                "counter",
                "Files of records that were damaged and put aside.",
                self.records_files_damaged.get(),
            ),
            (
                "aplomb_requests_refused_total",
                "counter",
                "Requests refused before the pipeline.",
                self.refused.get(),
            ),
            (
                "aplomb_requests_in_flight",
                "gauge",
                "Exchanges that run now.",
                self.in_flight.get(),
            ),
            (
                "aplomb_connections_open",
                "gauge",
                "Open client connections.",
                self.connections.get(),
            ),
            (
                "aplomb_privacy_refused_total",
                "counter",
                "Requests refused by a privacy policy.",
                self.privacy_refused.get(),
            ),
            (
                "aplomb_privacy_no_agreement_total",
                "counter",
                "Requests refused since no provider has the required agreement.",
                self.privacy_no_agreement.get(),
            ),
            (
                "aplomb_privacy_restored_total",
                "counter",
                "Values put back into answers.",
                self.privacy_restored.get(),
            ),
            (
                "aplomb_privacy_placeholders_unrestored_total",
                "counter",
                "Placeholders that went to clients although their values should stand there.",
                self.privacy_unrestored.get(),
            ),
            (
                "aplomb_privacy_placeholders_foreign_total",
                "counter",
                "Texts of a placeholder's form in answers to requests that did not make them.",
                self.privacy_foreign.get(),
            ),
            (
                "aplomb_records_queued_total",
                "counter",
                "Records handed to the writer.",
                self.records_queued.get(),
            ),
            (
                "aplomb_records_written_total",
                "counter",
                "Records written.",
                self.records_written.get(),
            ),
            (
                "aplomb_records_lost_total",
                "counter",
                "Records lost.",
                self.records_lost.get(),
            ),
        ]
    }

    /// All of them as Prometheus text.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(8192);
        header(
            &mut out,
            "aplomb_requests_total",
            "counter",
            "Exchanges by outcome.",
        );
        for (outcome, counter) in Outcome::ALL.iter().zip(&self.requests) {
            let _ = writeln!(
                out,
                "aplomb_requests_total{{outcome=\"{}\"}} {}",
                outcome.name(),
                counter.get()
            );
        }
        for (name, kind, help, value) in self.plain() {
            header(&mut out, name, kind, help);
            let _ = writeln!(out, "{name} {value}");
        }
        header(
            &mut out,
            "aplomb_config_reload_total",
            "counter",
            "Configuration reloads by outcome.",
        );
        let _ = writeln!(
            out,
            "aplomb_config_reload_total{{outcome=\"ok\"}} {}",
            self.reload_ok.get()
        );
        let _ = writeln!(
            out,
            "aplomb_config_reload_total{{outcome=\"error\"}} {}",
            self.reload_error.get()
        );
        header(
            &mut out,
            "aplomb_request_duration_seconds",
            "histogram",
            "Whole time of exchanges.",
        );
        self.duration
            .render("aplomb_request_duration_seconds", "", &mut out);
        header(
            &mut out,
            "aplomb_gateway_overhead_seconds",
            "histogram",
            "The gateway's own part of the time to the first content.",
        );
        self.overhead
            .render("aplomb_gateway_overhead_seconds", "", &mut out);
        self.render_records(&mut out);
        self.render_targets(&mut out);
        self.render_entities(&mut out);
        self.render_evals(&mut out);
        self.clickhouse.render(&mut out);
        out
    }

    fn render_records(&self, out: &mut String) {
        let by = |out: &mut String,
                  (name, help, label): (&str, &str, &str),
                  values: &[(&str, &Counter)]| {
            header(out, name, "counter", help);
            for (value, counter) in values {
                let _ = writeln!(out, "{name}{{{label}=\"{value}\"}} {}", counter.get());
            }
        };
        let shed = (
            "aplomb_records_text_shed_total",
            "Records whose text was not kept whole, since the queue was behind.",
            "kept",
        );
        by(
            out,
            shed,
            &[
                ("head", &self.records_text_shed),
                ("none", &self.records_text_lost),
            ],
        );
        let feedback = ("aplomb_feedback_total", "Feedback by thumb.", "thumb");
        by(
            out,
            feedback,
            &[
                ("up", &self.feedback_up),
                ("down", &self.feedback_down),
                ("none", &self.feedback_other),
            ],
        );
        let name = "aplomb_records_commit_seconds";
        header(out, name, "histogram", "Time of a commit of records.");
        self.records_commit.render(name, "", out);
    }

    fn render_evals(&self, out: &mut String) {
        for (name, help, counter) in self.evals.plain() {
            let name = format!("aplomb_evals_{name}_total");
            header(out, &name, "counter", help);
            let _ = writeln!(out, "{name} {}", counter.get());
        }
    }

    fn render_targets(&self, out: &mut String) {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        header(
            out,
            "aplomb_upstream_calls_total",
            "counter",
            "Upstream calls by target and outcome.",
        );
        for (name, target) in targets.iter() {
            let name = escape(name);
            let _ = writeln!(
                out,
                "aplomb_upstream_calls_total{{target=\"{name}\",outcome=\"answered\"}} {}",
                target.answered.get()
            );
            let _ = writeln!(
                out,
                "aplomb_upstream_calls_total{{target=\"{name}\",outcome=\"failed\"}} {}",
                target.failed.get()
            );
        }
        header(
            out,
            "aplomb_tokens_total",
            "counter",
            "Tokens by target and direction.",
        );
        for (name, target) in targets.iter() {
            let name = escape(name);
            let _ = writeln!(
                out,
                "aplomb_tokens_total{{target=\"{name}\",direction=\"input\"}} {}",
                target.input_tokens.get()
            );
            let _ = writeln!(
                out,
                "aplomb_tokens_total{{target=\"{name}\",direction=\"output\"}} {}",
                target.output_tokens.get()
            );
        }
        header(
            out,
            "aplomb_upstream_ttft_seconds",
            "histogram",
            "Time from an attempt's start to its first content.",
        );
        for (name, target) in targets.iter() {
            target.ttft.render(
                "aplomb_upstream_ttft_seconds",
                &format!("target=\"{}\"", escape(name)),
                out,
            );
        }
    }
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_text_holds_what_was_counted() {
        let metrics = Metrics::default();
        metrics.ended(Outcome::Cut, Duration::from_millis(30));
        metrics.target("a/\"b\"").answered.add(2);
        let text = metrics.render();
        assert!(text.contains("aplomb_requests_total{outcome=\"cut\"} 1\n"));
        assert!(text.contains("aplomb_request_duration_seconds_bucket{le=\"0.025\"} 0\n"));
        assert!(text.contains("aplomb_request_duration_seconds_bucket{le=\"0.05\"} 1\n"));
        assert!(text.contains(
            "aplomb_upstream_calls_total{target=\"a/\\\"b\\\"\",outcome=\"answered\"} 2\n"
        ));
    }

    #[test]
    fn targets_are_bounded() {
        let metrics = Metrics::default();
        for n in 0..TARGETS_MAX + 50 {
            metrics.target(&n.to_string()).failed.add(1);
        }
        assert_eq!(metrics.target("new one").failed.get(), 50);
    }
}
