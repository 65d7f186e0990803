//! The control store in one SQLite file (WAL), shared by the server and the command line.

use crate::audit::{Anchor, Link, Verified, Walk, hex};
use crate::key::{KeyHash, KeyHasher, PlainKey};
use crate::store::{Act, AuditEntry, ControlError, ControlStore, KeyRecord, NewKey, check_name};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SCHEMA: i64 = 2;
/// What the names of switches begin with that say until when the sessions of a site were ended.
const SESSIONS: &str = "sessions:";
/// Rows of the trail that are read at once.
const PAGE: u32 = 1000;

const CREATE: &str = "
CREATE TABLE tenants (id TEXT PRIMARY KEY, created_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE keys (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenants(id), name TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER, revoked_at_ms INTEGER,
  routes TEXT NOT NULL) STRICT;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
  action TEXT NOT NULL, subject TEXT NOT NULL) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
";

/// From schema 1 to 2: the trail becomes a chain, and there are switches.
const CHAIN: &str = "
ALTER TABLE audit ADD COLUMN hash BLOB;
CREATE TABLE switches (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
";
const NO_UPDATE: &str = "
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
";

const COLUMNS: &str = "id, tenant, name, hash, created_at_ms, expires_at_ms, revoked_at_ms, routes";

/// A control store in a file.
pub struct SqliteStore {
    connection: Mutex<Connection>,
    file: String,
}

fn to_db(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn from_db(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

fn key_of(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let routes: String = row.get(7)?;
    Ok(KeyRecord {
        id: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        hash: KeyHash(row.get(3)?),
        created_at_ms: from_db(row.get(4)?),
        expires_at_ms: row.get::<_, Option<i64>>(5)?.map(from_db),
        revoked_at_ms: row.get::<_, Option<i64>>(6)?.map(from_db),
        routes: serde_json::from_str(&routes).unwrap_or_default(),
    })
}

fn note(
    tx: &Transaction<'_>,
    act: &Act<'_>,
    action: &str,
    subject: &str,
) -> rusqlite::Result<usize> {
    let last: Option<(i64, Vec<u8>)> = tx
        .query_row(
            "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, Option<Vec<u8>>>(1)?.unwrap_or_default(),
                ))
            },
        )
        .optional()?;
    // A row that is missing at the end stays missing: its number is not given again.
    let given: Option<i64> = tx
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = 'audit'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let seq = given.unwrap_or(0).saturating_add(1);
    let before = last.map(|(_, hash)| hash).unwrap_or_default();
    let link = Link {
        seq: from_db(seq),
        at_ms: act.at_ms,
        actor: act.actor,
        action,
        subject,
    };
    tx.execute(
        "INSERT INTO audit (seq, at_ms, actor, action, subject, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            seq,
            to_db(act.at_ms),
            act.actor,
            action,
            subject,
            link.hash(&before)
        ],
    )
}

fn is_panic(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT value FROM switches WHERE name = 'panic'";
    let value: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(value.as_deref() == Some("on"))
}

/// Makes a chain of the rows of an older version.
fn chain(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch("DROP TRIGGER audit_no_update;")?;
    tx.execute_batch(CHAIN)?;
    let mut before = Vec::new();
    for row in rows(tx, "ORDER BY seq", 0)? {
        before = row.link().hash(&before);
        tx.execute(
            "UPDATE audit SET hash = ?2 WHERE seq = ?1",
            params![to_db(row.seq), before],
        )?;
    }
    tx.execute_batch(NO_UPDATE)
}

/// Rows of the audit trail from the first after `after` on.
fn rows(connection: &Connection, order: &str, after: u64) -> rusqlite::Result<Vec<AuditEntry>> {
    let entry = |row: &Row<'_>| {
        let hash: Option<Vec<u8>> = row.get(5)?;
        Ok(AuditEntry {
            seq: from_db(row.get(0)?),
            at_ms: from_db(row.get(1)?),
            actor: row.get(2)?,
            action: row.get(3)?,
            subject: row.get(4)?,
            hash: hex(&hash.unwrap_or_default()),
        })
    };
    let sql = format!(
        "SELECT seq, at_ms, actor, action, subject, hash FROM audit WHERE seq > ?1 {order}"
    );
    connection
        .prepare(&sql)?
        .query_map([to_db(after)], entry)?
        .collect()
}

