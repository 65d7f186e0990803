//! What clients can send wrong: a clear error in the dialect's shape, never a 500.
#![cfg(test)]

use aplomb_testkit::Dialect;
use aplomb_testkit::check;
use aplomb_testkit::client::{Connection, Request, Whole, raw};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::Upstream;
use aplomb_testkit::wire;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const PRACTICE: &str =
    "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n";

fn gateway() -> Gateway {
    Setup::new(BINARY, PRACTICE)
        .server("body_max: 100KiB")
        .start()
}

fn post(gateway: &Gateway, dialect: Dialect, body: &[u8]) -> Whole {
    Request::new(gateway.data, "POST", dialect.path())
        .body(body)
        .whole()
}

/// The answer is an error with this status, in the dialect's shape, and says what is wrong.
#[track_caller]
fn refused(dialect: Dialect, answer: &Whole, status: u16, says: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    check::error(dialect, &answer.json()).unwrap();
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains(says), "{message:?} does not say {says:?}");
    assert!(answer.header("x-aplomb-request-id").is_some());
}

#[test]
fn bodies_that_are_no_request() {
    let gateway = gateway();
    let deep = format!(
        "{{\"model\":\"practice\",\"messages\":{}",
        "[".repeat(20_000)
    );
    let whole_deep = format!(
        "{{\"model\":\"practice\",\"messages\":{}{}}}",
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let cases: [(&[u8], &str); 12] = [
        (b"", "body"),
        (b"{", "JSON"),
        (
            b"{\"model\":\"practice\",\"messages\":[{\"role\":\"user\"",
            "JSON",
        ),
        (b"not json", "JSON"),
        (b"[1]", "object"),
        (b"null", "object"),
        (b"\xff\xfe{", "UTF-8"),
        (
            b"{\"model\":5,\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
            "model",
        ),
        (
            b"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":5}",
            "model",
        ),
        (
            b"{\"model\":\"practice\",\"max_tokens\":5,\"messages\":\"x\"}",
            "messages",
        ),
        (deep.as_bytes(), "deep"),
        (whole_deep.as_bytes(), "deep"),
    ];
    for dialect in Dialect::ALL {
        for (body, says) in cases {
            refused(dialect, &post(&gateway, dialect, body), 400, says);
        }
    }
}

#[test]
fn members_of_the_wrong_type_are_named() {
    let gateway = gateway();
    let cases = [
        ("stream", json!("yes")),
        ("temperature", json!("hot")),
        ("max_tokens", json!("many")),
        ("messages", json!([5])),
        ("messages", json!([{ "role": "martian", "content": "x" }])),
        ("messages", json!([])),
        ("tools", json!("all")),
    ];
    for dialect in Dialect::ALL {
        for (member, value) in &cases {
            let mut body = aplomb_testkit::client::chat_body(dialect, "practice/small", false);
            body[*member] = value.clone();
            let answer = post(&gateway, dialect, body.to_string().as_bytes());
            refused(dialect, &answer, 400, member);
        }
    }
}

#[test]
fn models_that_do_not_exist() {
    let gateway = gateway();
    for dialect in Dialect::ALL {
        for model in ["nope", "nope/model", "", "practice/", "../../etc/passwd"] {
            let body = aplomb_testkit::client::chat_body(dialect, model, false);
            let answer = post(&gateway, dialect, body.to_string().as_bytes());
            assert!(
                matches!(answer.status, 400 | 404),
                "{model}: {}",
                answer.text()
            );
            check::error(dialect, &answer.json()).unwrap();
        }
    }
    let body = aplomb_testkit::client::chat_body(Dialect::OpenAi, "nope", true);
    let answer = post(&gateway, Dialect::OpenAi, body.to_string().as_bytes());
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (404, "model_not_found")
    );
}

#[test]
fn bodies_over_the_bound() {
    let gateway = gateway();
    let long = vec![b'x'; 150_000];
    for dialect in Dialect::ALL {
        let path = dialect.path();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        );
        let with_length = [
            format!("{head}content-length: {}\r\n\r\n", long.len()).into_bytes(),
            long.clone(),
        ]
        .concat();
        let announced = format!("{head}content-length: 99999999999\r\n\r\n").into_bytes();
        let chunked = [
            format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes(),
            wire::chunk(&long),
            wire::LAST_CHUNK.to_vec(),
        ]
        .concat();
        for bytes in [with_length, announced, chunked] {
            refused(
                dialect,
                &raw(gateway.data, &bytes).expect("an answer"),
                413,
                "102400",
            );
        }
    }
}

