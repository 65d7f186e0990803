//! Reads files of records as anybody may: with SQLite, through their views.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// The exchanges of a day, oldest first.
///
/// # Errors
/// The file is no file of records.
pub fn read(path: &Path) -> rusqlite::Result<Vec<Value>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    let mut records = objects(&connection, "SELECT * FROM requests ORDER BY id", "")?;
    for record in &mut records {
        let id = record["id"].as_str().unwrap_or_default().to_owned();
        let attempts = objects(
            &connection,
            "SELECT * FROM upstream_calls WHERE id = ?1 ORDER BY n",
            &id,
        )?;
        for name in ["privacy", "tags"] {
            let parsed = record[name]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok());
            record[name] = parsed.unwrap_or(Value::Null);
        }
        for name in ["stream", "simulated"] {
            record[name] = (record[name] == 1).into();
        }
        record["attempts"] = attempts.into();
    }
    Ok(records)
}

fn objects(connection: &Connection, sql: &str, id: &str) -> rusqlite::Result<Vec<Value>> {
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let object = |row: &Row<'_>| {
        let mut members = Map::new();
        for (at, name) in names.iter().enumerate() {
            let value = match row.get_ref(at)? {
                ValueRef::Null | ValueRef::Blob(_) => Value::Null,
                ValueRef::Integer(n) => n.into(),
                ValueRef::Real(n) => n.into(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            };
            members.insert(name.clone(), value);
        }
        Ok(Value::Object(members))
    };
    if id.is_empty() {
        return statement.query_map([], object)?.collect();
    }
    statement.query_map([id], object)?.collect()
}
