//! Trust in one SQLite file (WAL).

use super::Level;
use super::book::{Batch, Row};
use super::score::DAY_MS;
use super::store::{Trail, TrustStore};
use super::subject::Move;
use crate::key::Key;
use crate::store::StoreError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SCHEMA: i64 = 1;

const CREATE: &str = "
CREATE TABLE subjects (
  key BLOB PRIMARY KEY, tenant TEXT NOT NULL, user TEXT NOT NULL, seen_ms INTEGER NOT NULL, state TEXT NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE INDEX subjects_seen ON subjects (seen_ms);
CREATE TABLE moves (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL, at_ms INTEGER NOT NULL, cause TEXT NOT NULL, units REAL NOT NULL,
  score_before REAL NOT NULL, score_after REAL NOT NULL, level_before TEXT NOT NULL, level_after TEXT NOT NULL,
  evidence TEXT NOT NULL) STRICT;
CREATE INDEX moves_key ON moves (key, id);
CREATE INDEX moves_at ON moves (at_ms);
";

const SAVE: &str = "
INSERT INTO subjects VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (key) DO UPDATE SET seen_ms = excluded.seen_ms, state = excluded.state
";

/// The audit trail is kept so long: by then a score has forgotten all of it but traces.
const KEPT_MS: u64 = 180 * DAY_MS;
/// Old rows are removed with each so many commits: about once an hour.
const CLEAN_EVERY: u32 = 3600;

/// The file, for its writer.
pub struct SqliteTrust {
    connection: Connection,
    file: PathBuf,
    commits: u32,
}

/// The file, for those that ask what has moved a score.
pub struct SqliteTrail {
    file: PathBuf,
}

fn failed(file: &Path, error: impl std::fmt::Display) -> StoreError {
    StoreError {
        file: file.display().to_string(),
        message: error.to_string(),
    }
}

fn to_db(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn prepared(file: &Path) -> rusqlite::Result<(Connection, i64)> {
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    for (name, value) in [("journal_mode", "WAL"), ("synchronous", "NORMAL")] {
        connection.pragma_update(None, name, value)?;
    }
    let tx = connection.transaction()?;
    let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        tx.execute_batch(CREATE)?;
        tx.pragma_update(None, "user_version", SCHEMA)?;
    }
    tx.commit()?;
    Ok((connection, version.max(SCHEMA)))
}

impl SqliteTrust {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// It can't be opened, is damaged, or was made by a newer version: nobody's trust is begun anew in silence.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let (connection, version) = prepared(file).map_err(|error| failed(file, error))?;
        if version != SCHEMA {
            let message = format!("has version {version}, which is newer than this program");
            return Err(failed(file, message));
        }
        Ok(SqliteTrust {
            connection,
            file: file.to_owned(),
            commits: 0,
        })
    }

    /// What reads beside it.
    pub fn trail(&self) -> SqliteTrail {
        SqliteTrail {
            file: self.file.clone(),
        }
    }
}

fn load(connection: &Connection, max: usize) -> rusqlite::Result<Vec<Row>> {
    let mut rows = connection
        .prepare("SELECT key, tenant, user, state FROM subjects ORDER BY seen_ms DESC LIMIT ?1")?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let read = rows.query_map([max], |row| {
        let state: String = row.get(3)?;
        let subject = serde_json::from_str(&state).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, error.into())
        })?;
        Ok(Row {
            key: Key(u128::from_be_bytes(row.get(0)?)),
            tenant: row.get::<_, String>(1)?.into(),
            user: row.get::<_, String>(2)?.into(),
            subject,
        })
    })?;
    read.collect()
}

fn save(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    {
        let mut save = tx.prepare_cached(SAVE)?;
        for row in &batch.rows {
            let state = serde_json::to_string(&row.subject)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            let seen = to_db(row.subject.seen_ms);
            let key = row.key.0.to_be_bytes();
            save.execute(params![key, &*row.tenant, &*row.user, seen, state])?;
        }
        let mut note = tx.prepare_cached(
            "INSERT INTO moves (key, at_ms, cause, units, score_before, score_after, level_before, level_after, evidence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for (key, one) in &batch.moves {
            note.execute(params![
                key.0.to_be_bytes(),
                to_db(one.at_ms),
                one.cause,
                one.units,
                one.score.0,
                one.score.1,
                one.level.0.name(),
                one.level.1.name(),
                one.evidence
            ])?;
        }
    }
    tx.commit()
}

impl TrustStore for SqliteTrust {
    fn load(&mut self, max: usize) -> Result<Vec<Row>, StoreError> {
        load(&self.connection, max).map_err(|error| failed(&self.file, error))
    }

    fn save(&mut self, batch: &Batch) -> Result<(), StoreError> {
        save(&mut self.connection, batch).map_err(|error| failed(&self.file, error))?;
        self.commits += 1;
        if self.commits >= CLEAN_EVERY {
            self.commits = 0;
            let times = batch.moves.iter().map(|(_, one)| one.at_ms);
            let latest = times.max().unwrap_or(0);
            let over = to_db(latest.saturating_sub(KEPT_MS));
            // What stays by a failure here is removed an hour later.
            let _ = self
                .connection
                .execute("DELETE FROM moves WHERE at_ms < ?1", [over]);
        }
        Ok(())
    }
}

/// The causes that a row may have, as they are written.
const CAUSES: [&str; 9] = [
    "good_request",
    "paid",
    "vouched",
    "faulty_requests",
    "pressure",
    "abuse",
    "level",
    "set",
    "cleared",
];

impl Trail for SqliteTrail {
    fn moves(&self, key: Key, max: usize) -> Result<Vec<Move>, StoreError> {
        read(&self.file, key, max).map_err(|error| failed(&self.file, error))
    }

    fn remove(&self, user: &str, tenant: Option<&str>) -> Result<u64, StoreError> {
        remove(&self.file, user, tenant).map_err(|error| failed(&self.file, error))
    }
}

fn remove(file: &Path, user: &str, tenant: Option<&str>) -> rusqlite::Result<u64> {
    const OF: &str = "user = ?1 AND (?2 IS NULL OR tenant = ?2)";
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let moves = format!("DELETE FROM moves WHERE key IN (SELECT key FROM subjects WHERE {OF})");
    tx.execute(&moves, params![user, tenant])?;
    let subjects = format!("DELETE FROM subjects WHERE {OF}");
    let found = tx.execute(&subjects, params![user, tenant])?;
    tx.commit()?;
    Ok(u64::try_from(found).unwrap_or(u64::MAX))
}

fn read(file: &Path, key: Key, max: usize) -> rusqlite::Result<Vec<Move>> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let mut rows = connection.prepare(
        "SELECT at_ms, cause, units, score_before, score_after, level_before, level_after, evidence
         FROM moves WHERE key = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let level = |name: String| Level::parse(&name).unwrap_or(Level::Standard);
    let read = rows.query_map(params![key.0.to_be_bytes(), max], |row| {
        let cause: String = row.get(1)?;
        Ok(Move {
            at_ms: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            cause: CAUSES
                .into_iter()
                .find(|one| *one == cause)
                .unwrap_or("unknown"),
            units: row.get(2)?,
            score: (row.get(3)?, row.get(4)?),
            level: (level(row.get(5)?), level(row.get(6)?)),
            evidence: row.get(7)?,
        })
    })?;
    read.collect()
}
