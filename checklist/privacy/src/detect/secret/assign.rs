//! Values that are given to a secret's name: `password = "…"`, `api_key: …`, `<token>…`,
//! "my password is …", `Authorization: Bearer …`, `--password …`.

use std::ops::Range;

use super::super::bytes::{at, before, cut};
use super::super::context::{Hit, Scan};
use super::super::entity::{Entity, EntityKind, Strength};
use super::super::words::Topic;
use super::{entropy, has_both_cases, is_name, is_placeholder, is_random, is_uuid};

/// Longest value looked at.
const VALUE_MAX: usize = 512;

/// How a name and its value are connected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    /// `=`, `:`, `=>`, `<name>`.
    Sign,
    /// `is`, `lautet`, `是`: what follows may be any word.
    Verb,
    /// A space after a command-line option.
    Option,
}

/// How a value is delimited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Quoted,
    Bare,
}

/// All assignments of the text, and the whole text if its key names a secret.
pub(in super::super) fn find(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    let secret = Topic::Password.bit() | Topic::Token.bit();
    for hit in scan.hits.iter().filter(|hit| hit.topics & secret != 0) {
        out.extend(assigned(scan, hit));
    }
    headers(scan, out);
    out.extend(
        scan.key
            .filter(|key| key.topics & secret != 0)
            .and_then(|key| whole(scan, &key)),
    );
    columns(scan, out);
}

fn entity(range: Range<usize>, rule: &'static str, hit: &Hit) -> Entity {
    Entity::new(range, EntityKind::Secret, Strength::Secret, 0.9).because(rule, Some(hit.word))
}

fn assigned(scan: &Scan<'_>, hit: &Hit) -> Option<Entity> {
    let (link, start) = link(scan.bytes, hit)?;
    let (mut range, quoting) = value(scan.bytes, start)?;
    if matches!(before(scan.bytes, hit.start), b'?' | b'&') {
        // In a query, the next parameter starts at `&`.
        let text = cut(scan.bytes, range.clone());
        range.end = memchr::memchr(b'&', text).map_or(range.end, |place| range.start + place);
    }
    let text = cut(scan.bytes, range.clone());
    let fits = match hit.topics & Topic::Password.bit() {
        // Without a sign between, only what is long enough to be nothing else.
        0 => is_token(text, hit) && (link != Link::Option || text.len() >= 20),
        _ => is_password(scan, &range, link, quoting),
    };
    fits.then(|| entity(range, "assignment", hit))
}

/// The connection after a name, and where the value starts.
fn link(bytes: &[u8], hit: &Hit) -> Option<(Link, usize)> {
    let mut index = hit.end;
    let option = cut(bytes, hit.start.saturating_sub(2)..hit.start) == b"--";
    // The rest of an identifier (`_PROD`, `[1]`) and what closes the name.
    let word_end = index
        + cut(bytes, index..index + 24)
            .iter()
            .take_while(|&&b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            .count();
    if matches!(at(bytes, index), b'_' | b'-') || at(bytes, index).is_ascii_digit() {
        index = word_end;
    }
    while b"\"'`])*".contains(&at(bytes, index)) {
        index += 1;
    }
    let spaced = skip_spaces(bytes, index);
    if let Some(end) = sign(bytes, spaced) {
        return Some((Link::Sign, skip_blank(bytes, end)));
    }
    if let Some(end) = verb(bytes, spaced) {
        return Some((Link::Verb, end));
    }
    let next = at(bytes, spaced);
    let quoted = spaced > index && matches!(next, b'"' | b'\'' | b'`');
    let loose = spaced > index && (option || hit.topics & Topic::Token.bit() != 0);
    (loose || quoted).then_some((Link::Option, spaced))
}

fn sign(bytes: &[u8], index: usize) -> Option<usize> {
    const SIGNS: [&str; 9] = ["===", "!==", "==", "!=", ":=", "=>", "->", "?=", "||="];
    let rest = cut(bytes, index..bytes.len().min(index + 3));
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes())) {
        return (!sign.starts_with('!')).then_some(index + sign.len());
    }
    match at(bytes, index) {
        b'=' | b':' => Some(index + 1),
        // Only the end of a tag, `<password>`; not a comparison.
        b'>' if memchr::memchr(b'<', cut(bytes, index.saturating_sub(40)..index)).is_some() => {
            Some(index + 1)
        }
        _ => None,
    }
}

