//! Export by OTLP: what a receiver that reads with the official types gets, and that one which is away hurts nobody.
#![cfg(test)]

use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::{Dialect, wait_for, wire};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn plain(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(set)) => json!(set),
        Some(Any::IntValue(n)) => json!(n),
        Some(Any::DoubleValue(n)) => json!(n),
        Some(Any::ArrayValue(list)) => list.values.iter().map(|one| plain(Some(one))).collect(),
        other => panic!("{other:?}"),
    }
}

fn attributes(list: &[KeyValue]) -> HashMap<String, Value> {
    let pairs = list
        .iter()
        .map(|pair| (pair.key.clone(), plain(pair.value.as_ref())));
    let all: HashMap<String, Value> = pairs.collect();
    assert_eq!(all.len(), list.len(), "an attribute twice: {list:?}");
    all
}

/// A small OTLP receiver.
struct Receiver(Upstream);

impl Receiver {
    fn start() -> Self {
        Receiver::that(|_| vec![Step::Send(wire::answer(200, &[], b""))])
    }

    fn that(answers: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        Receiver(Upstream::start(answers))
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let seen = self.0.seen();
        let seen = seen.iter().filter(|seen| seen.path == path);
        seen.map(|seen| {
            assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
            if seen.header("content-encoding") != Some("gzip") {
                return seen.body.clone();
            }
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(seen.body.as_slice())
                .read_to_end(&mut plain)
                .unwrap();
            plain
        })
        .collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.bodies("/v1/traces").into_iter().map(|body| {
            ExportTraceServiceRequest::decode(body.as_slice()).expect("an export of spans")
        });
        let resources = requests.flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The metrics of the last push that holds `name`.
    fn metrics(&self, name: &str) -> Option<HashMap<String, Metric>> {
        self.bodies("/v1/metrics").iter().rev().find_map(|body| {
            let request =
                ExportMetricsServiceRequest::decode(body.as_slice()).expect("an export of metrics");
            let metrics = request.resource_metrics[0].scope_metrics[0].metrics.clone();
            let by_name: HashMap<String, Metric> = metrics
                .into_iter()
                .map(|metric| (metric.name.clone(), metric))
                .collect();
            by_name.contains_key(name).then_some(by_name)
        })
    }

    /// The spans of one exchange, when they have come: the SERVER span first.
    fn exchange(&self, count: usize) -> Vec<Span> {
        wait_for("the spans", || {
            let mut spans = self.spans();
            spans.sort_by_key(|span| {
                (
                    span.parent_span_id.len() + usize::from(span.kind != 2),
                    span.start_time_unix_nano,
                )
            });
            spans.sort_by_key(|span| span.kind);
            (spans.len() >= count).then_some(spans)
        })
    }

    fn config(&self, more: &str) -> String {
        format!(
            "observe:\n  otlp: {{ endpoint: \"{}\"{more} }}\n",
            self.0.url()
        )
    }
}

fn providers(upstream: &Upstream) -> String {
    let url = upstream.url();
    format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\n\
         routes:\n  chat: {{ targets: [up/m, claude/m], retry: {{ attempts: 2 }} }}\n"
    )
}

fn traced(gateway: &Gateway, stream: bool, flags: &str) -> Request {
    gateway
        .chat(Dialect::OpenAi, "chat", stream)
        .header("traceparent", &format!("00-{TRACE_ID}-{PARENT_ID}-{flags}"))
}

/// First 503, then a good answer: two upstream calls.
fn shaky() -> Upstream {
    Upstream::start(|seen| match seen.dialect() {
        Dialect::OpenAi => {
            let error = wire::error(Dialect::OpenAi, "server_error", None, "busy");
            vec![Step::Send(wire::json_answer(503, &error))]
        }
        Dialect::Anthropic => wire::good(seen, &["hello", " you"]),
    })
}

#[test]
fn an_exchange_is_a_server_span_with_a_client_span_for_each_call() {
    let (receiver, upstream) = (Receiver::start(), shaky());
    let config = providers(&upstream) + &receiver.config("");
    let gateway = Gateway::start(BINARY, &config);
    let answer = traced(&gateway, true, "01")
        .header("x-aplomb-user", "ada@example.org")
        .header("x-aplomb-session", "talk-7")
        .whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let spans = receiver.exchange(3);
    let (server, failed, good) = (&spans[0], &spans[1], &spans[2]);

    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE_ID));
    assert_eq!(
        (server.kind, hex(&server.parent_span_id)),
        (2, PARENT_ID.to_owned())
    );
    for client in [failed, good] {
        assert_eq!(client.kind, 3);
        assert_eq!(client.parent_span_id, server.span_id);
        assert!(client.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(client.end_time_unix_nano <= server.end_time_unix_nano);
        assert!(client.start_time_unix_nano <= client.end_time_unix_nano);
    }
    // What travels upstream names the span of the call.
    let sent = |seen: &Seen| seen.header("traceparent").unwrap().to_owned();
    let calls: Vec<String> = upstream.seen().iter().map(sent).collect();
    let expected = [failed, good].map(|span| format!("00-{TRACE_ID}-{}-01", hex(&span.span_id)));
    assert_eq!(calls, expected);

    check_server(server);
    check_clients(failed, good, &upstream);
    let all = format!("{spans:?}");
    for secret in ["ada@example.org", "Say hello.", "hello you", "sk-provider"] {
        assert!(!all.contains(secret), "{secret} was exported");
    }
}

