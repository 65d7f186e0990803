//! What the embedded store promises, on real files.
#![cfg(test)]

mod support;

use aplomb_core::clock::FakeClock;
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::id::RequestId;
use aplomb_core::request::Operation;
use aplomb_observe::metrics::Metrics;
use aplomb_observe::queue::Submission;
use aplomb_observe::record::{KeepText, Outcome, Record};
use aplomb_observe::store::embedded::ask::{AskError, Filter, Limits, Reader, Sql};
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::store::embedded::{
    Bounds, Embedded, Feedback, Late, Score, Started, TenantAge,
};
use aplomb_observe::writer::{RecordWriter, Settings};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{DAY_MS, NOON, entry, prompt, record};

fn store(folder: &Path, secret: Option<&[u8]>) -> (Embedded, Reader) {
    let codec = Arc::new(Codec::new(secret));
    (
        Embedded::new(folder.to_owned(), codec.clone(), "node-1".into()),
        Reader::new(folder.to_owned(), codec),
    )
}

fn ask(reader: &Reader, query: &str) -> Vec<Vec<serde_json::Value>> {
    ask_as(reader, None, query).unwrap()
}

fn ask_as(
    reader: &Reader,
    tenant: Option<&str>,
    query: &str,
) -> Result<Vec<Vec<serde_json::Value>>, AskError> {
    let days = NOON / DAY_MS - 40..=NOON / DAY_MS + 5;
    let sql = Sql {
        query: query.into(),
        days,
        tenant: tenant.map(str::to_owned),
        limits: Limits::default(),
    };
    reader.sql(&sql).map(|table| table.rows)
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

fn subject(tenant: Option<&str>, user: &str) -> Subject {
    Subject {
        tenant: tenant.map(str::to_owned),
        user: user.to_owned(),
    }
}

#[test]
fn a_record_comes_back_with_everything_that_hangs_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, reader) = store(dir.path(), None);
    let mut first = record(NOON, "acme", "u1");
    first.tags = vec![("team".into(), "search".into())];
    let id = first.id;
    store
        .write(&[entry(
            first,
            Some(prompt("Be brief.", "Where is the station?", "Over there.")),
        )])
        .unwrap();
    let feedback = Feedback {
        at_ms: NOON + 1,
        by: "u1".into(),
        source: "user",
        thumb: Some(1),
        ..Feedback::default()
    };
    let score = Score {
        at_ms: NOON + 2,
        eval: "q".into(),
        rubric: "relevance".into(),
        score: Some(0.9),
        judge: "rule".into(),
        ..Score::default()
    };
    assert!(store.late(id, &Late::Feedback(Box::new(feedback))).unwrap());
    assert!(store.late(id, &Late::Score(Box::new(score))).unwrap());
    assert!(
        !store
            .late(RequestId::new(NOON), &Late::Score(Box::default()))
            .unwrap()
    );
    let one = reader.one(id, Some("acme")).unwrap().unwrap();
    assert_eq!(
        (&one["tenant"], &one["user"], &one["target"]),
        (&"acme".into(), &"u1".into(), &"openai/gpt-5-mini".into())
    );
    assert_eq!(
        (&one["cost_usd"], &one["at"]),
        (&"0.000125".into(), &"2026-01-02T03:04:05.000Z".into())
    );
    assert_eq!(
        (&one["ttft_us"], &one["stream"], &one["tags"]["team"]),
        (&350_500.into(), &true.into(), &"search".into())
    );
    assert_eq!(
        (&one["node"], &one["language"], &one["text_kept"]),
        (&"node-1".into(), &"eng".into(), &"whole".into())
    );
    assert_eq!(
        (&one["text"]["system"], &one["text"]["output"]),
        (&"Be brief.".into(), &"Over there.".into())
    );
    assert_eq!(
        one["text"]["messages"][0]["content"],
        "Where is the station?"
    );
    assert_eq!(
        (
            &one["attempts"][0]["us"],
            &one["feedback"][0]["thumb"],
            &one["scores"][0]["score"]
        ),
        (&320_000.into(), &1.into(), &0.9.into())
    );
    assert_eq!(reader.one(id, Some("other")).unwrap(), None);
}

