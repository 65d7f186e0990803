//! Bad traffic, as it comes in from outside.
#![cfg(test)]

use aplomb_testkit::Dialect::{Anthropic, OpenAi};
use aplomb_testkit::client::{Request, Whole};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::Upstream;
use aplomb_testkit::{wait_for, wire};
use serde_json::Value;
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

const PRACTICE: &str = "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n\
    routes:\n  chat: { targets: [practice/small] }\n";

/// A gateway behind a trusted proxy on this machine.
fn setup(rest: &str) -> Setup {
    Setup::new(BINARY, &format!("{PRACTICE}{rest}")).server("trusted_proxies: [127.0.0.0/8]")
}

fn command(gateway: &Gateway, arguments: &[&str]) -> (bool, String) {
    let mut all = arguments.to_vec();
    all.extend(["--config", "aplomb.yaml"]);
    let out = gateway.setup().command(&all).output().unwrap();
    let text = if out.status.success() {
        out.stdout
    } else {
        out.stderr
    };
    (
        out.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Makes a key, and waits until it is known.
fn key(gateway: &Gateway) -> String {
    let (good, made) = command(gateway, &["keys", "create", "--tenant", "acme", "--json"]);
    assert!(good, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    wait_for("the key to be known", || {
        let answer = chat(gateway).header("x-api-key", &key).whole();
        (answer.status == 200).then_some(())
    });
    wait_for("others to be refused", || {
        (chat(gateway).whole().status == 401).then_some(())
    });
    key
}

fn chat(gateway: &Gateway) -> Request {
    gateway.chat(OpenAi, "chat", false)
}

fn from(gateway: &Gateway, address: &str) -> Request {
    chat(gateway).header("x-forwarded-for", address)
}

fn guess(gateway: &Gateway, address: &str) -> Whole {
    let request = from(gateway, address);
    request.header("authorization", "Bearer sk-guessed").whole()
}

const GUESSING: &str = "protect:\n  guessing: { slow_after: 4, delay: 300ms, ban_address_after: 6, ban_subnet_after: 20, ban: 2s }\n";

#[test]
fn who_guesses_keys_is_slowed_then_banned_until_it_is_over() {
    let gateway = setup(GUESSING).start();
    let key = key(&gateway);
    let mut took = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(guess(&gateway, "192.0.2.7").status, 401);
        took.push(begun.elapsed());
    }
    assert!(took[4] >= Duration::from_millis(300), "{took:?}");
    assert!(took[0] < took[4], "{took:?}");
    let banned = guess(&gateway, "192.0.2.7");
    assert_eq!(
        (banned.status, banned.error_code()),
        (403, "not_allowed".into())
    );
    let wait: u64 = banned.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    // Who lives behind the same address and has a key is served; others are not even told that their key is wrong.
    let neighbour = from(&gateway, "192.0.2.7").header("x-api-key", &key);
    assert_eq!(neighbour.whole().status, 200);
    assert_eq!(guess(&gateway, "192.0.2.7").status, 403);
    assert_eq!(guess(&gateway, "192.0.2.8").status, 401);
    assert_eq!(guess(&gateway, "2001:db8::1").status, 401);
    let (_, shown) = command(&gateway, &["bans"]);
    assert!(
        shown.contains("192.0.2.7: 6 strikes, banned for 2 s"),
        "{shown}"
    );
    let counted = |name: &str| gateway.metric(&format!("aplomb_protect_{name}"));
    assert_eq!(counted("bans_total{of=\"address\"}"), Some(1.0));
    assert_eq!(counted("refused_total{reason=\"banned\"}"), Some(1.0));
    assert_eq!(counted("slowed_total{outcome=\"held\"}"), Some(2.0));
    wait_for("the ban to end", || {
        command(&gateway, &["bans"]).1.is_empty().then_some(())
    });
}

#[test]
fn a_subnet_that_scans_is_banned_and_its_ban_can_be_ended() {
    let gateway = setup(GUESSING).start();
    key(&gateway);
    for n in 0..20 {
        let address = format!("198.51.100.{n}");
        let scan = Request::new(gateway.data, "GET", "/.env").header("x-forwarded-for", &address);
        let expected = if n < 19 { 404 } else { 403 };
        assert_eq!(scan.whole().status, expected, "{n}");
    }
    assert_eq!(guess(&gateway, "198.51.100.200").status, 403);
    assert_eq!(guess(&gateway, "198.51.101.1").status, 401);
    let (good, told) = command(&gateway, &["bans", "--lift", "198.51.100.0/24"]);
    assert!(good, "{told}");
    let (good, told) = command(&gateway, &["bans", "--lift", "198.51.100.0/24"]);
    assert!(!good && told.contains("there is no ban"), "{told}");
    assert_eq!(
        guess(&gateway, "198.51.100.201").status,
        403,
        "it goes on guessing"
    );
    let rows = gateway.admin_get("/admin/v1/audit").whole().json();
    let lifted = rows["data"].as_array().unwrap().iter();
    let mut lifted = lifted.filter(|row| row["action"] == "ban.lift");
    assert_eq!(lifted.next().unwrap()["subject"], "198.51.100.0/24");
    wait_for("the ban in the trail", || {
        let (_, rows) = command(&gateway, &["audit"]);
        rows.contains("198.51.100.0/24: 20 strikes").then_some(())
    });
}

#[test]
fn a_forged_header_is_not_believed() {
    // Nobody is trusted: what the header says is passed over, and this machine is not counted.
    let gateway = Setup::new(BINARY, &format!("{PRACTICE}{GUESSING}")).start();
    key(&gateway);
    for _ in 0..10 {
        assert_eq!(guess(&gateway, "192.0.2.7").status, 401);
    }
    assert_eq!(gateway.metric("aplomb_protect_strikes_total"), Some(0.0));
    // A trusted proxy appends what it saw: what stood there before is the client's word.
    let gateway = setup(GUESSING).start();
    key(&gateway);
    for n in 0..6 {
        guess(&gateway, &format!("10.0.0.{n}, 192.0.2.7"));
    }
    assert_eq!(guess(&gateway, "203.0.113.9, 192.0.2.7").status, 403);
    assert_eq!(guess(&gateway, "192.0.2.7, 203.0.113.9").status, 401);
}

#[test]
fn lists_keep_networks_out_and_are_read_anew_with_the_file() {
    let setup = setup(
        "protect:\n  networks: { deny: [192.0.2.0/24, \"file:deny.txt\"], allow: [192.0.2.9] }\n",
    );
    std::fs::write(
        setup.dir().join("deny.txt"),
        "# bad ones\n203.0.113.0/24 # all of it\n\n2001:db8:bad::/48\n",
    )
    .unwrap();
    let gateway = setup.start();
    let key = key(&gateway);
    let status = |address: &str| {
        let request = from(&gateway, address).header("x-api-key", &key);
        request.whole().status
    };
    assert_eq!(status("192.0.2.7"), 403);
    assert_eq!(status("192.0.2.9"), 200);
    assert_eq!(status("203.0.113.77"), 403);
    assert_eq!(status("2001:db8:bad::5"), 403);
    assert_eq!(status("198.51.100.1"), 200);
    let other = gateway.chat(Anthropic, "chat", false);
    let other = other.header("x-forwarded-for", "192.0.2.7").whole();
    assert_eq!(
        (other.status, other.error_code()),
        (403, "permission_error".into())
    );
    let health = Request::new(gateway.data, "GET", "/livez").header("x-forwarded-for", "192.0.2.7");
    assert_eq!(health.whole().status, 200);
    std::fs::write(gateway.setup().dir().join("deny.txt"), "198.51.100.1\n").unwrap();
    gateway.write_config(&format!(
        "{PRACTICE}protect:\n  networks: {{ deny: [\"file:deny.txt\"] }}\n"
    ));
    wait_for("the new list", || {
        (status("198.51.100.1") == 403).then_some(())
    });
    assert_eq!(status("203.0.113.77"), 200);
    // A list that is wrong leaves the one before in force.
    std::fs::write(gateway.setup().dir().join("deny.txt"), "198.51.100.1/99\n").unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_log("configuration is wrong, the one before stays in force");
    assert_eq!(status("198.51.100.1"), 403);
}

#[test]
fn only_some_networks_may_come() {
    let gateway = setup("protect:\n  networks: { only: [192.0.2.0/24] }\n").start();
    // This machine is not among them either.
    assert_eq!(chat(&gateway).whole().status, 403);
    let denied = gateway.metric("aplomb_protect_refused_total{reason=\"denied\"}");
    assert_eq!(denied, Some(1.0));
}

#[test]
fn arrivals_are_bounded_before_a_body_is_read() {
    let gateway =
        setup("protect:\n  arrivals: { per_address: 5 per 1h, per_subnet: 8 per 1h }\n").start();
    let key = key(&gateway);
    let ask = |address: &str| from(&gateway, address).header("x-api-key", &key).whole();
    for _ in 0..5 {
        assert_eq!(ask("192.0.2.1").status, 200);
    }
    let over = ask("192.0.2.1");
    assert_eq!(
        (over.status, over.error_code()),
        (429, "rate_limit_exceeded".into())
    );
    assert!(over.header("retry-after").is_some());
    for _ in 0..3 {
        assert_eq!(ask("192.0.2.2").status, 200);
    }
    assert!(ask("192.0.2.2").text().contains("this network"));
    assert_eq!(ask("198.51.100.1").status, 200);
}

#[test]
fn limits_count_addresses_and_subnets() {
    let gateway =
        setup("limits:\n  - 2 requests per 1h per ip\n  - 3 requests per 1h per subnet, id net\n")
            .start();
    let key = key(&gateway);
    let ask = |address: &str| from(&gateway, address).header("x-api-key", &key).whole();
    assert_eq!(ask("192.0.2.1").status, 200);
    assert_eq!(ask("192.0.2.1").status, 200);
    let over = ask("192.0.2.1");
    assert_eq!(over.status, 429);
    assert_eq!(over.json()["error"]["aplomb"]["rule"], "requests-1h-ip");
    assert_eq!(ask("192.0.2.2").status, 200);
    assert_eq!(ask("192.0.2.2").json()["error"]["aplomb"]["rule"], "net");
    // A customer has a /64 of IPv6: changing the address within it helps nobody.
    assert_eq!(ask("2001:db8:1:1::1").status, 200);
    assert_eq!(ask("2001:db8:1:1::2").status, 200);
    assert_eq!(ask("2001:db8:1:1:ffff::3").status, 429);
    let record = gateway.wait_record("the subnet", |record| {
        record["client_net"] == "192.0.2.0/24"
    });
    assert_eq!(record["status"], 200);
    assert!(
        !record.to_string().contains("192.0.2.1"),
        "addresses are not kept"
    );
}

#[test]
fn what_is_wrong_in_the_file_is_told() {
    let gateway = setup("").start();
    let told = |rest: &str| {
        let file = gateway.setup().dir().join("bad.yaml");
        std::fs::write(&file, format!("{PRACTICE}{rest}")).unwrap();
        let out = gateway
            .setup()
            .command(&["check", "--config", "bad.yaml"])
            .output()
            .unwrap();
        assert!(!out.status.success());
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    };
    for (rest, expected) in [
        (
            "server: { trusted_proxies: [proxy.example] }\n",
            "server.trusted_proxies[0]",
        ),
        (
            "protect: { networks: { deny: [\"file:none.txt\"] } }\n",
            "protect.networks.deny[0]",
        ),
        (
            "protect: { guessing: { delay: 1m } }\n",
            "must be at most 10s",
        ),
        (
            "protect: { arrivals: { per_address: 5 per 2h } }\n",
            "at most 1h",
        ),
        (
            "protect: { cohort: { untrusted: 15 USD per 1h } }\n",
            "nobody is in quarantine here",
        ),
        (
            "protect: { cohort: { untrusted: 15 requests per 1h } }\n",
            "expected money over a time",
        ),
        (
            "limits: [5 requests per 1h per address]\n",
            "did you mean `ip`?",
        ),
    ] {
        let told = told(rest);
        assert!(told.contains(expected), "{rest}: {told}");
    }
}

#[test]
fn the_panic_switch_holds_at_once_and_over_a_restart() {
    let setup = setup("");
    let gateway = setup.start();
    let (good, made) = command(&gateway, &["keys", "create", "--tenant", "ops", "--json"]);
    assert!(good, "{made}");
    let ops: Value = serde_json::from_str(&made).unwrap();
    let (ops, id) = (ops["key"].as_str().unwrap(), ops["id"].as_str().unwrap());
    let key = key(&gateway);
    gateway.write_config(&format!(
        "{PRACTICE}protect:\n  panic: {{ keys: [{id}] }}\n"
    ));
    gateway.wait_log("configuration reloaded");
    let ask = |gateway: &Gateway, key: &str| chat(gateway).header("x-api-key", key).whole();
    assert_eq!(ask(&gateway, &key).status, 200);
    let (good, told) = command(&gateway, &["panic", "on"]);
    assert!(good && told.contains("only the keys"), "{told}");
    let refused = ask(&gateway, &key);
    assert_eq!(
        (refused.status, refused.error_code()),
        (403, "panic".into())
    );
    assert_eq!(ask(&gateway, ops).status, 200);
    assert_eq!(
        chat(&gateway).whole().status,
        401,
        "who has no key is told no more"
    );
    let models = Request::new(gateway.data, "GET", "/v1/models").header("x-api-key", &key);
    assert_eq!(models.whole().status, 403);
    assert_eq!(gateway.metric("aplomb_protect_panic"), Some(1.0));
    // Killed and started again, it still holds; the command works without a gateway too.
    let setup = gateway.killed();
    let gateway = setup.clone().start();
    assert_eq!(ask(&gateway, &key).status, 403);
    let setup = gateway.killed();
    let out = setup
        .command(&["panic", "off", "--config", "aplomb.yaml"])
        .output()
        .unwrap();
    assert!(out.status.success());
    let gateway = setup.start();
    assert_eq!(ask(&gateway, &key).status, 200);
    // A change by another process is seen within a second or two.
    let (good, whole) = command(&gateway, &["audit", "verify", "--json"]);
    assert!(good, "{whole}");
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let (_, rows) = command(&gateway, &["audit"]);
    for action in ["key.create", "config.reload", "panic.on", "panic.off"] {
        assert!(rows.contains(action), "{rows}");
    }
    let anchor = whole["head"].as_str().unwrap();
    assert!(command(&gateway, &["audit", "verify", "--anchor", anchor]).0);
    let (number, _) = anchor.split_once(':').unwrap();
    let forged = format!("{number}:{}", "0".repeat(64));
    let (good, told) = command(&gateway, &["audit", "verify", "--anchor", &forged]);
    assert!(
        !good && told.contains("is not the one that was written down"),
        "{told}"
    );
}

/// A provider whose answers cost 5 cents each.
fn priced(spend: &str) -> (Gateway, Upstream) {
    costly(&format!("protect:\n  spend: {spend}\n"))
}

/// The same, with more in the file.
fn costly(rest: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start(|seen| wire::good(seen, &["hello"]));
    let url = upstream.url();
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         prices: {{ up/m: {{ input: 1000, output: 1000 }} }}\n\
         routes:\n  chat: {{ targets: [up/m] }}\n{rest}"
    );
    (Gateway::start(BINARY, &config), upstream)
}

#[test]
fn no_minute_costs_more_than_the_operator_says() {
    let (gateway, upstream) = priced("{ per_minute: 4 USD }");
    let answers: Vec<Whole> = std::thread::scope(|scope| {
        let ask = || chat(&gateway).body(BOUNDED.as_bytes()).whole();
        let all: Vec<_> = (0..16)
            .map(|_| scope.spawn(move || [ask(), ask(), ask()]))
            .collect();
        let all = all.into_iter().flat_map(|one| one.join().unwrap());
        all.collect()
    });
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(served > 0);
    let spent = gateway.metric("aplomb_tenant_cost_usd_total{tenant=\"local\"}");
    assert!(spent.unwrap() <= 4.0, "{spent:?}");
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.error_code(), "insufficient_quota");
    assert_eq!(
        refused.json()["error"]["aplomb"]["rule"],
        "protect-spend-per-minute"
    );
    assert_eq!(upstream.seen().len(), served);
}

