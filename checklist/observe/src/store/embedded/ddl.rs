//! Tables and views of a day's files, made from the columns in `schema.rs`.

use crate::schema::{Column, FACTS, Kind, VERSION};
use std::fmt::Write;

/// Version of the file of texts.
pub(super) const TEXT_VERSION: u32 = 1;

fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Id => "BLOB",
        Kind::Time | Kind::Name | Kind::Count | Kind::Micros | Kind::Nano | Kind::Flag => "INTEGER",
        Kind::Real => "REAL",
        Kind::Text | Kind::Json => "TEXT",
    }
}

fn columns(version: u32) -> impl Iterator<Item = &'static Column> {
    FACTS.iter().filter(move |column| column.since <= version)
}

/// An id as text, by means that every SQLite has.
pub(super) fn id_text(column: &str) -> String {
    let part = |from: u32, len: u32| format!("substr(hex({column}),{from},{len})");
    format!(
        "lower({}||'-'||{}||'-'||{}||'-'||{}||'-'||{})",
        part(1, 8),
        part(9, 4),
        part(13, 4),
        part(17, 4),
        part(21, 12)
    )
}

fn facts(version: u32) -> String {
    let mut sql = String::from("CREATE TABLE facts (id BLOB PRIMARY KEY");
    for column in columns(version).skip(1) {
        let null = if column.required { " NOT NULL" } else { "" };
        let _ = write!(sql, ", {} {}{null}", column.name, sql_type(column.kind));
    }
    sql.push_str(") WITHOUT ROWID, STRICT;\n");
    sql
}

/// How a column reads outside: names and ids as text. `at` is the alias of its schema with a dot, or empty.
pub(super) fn outside(column: &Column, at: &str) -> String {
    match column.kind {
        Kind::Id => id_text(&format!("f.{}", column.name)),
        Kind::Name => format!("(SELECT text FROM {at}names WHERE id = f.{})", column.name),
        _ => format!("f.{}", column.name),
    }
}

/// The select of the view `requests` over the facts of one file of some version.
pub(super) fn requests(at: &str, version: u32) -> String {
    let list: Vec<String> = FACTS
        .iter()
        .map(|column| {
            let value = if column.since <= version {
                outside(column, at)
            } else {
                "NULL".to_owned()
            };
            format!("{value} AS {}", column.name)
        })
        .collect();
    format!("SELECT {} FROM {at}facts AS f", list.join(", "))
}

/// The select of the view `attempts`: rows of their own, and the sole call of every other exchange that was answered. `only`: a
/// condition on `f.id`.
pub(super) fn attempts(at: &str, only: &str) -> String {
    let name = |column: &str| format!("(SELECT text FROM {at}names WHERE id = f.{column})");
    format!(
        "SELECT {id} AS id, f.n AS n, {target} AS target, {fault} AS fault, f.status AS status, f.us AS us FROM {at}attempts AS f \
         WHERE {only} UNION ALL SELECT {id}, 1, {target}, NULL, NULL, f.upstream_ttft_us FROM {at}facts AS f \
         WHERE f.attempt_count = 1 AND f.target IS NOT NULL AND {only} \
         AND NOT EXISTS (SELECT 1 FROM {at}attempts AS a WHERE a.id = f.id)",
        id = id_text("f.id"),
        target = name("target"),
        fault = name("fault"),
    )
}

const ROLLUP: &str = "requests INTEGER NOT NULL, failures INTEGER NOT NULL, gone INTEGER NOT NULL, streams INTEGER NOT NULL, \
     calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_nano INTEGER NOT NULL, \
     cost_unknown INTEGER NOT NULL";

/// The select of the views `minutes` and `hours`.
pub(super) fn rollups(at: &str, table: &str) -> String {
    format!(
        "SELECT f.t AS t, (SELECT text FROM {at}names WHERE id = f.route) AS route, \
         (SELECT text FROM {at}names WHERE id = f.target) AS target, f.requests, f.failures, f.gone, f.streams, f.calls, \
         f.input_tokens, f.output_tokens, f.cost_nano, f.cost_unknown, f.ttft, f.total, f.overhead FROM {at}{table} AS f"
    )
}

/// The select of the view `tenants`: sums by hour and tenant.
pub(super) fn tenants(at: &str) -> String {
    format!(
        "SELECT f.t AS t, (SELECT text FROM {at}names WHERE id = f.tenant) AS tenant, f.requests, f.failures, f.gone, f.streams, \
         f.calls, f.input_tokens, f.output_tokens, f.cost_nano, f.cost_unknown FROM {at}tenant_hours AS f"
    )
}

/// The select of the view `users`: sums by day, tenant and user.
pub(super) fn users(at: &str, day_seconds: u64) -> String {
    format!(
        "SELECT {day_seconds} AS t, (SELECT text FROM {at}names WHERE id = f.tenant) AS tenant, \
         (SELECT text FROM {at}names WHERE id = f.user) AS user, f.requests, f.failures, f.gone, f.streams, f.calls, \
         f.input_tokens, f.output_tokens, f.cost_nano, f.cost_unknown FROM {at}users AS f"
    )
}

/// The select of the view `feedback`.
pub(super) fn feedback(at: &str) -> String {
    format!(
        "SELECT {id} AS id, f.at AS at, f.by AS by, f.source AS source, f.thumb AS thumb, f.score AS score, f.label AS label, \
         f.comment AS comment, f.correction AS correction, f.event AS event FROM {at}feedback AS f",
        id = id_text("f.id")
    )
}

