//! One person's rows: taken out of all tables for good, or handed over.

use super::{ClickHouse, quoted};
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::BoxError;
use aplomb_core::id::RequestId;
use serde_json::Value;
use std::time::Duration;

/// Time of one statement of an erasure: it may have to rewrite large parts.
const ERASE: Duration = Duration::from_secs(600);

/// Tables with something of a person, and the columns in which their name may stand. The exchanges come last: an erasure that
/// was broken off finds them again.
const OF_PERSONS: [(&str, &[&str]); 6] = [
    ("texts", &["user"]),
    ("attempts", &["user"]),
    ("feedback", &["user", "by"]),
    ("scores", &["user"]),
    ("users", &["user"]),
    ("requests", &["user"]),
];

impl ClickHouse {
    /// The condition that a row is a person's. Their name does not stand in it, since ClickHouse writes the conditions of
    /// deletes to its disk.
    fn theirs(&self, subject: &Subject, columns: &[&str]) -> Result<String, BoxError> {
        let sql = format!("SELECT hex(sipHash128({}))", quoted(&subject.user));
        let answer = self.select(&sql, &[], Duration::from_secs(10))?;
        let hash = answer.data.first().and_then(|row| row.first()?.as_str());
        let hash = hash.ok_or("ClickHouse gave no hash")?;
        let any: Vec<String> = columns
            .iter()
            // Whose feedback it is says nothing about the tenant.
            .filter(|column| **column == "user" || subject.tenant.is_none())
            .map(|column| format!("hex(sipHash128(ifNull(`{column}`, ''))) = '{hash}'"))
            .collect();
        let tenant = subject.tenant.as_ref();
        let tenant = tenant.map_or_else(String::new, |t| format!(" AND tenant = {}", quoted(t)));
        Ok(format!("({}){tenant}", any.join(" OR ")))
    }

    fn count(&self, table: &str, condition: &str) -> Result<u64, BoxError> {
        let sql = format!("SELECT toInt64(count()) FROM {table} WHERE {condition}");
        let answer = self.select(&sql, &[], ERASE)?;
        let count = answer.data.first().and_then(|row| row.first()?.as_u64());
        count.ok_or_else(|| "ClickHouse gave no count".into())
    }

    fn remove(&self, table: &str, condition: &str) -> Result<(), BoxError> {
        let settings = [
            ("mutations_sync", "2".to_owned()),
            ("lightweight_deletes_sync", "2".to_owned()),
            ("log_queries", "0".to_owned()),
        ];
        for sql in [
            format!("DELETE FROM {table} WHERE {condition}"),
            format!("ALTER TABLE {table} APPLY DELETED MASK"),
        ] {
            self.client.call(&super::client::Call {
                sql: &sql,
                database: Some(&self.database),
                settings: &settings,
                ..super::client::Call::new(ERASE)
            })?;
        }
        Ok(())
    }
}

impl Erase for ClickHouse {
    fn store(&self) -> &'static str {
        "clickhouse"
    }

    /// To be called after the day files were erased: what is still sent from there then holds nothing of the person.
    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        let mut sending = crate::writer::locked(&self.sending);
        if let Some(doubt) = sending.in_doubt.take()
            && let Some(left) = self.insert.checked_sub(doubt.elapsed())
        {
            // The insert before may still run: what it brings must be there before it is looked for.
            std::thread::sleep(left);
        }
        self.migrate()?;
        let mut removed = 0;
        for (table, columns) in OF_PERSONS {
            let condition = self.theirs(subject, columns)?;
            let count = self.count(table, &condition)?;
            if count > 0 {
                self.remove(table, &condition)?;
            }
            if table == "requests" {
                removed = count;
            }
        }
        Ok(removed)
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        let tenant = subject.tenant.as_ref();
        let tenant = tenant.map_or_else(String::new, |t| format!(" AND tenant = {}", quoted(t)));
        let sql = format!(
            "SELECT toString(id) FROM requests WHERE user = {}{tenant} ORDER BY at, toUInt128(id)",
            quoted(&subject.user)
        );
        self.migrate()?;
        let answer = self.select(&sql, &[], ERASE)?;
        let ids = answer
            .data
            .iter()
            .filter_map(|row| RequestId::parse(row.first()?.as_str()?));
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.one(id, None)?);
        }
        Ok(found)
    }
}
