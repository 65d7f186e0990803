//! Runs of digit groups: `4111 1111-1111.1111`, `(030) 123 45 67`, `529.982.247-25`.
//!
//! A *chain* is a maximal run of digit groups with small separators between; a *window* is a
//! part of a chain. Every window of up to twenty digits is offered to the number schemes, so
//! that a card followed by its expiry date is found. Work per group is bounded.

use std::ops::Range;

use super::bytes::{at, before, run_end};
use super::context::Scan;
use super::entity::{Entity, Strength};
use super::schemes::{Alone, Scheme, of_length};
use super::words::Topic;
use super::{document, phone};

/// Longest number of any scheme (19-digit cards) plus one, so that longer runs are seen as
/// such.
const DIGITS_MAX: usize = 20;

/// Digit groups in a row.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub groups: Vec<Range<usize>>,
    /// Separator after each group but the last: its first byte, or `w` for more than one.
    pub seps: Vec<u8>,
    /// Digits of all groups as numbers.
    pub digits: Vec<u8>,
    /// Digits before each group.
    pub offsets: Vec<usize>,
}

impl Chain {
    /// Reads the chain that starts at the digit at `start`; returns where it ends.
    pub(super) fn read(&mut self, bytes: &[u8], start: usize) -> usize {
        self.groups.clear();
        self.seps.clear();
        self.digits.clear();
        self.offsets.clear();
        let mut from = start;
        loop {
            let end = run_end(bytes, from, |b| b.is_ascii_digit());
            self.offsets.push(self.digits.len());
            let group = bytes.get(from..end).unwrap_or_default();
            self.digits.extend(group.iter().map(|b| b - b'0'));
            self.groups.push(from..end);
            match separator(bytes, end) {
                Some((sep, next)) => {
                    self.seps.push(sep);
                    from = next;
                }
                None => return end,
            }
        }
    }

    /// Every window of 6 to 20 digits, longest first from each start.
    pub(super) fn windows(&self) -> impl Iterator<Item = Window<'_>> {
        (0..self.groups.len()).flat_map(move |first| {
            let last = self.groups.len().min(first + DIGITS_MAX);
            (first + 1..=last)
                .rev()
                .filter_map(move |end| self.window(first, end))
        })
    }

    fn window(&self, first: usize, end: usize) -> Option<Window<'_>> {
        let from = *self.offsets.get(first)?;
        let to = self.offsets.get(end).copied().unwrap_or(self.digits.len());
        let digits = self
            .digits
            .get(from..to)
            .filter(|d| (6..=DIGITS_MAX).contains(&d.len()))?;
        let groups = self.groups.get(first..end)?;
        let seps = self.seps.get(first..end - 1)?;
        let left = first.checked_sub(1).and_then(|i| self.seps.get(i)).copied();
        let right = self.seps.get(end - 1).copied();
        Some(Window {
            digits,
            groups,
            seps,
            left,
            right,
        })
    }
}

/// The separator after a group and where the next group starts.
fn separator(bytes: &[u8], end: usize) -> Option<(u8, usize)> {
    let next = run_end(bytes, end, |b| {
        matches!(b, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'\n' | b'\t')
    });
    let sep = bytes.get(end..next)?;
    if !at(bytes, next).is_ascii_digit() || sep.is_empty() || sep.len() > 3 {
        return None;
    }
    let newline = sep.contains(&b'\n');
    // A dash between two lines is a list, two line breaks are two paragraphs.
    if newline && sep.iter().any(|&b| b != b'\n' && b != b' ') || sep == b"\n\n" {
        return None;
    }
    let code = match sep {
        _ if newline => b'\n',
        [one] => *one,
        b") " | b")-" | b" (" | b"-(" | b") (" => b')',
        _ => b'w',
    };
    Some((code, next))
}

/// A part of a chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'c> {
    pub digits: &'c [u8],
    pub groups: &'c [Range<usize>],
    pub seps: &'c [u8],
    /// Separators to the chain's other groups; `None` at the ends of the chain.
    pub left: Option<u8>,
    pub right: Option<u8>,
}

impl Window<'_> {
    pub(super) fn range(&self) -> Range<usize> {
        let start = self.groups.first().map_or(0, |group| group.start);
        start..self.groups.last().map_or(start, |group| group.end)
    }

    pub(super) fn shape_is(&self, shape: &[u8]) -> bool {
        shape.len() == self.groups.len()
            && self
                .groups
                .iter()
                .zip(shape)
                .all(|(group, &len)| group.len() == usize::from(len))
    }

    /// Whether the window is not just a piece of a longer number.
    pub(super) fn is_free(&self) -> bool {
        let inner = self.seps.first().copied();
        let free = |outer: Option<u8>| match outer {
            None | Some(b'\n' | b'w' | b'\t') => true,
            Some(b' ') => inner != Some(b' '),
            Some(b'-' | b'.' | b'/' | b')') | Some(_) => false,
        };
        free(self.left) && free(self.right)
    }

    /// Whether all separators inside are the same; CPF and the like end with another one.
    fn is_even(&self) -> bool {
        let body = self.seps.split_last().map_or(self.seps, |(_, body)| body);
        body.windows(2).all(|pair| pair.first() == pair.last())
    }

    fn is_spelled_out(&self) -> bool {
        self.groups.len() >= 8 && self.groups.iter().all(|group| group.len() == 1)
    }
}

