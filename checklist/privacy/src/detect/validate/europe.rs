//! Numbers issued in Europe, without the Nordic countries.

use super::{all_same, digits, is_date, iso7064_mod11_10, number, part, weighted};

/// NHS number: ten digits, weights 10 to 2, modulus 11.
pub fn nhs(digits: &[u8]) -> bool {
    let check = 11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    digits.len() == 10
        && !all_same(digits)
        && digits
            .last()
            .is_some_and(|&last| u32::from(last) == check % 11)
}

/// British national insurance number: letters as HMRC issues them, six digits, suffix A-D.
pub fn nino(text: &[u8]) -> bool {
    const NEVER: [&[u8]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    let &[first, second, ref middle @ .., last] = text else {
        return false;
    };
    text.len() == 9
        && first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && !NEVER.contains(&[first, second].as_slice())
        && middle.iter().all(u8::is_ascii_digit)
        && (b'A'..=b'D').contains(&last)
}

/// German tax identifier: eleven digits, ISO 7064 MOD 11,10; among the first ten, one digit
/// occurs twice or three times (Bundeszentralamt für Steuern).
pub fn de_tax_id(digits: &[u8]) -> bool {
    let mut counts = [0_u8; 10];
    for &digit in digits.iter().take(10) {
        if let Some(count) = counts.get_mut(usize::from(digit)) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|&&count| count > 1).count();
    digits.len() == 11
        && digits.first() != Some(&0)
        && repeated == 1
        && counts.iter().all(|&count| count <= 3)
        && iso7064_mod11_10(digits)
}

/// German pension insurance number: area, birth date, letter, serial, check digit
/// (VKVV § 4). The day may be raised by 50 where the plain one was used up.
pub fn de_social_security(text: &[u8]) -> bool {
    let Some(&letter) = text.get(8).filter(|b| b.is_ascii_uppercase()) else {
        return false;
    };
    let place = letter - b'A' + 1;
    let mut all = text.get(..8).unwrap_or_default().to_vec();
    all.extend([b'0' + place / 10, b'0' + place % 10]);
    all.extend_from_slice(text.get(9..).unwrap_or_default());
    let Some(digits) = digits(&all) else {
        return false;
    };
    let (day, month) = (part(&digits, 2, 4), part(&digits, 4, 6));
    let day = if day > 50 { day - 50 } else { day };
    let weights = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let sum: u32 = digits
        .iter()
        .zip(weights)
        .map(|(&d, w)| digit_sum(u32::from(d) * w))
        .sum();
    text.len() == 12
        && is_date(month, day)
        && digits
            .last()
            .is_some_and(|&last| u32::from(last) == sum % 10)
}

fn digit_sum(number: u32) -> u32 {
    number / 10 + number % 10
}

/// French social security number with its two-digit key: fifteen places, Corsica as
/// `2A` / `2B` (INSEE).
pub fn fr_nir(text: &[u8]) -> bool {
    let Some((body, less)) = nir_body(text.get(..13).unwrap_or_default()) else {
        return false;
    };
    let Some(key) = text.get(13..).and_then(digits).filter(|key| key.len() == 2) else {
        return false;
    };
    97 - (body - less) % 97 == number(&key)
}

/// The thirteen places without key: sex, year, month, place, serial.
pub fn fr_nir_without_key(text: &[u8]) -> bool {
    text.len() == 13 && nir_body(text).is_some()
}

fn nir_body(body: &[u8]) -> Option<(u64, u64)> {
    let mut body = body.to_vec();
    let less = match body.get(5..7)? {
        b"2A" => 1_000_000,
        b"2B" => 2_000_000,
        _ => 0,
    };
    if less > 0 {
        *body.get_mut(6)? = b'0';
    }
    let digits = digits(&body)?;
    let sex = digits.first()?;
    let month = part(&digits, 3, 5);
    let fits = matches!(sex, 1..=4 | 7 | 8) && matches!(month, 1..=12 | 20..=42 | 50..=99);
    (fits && digits.len() == 13).then(|| (number(&digits), less))
}

const SPANISH: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// Spanish DNI/NIF: eight digits and the letter of the remainder by 23. The special
/// prefixes K, L and M replace the first digit.
pub fn es_nif(text: &[u8]) -> bool {
    let Some((&letter, body)) = text.split_last() else {
        return false;
    };
    let body = match body.split_first() {
        Some((b'K' | b'L' | b'M', rest)) => rest,
        _ if body.len() == 8 => body,
        _ => return false,
    };
    text.len() == 9 && spanish_letter(body, 0, letter)
}

/// Spanish number for foreigners: X, Y or Z, seven digits, letter.
pub fn es_nie(text: &[u8]) -> bool {
    let (Some((&letter, body)), Some(&first)) = (text.split_last(), text.first()) else {
        return false;
    };
    let lead = match first {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        _ => return false,
    };
    text.len() == 9 && spanish_letter(body.get(1..).unwrap_or_default(), lead, letter)
}

fn spanish_letter(body: &[u8], lead: u64, letter: u8) -> bool {
    let Some(digits) = digits(body) else {
        return false;
    };
    let value = lead * 10_000_000 + number(&digits);
    let place = usize::try_from(value % 23).unwrap_or(0);
    SPANISH.get(place) == Some(&letter)
}

/// Italian codice fiscale: sixteen places, odd and even tables, letters for digits where
/// two persons clashed (omocodia).
pub fn it_fiscal_code(text: &[u8]) -> bool {
    const SHAPE: &[u8; 16] = b"AAAAAA99A99A999A";
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let fits = |(&byte, &class): (&u8, &u8)| match class {
        b'9' => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte),
        _ => byte.is_ascii_uppercase(),
    };
    if text.len() != 16 || !text.iter().zip(SHAPE).all(fits) {
        return false;
    }
    let order = |byte: u8| {
        if byte.is_ascii_digit() {
            byte - b'0'
        } else {
            byte - b'A'
        }
    };
    let value = |(place, &byte): (usize, &u8)| match place % 2 {
        0 => ODD.get(usize::from(order(byte))).copied().unwrap_or(0),
        _ => u32::from(order(byte)),
    };
    let sum: u32 = text.iter().take(15).enumerate().map(value).sum();
    b"ABCDEHLMPRST".contains(text.get(8).unwrap_or(&0))
        && text
            .last()
            .is_some_and(|&last| u32::from(last - b'A') == sum % 26)
}

