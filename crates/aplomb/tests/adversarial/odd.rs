//! Answers that are odd but whole: they must come out whole and canonical.
#![expect(clippy::too_many_lines, reason = "lists of cases")]

use crate::cases::*;
use aplomb_testkit::upstream::{Script, Seen, Step};
use aplomb_testkit::wire::{self, data, named, openai_chunk};
use serde_json::{Value, json};

pub fn all() -> Vec<Case> {
    let mut cases = transport();
    cases.extend(framing());
    cases.extend(ends());
    cases.extend(openai());
    cases.extend(anthropic());
    cases
}

fn transport() -> Vec<Case> {
    use Form::{Both, Stream, Whole};
    vec![
        case("plain", "as documented", Both, text(), |seen| {
            wire::good(seen, PIECES)
        }),
        case("bytewise", "one byte a write", Both, text(), |seen| {
            let Some(Step::Send(bytes)) = wire::good(seen, PIECES).pop() else {
                unreachable!()
            };
            vec![Step::SendSplit(bytes, 1)]
        }),
        case(
            "byte_chunks",
            "one byte an HTTP chunk",
            Both,
            text(),
            |seen| {
                let head = wire::head(
                    200,
                    &[
                        ("content-type", content_type(seen)),
                        ("transfer-encoding", "chunked"),
                    ],
                );
                let chunks: Vec<u8> = body(seen)
                    .iter()
                    .flat_map(|byte| wire::chunk(&[*byte]))
                    .collect();
                send([head, chunks, wire::LAST_CHUNK.to_vec()].concat())
            },
        ),
        case(
            "chunk_extensions",
            "chunk extensions and trailers",
            Both,
            text(),
            |seen| {
                let head = wire::head(
                    200,
                    &[
                        ("content-type", content_type(seen)),
                        ("transfer-encoding", "chunked"),
                        ("trailer", "x-sum"),
                    ],
                );
                let body = body(seen);
                let size = format!("{:x};name=\"value\"\r\n", body.len());
                send(
                    [
                        head,
                        size.into_bytes(),
                        body,
                        b"\r\n0\r\nx-sum: 1\r\n\r\n".to_vec(),
                    ]
                    .concat(),
                )
            },
        ),
        case(
            "close_delimited",
            "no length; the end of the connection ends it",
            Both,
            text(),
            |seen| {
                let head = wire::head(
                    200,
                    &[
                        ("content-type", content_type(seen)),
                        ("connection", "close"),
                    ],
                );
                vec![Step::Send([head, body(seen)].concat()), Step::CloseFin]
            },
        ),
        case("http_1_0", "HTTP/1.0", Both, text(), |seen| {
            let head = format!(
                "HTTP/1.0 200 OK\r\nContent-Type: {}\r\n\r\n",
                content_type(seen)
            );
            vec![
                Step::Send([head.into_bytes(), body(seen)].concat()),
                Step::CloseFin,
            ]
        }),
        case(
            "with_length",
            "a stream with a content length",
            Stream,
            text(),
            |seen| {
                send(wire::answer(
                    200,
                    &[("content-type", content_type(seen))],
                    &body(seen),
                ))
            },
        ),
        case(
            "early_hints",
            "`100` and `103` before the answer",
            Both,
            text(),
            |seen| {
                let before =
                    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"
                        .to_vec();
                send(
                    [
                        before,
                        wire::answer(200, &[("content-type", content_type(seen))], &body(seen)),
                    ]
                    .concat(),
                )
            },
        ),
        case(
            "gzip",
            "gzip although not asked for",
            Both,
            text(),
            |seen| {
                let packed = wire::gzip(&body(seen));
                send(wire::answer(
                    200,
                    &[
                        ("content-type", content_type(seen)),
                        ("content-encoding", "gzip"),
                    ],
                    &packed,
                ))
            },
        ),
        case(
            "gzip_bytewise",
            "gzip, one byte a write",
            Both,
            text(),
            |seen| {
                let packed = wire::gzip(&body(seen));
                let headers = [
                    ("content-type", content_type(seen)),
                    ("content-encoding", "gzip"),
                ];
                vec![Step::SendSplit(wire::answer(200, &headers, &packed), 1)]
            },
        ),
        case("status_201", "status 201", Both, text(), |seen| {
            send(wire::answer(
                201,
                &[("content-type", content_type(seen))],
                &body(seen),
            ))
        }),
        case("wrong_type", "a wrong content type", Both, text(), |seen| {
            let kind = if seen.is_stream() {
                "application/json"
            } else {
                "text/event-stream"
            };
            send(wire::answer(200, &[("content-type", kind)], &body(seen)))
        }),
        case("no_type", "no content type", Both, text(), |seen| {
            send(wire::answer(200, &[], &body(seen)))
        }),
        case(
            "other_form",
            "JSON to a stream request, a stream to a plain one",
            Both,
            text(),
            |seen| {
                if seen.is_stream() {
                    return send(wire::json_answer(
                        200,
                        &wire::whole(seen.dialect(), &PIECES.concat()),
                    ));
                }
                stream(&events(seen).join())
            },
        ),
        case(
            "cookies",
            "cookies, rate-limit and private headers",
            Both,
            text(),
            |seen| {
                let headers = [
                    ("content-type", content_type(seen)),
                    ("set-cookie", "session=1"),
                    ("x-upstream-secret", "1"),
                    ("x-ratelimit-remaining-requests", "1"),
                    ("location", "/elsewhere"),
                ];
                send(wire::answer(200, &headers, &body(seen)))
            },
        ),
        case(
            "white_space",
            "white space before the JSON, as keep-alive",
            Whole,
            text(),
            |seen| {
                let padded = [b" \n \r\n \n".to_vec(), body(seen)].concat();
                send(wire::answer(
                    200,
                    &[("content-type", "application/json")],
                    &padded,
                ))
            },
        ),
        case(
            "bom",
            "a byte order mark at its start",
            Both,
            text(),
            |seen| {
                let marked = ["\u{feff}".as_bytes().to_vec(), body(seen)].concat();
                send(wire::answer(
                    200,
                    &[("content-type", content_type(seen))],
                    &marked,
                ))
            },
        ),
        case(
            "big_event",
            "an event (or body) of 5 MB",
            Both,
            Expect::Whole("ä".repeat(2_500_000)),
            |seen| {
                let long = "ä".repeat(2_500_000);
                wire::good(seen, &[&long])
            },
        ),
    ]
}

