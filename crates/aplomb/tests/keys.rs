//! Keys and the admin listener.
#![cfg(test)]

use aplomb_testkit::client::{Request, Whole};
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::{Dialect, check, wait_for};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const CONFIG: &str = "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n\
    routes:\n  chat: { targets: [practice/small] }\n  secret: { targets: [practice/small] }\n";

fn keys(gateway: &Gateway, arguments: &[&str]) -> Value {
    let mut all = vec!["keys", "--config", "aplomb.yaml", "--json"];
    all.extend(arguments);
    let out = gateway.setup().command(&all).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout).unwrap()
}

fn create(gateway: &Gateway, more: &[&str]) -> (String, String) {
    let mut arguments = vec!["create", "--tenant", "acme"];
    arguments.extend(more);
    let made = keys(gateway, &arguments);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

fn ask(gateway: &Gateway, dialect: Dialect, route: &str, header: &str, value: &str) -> Whole {
    gateway
        .chat(dialect, route, false)
        .header(header, value)
        .whole()
}

fn bearer(gateway: &Gateway, route: &str, key: &str) -> Whole {
    ask(
        gateway,
        Dialect::OpenAi,
        route,
        "authorization",
        &format!("Bearer {key}"),
    )
}

/// A running gateway sees new keys within a second; from then on nobody comes in without one.
fn wait_accepted(gateway: &Gateway, key: &str) {
    wait_for("anonymous callers to be refused", || {
        (gateway.chat(Dialect::OpenAi, "chat", false).whole().status == 401).then_some(())
    });
    wait_for("the key to be known", || {
        (bearer(gateway, "chat", key).status == 200).then_some(())
    });
}

/// The routes of a tenant bound its keys, wherever they were made.
#[test]
fn a_tenant_bounds_its_keys() {
    let config = format!("{CONFIG}tenants:\n  acme: {{ routes: [chat] }}\n");
    let gateway = Gateway::start(BINARY, &config);
    let (key, _) = create(&gateway, &[]);
    wait_accepted(&gateway, &key);
    for model in ["secret", "practice/small"] {
        assert_eq!(bearer(&gateway, model, &key).status, 403, "{model}");
    }
}

#[test]
fn a_key_lives_from_its_creation_to_its_end() {
    let gateway = Gateway::start(BINARY, CONFIG);
    assert_eq!(
        gateway.chat(Dialect::OpenAi, "chat", false).whole().status,
        200,
        "without keys this machine may call"
    );
    let (key, id) = create(&gateway, &[]);
    assert!(key.starts_with("apl_"), "the key's form");
    wait_accepted(&gateway, &key);
    for dialect in Dialect::ALL {
        assert_eq!(
            ask(&gateway, dialect, "chat", "x-api-key", &key).status,
            200
        );
        assert_eq!(
            ask(
                &gateway,
                dialect,
                "chat",
                "authorization",
                &format!("Bearer {key}")
            )
            .status,
            200
        );
        assert_eq!(
            ask(
                &gateway,
                dialect,
                "chat",
                "authorization",
                &format!("bearer {key}")
            )
            .status,
            200
        );
    }
    let record = gateway.wait_record("the tenant in the record", |record| {
        record["tenant"] == "acme"
    });
    assert_eq!(record["key"], id.as_str());
    let listed = keys(&gateway, &["list"]);
    assert!(!listed.to_string().contains(&key), "a key is shown once");
    keys(&gateway, &["revoke", &id]);
    wait_for("the key to be refused", || {
        (bearer(&gateway, "chat", &key).status == 401).then_some(())
    });
    let all = gateway.log().join("\n") + &format!("{:?}", gateway.records());
    assert!(!all.contains(&key), "a key in a log or a record");
    let stored = std::fs::read(gateway.data_file("control.db")).unwrap();
    assert!(
        !stored.windows(key.len()).any(|part| part == key.as_bytes()),
        "a plain key in the store"
    );
}

#[test]
fn wrong_keys_are_refused_in_each_dialect() {
    let gateway = Gateway::start(BINARY, CONFIG);
    let (key, _) = create(&gateway, &[]);
    wait_accepted(&gateway, &key);
    let mut turned = key.clone();
    let last = turned.pop().unwrap();
    turned.push(if last == 'a' { 'b' } else { 'a' });
    for dialect in Dialect::ALL {
        let missing = gateway.chat(dialect, "chat", false).whole();
        assert_eq!(missing.status, 401);
        check::error(dialect, &missing.json()).unwrap();
        for wrong in [turned.as_str(), "apl_x", "", "sk-ant-1234567890", "Bearer"] {
            let answer = ask(&gateway, dialect, "chat", "x-api-key", wrong);
            assert_eq!(answer.status, 401, "{wrong:?}");
            check::error(dialect, &answer.json()).unwrap();
            assert!(wrong.len() < 8 || !answer.text().contains(wrong));
        }
    }
    assert_eq!(
        gateway
            .chat(Dialect::OpenAi, "chat", false)
            .whole()
            .error_code(),
        "invalid_api_key"
    );
    assert_eq!(
        gateway
            .chat(Dialect::Anthropic, "chat", false)
            .whole()
            .error_code(),
        "authentication_error"
    );
    assert_eq!(
        Request::new(gateway.data, "GET", "/v1/models")
            .whole()
            .status,
        401
    );
    assert_eq!(
        Request::new(gateway.data, "GET", "/livez").whole().status,
        200
    );
}

#[test]
fn a_key_may_be_bound_to_routes() {
    let gateway = Gateway::start(BINARY, CONFIG);
    let (key, _) = create(&gateway, &["--route", "chat"]);
    wait_accepted(&gateway, &key);
    assert_eq!(bearer(&gateway, "secret", &key).status, 403);
    assert_eq!(
        bearer(&gateway, "practice/small", &key).status,
        403,
        "nor around the routes"
    );
    let models = Request::new(gateway.data, "GET", "/v1/models")
        .header("authorization", &format!("Bearer {key}"))
        .whole()
        .json();
    assert!(
        models.to_string().contains("chat") && !models.to_string().contains("secret"),
        "{models}"
    );
}

#[test]
fn rotation_overlaps_and_expiry_ends() {
    let gateway = Gateway::start(BINARY, CONFIG);
    let (old, id) = create(&gateway, &[]);
    let (brief, _) = create(&gateway, &["--expires", "1s"]);
    wait_accepted(&gateway, &old);
    let new = keys(&gateway, &["rotate", &id, "--overlap", "1h"])["key"]
        .as_str()
        .unwrap()
        .to_owned();
    wait_accepted(&gateway, &new);
    assert_eq!(
        bearer(&gateway, "chat", &old).status,
        200,
        "both keys hold during the overlap"
    );
    wait_for("the brief key to end", || {
        (bearer(&gateway, "chat", &brief).status == 401).then_some(())
    });
}

/// Without keys only this machine may call, and no page in its browser.
#[test]
fn without_keys_browsers_and_proxies_are_kept_out() {
    let gateway = Gateway::start(BINARY, CONFIG);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("x-forwarded-for", "203.0.113.9"),
    ] {
        let answer = ask(&gateway, Dialect::OpenAi, "chat", name, value);
        assert!(
            matches!(answer.status, 401 | 403),
            "{name}: {}",
            answer.text()
        );
    }
}

