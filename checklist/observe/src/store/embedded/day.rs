//! A day's file of facts, open for writing.

use super::connect::{named, open};
use super::outbox::{self, What};
use super::rollup::{Names, Rollups};
use super::{Entry, Feedback, Late, Score, StoreError, ddl};
use crate::record::{Outcome, Record};
use crate::schema::{Cell, FACTS, Kind, Source, VERSION, needs_attempt_rows};
use aplomb_core::id::RequestId;
use aplomb_core::request::Operation;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{
    Connection, OptionalExtension, Row, ToSql, Transaction, TransactionBehavior, params,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Names whose numbers are held ready. Beyond this many they are looked up again.
const NAMES_MAX: usize = 50_000;

/// An exchange that has begun, for routes whose records must outlive a crash.
#[derive(Debug, Clone)]
pub struct Started {
    /// Record id.
    pub id: RequestId,
    /// Tenant.
    pub tenant: String,
    /// End user.
    pub user: Option<String>,
    /// Public id of the key.
    pub key: String,
    /// Route.
    pub route: Option<String>,
    /// Model as asked for.
    pub model: String,
    /// What is asked for.
    pub operation: Operation,
    /// The client asked for a stream.
    pub stream: bool,
}

impl Started {
    /// From the record of an exchange that begins.
    pub fn of(record: &Record, operation: Operation) -> Self {
        Started {
            id: record.id,
            tenant: record.tenant.to_string(),
            user: record.user.clone(),
            key: record.key_id.to_string(),
            route: record.route.as_deref().map(str::to_owned),
            model: record.model.clone(),
            operation,
            stream: record.stream,
        }
    }
}

/// A day's facts.
pub(super) struct DayFile {
    path: PathBuf,
    connection: Connection,
    names: HashMap<String, i64>,
    rollups: Rollups,
    /// Commits leave their keys in the outbox.
    ships: bool,
}

/// A cell as SQLite takes it: names are numbers already.
struct Bound<'a>(Cell<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match &self.0 {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Int(n) => ToSqlOutput::Owned(Value::Integer(*n)),
            Cell::Real(n) => ToSqlOutput::Owned(Value::Real(*n)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Cell::Id(id) => ToSqlOutput::Borrowed(ValueRef::Blob(id)),
        })
    }
}

impl DayFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, ships: bool) -> Result<Self, StoreError> {
        let upgrade =
            |connection: &Connection, from| connection.execute_batch(&ddl::upgrade_facts(from));
        let connection = open(path, VERSION, &ddl::create_facts(VERSION), upgrade)?;
        Ok(DayFile {
            path: path.to_owned(),
            connection,
            names: HashMap::new(),
            rollups: Rollups::default(),
            ships,
        })
    }

    /// Runs work in one transaction. What it has put into names and rollups is forgotten if it fails.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(
            &Transaction<'_>,
            &mut HashMap<String, i64>,
            &mut Rollups,
        ) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let (names, rollups) = (&mut self.names, &mut self.rollups);
        let run = |connection: &mut Connection, names: &mut _, rollups: &mut _| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let out = work(&tx, names, rollups)?;
            tx.commit()?;
            Ok(out)
        };
        let done = run(&mut self.connection, names, rollups);
        match &done {
            Ok(_) if names.len() > NAMES_MAX => names.clear(),
            Ok(_) => {}
            Err(_) => {
                names.clear();
                rollups.forget();
            }
        }
        rollups.committed();
        done.map_err(named(&self.path))
    }

    /// Runs work in one transaction that touches neither names nor rollups.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.transaction(|tx, _, _| work(tx))
    }

    /// Writes entries, their calls, their rollups and, while the store ships, their ids for the shipper in one transaction.
    /// Gives how many ids were left for it.
    pub(super) fn write(&mut self, entries: &[&Entry], node: &str) -> Result<u64, StoreError> {
        let ships = self.ships;
        self.transaction(|tx, names, rollups| {
            let mut fresh = Vec::new();
            {
                let mut insert = tx.prepare_cached(&ddl::insert_facts())?;
                for entry in entries {
                    let source = Source {
                        record: &entry.record,
                        prompt: entry.prompt.as_ref(),
                        node,
                    };
                    for (at, column) in FACTS.iter().enumerate() {
                        let cell = numbered(tx, names, column.kind, (column.cell)(&source))?;
                        insert.raw_bind_parameter(at + 1, Bound(cell))?;
                    }
                    if insert.raw_execute()? == 0 {
                        // It is there already: the batch is written a second time.
                        continue;
                    }
                    if ships {
                        fresh.extend_from_slice(&entry.record.id.to_bytes());
                    }
                    calls(tx, names, &entry.record)?;
                    let keys = keys(tx, names, &entry.record)?;
                    rollups.add(tx, &entry.record, keys)?;
                }
                end_started(tx, entries)?;
            }
            outbox::note(tx, What::Requests, &fresh)?;
            rollups.store(tx)?;
            Ok(u64::try_from(fresh.len() / 16).unwrap_or(0))
        })
    }

    /// Notes that exchanges have begun.
    pub(super) fn begin(&mut self, started: &[&Started]) -> Result<(), StoreError> {
        self.transaction(|tx, _, _| {
            let mut insert = tx
                .prepare_cached("INSERT OR IGNORE INTO started VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")?;
            for one in started {
                insert.execute(params![
                    one.id.to_bytes(),
                    one.tenant,
                    one.user,
                    one.key,
                    one.route,
                    one.model,
                    one.operation.name(),
                    one.stream
                ])?;
            }
            Ok(())
        })
    }

    /// Exchanges that have begun and not ended.
    pub(super) fn left_over(&mut self) -> Result<Vec<Record>, StoreError> {
        let read = |connection: &Connection| {
            let mut statement = connection.prepare(
                "SELECT id, tenant, user, key, route, model, operation, stream FROM started",
            )?;
            let rows = statement.query_map([], crashed)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read(&self.connection).map_err(named(&self.path))
    }

    /// Adds a late fact. False if there is no such exchange.
    pub(super) fn late(&mut self, id: RequestId, late: &Late) -> Result<bool, StoreError> {
        let ships = self.ships;
        self.transaction(|tx, _, _| {
            let known = tx
                .prepare_cached("SELECT 1 FROM facts WHERE id = ?1")?
                .query_row([id.to_bytes()], |_| Ok(()))
                .optional()?;
            if known.is_none() {
                return Ok(false);
            }
            let what = match late {
                Late::Feedback(feedback) => {
                    add_feedback(tx, id, feedback)?;
                    What::Feedback
                }
                Late::Score(score) => {
                    add_score(tx, id, score)?;
                    What::Scores
                }
            };
            if ships {
                outbox::note(tx, what, &tx.last_insert_rowid().to_be_bytes())?;
            }
            Ok(true)
        })
    }
}

