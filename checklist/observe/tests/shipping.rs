//! Shipping when ClickHouse is away, slow or says no: a scripted server stands for it.
#![cfg(test)]

mod support;

use aplomb_core::clock::{Clock, FakeClock};
use aplomb_core::id::RequestId;
use aplomb_observe::metrics::Metrics;
use aplomb_observe::queue::Submission;
use aplomb_observe::record::KeepText;
use aplomb_observe::store::clickhouse::{ClickHouse, Keep, Settings};
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::store::embedded::outbox::BatchBounds;
use aplomb_observe::store::embedded::{Bounds, Embedded, Feedback, Late, days};
use aplomb_observe::writer::{self, RecordWriter};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{DAY_MS, NOW, entry, prompt, record_at};

/// What the server does with an insert.
#[derive(Debug, Clone, Copy)]
enum Act {
    Take,
    /// Takes it, but the answer is lost.
    TakeAndClose,
    Status(u16, &'static str),
    Close,
    /// Says nothing for so long that it is given up.
    Stall,
}

/// A server that takes inserts as ClickHouse does: a token once.
#[derive(Default)]
struct Scripted {
    /// What comes next; then everything is taken.
    script: Mutex<Vec<Act>>,
    /// Bodies by token.
    taken: Mutex<BTreeMap<String, String>>,
    /// All tokens that came.
    tried: Mutex<Vec<String>>,
    /// The last call had the name and the password.
    signed_in: AtomicBool,
}

impl Scripted {
    fn start(script: Vec<Act>) -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        (Self::serve(listener, script), at)
    }

    fn serve(listener: TcpListener, mut script: Vec<Act>) -> Arc<Self> {
        script.reverse();
        let server = Arc::new(Scripted {
            script: Mutex::new(script),
            ..Scripted::default()
        });
        let shared = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = shared.clone();
                std::thread::spawn(move || server.connection(stream));
            }
        });
        server
    }

    fn connection(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some((path, body, signed_in)) = request(&mut reader) {
            self.signed_in.store(signed_in, Ordering::SeqCst);
            let (status, text) = match token(&path) {
                None => (
                    200,
                    "{\"meta\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"data\":[[0,\"\"]]}",
                ),
                Some(token) => {
                    self.tried.lock().unwrap().push(token.clone());
                    let act = self.script.lock().unwrap().pop().unwrap_or(Act::Take);
                    match act {
                        Act::Take | Act::TakeAndClose => {
                            self.taken.lock().unwrap().entry(token).or_insert(body);
                            if matches!(act, Act::TakeAndClose) {
                                return;
                            }
                            (200, "")
                        }
                        Act::Status(status, text) => (status, text),
                        Act::Close => return,
                        Act::Stall => {
                            // Ends when the client closes.
                            let _ = reader.read(&mut [0]);
                            return;
                        }
                    }
                }
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Ids of the rows of a table, in the order in which they were taken, doubles included.
    fn ids(&self, table: &str) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let bodies = taken
            .iter()
            .filter(|(token, _)| token.ends_with(&format!("-{table}")))
            .flat_map(|(_, body)| body.lines());
        bodies
            .map(|line| {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                row["id"].as_str().unwrap().to_owned()
            })
            .collect()
    }
}

/// Path and body of a request, and whether it had the name and the password.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String, bool)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut signs) = (0, 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|n| *n > 0)?;
        if header.trim().is_empty() {
            break;
        }
        signs += usize::from(
            [
                "x-clickhouse-user: default",
                "x-clickhouse-key: secret-word",
            ]
            .contains(&header.trim()),
        );
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, String::from_utf8(body).ok()?, signs == 2))
}

fn token(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("insert_deduplication_token=")?;
    rest.split('&').next().map(str::to_owned)
}

fn settings(at: SocketAddr) -> Settings {
    Settings {
        url: format!("http://{at}"),
        database: "aplomb".into(),
        user: "default".into(),
        password: Some("secret-word".into()),
        texts: true,
        keep: Keep {
            facts_days: 400,
            text_days: 30,
        },
        first: false,
        insert: Duration::from_secs(1),
    }
}

fn bounds() -> Bounds {
    Bounds {
        facts_days: 400,
        text_days: 30,
        facts_bytes: u64::MAX,
        text_bytes: u64::MAX,
        tenants: Vec::new(),
    }
}

