//! Personal data does not reach the provider, and the client gets it back, byte for byte, however the answer comes.
#![cfg(test)]

use aplomb_testkit::Dialect;
use aplomb_testkit::check::{self, End, Said};
use aplomb_testkit::client::{Request, Whole, chat_body};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::wire::{self, Events};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

/// Values that must not leave, of many kinds and in several scripts.
const VALUES: [&str; 9] = [
    "ada.lovelace@example.org",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "123-45-6789",
    "+44 20 7946 0958",
    "Ada Lovelace",
    "postgres://app:s3cr3tPw9@db.example.net/x",
    "quentin@例え.example",
    "192.0.45.77",
];

fn text() -> String {
    format!(
        "Dear support, my name is {}. Mail {} or {}, phone {}.\nCard {}, IBAN {}, SSN {}.\n\"Logs\": {} at {}; a < b && c > d, <EMAIL_zzzz>, 日本 🎉 \\n end.",
        VALUES[5],
        VALUES[0],
        VALUES[7],
        VALUES[4],
        VALUES[1],
        VALUES[2],
        VALUES[3],
        VALUES[6],
        VALUES[8]
    )
}

/// Parts of the values that must not be seen: the part of the URL that is a secret.
fn secrets() -> Vec<&'static str> {
    let mut all: Vec<&str> = VALUES.to_vec();
    all[6] = "s3cr3tPw9";
    all.retain(|value| *value != "192.0.45.77");
    all
}

/// The last text that a provider was sent.
fn prompt(seen: &Seen) -> String {
    let body = seen.json();
    let last = body["messages"].as_array().and_then(|m| m.last()).cloned();
    match &last.unwrap_or_default()["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

/// Sends the prompt back, one byte a write; with a model name of `escaped` with JSON escapes for brackets.
fn echo(seen: &Seen) -> Script {
    let said = prompt(seen);
    let escape = |text: String| {
        if seen.model() == "escaped" {
            text.replace('<', "\\u003c").replace('>', "\\u003E")
        } else {
            text
        }
    };
    let bytes = if seen.is_stream() {
        let pieces: Vec<String> = said.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let events = escape(Events::text(seen, &pieces).join());
        wire::stream_answer(events.as_bytes())
    } else {
        let body = escape(wire::whole(seen.dialect(), &said).to_string());
        wire::answer(
            200,
            &[("content-type", "application/json")],
            body.as_bytes(),
        )
    };
    vec![Step::SendSplit(bytes, 97)]
}

const POLICY: &str = "privacy:\n  default: { \"*\": mask, images: log }\n  strict: { secret: block, url_credentials: block }\n";

fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\n\
         routes:\n  strict: {{ targets: [up/m], privacy: strict }}\n{POLICY}{more}"
    );
    Gateway::start(BINARY, &config)
}

fn asking(dialect: Dialect, model: &str, stream: bool, text: &str) -> Value {
    let mut body = chat_body(dialect, model, stream);
    body["messages"] = json!([{ "role": "user", "content": text }]);
    body
}

fn said(dialect: Dialect, stream: bool, answer: &Whole) -> Said {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if stream {
        let events = aplomb_testkit::sse::events(&answer.body).unwrap();
        check::stream(dialect, &events).unwrap()
    } else {
        check::whole(dialect, &answer.json()).unwrap()
    }
}

#[test]
fn values_come_back_and_never_leave() {
    let upstream = Upstream::start(echo);
    let gateway = gateway(&upstream, "");
    for client in Dialect::ALL {
        for provider in ["up", "claude"] {
            for model in ["plain", "escaped"] {
                for stream in [true, false] {
                    let body = asking(client, &format!("{provider}/{model}"), stream, &text());
                    let answer = Request::post(gateway.data, client.path(), &body).whole();
                    let said = said(client, stream, &answer);
                    assert_eq!(said.text, text(), "{client:?} {provider} {model} {stream}");
                    assert_eq!(said.end, End::Whole);
                }
            }
        }
    }
    for seen in upstream.seen() {
        let sent = String::from_utf8_lossy(&seen.body).into_owned();
        for value in secrets() {
            assert!(!sent.contains(value), "{value} left: {sent}");
        }
        assert!(sent.contains("<EMAIL_zzzz>"), "what the user typed stays");
    }
    let record = gateway.wait_record("a record", |record| record["privacy"]["restored"] != 0);
    assert_eq!(record["privacy"]["policy"], "default");
    // The one that the user typed is not one of the request's.
    let facts = &record["privacy"];
    assert_eq!([&facts["unrestored"], &facts["foreign"]], [0, 1], "{facts}");
    assert!(
        record["privacy"]["counts"]["EMAIL:mask"].as_u64() >= Some(2),
        "{record}"
    );
    let kept = format!("{:?}{}", gateway.records(), gateway.log().join("\n"));
    for value in secrets() {
        assert!(
            !kept.contains(value),
            "{value} is in the records or the log"
        );
    }
    assert!(gateway.metric("aplomb_privacy_restored_total").unwrap() > 0.0);
}

