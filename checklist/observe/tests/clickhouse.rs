//! What the ClickHouse store promises, on a real engine: `./test clickhouse` starts it and names its address.
#![cfg(test)]

mod support;

use aplomb_core::erase::{Erase, Subject};
use aplomb_core::id::RequestId;
use aplomb_observe::record::{Attempt, Outcome};
use aplomb_observe::schema::VERSION;
use aplomb_observe::store::clickhouse::{ClickHouse, Keep, Settings, ddl};
use aplomb_observe::store::embedded::ask::{AskError, Filter, Limits, Reader, Sql};
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::store::embedded::outbox::BatchBounds;
use aplomb_observe::store::embedded::{Embedded, Feedback, Late, Score};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{DAY_MS, NOW, entry, prompt, record_at};

#[expect(
    clippy::disallowed_methods,
    reason = "the suite hands over where its engine is"
)]
fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this by `./test clickhouse`"))
}

fn settings(database: &str) -> Settings {
    Settings {
        url: variable("APLOMB_CLICKHOUSE_URL"),
        database: database.into(),
        user: "default".into(),
        password: None,
        texts: true,
        keep: Keep {
            facts_days: 4_000,
            text_days: 4_000,
        },
        first: false,
        insert: Duration::from_secs(25),
    }
}

const BOUNDS: BatchBounds = BatchBounds {
    rows: 200,
    text_bytes: 8 << 20,
};

/// Both stores with a folder between them.
struct Pair {
    dir: tempfile::TempDir,
    codec: Arc<Codec>,
    store: Embedded,
    reader: Reader,
    click: ClickHouse,
}

impl Pair {
    fn new(database: &str) -> Self {
        let click = ClickHouse::new(settings(database)).unwrap();
        click.migrate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let codec = Arc::new(Codec::new(None));
        Pair {
            store: embedded(dir.path(), &codec),
            reader: Reader::new(dir.path().to_owned(), codec.clone()),
            dir,
            codec,
            click,
        }
    }

    fn ship(&mut self) -> usize {
        let mut rows = 0;
        while let Some(batch) = self.store.next_batch(BOUNDS).unwrap() {
            self.click
                .send(self.dir.path(), &self.codec, &batch)
                .unwrap();
            self.store.shipped(&batch).unwrap();
            rows += batch.len();
        }
        rows
    }

    fn ask(&self, query: &str) -> Vec<Vec<Value>> {
        self.click.sql(&sql(query, None)).unwrap().rows
    }

    fn both(&self, query: &str, tenant: Option<&str>) -> Vec<Vec<Value>> {
        let embedded = self.reader.sql(&sql(query, tenant)).unwrap();
        let click = self.click.sql(&sql(query, tenant)).unwrap();
        assert_eq!(click.rows, embedded.rows, "{query}");
        click.rows
    }
}

fn embedded(folder: &Path, codec: &Arc<Codec>) -> Embedded {
    Embedded::new(folder.to_owned(), codec.clone(), "node-1".into()).shipping()
}

fn sql(query: &str, tenant: Option<&str>) -> Sql {
    Sql {
        query: query.into(),
        days: NOW / DAY_MS - 2..=NOW / DAY_MS + 2,
        tenant: tenant.map(str::to_owned),
        limits: Limits::default(),
    }
}

/// Exchanges of two days, two tenants and many users, with failures, texts, feedback and scores.
fn fill(pair: &mut Pair, count: u64) -> Vec<RequestId> {
    let mut ids = Vec::new();
    let mut entries = Vec::new();
    for n in 0..count {
        let tenant = if n % 3 == 0 { "acme" } else { "zeta" };
        let mut one = record_at(NOW + n * 97_003, tenant, &format!("u{}", n % 17));
        one.total_ms = 10.0 + f64::from(u32::try_from(n * n % 5_000).unwrap());
        one.ttft_ms = (n % 4 != 0).then_some(one.total_ms / 3.0);
        one.tags = vec![("team".into(), format!("t{}", n % 2))];
        if n % 10 == 0 {
            one.outcome = Outcome::Error;
            one.status = 502;
            one.error_code = Some("upstream_error".into());
            one.cost_nano = None;
            one.attempts.push(Attempt {
                target: "openai/gpt-5-mini".into(),
                fault: Some("status"),
                status: Some(500),
                ms: 12.5,
            });
        }
        ids.push(one.id);
        let text = (n % 2 == 0).then(|| {
            prompt(
                "Be brief.",
                &format!("It's \\question '{n}'?"),
                "Over there.",
            )
        });
        entries.push(entry(one, text));
    }
    for part in entries.chunks(64) {
        pair.store.write(part).unwrap();
    }
    for (n, id) in ids.iter().enumerate().step_by(5) {
        let feedback = Feedback {
            at_ms: NOW + DAY_MS,
            by: format!("u{}", n % 17),
            source: "user",
            thumb: Some(if n % 2 == 0 { 1 } else { -1 }),
            comment: Some("so'n \\ \"Text\"".into()),
            ..Feedback::default()
        };
        let score = Score {
            at_ms: NOW + DAY_MS,
            eval: "q".into(),
            rubric: "relevance".into(),
            score: Some(if n % 2 == 0 { 1.0 } else { 0.25 }),
            judge: "rule".into(),
            cost_nano: Some(1_000),
            ..Score::default()
        };
        let late = [
            Late::Feedback(Box::new(feedback)),
            Late::Score(Box::new(score)),
        ];
        for late in late {
            assert!(pair.store.late(*id, &late).unwrap());
        }
    }
    ids
}