#[test]
fn all_new_users_of_a_tenant_have_one_budget() {
    let (gateway, upstream) = costly(
        "protect:\n  cohort: { untrusted: 1 USD per 1h }\n\
         segments:\n  partner: { users: [\"p-*\"], trust: trusted }\n",
    );
    let ask = |user: &str| {
        let request = chat(&gateway).header("x-aplomb-user", user);
        request.body(BOUNDED.as_bytes()).whole()
    };
    let answers: Vec<Whole> = (0..40).map(|n| ask(&format!("new-{n}"))).collect();
    let served = answers
        .iter()
        .take_while(|answer| answer.status == 200)
        .count();
    assert!((2..40).contains(&served), "{served}");
    let refused = &answers[served].json();
    assert_eq!(answers[served].error_code(), "insufficient_quota");
    assert_eq!(
        refused["error"]["aplomb"]["rule"], "protect-cohort-untrusted",
        "{refused}"
    );
    let spent = gateway.metric("aplomb_tenant_cost_usd_total{tenant=\"local\"}");
    assert!(spent.unwrap() <= 1.0, "{spent:?}");
    assert_eq!(upstream.seen().len(), served);
    // Who is trusted, who is no user, and users of another tenant have nothing to do with it.
    assert_eq!(ask("p-ada").status, 200);
    assert_eq!(
        chat(&gateway).body(BOUNDED.as_bytes()).whole().status,
        200,
        "a program"
    );
    let key = key(&gateway);
    let other = chat(&gateway).header("x-api-key", &key);
    let other = other.header("x-aplomb-user", "new-0");
    assert_eq!(other.body(BOUNDED.as_bytes()).whole().status, 200);
}