fn verb(bytes: &[u8], index: usize) -> Option<usize> {
    const VERBS: &[&str] = &[
        "is: ",
        "is ",
        "was ",
        "ist ",
        "lautet: ",
        "lautet ",
        "war ",
        "est : ",
        "est ",
        "es ",
        "è ",
        "é ",
        "jest ",
        "to ",
        "är ",
        "of ",
        "für das wlan ist ",
        "to: ",
        "это ",
        "- ",
        "— ",
        "是",
        "为",
        "は",
        "が",
        "는 ",
        "은 ",
        "है ",
        "هي ",
        "هو ",
    ];
    let rest = bytes.get(index..)?;
    let mut end = VERBS
        .iter()
        .find(|verb| rest.starts_with(verb.as_bytes()))
        .map(|verb| index + verb.len())?;
    end = skip_spaces(bytes, end);
    if at(bytes, end) == b':' {
        end = skip_spaces(bytes, end + 1);
    }
    Some(end)
}

fn skip_spaces(bytes: &[u8], index: usize) -> usize {
    let spaces = cut(bytes, index..bytes.len().min(index + 16));
    index
        + spaces
            .iter()
            .take_while(|&&b| b == b' ' || b == b'\t')
            .count()
}

/// As [`skip_spaces`], over one line break: YAML and chat put values on their own line.
fn skip_blank(bytes: &[u8], index: usize) -> usize {
    let index = skip_spaces(bytes, index);
    if at(bytes, index) == b'\n' {
        skip_spaces(bytes, index + 1)
    } else {
        index
    }
}

/// The value that starts here, without its quotes.
fn value(bytes: &[u8], start: usize) -> Option<(Range<usize>, Quoting)> {
    let mut start = start;
    // Prefixes of string literals and openings of lists.
    while matches!(at(bytes, start), b'[' | b'(' | b'*')
        || b"bru".contains(&at(bytes, start)) && matches!(at(bytes, start + 1), b'"' | b'\'')
    {
        start += 1;
    }
    let quote = at(bytes, start);
    if matches!(quote, b'"' | b'\'' | b'`') {
        let body = cut(bytes, start + 1..bytes.len().min(start + 1 + VALUE_MAX));
        let end = body.iter().position(|&b| b == quote || b == b'\n')?;
        return (end > 0).then_some((start + 1..start + 1 + end, Quoting::Quoted));
    }
    let rest = cut(bytes, start..bytes.len().min(start + VALUE_MAX));
    let stop = |b: u8| b.is_ascii_whitespace() || b"\"'`<>,;".contains(&b) || b >= 0x80;
    let mut end = start + rest.iter().position(|&b| stop(b)).unwrap_or(rest.len());
    while b".)]}:".contains(&before(bytes, end)) && end > start {
        end -= 1;
    }
    (end > start).then_some((start..end, Quoting::Bare))
}

/// Words that stand where a value would, in code and in prose.
const NO_VALUES: &[&str] = &[
    "string",
    "str",
    "text",
    "required",
    "optional",
    "incorrect",
    "invalid",
    "password",
    "passwd",
    "secret",
    "token",
    "varchar",
    "null",
    "nil",
    "none",
    "undefined",
    "true",
    "false",
    "hidden",
    "missing",
    "wrong",
    "expired",
    "reset",
    "protected",
    "forgotten",
    "char",
    "bytes",
    "boolean",
    "number",
    "object",
    "any",
    "disabled",
    "enabled",
    "basic",
    "bearer",
    "correct",
    "stored",
    "empty",
    "not",
    "the",
    "a",
    "an",
    "too",
    "required.",
    "very",
    "encrypted",
    "hashed",
    "input",
    "field",
    "value",
    "default",
    "admin",
    "user",
    "username",
    "example",
    "test",
    "self",
    "this",
    "your",
    "change",
    "changed",
    "needed",
    "being",
    "never",
    "always",
    "set",
    "unset",
    "in",
    "on",
    "for",
    "from",
    "and",
    "or",
    "no",
    "yes",
    "option",
    "policy",
    "manager",
    "valid",
    "unknown",
    "falsch",
    "nicht",
    "erforderlich",
    "ungültig",
    "incorrecto",
    "incorrecta",
    "obligatoire",
    "requerida",
    "sehr",
    "abgelaufen",
    "updated",
    "sent",
    "safe",
    "secure",
    "short",
    "long",
    "weak",
    "strong",
    "at",
    "must",
    "should",
    "shared",
    "important",
    "confidential",
];

