//! Sums that dashboards read, kept in the transaction of the facts they sum up.

use crate::histogram::Histogram;
use crate::record::{Outcome, Record};
use crate::schema::micros;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::collections::HashMap;

/// Sums of some exchanges.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    requests: i64,
    failures: i64,
    gone: i64,
    streams: i64,
    calls: i64,
    input_tokens: i64,
    output_tokens: i64,
    cost_nano: i64,
    cost_unknown: i64,
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Sums {
    fn add(&mut self, record: &Record) {
        let one = |set: bool| i64::from(set);
        self.requests += 1;
        self.failures += one(record.is_failure());
        self.gone += one(record.outcome == Outcome::ClientGone);
        self.streams += one(record.stream);
        self.calls += signed(u64::try_from(record.attempts.len()).unwrap_or(0));
        self.input_tokens = self
            .input_tokens
            .saturating_add(signed(record.usage.input_total()));
        self.output_tokens = self
            .output_tokens
            .saturating_add(signed(record.usage.output));
        self.cost_nano = self.cost_nano.saturating_add(record.cost_nano.unwrap_or(0));
        self.cost_unknown += one(record.target.is_some() && record.cost_nano.is_none());
    }

    fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Sums> {
        Ok(Sums {
            requests: row.get(from)?,
            failures: row.get(from + 1)?,
            gone: row.get(from + 2)?,
            streams: row.get(from + 3)?,
            calls: row.get(from + 4)?,
            input_tokens: row.get(from + 5)?,
            output_tokens: row.get(from + 6)?,
            cost_nano: row.get(from + 7)?,
            cost_unknown: row.get(from + 8)?,
        })
    }
}

const COLUMNS: &str = "requests, failures, gone, streams, calls, input_tokens, output_tokens, cost_nano, cost_unknown";

#[derive(Debug, Clone, Default)]
struct Timed {
    sums: Sums,
    ttft: Histogram,
    total: Histogram,
    overhead: Histogram,
    dirty: bool,
}

fn us(ms: f64) -> u64 {
    u64::try_from(micros(ms)).unwrap_or(0)
}

impl Timed {
    fn add(&mut self, record: &Record) {
        self.sums.add(record);
        self.total.add(us(record.total_ms));
        if let Some(ms) = record.ttft_ms {
            self.ttft.add(us(ms));
        }
        if let Some(ms) = record.overhead_ms {
            self.overhead.add(us(ms));
        }
        self.dirty = true;
    }
}

/// Length of the spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Span {
    Minute,
    Hour,
}

impl Span {
    fn table(self) -> &'static str {
        match self {
            Span::Minute => "minutes",
            Span::Hour => "hours",
        }
    }
}

/// Length and beginning of a span (in seconds), route, target.
type TimedKey = (Span, i64, i64, i64);

/// Rows with histograms that are held ready. Beyond this many they are read again when needed.
const HELD_MAX: usize = 2048;

/// The rollups of one day while it is written.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    timed: HashMap<TimedKey, Timed>,
    tenants: HashMap<(i64, i64), Sums>,
    users: HashMap<(i64, i64), Sums>,
}

/// Names of an exchange by their numbers; 0 where there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) route: i64,
    pub(super) target: i64,
    pub(super) tenant: i64,
    pub(super) user: i64,
}

impl Rollups {
    /// Adds one exchange. Nothing is written yet.
    pub(super) fn add(
        &mut self,
        tx: &Transaction<'_>,
        record: &Record,
        names: Names,
    ) -> rusqlite::Result<()> {
        let seconds = signed(record.at_ms / 1000);
        let hour = seconds - seconds % 3600;
        for (span, t) in [(Span::Minute, seconds - seconds % 60), (Span::Hour, hour)] {
            let key = (span, t, names.route, names.target);
            let timed = match self.timed.entry(key) {
                std::collections::hash_map::Entry::Occupied(held) => held.into_mut(),
                std::collections::hash_map::Entry::Vacant(place) => place.insert(load(tx, key)?),
            };
            timed.add(record);
        }
        self.tenants
            .entry((hour, names.tenant))
            .or_default()
            .add(record);
        if names.user != 0 {
            self.users
                .entry((names.tenant, names.user))
                .or_default()
                .add(record);
        }
        Ok(())
    }

    /// Writes what has changed.
    pub(super) fn store(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        for ((span, t, route, target), timed) in
            self.timed.iter_mut().filter(|(_, timed)| timed.dirty)
        {
            let sql = format!(
                "INSERT OR REPLACE INTO {} VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)",
                span.table()
            );
            let s = &timed.sums;
            tx.prepare_cached(&sql)?.execute(params![
                t,
                route,
                target,
                s.requests,
                s.failures,
                s.gone,
                s.streams,
                s.calls,
                s.input_tokens,
                s.output_tokens,
                s.cost_nano,
                s.cost_unknown,
                timed.ttft.encode(),
                timed.total.encode(),
                timed.overhead.encode()
            ])?;
            timed.dirty = false;
        }
        upsert(tx, "tenant_hours", "t, tenant", &mut self.tenants)?;
        upsert(tx, "users", "tenant, user", &mut self.users)
    }

    /// To be called when the transaction is in the file.
    pub(super) fn committed(&mut self) {
        if self.timed.len() > HELD_MAX {
            self.timed.clear();
        }
    }

    /// Forgets everything: what was added is not in the file.
    pub(super) fn forget(&mut self) {
        *self = Rollups::default();
    }
}

fn load(tx: &Transaction<'_>, (span, t, route, target): TimedKey) -> rusqlite::Result<Timed> {
    let sql = format!(
        "SELECT {COLUMNS}, ttft, total, overhead FROM {} WHERE t = ?1 AND route = ?2 AND target = ?3",
        span.table()
    );
    let read = |row: &Row<'_>| {
        let histogram = |at: usize| -> rusqlite::Result<Histogram> {
            Ok(Histogram::decode(row.get_ref(at)?.as_blob()?).unwrap_or_default())
        };
        Ok(Timed {
            sums: Sums::read(row, 0)?,
            ttft: histogram(9)?,
            total: histogram(10)?,
            overhead: histogram(11)?,
            dirty: false,
        })
    };
    let found = tx
        .prepare_cached(&sql)?
        .query_row(params![t, route, target], read);
    Ok(found.optional()?.unwrap_or_default())
}

fn upsert(
    tx: &Transaction<'_>,
    table: &str,
    keys: &str,
    sums: &mut HashMap<(i64, i64), Sums>,
) -> rusqlite::Result<()> {
    let set: Vec<String> = COLUMNS
        .split(", ")
        .map(|column| format!("{column} = {column} + excluded.{column}"))
        .collect();
    let sql = format!(
        "INSERT INTO {table} ({keys}, {COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11) ON CONFLICT DO UPDATE SET {}",
        set.join(", ")
    );
    let mut statement = tx.prepare_cached(&sql)?;
    for ((first, second), s) in sums.drain() {
        statement.execute(params![
            first,
            second,
            s.requests,
            s.failures,
            s.gone,
            s.streams,
            s.calls,
            s.input_tokens,
            s.output_tokens,
            s.cost_nano,
            s.cost_unknown
        ])?;
    }
    Ok(())
}
