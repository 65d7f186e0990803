//! One person's rows: taken out of all files for good, or handed over.

use super::codec::Codec;
use super::connect::{named, open_to_read};
use super::{StoreError, days, facts_path, text_path};
use crate::schema::{FACTS, Kind};
use aplomb_core::erase::Subject;
use aplomb_core::error::BoxError;
use aplomb_core::id::RequestId;
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Deletes a person's facts, calls, rollups, feedback and texts of all days; what was deleted is overwritten, and nothing
/// of it stays in a log file.
///
/// # Errors
/// A file can't be read or written; what was removed until then stays removed.
pub(super) fn erase(folder: &Path, subject: &Subject) -> Result<u64, StoreError> {
    let mut removed = 0;
    for day in days(folder)? {
        let facts = facts_path(folder, day);
        let ids = ids_of(&facts, subject)?;
        let text = text_path(folder, day);
        if text.exists() && !ids.is_empty() {
            forget_texts(&text, &ids)?;
        }
        if !ids.is_empty() || mentions(&facts, subject)? {
            forget_facts(&facts, &ids)?;
            forget_person(&facts, subject)?;
        }
        removed += u64::try_from(ids.len()).unwrap_or(0);
    }
    // What could not be read when a file was put aside can't be searched either: it goes as a whole.
    removed += remove_damaged(folder)?;
    Ok(removed)
}

fn remove_damaged(folder: &Path) -> std::io::Result<u64> {
    let mut removed = 0;
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if name.contains(".damaged-") {
            std::fs::remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn ids_of(path: &Path, subject: &Subject) -> Result<Vec<Vec<u8>>, StoreError> {
    let read = |connection: &Connection| {
        let sql = "SELECT id FROM facts WHERE user = (SELECT id FROM names WHERE text = ?1) \
                   AND (?2 IS NULL OR tenant = (SELECT id FROM names WHERE text = ?2)) ORDER BY id";
        let mut statement = connection.prepare(sql)?;
        let ids = statement.query_map((&subject.user, &subject.tenant), |row| row.get(0))?;
        ids.collect::<rusqlite::Result<_>>()
    };
    read(&open_to_read(path)?).map_err(named(path))
}

/// Whether the person's name stands anywhere in a file of facts.
fn mentions(path: &Path, subject: &Subject) -> Result<bool, StoreError> {
    let read = |connection: &Connection| {
        let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM names WHERE text = ?1) OR EXISTS (SELECT 1 FROM feedback WHERE by = ?1) \
                   OR EXISTS (SELECT 1 FROM started WHERE user = ?1)";
        connection
            .query_row(sql, [&subject.user], |_| Ok(()))
            .optional()
    };
    Ok(read(&open_to_read(path)?).map_err(named(path))?.is_some())
}

/// Runs deletes in one transaction, and empties the log file behind them.
fn delete(
    path: &Path,
    work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let run = || {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.pragma_update(None, "secure_delete", true)?;
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        work(&tx)?;
        tx.commit()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    run().map_err(named(path))
}

/// Deletes exchanges from a file of facts, with what hangs on them.
pub(super) fn forget_facts(path: &Path, ids: &[Vec<u8>]) -> Result<(), StoreError> {
    delete(path, |tx| {
        for table in ["facts", "attempts", "feedback", "scores", "started"] {
            let mut statement = tx.prepare(&format!("DELETE FROM {table} WHERE id = ?1"))?;
            for id in ids {
                statement.execute([id])?;
            }
        }
        super::outbox::forget(tx, ids)
    })
}

/// Deletes a person's sums, feedback and name.
fn forget_person(path: &Path, subject: &Subject) -> Result<(), StoreError> {
    delete(path, |tx| {
        let tenant = "(?2 IS NULL OR tenant = (SELECT id FROM names WHERE text = ?2))";
        tx.execute(
            &format!(
                "DELETE FROM users WHERE user = (SELECT id FROM names WHERE text = ?1) AND {tenant}"
            ),
            (&subject.user, &subject.tenant),
        )?;
        tx.execute(
            "DELETE FROM started WHERE user = ?1 AND (?2 IS NULL OR tenant = ?2)",
            (&subject.user, &subject.tenant),
        )?;
        if subject.tenant.is_none() {
            tx.execute("DELETE FROM feedback WHERE by = ?1", [&subject.user])?;
            super::outbox::forget(tx, &[])?;
        }
        // The name goes when nothing refers to it any more: another tenant may have a user of the same name.
        let named: Vec<String> = FACTS
            .iter()
            .filter(|column| column.kind == Kind::Name)
            .map(|column| format!("{} = n.id", column.name))
            .collect();
        let sql = format!(
            "DELETE FROM names AS n WHERE n.text = ?1 AND NOT EXISTS (SELECT 1 FROM facts WHERE {}) \
             AND NOT EXISTS (SELECT 1 FROM users WHERE user = n.id OR tenant = n.id) \
             AND NOT EXISTS (SELECT 1 FROM tenant_hours WHERE tenant = n.id)",
            named.join(" OR ")
        );
        tx.execute(&sql, [&subject.user]).map(|_| ())
    })
}

/// Deletes texts, and system prompts that nobody refers to any more.
pub(super) fn forget_texts(path: &Path, ids: &[Vec<u8>]) -> Result<(), StoreError> {
    delete(path, |tx| {
        for table in ["texts", "heads"] {
            let mut statement = tx.prepare(&format!("DELETE FROM {table} WHERE id = ?1"))?;
            for id in ids {
                statement.execute([id])?;
            }
        }
        let sql = "DELETE FROM systems WHERE hash NOT IN (SELECT system FROM texts WHERE system IS NOT NULL)";
        tx.execute(sql, []).map(|_| ())
    })
}

/// A person's exchanges with their texts and feedback, oldest first.
///
/// # Errors
/// A file can't be read.
pub(super) fn export(
    folder: &Path,
    codec: &Arc<Codec>,
    subject: &Subject,
) -> Result<Vec<Value>, BoxError> {
    let mut found = Vec::new();
    for day in days(folder)? {
        let ids = ids_of(&facts_path(folder, day), subject)?;
        let ids = ids
            .into_iter()
            .filter_map(|id| Some(RequestId::from_bytes(id.try_into().ok()?)));
        let reader = super::ask::Reader::new(folder.to_owned(), codec.clone());
        for id in ids {
            found.extend(reader.one(id, None)?);
        }
    }
    Ok(found)
}
