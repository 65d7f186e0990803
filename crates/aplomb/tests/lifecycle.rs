//! Keep-alive while the model thinks, draining, reloading, readiness.
#![cfg(test)]

use aplomb_testkit::check::{self, End};
use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::signal::Signal;
use aplomb_testkit::sse::Block;
use aplomb_testkit::upstream::{Step, Upstream};
use aplomb_testkit::wire::{self, Events};
use aplomb_testkit::{Dialect, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn config(upstream: &Upstream) -> String {
    let url = upstream.url();
    format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  chat: {{ targets: [up/m], retry: {{ attempts: 1 }} }}\n"
    )
}

/// Before its second answer the upstream waits for the signal.
fn gated(gate: &Signal) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |seen| {
        let mut script = vec![Step::WaitFor(gate.clone())];
        script.extend(wire::good(seen, &["hello"]));
        script
    })
}

/// A stream that stands after its first content until the signal.
fn held(gate: &Signal) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |seen| {
        let events = Events::text(seen, &["hello"]);
        let rest = wire::chunk((events.finish.concat() + &events.end.concat()).as_bytes());
        vec![
            Step::Send([wire::stream_head(), wire::chunk(events.open().as_bytes())].concat()),
            Step::WaitFor(gate.clone()),
            Step::Send([rest, wire::LAST_CHUNK.to_vec()].concat()),
        ]
    })
}

#[test]
fn a_thinking_model_keeps_the_connection_alive() {
    for dialect in Dialect::ALL {
        let gate = Signal::new();
        let upstream = gated(&gate);
        let gateway = Setup::new(BINARY, &config(&upstream))
            .server("keepalive_after: 50ms")
            .start();
        let mut answer = gateway.chat(dialect, "chat", true).open();
        assert_eq!(answer.status, 200);
        assert!(matches!(answer.block(), Some(Block::Comment(_))));
        assert!(
            matches!(answer.block(), Some(Block::Comment(_))),
            "comments come again and again"
        );
        gate.set();
        let said = check::stream(dialect, &answer.events()).unwrap();
        assert_eq!((said.text.as_str(), said.end), ("hello", End::Whole));
    }
}

#[test]
fn a_failure_after_keep_alive_is_an_error_event() {
    for dialect in Dialect::ALL {
        let gate = Signal::new();
        let waiting = gate.clone();
        let upstream = Upstream::start(move |_| {
            vec![
                Step::WaitFor(waiting.clone()),
                Step::Send(wire::json_answer(
                    503,
                    &serde_json::json!({ "error": { "message": "busy" } }),
                )),
            ]
        });
        let gateway = Setup::new(BINARY, &config(&upstream))
            .server("keepalive_after: 50ms")
            .start();
        let mut answer = gateway.chat(dialect, "chat", true).open();
        assert_eq!(answer.status, 200);
        assert!(matches!(answer.block(), Some(Block::Comment(_))));
        gate.set();
        let events = answer.events();
        assert_eq!(events.len(), 1, "{events:?}");
        check::error(dialect, &events[0].json().unwrap()).unwrap();
        gateway.wait_record("the record", |record| record["outcome"] == "error");
    }
}

/// Without a long silence the client gets the true status.
#[test]
fn a_quick_failure_keeps_its_status() {
    let upstream = Upstream::always(vec![Step::Send(wire::json_answer(
        503,
        &serde_json::json!({ "error": { "message": "busy" } }),
    ))]);
    let gateway = Gateway::start(BINARY, &config(&upstream));
    assert_eq!(
        gateway.chat(Dialect::OpenAi, "chat", true).whole().status,
        503
    );
}

#[test]
fn draining_lets_streams_end() {
    let gate = Signal::new();
    let upstream = held(&gate);
    let mut gateway = Gateway::start(BINARY, &config(&upstream));
    let mut answer = gateway.chat(Dialect::OpenAi, "chat", true).open();
    let first = answer.event().expect("the first event");
    assert_eq!(
        Request::new(gateway.data, "GET", "/readyz").whole().status,
        200
    );
    gateway.terminate();
    gateway.wait_log("draining");
    // The data plane takes no new connections; the admin listener still tells how it stands.
    wait_for("refused connections", || {
        std::net::TcpStream::connect(gateway.data).err()
    });
    assert_eq!(
        Request::new(gateway.admin, "GET", "/readyz").whole().status,
        503
    );
    gate.set();
    let mut events = vec![first];
    events.extend(answer.events());
    let said = check::stream(Dialect::OpenAi, &events).unwrap();
    assert_eq!((said.text.as_str(), said.end), ("hello", End::Whole));
    assert!(gateway.wait_end().success());
    assert!(
        gateway
            .records()
            .iter()
            .any(|record| record["outcome"] == "done")
    );
}