/// Where a window stands.
pub(super) struct Place {
    /// Letters directly around, or joined by `-`, `_`, `.` or `/`.
    pub glued: bool,
    /// A currency sign, a decimal part or a percent sign beside it.
    pub amount: bool,
    /// Named as an order, a version or another thing.
    pub thing: bool,
}

pub(super) fn place(scan: &Scan<'_>, range: &Range<usize>) -> Place {
    let bytes = scan.bytes;
    let (left, right) = (before(bytes, range.start), at(bytes, range.end));
    let joins = |b: u8| b"-_./".contains(&b);
    let glued_left = joins(left) && is_letter(before(bytes, range.start - 1));
    let glued_right = joins(right) && is_letter(at(bytes, range.end + 1));
    let decimal = matches!(right, b'.' | b',') && at(bytes, range.end + 1).is_ascii_digit();
    let part = matches!(left, b'.' | b',') && before(bytes, range.start - 1).is_ascii_digit();
    // `€` and its relatives end in bytes from E2 82 AC on; `£`, `¥` are C2 A3, C2 A5.
    let head = bytes.get(..range.start).unwrap_or_default();
    let head = head.strip_suffix(b" ").unwrap_or(head);
    let currency = [
        &b"$"[..],
        b"\xE2\x82\xAC",
        b"\xC2\xA3",
        b"\xC2\xA5",
        b"\xE2\x82\xB9",
    ];
    let priced = currency.iter().any(|sign| head.ends_with(sign));
    Place {
        glued: glued_left || glued_right || left == b'_' || right == b'_',
        amount: decimal || part || priced || right == b'%',
        thing: scan.is_thing(range.start),
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// All findings in one chain.
pub(super) fn find(scan: &Scan<'_>, chain: &Chain, out: &mut Vec<Entity>) {
    for window in chain.windows() {
        let range = window.range();
        let extended = phone::has_extension(scan.bytes, range.end);
        if is_word_part(scan.bytes, &range) && !extended {
            continue;
        }
        phone::find(scan, &window, &range, out);
        if extended {
            continue;
        }
        numbers(scan, &window, &range, out);
        if window.is_free() {
            document::account(scan, &range, window.digits.len(), out);
        }
    }
}

/// Whether ASCII letters touch the digits: then they are part of a code, not a number.
fn is_word_part(bytes: &[u8], range: &Range<usize>) -> bool {
    before(bytes, range.start).is_ascii_alphabetic() || at(bytes, range.end).is_ascii_alphabetic()
}

fn numbers(scan: &Scan<'_>, window: &Window<'_>, range: &Range<usize>, out: &mut Vec<Entity>) {
    let mut place_of = None;
    let free = window.is_free();
    for scheme in of_length(window.digits.len()) {
        if !free && scheme.alone != Alone::Always {
            continue;
        }
        let official =
            scheme.groups.iter().any(|groups| window.shape_is(groups)) && window.is_even();
        let bare = window.groups.len() == 1;
        // A card is found inside a longer chain; of the others, groups of four and the like
        // are too common to be cut out of one.
        let cut_out = official && scheme.alone == Alone::Always;
        if !(cut_out || free) || !(scheme.check)(window.digits) {
            continue;
        }
        let place = place_of.get_or_insert_with(|| place(scan, range));
        let form = Form {
            official,
            bare,
            spelled_out: window.is_spelled_out(),
        };
        out.extend(judge(scan, scheme, range, &form, place));
    }
}

/// How a number is written.
struct Form {
    official: bool,
    bare: bool,
    spelled_out: bool,
}

fn judge(
    scan: &Scan<'_>,
    scheme: &Scheme,
    range: &Range<usize>,
    form: &Form,
    place: &Place,
) -> Option<Entity> {
    let near = named(scan, scheme, range);
    let entity = |score| Entity::new(range.clone(), scheme.kind.clone(), scheme.strength, score);
    let grouped = form.official && !form.bare;
    let enough = match scheme.alone {
        Alone::Never => false,
        Alone::Grouped => grouped,
        Alone::Unlabelled => {
            (form.bare || grouped) && !scan.in_code && !named_otherwise(scan, range)
        }
        Alone::Always => form.bare || grouped || form.spelled_out,
    };
    let quiet = !(place.glued || place.amount || place.thing);
    let alone: f32 = if enough && quiet {
        if grouped { 0.9 } else { 0.85 }
    } else {
        0.0
    };
    match near {
        Some((word, bonus)) => {
            Some(entity(alone.max(0.58 + bonus)).because(scheme.rule, Some(word)))
        }
        None => (alone > 0.0).then(|| entity(alone).because(scheme.rule, None)),
    }
}

/// The word that names the number, and what it adds to the score. "National id" and the like
/// count less than the number's own name.
fn named(scan: &Scan<'_>, scheme: &Scheme, range: &Range<usize>) -> Option<(&'static str, f32)> {
    if let Some(near) = scan.near(range, scheme.topic) {
        return Some((near.word, near.bonus()));
    }
    // Without a check digit, the number's own name is needed.
    let checked = scheme.strength == Strength::Checksum;
    let near = scan.near(range, Topic::NationalId).filter(|_| checked)?;
    Some((near.word, near.bonus() / 4.0))
}

/// Whether a label or key names the number as something else.
pub(super) fn named_otherwise(scan: &Scan<'_>, range: &Range<usize>) -> bool {
    let loose = Topic::NationalId.bit();
    let label = scan.label(range.start).or(scan.key.as_ref());
    label.is_some_and(|hit| hit.topics & loose == 0)
}
