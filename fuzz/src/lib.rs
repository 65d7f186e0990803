//! What must hold for any bytes that come from outside.

pub mod models;
pub mod privacy;
pub mod protect;
pub mod records;
pub mod shared;

use aplomb_config::limits::LimitRule;
use aplomb_core::dialect::{self, Envelope, StreamWriter, fold};
use aplomb_core::event::ChatEvent;
use aplomb_core::id::TraceContext;
use aplomb_core::json::check_depth;
use aplomb_core::request::Operation;
use aplomb_core::sse::{SseDecoder, SseEvent};
use aplomb_providers::decode::{Lane, Step, StreamDecoder};
use aplomb_providers::fault::UpstreamFault;
use aplomb_providers::inflate::Inflate;
use aplomb_providers::{anthropic, clean, openai, retry_after};
use aplomb_testkit::{Dialect, check, sse as strict};
use bytes::{Bytes, BytesMut};

const EVENT_MAX: usize = 4096;

fn events(pieces: &[&[u8]]) -> (Vec<SseEvent>, bool) {
    let mut decoder = SseDecoder::new(EVENT_MAX);
    let mut all = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => all.push(event),
                Ok(None) => break,
                Err(_) => return (all, true),
            }
        }
    }
    (all, false)
}

/// The same events, however the bytes are cut; data is UTF-8 and within its bound.
pub fn sse(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let step = usize::from(*first).max(1);
    let (whole, too_large) = events(&[data]);
    let (single, single_large) = events(&data.chunks(1).collect::<Vec<_>>());
    let (cut, cut_large) = events(&data.chunks(step).collect::<Vec<_>>());
    assert_eq!((&whole, too_large), (&single, single_large));
    assert_eq!((&whole, too_large), (&cut, cut_large));
    for event in whole {
        assert!(std::str::from_utf8(&event.data).is_ok());
    }
}

fn envelope() -> Envelope {
    Envelope {
        request_id: "r".into(),
        model: "m".into(),
        created: 1,
        include_usage: true,
    }
}

fn decoder(provider: Dialect, lane: Lane) -> Box<dyn StreamDecoder> {
    match provider {
        Dialect::OpenAi => Box::new(openai::stream::OpenAiStream::new(lane, true)),
        Dialect::Anthropic => Box::new(anthropic::stream::AnthropicStream::new(lane)),
    }
}

fn decode(
    provider: Dialect,
    lane: Lane,
    data: &[u8],
) -> (Vec<ChatEvent>, Result<(), UpstreamFault>) {
    let mut decoder = decoder(provider, lane);
    let mut out = Vec::new();
    for event in events(&[data]).0 {
        match decoder.on_event(event, &mut out) {
            Ok(Step::Continue) => {}
            Ok(Step::Done) => return (out, Ok(())),
            Err(fault) => return (out, Err(fault)),
        }
    }
    let end = decoder.on_end(&mut out);
    (out, end)
}

fn operation(client: Dialect) -> Operation {
    match client {
        Dialect::OpenAi => Operation::ChatCompletions,
        Dialect::Anthropic => Operation::Messages,
    }
}

/// Whatever a provider streams: what reaches a client of the other dialect is a strictly valid stream, whole or with
/// one error event; a client that wants it whole gets JSON.
pub fn stream(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let provider = if first & 1 == 0 {
        Dialect::OpenAi
    } else {
        Dialect::Anthropic
    };
    let client = if provider == Dialect::OpenAi {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    };
    let _ = decode(provider, Lane::Native, data);
    let (out, end) = decode(provider, Lane::Typed, data);
    if end.is_ok() {
        let folded = fold(operation(client), envelope(), out.clone());
        assert!(serde_json::from_slice::<serde_json::Value>(&folded).is_ok());
    }
    if !out.iter().any(ChatEvent::is_content) {
        // Nothing was committed: the client gets a status, or another target's answer.
        return;
    }
    let mut writer = StreamWriter::new(operation(client), envelope());
    let mut written = BytesMut::new();
    for event in out {
        writer.write(event, &mut written);
    }
    match end {
        Ok(()) => writer.end(&mut written),
        Err(fault) => writer.fail(&fault.error, &mut written),
    }
    let parsed = strict::events(&written).expect("the canonical form");
    if let Err(rule) = check::stream(client, &parsed) {
        panic!("{rule}\n{}", String::from_utf8_lossy(&written));
    }
}

/// Whole answers and error bodies.
pub fn body(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    for lane in [Lane::Native, Lane::Typed] {
        let mut out = Vec::new();
        if openai::body::decode(&bytes, lane, &mut out).is_ok() {
            assert!(
                serde_json::from_slice::<serde_json::Value>(&fold(
                    Operation::Messages,
                    envelope(),
                    out
                ))
                .is_ok()
            );
        }
        let mut out = Vec::new();
        if anthropic::body::decode(&bytes, lane, &mut out).is_ok() {
            assert!(
                serde_json::from_slice::<serde_json::Value>(&fold(
                    Operation::ChatCompletions,
                    envelope(),
                    out
                ))
                .is_ok()
            );
        }
    }
    for status in [200, 400, 500] {
        let _ = openai::error::facets(status, data);
        let _ = anthropic::error::facets(status, data);
    }
}

/// A client's body is refused, or can be told to every provider as valid JSON, if it was valid all through: members that
/// nobody reads travel as they are, lone surrogate escapes among them.
pub fn request(data: &[u8]) {
    if check_depth(data).is_err() {
        return;
    }
    let valid = serde_json::from_slice::<serde_json::Value>(data).is_ok();
    let operations = [
        Operation::ChatCompletions,
        Operation::Completions,
        Operation::Messages,
        Operation::CountTokens,
        Operation::Embeddings,
    ];
    for operation in operations {
        let Ok(request) = dialect::read(operation, Bytes::copy_from_slice(data)) else {
            continue;
        };
        let _ = dialect::conversation(&request);
        let quirks = openai::quirks::Quirks::of("openai");
        let encoded = [
            openai::request::encode(&request, "m", &quirks),
            anthropic::request::encode(&request, "m"),
        ];
        for encoded in encoded.into_iter().flatten().filter(|_| valid) {
            let value: serde_json::Value = serde_json::from_slice(&encoded.body).expect("JSON");
            assert_eq!(value["model"], "m");
        }
    }
}

/// A configuration file is read or refused with places.
pub fn config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = aplomb_config::parse(text, "fuzz.yaml");
    }
}

/// A limit in one line is a rule that reads the same when it is written again, or a mistake at a place within it.
pub fn limits(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<LimitRule>() {
        Ok(rule) => assert_eq!(rule.to_string().parse::<LimitRule>().as_ref(), Ok(&rule)),
        Err(mistake) => assert!(text.is_char_boundary(mistake.at)),
    }
}

/// Headers, encodings and messages of providers.
pub fn headers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = TraceContext::parse(&text);
    let _ = aplomb_core::caller::parse_tags(&text);
    let _ = clean::clean(&text);
    if let Ok(value) = http::HeaderValue::from_bytes(data) {
        for name in [
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-reset-requests",
        ] {
            let mut headers = http::HeaderMap::new();
            headers.insert(name, value.clone());
            let _ = retry_after::retry_after(&headers, 1_700_000_000_000);
        }
    }
    for encoding in ["gzip", "deflate"] {
        if let Ok(mut inflate) = Inflate::new(Some(encoding)) {
            let _ = inflate.push(data, &mut Vec::new());
        }
    }
}
