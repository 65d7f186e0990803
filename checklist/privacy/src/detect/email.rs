//! E-mail addresses around each `@`.
//!
//! Any dotted domain counts, also internal ones; there is no list of public suffixes. Not
//! counted: remote paths (`git@host:path`), the user part of URLs, package versions, files.

use std::ops::Range;

use super::bytes::{at, before, cut, run_end, run_start};
use super::context::Scan;
use super::entity::{Entity, EntityKind, Strength};

/// RFC 5321: 64 bytes before the `@`, 255 after.
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 255;

/// All addresses of the text.
pub(super) fn find(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    for index in memchr::memchr_iter(b'@', scan.bytes) {
        out.extend(around(scan.bytes, index).map(|range| entity(range, "address syntax")));
    }
    spelled_out(scan, out);
}

fn entity(range: Range<usize>, rule: &'static str) -> Entity {
    Entity::new(range, EntityKind::Email, Strength::Checksum, 0.99).because(rule, None)
}

fn around(bytes: &[u8], index: usize) -> Option<Range<usize>> {
    let start = local_start(bytes, index)?;
    let end = domain_end(bytes, index + 1)?;
    let remote_path = at(bytes, end) == b':'
        && (at(bytes, end + 1).is_ascii_alphabetic() || matches!(at(bytes, end + 1), b'~' | b'/'));
    let url_user =
        cut(bytes, start.saturating_sub(3)..start) == b"://" || is_url_password(bytes, start);
    (!remote_path && !url_user).then_some(start..end)
}

fn local_start(bytes: &[u8], index: usize) -> Option<usize> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"._%+-'!#$*~^".contains(&b);
    let mut start = run_start(bytes, index, LOCAL_MAX, letter);
    while b".'!#$*%^~".contains(&at(bytes, start)) {
        start += 1;
    }
    let doubled = cut(bytes, start..index)
        .windows(2)
        .any(|pair| pair == b"..");
    (start < index && !doubled && before(bytes, index) != b'.').then_some(start)
}

/// Behind the leading labels in other scripts than Latin, each with its dot: `例え.` of `例え.example`.
fn other_scripts_end(bytes: &[u8], mut start: usize) -> usize {
    const LABEL_MAX: usize = 63 * 4;
    loop {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b >= 0x80;
        let end = run_end(bytes, start, letter);
        let label = cut(bytes, start..end);
        let foreign = label.iter().any(|b| *b >= 0x80) && label.len() <= LABEL_MAX;
        if !foreign || at(bytes, end) != b'.' || !letter(at(bytes, end + 1)) {
            return start;
        }
        start = end + 1;
    }
}

fn domain_end(bytes: &[u8], begin: usize) -> Option<usize> {
    let start = other_scripts_end(bytes, begin);
    let labels_before = usize::from(start > begin);
    let limit = bytes.len().min(start + DOMAIN_MAX);
    let part = cut(bytes, start..limit);
    let mut end = start
        + part
            .iter()
            .position(|&b| !(b.is_ascii_alphanumeric() || b == b'-' || b == b'.'))
            .unwrap_or(part.len());
    while matches!(before(bytes, end), b'.' | b'-') && end > start {
        end -= 1;
    }
    let domain = cut(bytes, start..end);
    let labels: Vec<&[u8]> = domain.split(|&b| b == b'.').collect();
    let sound = labels
        .iter()
        .all(|label| !label.is_empty() && !label.starts_with(b"-"));
    let last = labels.last()?;
    let top =
        last.len() >= 2 && (last.iter().all(u8::is_ascii_alphabetic) || last.starts_with(b"xn--"));
    let called = at(bytes, end) == b'(';
    (labels.len() + labels_before >= 2 && sound && top && !is_file(last) && !called).then_some(end)
}

/// Endings of files that carry an `@`: `icon@2x.png`.
fn is_file(label: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 12] = [
        b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js", b"ts", b"json", b"html",
        b"py",
    ];
    ENDINGS.contains(&label.to_ascii_lowercase().as_slice())
}

/// Whether the word that ends at `start` is the `user:` of a URL, so that `@` ends a password.
fn is_url_password(bytes: &[u8], start: usize) -> bool {
    let from = run_start(bytes, start, 120, |b| {
        !b.is_ascii_whitespace() && !b"\"'<>".contains(&b)
    });
    let head = cut(bytes, from..start);
    let Some(scheme) = memchr::memmem::rfind(head, b"://") else {
        return false;
    };
    let authority = head.get(scheme + 3..).unwrap_or_default();
    memchr::memchr3(b'/', b'?', b'#', authority).is_none() && authority.contains(&b':')
}

/// `jane at example dot com`, `jane [at] example [dot] com`.
fn spelled_out(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    for dot in [&b" dot "[..], b"[dot]", b"(dot)"] {
        for found in memchr::memmem::find_iter(scan.bytes, dot) {
            out.extend(
                spelled_around(scan.bytes, found, found + dot.len())
                    .map(|range| entity(range, "spelled out")),
            );
        }
    }
}

fn spelled_around(bytes: &[u8], dot: usize, after: usize) -> Option<Range<usize>> {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let space = |b: u8| b == b' ';
    let host_end = run_start(bytes, dot, 3, space);
    let host = run_start(bytes, host_end, 63, |b| is_letter(b) || b == b'.');
    let mark_end = run_start(bytes, host, 3, space);
    let mark = [&b"[at]"[..], b"(at)", b" at", b"@"]
        .into_iter()
        .find(|mark| {
            cut(bytes, mark_end.saturating_sub(mark.len())..mark_end).eq_ignore_ascii_case(mark)
        })?;
    let local_end = run_start(bytes, mark_end - mark.len(), 3, space);
    let start = run_start(bytes, local_end, LOCAL_MAX, |b| {
        is_letter(b) || b"._+".contains(&b)
    });
    let top = run_end(bytes, after, space);
    let end = run_end(bytes, top, is_letter);
    (start < local_end && host < host_end && (2..=10).contains(&(end - top))).then_some(start..end)
}