/// Placeholders that go out are counted apart: those of the request that were spoiled, and those it never made.
#[test]
fn placeholders_that_leak_are_counted() {
    let upstream = Upstream::start(|seen| {
        let token = prompt_of(&prompt(seen));
        let spoiled = token.replace('<', "<    ");
        let said = format!("{token}, {spoiled}, <PERSON_abcd>; a < b");
        let pieces: Vec<String> = said.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        wire::good(seen, &pieces)
    });
    let gateway = gateway(&upstream, "");
    let mut asked = 0;
    for client in Dialect::ALL {
        for provider in ["up", "claude"] {
            for stream in [true, false] {
                let user = format!("user-{asked}");
                let mut body = asking(client, &format!("{provider}/m"), stream, VALUES[0]);
                if client == Dialect::OpenAi {
                    body["user"] = json!(user);
                } else {
                    body["metadata"] = json!({ "user_id": user });
                }
                let answer = Request::post(gateway.data, client.path(), &body).whole();
                let said = said(client, stream, &answer);
                assert!(said.text.starts_with(VALUES[0]), "{}", said.text);
                let record = gateway.wait_record("its record", |record| record["user"] == user);
                let facts = &record["privacy"];
                let counted = [&facts["restored"], &facts["unrestored"], &facts["foreign"]];
                assert_eq!(counted, [1, 1, 1], "{client:?} {provider} {stream}");
                asked += 1;
            }
        }
    }
    for metric in ["unrestored", "foreign"] {
        let name = format!("aplomb_privacy_placeholders_{metric}_total");
        assert_eq!(gateway.metric(&name), Some(f64::from(asked)), "{name}");
    }
}

/// The same value has the same placeholder for the same user in every request, and another for another user.
#[test]
fn placeholders_are_stable_for_a_user() {
    let upstream = Upstream::start(echo);
    let gateway = gateway(&upstream, "");
    for (user, more) in [("u1", ""), ("u1", "Once more: "), ("u2", "")] {
        let ask = format!("{more}write to {}", VALUES[0]);
        let mut body = asking(Dialect::OpenAi, "up/m", false, &ask);
        body["user"] = json!(user);
        let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
        assert_eq!(said(Dialect::OpenAi, false, &answer).text, ask);
    }
    let placeholder = |number: usize| {
        let sent = prompt(&upstream.seen()[number]);
        sent[sent.find('<').unwrap()..].to_owned()
    };
    assert_eq!(placeholder(0), placeholder(1));
    assert_ne!(placeholder(0), placeholder(2));
}

/// Arguments of a call are JSON, and stay it.
#[test]
fn arguments_of_calls_are_restored() {
    let upstream = Upstream::start(|seen| {
        let said = prompt(seen);
        let token = said[said.find('<').unwrap()..=said.find('>').unwrap()].to_owned();
        let arguments = json!({ "to": token, "note": json!({ "cc": token }).to_string() });
        let call = json!([{ "index": 0, "id": "c", "type": "function",
            "function": { "name": "send", "arguments": arguments.to_string() } }]);
        if seen.is_stream() {
            let chunk = |delta: &Value, end| wire::data(&wire::openai_chunk(delta, end));
            let events = [
                chunk(&json!({ "role": "assistant", "tool_calls": call }), None),
                chunk(&json!({}), Some("tool_calls")),
                "data: [DONE]\n\n".to_owned(),
            ];
            return vec![Step::SendSplit(
                wire::stream_answer(events.concat().as_bytes()),
                1,
            )];
        }
        let message = json!({ "role": "assistant", "content": null, "tool_calls": call });
        let body = json!({ "id": "x", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{ "index": 0, "message": message, "finish_reason": "tool_calls" }] });
        vec![Step::Send(wire::json_answer(200, &body))]
    });
    let gateway = gateway(&upstream, "");
    for client in Dialect::ALL {
        for stream in [true, false] {
            let body = asking(client, "up/m", stream, "Mail ada@example.org please");
            let answer = Request::post(gateway.data, client.path(), &body).whole();
            let said = said(client, stream, &answer);
            let arguments: Value = serde_json::from_str(&said.tools[0].arguments).unwrap();
            assert_eq!(arguments["to"], "ada@example.org");
            let note: Value = serde_json::from_str(arguments["note"].as_str().unwrap()).unwrap();
            assert_eq!(note["cc"], "ada@example.org");
        }
    }
}

