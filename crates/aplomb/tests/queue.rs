//! A provider that takes only so many calls at a time, as clients see it.
#![cfg(test)]

use aplomb_testkit::Dialect::OpenAi;
use aplomb_testkit::client::{Request, chat_body};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::signal::Signal;
use aplomb_testkit::upstream::{Step, Upstream};
use aplomb_testkit::{wait_for, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY, concurrency: 1 }}\n\
         routes:\n  chat: {{ targets: [up/m] }}\n{more}"
    );
    Gateway::start(BINARY, &config)
}

/// A provider whose answers wait for a signal.
fn held() -> (Upstream, Signal) {
    let go = Signal::new();
    let gate = go.clone();
    let upstream = Upstream::start(move |seen| {
        let mut script = vec![Step::WaitFor(gate.clone())];
        script.extend(wire::good(seen, &["hello"]));
        script
    });
    (upstream, go)
}

fn waiting(gateway: &Gateway, count: f64) {
    wait_for("requests in the queue", || {
        let waiting: f64 = ["interactive", "batch"]
            .map(|class| {
                let name = format!("aplomb_queue_waiting{{target=\"up/m\",class=\"{class}\"}}");
                gateway.metric(&name).unwrap_or(0.0)
            })
            .iter()
            .sum();
        ((waiting - count).abs() < 0.5).then_some(())
    });
}

#[test]
fn a_request_waits_for_its_turn_and_says_so() {
    let (upstream, go) = held();
    let gateway = gateway(&upstream, "");
    let first = gateway.chat(OpenAi, "chat", true).send();
    upstream.wait_seen(0);
    let second = gateway.chat(OpenAi, "chat", false).send();
    waiting(&gateway, 1.0);
    assert_eq!(upstream.seen().len(), 1, "one call at a time");
    go.set();
    let first = first.answer().unwrap().whole().unwrap();
    assert_eq!(
        (first.status, first.header("x-aplomb-queue-position")),
        (200, None)
    );
    let second = second.answer().unwrap().whole().unwrap();
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(second.header("x-aplomb-queue-position"), Some("1"));
    let waited: f64 = second.header("x-aplomb-queue-ms").unwrap().parse().unwrap();
    assert!(waited > 0.0);
    let overhead: f64 = second
        .header("x-aplomb-overhead-ms")
        .unwrap()
        .parse()
        .unwrap();
    let ttft: f64 = second.header("x-aplomb-ttft-ms").unwrap().parse().unwrap();
    assert!(
        overhead + waited <= ttft + 1.0,
        "waiting is not the gateway's own time"
    );
    let record = gateway.wait_record("the one that waited", |record| {
        record["queue_us"].as_i64() > Some(0)
    });
    assert_eq!(record["queue_position"], 1);
}

#[test]
fn a_stream_that_waits_is_told_where_it_stands() {
    let (upstream, go) = held();
    let gateway = gateway(&upstream, "queue: { feedback: sse }\n");
    let running = gateway.chat(OpenAi, "chat", false).send();
    upstream.wait_seen(0);
    let mut answer = gateway.chat(OpenAi, "chat", true).open();
    assert_eq!(answer.status, 200);
    let first = String::from_utf8(answer.bytes().unwrap().unwrap()).unwrap();
    assert!(first.starts_with(": queued position=1 eta_ms="), "{first}");
    go.set();
    assert_eq!(running.answer().unwrap().whole().unwrap().status, 200);
    let rest = answer.whole().unwrap().text();
    assert!(rest.contains("hello") && rest.contains("[DONE]"), "{rest}");
}

