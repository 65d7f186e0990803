//! The text as it is scanned: one spelling for what can be spelled in many ways.
//!
//! Full-width and other Unicode digits and letters become ASCII, zero-width characters and
//! the soft hyphen vanish, dashes and spaces are unified, and percent, JSON and HTML escapes
//! are read as the character they stand for (one level). Findings map back to whole
//! characters and whole escapes of the original. Most texts need no copy.

use std::borrow::Cow;
use std::ops::Range;

use super::bytes::{at, cut};

/// A stretch of the scanned text and where it came from.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Offset in the scanned text.
    scanned: usize,
    /// Offset in the original.
    original: usize,
    /// Bytes of the original that this piece stands for; 0 for a verbatim copy.
    replaced: usize,
}

/// The scanned text with its way back.
#[derive(Debug)]
pub(super) struct Normal<'t> {
    pub text: Cow<'t, str>,
    /// Sorted by `scanned`. Empty if nothing was changed.
    pieces: Vec<Piece>,
    original_len: usize,
}

impl<'t> Normal<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let first = if is_plain(text.as_bytes()) {
            None
        } else {
            next_change(text, 0)
        };
        match first {
            None => Self {
                text: Cow::Borrowed(text),
                pieces: Vec::new(),
                original_len: text.len(),
            },
            Some(first) => rewrite(text, first),
        }
    }

    /// The bytes of the original that a range of the scanned text came from.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        if self.pieces.is_empty() || range.is_empty() {
            return range.clone();
        }
        let start = self
            .piece_at(range.start)
            .map_or(range.start, |piece| match piece.replaced {
                0 => piece.original + (range.start - piece.scanned),
                _ => piece.original,
            });
        let last = range.end - 1;
        let end = self
            .piece_at(last)
            .map_or(range.end, |piece| match piece.replaced {
                0 => piece.original + (last - piece.scanned) + 1,
                replaced => piece.original + replaced,
            });
        start..end.min(self.original_len)
    }

    fn piece_at(&self, scanned: usize) -> Option<&Piece> {
        let next = self
            .pieces
            .partition_point(|piece| piece.scanned <= scanned);
        next.checked_sub(1).and_then(|i| self.pieces.get(i))
    }
}

/// What a place of the original is read as.
struct Change {
    at: usize,
    /// Bytes of the original.
    len: usize,
    /// `None`: the character is left out.
    to: Option<char>,
}

fn is_plain(bytes: &[u8]) -> bool {
    bytes.is_ascii() && memchr::memchr3(b'%', b'\\', b'&', bytes).is_none()
}

fn rewrite(text: &str, first: Change) -> Normal<'_> {
    let mut out = String::with_capacity(text.len());
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut change = Some(first);
    while let Some(Change { at, len, to }) = change {
        push_verbatim(text, from..at, &mut out, &mut pieces);
        if let Some(to) = to {
            pieces.push(Piece {
                scanned: out.len(),
                original: at,
                replaced: len,
            });
            out.push(to);
        }
        from = at + len;
        change = next_change(text, from);
    }
    push_verbatim(text, from..text.len(), &mut out, &mut pieces);
    Normal {
        text: Cow::Owned(out),
        pieces,
        original_len: text.len(),
    }
}

fn push_verbatim(text: &str, range: Range<usize>, out: &mut String, pieces: &mut Vec<Piece>) {
    let part = text.get(range.clone()).unwrap_or_default();
    if !part.is_empty() {
        pieces.push(Piece {
            scanned: out.len(),
            original: range.start,
            replaced: 0,
        });
        out.push_str(part);
    }
}

/// First place from `from` on that is read differently from how it is written.
fn next_change(text: &str, from: usize) -> Option<Change> {
    let bytes = text.as_bytes();
    let mut index = from;
    while let Some(&byte) = bytes.get(index) {
        if byte < 0x80 {
            let found = match byte {
                b'%' | b'\\' | b'&' => escape(bytes, index),
                _ => None,
            };
            if let Some((len, to)) = found {
                return Some(Change { at: index, len, to });
            }
            index += 1;
            continue;
        }
        let rest = text.get(index..).unwrap_or_default();
        let Some(character) = rest.chars().next() else {
            break;
        };
        let len = character.len_utf8();
        if let Some(to) = folded(character) {
            return Some(Change { at: index, len, to });
        }
        index += len;
    }
    None
}

/// The character that the escape at `index` stands for, and the escape's length.
fn escape(bytes: &[u8], index: usize) -> Option<(usize, Option<char>)> {
    match at(bytes, index) {
        b'%' => percent(bytes, index),
        b'\\' => json(bytes, index),
        _ => html(cut(bytes, index..bytes.len().min(index + 10))),
    }
}

/// `%40`. Only ASCII: other bytes are no character alone, and no recognizer needs them.
fn percent(bytes: &[u8], index: usize) -> Option<(usize, Option<char>)> {
    let value = hex(cut(bytes, index + 1..index + 3))?;
    let character = char::from_u32(value).filter(|c| c.is_ascii_graphic() || *c == ' ')?;
    Some((3, Some(character)))
}

