//! API keys: `apl_<env>_<8 id>_<32 random>_<6 check>`, shown once, kept only as keyed hashes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::io::Write;
use std::path::Path;
use subtle::ConstantTimeEq;

/// Letters of ids and random parts: no `i`, `l`, `o`, `u`, which are misread or spell words.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A key in clear text. Prints nothing of itself; shown once through [`PlainKey::expose`].
pub struct PlainKey(String);

impl PlainKey {
    /// A new key for `env` (letters and digits, such as `live` or `test`).
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate(env: &str) -> Result<Self, getrandom::Error> {
        let head = format!("apl_{env}_{}_{}", random_text(8)?, random_text(32)?);
        let check = check_text(&head);
        Ok(PlainKey(format!("{head}_{check}")))
    }

    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its public id.
    pub fn id(&self) -> &str {
        self.0.split('_').nth(2).unwrap_or_default()
    }
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainKey({})", self.id())
    }
}

/// Random letters from the system's source.
///
/// # Errors
/// The system gives no random bytes.
pub fn random_text(length: usize) -> Result<String, getrandom::Error> {
    let mut bytes = vec![0u8; length];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| letter(u32::from(*byte))).collect())
}

fn letter(value: u32) -> char {
    let index = usize::try_from(value % 32).unwrap_or_default();
    char::from(LETTERS.get(index).copied().unwrap_or(b'0'))
}

/// Six letters of CRC-32, so that a typo is told from an unknown key without a look-up.
fn check_text(head: &str) -> String {
    let crc = crc32fast::hash(head.as_bytes());
    (0..6).map(|place| letter(crc >> (5 * place))).collect()
}

/// Whether a text that looks like one of our keys has the right check letters.
pub fn is_well_formed(key: &str) -> bool {
    let Some((head, check)) = key.rsplit_once('_') else {
        return false;
    };
    let parts: Vec<&str> = head.split('_').collect();
    matches!(parts.as_slice(), ["apl", env, id, random] if !env.is_empty() && id.len() == 8 && random.len() == 32)
        && check_text(head) == check
}

/// Keyed hash of a key, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// Compares in constant time.
    pub fn matches(&self, other: &KeyHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Reads `hash:<64 hex digits>`.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text
            .strip_prefix("hash:")
            .filter(|hex| hex.len() == 64 && hex.is_ascii())?;
        let mut bytes = [0u8; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(KeyHash(bytes))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hash:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes keys with the pepper.
#[derive(Clone)]
pub struct KeyHasher(Hmac<Sha256>);

impl KeyHasher {
    /// With this pepper. Every node of an installation needs the same one.
    pub fn new(pepper: &[u8]) -> Self {
        // HMAC takes keys of any length; the error type is there for other algorithms.
        KeyHasher(Hmac::new_from_slice(pepper).unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    /// A secret for another purpose, which says nothing of the pepper.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(b"derive ");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// HMAC-SHA256 of a key.
    pub fn hash(&self, key: &str) -> KeyHash {
        let mut mac = self.0.clone();
        mac.update(key.as_bytes());
        KeyHash(mac.finalize().into_bytes().into())
    }
}

/// Why the pepper can't be had.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// The file can't be read or made.
    #[error("the pepper file {0} can't be used: {1}")]
    File(String, #[source] std::io::Error),
    /// Others may read it.
    #[error("the pepper file {0} can be read by other users; run: chmod 600 {0}")]
    Open(String),
    /// It is empty.
    #[error("the pepper file {0} is empty; restore it, or remove it together with all keys")]
    Empty(String),
    /// No random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Reads `<data_dir>/pepper`, or makes it (mode 0600). Two processes that make it at once end with the same one.
///
/// # Errors
/// The file can't be read or made, or others may read it.
pub fn load_pepper(data_dir: &Path) -> Result<String, PepperError> {
    let path = data_dir.join("pepper");
    let name = path.display().to_string();
    let text = random_text(52).map_err(PepperError::Random)?;
    create_private(&path, &text).map_err(|error| PepperError::File(name.clone(), error))?;
    if is_open_to_others(&path) {
        return Err(PepperError::Open(name));
    }
    let text =
        std::fs::read_to_string(&path).map_err(|error| PepperError::File(name.clone(), error))?;
    match text.trim() {
        "" => Err(PepperError::Empty(name)),
        pepper => Ok(pepper.to_owned()),
    }
}

/// Makes a file that only its owner can read, unless it is there. True if it was made.
///
/// # Errors
/// The folder can't be written. The file appears whole or not at all.
pub fn create_private(path: &Path, text: &str) -> std::io::Result<bool> {
    use std::os::unix::fs::OpenOptionsExt;
    if path.exists() {
        return Ok(false);
    }
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // A hard link fails if the name is taken: whoever comes second reads what the first one made.
    let made = match std::fs::hard_link(&part, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    };
    std::fs::remove_file(&part)?;
    made
}

fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_their_check() {
        let key = PlainKey::generate("live").unwrap();
        assert_eq!(key.expose().len(), "apl_live_".len() + 8 + 1 + 32 + 1 + 6);
        assert!(is_well_formed(key.expose()));
        let forged = key.expose().replace("live", "test");
        assert!(!is_well_formed(&forged));
        assert!(!is_well_formed("apl_live_x"));
        assert!(!format!("{key:?}").contains(key.expose()));
    }

    #[test]
    fn hashes_depend_on_the_pepper() {
        let (a, b) = (KeyHasher::new(b"a"), KeyHasher::new(b"b"));
        assert!(a.hash("k").matches(&a.hash("k")));
        assert!(!a.hash("k").matches(&b.hash("k")));
        let hash = a.hash("k");
        assert_eq!(KeyHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(KeyHash::parse("hash:12"), None);
    }

    #[test]
    fn the_pepper_is_made_once_and_must_be_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let first = load_pepper(dir.path()).unwrap();
        assert_eq!(load_pepper(dir.path()).unwrap(), first);
        let path = dir.path().join("pepper");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load_pepper(dir.path()), Err(PepperError::Open(_))));
    }
}
