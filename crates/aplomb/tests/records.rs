//! Records from outside: what a request leaves behind, and how it is asked for.
#![cfg(test)]

use aplomb_testkit::client::{Connection, Request, chat_body};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Step, Upstream};
use aplomb_testkit::{Dialect, wait_for, wire};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

const CONFIG: &str = "providers:
  practice: { kind: practice, practice: { first_token: 0ms, tokens_per_second: 0 } }
  shaky: { kind: practice, practice: { first_token: 0ms, tokens_per_second: 0, error_rate: 1.0 } }
routes:
  chat: { targets: [practice/practice], record: { text: plain } }
  quiet: { targets: [practice/practice] }
  durable: { targets: [practice/practice], record: { ack: group } }
  strict: { targets: [practice/practice], record: { ack: strict } }
  fallback: { targets: [shaky/practice, practice/practice] }
  masked: { targets: [practice/practice], privacy: standard, record: { text: masked } }
privacy:
  standard: { email: mask, \"*\": flag }
  default: { \"*\": allow }
";

fn id_of(headers: Option<&str>) -> String {
    headers.expect("a request id").to_owned()
}

/// Sends a question on a route; gives the record's id.
fn ask(gateway: &Gateway, dialect: Dialect, route: &str, stream: bool, text: &str) -> String {
    let mut body = json!({ "model": route, "stream": stream, "messages": [{ "role": "system", "content": "Be brief." },
        { "role": "user", "content": text }] });
    if dialect == Dialect::Anthropic {
        body = json!({ "model": route, "stream": stream, "max_tokens": 100, "system": "Be brief.",
            "messages": [{ "role": "user", "content": text }] });
    }
    let answer = Request::post(gateway.data, dialect.path(), &body)
        .header("x-aplomb-user", "u-1")
        .whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    id_of(answer.header("x-aplomb-request-id"))
}

fn run(gateway: &Gateway, arguments: &[&str]) -> (bool, String, String) {
    let output = gateway.setup().command(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn one(gateway: &Gateway, id: &str) -> Value {
    wait_for("the record", || {
        let answer = gateway
            .admin_get(&format!("/admin/v1/requests/{id}"))
            .whole();
        (answer.status == 200).then(|| answer.json())
    })
}

#[test]
fn text_is_kept_where_the_route_says_so_and_as_the_provider_saw_it() {
    let gateway = Gateway::start(BINARY, CONFIG);
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let kept = one(
                &gateway,
                &ask(
                    &gateway,
                    dialect,
                    "chat",
                    stream,
                    "Where is the next station, please?",
                ),
            );
            assert_eq!(kept["text"]["system"], "Be brief.", "{dialect:?} {stream}");
            assert!(
                kept["text"]["messages"][0]
                    .to_string()
                    .contains("next station"),
                "{kept}"
            );
            assert!(
                kept["text"]["output"].as_str().unwrap().len() > 10,
                "{kept}"
            );
            assert_eq!(
                (&kept["language"], &kept["text_kept"], &kept["cost_usd"]),
                (&"eng".into(), &"whole".into(), &"0".into())
            );
            let quiet = one(
                &gateway,
                &ask(
                    &gateway,
                    dialect,
                    "quiet",
                    stream,
                    "Wo ist denn der nächste Bahnhof?",
                ),
            );
            assert_eq!(
                (&quiet["text"], &quiet["language"], &quiet["text_kept"]),
                (&Value::Null, &"deu".into(), &"none".into())
            );
            let masked = one(
                &gateway,
                &ask(
                    &gateway,
                    dialect,
                    "masked",
                    stream,
                    "Write to jane.roe@example.org, please",
                ),
            );
            let text = masked["text"].to_string();
            assert!(
                text.contains("<EMAIL_") && !text.contains("jane.roe"),
                "{text}"
            );
            assert!(masked["privacy"]["counts"]["EMAIL:mask"] == 1, "{masked}");
        }
    }
    let fallen = one(
        &gateway,
        &ask(&gateway, Dialect::ALL[0], "fallback", true, "Hi there"),
    );
    assert_eq!(fallen["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(
        (
            &fallen["attempts"][0]["target"],
            &fallen["attempts"][1]["fault"]
        ),
        (&"shaky/practice".into(), &Value::Null)
    );
}

#[test]
fn commands_ask_the_running_gateway() {
    let gateway = Gateway::start(BINARY, CONFIG);
    let first = ask(
        &gateway,
        Dialect::ALL[0],
        "chat",
        true,
        "How do I cancel my plan?",
    );
    let second = ask(&gateway, Dialect::ALL[1], "quiet", false, "Hello");
    one(&gateway, &first);
    one(&gateway, &second);
    let (good, out, _) = run(&gateway, &["logs", "--json"]);
    let ids: Vec<String> = out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(
        good && ids == [first.clone(), second.clone()],
        "oldest first: {ids:?}"
    );
    let (_, out, _) = run(&gateway, &["logs", "--text", "CANCEL my", "--since", "1h"]);
    assert!(
        out.lines().count() == 1 && out.contains(&first) && out.contains("practice/practice"),
        "{out}"
    );
    let (_, out, _) = run(&gateway, &["logs", &second, "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&out).unwrap()["operation"],
        "messages"
    );
    let (good, out, _) = run(
        &gateway,
        &[
            "sql",
            "SELECT route, count(*) AS n FROM requests GROUP BY 1 ORDER BY 1",
        ],
    );
    assert!(good, "{out}");
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        ["route  n", "-----  -", "chat   1", "quiet  1"]
    );
    for (arguments, expected) in [
        (
            &["sql", "SELECT nowhere FROM requests"][..],
            "no such column: nowhere (line 1, column 8)",
        ),
        (
            &["sql", "DELETE FROM requests"],
            "cannot modify requests because it is a view",
        ),
        (
            &["sql", "SELECT 1", "--since", "yesterday"],
            "since: expected a day such as 2026-01-31",
        ),
        (&["logs", "no-id"], "id: expected a record id"),
        (
            &["logs", "0198c8a0-0000-7000-8000-000000000000"],
            "there is no record of this id",
        ),
    ] {
        let (good, _, error) = run(&gateway, arguments);
        assert!(!good && error.contains(expected), "{arguments:?}: {error}");
    }
    let setup = gateway.killed();
    let output = setup.command(&["sql", "SELECT 1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("start one with `aplomb serve`"));
}

#[test]
fn feedback_joins_its_exchange() {
    let gateway = Gateway::start(BINARY, CONFIG);
    let id = ask(&gateway, Dialect::ALL[0], "masked", false, "Hello");
    let give = |body: Value| Request::post(gateway.data, "/aplomb/v1/feedback", &body).whole();
    // At once: the record may still be on its way to the disk.
    let down = give(
        json!({ "request_id": id, "thumb": "down", "comment": "ask jane.roe@example.org", "label": "partly" }),
    );
    assert_eq!(
        (down.status, down.json()["accepted"].clone()),
        (200, true.into()),
        "{}",
        down.text()
    );
    assert_eq!(give(json!({ "request_id": id, "thumb": "up" })).status, 200);
    assert_eq!(
        give(json!({ "request_id": id, "event": "copied", "user": "u-2" })).status,
        200
    );
    let kept = one(&gateway, &id);
    let feedback = kept["feedback"].as_array().unwrap();
    assert_eq!(feedback.len(), 3, "each is kept");
    assert_eq!(
        (&feedback[0]["by"], &feedback[2]["by"]),
        (&"u-1".into(), &"u-2".into())
    );
    let comment = feedback[0]["comment"].as_str().unwrap();
    assert!(
        comment.contains("<EMAIL_") && !comment.contains("jane"),
        "{comment}"
    );
    let list = gateway
        .admin_get("/admin/v1/requests?thumb=up")
        .whole()
        .json();
    assert_eq!(
        list["data"].as_array().unwrap().len(),
        1,
        "the last thumb counts"
    );
    for (body, status, message) in [
        (json!({ "request_id": id }), 400, "expected one of thumb"),
        (
            json!({ "request_id": "0198c8a0-0000-7000-8000-000000000000", "thumb": "up" }),
            404,
            "no record of this request_id",
        ),
        (
            json!({ "request_id": id, "thumb": "left" }),
            400,
            "unknown variant `left`",
        ),
    ] {
        let answer = give(body);
        assert!(
            answer.status == status && answer.text().contains(message),
            "{}",
            answer.text()
        );
    }
    assert_eq!(
        gateway.metric("aplomb_feedback_total{thumb=\"down\"}"),
        Some(1.0)
    );
}

/// Answers that ended, by their ids, from clients that ask until the gateway dies.
fn ask_until_it_dies(gateway: &Gateway, route: &'static str, kill_after: usize) -> Vec<String> {
    let (send, ended) = std::sync::mpsc::sync_channel(1000);
    let address = gateway.data;
    for n in 0..4 {
        let send = send.clone();
        std::thread::spawn(move || {
            let dialect = Dialect::ALL[n % 2];
            loop {
                let Ok(probe) = std::net::TcpStream::connect(address) else {
                    return;
                };
                drop(probe);
                let mut connection = Connection::open(address);
                let mut body = chat_body(dialect, route, n < 2);
                body["user"] = format!("u{n}").into();
                let text = body.to_string();
                let head = format!(
                    "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    dialect.path(),
                    text.len()
                );
                if connection.write((head + &text).as_bytes()).is_err() {
                    return;
                }
                let Ok(answer) = connection.answer() else {
                    return;
                };
                let id = id_of(answer.header("x-aplomb-request-id"));
                let status = answer.status;
                let Ok(whole) = answer.whole() else { return };
                let text = whole.text();
                assert_eq!(status, 200, "{text}");
                let complete = text.contains("[DONE]")
                    || text.contains("message_stop")
                    || !text.contains("data:");
                if !complete || send.send(id).is_err() {
                    return;
                }
            }
        });
    }
    drop(send);
    ended.iter().take(kill_after).collect()
}

#[test]
fn a_killed_gateway_has_lost_no_acknowledged_record() {
    let mut setup = Setup::new(BINARY, CONFIG);
    let mut acknowledged = HashSet::new();
    // Figures are taken with more of them.
    let rounds = aplomb_testkit::env("APLOMB_KILLS").and_then(|n| n.parse().ok());
    let rounds: usize = rounds.unwrap_or(4);
    for round in 0..rounds {
        let gateway = setup.start();
        let route = if round % 2 == 0 { "durable" } else { "strict" };
        let ids = ask_until_it_dies(&gateway, route, 10 + 37 * (round % 9));
        setup = gateway.killed();
        acknowledged.extend(ids);
    }
    let gateway = setup.start();
    let sum = |query: &str| {
        let (good, out, error) = run(&gateway, &["sql", "--json", "--rows", "100000", query]);
        assert!(good, "{error}");
        serde_json::from_str::<Value>(&out).unwrap()["rows"].clone()
    };
    // What was left over becomes a record a moment after the start.
    wait_for("the records", || {
        let rows = sum("SELECT id FROM requests");
        let found: Vec<&str> = rows
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|row| row[0].as_str())
            .collect();
        let distinct: HashSet<&str> = found.iter().copied().collect();
        assert_eq!(found.len(), distinct.len(), "no record is there twice");
        let lost = |id: &&String| !distinct.contains(id.as_str());
        let missing: Vec<&String> = acknowledged.iter().filter(lost).collect();
        missing.is_empty().then_some(())
    });
    println!(
        "{rounds} kills, {} acknowledged records, none lost",
        acknowledged.len()
    );
    assert!(acknowledged.len() >= 250, "{}", acknowledged.len());
    let sums = "sum(requests), sum(input_tokens), sum(output_tokens)";
    let facts = sum("SELECT count(*), sum(input_tokens), sum(output_tokens) FROM requests");
    for view in ["minutes", "hours", "tenants"] {
        assert_eq!(sum(&format!("SELECT {sums} FROM {view}")), facts, "{view}");
    }
}

#[test]
fn text_as_masked_needs_a_policy_that_masks() {
    let setup = Setup::new(BINARY, "");
    let path = setup.dir().join("aplomb.yaml");
    let text = "providers:\n  practice: { kind: practice }\nroutes:\n  chat: { targets: [practice/practice], record: { text: masked } }\n\
                prices:\n  practise/x: { input: 1 USD, output: 2 }\n  gpt: { input: -1, output: 2 }\n";
    std::fs::write(&path, text).unwrap();
    let output = setup
        .command(&["check", "--config", "aplomb.yaml"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("expected an amount of at least 0"), "{said}");
    std::fs::write(&path, text.replace("-1", "1")).unwrap();
    let output = setup
        .command(&["check", "--config", "aplomb.yaml"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    for expected in [
        "this route has no privacy policy that masks",
        "there is no provider `practise`",
        "expected `provider/model`",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// Alerts fire once, tell once when it is over, and say so on the admin listener.
#[test]
fn an_alert_fires_once_and_is_resolved_once() {
    let told: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = told.clone();
    let hook = Upstream::start(move |request| {
        seen.lock().unwrap().push(request.json());
        vec![Step::Send(wire::json_answer(200, &json!({})))]
    });
    let config = format!(
        "{CONFIG}observe:\n  alerts_every: 100ms\n  alerts:\n    - {{ when: \"error_rate > 50% for 1m\", name: too many errors, to: [\"webhook:env:HOOK\", log] }}\n    \
         - {{ when: \"requests_per_minute > 100000\", to: [log] }}\n"
    );
    let config = config.replace(
        "  fallback:",
        "  broken: { targets: [shaky/practice], retry: { attempts: 1 } }\n  fallback:",
    );
    let gateway = Setup::new(BINARY, &config)
        .env("HOOK", &format!("{}/secret-path", hook.url()))
        .start();
    let body = json!({ "model": "broken", "messages": [{ "role": "user", "content": "hi" }] });
    for _ in 0..12 {
        let status = Request::post(gateway.data, "/v1/chat/completions", &body)
            .whole()
            .status;
        assert!(status >= 429, "{status}");
    }
    let messages = || told.lock().unwrap().clone();
    wait_for("the alert", || (!messages().is_empty()).then_some(()));
    let standing = gateway.admin_get("/admin/v1/alerts").whole().json();
    assert_eq!(
        (
            &standing["data"][0]["firing"],
            &standing["data"][1]["firing"]
        ),
        (&true.into(), &false.into())
    );
    for _ in 0..30 {
        ask(&gateway, Dialect::ALL[0], "quiet", false, "hello");
    }
    wait_for("the end of the alert", || {
        (messages().len() >= 2).then_some(())
    });
    let states: Vec<Value> = messages()
        .iter()
        .map(|message| message["state"].clone())
        .collect();
    assert_eq!(states, ["firing", "resolved"]);
    assert_eq!(messages()[0]["alert"], "too many errors");
    assert!(messages()[0]["text"].as_str().unwrap().contains("FIRING"));
    assert_eq!(gateway.metric("aplomb_alerts_fired_total"), Some(1.0));
    gateway.wait_log("an alert is resolved");
    assert!(!gateway.log().join("\n").contains("secret-path"));
}

#[test]
fn training_data_holds_masked_text_and_no_erased_person() {
    let gateway = Gateway::start(BINARY, CONFIG);
    let masked = ask(
        &gateway,
        Dialect::ALL[0],
        "masked",
        false,
        "Write to jane.roe@example.org, please",
    );
    let anthropic = ask(&gateway, Dialect::ALL[1], "masked", true, "Bonjour à tous");
    let plain = ask(
        &gateway,
        Dialect::ALL[0],
        "chat",
        false,
        "This route masks nothing",
    );
    let quiet = ask(&gateway, Dialect::ALL[0], "quiet", false, "No text here");
    for id in [&masked, &anthropic, &plain, &quiet] {
        one(&gateway, id);
    }
    let correction = json!({ "request_id": masked, "thumb": "down", "correction": "Better: ask jane.roe@example.org" });
    assert_eq!(
        Request::post(gateway.data, "/aplomb/v1/feedback", &correction)
            .whole()
            .status,
        200
    );
    let lines = |arguments: &[&str]| {
        let (good, out, error) = run(&gateway, arguments);
        assert!(good, "{error}");
        (
            out.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .collect::<Vec<_>>(),
            error,
        )
    };
    let (chats, said) = lines(&["export"]);
    assert_eq!(chats.len(), 2);
    assert!(
        said.contains("2 lines; left out: 1 without text, 1 whose text no privacy policy masked"),
        "{said}"
    );
    let roles: Vec<&str> = chats[0]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant"]);
    let text = json!(chats).to_string();
    assert!(
        text.contains("<EMAIL_") && !text.contains("jane.roe"),
        "{text}"
    );
    assert_eq!(lines(&["export", "--unmasked"]).0.len(), 3);
    let (pairs, _) = lines(&["export", "--preference", "--thumb", "down"]);
    assert_eq!(pairs.len(), 1);
    let preferred = pairs[0]["preferred_output"][0]["content"].as_str().unwrap();
    assert!(preferred.starts_with("Better: ask <EMAIL_"), "{preferred}");
    assert!(
        lines(&["export", "--min-score", "relevance=0.5"])
            .0
            .is_empty()
    );
    let (good, _, error) = run(&gateway, &["export", "--min-score", "relevance"]);
    assert!(!good && error.contains("expected RUBRIC=NUMBER"), "{error}");
    run(&gateway, &["privacy", "erase", "--user", "u-1"]);
    assert!(lines(&["export"]).0.is_empty());
}

#[test]
fn tokens_that_no_provider_counted_are_counted_or_estimated() {
    let upstream = Upstream::start(|seen| {
        let events = wire::events_of(seen.dialect(), &["Hello", " world"], false);
        vec![Step::Send(wire::stream_answer(events.join().as_bytes()))]
    });
    let config = format!(
        "providers:
  house: {{ kind: openai, base_url: \"{}/v1\" }}
routes:
  known: {{ targets: [house/gpt-4o], record: {{ text: plain }} }}
  other: {{ targets: [house/llama], record: {{ text: plain }} }}
  silent: {{ targets: [house/gpt-4o] }}
",
        upstream.url()
    );
    let gateway = Gateway::start(BINARY, &config);
    let facts = |route: &str| {
        let id = ask(&gateway, Dialect::OpenAi, route, true, "Where am I?");
        let record = one(&gateway, &id);
        (
            record["usage_source"].as_str().unwrap().to_owned(),
            record["input_tokens"].as_u64().unwrap(),
            record["output_tokens"].as_u64().unwrap(),
        )
    };
    // "Be", " brief", "."; "Where", " am", " I", "?"; four of frame each, three for the whole.
    assert_eq!(facts("known"), ("counted".into(), 3 + 4 + 2 * 4 + 3, 2));
    assert_eq!(facts("other").0, "estimated");
    let (source, input, output) = facts("silent");
    assert_eq!((source.as_str(), output), ("estimated", 3));
    assert!(input > 18, "estimates err upwards: {input}");
}

#[test]
fn users_with_trouble_are_named_with_its_reasons() {
    let config = CONFIG.replace(
        "  fallback:",
        "  broken: { targets: [shaky/practice], retry: { attempts: 1 } }\n  fallback:",
    );
    let gateway = Gateway::start(BINARY, &config);
    let send = |user: &str, route: &str, text: &str| {
        let body = json!({ "model": route, "user": user, "messages": [{ "role": "user", "content": text }] });
        id_of(
            Request::post(gateway.data, "/v1/chat/completions", &body)
                .whole()
                .header("x-aplomb-request-id"),
        )
    };
    for n in 0..3 {
        send("unlucky", "broken", &format!("{n}"));
        send("lucky", "chat", &format!("question {n}"));
        send("stubborn", "chat", "Why does it not work?");
    }
    let last = send("sad", "chat", "Tell me");
    one(&gateway, &last);
    let down = json!({ "request_id": last, "thumb": "down" });
    assert_eq!(
        Request::post(gateway.data, "/aplomb/v1/feedback", &down)
            .whole()
            .status,
        200
    );
    let (good, out, error) = run(&gateway, &["users", "--json"]);
    assert!(good, "{error}");
    let people: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = people
        .iter()
        .map(|person| person["user"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["unlucky", "sad", "stubborn"]);
    // The practice provider fails in several ways, some of which are limits.
    let reasons = people[0]["reasons"].to_string();
    assert!(
        reasons.contains("answers failed") || reasons.contains("hit a limit"),
        "{reasons}"
    );
    assert!(
        people[1]["reasons"][0]
            .as_str()
            .unwrap()
            .contains("bad feedback")
    );
    assert_eq!(people[2]["reasons"][0], "2 of 3 asked the same again");
    let (_, out, _) = run(&gateway, &["users", "--tenant", "nobody"]);
    assert_eq!(out, "nobody has trouble\n");
}

#[test]
fn two_people_grade_blind_and_their_agreement_is_told() {
    let gateway = Gateway::start(BINARY, CONFIG);
    let ids: Vec<String> = (0..4)
        .map(|n| {
            ask(
                &gateway,
                Dialect::ALL[0],
                "chat",
                false,
                &format!("Question {n}"),
            )
        })
        .collect();
    one(&gateway, &ids[3]);
    let next = |grader: &str| {
        let path = format!("/admin/v1/grading?grader={grader}&percent=100");
        gateway.admin_get(&path).whole().json()["data"]
            .as_array()
            .unwrap()
            .clone()
    };
    let grade = |id: &str, grader: &str, label: &str| {
        let body = json!({ "request_id": id, "grader": grader, "label": label });
        let mut request = gateway.admin_get("/admin/v1/grading");
        request = request
            .with_method("POST")
            .body(body.to_string().as_bytes());
        request.whole()
    };
    let items = next("ann");
    assert_eq!(items.len(), 4);
    assert!(
        items[0]["answer"]
            .as_str()
            .is_some_and(|answer| !answer.is_empty())
    );
    let shown = json!(items).to_string();
    assert!(
        !shown.contains("practice/practice") && !shown.contains("label"),
        "{shown}"
    );
    for (n, id) in ids.iter().enumerate() {
        let bob = if n == 0 { "inaccurate" } else { "accurate" };
        let ann = if n < 2 { "inaccurate" } else { "accurate" };
        assert_eq!(
            (grade(id, "ann", ann).status, grade(id, "bob", bob).status),
            (200, 200)
        );
    }
    assert!(
        next("ann").is_empty() && next("eve").is_empty(),
        "two graders are enough"
    );
    let report = gateway.admin_get("/admin/v1/grading/report").whole().json();
    assert_eq!(
        (&report["pairs"], &report["same"], &report["kappa"]),
        (&4.into(), &0.75.into(), &0.5.into())
    );
    assert!(
        grade(&ids[0], "ann", "good")
            .text()
            .contains("label: expected one of accurate, partly, inaccurate")
    );
}
