//! Tables of ClickHouse, made from the columns in `schema.rs`.
//!
//! Every table has `tenant`, so that a question can be held to one; every one with something of a person has `user`, so that
//! it can be erased. Sums are kept by materialized views, which take part in the deduplication of a batch that is sent again.

use super::Keep;
use crate::record::Outcome;
use crate::schema::{ATTEMPT_COLUMNS, Column, FACTS, Kind, VERSION};

/// Tables and views that may be asked.
pub const PUBLIC: [&str; 9] = [
    "requests", "attempts", "feedback", "scores", "texts", "minutes", "hours", "tenants", "users",
];
/// Tables with rows of tenants, and the column that says when.
pub(super) const STORED: [(&str, &str); 7] = [
    ("requests", "at"),
    ("attempts", "request_at"),
    ("texts", "request_at"),
    ("feedback", "request_at"),
    ("scores", "request_at"),
    ("minutes", "t"),
    ("users", "t"),
];

/// Names with so many values that a dictionary of them costs more than it saves.
const MANY: [&str; 1] = ["user"];
/// Inserts that ClickHouse remembers: a batch is known again within so many.
const REMEMBERED: u32 = 100_000;
/// From so many days on a part holds a month instead of a day.
const MONTHLY_DAYS: u64 = 90;

/// The table of schema versions and of how long rows stay.
pub(super) const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_versions (version UInt32, keep String, \
     at DateTime64(6, 'UTC') DEFAULT now64(6)) ENGINE = MergeTree ORDER BY version";

fn number(kind: Kind, required: bool) -> String {
    let inner = match kind {
        Kind::Real => "Float64",
        Kind::Flag => "UInt8",
        _ => "Int64",
    };
    if required {
        inner.to_owned()
    } else {
        format!("Nullable({inner})")
    }
}

/// Type and codec of a column.
fn sql_type(name: &str, kind: Kind, required: bool) -> String {
    let text = if required {
        "String"
    } else {
        "Nullable(String)"
    };
    match kind {
        Kind::Id => "UUID CODEC(ZSTD(1))".to_owned(),
        Kind::Time => "DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))".to_owned(),
        Kind::Name if MANY.contains(&name) => format!("{text} CODEC(ZSTD(1))"),
        Kind::Name => format!("LowCardinality({text})"),
        Kind::Text | Kind::Json => format!("{text} CODEC(ZSTD(3))"),
        Kind::Count | Kind::Micros | Kind::Nano => {
            format!("{} CODEC(T64, ZSTD(1))", number(kind, required))
        }
        Kind::Real | Kind::Flag => format!("{} CODEC(ZSTD(1))", number(kind, required)),
    }
}

fn column(name: &str, kind: Kind, required: bool) -> String {
    format!("`{name}` {}", sql_type(name, kind, required))
}

fn fact(fact: &Column) -> String {
    column(fact.name, fact.kind, fact.required)
}

/// One stored table.
struct Table {
    name: &'static str,
    columns: Vec<String>,
    /// Its time.
    at: &'static str,
    key: &'static str,
    indices: &'static [(&'static str, &'static str)],
    days: u64,
}

fn ttl(at: &str, days: u64) -> String {
    format!("TTL toDateTime({at}) + INTERVAL {days} DAY DELETE")
}

impl Table {
    fn create(&self) -> String {
        let mut columns = self.columns.clone();
        columns.extend(self.indices.iter().map(|(name, rate)| {
            format!("INDEX {name}_bloom `{name}` TYPE bloom_filter({rate}) GRANULARITY 1")
        }));
        self.made("MergeTree", &columns)
    }

    fn made(&self, engine: &str, columns: &[String]) -> String {
        let span = if self.days > MONTHLY_DAYS {
            "toYYYYMM"
        } else {
            "toDate"
        };
        // Old parts go soon, so that what was erased does not stay on the disk; rewriting large texts must not need much memory.
        format!(
            "CREATE TABLE IF NOT EXISTS {} ({}) ENGINE = {engine} PARTITION BY {span}({at}) ORDER BY ({}) {} \
             SETTINGS ttl_only_drop_parts = 1, allow_nullable_key = 1, non_replicated_deduplication_window = {REMEMBERED}, \
             old_parts_lifetime = 60, finished_mutations_to_keep = 0, merge_max_block_size_bytes = 67108864",
            self.name,
            columns.join(", "),
            self.key,
            ttl(self.at, self.days),
            at = self.at,
        )
    }
}

/// Columns that tie a row to its exchange.
fn ties() -> Vec<String> {
    vec![
        column("id", Kind::Id, true),
        column("request_at", Kind::Time, true),
        column("tenant", Kind::Name, true),
        column("user", Kind::Name, false),
    ]
}

fn hanging(columns: &[(&str, Kind, bool)]) -> Vec<String> {
    let mut all = ties();
    all.extend(
        columns
            .iter()
            .map(|(name, kind, required)| column(name, *kind, *required)),
    );
    all
}

const BY_TIME: &str = "tenant, toStartOfMinute(request_at), id";
const BLOOMS: [(&str, &str); 2] = [("id", "0.001"), ("user", "0.01")];