#[test]
fn what_may_not_leave_is_refused() {
    let upstream = Upstream::start(echo);
    let gateway = gateway(&upstream, "");
    let image =
        json!([{ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } }]);
    let odd = json!([{ "type": "hologram", "hologram": "x" }]);
    let cases = [
        (
            "strict",
            json!("the password is password=hunter2Xy9Qz8"),
            "SECRET",
        ),
        ("strict", image, "image_url"),
        ("strict", odd, "hologram"),
    ];
    for (model, content, says) in cases {
        let mut body = chat_body(Dialect::OpenAi, model, true);
        body["messages"] = json!([{ "role": "user", "content": content }]);
        let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (422, "privacy_refused")
        );
        assert!(answer.text().contains(says), "{}", answer.text());
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    }
    assert!(upstream.seen().is_empty());
}

/// What the model invents is replaced where the policy says so, also in streams.
#[test]
fn inventions_of_the_model_are_replaced() {
    let upstream =
        Upstream::start(|seen| wire::good(seen, &["Write to bob", "@corp.example", " or ring."]));
    let gateway = gateway(&upstream, "  screened: { output: redact }\n");
    gateway_route(&gateway, &upstream);
    for client in Dialect::ALL {
        for stream in [true, false] {
            let body = asking(client, "screened", stream, "Whom do I ask?");
            let answer = Request::post(gateway.data, client.path(), &body).whole();
            let said = said(client, stream, &answer);
            assert_eq!(
                said.text, "Write to [EMAIL] or ring.",
                "{client:?} {stream}"
            );
        }
    }
}

/// Adds the route `screened` by a reload.
fn gateway_route(gateway: &Gateway, upstream: &Upstream) {
    gateway.write_config(&format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  screened: {{ targets: [up/m], privacy: screened }}\n\
         privacy:\n  screened: {{ output: redact }}\n",
        upstream.url()
    ));
    gateway.wait_log("configuration reloaded");
}

/// A folder with a file, for commands that need no running gateway.
fn written(config: &str) -> Setup {
    let setup = Setup::new(BINARY, config);
    std::fs::write(setup.dir().join("aplomb.yaml"), config).unwrap();
    setup
}

