//! Questions to the store: one exchange, a list of them, free SQL. Reading never waits for the writer.

use super::codec::Codec;
use super::connect::{named, open_to_read};
use super::views::{VIEWS, Views, only_reading, texts};
use super::{StoreError, date, days, ddl, facts_path, functions, text_path};
use crate::schema::{FACTS, Kind};
use aplomb_core::id::RequestId;
use aplomb_core::money::NanoUsd;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most days that one question of SQL may span: SQLite attaches two files for each.
pub const DAYS_MAX: u64 = 60;
/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 10_000;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The question is wrong; the message says where.
    #[error("{0}")]
    Wrong(String),
    /// It took too long.
    #[error("the question took longer than {} s; ask for fewer days, or ask the rollups (minutes, hours, tenants, users)", .0.as_secs_f64())]
    Slow(Duration),
    /// The shared store gives no answer.
    #[error("{0}")]
    Away(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<std::io::Error> for AskError {
    fn from(error: std::io::Error) -> Self {
        AskError::Store(error.into())
    }
}

/// What an answer may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows; further ones are left out, and the answer says so.
    pub rows: usize,
    /// Bytes of values; further rows are left out.
    pub bytes: usize,
    /// Time.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rows: 1_000,
            bytes: 16 << 20,
            time: Duration::from_secs(10),
        }
    }
}

/// A question in SQL.
#[derive(Debug, Clone)]
pub struct Sql {
    /// One `SELECT` over the views of `docs/records.md`.
    pub query: String,
    /// Days that it sees, counted from 1970-01-01.
    pub days: RangeInclusive<u64>,
    /// Only this tenant's rows; `None`: all.
    pub tenant: Option<String>,
    /// Bounds.
    pub limits: Limits,
}

/// An answer as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Values, row by row.
    pub rows: Vec<Vec<Value>>,
    /// Rows were left out.
    pub truncated: bool,
}

/// Which exchanges a list shows. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Tenant.
    pub tenant: Option<String>,
    /// End user.
    pub user: Option<String>,
    /// Public id of the key.
    pub key: Option<String>,
    /// Conversation.
    pub session: Option<String>,
    /// Route.
    pub route: Option<String>,
    /// `provider/model` that answered.
    pub target: Option<String>,
    /// Model as asked for.
    pub model: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// HTTP status.
    pub status: Option<u16>,
    /// Code of the error.
    pub error_code: Option<String>,
    /// Language of the last user message.
    pub language: Option<String>,
    /// At least so long, in milliseconds.
    pub slower_than_ms: Option<u64>,
    /// Last thumb: `up` or `down`.
    pub thumb: Option<String>,
    /// Text that stands in the conversation, the answer or the heads; upper and lower case are alike.
    pub text: Option<String>,
    /// Not before this time (milliseconds since the Unix epoch).
    pub since_ms: Option<u64>,
    /// Before this time.
    pub until_ms: Option<u64>,
    /// Older than this record, for the next page.
    pub before: Option<String>,
    /// Most rows. Default 50, at most 1,000.
    pub limit: Option<usize>,
}

/// Answers questions. Keeps files open between them. Calls block.
pub struct Reader {
    folder: PathBuf,
    codec: Arc<Codec>,
    pool: Mutex<Pool>,
}

/// Connections at rest.
#[derive(Default)]
struct Pool {
    days: Vec<Day>,
    views: Vec<(ViewKey, Connection)>,
}

/// Most days, and most sets of days, that are held open.
const DAYS_HELD: usize = 40;
const VIEWS_HELD: usize = 3;

/// Which files a connection sees: a file that was replaced is another one.
type FileKey = Option<u64>;
/// Tenant, and files of the days.
type ViewKey = (Option<String>, Vec<(u64, FileKey, FileKey)>);

/// A connection that sees some days as views.
struct Attached {
    key: ViewKey,
    connection: Connection,
    /// It sees all of them: none was just being made, or recovered.
    complete: bool,
}

/// One day, open: facts as `main`, texts as `t` where there are some.
struct Day {
    day: u64,
    files: (FileKey, FileKey),
    connection: Connection,
}

impl Day {
    fn with_text(&self) -> bool {
        self.files.1.is_some()
    }
}

fn file_key(path: &Path) -> FileKey {
    use std::os::unix::fs::MetadataExt;
    path.metadata().ok().map(|meta| meta.ino())
}