fn is_password(scan: &Scan<'_>, range: &Range<usize>, link: Link, quoting: Quoting) -> bool {
    let text = cut(scan.bytes, range.clone());
    let lower = text.to_ascii_lowercase();
    let stopped = std::str::from_utf8(&lower).is_ok_and(|word| NO_VALUES.contains(&word));
    let code = quoting == Quoting::Bare
        && (memchr::memchr3(b'(', b'{', b'[', text).is_some() || is_path(text));
    // Closure parameters and references of programming languages.
    let code = code || quoting == Quoting::Bare && text.first().is_some_and(|b| b"|&".contains(b));
    if text.len() < 4 || stopped || code || is_placeholder(text) {
        return false;
    }
    let digit = text.iter().any(u8::is_ascii_digit);
    let special = text
        .iter()
        .any(|&b| !b.is_ascii_alphanumeric() && !b" -_'".contains(&b));
    let mixed =
        text.first().is_some_and(u8::is_ascii_lowercase) && has_both_cases(text) && !is_name(text);
    let spaces = text.iter().filter(|&&b| b == b' ').count();
    let strong = digit || special || mixed;
    match (link, quoting) {
        (_, Quoting::Quoted) => spaces <= 6 && (strong || text.len() >= 6 && spaces == 0),
        (Link::Verb, Quoting::Bare) => text.len() >= 5 && strong,
        (Link::Sign | Link::Option, Quoting::Bare) => {
            strong || text.len() >= 6 && is_env_line(scan.bytes, range)
        }
    }
}

/// `config.password`, `process.env.SECRET`, `settings::KEY`: a way to a value, not a value.
fn is_path(text: &[u8]) -> bool {
    let parts = text.split(|&b| b == b'.' || b == b':');
    let names = parts
        .filter(|part| !part.is_empty() && is_name(part) && !part.iter().all(u8::is_ascii_digit));
    names.count() > 1
        && !text.iter().any(|b| b"!@#$%^&*?+/=~-".contains(b))
        && memchr::memchr2(b'.', b':', text).is_some()
        && !text.iter().any(u8::is_ascii_digit)
}

/// Whether the value ends its line: `.env` files, YAML and notes.
fn is_env_line(bytes: &[u8], range: &Range<usize>) -> bool {
    let next = at(bytes, range.end);
    next == 0 || next == b'\n' || next == b'<' || next == b';' || next == b'&'
}

fn is_token(text: &[u8], hit: &Hit) -> bool {
    let digits_only = text.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    let firm =
        hit.word.contains("secret") || hit.word.contains("key") || hit.word.contains("token");
    let dashed_words = text.iter().filter(|b| b"-_/. ".contains(b)).count() > text.len() / 5;
    let uuid = is_uuid(text) && firm && hit.word != "token";
    let reference = text.first().is_some_and(|b| b"|&".contains(b));
    if digits_only
        || reference
        || is_placeholder(text)
        || text.contains(&b'(')
        || text.contains(&b' ')
    {
        return false;
    }
    let random = is_random(text) && (!dashed_words || entropy(text) > 4.0);
    uuid || random && !is_uuid(text)
        || hit.word.contains("secret") && text.len() >= 8 && is_mixed(text)
}

fn is_mixed(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_alphabetic)
        && !is_path(text)
}

/// `Authorization: Bearer …`, `Basic …`; also a bare `Bearer …` with a long value.
fn headers(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    const SCHEMES: [(&[u8], &str, usize); 4] = [
        (b"Bearer ", "bearer header", 12),
        (b"bearer ", "bearer header", 16),
        (b"Basic ", "basic header", 12),
        (b"ApiKey ", "api key header", 12),
    ];
    for (scheme, rule, least) in SCHEMES {
        for found in memchr::memmem::find_iter(scan.bytes, scheme) {
            let Some((range, _)) = value(scan.bytes, found + scheme.len()) else {
                continue;
            };
            let text = cut(scan.bytes, range.clone());
            let encoded = text
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.=+/~".contains(b));
            let varied = entropy(text) > 3.0
                && (text.iter().any(u8::is_ascii_digit)
                    || has_both_cases(text) && text.len() >= 20
                    || text.ends_with(b"="));
            if text.len() >= least && encoded && varied && !is_placeholder(text) {
                out.push(
                    Entity::new(range, EntityKind::Secret, Strength::Secret, 0.95)
                        .because(rule, None),
                );
            }
        }
    }
}

/// A text whose key is `password`: all of it is the value.
fn whole(scan: &Scan<'_>, key: &Hit) -> Option<Entity> {
    let start = scan.text.len() - scan.text.trim_start().len();
    let range = start..start + scan.text.trim().len();
    let text = cut(scan.bytes, range.clone());
    let fits = match key.topics & Topic::Password.bit() {
        0 => is_token(text, key),
        _ => text.len() <= VALUE_MAX && is_password(scan, &range, Link::Sign, Quoting::Quoted),
    };
    fits.then(|| entity(range, "key", key))
}

/// Cells under a header that names a secret.
fn columns(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    let secret = Topic::Password.bit() | Topic::Token.bit();
    for cell in scan.cells_under(secret) {
        let text = cut(scan.bytes, cell.range.clone());
        if text.len() >= 6 && is_mixed(text) && !is_placeholder(text) && !text.contains(&b' ') {
            out.push(entity(cell.range, "column", &cell.header));
        }
    }
}
