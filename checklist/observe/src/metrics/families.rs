//! All metrics as families of samples; the Prometheus text and the reference page are made from them.

mod latency;
mod limits;
mod protect;
mod validate;

use super::{
    CacheMetrics, Counter, ExportMetrics, Metrics, RouteMetrics, ShareMetrics, Snapshot,
    TargetMetrics, TenantMetrics, locked,
};
use crate::otel::names;
use crate::record::{Outcome, SharedBy};
use aplomb_core::error::ErrorCode;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// How the numbers of a family behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// Numbers in buckets.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram.
    Buckets(Snapshot),
}

/// Names and values of labels.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// One value with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: Value,
}

/// All samples of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
    /// Unit, as UCUM writes it; empty for plain numbers.
    pub unit: &'static str,
    /// Its samples.
    pub samples: Vec<Sample>,
}

impl Family {
    fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        let unit = if name.ends_with("_seconds") {
            "s"
        } else if name.ends_with("_bytes") {
            "By"
        } else if name.contains("_usd_") {
            "{USD}"
        } else if name.contains("tokens") {
            "{token}"
        } else {
            ""
        };
        Family {
            name,
            kind,
            help,
            unit,
            samples: Vec::new(),
        }
    }

    fn counter(name: &'static str, help: &'static str) -> Self {
        Family::new(name, Kind::Counter, help)
    }

    fn histogram(name: &'static str, help: &'static str) -> Self {
        Family::new(name, Kind::Histogram, help)
    }

    fn push(&mut self, labels: Labels, value: f64) {
        self.samples.push(Sample {
            labels,
            value: Value::Number(value),
        });
    }

    fn buckets(&mut self, labels: Labels, snapshot: Snapshot) {
        self.samples.push(Sample {
            labels,
            value: Value::Buckets(snapshot),
        });
    }

    fn with(mut self, labels: Labels, value: f64) -> Self {
        self.push(labels, value);
        self
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers above 2^53 keep their size"
)]
fn number(n: u64) -> f64 {
    n as f64
}

/// Nano-dollars as dollars.
fn usd(nano: &Counter) -> f64 {
    number(nano.get()) / 1e9
}

fn one(name: &'static str, value: impl Into<Cow<'static, str>>) -> Labels {
    vec![(name, value.into())]
}

