//! A damaged file is put aside, and what can be read of it goes into a new one.

use super::connect::named;
use super::{StoreError, date, ddl, facts_path, text_path};
use crate::schema::VERSION;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// What became of a damaged day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// Rows of facts that could be read.
    pub kept_facts: u64,
    /// Texts that could be read.
    pub kept_texts: u64,
    /// Where the damaged files are.
    pub aside: Vec<PathBuf>,
}

/// Puts a day's files aside as `*.damaged-N` and copies what can be read. Rows before and behind the damage are kept; what
/// is in the damaged pages is lost.
///
/// # Errors
/// The folder can't be written.
pub(super) fn recover(folder: &Path, day: u64) -> Result<Loss, StoreError> {
    let mut loss = Loss {
        day: date(day),
        kept_facts: 0,
        kept_texts: 0,
        aside: Vec::new(),
    };
    let facts = facts_path(folder, day);
    if is_damaged(&facts) {
        let aside = put_aside(&facts)?;
        let tables = [
            "names",
            "facts",
            "attempts",
            "started",
            "minutes",
            "hours",
            "tenant_hours",
            "users",
            "feedback",
            "scores",
            "outbox",
        ];
        loss.kept_facts = salvage(
            &aside,
            &facts,
            &ddl::create_facts(VERSION),
            VERSION,
            &tables,
        )?;
        loss.aside.push(aside);
    }
    let text = text_path(folder, day);
    if is_damaged(&text) {
        let aside = put_aside(&text)?;
        loss.kept_texts = salvage(
            &aside,
            &text,
            ddl::CREATE_TEXTS,
            ddl::TEXT_VERSION,
            &["systems", "heads", "texts"],
        )?;
        loss.aside.push(aside);
    }
    Ok(loss)
}

/// Whether SQLite finds a fault in the file. Reads all of it.
fn is_damaged(path: &Path) -> bool {
    if !path.exists() {
        return false;
    }
    let sound = || {
        let connection = Connection::open(path)?;
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
    };
    sound().map_or(true, |verdict: String| verdict != "ok")
}

fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    let name = |n: u32| PathBuf::from(format!("{}.damaged-{n}", path.display()));
    let free = (1..)
        .map(name)
        .find(|path| !path.exists())
        .unwrap_or_else(|| name(0));
    std::fs::rename(path, &free)?;
    for ending in ["-wal", "-shm"] {
        let beside = PathBuf::from(format!("{}{ending}", path.display()));
        if beside.exists() {
            std::fs::rename(&beside, format!("{}{ending}", free.display()))?;
        }
    }
    Ok(free)
}

/// Copies what can be read into a new file; gives the rows of the table that counts: the last one that is not a rollup.
fn salvage(
    from: &Path,
    to: &Path,
    create: &str,
    version: u32,
    tables: &[&str],
) -> Result<u64, StoreError> {
    let wrap = named(to);
    let fresh = Connection::open(to).map_err(&wrap)?;
    fresh
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(&wrap)?;
    fresh.execute_batch(create).map_err(&wrap)?;
    fresh
        .pragma_update(None, "user_version", version)
        .map_err(&wrap)?;
    let Ok(old) = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return Ok(0);
    };
    let mut kept = 0;
    for table in tables {
        let rows = copy(&old, &fresh, table);
        if matches!(*table, "facts" | "texts") {
            kept = rows;
        }
    }
    Ok(kept)
}

/// Copies a table's rows from both of its ends until a damaged page is met.
fn copy(old: &Connection, fresh: &Connection, table: &str) -> u64 {
    let _ = fresh.execute_batch("BEGIN");
    let mut copied = 0;
    for order in ["ASC", "DESC"] {
        copied += copy_in_order(old, fresh, table, order).unwrap_or(0);
    }
    let _ = fresh.execute_batch("COMMIT");
    copied
}

fn copy_in_order(
    old: &Connection,
    fresh: &Connection,
    table: &str,
    order: &str,
) -> rusqlite::Result<u64> {
    let names: Vec<String> = {
        let mut statement =
            old.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
        let names = statement.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<_>>()?
    };
    let list = names.join(", ");
    let places = vec!["?"; names.len()].join(", ");
    let mut read = old.prepare(&format!("SELECT {list} FROM {table} ORDER BY 1 {order}"))?;
    let mut write = fresh.prepare(&format!(
        "INSERT OR IGNORE INTO {table} ({list}) VALUES ({places})"
    ))?;
    let mut rows = read.query([])?;
    let mut copied = 0;
    // An error here is the damage: what came before it is kept.
    while let Ok(Some(row)) = rows.next() {
        for at in 0..names.len() {
            write.raw_bind_parameter(at + 1, row.get::<_, rusqlite::types::Value>(at)?)?;
        }
        match write.raw_execute()? {
            // Met from the other end: everything is copied.
            0 => break,
            n => copied += u64::try_from(n).unwrap_or(0),
        }
    }
    Ok(copied)
}
