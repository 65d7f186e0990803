//! Values that go over the border between two adjacent text parts of one message: providers join the parts, so a value
//! that is cut there is a value all the same.

use super::Span;
use crate::private::Private;
use std::ops::Range;

/// Where parts meet in their joined text.
pub(super) fn borders(texts: &[&str]) -> Vec<usize> {
    let mut at = 0;
    let ends = texts.iter().map(|text| {
        at += text.len();
        at
    });
    let mut borders: Vec<usize> = ends.collect();
    borders.pop();
    borders
}

/// Whether a range of the joined text lies in more than one part.
pub(super) fn crosses(borders: &[usize], range: &Range<usize>) -> bool {
    let inside = |border: &usize| range.start < *border && *border < range.end;
    borders.iter().any(inside)
}

/// What each part has of the values that cross a border, in ranges of its own.
pub(super) fn shares(texts: &[&str], spans: &[Span]) -> Vec<Vec<Span>> {
    let mut by_part: Vec<Vec<Span>> = texts.iter().map(|_| Vec::new()).collect();
    for span in spans {
        let pieces = pieces(texts, &span.range);
        let blank = |(part, range): &(usize, Range<usize>)| {
            let text = texts.get(*part).copied().unwrap_or_default();
            let outside = [text.get(..range.start), text.get(range.end..)];
            outside.iter().flatten().all(|t| t.trim().is_empty())
        };
        // No provider takes a part without text: the stand-in goes where nothing else would be left. Where that holds
        // for several parts, each piece is a value of its own.
        let mut blanks = pieces.iter().filter(|piece| blank(piece));
        let host = blanks.next().or(pieces.first()).map(|(part, _)| *part);
        let each = blanks.next().is_some();
        for (part, range) in pieces {
            let text = texts.get(part).copied().unwrap_or_default();
            let piece = Private::new(text.get(range.clone()).unwrap_or_default());
            let share = Span {
                range,
                value: if each { piece } else { span.value.clone() },
                is_rest: !each && host != Some(part),
                ..span.clone()
            };
            if let Some(spans) = by_part.get_mut(part) {
                spans.push(share);
            }
        }
    }
    by_part
}

/// The parts that a range of the joined text lies in, with the range in each.
fn pieces(texts: &[&str], range: &Range<usize>) -> Vec<(usize, Range<usize>)> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for (part, text) in texts.iter().enumerate() {
        let end = start + text.len();
        let own = range.start.max(start)..range.end.min(end);
        if !own.is_empty() {
            pieces.push((part, own.start - start..own.end - start));
        }
        start = end;
    }
    pieces
}

/// Findings of one part with its shares of crossing values, which go before what they overlap.
pub(super) fn merged(own: Vec<Span>, crossing: Vec<Span>, text: &str) -> Vec<Span> {
    let mut spans = own;
    for over in &crossing {
        spans = spans
            .into_iter()
            .flat_map(|span| without(span, &over.range, text))
            .collect();
    }
    spans.extend(crossing);
    spans.sort_by_key(|span| span.range.start);
    spans
}

/// What of a finding lies outside a range.
fn without(span: Span, over: &Range<usize>, text: &str) -> Vec<Span> {
    let Range { start, end } = span.range;
    if over.end <= start || end <= over.start {
        return vec![span];
    }
    let outside = [start..over.start, over.end..end].into_iter();
    let left = outside.filter(|range| range.start < range.end);
    left.filter_map(|range| {
        let value = text.get(range.clone()).filter(|t| !t.trim().is_empty())?;
        let value = Private::new(value);
        Some(Span {
            range,
            value,
            ..span.clone()
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::entity::EntityKind;
    use crate::policy::Action;

    fn span(range: Range<usize>) -> Span {
        Span {
            range,
            kind: EntityKind::Email,
            action: Action::Mask,
            value: Private::new("ada@example.org"),
            is_rest: false,
        }
    }

    fn shown(by_part: &[Vec<Span>]) -> Vec<(usize, Range<usize>, bool)> {
        let each = |(part, spans): (usize, &Vec<Span>)| {
            let one = |span: &Span| (part, span.range.clone(), span.is_rest);
            spans.iter().map(one).collect::<Vec<_>>()
        };
        by_part.iter().enumerate().flat_map(each).collect()
    }

    #[test]
    fn the_stand_in_goes_where_a_part_would_be_blank() {
        let both = ["to ada@exam", "ple.org now"];
        assert_eq!(borders(&both), [11]);
        let expected = [(0, 3..11, false), (1, 0..7, true)];
        assert_eq!(shown(&shares(&both, &[span(3..18)])), expected);
        let second = ["to ada@exam", "ple.org "];
        let expected = [(0, 3..11, true), (1, 0..7, false)];
        assert_eq!(shown(&shares(&second, &[span(3..18)])), expected);
        let all = ["ada@", "exam", "ple.org"];
        let expected = [(0, 0..4, false), (1, 0..4, false), (2, 0..7, false)];
        assert_eq!(shown(&shares(&all, &[span(0..15)])), expected);
    }

    #[test]
    fn what_a_part_finds_beside_stays_masked() {
        let crossing = vec![span(0..2), span(7..9)];
        let spans = merged(vec![span(0..9)], crossing, "abc ada@ex");
        let ranges: Vec<Range<usize>> = spans.iter().map(|span| span.range.clone()).collect();
        assert_eq!(ranges, [0..2, 2..7, 7..9]);
    }
}