fn writer(folder: &Path, at: SocketAddr, clock: Arc<dyn Clock>) -> (RecordWriter, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let own = writer::Settings {
        folder: folder.to_owned(),
        codec: Arc::new(Codec::new(None)),
        node: "node-1".into(),
        bounds: bounds(),
        queue_bytes: 16 << 20,
        clock,
    };
    let writer = RecordWriter::start_shipping(own, Some(settings(at)), metrics.clone());
    (writer.unwrap(), metrics)
}

fn put(writer: &RecordWriter, count: u64) -> BTreeSet<String> {
    let ids = (0..count).map(|n| {
        let record = record_at(NOW + n, "acme", "u1");
        let id = record.id.to_string();
        writer.put(Submission {
            record: Box::new(record),
            texts: None,
            keep: KeepText::None,
            ack: None,
        });
        id
    });
    let ids = ids.collect();
    writer.flush().unwrap();
    ids
}

#[track_caller]
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn once(ids: &[String]) -> BTreeSet<String> {
    let set: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(set.len(), ids.len(), "a row came twice");
    set
}

#[test]
fn nothing_is_lost_or_doubled_while_clickhouse_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (server, at) = Scripted::start(vec![
        Act::Status(
            500,
            "Code: 252. DB::Exception: Too many parts (u1). (TOO_MANY_PARTS)",
        ),
        Act::Close,
        Act::TakeAndClose,
        Act::Status(503, "busy"),
        Act::Take,
        Act::Take,
        // The batch after it: half of it is taken, then the answer is lost.
        Act::Take,
        Act::TakeAndClose,
        Act::Status(500, "<html>"),
    ]);
    let clock = Arc::new(FakeClock::at(NOW + 90_000));
    let (writer, metrics) = writer(dir.path(), at, clock);
    let mut wanted = put(&writer, 700);
    wait("the failure shows", || {
        metrics.clickhouse.failed_inserts.get() > 0
    });
    let health = writer.health().clickhouse.unwrap();
    assert_eq!(health.state, "failing");
    let error = health.error.unwrap();
    assert!(
        error.contains("252 TOO_MANY_PARTS") && !error.contains("u1"),
        "{error}"
    );
    wait("the backlog shows", || {
        metrics.clickhouse.backlog_rows.get() == 700
    });
    assert!(metrics.clickhouse.lag_seconds.get() >= 80);
    // Requests go on.
    wanted.extend(put(&writer, 300));
    wait("everything is shipped", || {
        metrics.clickhouse.shipped_rows.get() == 1_000
    });
    assert_eq!(once(&server.ids("requests")), wanted);
    assert_eq!(once(&server.ids("attempts")), wanted);
    let tried = server.tried.lock().unwrap().clone();
    let tokens: BTreeSet<&String> = tried.iter().collect();
    assert!(tried.len() >= tokens.len() + 5, "{tried:?}");
    let health = writer.health().clickhouse.unwrap();
    assert_eq!(
        (health.state, health.backlog_rows, health.lag_seconds),
        ("ok", 0, 0)
    );
    let shown = metrics.render();
    assert!(
        shown.contains("aplomb_clickhouse_shipped_rows_total 1000\n"),
        "{shown}"
    );
    assert!(shown.contains("aplomb_clickhouse_backlog_rows 0\n"));
    writer.close();
}

#[test]
fn a_server_that_says_nothing_is_given_up_and_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let (server, at) = Scripted::start(vec![Act::Stall]);
    let (writer, metrics) = writer(dir.path(), at, Arc::new(FakeClock::at(NOW)));
    let wanted = put(&writer, 20);
    wait("everything is shipped", || {
        metrics.clickhouse.shipped_rows.get() == 20
    });
    assert!(metrics.clickhouse.failed_inserts.get() >= 1);
    assert_eq!(once(&server.ids("requests")), wanted);
    assert!(server.signed_in.load(Ordering::SeqCst));
    writer.close();
}

#[test]
fn records_wait_on_the_disk_over_restarts_while_nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let clock = Arc::new(FakeClock::at(NOW));
    let (first, metrics) = writer(dir.path(), at, clock.clone());
    let mut wanted = put(&first, 100);
    let id = RequestId::parse(wanted.first().unwrap()).unwrap();
    wait("the failure shows", || {
        metrics.clickhouse.failed_inserts.get() > 0
    });
    first.close();
    drop(first);
    let (second, _) = writer(dir.path(), at, clock.clone());
    wanted.extend(put(&second, 50));
    let feedback = Feedback {
        at_ms: NOW,
        by: "u1".into(),
        source: "user",
        thumb: Some(1),
        ..Feedback::default()
    };
    assert!(second.late(id, Late::Feedback(Box::new(feedback))).unwrap());
    let server = Scripted::serve(TcpListener::bind(at).unwrap(), Vec::new());
    wait("everything is shipped", || {
        second.health().clickhouse.unwrap().shipped_rows == 151
    });
    assert_eq!(once(&server.ids("requests")), wanted);
    assert_eq!(server.ids("feedback"), [id.to_string()]);
    second.close();
}