fn check_server(server: &Span) {
    assert_eq!(server.name, "POST /v1/chat/completions");
    assert!(server.status.is_none());
    let set = attributes(&server.attributes);
    for (name, value) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/v1/chat/completions")),
        ("http.response.status_code", json!(200)),
        ("gen_ai.conversation.id", json!("talk-7")),
        ("aplomb.tenant.id", json!("local")),
        ("aplomb.route", json!("chat")),
        ("aplomb.target", json!("claude/m")),
        ("aplomb.attempts", json!(2)),
        ("aplomb.outcome", json!("done")),
    ] {
        assert_eq!(set.get(name), Some(&value), "{name}");
    }
    let user = set["aplomb.user.id"].as_str().unwrap();
    assert!(user.len() == 16 && user.bytes().all(|b| b.is_ascii_hexdigit()));
}

fn check_clients(failed: &Span, good: &Span, upstream: &Upstream) {
    assert_eq!(
        (failed.name.as_str(), good.name.as_str()),
        ("chat m", "chat m")
    );
    let set = attributes(&failed.attributes);
    assert_eq!(set["error.type"], "server_error");
    assert_eq!(set["http.response.status_code"], 503);
    assert_eq!(failed.status.as_ref().unwrap().code, 2);
    assert!(!set.contains_key("gen_ai.usage.input_tokens"));
    let set = attributes(&good.attributes);
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("claude")),
        ("gen_ai.request.model", json!("m")),
        ("gen_ai.request.stream", json!(true)),
        ("server.address", json!("127.0.0.1")),
        ("server.port", json!(upstream.address().port())),
        ("gen_ai.response.finish_reasons", json!(["stop"])),
        ("aplomb.attempt", json!(2)),
        ("aplomb.fallback.from", json!("up/m")),
        ("aplomb.usage.source", json!("provider")),
    ] {
        assert_eq!(set.get(name), Some(&value), "{name}");
    }
    for name in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
        assert!(set[name].as_i64().unwrap() > 0, "{name}");
    }
    let first = set["gen_ai.response.time_to_first_chunk"].as_f64().unwrap();
    assert!((0.0..20.0).contains(&first), "{first}");
    assert!(!set.contains_key("error.type") && good.status.is_none());
    assert!(!set.keys().any(|name| name.contains("messages")));
}

#[test]
fn the_callers_flag_decides_and_own_traces_follow_the_share() {
    let (receiver, upstream) = (
        Receiver::start(),
        Upstream::start(|seen| wire::good(seen, &["hi"])),
    );
    let config = providers(&upstream) + &receiver.config(", sample: 0");
    let mut gateway = Gateway::start(BINARY, &config);
    assert_eq!(traced(&gateway, false, "00").whole().status, 200);
    assert_eq!(
        gateway.chat(Dialect::OpenAi, "chat", false).whole().status,
        200
    );
    assert_eq!(traced(&gateway, false, "01").whole().status, 200);
    gateway.terminate();
    assert!(gateway.wait_end().success());
    // Flushed at the end, and only what was sampled.
    assert_eq!(receiver.spans().len(), 2);
    let flags: Vec<String> = upstream
        .seen()
        .iter()
        .map(|seen| seen.header("traceparent").unwrap()[53..].to_owned())
        .collect();
    assert_eq!(flags, ["00", "00", "01"]);
}

