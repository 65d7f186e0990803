//! Addresses of crypto currencies: base58check, bech32 and bech32m, hexadecimal.

use sha2::{Digest, Sha256};

/// Base58 with a double SHA-256 check (Bitcoin and its relatives, Tron).
pub fn base58check(text: &[u8]) -> bool {
    let Some(bytes) = base58(text) else {
        return false;
    };
    let Some((body, check)) = bytes.split_last_chunk::<4>() else {
        return false;
    };
    let known = matches!(body.first(), Some(0 | 5 | 22 | 30 | 48 | 50 | 0x41));
    body.len() == 21 && known && Sha256::digest(Sha256::digest(body)).starts_with(check)
}

/// The 25 bytes that a base58 text stands for.
fn base58(text: &[u8]) -> Option<[u8; 25]> {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    if !(26..=35).contains(&text.len()) {
        return None;
    }
    let mut bytes = [0_u8; 25];
    for letter in text {
        let mut carry = u32::try_from(memchr::memchr(*letter, ALPHABET)?).ok()?;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry % 256).ok()?;
            carry /= 256;
        }
        if carry > 0 {
            return None;
        }
    }
    Some(bytes)
}

/// Segwit address: bech32 for version 0, bech32m for the others (BIP 173, BIP 350), of
/// Bitcoin or Litecoin. All lower or all upper case.
pub fn bech32(text: &[u8]) -> bool {
    const PLAIN: u32 = 1;
    const MODIFIED: u32 = 0x2bc8_30a3;
    let mixed = text.iter().any(u8::is_ascii_lowercase) && text.iter().any(u8::is_ascii_uppercase);
    let text = text.to_ascii_lowercase();
    let Some(split) = memchr::memrchr(b'1', &text) else {
        return false;
    };
    let (prefix, data) = text.split_at(split);
    if mixed || !matches!(prefix, b"bc" | b"tb" | b"ltc") || !(7..=88).contains(&data.len()) {
        return false;
    }
    match bech32_checksum(prefix, data.get(1..).unwrap_or_default()) {
        Some((0, check)) => check == PLAIN,
        Some((1..=16, check)) => check == MODIFIED,
        _ => false,
    }
}

/// Witness version and checksum of the data part.
fn bech32_checksum(prefix: &[u8], data: &[u8]) -> Option<(u32, u32)> {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let values: Option<Vec<u32>> = data
        .iter()
        .map(|&letter| u32::try_from(memchr::memchr(letter, ALPHABET)?).ok())
        .collect();
    let values = values?;
    let high = prefix.iter().map(|&b| u32::from(b) >> 5);
    let low = prefix.iter().map(|&b| u32::from(b) & 31);
    let all = high.chain([0]).chain(low).chain(values.iter().copied());
    Some((*values.first()?, all.fold(1, polymod)))
}

fn polymod(check: u32, value: u32) -> u32 {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let top = check >> 25;
    let shifted = ((check & 0x01ff_ffff) << 5) ^ value;
    GENERATOR
        .iter()
        .enumerate()
        .filter(|(bit, _)| top >> bit & 1 == 1)
        .fold(shifted, |check, (_, part)| check ^ part)
}

/// Ethereum and compatible chains: `0x` and forty hexadecimal digits, not all alike.
pub fn hex_address(text: &[u8]) -> bool {
    let Some(body) = text.strip_prefix(b"0x") else {
        return false;
    };
    let different = body
        .windows(2)
        .filter(|pair| pair.first() != pair.last())
        .count();
    body.len() == 40 && body.iter().all(u8::is_ascii_hexdigit) && different > 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_addresses() {
        assert!(base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"));
        assert!(base58check(b"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"));
        assert!(!base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"));
        assert!(bech32(b"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"));
        assert!(bech32(
            b"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
        ));
        assert!(!bech32(b"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp"));
        assert!(hex_address(b"0x52908400098527886E0F7030069857D2E4169EE7"));
        assert!(!hex_address(b"0x0000000000000000000000000000000000000000"));
    }

    proptest! {
        #[test]
        fn a_changed_letter_is_seen(place in 1usize..34, letter in "[2-9A-HJ-NP-Za-km-z]") {
            let mut text = b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa".to_vec();
            let letter = letter.as_bytes()[0];
            prop_assume!(text[place] != letter);
            text[place] = letter;
            prop_assert!(!base58check(&text));
        }

        #[test]
        fn any_bytes_are_looked_at_safely(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let found = base58check(&bytes) || bech32(&bytes) || hex_address(&bytes);
            prop_assert!(!found || bytes.is_ascii());
        }
    }
}
