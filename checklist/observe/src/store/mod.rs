//! Where records stay.

pub mod clickhouse;
pub mod embedded;

use aplomb_core::id::RequestId;
use embedded::ask::{AskError, Filter, Sql, Table};
use serde_json::Value;

/// A store that answers questions about records. Calls block.
pub trait Ask: Send + Sync {
    /// One exchange with its calls, feedback, scores and text. `None`: there is none, or it is another tenant's.
    ///
    /// # Errors
    /// The store gives no answer.
    fn one(&self, id: RequestId, tenant: Option<&str>) -> Result<Option<Value>, AskError>;

    /// Exchanges that fit, newest first, with the heads of their texts.
    ///
    /// # Errors
    /// The filter is wrong, or the store gives no answer.
    fn list(&self, filter: &Filter) -> Result<Vec<Value>, AskError>;

    /// Answers a question in the store's SQL.
    ///
    /// # Errors
    /// The question is wrong or too slow, or the store gives no answer.
    fn sql(&self, sql: &Sql) -> Result<Table, AskError>;
}

impl Ask for embedded::ask::Reader {
    fn one(&self, id: RequestId, tenant: Option<&str>) -> Result<Option<Value>, AskError> {
        self.one(id, tenant)
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Value>, AskError> {
        self.list(filter)
    }

    fn sql(&self, sql: &Sql) -> Result<Table, AskError> {
        self.sql(sql)
    }
}

impl Ask for clickhouse::ClickHouse {
    fn one(&self, id: RequestId, tenant: Option<&str>) -> Result<Option<Value>, AskError> {
        self.one(id, tenant)
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Value>, AskError> {
        self.list(filter)
    }

    fn sql(&self, sql: &Sql) -> Result<Table, AskError> {
        self.sql(sql)
    }
}
