//! The ledger in one SQLite file (WAL, each commit on the disk).

use super::{LedgerStore, StoreError, Used};
use crate::key::Key;
use rusqlite::{Connection, params};
use std::path::Path;
use std::time::Duration;

const SCHEMA: i64 = 1;

const CREATE: &str = "
CREATE TABLE used (
  key BLOB NOT NULL, at_ms INTEGER NOT NULL, amount INTEGER NOT NULL, until_ms INTEGER NOT NULL,
  PRIMARY KEY (key, at_ms)) STRICT, WITHOUT ROWID;
CREATE INDEX used_until ON used (until_ms);
";

const ADD: &str = "
INSERT INTO used VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (key, at_ms) DO UPDATE SET amount = amount + excluded.amount, until_ms = max(until_ms, excluded.until_ms)
";

/// Rows that are over are removed with each so many commits: about once an hour.
const CLEAN_EVERY: u32 = 3600;

/// A ledger in a file.
pub struct SqliteLedger {
    connection: Connection,
    file: String,
    commits: u32,
    /// The latest time that was told or written.
    latest_ms: u64,
}

fn to_db(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn from_db(value: i64) -> u64 {
    // The last number there stands for ever.
    if value == i64::MAX {
        u64::MAX
    } else {
        u64::try_from(value).unwrap_or(0)
    }
}

impl SqliteLedger {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// It can't be opened, is damaged, or was made by a newer version: budgets are not begun anew in silence.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = path.display().to_string();
        let connection = prepared(path).map_err(|message| StoreError {
            message: format!(
                "{message}; without it limits would begin anew: move it away to allow that"
            ),
            file: file.clone(),
        })?;
        Ok(SqliteLedger {
            connection,
            file,
            commits: 0,
            latest_ms: 0,
        })
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError {
            file: self.file.clone(),
            message: error.to_string(),
        }
    }
}

fn prepared(path: &Path) -> Result<Connection, String> {
    let text = |error: rusqlite::Error| error.to_string();
    let mut connection = Connection::open(path).map_err(text)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(text)?;
    for (name, value) in [("journal_mode", "WAL"), ("synchronous", "FULL")] {
        connection.pragma_update(None, name, value).map_err(text)?;
    }
    let tx = connection.transaction().map_err(text)?;
    let version: i64 = tx
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(text)?;
    match version {
        0 => {
            tx.execute_batch(CREATE).map_err(text)?;
            tx.pragma_update(None, "user_version", SCHEMA)
                .map_err(text)?;
        }
        SCHEMA => {}
        newer => {
            return Err(format!(
                "has version {newer}, which is newer than this program"
            ));
        }
    }
    tx.commit().map_err(text)?;
    Ok(connection)
}

fn read(connection: &Connection, now_ms: u64) -> rusqlite::Result<Vec<Used>> {
    connection.execute("DELETE FROM used WHERE until_ms <= ?1", [to_db(now_ms)])?;
    let mut rows =
        connection.prepare("SELECT key, at_ms, amount, until_ms FROM used ORDER BY key, at_ms")?;
    let used = rows.query_map([], |row| {
        Ok(Used {
            key: Key(u128::from_be_bytes(row.get(0)?)),
            at: from_db(row.get(1)?),
            amount: row.get(2)?,
            until: from_db(row.get(3)?),
        })
    })?;
    used.collect()
}

fn write(connection: &mut Connection, additions: &[Used]) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    {
        let mut add = tx.prepare_cached(ADD)?;
        for used in additions {
            let key = used.key.0.to_be_bytes();
            add.execute(params![key, to_db(used.at), used.amount, to_db(used.until)])?;
        }
    }
    tx.commit()
}

impl LedgerStore for SqliteLedger {
    fn load(&mut self, now_ms: u64) -> Result<Vec<Used>, StoreError> {
        self.latest_ms = now_ms;
        read(&self.connection, now_ms).map_err(|error| self.failed(&error))
    }

    fn add(&mut self, additions: &[Used]) -> Result<(), StoreError> {
        if let Err(error) = write(&mut self.connection, additions) {
            return Err(self.failed(&error));
        }
        let times = additions.iter().map(|used| used.at);
        self.latest_ms = times.fold(self.latest_ms, u64::max);
        self.commits += 1;
        if self.commits >= CLEAN_EVERY {
            self.commits = 0;
            let over = to_db(self.latest_ms);
            // What stays by a failure here is removed at the next start.
            let _ = self
                .connection
                .execute("DELETE FROM used WHERE until_ms <= ?1", [over]);
        }
        Ok(())
    }
}
