//! Numbers issued in Sweden and Finland.

use super::{digits, is_date, luhn, number, part};

/// Swedish personal number: ten digits (or twelve with the century), a date and Luhn over
/// the last ten. Coordination numbers add 60 to the day.
pub fn personnummer(digits: &[u8]) -> bool {
    let short = match digits.len() {
        10 => digits,
        12 if matches!(part(digits, 0, 2), 18..=20) => digits.get(2..).unwrap_or_default(),
        _ => return false,
    };
    let day = part(short, 4, 6);
    let day = if day > 60 { day - 60 } else { day };
    is_date(part(short, 2, 4), day) && luhn(short)
}

/// Finnish identity code: date, century sign, serial, check sign of the remainder by 31.
pub fn hetu(text: &[u8]) -> bool {
    const SIGNS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let (Some(date), Some(century), Some(serial), Some(sign)) = (
        text.get(..6).and_then(digits),
        text.get(6),
        text.get(7..10).and_then(digits),
        text.get(10),
    ) else {
        return false;
    };
    let value = number(&date) * 1000 + number(&serial);
    let place = usize::try_from(value % 31).unwrap_or(0);
    text.len() == 11
        && b"+-ABCDEFYXWVU".contains(century)
        && is_date(part(&date, 2, 4), part(&date, 0, 2))
        && number(&serial) >= 2
        && SIGNS.get(place) == Some(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers() {
        let of = |text: &str| digits(text.as_bytes()).unwrap();
        assert!(personnummer(&of("8112189876")) && personnummer(&of("198112189876")));
        assert!(!personnummer(&of("8112189877")) && !personnummer(&of("8113189876")));
        assert!(hetu(b"131052-308T") && !hetu(b"131052-308U") && !hetu(b"331052-308T"));
    }
}
