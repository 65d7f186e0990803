//! One answer from many findings.
//!
//! Order: evidence ([`Strength`](super::entity::Strength)), then score, then length. A weaker
//! finding that overlaps a stronger one keeps what sticks out; only what lies inside vanishes.
//! Two readings of the same address or secret become one.
//! Nothing that any finding covers is lost for masking, except rests of numbers too short to
//! mean anything.

use std::collections::BTreeMap;
use std::ops::Range;

use super::entity::{Entity, EntityKind};

/// Rests of numbers shorter than this are the other reading of the same digits.
const NUMBER_REST_MIN: usize = 6;

/// Sorted, not overlapping.
pub(super) fn resolve(text: &str, mut found: Vec<Entity>) -> Vec<Entity> {
    found.sort_by(|a, b| {
        b.strength
            .cmp(&a.strength)
            .then(b.score.total_cmp(&a.score))
            .then(b.range.len().cmp(&a.range.len()))
            .then(a.range.start.cmp(&b.range.start))
            .then(a.kind.cmp(&b.kind))
    });
    let mut kept: BTreeMap<usize, Entity> = BTreeMap::new();
    for entity in found {
        if let Some(start) = same_text(&kept, &entity) {
            if let Some(mut earlier) = kept.remove(&start) {
                earlier.range = earlier.range.start.min(entity.range.start)
                    ..earlier.range.end.max(entity.range.end);
                kept.insert(earlier.range.start, earlier);
            }
            continue;
        }
        for piece in uncovered(&kept, &entity.range) {
            let whole = piece == entity.range;
            let piece = if whole { piece } else { trimmed(text, piece) };
            if !piece.is_empty() && (whole || is_worth(text, &piece, &entity.kind)) {
                kept.insert(
                    piece.start,
                    Entity {
                        range: piece,
                        ..entity.clone()
                    },
                );
            }
        }
    }
    kept.into_values().collect()
}

/// The kept finding of the same free-text kind that this one can be joined with: the only one
/// it overlaps. Two readings of one address are one address.
fn same_text(kept: &BTreeMap<usize, Entity>, entity: &Entity) -> Option<usize> {
    if !matches!(entity.kind, EntityKind::Address | EntityKind::Secret) {
        return None;
    }
    let earlier = kept
        .range(..entity.range.start)
        .next_back()
        .filter(|(_, kept)| kept.range.end > entity.range.start);
    let mut overlapping = earlier.into_iter().chain(kept.range(entity.range.clone()));
    let (start, first) = overlapping.next()?;
    (overlapping.next().is_none() && first.kind == entity.kind).then_some(*start)
}

/// Parts of a range that no kept finding covers.
fn uncovered(kept: &BTreeMap<usize, Entity>, range: &Range<usize>) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut from = range.start;
    if let Some((_, earlier)) = kept.range(..range.start).next_back() {
        from = from.max(earlier.range.end);
    }
    for (&start, entity) in kept.range(range.start..range.end) {
        if from < start {
            pieces.push(from..start);
        }
        from = from.max(entity.range.end);
    }
    if from < range.end {
        pieces.push(from..range.end);
    }
    pieces
}

/// A rest without the punctuation and spaces at its ends.
fn trimmed(text: &str, piece: Range<usize>) -> Range<usize> {
    let part = text.get(piece.clone()).unwrap_or_default();
    let inner = part.trim_start_matches(|c: char| !c.is_alphanumeric());
    let start = piece.start + (part.len() - inner.len());
    let inner = inner.trim_end_matches(|c: char| !c.is_alphanumeric());
    start..start + inner.len()
}

fn is_worth(text: &str, piece: &Range<usize>, kind: &EntityKind) -> bool {
    let part = text.get(piece.clone()).unwrap_or_default();
    let signs = part.chars().filter(|c| c.is_alphanumeric()).count();
    match kind {
        EntityKind::Person
        | EntityKind::Location
        | EntityKind::Organization
        | EntityKind::Address => signs >= 2,
        EntityKind::Secret | EntityKind::UrlCredentials | EntityKind::Custom(_) => signs >= 2,
        _ => signs >= NUMBER_REST_MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::super::entity::Strength;
    use super::*;
    use proptest::prelude::*;

    fn entity(range: Range<usize>, strength: Strength) -> Entity {
        Entity::new(range, EntityKind::Person, strength, 0.5)
    }

    #[track_caller]
    fn check(found: &[(Range<usize>, Strength)], expected: &[(Range<usize>, Strength)]) {
        let found = found
            .iter()
            .map(|(range, strength)| entity(range.clone(), *strength))
            .collect();
        let kept = resolve("abcdefghijklmnopqrstuvwxyz", found);
        let kept: Vec<_> = kept
            .into_iter()
            .map(|entity| (entity.range, entity.strength))
            .collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_stronger_keeps_its_span() {
        check(
            &[(0..9, Strength::Name), (3..9, Strength::Checksum)],
            &[(0..3, Strength::Name), (3..9, Strength::Checksum)],
        );
        check(
            &[(3..9, Strength::Name), (0..20, Strength::Checksum)],
            &[(0..20, Strength::Checksum)],
        );
        check(
            &[(0..20, Strength::Name), (5..9, Strength::Secret)],
            &[
                (0..5, Strength::Name),
                (5..9, Strength::Secret),
                (9..20, Strength::Name),
            ],
        );
        check(
            &[(2..9, Strength::Pattern), (2..9, Strength::Context)],
            &[(2..9, Strength::Context)],
        );
    }

    proptest! {
        #[test]
        fn results_do_not_overlap_and_cover_what_was_found(
            spans in prop::collection::vec((0usize..20, 1usize..7, 0u8..5), 0..12),
        ) {
            let strengths = [Strength::Pattern, Strength::Name, Strength::Context, Strength::Secret, Strength::Checksum];
            let found: Vec<Entity> = spans
                .iter()
                .map(|&(start, len, strength)| entity(start..start + len, strengths[usize::from(strength)]))
                .collect();
            let kept = resolve("abcdefghijklmnopqrstuvwxyz", found.clone());
            for pair in kept.windows(2) {
                prop_assert!(pair[0].range.end <= pair[1].range.start);
            }
            for place in 0..26 {
                let before = found.iter().any(|entity| entity.range.contains(&place));
                let after = kept.iter().any(|entity| entity.range.contains(&place));
                // A rest of a single letter may go.
                prop_assert!(!after || before);
                let next = found.iter().filter(|entity| entity.range.contains(&place)).all(|e| e.range.len() > 1);
                let strongest = found.iter().map(|entity| entity.strength).max();
                let top = found.iter().any(|e| e.range.contains(&place) && Some(e.strength) == strongest && e.score >= 0.5);
                prop_assert!(!(before && next && top && !after) || kept.iter().any(|e| e.range.end == place || e.range.start == place + 1));
            }
        }
    }
}