#[test]
fn a_user_with_too_many_waiting_requests_is_told_when_to_come_back() {
    let (upstream, go) = held();
    let gateway = gateway(&upstream, "queue: { per_user: 2 }\n");
    let running = gateway.chat(OpenAi, "chat", false).send();
    upstream.wait_seen(0);
    let queued: Vec<_> = (0..2)
        .map(|_| gateway.chat(OpenAi, "chat", false).send())
        .collect();
    waiting(&gateway, 2.0);
    let refused = gateway.chat(OpenAi, "chat", false).whole();
    assert_eq!(
        (refused.status, refused.error_code()),
        (429, "queue_full".into())
    );
    assert!(refused.header("retry-after").is_some());
    // Another user has a place.
    let other = gateway
        .chat(OpenAi, "chat", false)
        .header("x-aplomb-user", "other")
        .send();
    waiting(&gateway, 3.0);
    go.set();
    for one in [running, other].into_iter().chain(queued) {
        assert_eq!(one.answer().unwrap().whole().unwrap().status, 200);
    }
    let refused = gateway.metric(
        "aplomb_queue_refused_total{target=\"up/m\",class=\"interactive\",reason=\"full\"}",
    );
    assert_eq!(refused, Some(1.0));
}

#[test]
fn who_leaves_makes_room_in_the_queue_and_at_the_target() {
    let (upstream, go) = held();
    let gateway = gateway(&upstream, "");
    let running = gateway.chat(OpenAi, "chat", true).send();
    upstream.wait_seen(0);
    let queued = gateway.chat(OpenAi, "chat", true).send();
    waiting(&gateway, 1.0);
    queued.leave();
    waiting(&gateway, 0.0);
    running.leave();
    wait_for("the slot to be free", || {
        let all = gateway.admin_get("/admin/v1/targets").whole().json();
        (all["data"][0]["in_flight"] == 0).then_some(())
    });
    go.set();
    let next = gateway.chat(OpenAi, "chat", true).whole();
    assert_eq!(
        (next.status, next.header("x-aplomb-queue-position")),
        (200, None)
    );
    assert_eq!(
        upstream.seen().len(),
        2,
        "who left the queue was never sent"
    );
}

#[test]
fn a_turn_that_does_not_come_in_time_is_refused() {
    let (upstream, go) = held();
    let gateway = gateway(&upstream, "queue: { interactive: 100ms }\n");
    let running = gateway.chat(OpenAi, "chat", false).send();
    upstream.wait_seen(0);
    let late = gateway.chat(OpenAi, "chat", false).whole();
    assert_eq!((late.status, late.error_code()), (503, "overloaded".into()));
    assert!(late.header("retry-after").is_some());
    go.set();
    assert_eq!(running.answer().unwrap().whole().unwrap().status, 200);
}

#[test]
fn interactive_requests_go_before_batch() {
    let (upstream, go) = held();
    let gateway = gateway(&upstream, "");
    let running = gateway.chat(OpenAi, "chat", false).send();
    upstream.wait_seen(0);
    let ask = |name: &str, priority: &str| {
        let mut body = chat_body(OpenAi, "chat", false);
        body["user"] = name.into();
        let request = Request::post(gateway.data, OpenAi.path(), &body);
        request.header("x-aplomb-priority", priority).send()
    };
    let batch = ask("batch", "batch");
    waiting(&gateway, 1.0);
    let person = ask("person", "interactive");
    waiting(&gateway, 2.0);
    go.set();
    for one in [running, person, batch] {
        assert_eq!(one.answer().unwrap().whole().unwrap().status, 200);
    }
    let seen = upstream.seen();
    let users = seen.iter().map(|seen| seen.json()["user"].clone());
    let order: Vec<_> = users.filter(|user| !user.is_null()).collect();
    assert_eq!(order, ["person", "batch"]);
}