fn two(
    first: (&'static str, &str),
    second: (&'static str, impl Into<Cow<'static, str>>),
) -> Labels {
    vec![
        (first.0, Cow::Owned(first.1.to_owned())),
        (second.0, second.1.into()),
    ]
}

/// Adds up snapshots of the same bounds.
fn sum(bounds: &'static [f64], parts: impl Iterator<Item = Snapshot>) -> Snapshot {
    parts.fold(Snapshot::empty(bounds), |mut sum, part| {
        sum.add(&part);
        sum
    })
}

impl Metrics {
    /// The gateway's own metrics, `aplomb_...`.
    pub fn families(&self) -> Vec<Family> {
        let mut all = vec![self.requests_family(), self.errors_family()];
        all.extend(self.plain().map(|(name, kind, help, value)| {
            let kind = if kind == "gauge" {
                Kind::Gauge
            } else {
                Kind::Counter
            };
            Family::new(name, kind, help).with(Vec::new(), number(value))
        }));
        all.extend(self.process_families());
        all.extend(self.records_families());
        all.extend(route_families(&self.routes.all()));
        all.extend(target_families(&self.targets.all()));
        all.extend(tenant_families(&self.tenants.all()));
        all.extend(latency::cache_families(&self.caches.all()));
        all.extend(limits::families(self));
        all.push(latency::hint_family(self));
        all.extend(protect::families(&self.protect));
        all.extend(validate::families(self));
        all.extend(latency::share_families([
            (SharedBy::Content, &*self.share_content),
            (SharedBy::Key, &*self.share_key),
        ]));
        all.push(self.entities_family());
        all.extend(self.otlp_families());
        all.extend(self.evals.plain().map(|(name, help, counter)| {
            Family::counter(name, help).with(Vec::new(), number(counter.get()))
        }));
        all.extend(self.clickhouse.samples().map(|(name, kind, help, value)| {
            Family::new(name, kind, help).with(Vec::new(), number(value))
        }));
        all
    }

    /// All of them as Prometheus text (format 0.0.4).
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        for family in self.families() {
            render(&family, &mut out);
        }
        out
    }

    fn requests_family(&self) -> Family {
        let mut family = Family::counter("aplomb_requests_total", "Exchanges by outcome.");
        for (outcome, counter) in Outcome::ALL.iter().zip(&self.requests) {
            family.push(one("outcome", outcome.name()), number(counter.get()));
        }
        family
    }

    fn errors_family(&self) -> Family {
        let help = "Errors that clients got, by code; `upstream` is a provider's own error.";
        let mut family = Family::counter("aplomb_errors_total", help);
        for (code, counter) in ErrorCode::ALL.iter().zip(&self.errors) {
            family.push(one("code", code.name()), number(counter.get()));
        }
        family
    }

    fn process_families(&self) -> [Family; 4] {
        let reload = Family::counter(
            "aplomb_config_reload_total",
            "Configuration reloads by outcome.",
        )
        .with(one("outcome", "ok"), number(self.reload_ok.get()))
        .with(one("outcome", "error"), number(self.reload_error.get()));
        let mut duration = Family::histogram(
            "aplomb_request_duration_seconds",
            "Whole time of exchanges.",
        );
        duration.buckets(Vec::new(), self.duration.snapshot());
        let mut overhead = Family::histogram(
            "aplomb_gateway_overhead_seconds",
            "The gateway's own part of the time to the first content.",
        );
        overhead.buckets(Vec::new(), self.overhead.snapshot());
        let build = Family::new(
            "aplomb_build_info",
            Kind::Gauge,
            "Always 1; the label tells the version.",
        )
        .with(one("version", env!("CARGO_PKG_VERSION")), 1.0);
        [reload, duration, overhead, build]
    }

    fn records_families(&self) -> [Family; 5] {
        let shed = Family::counter(
            "aplomb_records_text_shed_total",
            "Records whose text was not kept whole, since the queue was behind.",
        )
        .with(one("kept", "head"), number(self.records_text_shed.get()))
        .with(one("kept", "none"), number(self.records_text_lost.get()));
        let feedback = Family::counter("aplomb_feedback_total", "Feedback by thumb.")
            .with(one("thumb", "up"), number(self.feedback_up.get()))
            .with(one("thumb", "down"), number(self.feedback_down.get()))
            .with(one("thumb", "none"), number(self.feedback_other.get()));
        let mut commit = Family::histogram(
            "aplomb_records_commit_seconds",
            "Time of a commit of records.",
        );
        commit.buckets(Vec::new(), self.records_commit.snapshot());
        let (bytes, lag) = self.queue_state();
        let bytes = Family::new(
            "aplomb_records_queue_bytes",
            Kind::Gauge,
            "Memory of records that wait for the disk.",
        )
        .with(Vec::new(), bytes);
        let lag = Family::new(
            "aplomb_records_lag_seconds",
            Kind::Gauge,
            "Age of the oldest record that waits for the disk.",
        )
        .with(Vec::new(), lag);
        [shed, feedback, commit, bytes, lag]
    }

    /// Bytes that wait, and seconds that the oldest has waited.
    fn queue_state(&self) -> (f64, f64) {
        let Some(queue) = self.records_queue.get() else {
            return (0.0, 0.0);
        };
        let waiting = queue.lock();
        let lag = waiting.oldest.map_or(0.0, |at| at.elapsed().as_secs_f64());
        (number(u64::try_from(waiting.bytes).unwrap_or(0)), lag)
    }

    fn entities_family(&self) -> Family {
        let mut family = Family::counter(
            "aplomb_privacy_entities_total",
            "Values found, by kind and action.",
        );
        for (key, count) in &*locked(&self.entities) {
            let (kind, action) = key.split_once(':').unwrap_or((key, ""));
            let labels = two(("kind", kind), ("action", action.to_owned()));
            family.push(labels, number(*count));
        }
        family
    }

    fn otlp_families(&self) -> [Family; 3] {
        let by = |name, help, pick: fn(&ExportMetrics) -> &Counter| {
            Family::counter(name, help)
                .with(
                    one("signal", "traces"),
                    number(pick(&self.otlp_traces).get()),
                )
                .with(
                    one("signal", "metrics"),
                    number(pick(&self.otlp_metrics).get()),
                )
        };
        [
            by(
                "aplomb_otlp_sent_total",
                "Spans and metric points that the OTLP endpoint has taken.",
                |one| &one.sent,
            ),
            by(
                "aplomb_otlp_dropped_total",
                "Spans and metric points that were given up: the queue was full, or the endpoint was away or refused them.",
                |one| &one.dropped,
            ),
            by(
                "aplomb_otlp_failed_total",
                "Calls of the OTLP endpoint that failed; most are tried again.",
                |one| &one.failed,
            ),
        ]
    }

    /// The histograms of the GenAI conventions, for the OTLP export.
    pub fn genai_families(&self) -> Vec<Family> {
        let mut all = client_families(&self.targets.all());
        all.extend(server_families(&self.routes.all()));
        all.retain(|family| !family.samples.is_empty());
        all
    }
}