#[test]
fn a_batch_written_twice_counts_once_and_rollups_equal_facts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, reader) = store(dir.path(), None);
    let mut batch = Vec::new();
    for n in 0..500 {
        let mut one = record(
            NOON + n * 7_000,
            if n % 3 == 0 { "acme" } else { "zeta" },
            &format!("u{}", n % 17),
        );
        one.total_ms = 10.0 + f64::from(u32::try_from(n).unwrap());
        if n % 10 == 0 {
            one.outcome = Outcome::Error;
            one.cost_nano = None;
        }
        batch.push(entry(one, None));
    }
    for part in batch.chunks(64) {
        store.write(part).unwrap();
        store.write(part).unwrap();
    }
    let sums = "sum(requests), sum(failures), sum(input_tokens), sum(output_tokens), sum(cost_nano), sum(cost_unknown)";
    let facts = ask(
        &reader,
        "SELECT count(*), sum(outcome='error'), sum(input_tokens), sum(output_tokens), sum(cost_nano), sum(cost_nano IS NULL) FROM requests",
    );
    assert_eq!(facts[0][0], 500);
    for view in ["minutes", "hours", "tenants", "users"] {
        assert_eq!(
            ask(&reader, &format!("SELECT {sums} FROM {view}")),
            facts,
            "{view}"
        );
    }
    let p95 = ask(
        &reader,
        "SELECT hist_quantile(hist_merge(total), 0.95), hist_count(hist_merge(total)) FROM hours",
    );
    let exact = ask(&reader, "SELECT quantile(total_us, 0.95) FROM requests")[0][0]
        .as_f64()
        .unwrap();
    let found = p95[0][0].as_f64().unwrap();
    assert!((found / exact - 1.0).abs() < 0.02, "{found} {exact}");
    assert_eq!(p95[0][1], 500);
    let by_tenant = ask(
        &reader,
        "SELECT tenant, sum(requests) FROM users GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        by_tenant,
        [
            [serde_json::json!("acme"), 167.into()],
            ["zeta".into(), 333.into()]
        ]
    );
}

#[test]
fn lists_are_filtered_and_paged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, reader) = store(dir.path(), None);
    let mut batch = Vec::new();
    for n in 0..30u64 {
        let one = record(NOON - n * DAY_MS / 3, "acme", &format!("u{}", n % 2));
        batch.push(entry(
            one,
            Some(prompt("s", &format!("Question number {n}"), "An ANSWER")),
        ));
    }
    store.write(&batch).unwrap();
    let list = |filter: Filter| reader.list(&filter).unwrap();
    let all = list(Filter {
        limit: Some(100),
        ..Filter::default()
    });
    assert_eq!(all.len(), 30);
    assert_eq!(all[0]["prompt_head"], "Question number 0");
    let theirs = list(Filter {
        user: Some("u1".into()),
        limit: Some(4),
        ..Filter::default()
    });
    assert_eq!(
        theirs
            .iter()
            .map(|row| row["prompt_head"].as_str().unwrap())
            .collect::<Vec<_>>(),
        [
            "Question number 1",
            "Question number 3",
            "Question number 5",
            "Question number 7"
        ]
    );
    let next = list(Filter {
        user: Some("u1".into()),
        before: theirs[3]["id"].as_str().map(str::to_owned),
        limit: Some(1),
        ..Filter::default()
    });
    assert_eq!(next[0]["prompt_head"], "Question number 9");
    assert_eq!(
        list(Filter {
            text: Some("NUMBER 12".into()),
            ..Filter::default()
        })
        .len(),
        1
    );
    assert_eq!(
        list(Filter {
            text: Some("an answer".into()),
            since_ms: Some(NOON - DAY_MS),
            ..Filter::default()
        })
        .len(),
        4
    );
    assert_eq!(
        list(Filter {
            tenant: Some("nobody".into()),
            ..Filter::default()
        })
        .len(),
        0
    );
    assert!(matches!(
        reader.list(&Filter {
            before: Some("x".into()),
            ..Filter::default()
        }),
        Err(AskError::Wrong(_))
    ));
}

