//! Tables: a header cell that says `name`, and the cells under it.

use std::ops::Range;

use super::fold::Key;
use super::lexicon::Lexicon;
use super::table::role;
use super::token::{self, Kind};
use super::{Found, NameKind};

/// More columns than a readable table has; a longer line is no header.
const CELLS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 2048;

/// A header that was read, and which of its columns count.
struct Header {
    separator: u8,
    cells: usize,
    columns: Vec<(usize, NameKind)>,
}

/// Finds the cells of CSV, TSV and Markdown tables under headers that announce names.
pub fn find(text: &str, lexicon: &Lexicon, out: &mut Vec<Found>) {
    // A header without a line under it has no cells.
    if memchr::memchr(b'\n', text.as_bytes()).is_none() {
        return;
    }
    let mut header: Option<Header> = None;
    let mut fresh = true;
    for line in lines(text) {
        let bytes = text.as_bytes().get(line.clone()).unwrap_or_default();
        if bytes.trim_ascii().is_empty() {
            (header, fresh) = (None, true);
            continue;
        }
        if let Some(known) = &header {
            if cells_of(text, line.clone(), known.separator).len() == known.cells {
                rows(text, line, known, lexicon, out);
                continue;
            }
            header = None;
        }
        // A table starts a paragraph, or follows a line of prose that ends with a colon or a fence.
        if fresh && bytes.len() <= HEADER_BYTES_MAX {
            header = read_header(text, line, lexicon);
        }
        fresh = bytes.trim_ascii_end().ends_with(b":") || bytes.starts_with(b"```");
    }
}

fn lines(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    memchr::memchr_iter(b'\n', text.as_bytes())
        .chain(std::iter::once(text.len()))
        .map(move |end| {
            let line = start..end.max(start);
            start = end + 1;
            line
        })
}

fn read_header(text: &str, line: Range<usize>, lexicon: &Lexicon) -> Option<Header> {
    let bytes = text.as_bytes().get(line.clone())?;
    let separator = *[b'|', b'\t', b';', b',']
        .iter()
        .find(|separator| memchr::memchr(**separator, bytes).is_some())?;
    let cells = cells_of(text, line, separator);
    if cells.len() < 2 || cells.len() > CELLS_MAX {
        return None;
    }
    let columns: Vec<_> = cells
        .iter()
        .enumerate()
        .filter_map(|(place, cell)| Some((place, header_kind(text.get(cell.clone())?, lexicon)?)))
        .collect();
    (!columns.is_empty()).then_some(Header {
        separator,
        cells: cells.len(),
        columns,
    })
}

fn header_kind(cell: &str, lexicon: &Lexicon) -> Option<NameKind> {
    if cell.len() > 40 {
        return None;
    }
    let mut key = Key::new();
    cell.chars()
        .filter(|letter| letter.is_alphanumeric())
        .for_each(|letter| key.push(letter));
    let roles = lexicon.word(key.finish());
    match roles {
        roles if roles & (role::KEY | role::MAYBE_KEY) != 0 => Some(NameKind::Person),
        roles if roles & role::ORG_KEY != 0 => Some(NameKind::Organization),
        roles if roles & role::PLACE_KEY != 0 => Some(NameKind::Location),
        _ => None,
    }
}

/// Cells of a line, without blanks and quotes around them. Quotes protect separators.
fn cells_of(text: &str, line: Range<usize>, separator: u8) -> Vec<Range<usize>> {
    let bytes = text.as_bytes().get(line.clone()).unwrap_or_default();
    let (mut cells, mut start, mut quoted) = (Vec::new(), 0, false);
    for (place, byte) in bytes.iter().enumerate() {
        match *byte {
            b'"' => quoted = !quoted,
            found if found == separator && !quoted => {
                cells.push(trim(text, line.start + start..line.start + place));
                start = place + 1;
            }
            _ => {}
        }
        if cells.len() > CELLS_MAX {
            break;
        }
    }
    cells.push(trim(text, line.start + start..line.end));
    cells
}

fn trim(text: &str, cell: Range<usize>) -> Range<usize> {
    let inner = text.get(cell.clone()).unwrap_or_default();
    let blank = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '*' | '`');
    let left = inner.len() - inner.trim_start_matches(blank).len();
    let kept = inner.trim_matches(blank).len();
    cell.start + left..cell.start + left + kept
}

fn rows(text: &str, line: Range<usize>, header: &Header, lexicon: &Lexicon, out: &mut Vec<Found>) {
    let cells = cells_of(text, line, header.separator);
    for (place, kind) in &header.columns {
        if let Some(cell) = cells.get(*place)
            && let Some(value) = text.get(cell.clone())
            && name_like(value, *kind, lexicon)
        {
            out.push(Found {
                range: cell.clone(),
                kind: *kind,
                score: 0.8,
                reason: "column",
            });
        }
    }
}

fn name_like(cell: &str, kind: NameKind, lexicon: &Lexicon) -> bool {
    if cell.is_empty() || cell.len() > 80 {
        return false;
    }
    let tokens = token::split(cell, |key| lexicon.word(key));
    let words = tokens.iter().filter(|token| token.is_word()).count();
    let marks = tokens
        .iter()
        .all(|token| token.is_word() || token.is_mark(".-'’,&·・"));
    let Some(head) = tokens.first() else {
        return false;
    };
    let listed = head.is(role::FIRST | role::LAST | role::GIVEN | role::TOP_SURNAME);
    let shape = match head.kind {
        Kind::Lower => {
            kind == NameKind::Person && listed && !head.is(role::STOP | role::COMMON | role::BRAND)
        }
        Kind::Title | Kind::Upper | Kind::Initial => {
            listed && head.len() > 1
                || (head.kind == Kind::Title || kind != NameKind::Person || words > 1)
                    && !head.is(role::COMMON | role::STOP | role::BRAND)
        }
        Kind::Mixed => kind == NameKind::Organization,
        Kind::Mark(_) | Kind::Number | Kind::Ident | Kind::Edge => false,
        _ => true,
    };
    marks && shape && words <= 6
}