/// Name and meaning of a counter, and its value.
type Plain<T> = (&'static str, &'static str, fn(&T) -> f64);

type Named<T> = [(String, Arc<T>)];

/// One counter of each named thing.
fn each<T>(family: &mut Family, label: &'static str, all: &Named<T>, value: impl Fn(&T) -> f64) {
    for (name, one_of) in all {
        family.push(one(label, name.clone()), value(one_of));
    }
}

/// Tokens in both directions of each named thing.
fn tokens<T>(
    family: &mut Family,
    label: &'static str,
    all: &Named<T>,
    pick: impl Fn(&T) -> (&Counter, &Counter),
) {
    for (name, one_of) in all {
        let (input, output) = pick(one_of);
        for (direction, counter) in [("input", input), ("output", output)] {
            let labels = two((label, name), ("direction", direction));
            family.push(labels, number(counter.get()));
        }
    }
}

fn route_families(all: &Named<RouteMetrics>) -> Vec<Family> {
    let label = "route";
    let mut requests = Family::counter(
        "aplomb_route_requests_total",
        "Exchanges by route and outcome; `(direct)` is what names a model without a route.",
    );
    for (name, route) in all {
        for (outcome, counter) in Outcome::ALL.iter().zip(&route.requests) {
            let labels = two((label, name), ("outcome", outcome.name()));
            requests.push(labels, number(counter.get()));
        }
    }
    let mut used = Family::counter(
        "aplomb_route_tokens_total",
        "Tokens by route and direction.",
    );
    tokens(&mut used, label, all, |route| {
        (&route.input_tokens, &route.output_tokens)
    });
    let mut families = vec![requests, used];
    let plain: [Plain<RouteMetrics>; 6] = [
        (
            "aplomb_retries_refused_total",
            "Retries that were not made since the provider's retry budget was used up, by route.",
            |route| number(route.retries_refused.get()),
        ),
        (
            "aplomb_gate_waits_total",
            "Requests that waited since every target had asked to be left alone, by route.",
            |route| number(route.gate_waits.get()),
        ),
        (
            "aplomb_route_cost_usd_total",
            "Cost in US dollars by route, where the price is known.",
            |route| usd(&route.cost_nano),
        ),
        (
            "aplomb_route_cost_unknown_total",
            "Answers by route whose price is not known.",
            |route| number(route.cost_unknown.get()),
        ),
        (
            "aplomb_retries_total",
            "Further calls to the same target after a failed one, by route.",
            |route| number(route.retries.get()),
        ),
        (
            "aplomb_fallbacks_total",
            "Calls to the next target after a failed one, by route.",
            |route| number(route.fallbacks.get()),
        ),
    ];
    for (name, help, value) in plain {
        let mut family = Family::counter(name, help);
        each(&mut family, label, all, value);
        families.push(family);
    }
    let mut hedges = Family::counter(
        "aplomb_hedges_total",
        "Second calls by route and outcome; `refused` were not sent since the budget was used up.",
    );
    for (name, route) in all {
        for (outcome, counter) in [
            ("won", &route.hedges_won),
            ("lost", &route.hedges_lost),
            ("refused", &route.hedges_refused),
        ] {
            let labels = two((label, name), ("outcome", outcome));
            hedges.push(labels, number(counter.get()));
        }
    }
    families.push(hedges);
    families.extend(latency::route_times(all));
    families
}