fn add_feedback(tx: &Transaction<'_>, id: RequestId, f: &Feedback) -> rusqlite::Result<usize> {
    let at = i64::try_from(f.at_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "INSERT INTO feedback (id, at, by, source, thumb, score, label, comment, correction, event) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
    )?
    .execute(params![id.to_bytes(), at, f.by, f.source, f.thumb, f.score, f.label, f.comment, f.correction, f.event])
}

fn add_score(tx: &Transaction<'_>, id: RequestId, s: &Score) -> rusqlite::Result<usize> {
    let at = i64::try_from(s.at_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
    tx.prepare_cached("INSERT INTO scores (id, at, eval, rubric, score, reason, judge, cost_nano) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")?
        .execute(params![id.to_bytes(), at, s.eval, s.rubric, s.score, s.reason, s.judge, s.cost_nano])
}

fn crashed(row: &Row<'_>) -> rusqlite::Result<Record> {
    let id = RequestId::from_bytes(row.get(0)?);
    let operation: String = row.get(6)?;
    let known = [
        Operation::ChatCompletions,
        Operation::Completions,
        Operation::Messages,
        Operation::CountTokens,
        Operation::Embeddings,
    ];
    let route: Option<String> = row.get(4)?;
    Ok(Record {
        id,
        at_ms: id.at_ms(),
        tenant: row.get::<_, String>(1)?.into(),
        user: row.get(2)?,
        key_id: row.get::<_, String>(3)?.into(),
        route: route.map(Into::into),
        model: row.get(5)?,
        operation: known
            .iter()
            .map(|operation| operation.name())
            .find(|name| *name == operation)
            .unwrap_or_default(),
        stream: row.get(7)?,
        outcome: Outcome::Crashed,
        ..Record::default()
    })
}

/// The number of a name; a new one gets the next.
fn number(
    tx: &Transaction<'_>,
    names: &mut HashMap<String, i64>,
    text: &str,
) -> rusqlite::Result<i64> {
    if let Some(number) = names.get(text) {
        return Ok(*number);
    }
    let found = tx
        .prepare_cached("SELECT id FROM names WHERE text = ?1")?
        .query_row([text], |row| row.get(0))
        .optional()?;
    let number = match found {
        Some(number) => number,
        None => {
            tx.prepare_cached("INSERT INTO names (text) VALUES (?1)")?
                .execute([text])?;
            tx.last_insert_rowid()
        }
    };
    names.insert(text.to_owned(), number);
    Ok(number)
}

fn numbered<'a>(
    tx: &Transaction<'_>,
    names: &mut HashMap<String, i64>,
    kind: Kind,
    cell: Cell<'a>,
) -> rusqlite::Result<Cell<'a>> {
    match (kind, &cell) {
        (Kind::Name, Cell::Text(text)) => Ok(Cell::Int(number(tx, names, text)?)),
        _ => Ok(cell),
    }
}

fn keys(
    tx: &Transaction<'_>,
    names: &mut HashMap<String, i64>,
    record: &Record,
) -> rusqlite::Result<Names> {
    let mut of = |text: Option<&str>| match text.filter(|text| !text.is_empty()) {
        Some(text) => number(tx, names, text),
        None => Ok(0),
    };
    Ok(Names {
        route: of(record.route.as_deref())?,
        target: of(record.target.as_deref())?,
        tenant: of(Some(&record.tenant))?,
        user: of(record.user.as_deref())?,
    })
}

fn calls(
    tx: &Transaction<'_>,
    names: &mut HashMap<String, i64>,
    record: &Record,
) -> rusqlite::Result<()> {
    if !needs_attempt_rows(&record.attempts) {
        return Ok(());
    }
    for (at, attempt) in record.attempts.iter().enumerate() {
        let target = number(tx, names, &attempt.target)?;
        let fault = attempt
            .fault
            .map(|fault| number(tx, names, fault))
            .transpose()?;
        tx.prepare_cached("INSERT OR IGNORE INTO attempts VALUES (?1,?2,?3,?4,?5,?6)")?
            .execute(params![
                record.id.to_bytes(),
                i64::try_from(at + 1).unwrap_or(i64::MAX),
                target,
                fault,
                attempt.status,
                crate::schema::micros(attempt.ms)
            ])?;
    }
    Ok(())
}

fn end_started(tx: &Transaction<'_>, entries: &[&Entry]) -> rusqlite::Result<()> {
    let any: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM started)")?
        .query_row([], |row| row.get(0))?;
    if any {
        let mut delete = tx.prepare_cached("DELETE FROM started WHERE id = ?1")?;
        for entry in entries {
            delete.execute([entry.record.id.to_bytes()])?;
        }
    }
    Ok(())
}
