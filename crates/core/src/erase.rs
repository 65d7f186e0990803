//! What every store that keeps anything of a person must be able to do: forget it, and hand it over.

use crate::error::BoxError;
use serde_json::Value;

/// One person, as the gateway knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Only within this tenant; `None`: in all.
    pub tenant: Option<String>,
    /// The end user's id, as requests named it.
    pub user: String,
}

impl Subject {
    /// Whether something of this tenant and user is theirs.
    pub fn owns(&self, tenant: &str, user: &str) -> bool {
        self.user == user && self.tenant.as_deref().is_none_or(|own| own == tenant)
    }
}

/// A store that can forget one person. Calls block.
pub trait Erase: Send + Sync {
    /// Name of the store, for the receipt.
    fn store(&self) -> &'static str;

    /// Removes everything that is theirs for good, and says how many items that were. Nothing of it is left in any file
    /// when this returns.
    ///
    /// # Errors
    /// The store can't be written; what was removed until then stays removed.
    fn erase(&self, subject: &Subject) -> Result<u64, BoxError>;

    /// Everything that is theirs, oldest first.
    ///
    /// # Errors
    /// The store can't be read.
    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError>;
}
