//! How fast an answer was, upstream and as it went out: in headers, records and metrics.
#![cfg(test)]

use aplomb_testkit::Dialect::OpenAi;
use aplomb_testkit::client::Whole;
use aplomb_testkit::gateway::Gateway;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
/// Pauses of the simulated provider, in milliseconds.
const FIRST: f64 = 60.0;
const TOKEN: f64 = 4.0;

fn gateway() -> Gateway {
    let config = format!(
        "providers:\n  practice: {{ practice: {{ first_token: {FIRST}ms, tokens_per_second: {}, jitter: 0 }} }}\n\
         routes:\n  chat: {{ targets: [practice/m] }}\n  night: {{ targets: [practice/m], class: batch }}\n",
        1000.0 / TOKEN
    );
    Gateway::start(BINARY, &config)
}

fn header(answer: &Whole, name: &str) -> f64 {
    let value = answer.header(name).unwrap_or_else(|| panic!("{name}"));
    value.parse().unwrap()
}

fn record(gateway: &Gateway, answer: &Whole) -> Value {
    let id = answer.header("x-aplomb-request-id").unwrap();
    gateway.wait_record("the record", |record| record["id"] == id)
}

fn ms(record: &Value, column: &str) -> Option<f64> {
    record[column].as_f64().map(|us| us / 1e3)
}

#[test]
fn a_stream_s_times_are_known_on_both_sides() {
    let gateway = gateway();
    let answer = gateway.chat(OpenAi, "chat", true).whole();
    let record = record(&gateway, &answer);
    let ttft = header(&answer, "x-aplomb-ttft-ms");
    let overhead = header(&answer, "x-aplomb-overhead-ms");
    let upstream = ms(&record, "upstream_ttft_us").unwrap();
    assert!(upstream >= FIRST && ttft >= upstream, "{ttft} {upstream}");
    // What is not the provider's is the gateway's.
    assert!(
        (ttft - upstream - overhead).abs() < 0.1,
        "{ttft} {upstream} {overhead}"
    );
    assert!((ms(&record, "ttft_us").unwrap() - ttft).abs() < 0.002);
    assert!(ms(&record, "total_us").unwrap() > ttft + 5.0 * TOKEN);
    let tokens = record["output_tokens"].as_f64().unwrap();
    assert!(tokens > 8.0, "{record}");
    for column in ["upstream_per_token_us", "per_token_us"] {
        let pace = ms(&record, column).unwrap();
        assert!(
            (0.5 * TOKEN..20.0 * TOKEN).contains(&pace),
            "{column} {pace}"
        );
    }
    assert_eq!(record["class"], "interactive");
    for (name, label) in [
        ("aplomb_ttft_seconds", "route=\"chat\""),
        ("aplomb_time_per_output_token_seconds", "route=\"chat\""),
        ("aplomb_route_upstream_ttft_seconds", "route=\"chat\""),
        (
            "aplomb_route_upstream_time_per_output_token_seconds",
            "route=\"chat\"",
        ),
        ("aplomb_upstream_ttft_seconds", "target=\"practice/m\""),
        (
            "aplomb_upstream_time_per_output_token_seconds",
            "target=\"practice/m\"",
        ),
        ("aplomb_target_ttft_seconds", "target=\"practice/m\""),
        (
            "aplomb_target_time_per_output_token_seconds",
            "target=\"practice/m\"",
        ),
    ] {
        let count = gateway.metric(&format!("{name}_count{{{label}}}"));
        assert_eq!(count, Some(1.0), "{name}");
    }
}

#[test]
fn a_whole_answer_s_first_content_is_all_of_it() {
    let gateway = gateway();
    let answer = gateway.chat(OpenAi, "night", false).whole();
    let record = record(&gateway, &answer);
    let ttft = header(&answer, "x-aplomb-ttft-ms");
    let overhead = header(&answer, "x-aplomb-overhead-ms");
    let upstream = ms(&record, "upstream_ttft_us").unwrap();
    assert!(upstream >= FIRST + 5.0 * TOKEN, "{upstream}");
    assert!(
        (ttft - upstream - overhead).abs() < 0.1,
        "{ttft} {upstream} {overhead}"
    );
    // Nothing is known of its pace, and histograms of first contents are of streams.
    assert_eq!(ms(&record, "per_token_us"), None);
    assert_eq!(ms(&record, "upstream_per_token_us"), None);
    assert_eq!(record["class"], "batch");
    let count = gateway.metric("aplomb_upstream_ttft_seconds_count{target=\"practice/m\"}");
    assert_eq!(count, Some(0.0));
}
