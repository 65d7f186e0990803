//! Golden fixtures: what clients send as each provider gets it, and what providers answer as each client gets it.
//!
//! Inputs stand in `tests/golden`, named `<case>.<dialect>.<ending>`; what comes of them stands beside them in files with
//! `.to-` or `.as-`. `APLOMB_BLESS=1` writes the outputs anew; read the difference before committing it.
#![cfg(test)]

use aplomb_core::dialect::{self, Envelope, StreamWriter, fold};
use aplomb_core::event::ChatEvent;
use aplomb_core::request::Operation;
use aplomb_core::sse::SseDecoder;
use aplomb_providers::decode::{Lane, Step, StreamDecoder};
use aplomb_providers::fault::UpstreamFault;
use aplomb_providers::openai::quirks::Quirks;
use aplomb_providers::{anthropic, openai};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const DIALECTS: [&str; 2] = ["openai", "anthropic"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Inputs of a folder: path, name of the case, dialect.
fn inputs(name: &str) -> Vec<(PathBuf, String, String)> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder(name)).unwrap() {
        let path = file.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let parts: Vec<String> = file.split('.').map(str::to_owned).collect();
        if parts.len() == 3 {
            found.push((path, parts[0].clone(), parts[1].clone()));
        }
    }
    assert!(!found.is_empty(), "no fixtures in {name}");
    found.sort();
    found
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own switch, not configuration"
)]
fn bless() -> bool {
    std::env::var_os("APLOMB_BLESS").is_some()
}

fn check(path: &Path, got: &str) {
    if bless() {
        std::fs::write(path, got).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(got, kept, "{}", path.display());
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn operation(dialect: &str) -> Operation {
    if dialect == "openai" {
        Operation::ChatCompletions
    } else {
        Operation::Messages
    }
}

fn envelope() -> Envelope {
    Envelope {
        request_id: "record-id".into(),
        model: "asked".into(),
        created: 1_700_000_000,
        include_usage: true,
    }
}

#[test]
fn requests_as_each_provider_gets_them() {
    for (path, case, client) in inputs("requests") {
        let body = Bytes::from(std::fs::read(&path).unwrap());
        let request = dialect::read(operation(&client), body).unwrap();
        for provider in DIALECTS {
            let encoded = match provider {
                "openai" => openai::request::encode(&request, "served", &Quirks::of("openai")),
                _ => anthropic::request::encode(&request, "served"),
            };
            let shown = match encoded {
                Ok(encoded) => json!({
                    "path": encoded.path,
                    "dropped": encoded.dropped,
                    "body": serde_json::from_slice::<Value>(&encoded.body).unwrap(),
                }),
                Err(error) => json!({ "refused": error.public }),
            };
            let name = format!("{case}.{client}.to-{provider}.json");
            check(&folder("requests").join(name), &pretty(&shown));
        }
    }
}

/// Which lane a provider's answer takes to a client.
fn lane(provider: &str, client: &str) -> Lane {
    if provider == client {
        Lane::Native
    } else {
        Lane::Typed
    }
}

#[test]
fn answers_as_each_client_gets_them() {
    for (path, case, provider) in inputs("answers") {
        let body = Bytes::from(std::fs::read(&path).unwrap());
        for client in DIALECTS {
            let mut events = Vec::new();
            let lane = lane(&provider, client);
            let decoded = match provider.as_str() {
                "openai" => openai::body::decode(&body, lane, &mut events),
                _ => anthropic::body::decode(&body, lane, &mut events),
            };
            let shown = match decoded {
                Ok(()) => {
                    let folded = fold(operation(client), envelope(), events);
                    serde_json::from_slice(&folded).unwrap()
                }
                Err(fault) => refusal(client, &fault),
            };
            let name = format!("{case}.{provider}.as-{client}.json");
            check(&folder("answers").join(name), &pretty(&shown));
        }
    }
}

fn refusal(client: &str, fault: &UpstreamFault) -> Value {
    let body = match client {
        "openai" => fault.error.to_openai(),
        _ => fault.error.to_anthropic("record-id"),
    };
    json!({ "fault": fault.kind.name(), "status": fault.error.status(), "body": body })
}

fn decode(provider: &str, lane: Lane, bytes: &[u8]) -> (Vec<ChatEvent>, Result<(), UpstreamFault>) {
    let mut decoder: Box<dyn StreamDecoder> = match provider {
        "openai" => Box::new(openai::stream::OpenAiStream::new(lane, true)),
        _ => Box::new(anthropic::stream::AnthropicStream::new(lane)),
    };
    let mut sse = SseDecoder::default();
    sse.push(bytes);
    let mut out = Vec::new();
    while let Some(event) = sse.next_event().unwrap() {
        match decoder.on_event(event, &mut out) {
            Ok(Step::Continue) => {}
            Ok(Step::Done) => return (out, Ok(())),
            Err(fault) => return (out, Err(fault)),
        }
    }
    let end = decoder.on_end(&mut out);
    (out, end)
}

#[test]
fn streams_as_each_client_gets_them() {
    for (path, case, provider) in inputs("streams") {
        let bytes = std::fs::read(&path).unwrap();
        for client in DIALECTS {
            let (events, end) = decode(&provider, lane(&provider, client), &bytes);
            let mut writer = StreamWriter::new(operation(client), envelope());
            let mut written = BytesMut::new();
            for event in events {
                writer.write(event, &mut written);
            }
            match end {
                Ok(()) => writer.end(&mut written),
                Err(fault) => writer.fail(&fault.error, &mut written),
            }
            let name = format!("{case}.{provider}.as-{client}.sse");
            let text = String::from_utf8(written.to_vec()).unwrap();
            check(&folder("streams").join(name), &text);
        }
    }
}
