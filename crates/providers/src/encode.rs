//! What every provider's request encoder gives.

use bytes::Bytes;

/// A request ready to be sent, but for its address and credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Path below the provider's base URL, e.g. `/chat/completions`.
    pub path: &'static str,
    /// JSON body.
    pub body: Bytes,
    /// Fields of the request that this provider has no counterpart for, e.g. `seed`.
    pub dropped: Vec<&'static str>,
}
