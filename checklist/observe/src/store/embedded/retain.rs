//! How long files stay: by age and by size, facts and texts apart.

use super::{StoreError, connect, days, facts_path, text_path};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a tenant keeps shorter than others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantAge {
    /// Name of the tenant.
    pub tenant: String,
    /// Days of facts.
    pub facts_days: Option<u64>,
    /// Days of texts.
    pub text_days: Option<u64>,
}

/// Bounds of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Days of facts.
    pub facts_days: u64,
    /// Days of texts.
    pub text_days: u64,
    /// Bytes of all files of facts.
    pub facts_bytes: u64,
    /// Bytes of all files of texts.
    pub text_bytes: u64,
    /// Shorter times of some tenants.
    pub tenants: Vec<TenantAge>,
}

/// A file with those that SQLite keeps beside it.
fn family(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|ending| PathBuf::from(format!("{}{ending}", path.display())))
}

pub(super) fn size(path: &Path) -> u64 {
    let sizes = family(path)
        .into_iter()
        .filter_map(|path| path.metadata().ok());
    sizes.map(|meta| meta.len()).sum()
}

pub(super) fn remove(path: &Path) -> std::io::Result<u64> {
    let mut removed = 0;
    for file in family(path) {
        match std::fs::remove_file(&file) {
            Ok(()) => removed = 1,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// Removes what is too old, then the oldest of what is too much; today's files always stay. `waiting`: rows of a day that
/// are not shipped yet; such a day stays however old it is, and goes only where there is too much. Gives how many files went,
/// and how many rows that were not shipped.
///
/// # Errors
/// A file can't be removed or written.
pub(super) fn retain(
    folder: &Path,
    today: u64,
    bounds: &Bounds,
    waiting: &BTreeMap<u64, u64>,
) -> Result<(u64, u64), StoreError> {
    let mut removed = 0;
    let all = days(folder)?;
    for day in all.iter().filter(|day| !waiting.contains_key(day)) {
        let age = today.saturating_sub(*day);
        if age > bounds.facts_days {
            removed += remove(&facts_path(folder, *day))?;
        }
        if age > bounds.text_days.min(bounds.facts_days) {
            removed += remove(&text_path(folder, *day))?;
        }
    }
    removed += shrink(&all, today, bounds.text_bytes, &|day| {
        text_path(folder, day)
    })?;
    removed += shrink(&all, today, bounds.facts_bytes, &|day| {
        facts_path(folder, day)
    })?;
    for tenant in &bounds.tenants {
        shorten(folder, today, tenant)?;
    }
    let lost = waiting
        .iter()
        .filter(|(day, _)| !facts_path(folder, **day).exists());
    Ok((removed, lost.map(|(_, rows)| rows).sum()))
}

/// Removes the oldest files until the rest is no more than so many bytes.
fn shrink(
    days: &[u64],
    today: u64,
    bytes: u64,
    path: &dyn Fn(u64) -> PathBuf,
) -> std::io::Result<u64> {
    let mut sum: u64 = days.iter().map(|day| size(&path(*day))).sum();
    let mut removed = 0;
    for day in days.iter().filter(|day| **day < today) {
        if sum <= bytes {
            break;
        }
        sum -= size(&path(*day));
        removed += remove(&path(*day))?;
    }
    Ok(removed)
}

/// Deletes one tenant's rows of days past its time. A day is looked at again each time, which costs an index look-up.
fn shorten(folder: &Path, today: u64, tenant: &TenantAge) -> Result<(), StoreError> {
    for day in days(folder)? {
        let age = today.saturating_sub(day);
        let past = |days: Option<u64>| days.is_some_and(|days| age > days);
        let (facts, text) = (facts_path(folder, day), text_path(folder, day));
        if !past(tenant.facts_days) && !past(tenant.text_days) {
            continue;
        }
        let ids = ids_of(&facts, &tenant.tenant)?;
        if text.exists() && !ids.is_empty() {
            super::erase::forget_texts(&text, &ids)?;
        }
        if past(tenant.facts_days) && !ids.is_empty() {
            super::erase::forget_facts(&facts, &ids)?;
        }
    }
    Ok(())
}

fn ids_of(path: &Path, tenant: &str) -> Result<Vec<Vec<u8>>, StoreError> {
    let read = |connection: &rusqlite::Connection| {
        let sql = "SELECT id FROM facts WHERE tenant = (SELECT id FROM names WHERE text = ?1)";
        let mut statement = connection.prepare(sql)?;
        let ids = statement.query_map([tenant], |row| row.get(0))?;
        ids.collect::<rusqlite::Result<_>>()
    };
    read(&connect::open_to_read(path)?).map_err(connect::named(path))
}