#[test]
fn sql_reads_views_of_its_tenant_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, reader) = store(dir.path(), None);
    for (tenant, user) in [("acme", "u1"), ("zeta", "u2"), ("it's", "u3")] {
        let one = record(NOON, tenant, user);
        let id = one.id;
        store
            .write(&[entry(one, Some(prompt("s", "q", tenant)))])
            .unwrap();
        store
            .late(
                id,
                &Late::Feedback(Box::new(Feedback {
                    by: user.into(),
                    source: "user",
                    thumb: Some(-1),
                    ..Feedback::default()
                })),
            )
            .unwrap();
    }
    for (view, columns) in [
        ("requests", "user"),
        ("texts", "output"),
        ("feedback", "by"),
        ("attempts", "target"),
        ("tenants", "tenant"),
        ("users", "user"),
    ] {
        let query = format!("SELECT {columns} FROM {view}");
        assert_eq!(ask(&reader, &query).len(), 3, "{view}");
        for tenant in ["acme", "it's"] {
            assert_eq!(
                ask_as(&reader, Some(tenant), &query).unwrap().len(),
                1,
                "{view}"
            );
        }
        assert_eq!(
            ask_as(&reader, Some("' OR 1=1 --"), &query).unwrap().len(),
            0,
            "{view}"
        );
    }
    assert_eq!(
        ask_as(&reader, Some("acme"), "SELECT output FROM texts").unwrap()[0][0],
        "acme"
    );
    for forbidden in [
        "SELECT * FROM d0.facts",
        "SELECT text FROM d0.names",
        "SELECT * FROM t0.texts",
        "DELETE FROM requests",
        "PRAGMA writable_schema=1",
        "ATTACH DATABASE 'x' AS y",
        "SELECT load_extension('x')",
        "CREATE TABLE x (y)",
        "SELECT sql FROM sqlite_master",
        "SELECT sql FROM d0.sqlite_master",
        "SELECT t FROM minutes",
        "SELECT name FROM pragma_database_list",
        "SELECT 1; SELECT 2",
        "DROP VIEW requests",
        "VACUUM INTO 'x'",
        "SELECT writefile('x','y')",
    ] {
        assert!(
            matches!(
                ask_as(&reader, Some("acme"), forbidden),
                Err(AskError::Wrong(_))
            ),
            "{forbidden}"
        );
    }
    for behind in ["facts", "names", "outbox", "heads", "minutes", "hours"] {
        assert_eq!(
            ask_as(
                &reader,
                Some("acme"),
                &format!("SELECT count(*) FROM {behind}")
            )
            .unwrap()[0][0],
            0,
            "{behind}"
        );
    }
    let Err(AskError::Wrong(message)) =
        ask_as(&reader, None, "SELECT id,\n  nowhere FROM requests")
    else {
        panic!("an error")
    };
    assert_eq!(message, "no such column: nowhere (line 2, column 3)");
}

#[test]
fn questions_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, reader) = store(dir.path(), None);
    let batch: Vec<_> = (0..100)
        .map(|n| entry(record(NOON + n, "acme", "u"), None))
        .collect();
    store.write(&batch).unwrap();
    let ask = |query: &str, limits| {
        reader.sql(&Sql {
            query: query.into(),
            days: 0..=u64::MAX,
            tenant: None,
            limits,
        })
    };
    let few = ask(
        "SELECT id FROM requests",
        Limits {
            rows: 10,
            ..Limits::default()
        },
    )
    .unwrap();
    assert_eq!((few.rows.len(), few.truncated), (10, true));
    let small = ask(
        "SELECT printf('%.*c', 1000, 'x') FROM requests",
        Limits {
            bytes: 5_000,
            ..Limits::default()
        },
    )
    .unwrap();
    assert_eq!((small.rows.len(), small.truncated), (5, true));
    let slow = ask(
        "SELECT count(*) FROM requests a, requests b, requests c, requests d",
        Limits {
            time: Duration::from_millis(50),
            ..Limits::default()
        },
    );
    assert!(matches!(slow, Err(AskError::Slow(_))));
}

