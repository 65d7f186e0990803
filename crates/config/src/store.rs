//! The part of the file about where things are kept.

use crate::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where things are kept.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Stores of records. Default `[embedded]`. Takes effect at the next start.
    #[schemars(length(min = 1))]
    pub records: Vec<RecordStoreConfig>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            records: vec![RecordStoreConfig::Embedded],
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
