//! Proof of work: a browser shows that it has spent some seconds of its processor, before it gets anything.
//!
//! In the format of ALTCHA version 2, with `PBKDF2/SHA-256` (RFC 8018) in *deterministic mode*: the gateway picks the counter that is
//! to be found, derives its key once, and tells the first half of the key. A solution is checked with two HMACs and no derivation: one over
//! the parameters, as they were written, and one over the whole key. Nothing is kept of a challenge until it is solved; then its nonce
//! is, until the challenge has expired, so that no solution counts twice.
//!
//! Unlike the reference, members of the parameters in another order are another text, and refused. What a solution proves is work,
//! not a person, and it costs less than a cent: it bounds how fast sessions are made, not how many.
//!
//! Each ten solutions from one subnet in ten minutes double the tries of its next challenges, up to sixteen times.
//!
//! Solutions are remembered by one node; on another one, each counts once more.

use crate::sketch::Sketch;
use aplomb_core::network::Network;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The way keys are derived.
const ALGORITHM: &str = "PBKDF2/SHA-256";
/// Bytes of a key; the first half is told.
const KEY_BYTES: usize = 32;
/// Longest solution that is read, in bytes. Chosen: five times the length of one.
pub const PROOF_BYTES_MAX: usize = 4096;
/// Most solutions that are remembered in the time of a challenge. Chosen: 900 a second for five minutes, in 20 MB.
const SPENT_MAX: usize = 1 << 18;

/// For so long a solution makes the next challenges of its subnet harder.
const RECENT_MS: u64 = 600_000;
/// So many solutions double the tries. Chosen: a household stays below, an office of a hundred pays the most.
const RECENT_FREE: u64 = 10;
/// Most doublings. Chosen: sixteen times the work is a minute on a phone, and still ends.
const DOUBLED_MAX: u64 = 4;

type Sha256Mac = Hmac<Sha256>;

/// How hard a challenge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Rounds of one derivation.
    pub cost: u32,
    /// Derivations that it takes at most; at least half as many.
    pub tries: u32,
    /// How long it may take.
    pub time: Duration,
}

/// Random bytes for one challenge, from a source that nobody can guess.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// What the password begins with.
    pub nonce: [u8; 16],
    /// Salt of the derivation.
    pub salt: [u8; 16],
    /// Where the counter lies.
    pub place: u32,
}

/// Why a solution is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It can't be read.
    #[error("the proof can't be read: expected base64 of `{{challenge, solution}}`")]
    Unreadable,
    /// The challenge is not ours, was altered, or belongs to another site.
    #[error("the challenge of this proof was not made here, or was altered")]
    Foreign,
    /// It came too late.
    #[error("the challenge of this proof has expired")]
    Expired,
    /// The key is not the one.
    #[error("the solution of this proof is wrong")]
    Wrong,
    /// It was used before.
    #[error("this proof was used before")]
    Spent,
    /// Too many solutions are remembered already.
    #[error("too many proofs came in a short time")]
    Full,
}

/// Makes challenges and checks solutions. Every node of an installation needs the same secret.
pub struct Challenger {
    signature: Sha256Mac,
    key_signature: Sha256Mac,
    spent: Spent,
    /// Solutions by subnet.
    solved: Sketch,
}

#[derive(Deserialize)]
struct Proof {
    challenge: Challenge,
    solution: Solution,
}

