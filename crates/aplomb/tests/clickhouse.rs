//! The binary with a ClickHouse behind its records, on a real engine: `./test clickhouse` starts it and names its address.
#![cfg(test)]

use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::{Dialect, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

#[expect(
    clippy::disallowed_methods,
    reason = "the suite hands over where its engine is"
)]
fn engine() -> String {
    let url = std::env::var("APLOMB_CLICKHOUSE_URL")
        .unwrap_or_else(|_| panic!("APLOMB_CLICKHOUSE_URL is not set: run `./test clickhouse`"));
    url.trim_start_matches("http://").to_owned()
}

fn config(stores: &str) -> String {
    format!(
        "providers:
  practice: {{ kind: practice, practice: {{ first_token: 0ms, tokens_per_second: 0 }} }}
routes:
  chat: {{ targets: [practice/practice], record: {{ text: plain, ack: group }} }}
store: {{ records: [{stores}] }}
"
    )
}

fn click(host: &str, database: &str) -> String {
    format!("{{ clickhouse: {{ url: \"http://{host}\", database: {database}, texts: true }} }}")
}

fn ask(gateway: &Gateway, user: &str) -> String {
    let body = json!({ "model": "chat", "messages": [{ "role": "user", "content": format!("Where does {user} live?") }] });
    let answer = Request::post(gateway.data, Dialect::ALL[0].path(), &body)
        .header("x-aplomb-user", user)
        .whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-aplomb-request-id").unwrap().to_owned()
}

fn admin(gateway: &Gateway, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let token = std::fs::read_to_string(gateway.data_file("admin.token")).unwrap();
    let answer = Request::new(gateway.admin, method, path)
        .header("authorization", &format!("Bearer {}", token.trim()))
        .body(body.to_string().as_bytes())
        .whole();
    (answer.status, answer.json())
}

fn sql(gateway: &Gateway, query: &str) -> Value {
    let question = json!({ "query": query, "store": "clickhouse" });
    let (status, answer) = admin(gateway, "POST", "/admin/v1/sql", &question);
    assert_eq!(status, 200, "{answer}");
    answer["rows"].clone()
}

fn shipped(gateway: &Gateway, rows: u64) {
    wait_for("everything to be shipped", || {
        let (_, health) = admin(gateway, "GET", "/admin/v1/records", &Value::Null);
        let state = &health["clickhouse"];
        (state["shipped_rows"] == rows && state["backlog_rows"] == 0).then_some(())
    });
}

