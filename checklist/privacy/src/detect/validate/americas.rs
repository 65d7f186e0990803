//! Numbers issued in the United States, Canada and Brazil.

use super::{all_same, luhn, luhn_sum, part, weighted};

/// Social security number: no area 000, 666 or 900 and above, no group 00, no serial 0000
/// (Social Security Administration).
pub fn ssn(digits: &[u8]) -> bool {
    let area = part(digits, 0, 3);
    digits.len() == 9
        && (1..900).contains(&area)
        && area != 666
        && part(digits, 3, 5) != 0
        && part(digits, 5, 9) != 0
        && !all_same(digits)
}

/// Nine digits of the form of a social security number in an area that is never issued (900 and above).
pub fn unissued_ssn(digits: &[u8]) -> bool {
    digits.len() == 9
        && part(digits, 0, 3) >= 900
        && part(digits, 3, 5) != 0
        && part(digits, 5, 9) != 0
        && !itin(digits)
        && !all_same(digits)
}

/// Individual taxpayer number: starts with 9, group 50-65, 70-88, 90-92 or 94-99 (IRS).
pub fn itin(digits: &[u8]) -> bool {
    digits.len() == 9
        && digits.first() == Some(&9)
        && matches!(part(digits, 3, 5), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// National provider identifier: Luhn over `80840` and the ten digits (CMS).
pub fn npi(digits: &[u8]) -> bool {
    // The prefix adds 24 to the sum.
    digits.len() == 10
        && matches!(digits.first(), Some(1 | 2))
        && (luhn_sum(digits) + 24).is_multiple_of(10)
}

/// Medicare beneficiary identifier: eleven places of fixed classes (CMS), no check digit.
pub fn mbi(text: &[u8]) -> bool {
    let letter = |b: u8| b.is_ascii_uppercase() && !b"SLOIBZ".contains(&b);
    let digit = |b: u8| b.is_ascii_digit();
    let fits = |(place, &byte): (usize, &u8)| match place {
        0 => (b'1'..=b'9').contains(&byte),
        1 | 4 | 7 | 8 => letter(byte),
        2 | 5 => letter(byte) || digit(byte),
        _ => digit(byte),
    };
    text.len() == 11 && text.iter().enumerate().all(fits)
}

/// DEA registration of a prescriber: two letters, seven digits, the last one checks.
pub fn dea(text: &[u8]) -> bool {
    let (Some(&[kind, name]), Some(rest)) = (text.first_chunk::<2>(), text.get(2..)) else {
        return false;
    };
    let Some(digits) = super::digits(rest) else {
        return false;
    };
    let &[a, b, c, d, e, f, check] = digits.as_slice() else {
        return false;
    };
    let sum = u32::from(a + c + e) + 2 * u32::from(b + d + f);
    b"ABCDEFGHJKLMPRSTUX".contains(&kind)
        && (name.is_ascii_uppercase() || name == b'9')
        && sum % 10 == u32::from(check)
        && !all_same(&digits)
}

/// Canadian social insurance number: nine digits, Luhn, not starting with 0 or 8.
pub fn sin(digits: &[u8]) -> bool {
    digits.len() == 9 && !matches!(digits.first(), Some(0 | 8)) && luhn(digits)
}

/// Brazilian personal tax number: eleven digits, two of them check (Receita Federal).
pub fn cpf(digits: &[u8]) -> bool {
    digits.len() == 11
        && !all_same(digits)
        && brazil(digits, 9, &[10, 9, 8, 7, 6, 5, 4, 3, 2])
        && brazil(digits, 10, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])
}

/// Brazilian company tax number: fourteen digits, two of them check.
pub fn cnpj(digits: &[u8]) -> bool {
    digits.len() == 14
        && !all_same(digits)
        && brazil(digits, 12, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
        && brazil(digits, 13, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
}

fn brazil(digits: &[u8], place: usize, weights: &[u32]) -> bool {
    let remainder = weighted(digits, weights) % 11;
    let check = if remainder < 2 { 0 } else { 11 - remainder };
    digits
        .get(place)
        .is_some_and(|&digit| u32::from(digit) == check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::digits;

    #[track_caller]
    fn check(valid: fn(&[u8]) -> bool, right: &str, wrong: &str) {
        assert!(valid(&digits(right.as_bytes()).unwrap()), "{right}");
        assert!(!valid(&digits(wrong.as_bytes()).unwrap()), "{wrong}");
    }

    #[test]
    fn published_examples() {
        check(ssn, "536904399", "666904399");
        check(ssn, "536904399", "536004399");
        check(unissued_ssn, "910396640", "536904399");
        check(unissued_ssn, "910396640", "910706640");
        check(itin, "912701234", "912931234");
        check(npi, "1234567893", "1234567890");
        check(sin, "130692544", "130692543");
        check(cpf, "52998224725", "52998224724");
        check(cpf, "11144477735", "11111111111");
        check(cnpj, "11222333000181", "11222333000182");
        assert!(dea(b"AB1234563") && !dea(b"AB1234564") && !dea(b"1B1234563"));
        assert!(mbi(b"1EG4TE5MK73") && !mbi(b"1SG4TE5MK73") && !mbi(b"0EG4TE5MK73"));
    }

    #[test]
    fn one_pair_of_check_digits_fits() {
        let fits = (0..100)
            .filter(|check| cpf(&digits(format!("529982247{check:02}").as_bytes()).unwrap()));
        assert_eq!(fits.count(), 1);
    }
}