#[test]
#[ignore = "needs a ClickHouse engine: ./test clickhouse"]
fn the_same_questions_have_the_same_answers() {
    let mut pair = Pair::new("same");
    let ids = fill(&mut pair, 700);
    assert_eq!(pair.ship(), 700 + 2 * 140);
    assert_eq!(pair.store.backlog().unwrap(), 0);
    for id in ids.iter().step_by(23) {
        let wanted = pair.reader.one(*id, None).unwrap();
        assert_eq!(pair.click.one(*id, None).unwrap(), wanted);
    }
    assert_eq!(pair.click.one(ids[0], Some("zeta")).unwrap(), None);
    assert_eq!(pair.click.one(RequestId::new(NOW), None).unwrap(), None);
    lists(&pair, &ids);
    tables(&pair);
}

fn lists(pair: &Pair, ids: &[RequestId]) {
    let some = |text: &str| Some(text.to_owned());
    let filters = [
        Filter::default(),
        Filter {
            tenant: some("acme"),
            limit: Some(7),
            ..Filter::default()
        },
        Filter {
            user: some("u3"),
            outcome: some("error"),
            ..Filter::default()
        },
        Filter {
            status: Some(502),
            slower_than_ms: Some(2_000),
            ..Filter::default()
        },
        Filter {
            before: Some(ids[300].to_string()),
            limit: Some(1_000),
            ..Filter::default()
        },
        Filter {
            since_ms: Some(NOW + 97_003 * 10),
            until_ms: Some(NOW + 97_003 * 20),
            ..Filter::default()
        },
        Filter {
            thumb: some("down"),
            ..Filter::default()
        },
        Filter {
            text: some("QUESTION '44'"),
            ..Filter::default()
        },
        Filter {
            text: some("it's \\q"),
            limit: Some(1_000),
            ..Filter::default()
        },
        Filter {
            user: some("' OR 1=1 --"),
            ..Filter::default()
        },
    ];
    for filter in filters {
        let wanted = pair.reader.list(&filter).unwrap();
        assert_eq!(pair.click.list(&filter).unwrap(), wanted, "{filter:?}");
    }
    assert_eq!(
        pair.click
            .list(&Filter {
                limit: Some(1_000),
                ..Filter::default()
            })
            .unwrap()
            .len(),
        700
    );
}

fn tables(pair: &Pair) {
    let sums = "sum(requests), sum(failures), sum(gone), sum(streams), sum(calls), sum(input_tokens), sum(output_tokens), sum(cost_nano), sum(cost_unknown)";
    for tenant in [None, Some("acme")] {
        let rows = pair.both(
            "SELECT outcome, count(*), sum(input_tokens), sum(cost_nano), max(total_us) FROM requests GROUP BY outcome ORDER BY outcome",
            tenant,
        );
        assert_eq!(rows.len(), 2);
        pair.both(
            "SELECT count(*), sum(us), sum(status) FROM attempts",
            tenant,
        );
        pair.both(
            "SELECT thumb, count(*) FROM feedback GROUP BY thumb ORDER BY thumb",
            tenant,
        );
        pair.both(
            "SELECT rubric, count(*), sum(cost_nano) FROM scores GROUP BY rubric",
            tenant,
        );
        pair.both(
            "SELECT count(*), max(length(output_head)) FROM texts",
            tenant,
        );
        pair.both(&format!("SELECT {sums} FROM tenants"), tenant);
        pair.both(
            &format!(
                "SELECT tenant, user, {sums} FROM users GROUP BY tenant, user ORDER BY tenant, user"
            ),
            tenant,
        );
    }
    for view in ["minutes", "hours"] {
        pair.both(
            &format!("SELECT route, target, {sums} FROM {view} GROUP BY route, target"),
            None,
        );
    }
    for (share, column) in [
        (0.5, "total"),
        (0.95, "total"),
        (0.99, "total"),
        (0.95, "ttft"),
        (0.5, "overhead"),
    ] {
        let wanted = pair.reader.sql(&sql(
            &format!("SELECT quantile({column}_us, {share}) FROM requests"),
            None,
        ));
        let wanted = wanted.unwrap().rows[0][0].as_f64().unwrap();
        let found = pair.ask(&format!(
            "SELECT quantileDDMerge(0.01, {share})({column}) FROM hours"
        ));
        let found = found[0][0].as_f64().unwrap();
        assert!(
            (found / wanted - 1.0).abs() < 0.02,
            "{column} {share}: {found} {wanted}"
        );
    }
}

