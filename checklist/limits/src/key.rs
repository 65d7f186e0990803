//! Names of counters: a keyed digest of a rule's name and the values of its scopes.
//!
//! SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012): without the secret nobody can find user ids that fall into one
//! place of a table, and two of 2^64 counters meet by chance, which is never. The same secret gives the same names after a restart.

/// Name of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);

/// Makes names of counters with a secret.
#[derive(Clone, Copy)]
pub struct Keyer {
    secret: (u64, u64),
}

impl Keyer {
    /// With a secret of 16 bytes.
    pub fn new(secret: [u8; 16]) -> Self {
        let whole = u128::from_le_bytes(secret);
        let half = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or(0);
        Keyer {
            secret: (half(whole), half(whole >> 64)),
        }
    }

    /// The counter of a rule for these values. Each value is told with its length, so that no two lists say the same.
    pub fn key<'a>(&self, rule: &str, values: impl IntoIterator<Item = &'a str>) -> Key {
        let mut sip = Sip::new(self.secret);
        sip.value(rule);
        for value in values {
            sip.value(value);
        }
        Key(sip.finish())
    }
}

struct Sip {
    v: [u64; 4],
    /// Bytes that are no whole word yet, low bytes first.
    tail: u64,
    length: u64,
}

impl Sip {
    fn new((k0, k1): (u64, u64)) -> Self {
        Sip {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            length: 0,
        }
    }

    fn rounds(&mut self, count: u32) {
        let [mut v0, mut v1, mut v2, mut v3] = self.v;
        for _ in 0..count {
            v0 = v0.wrapping_add(v1);
            v1 = v1.rotate_left(13) ^ v0;
            v0 = v0.rotate_left(32);
            v2 = v2.wrapping_add(v3);
            v3 = v3.rotate_left(16) ^ v2;
            v0 = v0.wrapping_add(v3);
            v3 = v3.rotate_left(21) ^ v0;
            v2 = v2.wrapping_add(v1);
            v1 = v1.rotate_left(17) ^ v2;
            v2 = v2.rotate_left(32);
        }
        self.v = [v0, v1, v2, v3];
    }

    fn word(&mut self, word: u64) {
        let [.., v3] = &mut self.v;
        *v3 ^= word;
        self.rounds(2);
        let [v0, ..] = &mut self.v;
        *v0 ^= word;
    }

    fn byte(&mut self, byte: u8) {
        let place = self.length % 8;
        self.tail |= u64::from(byte) << (8 * place);
        self.length += 1;
        if place == 7 {
            let word = std::mem::take(&mut self.tail);
            self.word(word);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.length.is_multiple_of(8) {
            while let Some((first, more)) = rest.split_first_chunk::<8>() {
                self.word(u64::from_le_bytes(*first));
                self.length += 8;
                rest = more;
            }
        }
        for byte in rest {
            self.byte(*byte);
        }
    }

    fn value(&mut self, text: &str) {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.write(text.as_bytes());
        // Behind the text: whole words of it are taken at once.
        self.write(&length.to_le_bytes());
    }

    fn finish(mut self) -> u128 {
        let last = self.tail | (self.length & 0xff) << 56;
        self.word(last);
        let all = |v: [u64; 4]| v.into_iter().fold(0, |sum, part| sum ^ part);
        let [_, _, v2, _] = &mut self.v;
        *v2 ^= 0xee;
        self.rounds(4);
        let low = all(self.v);
        let [_, v1, ..] = &mut self.v;
        *v1 ^= 0xdd;
        self.rounds(4);
        u128::from(low) | u128::from(all(self.v)) << 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The first vectors of the authors' reference implementation: secret 00 01 .. 0f, message 00 01 .. of that length.
    #[test]
    fn the_published_vectors() {
        let secret: Vec<u8> = (0..16).collect();
        let keyer = Keyer::new(secret.try_into().unwrap());
        for (length, expected) in [
            (0u8, "a3817f04ba25a8e66df67214c7550293"),
            (1, "da87c1d86b99af44347659119b22fc45"),
            (8, "3b62a9ba6258f5610f83e264f31497b4"),
            (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
        ] {
            let message: Vec<u8> = (0..length).collect();
            for cut in 0..=message.len() {
                let mut sip = Sip::new(keyer.secret);
                sip.write(&message[..cut]);
                sip.write(&message[cut..]);
                let bytes = sip.finish().to_le_bytes();
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(hex, expected, "{length} bytes, cut at {cut}");
            }
        }
    }

    #[test]
    fn no_two_lists_of_values_say_the_same() {
        let keyer = Keyer::new([7; 16]);
        let keys: HashSet<Key> = [
            vec!["a", "b"],
            vec!["ab"],
            vec!["ab", ""],
            vec!["", "ab"],
            vec!["a", "", "b"],
            vec![],
        ]
        .into_iter()
        .map(|values| keyer.key("r", values))
        .collect();
        assert_eq!(keys.len(), 6);
        assert_ne!(
            Keyer::new([8; 16]).key("r", ["a"]),
            keyer.key("r", ["a"]),
            "another secret gives other names"
        );
    }
}
