//! Small looks at bytes that cannot go out of bounds.

use std::ops::Range;

/// The byte at `index`, 0 beyond the end.
pub(super) fn at(bytes: &[u8], index: usize) -> u8 {
    bytes.get(index).copied().unwrap_or(0)
}

/// The byte before `index`, 0 at the start.
pub(super) fn before(bytes: &[u8], index: usize) -> u8 {
    index.checked_sub(1).map_or(0, |i| at(bytes, i))
}

/// The bytes of `range`, empty if it does not fit.
pub(super) fn cut(bytes: &[u8], range: Range<usize>) -> &[u8] {
    bytes.get(range).unwrap_or_default()
}

/// First index from `start` on whose byte fails `test`.
pub(super) fn run_end(bytes: &[u8], start: usize, test: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|&b| !test(b)).unwrap_or(rest.len())
}

/// First index of the run that passes `test` and ends at `end`, at most `max` back.
pub(super) fn run_start(bytes: &[u8], end: usize, max: usize, test: impl Fn(u8) -> bool) -> usize {
    let floor = end.saturating_sub(max);
    let head = bytes.get(floor..end).unwrap_or_default();
    end - head.iter().rev().take_while(|&&b| test(b)).count()
}

/// Digits of an ASCII text as numbers; other bytes are left out.
pub(super) fn digits_of(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .filter(|b| b.is_ascii_digit())
        .map(|b| b - b'0')
        .collect()
}

/// Whether a byte can be part of a longer ASCII word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Start of the line that holds `index`.
pub(super) fn line_start(bytes: &[u8], index: usize) -> usize {
    let head = bytes.get(..index).unwrap_or_default();
    memchr::memrchr(b'\n', head).map_or(0, |i| i + 1)
}

/// End of the line that holds `index`, without its line break.
pub(super) fn line_end(bytes: &[u8], index: usize) -> usize {
    let tail = bytes.get(index..).unwrap_or_default();
    memchr::memchr(b'\n', tail).map_or(bytes.len(), |i| index + i)
}