/// Whether any file of a folder holds these bytes.
fn holds(folder: &Path, needle: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|path| {
            std::fs::read(path)
                .unwrap()
                .windows(needle.len())
                .any(|part| part == needle.as_bytes())
        })
        .map(|path| path.display().to_string())
        .collect()
}

#[test]
fn after_an_erasure_no_file_holds_the_person() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, reader) = store(dir.path(), None);
    for day in 0..3 {
        for (tenant, user) in [
            ("acme", "canary-7f3a"),
            ("zeta", "canary-7f3a"),
            ("acme", "other"),
        ] {
            let mut one = record(NOON + day * DAY_MS, tenant, user);
            one.session = Some(format!("session of {user}"));
            let id = one.id;
            // Too short to be compressed away.
            let text = prompt(
                &format!("sys {user}"),
                &format!("I am {user}"),
                &format!("Hi {user}"),
            );
            store.write(&[entry(one, Some(text))]).unwrap();
            let comment = Feedback {
                by: user.into(),
                source: "user",
                comment: Some(format!("by {user}")),
                ..Feedback::default()
            };
            store.late(id, &Late::Feedback(Box::new(comment))).unwrap();
        }
    }
    assert!(!holds(dir.path(), "canary-7f3a").is_empty());
    assert_eq!(
        store.erase(&subject(Some("acme"), "canary-7f3a")).unwrap(),
        3
    );
    assert_eq!(
        ask(
            &reader,
            "SELECT count(*) FROM requests WHERE user = 'canary-7f3a'"
        )[0][0],
        3
    );
    assert_eq!(store.erase(&subject(None, "canary-7f3a")).unwrap(), 3);
    assert_eq!(holds(dir.path(), "canary-7f3a"), Vec::<String>::new());
    assert_eq!(
        ask(
            &reader,
            "SELECT count(*), count(DISTINCT user) FROM requests"
        )[0],
        [serde_json::json!(3), 1.into()]
    );
    assert_eq!(
        ask(&reader, "SELECT output, system FROM texts")[0],
        [serde_json::json!("Hi other"), "sys other".into()]
    );
    store
        .write(&[entry(record(NOON, "acme", "later"), None)])
        .unwrap();
    assert_eq!(ask(&reader, "SELECT count(*) FROM requests")[0][0], 4);
}

#[test]
fn sealed_texts_are_readable_with_their_key_only() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, reader) = store(dir.path(), Some(b"one"));
    let one = record(NOON, "acme", "u");
    let id = one.id;
    store
        .write(&[entry(
            one,
            Some(prompt("the-system", "the-question", "the-answer")),
        )])
        .unwrap();
    drop(store);
    for text in ["the-system", "the-question", "the-answer"] {
        assert_eq!(holds(dir.path(), text), Vec::<String>::new());
    }
    assert_eq!(
        reader.one(id, None).unwrap().unwrap()["text"]["output"],
        "the-answer"
    );
    assert_eq!(
        reader.list(&Filter::default()).unwrap()[0]["prompt_head"],
        "the-question"
    );
    let (_, stranger) = self::store(dir.path(), Some(b"two"));
    assert!(stranger.one(id, None).is_err());
}

