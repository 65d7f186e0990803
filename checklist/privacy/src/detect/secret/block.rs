//! Private key blocks (RFC 7468 and the PGP armour), whole.

use std::ops::Range;

use super::super::bytes::{cut, run_end};
use super::super::context::Scan;
use super::super::entity::{Entity, EntityKind, Strength};

/// A label is shorter than this: `-----BEGIN OPENSSH PRIVATE KEY-----`.
const LABEL_MAX: usize = 64;
/// A key is shorter than this: RSA with 16,384 bits has about 13 kB.
const BODY_MAX: usize = 16 * 1024;

/// All blocks of the text. A block without its end runs as far as its base64 does.
pub(in super::super) fn find(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    let mut from = 0;
    while let Some(found) =
        memchr::memmem::find(cut(scan.bytes, from..scan.bytes.len()), b"-----BEGIN ")
    {
        let start = from + found;
        let range = block(scan.bytes, start);
        from = range.as_ref().map_or(start + 11, |range| range.end);
        out.extend(range.map(|range| {
            Entity::new(range, EntityKind::Secret, Strength::Secret, 1.0)
                .because("private key block", None)
        }));
    }
}

fn block(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let head = cut(bytes, start..bytes.len().min(start + LABEL_MAX));
    let label_end = memchr::memmem::find(head.get(11..)?, b"-----")? + 11;
    memchr::memmem::find(head.get(..label_end)?, b"PRIVATE KEY")?;
    let body = start + label_end + 5;
    let limited = cut(bytes, 0..bytes.len().min(body + BODY_MAX));
    let body_end = run_end(limited, body, |b| {
        b.is_ascii_alphanumeric() || b"+/= \t\r\n:,.\"'\\-_".contains(&b)
    });
    let inside = cut(bytes, body..body_end);
    match memchr::memmem::find(inside, b"-----END ") {
        Some(end) => {
            let tail = body + end + 9;
            let close = memchr::memmem::find(
                cut(bytes, tail..bytes.len().min(tail + LABEL_MAX)),
                b"-----",
            );
            Some(start..close.map_or(tail, |close| tail + close + 5))
        }
        None => Some(
            start..run_end(bytes, body, |b| {
                b.is_ascii_alphanumeric() || b"+/=\r\n".contains(&b)
            }),
        ),
    }
}
