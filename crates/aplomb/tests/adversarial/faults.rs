//! Answers that are broken: mended before the first content, told after it.
#![expect(clippy::too_many_lines, reason = "lists of cases")]

use crate::cases::*;
use aplomb_testkit::Dialect;
use aplomb_testkit::upstream::{Script, Seen, Step};
use aplomb_testkit::wire::{self, data, named, openai_chunk};
use serde_json::{Value, json};

pub fn all() -> Vec<Case> {
    let mut cases = connection();
    cases.extend(stalls());
    cases.extend(pages());
    cases.extend(statuses());
    cases.extend(bodies());
    cases.extend(events_first());
    cases.extend(events_mid());
    cases
}

const FAILED: Expect = Expect::Early(&[502]);

fn connection() -> Vec<Case> {
    use Form::{Both, Stream, Whole};
    vec![
        case(
            "fin_at_once",
            "the connection closes without an answer",
            Both,
            FAILED,
            |_| vec![Step::CloseFin],
        ),
        case(
            "reset_at_once",
            "the connection breaks without an answer",
            Both,
            FAILED,
            |_| vec![Step::Reset],
        ),
        case("no_http", "bytes that are no HTTP", Both, FAILED, |_| {
            vec![
                Step::Send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()),
                Step::CloseFin,
            ]
        }),
        case(
            "head_reset",
            "headers, then the connection breaks",
            Both,
            FAILED,
            |_| vec![Step::Send(wire::stream_head()), Step::Reset],
        ),
        case(
            "head_fin",
            "headers, then the connection closes",
            Both,
            FAILED,
            |_| vec![Step::Send(wire::stream_head()), Step::CloseFin],
        ),
        case("big_head", "headers of 1 MB", Both, FAILED, |seen| {
            let long = "x".repeat(1_000_000);
            send(wire::answer(
                200,
                &[("content-type", content_type(seen)), ("x-long", &long)],
                &body(seen),
            ))
        }),
        case(
            "cut_fin",
            "closes within the stream",
            Stream,
            Expect::Cut,
            |seen| vec![Step::Send(opened(&events(seen).open())), Step::CloseFin],
        ),
        case(
            "cut_reset",
            "breaks within the stream",
            Stream,
            Expect::Broken,
            |seen| {
                // A reset may overtake bytes that were not read yet.
                vec![Step::Send(opened(&events(seen).open())), Step::Reset]
            },
        ),
        case(
            "cut_close_delimited",
            "a stream without a length ends early",
            Stream,
            Expect::Cut,
            |seen| {
                let head = wire::head(200, &[("content-type", "text/event-stream")]);
                vec![
                    Step::Send([head, events(seen).open().into_bytes()].concat()),
                    Step::CloseFin,
                ]
            },
        ),
        case(
            "cut_clean",
            "a clean end without a finish reason",
            Stream,
            Expect::Cut,
            |seen| stream(&events(seen).open()),
        ),
        case(
            "done_unfinished",
            "the end mark without a finish reason",
            Stream,
            Expect::Cut,
            |seen| {
                let events = events(seen);
                stream(&(events.open() + &events.end.concat()))
            },
        ),
        case(
            "short_length",
            "fewer bytes than its content length",
            Both,
            Expect::Cut,
            |seen| {
                let mut sent = if seen.is_stream() {
                    events(seen).open().into_bytes()
                } else {
                    body(seen)
                };
                if !seen.is_stream() {
                    sent.truncate(sent.len() / 2);
                }
                vec![Step::Send(short(seen, &sent)), Step::CloseFin]
            },
        ),
        case(
            "bad_chunk_first",
            "broken chunk framing before the first event",
            Both,
            FAILED,
            |_| {
                vec![
                    Step::Send([wire::stream_head(), b"ZZ\r\nxx\r\n".to_vec()].concat()),
                    Step::CloseFin,
                ]
            },
        ),
        case(
            "bad_chunk_mid",
            "broken chunk framing within the stream",
            Stream,
            Expect::Cut,
            |seen| {
                vec![
                    Step::Send([opened(&events(seen).open()), b"ZZ\r\nxx\r\n".to_vec()].concat()),
                    Step::CloseFin,
                ]
            },
        ),
        case(
            "whole_cut",
            "JSON that ends in its middle",
            Whole,
            FAILED,
            |seen| {
                let body = body(seen);
                send(wire::answer(
                    200,
                    &[("content-type", "application/json")],
                    &body[..body.len() / 2],
                ))
            },
        ),
    ]
}