#[test]
fn files_go_by_age_and_size_and_a_tenants_rows_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, reader) = store(dir.path(), None);
    for day in 0..6 {
        let batch = ["acme", "zeta"].map(|tenant| {
            entry(
                record(NOON - day * DAY_MS, tenant, "u"),
                Some(prompt("s", "q", "a")),
            )
        });
        store.write(&batch).unwrap();
    }
    let count = |reader: &Reader, view: &str| {
        ask(reader, &format!("SELECT count(*) FROM {view}"))[0][0]
            .as_u64()
            .unwrap()
    };
    let today = NOON / DAY_MS;
    store
        .retain(
            today,
            &Bounds {
                text_days: 3,
                ..bounds()
            },
        )
        .unwrap();
    assert_eq!(
        (count(&reader, "requests"), count(&reader, "texts")),
        (12, 8)
    );
    let short = TenantAge {
        tenant: "zeta".into(),
        facts_days: Some(2),
        text_days: Some(1),
    };
    store
        .retain(
            today,
            &Bounds {
                tenants: vec![short],
                ..bounds()
            },
        )
        .unwrap();
    assert_eq!(
        (count(&reader, "requests"), count(&reader, "texts")),
        (9, 6)
    );
    store
        .retain(
            today,
            &Bounds {
                facts_days: 4,
                ..bounds()
            },
        )
        .unwrap();
    assert_eq!(count(&reader, "requests"), 8);
    store
        .retain(
            today,
            &Bounds {
                facts_bytes: 1,
                text_bytes: 1,
                ..bounds()
            },
        )
        .unwrap();
    assert_eq!(
        (count(&reader, "requests"), count(&reader, "texts")),
        (2, 2),
        "today stays"
    );
}

/// Overwrites some pages in the middle of a file.
fn damage(path: &Path, from: u64, bytes: usize) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&vec![0xffu8; bytes]).unwrap();
}

#[test]
fn a_damaged_file_is_put_aside_and_what_can_be_read_is_kept() {
    for (what, from, bytes) in [
        ("its first page", 0, 4096),
        ("a page within", 8192 * 20, 8192 * 2),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, reader) = store(dir.path(), None);
        let batch: Vec<_> = (0..2_000)
            .map(|n| entry(record(NOON + n, "acme", "u"), None))
            .collect();
        store.write(&batch).unwrap();
        store.close();
        damage(&dir.path().join("2026-01-02.db"), from, bytes);
        let late = || [entry(record(NOON + 5_000, "acme", "late"), None)];
        let batch = late();
        for _ in 0..3 {
            if store.write(&batch).is_ok() && !store.losses.is_empty() {
                break;
            }
            // A page that nobody reads is found when it is read.
            let touched: Vec<_> = (0..2_000)
                .map(|n| entry(record(NOON + n, "acme", "u2"), None))
                .collect();
            let _ = store.write(&touched);
        }
        store.write(&batch).unwrap();
        let found = ask(&reader, "SELECT count(*) FROM requests WHERE user = 'late'");
        assert_eq!(found[0][0], 1, "{what}");
        assert_eq!(store.losses.len(), 1, "{what}");
        assert!(store.losses[0].aside[0].exists(), "{what}");
        if from > 0 {
            assert!(
                store.losses[0].kept_facts > 1_000,
                "{what}: {:?}",
                store.losses
            );
        }
    }
}

#[test]
fn a_file_that_is_no_database_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("2026-01-02.db"),
        "this is no database, whatever its name says",
    )
    .unwrap();
    let (mut store, reader) = store(dir.path(), None);
    let batch = [entry(record(NOON, "acme", "u"), None)];
    assert!(store.write(&batch).is_err());
    store.write(&batch).unwrap();
    assert_eq!(ask(&reader, "SELECT count(*) FROM requests")[0][0], 1);
    assert_eq!((store.losses.len(), store.losses[0].kept_facts), (1, 0));
}

#[test]
fn a_file_of_an_older_version_is_read_and_then_upgraded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("2026-01-02.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("fixtures/facts-v1.sql"))
        .unwrap();
    drop(old);
    let (mut store, reader) = store(dir.path(), None);
    let before = ask(&reader, "SELECT user, node, policy_version FROM requests");
    assert_eq!(
        before,
        [[
            serde_json::json!("u-old"),
            serde_json::Value::Null,
            serde_json::Value::Null
        ]]
    );
    store
        .write(&[entry(record(NOON, "acme", "u-new"), None)])
        .unwrap();
    let after = ask(&reader, "SELECT user, node FROM requests ORDER BY user");
    assert_eq!(
        after,
        [
            [serde_json::json!("u-new"), "node-1".into()],
            ["u-old".into(), serde_json::Value::Null]
        ]
    );
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 999).unwrap();
    store.close();
    let error = store
        .write(&[entry(record(NOON, "acme", "u"), None)])
        .unwrap_err();
    assert!(
        error.to_string().contains("newer version (schema 999"),
        "{error}"
    );
}

