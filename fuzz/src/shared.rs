//! What must hold for anything that lies in a store that nodes share.

use aplomb_latency::cache::frozen::{freeze, read, thaw};
use aplomb_latency::cache::key::Digest;

const KEY: Digest = Digest([1; 32]);

/// Bytes are no entry unless they were made by the same secret; a body is refused, or an entry that comes back as it is.
pub fn entry(data: &[u8]) {
    assert!(thaw(data, &KEY, b"secret").is_none());
    let Some(entry) = read(data) else { return };
    let Some(frozen) = freeze(&entry, &KEY, b"secret") else {
        return;
    };
    let back = thaw(&frozen, &KEY, b"secret").expect("it was made here");
    assert_eq!(back.answer, entry.answer);
    assert_eq!((back.owner, back.source), (entry.owner, entry.source));
    assert_eq!(back.alike.is_some(), entry.alike.is_some());
}
