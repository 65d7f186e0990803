//! The walk over the text: each word start is offered to the recognizers it can belong to.

use super::bytes::{at, before, is_word};
use super::context::Scan;
use super::digits::{self, Chain};
use super::entity::Entity;
use super::secret::prefix::Prefixes;
use super::secret::{assign, block, url};
use super::shapes::{self, Shapes};
use super::words::Topic;
use super::{address, birth, document, email, net};

/// Everything but custom recognizers and names; overlaps included.
pub(super) fn find(scan: &Scan<'_>, shapes: &Shapes, prefixes: &Prefixes, out: &mut Vec<Entity>) {
    email::find(scan, out);
    url::find(scan, out);
    block::find(scan, out);
    assign::find(scan, out);
    if scan.has(Topic::Address) {
        address::label::find(scan, out);
    }
    let mut walk = Walk {
        scan,
        shapes,
        prefixes,
        chain: Chain::default(),
        chain_end: 0,
        keys_read: 0,
        date_end: 0,
    };
    walk.run(out);
}

struct Walk<'s, 't> {
    scan: &'s Scan<'t>,
    shapes: &'s Shapes,
    prefixes: &'s Prefixes,
    chain: Chain,
    /// Digits before this were read as part of a chain.
    chain_end: usize,
    /// Bodies of keys were read up to here.
    keys_read: usize,
    /// End of the last date.
    date_end: usize,
}

impl Walk<'_, '_> {
    fn run(&mut self, out: &mut Vec<Entity>) {
        let bytes = self.scan.bytes;
        let mut index = 0;
        while let Some(&byte) = bytes.get(index) {
            if byte.is_ascii_alphanumeric() {
                index = self.word(index, out);
                continue;
            }
            if byte == b':'
                && at(bytes, index + 1) == b':'
                && !is_word(before(bytes, index))
                && before(bytes, index) != b':'
            {
                out.extend(net::v6(self.scan, index));
            }
            index += 1;
        }
    }

    /// Tries everything that can start with the word at `start`; returns its end.
    fn word(&mut self, start: usize, out: &mut Vec<Entity>) -> usize {
        let scan = self.scan;
        let bytes = scan.bytes;
        let (end, digit) = read(bytes, start);
        let first = at(bytes, start);
        out.extend(self.prefixes.find(scan, start, &mut self.keys_read));
        let next = at(bytes, end);
        if digit || end - start <= 5 && is_split_code(bytes, start, end) {
            self.shapes.find(scan, start, out);
            out.extend(shapes::iban(scan, start));
            if scan.has(Topic::Passport) || scan.has(Topic::Licence) {
                document::find(scan, start, out);
            }
        }
        if next == b':' && end - start <= 4 && (first.is_ascii_hexdigit()) {
            out.extend(net::v6(scan, start));
        }
        if first.is_ascii_digit() {
            self.number(start, end, next, out);
        }
        end
    }

    /// Tries everything that starts with a digit.
    fn number(&mut self, start: usize, end: usize, next: u8, out: &mut Vec<Entity>) {
        let scan = self.scan;
        if next == b'.' && end - start <= 3 {
            out.extend(net::v4(scan, start));
        }
        if scan.has(Topic::Birth) {
            birth::find(scan, start, &mut self.date_end, out);
        }
        if end - start <= 6 {
            address::find(scan, start, out);
        }
        if start >= self.chain_end {
            self.chain_end = self.chain.read(scan.bytes, start);
            digits::find(scan, &self.chain, out);
        }
    }
}

/// The end of the word at `start`, and whether it has a digit.
fn read(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut digit = false;
    let mut end = start;
    for byte in bytes.get(start..).unwrap_or_default() {
        if byte.is_ascii_digit() {
            digit = true;
        } else if !byte.is_ascii_alphabetic() {
            break;
        }
        end += 1;
    }
    (end, digit)
}

/// Whether digits follow letters after one separator: `AB 12 34 56 C`, `GB 33 …`, `AB-1234567`.
fn is_split_code(bytes: &[u8], start: usize, end: usize) -> bool {
    let small = end - start == 2 && at(bytes, end + 1).is_ascii_digit();
    if !at(bytes, start).is_ascii_uppercase() && !small {
        return false;
    }
    let next = at(bytes, end + 1);
    matches!(at(bytes, end), b' ' | b'-' | b'.')
        && (next.is_ascii_digit() || next.is_ascii_uppercase())
}
