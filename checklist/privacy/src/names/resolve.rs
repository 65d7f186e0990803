//! Many findings, one answer: no overlaps, nothing inside e-mail addresses, exact edges.

use std::ops::Range;

use super::{Found, NameKind};

/// Sorts the findings, drops what loses against an overlapping one, and appends the rest to `out`.
pub fn resolve(text: &str, emails: &[Range<usize>], mut found: Vec<Found>, out: &mut Vec<Found>) {
    found.retain_mut(|name| tidy(text, name));
    found.sort_by(|left, right| {
        left.range
            .start
            .cmp(&right.range.start)
            .then(right.range.end.cmp(&left.range.end))
            .then(right.score.total_cmp(&left.score))
    });
    let mut kept: Vec<Found> = Vec::with_capacity(found.len());
    for name in found {
        match kept.last_mut() {
            Some(last) if last.range.end > name.range.start => merge(last, name),
            _ => kept.push(name),
        }
    }
    let mut emails: Vec<_> = emails.to_vec();
    emails.sort_by_key(|email| email.start);
    kept.retain(|name| !inside(&emails, &name.range));
    out.append(&mut kept);
}

/// The stronger of two overlapping findings wins; two of one kind become one span.
fn merge(last: &mut Found, name: Found) {
    if last.kind == name.kind && last.kind == NameKind::Person {
        last.range.end = last.range.end.max(name.range.end);
        if name.score > last.score {
            (last.score, last.reason) = (name.score, name.reason);
        }
    } else if beats(&name, last) {
        // What came before `last` ends before it starts, and `name` starts no earlier.
        *last = name;
    }
}

fn beats(left: &Found, right: &Found) -> bool {
    left.score > right.score || (left.score >= right.score && left.range.len() > right.range.len())
}

/// Drops marks at the edges; false if nothing is left.
fn tidy(text: &str, name: &mut Found) -> bool {
    let Some(inner) = text.get(name.range.clone()) else {
        return false;
    };
    let edge = |letter: char| !letter.is_alphanumeric() && !is_sign(letter);
    let end = |letter: char| edge(letter) && !matches!(letter, '.' | ')');
    let left = inner.len() - inner.trim_start_matches(edge).len();
    let kept = inner.trim_start_matches(edge).trim_end_matches(end).len();
    name.range = name.range.start + left..name.range.start + left + kept;
    kept > 0
}

/// Vowel signs and viramas end words of Indic scripts.
const fn is_sign(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}' | '\u{e31}'..='\u{e4e}')
}

fn inside(emails: &[Range<usize>], name: &Range<usize>) -> bool {
    let after = emails.partition_point(|email| email.start < name.end);
    emails
        .get(..after)
        .is_some_and(|before| before.last().is_some_and(|email| email.end > name.start))
}