/// A text in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Text as JSON, by the kind of its column.
fn value(kind: Kind, raw: ValueRef<'_>) -> Value {
    match (kind, raw) {
        (Kind::Flag, ValueRef::Integer(n)) => Value::Bool(n != 0),
        (Kind::Json, ValueRef::Text(text)) => serde_json::from_slice(text).unwrap_or(Value::Null),
        (_, raw) => plain(raw),
    }
}

pub(super) fn plain(raw: ValueRef<'_>) -> Value {
    match raw {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => n.into(),
        ValueRef::Real(n) => n.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => bytes
            .iter()
            .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
            .into(),
    }
}

/// The facts of a row as JSON: the columns of the view `requests`, but money as decimal US dollars and the time as text.
fn facts(row: &Row<'_>) -> rusqlite::Result<Map<String, Value>> {
    let mut members = Map::new();
    for (at, column) in FACTS.iter().enumerate() {
        let value = value(column.kind, row.get_ref(at)?);
        match column.kind {
            Kind::Nano => members.insert(column.name.replace("_nano", "_usd"), usd(&value)),
            Kind::Time => members.insert(column.name.to_owned(), moment(&value)),
            _ => members.insert(column.name.to_owned(), value),
        };
    }
    Ok(members)
}

/// Nano-dollars as decimal text.
pub(crate) fn usd(nano: &Value) -> Value {
    nano.as_i64()
        .map_or(Value::Null, |nano| NanoUsd(nano).to_string().into())
}

/// Microseconds since 1970 as `YYYY-MM-DDThh:mm:ss.mmmZ`.
pub(crate) fn moment(us: &Value) -> Value {
    let Some(ms) = us.as_u64().map(|us| us / 1000) else {
        return Value::Null;
    };
    let s = ms / 1000;
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}Z",
        date(s / 86_400),
        s / 3600 % 24,
        s / 60 % 60,
        s % 60,
        ms % 1000
    )
    .into()
}

impl Reader {
    /// A reader of a folder of records.
    pub fn new(folder: PathBuf, codec: Arc<Codec>) -> Self {
        Reader {
            folder,
            codec,
            pool: Mutex::default(),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the files of a day, or takes them from the pool. `None`: there are no records of that day.
    fn day(&self, day: u64) -> Result<Option<Day>, AskError> {
        let (path, text) = (facts_path(&self.folder, day), text_path(&self.folder, day));
        let files = (file_key(&path), file_key(&text));
        let mut pool = self.pool();
        pool.days
            .retain(|held| held.day != day || held.files == files);
        if let Some(at) = pool.days.iter().position(|held| held.day == day) {
            return Ok(Some(pool.days.swap_remove(at)));
        }
        drop(pool);
        if files.0.is_none() {
            return Ok(None);
        }
        let connection = open_to_read(&path)?;
        if version(&connection, "main").map_err(named(&path))? == 0 {
            // It is just being made.
            return Ok(None);
        }
        functions::register(&connection, &self.codec).map_err(named(&path))?;
        if files.1.is_some() {
            attach(&connection, &text, "t").map_err(named(&text))?;
        }
        Ok(Some(Day {
            day,
            files,
            connection,
        }))
    }

    /// Gives a day back to the pool.
    fn rest(&self, day: Day) {
        let mut pool = self.pool();
        if pool.days.len() >= DAYS_HELD {
            pool.days.swap_remove(0);
        }
        pool.days.push(day);
    }

    /// One exchange with its calls, feedback, scores and text. `None`: there is none, or it is another tenant's.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn one(&self, id: RequestId, tenant: Option<&str>) -> Result<Option<Value>, AskError> {
        let Some(day) = self.day(id.at_ms() / super::DAY_MS)? else {
            return Ok(None);
        };
        let connection = &day.connection;
        let read = || -> rusqlite::Result<Option<Value>> {
            let version = version(connection, "main")?;
            let sql = format!("{} WHERE f.id = ?1", ddl::requests("", version));
            let Some(mut members) = connection
                .prepare(&sql)?
                .query_row([id.to_bytes()], facts)
                .optional()?
            else {
                return Ok(None);
            };
            if tenant
                .is_some_and(|tenant| members.get("tenant").and_then(Value::as_str) != Some(tenant))
            {
                return Ok(None);
            }
            let own = " WHERE f.id = ?1";
            for (name, select) in [
                ("attempts", ddl::attempts("", "f.id = ?1")),
                ("feedback", ddl::feedback("") + own + " ORDER BY seq"),
                ("scores", ddl::scores("") + own + " ORDER BY seq"),
            ] {
                members.insert(name.into(), objects(connection, &select, id)?.into());
            }
            members.insert(
                "text".into(),
                if day.with_text() {
                    text(connection, id)?
                } else {
                    Value::Null
                },
            );
            Ok(Some(Value::Object(members)))
        };
        let found = read().map_err(named(&facts_path(&self.folder, day.day)))?;
        self.rest(day);
        Ok(found)
    }

    /// Exchanges that fit, newest first, with the heads of their texts.
    ///
    /// # Errors
    /// A file can't be read, or the filter is wrong.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Value>, AskError> {
        let wanted = filter.limit.unwrap_or(50).min(1_000);
        let before = match &filter.before {
            None => None,
            Some(text) => Some(
                RequestId::parse(text)
                    .ok_or_else(|| AskError::Wrong("before: expected a record id".into()))?,
            ),
        };
        let mut found = Vec::new();
        for day in days(&self.folder)?.into_iter().rev() {
            let begins = day * super::DAY_MS;
            let later = filter.until_ms.is_some_and(|until| begins >= until)
                || before.is_some_and(|before| begins > before.at_ms());
            if later {
                continue;
            }
            if filter
                .since_ms
                .is_some_and(|since| begins + super::DAY_MS <= since)
                || found.len() >= wanted
            {
                break;
            }
            let Some(open) = self.day(day)? else {
                continue;
            };
            found.extend(
                page(&open, filter, before, wanted - found.len())
                    .map_err(named(&facts_path(&self.folder, day)))?,
            );
            self.rest(open);
        }
        Ok(found)
    }