fn stored(version: u32, keep: Keep) -> Vec<Table> {
    let hung = |name, columns: &[(&str, Kind, bool)], days| Table {
        name,
        columns: hanging(columns),
        at: "request_at",
        key: BY_TIME,
        indices: &BLOOMS,
        days,
    };
    let mut attempts = vec![("n", Kind::Count, true)];
    attempts.extend(
        ATTEMPT_COLUMNS
            .iter()
            .map(|(name, kind)| (*name, *kind, false)),
    );
    vec![
        Table {
            name: "requests",
            columns: FACTS
                .iter()
                .filter(|column| column.since <= version)
                .map(fact)
                .collect(),
            at: "at",
            key: "tenant, toStartOfMinute(at), id",
            indices: &[
                ("id", "0.001"),
                ("user", "0.01"),
                ("session", "0.01"),
                ("trace_id", "0.01"),
            ],
            days: keep.facts_days,
        },
        hung("attempts", &attempts, keep.facts_days),
        hung("texts", &TEXTS, keep.text_days.min(keep.facts_days)),
        hung("feedback", &FEEDBACK, keep.facts_days),
        hung("scores", &SCORES, keep.facts_days),
    ]
}

/// Columns of texts.
pub(super) const TEXTS: [(&str, Kind, bool); 7] = [
    ("prompt_head", Kind::Text, false),
    ("output_head", Kind::Text, false),
    ("system", Kind::Text, false),
    ("messages", Kind::Text, false),
    ("tools", Kind::Text, false),
    ("output", Kind::Text, false),
    ("output_more", Kind::Text, false),
];
/// Columns of feedback.
pub(super) const FEEDBACK: [(&str, Kind, bool); 10] = [
    ("seq", Kind::Count, true),
    ("at", Kind::Time, true),
    ("by", Kind::Text, true),
    ("source", Kind::Name, true),
    ("thumb", Kind::Count, false),
    ("score", Kind::Real, false),
    ("label", Kind::Name, false),
    ("comment", Kind::Text, false),
    ("correction", Kind::Text, false),
    ("event", Kind::Name, false),
];
/// Columns of scores.
pub(super) const SCORES: [(&str, Kind, bool); 8] = [
    ("seq", Kind::Count, true),
    ("at", Kind::Time, true),
    ("eval", Kind::Name, true),
    ("rubric", Kind::Name, true),
    ("score", Kind::Real, false),
    ("reason", Kind::Text, false),
    ("judge", Kind::Name, true),
    ("cost_nano", Kind::Nano, false),
];