#[test]
#[ignore = "needs a ClickHouse engine: ./test clickhouse"]
fn a_batch_that_is_sent_again_counts_once() {
    let mut pair = Pair::new("again");
    fill(&mut pair, 150);
    while let Some(batch) = pair.store.next_batch(BOUNDS).unwrap() {
        for _ in 0..3 {
            pair.click
                .send(pair.dir.path(), &pair.codec, &batch)
                .unwrap();
        }
        // A process that dies here finds the same batch, with the same token.
        pair.store = embedded(pair.dir.path(), &pair.codec);
        assert_eq!(
            pair.store.next_batch(BOUNDS).unwrap().as_ref(),
            Some(&batch)
        );
        pair.click
            .send(pair.dir.path(), &pair.codec, &batch)
            .unwrap();
        pair.store.shipped(&batch).unwrap();
    }
    let counts = pair.ask("SELECT (SELECT count() FROM requests), (SELECT count() FROM attempts), (SELECT count() FROM texts), \
        (SELECT count() FROM feedback), (SELECT count() FROM scores), (SELECT sum(requests) FROM minutes), (SELECT sum(requests) FROM users), \
        (SELECT sum(calls) FROM hours)");
    assert_eq!(
        json!(counts),
        json!([[150, 165, 75, 30, 30, 150, 150, 165]])
    );
}

#[test]
#[ignore = "needs a ClickHouse engine: ./test clickhouse"]
fn an_erasure_leaves_nothing() {
    let mut pair = Pair::new("erased");
    let canary = "canary-7f3a";
    let write = |pair: &mut Pair, tenant: &str| {
        let one = record_at(NOW + 5, tenant, canary);
        let id = one.id;
        let text = prompt("s", &format!("I am {canary}"), canary);
        pair.store.write(&[entry(one, Some(text))]).unwrap();
        let feedback = Feedback {
            at_ms: NOW,
            by: canary.into(),
            source: "user",
            thumb: Some(1),
            comment: Some(canary.into()),
            ..Feedback::default()
        };
        pair.store
            .late(id, &Late::Feedback(Box::new(feedback)))
            .unwrap();
        id
    };
    fill(&mut pair, 60);
    let shipped = write(&mut pair, "acme");
    pair.ship();
    // One waits in a fixed batch that may have been sent, one in the outbox.
    write(&mut pair, "acme");
    let fixed = pair.store.next_batch(BOUNDS).unwrap().unwrap();
    write(&mut pair, "acme");
    let subject = Subject {
        tenant: None,
        user: canary.into(),
    };
    assert_eq!(
        pair.click.export(&subject).unwrap(),
        [pair.reader.one(shipped, None).unwrap().unwrap()]
    );
    pair.store.erase(&subject).unwrap();
    assert_eq!(pair.click.erase(&subject).unwrap(), 1);
    assert_eq!(pair.store.next_batch(BOUNDS).unwrap(), Some(fixed));
    pair.ship();
    assert_eq!(pair.store.backlog().unwrap(), 0);
    for table in [
        "requests", "attempts", "texts", "feedback", "scores", "users",
    ] {
        let rows = pair
            .click
            .sql(&sql(&format!("SELECT * FROM {table}"), None))
            .unwrap();
        assert!(!rows.to_json().to_string().contains(canary), "{table}");
        // Nor is it hidden only: the parts were written anew.
        let column = if table == "feedback" { "by" } else { "user" };
        let hidden = http_post(
            &variable("APLOMB_CLICKHOUSE_URL"),
            "erased",
            &format!(
                "SELECT count() FROM {table} WHERE {column} = '{canary}' SETTINGS apply_deleted_mask = 0"
            ),
        );
        assert_eq!(hidden.trim(), "0", "{table}");
    }
    assert_eq!(pair.ask("SELECT count() FROM requests"), [[json!(60)]]);
    assert_eq!(pair.click.erase(&subject).unwrap(), 0);
    assert!(pair.click.export(&subject).unwrap().is_empty());
    let found = files_with(
        Path::new(&variable("APLOMB_CLICKHOUSE_DATA")),
        canary.as_bytes(),
    );
    assert!(
        found.iter().all(|file| !file.contains("mutation")),
        "{found:?}"
    );
    // Another tenant's user of the same name stays.
    write(&mut pair, "zeta");
    pair.ship();
    let acme = Subject {
        tenant: Some("acme".into()),
        user: canary.into(),
    };
    assert_eq!(pair.click.erase(&acme).unwrap(), 0);
    assert_eq!(
        pair.ask(&format!(
            "SELECT count() FROM feedback WHERE by = '{canary}'"
        )),
        [[json!(1)]]
    );
}

