//! What still has to be shipped to the shared store.
//!
//! While the store ships, each commit leaves the keys of its new rows in the table `outbox` of its day, in the same
//! transaction. The shipper takes them in order. A row of the outbox is either open (kind `requests`, `feedback`, `scores`:
//! the keys of one commit) or a fixed batch (kind `requests:TOKEN`: the keys of many). A batch is fixed before it is sent,
//! and is sent again with the same token until the shared store has taken it; then its row goes.

use super::connect::{named, open_to_read};
use super::{Embedded, StoreError, days, facts_path, functions, text_path};
use crate::schema::{FACTS, Kind};
use crate::store::embedded::codec::Codec;
use aplomb_core::id::RequestId;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// What the rows of a batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Exchanges, by their ids; with their calls and texts.
    Requests,
    /// Feedback, by its number in the day's file.
    Feedback,
    /// Scores, by their number.
    Scores,
}

impl What {
    /// Name of the table, and of the kind in the outbox.
    pub fn name(self) -> &'static str {
        match self {
            What::Requests => "requests",
            What::Feedback => "feedback",
            What::Scores => "scores",
        }
    }

    /// Bytes of a key.
    fn width(self) -> usize {
        match self {
            What::Requests => 16,
            What::Feedback | What::Scores => 8,
        }
    }

    fn parse(name: &str) -> Option<What> {
        [What::Requests, What::Feedback, What::Scores]
            .into_iter()
            .find(|what| what.name() == name)
    }
}

/// How large a batch may become.
#[derive(Debug, Clone, Copy)]
pub struct BatchBounds {
    /// Rows. One commit more than this may be in it.
    pub rows: usize,
    /// Bytes of stored texts. 0: texts are not shipped.
    pub text_bytes: usize,
}

/// Rows that are shipped together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Day of the file, counted from 1970-01-01.
    pub day: u64,
    /// Number of its row in the outbox.
    pub seq: i64,
    /// What it holds.
    pub what: What,
    /// Names it, the same at each try.
    pub token: String,
    /// When the oldest of its rows came, in milliseconds since the Unix epoch.
    pub oldest_ms: u64,
    /// Keys of its rows, one after the other.
    keys: Vec<u8>,
}

