//! An entry as bytes, for a store that several nodes share.
//!
//! # Format
//! Four bytes that name it, a keyed digest (HMAC-SHA256) of the entry's key and all that follows, and JSON. What somebody else
//! wrote, what was changed and what belongs to another key does not thaw: whoever can write to the store can drop entries, and
//! can't put answers into anybody's mouth.

use super::alike::Alike;
use super::answer::{ANSWER_BYTES_MAX, Answer, Voice};
use super::guard::Features;
use super::key::{Digest, Keyer};
use super::store::{Entry, Owner};
use aplomb_core::event::FinishReason;
use aplomb_core::usage::Usage;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Names the format; another version of it has another name.
const NAME: &[u8; 4] = b"apc1";
const TAG: usize = 32;
/// Longest frozen entry: the longest answer with every character escaped, and what stands around it.
pub const FROZEN_BYTES_MAX: usize = 6 * ANSWER_BYTES_MAX + 256 * 1024;
/// Most numbers of a vector.
const DIMS_MAX: usize = 16_384;

#[derive(Serialize, Deserialize)]
struct Form {
    target: Box<str>,
    simulated: bool,
    model: Box<str>,
    /// Visible text is `true`.
    parts: Vec<(bool, Box<str>)>,
    /// Text of the stop sequence, where it ended by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop: Option<Option<String>>,
    usage: Option<Usage>,
    ttft_us: u64,
    rest_us: u64,
    pieces: u32,
    tenant: Arc<str>,
    user: Arc<str>,
    route: Arc<str>,
    source: [u8; 16],
    made_ms: u64,
    ttl_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alike: Option<AlikeForm>,
}

#[derive(Serialize, Deserialize)]
struct AlikeForm {
    space: [u8; 32],
    features: Features,
    /// Little-endian floats in base64.
    vector: Option<String>,
    dims: usize,
    ttl_ms: u64,
}

