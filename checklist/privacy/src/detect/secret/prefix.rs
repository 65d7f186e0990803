//! Keys that say whose they are: a fixed prefix and a body of known length and alphabet.
//!
//! Sources: the providers' own documentation of their token formats.

use super::super::bytes::{at, before, cut, run_end};
use super::super::context::Scan;
use super::super::entity::{Entity, EntityKind, Strength};
use super::{different, is_placeholder};

/// Prefix, least length of the body, and whether the body has only letters and digits.
struct Prefix {
    text: &'static str,
    least: usize,
    body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Letters and digits.
    Plain,
    /// Letters, digits, `-` and `_`.
    Dashed,
    /// As `Dashed`, and `.`, `=`, `+`, `/`.
    Loose,
    /// Upper-case letters and digits.
    Upper,
    Hex,
}

impl Body {
    fn holds(self, byte: u8) -> bool {
        match self {
            Self::Plain => byte.is_ascii_alphanumeric(),
            Self::Dashed => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
            Self::Loose => byte.is_ascii_alphanumeric() || b"-_.=+/".contains(&byte),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

const fn p(text: &'static str, least: usize, body: Body) -> Prefix {
    Prefix { text, least, body }
}

static PREFIXES: &[Prefix] = &[
    p("sk-ant-", 16, Body::Dashed),
    p("sk-proj-", 16, Body::Dashed),
    p("sk-svcacct-", 16, Body::Dashed),
    p("sk-admin-", 16, Body::Dashed),
    p("sk-or-v1-", 16, Body::Dashed),
    p("sk-lf-", 16, Body::Dashed),
    p("sk-", 20, Body::Dashed),
    p("pk-lf-", 16, Body::Dashed),
    p("sess-", 30, Body::Plain),
    p("ghp_", 20, Body::Plain),
    p("gho_", 20, Body::Plain),
    p("ghu_", 20, Body::Plain),
    p("ghs_", 20, Body::Plain),
    p("ghr_", 20, Body::Plain),
    p("github_pat_", 20, Body::Dashed),
    p("glpat-", 16, Body::Dashed),
    p("gldt-", 16, Body::Dashed),
    p("glrt-", 16, Body::Dashed),
    p("glptt-", 16, Body::Dashed),
    p("glcbt-", 16, Body::Dashed),
    p("AKIA", 16, Body::Upper),
    p("ASIA", 16, Body::Upper),
    p("ABIA", 16, Body::Upper),
    p("ACCA", 16, Body::Upper),
    p("AIza", 30, Body::Dashed),
    p("GOCSPX-", 20, Body::Dashed),
    p("ya29.", 20, Body::Dashed),
    p("xoxb-", 12, Body::Dashed),
    p("xoxp-", 12, Body::Dashed),
    p("xoxa-", 12, Body::Dashed),
    p("xoxr-", 12, Body::Dashed),
    p("xoxs-", 12, Body::Dashed),
    p("xoxe-", 12, Body::Dashed),
    p("xoxe.xox", 12, Body::Dashed),
    p("xapp-", 12, Body::Dashed),
    p("sk_live_", 10, Body::Plain),
    p("sk_test_", 10, Body::Plain),
    p("rk_live_", 10, Body::Plain),
    p("rk_test_", 10, Body::Plain),
    p("whsec_", 16, Body::Loose),
    p("sq0atp-", 20, Body::Dashed),
    p("sq0csp-", 20, Body::Dashed),
    p("EAAA", 56, Body::Dashed),
    p("SG.", 30, Body::Loose),
    p("key-", 32, Body::Hex),
    p("npm_", 20, Body::Plain),
    p("pypi-", 30, Body::Dashed),
    p("rubygems_", 30, Body::Hex),
    p("cio", 40, Body::Plain),
    p("hf_", 20, Body::Plain),
    p("gsk_", 20, Body::Plain),
    p("xai-", 30, Body::Plain),
    p("r8_", 30, Body::Plain),
    p("pplx-", 30, Body::Plain),
    p("dop_v1_", 30, Body::Hex),
    p("doo_v1_", 30, Body::Hex),
    p("dor_v1_", 30, Body::Hex),
    p("shpat_", 20, Body::Hex),
    p("shpca_", 20, Body::Hex),
    p("shppa_", 20, Body::Hex),
    p("shpss_", 20, Body::Hex),
    p("dckr_pat_", 16, Body::Dashed),
    p("hvs.", 20, Body::Dashed),
    p("hvb.", 20, Body::Dashed),
    p("atlasv1.", 30, Body::Dashed),
    p("ATATT3", 30, Body::Loose),
    p("ATCTT3", 30, Body::Loose),
    p("lin_api_", 20, Body::Plain),
    p("ntn_", 20, Body::Plain),
    p("secret_", 30, Body::Plain),
    p("figd_", 20, Body::Dashed),
    p("PMAK-", 30, Body::Dashed),
    p("NRAK-", 20, Body::Upper),
    p("NRJS-", 16, Body::Plain),
    p("glsa_", 20, Body::Dashed),
    p("glc_", 30, Body::Loose),
    p("sntrys_", 30, Body::Loose),
    p("sntryu_", 30, Body::Hex),
    p("dapi", 32, Body::Hex),
    p("dt0c01.", 30, Body::Loose),
    p("pscale_tkn_", 20, Body::Loose),
    p("pscale_pw_", 20, Body::Loose),
    p("pul-", 30, Body::Hex),
    p("fo1_", 30, Body::Dashed),
    p("FlyV1", 30, Body::Loose),
    p("rnd_", 20, Body::Plain),
    p("sbp_", 30, Body::Hex),
    p("sb_secret_", 16, Body::Dashed),
    p("vercel_", 20, Body::Plain),
    p("AGE-SECRET-KEY-1", 40, Body::Upper),
    p("A3-", 20, Body::Dashed),
    p("AC", 32, Body::Hex),
    p("SK", 32, Body::Hex),
    p("T3BlbkFJ", 20, Body::Plain),
    p("EZAK", 40, Body::Plain),
    p("EZTK", 40, Body::Plain),
    p("LTAI", 16, Body::Plain),
    p("AKID", 28, Body::Plain),
    p("tfp_", 30, Body::Dashed),
    p("pat-na1-", 20, Body::Dashed),
    p("pat-eu1-", 20, Body::Dashed),
    p("MTA", 50, Body::Loose),
    p("eyJ", 20, Body::Loose),
];

/// The prefixes by their first byte, each with its second one: all have at least two, and the
/// second turns away nearly all words.
#[derive(Debug)]
pub(in super::super) struct Prefixes {
    by_first: Vec<Vec<(u8, usize)>>,
    /// The second bytes of each first one, as bits: all are ASCII.
    seconds: [u128; 128],
}

impl Prefixes {
    pub(in super::super) fn new() -> Self {
        let mut by_first = vec![Vec::new(); 256];
        let mut seconds = [0; 128];
        for (index, prefix) in PREFIXES.iter().enumerate() {
            let first = prefix.text.as_bytes().first().copied().unwrap_or(0);
            let second = at(prefix.text.as_bytes(), 1);
            if let Some(list) = by_first.get_mut(usize::from(first)) {
                list.push((second, index));
            }
            if let Some(set) = seconds.get_mut(usize::from(first)) {
                *set |= 1_u128 << (second & 127);
            }
        }
        Self { by_first, seconds }
    }

    /// The key that starts at the word at `start`. `read` is how far the bodies of earlier
    /// candidates were read, which need not be read again.
    pub(in super::super) fn find(
        &self,
        scan: &Scan<'_>,
        start: usize,
        read: &mut usize,
    ) -> Option<Entity> {
        if start < *read {
            return None;
        }
        let (first, second) = (at(scan.bytes, start), at(scan.bytes, start + 1));
        let seconds = self.seconds.get(usize::from(first))?;
        if seconds >> (second & 127) & 1 == 0 {
            return None;
        }
        let list = self.by_first.get(usize::from(first))?;
        let matching = list
            .iter()
            .filter(|(letter, _)| *letter == second)
            .filter_map(|&(_, index)| PREFIXES.get(index));
        matching
            .into_iter()
            .find_map(|prefix| prefixed(scan, start, prefix, read))
    }
}

fn prefixed(scan: &Scan<'_>, start: usize, prefix: &Prefix, read: &mut usize) -> Option<Entity> {
    let rest = scan.bytes.get(start..)?;
    if !rest.starts_with(prefix.text.as_bytes()) || matches!(before(scan.bytes, start), b'-' | b'.')
    {
        return None;
    }
    let body_start = start + prefix.text.len();
    let mut end = run_end(scan.bytes, body_start, |b| prefix.body.holds(b));
    *read = end.max(*read);
    while matches!(before(scan.bytes, end), b'.' | b'-' | b'/') && end > body_start {
        end -= 1;
    }
    let body = cut(scan.bytes, body_start..end);
    let grown = prefix.body == Body::Upper && super::super::bytes::is_word(at(scan.bytes, end));
    let fits =
        body.len() >= prefix.least && !grown && !is_placeholder(body) && different(body) >= 6;
    if prefix.text == "eyJ" {
        return token(scan, start, end);
    }
    // Prefixes of letters only are no proof: their bodies have an exact length and both
    // letters and digits.
    let bare = prefix.text.len() < 6 && prefix.text.bytes().all(|b| b.is_ascii_alphabetic());
    let exact = !bare || prefix.body == Body::Dashed || body.len() <= prefix.least + 4;
    let varied = body.iter().any(u8::is_ascii_digit) && body.iter().any(u8::is_ascii_alphabetic);
    let capitals = prefix.body == Body::Upper && body.len() == prefix.least && different(body) >= 8;
    let proven = exact
        && (varied
            || capitals
            || !bare && super::entropy(body) > 3.5 && super::has_both_cases(body));
    (fits && proven).then(|| {
        Entity::new(start..end, EntityKind::Secret, Strength::Secret, 0.98)
            .because(prefix.text, None)
    })
}

/// A JSON web token: `eyJ`, three parts between dots (two if unsigned), readable header.
fn token(scan: &Scan<'_>, start: usize, end: usize) -> Option<Entity> {
    let text = cut(scan.bytes, start..end);
    let mut parts = text.split(|&b| b == b'.');
    let (header, payload) = (parts.next()?, parts.next()?);
    let json = base64_head(header).starts_with(b"{\"");
    (json && header.len() >= 10 && payload.len() >= 10).then(|| {
        Entity::new(start..end, EntityKind::Secret, Strength::Secret, 0.98)
            .because("json web token", None)
    })
}

/// The first bytes that base64 text stands for.
fn base64_head(text: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0_u32;
    let mut out = Vec::new();
    for (count, letter) in text.iter().take(16).enumerate() {
        let Some(value) = memchr::memchr(*letter, ALPHABET).and_then(|v| u32::try_from(v).ok())
        else {
            break;
        };
        bits = (bits << 6 | value) & 0xFFF_FFFF;
        let spare = match count % 4 {
            0 => continue,
            1 => 4,
            2 => 2,
            _ => 0,
        };
        out.push(u8::try_from(bits >> spare & 0xFF).unwrap_or(0));
    }
    out
}