#[test]
fn the_admin_listener_denies_by_default() {
    let gateway = Gateway::start(BINARY, CONFIG);
    for path in [
        "/metrics",
        "/admin/v1/config",
        "/admin/v1/keys",
        "/admin/v1/audit",
        "/admin/v1/nothing",
    ] {
        assert_eq!(
            Request::new(gateway.admin, "GET", path).whole().status,
            401,
            "{path}"
        );
        let wrong = Request::new(gateway.admin, "GET", path)
            .header("authorization", "Bearer apla_wrong")
            .whole();
        assert_eq!(wrong.status, 401, "{path}");
    }
    assert_eq!(
        Request::new(gateway.admin, "GET", "/livez").whole().status,
        200
    );
    assert_eq!(gateway.admin_get("/admin/v1/keys").whole().status, 200);
    assert!(gateway.metric("aplomb_requests_in_flight").is_some());
    // The data plane knows none of it.
    assert_eq!(
        Request::new(gateway.data, "GET", "/admin/v1/keys")
            .whole()
            .status,
        404
    );
    assert_eq!(
        Request::new(gateway.data, "GET", "/metrics").whole().status,
        404
    );
    create(&gateway, &["--name", "first"]);
    let audit = gateway.admin_get("/admin/v1/audit").whole().text();
    assert!(audit.contains("key") && audit.contains("cli"), "{audit}");
}