fn target_families(all: &Named<TargetMetrics>) -> Vec<Family> {
    let label = "target";
    let mut calls = Family::counter(
        "aplomb_upstream_calls_total",
        "Upstream calls by target and outcome.",
    );
    let mut faults = Family::counter(
        "aplomb_upstream_faults_total",
        "Failed upstream calls by target and class of the failure.",
    );
    for (name, target) in all {
        for (outcome, counter) in [("answered", &target.answered), ("failed", &target.failed)] {
            let labels = two((label, name), ("outcome", outcome));
            calls.push(labels, number(counter.get()));
        }
        for (class, count) in &*locked(&target.faults) {
            faults.push(two((label, name), ("fault", *class)), number(*count));
        }
    }
    let mut used = Family::counter("aplomb_tokens_total", "Tokens by target and direction.");
    tokens(&mut used, label, all, |target| {
        (&target.input_tokens, &target.output_tokens)
    });
    let mut cost = Family::counter(
        "aplomb_cost_usd_total",
        "Cost in US dollars by target, where the price is known.",
    );
    each(&mut cost, label, all, |target| usd(&target.cost_nano));
    let mut unknown = Family::counter(
        "aplomb_cost_unknown_total",
        "Answers by target whose price is not known.",
    );
    each(&mut unknown, label, all, |target| {
        number(target.cost_unknown.get())
    });
    let mut open = Family::new(
        "aplomb_breakers_open",
        Kind::Gauge,
        "Breakers that are not closed, by target: one a key.",
    );
    each(&mut open, label, all, |target| {
        number(target.breakers_open.get())
    });
    let mut opened = Family::counter(
        "aplomb_breaker_opened_total",
        "How often a breaker opened, by target.",
    );
    each(&mut opened, label, all, |target| {
        number(target.breaker_opened.get())
    });
    let mut over = Family::counter(
        "aplomb_provider_over_budget_total",
        "Calls that were not made since the budget of the provider's key was used up, by target.",
    );
    each(&mut over, label, all, |target| {
        number(target.over_budget.get())
    });
    let mut aside = Family::counter(
        "aplomb_keys_set_aside_total",
        "How often a key was set aside, by target that found it: not accepted, or without quota.",
    );
    each(&mut aside, label, all, |target| {
        number(target.keys_aside.get())
    });
    let mut families = vec![
        calls, faults, used, cost, unknown, open, opened, over, aside,
    ];
    families.extend(latency::target_times(all));
    families.extend(latency::queue_families(all));
    families
}

fn tenant_families(all: &Named<TenantMetrics>) -> [Family; 3] {
    let label = "tenant";
    let mut requests = Family::counter(
        "aplomb_tenant_requests_total",
        "Exchanges by tenant, and whether the caller got what was asked for; 100 tenants, the rest is `other`.",
    );
    for (name, tenant) in all {
        let failed = tenant.failed.get();
        let good = tenant.requests.get().saturating_sub(failed);
        for (outcome, count) in [("good", good), ("failed", failed)] {
            requests.push(two((label, name), ("outcome", outcome)), number(count));
        }
    }
    let mut used = Family::counter(
        "aplomb_tenant_tokens_total",
        "Tokens by tenant and direction.",
    );
    tokens(&mut used, label, all, |tenant| {
        (&tenant.input_tokens, &tenant.output_tokens)
    });
    let mut cost = Family::counter(
        "aplomb_tenant_cost_usd_total",
        "Cost in US dollars by tenant, where the price is known.",
    );
    each(&mut cost, label, all, |tenant| usd(&tenant.cost_nano));
    [requests, used, cost]
}

fn genai(metric: &names::Metric) -> Family {
    Family {
        name: metric.name,
        kind: Kind::Histogram,
        help: metric.help,
        unit: metric.unit,
        samples: Vec::new(),
    }
}

fn client_families(all: &Named<TargetMetrics>) -> Vec<Family> {
    let mut duration = genai(&names::CLIENT_DURATION);
    let mut usage = genai(&names::CLIENT_TOKENS);
    let mut first = genai(&names::CLIENT_FIRST_CHUNK);
    let mut per = genai(&names::CLIENT_PER_CHUNK);
    for (target, metrics) in all {
        for (operation, series) in metrics.client.used() {
            let labels = client_labels(target, metrics, operation);
            for (error, times) in series.duration.all() {
                let labels = with_error(&labels, error);
                some(&mut duration, labels, times);
            }
            for (kind, histogram) in [("input", &series.input), ("output", &series.output)] {
                let mut labels = labels.clone();
                labels.push((names::TOKEN_TYPE, kind.into()));
                some(&mut usage, labels, histogram.snapshot());
            }
            some(&mut first, labels.clone(), series.first_chunk.snapshot());
            some(&mut per, labels, series.per_chunk.snapshot());
        }
    }
    vec![duration, usage, first, per]
}