fn writer(folder: &Path, metrics: &Arc<Metrics>) -> RecordWriter {
    let settings = Settings {
        folder: folder.to_owned(),
        codec: Arc::new(Codec::new(None)),
        node: String::new(),
        bounds: bounds(),
        queue_bytes: 1 << 20,
        clock: Arc::new(FakeClock::at(NOON)),
    };
    RecordWriter::start(settings, metrics.clone()).unwrap()
}

fn facts(record: Record) -> Submission {
    Submission {
        record: Box::new(record),
        texts: None,
        keep: KeepText::None,
        ack: None,
    }
}

#[test]
fn an_acknowledged_record_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let writer = writer(dir.path(), &metrics);
    for n in 0..20 {
        let (ack, acked) = tokio::sync::oneshot::channel();
        let one = record(NOON + n, "acme", "u");
        let id = one.id;
        writer.put(Submission {
            ack: Some(ack),
            ..facts(one)
        });
        acked.blocking_recv().unwrap();
        assert!(writer.reader().one(id, None).unwrap().is_some(), "{n}");
    }
    writer.close();
    assert_eq!(
        (metrics.records_written.get(), metrics.records_lost.get()),
        (20, 0)
    );
}

#[test]
fn an_exchange_without_an_end_is_recorded_as_crashed() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let first = writer(dir.path(), &metrics);
    let (ended, left) = (record(NOON, "acme", "ended"), record(NOON, "acme", "left"));
    for one in [&ended, &left] {
        assert!(first.begin(Started::of(one, Operation::ChatCompletions), None));
    }
    first.put(facts(ended));
    first.flush().unwrap();
    assert_eq!(
        ask(&first.reader(), "SELECT user FROM requests"),
        [["ended"]]
    );
    first.close();
    let second = writer(dir.path(), &metrics);
    second.flush().unwrap();
    assert_eq!(
        ask(
            &second.reader(),
            "SELECT user, outcome FROM requests ORDER BY user"
        ),
        [["ended", "done"], ["left", "crashed"]]
    );
    second.close();
}

#[test]
fn a_second_process_waits_for_the_folder_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let first = writer(dir.path(), &metrics);
    first.flush().unwrap();
    let second = writer(dir.path(), &metrics);
    second.put(facts(record(NOON, "acme", "u2")));
    first.put(facts(record(NOON, "acme", "u1")));
    assert!(first.erase(&subject(None, "nobody")).is_ok());
    first.close();
    second.flush().unwrap();
    assert_eq!(
        ask(&second.reader(), "SELECT user FROM requests ORDER BY user"),
        [["u1"], ["u2"]]
    );
    assert_eq!(second.health().state, "ok");
    second.close();
    second.put(facts(record(NOON, "acme", "late")));
    assert_eq!(
        (metrics.records_written.get(), metrics.records_lost.get()),
        (2, 1)
    );
}

#[test]
fn a_disk_that_fails_delays_records_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    // A folder where the file should be can't be opened; a moment later it can.
    let obstacle = dir.path().join("2026-01-02.db");
    std::fs::create_dir(&obstacle).unwrap();
    let writer = writer(dir.path(), &metrics);
    writer.put(facts(record(NOON, "acme", "u")));
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while writer.health().state != "failing" {
        assert!(std::time::Instant::now() < until, "{:?}", writer.health());
        std::thread::yield_now();
    }
    assert!(metrics.records_store_down.get() == 1 && writer.health().error.is_some());
    std::fs::remove_dir(&obstacle).unwrap();
    writer.flush().unwrap();
    assert_eq!((writer.health().state, writer.health().error), ("ok", None));
    assert_eq!(
        ask(&writer.reader(), "SELECT count(*) FROM requests")[0][0],
        1
    );
    writer.close();
    assert_eq!(
        (metrics.records_written.get(), metrics.records_lost.get()),
        (1, 0)
    );
}