/// A file whose privacy can't be kept does not load; each fault is named with its place.
#[test]
fn gaps_are_errors_of_the_file() {
    let provider =
        "providers:\n  practice: { agreement: { dpa: own, region: us, trains: false } }\n";
    for (rest, says) in [
        (
            "routes:\n  a: { targets: [practice/x] }\nprivacy:\n  p: {}\n",
            "no privacy policy",
        ),
        (
            "routes:\n  a: { targets: [practice/x], privacy: q }\nprivacy:\n  p: {}\n",
            "there is no privacy policy `q`",
        ),
        (
            "routes:\n  a: { targets: [practice/x], require: { region: eu } }\n",
            "processes in us, not in eu",
        ),
        (
            "privacy:\n  default: { emial: mask }\n",
            "did you mean `email`",
        ),
        ("privacy:\n  default: { email: masc }\n", "mask"),
        (
            "recognizers:\n  - { name: t, pattern: \"(\" }\nprivacy:\n  default: {}\n",
            "does not compile",
        ),
        (
            "recognizers:\n  - { name: t }\n",
            "needs a `pattern` or `words`",
        ),
    ] {
        let setup = written(&format!("{provider}{rest}"));
        let out = setup
            .command(&["check", "--config", "aplomb.yaml"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            !out.status.success() && text.contains(says),
            "{rest}\n{text}"
        );
    }
}

/// Errors of the shape, of names, of patterns and of agreements are told in one round, each with its place.
#[test]
fn all_errors_of_a_file_come_at_once() {
    let setup = written(
        "server: { body_max: many }\n\
         providers:\n  practice: { agreement: { region: us } }\n  mine: { kind: openai, base_url: \"http://x y\" }\n\
         routes:\n  a: { targets: [practice/x], require: { region: eu }, privacy: p }\n  b: { targets: [pratice/x], privacy: q }\n  c: { targets: [practice/x] }\n\
         privacy:\n  p: { emial: mask, tickt: mask }\n  r: { email: masc, classes: { h: { kinds: [nhs] } } }\n\
         recognizers:\n  - { name: ticket, pattern: \"(\" }\n  - { name: other, words: [x], validator: lun }\n",
    );
    let out = setup
        .command(&["check", "--config", "aplomb.yaml"])
        .output()
        .unwrap();
    assert!(!out.status.success());
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let found: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split("aplomb.yaml:").nth(1))
        .collect();
    let expected = [
        ("1:21: error: server.body_max:", "expected a size"),
        ("4:35: error: providers.mine.base_url:", "expected a URL"),
        ("6:18: error: routes.a.targets[0]:", "not in eu"),
        (
            "7:18: error: routes.b.targets[0]:",
            "unknown provider `pratice`",
        ),
        ("7:39: error: routes.b.privacy:", "no privacy policy `q`"),
        ("8:6: error: routes.c:", "no privacy policy"),
        ("10:15: error: privacy.p.emial:", "no kind"),
        ("10:28: error: privacy.p.tickt:", "no kind"),
        ("11:15: error: privacy.r.email:", "`masc` is not one of"),
        ("11:45: error: privacy.r.classes.h.kinds[0]:", "no kind"),
        ("13:30: error: recognizers[0].pattern:", "does not compile"),
        (
            "14:43: error: recognizers[1].validator:",
            "no validator `lun`",
        ),
    ];
    for (place, says) in expected {
        let line = found.iter().find(|line| line.starts_with(place));
        assert!(
            line.is_some_and(|line| line.contains(says)),
            "{place} {says}\n{text}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{text}");
}

/// A request in which a class of data is found goes only where it may.
#[test]
fn classes_of_data_choose_the_provider() {
    let upstream = Upstream::start(echo);
    let url = upstream.url();
    let config = format!(
        "providers:\n  us: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY, agreement: {{ dpa: signed, region: us, trains: false }} }}\n  \
         eu: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY, agreement: {{ dpa: signed, region: eu, trains: false }} }}\n\
         routes:\n  both: {{ targets: [us/u, eu/e] }}\n  us: {{ targets: [us/u] }}\n\
         privacy:\n  default: {{ classes: {{ health: {{ kinds: [uk_nhs], require: {{ region: eu }} }} }} }}\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    let ask = |model: &str, text: &str| {
        let body = asking(Dialect::OpenAi, model, false, text);
        Request::post(gateway.data, "/v1/chat/completions", &body).whole()
    };
    assert_eq!(ask("both", "hello").header("x-aplomb-target"), Some("us/u"));
    let sick = "my NHS number is 943 476 5919";
    assert_eq!(ask("both", sick).header("x-aplomb-target"), Some("eu/e"));
    let refused = ask("us", sick);
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("health"), "{}", refused.text());
    assert_eq!(upstream.seen().len(), 2);
}

/// Where policies belong to routes, no model is reached around them.
#[test]
fn there_is_no_way_around_the_routes() {
    let upstream = Upstream::start(echo);
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY, models: [m] }}\n\
         routes:\n  chat: {{ targets: [up/m], privacy: p }}\nprivacy:\n  p: {{}}\n",
        upstream.url()
    );
    let gateway = Gateway::start(BINARY, &config);
    for model in ["up/m", "m"] {
        let body = asking(Dialect::OpenAi, model, false, "x");
        let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
        assert_eq!(answer.status, 403, "{model}: {}", answer.text());
    }
    assert!(upstream.seen().is_empty());
}

