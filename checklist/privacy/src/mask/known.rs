//! Values that were found somewhere in the request, looked for everywhere in it.

use super::Span;
use crate::detect::entity::EntityKind;
use crate::policy::Action;
use crate::private::Private;
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::BTreeMap;

/// Shortest value that is looked for, in characters. Chosen: shorter ones meet unrelated words.
const CHARS_MIN: usize = 4;

/// Values, and a search for all of them at once, in any case.
pub struct Known {
    /// One for all the ways in which it is written in capitals and small letters.
    values: Vec<Vec<(Private, EntityKind)>>,
    search: Option<AhoCorasick>,
}

impl Known {
    /// Of these findings.
    pub fn of<'a>(spans: impl Iterator<Item = &'a Span>) -> Self {
        let mut by_value: BTreeMap<Private, Vec<(Private, EntityKind)>> = BTreeMap::new();
        for span in spans {
            if span.value.chars().count() >= CHARS_MIN {
                let small = Private::new(&span.value.to_ascii_lowercase());
                let forms = by_value.entry(small).or_default();
                if forms.iter().all(|(form, _)| *form != span.value) {
                    forms.push((span.value.clone(), span.kind.clone()));
                }
            }
        }
        let search = (!by_value.is_empty())
            .then(|| {
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .ascii_case_insensitive(true)
                    .build(by_value.keys().map(|value| value.as_bytes()))
                    .ok()
            })
            .flatten();
        let values = by_value.into_values().collect();
        Known { values, search }
    }

    /// The kind of the value that is written like this, if it may be written like this.
    fn kind(&self, pattern: usize, text: &str) -> Option<&EntityKind> {
        let forms = self.values.get(pattern)?;
        let exact = forms.iter().find(|(form, _)| &**form == text);
        let form = exact.or_else(|| forms.first().filter(|(_, kind)| any_case(kind, text)))?;
        Some(&form.1)
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
            let value = text.get(range.clone()).unwrap_or_default();
            let Some(kind) = self.kind(found.pattern().as_usize(), value) else {
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
                    value: Private::new(value),
                    is_rest: false,
                });
            }
        }
        spans.append(&mut more);
        spans.sort_by_key(|span| span.range.start);
    }
}

/// Whether a value is the same in other letters. A single name is not: `Mark` is somebody, `mark` is not.
fn any_case(kind: &EntityKind, text: &str) -> bool {
    match kind {
        EntityKind::Secret
        | EntityKind::UrlCredentials
        | EntityKind::Crypto
        | EntityKind::Custom(_) => false,
        EntityKind::Person | EntityKind::Location | EntityKind::Organization => {
            text.contains(char::is_whitespace)
        }
        _ => true,
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
