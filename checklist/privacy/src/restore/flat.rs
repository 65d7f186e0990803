//! The chunks that nearly all of a stream consists of: one delta of plain string members. They are restored without
//! being parsed and written as documents, which would cost ten times as much.
//!
//! What is not exactly of this form is left to the general way: nothing is guessed here.

use super::{Field, Restorer};
use aplomb_core::event::Raw;
use bytes::Bytes;
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;

/// How an OpenAI chunk goes on behind its delta, while its choice does not end.
const OPENAI_TAILS: [&[u8]; 3] = [
    b",\"logprobs\":null,\"finish_reason\":null}]",
    b",\"finish_reason\":null}]",
    b",\"finish_reason\":null,\"logprobs\":null}]",
];
/// Most members of a delta. Chosen: deltas have one to three.
const MEMBERS_MAX: usize = 4;

/// A chunk of one delta.
struct Flat {
    choice: u32,
    /// Its texts: which one, and where its source stands between the quotes.
    texts: [Option<(Field, Range<usize>)>; MEMBERS_MAX],
}

/// Which text, where its source stands, and what it says.
type Piece<'d> = (Field, Range<usize>, Cow<'d, str>);

impl Restorer {
    /// The chunk with its texts restored; `None` if it is not of this form.
    pub(super) fn flat(&mut self, raw: &Raw) -> Option<Raw> {
        let data = &raw.data[..];
        let flat = read(data, raw.name.is_some())?;
        let mut pieces: [Option<Piece<'_>>; MEMBERS_MAX] = Default::default();
        for (slot, text) in pieces.iter_mut().zip(flat.texts) {
            let Some((field, range)) = text else { continue };
            let piece = text_of(data, &range)?;
            *slot = Some((field, range, piece));
        }
        let mut out: Option<Vec<u8>> = None;
        let mut done = 0;
        for (field, range, piece) in pieces.into_iter().flatten() {
            let restored = self.push((flat.choice, field), &piece);
            if restored == piece {
                continue;
            }
            let out = out.get_or_insert_with(|| Vec::with_capacity(data.len() + 64));
            out.extend_from_slice(data.get(done..range.start).unwrap_or_default());
            let literal = Value::from(restored).to_string();
            let inner = literal.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
            out.extend_from_slice(inner.unwrap_or_default().as_bytes());
            done = range.end;
        }
        let data = match out {
            None => raw.data.clone(),
            Some(mut out) => {
                out.extend_from_slice(data.get(done..).unwrap_or_default());
                Bytes::from(out)
            }
        };
        Some(Raw {
            data,
            ..raw.clone()
        })
    }
}

/// The text that stands between two quotes.
fn text_of<'d>(data: &'d [u8], range: &Range<usize>) -> Option<Cow<'d, str>> {
    let inner = std::str::from_utf8(data.get(range.clone())?).ok()?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let quoted = data.get(range.start.checked_sub(1)?..range.end + 1)?;
    serde_json::from_slice::<String>(quoted)
        .ok()
        .map(Cow::Owned)
}

fn read(data: &[u8], named: bool) -> Option<Flat> {
    let (choice, mut at) = if named {
        let head = b"{\"type\":\"content_block_delta\",\"index\":";
        data.starts_with(head).then_some(())?;
        number(data, head.len())?
    } else {
        let head = b"\"choices\":[{\"index\":";
        let start = find(data, head)?;
        plain(data.get(..start)?)?;
        number(data, start + head.len())?
    };
    at = skip(data, at, b",\"delta\":{")?;
    let mut texts = <[Option<(Field, Range<usize>)>; MEMBERS_MAX]>::default();
    for slot in &mut texts {
        let name = string(data, at)?;
        at = skip(data, name.end + 1, b":")?;
        let name = data.get(name)?;
        if let Some(null) = skip(data, at, b"null") {
            at = null;
        } else {
            let value = string(data, at)?;
            at = value.end + 1;
            match field_of(name, named) {
                Some(field) => *slot = Some((field, value)),
                None => plain(data.get(value)?)?,
            }
        }
        match data.get(at)? {
            b',' => at += 1,
            b'}' => {
                ends(data, at + 1, named)?;
                return Some(Flat { choice, texts });
            }
            _ => return None,
        }
    }
    None
}

/// Where a chunk's fixed part stands. A search without set-up: it is near the beginning.
fn find(data: &[u8], head: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b'[', data.get(from..)?)?;
        // The bracket is the eleventh byte of what is looked for.
        let start = at.checked_sub(10);
        if let Some(start) = start.filter(|start| {
            data.get(*start..)
                .is_some_and(|rest| rest.starts_with(head))
        }) {
            return Some(start);
        }
        from = at + 1;
    }
}

fn field_of(name: &[u8], named: bool) -> Option<Field> {
    Some(match (name, named) {
        (b"content", false) | (b"text", true) => Field::Text,
        (b"refusal", false) => Field::Refusal,
        (b"reasoning_content", false) => Field::Reasoning("reasoning_content"),
        (b"reasoning", false) => Field::Reasoning("reasoning"),
        (b"thinking", true) => Field::Reasoning("thinking"),
        (b"partial_json", true) => Field::Arguments(0),
        _ => return None,
    })
}

/// What follows the delta holds nothing to restore, and ends no choice.
fn ends(data: &[u8], at: usize, named: bool) -> Option<()> {
    let rest = data.get(at..)?;
    let tail = if named {
        rest.strip_prefix(b"}")?
    } else {
        OPENAI_TAILS
            .iter()
            .find_map(|tail| rest.strip_prefix(*tail))?
    };
    // A second `choices` or `delta` would be read by the general way.
    (tail.trim_ascii() == b"}" || !named && memchr::memchr2(b'[', b'{', tail).is_none())
        .then_some(())?;
    plain(tail)
}

/// Whether bytes hold neither the beginning of a placeholder nor an escape.
fn plain(bytes: &[u8]) -> Option<()> {
    let signs = memchr::memchr3(b'<', b'&', b'\\', bytes).or(memchr::memchr(0xef, bytes));
    signs.is_none().then_some(())
}

fn skip(data: &[u8], at: usize, expected: &[u8]) -> Option<usize> {
    let rest = data.get(at..)?;
    rest.starts_with(expected).then_some(at + expected.len())
}

fn number(data: &[u8], at: usize) -> Option<(u32, usize)> {
    let rest = data.get(at..)?;
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = std::str::from_utf8(rest.get(..count)?).ok()?;
    Some((digits.parse().ok()?, at + count))
}

/// The range between the quotes of the string that begins at `at`.
fn string(data: &[u8], at: usize) -> Option<Range<usize>> {
    let start = skip(data, at, b"\"")?;
    let mut end = start;
    loop {
        end += memchr::memchr2(b'"', b'\\', data.get(end..)?)?;
        if data.get(end) == Some(&b'"') {
            return Some(start..end);
        }
        end += 2;
    }
}
