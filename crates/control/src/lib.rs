//! Who may call: tenants, API keys and the audit trail. A store trait, SQLite now, PostgreSQL when outgrown.
//!
//! The store is never on the request path: requests are authenticated against a [`snapshot::KeySnapshot`] in memory.

pub mod audit;
#[cfg(feature = "contract")]
pub mod contract;
pub mod key;
pub mod snapshot;
pub mod sqlite;
pub mod store;
