//! `aplomb keys`: works on the control store itself, whether a server runs or not. A running server sees a change
//! within a second.

use crate::cli::{ConfigArgs, KeysArgs, KeysCommand};
use crate::load::Origin;
use crate::output::{Failure, line};
use aplomb_config::file::ServerConfig;
use aplomb_config::scalar::Span;
use aplomb_config::secret::ProcessEnvironment;
use aplomb_control::key::{KeyHasher, PlainKey, load_pepper};
use aplomb_control::sqlite::SqliteStore;
use aplomb_control::store::{Act, ControlStore, KeyRecord, NewKey};
use aplomb_core::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use std::path::Path;

/// The hasher for this installation.
///
/// # Errors
/// The pepper can't be had.
pub fn hasher(server: &ServerConfig, base_dir: &Path) -> Result<KeyHasher, String> {
    let pepper = match &server.key_pepper {
        Some(secret) => {
            let text = secret.resolve(&ProcessEnvironment, base_dir);
            text.map(|text| text.expose().to_owned())
                .map_err(|error| format!("server.key_pepper: {error}"))?
        }
        None => load_pepper(&server.data_dir).map_err(|error| error.to_string())?,
    };
    Ok(KeyHasher::new(pepper.as_bytes()))
}

/// Opens the control store of this installation.
///
/// # Errors
/// The folder can't be made, or the store can't be opened.
pub fn store(server: &ServerConfig) -> Result<SqliteStore, String> {
    std::fs::create_dir_all(&server.data_dir).map_err(|error| {
        format!(
            "the data folder {} can't be made: {error}",
            server.data_dir.display()
        )
    })?;
    SqliteStore::open(&server.data_dir.join("control.db")).map_err(|error| error.to_string())
}

/// `aplomb keys ...`.
///
/// # Errors
/// What went wrong, for people.
pub fn run(args: &KeysArgs) -> Result<(), Failure> {
    let (server, base_dir) = server(&args.config)?;
    let store = store(&server).map_err(Failure::wrong)?;
    let hasher = hasher(&server, &base_dir).map_err(Failure::wrong)?;
    let act = Act {
        actor: "cli",
        at_ms: SystemClock.now_ms(),
    };
    match &args.command {
        KeysCommand::Create {
            tenant,
            name,
            env,
            expires,
            routes,
        } => {
            let ends = expires
                .as_deref()
                .map(|text| span_ms(text, "--expires"))
                .transpose()?;
            let new = NewKey {
                tenant: tenant.clone(),
                name: name.clone(),
                env: env.clone(),
                expires_at_ms: ends.map(|ms| act.at_ms.saturating_add(ms)),
                routes: routes.clone(),
            };
            let (plain, record) = store
                .create_key(&new, &hasher, &act)
                .map_err(Failure::wrong)?;
            show_new(args.json, &plain, &record);
        }
        KeysCommand::List { tenant } => {
            let keys = store.list_keys(tenant.as_deref()).map_err(Failure::wrong)?;
            list(args.json, &keys, act.at_ms);
        }
        KeysCommand::Revoke { id } => {
            let record = store.revoke_key(id, &act).map_err(Failure::wrong)?;
            say(
                args.json,
                &json!(record),
                &format!("revoked {id}; running servers refuse it within a second"),
            );
        }
        KeysCommand::Rotate { id, overlap } => {
            let overlap = span_ms(overlap, "--overlap")?;
            let (plain, record) = store
                .rotate_key(id, overlap, &hasher, &act)
                .map_err(Failure::wrong)?;
            show_new(args.json, &plain, &record);
        }
        KeysCommand::Hash => hash(args.json, &hasher)?,
    }
    Ok(())
}

fn server(args: &ConfigArgs) -> Result<(ServerConfig, std::path::PathBuf), Failure> {
    let origin = Origin::of(args);
    let (parsed, _) = origin.read().map_err(Failure::wrong)?;
    Ok((parsed.file.server, origin.base_dir()))
}

fn span_ms(text: &str, option: &str) -> Result<u64, Failure> {
    let span: Span = text
        .parse()
        .map_err(|error| Failure::wrong(format!("{option}: {error}")))?;
    Ok(u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX))
}

fn say(as_json: bool, value: &Value, text: &str) {
    line(&if as_json {
        value.to_string()
    } else {
        text.to_owned()
    });
}

fn show_new(as_json: bool, plain: &PlainKey, record: &KeyRecord) {
    let mut value = json!(record);
    if let Value::Object(members) = &mut value {
        members.insert("key".into(), plain.expose().into());
    }
    say(
        as_json,
        &value,
        &format!(
            "{}\n  shown once, kept only as a hash; id {}",
            plain.expose(),
            record.id
        ),
    );
}

fn status(key: &KeyRecord, now_ms: u64) -> &'static str {
    match (key.revoked_at_ms, key.expires_at_ms) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= now_ms => "expired",
        (None, _) => "active",
    }
}

fn list(as_json: bool, keys: &[KeyRecord], now_ms: u64) {
    if as_json {
        return line(&json!(keys).to_string());
    }
    line(&format!(
        "{:<10} {:<16} {:<8} {:<20} routes",
        "id", "tenant", "status", "name"
    ));
    for key in keys {
        let routes = if key.routes.is_empty() {
            "all".to_owned()
        } else {
            key.routes.join(", ")
        };
        line(&format!(
            "{:<10} {:<16} {:<8} {:<20} {routes}",
            key.id,
            key.tenant,
            status(key, now_ms),
            key.name
        ));
    }
}

fn hash(as_json: bool, hasher: &KeyHasher) -> Result<(), Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_line(&mut text)
        .map_err(Failure::wrong)?;
    let key = text.trim();
    if key.len() < 20 {
        return Err(Failure::wrong(
            "a key needs at least 20 characters; it is read from standard input",
        ));
    }
    let hash = hasher.hash(key).to_string();
    say(as_json, &json!({ "hash": hash }), &hash);
    Ok(())
}
