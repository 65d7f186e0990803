//! The exporter's task: batches, HTTP, retries.
//!
//! Retried are 429, 502, 503, 504 and lost connections, with growing pauses or after `Retry-After` (OTLP/HTTP
//! specification, "Retryable Response Codes"); anything else is given up at once. Cumulative metrics that could not be sent
//! are not lost: the next push holds them.

use super::proto::{Message, Resource, Window, metric};
use super::span::Finished;
use super::{BATCH, Otel};
use crate::metrics::ExportMetrics;
use aplomb_core::civil::http_date;
use aplomb_engines::http::HttpClient;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long exchanges gather before they are sent.
const PACE: Duration = Duration::from_secs(1);
/// First and longest pause after a failure; it doubles.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Longest time that one batch of spans is tried; meanwhile the queue fills.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Most bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;

/// Where to export and what.
pub struct Settings {
    /// Where spans go.
    pub traces_to: Uri,
    /// Where metrics go.
    pub metrics_to: Uri,
    /// Spans are exported.
    pub traces: bool,
    /// Metrics are exported.
    pub metrics: bool,
    /// Headers of every call, credentials among them.
    pub headers: HeaderMap,
    /// Masked text is exported.
    pub content: bool,
    /// Share of the traces that start here, 0 to 1.
    pub sample: f64,
    /// Time between two pushes of metrics.
    pub interval: Duration,
    /// Bodies are compressed.
    pub gzip: bool,
    /// Longest time of one call.
    pub timeout: Duration,
    /// Most bytes of exchanges that wait.
    pub queue_bytes: usize,
    /// What is said of this process.
    pub resource: Resource,
    /// Connections.
    pub client: HttpClient,
}

impl Settings {
    /// Everything to the OTLP/HTTP endpoint with this base URL: `/v1/traces` and `/v1/metrics` are added to it.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn to(endpoint: &str) -> Result<Self, String> {
        let base = endpoint.trim_end_matches('/');
        let uri = |path: &str| {
            let uri: Result<Uri, _> = format!("{base}{path}").parse();
            uri.map_err(|_| "is not a valid URL".to_owned())
        };
        Ok(Settings {
            traces_to: uri("/v1/traces")?,
            metrics_to: uri("/v1/metrics")?,
            traces: true,
            metrics: true,
            headers: HeaderMap::new(),
            content: false,
            sample: 1.0,
            interval: Duration::from_secs(15),
            gzip: false,
            timeout: Duration::from_secs(10),
            queue_bytes: 16 << 20,
            resource: Resource::default(),
            client: HttpClient::new(Duration::from_secs(5)),
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
        }
    }
}

/// How a call of the endpoint went.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It has what it was sent, but for so many things.
    Taken(u64),
    /// It will never take it.
    Refused(String),
    /// It may take it later; after this time, if it said so.
    Later(Option<Duration>, String),
}

/// A body that is on its way.
struct Parcel<'a> {
    signal: Signal,
    body: Bytes,
    /// Spans or points in it.
    count: u64,
    /// How long it is tried.
    give_up: Duration,
    metrics: &'a ExportMetrics,
    failing: &'a AtomicBool,
}