fn with_ends(seen: &Seen, end: &str) -> Script {
    stream(&events(seen).join().replace('\n', end))
}

fn framing() -> Vec<Case> {
    use Form::Stream;
    vec![
        case("crlf", "CRLF line ends", Stream, text(), |seen| {
            with_ends(seen, "\r\n")
        }),
        case(
            "crlf_bytewise",
            "CRLF line ends, one byte a write",
            Stream,
            text(),
            |seen| {
                vec![Step::SendSplit(
                    wire::stream_answer(events(seen).join().replace('\n', "\r\n").as_bytes()),
                    1,
                )]
            },
        ),
        case("cr", "CR line ends", Stream, text(), |seen| {
            with_ends(seen, "\r")
        }),
        case("mixed_ends", "mixed line ends", Stream, text(), |seen| {
            let mut ends = ["\n", "\r\n", "\r"].iter().cycle();
            let whole = events(seen).join();
            let mixed: String = whole
                .lines()
                .map(|line| format!("{line}{}", ends.next().unwrap_or(&"\n")))
                .collect();
            // A CR before a lone LF would be one CRLF, so every event ends with a fresh line of its own.
            stream(
                &mixed
                    .replace("\r\ndata", "\r\n\ndata")
                    .replace("\r\nevent", "\r\n\nevent"),
            )
        }),
        case(
            "comments",
            "comments and blank lines everywhere",
            Stream,
            text(),
            |seen| {
                let joined = events(seen).join();
                stream(&format!(
                    ": hello\n\n:\n\n\n{}",
                    joined.replace("\n\n", "\n: x\n\n\n: OPENROUTER PROCESSING\n\n")
                ))
            },
        ),
        case(
            "no_space",
            "no space after the colon",
            Stream,
            text(),
            |seen| {
                stream(
                    &events(seen)
                        .join()
                        .replace("data: ", "data:")
                        .replace("event: ", "event:"),
                )
            },
        ),
        case(
            "other_fields",
            "`id`, `retry` and unknown fields",
            Stream,
            text(),
            |seen| {
                stream(
                    &events(seen)
                        .join()
                        .replace("data: ", "id: 7\nretry: 5\nfoo: bar\ndata: "),
                )
            },
        ),
        case(
            "data_lines",
            "JSON over several `data:` lines",
            Stream,
            text(),
            |seen| stream(&events(seen).join().replace(",\"", ",\ndata: \"")),
        ),
        case(
            "merged",
            "all events in one write",
            Stream,
            text(),
            |seen| {
                send(wire::answer(
                    200,
                    &[("content-type", "text/event-stream")],
                    events(seen).join().as_bytes(),
                ))
            },
        ),
        case(
            "in_sevens",
            "chunks of seven bytes",
            Stream,
            text(),
            |seen| {
                let chunks: Vec<u8> = events(seen)
                    .join()
                    .as_bytes()
                    .chunks(7)
                    .flat_map(wire::chunk)
                    .collect();
                send([wire::stream_head(), chunks, wire::LAST_CHUNK.to_vec()].concat())
            },
        ),
        case(
            "bad_utf8",
            "bytes that are not UTF-8",
            Stream,
            Expect::Whole("a\u{fffd}b".to_owned()),
            |seen| {
                let whole = wire::Events::text(seen, &["aXYZb"]).join();
                let (before, after) = whole.split_once("XYZ").unwrap_or_default();
                send(wire::stream_answer(
                    &[before.as_bytes(), b"\xff", after.as_bytes()].concat(),
                ))
            },
        ),
        case(
            "no_final_blank",
            "no blank line after the last event",
            Stream,
            text(),
            |seen| stream(events(seen).join().trim_end()),
        ),
    ]
}

