//! A value that is someone's own: shown by nothing, wiped when it goes.

use std::fmt;
use std::ops::Deref;
use zeroize::Zeroize;

/// Text of a person. Its `Debug` prints nothing, and its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Private(String);

impl Private {
    /// Takes a copy of a text.
    pub fn new(text: &str) -> Self {
        Private(text.to_owned())
    }
}

impl Deref for Private {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Private {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private")
    }
}