#[test]
#[ignore = "needs a ClickHouse engine: ./test clickhouse"]
fn operators_ask_either_store_and_an_erasure_reaches_both() {
    let stores = format!("embedded, {}", click(&engine(), "binary"));
    let gateway = Setup::new(BINARY, &config(&stores)).start();
    let ids: Vec<String> = (0..6)
        .map(|n| ask(&gateway, &format!("u{}", n % 2)))
        .collect();
    shipped(&gateway, 6);
    for path in [
        "/admin/v1/requests?user=u1",
        &format!("/admin/v1/requests/{}", ids[3]),
    ] {
        let and = if path.contains('?') { '&' } else { '?' };
        let of = |store: &str| {
            admin(
                &gateway,
                "GET",
                &format!("{path}{and}store={store}"),
                &Value::Null,
            )
        };
        let (status, answer) = of("clickhouse");
        assert_eq!((status, &answer), (200, &of("embedded").1), "{path}");
        assert!(
            answer.to_string().contains("Where does u1 live"),
            "{answer}"
        );
        assert_eq!(of("elsewhere").0, 400);
    }
    assert_eq!(
        sql(
            &gateway,
            "SELECT user, count() FROM requests GROUP BY user ORDER BY user"
        ),
        json!([["u0", 3], ["u1", 3]])
    );
    let wrong = json!({ "query": "DROP TABLE requests", "store": "clickhouse" });
    assert_eq!(admin(&gateway, "POST", "/admin/v1/sql", &wrong).0, 400);
    let output = gateway
        .setup()
        .command(&[
            "sql",
            "--config",
            "aplomb.yaml",
            "--store",
            "clickhouse",
            "--json",
            "SELECT sum(requests) FROM hours",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("[[6]]"),
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (status, receipt) = admin(
        &gateway,
        "DELETE",
        "/admin/v1/privacy/users/u1",
        &Value::Null,
    );
    assert_eq!(status, 200, "{receipt}");
    assert!(receipt.to_string().contains("clickhouse"), "{receipt}");
    assert_eq!(
        sql(&gateway, "SELECT DISTINCT user FROM requests"),
        json!([["u0"]])
    );
    assert_eq!(
        sql(
            &gateway,
            "SELECT count() FROM texts WHERE position(messages, 'u1') > 0"
        ),
        json!([[0]])
    );
    assert_eq!(gateway.metric("aplomb_clickhouse_backlog_rows"), Some(0.0));
    assert!(
        gateway
            .metric("aplomb_clickhouse_shipped_rows_total")
            .is_some_and(|rows| rows >= 6.0)
    );
}

#[test]
#[ignore = "needs a ClickHouse engine: ./test clickhouse"]
fn a_crash_between_the_insert_and_its_answer_counts_once() {
    let proxy = Proxy::start(engine());
    let setup = Setup::new(BINARY, &config(&click(&proxy.at.to_string(), "crashed")));
    let gateway = setup.start();
    ask(&gateway, "u0");
    shipped(&gateway, 1);
    proxy.swallow.store(true, Ordering::SeqCst);
    for n in 0..5 {
        ask(&gateway, &format!("u{n}"));
    }
    wait_for("the insert to be taken", || {
        proxy.swallowed.load(Ordering::SeqCst).then_some(())
    });
    let setup = gateway.killed();
    proxy.swallow.store(false, Ordering::SeqCst);
    let gateway = setup.start();
    ask(&gateway, "u0");
    wait_for("everything to be shipped", || {
        let (_, health) = admin(&gateway, "GET", "/admin/v1/records", &Value::Null);
        let rows = health["clickhouse"]["shipped_rows"].as_u64()?;
        (rows >= 2 && health["clickhouse"]["backlog_rows"] == 0).then_some(())
    });
    let rows = sql(
        &gateway,
        "SELECT (SELECT count() FROM requests), (SELECT count(DISTINCT id) FROM requests), (SELECT count() FROM texts), \
        (SELECT sum(requests) FROM minutes), (SELECT sum(requests) FROM users)",
    );
    assert_eq!(rows, json!([[7, 7, 7, 7, 7]]));
    // ClickHouse is the only store that was named: it is asked first.
    let (_, list) = admin(
        &gateway,
        "GET",
        "/admin/v1/requests?limit=100",
        &Value::Null,
    );
    assert_eq!(list["data"].as_array().unwrap().len(), 7);
}

/// Stands between the gateway and the engine, and may swallow the answers to inserts.
struct Proxy {
    at: SocketAddr,
    swallow: Arc<AtomicBool>,
    swallowed: Arc<AtomicBool>,
}

impl Proxy {
    fn start(engine: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (swallow, swallowed) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let proxy = Proxy {
            at,
            swallow: swallow.clone(),
            swallowed: swallowed.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (engine, swallow, swallowed) =
                    (engine.clone(), swallow.clone(), swallowed.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut stream = stream;
                    while let Some(request) = message(&mut reader) {
                        let mut engine = TcpStream::connect(&engine).unwrap();
                        engine.write_all(&request).unwrap();
                        let Some(answer) = message(&mut BufReader::new(engine)) else {
                            return;
                        };
                        let insert = request
                            .windows(26)
                            .any(|part| part == b"insert_deduplication_token");
                        if insert && swallow.load(Ordering::SeqCst) {
                            swallowed.store(true, Ordering::SeqCst);
                            // Never answers; the gateway is killed meanwhile.
                            let _ = reader.read(&mut [0]);
                            return;
                        }
                        if stream.write_all(&answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        proxy
    }
}

/// One message with its body, as it came.
fn message(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut whole, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        whole.extend_from_slice(line.as_bytes());
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    whole.extend(body);
    Some(whole)
}
