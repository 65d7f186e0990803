//! Values that were found somewhere in the request, looked for everywhere in it.

use super::Span;
use crate::detect::entity::EntityKind;
use crate::policy::Action;
use crate::private::Private;
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::BTreeMap;

/// Shortest value that is looked for, in characters. Chosen: shorter ones meet unrelated words.
const CHARS_MIN: usize = 4;

/// Values, and a search for all of them at once.
pub struct Known {
    values: Vec<(Private, EntityKind)>,
    search: Option<AhoCorasick>,
}

impl Known {
    /// Of these findings.
    pub fn of<'a>(spans: impl Iterator<Item = &'a Span>) -> Self {
        let mut by_value = BTreeMap::new();
        for span in spans {
            if span.value.chars().count() >= CHARS_MIN {
                by_value
                    .entry(span.value.clone())
                    .or_insert_with(|| span.kind.clone());
            }
        }
        let values: Vec<_> = by_value.into_iter().collect();
        let search = (!values.is_empty())
            .then(|| {
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(values.iter().map(|(value, _)| value.as_bytes()))
                    .ok()
            })
            .flatten();
        Known { values, search }
    }

    /// Adds the places of known values that no finding covers, and sorts. `action`: by kind and place.
    pub fn add_to(
        &self,
        spans: &mut Vec<Span>,
        text: &str,
        action: impl Fn(&EntityKind, usize) -> Action,
    ) {
        let Some(search) = &self.search else { return };
        let mut more = Vec::new();
        for found in search.find_iter(text) {
            let range = found.range();
            let Some((value, kind)) = self.values.get(found.pattern().as_usize()) else {
                continue;
            };
            let apart =
                |span: &Span| span.range.end <= range.start || span.range.start >= range.end;
            if !spans.iter().all(apart) || !stands_alone(text, range.start, range.end) {
                continue;
            }
            let action = action(kind, range.start);
            let replaces = matches!(
                action,
                Action::Mask | Action::Redact | Action::Hash | Action::Surrogate
            );
            if replaces {
                more.push(Span {
                    range,
                    kind: kind.clone(),
                    action,
                    value: value.clone(),
                });
            }
        }
        spans.append(&mut more);
        spans.sort_by_key(|span| span.range.start);
    }
}

/// Not a part of a longer word or number.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).and_then(|t| t.chars().next_back());
    let first = text.get(start..).and_then(|t| t.chars().next());
    let last = text.get(..end).and_then(|t| t.chars().next_back());
    let after = text.get(end..).and_then(|t| t.chars().next());
    let joined = |one: Option<char>, other: Option<char>| {
        matches!((one, other), (Some(one), Some(other))
            if one.is_ascii_alphanumeric() && other.is_ascii_alphanumeric())
    };
    !joined(before, first) && !joined(last, after)
}
