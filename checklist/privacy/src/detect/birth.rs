//! Dates of birth: a date with a word of birth beside it.

use std::ops::Range;

use super::bytes::{at, cut, run_end, run_start};
use super::context::Scan;
use super::entity::{Entity, EntityKind, Strength};
use super::validate::is_date;
use super::words::Topic;

/// Month names by their first letters, lower case, in the languages of our users.
const MONTHS: &[&str] = &[
    "jan",
    "feb",
    "fév",
    "fev",
    "mar",
    "mär",
    "mrz",
    "mär",
    "maa",
    "mrt",
    "apr",
    "avr",
    "abr",
    "kwi",
    "mai",
    "may",
    "mei",
    "maj",
    "mag",
    "jun",
    "jui",
    "giu",
    "cze",
    "jul",
    "lug",
    "lip",
    "aug",
    "aoû",
    "aou",
    "ago",
    "sie",
    "sep",
    "set",
    "wrz",
    "oct",
    "okt",
    "out",
    "ott",
    "paź",
    "nov",
    "lis",
    "dec",
    "dez",
    "déc",
    "dic",
    "dez",
    "gru",
    "gen",
    "ene",
    "sty",
    "lut",
    "янв",
    "фев",
    "мар",
    "апр",
    "мая",
    "май",
    "июн",
    "июл",
    "авг",
    "сен",
    "окт",
    "ноя",
    "дек",
    "oca",
    "şub",
    "nis",
    "haz",
    "tem",
    "ağu",
    "eyl",
    "eki",
    "kas",
    "ara",
    "जन",
    "फर",
    "फ़र",
    "मार्",
    "अप्",
    "मई",
    "जून",
    "जुल",
    "अग",
    "सित",
    "अक्",
    "नव",
    "दिस",
    "يناير",
    "فبر",
    "مارس",
    "أبر",
    "ابر",
    "ماي",
    "يوني",
    "يولي",
    "أغس",
    "سبت",
    "أكت",
    "نوف",
    "ديس",
    "tam",
    "hel",
    "huh",
    "tou",
    "kes",
    "hei",
    "elo",
    "syy",
    "lok",
    "mar",
    "jou",
];

/// The date that starts or is in the middle at the digits at `start`, if a word names it as a
/// birth. `last` is where the previous date ended: a word before it belongs to that one.
pub(super) fn find(scan: &Scan<'_>, start: usize, last: &mut usize, out: &mut Vec<Entity>) {
    let Some(range) = date(scan.text, start).filter(|range| range.start >= *last) else {
        return;
    };
    let near = scan.near(&range, Topic::Birth);
    let taken = near.is_some_and(|near| {
        let word_end = range.start.saturating_sub(near.distance);
        !near.after && *last > 0 && word_end < *last && near.distance > 4
    });
    *last = range.end;
    if let Some(near) = near.filter(|_| !taken) {
        let entity = Entity::new(
            range,
            EntityKind::DateOfBirth,
            Strength::Context,
            0.55 + near.bonus(),
        );
        out.push(entity.because("date", Some(near.word)));
    }
}

/// A calendar date around the digits at `start`.
fn date(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    numeric(bytes, start)
        .or_else(|| cjk(text, start))
        .or_else(|| day_first(text, start))
        .or_else(|| month_first(text, start))
}

fn number(bytes: &[u8], start: usize) -> (u64, usize) {
    let end = run_end(bytes, start, |b| b.is_ascii_digit());
    let digits = cut(bytes, start..end);
    let value = digits
        .iter()
        .take(9)
        .fold(0, |value, b| value * 10 + u64::from(b - b'0'));
    (value, end)
}

/// `1985-03-12`, `12/03/1985`, `12.3.85`, `12 03 1985`.
fn numeric(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let (first, first_end) = number(bytes, start);
    let second_start = numeric_gap(bytes, first_end)?;
    let (second, second_end) = number(bytes, second_start);
    let third_start = numeric_gap(bytes, second_end)?;
    let (third, end) = number(bytes, third_start);
    let same = at(bytes, first_end) == at(bytes, second_end);
    let lengths = (
        first_end - start,
        second_end - second_start,
        end - third_start,
    );
    let fits = match lengths {
        (4, 1..=2, 1..=2) => is_year(first) && is_date(second, third),
        (1..=2, 1..=2, 2 | 4) => {
            (is_date(second, first) || is_date(first, second)) && (third < 100 || is_year(third))
        }
        _ => false,
    };
    (fits && same && !at(bytes, end).is_ascii_digit()).then_some(start..end)
}