impl Batch {
    /// Number of its keys. Rows that were erased meanwhile count.
    pub fn len(&self) -> usize {
        self.keys.len() / self.what.width()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// When the first row of some keys came; 0 where it is gone.
fn oldest_ms(tx: &Connection, what: What, keys: &[u8]) -> rusqlite::Result<u64> {
    let sql = match what {
        What::Requests => {
            let first = keys.first_chunk::<16>();
            return Ok(first.map_or(0, |id| RequestId::from_bytes(*id).at_ms()));
        }
        What::Feedback => "SELECT at FROM feedback WHERE seq = ?1",
        What::Scores => "SELECT at FROM scores WHERE seq = ?1",
    };
    let at: Option<i64> = tx
        .query_row(sql, [number(keys)], |row| row.get(0))
        .optional()?;
    Ok(u64::try_from(at.unwrap_or(0) / 1000).unwrap_or(0))
}

/// Puts keys into the outbox.
pub(super) fn note(tx: &Transaction<'_>, what: What, keys: &[u8]) -> rusqlite::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let rows = i64::try_from(keys.len() / what.width()).unwrap_or(i64::MAX);
    tx.prepare_cached("INSERT INTO outbox (kind, rows, ids) VALUES (?1, ?2, ?3)")?
        .execute((what.name(), rows, keys))
        .map(|_| ())
}

/// Takes erased rows out of what still waits. The keys of a fixed batch stay: they find nothing any more.
pub(super) fn forget(tx: &Connection, ids: &[Vec<u8>]) -> rusqlite::Result<()> {
    let gone: HashSet<&[u8]> = ids.iter().map(Vec::as_slice).collect();
    let mut statement = tx.prepare("SELECT seq, kind, ids FROM outbox")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(i64, String, Vec<u8>)> = rows.collect::<rusqlite::Result<_>>()?;
    for (seq, kind, keys) in rows {
        let Some(what) = What::parse(&kind) else {
            continue;
        };
        let mut kept = Vec::with_capacity(keys.len());
        for key in keys.chunks_exact(what.width()) {
            if !gone.contains(key) && exists(tx, what, key)? {
                kept.extend_from_slice(key);
            }
        }
        if kept.is_empty() {
            tx.execute("DELETE FROM outbox WHERE seq = ?1", [seq])?;
        } else if kept.len() < keys.len() {
            let rows = i64::try_from(kept.len() / what.width()).unwrap_or(i64::MAX);
            tx.execute(
                "UPDATE outbox SET rows = ?2, ids = ?3 WHERE seq = ?1",
                (seq, rows, kept),
            )?;
        }
    }
    Ok(())
}

/// Whether a late fact is still there. Numbers are given anew, so that one that is gone must not wait.
fn exists(tx: &Connection, what: What, key: &[u8]) -> rusqlite::Result<bool> {
    let sql = match what {
        What::Requests => return Ok(true),
        What::Feedback => "SELECT 1 FROM feedback WHERE seq = ?1",
        What::Scores => "SELECT 1 FROM scores WHERE seq = ?1",
    };
    tx.prepare_cached(sql)?.exists([number(key)])
}

fn number(key: &[u8]) -> i64 {
    key.first_chunk::<8>()
        .map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// Rows that wait in a day's file.
pub(super) fn waiting(path: &Path) -> Result<u64, StoreError> {
    let read = |connection: &Connection| {
        let there = "SELECT count(*) FROM sqlite_master WHERE name = 'outbox'";
        if connection.query_row(there, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(0);
        }
        connection.query_row("SELECT ifnull(sum(rows), 0) FROM outbox", [], |row| {
            row.get::<_, i64>(0)
        })
    };
    let rows = read(&open_to_read(path)?).map_err(named(path))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Rows that wait, by day.
pub(super) fn waiting_by_day(folder: &Path) -> Result<BTreeMap<u64, u64>, StoreError> {
    let mut found = BTreeMap::new();
    for day in days(folder)? {
        let rows = waiting(&facts_path(folder, day))?;
        if rows > 0 {
            found.insert(day, rows);
        }
    }
    Ok(found)
}

impl Embedded {
    /// The same store, whose commits leave their keys for the shipper.
    #[must_use]
    pub fn shipping(mut self) -> Self {
        self.ships = true;
        self
    }

    /// Rows that wait, by day. Counted once, then kept up.
    fn backlog_by_day(&mut self) -> Result<&mut BTreeMap<u64, u64>, StoreError> {
        if self.backlog.is_none() {
            self.backlog = Some(waiting_by_day(&self.folder)?);
        }
        Ok(self.backlog.get_or_insert_default())
    }

    /// Rows that wait to be shipped.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn backlog(&mut self) -> Result<u64, StoreError> {
        Ok(self.backlog_by_day()?.values().sum())
    }

    /// Notes that a commit has left keys.
    pub(super) fn left(&mut self, day: u64, rows: u64) {
        if let Some(backlog) = &mut self.backlog
            && rows > 0
        {
            *backlog.entry(day).or_default() += rows;
        }
    }

    /// The batch that comes next, fixed: it is the same until [`Embedded::shipped`]. `None`: nothing waits.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn next_batch(&mut self, bounds: BatchBounds) -> Result<Option<Batch>, StoreError> {
        let waiting: Vec<u64> = self.backlog_by_day()?.keys().copied().collect();
        for day in waiting {
            let facts = facts_path(&self.folder, day);
            if facts.exists() {
                let texts = text_path(&self.folder, day);
                let texts = (bounds.text_bytes > 0 && texts.exists()).then_some(texts);
                let node = self.node.clone();
                let fixed = self.day(day).and_then(|open| {
                    open.facts
                        .transact(|tx| fix(tx, day, &node, bounds, texts.as_deref()))
                });
                if let Some(batch) = self.checked(day, fixed)? {
                    return Ok(Some(batch));
                }
            }
            self.backlog_by_day()?.remove(&day);
        }
        Ok(None)
    }

    /// The shared store has taken a batch.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn shipped(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if facts_path(&self.folder, batch.day).exists() {
            let done = self.day(batch.day).and_then(|open| {
                open.facts.transact(|tx| {
                    let kind = format!("{}:{}", batch.what.name(), batch.token);
                    tx.execute(
                        "DELETE FROM outbox WHERE seq = ?1 AND kind = ?2",
                        (batch.seq, kind),
                    )
                })
            });
            self.checked(batch.day, done)?;
        }
        let rows = u64::try_from(batch.len()).unwrap_or(0);
        let backlog = self.backlog_by_day()?;
        if let Some(waiting) = backlog.get_mut(&batch.day) {
            *waiting = waiting.saturating_sub(rows);
            if *waiting == 0 {
                // The file is looked at again, in case the count was wrong.
                self.backlog = None;
            }
        }
        Ok(())
    }
}

