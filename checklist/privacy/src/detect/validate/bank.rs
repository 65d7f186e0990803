//! Cards, IBAN and routing numbers.

use super::{all_same, luhn, part, weighted};

/// A payment card: issuer range (ISO/IEC 7812 IIN, the networks' published ranges), length
/// and Luhn check. 12 to 19 digits.
pub fn card(digits: &[u8]) -> bool {
    !all_same(digits) && issuer(digits).is_some() && luhn(digits)
}

/// A number that can be a card of an unlisted range: 12 to 19 digits with a Luhn check.
pub fn any_card(digits: &[u8]) -> bool {
    (12..=19).contains(&digits.len()) && !all_same(digits) && luhn(digits)
}

/// The network that issues numbers of this start and length.
pub fn issuer(digits: &[u8]) -> Option<&'static str> {
    let len = digits.len();
    let first = part(digits, 0, 6);
    let starts = |low: u64, high: u64| (low..=high).contains(&first);
    let found = match first {
        _ if starts(400_000, 499_999) && matches!(len, 13 | 16 | 18 | 19) => "visa",
        _ if starts(510_000, 559_999) && len == 16 => "mastercard",
        _ if starts(222_100, 272_099) && len == 16 => "mastercard",
        _ if (starts(340_000, 349_999) || starts(370_000, 379_999)) && len == 15 => "amex",
        _ if starts(300_000, 305_999) && matches!(len, 14 | 16 | 19) => "diners",
        _ if starts(309_500, 309_599) && matches!(len, 14 | 16 | 19) => "diners",
        _ if starts(360_000, 369_999) && (14..=19).contains(&len) => "diners",
        _ if starts(380_000, 399_999) && (14..=19).contains(&len) => "diners",
        _ if starts(352_800, 358_999) && (16..=19).contains(&len) => "jcb",
        _ if (starts(213_100, 213_199) || starts(180_000, 180_099)) && len == 15 => "jcb",
        _ if starts(601_100, 601_199) && (16..=19).contains(&len) => "discover",
        _ if starts(644_000, 659_999) && (16..=19).contains(&len) => "discover",
        _ if starts(620_000, 629_999) && (16..=19).contains(&len) => "unionpay",
        _ if starts(810_000, 817_199) && (16..=19).contains(&len) => "unionpay",
        _ if starts(500_000, 509_999) && (12..=19).contains(&len) => "maestro",
        _ if starts(560_000, 589_999) && (12..=19).contains(&len) => "maestro",
        _ if starts(600_000, 639_999) && (12..=19).contains(&len) => "maestro",
        _ if starts(670_000, 679_999) && (12..=19).contains(&len) => "maestro",
        _ if starts(220_000, 220_499) && (16..=19).contains(&len) => "mir",
        _ if starts(979_200, 979_299) && len == 16 => "troy",
        _ => return None,
    };
    Some(found)
}

/// Length of the IBAN of a country, in capitals (SWIFT IBAN registry).
pub fn iban_length(country: &[u8]) -> Option<usize> {
    Some(match country {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FO" | b"GL" | b"NL" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"XK" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"OM" | b"SO" | b"TL" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HU" | b"LB" | b"NI" | b"PL" | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    })
}

/// An IBAN of exactly its country's length (ISO 13616; ISO 7064 MOD 97-10).
pub fn iban(text: &[u8]) -> bool {
    let (Some(country), Some(check)) = (text.get(..2), text.get(2..4)) else {
        return false;
    };
    check.iter().all(u8::is_ascii_digit)
        && iban_length(country) == Some(text.len())
        && iban_remainder(text) == Some(1)
}

fn iban_remainder(text: &[u8]) -> Option<u32> {
    let (head, body) = text.split_at_checked(4)?;
    body.iter()
        .chain(head)
        .try_fold(0_u32, |remainder, &byte| match byte {
            b'0'..=b'9' => Some((remainder * 10 + u32::from(byte - b'0')) % 97),
            b'A'..=b'Z' => Some((remainder * 100 + u32::from(byte - b'A') + 10) % 97),
            _ => None,
        })
}

/// American routing number: nine digits, weights 3 7 1, a Federal Reserve district.
pub fn aba(digits: &[u8]) -> bool {
    let district = part(digits, 0, 2);
    let known = matches!(district, 1..=12 | 21..=32 | 61..=72 | 80);
    let sum = weighted(digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]);
    digits.len() == 9 && known && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::digits;
    use proptest::prelude::*;

    #[test]
    fn published_cards() {
        let numbers = [
            "4111111111111111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "30569309025904",
            "3530111333300000",
            "6011111111111117",
            "6212345678901265",
        ];
        for number in numbers {
            assert!(card(&digits(number.as_bytes()).unwrap()), "{number}");
        }
        assert!(!card(&digits(b"4111111111111112").unwrap()));
        assert!(!card(&digits(b"0000000000000000").unwrap()));
    }

    #[test]
    fn published_ibans() {
        for text in [
            "DE89370400440532013000",
            "GB29NWBK60161331926819",
            "NO9386011117947",
        ] {
            assert!(iban(text.as_bytes()), "{text}");
        }
        assert!(!iban(b"DE89370400440532013001"));
        assert!(!iban(b"DE8937040044053201300"));
    }

    #[test]
    fn published_routing_numbers() {
        assert!(aba(&digits(b"021000021").unwrap()));
        assert!(!aba(&digits(b"021000022").unwrap()));
        assert!(!aba(&digits(b"991000021").unwrap()));
    }

    proptest! {
        #[test]
        fn one_pair_of_check_digits_fits_an_iban(body in "[0-9]{18}") {
            let right = (2..=98).filter(|check| iban(format!("DE{check:02}{body}").as_bytes()));
            prop_assert_eq!(right.count(), 1);
        }
    }
}