impl Otel {
    /// Exports until [`Otel::close`], and then what is left. Runs in a task of its own.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.run_traces(), self.run_metrics());
    }

    async fn run_traces(&self) {
        let failing = AtomicBool::new(false);
        loop {
            self.gather().await;
            let (items, closed) = self.take();
            if items.is_empty() {
                if closed {
                    return;
                }
                continue;
            }
            let count = items.iter().map(|item| item.spans()).sum();
            let Some(settings) = self.settings.load_full().filter(|one| one.traces) else {
                self.metrics.otlp_traces.dropped.add(count);
                continue;
            };
            let Some(body) = self.encode(items, settings).await else {
                self.metrics.otlp_traces.dropped.add(count);
                continue;
            };
            let parcel = Parcel {
                signal: Signal::Traces,
                body,
                count,
                give_up: GIVE_UP,
                metrics: &self.metrics.otlp_traces,
                failing: &failing,
            };
            self.deliver(&parcel).await;
        }
    }

    /// Waits for something to send, and a little longer for more of it.
    async fn gather(&self) {
        let wait_for = |least: usize| async move {
            while !self.holds(least) {
                self.wake.notified().await;
            }
        };
        wait_for(1).await;
        // Out of time: what has come is sent.
        let _ = tokio::time::timeout(PACE, wait_for(BATCH)).await;
    }

    /// Whether so many exchanges wait, or no more will come.
    fn holds(&self, least: usize) -> bool {
        let waiting = self.lock();
        waiting.closed || waiting.items.len() >= least
    }

    fn take(&self) -> (Vec<Finished>, bool) {
        let mut waiting = self.lock();
        let count = waiting.items.len().min(BATCH);
        let taken: Vec<(Finished, usize)> = waiting.items.drain(..count).collect();
        let bytes: usize = taken.iter().map(|(_, bytes)| bytes).sum();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        let closed = waiting.closed;
        drop(waiting);
        (taken.into_iter().map(|(item, _)| item).collect(), closed)
    }

    /// Spans as the body of a request. On a thread for blocking work: content can be long.
    async fn encode(&self, items: Vec<Finished>, settings: Arc<Settings>) -> Option<Bytes> {
        let users: Vec<Option<String>> = items
            .iter()
            .map(|item| {
                let user = item.record.user.as_deref()?;
                self.user_hash(&item.record.tenant, user)
            })
            .collect();
        let work = tokio::task::spawn_blocking(move || {
            let spans: Vec<Message> = items
                .iter()
                .zip(&users)
                .flat_map(|(item, user)| item.encode(user.as_deref()))
                .collect();
            pack(settings.resource.wrap(&spans), settings.gzip)
        });
        work.await.ok()
    }

    async fn run_metrics(&self) {
        let failing = AtomicBool::new(false);
        let mut changes = self.changes.subscribe();
        loop {
            let closed = *changes.borrow_and_update();
            let settings = self.settings.load_full().filter(|one| one.metrics);
            let Some(settings) = settings else {
                // Settings to come, or the end.
                if closed || changes.changed().await.is_err() {
                    return;
                }
                continue;
            };
            if !closed {
                let changed = tokio::time::timeout(settings.interval, changes.changed());
                if changed.await.is_ok() {
                    continue;
                }
            }
            self.push(&settings, &failing).await;
            if closed {
                return;
            }
        }
    }

    async fn push(&self, settings: &Settings, failing: &AtomicBool) {
        let ns = |ms: u64| ms.saturating_mul(1_000_000);
        let window = Window {
            start_ns: ns(self.started_ms),
            now_ns: ns(self.clock.now_ms()),
        };
        let mut families = self.metrics.families();
        families.extend(self.metrics.genai_families());
        families.retain(|family| !family.samples.is_empty());
        let mut count = 0;
        let mut messages = Vec::with_capacity(families.len());
        for family in &families {
            let (message, points) = metric(family, window);
            messages.push(message);
            count += points;
        }
        let parcel = Parcel {
            signal: Signal::Metrics,
            body: pack(settings.resource.wrap(&messages), settings.gzip),
            count,
            // The next push holds all of this one.
            give_up: settings.interval,
            metrics: &self.metrics.otlp_metrics,
            failing,
        };
        self.deliver(&parcel).await;
    }

    /// Sends a body until it is taken, refused, or too old. A reload's new settings hold from the next try on.
    async fn deliver(&self, parcel: &Parcel<'_>) {
        let (begun, mut pause) = (Instant::now(), RETRY.0);
        let mut changes = self.changes.subscribe();
        loop {
            let Some(settings) = self.settings.load_full() else {
                return parcel.metrics.dropped.add(parcel.count);
            };
            let closed = *changes.borrow_and_update();
            let (after, why) = match settings.send(parcel).await {
                Verdict::Taken(rejected) => return parcel.taken(rejected),
                Verdict::Refused(why) => return parcel.lost(&why),
                Verdict::Later(after, why) => (after, why),
            };
            parcel.metrics.failed.add(1);
            let wait = after.unwrap_or(pause).min(RETRY.1);
            if closed || begun.elapsed() + wait > parcel.give_up {
                return parcel.lost(&why);
            }
            parcel.failing(&why);
            // The end, or new settings, cut the pause short; either way it is tried again.
            let _ = tokio::time::timeout(wait, changes.changed()).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }
}

impl Parcel<'_> {
    fn taken(&self, rejected: u64) {
        let rejected = rejected.min(self.count);
        self.metrics.sent.add(self.count - rejected);
        self.metrics.dropped.add(rejected);
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(
                signal = self.signal.name(),
                "the OTLP endpoint takes data again"
            );
        }
    }

    fn failing(&self, why: &str) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                signal = self.signal.name(),
                why,
                "the OTLP endpoint does not take data; it is tried again, and what does not fit is dropped and counted"
            );
        }
    }

    fn lost(&self, why: &str) {
        self.metrics.dropped.add(self.count);
        self.failing(why);
    }
}