fn find(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<KeyRecord>> {
    tx.query_row(
        &format!("SELECT {COLUMNS} FROM keys WHERE id = ?1"),
        [id],
        key_of,
    )
    .optional()
}

fn insert(tx: &Transaction<'_>, key: &KeyRecord) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT OR IGNORE INTO tenants VALUES (?1, ?2)",
        params![key.tenant, to_db(key.created_at_ms)],
    )?;
    let routes = serde_json::to_string(&key.routes).unwrap_or_else(|_| "[]".to_owned());
    tx.execute(
        &format!("INSERT INTO keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
        params![
            key.id,
            key.tenant,
            key.name,
            key.hash.0,
            to_db(key.created_at_ms),
            key.expires_at_ms.map(to_db),
            key.revoked_at_ms.map(to_db),
            routes
        ],
    )?;
    Ok(())
}

fn mint(
    new: &NewKey,
    hasher: &KeyHasher,
    at_ms: u64,
) -> Result<(PlainKey, KeyRecord), ControlError> {
    check_name(&new.tenant, "a tenant")?;
    if new.env.is_empty()
        || new.env.len() > 16
        || !new
            .env
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        return Err(ControlError::BadName("an environment"));
    }
    let plain = PlainKey::generate(&new.env).map_err(ControlError::Random)?;
    let record = KeyRecord {
        id: plain.id().to_owned(),
        tenant: new.tenant.clone(),
        name: new.name.clone(),
        hash: hasher.hash(plain.expose()),
        created_at_ms: at_ms,
        expires_at_ms: new.expires_at_ms,
        revoked_at_ms: None,
        routes: new.routes.clone(),
    };
    Ok((plain, record))
}

impl SqliteStore {
    /// Opens the file, or makes it (mode 0600).
    ///
    /// # Errors
    /// The file is no control store, is damaged, or was made by a newer version. It is never deleted.
    pub fn open(path: &Path) -> Result<Self, ControlError> {
        let file = path.display().to_string();
        let wrap = |source: Box<dyn std::error::Error + Send + Sync>| ControlError::Engine {
            file: file.clone(),
            source,
        };
        crate::key::create_private(path, "").map_err(|error| wrap(error.into()))?;
        let mut connection = Connection::open(path).map_err(|error| wrap(error.into()))?;
        let found = prepare(&mut connection).map_err(|error| wrap(error.into()))?;
        if found > SCHEMA {
            return Err(ControlError::TooNew {
                file,
                found,
                known: SCHEMA,
            });
        }
        Ok(SqliteStore {
            connection: Mutex::new(connection),
            file,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self, error: rusqlite::Error) -> ControlError {
        ControlError::Engine {
            file: self.file.clone(),
            source: error.into(),
        }
    }

    /// Runs `work` in a transaction that takes the write lock at once.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, ControlError> {
        let mut connection = self.lock();
        let run = |connection: &mut Connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let out = work(&tx)?;
            tx.commit()?;
            Ok(out)
        };
        run(&mut connection).map_err(|error| self.engine(error))
    }
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut found: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found == 0 {
        tx.execute_batch(CREATE)?;
        found = 1;
    }
    if found == 1 {
        chain(&tx)?;
        tx.pragma_update(None, "user_version", SCHEMA)?;
        found = SCHEMA;
    }
    tx.commit()?;
    Ok(found)
}

impl ControlStore for SqliteStore {
    fn create_key(
        &self,
        new: &NewKey,
        hasher: &KeyHasher,
        act: &Act<'_>,
    ) -> Result<(PlainKey, KeyRecord), ControlError> {
        let (plain, record) = mint(new, hasher, act.at_ms)?;
        self.write(|tx| {
            insert(tx, &record)?;
            note(tx, act, "key.create", &record.id)
        })?;
        Ok((plain, record))
    }

