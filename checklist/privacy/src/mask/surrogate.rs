//! Made-up values of the same form, from ranges that belong to nobody.

use crate::detect::entity::EntityKind;
use crate::placeholder::Minter;

/// A stand-in for a value: the same for the same value of the same user. `None` for kinds that have no safe range.
pub fn surrogate(minter: &Minter, kind: &EntityKind, value: &str) -> Option<String> {
    let number = |below| minter.number(kind, value, below);
    match kind {
        // RFC 2606: `.invalid` never resolves.
        EntityKind::Email => Some(format!("u{}@pii.invalid", number(100_000_000))),
        // 555-0100 to 555-0199 are kept for fiction; area codes 200 to 999 without the service codes.
        EntityKind::Phone => {
            let area = 201 + number(700);
            Some(format!("+1 {area} 555 01{:02}", number(1_000_000) % 100))
        }
        // The issuer range 400000 0... is that of test cards.
        EntityKind::CreditCard => Some(with_luhn(&format!("400000{:09}", number(1_000_000_000)))),
        // RFC 5737 and 3849: addresses for documentation.
        EntityKind::IpAddress if value.contains(':') => {
            Some(format!("2001:db8::{:x}", number(0xffff) + 1))
        }
        EntityKind::IpAddress => Some(format!("203.0.113.{}", number(254) + 1)),
        // Area numbers 987-65-4320 to 4329 are kept for advertisements.
        EntityKind::UsSsn => Some(format!("987-65-432{}", number(10))),
        _ => None,
    }
}

fn with_luhn(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit.saturating_sub(b'0'));
            match place % 2 {
                0 if digit > 4 => digit * 2 - 9,
                0 => digit * 2,
                _ => digit,
            }
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_kept() {
        let minter = Minter::new(b"s", "t", "u");
        let email = surrogate(&minter, &EntityKind::Email, "ada@example.org").unwrap();
        assert!(email.ends_with("@pii.invalid"));
        assert_eq!(
            surrogate(&minter, &EntityKind::Email, "ada@example.org"),
            Some(email)
        );
        let card = surrogate(&minter, &EntityKind::CreditCard, "4111111111111111").unwrap();
        assert_eq!(card.len(), 16);
        assert_eq!(with_luhn("7992739871"), "79927398713");
        assert_eq!(surrogate(&minter, &EntityKind::Person, "Ada"), None);
    }
}
