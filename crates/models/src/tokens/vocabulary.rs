//! The tokens and their ranks: a table of hashes over one block of bytes.

use std::io::Read;

/// Longest block of unpacked tokens: ours has 1.6 MB.
const UNPACKED_MAX: u64 = 8 << 20;

/// Why bytes are no vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    #[error("the vocabulary can't be unpacked")]
    Packed,
    #[error("the vocabulary is cut short, or longer than any that is known")]
    Length,
    #[error("the vocabulary lacks tokens of single bytes")]
    Bytes,
    #[error("the pattern that cuts texts can't be compiled")]
    Pattern,
}

/// Which sequences of bytes are tokens, and which of them are joined first.
pub(super) struct Vocabulary {
    bytes: Vec<u8>,
    /// End of each token in `bytes`; it starts where the one before it ends.
    ends: Vec<u32>,
    /// Open addressing: rank of the token plus one, 0 for a free slot. Its length is a power of two.
    slots: Vec<u32>,
    longest: usize,
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vocabulary({} tokens)", self.ends.len())
    }
}

impl Vocabulary {
    /// Reads the packed form: zlib of one byte of length and the token's bytes, in the order of ranks.
    pub(super) fn read(packed: &[u8]) -> Result<Self, VocabularyError> {
        let mut unpacked = Vec::new();
        flate2::read::ZlibDecoder::new(packed)
            .take(UNPACKED_MAX)
            .read_to_end(&mut unpacked)
            .map_err(|_| VocabularyError::Packed)?;
        let mut bytes = Vec::with_capacity(unpacked.len());
        let (mut ends, mut longest) = (Vec::new(), 0);
        let mut rest = unpacked.as_slice();
        while let Some((&length, after)) = rest.split_first() {
            let length = usize::from(length);
            let token = after.get(..length).ok_or(VocabularyError::Length)?;
            rest = after.get(length..).unwrap_or_default();
            bytes.extend_from_slice(token);
            ends.push(u32::try_from(bytes.len()).map_err(|_| VocabularyError::Length)?);
            longest = longest.max(length);
        }
        let vocabulary = Vocabulary {
            slots: vec![0; (ends.len() * 2).next_power_of_two()],
            bytes,
            ends,
            longest,
        };
        vocabulary.indexed()
    }

    fn indexed(mut self) -> Result<Self, VocabularyError> {
        for rank in 0..u32::try_from(self.ends.len()).map_err(|_| VocabularyError::Length)? {
            let at = self.place(self.token(rank));
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = rank + 1;
            }
        }
        let all = (0..=u8::MAX).all(|byte| self.rank(&[byte]).is_some());
        all.then_some(self).ok_or(VocabularyError::Bytes)
    }

    /// Rank of the token with just these bytes. Lower ranks are joined first.
    pub(super) fn rank(&self, token: &[u8]) -> Option<u32> {
        if token.len() > self.longest {
            return None;
        }
        let slot = self.slots.get(self.place(token)).copied().unwrap_or(0);
        slot.checked_sub(1)
    }

    /// The slot that holds the token, or the free one where it would stand.
    fn place(&self, token: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "it is masked anyway")]
        let mut at = hash(token) as usize & mask;
        // Half of all slots are free, so the walk ends.
        while let Some(rank) = self.slots.get(at).and_then(|slot| slot.checked_sub(1)) {
            if self.token(rank) == token {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    fn token(&self, rank: u32) -> &[u8] {
        let rank = rank as usize;
        let end = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
        let start = rank.checked_sub(1).map_or(0, end);
        self.bytes.get(start..end(rank)).unwrap_or_default()
    }
}

/// Folded multiplication over words of eight bytes. The table never changes, so that no input can make it worse.
fn hash(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(ODD);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let folded = (product as u64) ^ ((product >> 64) as u64);
        folded
    };
    let mut words = bytes.chunks_exact(8);
    let mut state = bytes.len() as u64 ^ 0x517c_c1b7_2722_0a95;
    for word in &mut words {
        state = fold(
            state,
            u64::from_le_bytes(word.try_into().unwrap_or_default()),
        );
    }
    let tail = words.remainder();
    let last = tail
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    fold(fold(state, last), ODD)
}
