//! Browsers without an API key, as they come in from outside. The solver and the forger share no code with the gateway: they derive keys and
//! sign with `ring`.
#![cfg(test)]

use aplomb_testkit::client::{Request, Whole, chat_body};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Script, Seen, Upstream};
use aplomb_testkit::{Dialect, wait_for, wire};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{hmac, pbkdf2};
use serde_json::{Value, json};
use std::num::NonZeroU32;

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const PAGE: &str = "https://shop.example";

const PRACTICE: &str = "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n\
    routes:\n  chat: { targets: [practice/small] }\n  inner: { targets: [practice/small] }\n";

/// A gateway behind a trusted proxy on this machine, whose sites are the shop and the blog.
fn setup(challenge: &str, rest: &str) -> Setup {
    let config = format!(
        "{rest}tenants:\n  acme: {{ sites: [shop] }}\n  other: {{ sites: [blog] }}\n\
         protect:\n  sites:\n    shop: {{ origins: [\"{PAGE}\"], routes: [chat] }}\n    \
         blog: {{ origins: [\"https://blog.example\"], routes: [\"*\"] }}\n  \
         challenge: {{ cost: 100, tries: 20, {challenge} }}\n"
    );
    Setup::new(BINARY, &config).server("trusted_proxies: [127.0.0.0/8]")
}

fn start(challenge: &str) -> Gateway {
    setup(challenge, PRACTICE).start()
}

fn post(gateway: &Gateway, path: &str, body: &Value) -> Request {
    Request::post(gateway.data, path, body).header("origin", PAGE)
}