#[test]
fn without_a_clickhouse_nothing_waits_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let codec = Arc::new(Codec::new(None));
    let mut store = Embedded::new(dir.path().to_owned(), codec, "n".into());
    store
        .write(&[entry(record_at(NOW, "acme", "u1"), None)])
        .unwrap();
    assert_eq!(store.backlog().unwrap(), 0);
    let shown = Metrics::default().render();
    assert!(shown.contains("aplomb_clickhouse_backlog_rows 0\n"));
}

const BATCH: BatchBounds = BatchBounds {
    rows: 50,
    text_bytes: 1,
};

#[test]
fn batches_are_fixed_bounded_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let codec = Arc::new(Codec::new(None));
    let open = || Embedded::new(dir.path().to_owned(), codec.clone(), "n".into()).shipping();
    let mut store = open();
    for day in 0..2 {
        for part in 0..4 {
            let entries: Vec<_> = (0..20)
                .map(|n| {
                    entry(
                        record_at(NOW + day * DAY_MS + part * 20 + n, "acme", "u1"),
                        None,
                    )
                })
                .collect();
            store.write(&entries).unwrap();
            store.write(&entries).unwrap();
        }
    }
    assert_eq!(store.backlog().unwrap(), 160);
    let mut tokens = BTreeSet::new();
    let mut sizes = Vec::new();
    while let Some(batch) = store.next_batch(BATCH).unwrap() {
        store = open();
        assert_eq!(store.next_batch(BATCH).unwrap().as_ref(), Some(&batch));
        assert!(tokens.insert(batch.token.clone()));
        sizes.push((batch.day - NOW / DAY_MS, batch.len()));
        store.shipped(&batch).unwrap();
    }
    assert_eq!(sizes, [(0, 60), (0, 20), (1, 60), (1, 20)]);
    assert_eq!(store.backlog().unwrap(), 0);
    // Texts bound a batch too: one commit each here.
    for n in 0..2 {
        let text = prompt("s", &"Where is the station? ".repeat(20), "There.");
        store
            .write(&[entry(record_at(NOW + n, "acme", "u1"), Some(text))])
            .unwrap();
    }
    assert_eq!(store.next_batch(BATCH).unwrap().unwrap().len(), 1);
}

#[test]
fn a_day_that_is_not_shipped_stays_unless_there_is_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let codec = Arc::new(Codec::new(None));
    let mut store = Embedded::new(dir.path().to_owned(), codec, "n".into()).shipping();
    for day in 0..3 {
        store
            .write(&[entry(record_at(NOW + day * DAY_MS, "acme", "u1"), None)])
            .unwrap();
    }
    let today = NOW / DAY_MS + 2;
    let batch = store.next_batch(BATCH).unwrap().unwrap();
    store.shipped(&batch).unwrap();
    let short = Bounds {
        facts_days: 0,
        text_days: 0,
        ..bounds()
    };
    store.retain(today, &short).unwrap();
    assert_eq!(days(dir.path()).unwrap(), [today - 1, today]);
    assert_eq!(store.unshipped, 0);
    store
        .retain(
            today,
            &Bounds {
                facts_bytes: 0,
                ..bounds()
            },
        )
        .unwrap();
    assert_eq!(days(dir.path()).unwrap(), [today]);
    assert_eq!((store.unshipped, store.backlog().unwrap()), (1, 1));
}

#[test]
fn questions_to_a_clickhouse_that_is_away_say_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let store = ClickHouse::new(settings(at)).unwrap();
    let error = store.one(RequestId::new(NOW), None).unwrap_err();
    assert_eq!(error.to_string(), "ClickHouse can't be reached");
    for url in ["", "not a url", "/path"] {
        assert!(
            ClickHouse::new(Settings {
                url: url.into(),
                ..settings(at)
            })
            .is_err(),
            "{url}"
        );
    }
}
