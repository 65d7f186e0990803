//! Street addresses: a house number with a street word, in the order of each language; or
//! text that is labelled as an address.
//!
//! The finding starts at the first part of street or number and runs over the flat, the town
//! and the postal code where they follow. It is best effort: street names without any street
//! word are found only behind a label.

mod extent;
pub(super) mod label;
mod words;

use std::ops::Range;

use self::extent::{code_before, tail};
use self::words::{
    AFTER, AFTER_CAPITAL, BEFORE, ENDINGS, is_capital, is_in, is_particle, is_preposition,
};
use super::bytes::{at, before, cut, run_end, run_start};
use super::context::Scan;
use super::entity::{Entity, EntityKind, Strength};
use super::words::Topic;

/// Bytes that are searched for a street's words behind a number.
const WORDS_MAX: usize = 120;

/// The address around the house number at `start`, if there is one.
pub(super) fn find(scan: &Scan<'_>, start: usize, out: &mut Vec<Entity>) {
    let end = number_end(scan.bytes, start);
    if !beside_words(scan.bytes, start, end) {
        return;
    }
    let street = number_first(scan, start, end)
        .or_else(|| street_first(scan, start, end))
        .or_else(|| post_box(scan, start, end))
        .or_else(|| east_asian(scan, start, end));
    if let Some(range) = street {
        let range = code_before(scan.bytes, range.start)..tail(scan.bytes, range.end);
        let near = scan.near(&range, Topic::Address);
        let entity = Entity::new(
            range,
            EntityKind::Address,
            Strength::Context,
            0.6 + near.map_or(0.0, |near| near.bonus() / 2.0),
        );
        out.push(entity.because("house number + street word", near.map(|near| near.word)));
    }
}

/// `P.O. Box 149`, `Postfach 1234`, `BP 12`: the box at the number at `start`.
fn post_box(scan: &Scan<'_>, start: usize, end: usize) -> Option<Range<usize>> {
    const BOXES: [&[u8]; 9] = [
        b"P.O. Box",
        b"PO Box",
        b"P.O.Box",
        b"P. O. Box",
        b"Postfach",
        b"Casella postale",
        b"Apartado",
        b"Caixa Postal",
        b"Postbus",
    ];
    let head = cut(scan.bytes, start.saturating_sub(20)..start).trim_ascii_end();
    let name = BOXES.iter().find(|name| {
        head.len() >= name.len()
            && cut(head, head.len() - name.len()..head.len()).eq_ignore_ascii_case(name)
    })?;
    let gap = start.min(20) - head.len();
    Some(start - gap - name.len()..end)
}

/// Whether words stand beside a number, so that a closer look is worth it.
fn beside_words(bytes: &[u8], start: usize, end: usize) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b >= 0x80;
    let gap = usize::from(at(bytes, end) == b',');
    let right = at(bytes, end + gap) == b' ' && letter(at(bytes, end + gap + 1));
    let left = before(bytes, start) == b' ' && {
        let last = before(bytes, start - 1);
        letter(last) || b",.:".contains(&last)
    };
    left || right || before(bytes, start) >= 0x80
}

/// The house number with its letter or range: `12a`, `12-14`, `12/3`; at most five digits.
fn number_end(bytes: &[u8], start: usize) -> usize {
    let end = run_end(bytes, start, |b| b.is_ascii_digit());
    let letter =
        at(bytes, end).is_ascii_alphabetic() && !at(bytes, end + 1).is_ascii_alphanumeric();
    let end = end + usize::from(letter);
    let joined = matches!(at(bytes, end), b'-' | b'/') && at(bytes, end + 1).is_ascii_digit();
    if joined {
        run_end(bytes, end + 1, |b| b.is_ascii_digit())
    } else {
        end
    }
}

/// Bytes that no street name holds.
fn ends_line(byte: u8) -> bool {
    matches!(
        byte,
        b'\n'
            | b';'
            | b'"'
            | b'('
            | b')'
            | b'|'
            | b'<'
            | b'>'
            | b'{'
            | b'}'
            | b'['
            | b']'
            | b'='
            | b'?'
            | b'!'
            | b'\t'
    )
}