fn wide(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn tag(secret: &[u8], key: &Digest, body: &[u8]) -> Digest {
    let mut keyer = Keyer::new(secret, "aplomb cache entry");
    keyer.bytes(&key.0);
    keyer.bytes(body);
    keyer.finish()
}

/// The bytes of an entry; `None` if it is too long.
pub fn freeze(entry: &Entry, key: &Digest, secret: &[u8]) -> Option<Vec<u8>> {
    let answer = &entry.answer;
    let parts = answer.parts.iter();
    let form = Form {
        target: answer.target.clone(),
        simulated: answer.simulated,
        model: answer.model.clone(),
        parts: parts
            .map(|(voice, text)| (*voice == Voice::Text, text.clone()))
            .collect(),
        stop: match &answer.finish {
            FinishReason::StopSequence(text) => Some(text.clone()),
            _ => None,
        },
        usage: answer.usage,
        ttft_us: wide(answer.ttft.as_micros()),
        rest_us: wide(answer.rest.as_micros()),
        pieces: answer.pieces,
        tenant: entry.owner.tenant.clone(),
        user: entry.owner.user.clone(),
        route: entry.owner.route.clone(),
        source: entry.source,
        made_ms: entry.made_ms,
        ttl_ms: wide(entry.ttl.as_millis()),
        alike: entry.alike.as_ref().map(AlikeForm::of),
    };
    let body = serde_json::to_vec(&form).ok()?;
    let mut bytes = Vec::with_capacity(NAME.len() + TAG + body.len());
    bytes.extend_from_slice(NAME);
    bytes.extend_from_slice(&tag(secret, key, &body).0);
    bytes.extend(body);
    (bytes.len() <= FROZEN_BYTES_MAX).then_some(bytes)
}

/// The entry of a key; `None` for bytes that are not what [`freeze`] made of it with the same secret.
pub fn thaw(bytes: &[u8], key: &Digest, secret: &[u8]) -> Option<Entry> {
    if bytes.len() > FROZEN_BYTES_MAX {
        return None;
    }
    let rest = bytes.strip_prefix(NAME)?;
    let (given, body) = rest.split_at_checked(TAG)?;
    let own = tag(secret, key, body);
    if !bool::from(own.0.ct_eq(given)) {
        return None;
    }
    read(body)
}

/// The entry in a body whose digest was checked.
pub fn read(body: &[u8]) -> Option<Entry> {
    let form: Form = serde_json::from_slice(body).ok()?;
    let voice = |visible| {
        if visible {
            Voice::Text
        } else {
            Voice::Reasoning
        }
    };
    let parts = form.parts.into_iter();
    let answer = Answer {
        target: form.target,
        simulated: form.simulated,
        model: form.model,
        parts: parts
            .map(|(visible, text)| (voice(visible), text))
            .collect(),
        finish: form
            .stop
            .map_or(FinishReason::Stop, FinishReason::StopSequence),
        usage: form.usage,
        ttft: Duration::from_micros(form.ttft_us),
        rest: Duration::from_micros(form.rest_us),
        pieces: form.pieces,
    };
    Some(Entry {
        answer: Arc::new(answer),
        owner: Owner {
            tenant: form.tenant,
            user: form.user,
            route: form.route,
        },
        source: form.source,
        made_ms: form.made_ms,
        ttl: Duration::from_millis(form.ttl_ms),
        alike: form.alike.and_then(AlikeForm::alike),
    })
}

impl AlikeForm {
    fn of(alike: &Alike) -> Self {
        let bytes = |vector: &Vec<f32>| -> Vec<u8> {
            vector
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect()
        };
        let vector = alike.vector.as_ref();
        AlikeForm {
            space: alike.space.0,
            features: (*alike.features).clone(),
            vector: vector.map(|vector| STANDARD_NO_PAD.encode(bytes(vector))),
            dims: alike.dims,
            ttl_ms: wide(alike.ttl.as_millis()),
        }
    }

    /// `None` if a number of the vector is none.
    fn alike(self) -> Option<Alike> {
        let vector = match self.vector {
            None => None,
            Some(text) => Some(floats(&STANDARD_NO_PAD.decode(text).ok()?)?),
        };
        Some(Alike {
            space: Digest(self.space),
            features: Arc::new(self.features),
            vector,
            dims: self.dims.min(DIMS_MAX),
            ttl: Duration::from_millis(self.ttl_ms),
        })
    }
}

fn floats(bytes: &[u8]) -> Option<Vec<f32>> {
    let (whole, rest) = bytes.as_chunks::<4>();
    let floats: Vec<f32> = whole.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let sound = rest.is_empty() && floats.len() <= DIMS_MAX && floats.iter().all(|x| x.is_finite());
    sound.then_some(floats)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Digest = Digest([3; 32]);

    fn entry() -> Entry {
        let question = "How do I cancel the Pro plan?";
        Entry {
            answer: Arc::new(Answer {
                target: "up/m".into(),
                simulated: false,
                model: "m".into(),
                parts: vec![
                    (Voice::Reasoning, "hm".into()),
                    (Voice::Text, "née \"so\"\n".into()),
                ],
                finish: FinishReason::StopSequence(Some("END".into())),
                usage: Some(Usage {
                    input: 7,
                    ..Usage::default()
                }),
                ttft: Duration::from_micros(1_500),
                rest: Duration::from_millis(3),
                pieces: 4,
            }),
            owner: Owner {
                tenant: "t".into(),
                user: "u".into(),
                route: "chat".into(),
            },
            source: [9; 16],
            made_ms: 1_000,
            ttl: Duration::from_secs(60),
            alike: Some(Alike {
                space: Digest([4; 32]),
                features: Arc::new(Features::of(question)),
                vector: Some(vec![0.5, -1.25, 3.0]),
                dims: 3,
                ttl: Duration::from_secs(30),
            }),
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let entry = entry();
        let frozen = freeze(&entry, &KEY, b"secret").unwrap();
        let back = thaw(&frozen, &KEY, b"secret").unwrap();
        assert_eq!(back.answer, entry.answer);
        assert_eq!((back.owner, back.source), (entry.owner, entry.source));
        assert_eq!((back.made_ms, back.ttl), (entry.made_ms, entry.ttl));
        let (back, alike) = (back.alike.unwrap(), entry.alike.unwrap());
        assert_eq!(
            (back.space, back.vector, back.ttl),
            (alike.space, alike.vector, alike.ttl)
        );
        assert_eq!(back.features, alike.features);
    }

    #[test]
    fn what_was_touched_does_not_thaw() {
        let frozen = freeze(&entry(), &KEY, b"secret").unwrap();
        assert!(thaw(&frozen, &Digest([5; 32]), b"secret").is_none());
        assert!(thaw(&frozen, &KEY, b"other").is_none());
        for at in 0..frozen.len() {
            let mut touched = frozen.clone();
            touched[at] ^= 1;
            assert!(thaw(&touched, &KEY, b"secret").is_none(), "byte {at}");
        }
        for end in 0..frozen.len() {
            assert!(thaw(&frozen[..end], &KEY, b"secret").is_none());
        }
    }

    #[test]
    fn what_is_signed_and_no_entry_does_not_thaw() {
        for body in ["", "{}", "[]", "null", "{\"target\":1}"] {
            let mut bytes = NAME.to_vec();
            bytes.extend(tag(b"secret", &KEY, body.as_bytes()).0);
            bytes.extend(body.as_bytes());
            assert!(thaw(&bytes, &KEY, b"secret").is_none(), "{body}");
        }
        assert_eq!(floats(&f32::NAN.to_le_bytes()), None);
        assert_eq!(floats(&[0; 5]), None);
    }
}