/// Where the next number of a numeric date starts.
fn numeric_gap(bytes: &[u8], end: usize) -> Option<usize> {
    match (at(bytes, end), at(bytes, end + 1)) {
        (b'-' | b'/' | b'.' | b' ', next) if next.is_ascii_digit() => Some(end + 1),
        (b'.' | b'/' | b'-', b' ') if at(bytes, end + 2).is_ascii_digit() => Some(end + 2),
        _ => None,
    }
}

/// Years in which somebody now living can be born, and some to spare.
fn is_year(year: u64) -> bool {
    (1900..=2035).contains(&year)
}

/// `1985年3月12日`, `1985년 3월 12일`.
fn cjk(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut from = start;
    for marks in [["年", "년"], ["月", "월"], ["日", "일"]] {
        let (_, end) = number(bytes, from);
        let rest = text.get(end..)?.trim_start_matches(' ');
        let mark = marks.into_iter().find(|mark| rest.starts_with(mark))?;
        let mark_end = text.len() - rest.len() + mark.len();
        from = run_end(bytes, mark_end, |b| b == b' ');
        if matches!(mark, "日" | "일") {
            return Some(start..mark_end);
        }
    }
    None
}

/// `12 March 1985`, `12. März 1985`, `12 de marzo de 1985`, `12th of March, 1985`.
fn day_first(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let (day, day_end) = number(bytes, start);
    let mut rest = text.get(day_end..)?;
    for filler in ["st", "nd", "rd", "th", "er", ".", "º", "°", "ª"] {
        rest = rest.strip_prefix(filler).unwrap_or(rest);
    }
    let rest = filler(rest, &["of ", "de ", "do ", "di "]);
    let rest = after_month(rest)?;
    let rest = filler(rest, &["de ", "del ", "do ", "of "]);
    let year_start = text.len() - rest.len();
    let (year, end) = number(bytes, year_start);
    ((1..=31).contains(&day) && is_year(year)).then_some(start..end)
}

/// `March 12, 1985`, seen from the day.
fn month_first(text: &str, day_start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let (day, day_end) = number(bytes, day_start);
    let name_end = run_start(bytes, day_start, 2, |b| b == b' ' || b == b'.');
    let start = run_start(bytes, name_end, 12, |b| {
        b.is_ascii_alphabetic() || b >= 0x80
    });
    let rest = after_month(text.get(start..)?)?;
    let close = text.len() - rest.len() <= day_start + 1;
    let after = text.get(day_end..)?;
    let after = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|suffix| after.strip_prefix(suffix))
        .unwrap_or(after);
    let after = after.trim_start_matches([',', ' ']);
    let (year, end) = number(bytes, text.len() - after.len());
    (close && (1..=31).contains(&day) && is_year(year) && day_end < end).then_some(start..end)
}

fn filler<'t>(rest: &'t str, words: &[&str]) -> &'t str {
    let rest = rest.trim_start_matches([' ', ',', '.', '-', '/']);
    words
        .iter()
        .find_map(|word| rest.strip_prefix(word))
        .unwrap_or(rest)
}

/// What follows a month name, without the space.
fn after_month(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches([' ', '-', '/']);
    let end = rest
        .find(|c: char| !(c.is_alphabetic() || c as u32 >= 0x900 && c as u32 <= 0x97F))
        .unwrap_or(rest.len());
    let name = rest
        .get(..end)
        .filter(|name| name.len() <= 40)?
        .to_lowercase();
    MONTHS
        .iter()
        .any(|month| name.starts_with(month))
        .then_some(())?;
    Some(
        rest.get(end..)?
            .trim_start_matches([' ', ',', '.', '-', '/']),
    )
}