/// JSON and most programming languages: `\n`, `\"`, `\u0040`, `\x40`.
fn json(bytes: &[u8], index: usize) -> Option<(usize, Option<char>)> {
    let simple = |to| Some((2, Some(to)));
    match at(bytes, index + 1) {
        b'n' | b'r' => simple('\n'),
        b't' => simple('\t'),
        quote @ (b'"' | b'/' | b'\'' | b'\\') => simple(char::from(quote)),
        b'x' => {
            let value = hex(cut(bytes, index + 2..index + 4))?;
            char::from_u32(value)
                .filter(char::is_ascii)
                .map(|c| (4, Some(c)))
        }
        b'u' => {
            let value = hex(cut(bytes, index + 2..index + 6))?;
            let character = char::from_u32(value)?;
            Some((6, folded(character).unwrap_or(Some(character))))
        }
        _ => None,
    }
}

fn html(bytes: &[u8]) -> Option<(usize, Option<char>)> {
    const NAMED: [(&[u8], char); 8] = [
        (b"&amp;", '&'),
        (b"&lt;", '<'),
        (b"&gt;", '>'),
        (b"&quot;", '"'),
        (b"&apos;", '\''),
        (b"&nbsp;", ' '),
        (b"&commat;", '@'),
        (b"&period;", '.'),
    ];
    if at(bytes, 1) != b'#' {
        let named = NAMED.iter().find(|(name, _)| bytes.starts_with(name));
        return named.map(|&(name, to)| (name.len(), Some(to)));
    }
    let end = memchr::memchr(b';', bytes)?;
    let digits = cut(bytes, 2..end);
    let value = match digits.split_first() {
        Some((b'x' | b'X', rest)) => hex(rest)?,
        _ => std::str::from_utf8(digits).ok()?.parse().ok()?,
    };
    let character = char::from_u32(value)?;
    Some((end + 1, folded(character).unwrap_or(Some(character))))
}

fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// How a non-ASCII character is read: `None` as it is, `Some(None)` not at all.
fn folded(character: char) -> Option<Option<char>> {
    let code = u32::from(character);
    match code {
        // Letters of Latin, Greek, Cyrillic, and of East Asia, which are nearly all there are.
        0xC0..=0x34E | 0x350..=0x5FF | 0x3001..=0xFDFF => None,
        // Soft hyphen, zero-width space and joiners, marks, word joiner, BOM.
        0xAD | 0x34F | 0x61C | 0x180E | 0x200B..=0x200F | 0x202A..=0x202E => Some(None),
        0x2060..=0x2064 | 0x2066..=0x2069 | 0xFEFF | 0xFE00..=0xFE0F => Some(None),
        0xA0 | 0x1680 | 0x2000..=0x200A | 0x202F | 0x205F | 0x3000 => Some(Some(' ')),
        0x2010..=0x2015 | 0x2212 | 0xFE58 | 0xFE63 | 0xFE31 | 0x2043 => Some(Some('-')),
        // Full-width ASCII block.
        0xFF01..=0xFF5E => Some(char::from_u32(code - 0xFEE0)),
        0x2024 | 0xFF61 => Some(Some('.')),
        _ => digit(code).map(Some),
    }
}

/// Decimal digits of other scripts (Unicode category Nd, blocks of ten).
fn digit(code: u32) -> Option<char> {
    const ZEROS: [u32; 23] = [
        0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50,
        0xED0, 0xF20, 0x1040, 0x17E0, 0x1810, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6,
    ];
    let zero = ZEROS
        .iter()
        .find(|&&zero| (zero..zero + 10).contains(&code));
    zero.and_then(|zero| char::from_digit(code - zero, 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(original: &str, scanned: &str) {
        assert_eq!(Normal::new(original).text, scanned);
    }

    #[test]
    fn spellings_are_unified() {
        check("plain ascii", "plain ascii");
        check("４１１１\u{a0}٤", "4111 4");
        check("a\u{200b}b\u{ad}c", "abc");
        check("1\u{2013}2\u{2212}3", "1-2-3");
        check("a%40b.c %zz 100%", "a@b.c %zz 100%");
        check(r#"x\u0040y \"q\" \n"#, "x@y \"q\" \n");
        check("a&#64;b&amp;c &#x40; &no;", "a@b&c @ &no;");
        check("クレジット", "クレジット");
    }

    #[test]
    fn ranges_come_back_as_whole_characters_and_escapes() {
        let text = "é a%40b\u{200b}.c\u{a0}é";
        let normal = Normal::new(text);
        let start = normal.text.find('a').unwrap();
        let range = normal.original(&(start..start + 5));
        assert_eq!(&text[range], "a%40b\u{200b}.c");
        let at = normal.text.find('@').unwrap();
        assert_eq!(&text[normal.original(&(at..at + 1))], "%40");
    }

    proptest! {
        #[test]
        fn ranges_of_characters_map_to_character_boundaries(
            text in "[a-z%&\\\\u0-9;#é１\u{200b}\u{a0}٤x ]{0,40}",
        ) {
            let normal = Normal::new(&text);
            let mut last = 0;
            for (start, c) in normal.text.char_indices() {
                let range = normal.original(&(start..start + c.len_utf8()));
                prop_assert!(text.get(range.clone()).is_some());
                prop_assert!(range.start >= last);
                last = range.end;
            }
        }
    }
}
