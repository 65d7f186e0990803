//! Check digits and structure of published numbers, as pure functions.
//!
//! Functions over `digits` take numbers `0..=9`; functions over `text` take upper-case
//! ASCII letters and digits without separators. None of them looks at context. Sources
//! are the issuing authorities' own descriptions, named at each function.

pub mod americas;
pub mod asia;
pub mod bank;
pub mod europe;
pub mod nordic;
pub mod wallet;

/// Luhn's formula (ISO/IEC 7812-1, annex B): the last digit checks the others.
pub fn luhn(digits: &[u8]) -> bool {
    !digits.is_empty() && luhn_sum(digits).is_multiple_of(10)
}

/// Sum of Luhn's formula with the last digit as check digit.
fn luhn_sum(digits: &[u8]) -> u32 {
    let value = |(place, &digit): (usize, &u8)| match place % 2 {
        0 => u32::from(digit),
        _ => LUHN_DOUBLED.get(usize::from(digit)).copied().unwrap_or(0),
    };
    digits.iter().rev().enumerate().map(value).sum()
}

/// Digit sum of the doubled digit.
const LUHN_DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];

/// Verhoeff's dihedral check; the last digit checks the others.
pub fn verhoeff(digits: &[u8]) -> bool {
    const TIMES: [[u8; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    const TURN: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let look = |row: Option<&[u8; 10]>, column: u8| {
        row.and_then(|row| row.get(usize::from(column)))
            .copied()
            .unwrap_or(0)
    };
    let step = |check, (place, &digit): (usize, &u8)| {
        look(
            TIMES.get(usize::from(check)),
            look(TURN.get(place % 8), digit),
        )
    };
    !digits.is_empty() && digits.iter().rev().enumerate().fold(0, step) == 0
}

/// ISO 7064, MOD 11,10: one decimal check digit at the end.
pub fn iso7064_mod11_10(digits: &[u8]) -> bool {
    let Some((&last, body)) = digits.split_last() else {
        return false;
    };
    let product = body.iter().fold(10_u32, |product, &digit| {
        let sum = (product + u32::from(digit)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(last)
}

/// Sum of digit times weight; the shorter of the two decides how many.
pub(crate) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(&digit, weight)| u32::from(digit) * weight)
        .sum()
}

/// The number that decimal digits spell; at most 19 of them.
pub(crate) fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .take(19)
        .fold(0, |number, &digit| number * 10 + u64::from(digit))
}

/// The number at `from..to` of the digits.
pub(crate) fn part(digits: &[u8], from: usize, to: usize) -> u64 {
    number(digits.get(from..to).unwrap_or_default())
}

/// Whether all digits are equal: valid for many formulas, issued by nobody.
pub(crate) fn all_same(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair.first() == pair.last())
}

/// Whether a month and a day can stand in a calendar; February has 29.
pub(crate) fn is_date(month: u64, day: u64) -> bool {
    let longest = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=longest).contains(&day)
}

/// ASCII digits as numbers, `None` if anything else is among them.
pub(crate) fn digits(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |&b: &u8| b.is_ascii_digit().then(|| b - b'0');
    text.iter().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Vec<u8> {
        text.bytes()
            .filter(u8::is_ascii_digit)
            .map(|b| b - b'0')
            .collect()
    }

    #[test]
    fn published_examples() {
        assert!(luhn(&of("79927398713")));
        assert!(!luhn(&of("79927398710")));
        assert!(verhoeff(&of("2363")));
        assert!(!verhoeff(&of("2364")));
        assert!(iso7064_mod11_10(&of("86095742719")));
    }

    /// Of the ten numbers that differ in the last digit, exactly one is right.
    fn one_of_ten(body: &[u8], check: fn(&[u8]) -> bool) -> bool {
        let right = (0..10).filter(|&last| check(&[body, &[last]].concat()));
        right.count() == 1
    }

    proptest! {
        #[test]
        fn one_check_digit_fits(body in prop::collection::vec(0u8..10, 1..20)) {
            prop_assert!(one_of_ten(&body, luhn));
            prop_assert!(one_of_ten(&body, verhoeff));
            prop_assert!(one_of_ten(&body, iso7064_mod11_10));
        }

        #[test]
        fn one_wrong_digit_is_seen(
            body in prop::collection::vec(0u8..10, 4..18), place in 0usize..4, add in 1u8..10,
        ) {
            for check in [luhn, verhoeff, iso7064_mod11_10] {
                let last = (0..10).find(|&last| check(&[&body[..], &[last]].concat())).unwrap();
                let mut digits = [&body[..], &[last]].concat();
                digits[place] = (digits[place] + add) % 10;
                prop_assert!(!check(&digits));
            }
        }
    }
}
