//! Telephone numbers: international by country code, national by grouping, others by word.
//!
//! The plan table is small on purpose (ITU-T E.164 country codes with the lengths in use);
//! it tells numbers from other digits, not valid subscribers from invalid ones.

use std::ops::Range;

use super::bytes::{at, before, cut};
use super::context::Scan;
use super::digits::{Window, place};
use super::entity::{Entity, EntityKind, Strength};
use super::words::Topic;

/// Country codes with the least and most digits that follow.
const PLANS: &[(&str, u8, u8)] = &[
    ("1", 10, 10),
    ("7", 10, 10),
    ("20", 8, 10),
    ("27", 9, 9),
    ("30", 10, 10),
    ("31", 9, 9),
    ("32", 8, 9),
    ("33", 9, 9),
    ("34", 9, 9),
    ("36", 8, 9),
    ("39", 6, 11),
    ("40", 9, 9),
    ("41", 9, 9),
    ("43", 7, 13),
    ("44", 9, 10),
    ("45", 8, 8),
    ("46", 7, 10),
    ("47", 8, 8),
    ("48", 9, 9),
    ("49", 7, 12),
    ("51", 8, 9),
    ("52", 10, 11),
    ("53", 8, 8),
    ("54", 10, 11),
    ("55", 10, 11),
    ("56", 9, 9),
    ("57", 8, 10),
    ("58", 10, 10),
    ("60", 8, 10),
    ("61", 9, 9),
    ("62", 8, 12),
    ("63", 8, 10),
    ("64", 8, 10),
    ("65", 8, 8),
    ("66", 8, 9),
    ("81", 9, 10),
    ("82", 8, 10),
    ("84", 8, 10),
    ("86", 10, 11),
    ("90", 10, 10),
    ("91", 10, 10),
    ("92", 9, 10),
    ("93", 9, 9),
    ("94", 9, 9),
    ("95", 7, 10),
    ("98", 10, 10),
    ("2", 7, 11),
    ("35", 7, 10),
    ("37", 7, 9),
    ("38", 8, 10),
    ("42", 9, 9),
    ("50", 7, 9),
    ("59", 7, 9),
    ("67", 5, 8),
    ("68", 5, 7),
    ("80", 8, 8),
    ("85", 7, 10),
    ("87", 8, 11),
    ("88", 8, 10),
    ("96", 7, 10),
    ("97", 7, 10),
    ("99", 8, 10),
];

/// Groupings that are numbers by themselves: digits per group, what they may start with, and
/// the separators that may occur.
const NATIONAL: &[(&[u8], &str, &[u8])] = &[
    // North America.
    (&[3, 3, 4], "23456789", b"-.) "),
    (&[1, 3, 3, 4], "1", b"-.) "),
    // Spain, Portugal, Poland.
    (&[3, 3, 3], "5679", b"- "),
    (&[3, 2, 2, 2], "5679", b"- "),
    // Brazil, with its area code in brackets.
    (&[2, 5, 4], "123456789", b"-) "),
    (&[2, 4, 4], "123456789", b")"),
    // China, India, Italy, Russia.
    (&[3, 4, 4], "1", b"- "),
    (&[5, 5], "6789", b"- "),
    (&[3, 7], "3", b"- "),
    (&[1, 3, 3, 2, 2], "8", b"-) "),
    (&[3, 3, 2, 2], "5789", b"-) "),
];

/// How far a word may be to name plain digits a telephone number, in the measure of
/// [`Near::distance`](super::context::Near): less than to name other values, for the words
/// are common.
const WORD_REACH: usize = 45;

/// The telephone number in a window, if there is one.
pub(super) fn find(
    scan: &Scan<'_>,
    window: &Window<'_>,
    range: &Range<usize>,
    out: &mut Vec<Entity>,
) {
    if window.digits.len() > 15 || is_date_or_address(window) {
        return;
    }
    let start = opening(scan.bytes, range.start);
    let whole = start..range.end;
    let plus = before(scan.bytes, range.start) == b'+' || at(scan.bytes, start) == b'+';
    if plus {
        if window.right.is_none_or(|sep| sep != b'-' && sep != b'.')
            && is_international(window.digits)
        {
            push(
                scan,
                whole,
                window,
                ("country code", Strength::Context, 0.9),
                out,
            );
        }
        return;
    }
    if !window.is_free() {
        return;
    }
    // The office prefix to dial abroad stands for the plus.
    let abroad = window
        .digits
        .strip_prefix(&[0, 0])
        .is_some_and(is_international);
    let near = scan
        .near(range, Topic::Phone)
        .filter(|near| near.distance < WORD_REACH && !labelled_otherwise(scan, range));
    if let Some(near) = near.filter(|_| window.digits.len() >= 7 || window.groups.len() > 1) {
        let entity = Entity::new(
            trunk(scan.bytes, whole),
            EntityKind::Phone,
            Strength::Context,
            0.5 + near.bonus(),
        );
        out.push(entity.because("digits", Some(near.word)));
        return;
    }
    if (abroad || is_national(window) || is_bare_mobile(window)) && !scan.in_code {
        push(
            scan,
            whole,
            window,
            ("national grouping", Strength::Pattern, 0.6),
            out,
        );
    }
}