fn client_labels(target: &str, metrics: &TargetMetrics, operation: &'static str) -> Labels {
    let (provider, model) = target.split_once('/').unwrap_or((target, ""));
    let mut labels: Labels = vec![
        (names::OPERATION_NAME, operation.into()),
        (
            names::PROVIDER_NAME,
            names::provider(provider).to_owned().into(),
        ),
    ];
    if !model.is_empty() {
        labels.push((names::REQUEST_MODEL, model.to_owned().into()));
    }
    if let Some((host, port)) = metrics.peer.get().filter(|_| !model.is_empty()) {
        labels.push((names::SERVER_ADDRESS, host.clone().into()));
        labels.push((names::SERVER_PORT, port.to_string().into()));
    }
    labels
}

fn server_families(all: &Named<RouteMetrics>) -> Vec<Family> {
    let mut duration = genai(&names::SERVER_DURATION);
    let mut ttft = genai(&names::SERVER_TTFT);
    let mut per_token = genai(&names::SERVER_PER_TOKEN);
    for (route, metrics) in all {
        for (operation, series) in metrics.server.used() {
            let labels: Labels = vec![
                (names::OPERATION_NAME, operation.into()),
                // To applications the gateway is the provider, and a route is its model.
                (names::PROVIDER_NAME, "aplomb".into()),
                (names::REQUEST_MODEL, route.clone().into()),
            ];
            for (error, times) in series.duration.all() {
                some(&mut duration, with_error(&labels, error), times);
            }
            some(&mut ttft, labels.clone(), series.ttft.snapshot());
            some(&mut per_token, labels, series.per_token.snapshot());
        }
    }
    vec![duration, ttft, per_token]
}

fn with_error(labels: &Labels, error: Option<&'static str>) -> Labels {
    let error = error.map(|error| (names::ERROR_TYPE, error.into()));
    labels.iter().cloned().chain(error).collect()
}

/// Adds a histogram that holds something.
fn some(family: &mut Family, labels: Labels, snapshot: Snapshot) {
    if snapshot.count() > 0 {
        family.buckets(labels, snapshot);
    }
}

fn render(family: &Family, out: &mut String) {
    let Family {
        name, kind, help, ..
    } = family;
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    for sample in &family.samples {
        match &sample.value {
            Value::Number(value) => line(out, (name, ""), &sample.labels, *value),
            Value::Buckets(snapshot) => render_buckets(out, name, &sample.labels, snapshot),
        }
    }
}

fn render_buckets(out: &mut String, name: &str, labels: &Labels, snapshot: &Snapshot) {
    let mut below = 0;
    let bounds = snapshot.bounds.iter().map(f64::to_string);
    let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
    for (bound, count) in bounds.zip(&snapshot.counts) {
        below += count;
        let mut labels = labels.clone();
        labels.push(("le", bound.into()));
        line(out, (name, "_bucket"), &labels, number(below));
    }
    line(out, (name, "_sum"), labels, snapshot.sum);
    line(out, (name, "_count"), labels, number(below));
}

fn line(out: &mut String, (name, ending): (&str, &str), labels: &Labels, value: f64) {
    let _ = write!(out, "{name}{ending}");
    let mut before = '{';
    for (label, text) in labels {
        let _ = write!(out, "{before}{label}=\"{}\"", escape(text));
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn escape(label: &str) -> Cow<'_, str> {
    if !label.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(label);
    }
    let text = label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    Cow::Owned(text)
}

