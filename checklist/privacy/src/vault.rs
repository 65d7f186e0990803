//! The values behind the placeholders of one request. Lives with the request, is written nowhere, and is wiped.

use crate::detect::entity::EntityKind;
use crate::placeholder::{Labels, Minter};
use crate::private::Private;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Whether an answer may hold the value again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// Everywhere.
    Everywhere,
    /// In text, not in the arguments of tool calls.
    TextOnly,
    /// Nowhere: it came from instructions that are not the user's, and its kind is a secret.
    Never,
}

struct Entry {
    value: Private,
    restore: Restore,
}

/// Values by what stands for them.
#[derive(Default)]
pub struct Vault {
    /// By the upper-case name of a placeholder, without its brackets.
    named: BTreeMap<String, Entry>,
    /// By the text of a surrogate.
    surrogates: BTreeMap<String, Entry>,
    /// Name by kind and value.
    known: HashMap<(EntityKind, Private), String>,
    /// Upper-case names that stand for good, such as digests.
    kept: BTreeSet<String>,
    /// What placeholders look like, where answers are looked over for them.
    labels: Option<Arc<Labels>>,
}

/// What a name is to this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its value should stand there.
    Restorable,
    /// It is known, and its value must not stand there.
    Kept,
    /// This request did not make it.
    Unknown,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault of {}", self.named.len() + self.surrogates.len())
    }
}

impl Vault {
    /// True if nothing has to be restored.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.surrogates.is_empty()
    }

    /// The placeholder for a value, `<EMAIL_k3f9>`. It is not in `taken`, the request as it came.
    pub fn placeholder(
        &mut self,
        minter: &Minter,
        kind: &EntityKind,
        value: &str,
        taken: &Taken,
    ) -> String {
        let key = (kind.clone(), Private::new(value));
        if let Some(name) = self.known.get(&key) {
            return bracketed(name);
        }
        let free = |name: &String| {
            !self.named.contains_key(&name.to_ascii_uppercase()) && !taken.holds(name)
        };
        // The longest name has more than 250 bits of a keyed digest: nobody writes it by chance or on purpose.
        let mut names = minter.names(kind, value).peekable();
        let mut name = names.peek().cloned().unwrap_or_default();
        for candidate in names {
            name = candidate;
            if free(&name) {
                break;
            }
        }
        let entry = Entry {
            value: Private::new(value),
            restore: Restore::Never,
        };
        self.named.insert(name.to_ascii_uppercase(), entry);
        self.known.insert(key, name.clone());
        bracketed(&name)
    }

    /// Keeps a value behind a surrogate.
    pub fn surrogate(&mut self, text: &str, value: &str, restore: Restore) {
        let entry = self
            .surrogates
            .entry(text.to_owned())
            .or_insert_with(|| Entry {
                value: Private::new(value),
                restore,
            });
        entry.restore = wider(entry.restore, restore);
    }

    /// Allows a placeholder to be restored; the widest permission of all its places holds.
    pub fn allow(&mut self, placeholder: &str, restore: Restore) {
        let name = placeholder
            .trim_start_matches('<')
            .trim_end_matches('>')
            .to_ascii_uppercase();
        if let Some(entry) = self.named.get_mut(&name) {
            entry.restore = wider(entry.restore, restore);
        }
    }

    /// Notes a name that stands for good.
    pub fn keep(&mut self, name: &str) {
        self.kept.insert(name.to_ascii_uppercase());
    }

    /// Answers are looked over for what has the form of these placeholders.
    pub fn watch(&mut self, labels: Arc<Labels>) {
        self.labels = Some(labels);
    }

    /// Whether answers are looked over for placeholders.
    pub fn is_watched(&self) -> bool {
        self.labels.is_some()
    }

    /// What a name, in any case, is to this request.
    pub fn standing(&self, name: &str, place: Place) -> Standing {
        let upper = name.to_ascii_uppercase();
        match self.named.get(&upper) {
            Some(entry) if entry.at(place).is_some() => Standing::Restorable,
            Some(_) => Standing::Kept,
            None if self.kept.contains(&upper) => Standing::Kept,
            None => Standing::Unknown,
        }
    }

    /// Whether a text has the form of a placeholder's name.
    pub fn has_form(&self, text: &str) -> bool {
        let labels = self.labels.as_deref();
        labels.is_some_and(|labels| labels.has_form(text))
    }

    /// Whether what stands behind a bracket can be a name, or the beginning of one.
    pub fn can_name(&self, inner: &str) -> bool {
        let labels = self.labels.as_deref();
        labels.is_some_and(|labels| labels.can_name(inner))
    }

    /// The value behind a name in any case, if it may stand in this place.
    pub fn value(&self, name: &str, place: Place) -> Option<&str> {
        let upper = name.to_ascii_uppercase();
        self.named.get(&upper).and_then(|entry| entry.at(place))
    }

    /// Whether some name begins like this, in upper case.
    pub fn begins(&self, upper: &str) -> bool {
        let from = upper.to_owned();
        let next = self.named.range(from..).next();
        next.is_some_and(|(name, _)| name.starts_with(upper))
    }

    /// True if some value has to be escaped inside a JSON string.
    pub fn needs_escapes(&self) -> bool {
        let special = |c: char| c == '"' || c == '\\' || c.is_control();
        let entries = self.named.values().chain(self.surrogates.values());
        entries
            .into_iter()
            .any(|entry| entry.value.contains(special))
    }

    /// Keyed digest of all values with what stands for them; `None` if there are none. Whoever keeps an answer for another
    /// request needs it: placeholders are short, and surrogates are nobody's.
    pub fn digest(&self, secret: &[u8]) -> Option<[u8; 32]> {
        if self.is_empty() {
            return None;
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(secret)
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
        mac.update(b"aplomb vault 1");
        for (name, entry) in self.named.iter().chain(&self.surrogates) {
            for text in [name, &*entry.value] {
                let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
                mac.update(&length.to_be_bytes());
                mac.update(text.as_bytes());
            }
        }
        Some(mac.finalize().into_bytes().into())
    }

    /// Surrogates with their values, as far as they may stand in this place.
    pub fn surrogates(&self, place: Place) -> impl Iterator<Item = (&str, &str)> {
        self.surrogates
            .iter()
            .filter_map(move |(text, entry)| Some((text.as_str(), entry.at(place)?)))
    }
}