    /// Runs work on the files of each of these days, oldest first: facts as `main`, texts as `t` where the flag says so.
    ///
    /// # Errors
    /// A file can't be read.
    pub(crate) fn each_day(
        &self,
        asked: RangeInclusive<u64>,
        mut work: impl FnMut(&Connection, bool) -> rusqlite::Result<()>,
    ) -> Result<(), AskError> {
        for day in days(&self.folder)?
            .into_iter()
            .filter(|day| asked.contains(day))
        {
            if let Some(open) = self.day(day)? {
                work(&open.connection, open.with_text())
                    .map_err(named(&facts_path(&self.folder, day)))?;
                self.rest(open);
            }
        }
        Ok(())
    }

    /// Answers a question in SQL.
    ///
    /// # Errors
    /// The question is wrong or too slow, or a file can't be read.
    pub fn sql(&self, sql: &Sql) -> Result<Table, AskError> {
        let Attached {
            key,
            mut connection,
            complete,
        } = self.attached(sql)?;
        let (deadline, time) = (Instant::now() + sql.limits.time, sql.limits.time);
        let wrong = |error: rusqlite::Error| explain(&error, &sql.query, time);
        connection
            .progress_handler(STEPS, Some(move || Instant::now() > deadline))
            .map_err(wrong)?;
        connection.authorizer(Some(only_reading)).map_err(wrong)?;
        let table = answer(&connection, sql).map_err(wrong)?;
        if complete {
            let mut pool = self.pool();
            if pool.views.len() >= VIEWS_HELD {
                pool.views.remove(0);
            }
            pool.views.push((key, connection));
        }
        Ok(table)
    }

    /// A connection that sees the asked days as views.
    fn attached(&self, sql: &Sql) -> Result<Attached, AskError> {
        let all = days(&self.folder)?;
        let asked: Vec<u64> = all
            .into_iter()
            .filter(|day| sql.days.contains(day))
            .collect();
        if u64::try_from(asked.len()).unwrap_or(u64::MAX) > DAYS_MAX {
            return Err(AskError::Wrong(format!(
                "the question spans {} days with records; at most {DAYS_MAX} are read at once",
                asked.len()
            )));
        }
        let files = asked.iter().map(|day| {
            (
                *day,
                file_key(&facts_path(&self.folder, *day)),
                file_key(&text_path(&self.folder, *day)),
            )
        });
        let key: ViewKey = (sql.tenant.clone(), files.collect());
        let mut pool = self.pool();
        if let Some(at) = pool.views.iter().position(|(held, _)| *held == key) {
            let (key, connection) = pool.views.remove(at);
            return Ok(Attached {
                key,
                connection,
                complete: true,
            });
        }
        drop(pool);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_MEMORY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut complete = true;
        let mut open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(":memory:", flags)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 64 << 20)?;
            functions::register(&connection, &self.codec)?;
            let mut views = Views::new(sql.tenant.as_deref());
            // Nobody can name what is behind the views: SQLite lets a bare `count(*)` pass unasked.
            let secret = RequestId::new(0).to_string().replace('-', "");
            for (n, day) in asked.iter().enumerate() {
                let (facts, text) = (format!("d{n}_{secret}"), format!("t{n}_{secret}"));
                attach(&connection, &facts_path(&self.folder, *day), &facts)?;
                let path = text_path(&self.folder, *day);
                if path.exists() {
                    attach(&connection, &path, &text)?;
                }
                // Files that are just being made hold nothing yet.
                let (version, ready) = (
                    version(&connection, &facts)?,
                    path.exists() && version(&connection, &text)? > 0,
                );
                complete &= version > 0 && ready == path.exists();
                if version > 0 {
                    views.day(*day, &facts, ready.then_some(text.as_str()), version);
                }
            }
            connection.execute_batch(&views.create())?;
            Ok(connection)
        };
        let connection = open().map_err(|source| StoreError::Engine {
            file: "records".into(),
            source,
        })?;
        Ok(Attached {
            key,
            connection,
            complete,
        })
    }
}

