//! One person's data, erased in every store, with a signed receipt; or handed over.

use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::BoxError;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;

/// Proof that a person's data was erased. Holds no part of their id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Number of the receipt.
    pub id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Keyed digest of tenant and user: who asks again can be compared with it.
    pub subject: String,
    /// Items removed, by store.
    pub removed: BTreeMap<String, u64>,
    /// HMAC-SHA256 of all the above with a secret of the installation, in hexadecimal digits.
    pub signature: String,
}

/// A store that failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("the store `{store}` could not be erased: {source}")]
pub struct EraseError {
    /// Which store.
    pub store: &'static str,
    /// What it said.
    pub source: BoxError,
}

/// Signs and checks receipts.
pub struct Signer<'a>(pub &'a [u8]);

impl Signer<'_> {
    fn mac(&self, fields: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0)
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
        for field in fields {
            mac.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(field.as_bytes());
        }
        let bytes = mac.finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn signature(&self, receipt: &Receipt) -> String {
        let removed = json!(receipt.removed).to_string();
        let at = receipt.at_ms.to_string();
        self.mac(&["receipt", &receipt.id, &at, &receipt.subject, &removed])
    }

    /// Whether a receipt was made by this installation and is unchanged.
    pub fn verifies(&self, receipt: &Receipt) -> bool {
        // Both are digests of public fields: there is no secret to be learned from the time this takes.
        self.signature(receipt) == receipt.signature
    }
}

/// Erases a person in every store. All stores are tried; the first failure is reported after that.
///
/// # Errors
/// A store that failed. Nothing is signed then: try again.
pub fn erase(
    stores: &[&dyn Erase],
    subject: &Subject,
    signer: &Signer<'_>,
    now_ms: u64,
) -> Result<Receipt, EraseError> {
    let mut removed = BTreeMap::new();
    let mut failure = None;
    for store in stores {
        match store.erase(subject) {
            Ok(count) => {
                removed.insert(store.store().to_owned(), count);
            }
            Err(source) => {
                failure.get_or_insert(EraseError {
                    store: store.store(),
                    source,
                });
            }
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let tenant = subject.tenant.as_deref().unwrap_or("*");
    let mut receipt = Receipt {
        id: aplomb_core::id::RequestId::new(now_ms).to_string(),
        at_ms: now_ms,
        subject: signer.mac(&["subject", tenant, &subject.user]),
        removed,
        signature: String::new(),
    };
    receipt.signature = signer.signature(&receipt);
    Ok(receipt)
}

/// Everything that is kept of a person, by store.
///
/// # Errors
/// A store that can't be read.
pub fn export(stores: &[&dyn Erase], subject: &Subject) -> Result<Value, EraseError> {
    let mut all = serde_json::Map::new();
    for store in stores {
        let items = store.export(subject).map_err(|source| EraseError {
            store: store.store(),
            source,
        })?;
        all.insert(store.store().to_owned(), Value::Array(items));
    }
    Ok(Value::Object(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Store(&'static str, Result<u64, ()>);

    impl Erase for Store {
        fn store(&self) -> &'static str {
            self.0
        }
        fn erase(&self, _: &Subject) -> Result<u64, BoxError> {
            self.1.map_err(|()| "disk".into())
        }
        fn export(&self, _: &Subject) -> Result<Vec<Value>, BoxError> {
            Ok(vec![json!(self.0)])
        }
    }

    fn subject() -> Subject {
        Subject {
            tenant: None,
            user: "canary".into(),
        }
    }

    #[test]
    fn a_receipt_verifies_until_it_is_changed() {
        let signer = Signer(b"key");
        let stores: [&dyn Erase; 2] = [&Store("records", Ok(3)), &Store("cache", Ok(0))];
        let receipt = erase(&stores, &subject(), &signer, 5).unwrap();
        assert!(signer.verifies(&receipt) && !Signer(b"other").verifies(&receipt));
        assert!(!json!(receipt).to_string().contains("canary"));
        let mut forged = receipt.clone();
        forged.removed.insert("records".into(), 4);
        assert!(!signer.verifies(&forged));
        assert_eq!(
            export(&stores, &subject()).unwrap()["cache"],
            json!(["cache"])
        );
    }

    #[test]
    fn a_store_that_fails_leaves_no_receipt() {
        let stores: [&dyn Erase; 2] = [&Store("cache", Err(())), &Store("records", Ok(3))];
        let error = erase(&stores, &subject(), &Signer(b"key"), 5).unwrap_err();
        assert_eq!(error.store, "cache");
    }
}