/// The rows of an answer.
fn sql(gateway: &Gateway, question: &str) -> Value {
    let request = gateway.admin_get("/admin/v1/sql").with_method("POST");
    let body = serde_json::json!({ "query": question }).to_string();
    let answer = request.body(body.as_bytes()).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["rows"].clone()
}

#[test]
fn new_users_that_come_in_a_burst_are_linked() {
    let gateway = setup(
        "protect:\n  accounts: { enabled: true, learn: 0s }\n  risk: { quarantine: 80 }\n\
         limits:\n  - 100 requests per 1h per user\n  - 1 requests per 1h per user where segment = linked, id linked\n\
         segments:\n  quarantine: { trust: quarantine, multiplier: 1 }\n  partner: { users: [\"p-*\"], trust: standard }\n",
    )
    .start();
    let key = key(&gateway);
    let from = |address: &str| from(&gateway, address).header("x-api-key", &key);
    let ask = |user: &str, address: &str| {
        let request = from(address).header("x-aplomb-user", user);
        request.header("user-agent", "okhttp/4.12").whole()
    };
    // Ten users from a subnet, each from an address of its own.
    for n in 0..10 {
        let answer = ask(&format!("bot-{n}"), &format!("198.51.100.{n}"));
        assert_eq!(answer.status, 200, "{n}");
    }
    let again = |n: u32| ask(&format!("bot-{n}"), "198.51.100.99");
    assert_eq!(again(0).status, 200, "it came before the burst");
    let refused = again(8);
    assert_eq!(
        (
            refused.status,
            refused.json()["error"]["aplomb"]["rule"].clone()
        ),
        (429, "linked".into())
    );
    // Somebody from elsewhere with another client, and who is known, have nothing to do with it.
    for _ in 0..2 {
        let other = from("203.0.113.7").header("x-aplomb-user", "ada");
        let other = other.header("accept-language", "en").whole();
        assert_eq!(other.status, 200);
        assert_eq!(ask("p-ada", "198.51.100.7").status, 200);
    }
    // The operator knows better.
    let body =
        r#"{"tenant":"acme","user":"bot-8","level":"standard","for":"1h","reason":"a school"}"#;
    let set = gateway
        .admin_get("/admin/v1/limits/trust")
        .with_method("POST");
    assert_eq!(set.body(body.as_bytes()).whole().status, 200);
    assert_eq!(again(8).status, 200);

    let (_, rows) = command(&gateway, &["audit"]);
    assert!(
        rows.contains("accounts.linked")
            && rows.contains("acme: 8 new users in an hour from 198.51.100.0/24, usual 0.2")
            && rows.contains("with the kind of client"),
        "{rows}"
    );
    for of in ["subnet", "client"] {
        let bursts = format!("aplomb_protect_bursts_total{{of=\"{of}\"}}");
        assert_eq!(gateway.metric(&bursts), Some(1.0), "{of}");
    }
    let linked = gateway.metric("aplomb_protect_linked_requests_total");
    assert_eq!(linked, Some(4.0), "bot-7, bot-8 twice, bot-9");
    let risks = || {
        let rows = sql(
            &gateway,
            "select user, risk, risk_parts, trust from requests where user in ('bot-0', 'bot-9', 'ada') order by at",
        );
        (rows.as_array().unwrap().len() == 5).then_some(rows)
    };
    let rows = wait_for("the records", risks);
    let parts = |at: usize| -> Value {
        serde_json::from_str(rows[at][2].as_str().unwrap_or("null")).unwrap()
    };
    assert_eq!(
        (rows[0][1].as_i64(), parts(0)),
        (
            Some(25),
            serde_json::json!({ "no_language": 5, "quarantine": 20 })
        )
    );
    assert_eq!(rows[1][1], 100, "{rows}");
    assert_eq!(
        parts(1),
        serde_json::json!({ "linked_subnet": 40, "linked_client": 40, "no_language": 5, "quarantine": 20 })
    );
    assert_eq!(rows[3][1], 20, "{rows}");
}

