//! The embedded store: two SQLite files a day, one of facts and one of texts.
//!
//! Files of a day stand by themselves (names, rollups and schema version are inside), so that age and size are kept by
//! removing whole files, any SQLite tool can read them, and a damaged one takes nothing else with it. One process writes.

pub mod ask;
pub mod codec;
mod connect;
mod day;
mod ddl;
mod erase;
mod functions;
pub mod outbox;
mod recover;
mod retain;
mod rollup;
mod text;
mod views;

pub use day::Started;
pub use retain::{Bounds, TenantAge};

use crate::prompt::Prompt;
use crate::record::Record;
use aplomb_core::civil::{self, Civil};
use aplomb_core::erase::Subject;
use aplomb_core::error::BoxError;
use aplomb_core::id::RequestId;
use codec::Codec;
use day::DayFile;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use text::TextFile;

/// Milliseconds of a day.
pub(crate) const DAY_MS: u64 = 86_400_000;
/// Most days that are held open for writing: today, yesterday at midnight, and a straggler.
const OPEN_MAX: usize = 3;

/// What can go wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("{file}: {source}")]
    Engine {
        /// Name of the file.
        file: String,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file system says no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A newer version wrote the file.
    #[error("{file} was written by a newer version (schema {found}, known here {known})")]
    TooNew {
        /// Name of the file.
        file: String,
        /// Its version.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
}

impl StoreError {
    /// Whether the file itself is damaged, so that trying again is no use.
    pub fn is_damage(&self) -> bool {
        let StoreError::Engine { source, .. } = self else {
            return false;
        };
        matches!(
            source.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
        )
    }
}

/// One exchange on its way into the store.
pub struct Entry {
    /// The facts.
    pub record: Box<Record>,
    /// What was read from its text.
    pub prompt: Option<Prompt>,
}

/// The files of a day, open.
struct Open {
    facts: DayFile,
    text: Option<TextFile>,
}

/// The writing side of the store. One thread owns it.
pub struct Embedded {
    folder: PathBuf,
    codec: Arc<Codec>,
    node: String,
    open: BTreeMap<u64, Open>,
    /// Commits leave their keys in the outbox.
    ships: bool,
    /// Rows in the outboxes by day, once they were counted.
    backlog: Option<BTreeMap<u64, u64>>,
    /// Rows that were removed before they were shipped.
    pub unshipped: u64,
    /// What was lost with damaged files.
    pub losses: Vec<recover::Loss>,
}

/// `YYYY-MM-DD` of a day counted from 1970-01-01.
pub fn date(day: u64) -> String {
    let Civil { year, month, day } = civil::date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The day of `YYYY-MM-DD`, counted from 1970-01-01. `None` for other text.
pub fn day_of(text: &str) -> Option<u64> {
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let found = civil::day(year, month, day)?;
    (date(found) == text).then_some(found)
}

/// Days that have a file of facts, oldest first.
///
/// # Errors
/// The folder can't be read.
pub fn days(folder: &Path) -> std::io::Result<Vec<u64>> {
    let mut days = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".db"));
        days.extend(stem.and_then(day_of));
    }
    days.sort_unstable();
    Ok(days)
}

/// Path of a day's facts.
pub(crate) fn facts_path(folder: &Path, day: u64) -> PathBuf {
    folder.join(format!("{}.db", date(day)))
}

/// Path of a day's texts.
pub(crate) fn text_path(folder: &Path, day: u64) -> PathBuf {
    folder.join(format!("{}.text.db", date(day)))
}

impl Embedded {
    /// The store in a folder. Nothing is opened yet.
    pub fn new(folder: PathBuf, codec: Arc<Codec>, node: String) -> Self {
        Embedded {
            folder,
            codec,
            node,
            open: BTreeMap::new(),
            ships: false,
            backlog: None,
            unshipped: 0,
            losses: Vec::new(),
        }
    }

