//! The part of the file about where things are kept.

use crate::scalar::Span;
use crate::secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::time::Duration;

/// Where things are kept.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Stores of records. Default `[embedded]`. Takes effect at the next start.
    #[schemars(length(min = 1))]
    pub records: Vec<RecordStoreConfig>,
    /// A Redis or Valkey that several nodes share: `redis://host:6379`, or a section. Limits are counted and kept answers live there.
    /// Default: none, each node is for itself. Takes effect at the next start.
    pub shared: Option<SharedConfig>,
}

/// A Redis or Valkey: its address, or a section with credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedConfig {
    /// `redis://host:6379/0`, or `rediss://...` for TLS; without credentials.
    pub url: String,
    /// User. Default: the server's default one.
    pub user: Option<String>,
    /// Password. Default: none.
    pub password: Option<Secret>,
    /// Longest wait of a request for it to count limits.
    pub timeout: Span,
}

/// Chosen: fifty times what a server in the same network takes, and not yet felt.
const TIMEOUT: Span = Span(Duration::from_millis(50));

fn timeout() -> Span {
    TIMEOUT
}

/// A Redis or Valkey with credentials.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SharedSection {
    /// `redis://host:6379/0`, or `rediss://...` for TLS; without credentials.
    url: String,
    /// User. Default: the server's default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Password. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<Secret>,
    /// Longest wait of a request for it to count limits; beyond it the node decides alone. Default `50ms`, at most `5s`.
    #[serde(default = "timeout")]
    timeout: Span,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Url(String),
    Section(SharedSection),
}

impl<'de> Deserialize<'de> for SharedConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Url(url) => SharedConfig {
                url,
                user: None,
                password: None,
                timeout: TIMEOUT,
            },
            Written::Section(SharedSection {
                url,
                user,
                password,
                timeout,
            }) => SharedConfig {
                url,
                user,
                password,
                timeout,
            },
        })
    }
}

impl Serialize for SharedConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.user.is_none() && self.password.is_none() && self.timeout == TIMEOUT {
            return serializer.serialize_str(&self.url);
        }
        let section = SharedSection {
            url: self.url.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            timeout: self.timeout,
        };
        section.serialize(serializer)
    }
}

impl JsonSchema for SharedConfig {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SharedConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = SharedSection::json_schema(generator);
        json_schema!({ "oneOf": [{ "type": "string", "format": "redis-url" }, section] })
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            records: vec![RecordStoreConfig::Embedded],
            shared: None,
        }
    }
}

/// One store of records.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordStoreConfig {
    /// Day files in the data folder. Without this entry they hold only what ClickHouse has not taken, and the last two days.
    Embedded,
    /// A ClickHouse that records are shipped to.
    Clickhouse(ClickhouseConfig),
}

/// A ClickHouse that records are shipped to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClickhouseConfig {
    /// Address of its HTTP interface, such as `http://host:8123`.
    pub url: String,
    /// Database; it is made if it is missing. Default `aplomb`.
    #[serde(default = "database")]
    pub database: String,
    /// User, who may create, alter, insert, select and delete in that database. Default `default`.
    #[serde(default = "user")]
    pub user: String,
    /// Password of the user. Default: none.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Whether kept texts go there too, as they are in the records: masked or plain, never encrypted. Default false.
    #[serde(default)]
    pub texts: bool,
}

fn database() -> String {
    "aplomb".to_owned()
}

fn user() -> String {
    "default".to_owned()
}

impl StoreConfig {
    /// The ClickHouse, where there is one.
    pub fn clickhouse(&self) -> Option<&ClickhouseConfig> {
        self.records.iter().find_map(|store| match store {
            RecordStoreConfig::Embedded => None,
            RecordStoreConfig::Clickhouse(config) => Some(config),
        })
    }

    /// Whether the day files are a store of their own.
    pub fn embedded(&self) -> bool {
        self.records.contains(&RecordStoreConfig::Embedded)
    }
}