    fn list_keys(&self, tenant: Option<&str>) -> Result<Vec<KeyRecord>, ControlError> {
        let connection = self.lock();
        let sql = format!(
            "SELECT {COLUMNS} FROM keys WHERE ?1 IS NULL OR tenant = ?1 ORDER BY created_at_ms, id"
        );
        let run = || {
            connection
                .prepare(&sql)?
                .query_map([tenant], key_of)?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        run().map_err(|error| self.engine(error))
    }

    fn revoke_key(&self, id: &str, act: &Act<'_>) -> Result<KeyRecord, ControlError> {
        let found = self.write(|tx| {
            let sql = "UPDATE keys SET revoked_at_ms = ?2 WHERE id = ?1 AND revoked_at_ms IS NULL";
            if tx.execute(sql, params![id, to_db(act.at_ms)])? > 0 {
                note(tx, act, "key.revoke", id)?;
            }
            find(tx, id)
        })?;
        found.ok_or_else(|| ControlError::NoSuchKey(id.to_owned()))
    }

    fn rotate_key(
        &self,
        id: &str,
        overlap_ms: u64,
        hasher: &KeyHasher,
        act: &Act<'_>,
    ) -> Result<(PlainKey, KeyRecord), ControlError> {
        let known = self
            .list_keys(None)?
            .into_iter()
            .find(|key| key.id == id && key.revoked_at_ms.is_none());
        let old = known.ok_or_else(|| ControlError::NoSuchKey(id.to_owned()))?;
        let new = NewKey {
            tenant: old.tenant.clone(),
            name: old.name.clone(),
            env: "live".to_owned(),
            expires_at_ms: old.expires_at_ms,
            routes: old.routes.clone(),
        };
        let (plain, record) = mint(&new, hasher, act.at_ms)?;
        let end = act.at_ms.saturating_add(overlap_ms);
        let end = old.expires_at_ms.map_or(end, |expires| expires.min(end));
        self.write(|tx| {
            insert(tx, &record)?;
            tx.execute(
                "UPDATE keys SET expires_at_ms = ?2 WHERE id = ?1",
                params![id, to_db(end)],
            )?;
            note(tx, act, "key.rotate", id)?;
            note(tx, act, "key.create", &record.id)
        })?;
        Ok((plain, record))
    }

    fn note(&self, action: &str, subject: &str, act: &Act<'_>) -> Result<(), ControlError> {
        self.write(|tx| note(tx, act, action, subject)).map(|_| ())
    }

    fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, ControlError> {
        let connection = self.lock();
        let order = format!("ORDER BY seq DESC LIMIT {limit}");
        rows(&connection, &order, 0).map_err(|error| self.engine(error))
    }

    fn verify(&self, anchor: Option<&Anchor>) -> Result<Verified, ControlError> {
        let mut connection = self.lock();
        let read = |connection: &mut Connection| {
            // One view of the trail, whoever writes meanwhile.
            let tx = connection.transaction()?;
            let mut walk = Walk::new(anchor);
            let order = format!("ORDER BY seq LIMIT {PAGE}");
            loop {
                let page = rows(&tx, &order, walk.last())?;
                if page.is_empty() {
                    break;
                }
                for row in &page {
                    if let Err(broken) = walk.step(row) {
                        return Ok(Err(broken));
                    }
                }
            }
            let given: Option<i64> = tx
                .query_row(
                    "SELECT seq FROM sqlite_sequence WHERE name = 'audit'",
                    [],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(walk.end(given.map_or(0, from_db)))
        };
        read(&mut connection)
            .map_err(|error| self.engine(error))?
            .map_err(ControlError::Broken)
    }

    fn set_panic(&self, on: bool, act: &Act<'_>) -> Result<(), ControlError> {
        self.write(|tx| {
            if is_panic(tx)? == on {
                return Ok(());
            }
            let (value, action) = if on {
                ("on", "panic.on")
            } else {
                ("off", "panic.off")
            };
            tx.execute(
                "INSERT OR REPLACE INTO switches VALUES ('panic', ?1)",
                [value],
            )?;
            note(tx, act, action, "all").map(|_| ())
        })
    }

    fn panic(&self) -> Result<bool, ControlError> {
        is_panic(&self.lock()).map_err(|error| self.engine(error))
    }

    fn end_sessions(&self, site: &str, act: &Act<'_>) -> Result<(), ControlError> {
        self.write(|tx| {
            tx.execute(
                "INSERT OR REPLACE INTO switches VALUES (?1, ?2)",
                params![format!("{SESSIONS}{site}"), act.at_ms.to_string()],
            )?;
            note(tx, act, "session.revoke", site).map(|_| ())
        })
    }

    fn sessions_from(&self) -> Result<Vec<(String, u64)>, ControlError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let sql = "SELECT substr(name, ?1), value FROM switches WHERE name GLOB ?2";
            let first = to_db(u64::try_from(SESSIONS.len() + 1).unwrap_or_default());
            connection
                .prepare(sql)?
                .query_map(params![first, format!("{SESSIONS}*")], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect()
        };
        let rows = read().map_err(|error| self.engine(error))?;
        // What can't be read ends all: a session is soon made anew.
        let until = |value: String| value.parse().unwrap_or(u64::MAX);
        Ok(rows
            .into_iter()
            .map(|(site, value)| (site, until(value)))
            .collect())
    }

    fn version(&self) -> Result<u64, ControlError> {
        // Every change writes an audit row in its transaction.
        let sql = "SELECT COALESCE(MAX(seq), 0) FROM audit";
        self.lock()
            .query_row(sql, [], |row| row.get(0))
            .map(from_db)
            .map_err(|error| self.engine(error))
    }
}