/// Files below a folder that hold some bytes, uncompressed.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = file.path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if let Ok(held) = std::fs::read(&path)
            && held.windows(bytes.len()).any(|part| part == bytes)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
#[ignore = "needs a ClickHouse engine: ./test clickhouse"]
fn questions_can_only_read_and_keep_to_their_tenant() {
    let mut pair = Pair::new("guarded");
    fill(&mut pair, 60);
    pair.ship();
    let wrong = |query: &str, tenant| match pair.click.sql(&sql(query, tenant)) {
        Err(AskError::Wrong(text)) => text,
        other => panic!("{query}: {other:?}"),
    };
    for query in [
        "DROP TABLE requests",
        "INSERT INTO requests SELECT * FROM requests",
        "SELECT count() FROM guarded.requests",
        "SELECT count() FROM merge('guarded', '^requests$')",
        "SELECT count() FROM minutes_feed",
        "SELECT name FROM system.tables",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT 1 SETTINGS readonly = 0",
    ] {
        wrong(query, Some("acme"));
    }
    assert!(wrong("SELECT tenantt FROM requests", None).contains("tenantt"));
    for table in [
        "requests", "attempts", "texts", "feedback", "scores", "minutes", "hours", "tenants",
        "users",
    ] {
        for query in [
            format!("SELECT DISTINCT tenant FROM {table}"),
            format!("SELECT DISTINCT x.tenant FROM (SELECT 1) AS one, {table} AS x"),
            format!("WITH y AS (SELECT * FROM {table}) SELECT DISTINCT tenant FROM y"),
        ] {
            let rows = pair.click.sql(&sql(&query, Some("acme"))).unwrap().rows;
            assert_eq!(rows, [[json!("acme")]], "{query}");
        }
    }
    let mut old = sql("SELECT count() FROM requests", None);
    old.days = 0..=NOW / DAY_MS - 2;
    assert_eq!(pair.click.sql(&old).unwrap().rows, [[json!(0)]]);
    let mut few = sql("SELECT id FROM requests", None);
    few.limits.rows = 10;
    let table = pair.click.sql(&few).unwrap();
    assert_eq!((table.rows.len(), table.truncated), (10, true));
}

#[test]
#[ignore = "needs a ClickHouse engine: ./test clickhouse"]
fn older_tables_are_upgraded_and_times_follow_the_configuration() {
    let old = Settings {
        texts: false,
        ..settings("older")
    };
    let raw = |database: &str, sql: &str| http_post(&old.url, database, sql);
    raw("", "CREATE DATABASE older");
    raw(
        "older",
        "CREATE TABLE schema_versions (version UInt32, keep String, at DateTime64(6, 'UTC') DEFAULT now64(6)) ENGINE = MergeTree ORDER BY version",
    );
    let keep = Keep {
        facts_days: 10,
        text_days: 10,
    };
    for statement in ddl::tables(1, keep) {
        raw("older", &statement);
    }
    raw(
        "older",
        "INSERT INTO schema_versions (version, keep) VALUES (1, '10/10')",
    );
    raw(
        "older",
        "INSERT INTO requests (id, at, tenant, outcome) VALUES (generateUUIDv4(), now64(6), 'acme', 'done')",
    );
    let mut pair = Pair::new("older");
    fill(&mut pair, 5);
    pair.ship();
    let nodes = raw(
        "older",
        "SELECT node, count() FROM requests GROUP BY node ORDER BY node",
    );
    assert_eq!(nodes, "node-1\t5\n\\N\t1\n");
    let now = raw("older", "SELECT max(version) FROM schema_versions");
    assert_eq!(now.trim(), VERSION.to_string());
    let made = raw(
        "older",
        "SELECT create_table_query FROM system.tables WHERE database = 'older' AND name = 'requests'",
    );
    assert!(made.contains("toIntervalDay(4000)"), "{made}");
    // Nothing changes when nothing has to.
    pair.click.migrate().unwrap();
    assert_eq!(
        raw("older", "SELECT count() FROM schema_versions").trim(),
        "2"
    );
}

/// Sends a statement to ClickHouse, past the store.
fn http_post(url: &str, database: &str, sql: &str) -> String {
    use std::io::{Read, Write};
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let place = if database.is_empty() {
        String::new()
    } else {
        format!("?database={database}")
    };
    write!(
        stream,
        "POST /{place} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{sql}",
        sql.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{sql}: {body}");
    body.to_owned()
}
