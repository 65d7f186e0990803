//! All keys in memory, for the request path. Immutable; replaced as a whole when something changes.

use crate::key::{KeyHash, KeyHasher, is_well_formed};
use crate::store::KeyRecord;
use std::collections::HashMap;
use std::sync::Arc;

/// A caller as authenticated.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Tenant that pays.
    pub tenant: Arc<str>,
    /// Public id of the key.
    pub key_id: Arc<str>,
    /// Routes it may use; empty means all.
    pub routes: Arc<[String]>,
    /// Routes that its tenant may use; empty means all.
    tenant_routes: Arc<[String]>,
    expires_at_ms: Option<u64>,
    revoked: bool,
}

impl Grant {
    /// Whether this key, and its tenant, may use a route. A `*` in a rule stands for any text.
    pub fn may_use(&self, route: &str) -> bool {
        let allowed =
            |rules: &[String]| rules.is_empty() || rules.iter().any(|rule| fits(rule, route));
        allowed(&self.routes) && allowed(&self.tenant_routes)
    }
}

/// Whether `name` fits a `rule` that may hold one `*`.
pub fn fits(rule: &str, name: &str) -> bool {
    match rule.split_once('*') {
        None => rule == name,
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}

/// Why a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The check letters are wrong: mistyped or cut.
    #[error("this API key is mistyped or incomplete")]
    Mistyped,
    /// No such key.
    #[error("this API key is not known")]
    Unknown,
    /// Its time is over.
    #[error("this API key has expired")]
    Expired,
    /// It was revoked.
    #[error("this API key was revoked")]
    Revoked,
}

/// Keys by hash.
#[derive(Debug, Default)]
pub struct KeySnapshot {
    keys: HashMap<KeyHash, Grant>,
}

impl KeySnapshot {
    /// From the rows of the store.
    pub fn new(rows: &[KeyRecord]) -> Self {
        let grant = |row: &KeyRecord| Grant {
            tenant: row.tenant.as_str().into(),
            key_id: row.id.as_str().into(),
            routes: row.routes.clone().into(),
            tenant_routes: Arc::default(),
            expires_at_ms: row.expires_at_ms,
            revoked: row.revoked_at_ms.is_some(),
        };
        KeySnapshot {
            keys: rows.iter().map(|row| (row.hash, grant(row))).collect(),
        }
    }

    /// Adds a key that stands in the configuration file by its hash.
    pub fn add_file_key(&mut self, tenant: &str, hash: KeyHash) {
        let id: String = hash
            .to_string()
            .chars()
            .skip("hash:".len())
            .take(8)
            .collect();
        let grant = Grant {
            tenant: tenant.into(),
            key_id: format!("file-{id}").into(),
            routes: Arc::default(),
            tenant_routes: Arc::default(),
            expires_at_ms: None,
            revoked: false,
        };
        self.keys.insert(hash, grant);
    }

    /// Bounds all keys of a tenant, wherever they were made, to these routes. Empty means all.
    pub fn bound_tenant(&mut self, tenant: &str, routes: &[String]) {
        let routes: Arc<[String]> = routes.into();
        for grant in self.keys.values_mut() {
            if &*grant.tenant == tenant {
                grant.tenant_routes = routes.clone();
            }
        }
    }

    /// True if there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Who presents this key. `now_ms`: milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn authenticate(
        &self,
        presented: &str,
        hasher: &KeyHasher,
        now_ms: u64,
    ) -> Result<&Grant, AuthError> {
        if presented.starts_with("apl_") && !is_well_formed(presented) {
            return Err(AuthError::Mistyped);
        }
        let hash = hasher.hash(presented);
        // The hash is keyed, so an attacker can't steer the look-up; the last word is constant-time.
        let (known, grant) = self.keys.get_key_value(&hash).ok_or(AuthError::Unknown)?;
        if !known.matches(&hash) {
            return Err(AuthError::Unknown);
        }
        match grant {
            Grant { revoked: true, .. } => Err(AuthError::Revoked),
            Grant {
                expires_at_ms: Some(end),
                ..
            } if *end <= now_ms => Err(AuthError::Expired),
            grant => Ok(grant),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_with_a_star_fit() {
        for (rule, name, expected) in [
            ("chat", "chat", true),
            ("chat", "chat2", false),
            ("gpt-*", "gpt-5", true),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(rule, name), expected, "{rule} {name}");
        }
    }

    #[test]
    fn file_keys_are_found_by_their_hash() {
        let hasher = KeyHasher::new(b"p");
        let mut snapshot = KeySnapshot::default();
        snapshot.add_file_key("acme", hasher.hash("some-long-secret-of-ours"));
        snapshot.bound_tenant("acme", &["chat".into()]);
        let grant = snapshot
            .authenticate("some-long-secret-of-ours", &hasher, 0)
            .unwrap();
        assert_eq!(
            (
                &*grant.tenant,
                grant.may_use("chat"),
                grant.may_use("other")
            ),
            ("acme", true, false)
        );
        assert_eq!(
            snapshot.authenticate("other", &hasher, 0).unwrap_err(),
            AuthError::Unknown
        );
        assert_eq!(
            snapshot.authenticate("apl_live_x", &hasher, 0).unwrap_err(),
            AuthError::Mistyped
        );
    }
}