fn text(connection: &Connection, id: RequestId) -> rusqlite::Result<Value> {
    let sql = texts("t.", " WHERE h.id = ?1");
    let mut found = objects(connection, &sql, id)?;
    Ok(found.pop().map_or(Value::Null, |mut text| {
        if let Value::Object(members) = &mut text {
            members.remove("id");
            for name in ["messages", "tools", "output_more"] {
                if let Some(value) = members.get_mut(name)
                    && let Some(parsed) = value
                        .as_str()
                        .and_then(|text| serde_json::from_str(text).ok())
                {
                    *value = parsed;
                }
            }
        }
        text
    }))
}

pub(super) fn attach(connection: &Connection, path: &Path, name: &str) -> rusqlite::Result<()> {
    let text = path
        .to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    connection
        .execute(
            &format!("ATTACH DATABASE ?1 AS {name}"),
            [format!("file:{text}?mode=ro")],
        )
        .map(|_| ())
}

pub(super) fn version(connection: &Connection, schema: &str) -> rusqlite::Result<u32> {
    connection.query_row(&format!("PRAGMA {schema}.user_version"), [], |row| {
        row.get(0)
    })
}

fn objects(connection: &Connection, sql: &str, id: RequestId) -> rusqlite::Result<Vec<Value>> {
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map([id.to_bytes()], |row| {
        let mut members = Map::new();
        for (at, name) in names.iter().enumerate() {
            let value = plain(row.get_ref(at)?);
            let (name, value) = match name.as_str() {
                "at" => (name.clone(), moment(&value)),
                "cost_nano" => ("cost_usd".to_owned(), usd(&value)),
                _ => (name.clone(), value),
            };
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    })?;
    rows.collect()
}

fn page(
    day: &Day,
    filter: &Filter,
    before: Option<RequestId>,
    limit: usize,
) -> rusqlite::Result<Vec<Value>> {
    let version = version(&day.connection, "main")?;
    let sql = list_sql(filter, before, (day.with_text(), version), limit);
    listed(&day.connection, &sql, day.with_text())
}

/// The select of a page of one day, of a file of some version.
fn list_sql(
    filter: &Filter,
    before: Option<RequestId>,
    (with_text, version): (bool, u32),
    limit: usize,
) -> String {
    let mut conditions = vec!["1".to_owned()];
    let names = [
        ("tenant", &filter.tenant),
        ("user", &filter.user),
        ("key", &filter.key),
        ("route", &filter.route),
        ("target", &filter.target),
        ("model", &filter.model),
        ("outcome", &filter.outcome),
        ("error_code", &filter.error_code),
        ("language", &filter.language),
    ];
    for (column, wanted) in names {
        if let Some(text) = wanted {
            conditions.push(format!(
                "f.{column} = (SELECT id FROM names WHERE text = {})",
                quoted(text)
            ));
        }
    }
    if let Some(session) = &filter.session {
        conditions.push(format!("f.session = {}", quoted(session)));
    }
    if let Some(status) = filter.status {
        conditions.push(format!("f.status = {status}"));
    }
    if let Some(ms) = filter.slower_than_ms {
        conditions.push(format!("f.total_us > {}", ms.saturating_mul(1000)));
    }
    let floor = |sign: &str, id: RequestId| {
        format!("f.id {sign} x'{:032x}'", u128::from_be_bytes(id.to_bytes()))
    };
    conditions.extend(filter.since_ms.map(|ms| floor(">=", RequestId::floor(ms))));
    conditions.extend(filter.until_ms.map(|ms| floor("<", RequestId::floor(ms))));
    conditions.extend(before.map(|id| floor("<", id)));
    if let Some(thumb) = &filter.thumb {
        let wanted = if thumb == "up" { 1 } else { -1 };
        conditions.push(format!(
            "(SELECT b.thumb FROM feedback AS b WHERE b.id = f.id AND b.thumb IS NOT NULL ORDER BY b.seq DESC LIMIT 1) = {wanted}"
        ));
    }
    if let Some(text) = &filter.text {
        conditions.push(if with_text {
            searched(text)
        } else {
            "0".to_owned()
        });
    }
    let heads = if with_text {
        ", (SELECT aplomb_text(h.prompt, h.id, -1) FROM t.heads AS h WHERE h.id = f.id), (SELECT aplomb_text(h.output, h.id, -1) FROM t.heads AS h WHERE h.id = f.id)"
    } else {
        ""
    };
    let select = ddl::requests("", version);
    let select = select.strip_suffix(" FROM facts AS f").unwrap_or(&select);
    format!(
        "{select}{heads} FROM facts AS f WHERE {} ORDER BY f.id DESC LIMIT {limit}",
        conditions.join(" AND ")
    )
}

/// The condition that a text stands in an exchange. A body is JSON inside, so the text is looked for as JSON writes it.
fn searched(text: &str) -> String {
    let lower = text.to_lowercase();
    let escaped = Value::from(lower.as_str()).to_string();
    let escaped = escaped.trim_matches('"');
    let head = quoted(&lower);
    let mut body = format!("aplomb_holds(x.body, x.id, {head})");
    if escaped != lower {
        let _ = write!(body, " OR aplomb_holds(x.body, x.id, {})", quoted(escaped));
    }
    format!(
        "(EXISTS (SELECT 1 FROM t.texts AS x WHERE x.id = f.id AND ({body})) OR EXISTS (SELECT 1 FROM t.heads AS h WHERE h.id = f.id \
         AND (aplomb_holds(h.prompt, h.id, {head}) OR aplomb_holds(h.output, h.id, {head}))))"
    )
}

fn listed(connection: &Connection, sql: &str, with_text: bool) -> rusqlite::Result<Vec<Value>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let mut members = facts(row)?;
        for (n, name) in ["prompt_head", "output_head"].into_iter().enumerate() {
            let value = if with_text {
                plain(row.get_ref(FACTS.len() + n)?)
            } else {
                Value::Null
            };
            members.insert(name.into(), value);
        }
        Ok(Value::Object(members))
    })?;
    rows.collect()
}