    /// Writes entries so that they stay: texts first, then facts with their rollups in one transaction a day. An entry that
    /// is there already is not written again.
    ///
    /// # Errors
    /// A file can't be written. Entries of other days may have been written: the call may be repeated.
    pub fn write(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut by_day: BTreeMap<u64, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            by_day
                .entry(entry.record.at_ms / DAY_MS)
                .or_default()
                .push(entry);
        }
        for (day, entries) in by_day {
            let written = self.write_day(day, &entries);
            self.checked(day, written)?;
        }
        Ok(())
    }

    /// A file that turns out to be damaged is put aside, and what can be read of it goes into a new one.
    fn checked<T>(&mut self, day: u64, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &done {
            self.open.remove(&day);
            if error.is_damage() {
                self.losses.push(recover::recover(&self.folder, day)?);
            }
        }
        done
    }

    fn write_day(&mut self, day: u64, entries: &[&Entry]) -> Result<(), StoreError> {
        let (codec, node) = (self.codec.clone(), self.node.clone());
        let open = self.day(day)?;
        let with_text = || {
            entries
                .iter()
                .filter_map(|entry| Some((entry.record.id, entry.prompt.as_ref()?.text.as_ref()?)))
        };
        if with_text().next().is_some() {
            let text = match &mut open.text {
                Some(text) => text,
                None => {
                    return Err(StoreError::Io(std::io::Error::other(
                        "the file of texts is not open",
                    )));
                }
            };
            text.write(&codec, with_text())?;
        }
        let left = open.facts.write(entries, &node)?;
        self.left(day, left);
        Ok(())
    }

    /// Notes that exchanges have begun, so that a crash leaves a trace of them.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn begin(&mut self, started: &[Started]) -> Result<(), StoreError> {
        let mut by_day: BTreeMap<u64, Vec<&Started>> = BTreeMap::new();
        for one in started {
            by_day.entry(one.id.at_ms() / DAY_MS).or_default().push(one);
        }
        for (day, started) in by_day {
            let done = self.day(day).and_then(|open| open.facts.begin(&started));
            self.checked(day, done)?;
        }
        Ok(())
    }

    /// Exchanges that had begun when the process before this one ended become records with the outcome `crashed`. Gives
    /// how many.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn settle_crashed(&mut self, now_day: u64) -> Result<u64, StoreError> {
        let mut settled = 0;
        for day in now_day.saturating_sub(1)..=now_day {
            if facts_path(&self.folder, day).exists() {
                let left = self.day(day).and_then(|open| open.facts.left_over());
                let left = self.checked(day, left)?;
                settled += u64::try_from(left.len()).unwrap_or(0);
                let entries: Vec<Entry> = left
                    .into_iter()
                    .map(|record| Entry {
                        record: Box::new(record),
                        prompt: None,
                    })
                    .collect();
                self.write(&entries)?;
            }
        }
        Ok(settled)
    }

    fn day(&mut self, day: u64) -> Result<&mut Open, StoreError> {
        if !self.open.contains_key(&day) {
            while self.open.len() >= OPEN_MAX {
                self.open.pop_first();
            }
            let facts = DayFile::open(&facts_path(&self.folder, day), self.ships)?;
            let text = TextFile::open(&text_path(&self.folder, day))?;
            self.open.insert(
                day,
                Open {
                    facts,
                    text: Some(text),
                },
            );
        }
        self.open
            .get_mut(&day)
            .ok_or_else(|| StoreError::Io(std::io::Error::other("the day is not open")))
    }

    /// Lets go of all files.
    pub fn close(&mut self) {
        self.open.clear();
    }

    /// Adds a late fact to an exchange. False if there is no such record.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn late(&mut self, id: RequestId, late: &Late) -> Result<bool, StoreError> {
        let day = id.at_ms() / DAY_MS;
        if !facts_path(&self.folder, day).exists() {
            return Ok(false);
        }
        let done = self.day(day).and_then(|open| open.facts.late(id, late));
        let known = self.checked(day, done)?;
        if known && self.ships {
            self.left(day, 1);
        }
        Ok(known)
    }

    /// Removes files that are too old or too many.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn retain(&mut self, today: u64, bounds: &Bounds) -> Result<u64, StoreError> {
        self.close();
        if !self.ships {
            return retain::retain(&self.folder, today, bounds, &BTreeMap::new())
                .map(|gone| gone.0);
        }
        let waiting = outbox::waiting_by_day(&self.folder)?;
        let gone = retain::retain(&self.folder, today, bounds, &waiting);
        self.backlog = None;
        let (files, unshipped) = gone?;
        self.unshipped += unshipped;
        Ok(files)
    }

    /// Removes all that is a person's.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn erase(&mut self, subject: &Subject) -> Result<u64, BoxError> {
        self.close();
        self.backlog = None;
        Ok(erase::erase(&self.folder, subject)?)
    }
}

/// A fact that comes after its exchange.
#[derive(Debug, Clone)]
pub enum Late {
    /// What somebody thinks of an answer.
    Feedback(Box<Feedback>),
    /// What a judge or rule says of it.
    Score(Box<Score>),
}

/// Feedback as it came; each is kept, the last of each user counts.
#[derive(Debug, Clone, Default)]
pub struct Feedback {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whose: the user, a grader, or the key.
    pub by: String,
    /// Where it comes from: `user` or `grader`.
    pub source: &'static str,
    /// 1 up, -1 down, 0 taken back.
    pub thumb: Option<i8>,
    /// 0 to 1.
    pub score: Option<f64>,
    /// `accurate`, `partly`, `inaccurate`.
    pub label: Option<String>,
    /// Masked text.
    pub comment: Option<String>,
    /// Masked text.
    pub correction: Option<String>,
    /// `regenerated`, `copied`, `edited`, `abandoned`.
    pub event: Option<String>,
}

/// A score of an answer.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Name of the evaluation.
    pub eval: String,
    /// What was judged, such as `relevance`.
    pub rubric: String,
    /// 0 to 1; `None` where the judge gave no usable answer.
    pub score: Option<f64>,
    /// Why, in masked text.
    pub reason: Option<String>,
    /// Who judged: `provider/model` or `rule`.
    pub judge: String,
    /// What the judging cost, in nano-dollars.
    pub cost_nano: Option<i64>,
}

/// One person's records, as JSON, oldest first.
///
/// # Errors
/// A file can't be read.
pub fn export(
    folder: &Path,
    codec: &Arc<Codec>,
    subject: &Subject,
) -> Result<Vec<Value>, BoxError> {
    erase::export(folder, codec, subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_names() {
        assert_eq!(
            (date(0), date(19_782), date(20_454)),
            (
                "1970-01-01".into(),
                "2024-02-29".into(),
                "2026-01-01".into()
            )
        );
        for day in [0, 1, 59, 60, 19_782, 20_454, 40_000] {
            assert_eq!(day_of(&date(day)), Some(day));
        }
        for bad in [
            "",
            "2026-1-01",
            "2026-02-30",
            "2026-13-01",
            "x026-01-01",
            "2026-01-01.text",
        ] {
            assert_eq!(day_of(bad), None, "{bad}");
        }
    }
}