#[test]
fn a_chunked_body_within_the_bound_is_a_request() {
    let gateway = gateway();
    let body =
        aplomb_testkit::client::chat_body(Dialect::OpenAi, "practice/small", false).to_string();
    let chunks: Vec<u8> = body.as_bytes().chunks(5).flat_map(wire::chunk).collect();
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let answer = raw(
        gateway.data,
        &[head, chunks, wire::LAST_CHUNK.to_vec()].concat(),
    )
    .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Requests that two parsers could read in two ways never reach a provider.
#[test]
fn smuggling_is_refused() {
    let upstream = Upstream::start(|seen| wire::good(seen, &["x"]));
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n",
        upstream.url()
    );
    let gateway = Gateway::start(BINARY, &config);
    let body = aplomb_testkit::client::chat_body(Dialect::OpenAi, "up/m", false).to_string();
    let chunked = [wire::chunk(body.as_bytes()), wire::LAST_CHUNK.to_vec()].concat();
    let length = format!("content-length: {}\r\n", body.len());
    let framings = [
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding: gzip, chunked\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "content-length: -5\r\n".to_owned(),
        "content-length: 0x10\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
    ];
    for framing in framings {
        let head =
            format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n");
        let answer = raw(gateway.data, &[head.into_bytes(), chunked.clone()].concat());
        let status = answer.map(|answer| answer.status);
        assert!(
            matches!(status, None | Some(400 | 501)),
            "{framing:?}: {status:?}"
        );
    }
    assert!(upstream.seen().is_empty());
    // Here the length is void (RFC 9112, section 6.3): one request goes out, and nothing is read after it.
    for framing in [
        format!("transfer-encoding: chunked\r\n{length}"),
        format!("{length}transfer-encoding: chunked\r\n"),
    ] {
        let head =
            format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n");
        let hidden = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec();
        let mut connection = Connection::open(gateway.data);
        connection
            .write(&[head.into_bytes(), chunked.clone(), hidden].concat())
            .unwrap();
        let answer = connection.answer().unwrap();
        assert!(
            answer.status == 400 || answer.header("connection") == Some("close"),
            "{}",
            answer.status
        );
        assert!(answer.next_answer().is_err());
    }
    assert!(
        upstream
            .seen()
            .iter()
            .all(|seen| seen.json()["messages"].is_array())
    );
}

#[test]
fn paths_methods_and_heads() {
    let gateway = gateway();
    let ask = |method: &str, path: &str| Request::new(gateway.data, method, path).whole();
    refused(
        Dialect::OpenAi,
        &ask("GET", "/v1/nothing"),
        404,
        "/v1/nothing",
    );
    refused(Dialect::OpenAi, &ask("GET", "/"), 404, "/");
    refused(
        Dialect::OpenAi,
        &ask("GET", "/v1/chat/completions"),
        405,
        "POST",
    );
    refused(
        Dialect::Anthropic,
        &ask("DELETE", "/v1/messages"),
        405,
        "POST",
    );
    assert!(
        ask("DELETE", "/v1/messages")
            .header("allow")
            .is_some_and(|allow| allow.contains("POST"))
    );
    let long = format!(
        "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert_eq!(
        raw(gateway.data, long.as_bytes())
            .expect("an answer")
            .status,
        431
    );
    let garbage = raw(gateway.data, b"\x16\x03\x01 hello\r\n\r\n");
    assert!(garbage.is_none_or(|answer| answer.status == 400));
}

#[test]
fn a_connection_survives_a_refused_request() {
    let gateway = gateway();
    let mut connection = Connection::open(gateway.data);
    let bad = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n{";
    let good = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.write(format!("{bad}{good}").as_bytes()).unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.next_answer().unwrap().status, 200);
}

/// A client that sends its head or body too slowly is told so or dropped; it never holds a place for long.
#[test]
fn slow_clients_are_let_go() {
    let gateway = Setup::new(BINARY, PRACTICE)
        .server("header_timeout: 200ms")
        .server("body_timeout: 200ms")
        .start();
    let mut connection = Connection::open(gateway.data);
    connection
        .write(b"POST /v1/chat/completions HTTP/1.1\r\nhost:")
        .unwrap();
    assert!(
        connection
            .answer()
            .map_or(true, |answer| answer.status == 408)
    );
    let mut connection = Connection::open(gateway.data);
    connection.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{").unwrap();
    assert_eq!(connection.answer().unwrap().status, 408);
}

#[test]
fn models_are_listed_in_both_dialects() {
    let gateway = Gateway::start(
        BINARY,
        "providers:\n  practice: {}\nroutes:\n  chat: { targets: [practice/small] }\n",
    );
    let list = Request::new(gateway.data, "GET", "/v1/models")
        .whole()
        .json();
    let ids: Vec<&Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert!(ids.contains(&&json!("chat")), "{list}");
    assert_eq!(list["object"], "list");
    let list = Request::new(gateway.data, "GET", "/v1/models")
        .header("anthropic-version", "2023-06-01")
        .whole()
        .json();
    assert!(
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["id"] == "chat" && model["type"] == "model"),
        "{list}"
    );
    let one = Request::new(gateway.data, "GET", "/v1/models/chat").whole();
    assert_eq!(one.json()["id"], "chat", "{}", one.text());
}

/// Legacy completions, embeddings and token counts take the same way.
#[test]
fn every_endpoint_answers() {
    let gateway = gateway();
    let post = |path: &str, body: &Value| Request::post(gateway.data, path, body).whole();
    let completion = post(
        "/v1/completions",
        &json!({ "model": "practice/small", "prompt": "Say", "max_tokens": 5 }),
    );
    assert_eq!(completion.status, 200, "{}", completion.text());
    assert_eq!(completion.json()["object"], "text_completion");
    assert!(
        !completion.json()["choices"][0]["text"]
            .as_str()
            .unwrap()
            .is_empty()
    );
    let embeddings = post(
        "/v1/embeddings",
        &json!({ "model": "practice/small", "input": ["a", "b"] }),
    );
    assert_eq!(
        embeddings.json()["data"].as_array().map(Vec::len),
        Some(2),
        "{}",
        embeddings.text()
    );
    let count = post(
        "/v1/messages/count_tokens",
        &aplomb_testkit::client::chat_body(Dialect::Anthropic, "practice/small", false),
    );
    assert!(
        count.json()["input_tokens"]
            .as_u64()
            .is_some_and(|count| count > 0),
        "{}",
        count.text()
    );
}