#[test]
fn a_learned_limit_gets_lower_when_the_provider_refuses() {
    let upstream = Upstream::start(|seen| match seen.model().as_str() {
        "m" => vec![Step::Send(wire::answer(503, &[], b"{}"))],
        _ => wire::good(seen, &["hello"]),
    });
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY, \
         concurrency: {{ adaptive: {{ min: 2, max: 10, by: errors }} }} }}\n\
         routes:\n  chat: {{ targets: [up/m, up/good], retry: {{ attempts: 2 }} }}\n"
    );
    let gateway = Gateway::start(BINARY, &config);
    let limits = || {
        ["up/m", "up/good"].map(|target| {
            let name = format!("aplomb_concurrency_limit{{target=\"{target}\"}}");
            gateway.metric(&name).unwrap_or(0.0)
        })
    };
    assert_eq!(gateway.chat(OpenAi, "chat", true).whole().status, 200);
    assert_eq!(limits(), [9.0, 10.0]);
    for _ in 0..20 {
        assert_eq!(gateway.chat(OpenAi, "chat", true).whole().status, 200);
    }
    // Its breaker is open by now: five refusals in a row, a tenth less for each.
    assert_eq!(limits(), [5.0, 10.0]);
    let all = gateway.admin_get("/admin/v1/targets").whole().json();
    let limits: Vec<_> = all["data"].as_array().unwrap().iter().collect();
    assert_eq!(limits[0]["concurrency"], 10, "{all}");
    assert_eq!(limits[1]["concurrency"], 5, "{all}");
}

#[test]
fn a_free_target_is_asked_before_a_busy_one() {
    let (upstream, go) = held();
    let url = upstream.url();
    let provider = |name: &str| {
        format!(
            "  {name}: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY, concurrency: 1 }}\n"
        )
    };
    let config = format!(
        "providers:\n{}{}routes:\n  chat: {{ targets: [one/m, two/m], choose: cheapest }}\n",
        provider("one"),
        provider("two")
    );
    let gateway = Gateway::start(BINARY, &config);
    let first = gateway.chat(OpenAi, "chat", true).send();
    upstream.wait_seen(0);
    let second = gateway.chat(OpenAi, "chat", true).send();
    upstream.wait_seen(1);
    go.set();
    for (one, target) in [(first, "one/m"), (second, "two/m")] {
        let answer = one.answer().unwrap().whole().unwrap();
        assert_eq!(answer.header("x-aplomb-target"), Some(target));
        assert_eq!(answer.header("x-aplomb-queue-position"), None);
    }
}

#[test]
fn tenants_have_shares_by_their_weights() {
    let (upstream, go) = held();
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY, concurrency: 1 }}\n\
         routes:\n  chat: {{ targets: [up/m] }}\nqueue: {{ per_user: 9 }}\n\
         tenants:\n  large: {{ weight: 3 }}\n  small: {{}}\n"
    );
    let setup = Setup::new(BINARY, &config);
    let file = setup.dir().join("aplomb.yaml");
    std::fs::write(file, "server: { data_dir: data }\n").unwrap();
    let key = |tenant: &str| {
        let arguments = [
            "keys",
            "--config",
            "aplomb.yaml",
            "--json",
            "create",
            "--tenant",
            tenant,
        ];
        let out = setup.command(&arguments).output().unwrap();
        let made: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        format!("Bearer {}", made["key"].as_str().unwrap())
    };
    let keys = ["first", "large", "small"].map(|tenant| (tenant, key(tenant)));
    let gateway = setup.start();
    let ask = |(tenant, key): &(&str, String)| {
        let mut body = chat_body(OpenAi, "chat", false);
        body["user"] = (*tenant).into();
        let request = Request::post(gateway.data, OpenAi.path(), &body);
        request.header("authorization", key).send()
    };
    let mut sent = vec![ask(&keys[0])];
    upstream.wait_seen(0);
    for n in 0..8 {
        sent.push(ask(&keys[1 + n % 2]));
        waiting(&gateway, f64::from(u32::try_from(n + 1).unwrap()));
    }
    go.set();
    for one in sent {
        assert_eq!(one.answer().unwrap().whole().unwrap().status, 200);
    }
    let seen = upstream.seen();
    let tenants = seen.iter().map(|seen| seen.json()["user"].clone());
    let order: Vec<_> = tenants.collect();
    let large = order[..5]
        .iter()
        .filter(|tenant| **tenant == "large")
        .count();
    assert_eq!((&order[0], large), (&"first".into(), 3), "{order:?}");
    assert_eq!(order[6..], ["small", "small", "small"], "{order:?}");
}
