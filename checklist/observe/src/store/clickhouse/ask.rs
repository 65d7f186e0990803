//! Questions to ClickHouse, with the answers that the embedded store gives.

use super::ddl::{self, FEEDBACK, SCORES, STORED, TEXTS};
use super::guard::{self, Known};
use super::{Answer, CallError, ClickHouse, Fault, quoted};
use crate::schema::{ATTEMPT_COLUMNS, FACTS, Kind};
use crate::store::embedded::DAY_MS;
use crate::store::embedded::ask::{AskError, Filter, Sql, Table, moment, usd};
use aplomb_core::id::RequestId;
use serde_json::{Map, Value};
use std::time::Duration;

/// Time of a list or of one exchange.
const LOOK: Duration = Duration::from_secs(30);
/// How far the time of an exchange may lie from that of its id.
const SLACK_MS: u64 = 60_000;
/// ClickHouse's numbers for an answer that took too long.
const TOO_SLOW: [u32; 2] = [159, 160];

/// How a column is selected: ids as text, times as microseconds.
fn selected(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Id => format!("toString(`{name}`)"),
        Kind::Time => format!("toUnixTimestamp64Micro(`{name}`)"),
        _ => format!("`{name}`"),
    }
}

/// A value as lists show it, with the name that it has there.
fn shown(name: &str, kind: Kind, value: &Value) -> (String, Value) {
    let name = name.to_owned();
    match kind {
        Kind::Flag => (name, Value::Bool(value.as_u64().unwrap_or(0) != 0)),
        Kind::Json => {
            let parsed = value
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok());
            (name, parsed.unwrap_or_default())
        }
        Kind::Nano => (name.replace("_nano", "_usd"), usd(value)),
        Kind::Time => (name, moment(value)),
        Kind::Real => (name, value.as_f64().map_or(Value::Null, Value::from)),
        _ => (name, value.clone()),
    }
}

