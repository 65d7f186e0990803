//! What every provider's request encoder gives.

use bytes::Bytes;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A field of the request that a provider has no counterpart for.
pub type Dropped = Cow<'static, str>;

/// Longest name that is told. Chosen: the names of both APIs are shorter.
const NAME_CHARS_MAX: usize = 48;

/// The names of members that nothing translates, fit for a header.
pub(crate) fn untranslated(rest: &Map<String, Value>) -> impl Iterator<Item = Dropped> {
    let told = rest.iter().filter(|(_, value)| !value.is_null());
    told.map(|(name, _)| Cow::Owned(name.chars().take(NAME_CHARS_MAX).map(plain).collect()))
}

fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '-' {
        c
    } else {
        '_'
    }
}

/// A request ready to be sent, but for its address and credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Path below the provider's base URL, e.g. `/chat/completions`.
    pub path: &'static str,
    /// JSON body.
    pub body: Bytes,
    /// Fields of the request that this provider has no counterpart for, e.g. `seed`.
    pub dropped: Vec<Dropped>,
}
