//! How texts are stored: compressed with a dictionary that ships with the program, and sealed where a key is given.
//!
//! The dictionary is the same for everybody. One that is trained on stored texts would hold pieces of them, which no
//! erasure could reach.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use std::sync::Mutex;
use zstd::bulk::{Compressor, Decompressor};

/// Compression level: three quarters of the best ratio at a tenth of its cost.
const LEVEL: i32 = 3;
/// Longest text that is read back. Bodies are at most `server.body_max`; a longer one is damage.
const TEXT_MAX: usize = 256 << 20;
/// Common words, phrases, JSON and code of chats; a plain text, most common last.
static DICTIONARY: &[u8] = include_bytes!("../../../data/texts.dict");

/// First byte of what is stored.
const PLAIN: u8 = 1;
const SEALED: u8 = 2;

/// Why a stored text can't be read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// It is sealed, and no key is configured.
    #[error("the text is encrypted, and `records.encrypt` names no key")]
    NoKey,
    /// The key is another one, or the bytes are damaged.
    #[error("the text is encrypted with another key, or damaged")]
    WrongKey,
    /// Damaged.
    #[error("the stored text is damaged")]
    Damaged,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// Compresses and seals texts. Shared by writer and readers.
pub struct Codec {
    key: Option<LessSafeKey>,
    /// Keys the hashes of system prompts, so that a hash tells nothing without it.
    salt: [u8; 32],
    random: SystemRandom,
    /// Kept between texts: making one costs more than compressing a short text.
    compressor: Mutex<Option<Compressor<'static>>>,
    decompressor: Mutex<Option<Decompressor<'static>>>,
}

impl Codec {
    /// Without a key texts are compressed only; with one (any length, it is hashed) they are sealed too (AES-256-GCM).
    pub fn new(secret: Option<&[u8]>) -> Self {
        let digest = |label: &str, secret: &[u8]| -> [u8; 32] {
            Sha256::new()
                .chain_update(label)
                .chain_update([0])
                .chain_update(secret)
                .finalize()
                .into()
        };
        let key =
            secret.and_then(|secret| UnboundKey::new(&AES_256_GCM, &digest("texts", secret)).ok());
        Codec {
            key: key.map(LessSafeKey::new),
            salt: digest("systems", secret.unwrap_or_default()),
            random: SystemRandom::new(),
            compressor: Mutex::new(None),
            decompressor: Mutex::new(None),
        }
    }

    /// Whether texts are sealed.
    pub fn seals(&self) -> bool {
        self.key.is_some()
    }

    /// The name under which a system prompt is stored: 16 bytes.
    pub fn hash(&self, system: &str) -> [u8; 16] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.salt)
            .chain_update(system)
            .finalize()
            .into();
        let mut short = [0; 16];
        short
            .iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        short
    }

    /// Compresses and seals. `bound`: what the text belongs to; it opens only with the same.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn close(&self, text: &[u8], bound: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut out = vec![if self.seals() { SEALED } else { PLAIN }];
        let Some(key) = &self.key else {
            out.extend(self.compress(text)?);
            return Ok(out);
        };
        let mut nonce = [0u8; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| CodecError::Random)?;
        let mut sealed = self.compress(text)?;
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound),
            &mut sealed,
        )
        .map_err(|_| CodecError::Damaged)?;
        out.extend_from_slice(&nonce);
        out.extend(sealed);
        Ok(out)
    }

    fn compress(&self, text: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut held = self
            .compressor
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut compressor = match held.take() {
            Some(compressor) => compressor,
            None => {
                Compressor::with_dictionary(LEVEL, DICTIONARY).map_err(|_| CodecError::Damaged)?
            }
        };
        let done = compressor.compress(text).map_err(|_| CodecError::Damaged);
        *held = Some(compressor);
        done
    }

    /// Opens what [`Codec::close`] gave.
    ///
    /// # Errors
    /// Damage, or a key that is missing or wrong.
    pub fn open(&self, stored: &[u8], bound: &[u8]) -> Result<Vec<u8>, CodecError> {
        match stored.split_first() {
            Some((&PLAIN, rest)) => self.decompress(rest),
            Some((&SEALED, rest)) => {
                let key = self.key.as_ref().ok_or(CodecError::NoKey)?;
                let (nonce, rest) = rest
                    .split_first_chunk::<NONCE_LEN>()
                    .ok_or(CodecError::Damaged)?;
                let mut sealed = rest.to_vec();
                let open = key.open_in_place(
                    Nonce::assume_unique_for_key(*nonce),
                    Aad::from(bound),
                    &mut sealed,
                );
                self.decompress(open.map_err(|_| CodecError::WrongKey)?)
            }
            _ => Err(CodecError::Damaged),
        }
    }

    fn decompress(&self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        let size = zstd::zstd_safe::get_frame_content_size(bytes)
            .ok()
            .flatten();
        let size = size
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| *size <= TEXT_MAX);
        let size = size.ok_or(CodecError::Damaged)?;
        let held = self
            .decompressor
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        let mut decompressor = match held {
            Some(decompressor) => decompressor,
            None => Decompressor::with_dictionary(DICTIONARY).map_err(|_| CodecError::Damaged)?,
        };
        let done = decompressor
            .decompress(bytes, size)
            .map_err(|_| CodecError::Damaged);
        *self
            .decompressor
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(decompressor);
        done
    }
}

/// Joins texts so that they can be told apart: the length of each but the last goes before it.
pub fn join(texts: [&str; 4]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.len() + 4).sum());
    for text in texts {
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// Takes apart what [`join`] gave.
pub fn split(mut bytes: &[u8]) -> Option<[String; 4]> {
    let mut texts = [const { String::new() }; 4];
    for text in &mut texts {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (own, rest) = rest.split_at_checked(len)?;
        *text = std::str::from_utf8(own).ok()?.to_owned();
        bytes = rest;
    }
    bytes.is_empty().then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for codec in [Codec::new(None), Codec::new(Some(b"secret"))] {
            for text in [
                "",
                "a",
                "{\"role\":\"user\",\"content\":\"Où est la gare ?\"}",
            ] {
                let stored = codec.close(text.as_bytes(), b"id").unwrap();
                assert_eq!(codec.open(&stored, b"id").unwrap(), text.as_bytes());
            }
        }
    }

    #[test]
    fn sealed_texts_open_with_their_key_and_place_only() {
        let codec = Codec::new(Some(b"secret"));
        let stored = codec.close("canary ".repeat(20).as_bytes(), b"id").unwrap();
        assert!(!stored.windows(6).any(|part| part == b"canary"));
        assert!(matches!(
            codec.open(&stored, b"other"),
            Err(CodecError::WrongKey)
        ));
        assert!(matches!(
            Codec::new(Some(b"x")).open(&stored, b"id"),
            Err(CodecError::WrongKey)
        ));
        assert!(matches!(
            Codec::new(None).open(&stored, b"id"),
            Err(CodecError::NoKey)
        ));
        assert_ne!(codec.hash("s"), Codec::new(None).hash("s"));
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let codec = Codec::new(None);
        let stored = codec.close(b"some text that is long enough", b"").unwrap();
        for end in 0..stored.len() {
            assert!(codec.open(&stored[..end], b"").is_err(), "{end}");
        }
        assert!(codec.open(&[9, 9], b"").is_err());
        let joined = join(["a", "", "ü", "d"]);
        assert_eq!(
            split(&joined),
            Some(["a".into(), String::new(), "ü".into(), "d".into()])
        );
        assert_eq!(split(&joined[..joined.len() - 1]), None);
    }
}