fn stalls() -> Vec<Case> {
    use Form::{Both, Stream};
    let late = || Expect::Early(&[504]);
    [
        case("stall_at_once", "silence", Stream, late(), |_| {
            vec![Step::Stall]
        }),
        case(
            "stall_whole",
            "silence until the total timeout",
            Form::Whole,
            Expect::Coded(504, "upstream_timeout"),
            |_| vec![Step::Stall],
        ),
        case(
            "stall_head",
            "headers, then silence",
            Stream,
            late(),
            |_| vec![Step::Send(wire::stream_head()), Step::Stall],
        ),
        case(
            "stall_comments",
            "only comments, then silence",
            Stream,
            late(),
            |_| vec![Step::Send(opened(": wait\n\n: wait\n\n")), Step::Stall],
        ),
        case(
            "stall_role",
            "an opening event without content, then silence",
            Stream,
            late(),
            |seen| {
                vec![
                    Step::Send(opened(&events(seen).begin.concat())),
                    Step::Stall,
                ]
            },
        ),
        case(
            "stall_mid",
            "silence within the stream",
            Stream,
            Expect::Cut,
            |seen| vec![Step::Send(opened(&events(seen).open())), Step::Stall],
        ),
        case(
            "stall_error_body",
            "status 503 and a body that does not end",
            Both,
            Expect::Early(&[502, 503, 504]),
            |_| {
                let head = wire::head(
                    503,
                    &[
                        ("content-type", "application/json"),
                        ("content-length", "100"),
                    ],
                );
                vec![
                    Step::Send([head, b"{\"error\"".to_vec()].concat()),
                    Step::Stall,
                ]
            },
        ),
    ]
    .into_iter()
    .map(Case::stalling)
    .collect()
}

const PAGE: &[u8] =
    b"<!doctype html><html><body>Bad gateway sk-provider-secret-1234567890</body></html>";

