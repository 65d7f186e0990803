//! IP addresses. Parsing is the standard library's; the rest decides what is none: versions,
//! `a::b` of programming languages, and addresses that name nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::bytes::{at, before, cut, run_end};
use super::context::Scan;
use super::entity::{Entity, EntityKind, Strength};
use super::words::Topic;

/// Longer runs are no address: version 6 with an embedded version 4 has 45 bytes.
const ADDRESS_MAX: usize = 48;

/// An address of version 4 that starts at the digit at `start`.
pub(super) fn v4(scan: &Scan<'_>, start: usize) -> Option<Entity> {
    let bytes = scan.bytes;
    let near = cut(bytes, 0..bytes.len().min(start + ADDRESS_MAX));
    let end = run_end(near, start, |b| b.is_ascii_digit() || b == b'.');
    let end = if before(bytes, end) == b'.' {
        end - 1
    } else {
        end
    };
    let joined = matches!(
        before(bytes, start),
        b'.' | b'-' | b'_' | b'+' | b'^' | b'~'
    ) || matches!(at(bytes, end), b'_' | b'-' | b'+')
        && at(bytes, end + 1).is_ascii_alphanumeric()
        || at(bytes, end).is_ascii_alphabetic();
    let address: Ipv4Addr = parse(cut(bytes, start..end))?;
    if joined || names_nobody(IpAddr::V4(address)) {
        return None;
    }
    // A port or a prefix length follows addresses only.
    let served = matches!(at(bytes, end), b':' | b'/') && at(bytes, end + 1).is_ascii_digit();
    report(
        scan,
        start..end,
        !served && is_version(scan, start, address),
    )
}

/// An address of version 6 that starts at `start`.
pub(super) fn v6(scan: &Scan<'_>, start: usize) -> Option<Entity> {
    let bytes = scan.bytes;
    let near = cut(bytes, 0..bytes.len().min(start + ADDRESS_MAX));
    let end = run_end(near, start, |b| {
        b.is_ascii_hexdigit() || b == b':' || b == b'.'
    });
    let end = start + trimmed(cut(bytes, start..end)).len();
    let text = cut(bytes, start..end);
    let address: Ipv6Addr = parse(text)?;
    let groups = text
        .split(|&b| b == b':')
        .filter(|group| !group.is_empty())
        .count();
    // `a::b` and `std::dec` are names; an address has a digit and more than two short groups.
    let named = groups < 3
        && !text
            .first_chunk::<4>()
            .is_some_and(|head| head.iter().all(u8::is_ascii_hexdigit));
    let numeric = text.iter().any(u8::is_ascii_digit);
    let glued = super::bytes::is_word(at(bytes, end)) || at(bytes, end) == b':';
    if named || !numeric || glued || names_nobody(IpAddr::V6(address)) {
        return None;
    }
    report(scan, start..end, false)
}

fn trimmed(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b".").unwrap_or(text);
    match text.strip_suffix(b":") {
        Some(rest) if !rest.ends_with(b":") => rest,
        _ => text,
    }
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn report(scan: &Scan<'_>, range: Range<usize>, doubtful: bool) -> Option<Entity> {
    let near = scan.near(&range, Topic::Ip);
    let word = near.map(|near| near.word);
    if doubtful && word.is_none() {
        return None;
    }
    Some(
        Entity::new(range, EntityKind::IpAddress, Strength::Checksum, 0.9)
            .because("address syntax", word),
    )
}

/// Loopback, unspecified, netmasks and multicast lead to nobody; documentation ranges
/// (RFC 5737, RFC 3849) were set aside for examples.
fn names_nobody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let first = v4.octets().first().copied().unwrap_or(0);
            first == 0
                || first == 255
                || v4.is_loopback()
                || v4.is_documentation()
                || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || (first == 0x2001 && second == 0xdb8)
        }
    }
}

/// Four small numbers after a word such as `version`, or after `v`, are a version.
fn is_version(scan: &Scan<'_>, start: usize, address: Ipv4Addr) -> bool {
    let head = before(scan.bytes, start);
    let lettered = matches!(head, b'v' | b'V' | b'@' | b'=' | b'/')
        && address.octets().iter().all(|&part| part < 64);
    let named = scan
        .label(start)
        .is_some_and(|hit| hit.topics == Topic::Thing.bit());
    let small = address.octets().iter().filter(|&&part| part < 20).count() >= 3;
    lettered || named || small && address.octets().first().is_some_and(|&first| first < 10)
}