/// An analyzer adds what it finds; where it fails the policy decides.
#[test]
fn an_analyzer_is_asked_too() {
    let upstream = Upstream::start(|seen| {
        if seen.path != "/analyze" {
            return echo(seen);
        }
        let asked = seen.json();
        let text = asked["text"].as_str().unwrap();
        if text.contains("break") {
            return vec![Step::CloseFin];
        }
        let found: Vec<Value> = text
            .match_indices("Zorblax")
            .map(|(at, name)| {
                let start = text[..at].chars().count();
                json!({ "entity_type": "PERSON", "start": start, "end": start + name.len(), "score": 0.85 })
            })
            .collect();
        vec![Step::Send(wire::json_answer(200, &json!(found)))]
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  firm: {{ targets: [up/m], privacy: firm }}\n  soft: {{ targets: [up/m], privacy: soft }}\n\
         privacy:\n  firm: {{ analyzer: {{ url: \"{url}\", timeout: 20s }} }}\n  \
         soft: {{ analyzer: {{ url: \"{url}\", timeout: 20s }}, on_error: pass }}\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    let ask = |model: &str, text: &str| {
        let body = asking(Dialect::OpenAi, model, false, text);
        Request::post(gateway.data, "/v1/chat/completions", &body).whole()
    };
    let answer = ask("firm", "é zorblax? Zorblax! ada@example.org");
    assert_eq!(
        said(Dialect::OpenAi, false, &answer).text,
        "é zorblax? Zorblax! ada@example.org"
    );
    let sent = upstream
        .seen()
        .iter()
        .find(|seen| seen.path != "/analyze")
        .map(prompt);
    let sent = sent.unwrap();
    assert!(
        !sent.contains("Zorblax") && !sent.contains("ada@"),
        "{sent}"
    );
    let refused = ask("firm", "break");
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (422, "privacy_refused")
    );
    assert_eq!(ask("soft", "break").status, 200);
}

/// After an erasure no file of the data folder holds the user's id, and the receipt proves it.
#[test]
fn a_person_is_erased_everywhere() {
    let upstream = Upstream::start(echo);
    let gateway = gateway(&upstream, "");
    for user in ["canary-7351", "someone-else"] {
        let mut body = asking(Dialect::OpenAi, "up/m", false, "hello");
        body["user"] = json!(user);
        let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    gateway.wait_record("the canary's record", |record| {
        record["user"] == "canary-7351"
    });
    let run = |arguments: &[&str]| {
        let mut all = vec!["privacy", "--config", "aplomb.yaml"];
        all.extend(arguments);
        let out = gateway.setup().command(&all).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        (out.status.success(), text)
    };
    let (_, kept) = run(&["export", "--user", "canary-7351"]);
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["records"].as_array().unwrap().len(), 1, "{kept}");
    let (good, receipt) = run(&["erase", "--user", "canary-7351"]);
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    assert!(good && receipt["removed"]["records"] == 1, "{receipt}");
    holds_nothing(&gateway.data_file(""), b"canary-7351");
    assert!(
        gateway
            .records()
            .iter()
            .any(|record| record["user"] == "someone-else")
    );
    let file = gateway.setup().dir().join("receipt.json");
    std::fs::write(&file, receipt.to_string()).unwrap();
    assert!(run(&["verify", "receipt.json"]).0);
    std::fs::write(&file, receipt.to_string().replace(":1", ":2")).unwrap();
    assert!(!run(&["verify", "receipt.json"]).0);
    let audit = gateway.admin_get("/admin/v1/audit").whole().json();
    assert_eq!(audit["data"][0]["action"], "privacy.erase", "{audit}");
}

fn holds_nothing(folder: &std::path::Path, canary: &[u8]) {
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            holds_nothing(&path, canary);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(canary.len()).any(|window| window == canary);
        assert!(!found, "{}", path.display());
    }
}

#[test]
fn texts_are_scanned_on_the_admin_listener() {
    let gateway = Gateway::start(BINARY, "providers:\n  practice: {}\n");
    let body = json!({ "text": "ñ mail ada@example.org" });
    let token = std::fs::read_to_string(gateway.data_file("admin.token")).unwrap();
    let answer = Request::post(gateway.admin, "/admin/v1/privacy/scan", &body)
        .header("authorization", &format!("Bearer {}", token.trim()))
        .whole();
    let span = &answer.json()["spans"][0];
    assert_eq!(
        (&span["start"], &span["type"]),
        (&json!(7), &json!("EMAIL"))
    );
}

#[test]
fn texts_are_scanned_line_by_line() {
    let setup = written("recognizers:\n  - { name: ticket, pattern: \"TCK-[0-9]{6}\" }\n");
    let input = "{\"id\": 7, \"text\": \"ñ mail ada@example.org\"}\n{\"id\": \"b\", \"text\": \"TCK-123456\"}\n";
    std::fs::write(setup.dir().join("in.jsonl"), input).unwrap();
    let arguments = [
        "privacy",
        "scan",
        "in.jsonl",
        "--jsonl",
        "--config",
        "aplomb.yaml",
    ];
    let out = setup.command(&arguments).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines[0]["id"], 7);
    let span = &lines[0]["spans"][0];
    assert_eq!(
        (&span["start"], &span["end"], &span["type"]),
        (&json!(7), &json!(22), &json!("EMAIL"))
    );
    assert_eq!(lines[1]["spans"][0]["type"], "TICKET");
}

/// A name that no rule finds leaves with the rules alone, and does not with the model; the answer has it all the same.
#[test]
fn the_name_model_is_asked_where_the_policy_says_so() {
    let upstream = Upstream::start(echo);
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  plain: {{ targets: [up/m], privacy: rules }}\n  careful: {{ targets: [up/m], privacy: model }}\n\
         privacy:\n  rules: {{ person: mask }}\n  model: {{ names: model, person: mask }}\n",
        upstream.url()
    );
    let gateway = Gateway::start(BINARY, &config);
    let text = "Yesterday we asked Qwyntabar for the report.";
    for route in ["plain", "careful"] {
        let body = asking(Dialect::OpenAi, route, false, text);
        let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
        assert_eq!(said(Dialect::OpenAi, false, &answer).text, text);
    }
    let sent: Vec<String> = upstream.seen().iter().map(prompt).collect();
    assert_eq!(sent[0], text);
    assert!(
        sent[1].contains("<PERSON_") && !sent[1].contains("Qwyntabar"),
        "{sent:?}"
    );

    let token = std::fs::read_to_string(gateway.data_file("admin.token")).unwrap();
    let answer = Request::post(
        gateway.admin,
        "/admin/v1/privacy/scan",
        &json!({ "text": text }),
    )
    .header("authorization", &format!("Bearer {}", token.trim()))
    .whole();
    let span = &answer.json()["spans"][0];
    assert_eq!(span["type"], "PERSON");
    assert!(
        span["reason"].as_str().unwrap().contains("name model"),
        "{span}"
    );
}

/// The first placeholder of a text.
fn prompt_of(sent: &str) -> String {
    sent[sent.find('<').unwrap()..=sent.find('>').unwrap()].to_owned()
}

/// Several choices and several calls at once, each cut within a placeholder; what was counted per token is left out.
#[test]
fn interleaved_texts_are_restored_each_on_its_own() {
    let upstream = Upstream::start(|seen| {
        let token = prompt_of(&prompt(seen));
        let (one, other) = token.split_at(4);
        let chunk = |index: u32, delta: Value, finish: Option<&str>| {
            let mut chunk = wire::openai_chunk(&delta, finish);
            chunk["choices"][0]["index"] = json!(index);
            chunk["choices"][0]["logprobs"] =
                json!({ "content": [{ "token": one, "logprob": -0.1 }] });
            wire::data(&chunk)
        };
        let call = |tool: u32, arguments: &str| {
            json!({ "tool_calls": [{ "index": tool, "id": format!("c{tool}"), "type": "function",
                "function": { "name": "f", "arguments": arguments } }] })
        };
        let events = [
            chunk(
                0,
                json!({ "role": "assistant", "content": format!("a {one}") }),
                None,
            ),
            chunk(
                1,
                json!({ "role": "assistant", "content": format!("b {one}") }),
                None,
            ),
            chunk(0, json!({ "content": other }), None),
            chunk(1, json!({ "content": other }), None),
            chunk(0, call(0, &format!("{{\"x\":\"{one}")), None),
            chunk(0, call(1, &format!("{{\"y\":\"{one}")), None),
            chunk(0, call(0, &format!("{other}\"}}")), None),
            chunk(0, call(1, &format!("{other}\"}}")), None),
            chunk(
                1,
                json!({ "refusal": token, "audio": { "id": "a", "transcript": token } }),
                None,
            ),
            chunk(0, json!({}), Some("tool_calls")),
            chunk(1, json!({ "content": " <EM" }), None),
            chunk(1, json!({}), Some("stop")),
            "data: [DONE]\n\n".to_owned(),
        ];
        vec![Step::SendSplit(
            wire::stream_answer(events.concat().as_bytes()),
            31,
        )]
    });
    let gateway = gateway(&upstream, "");
    let mut body = asking(Dialect::OpenAi, "up/m", true, "Mail ada@example.org please");
    body["n"] = json!(2);
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
    let mut texts = [String::new(), String::new()];
    let mut calls = [String::new(), String::new()];
    let mut spoken = String::new();
    for event in aplomb_testkit::sse::events(&answer.body).unwrap() {
        let Ok(value) = event.json() else { continue };
        for choice in value["choices"].as_array().into_iter().flatten() {
            let delta = &choice["delta"];
            let text = &mut texts[usize::try_from(choice["index"].as_u64().unwrap()).unwrap()];
            text.push_str(delta["content"].as_str().unwrap_or_default());
            for name in [&delta["refusal"], &delta["audio"]["transcript"]] {
                spoken.push_str(name.as_str().unwrap_or_default());
            }
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                calls[index].push_str(call["function"]["arguments"].as_str().unwrap_or_default());
            }
        }
    }
    assert_eq!(texts, ["a ada@example.org", "b ada@example.org <EM"]);
    assert_eq!(
        calls,
        ["{\"x\":\"ada@example.org\"}", "{\"y\":\"ada@example.org\"}"]
    );
    assert_eq!(spoken, "ada@example.orgada@example.org");
}