fn pages() -> Vec<Case> {
    use Form::{Both, Stream};
    vec![
        case("html", "an HTML page with status 200", Both, FAILED, |_| {
            send(wire::answer(200, &[("content-type", "text/html")], PAGE))
        }),
        case(
            "html_typed",
            "an HTML page that calls itself an answer",
            Both,
            FAILED,
            |seen| {
                send(wire::answer(
                    200,
                    &[("content-type", content_type(seen))],
                    PAGE,
                ))
            },
        ),
        case(
            "html_mid",
            "an HTML page within the stream",
            Stream,
            Expect::Cut,
            |seen| stream(&(events(seen).open() + "<html><body>502 Bad Gateway</body></html>\n")),
        ),
        case("empty", "status 200 without a body", Both, FAILED, |seen| {
            send(wire::answer(
                200,
                &[("content-type", content_type(seen))],
                b"",
            ))
        }),
        case("no_content", "status 204", Both, FAILED, |_| {
            send(wire::head(204, &[]))
        }),
        case("blank", "only white space", Both, FAILED, |seen| {
            send(wire::answer(
                200,
                &[("content-type", content_type(seen))],
                b"\n\n  \n",
            ))
        }),
        case(
            "plain_text",
            "a line of text with status 200",
            Both,
            FAILED,
            |_| {
                send(wire::answer(
                    200,
                    &[("content-type", "text/plain")],
                    b"upstream connect error",
                ))
            },
        ),
        case(
            "brotli",
            "an encoding that nobody asked for",
            Both,
            FAILED,
            |seen| {
                send(wire::answer(
                    200,
                    &[
                        ("content-type", content_type(seen)),
                        ("content-encoding", "br"),
                    ],
                    b"\x8b\x01\x80",
                ))
            },
        ),
        case("bad_gzip", "gzip that is none", Both, FAILED, |seen| {
            send(wire::answer(
                200,
                &[
                    ("content-type", content_type(seen)),
                    ("content-encoding", "gzip"),
                ],
                b"not gzip at all",
            ))
        }),
        case(
            "cut_gzip",
            "gzip that ends early",
            Form::Whole,
            FAILED,
            |seen| {
                let packed = wire::gzip(&body(seen));
                let half = &packed[..packed.len() / 2];
                send(wire::answer(
                    200,
                    &[
                        ("content-type", content_type(seen)),
                        ("content-encoding", "gzip"),
                    ],
                    half,
                ))
            },
        ),
        case(
            "redirect_302",
            "a redirect to another host (302)",
            Both,
            FAILED,
            |_| {
                send(wire::answer(
                    302,
                    &[("location", "ELSEWHERE/v1/chat/completions")],
                    b"",
                ))
            },
        ),
        case(
            "redirect_307",
            "a redirect to another host (307)",
            Both,
            FAILED,
            |_| {
                send(wire::answer(
                    307,
                    &[("location", "ELSEWHERE/v1/chat/completions")],
                    b"",
                ))
            },
        ),
    ]
}

fn status(seen: &Seen, status: u16, kind: &str, code: Option<&str>, message: &str) -> Script {
    send(wire::json_answer(
        status,
        &wire::error(seen.dialect(), kind, code, message),
    ))
}

fn statuses() -> Vec<Case> {
    use Form::Both;
    vec![
        case(
            "status_500_text",
            "status 500 with text",
            Both,
            Expect::Early(&[500, 502]),
            |_| {
                send(wire::answer(
                    500,
                    &[("content-type", "text/plain")],
                    b"Internal Server Error at 127.0.0.1:8000",
                ))
            },
        ),
        case(
            "status_503_html",
            "status 503 with a page",
            Both,
            Expect::Early(&[502, 503]),
            |_| send(wire::answer(503, &[("content-type", "text/html")], PAGE)),
        ),
        case(
            "status_502_empty",
            "status 502 without a body",
            Both,
            FAILED,
            |_| send(wire::answer(502, &[], b"")),
        ),
        case(
            "status_529",
            "status 529, overloaded",
            Both,
            Expect::Early(&[503, 529]),
            |seen| status(seen, 529, "overloaded_error", None, "Overloaded"),
        ),
        case(
            "key_in_error",
            "status 401 that repeats the provider's key",
            Both,
            Expect::Early(&[401, 502]),
            |seen| {
                status(
                    seen,
                    401,
                    "invalid_request_error",
                    Some("invalid_api_key"),
                    "Incorrect API key provided: sk-provider-secret-1234567890.",
                )
            },
        ),
        case(
            "context_length",
            "status 400, context length exceeded",
            Both,
            Expect::Coded(400, "context_length_exceeded"),
            |seen| {
                status(
                    seen,
                    400,
                    "invalid_request_error",
                    Some("context_length_exceeded"),
                    "too many tokens",
                )
            },
        ),
        case(
            "content_filter",
            "status 400, content filter",
            Both,
            Expect::Coded(400, "content_filter"),
            |seen| {
                status(
                    seen,
                    400,
                    "invalid_request_error",
                    Some("content_filter"),
                    "filtered",
                )
            },
        ),
        case(
            "quota",
            "status 429, quota used up",
            Both,
            Expect::Early(&[429]),
            |seen| {
                status(
                    seen,
                    429,
                    "insufficient_quota",
                    Some("insufficient_quota"),
                    "no money left",
                )
            },
        ),
        case(
            "rate_limited",
            "status 429",
            Both,
            Expect::Early(&[429]),
            |seen| {
                let error = wire::error(
                    seen.dialect(),
                    "rate_limit_error",
                    Some("rate_limit_exceeded"),
                    "slow down",
                );
                send(wire::answer(
                    429,
                    &[("content-type", "application/json"), ("retry-after", "1")],
                    error.to_string().as_bytes(),
                ))
            },
        ),
        case(
            "numeric_code",
            "an error with a number as its code",
            Both,
            Expect::Early(&[500, 502, 503]),
            |_| {
                send(wire::json_answer(
                    503,
                    &json!({ "error": { "message": "busy", "code": 503, "type": null } }),
                ))
            },
        ),
        case(
            "error_text",
            "an error that is a string",
            Both,
            Expect::Early(&[500, 502]),
            |_| {
                send(wire::json_answer(
                    500,
                    &json!({ "error": "model runner has unexpectedly stopped" }),
                ))
            },
        ),
        case(
            "error_array",
            "an error within an array",
            Both,
            Expect::Early(&[503]),
            |_| {
                send(wire::json_answer(
                    503,
                    &json!([{ "error": { "code": 503, "message": "unavailable", "status": "UNAVAILABLE" } }]),
                ))
            },
        ),
        case(
            "error_200",
            "an error object with status 200",
            Both,
            Expect::Early(&[500, 502]),
            |seen| status(seen, 200, "server_error", None, "it broke"),
        ),
        case(
            "not_found",
            "status 404, unknown model",
            Both,
            Expect::Early(&[404]),
            |seen| {
                status(
                    seen,
                    404,
                    "invalid_request_error",
                    Some("model_not_found"),
                    "no such model",
                )
            },
        ),
    ]
}