#[test]
fn content_is_masked_and_only_where_it_is_wanted() {
    for wanted in [false, true] {
        let receiver = Receiver::start();
        let upstream = Upstream::start(|seen| {
            let body = seen.json().to_string();
            let at = body.find("<EMAIL").expect("a placeholder");
            let placeholder = &body[at..=at + body[at..].find('>').unwrap()];
            wire::good(seen, &["I write to ", placeholder, "."])
        });
        let more = if wanted { ", content: true" } else { "" };
        let config = format!(
            "{}privacy:\n  default: {{ email: mask, \"*\": flag }}\n{}",
            providers(&upstream),
            receiver.config(more)
        );
        let gateway = Gateway::start(BINARY, &config);
        let body = json!({ "model": "chat", "stream": true, "temperature": 0.5, "stop": "x", "seed": 7, "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "Mail ada@example.org please" }] });
        let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
        assert!(
            answer.text().contains("ada@example.org"),
            "restored for the client"
        );
        let spans = receiver.exchange(2);
        let set = attributes(&spans[1].attributes);
        assert_eq!(set["gen_ai.request.temperature"], 0.5);
        assert_eq!(set["gen_ai.request.stop_sequences"], json!(["x"]));
        assert_eq!(set["gen_ai.request.seed"], 7);
        let all = format!("{spans:?}");
        assert!(!all.contains("ada@example.org"), "{all}");
        assert_eq!(
            attributes(&spans[0].attributes)["aplomb.pii.entities.count"],
            1
        );
        if !wanted {
            assert!(!all.contains("please") && !all.contains("I write"), "{all}");
            continue;
        }
        let read = |name: &str| -> Value {
            serde_json::from_str(set[name].as_str().expect("JSON")).expect("JSON")
        };
        assert_eq!(
            read("gen_ai.system_instructions"),
            json!([{ "type": "text", "content": "Be brief." }])
        );
        let said = read("gen_ai.input.messages")[0]["parts"][0]["content"].to_string();
        assert!(
            said.contains("Mail <EMAIL") && said.contains("please"),
            "{said}"
        );
        let output = read("gen_ai.output.messages");
        assert_eq!(
            (&output[0]["role"], &output[0]["finish_reason"]),
            (&json!("assistant"), &json!("stop"))
        );
        let said = output[0]["parts"][0]["content"].to_string();
        assert!(said.contains("I write to <EMAIL"), "{said}");
    }
}

fn histogram<'a>(
    metrics: &'a HashMap<String, Metric>,
    name: &str,
    unit: &str,
) -> &'a [HistogramDataPoint] {
    let metric = metrics
        .get(name)
        .unwrap_or_else(|| panic!("{name} is missing: {:?}", metrics.keys()));
    assert_eq!(metric.unit, unit, "{name}");
    let Some(Data::Histogram(histogram)) = &metric.data else {
        panic!("{name} is no histogram")
    };
    assert_eq!(histogram.aggregation_temporality, 2, "cumulative");
    for point in &histogram.data_points {
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        assert!(point.start_time_unix_nano <= point.time_unix_nano);
    }
    &histogram.data_points
}

#[test]
fn metrics_have_the_names_units_and_buckets_of_the_conventions() {
    let (receiver, upstream) = (Receiver::start(), shaky());
    let config = providers(&upstream) + &receiver.config(", interval: 100ms, gzip: true");
    let gateway = Gateway::start(BINARY, &config);
    assert_eq!(
        gateway.chat(Dialect::OpenAi, "chat", true).whole().status,
        200
    );
    let metrics = wait_for("the metrics of the exchange", || {
        receiver.metrics("gen_ai.server.request.duration")
    });
    let durations = histogram(&metrics, "gen_ai.client.operation.duration", "s");
    assert_eq!(durations.len(), 2);
    let mut doubling = 0.01;
    for bound in &durations[0].explicit_bounds {
        assert!((bound / doubling - 1.0).abs() < 1e-9, "{bound}");
        doubling *= 2.0;
    }
    let failed = durations.iter().map(|point| attributes(&point.attributes));
    let failed: Vec<_> = failed
        .filter(|set| set.contains_key("error.type"))
        .collect();
    assert_eq!(failed[0]["error.type"], "server_error");
    assert_eq!(failed[0]["gen_ai.request.model"], "m");
    assert_eq!(failed[0]["server.port"], upstream.address().port());
    let tokens = histogram(&metrics, "gen_ai.client.token.usage", "{token}");
    let kinds: Vec<Value> = tokens
        .iter()
        .map(|point| attributes(&point.attributes)["gen_ai.token.type"].clone())
        .collect();
    assert_eq!(kinds, ["input", "output"]);
    assert_eq!(tokens[0].explicit_bounds[..4], [1.0, 4.0, 16.0, 64.0]);
    for name in [
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
        "gen_ai.server.request.duration",
        "gen_ai.server.time_to_first_token",
    ] {
        assert!(!histogram(&metrics, name, "s").is_empty(), "{name}");
    }
    let server = &histogram(&metrics, "gen_ai.server.request.duration", "s")[0];
    assert_eq!(
        attributes(&server.attributes)["gen_ai.request.model"],
        "chat"
    );
    let own = metrics
        .get("aplomb_fallbacks_total")
        .and_then(|metric| metric.data.as_ref());
    let Some(Data::Sum(sum)) = own else {
        panic!("{own:?}")
    };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
}