/// A call's arguments are data: no key in them means anything, and keys come back too.
#[test]
fn whole_calls_come_back_as_they_were_meant() {
    let upstream = Upstream::start(|seen| {
        let token = prompt_of(&prompt(seen));
        let input = json!({ "logprobs": 5, "content": "{x", &token: { "arguments": token } });
        let mut body = wire::whole(Dialect::Anthropic, "x");
        body["content"] = json!([{ "type": "tool_use", "id": "t", "name": "f", "input": input }]);
        body["stop_reason"] = json!("stop_sequence");
        body["stop_sequence"] = json!(token);
        vec![Step::Send(wire::json_answer(200, &body))]
    });
    let gateway = gateway(&upstream, "");
    let body = asking(
        Dialect::Anthropic,
        "claude/m",
        false,
        "Mail ada@example.org please",
    );
    let answer = Request::post(gateway.data, "/v1/messages", &body)
        .whole()
        .json();
    let expected = json!({ "logprobs": 5, "content": "{x", "ada@example.org": { "arguments": "ada@example.org" } });
    assert_eq!(answer["content"][0]["input"], expected);
    assert_eq!(answer["stop_sequence"], "ada@example.org");
}

/// The stop sequence that ended a stream is told as it was given, in both lanes.
#[test]
fn stop_sequences_come_back() {
    let upstream = Upstream::start(|seen| {
        let token = seen.json()["stop_sequences"][0].clone();
        let mut events = Events::text(seen, &["x"]);
        events.finish[1] = wire::named(&json!({ "type": "message_delta",
            "delta": { "stop_reason": "stop_sequence", "stop_sequence": token }, "usage": { "output_tokens": 1 } }));
        vec![Step::Send(wire::stream_answer(events.join().as_bytes()))]
    });
    let gateway = gateway(&upstream, "");
    let mut body = asking(Dialect::Anthropic, "claude/m", true, "x");
    body["stop_sequences"] = json!(["ada@example.org"]);
    let answer = Request::post(gateway.data, "/v1/messages", &body).whole();
    assert!(
        answer
            .text()
            .contains("\"stop_sequence\":\"ada@example.org\""),
        "{}",
        answer.text()
    );
    let seen = upstream.seen()[0].json();
    assert!(
        seen["stop_sequences"][0]
            .as_str()
            .unwrap()
            .starts_with("<EMAIL_")
    );
}