fn answered(value: &Value) -> Script {
    send(wire::json_answer(200, value))
}

fn bodies() -> Vec<Case> {
    use Form::Whole;
    vec![
        case("json_array", "an array", Whole, FAILED, |_| {
            answered(&json!([1, 2]))
        }),
        case("json_scalar", "`null`", Whole, FAILED, |_| {
            answered(&Value::Null)
        }),
        case("json_empty", "`{}`", Whole, FAILED, |_| {
            answered(&json!({}))
        }),
        case(
            "no_choices",
            "no choices, no content",
            Whole,
            FAILED,
            |seen| {
                let mut value = wire::whole(seen.dialect(), "x");
                match seen.dialect() {
                    Dialect::OpenAi => value["choices"] = json!([]),
                    Dialect::Anthropic => value["content"] = Value::Null,
                }
                answered(&value)
            },
        ),
        case(
            "json_rest",
            "JSON with something after it",
            Whole,
            FAILED,
            |seen| {
                let rest = [body(seen), b"{\"x\":1}".to_vec()].concat();
                send(wire::answer(
                    200,
                    &[("content-type", "application/json")],
                    &rest,
                ))
            },
        ),
        case("deep", "JSON of 20,000 levels", Whole, FAILED, |_| {
            let deep = "[".repeat(20_000) + &"]".repeat(20_000);
            let text = format!("{{\"choices\":{deep},\"content\":{deep}}}");
            send(wire::answer(
                200,
                &[("content-type", "application/json")],
                text.as_bytes(),
            ))
        }),
        case("huge_body", "a body of 70 MB", Whole, FAILED, |seen| {
            let long = "x".repeat(70_000_000);
            wire::good(seen, &[&long])
        }),
    ]
}