fn ends() -> Vec<Case> {
    use Form::Stream;
    vec![
        case(
            "no_end_mark",
            "finished, but no `[DONE]` or `message_stop`",
            Stream,
            text(),
            |seen| {
                let events = events(seen);
                stream(&(events.open() + &events.finish.concat()))
            },
        ),
        case(
            "no_end_mark_fin",
            "finished, then the connection closes",
            Stream,
            text(),
            |seen| {
                let events = events(seen);
                vec![
                    Step::Send(opened(&(events.open() + &events.finish.concat()))),
                    Step::CloseFin,
                ]
            },
        ),
        case(
            "stall_finished",
            "finished, then it stands still",
            Stream,
            text(),
            |seen| {
                let events = events(seen);
                vec![
                    Step::Send(opened(&(events.open() + &events.finish.concat()))),
                    Step::Stall,
                ]
            },
        )
        .stalling(),
        case(
            "open_after_end",
            "the connection stays open after the end mark",
            Stream,
            text(),
            |seen| vec![Step::Send(opened(&events(seen).join())), Step::Stall],
        ),
        case(
            "reset_after_end",
            "the connection breaks after the end mark",
            Stream,
            text(),
            |seen| vec![Step::Send(opened(&events(seen).join())), Step::Reset],
        ),
        case("end_twice", "two end marks", Stream, text(), |seen| {
            let events = events(seen);
            stream(&(events.join() + &events.end.concat()))
        }),
        case(
            "after_end",
            "events after the end mark",
            Stream,
            text(),
            |seen| {
                let events = events(seen);
                stream(&(events.join() + &events.content.concat() + "data: nonsense\n\n"))
            },
        ),
    ]
}

fn tool_calls() -> Expect {
    Expect::Tools(vec![
        ("first".to_owned(), json!({ "a": [1, 2] })),
        ("second".to_owned(), json!({ "b": "ü\"x" })),
    ])
}