/// Dutch citizen number: nine digits (a leading zero may be left out), the "11-proef".
pub fn nl_bsn(digits: &[u8]) -> bool {
    let weights: &[u32] = match digits.len() {
        9 => &[9, 8, 7, 6, 5, 4, 3, 2],
        8 => &[8, 7, 6, 5, 4, 3, 2],
        _ => return false,
    };
    let Some(&last) = digits.last() else {
        return false;
    };
    let sum = weighted(digits, weights);
    sum > 0 && !all_same(digits) && sum % 11 == u32::from(last)
}

/// Portuguese tax number: nine digits, weights 9 to 2, modulus 11.
pub fn pt_nif(digits: &[u8]) -> bool {
    let remainder = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if remainder < 2 { 0 } else { 11 - remainder };
    digits.len() == 9
        && !matches!(digits.first(), Some(0 | 4))
        && digits.last().is_some_and(|&last| u32::from(last) == check)
}

/// Polish PESEL: eleven digits; the month carries the century; weights 1 3 7 9.
pub fn pl_pesel(digits: &[u8]) -> bool {
    let month = part(digits, 2, 4);
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    digits.len() == 11 && is_date(month % 20, part(digits, 4, 6)) && sum.is_multiple_of(10)
}

/// Belgian national number: birth date, serial, check number `97 - n mod 97`; a 2 is put in
/// front for births from 2000 on.
pub fn be_nrn(digits: &[u8]) -> bool {
    let (body, check) = (part(digits, 0, 9), part(digits, 9, 11));
    let fits = |body: u64| 97 - body % 97 == check;
    digits.len() == 11
        && is_date(part(digits, 2, 4), part(digits, 4, 6))
        && (fits(body) || fits(2_000_000_000 + body))
}

/// Swiss insurance number: 756 and an EAN-13 check.
pub fn ch_ahv(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]);
    digits.len() == 13 && part(digits, 0, 3) == 756 && sum.is_multiple_of(10)
}

/// Turkish identity number: eleven digits, two of them check.
pub fn tr_national_id(digits: &[u8]) -> bool {
    let &[a, b, c, d, e, f, g, h, i, tenth, last] = digits else {
        return false;
    };
    let sum = |list: &[u8]| list.iter().map(|&d| u32::from(d)).sum::<u32>();
    let (odd, even) = (sum(&[a, c, e, g, i]), sum(&[b, d, f, h]));
    a != 0
        && (odd * 7 + 100 - even) % 10 == u32::from(tenth)
        && (odd + even + u32::from(tenth)) % 10 == u32::from(last)
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
        check(nhs, "9434765919", "9434765918");
        check(de_tax_id, "86095742719", "86095742718");
        check(nl_bsn, "111222333", "111222334");
        check(pt_nif, "123456789", "123456788");
        check(pl_pesel, "44051401359", "44051401358");
        check(be_nrn, "85073003328", "85073003329");
        check(ch_ahv, "7569217076985", "7569217076984");
        check(tr_national_id, "10000000146", "10000000147");
    }

    #[test]
    fn published_codes() {
        assert!(nino(b"AB123456C") && !nino(b"BG123456C") && !nino(b"AB123456E"));
        assert!(de_social_security(b"15070649C103") && !de_social_security(b"15070649C104"));
        assert!(fr_nir(b"255081416802538") && !fr_nir(b"255081416802539"));
        assert!(es_nif(b"12345678Z") && !es_nif(b"12345678A"));
        assert!(es_nie(b"X1234567L") && !es_nie(b"X1234567A"));
        assert!(it_fiscal_code(b"RSSMRA85T10A562S") && !it_fiscal_code(b"RSSMRA85T10A562T"));
    }

    proptest! {
        #[test]
        fn one_letter_fits_a_spanish_number(body in "[0-9]{8}") {
            let fits = (b'A'..=b'Z').filter(|&l| es_nif(&[body.as_bytes(), &[l]].concat()));
            prop_assert_eq!(fits.count(), 1);
        }

        #[test]
        fn one_key_fits_a_french_number(year in 0..100, month in 1..13, rest in "[0-9]{8}") {
            let body = format!("1{year:02}{month:02}{rest}");
            let fits = (1..=97).filter(|key| fr_nir(format!("{body}{key:02}").as_bytes()));
            prop_assert_eq!(fits.count(), 1);
        }
    }
}
