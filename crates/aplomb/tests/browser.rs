//! What web pages meet: the browser client's files, and who may call from another origin.
#![cfg(test)]

use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::{Dialect, wait_for};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const PRACTICE: &str =
    "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n";
const APP: &str = "https://app.example.com";

fn gateway(server: &str) -> Gateway {
    Setup::new(BINARY, PRACTICE).server(server).start()
}

#[test]
fn the_client_s_files_are_for_anyone_and_cached() {
    let gateway = gateway("connections_max: 100");
    for (path, kind) in [
        ("/aplomb/client.js", "text/javascript; charset=utf-8"),
        (
            "/aplomb/client.d.ts",
            "application/typescript; charset=utf-8",
        ),
    ] {
        let get = Request::new(gateway.data, "GET", path);
        // Also for pages that may not call, or where no key exists yet.
        let whole = get.header("origin", "https://evil.example").whole();
        assert_eq!(whole.status, 200);
        assert_eq!(whole.header("content-type"), Some(kind));
        assert_eq!(whole.header("access-control-allow-origin"), Some("*"));
        assert!(whole.header("cache-control").unwrap().contains("max-age"));
        let head = Request::new(gateway.data, "HEAD", path).open();
        assert_eq!(head.status, 200);
        let length = whole.text().len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
        let etag = whole.header("etag").unwrap();
        let again = Request::new(gateway.data, "GET", path)
            .header("if-none-match", etag)
            .whole();
        assert_eq!(again.status, 304);
        assert_eq!(again.header("etag"), Some(etag));
        assert_eq!(again.text(), "");
        let post = Request::new(gateway.data, "POST", path).body(b"{}").whole();
        assert_eq!(post.status, 405);
    }
    let example = |gateway: &Gateway| Request::new(gateway.data, "GET", "/aplomb/example").whole();
    assert_eq!(example(&gateway).status, 404);
    let with_example = self::gateway("example_page: true");
    assert!(example(&with_example).text().starts_with("<!doctype html>"));
}

fn preflight(gateway: &Gateway, origin: &str) -> aplomb_testkit::client::Whole {
    Request::new(gateway.data, "OPTIONS", "/v1/chat/completions")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type,x-aplomb-user",
        )
        .whole()
}

#[test]
fn pages_of_named_origins_call_and_read_what_they_got() {
    let gateway = gateway(&format!("cors: {{ origins: [\"{APP}\"] }}"));
    let made = gateway
        .setup()
        .command(&[
            "keys",
            "--config",
            "aplomb.yaml",
            "--json",
            "create",
            "--tenant",
            "acme",
        ])
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let key = made["key"].as_str().unwrap();

    // Before any key is asked for.
    let allowed = preflight(&gateway, APP);
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(APP));
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("authorization,content-type,x-aplomb-user")
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), None);

    let call = |origin: &str, key: &str, stream| {
        gateway
            .chat(Dialect::OpenAi, "practice/practice", stream)
            .header("origin", origin)
            .header("authorization", &format!("Bearer {key}"))
            .whole()
    };
    wait_for("the key to be known", || {
        (call(APP, key, false).status == 200).then_some(())
    });
    for stream in [false, true] {
        let answer = call(APP, key, stream);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
        assert_eq!(answer.header("vary"), Some("origin"));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for name in ["x-aplomb-request-id", "x-aplomb-target", "x-request-id"] {
            assert!(exposed.contains(name), "{name} is not in {exposed}");
        }
    }
    // A page must be able to read why it was refused.
    let refused = call(APP, "wrong", false);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some(APP));

    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.com.evil.example",
    ] {
        assert_eq!(
            preflight(&gateway, origin).header("access-control-allow-origin"),
            None
        );
        let other = call(origin, key, false);
        assert_eq!(
            other.header("access-control-allow-origin"),
            None,
            "{origin}"
        );
        assert_eq!(other.header("vary"), Some("origin"));
    }
}

#[test]
fn without_rules_nothing_is_said_and_without_keys_no_page_is_answered() {
    let silent = gateway("connections_max: 100");
    let refused = preflight(&silent, APP);
    assert_eq!(refused.status, 405);
    assert_eq!(refused.header("access-control-allow-origin"), None);

    let open = gateway("cors: { origins: [\"*\"] }");
    assert_eq!(
        preflight(&open, APP).header("access-control-allow-origin"),
        Some("*")
    );
    let call = |origin| {
        open.chat(Dialect::OpenAi, "practice/practice", false)
            .header("origin", origin)
            .whole()
    };
    assert_eq!(call(APP).status, 401);
    let local = call("http://localhost:3000");
    assert_eq!(local.status, 200);
    assert_eq!(local.header("access-control-allow-origin"), Some("*"));
    assert_eq!(local.header("vary"), None);
}