fn openai_with(change: fn(&mut Value)) -> String {
    let chunks = [
        openai_chunk(&json!({ "role": "assistant", "content": "" }), None),
        openai_chunk(&json!({ "content": PIECES[0] }), None),
        openai_chunk(&json!({ "content": PIECES[1] }), None),
        openai_chunk(&json!({ "content": PIECES[2] }), None),
        openai_chunk(&json!({}), Some("stop")),
    ];
    let mut text = String::new();
    for mut chunk in chunks {
        change(&mut chunk);
        text.push_str(&data(&chunk));
    }
    text + "data: [DONE]\n\n"
}

fn call(index: usize, id: Option<&str>, name: Option<&str>, arguments: &str) -> String {
    let mut part = json!({ "index": index, "function": { "arguments": arguments } });
    if let Some(id) = id {
        part["id"] = json!(id);
        part["type"] = json!("function");
        part["function"]["name"] = json!(name);
    }
    data(&openai_chunk(&json!({ "tool_calls": [part] }), None))
}

fn openai() -> Vec<Case> {
    use Form::Stream;
    let cases = vec![
        case(
            "usage_last",
            "usage on the last content chunk",
            Stream,
            text(),
            |_| {
                stream(&openai_with(|chunk| {
                    if chunk["choices"][0]["finish_reason"] == "stop" {
                        chunk["usage"] = wire::openai_usage();
                    }
                }))
            },
        ),
        case(
            "usage_each",
            "cumulative usage on every chunk",
            Stream,
            text(),
            |_| stream(&openai_with(|chunk| chunk["usage"] = wire::openai_usage())),
        ),
        case(
            "usage_null",
            "`usage: null` on every chunk",
            Stream,
            text(),
            |_| stream(&openai_with(|chunk| chunk["usage"] = Value::Null)),
        ),
        case(
            "empty_finish",
            "`finish_reason: \"\"` until the end",
            Stream,
            text(),
            |_| {
                stream(&openai_with(|chunk| {
                    if chunk["choices"][0]["finish_reason"].is_null() {
                        chunk["choices"][0]["finish_reason"] = json!("");
                    }
                }))
            },
        ),
        case(
            "role_each",
            "the role on every chunk",
            Stream,
            text(),
            |_| {
                stream(&openai_with(|chunk| {
                    chunk["choices"][0]["delta"]["role"] = json!("assistant")
                }))
            },
        ),
        case(
            "delta_null",
            "`delta: null` with the finish reason",
            Stream,
            text(),
            |_| {
                stream(&openai_with(|chunk| {
                    if chunk["choices"][0]["finish_reason"] == "stop" {
                        chunk["choices"][0]["delta"] = Value::Null;
                    }
                }))
            },
        ),
        case(
            "filter_first",
            "Azure's first chunk without choices",
            Stream,
            text(),
            |_| {
                let first = json!({ "id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [] });
                stream(&(data(&first) + &openai_with(|_| {})))
            },
        ),
        case(
            "finish_with_text",
            "the finish reason beside the last text",
            Stream,
            text(),
            |_| {
                let all = openai_chunk(
                    &json!({ "role": "assistant", "content": PIECES.concat() }),
                    Some("stop"),
                );
                stream(&(data(&all) + "data: [DONE]\n\n"))
            },
        ),
        case(
            "event_names",
            "`event:` lines in an OpenAI stream",
            Stream,
            text(),
            |_| stream(&openai_with(|_| {}).replace("data: ", "event: message\ndata: ")),
        ),
        case(
            "tools_interleaved",
            "arguments of two parallel tool calls, interleaved and split",
            Stream,
            tool_calls(),
            |_| {
                let text = [
                    data(&openai_chunk(
                        &json!({ "role": "assistant", "content": null }),
                        None,
                    )),
                    call(0, Some("call_1"), Some("first"), ""),
                    call(1, Some("call_2"), Some("second"), ""),
                    call(0, None, None, "{\"a\""),
                    call(1, None, None, "{\"b\":\"ü\\"),
                    call(0, None, None, ":[1,"),
                    call(1, None, None, "\"x\"}"),
                    call(0, None, None, "2]}"),
                    data(&openai_chunk(&json!({}), Some("tool_calls"))),
                    "data: [DONE]\n\n".to_owned(),
                ];
                stream(&text.concat())
            },
        ),
        case(
            "tools_stop",
            "tool calls that finish with `stop`",
            Stream,
            tool_calls(),
            |_| {
                let text = [
                    call(0, Some("call_1"), Some("first"), "{\"a\":[1,2]}"),
                    call(1, Some("call_2"), Some("second"), "{\"b\":\"ü\\\"x\"}"),
                    data(&openai_chunk(&json!({}), Some("stop"))),
                    "data: [DONE]\n\n".to_owned(),
                ];
                stream(&text.concat())
            },
        ),
        case(
            "surrogates",
            "one character's two surrogate escapes in two events",
            Stream,
            Expect::Whole("a🎉b".to_owned()),
            |_| {
                let text = openai_with(|_| {})
                    .replace(PIECES[0], "a\\ud83c")
                    .replace(PIECES[1], "\\udf89")
                    .replace(PIECES[2], "b");
                stream(&text)
            },
        ),
    ];
    cases.into_iter().map(|case| case.only(OPENAI)).collect()
}

fn block(index: u64, kind: &Value, deltas: &[Value]) -> String {
    let mut text =
        named(&json!({ "type": "content_block_start", "index": index, "content_block": kind }));
    for delta in deltas {
        text += &named(&json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    }
    text + &named(&json!({ "type": "content_block_stop", "index": index }))
}

fn message(blocks: &str, stop: &str) -> String {
    named(&wire::message_start())
        + blocks
        + &named(
            &json!({ "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null }, "usage": { "output_tokens": 4 } }),
        )
        + &named(&json!({ "type": "message_stop" }))
}

fn anthropic() -> Vec<Case> {
    use Form::Stream;
    let cases = vec![
        case("no_names", "no `event:` lines", Stream, text(), |seen| {
            let text = events(seen).join();
            let lines: Vec<&str> = text
                .split('\n')
                .filter(|line| !line.starts_with("event:"))
                .collect();
            stream(&lines.join("\n"))
        }),
        case(
            "name_after",
            "the `event:` line after the data",
            Stream,
            text(),
            |seen| {
                let text = events(seen).join();
                let turned: String = text
                    .split_terminator("\n\n")
                    .filter_map(|event| event.split_once('\n'))
                    .map(|(name, data)| format!("{data}\n{name}\n\n"))
                    .collect();
                stream(&turned)
            },
        ),
        case(
            "new_events",
            "events of an unknown type",
            Stream,
            text(),
            |seen| {
                let events = events(seen);
                let new = named(&json!({ "type": "something_new", "x": 1 }));
                stream(
                    &(events.begin.concat()
                        + &new
                        + &events.content.concat()
                        + &events.finish.concat()
                        + &events.end.concat()),
                )
            },
        ),
        case(
            "thinking",
            "thinking with a signature before the text",
            Stream,
            text(),
            |_| {
                let thinking = block(
                    0,
                    &json!({ "type": "thinking", "thinking": "", "signature": "" }),
                    &[
                        json!({ "type": "thinking_delta", "thinking": "hm" }),
                        json!({ "type": "signature_delta", "signature": "c2ln" }),
                    ],
                );
                let text = block(
                    1,
                    &json!({ "type": "text", "text": "" }),
                    &[json!({ "type": "text_delta", "text": PIECES.concat() })],
                );
                stream(&message(&(thinking + &text), "end_turn"))
            },
        ),
        case(
            "tool_blocks",
            "two tool calls, arguments split",
            Stream,
            tool_calls(),
            |_| {
                let piece =
                    |text: &str| json!({ "type": "input_json_delta", "partial_json": text });
                let first = block(
                    0,
                    &json!({ "type": "tool_use", "id": "toolu_1", "name": "first", "input": {} }),
                    &[piece(""), piece("{\"a\":[1"), piece(",2]}")],
                );
                let second = block(
                    1,
                    &json!({ "type": "tool_use", "id": "toolu_2", "name": "second", "input": {} }),
                    &[piece("{\"b\":\"ü\\"), piece("\"x\"}")],
                );
                stream(&message(&(first + &second), "tool_use"))
            },
        ),
    ];
    cases.into_iter().map(|case| case.only(ANTHROPIC)).collect()
}