fn fix(
    tx: &Transaction<'_>,
    day: u64,
    node: &str,
    bounds: BatchBounds,
    texts: Option<&Path>,
) -> rusqlite::Result<Option<Batch>> {
    let head = |row: &Row<'_>| -> rusqlite::Result<(i64, String, Vec<u8>)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    };
    let Some((first, kind, keys)) = tx
        .query_row(
            "SELECT seq, kind, ids FROM outbox ORDER BY seq LIMIT 1",
            [],
            head,
        )
        .optional()?
    else {
        return Ok(None);
    };
    if let Some((name, token)) = kind.split_once(':') {
        let Some(what) = What::parse(name) else {
            return Ok(None);
        };
        return Ok(Some(Batch {
            day,
            seq: first,
            what,
            token: token.to_owned(),
            oldest_ms: oldest_ms(tx, what, &keys)?,
            keys,
        }));
    }
    let Some(what) = What::parse(&kind) else {
        return Ok(None);
    };
    let (keys, last) = gather(tx, what, bounds, texts)?;
    tx.execute(
        "DELETE FROM outbox WHERE kind = ?1 AND seq <= ?2",
        (what.name(), last),
    )?;
    // Numbers are given anew when the outbox was empty, so that they alone would not tell batches apart.
    let nonce = RequestId::new(day * super::DAY_MS).to_string();
    let token = format!("{node}-{}-{first}-{last}-{nonce}", super::date(day));
    let batch = Batch {
        day,
        seq: first,
        what,
        token,
        oldest_ms: oldest_ms(tx, what, &keys)?,
        keys,
    };
    tx.execute(
        "INSERT INTO outbox (seq, kind, rows, ids) VALUES (?1, ?2, ?3, ?4)",
        (
            first,
            format!("{}:{}", what.name(), batch.token),
            i64::try_from(batch.len()).unwrap_or(i64::MAX),
            &batch.keys,
        ),
    )?;
    Ok(Some(batch))
}

/// Keys of the oldest commits of a kind, up to the bounds, and the number of the last of them.
fn gather(
    tx: &Transaction<'_>,
    what: What,
    bounds: BatchBounds,
    texts: Option<&Path>,
) -> rusqlite::Result<(Vec<u8>, i64)> {
    let (mut all, mut last, mut bytes) = (Vec::new(), 0, 0);
    let texts = texts
        .filter(|_| what == What::Requests)
        .and_then(|path| open_to_read(path).ok());
    let mut statement =
        tx.prepare_cached("SELECT seq, ids FROM outbox WHERE kind = ?1 ORDER BY seq")?;
    let mut rows = statement.query([what.name()])?;
    while let Some(row) = rows.next()? {
        let keys: Vec<u8> = row.get(1)?;
        last = row.get(0)?;
        if let Some(texts) = &texts {
            bytes += stored(texts, &keys).unwrap_or(0);
        }
        all.extend_from_slice(&keys);
        if all.len() / what.width() >= bounds.rows || (texts.is_some() && bytes > bounds.text_bytes)
        {
            break;
        }
    }
    Ok((all, last))
}

/// Bytes of the stored texts of some exchanges.
fn stored(texts: &Connection, ids: &[u8]) -> rusqlite::Result<usize> {
    let mut size = texts.prepare_cached("SELECT length(body) FROM texts WHERE id = ?1")?;
    let mut sum = 0;
    for id in ids.chunks_exact(16) {
        let bytes: Option<i64> = size.query_row([id], |row| row.get(0)).optional()?;
        sum += usize::try_from(bytes.unwrap_or(0)).unwrap_or(0);
    }
    Ok(sum)
}

/// Rows of a batch as they stand in the file now: what was erased is missing.
#[derive(Debug, Default)]
pub struct Rows {
    /// Rows of the table that the batch is of.
    pub own: Vec<Map<String, Value>>,
    /// Upstream calls of the exchanges.
    pub attempts: Vec<Map<String, Value>>,
    /// Texts of the exchanges.
    pub texts: Vec<Map<String, Value>>,
}

