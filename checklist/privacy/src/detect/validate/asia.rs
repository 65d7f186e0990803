//! Numbers issued in Asia and Australia.

use super::{all_same, digits, is_date, part, verhoeff, weighted};

/// Indian Aadhaar: twelve digits, Verhoeff, not starting with 0 or 1 (UIDAI).
pub fn aadhaar(digits: &[u8]) -> bool {
    digits.len() == 12
        && digits.first().is_some_and(|&first| first > 1)
        && !all_same(digits)
        && verhoeff(digits)
}

/// Indian permanent account number: five letters, four digits, one letter; the fourth
/// letter names the kind of holder (Income Tax Department). No published check digit.
pub fn pan(text: &[u8]) -> bool {
    let fits = |(place, byte): (usize, &u8)| match place {
        3 => b"ABCFGHJLPTK".contains(byte),
        5..=8 => byte.is_ascii_digit(),
        _ => byte.is_ascii_uppercase(),
    };
    text.len() == 10 && text.iter().enumerate().all(fits) && text.get(5..9) != Some(b"0000")
}

/// Singapore NRIC/FIN: S, T, F, G or M, seven digits, check letter.
pub fn nric(text: &[u8]) -> bool {
    let (Some(&first), Some(&last)) = (text.first(), text.last()) else {
        return false;
    };
    let Some(digits) = text.get(1..8).and_then(digits) else {
        return false;
    };
    let (add, letters): (u32, &[u8; 11]) = match first {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"KLJNPQRTUWX"),
        _ => return false,
    };
    let remainder = (weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]) + add) % 11;
    let place = usize::try_from(remainder).unwrap_or(0);
    // The M series counts its letters from the other end.
    let place = if first == b'M' { 10 - place } else { place };
    text.len() == 9 && letters.get(place) == Some(&last)
}

/// Chinese resident number: region, birth date, serial, ISO 7064 MOD 11-2 (GB 11643).
pub fn cn_id(text: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let Some(body) = text.get(..17).and_then(digits) else {
        return false;
    };
    let place = usize::try_from(weighted(&body, &WEIGHTS) % 11).unwrap_or(0);
    text.len() == 18
        && matches!(part(&body, 0, 2), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91)
        && matches!(part(&body, 6, 10), 1900..=2099)
        && is_date(part(&body, 10, 12), part(&body, 12, 14))
        && b"10X98765432".get(place) == text.last()
}

/// Japanese individual number: twelve digits, the last one checks (ordinance of 2014).
pub fn my_number(digits: &[u8]) -> bool {
    let remainder = weighted(digits, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if remainder < 2 { 0 } else { 11 - remainder };
    digits.len() == 12
        && !all_same(digits)
        && digits.last().is_some_and(|&last| u32::from(last) == check)
}

/// Korean resident number: birth date, sex and century digit, check digit. Numbers issued
/// since October 2020 have a random one; see [`rrn_shape`].
pub fn rrn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
    rrn_shape(digits)
        && digits
            .last()
            .is_some_and(|&last| u32::from(last) == (11 - sum % 11) % 10)
}

/// The part of a Korean resident number that is still certain: date and sex digit.
pub fn rrn_shape(digits: &[u8]) -> bool {
    digits.len() == 13
        && is_date(part(digits, 2, 4), part(digits, 4, 6))
        && matches!(digits.get(6), Some(1..=8))
}

/// Australian tax file number: eight or nine digits, modulus 11 (ATO).
pub fn tfn(digits: &[u8]) -> bool {
    let weights: &[u32] = match digits.len() {
        9 => &[1, 4, 3, 7, 5, 8, 6, 9, 10],
        8 => &[10, 7, 8, 4, 6, 3, 5, 1],
        _ => return false,
    };
    !all_same(digits) && weighted(digits, weights).is_multiple_of(11)
}

/// Australian Medicare card: starts with 2 to 6, the ninth digit checks the first eight;
/// ten digits, or eleven with the person's place on the card.
pub fn medicare(digits: &[u8]) -> bool {
    let check = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10;
    matches!(digits.len(), 10 | 11)
        && matches!(digits.first(), Some(2..=6))
        && digits
            .get(8)
            .is_some_and(|&ninth| u32::from(ninth) == check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(valid: fn(&[u8]) -> bool, right: &str, wrong: &str) {
        assert!(valid(&digits(right.as_bytes()).unwrap()), "{right}");
        assert!(!valid(&digits(wrong.as_bytes()).unwrap()), "{wrong}");
    }

    #[test]
    fn published_numbers() {
        check(aadhaar, "234123412346", "234123412347");
        check(my_number, "123456789018", "123456789019");
        check(rrn, "9001011234568", "9001011234567");
        check(tfn, "123456782", "123456783");
        check(medicare, "2123456701", "2123456711");
        assert!(pan(b"ABCPE1234F") && !pan(b"ABCDE1234F"));
        assert!(nric(b"S1234567D") && !nric(b"S1234567E") && nric(b"M1234567K"));
        assert!(cn_id(b"11010519491231002X") && !cn_id(b"110105194912310021"));
    }

    proptest! {
        #[test]
        fn one_letter_fits_a_nric(body in "[STFGM][0-9]{7}") {
            let fits = (b'A'..=b'Z').filter(|&l| nric(&[body.as_bytes(), &[l]].concat()));
            prop_assert_eq!(fits.count(), 1);
        }
    }
}