/// What the provider says went wrong is told in the client's own words; record and log keep the placeholders.
#[test]
fn errors_of_the_provider_are_told_in_the_clients_words() {
    let upstream = Upstream::start(|seen| {
        let message = format!("can't read {}", prompt(seen));
        let error = wire::error(seen.dialect(), "invalid_request_error", None, &message);
        if seen.model() == "late" {
            let open = Events::text(seen, &["So"]).open();
            let fault = match seen.dialect() {
                Dialect::OpenAi => wire::data(&error),
                Dialect::Anthropic => wire::named(&error),
            };
            return vec![Step::Send(wire::stream_answer((open + &fault).as_bytes()))];
        }
        vec![Step::Send(wire::json_answer(400, &error))]
    });
    let gateway = gateway(&upstream, "");
    let ask = "Mail ada@example.org please";
    for client in Dialect::ALL {
        for (model, stream, status) in [
            ("up/early", false, 400),
            ("up/early", true, 400),
            ("claude/early", false, 400),
            ("up/late", true, 200),
            ("claude/late", true, 200),
        ] {
            let body = asking(client, model, stream, ask);
            let answer = Request::post(gateway.data, client.path(), &body).whole();
            let text = answer.text();
            assert_eq!(answer.status, status, "{client:?} {model}: {text}");
            assert!(text.contains(&format!("can't read {ask}")), "{text}");
        }
    }
    let record = gateway.wait_record("a cut answer", |record| record["outcome"] == "cut");
    assert_eq!(record["privacy"]["restored"], 1, "{record}");
    let kept = format!("{:?}{}", gateway.records(), gateway.log().join("\n"));
    assert!(!kept.contains("ada@example.org"), "{kept}");
}

