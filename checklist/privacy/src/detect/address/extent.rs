//! Where an address starts and ends around its street: postal code before; flat, town and
//! postal code after.

use super::super::bytes::{at, before, cut, run_end, run_start};
use super::words::{UNITS, is_capital, is_particle};

/// A postal code or number directly before the street belongs to it: `28245 Puruntie 82`.
pub(super) fn code_before(bytes: &[u8], start: usize) -> usize {
    let digits = run_start(bytes, start.saturating_sub(1), 6, |b| b.is_ascii_digit());
    let free = !super::super::bytes::is_word(before(bytes, digits))
        && !b".,-/$".contains(&before(bytes, digits));
    if before(bytes, start) == b' ' && digits + 1 < start && free {
        digits
    } else {
        start
    }
}

/// Runs on over flat, town and postal code: up to six parts between commas or lines, as far
/// as the last one that has a postal code or names a flat.
pub(super) fn tail(bytes: &[u8], end: usize) -> usize {
    let mut last = end;
    let mut place = end;
    for _ in 0..6 {
        let gap = run_end(bytes, place, |b| b == b' ' || b == b',' || b == b'\n');
        let breaks = cut(bytes, place..gap)
            .iter()
            .filter(|&&b| b == b'\n')
            .count();
        if gap == place || breaks > 1 {
            break;
        }
        let stop = bytes.len().min(gap + 45);
        let part = cut(bytes, gap..stop);
        let len = part_len(part);
        let part = part.get(..len).unwrap_or_default();
        match part_kind(part) {
            Some(used) if used > 0 => {
                place = gap + used;
                last = place;
            }
            Some(_) if cut(bytes, place..gap).iter().any(|b| b",\n".contains(b)) => {
                place = gap + len
            }
            _ => break,
        }
    }
    last
}

/// Where a part of an address ends: at a comma, a line break, or the end of a sentence. The
/// point of an abbreviation (`Apt.`, `St.`) is none.
fn part_len(part: &[u8]) -> usize {
    let ends = |(place, &byte): (usize, &u8)| match byte {
        b'.' => {
            let word = run_start(part, place, 8, |b| b.is_ascii_alphanumeric());
            !matches!(at(part, place + 1), b' ' | b':')
                || place - word > 4
                || before(part, place).is_ascii_digit()
        }
        _ => b",\n;!?)\"|<".contains(&byte),
    };
    part.iter()
        .enumerate()
        .position(|(place, byte)| ends((place, byte)))
        .unwrap_or(part.len())
}

/// Bytes of a part that belong to an address for sure; 0 if it may be a town; `None` if it
/// ends the address.
fn part_kind(part: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(part).ok()?;
    let lower = text.to_lowercase();
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    let unit = UNITS.iter().any(|unit| {
        lower.strip_prefix(unit).is_some_and(|rest| {
            rest.starts_with([' ', '.', ':']) || rest.starts_with(|c: char| c.is_ascii_digit())
        })
    });
    if unit {
        let mut used = 0;
        for word in words.iter().take(2) {
            used += word.len() + 1;
        }
        return Some(used.saturating_sub(1).min(part.len()));
    }
    let code = words
        .iter()
        .take(4)
        .position(|word| is_postal(word))
        .map_or(0, |place| place + 1);
    let named = |word: &&str| is_capital(word) || is_postal(word) || is_particle(word);
    if code > 0 && words.iter().take(code).all(named) {
        let towns = words
            .iter()
            .skip(code)
            .take_while(|word| is_capital(word) || is_postal(word));
        let used: usize = words
            .iter()
            .take(code + towns.take(2).count())
            .map(|word| word.len() + 1)
            .sum();
        return Some(used.saturating_sub(1).min(part.len()));
    }
    let town = code == 0
        && words.len() <= 4
        && words
            .iter()
            .all(|word| is_capital(word) || is_particle(word));
    town.then_some(0)
}

/// Digits of four to six places, with letters around or a dash: `SW1A`, `75002`, `00-950`.
fn is_postal(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let rest = word
        .bytes()
        .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'-');
    let british =
        digits >= 1 && word.len() <= 4 && word.starts_with(|c: char| c.is_ascii_uppercase());
    rest && ((3..=9).contains(&digits) || british)
}
