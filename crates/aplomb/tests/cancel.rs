//! A client that goes away takes its upstream call with it, in every phase.
#![cfg(test)]

use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Step, Upstream};
use aplomb_testkit::wire::{self, Events};
use aplomb_testkit::{Dialect, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\n\
         routes:\n  openai: {{ targets: [up/m], retry: {{ attempts: 10 }} }}\n  anthropic: {{ targets: [claude/m] }}\n"
    );
    Gateway::start(BINARY, &config)
}

fn ways() -> impl Iterator<Item = (Dialect, Dialect)> {
    Dialect::ALL.into_iter().flat_map(|client| {
        Dialect::ALL
            .into_iter()
            .map(move |provider| (client, provider))
    })
}

fn gone_is_recorded(gateway: &Gateway, count: usize) {
    wait_for("the records", || {
        let gone = gateway
            .records()
            .iter()
            .filter(|record| record["outcome"] == "client_gone")
            .count();
        (gone == count).then_some(())
    });
    wait_for("nothing in flight", || {
        (gateway.metric("aplomb_requests_in_flight")? == 0.0).then_some(())
    });
}

#[test]
fn before_the_first_byte() {
    let upstream = Upstream::always(vec![Step::Stall]);
    let gateway = gateway(&upstream);
    let mut count = 0;
    for stream in [true, false] {
        for (client, provider) in ways() {
            let connection = gateway.chat(client, provider.name(), stream).send();
            let seen = upstream.wait_seen(count);
            connection.leave();
            seen.gone().wait("the upstream call to end");
            count += 1;
        }
    }
    gone_is_recorded(&gateway, count);
}

#[test]
fn after_the_opening_event() {
    let upstream = Upstream::start(|seen| {
        let opened = Events::text(seen, &["x"]).begin.concat();
        vec![
            Step::Send([wire::stream_head(), wire::chunk(opened.as_bytes())].concat()),
            Step::Stall,
        ]
    });
    let gateway = gateway(&upstream);
    for (number, (client, provider)) in ways().enumerate() {
        let connection = gateway.chat(client, provider.name(), true).send();
        let seen = upstream.wait_seen(number);
        connection.leave();
        seen.gone().wait("the upstream call to end");
    }
    gone_is_recorded(&gateway, 4);
}

#[test]
fn while_streaming() {
    let upstream = Upstream::start(|seen| {
        let open = Events::text(seen, &["x"]).open();
        vec![
            Step::Send([wire::stream_head(), wire::chunk(open.as_bytes())].concat()),
            Step::Stall,
        ]
    });
    let gateway = gateway(&upstream);
    for (number, (client, provider)) in ways().enumerate() {
        let mut answer = gateway.chat(client, provider.name(), true).open();
        answer.event().expect("the first event");
        answer.leave();
        upstream
            .wait_seen(number)
            .gone()
            .wait("the upstream call to end");
    }
    gone_is_recorded(&gateway, 4);
}

#[test]
fn within_a_whole_answer() {
    let upstream = Upstream::start(|seen| {
        let body = wire::whole(seen.dialect(), "hello").to_string();
        let head = wire::head(
            200,
            &[
                ("content-type", "application/json"),
                ("content-length", &body.len().to_string()),
            ],
        );
        vec![
            Step::Send([head, body.as_bytes()[..10].to_vec()].concat()),
            Step::Stall,
        ]
    });
    let gateway = gateway(&upstream);
    for (number, (client, provider)) in ways().enumerate() {
        let connection = gateway.chat(client, provider.name(), false).send();
        let seen = upstream.wait_seen(number);
        connection.leave();
        seen.gone().wait("the upstream call to end");
    }
    gone_is_recorded(&gateway, 4);
}

/// The waits between attempts end with the client; no further attempt follows.
#[test]
fn between_attempts() {
    let busy = [wire::head(
        503,
        &[("retry-after", "5"), ("content-length", "0")],
    )]
    .concat();
    let upstream = Upstream::always(vec![Step::Send(busy)]);
    let gateway = gateway(&upstream);
    let connection = gateway.chat(Dialect::OpenAi, "openai", false).send();
    upstream.wait_seen(0);
    connection.leave();
    gone_is_recorded(&gateway, 1);
    assert_eq!(upstream.seen().len(), 1);
}

/// A client that stops reading is let go, and its upstream call with it.
#[test]
fn a_client_that_does_not_read_is_let_go() {
    let piece = "x".repeat(64 * 1024);
    let upstream = Upstream::start(move |seen| {
        let events = Events::text(seen, &[&piece]);
        let mut bytes = [wire::stream_head(), wire::chunk(events.open().as_bytes())].concat();
        let content = wire::chunk(events.content.concat().as_bytes());
        while bytes.len() < 32 * 1024 * 1024 {
            bytes.extend_from_slice(&content);
        }
        vec![Step::Send(bytes), Step::Stall]
    });
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n",
        upstream.url()
    );
    let gateway = Setup::new(BINARY, &config)
        .server("write_timeout: 200ms")
        .start();
    let mut answer = gateway.chat(Dialect::OpenAi, "up/m", true).open();
    answer.event().expect("the first event");
    upstream
        .wait_seen(0)
        .gone()
        .wait("the upstream call to end");
    gone_is_recorded(&gateway, 1);
}

/// A client that reads slowly slows the upstream down; the gateway does not store the answer meanwhile.
#[test]
fn slow_readers_slow_the_provider() {
    const BIG: usize = 64 * 1024 * 1024;
    let piece = "x".repeat(64 * 1024);
    let upstream = Upstream::start(move |seen| {
        let events = Events::text(seen, &[&piece]);
        let content = wire::chunk(events.content.concat().as_bytes());
        let mut bytes = [
            wire::stream_head(),
            wire::chunk(events.begin.concat().as_bytes()),
        ]
        .concat();
        while bytes.len() < BIG {
            bytes.extend_from_slice(&content);
        }
        vec![Step::Send(bytes), Step::Stall]
    });
    let gateway = gateway(&upstream);
    let mut answer = gateway.chat(Dialect::OpenAi, "openai", true).open();
    answer.event().expect("the first event");
    let seen = upstream.wait_seen(0);
    // The upstream's writes come to rest when all buffers on the way are full.
    let mut last = 0;
    let mut still = 0;
    let taken = wait_for("the upstream to be held back", || {
        still = if seen.sent() == last { still + 1 } else { 0 };
        last = seen.sent();
        (still > 30).then_some(last)
    });
    assert!(
        taken < BIG / 2,
        "{taken} bytes were taken of a client that does not read"
    );
    answer.leave();
    seen.gone().wait("the upstream call to end");
}