/// A value that goes over the border of two parts is found, in every dialect, and comes back as it was.
#[test]
fn values_are_found_over_the_border_of_two_parts() {
    let upstream = Upstream::start(echo);
    let gateway = gateway(&upstream, "");
    let text = "Mail ada.lovelace@example.org or call.";
    for client in Dialect::ALL {
        for cut in 6..text.len() {
            let (one, other) = text.split_at(cut);
            let mut body = chat_body(client, "up/m", false);
            let part = |text: &str| json!({ "type": "text", "text": text });
            body["messages"] = json!([{ "role": "user", "content": [part(one), part(other)] }]);
            let answer = Request::post(gateway.data, client.path(), &body).whole();
            assert_eq!(said(client, false, &answer).text, text, "{one} | {other}");
        }
    }
    for seen in upstream.seen() {
        let sent = prompt(&seen);
        let left = ["lovelace@", "example.org", "ada.l"].map(|part| sent.contains(part));
        assert_eq!(left, [false; 3], "{sent}");
    }
}

/// A speaker's name travels without brackets, which providers do not take there, and comes back where the model says it.
#[test]
fn names_of_speakers_come_back() {
    let upstream = Upstream::start(|seen| {
        let name = seen.json()["messages"][0]["name"].clone();
        let name = name.as_str().unwrap_or_default();
        let pieces: Vec<String> = format!("Hello {name}!").chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        if seen.is_stream() {
            return wire::good(seen, &pieces);
        }
        let mut body = wire::whole(seen.dialect(), &pieces.concat());
        body["choices"][0]["message"]["name"] = json!(name);
        vec![Step::Send(wire::json_answer(200, &body))]
    });
    let gateway = gateway(&upstream, "");
    for stream in [true, false] {
        let mut body = asking(Dialect::OpenAi, "up/m", stream, "hi");
        body["messages"][0]["name"] = json!("ada@example.org");
        let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
        let text = said(Dialect::OpenAi, stream, &answer).text;
        assert_eq!(text, "Hello ada@example.org!");
        if !stream {
            let name = answer.json()["choices"][0]["message"]["name"].clone();
            assert_eq!(name, "ada@example.org");
        }
    }
    for seen in upstream.seen() {
        let name = seen.json()["messages"][0]["name"].clone();
        assert!(name.as_str().unwrap().starts_with("EMAIL_"), "{name}");
    }
}

/// Reasoning comes back however a server sends it in a stream, and so do members that nobody here knows.
#[test]
fn reasoning_in_streams_comes_back() {
    let upstream = Upstream::start(|seen| {
        let token = prompt_of(&prompt(seen));
        let (one, other) = token.split_at(5);
        let detail = |index: u32, name: &str, text: &str| json!({ "reasoning_details": [{ "type": "reasoning.text", "index": index, name: text }] });
        let deltas = [
            json!({ "role": "assistant", "reasoning": one, "reasoning_content": one }),
            json!({ "reasoning": other, "reasoning_content": other }),
            detail(0, "text", one),
            detail(1, "summary", one),
            detail(0, "text", other),
            detail(1, "summary", other),
            detail(0, "text", " <EM"),
            json!({ "annotations": [{ "title": token }] }),
            json!({ "content": [{ "type": "text", "text": token }] }),
        ];
        let chunk = |delta: &Value| wire::data(&wire::openai_chunk(delta, None));
        let mut events: String = deltas.iter().map(chunk).collect();
        events += &wire::data(&wire::openai_chunk(&json!({}), Some("stop")));
        events += "data: [DONE]\n\n";
        vec![Step::Send(wire::stream_answer(events.as_bytes()))]
    });
    let gateway = gateway(&upstream, "");
    let body = asking(Dialect::OpenAi, "up/m", true, "Mail ada@example.org please");
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body).whole();
    let mut texts = std::collections::BTreeMap::<String, String>::new();
    let mut note = |name: String, text: &Value| {
        let text = text.as_str().unwrap_or_default();
        texts.entry(name).or_default().push_str(text);
    };
    for event in aplomb_testkit::sse::events(&answer.body).unwrap() {
        let Ok(value) = event.json() else { continue };
        let delta = &value["choices"][0]["delta"];
        for name in ["reasoning", "reasoning_content"] {
            note(name.to_owned(), &delta[name]);
        }
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            for name in ["text", "summary"] {
                note(format!("{name} {}", detail["index"]), &detail[name]);
            }
        }
        note("title".to_owned(), &delta["annotations"][0]["title"]);
        note("part".to_owned(), &delta["content"][0]["text"]);
    }
    texts.retain(|_, text| !text.is_empty());
    let expected = [
        "part",
        "reasoning",
        "reasoning_content",
        "summary 1",
        "title",
    ]
    .map(|name| (name.to_owned(), "ada@example.org".to_owned()));
    let mut expected = std::collections::BTreeMap::from(expected);
    expected.insert("text 0".to_owned(), "ada@example.org <EM".to_owned());
    assert_eq!(texts, expected);
}
