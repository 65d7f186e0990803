//! Records of one person, taken out of the day files or handed over.

use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::BoxError;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The folder of day files, while no gateway writes to it.
pub struct RecordFolder(PathBuf);

impl RecordFolder {
    /// The folder `records` below `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        RecordFolder(data_dir.join("records"))
    }
}

impl Erase for RecordFolder {
    fn store(&self) -> &'static str {
        "records"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        // A gateway that has a file open would go on writing to the one that was replaced.
        let lock = lock_file(&self.0)?;
        lock.try_lock()
            .map_err(|_| "a gateway writes to this folder: let it erase")?;
        Ok(erase(&self.0, subject)?)
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        Ok(export(&self.0, subject)?)
    }
}

#[derive(Deserialize)]
struct Owner<'a> {
    #[serde(borrow, default)]
    tenant: Cow<'a, str>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
}

fn is_theirs(line: &str, subject: &Subject) -> bool {
    let owner = serde_json::from_str::<Owner>(line);
    owner.is_ok_and(|owner| {
        let user = owner.user.as_deref();
        user.is_some_and(|user| subject.owns(&owner.tenant, user))
    })
}

/// The file that tells whether somebody writes here: gateways hold it shared, an erasure without one alone.
pub(crate) fn lock_file(folder: &Path) -> std::io::Result<File> {
    let options = &mut OpenOptions::new();
    let options = options.create(true).truncate(false).write(true);
    options.open(folder.join("lock"))
}

/// Day files, oldest first.
fn days(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut days = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            days.push(path);
        }
    }
    days.sort();
    Ok(days)
}

/// Takes a person's records out of all day files.
///
/// A file is written anew beside the old one and takes its place whole, so that a crash leaves one or the other.
///
/// # Errors
/// A file can't be read or written.
pub(crate) fn erase(folder: &Path, subject: &Subject) -> std::io::Result<u64> {
    let mut removed = 0;
    for day in days(folder)? {
        removed += erase_from(&day, subject)?;
    }
    Ok(removed)
}

fn erase_from(day: &Path, subject: &Subject) -> std::io::Result<u64> {
    let fresh = day.with_extension("erasing");
    let mut out = BufWriter::new(File::create(&fresh)?);
    let mut removed = 0;
    for line in BufReader::new(File::open(day)?).split(b'\n') {
        let line = line?;
        if is_theirs(&String::from_utf8_lossy(&line), subject) {
            removed += 1;
        } else {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
    }
    let out = out.into_inner().map_err(|error| error.into_error())?;
    if removed == 0 {
        drop(out);
        std::fs::remove_file(&fresh)?;
        return Ok(0);
    }
    out.sync_all()?;
    drop(out);
    std::fs::rename(&fresh, day)?;
    Ok(removed)
}

/// A person's records.
///
/// # Errors
/// A file can't be read.
pub(crate) fn export(folder: &Path, subject: &Subject) -> std::io::Result<Vec<Value>> {
    let mut found = Vec::new();
    for day in days(folder)? {
        for line in BufReader::new(File::open(day)?).split(b'\n') {
            let line = line?;
            let text = String::from_utf8_lossy(&line);
            if is_theirs(&text, subject) {
                found.extend(serde_json::from_str::<Value>(&text));
            }
        }
    }
    Ok(found)
}

/// Removes day files whose day is older than `keep_days` before `today` (both counted from 1970-01-01).
///
/// # Errors
/// The folder can't be read, or a file can't be removed.
pub(crate) fn age(folder: &Path, today: u64, keep_days: u64) -> std::io::Result<u64> {
    let oldest = crate::writer::date(today.saturating_sub(keep_days));
    let mut removed = 0;
    for day in days(folder)? {
        let name = day.file_stem().and_then(|name| name.to_str());
        // Dates of this form sort as text.
        if name.is_some_and(|name| name.len() == oldest.len() && name < oldest.as_str()) {
            std::fs::remove_file(&day)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let records = dir.path().join("records");
        std::fs::create_dir(&records).unwrap();
        let line =
            |tenant: &str, user: &str| format!("{{\"tenant\":\"{tenant}\",\"user\":\"{user}\"}}\n");
        let day = [
            line("a", "u1"),
            line("a", "u2"),
            line("b", "u1"),
            "torn".to_owned(),
        ]
        .concat();
        std::fs::write(records.join("2026-01-01.jsonl"), day).unwrap();
        std::fs::write(records.join("2026-01-02.jsonl"), line("a", "u1")).unwrap();
        dir
    }

    fn subject(tenant: Option<&str>) -> Subject {
        Subject {
            tenant: tenant.map(str::to_owned),
            user: "u1".into(),
        }
    }

    #[test]
    fn only_theirs_goes() {
        let dir = folder();
        let store = RecordFolder::new(dir.path());
        assert_eq!(store.export(&subject(None)).unwrap().len(), 3);
        assert_eq!(store.erase(&subject(Some("a"))).unwrap(), 2);
        assert_eq!(store.export(&subject(None)).unwrap().len(), 1);
        assert_eq!(store.erase(&subject(None)).unwrap(), 1);
        let left = std::fs::read_to_string(dir.path().join("records/2026-01-01.jsonl")).unwrap();
        assert!(
            left.contains("u2") && left.contains("torn") && !left.contains("u1"),
            "{left}"
        );
        let records = dir.path().join("records");
        // Two days and the lock.
        assert_eq!(std::fs::read_dir(&records).unwrap().count(), 3);
        let writes = lock_file(&records).unwrap();
        writes.try_lock_shared().unwrap();
        assert!(store.erase(&subject(None)).is_err(), "a gateway writes");
    }

    #[test]
    fn old_days_go() {
        let dir = folder();
        let records = dir.path().join("records");
        // 2026-01-03 is day 20,456.
        assert_eq!(age(&records, 20_456, 1).unwrap(), 1);
        assert!(!records.join("2026-01-01.jsonl").exists());
        assert!(records.join("2026-01-02.jsonl").exists());
    }
}
