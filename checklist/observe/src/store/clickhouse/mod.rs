//! The outgrown store: ClickHouse. Day files stay the first place of every record; what they hold is shipped from there in
//! batches, each exactly once, and questions can be asked here instead.

pub mod ask;
mod client;
pub mod ddl;
mod erase;
mod guard;
mod rows;
pub mod ship;
pub mod telemetry;

pub use client::{CallError, Fault};

use crate::store::embedded::ask::AskError;
use client::{Call, Client};
use serde::Deserialize;
use serde_json::Value;
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time of one statement that defines tables.
const DEFINE: Duration = Duration::from_secs(60);
/// ClickHouse's number for a database that is not there.
const NO_DATABASE: u32 = 81;
/// How long an insert may take unless the settings say otherwise. Chosen: what a server under load needs for some thousand
/// rows, many times over.
pub const INSERT: Duration = Duration::from_secs(25);

/// Where ClickHouse is, and what goes there.
#[derive(Clone)]
pub struct Settings {
    /// Address of its HTTP interface, such as `http://host:8123`.
    pub url: String,
    /// Database; it is made where it is missing.
    pub database: String,
    /// User.
    pub user: String,
    /// Password; never shown.
    pub password: Option<String>,
    /// Whether texts go there too.
    pub texts: bool,
    /// How long rows stay.
    pub keep: Keep,
    /// Questions that name no store are answered here.
    pub first: bool,
    /// How long ClickHouse may work on an insert; it is given up five seconds later.
    pub insert: Duration,
}

/// How long rows stay, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Facts, calls, feedback, scores and sums.
    pub facts_days: u64,
    /// Texts.
    pub text_days: u64,
}

/// The store. Calls block; none may be made on a thread of an async runtime.
pub struct ClickHouse {
    client: Client,
    database: String,
    texts: bool,
    first: bool,
    keep: Keep,
    insert: Duration,
    /// Held while a batch is under way, so that an erasure meets none.
    sending: Mutex<Sending>,
}

#[derive(Debug, Default)]
struct Sending {
    /// When an insert ended of which nobody knows whether ClickHouse took it.
    in_doubt: Option<Instant>,
}

/// Rows of an answer.
#[derive(Debug, Deserialize)]
struct Answer {
    meta: Vec<ColumnMeta>,
    data: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
struct ColumnMeta {
    name: String,
}

/// A text as a literal of ClickHouse's SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl ClickHouse {
    /// The store at an address. Nothing is sent yet.
    ///
    /// # Errors
    /// The address is none, or the system gives no threads.
    pub fn new(settings: Settings) -> io::Result<Self> {
        Ok(ClickHouse {
            database: settings.database.clone(),
            texts: settings.texts,
            first: settings.first,
            keep: settings.keep,
            insert: settings.insert,
            client: Client::new(settings)?,
            sending: Mutex::default(),
        })
    }

    /// Whether texts are kept there.
    pub fn keeps_texts(&self) -> bool {
        self.texts
    }

    /// Whether questions that name no store are answered here.
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// Makes what is missing of the database, its tables and their columns, and sets how long rows stay. May be repeated, and
    /// run by several nodes at once.
    ///
    /// # Errors
    /// ClickHouse can't be reached, or refuses a statement.
    pub fn migrate(&self) -> Result<(), CallError> {
        let keep = self.keep;
        if let Err(error) = self.define(ddl::VERSIONS) {
            if error.code != Some(NO_DATABASE) {
                return Err(error);
            }
            self.client.call(&Call {
                sql: &format!("CREATE DATABASE IF NOT EXISTS `{}`", self.database),
                ..Call::new(DEFINE)
            })?;
            self.define(ddl::VERSIONS)?;
        }
        let sql = "SELECT toInt64(max(version)), argMax(keep, at) FROM schema_versions";
        let found = self.select(sql, &[], DEFINE)?;
        let first = found.data.first();
        let version = first.and_then(|row| row.first()?.as_u64()).unwrap_or(0);
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        let kept = first
            .and_then(|row| row.get(1)?.as_str())
            .unwrap_or_default();
        for statement in ddl::tables(crate::schema::VERSION, keep) {
            self.define(&statement)?;
        }
        for statement in ddl::upgrade(version) {
            self.define(&statement)?;
        }
        let wanted = format!("{}/{}", keep.facts_days, keep.text_days);
        if version != 0 && kept != wanted {
            for statement in ddl::retention(keep) {
                self.define(&statement)?;
            }
        }
        if version < crate::schema::VERSION || kept != wanted {
            let newest = version.max(crate::schema::VERSION);
            self.define(&format!(
                "INSERT INTO schema_versions (version, keep) VALUES ({newest}, {})",
                quoted(&wanted)
            ))?;
        }
        Ok(())
    }

    fn define(&self, sql: &str) -> Result<(), CallError> {
        let call = Call {
            sql,
            database: Some(&self.database),
            ..Call::new(DEFINE)
        };
        self.client.call(&call).map(|_| ())
    }

    /// Rows of a select of ours.
    fn select(
        &self,
        sql: &str,
        settings: &[(&str, String)],
        time: Duration,
    ) -> Result<Answer, CallError> {
        let mut all = vec![
            ("default_format", "JSONCompact".to_owned()),
            ("output_format_json_quote_64bit_integers", "0".to_owned()),
            // Ids of users stand in questions; they are not to be kept in the log of queries.
            ("log_queries", "0".to_owned()),
        ];
        all.extend(settings.iter().cloned());
        let call = Call {
            sql,
            database: Some(&self.database),
            settings: &all,
            ..Call::new(time)
        };
        let bytes = self.client.call(&call)?;
        serde_json::from_slice(&bytes).map_err(|_| CallError::odd())
    }
}

impl From<CallError> for AskError {
    fn from(error: CallError) -> Self {
        AskError::Away(error.to_string())
    }
}