#[test]
fn the_drain_deadline_ends_streams_with_an_error_event() {
    for dialect in Dialect::ALL {
        let upstream = held(&Signal::new());
        let mut gateway = Setup::new(BINARY, &config(&upstream))
            .server("drain: 100ms")
            .start();
        let mut answer = gateway.chat(dialect, "chat", true).open();
        let first = answer.event().expect("the first event");
        gateway.terminate();
        let mut events = vec![first];
        events.extend(answer.events());
        let said = check::stream(dialect, &events).unwrap();
        assert!(matches!(said.end, End::Error(_)), "{said:?}");
        assert_eq!(said.finish, None);
        assert!(gateway.wait_end().success());
        assert!(
            gateway
                .records()
                .iter()
                .any(|record| record["outcome"] == "cut"),
            "{:?}",
            gateway.records()
        );
    }
}

#[test]
fn a_reload_is_atomic_and_seen() {
    let one = Upstream::start(|seen| wire::good(seen, &["one"]));
    let two = Upstream::start(|seen| wire::good(seen, &["two"]));
    let gateway = Gateway::start(BINARY, &config(&one));
    let ask = || {
        gateway.chat(Dialect::OpenAi, "chat", false).whole().json()["choices"][0]["message"]["content"].clone()
    };
    let count = |outcome: &str| {
        gateway
            .metric(&format!(
                "aplomb_config_reload_total{{outcome=\"{outcome}\"}}"
            ))
            .unwrap_or(0.0)
    };
    assert_eq!(ask(), "one");
    gateway.write_config("providers:\n  up: { kind: openai, base_url: 5 }\nroutes: { chat: { targets: [missing/m] } }\n");
    gateway.signal(rustix::process::Signal::HUP);
    wait_for("the failed reload", || {
        (count("error") >= 1.0).then_some(())
    });
    assert_eq!(ask(), "one", "the last good configuration stays");
    let shown = gateway.admin_get("/admin/v1/config").whole().json();
    assert_eq!(shown["reload"]["outcome"], "error", "{shown}");
    assert!(shown.to_string().contains("base_url"), "{shown}");
    gateway.write_config(&config(&two));
    gateway.signal(rustix::process::Signal::HUP);
    wait_for("the reload", || (count("ok") >= 1.0).then_some(()));
    assert_eq!(ask(), "two");
}

/// A changed file is enough; no signal is needed.
#[test]
fn a_changed_file_is_read() {
    let one = Upstream::start(|seen| wire::good(seen, &["one"]));
    let two = Upstream::start(|seen| wire::good(seen, &["two"]));
    let gateway = Gateway::start(BINARY, &config(&one));
    gateway.write_config(&config(&two));
    wait_for("the second upstream", || {
        let answer = gateway.chat(Dialect::OpenAi, "chat", false).whole().json();
        (answer["choices"][0]["message"]["content"] == "two").then_some(())
    });
}

/// Streams go on with the configuration they began with.
#[test]
fn a_reload_leaves_streams_alone() {
    let gate = Signal::new();
    let upstream = held(&gate);
    let gateway = Gateway::start(BINARY, &config(&upstream));
    let mut answer = gateway.chat(Dialect::OpenAi, "chat", true).open();
    let first = answer.event().unwrap();
    gateway.write_config("providers:\n  practice: {}\n");
    gateway.signal(rustix::process::Signal::HUP);
    wait_for("the reload", || {
        gateway
            .metric("aplomb_config_reload_total{outcome=\"ok\"}")
            .filter(|count| *count >= 1.0)
    });
    assert_eq!(
        gateway.chat(Dialect::OpenAi, "chat", false).whole().status,
        404
    );
    gate.set();
    let mut events = vec![first];
    events.extend(answer.events());
    assert_eq!(
        check::stream(Dialect::OpenAi, &events).unwrap().end,
        End::Whole
    );
}