/// Words of a stretch of one line with their places.
#[derive(Default)]
struct Line<'t> {
    words: [(usize, &'t str); WORDS_OF_LINE],
    count: usize,
}

/// Most words of a line that are looked at.
const WORDS_OF_LINE: usize = 7;

impl<'t> Line<'t> {
    fn words(&self) -> &[(usize, &'t str)] {
        self.words.get(..self.count).unwrap_or_default()
    }

    fn add(&mut self, place: usize, word: &'t str) {
        if let Some(slot) = self.words.get_mut(self.count).filter(|_| !word.is_empty()) {
            *slot = (place, word);
            self.count += 1;
        }
    }
}

fn words_after(text: &str, start: usize) -> Line<'_> {
    let stop = text.floor_char_boundary(start.saturating_add(WORDS_MAX));
    let rest = text.get(start..stop).unwrap_or_default();
    let line = rest
        .get(..run_end(rest.as_bytes(), 0, |b| !ends_line(b)))
        .unwrap_or_default();
    let mut place = start;
    let mut words = Line::default();
    for word in line.split(' ').take(WORDS_OF_LINE) {
        words.add(place, word);
        place += word.len() + 1;
        if word.ends_with(',') && word.len() > 1 {
            break;
        }
    }
    words
}

/// `1600 Pennsylvania Avenue NW`, `12 bis, rue de la Paix`.
fn number_first(scan: &Scan<'_>, start: usize, end: usize) -> Option<Range<usize>> {
    let comma = usize::from(at(scan.bytes, end) == b',');
    if at(scan.bytes, end + comma) != b' ' || end - start > 9 || before(scan.bytes, start) == b'.' {
        return None;
    }
    let line = words_after(scan.text, end + comma + 1);
    let words = line.words();
    let french = words.iter().take(2).position(|(_, word)| {
        is_in(&BEFORE, word.trim_end_matches(',')) && word.len() > 2 && !is_preposition(word)
    });
    if let Some(first) = french {
        let follows = words.get(first + 1..)?;
        let named = follows
            .first()
            .is_some_and(|(_, word)| is_particle(word) || is_capital(word));
        let filler_fits = first == 0
            || words.first().is_some_and(|(_, word)| {
                matches!(word.trim_end_matches(','), "bis" | "ter" | "quater")
            });
        let name = follows
            .iter()
            .take_while(|(_, word)| is_capital(word) || is_particle(word));
        let last = name.last()?;
        return (named && filler_fits)
            .then(|| start..last.0 + last.1.trim_end_matches([',', '.', ':']).len());
    }
    let capital = |n: usize| {
        words
            .iter()
            .take(n)
            .all(|(_, word)| is_capital(word) || word.starts_with(|c: char| c.is_ascii_digit()))
    };
    let (index, (place, word)) =
        words
            .iter()
            .enumerate()
            .skip(1)
            .take(5)
            .find(|(index, (_, word))| {
                let bare = word.trim_end_matches([',', '.', ':', '?', '!']);
                (2..=10).contains(&bare.len()) && is_in(&AFTER, bare) && *index <= 4
                    || is_in(&AFTER_CAPITAL, bare) && is_capital(bare) && capital(*index)
            })?;
    const NO_NAMES: [&str; 12] = [
        "in", "the", "a", "and", "on", "to", "is", "down", "at", "this", "for", "same",
    ];
    let plain = words.iter().take(index).all(|(_, word)| {
        (!word.ends_with([',', '.', ':']) || word.len() <= 3) && !NO_NAMES.contains(word)
    });
    let end = place + word.trim_end_matches([',', '.', ':', '?', '!']).len();
    plain.then(|| start..direction(scan.bytes, end))
}

/// A compass point after the street's name.
fn direction(bytes: &[u8], end: usize) -> usize {
    let word = run_end(bytes, end + 1, |b| b.is_ascii_alphabetic());
    let point = cut(bytes, end + 1..word);
    if at(bytes, end) == b' '
        && matches!(
            point,
            b"N" | b"S" | b"E" | b"W" | b"NW" | b"NE" | b"SW" | b"SE"
        )
    {
        word
    } else {
        end
    }
}

/// `Hauptstraße 12`, `Calle Mayor, 5`, `ул. Ленина, д. 5`, `Via Roma n. 3`.
fn street_first(scan: &Scan<'_>, start: usize, end: usize) -> Option<Range<usize>> {
    if end - start > 9 {
        return None;
    }
    let from = run_start(scan.bytes, start, 70, |b| !ends_line(b));
    let from = scan.text.ceil_char_boundary(from);
    let head = scan.text.get(from..start)?;
    let (head, gap) = without_number_mark(head);
    let word_start = head.rfind([' ', ',', ':', '，', '：']).map_or(0, |i| {
        i + head
            .get(i..)
            .and_then(|rest| rest.chars().next())
            .map_or(1, char::len_utf8)
    });
    let last = head.get(word_start..)?;
    let ending = (is_capital(last) || last.len() > 9) && {
        let lower = last.to_lowercase();
        ENDINGS.iter().any(|ending| lower.ends_with(ending))
    };
    if ending && gap <= 2 {
        let first = earlier_words(head, word_start);
        return Some(from + first..end);
    }
    let mut place = head.len();
    for (back, word) in head.rsplit(' ').enumerate().take(7) {
        place -= word.len();
        let bare = word.trim_start_matches([',', ':', '\'']);
        // A preposition begins a street only if nothing but one capitalised word follows it.
        let preposition =
            is_preposition(bare) && (back != 1 && back != 2 || !is_capital(bare) || gap > 1);
        if back > 0 && is_in(&BEFORE, bare) && !preposition {
            return Some(from + place + (word.len() - bare.len())..end);
        }
        // What stands between street word and number is the street's name.
        if !(is_capital(word) || is_particle(word) || word.len() <= 3) {
            return None;
        }
        place = place.saturating_sub(1);
    }
    None
}

/// The head without `, `, `n. `, `nº `, `д. `, `No: ` and the like before the number, and how
/// many bytes that was.
fn without_number_mark(head: &str) -> (&str, usize) {
    const MARKS: [&str; 14] = [
        "n.º", "n.", "nº", "n°", "nr.", "nr", "no.", "no:", "no", "д.", "дом", "numero", "número",
        "num.",
    ];
    let trimmed = head.trim_end_matches([' ', ',']);
    let last = trimmed.rfind([' ', ',']).map_or(0, |place| place + 1);
    let word = trimmed.get(last..).unwrap_or_default();
    let begins = word.starts_with(['n', 'N', 'д', 'Д']);
    let named =
        begins && last > 0 && word.len() <= 10 && MARKS.contains(&word.to_lowercase().as_str());
    let body = if named {
        trimmed.get(..last).unwrap_or_default()
    } else {
        trimmed
    };
    let body = body.trim_end_matches([' ', ',']);
    (body, if named { 2 } else { head.len() - body.len() })
}

/// Capitalised words before the street's own word: `Kurt-Schumacher-Straße`, `Lange Straße`.
fn earlier_words(head: &str, word_start: usize) -> usize {
    let mut first = word_start;
    let body = head.get(word_start..).unwrap_or_default();
    let whole = body.chars().count() <= 7 || body.ends_with('.') && body.chars().count() <= 6;
    for word in head
        .get(..word_start)
        .unwrap_or_default()
        .trim_end()
        .rsplit(' ')
        .take(if whole { 2 } else { 0 })
    {
        if !is_capital(word) || word.ends_with([',', ':', '.']) {
            break;
        }
        first = first.saturating_sub(word.len() + 1);
    }
    first
}

/// Chinese, Japanese and Korean addresses end in a number with a counter, or in a number
/// behind a street word.
fn east_asian(scan: &Scan<'_>, start: usize, end: usize) -> Option<Range<usize>> {
    const STREETS: [&str; 18] = [
        "路", "街", "道", "巷", "弄", "村", "区", "町", "市", "丁目", "区", "로", "길", "로 ",
        "길 ", "동 ", "県", "大街",
    ];
    const COUNTERS: [&str; 9] = ["号", "號", "弄", "丁目", "番地", "番", "栋", "室", "楼"];
    if before(scan.bytes, start) < 0x80 && before(scan.bytes, start) != b' ' {
        return None;
    }
    let head = scan.text.get(..start)?;
    let tail = scan.text.get(end..)?;
    let street = STREETS.iter().any(|street| head.ends_with(street));
    let counted = COUNTERS.iter().find(|counter| tail.starts_with(**counter));
    let hangul = ["로 ", "길 ", "로", "길"]
        .iter()
        .any(|street| head.ends_with(street));
    let block = scan
        .text
        .get(scan.text.floor_char_boundary(start.saturating_sub(45))..start)
        .unwrap_or_default();
    let town = block.contains(['都', '府', '県', '市', '区', '町']) && head.ends_with(is_ideograph);
    let hyphens = tail.starts_with('-') || cut(scan.bytes, start..end).contains(&b'-');
    if !(street && (counted.is_some() || hangul) || (street || town) && hyphens) {
        return None;
    }
    let limit = scan.text.floor_char_boundary(start.saturating_sub(75));
    let label = scan.last_label(start, Topic::Address);
    let mut first = start;
    for (place, c) in scan.text.get(limit..start)?.char_indices().rev() {
        let fits = u32::from(c) >= 0x3005 && c.is_alphanumeric()
            || c.is_ascii_digit()
            || c == '-'
            || c == ' ' && hangul;
        if !fits || limit + place < label {
            break;
        }
        first = limit + place;
    }
    let body = scan.text.get(first..start)?.trim_start();
    let first = start - body.len();
    let more = |c: char| {
        c.is_ascii_digit() || c == '-' || "号號弄丁目番地栋单元室楼层の호층동".contains(c)
    };
    let end = end + tail.find(|c| !more(c)).unwrap_or(tail.len());
    (body.chars().count() >= 3).then_some(first..end)
}

fn is_ideograph(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}
