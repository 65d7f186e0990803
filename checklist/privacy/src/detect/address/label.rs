//! Text that a label or a key announces as an address.

use std::ops::Range;

use super::super::bytes::{at, cut, run_end};
use super::super::context::Scan;
use super::super::entity::{Entity, EntityKind, Strength};
use super::super::words::Topic;

/// Text behind a label such as `Address:` or "lives at", or the whole text under such a key.
pub(in super::super) fn find(scan: &Scan<'_>, out: &mut Vec<Entity>) {
    for hit in scan
        .hits
        .iter()
        .filter(|hit| hit.topics & Topic::Address.bit() != 0)
    {
        let Some(start) = label_end(scan.bytes, hit.end, hit.word) else {
            continue;
        };
        let rest = cut(scan.bytes, start..scan.bytes.len().min(start + 140));
        let len = rest
            .iter()
            .position(|b| b"\n\"<|;{}?!".contains(b))
            .unwrap_or(rest.len());
        let len = memchr::memmem::find(cut(rest, 0..len), b". ")
            .map_or(len, |stop| if stop > 12 { stop } else { len });
        let len = next_label(scan, start, start + len).map_or(len, |stop| stop - start);
        push_labelled(
            scan,
            start..scan.text.floor_char_boundary(start + len),
            hit.word,
            out,
        );
    }
    if let Some(key) = scan
        .key
        .filter(|key| key.topics & Topic::Address.bit() != 0 && scan.text.len() < 200)
    {
        push_labelled(scan, 0..scan.text.len(), key.word, out);
    }
}

/// Where the word stands, behind a comma, that names the next value: `12 Wattle Road, call 0412 …`.
fn next_label(scan: &Scan<'_>, start: usize, end: usize) -> Option<usize> {
    let names_values = [Topic::Phone, Topic::Email, Topic::Birth, Topic::Passport];
    let topics = names_values.iter().fold(0, |set, topic| set | topic.bit());
    let first = scan.hits.partition_point(|hit| hit.start < start);
    let inside = scan.hits.get(first..)?.iter();
    let mut inside = inside.take_while(|hit| hit.end <= end);
    let behind_comma = |at: usize| cut(scan.bytes, start..at).trim_ascii_end().ends_with(b",");
    inside
        .find(|hit| {
            hit.topics & topics != 0
                && hit.topics & Topic::Address.bit() == 0
                && behind_comma(hit.start)
        })
        .map(|hit| hit.start)
}

/// Where the text starts that a label announces: behind `:` or `=`; behind "is" and its like,
/// or behind a phrase ("lives at"), only if it starts with a number.
fn label_end(bytes: &[u8], end: usize, word: &str) -> Option<usize> {
    const VERBS: [&[u8]; 8] = [
        b" is ", b" ist ", b" est ", b" es ", b" to ", b" at ", b": ", b" ",
    ];
    let quoted = run_end(bytes, end, |b| b"\"' \t*".contains(&b));
    if matches!(at(bytes, quoted), b':' | b'=') {
        return Some(run_end(bytes, quoted + 1, |b| b"\"' \t*\n".contains(&b)));
    }
    let rest = cut(bytes, end..bytes.len().min(end + 6));
    let verb = VERBS.iter().find(|verb| rest.starts_with(verb))?;
    let phrase = word.contains(' ') || verb.len() > 2;
    (phrase && at(bytes, end + verb.len()).is_ascii_digit()).then_some(end + verb.len())
}

fn push_labelled(scan: &Scan<'_>, range: Range<usize>, word: &'static str, out: &mut Vec<Entity>) {
    let text = scan
        .text
        .get(range.clone())
        .unwrap_or_default()
        .trim_end_matches([' ', '.', ',']);
    let digit = text.bytes().any(|b| b.is_ascii_digit());
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let spaced = text.contains(' ') || !text.is_ascii();
    if digit
        && letters >= 3
        && spaced
        && text.len() >= 8
        && !text.contains(['@', '{', '(', '=', '[', '&', '>'])
        && !text.contains("://")
    {
        let range = range.start..range.start + text.len();
        out.push(
            Entity::new(range, EntityKind::Address, Strength::Context, 0.6)
                .because("label", Some(word)),
        );
    }
}
