//! Well-formed answers of both dialects, as bytes and as pieces that a test can bend.

use crate::Dialect;
use crate::upstream::{Script, Seen, Step};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;

/// Head of an HTTP answer, with the empty line at its end.
pub fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Whole HTTP answer with its length.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    all.push(("content-length", &length));
    let mut bytes = head(status, &all);
    bytes.extend_from_slice(body);
    bytes
}

/// Whole JSON answer.
pub fn json_answer(status: u16, body: &Value) -> Vec<u8> {
    answer(
        status,
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

/// Head of a chunked event stream.
pub fn stream_head() -> Vec<u8> {
    head(
        200,
        &[
            ("content-type", "text/event-stream"),
            ("transfer-encoding", "chunked"),
        ],
    )
}

/// One HTTP chunk.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

/// The chunk that ends a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Whole chunked event stream, one chunk for all.
pub fn stream_answer(text: &[u8]) -> Vec<u8> {
    [stream_head(), chunk(text), LAST_CHUNK.to_vec()].concat()
}

/// Bytes as gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Events in their pieces: what begins an answer, its content, what ends it.
#[derive(Debug, Clone)]
pub struct Events {
    /// Before the first content.
    pub begin: Vec<String>,
    /// One piece of text each.
    pub content: Vec<String>,
    /// Finish reason and usage.
    pub finish: Vec<String>,
    /// `[DONE]`, or `message_stop`.
    pub end: Vec<String>,
}

impl Events {
    /// A text answer in a dialect, as `seen` asks for it.
    pub fn text(seen: &Seen, pieces: &[&str]) -> Self {
        events_of(seen.dialect(), pieces, seen.wants_usage())
    }

    /// All of it as one text.
    pub fn join(&self) -> String {
        [
            self.begin.concat(),
            self.content.concat(),
            self.finish.concat(),
            self.end.concat(),
        ]
        .concat()
    }

    /// Its beginning and its content.
    pub fn open(&self) -> String {
        [self.begin.concat(), self.content.concat()].concat()
    }
}

/// A text answer in a dialect; `usage`: with the usage chunk that OpenAI sends if asked.
pub fn events_of(dialect: Dialect, pieces: &[&str], usage: bool) -> Events {
    match dialect {
        Dialect::OpenAi => openai_text(pieces, usage),
        Dialect::Anthropic => anthropic_text(pieces),
    }
}

/// One event of an OpenAI stream.
pub fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// One event of an Anthropic stream; its name is the value's `type`.
pub fn named(value: &Value) -> String {
    let name = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n")
}

/// One chunk of an OpenAI stream.
pub fn openai_chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m-served",
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]
    })
}

/// The usage object of OpenAI.
pub fn openai_usage() -> Value {
    json!({ "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13 })
}

fn openai_text(pieces: &[&str], usage: bool) -> Events {
    let mut finish = vec![data(&openai_chunk(&json!({}), Some("stop")))];
    if usage {
        let mut value = openai_chunk(&json!({}), None);
        value["choices"] = json!([]);
        value["usage"] = openai_usage();
        finish.push(data(&value));
    }
    Events {
        begin: vec![data(&openai_chunk(
            &json!({ "role": "assistant", "content": "" }),
            None,
        ))],
        content: pieces
            .iter()
            .map(|piece| data(&openai_chunk(&json!({ "content": piece }), None)))
            .collect(),
        finish,
        end: vec!["data: [DONE]\n\n".to_owned()],
    }
}

/// The first event of an Anthropic stream.
pub fn message_start() -> Value {
    json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m-served", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 9, "output_tokens": 1 }
    }})
}

fn anthropic_text(pieces: &[&str]) -> Events {
    let delta = |piece: &&str| {
        named(
            &json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": piece } }),
        )
    };
    Events {
        begin: vec![
            named(&message_start()),
            named(
                &json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
            ),
            named(&json!({ "type": "ping" })),
        ],
        content: pieces.iter().map(delta).collect(),
        finish: vec![
            named(&json!({ "type": "content_block_stop", "index": 0 })),
            named(
                &json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null },
                "usage": { "output_tokens": 4 } }),
            ),
        ],
        end: vec![named(&json!({ "type": "message_stop" }))],
    }
}

/// A whole text answer in a dialect.
pub fn whole(dialect: Dialect, text: &str) -> Value {
    match dialect {
        Dialect::OpenAi => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m-served",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text, "refusal": null },
                "logprobs": null, "finish_reason": "stop" }],
            "usage": openai_usage()
        }),
        Dialect::Anthropic => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m-served",
            "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 9, "output_tokens": 4 }
        }),
    }
}

/// The provider's error object.
pub fn error(dialect: Dialect, kind: &str, code: Option<&str>, message: &str) -> Value {
    match dialect {
        Dialect::OpenAi => {
            json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
        }
        Dialect::Anthropic => {
            json!({ "type": "error", "error": { "type": kind, "message": message } })
        }
    }
}

/// Answers a request as a good provider does: a stream if asked for one.
pub fn good(seen: &Seen, pieces: &[&str]) -> Script {
    let bytes = if seen.is_stream() {
        stream_answer(Events::text(seen, pieces).join().as_bytes())
    } else {
        json_answer(200, &whole(seen.dialect(), &pieces.concat()))
    };
    vec![Step::Send(bytes)]
}