/// The select of the view `scores`.
pub(super) fn scores(at: &str) -> String {
    format!(
        "SELECT {id} AS id, f.at AS at, f.eval AS eval, f.rubric AS rubric, f.score AS score, f.reason AS reason, \
         f.judge AS judge, f.cost_nano AS cost_nano FROM {at}scores AS f",
        id = id_text("f.id")
    )
}

/// Everything that a new file of facts needs.
pub(super) fn create_facts(version: u32) -> String {
    let mut sql = facts(version);
    let _ = write!(
        sql,
        "CREATE INDEX facts_user ON facts (user, id) WHERE user IS NOT NULL;
CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE attempts (id BLOB NOT NULL, n INTEGER NOT NULL, target INTEGER NOT NULL, fault INTEGER, status INTEGER,
  us INTEGER NOT NULL, PRIMARY KEY (id, n)) WITHOUT ROWID, STRICT;
CREATE TABLE started (id BLOB PRIMARY KEY, tenant TEXT NOT NULL, user TEXT, key TEXT NOT NULL, route TEXT, model TEXT NOT NULL,
  operation TEXT NOT NULL, stream INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE minutes (t INTEGER NOT NULL, route INTEGER NOT NULL, target INTEGER NOT NULL, {ROLLUP}, ttft BLOB NOT NULL,
  total BLOB NOT NULL, overhead BLOB NOT NULL, PRIMARY KEY (t, route, target)) WITHOUT ROWID, STRICT;
CREATE TABLE hours (t INTEGER NOT NULL, route INTEGER NOT NULL, target INTEGER NOT NULL, {ROLLUP}, ttft BLOB NOT NULL,
  total BLOB NOT NULL, overhead BLOB NOT NULL, PRIMARY KEY (t, route, target)) WITHOUT ROWID, STRICT;
CREATE TABLE tenant_hours (t INTEGER NOT NULL, tenant INTEGER NOT NULL, {ROLLUP}, PRIMARY KEY (t, tenant)) WITHOUT ROWID, STRICT;
CREATE TABLE users (tenant INTEGER NOT NULL, user INTEGER NOT NULL, {ROLLUP}, PRIMARY KEY (user, tenant)) WITHOUT ROWID, STRICT;
{LATE}
CREATE VIEW requests AS {requests};
CREATE VIEW upstream_calls AS {attempts};
",
        requests = requests("", version),
        attempts = attempts("", "1"),
    );
    sql
}

const LATE: &str = "CREATE TABLE feedback (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL, source TEXT NOT NULL, thumb INTEGER,
  score REAL, label TEXT, comment TEXT, correction TEXT, event TEXT) STRICT;
CREATE INDEX feedback_id ON feedback (id, by);
CREATE TABLE scores (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, at INTEGER NOT NULL, eval TEXT NOT NULL, rubric TEXT NOT NULL, score REAL,
  reason TEXT, judge TEXT NOT NULL, cost_nano INTEGER) STRICT;
CREATE INDEX scores_id ON scores (id);
CREATE TABLE outbox (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, rows INTEGER NOT NULL, ids BLOB NOT NULL) STRICT;";

/// Takes an older file of facts to the newest version: columns are added, views are made anew.
pub(super) fn upgrade_facts(from: u32) -> String {
    let mut sql = String::new();
    for column in FACTS.iter().filter(|column| column.since > from) {
        let _ = writeln!(
            sql,
            "ALTER TABLE facts ADD COLUMN {} {};",
            column.name,
            sql_type(column.kind)
        );
    }
    let _ = write!(
        sql,
        "DROP VIEW requests; CREATE VIEW requests AS {};",
        requests("", VERSION)
    );
    sql
}

/// Everything that a new file of texts needs.
pub(super) const CREATE_TEXTS: &str = "
CREATE TABLE texts (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, system BLOB, body BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX texts_id ON texts (id);
CREATE TABLE heads (id BLOB PRIMARY KEY, prompt ANY NOT NULL, output ANY NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE systems (hash BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT;
";

/// The insert of a fact: `?1` is the first column.
pub(super) fn insert_facts() -> String {
    let names: Vec<&str> = FACTS.iter().map(|column| column.name).collect();
    let places: Vec<String> = (1..=FACTS.len()).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT OR IGNORE INTO facts ({}) VALUES ({})",
        names.join(","),
        places.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn an_upgraded_file_has_the_tables_of_a_new_one() {
        let shape = |connection: &Connection| {
            let mut statement = connection
                .prepare("SELECT m.name, p.name, p.type FROM sqlite_master m, pragma_table_info(m.name) p ORDER BY 1, 2")
                .unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            rows.unwrap()
                .collect::<Result<Vec<(String, String, String)>, _>>()
                .unwrap()
        };
        let fresh = Connection::open_in_memory().unwrap();
        fresh.execute_batch(&create_facts(VERSION)).unwrap();
        for from in 1..VERSION {
            let old = Connection::open_in_memory().unwrap();
            old.execute_batch(&create_facts(from)).unwrap();
            old.execute_batch(&upgrade_facts(from)).unwrap();
            assert_eq!(shape(&old), shape(&fresh), "from {from}");
        }
        assert!(shape(&fresh).len() > 100);
    }
}
