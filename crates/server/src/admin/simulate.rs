//! `POST /admin/v1/limits/simulate`: what other limits would have done with recorded traffic.

use super::records::ask_files;
use crate::gateway::Gateway;
use crate::reply::{self, Reply};
use aplomb_config::file::ConfigFile;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_limits::trust::Level;
use aplomb_observe::store::embedded::ask::{Limits, Sql, Table};
use aplomb_pipeline::limits::simulate::{Seen, simulate};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Most requests that are played. Chosen: seconds, and 200 MB.
const REQUESTS_MAX: usize = 500_000;
const BYTES_MAX: usize = 512 << 20;
/// Longest time that reading them may take.
const TIME: Duration = Duration::from_secs(60);
/// Most days.
const DAYS_MAX: u64 = 366;
const DAY_MS: u64 = 86_400_000;

/// What is asked of the records; `columns` reads it in this order.
const QUERY: &str = "SELECT at, total_us, tenant, key, user, session, model, route, input_tokens, output_tokens, \
     cost_nano, trust, limit_decision FROM requests ORDER BY at DESC";

/// Members of a file that are tried instead of those in force.
const TRIED: [&str; 4] = ["limits", "plans", "segments", "karma"];

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    days: Option<u64>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(flatten)]
    tried: Map<String, Value>,
}

impl Wanted {
    /// The file in force with what is to be tried.
    fn file(&self, now: &ConfigFile) -> Result<ConfigFile, ApiError> {
        if let Some(unknown) = self
            .tried
            .keys()
            .find(|name| !TRIED.contains(&name.as_str()))
        {
            let message = format!("expected days, tenant, {}", TRIED.join(", "));
            return Err(ApiError::invalid(unknown, message));
        }
        let given: ConfigFile = serde_json::from_value(Value::Object(self.tried.clone()))
            .map_err(|error| ApiError::invalid("", error))?;
        let mut file = now.clone();
        let has = |name: &str| self.tried.contains_key(name);
        if has("limits") {
            file.limits = given.limits;
        }
        if has("plans") {
            file.plans = given.plans;
        }
        if has("segments") {
            file.segments = given.segments;
        }
        if has("karma") {
            file.karma = given.karma;
        }
        Ok(file)
    }
}

/// Plays the records of some days against other limits.
///
/// # Errors
/// The limits are wrong, or the records can't be read.
pub(super) async fn run(gateway: &Arc<Gateway>, body: &[u8]) -> Result<Reply, ApiError> {
    let wanted: Wanted =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let days = wanted.days.unwrap_or(7);
    if !(1..=DAYS_MAX).contains(&days) {
        let message = format!("expected a number from 1 to {DAYS_MAX}");
        return Err(ApiError::invalid("days", message));
    }
    let file = wanted.file(&gateway.policy().file)?;
    let today = gateway.state.clock.now_ms() / DAY_MS;
    let question = Sql {
        query: QUERY.to_owned(),
        days: today.saturating_sub(days - 1)..=today,
        tenant: wanted.tenant,
        limits: Limits {
            rows: REQUESTS_MAX,
            bytes: BYTES_MAX,
            time: TIME,
        },
    };
    let played = ask_files(gateway, move |reader| {
        let table = reader.sql(&question)?;
        let mut seen = rows(&table);
        Ok((simulate(&file, &mut seen), table.truncated))
    });
    let (report, truncated) = played.await?;
    let mut report = report.map_err(|wrong| {
        let lines: Vec<String> = wrong
            .iter()
            .map(|one| format!("{}: {}", one.path, one.message))
            .collect();
        ApiError::new(ErrorCode::InvalidRequest, lines.join("; "))
    })?;
    if let Some(members) = report.as_object_mut() {
        members.insert("days".into(), days.into());
        members.insert("truncated".into(), truncated.into());
        let note = "charged with what was used; the gateway reserves an estimate first";
        members.insert("note".into(), json!(note));
    }
    Ok(reply::json(StatusCode::OK, &report))
}

fn rows(table: &Table) -> Vec<Seen> {
    let one = |row: &Vec<Value>| {
        let text = |at: usize| row.get(at).and_then(Value::as_str).map(str::to_owned);
        let number = |at: usize| row.get(at).and_then(Value::as_u64).unwrap_or(0);
        Seen {
            at_ms: number(0) / 1000,
            took_ms: number(1) / 1000,
            tenant: text(2).unwrap_or_default(),
            key: text(3).unwrap_or_default(),
            user: text(4),
            session: text(5),
            model: text(6).unwrap_or_default(),
            route: text(7),
            input: number(8),
            output: number(9),
            cost_nano: number(10),
            trust: text(11).and_then(|name| Level::parse(&name)),
            refused: text(12).as_deref() == Some("refused"),
        }
    };
    table.rows.iter().map(one).collect()
}
