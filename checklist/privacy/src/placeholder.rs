//! What stands for a value: `<EMAIL_k3f9>`, the same for the same value of the same user, without any stored state.
//!
//! The letters are a keyed digest (HMAC-SHA256) of tenant, user, kind and the value in its normal form, so that nobody
//! without the key can try values, and two users never share a placeholder. A value that is written in another way than
//! its normal form (`Ada@Example.org`, `4111 1111 ...`) gets two more letters for that way, so that the answer gets back
//! exactly what was written.

use crate::detect::entity::EntityKind;
use crate::policy::{Action, Profile};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Letters of the shortest placeholder. Specified: four or more.
const LETTERS: usize = 4;
/// Letters for the way in which a value is written.
const FORM_LETTERS: usize = 2;
/// RFC 4648 base32 in lower case: no letter that reads like another one in a digit's place.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Makes placeholders for one user of one tenant.
#[derive(Clone)]
pub struct Minter {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Minter")
    }
}

/// Adds a field with its length, so that no two lists of fields are the same bytes.
fn field(mac: &mut Hmac<Sha256>, text: &str) {
    mac.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    mac.update(text.as_bytes());
}

impl Minter {
    /// For a user of a tenant, keyed by a secret of the installation that is the same on every node.
    pub fn new(secret: &[u8], tenant: &str, user: &str) -> Self {
        // HMAC takes keys of any length; the branch for an error does not exist in practice and yields a keyless digest
        // of a fixed text, which no two installations would accept from each other.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret)
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
        field(&mut mac, "aplomb placeholder 1");
        field(&mut mac, tenant);
        field(&mut mac, user);
        Minter { mac }
    }

    /// The letters for a value, 52 and more; a placeholder uses the first ones.
    fn letters(&self, kind: &EntityKind, text: &str) -> String {
        let mut mac = self.mac.clone();
        field(&mut mac, kind.name());
        field(&mut mac, text);
        base32(&mac.finalize().into_bytes())
    }

    /// Names for a value, from short to long: `EMAIL_k3f9`, ... The caller takes the first one that is free.
    pub fn names(&self, kind: &EntityKind, value: &str) -> impl Iterator<Item = String> {
        let normal = normal(kind, value);
        let letters = self.letters(kind, &normal);
        let form = (normal != value).then(|| self.letters(kind, value));
        let kind = label(kind);
        (LETTERS..=letters.len())
            .step_by(LETTERS)
            .map(move |count| {
                let mut name = format!("{kind}_{}", letters.get(..count).unwrap_or_default());
                if let Some(form) = &form {
                    name.push_str(form.get(..FORM_LETTERS * count / LETTERS).unwrap_or(form));
                }
                name
            })
    }

    /// Letters that stand for a value for good: for the action `hash`.
    pub fn hash(&self, kind: &EntityKind, value: &str) -> String {
        let letters = self.letters(kind, &normal(kind, value));
        format!("{}_{}", label(kind), letters.get(..16).unwrap_or(&letters))
    }

    /// A number drawn from a value, below `below`: for surrogates.
    pub fn number(&self, kind: &EntityKind, value: &str, below: u64) -> u64 {
        let mut mac = self.mac.clone();
        field(&mut mac, "surrogate");
        field(&mut mac, kind.name());
        field(&mut mac, &normal(kind, value));
        let digest = mac.finalize().into_bytes();
        let first = digest.iter().take(8);
        let number = first.fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        number % below.max(1)
    }
}

/// Kind as it stands in a placeholder: letters, digits and `_` only, also for kinds that the operator named.
pub fn label(kind: &EntityKind) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    kind.name().chars().map(plain).collect()
}

/// The kinds that a policy masks, as they stand in placeholders: tells what has the form of one.
#[derive(Debug, Clone, Default)]
pub struct Labels(BTreeSet<String>);

impl Labels {
    /// Of a policy, with the kinds that the operator named.
    pub fn of(profile: &Profile, custom: &[String]) -> Self {
        let masked = |kind: &EntityKind| {
            let takes = |action| matches!(action, Action::Mask | Action::Surrogate);
            takes(profile.action(kind, false)) || takes(profile.action(kind, true))
        };
        let custom = custom.iter().map(|name| EntityKind::custom(name));
        let kinds = EntityKind::BUILT_IN.iter().cloned().chain(custom);
        Labels(kinds.filter(masked).map(|kind| label(&kind)).collect())
    }

