//! How the files are opened.

use super::StoreError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// Wraps SQLite's errors with the name of the file.
pub(super) fn named(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
    let file = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    move |source| StoreError::Engine {
        file: file.clone(),
        source,
    }
}

/// Memory for pages of a file that is written.
const CACHE_KIB: i64 = 24 * 1024;
/// Pages in the log before they are written back: 32 MiB.
const CHECKPOINT_PAGES: i64 = 8192;
/// Small: rows of one user lie apart, so a commit changes many pages, and each goes into the log whole.
const PAGE_BYTES: u32 = 4096;

/// Opens a file for writing, and makes it if there is none. `create` makes the tables; `upgrade` takes an older file, whose
/// version it is given, to the newest.
///
/// # Errors
/// The file can't be opened, is damaged, or newer than `version`.
pub(super) fn open(
    path: &Path,
    version: u32,
    create: &str,
    upgrade: impl FnOnce(&Connection, u32) -> rusqlite::Result<()>,
) -> Result<Connection, StoreError> {
    let wrap = named(path);
    let mut connection = Connection::open(path).map_err(&wrap)?;
    let found = prepare(&mut connection, version, create, upgrade).map_err(&wrap)?;
    if found > version {
        let file = path.display().to_string();
        return Err(StoreError::TooNew {
            file,
            found,
            known: version,
        });
    }
    Ok(connection)
}

fn prepare(
    connection: &mut Connection,
    version: u32,
    create: &str,
    upgrade: impl FnOnce(&Connection, u32) -> rusqlite::Result<()>,
) -> rusqlite::Result<u32> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The pages of the index by user are met at random: they are held, and go back to the file in larger lots. Not mapped
    // into memory: a fault of the disk would then end the process instead of being an error.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    // What is deleted is overwritten: an erasure leaves nothing in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found < version {
        if found == 0 {
            tx.execute_batch(create)?;
        } else {
            upgrade(&tx, found)?;
        }
        tx.pragma_update(None, "user_version", version)?;
    }
    tx.commit()?;
    Ok(found)
}

/// Opens a file for reading only.
///
/// # Errors
/// It can't be opened.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(named(path))?;
    connection
        .busy_timeout(Duration::from_secs(10))
        .map_err(named(path))?;
    Ok(connection)
}