fn answer(connection: &Connection, sql: &Sql) -> rusqlite::Result<Table> {
    let mut statement = connection.prepare(&sql.query)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut table = Table {
        columns,
        rows: Vec::new(),
        truncated: false,
    };
    let mut bytes = 0;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(table.columns.len());
        for at in 0..table.columns.len() {
            let raw = row.get_ref(at)?;
            bytes += match raw {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
                _ => 8,
            };
            values.push(plain(raw));
        }
        if table.rows.len() >= sql.limits.rows || bytes > sql.limits.bytes {
            table.truncated = true;
            break;
        }
        table.rows.push(values);
    }
    Ok(table)
}

/// What is wrong with a question, in words; where SQLite knows the place, it is shown.
fn explain(error: &rusqlite::Error, query: &str, time: Duration) -> AskError {
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            let place = usize::try_from(*offset).ok().and_then(|at| query.get(..at));
            let place = place.map_or_else(String::new, |before| {
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                format!(" (line {line}, column {column})")
            });
            AskError::Wrong(format!("{msg}{place}"))
        }
        error if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            AskError::Slow(time)
        }
        error
            if error.sqlite_error_code()
                == Some(rusqlite::ErrorCode::AuthorizationForStatementDenied) =>
        {
            AskError::Wrong(format!(
                "only SELECT over these views is allowed: {}",
                VIEWS.join(", ")
            ))
        }
        rusqlite::Error::MultipleStatement => {
            AskError::Wrong("one statement at a time, please".into())
        }
        rusqlite::Error::SqliteFailure(_, Some(message)) => AskError::Wrong(message.clone()),
        error => AskError::Wrong(error.to_string()),
    }
}

/// What lists show of an answer's table: objects by column.
impl Table {
    /// Rows as JSON objects.
    pub fn objects(&self) -> Vec<Value> {
        let object = |row: &Vec<Value>| {
            let members = self.columns.iter().cloned().zip(row.iter().cloned());
            Value::Object(members.collect())
        };
        self.rows.iter().map(object).collect()
    }

    /// As JSON: `{"columns":[...],"rows":[[...]],"truncated":false}`.
    pub fn to_json(&self) -> Value {
        json!({ "columns": self.columns, "rows": self.rows, "truncated": self.truncated })
    }
}