/// Sums of exchanges: name, and how it is made from the facts.
fn sums() -> [(&'static str, String); 9] {
    let failures: Vec<String> = Outcome::ALL
        .iter()
        .filter(|outcome| outcome.is_failure())
        .map(|outcome| format!("'{}'", outcome.name()))
        .collect();
    [
        ("requests", "count()".to_owned()),
        (
            "failures",
            format!("countIf(outcome IN ({}))", failures.join(", ")),
        ),
        (
            "gone",
            format!("countIf(outcome = '{}')", Outcome::ClientGone.name()),
        ),
        ("streams", "sum(stream)".to_owned()),
        ("calls", "sum(attempt_count)".to_owned()),
        ("input_tokens", "sum(input_tokens)".to_owned()),
        ("output_tokens", "sum(output_tokens)".to_owned()),
        ("cost_nano", "sum(ifNull(cost_nano, 0))".to_owned()),
        (
            "cost_unknown",
            "countIf(target IS NOT NULL AND cost_nano IS NULL)".to_owned(),
        ),
    ]
}

/// Sketches of times: name, and the column that they are of.
const TIMES: [(&str, &str); 3] = [
    ("ttft", "ttft_us"),
    ("total", "total_us"),
    ("overhead", "overhead_us"),
];
/// A sketch that is wrong by 1 % of the value at most (C. Masson and others, "DDSketch", 2019).
const SKETCH: &str = "quantileDD(0.01)";

fn rollup(
    name: &'static str,
    keys: &[String],
    key: &'static str,
    times: bool,
    days: u64,
) -> String {
    let mut columns = keys.to_vec();
    columns.extend(
        sums()
            .iter()
            .map(|(name, _)| format!("`{name}` SimpleAggregateFunction(sum, Int64)")),
    );
    if times {
        columns.extend(
            TIMES
                .iter()
                .map(|(name, _)| format!("`{name}` AggregateFunction({SKETCH}, Int64)")),
        );
    }
    let table = Table {
        name,
        columns: Vec::new(),
        at: "t",
        key,
        indices: &[],
        days,
    };
    table.made("AggregatingMergeTree", &columns)
}

/// The view that fills a rollup.
fn feed(name: &str, keys: &str, group: &str, times: bool, only: &str) -> String {
    let mut select = vec![keys.to_owned()];
    // The sums have the names of the columns that they are made of, so those are named with their table.
    select.extend(sums().iter().map(|(name, sum)| {
        let sum = sum.replace("(input_tokens", "(r.input_tokens");
        let sum = sum.replace("(output_tokens", "(r.output_tokens");
        let sum = sum
            .replace("(cost_nano", "(r.cost_nano")
            .replace("AND cost_nano", "AND r.cost_nano");
        format!("toInt64({sum}) AS `{name}`")
    }));
    if times {
        select.extend(TIMES.iter().map(|(name, column)| {
            format!(
                "quantileDDStateIf(0.01)(ifNull(r.{column}, 0), isNotNull(r.{column})) AS `{name}`"
            )
        }));
    }
    format!(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS {name}_feed TO {name} AS SELECT {} FROM requests AS r{only} GROUP BY {group}",
        select.join(", ")
    )
}

/// A view that sums a rollup up further.
fn coarser(name: &str, keys: &str, group: &str, times: bool) -> String {
    let mut select = vec![keys.to_owned()];
    select.extend(
        sums()
            .iter()
            .map(|(name, _)| format!("sum(m.`{name}`) AS `{name}`")),
    );
    if times {
        select.extend(
            TIMES
                .iter()
                .map(|(name, _)| format!("quantileDDMergeState(0.01)(m.{name}) AS `{name}`")),
        );
    }
    format!(
        "CREATE VIEW IF NOT EXISTS {name} AS SELECT {} FROM minutes AS m GROUP BY {group}",
        select.join(", ")
    )
}

/// Everything that a database needs, of a schema of some version.
pub fn tables(version: u32, keep: Keep) -> Vec<String> {
    let time = "`t` DateTime('UTC') CODEC(Delta, ZSTD(1))".to_owned();
    let name = |name: &str, required| column(name, Kind::Name, required);
    let mut all: Vec<String> = stored(version, keep).iter().map(Table::create).collect();
    all.push(rollup(
        "minutes",
        &[
            time.clone(),
            name("tenant", true),
            name("route", false),
            name("target", false),
        ],
        "tenant, t, route, target",
        true,
        keep.facts_days,
    ));
    all.push(rollup(
        "users",
        &[time, name("tenant", true), name("user", true)],
        "tenant, t, user",
        false,
        keep.facts_days,
    ));
    all.push(feed(
        "minutes",
        "toStartOfMinute(toDateTime(r.at, 'UTC')) AS t, r.tenant AS tenant, r.route AS route, r.target AS target",
        "t, tenant, route, target",
        true,
        "",
    ));
    all.push(feed(
        "users",
        "toStartOfDay(toDateTime(r.at, 'UTC')) AS t, r.tenant AS tenant, assumeNotNull(r.user) AS user",
        "t, tenant, user",
        false,
        " WHERE r.user IS NOT NULL",
    ));
    all.push(coarser(
        "hours",
        "toStartOfHour(m.t) AS t, m.tenant AS tenant, m.route AS route, m.target AS target",
        "t, tenant, route, target",
        true,
    ));
    all.push(coarser(
        "tenants",
        "toStartOfHour(m.t) AS t, m.tenant AS tenant",
        "t, tenant",
        false,
    ));
    all
}

/// Takes tables of an older version to the newest: columns are added.
pub(super) fn upgrade(from: u32) -> Vec<String> {
    FACTS
        .iter()
        .filter(|column| from != 0 && column.since > from && column.since <= VERSION)
        .map(|column| {
            format!(
                "ALTER TABLE requests ADD COLUMN IF NOT EXISTS {}",
                fact(column)
            )
        })
        .collect()
}

/// Sets how long rows stay. What is too old goes with the next merges.
pub(super) fn retention(keep: Keep) -> Vec<String> {
    STORED
        .iter()
        .map(|(table, at)| {
            let days = if *table == "texts" {
                keep.text_days.min(keep.facts_days)
            } else {
                keep.facts_days
            };
            format!("ALTER TABLE {table} MODIFY {}", ttl(at, days))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep {
        facts_days: 400,
        text_days: 30,
    };

    #[test]
    fn tables_follow_the_columns() {
        let all = tables(VERSION, KEEP);
        let requests = all
            .iter()
            .find(|sql| sql.contains("EXISTS requests "))
            .unwrap();
        for wanted in [
            "`id` UUID CODEC(ZSTD(1))",
            "`at` DateTime64(6, 'UTC')",
            "`tenant` LowCardinality(String)",
            "`route` LowCardinality(Nullable(String))",
            "`user` Nullable(String)",
            "`cost_nano` Nullable(Int64)",
            "`stream` UInt8",
            "PARTITION BY toYYYYMM(at)",
            "TTL toDateTime(at) + INTERVAL 400 DAY",
        ] {
            assert!(requests.contains(wanted), "{wanted}: {requests}");
        }
        assert!(
            all.iter()
                .any(|sql| sql.contains("PARTITION BY toDate(request_at)"))
        );
        let old = tables(1, KEEP);
        assert!(!old[0].contains("policy_version"));
        let added = upgrade(1);
        assert!(added.iter().any(|sql| sql.contains("policy_version")));
        assert!(upgrade(0).is_empty() && upgrade(VERSION).is_empty());
    }
}