    /// Whether a text has the form of a placeholder's name as it is made: `EMAIL_k3f9`, in these cases.
    pub fn has_form(&self, text: &str) -> bool {
        let Some((kind, letters)) = text.rsplit_once('_') else {
            return false;
        };
        let length = letters.len();
        let long_enough =
            length >= LETTERS && (length % LETTERS == 0 || length % (LETTERS + FORM_LETTERS) == 0);
        long_enough
            && letters.bytes().all(|letter| ALPHABET.contains(&letter))
            && self.0.contains(kind)
    }

    /// Whether a text, in any case and with spaces before it, can be a name or the beginning of one.
    pub fn can_name(&self, text: &str) -> bool {
        let text = text.trim_start_matches([' ', '\\']).as_bytes();
        self.0.iter().any(|label| {
            // From the first `_` on, what models make of it is not guessed.
            let plain = label.bytes().take_while(|byte| *byte != b'_');
            let mut pairs = text.iter().zip(plain);
            pairs.all(|(one, other)| one.eq_ignore_ascii_case(&other))
        })
    }
}

fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let index = usize::try_from((buffer >> bits) & 31).unwrap_or(0);
            out.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'a')));
        }
        buffer &= (1 << bits) - 1;
    }
    out
}

/// A value without the ways in which it can be written.
fn normal(kind: &EntityKind, value: &str) -> String {
    match kind {
        EntityKind::Email
        | EntityKind::Person
        | EntityKind::Location
        | EntityKind::Organization => words(&value.to_lowercase()),
        EntityKind::Address | EntityKind::DateOfBirth => words(value),
        // Secrets, links and what the operator named are what they are, letter for letter.
        EntityKind::Secret
        | EntityKind::UrlCredentials
        | EntityKind::Crypto
        | EntityKind::Custom(_) => value.to_owned(),
        EntityKind::IpAddress => value.to_ascii_lowercase(),
        _ => value
            .chars()
            .filter(|c| c.is_alphanumeric() || *c == '+')
            .flat_map(char::to_uppercase)
            .collect(),
    }
}

fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let gap = if out.is_empty() { "" } else { " " };
        let _ = write!(out, "{gap}{word}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(minter: &Minter, kind: &EntityKind, value: &str) -> String {
        minter.names(kind, value).next().unwrap()
    }

    #[test]
    fn the_same_value_has_the_same_name_for_the_same_user_only() {
        let minter = Minter::new(b"secret", "acme", "u1");
        let kind = EntityKind::Email;
        let name = first(&minter, &kind, "ada@example.org");
        assert_eq!(name, first(&minter, &kind, "ada@example.org"));
        assert!(name.starts_with("EMAIL_") && name.len() == 10, "{name}");
        for other in [
            Minter::new(b"secret", "acme", "u2"),
            Minter::new(b"secret", "other", "u1"),
            Minter::new(b"else", "acme", "u1"),
            // No shifting of letters between the fields.
            Minter::new(b"secret", "acmeu", "1"),
        ] {
            assert_ne!(name, first(&other, &kind, "ada@example.org"));
        }
    }

    #[test]
    fn another_way_of_writing_shares_the_first_letters() {
        let minter = Minter::new(b"secret", "acme", "u1");
        let plain = first(&minter, &EntityKind::Email, "ada@example.org");
        let other = first(&minter, &EntityKind::Email, "Ada@Example.org");
        assert!(other.starts_with(&plain) && other.len() == plain.len() + FORM_LETTERS);
    }

    #[test]
    fn names_grow() {
        let minter = Minter::new(b"secret", "acme", "u1");
        let lengths: Vec<usize> = minter
            .names(&EntityKind::Custom("ticket-no".into()), "TCK-1")
            .map(|name| name.len() - "TICKET_NO_".len())
            .take(3)
            .collect();
        assert_eq!(lengths, [4, 8, 12]);
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        assert_eq!(base32(&[0xff; 5]), "77777777");
    }
}