/// Reports a number that needs no word, if nothing speaks against it.
fn push(
    scan: &Scan<'_>,
    range: Range<usize>,
    window: &Window<'_>,
    (rule, strength, score): (&'static str, Strength, f32),
    out: &mut Vec<Entity>,
) {
    let place = place(scan, &window.range());
    // Behind a country code, `-Fax` and the like are a label.
    let glued = place.glued && rule != "country code";
    if !(glued || place.amount || place.thing || labelled_otherwise(scan, &range)) {
        let near = scan.near(&range, Topic::Phone);
        let bonus = near.map_or(0.0, |near| near.bonus() / 4.0);
        let entity = Entity::new(
            trunk(scan.bytes, range),
            EntityKind::Phone,
            strength,
            score + bonus,
        );
        out.push(entity.because(rule, near.map(|near| near.word)));
    }
}

/// Whether the word directly before names another kind of value.
fn labelled_otherwise(scan: &Scan<'_>, range: &Range<usize>) -> bool {
    let fine = Topic::Phone.bit()
        | Topic::Email.bit()
        | Topic::Address.bit()
        | Topic::Ip.bit()
        | Topic::Token.bit();
    scan.label(range.start)
        .is_some_and(|hit| hit.topics & fine == 0)
}

/// Start of the number with its `+` and opening bracket.
fn opening(bytes: &[u8], start: usize) -> usize {
    let mut start = start;
    for _ in 0..2 {
        if matches!(before(bytes, start), b'(' | b'+') {
            start -= 1;
        }
    }
    start
}

/// The number with an extension behind it: `ext. 123`, `x123`.
fn trunk(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let tail = cut(bytes, range.end..bytes.len().min(range.end + 16));
    for mark in [&b" ext. "[..], b" ext ", b" x", b"x", b" ext.", b", ext. "] {
        if let Some(rest) = tail.strip_prefix(mark) {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if (1..=6).contains(&digits) {
                return range.start..range.end + mark.len() + digits;
            }
        }
    }
    range
}

/// Whether `x123` follows the number that ends at `end`.
pub(super) fn has_extension(bytes: &[u8], end: usize) -> bool {
    matches!(at(bytes, end), b'x' | b'X') && at(bytes, end + 1).is_ascii_digit()
}

fn is_international(digits: &[u8]) -> bool {
    PLANS.iter().any(|&(code, least, most)| {
        let fits =
            code.len() < digits.len() && code.bytes().zip(digits).all(|(c, &d)| c - b'0' == d);
        // A trunk zero in brackets, `+49 (0)30`, is one more digit.
        let rest = digits.len() - code.len().min(digits.len());
        let zero = usize::from(digits.get(code.len()) == Some(&0));
        fits && (usize::from(least)..=usize::from(most) + zero).contains(&rest)
    })
}

fn is_national(window: &Window<'_>) -> bool {
    let first = window.digits.first().copied().unwrap_or(0);
    let starts = |list: &str| list.bytes().any(|b| b - b'0' == first);
    let seps = |list: &[u8]| window.seps.iter().all(|sep| list.contains(sep));
    let listed = NATIONAL
        .iter()
        .any(|(shape, start, list)| window.shape_is(shape) && starts(start) && seps(list));
    listed && !is_short_exchange(window) || is_zero_led(window)
}

/// North American exchanges do not start with 0 or 1.
fn is_short_exchange(window: &Window<'_>) -> bool {
    window.shape_is(&[3, 3, 4])
        && matches!(window.digits.get(3), Some(0 | 1))
        && window.digits.first() != Some(&3)
}

/// Trunk zero, two or more groups, nine to eleven digits: most of Europe, Japan, Korea,
/// Australia, Turkey.
fn is_zero_led(window: &Window<'_>) -> bool {
    let area = window
        .groups
        .first()
        .map_or(0, std::iter::ExactSizeIterator::len);
    let seps_fit = window.seps.iter().all(|sep| b" -./)w".contains(sep));
    let tail_fits = window.groups.iter().skip(1).all(|group| group.len() >= 2);
    window.digits.first() == Some(&0)
        && window.digits.get(1) != Some(&0)
        && (9..=12).contains(&window.digits.len())
        && (2..=6).contains(&window.groups.len())
        && (2..=5).contains(&area)
        && seps_fit
        && tail_fits
}

/// Mobile numbers written as one run: China, and countries with a trunk zero.
fn is_bare_mobile(window: &Window<'_>) -> bool {
    let bare = window.groups.len() == 1;
    match *window.digits {
        [1, 3..=9, ..] => bare && window.digits.len() == 11,
        [0, 1..=9, ..] => bare && matches!(window.digits.len(), 10 | 11),
        _ => false,
    }
}

/// Dates, IPv4 addresses, versions and decimals.
fn is_date_or_address(window: &Window<'_>) -> bool {
    let dots = window.seps.iter().filter(|&&sep| sep == b'.').count();
    let date = [
        &[4, 2, 2][..],
        &[2, 2, 4],
        &[1, 2, 4],
        &[2, 1, 4],
        &[1, 1, 4],
        &[4, 1, 2],
        &[4, 2, 1],
    ];
    let plain = window.seps.iter().all(|sep| b"-./".contains(sep));
    let quad =
        dots == 3 && window.groups.len() == 4 && window.groups.iter().all(|group| group.len() <= 3);
    quad || plain && date.iter().any(|shape| window.shape_is(shape))
        || dots == 1 && window.groups.len() == 2
}
