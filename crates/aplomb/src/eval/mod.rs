//! `aplomb eval`: suites and traffic against models, suites from bad feedback, what scores say, what has shifted. All of it
//! works on the data folder and the configuration's providers itself, whether a gateway runs or not.

mod grow;
mod run;
mod show;
mod table;
mod traffic;

use crate::cli::{ConfigArgs, EvalArgs, EvalCommand};
use crate::load::Origin;
use crate::output::Failure;
use crate::records;
use aplomb_config::file::ConfigFile;
use aplomb_core::clock::{Clock, SystemClock};
use aplomb_observe::store::embedded::ask::{Limits, Reader, Sql};
use aplomb_observe::writer::folder;
use serde_json::Value;
use std::time::Duration;

const DAY_MS: u64 = 86_400_000;

/// `aplomb eval ...`.
///
/// # Errors
/// What went wrong, for people; a score beyond its bound.
pub fn run(args: &EvalArgs) -> Result<(), Failure> {
    match &args.command {
        EvalCommand::Run(wanted) => run::run(&args.config, wanted),
        EvalCommand::Grow(wanted) => grow::run(&args.config, wanted),
        EvalCommand::Report { days, json } => show::report(&args.config, *days, *json),
        EvalCommand::Drift { day, json } => show::drift(&args.config, day.as_deref(), *json),
    }
}

/// The records of an installation, to be read.
struct Folder {
    file: ConfigFile,
    reader: Reader,
}

impl Folder {
    fn open(config: &ConfigArgs) -> Result<Folder, Failure> {
        let origin = Origin::of(config);
        let (parsed, _) = origin.read().map_err(Failure::wrong)?;
        let codec = records::codec(&parsed.file, &origin.base_dir())?;
        let path = folder(&parsed.file.server.data_dir);
        if !path.exists() {
            return Err(Failure::wrong(format!(
                "there are no records in {}; a gateway writes them as it serves",
                path.display()
            )));
        }
        Ok(Folder {
            reader: Reader::new(path, codec),
            file: parsed.file,
        })
    }

    /// Rows of a question, asked of each day from a moment until now.
    fn rows(&self, since_ms: u64, query: &str) -> Result<Vec<Vec<Value>>, Failure> {
        let mut rows = Vec::new();
        for day in since_ms / DAY_MS..=SystemClock.now_ms() / DAY_MS {
            let table = self.reader.sql(&Sql {
                query: query.to_owned(),
                days: day..=day,
                tenant: None,
                limits: Limits {
                    rows: 500_000,
                    bytes: 128 << 20,
                    time: Duration::from_secs(60),
                },
            });
            rows.extend(table.map_err(Failure::wrong)?.rows);
        }
        Ok(rows)
    }
}

/// A text in single quotes, for SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The moment so long ago, in milliseconds since the Unix epoch.
fn ago(span: Duration) -> u64 {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    SystemClock.now_ms().saturating_sub(ms)
}