impl Settings {
    async fn send(&self, parcel: &Parcel<'_>) -> Verdict {
        let uri = match parcel.signal {
            Signal::Traces => &self.traces_to,
            Signal::Metrics => &self.metrics_to,
        };
        let mut request = Request::new(Full::new(parcel.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(CONTENT_TYPE, protobuf);
        if parcel.body.starts_with(&GZIP_MAGIC) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(verdict) => verdict,
            Err(_) => Verdict::Later(None, "no answer in time".to_owned()),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Verdict {
        let response = match self.client.send(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Verdict::Later(None, "no connection".to_owned());
            }
            Err(_) => return Verdict::Later(None, "the connection broke".to_owned()),
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body.map(|all| all.to_bytes()).unwrap_or_default();
        judge(head.status.as_u16(), retry_after(&head.headers), &body)
    }
}

/// What `Retry-After` asks for, in seconds or as a date; a date is compared with the receiver's own clock, its `Date`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked: &str = text(RETRY_AFTER)?;
    let seconds = asked
        .parse()
        .ok()
        .or_else(|| Some(http_date(asked)?.saturating_sub(http_date(text(DATE)?)?)))?;
    Some(Duration::from_secs(seconds))
}

fn judge(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Verdict {
    let why = format!("status {status}");
    match status {
        200..=299 => Verdict::Taken(rejected(body).unwrap_or(0)),
        429 | 502 | 503 | 504 => Verdict::Later(retry_after, why),
        _ => Verdict::Refused(why),
    }
}

/// How many things a 2xx answer says were rejected: field 1 of `partial_success`, which is field 1.
fn rejected(body: &[u8]) -> Option<u64> {
    let (first, rest) = body.split_first()?;
    let (length, rest) = varint(rest)?;
    let inner = rest.get(..usize::try_from(length).ok()?)?;
    let (second, inner) = inner.split_first()?;
    (*first == 0x0a && *second == 0x08)
        .then(|| varint(inner).map(|(count, _)| count))
        .flatten()
}

fn varint(mut bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some((value, bytes));
        }
    }
    None
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The body as it travels. An export request never begins with gzip's first bytes: its first tag is 0x0a.
fn pack(body: Vec<u8>, gzip: bool) -> Bytes {
    if !gzip {
        return body.into();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(&body).and_then(|()| encoder.finish());
    packed.map_or_else(|_| body.into(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_as_the_specification_says() {
        assert_eq!(judge(200, None, b""), Verdict::Taken(0));
        assert_eq!(
            judge(200, None, b"\x0a\x03\x08\xac\x02"),
            Verdict::Taken(300)
        );
        assert_eq!(judge(200, None, b"\x0a\x05\x12\x03abc"), Verdict::Taken(0));
        assert_eq!(judge(200, None, b"nonsense"), Verdict::Taken(0));
        let wait = Some(Duration::from_secs(7));
        assert_eq!(
            judge(503, wait, b""),
            Verdict::Later(wait, "status 503".into())
        );
        assert!(matches!(judge(429, None, b""), Verdict::Later(None, _)));
        assert!(matches!(judge(400, None, b""), Verdict::Refused(_)));
        assert!(matches!(judge(401, None, b""), Verdict::Refused(_)));
    }

    #[test]
    fn waits_are_asked_for_in_seconds_or_by_a_date() {
        let asked = |after: &'static str, date: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
            headers.insert(DATE, HeaderValue::from_static(date));
            retry_after(&headers)
        };
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(asked("7", now), Some(Duration::from_secs(7)));
        let later = asked("Sun, 06 Nov 1994 08:51:37 GMT", now);
        assert_eq!(later, Some(Duration::from_secs(120)));
        let past = asked("Sun, 06 Nov 1994 08:49:00 GMT", now);
        assert_eq!(past, Some(Duration::ZERO));
        assert_eq!(asked("soon", now), None);
        assert_eq!(asked("Sun, 06 Nov 1994 08:51:37 GMT", "?"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn bodies_are_packed() {
        let body = Resource::default().wrap(&[]);
        let packed = pack(body.clone(), true);
        assert!(packed.starts_with(&GZIP_MAGIC) && !body.starts_with(&GZIP_MAGIC));
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain)
            .unwrap();
        assert_eq!(plain, body);
    }

    #[test]
    fn endpoints_are_base_urls() {
        let settings = Settings::to("https://host:4318/otlp/").unwrap();
        assert_eq!(settings.traces_to, "https://host:4318/otlp/v1/traces");
        assert_eq!(settings.metrics_to, "https://host:4318/otlp/v1/metrics");
        assert!(Settings::to("not a url").is_err());
    }
}