/// Metrics that hold one of everything, so that every family and label shows.
fn sample_of_all() -> Metrics {
    use aplomb_core::request::Operation::ChatCompletions;
    use std::time::Duration;
    let metrics = Metrics::default();
    let second = Duration::from_secs(1);
    let (target, route) = (metrics.target("provider/model"), metrics.route("route"));
    target.fault("connect");
    // A new handle: this can't have been set.
    let _ = target.peer.set(("host".to_owned(), 443));
    metrics.tenant("tenant").requests.add(1);
    metrics.entities(&[("EMAIL:mask".to_owned(), 1)].into());
    metrics.limit("rule");
    metrics.validation.decided("pass");
    let validator = metrics.validator("validator");
    validator.failed("length");
    validator.took("retry");
    let cache = metrics.cache("cache");
    cache.miss("absent");
    cache.unkept("size");
    metrics.share_key.unkept("size");
    if let Some(series) = target.client.of(ChatCompletions) {
        series.duration.observe(second, Some("connect"));
        series.input.observe_count(1);
        series.first_chunk.observe(second);
        series.per_chunk.observe(second);
        series.per_token.observe(second);
    }
    if let Some(series) = route.server.of(ChatCompletions) {
        series.duration.observe(second, Some("upstream_failed"));
        series.ttft.observe(second);
        series.per_token.observe(second);
    }
    metrics
}

/// The reference page of the metrics.
pub fn reference() -> String {
    let metrics = sample_of_all();
    let mut page = String::from(
        "# Metrics\n\nGenerated; do not edit. How they are scraped and pushed: [observability.md](observability.md).\n\n\
         ## Prometheus and OTLP\n\nAt `/metrics`, and pushed by `observe.otlp` under the same names. Labels have bounds: \
         500 targets, 500 routes, 100 tenants; what comes later shares the value `other`. Users are never a label.\n\n",
    );
    table(&mut page, &metrics.families());
    page.push_str(
        "\n## OTLP only\n\nThe histograms of the OpenTelemetry GenAI conventions, with their buckets: `gen_ai.client.*` for \
         upstream calls, `gen_ai.server.*` for what applications see; the difference is the gateway's own part.\n\n",
    );
    table(&mut page, &metrics.genai_families());
    page
}

fn table(page: &mut String, families: &[Family]) {
    page.push_str("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for family in families {
        let labels = family.samples.iter().max_by_key(|one| one.labels.len());
        let labels: Vec<String> = labels
            .iter()
            .flat_map(|sample| &sample.labels)
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            family.name,
            family.kind.name(),
            family.unit,
            labels.join(", "),
            family.help
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn families_have_names_of_their_own_and_fit_the_format() {
        let families = sample_of_all().families();
        let names: HashSet<&str> = families.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), families.len());
        for family in &families {
            let total = family.name.ends_with("_total");
            assert_eq!(total, family.kind == Kind::Counter, "{}", family.name);
            assert!(!family.samples.is_empty(), "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.help);
        }
    }

    #[test]
    fn no_label_tells_who_asked() {
        let metrics = sample_of_all();
        let all = [metrics.families(), metrics.genai_families()].concat();
        let labels = all.iter().flat_map(|family| &family.samples);
        for (name, _) in labels.flat_map(|sample| &sample.labels) {
            assert!(
                !name.contains("user") && !name.contains("session"),
                "{name}"
            );
        }
    }

    #[test]
    fn buckets_are_summed_up_and_end_with_all() {
        let metrics = Metrics::default();
        let route = metrics.route("r");
        let series = route
            .server
            .of(aplomb_core::request::Operation::Messages)
            .unwrap();
        for ms in [5, 30, 700, 90_000] {
            series.ttft.observe(std::time::Duration::from_millis(ms));
        }
        let text = metrics.render();
        for line in [
            "aplomb_ttft_seconds_bucket{route=\"r\",le=\"0.005\"} 1\n",
            "aplomb_ttft_seconds_bucket{route=\"r\",le=\"0.75\"} 3\n",
            "aplomb_ttft_seconds_bucket{route=\"r\",le=\"10\"} 3\n",
            "aplomb_ttft_seconds_bucket{route=\"r\",le=\"+Inf\"} 4\n",
            "aplomb_ttft_seconds_sum{route=\"r\"} 90.735\n",
            "aplomb_ttft_seconds_count{route=\"r\"} 4\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn money_is_in_dollars() {
        let metrics = Metrics::default();
        metrics.target("a/b").cost_nano.add(1_500_000);
        assert!(
            metrics
                .render()
                .contains("aplomb_cost_usd_total{target=\"a/b\"} 0.0015\n")
        );
    }
}
