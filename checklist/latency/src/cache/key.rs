//! Keys: full keyed digests (HMAC-SHA256), so that nobody finds two requests with one key, nor tries texts against a key.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// A key of the cache, never shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// Takes fields in and gives their digest. No two lists of fields are the same bytes: each has its length before it.
#[derive(Clone)]
pub struct Keyer(Hmac<Sha256>);

impl Keyer {
    /// Keyed by a secret of the installation, for one purpose.
    pub fn new(secret: &[u8], purpose: &str) -> Self {
        // HMAC takes keys of any length; the other branch does not exist in practice.
        let mac = Hmac::<Sha256>::new_from_slice(secret)
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
        let mut keyer = Keyer(mac);
        keyer.text(purpose);
        keyer
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(&length.to_be_bytes());
        self.0.update(bytes);
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds a JSON value; the order of members does not matter, numbers count as they are written.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.text("null"),
            Value::Bool(true) => self.text("true"),
            Value::Bool(false) => self.text("false"),
            Value::Number(number) => {
                self.text("number");
                self.text(&number.to_string());
            }
            Value::String(text) => {
                self.text("string");
                self.text(text);
            }
            Value::Array(items) => {
                self.text("array");
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(members) => {
                self.text("object");
                self.count(members.len());
                let mut sorted: Vec<_> = members.iter().collect();
                sorted.sort_by_key(|(name, _)| name.as_str());
                for (name, value) in sorted {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }

    fn count(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.update(&count.to_be_bytes());
    }

    /// The digest of all fields.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: &Value) -> Digest {
        let mut keyer = Keyer::new(b"secret", "test");
        keyer.value(value);
        keyer.finish()
    }

    #[test]
    fn only_the_order_of_members_does_not_matter() {
        let base = of(&json!({"a": 1, "b": [1, 2], "c": {"d": "x", "e": null}}));
        assert_eq!(
            base,
            of(&json!({"c": {"e": null, "d": "x"}, "b": [1, 2], "a": 1}))
        );
        for other in [
            json!({"a": 1, "b": [2, 1], "c": {"d": "x", "e": null}}),
            json!({"a": 1.0, "b": [1, 2], "c": {"d": "x", "e": null}}),
            json!({"a": "1", "b": [1, 2], "c": {"d": "x", "e": null}}),
            json!({"a": 1, "b": [1, 2], "c": {"d": "x"}}),
            json!({"a": 1, "b": [1, [2]], "c": {"d": "x", "e": null}}),
        ] {
            assert_ne!(base, of(&other), "{other}");
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other_and_the_secret_counts() {
        let two = |secret: &[u8], a: &str, b: &str| {
            let mut keyer = Keyer::new(secret, "test");
            keyer.text(a);
            keyer.text(b);
            keyer.finish()
        };
        assert_ne!(two(b"s", "ab", "c"), two(b"s", "a", "bc"));
        assert_ne!(two(b"s", "a", "b"), two(b"t", "a", "b"));
    }
}
