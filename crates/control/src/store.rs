//! What a control store does. Calls block; callers use a blocking pool.

use crate::audit::{Anchor, Broken, Link, Verified};
use crate::key::{KeyHash, KeyHasher, PlainKey};
use serde::Serialize;

/// One API key as kept. Never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRecord {
    /// Public id, the third part of the key.
    pub id: String,
    /// Tenant that pays.
    pub tenant: String,
    /// Name for people.
    pub name: String,
    /// Keyed hash, as `hash:<hex>`.
    #[serde(skip)]
    pub hash: KeyHash,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// When it ends.
    pub expires_at_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_at_ms: Option<u64>,
    /// Routes it may use; empty means all. A `*` stands for any text.
    pub routes: Vec<String>,
}

/// A key to be made.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// Tenant; made with its first key.
    pub tenant: String,
    /// Name for people.
    pub name: String,
    /// Second part of the key: `live`, `test`, ...
    pub env: String,
    /// When it ends.
    pub expires_at_ms: Option<u64>,
    /// Routes it may use; empty means all.
    pub routes: Vec<String>,
}

/// Who did something, and when.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    /// `cli`, `admin`, ...
    pub actor: &'a str,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// One row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Number of the row; no number is given twice.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub actor: String,
    /// What: `key.create`, `key.revoke`, `key.rotate`, `privacy.erase`, `cache.purge`, `panic.on`, `ban.begin`, ...
    pub action: String,
    /// On what: a key id, the number of a receipt, a network.
    pub subject: String,
    /// SHA-256 of this row and the hash of the one before it, in hexadecimal digits.
    pub hash: String,
}

impl AuditEntry {
    /// What its hash is made of, besides the hash before it.
    pub(crate) fn link(&self) -> Link<'_> {
        Link {
            seq: self.seq,
            at_ms: self.at_ms,
            actor: &self.actor,
            action: &self.action,
            subject: &self.subject,
        }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No such key.
    #[error("there is no key with the id `{0}`")]
    NoSuchKey(String),
    /// A name that is not allowed.
    #[error("{0} must have 1 to 64 lower-case letters, digits, `.`, `_` or `-`")]
    BadName(&'static str),
    /// No random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The audit trail was changed.
    #[error("the audit trail is not whole: {0}")]
    Broken(Broken),
    /// The file was made by a newer version.
    #[error(
        "the control store {file} has schema {found}, this version knows {known}: use a newer version"
    )]
    TooNew {
        /// The file.
        file: String,
        /// Its schema.
        found: i64,
        /// The newest schema that is known.
        known: i64,
    },
    /// The engine failed.
    #[error("the control store {file} failed: {source}")]
    Engine {
        /// The file or server.
        file: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Keys, tenants and the audit trail.
pub trait ControlStore: Send + Sync {
    /// Makes a key, and its tenant if need be. The text is given once and not kept.
    ///
    /// # Errors
    /// A bad name, or the engine.
    fn create_key(
        &self,
        new: &NewKey,
        hasher: &KeyHasher,
        act: &Act<'_>,
    ) -> Result<(PlainKey, KeyRecord), ControlError>;

    /// All keys, oldest first; of one tenant if given.
    ///
    /// # Errors
    /// The engine.
    fn list_keys(&self, tenant: Option<&str>) -> Result<Vec<KeyRecord>, ControlError>;

    /// Ends a key now. Revoking twice keeps the first time.
    ///
    /// # Errors
    /// No such key, or the engine.
    fn revoke_key(&self, id: &str, act: &Act<'_>) -> Result<KeyRecord, ControlError>;

    /// Makes a key with the scopes of an old one, which ends after `overlap_ms`.
    ///
    /// # Errors
    /// No such key, or the engine.
    fn rotate_key(
        &self,
        id: &str,
        overlap_ms: u64,
        hasher: &KeyHasher,
        act: &Act<'_>,
    ) -> Result<(PlainKey, KeyRecord), ControlError>;

    /// Adds a row to the audit trail for something that was done elsewhere.
    ///
    /// # Errors
    /// The engine.
    fn note(&self, action: &str, subject: &str, act: &Act<'_>) -> Result<(), ControlError>;

    /// The newest rows of the audit trail, newest first.
    ///
    /// # Errors
    /// The engine.
    fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, ControlError>;

    /// Whether the audit trail is whole: every row is as it was written and where it was written, none is missing, and the row of
    /// the anchor is there.
    ///
    /// # Errors
    /// [`ControlError::Broken`] with the first row that is not, or the engine.
    fn verify(&self, anchor: Option<&Anchor>) -> Result<Verified, ControlError>;

    /// Turns the panic switch. Turning it to where it is changes nothing.
    ///
    /// # Errors
    /// The engine.
    fn set_panic(&self, on: bool, act: &Act<'_>) -> Result<(), ControlError>;

    /// How the panic switch stands.
    ///
    /// # Errors
    /// The engine.
    fn panic(&self) -> Result<bool, ControlError>;

    /// Ends all sessions of a site that were made until now.
    ///
    /// # Errors
    /// The engine.
    fn end_sessions(&self, site: &str, act: &Act<'_>) -> Result<(), ControlError>;

    /// Sites whose sessions were ended, each with the time until which, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The engine.
    fn sessions_from(&self) -> Result<Vec<(String, u64)>, ControlError>;

    /// A number that grows with every change, whichever process made it.
    ///
    /// # Errors
    /// The engine.
    fn version(&self) -> Result<u64, ControlError>;
}

/// Checks a tenant's or environment's name.
pub(crate) fn check_name(name: &str, what: &'static str) -> Result<(), ControlError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(legal);
    if fits {
        Ok(())
    } else {
        Err(ControlError::BadName(what))
    }
}