fn bracketed(name: &str) -> String {
    format!("<{name}>")
}

fn wider(one: Restore, other: Restore) -> Restore {
    match (one, other) {
        (Restore::Everywhere, _) | (_, Restore::Everywhere) => Restore::Everywhere,
        (Restore::TextOnly, _) | (_, Restore::TextOnly) => Restore::TextOnly,
        (Restore::Never, Restore::Never) => Restore::Never,
    }
}

/// Where in an answer a value would stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Text for people.
    Text,
    /// Arguments of a tool call.
    Arguments,
}

impl Entry {
    fn at(&self, place: Place) -> Option<&str> {
        let may = match (self.restore, place) {
            (Restore::Everywhere, _) | (Restore::TextOnly, Place::Text) => true,
            (Restore::TextOnly, Place::Arguments) | (Restore::Never, _) => false,
        };
        may.then_some(&*self.value)
    }
}

/// The request as it came, to see whether a name is already in it.
pub struct Taken {
    /// Only if it holds `_`, without which no name can be in it.
    upper: Option<String>,
}

impl Taken {
    /// Of these bytes.
    pub fn new(request: &[u8]) -> Self {
        let upper = memchr::memchr(b'_', request)
            .map(|_| String::from_utf8_lossy(request).to_ascii_uppercase());
        Taken { upper }
    }

    fn holds(&self, name: &str) -> bool {
        let upper = self.upper.as_deref();
        upper.is_some_and(|text| text.contains(&name.to_ascii_uppercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minter() -> Minter {
        Minter::new(b"s", "t", "u")
    }

    #[test]
    fn a_name_that_the_request_holds_is_not_used() {
        let kind = EntityKind::Email;
        let mut vault = Vault::default();
        let short = vault.placeholder(&minter(), &kind, "a@b.example", &Taken::new(b""));
        let request = format!("what is {}?", short.to_lowercase());
        let mut vault = Vault::default();
        let taken = Taken::new(request.as_bytes());
        let long = vault.placeholder(&minter(), &kind, "a@b.example", &taken);
        assert_eq!(long.len(), short.len() + 4);
    }

    #[test]
    fn a_digest_tells_values_apart_and_needs_the_secret() {
        let of = |value: &str| {
            let mut vault = Vault::default();
            vault.placeholder(&minter(), &EntityKind::Email, value, &Taken::new(b""));
            vault
        };
        let one = of("a@b.example").digest(b"k");
        assert!(one.is_some());
        assert_eq!(one, of("a@b.example").digest(b"k"));
        assert_ne!(one, of("a@c.example").digest(b"k"));
        assert_ne!(one, of("a@b.example").digest(b"l"));
        let mut made_up = Vault::default();
        made_up.surrogate("x@y.example", "a@b.example", Restore::Everywhere);
        let mut other = Vault::default();
        other.surrogate("x@y.example", "c@d.example", Restore::Everywhere);
        assert_ne!(made_up.digest(b"k"), other.digest(b"k"));
        assert_eq!(Vault::default().digest(b"k"), None);
    }

    #[test]
    fn the_widest_permission_holds() {
        let mut vault = Vault::default();
        let name = vault.placeholder(&minter(), &EntityKind::Secret, "s3", &Taken::new(b""));
        let core = name.trim_matches(|c| "<>".contains(c)).to_owned();
        assert_eq!(vault.value(&core, Place::Text), None);
        vault.allow(&name, Restore::TextOnly);
        assert_eq!(vault.value(&core.to_lowercase(), Place::Text), Some("s3"));
        assert_eq!(vault.value(&core, Place::Arguments), None);
    }
}