#[derive(Deserialize)]
struct Challenge {
    parameters: Map<String, Value>,
    signature: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Solution {
    #[serde(rename = "counter")]
    _counter: u32,
    derived_key: String,
}

/// An HMAC with this key; it takes keys of any length.
pub(crate) fn mac(key: &[u8]) -> Sha256Mac {
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

pub(crate) fn sign(mac: &Sha256Mac, text: &[u8]) -> [u8; 32] {
    let mut mac = mac.clone();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn is_signed(mac: &Sha256Mac, text: &[u8], signature: &[u8]) -> bool {
    let mut mac = mac.clone();
    mac.update(text);
    mac.verify_slice(signature).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly `N` bytes in lower-case hexadecimal digits: one text for each value.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    let mut bytes = [0u8; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// The key of a counter: PBKDF2 with HMAC-SHA256 of one block (RFC 8018 section 5.2). The password is the nonce and the counter.
fn derive(nonce: &[u8; 16], counter: u32, salt: &[u8; 16], cost: u32) -> [u8; KEY_BYTES] {
    let mut password = [0u8; 20];
    let (head, tail) = password.split_at_mut(nonce.len());
    head.copy_from_slice(nonce);
    tail.copy_from_slice(&counter.to_be_bytes());
    let password = mac(&password);
    let mut first = password.clone();
    first.update(salt);
    first.update(&1u32.to_be_bytes());
    let mut round: [u8; KEY_BYTES] = first.finalize().into_bytes().into();
    let mut key = round;
    for _ in 1..cost {
        round = sign(&password, &round);
        for (byte, more) in key.iter_mut().zip(round) {
            *byte ^= more;
        }
    }
    key
}

impl Challenger {
    /// With this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let whole = mac(secret);
        Challenger {
            signature: mac(&sign(&whole, b"challenge parameters")),
            key_signature: mac(&sign(&whole, b"challenge key")),
            spent: Spent::default(),
            solved: Sketch::new(RECENT_MS),
        }
    }

    fn place(&self, subnet: Network) -> u64 {
        let digest = sign(&self.signature, subnet.to_string().as_bytes());
        let (first, _) = digest.split_at(8);
        first
            .iter()
            .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }

    /// How many times harder it is for a subnet.
    fn harder(&self, subnet: Network, now_ms: u64) -> u32 {
        let recent = self.solved.get(self.place(subnet), now_ms);
        let doubled = (recent / RECENT_FREE).min(DOUBLED_MAX);
        1 << doubled
    }

    /// A challenge for a page of a site that is read in a subnet, as `{parameters, signature}`. Costs one derivation.
    pub fn create(
        &self,
        work: Work,
        (site, subnet): (&str, Network),
        draw: &Draw,
        now_ms: u64,
    ) -> Value {
        let tries = work.tries.saturating_mul(self.harder(subnet, now_ms));
        let half = tries.max(2) / 2;
        let counter = half + draw.place % half;
        let key = derive(&draw.nonce, counter, &draw.salt, work.cost);
        let (told, _) = key.split_at(KEY_BYTES / 2);
        let time_ms = u64::try_from(work.time.as_millis()).unwrap_or(u64::MAX);
        // In the order of the alphabet, as the format has it.
        let parameters = json!({
            "algorithm": ALGORITHM,
            "cost": work.cost,
            "data": { "site": site },
            "expiresAt": now_ms.saturating_add(time_ms) / 1000,
            "keyLength": KEY_BYTES,
            "keyPrefix": hex(told),
            "keySignature": hex(&sign(&self.key_signature, &key)),
            "nonce": hex(&draw.nonce),
            "salt": hex(&draw.salt),
        });
        let signature = hex(&sign(&self.signature, parameters.to_string().as_bytes()));
        json!({ "parameters": parameters, "signature": signature })
    }

    /// Checks a solution, which then is used up.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(
        &self,
        proof: &str,
        (site, subnet): (&str, Network),
        now_ms: u64,
    ) -> Result<(), Refused> {
        let proof = read(proof).ok_or(Refused::Unreadable)?;
        let Challenge {
            parameters,
            signature,
        } = &proof.challenge;
        let text = serde_json::to_vec(parameters).map_err(|_| Refused::Unreadable)?;
        let signature: [u8; 32] = unhex(signature).ok_or(Refused::Foreign)?;
        let own = |name: &str| parameters.get(name).and_then(Value::as_str);
        let of = parameters.get("data").and_then(|data| data.get("site"));
        if !is_signed(&self.signature, &text, &signature)
            || of.and_then(Value::as_str) != Some(site)
        {
            return Err(Refused::Foreign);
        }
        let expires = parameters.get("expiresAt").and_then(Value::as_u64);
        let expires_ms = expires.ok_or(Refused::Foreign)?.saturating_mul(1000);
        if now_ms >= expires_ms {
            return Err(Refused::Expired);
        }
        let key: [u8; KEY_BYTES] = unhex(&proof.solution.derived_key).ok_or(Refused::Wrong)?;
        let key_signature: [u8; 32] = own("keySignature")
            .and_then(unhex)
            .ok_or(Refused::Foreign)?;
        let nonce: [u8; 16] = own("nonce").and_then(unhex).ok_or(Refused::Foreign)?;
        // The whole key is signed, so whoever tells it has found the counter: nothing else gives it.
        if !is_signed(&self.key_signature, &key, &key_signature) {
            return Err(Refused::Wrong);
        }
        self.spent.spend(nonce, expires_ms, now_ms)?;
        self.solved.add(self.place(subnet), now_ms);
        Ok(())
    }
}

fn read(proof: &str) -> Option<Proof> {
    let proof = proof.as_bytes();
    if proof.len() > PROOF_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(&STANDARD.decode(proof).ok()?).ok()
}

/// Solutions that were used, until their challenges have expired. At most [`SPENT_MAX`] in each half; then further ones are refused.
#[derive(Default)]
struct Spent(Mutex<[Half; 2]>);

/// Nonces that are kept until all of them have expired.
#[derive(Default)]
struct Half {
    nonces: HashSet<[u8; 16]>,
    until_ms: u64,
}

impl Spent {
    fn spend(&self, nonce: [u8; 16], expires_ms: u64, now_ms: u64) -> Result<(), Refused> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *halves;
        if young.nonces.contains(&nonce) || old.nonces.contains(&nonce) {
            return Err(Refused::Spent);
        }
        if old.until_ms <= now_ms {
            // The older half is over: the younger one becomes it, and its nonces are kept until the last of them has expired.
            std::mem::swap(young, old);
            *young = Half::default();
        }
        if young.nonces.len() >= SPENT_MAX {
            return Err(Refused::Full);
        }
        young.nonces.insert(nonce);
        young.until_ms = young.until_ms.max(expires_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