const BOUNDED: &str =
    r#"{"model":"chat","messages":[{"role":"user","content":"Say hello."}],"max_tokens":100}"#;

#[test]
fn breakers_are_shown_and_reset() {
    let (gateway, _upstream) = priced("{ breaker: true }");
    let key = key(&gateway);
    let answer = chat(&gateway).header("x-api-key", &key).whole();
    assert_eq!(answer.status, 200);
    let (good, shown) = command(&gateway, &["breaker"]);
    assert!(
        good && shown.contains("tenant:acme") && shown.contains("key:"),
        "{shown}"
    );
    assert!(
        shown.contains("closed") && shown.contains("not known yet"),
        "{shown}"
    );
    let told = gateway.admin_get("/admin/v1/breaker").whole().json();
    let acme = told["data"].as_array().unwrap().iter();
    let acme = acme
        .into_iter()
        .find(|one| one["name"] == "tenant:acme")
        .unwrap();
    let asked: f64 = acme["asked_usd_last_minute"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(asked > 0.0, "{acme}");
    let (good, told) = command(&gateway, &["breaker", "--reset", "tenant:acme"]);
    assert!(good, "{told}");
    let (good, told) = command(&gateway, &["breaker", "--reset", "tenant:nobody"]);
    assert!(!good && told.contains("there is no breaker"), "{told}");
    let (_, rows) = command(&gateway, &["audit"]);
    assert!(rows.contains("spend.reset"), "{rows}");
    let open = gateway.metric("aplomb_protect_spend_breakers{state=\"open\"}");
    assert_eq!(open, Some(0.0));
    let none = practice_breaker();
    assert!(none.contains("set `protect.spend.breaker`"), "{none}");
}

fn practice_breaker() -> String {
    let gateway = setup("").start();
    command(&gateway, &["breaker"]).1
}