type Columns = [(&'static str, Kind)];

fn select(columns: &Columns) -> String {
    let list: Vec<String> = columns
        .iter()
        .map(|(name, kind)| selected(name, *kind))
        .collect();
    list.join(", ")
}

fn objects(answer: &Answer, columns: &Columns) -> Vec<Map<String, Value>> {
    let object = |row: &Vec<Value>| {
        let cells = columns.iter().zip(row);
        cells
            .map(|((name, kind), value)| shown(name, *kind, value))
            .collect()
    };
    answer.data.iter().map(object).collect()
}

fn facts() -> Vec<(&'static str, Kind)> {
    FACTS
        .iter()
        .map(|column| (column.name, column.kind))
        .collect()
}

fn with_id(columns: &[(&'static str, Kind, bool)], skip: usize) -> Vec<(&'static str, Kind)> {
    let own = columns
        .iter()
        .skip(skip)
        .map(|(name, kind, _)| (*name, *kind));
    std::iter::once(("id", Kind::Id)).chain(own).collect()
}

/// A moment in ClickHouse's SQL.
fn at(ms: u64) -> String {
    format!("fromUnixTimestamp64Milli({ms}, 'UTC')")
}

/// The condition that a row hangs on an exchange; its time narrows the parts that are read.
fn is(id: RequestId, column: &str) -> String {
    format!(
        "id = toUUID('{id}') AND {column} BETWEEN {} AND {}",
        at(id.at_ms().saturating_sub(SLACK_MS)),
        at(id.at_ms() + SLACK_MS)
    )
}

impl ClickHouse {
    fn found(&self, columns: &Columns, rest: &str) -> Result<Vec<Map<String, Value>>, AskError> {
        let sql = format!("SELECT {} FROM {rest}", select(columns));
        Ok(objects(&self.select(&sql, &[], LOOK)?, columns))
    }

    /// One exchange with its calls, feedback, scores and, where they are kept here, its texts. `None`: there is none, or it is
    /// another tenant's.
    ///
    /// # Errors
    /// ClickHouse gives no answer.
    pub fn one(&self, id: RequestId, tenant: Option<&str>) -> Result<Option<Value>, AskError> {
        let own = tenant.map_or_else(String::new, |t| format!(" AND tenant = {}", quoted(t)));
        let mut found = self.found(
            &facts(),
            &format!("requests WHERE {}{own} LIMIT 1", is(id, "at")),
        )?;
        let Some(mut members) = found.pop() else {
            return Ok(None);
        };
        let hung = is(id, "request_at");
        let mut calls = vec![("id", Kind::Id), ("n", Kind::Count)];
        calls.extend(ATTEMPT_COLUMNS);
        for (table, columns, order) in [
            ("attempts", calls, "n"),
            ("feedback", with_id(&FEEDBACK, 1), "seq"),
            ("scores", with_id(&SCORES, 1), "seq"),
        ] {
            let rows = self.found(&columns, &format!("{table} WHERE {hung} ORDER BY {order}"))?;
            let rows: Vec<Value> = rows.into_iter().map(Value::Object).collect();
            members.insert(table.to_owned(), rows.into());
        }
        let texts = self.found(&with_id(&TEXTS, 0), &format!("texts WHERE {hung} LIMIT 1"))?;
        members.insert(
            "text".into(),
            texts.into_iter().next().map_or(Value::Null, text),
        );
        Ok(Some(Value::Object(members)))
    }

    /// Exchanges that fit, newest first, with the heads of their texts.
    ///
    /// # Errors
    /// The filter is wrong, or ClickHouse gives no answer.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Value>, AskError> {
        let columns = facts();
        let limit = filter.limit.unwrap_or(50).min(1_000);
        let mut rows = self.found(
            &columns,
            &format!(
                "requests WHERE {} ORDER BY at DESC, toUInt128(id) DESC LIMIT {limit}",
                conditions(filter)?
            ),
        )?;
        self.add_heads(&mut rows)?;
        Ok(rows.into_iter().map(Value::Object).collect())
    }

    /// Texts are read only of the rows that are shown.
    fn add_heads(&self, rows: &mut [Map<String, Value>]) -> Result<(), AskError> {
        let ids: Vec<RequestId> = rows
            .iter()
            .filter_map(|row| RequestId::parse(row.get("id")?.as_str()?))
            .collect();
        let times = ids.iter().map(|id| id.at_ms());
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
            return Ok(());
        };
        let columns = [
            ("id", Kind::Id),
            ("prompt_head", Kind::Text),
            ("output_head", Kind::Text),
        ];
        let list: Vec<String> = ids.iter().map(|id| format!("toUUID('{id}')")).collect();
        let heads = self.found(
            &columns,
            &format!(
                "texts WHERE request_at BETWEEN {} AND {} AND id IN ({})",
                at(first.saturating_sub(SLACK_MS)),
                at(last + SLACK_MS),
                list.join(", ")
            ),
        )?;
        for row in rows {
            let own = heads.iter().find(|head| head.get("id") == row.get("id"));
            for name in ["prompt_head", "output_head"] {
                let head = own.and_then(|head| head.get(name)).cloned();
                row.insert(name.into(), head.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Names that a question must not use, as ClickHouse gives them.
    fn known(&self) -> Result<Known, AskError> {
        let sql = "SELECT 'd', name FROM system.databases UNION ALL SELECT 'f', lower(name) FROM system.table_functions \
                   UNION ALL SELECT 't', name FROM system.tables WHERE database = currentDatabase()";
        let mut known = Known::default();
        for row in self.select(sql, &[], LOOK)?.data {
            let mut cells = row.iter().filter_map(Value::as_str);
            let (Some(kind), Some(name)) = (cells.next(), cells.next()) else {
                continue;
            };
            match kind {
                "d" => known.databases.insert(name.to_owned()),
                "f" => known.functions.insert(name.to_owned()),
                _ => !ddl::PUBLIC.contains(&name) && known.tables.insert(name.to_owned()),
            };
        }
        Ok(known)
    }

    /// Answers a question in ClickHouse's SQL, read-only and within its bounds. Days and tenant hold for every table in it.
    ///
    /// # Errors
    /// The question is wrong or too slow, or ClickHouse gives no answer.
    pub fn sql(&self, sql: &Sql) -> Result<Table, AskError> {
        let query = guard::check(&sql.query, &self.known()?).map_err(AskError::Wrong)?;
        let settings = [
            ("readonly", "1".to_owned()),
            ("additional_table_filters", self.filters(sql)),
            ("max_result_rows", (sql.limits.rows + 1).to_string()),
            ("max_result_bytes", sql.limits.bytes.to_string()),
            ("result_overflow_mode", "break".to_owned()),
            ("max_memory_usage", "4000000000".to_owned()),
        ];
        let answer = self
            .select(query, &settings, sql.limits.time)
            .map_err(|error| explain(&error, sql.limits.time))?;
        Ok(table(answer, sql.limits.rows, sql.limits.bytes))
    }

    /// What holds for each table: the days, and the tenant.
    fn filters(&self, sql: &Sql) -> String {
        let (first, last) = sql.days.clone().into_inner();
        let all: Vec<String> = STORED
            .iter()
            .map(|(table, column)| {
                let mut condition = format!(
                    "`{column}` >= {} AND `{column}` < {}",
                    at(first * DAY_MS),
                    at(last.saturating_add(1).saturating_mul(DAY_MS))
                );
                if let Some(tenant) = &sql.tenant {
                    condition.push_str(&format!(" AND tenant = {}", quoted(tenant)));
                }
                format!(
                    "{}: {}",
                    quoted(&format!("{}.{table}", self.database)),
                    quoted(&condition)
                )
            })
            .collect();
        format!("{{{}}}", all.join(", "))
    }
}

/// The texts of an exchange; those that are JSON as such.
fn text(mut members: Map<String, Value>) -> Value {
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
    Value::Object(members)
}

fn conditions(filter: &Filter) -> Result<String, AskError> {
    let texts = [
        ("tenant", &filter.tenant),
        ("user", &filter.user),
        ("key", &filter.key),
        ("route", &filter.route),
        ("target", &filter.target),
        ("model", &filter.model),
        ("outcome", &filter.outcome),
        ("error_code", &filter.error_code),
        ("language", &filter.language),
        ("session", &filter.session),
    ];
    let mut all: Vec<String> = texts
        .iter()
        .filter_map(|(column, text)| Some(format!("`{column}` = {}", quoted(text.as_ref()?))))
        .collect();
    all.extend(filter.status.map(|status| format!("status = {status}")));
    let slower = filter.slower_than_ms;
    all.extend(slower.map(|ms| format!("total_us > {}", ms.saturating_mul(1000))));
    all.extend(filter.since_ms.map(|ms| format!("at >= {}", at(ms))));
    all.extend(filter.until_ms.map(|ms| format!("at < {}", at(ms))));
    if let Some(text) = &filter.before {
        let before = RequestId::parse(text)
            .ok_or_else(|| AskError::Wrong("before: expected a record id".into()))?;
        all.push(format!(
            "at <= {} AND toUInt128(id) < toUInt128(toUUID('{before}'))",
            at(before.at_ms() + SLACK_MS)
        ));
    }
    if let Some(thumb) = &filter.thumb {
        let wanted = if thumb == "up" { 1 } else { -1 };
        all.push(format!(
            "id IN (SELECT id FROM feedback WHERE thumb IS NOT NULL GROUP BY id HAVING argMax(thumb, seq) = {wanted})"
        ));
    }
    if let Some(text) = &filter.text {
        let holds = |column: &str| {
            format!(
                "positionCaseInsensitiveUTF8(ifNull({column}, ''), {}) > 0",
                quoted(text)
            )
        };
        let any = ["messages", "output", "prompt_head", "output_head"].map(holds);
        all.push(format!(
            "id IN (SELECT id FROM texts WHERE {})",
            any.join(" OR ")
        ));
    }
    if all.is_empty() {
        all.push("1".to_owned());
    }
    Ok(all.join(" AND "))
}

fn table(answer: Answer, rows: usize, bytes: usize) -> Table {
    let mut table = Table {
        columns: answer.meta.into_iter().map(|column| column.name).collect(),
        truncated: answer.data.len() > rows,
        rows: Vec::new(),
    };
    let mut sum = 0;
    for row in answer.data.into_iter().take(rows) {
        sum += row
            .iter()
            .map(|value| value.as_str().map_or(8, str::len))
            .sum::<usize>();
        if sum > bytes {
            table.truncated = true;
            break;
        }
        table.rows.push(row);
    }
    table
}

/// What is wrong with a question, in ClickHouse's words.
fn explain(error: &CallError, time: Duration) -> AskError {
    let code = error.code;
    if error.fault == Fault::Slow || code.is_some_and(|code| TOO_SLOW.contains(&code)) {
        return AskError::Slow(time);
    }
    if error.fault != Fault::Refused || code.is_none() {
        return AskError::Away(error.to_string());
    }
    let message = error.message();
    let message = message
        .split_once("DB::Exception: ")
        .map_or(message, |(_, message)| message);
    let end = message.find(" (version ").unwrap_or(message.len());
    AskError::Wrong(message.get(..end).unwrap_or(message).trim().to_owned())
}