fn challenge(gateway: &Gateway) -> Value {
    let answer = post(
        gateway,
        "/aplomb/v1/challenge",
        &json!({ "site_key": "shop" }),
    )
    .whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap();
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn key_of(parameters: &Value, counter: u32) -> String {
    let mut password = bytes(&parameters["nonce"]);
    password.extend(counter.to_be_bytes());
    let mut key = [0; 32];
    let cost = u32::try_from(parameters["cost"].as_u64().unwrap()).unwrap();
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::new(cost).unwrap(),
        &bytes(&parameters["salt"]),
        &password,
        &mut key,
    );
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn packed(challenge: &Value, counter: u32, key: &str) -> String {
    let solution = json!({ "counter": counter, "derivedKey": key, "time": 31.4 });
    STANDARD.encode(json!({ "challenge": challenge, "solution": solution }).to_string())
}

/// Tries one counter after the other, as a browser does.
fn solve(challenge: &Value) -> String {
    let parameters = &challenge["parameters"];
    let prefix = parameters["keyPrefix"].as_str().unwrap();
    let found = (0..).find_map(|counter| {
        let key = key_of(parameters, counter);
        key.starts_with(prefix).then_some((counter, key))
    });
    let (counter, key) = found.unwrap();
    assert!((10..20).contains(&counter), "{counter}");
    packed(challenge, counter, &key)
}

fn ask_session(gateway: &Gateway, proof: &str) -> Whole {
    let body = json!({ "site_key": "shop", "proof": proof, "user": "ada" });
    post(gateway, "/aplomb/v1/session", &body).whole()
}

fn session(gateway: &Gateway) -> String {
    let answer = ask_session(gateway, &solve(&challenge(gateway)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn chat(gateway: &Gateway, token: &str) -> Request {
    chat_with(gateway, "chat", token)
}

fn chat_with(gateway: &Gateway, model: &str, token: &str) -> Request {
    let body = chat_body(Dialect::OpenAi, model, false);
    let request = post(gateway, "/v1/chat/completions", &body);
    request.header("authorization", &format!("Bearer {token}"))
}

#[track_caller]
fn refused(answer: &Whole, reason: &str) {
    assert_eq!(answer.status, 403, "{}", answer.text());
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], "challenge_required");
    assert_eq!(error["type"], "permission_error");
    assert_eq!(error["aplomb"]["challenge_url"], "/aplomb/v1/challenge");
    assert_eq!(error["aplomb"]["reason"], json!([reason]));
}

#[test]
fn a_page_earns_a_session_and_calls_with_it() {
    let gateway = start("session: 5m");
    let made = challenge(&gateway);
    assert_eq!(made["type"], "altcha");
    assert_eq!(made["parameters"]["algorithm"], "PBKDF2/SHA-256");
    let answer = ask_session(&gateway, &solve(&made));
    assert_eq!(answer.json()["expires_in"], 300);
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("apls_") && token.len() < 460, "{token}");
    // What the page says of its user in the request is passed over: the session says who it is.
    let mut body = chat_body(Dialect::OpenAi, "chat", false);
    body["user"] = json!("root");
    let request = post(&gateway, "/v1/chat/completions", &body);
    let request = request.header("authorization", &format!("Bearer {token}"));
    let answer = request.header("x-aplomb-user", "root").whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = gateway.wait_record("the call", |record| record["status"] == 200);
    assert_eq!(record["tenant"], "acme");
    assert_eq!(record["key"], "site-shop");
    assert_eq!(record["user"], "shop:ada");
    // The site has one route, whatever its tenant has.
    let other = chat_with(&gateway, "inner", &token).whole();
    assert_eq!(
        (other.status, other.error_code()),
        (403, "not_allowed".into())
    );
    let counted = |name: &str| gateway.metric(&format!("aplomb_protect_{name}_total"));
    assert_eq!(counted("challenges"), Some(1.0));
    assert_eq!(counted("sessions"), Some(1.0));
}

#[test]
fn pages_of_other_origins_get_nothing() {
    let gateway = start("session: 5m");
    let token = session(&gateway);
    let body = json!({ "site_key": "shop" });
    for path in ["/aplomb/v1/challenge", "/aplomb/v1/session"] {
        for origin in [
            Some("https://evil.example"),
            Some("https://blog.example"),
            None,
        ] {
            let mut request = Request::post(gateway.data, path, &body);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            assert_eq!(request.whole().status, 403, "{path} {origin:?}");
        }
        let unknown = post(&gateway, path, &json!({ "site_key": "none" })).whole();
        assert_eq!(unknown.status, 403);
        let preflight = Request::new(gateway.data, "OPTIONS", path)
            .header("origin", PAGE)
            .header("access-control-request-method", "POST");
        assert_eq!(preflight.whole().status, 204);
    }
    let elsewhere = Request::chat(gateway.data, Dialect::OpenAi, "chat", false)
        .header("origin", "https://blog.example")
        .header("authorization", &format!("Bearer {token}"));
    assert_eq!(elsewhere.whole().error_code(), "not_allowed");
}

#[test]
fn solutions_that_are_forged_altered_replayed_or_cut_get_no_session() {
    let gateway = start("session: 5m");
    let without = post(
        &gateway,
        "/aplomb/v1/session",
        &json!({ "site_key": "shop" }),
    )
    .whole();
    refused(&without, "proof");
    let made = challenge(&gateway);
    let good = solve(&made);
    // Counters without work, with the key that belongs to them, and with the half that is told.
    for counter in [0, 1, 25] {
        let key = key_of(&made["parameters"], counter);
        refused(
            &ask_session(&gateway, &packed(&made, counter, &key)),
            "wrong",
        );
    }
    let told = made["parameters"]["keyPrefix"].as_str().unwrap();
    let guess = packed(&made, 12, &format!("{told}{}", "0".repeat(32)));
    refused(&ask_session(&gateway, &guess), "wrong");
    // Easier parameters, a longer time, another site, another order.
    let solution: Value = serde_json::from_slice(&STANDARD.decode(&good).unwrap()).unwrap();
    let altered = |name: &str, value: Value| {
        let mut proof = solution.clone();
        proof["challenge"]["parameters"][name] = value;
        STANDARD.encode(proof.to_string())
    };
    for proof in [
        altered("cost", json!(1)),
        altered("expiresAt", json!(4_000_000_000_u64)),
        altered("keySignature", json!("00".repeat(32))),
        altered("data", json!({ "site": "blog" })),
        altered("more", json!(1)),
    ] {
        refused(&ask_session(&gateway, &proof), "altered");
    }
    let mut turned = solution.clone();
    let parameters = turned["challenge"]["parameters"].as_object_mut().unwrap();
    let algorithm = parameters.shift_remove("algorithm").unwrap();
    parameters.insert("algorithm".to_owned(), algorithm);
    assert_ne!(turned.to_string(), solution.to_string());
    refused(
        &ask_session(&gateway, &STANDARD.encode(turned.to_string())),
        "altered",
    );
    // A challenge of one's own.
    let own = hmac::Key::new(hmac::HMAC_SHA256, b"guessed");
    let mut forged = solution.clone();
    let text = forged["challenge"]["parameters"].to_string();
    let signature = hmac::sign(&own, text.as_bytes());
    let hex: String = signature
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    forged["challenge"]["signature"] = json!(hex);
    refused(
        &ask_session(&gateway, &STANDARD.encode(forged.to_string())),
        "altered",
    );
    for cut in [0, 1, good.len() / 2, good.len() - 4] {
        let answer = ask_session(&gateway, &good[..cut]);
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let long = ask_session(&gateway, &"A".repeat(100_000));
    assert_eq!(long.status, 413);
    // None of this used the good one up; its session does, also where ten ask at once.
    let asked: Vec<u16> = std::thread::scope(|scope| {
        let ask = || ask_session(&gateway, &good).status;
        let all: Vec<_> = (0..10).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(
        asked.iter().filter(|status| **status == 200).count(),
        1,
        "{asked:?}"
    );
    refused(&ask_session(&gateway, &good), "used");
    // Another site's page can't use it either.
    let body = json!({ "site_key": "blog", "proof": solve(&challenge(&gateway)) });
    let request = Request::post(gateway.data, "/aplomb/v1/session", &body);
    refused(
        &request.header("origin", "https://blog.example").whole(),
        "altered",
    );
}

#[test]
fn tokens_that_are_forged_altered_or_cut_are_strikes_and_old_ones_are_challenged() {
    let gateway = start("session: 1s");
    let token = session(&gateway);
    let (claims, signature) = token
        .strip_prefix("apls_")
        .unwrap()
        .split_once('.')
        .unwrap();
    let read: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let forged = |name: &str, value: Value| {
        let mut claims = read.clone();
        claims[name] = value;
        format!(
            "apls_{}.{signature}",
            URL_SAFE_NO_PAD.encode(claims.to_string())
        )
    };
    let none = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), claims.as_bytes());
    for wrong in [
        forged("exp", json!(9_999_999_999_999_u64)),
        forged("org", json!("other")),
        forged("sub", json!("eve")),
        format!("apls_{claims}.{}", URL_SAFE_NO_PAD.encode(none.as_ref())),
        format!("apls_{claims}."),
        format!("apls_{claims}"),
        format!("apls_.{signature}"),
        "apls_".to_owned(),
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        format!("apls_{}", "A".repeat(8000)),
    ] {
        let answer = chat(&gateway, &wrong).header("x-forwarded-for", "192.0.2.7");
        let answer = answer.whole();
        assert_eq!(
            (answer.status, answer.error_code()),
            (401, "invalid_api_key".into())
        );
    }
    assert_eq!(gateway.metric("aplomb_protect_strikes_total"), Some(11.0));
    let ended = wait_for("the session to end", || {
        let answer = chat(&gateway, &token).whole();
        (answer.status != 200).then_some(answer)
    });
    refused(&ended, "ended");
    assert_eq!(gateway.metric("aplomb_protect_strikes_total"), Some(11.0));
}

#[test]
fn a_token_that_was_copied_elsewhere_is_challenged() {
    let gateway = start("session: 5m");
    let body = json!({ "site_key": "shop", "proof": solve(&challenge(&gateway)) });
    let made = post(&gateway, "/aplomb/v1/session", &body).header("x-forwarded-for", "192.0.2.7");
    let token = made.whole().json()["token"].as_str().unwrap().to_owned();
    let from = |address: &str| {
        chat(&gateway, &token)
            .header("x-forwarded-for", address)
            .whole()
    };
    assert_eq!(from("192.0.2.7").status, 200);
    assert_eq!(from("192.0.2.200").status, 200, "the same subnet");
    refused(&from("198.51.100.7"), "network");
    refused(&from("2001:db8::1"), "network");
}

#[test]
fn sessions_of_a_site_are_revoked_together_and_it_is_noted() {
    let gateway = start("session: 5m");
    let token = session(&gateway);
    assert_eq!(chat(&gateway, &token).whole().status, 200);
    let revoke = |body: &[u8]| {
        let request = gateway.admin_get("/admin/v1/sessions/revoke");
        request.with_method("POST").body(body).whole()
    };
    assert_eq!(revoke(br#"{"site":"none"}"#).status, 404);
    assert_eq!(revoke(br#"{"site":"blog"}"#).status, 200);
    assert_eq!(chat(&gateway, &token).whole().status, 200);
    assert_eq!(revoke(br#"{"site":"shop"}"#).status, 200);
    refused(&chat(&gateway, &token).whole(), "revoked");
    assert_eq!(chat(&gateway, &session(&gateway)).whole().status, 200);
    let rows = gateway.admin_get("/admin/v1/audit").whole().json();
    let row = &rows["data"][0];
    assert_eq!(
        (&row["action"], &row["subject"]),
        (&json!("session.revoke"), &json!("shop"))
    );
    // It holds after a restart too; new ones go on, as the secret is kept.
    let fresh = session(&gateway);
    let gateway = gateway.killed().start();
    refused(&chat(&gateway, &token).whole(), "revoked");
    assert_eq!(chat(&gateway, &fresh).whole().status, 200);
}

fn numbered(seen: &Seen) -> Script {
    wire::good(seen, &[&format!("answer {}", seen.number)])
}

#[test]
fn sessions_have_limits_of_their_own_and_share_equal_calls_while_keys_see_nothing_of_it() {
    let upstream = Upstream::start(numbered);
    let config = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{}/v1\", api_key: env:UP_KEY }}\n\
         routes:\n  chat: {{ targets: [up/m] }}\n\
         limits:\n  - 2 requests per 1h per user where via = session\n",
        upstream.url()
    );
    let gateway = setup("session: 5m", &config).start();
    let made = gateway
        .setup()
        .command(&[
            "keys",
            "create",
            "--tenant",
            "acme",
            "--json",
            "--config",
            "aplomb.yaml",
        ])
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let key = made["key"].as_str().unwrap();
    let token = session(&gateway);
    let said = |answer: Whole| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["choices"][0]["message"]["content"].clone()
    };
    let server = || {
        let request = Request::chat(gateway.data, Dialect::OpenAi, "chat", false);
        request
            .header("authorization", &format!("Bearer {key}"))
            .whole()
    };
    let first = wait_for("the key to be known", || {
        let answer = server();
        (answer.status == 200).then_some(answer)
    });
    let mut answers = vec![said(first)];
    answers.extend((0..3).map(|_| said(server())));
    answers.dedup();
    assert_eq!(answers.len(), 4, "a key may mean the same four times");
    let page = said(chat(&gateway, &token).whole());
    assert_eq!(
        said(chat(&gateway, &token).whole()),
        page,
        "a page means it once"
    );
    let ask = |text: &str| {
        let body = json!({ "model": "chat", "messages": [{ "role": "user", "content": text }] });
        let request = post(&gateway, "/v1/chat/completions", &body);
        let request = request.header("authorization", &format!("Bearer {token}"));
        request.whole()
    };
    assert_ne!(said(ask("another")), page);
    let third = ask("a third");
    assert_eq!(third.status, 429, "{}", third.text());
    // The limit is one of sessions only.
    assert_eq!(server().status, 200);
    let me = Request::new(gateway.data, "GET", "/aplomb/v1/limits/me?user=eve");
    let me = me
        .header("authorization", &format!("Bearer {token}"))
        .whole();
    assert_eq!(me.status, 200);
    assert!(me.text().contains("\"remaining\":0"), "{}", me.text());
}

#[test]
fn without_an_attack_nothing_is_asked_for_and_a_burst_changes_that() {
    let gateway = start("mode: on_attack");
    let none = challenge(&gateway);
    assert_eq!(none, json!({ "type": "none" }));
    let body = json!({ "site_key": "shop" });
    let ask = || post(&gateway, "/aplomb/v1/session", &body).whole();
    let first = ask();
    let token = first.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(chat(&gateway, &token).whole().status, 200);
    // λ + 5√λ + 5 in a minute, with nothing usual: a burst may lie across two minutes.
    let refused_at = (0..20).find(|_| ask().status == 403);
    assert!(refused_at.is_some_and(|n| n <= 11), "{refused_at:?}");
    refused(&ask(), "proof");
    refused(&chat(&gateway, &token).whole(), "proof");
    assert_eq!(chat(&gateway, &session(&gateway)).whole().status, 200);
    wait_for("it to be noted", || {
        let rows = gateway.admin_get("/admin/v1/audit").whole().json();
        let rows = rows["data"].as_array()?.clone();
        rows.iter()
            .any(|row| row["action"] == "challenge.arm" && row["subject"] == "shop")
            .then_some(())
    });
    let never = start("mode: never");
    let made = post(&never, "/aplomb/v1/session", &body).whole();
    assert_eq!(made.status, 200);
}

#[test]
fn what_is_not_there_is_refused_by_the_check() {
    for (challenge, expected) in [
        ("mode: untrusted", "`untrusted` is not available yet"),
        ("kind: turnstile", "proof_of_work"),
        ("session: 16m", "must be from 1s to 15m"),
    ] {
        let gateway = start("mode: never");
        gateway.write_config(&format!(
            "{PRACTICE}tenants:\n  acme: {{ sites: [shop] }}\nprotect:\n  sites:\n    \
             shop: {{ origins: [\"{PAGE}\"], routes: [chat] }}\n  challenge: {{ {challenge} }}\n"
        ));
        let out = gateway
            .setup()
            .command(&["check", "--config", "aplomb.yaml"])
            .output()
            .unwrap();
        let told = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        assert!(!out.status.success() && told.contains(expected), "{told}");
    }
}