#[test]
fn an_endpoint_that_is_away_hurts_no_request_and_what_does_not_fit_is_counted() {
    let upstream = Upstream::start(|seen| wire::good(seen, &["hi"]));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let config = providers(&upstream)
        + &format!("observe:\n  otlp: {{ endpoint: \"http://{address}\", queue: 8KiB }}\n");
    let gateway = Gateway::start(BINARY, &config);
    for _ in 0..40 {
        assert_eq!(traced(&gateway, false, "01").whole().status, 200);
    }
    wait_for("drops", || {
        gateway
            .metric("aplomb_otlp_dropped_total{signal=\"traces\"}")
            .filter(|count| *count > 0.0)
    });
    let entry = gateway.wait_log(
        "the OTLP endpoint does not take data; it is tried again, and what does not fit is dropped and counted",
    );
    assert!(!entry.to_string().contains(&address.to_string()));

    // A reload names one that is there: what waits goes there.
    let receiver = Receiver::start();
    gateway.write_config(&(providers(&upstream) + &receiver.config("")));
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_log("configuration reloaded");
    wait_for("spans at the new endpoint", || {
        (!receiver.spans().is_empty()).then_some(())
    });
}

#[test]
fn a_busy_endpoint_is_asked_again_and_headers_are_secrets_by_reference() {
    let receiver = Receiver::that(|seen| {
        let answer = if seen.number == 0 {
            wire::answer(503, &[("retry-after", "0")], b"")
        } else {
            wire::answer(200, &[], b"")
        };
        vec![Step::Send(answer)]
    });
    let upstream = Upstream::start(|seen| wire::good(seen, &["hi"]));
    let more = ", metrics: false, headers: { authorization: env:OTLP_AUTH, x-scope: team }";
    let gateway = Setup::new(BINARY, &(providers(&upstream) + &receiver.config(more)))
        .env("OTLP_AUTH", "Basic c2VjcmV0")
        .start();
    assert_eq!(traced(&gateway, false, "01").whole().status, 200);
    let seen = wait_for("a second try", || {
        let seen = receiver.0.seen();
        (seen.len() > 1).then_some(seen)
    });
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[1].header("authorization"), Some("Basic c2VjcmV0"));
    assert_eq!(seen[1].header("x-scope"), Some("team"));
    wait_for("it is counted", || {
        let sent = gateway.metric("aplomb_otlp_sent_total{signal=\"traces\"}");
        sent.filter(|count| *count == 2.0)
    });
    assert_eq!(
        gateway.metric("aplomb_otlp_failed_total{signal=\"traces\"}"),
        Some(1.0)
    );
}

#[test]
fn mistakes_in_the_section_are_told_with_their_place() {
    let config = "providers: { practice: { kind: practice } }
observe:
  otlp: { endpoint: \"collector:4318\", headers: { authorization: env:NOWHERE }, interval: 0s, sample: 2, content: true }
";
    let setup = Setup::new(BINARY, config);
    std::fs::write(setup.dir().join("wrong.yaml"), config).unwrap();
    let out = setup
        .command(&["check", "--config", "wrong.yaml"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    for part in [
        "observe.otlp.endpoint",
        "observe.otlp.interval",
        "observe.otlp.sample",
        "observe.otlp.content",
        "wrong.yaml:3:",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn scrapers_have_a_listener_without_a_token() {
    let config = "providers: { practice: { kind: practice, practice: { first_token: 0ms, tokens_per_second: 0 } } }
routes: { chat: { targets: [practice/practice] } }
observe: { metrics: { listen: \"127.0.0.1:0\" } }
";
    let gateway = Gateway::start(BINARY, config);
    let address: SocketAddr = gateway
        .log()
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|entry| entry["plane"] == "metrics")
        .and_then(|entry| entry["address"].as_str()?.parse().ok())
        .expect("the listener for scrapers");
    assert_eq!(
        gateway.chat(Dialect::OpenAi, "chat", true).whole().status,
        200
    );
    let text = wait_for("the request to be counted", || {
        let answer = Request::new(address, "GET", "/metrics").whole();
        assert_eq!(answer.status, 200);
        let text = answer.text();
        text.contains("aplomb_route_requests_total{route=\"chat\",outcome=\"done\"} 1\n")
            .then_some(text)
    });
    for line in [
        "aplomb_ttft_seconds_count{route=\"chat\"} 1\n",
        "aplomb_tenant_requests_total{tenant=\"local\",outcome=\"good\"} 1\n",
        "aplomb_upstream_calls_total{target=\"practice/practice\",outcome=\"answered\"} 1\n",
        "aplomb_cost_usd_total{target=\"practice/practice\"} 0\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert_eq!(Request::new(address, "GET", "/readyz").whole().status, 200);
    for path in ["/admin/v1/keys", "/v1/models", "/"] {
        assert_eq!(
            Request::new(address, "GET", path).whole().status,
            404,
            "{path}"
        );
    }
}
