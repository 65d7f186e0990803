//! User and password in URLs: `postgres://app:pw@db/main`.

use super::super::bytes::{cut, run_end};
use super::super::context::Scan;
use super::super::entity::{Entity, EntityKind, Strength};
use super::is_placeholder;

/// A user and a password together are shorter than this.
const USERINFO_MAX: usize = 256;

/// All credentials in URLs, and URLs that are credentials.
pub(in super::super) fn find(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    hooks(scan, out);
    for found in memchr::memmem::find_iter(scan.bytes, b"://") {
        let start = found + 3;
        let part = cut(
            scan.bytes,
            start..scan.bytes.len().min(start + USERINFO_MAX),
        );
        let end = part
            .iter()
            .position(|&b| b.is_ascii_whitespace() || b"\"'<>`\\".contains(&b))
            .unwrap_or(part.len());
        let authority = part.get(..end).unwrap_or_default();
        // Passwords may hold `/`, `?` and `#` unescaped, so the last `@` before a path counts.
        let Some(at) = authority_at(authority) else {
            continue;
        };
        let userinfo = authority.get(..at).unwrap_or_default();
        let Some(colon) = memchr::memchr(b':', userinfo) else {
            continue;
        };
        let password = userinfo.get(colon + 1..).unwrap_or_default();
        if is_example(password) {
            continue;
        }
        let entity = Entity::new(
            start..start + at,
            EntityKind::UrlCredentials,
            Strength::Secret,
            0.99,
        );
        out.push(entity.because("user and password before the host", None));
    }
}

/// The `@` that ends the user part.
fn authority_at(authority: &[u8]) -> Option<usize> {
    let slash = memchr::memchr3(b'/', b'?', b'#', authority).unwrap_or(authority.len());
    let strict = memchr::memrchr(b'@', authority.get(..slash)?);
    strict.or_else(|| {
        let first = memchr::memchr(b'@', authority)?;
        let colon = memchr::memchr(b':', authority)?;
        (colon < slash && slash < first).then_some(first)
    })
}

/// Addresses of web hooks: who knows the path may post.
fn hooks(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    const HOSTS: [&[u8]; 4] = [
        b"hooks.slack.com/",
        b"discord.com/api/webhooks/",
        b"discordapp.com/api/webhooks/",
        b"webhook.office.com/",
    ];
    // All of them have this in their name, and most texts have not.
    if memchr::memmem::find(scan.bytes, b"hook").is_none() {
        return;
    }
    for host in HOSTS {
        for found in memchr::memmem::find_iter(scan.bytes, host) {
            let start = found + host.len();
            let limited = cut(scan.bytes, 0..scan.bytes.len().min(start + USERINFO_MAX));
            let end = run_end(limited, start, |b| {
                b.is_ascii_alphanumeric() || b"/-_@".contains(&b)
            });
            let path = cut(scan.bytes, start..end);
            if path.len() >= 20 && !is_placeholder(path) {
                let entity = Entity::new(found..end, EntityKind::Secret, Strength::Secret, 0.95);
                out.push(entity.because("web hook address", None));
            }
        }
    }
}

fn is_example(password: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] = [
        b"password",
        b"pass",
        b"pwd",
        b"passwd",
        b"pw",
        b"secret",
        b"token",
        b"***",
    ];
    let lower = password.to_ascii_lowercase();
    password.is_empty()
        || WORDS.contains(&lower.as_slice())
        || password.starts_with(b"{")
        || is_placeholder(password) && password.len() > 3
}