fn events_first() -> Vec<Case> {
    use Form::Stream;
    vec![
        case(
            "error_first",
            "an error event first",
            Stream,
            Expect::Early(&[500, 502, 503, 529]),
            |seen| stream(&error_event(seen)),
        ),
        case(
            "bad_json_first",
            "an event that is no JSON",
            Stream,
            FAILED,
            |_| stream("data: {\"id\": nonsense\n\n"),
        ),
        case(
            "odd_json_first",
            "an event of another kind of JSON",
            Stream,
            FAILED,
            |_| stream("data: [1,2]\n\ndata: 5\n\n"),
        ),
        case("only_done", "only the end mark", Stream, FAILED, |seen| {
            stream(&events(seen).end.concat())
        }),
        case(
            "no_delta",
            "opened and ended without content",
            Stream,
            FAILED,
            |seen| {
                let events = events(seen);
                stream(&events.begin.concat())
            },
        ),
        case(
            "deep_event",
            "an event of 20,000 levels",
            Stream,
            FAILED,
            |_| stream(&format!("data: {{\"choices\":{}\n\n", "[".repeat(20_000))),
        ),
        case("huge_event", "an event of 20 MB", Stream, FAILED, |seen| {
            let long = "x".repeat(20_000_000);
            stream(&wire::Events::text(seen, &[&long]).join())
        }),
        case(
            "endless_line",
            "a line of 20 MB without an end",
            Stream,
            FAILED,
            |_| stream(&format!("data: {}", "x".repeat(20_000_000))),
        ),
    ]
}

fn error_event(seen: &Seen) -> String {
    let error = wire::error(
        seen.dialect(),
        "overloaded_error",
        None,
        "Overloaded sk-provider-secret-1234567890",
    );
    match seen.dialect() {
        Dialect::OpenAi => data(&error),
        Dialect::Anthropic => named(&error),
    }
}

fn events_mid() -> Vec<Case> {
    use Form::Stream;
    let mut cases = vec![
        case(
            "error_mid",
            "an error event within the stream",
            Stream,
            Expect::Cut,
            |seen| stream(&(events(seen).open() + &error_event(seen))),
        ),
        case(
            "error_mid_text",
            "an error event, then more text",
            Stream,
            Expect::Cut,
            |seen| {
                let events = events(seen);
                stream(
                    &(events.open()
                        + &error_event(seen)
                        + &events.content.concat()
                        + &events.finish.concat()
                        + &events.end.concat()),
                )
            },
        ),
        case(
            "bad_json_mid",
            "an event that is no JSON within the stream",
            Stream,
            Expect::Cut,
            |seen| stream(&(events(seen).open() + "data: {\"id\": nonsense\n\n")),
        ),
        case(
            "huge_event_mid",
            "an event of 20 MB within the stream",
            Stream,
            Expect::Cut,
            |seen| {
                stream(&(events(seen).open() + &format!("data: {}\n\n", "x".repeat(20_000_000))))
            },
        ),
    ];
    cases.extend([
        case("start_twice", "a second `message_start`", Stream, Expect::Cut, |seen| {
            let events = events(seen);
            stream(&(events.open() + &events.begin.concat() + &events.finish.concat() + &events.end.concat()))
        })
        .only(ANTHROPIC),
        case("unopened_block", "a delta for a block that was not opened", Stream, Expect::Cut, |seen| {
            let stray = named(&json!({ "type": "content_block_delta", "index": 7, "delta": { "type": "text_delta", "text": "x" } }));
            stream(&(events(seen).open() + &stray + &events(seen).finish.concat() + &events(seen).end.concat()))
        })
        .only(ANTHROPIC),
        case("openai_error_named", "an error under `event: error`", Stream, Expect::Cut, |seen| {
            stream(&(events(seen).open() + "event: error\ndata: {\"message\":\"it broke\"}\n\n"))
        })
        .only(OPENAI),
        case("text_after_finish", "text after the finish reason", Stream, text(), |seen| {
            let late = data(&openai_chunk(&json!({ "content": "late" }), None));
            let events = events(seen);
            stream(&(events.open() + &events.finish.concat() + &late + &events.end.concat()))
        })
        .only(OPENAI),
    ]);
    cases
}