/// Reads the rows of a batch. Every row has `tenant` and `user`, and what hangs on an exchange has its time as `request_at`.
///
/// # Errors
/// A file can't be read.
pub fn rows(
    folder: &Path,
    codec: &Arc<Codec>,
    batch: &Batch,
    with_texts: bool,
) -> Result<Rows, StoreError> {
    let path = facts_path(folder, batch.day);
    if !path.exists() {
        return Ok(Rows::default());
    }
    let connection = open_to_read(&path)?;
    let texts = text_path(folder, batch.day);
    let with_texts = with_texts && batch.what == What::Requests && texts.exists();
    let read = || -> rusqlite::Result<Rows> {
        functions::register(&connection, codec)?;
        if with_texts {
            super::ask::attach(&connection, &texts, "t")?;
        }
        match batch.what {
            What::Requests => exchanges(&connection, batch, with_texts),
            What::Feedback => late(&connection, batch, &super::ddl::feedback("")),
            What::Scores => late(&connection, batch, &super::ddl::scores("")),
        }
    };
    read().map_err(named(&path))
}

fn exchanges(connection: &Connection, batch: &Batch, with_texts: bool) -> rusqlite::Result<Rows> {
    let version = super::ask::version(connection, "main")?;
    let mut facts = connection.prepare(&format!(
        "{} WHERE f.id = ?1",
        super::ddl::requests("", version)
    ))?;
    let mut calls = connection.prepare(&super::ddl::attempts("", "f.id = ?1"))?;
    let mut texts = if with_texts {
        Some(connection.prepare(&super::views::texts("t.", " WHERE h.id = ?1"))?)
    } else {
        None
    };
    let mut rows = Rows::default();
    for id in batch.keys.chunks_exact(16) {
        let Some(own) = facts.query_row([id], fact).optional()? else {
            continue;
        };
        let hang = |mut members: Map<String, Value>| {
            for (name, from) in [("tenant", "tenant"), ("user", "user"), ("request_at", "at")] {
                members.insert(name.into(), own.get(from).cloned().unwrap_or_default());
            }
            members
        };
        let found = members(&mut calls, &id)?;
        rows.attempts.extend(found.into_iter().map(hang));
        if let Some(texts) = &mut texts {
            let found = members(texts, &id)?;
            rows.texts.extend(found.into_iter().map(hang));
        }
        rows.own.push(own);
    }
    Ok(rows)
}

fn late(connection: &Connection, batch: &Batch, select: &str) -> rusqlite::Result<Rows> {
    let named = |column: &str| format!("(SELECT text FROM names WHERE id = o.{column})");
    let head = format!(
        "SELECT f.seq AS seq, o.at AS request_at, {} AS tenant, {} AS user, ",
        named("tenant"),
        named("user")
    );
    let select = format!(
        "{head}{} JOIN facts AS o ON o.id = f.id WHERE f.seq = ?1",
        select.strip_prefix("SELECT ").unwrap_or(select)
    );
    let mut statement = connection.prepare(&select)?;
    let mut rows = Rows::default();
    for key in batch.keys.chunks_exact(8) {
        let mut found = members(&mut statement, &number(key))?;
        for row in &mut found {
            for name in ["at", "request_at"] {
                if let Some(value) = row.get_mut(name) {
                    *value = moment(value.as_i64());
                }
            }
        }
        rows.own.append(&mut found);
    }
    Ok(rows)
}

/// Rows of a statement with one key, by column.
fn members(
    statement: &mut rusqlite::Statement<'_>,
    key: &dyn rusqlite::ToSql,
) -> rusqlite::Result<Vec<Map<String, Value>>> {
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map([key], |row| {
        let mut members = Map::new();
        for (at, name) in names.iter().enumerate() {
            members.insert(name.clone(), super::ask::plain(row.get_ref(at)?));
        }
        Ok(members)
    })?;
    rows.collect()
}

/// The facts of an exchange, with the time as ClickHouse reads it.
fn fact(row: &Row<'_>) -> rusqlite::Result<Map<String, Value>> {
    let mut members = Map::new();
    for (at, column) in FACTS.iter().enumerate() {
        let value = match (column.kind, row.get_ref(at)?) {
            (Kind::Time, ValueRef::Integer(us)) => moment(Some(us)),
            (_, raw) => super::ask::plain(raw),
        };
        members.insert(column.name.to_owned(), value);
    }
    Ok(members)
}

/// Microseconds since 1970 as `YYYY-MM-DD hh:mm:ss.uuuuuu`.
fn moment(us: Option<i64>) -> Value {
    let Some(us) = us.and_then(|us| u64::try_from(us).ok()) else {
        return Value::Null;
    };
    let s = us / 1_000_000;
    format!(
        "{} {:02}:{:02}:{:02}.{:06}",
        super::date(s / 86_400),
        s / 3600 % 24,
        s / 60 % 60,
        s % 60,
        us % 1_000_000
    )
    .into()
}
