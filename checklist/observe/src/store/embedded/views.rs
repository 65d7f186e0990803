//! The views that questions see, and nothing behind them.

use super::ask::quoted;
use super::ddl;
use crate::schema::FACTS;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::fmt::Write;

/// The views of a question, one union each.
pub(super) struct Views {
    tenant: Option<String>,
    parts: Vec<(&'static str, Vec<String>)>,
}

/// Views that anybody may ask.
pub(super) const VIEWS: [&str; 9] = [
    "requests", "attempts", "feedback", "scores", "texts", "minutes", "hours", "tenants", "users",
];
/// Tables behind the views, whose bare names must lead nowhere: a view of ours stands before each.
const BEHIND: [&str; 8] = [
    "facts",
    "names",
    "started",
    "tenant_hours",
    "outbox",
    "upstream_calls",
    "heads",
    "systems",
];
/// Views without a tenant in them: sums over all.
const SHARED: [&str; 2] = ["minutes", "hours"];

impl Views {
    pub(super) fn new(tenant: Option<&str>) -> Self {
        let own = |name: &&str| tenant.is_none() || !SHARED.contains(name);
        Views {
            tenant: tenant.map(quoted),
            parts: VIEWS
                .iter()
                .filter(|name| own(name))
                .map(|name| (*name, Vec::new()))
                .collect(),
        }
    }

    /// Adds a day. `text`: the schema of its texts.
    pub(super) fn day(&mut self, day: u64, facts: &str, text: Option<&str>, version: u32) {
        let at = format!("{facts}.");
        let (by_row, by_id) = match &self.tenant {
            None => (String::new(), String::new()),
            Some(tenant) => {
                let number = format!("(SELECT id FROM {at}names WHERE text = {tenant})");
                let ids = format!(
                    " WHERE f.id IN (SELECT o.id FROM {at}facts AS o WHERE o.tenant = {number})"
                );
                (format!(" WHERE f.tenant = {number}"), ids)
            }
        };
        for (name, selects) in &mut self.parts {
            let select = match *name {
                "requests" => ddl::requests(&at, version) + &by_row,
                "attempts" => ddl::attempts(&at, by_id.strip_prefix(" WHERE ").unwrap_or("1")),
                "feedback" => ddl::feedback(&at) + &by_id,
                "scores" => ddl::scores(&at) + &by_id,
                "minutes" | "hours" => ddl::rollups(&at, name),
                "tenants" => ddl::tenants(&at) + &by_row,
                "users" => ddl::users(&at, day * 86_400) + &by_row,
                _ => match text {
                    None => continue,
                    Some(text) => texts(&format!("{text}."), &by_id.replace("f.id", "h.id")),
                },
            };
            selects.push(select);
        }
    }

    pub(super) fn create(&self) -> String {
        let mut sql = String::new();
        for (name, selects) in &self.parts {
            let body = if selects.is_empty() {
                empty(name)
            } else {
                selects.join(" UNION ALL ")
            };
            let _ = writeln!(sql, "CREATE TEMP VIEW {name} AS {body};");
        }
        for name in BEHIND {
            let _ = writeln!(sql, "CREATE TEMP VIEW {name} AS SELECT NULL WHERE 0;");
        }
        for name in SHARED.iter().filter(|_| self.tenant.is_some()) {
            let _ = writeln!(sql, "CREATE TEMP VIEW {name} AS SELECT NULL WHERE 0;");
        }
        sql
    }
}

/// A view without rows, where no day has any.
fn empty(name: &str) -> String {
    const SUMS: &str =
        "requests failures gone streams calls input_tokens output_tokens cost_nano cost_unknown";
    let columns: Vec<String> = match name {
        "requests" => FACTS.iter().map(|column| column.name.to_owned()).collect(),
        _ => {
            let own = match name {
                "attempts" => "id n target fault status us",
                "feedback" => "id at by source thumb score label comment correction event",
                "scores" => "id at eval rubric score reason judge cost_nano",
                "texts" => "id prompt_head output_head system messages tools output output_more",
                "tenants" => "t tenant",
                "users" => "t tenant user",
                _ => "t route target",
            };
            let sums = if matches!(name, "minutes" | "hours" | "tenants" | "users") {
                SUMS
            } else {
                ""
            };
            let times = if matches!(name, "minutes" | "hours") {
                "ttft total overhead"
            } else {
                ""
            };
            [own, sums, times]
                .iter()
                .flat_map(|list| list.split(' '))
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        }
    };
    let list: Vec<String> = columns
        .iter()
        .map(|column| format!("NULL AS {column}"))
        .collect();
    format!("SELECT {} WHERE 0", list.join(", "))
}

/// Only reading, and only through the views.
pub(super) fn only_reading(context: AuthContext<'_>) -> Authorization {
    let through_view = || context.accessor.is_some_and(|view| VIEWS.contains(&view));
    let fine = match context.action {
        AuthAction::Select | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
        }
        AuthAction::Pragma { pragma_name, .. } => pragma_name == "table_info",
        // A read without a column is that of a table from which only rows are counted; tables have no names that anybody knows.
        AuthAction::Read {
            table_name,
            column_name,
        } => {
            let own = matches!(context.database_name, Some("temp") | None)
                && !table_name.starts_with("sqlite_");
            own || through_view() || (column_name.is_empty() && !table_name.starts_with("sqlite_"))
        }
        _ => false,
    };
    if fine {
        Authorization::Allow
    } else {
        Authorization::Deny
    }
}

/// The select of the view `texts`: `text` is their schema with a dot, `only` a condition on `h.id`.
pub(super) fn texts(text: &str, only: &str) -> String {
    let part = |n: i32| format!("aplomb_text(x.body, x.id, {n})");
    format!(
        "SELECT {id} AS id, aplomb_text(h.prompt, h.id, -1) AS prompt_head, aplomb_text(h.output, h.id, -1) AS output_head, \
         (SELECT aplomb_text(s.body, s.hash, -1) FROM {text}systems AS s WHERE s.hash = x.system) AS system, \
         {messages} AS messages, {tools} AS tools, {output} AS output, {more} AS output_more \
         FROM {text}heads AS h LEFT JOIN {text}texts AS x ON x.id = h.id{only}",
        id = ddl::id_text("h.id"),
        messages = part(0),
        tools = part(1),
        output = part(2),
        more = part(3),
    )
}
