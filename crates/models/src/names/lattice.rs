//! The best chain of tags, and how sure it is of each name.

use super::feature::Run;
use super::{KINDS, Name, OUTSIDE, TAGS, Weights, Word, tag};

/// Units of each tag for one word.
type Column = [i32; TAGS];

/// Low enough to be no tag, far enough from the end of the numbers.
const NEVER: i32 = i32::MIN / 4;

/// Appends the names of one run to `out`.
pub(super) fn find(weights: &Weights, words: &[Word<'_>], out: &mut Vec<Name>) {
    let run = Run::new(words);
    let plain: Vec<Column> = (0..run.len())
        .map(|index| units(weights, &run, index))
        .collect();
    let leaned: Vec<Column> = plain.iter().map(|column| lean(weights, column)).collect();
    let follows = follows(weights);
    let tags = viterbi(&follows, &leaned);
    let from = out.len();
    spans(&tags, out);
    if out.len() > from {
        let sure = certainty(&follows, &plain);
        for name in out.iter_mut().skip(from) {
            let least = sure
                .get(name.words.clone())
                .unwrap_or_default()
                .iter()
                .min();
            name.score = logistic(least.copied().unwrap_or(0), weights.nat);
        }
    }
}

/// Sum of the weights of all features of a word.
fn units(weights: &Weights, run: &Run, index: usize) -> Column {
    let mut column = [0; TAGS];
    run.each(index, |feature| {
        if let Some(row) = weights.row(feature) {
            for (sum, weight) in column.iter_mut().zip(row) {
                *sum += i32::from(*weight);
            }
        }
    });
    column
}

fn lean(weights: &Weights, column: &Column) -> Column {
    let mut column = *column;
    for (kind, lean) in KINDS.into_iter().zip(weights.lean) {
        if let Some(units) = column.get_mut(tag(kind, true)) {
            *units += i32::from(lean);
        }
    }
    column
}

/// Whether a name can go on so: an inside tag follows the tags of its own kind only.
const fn allowed(before: usize, next: usize) -> bool {
    next == OUTSIDE || next.is_multiple_of(2) || before == next || before + 1 == next
}

/// Units of tags that follow each other, `[tag][before]`; ways that do not exist are [`NEVER`].
type Follows = [Column; TAGS];

fn follows(weights: &Weights) -> Follows {
    let mut follows = [[NEVER; TAGS]; TAGS];
    for (before, row) in weights.follows.iter().enumerate() {
        for ((next, units), to) in row.iter().enumerate().zip(&mut follows) {
            if let Some(slot) = to.get_mut(before)
                && allowed(before, next)
            {
                *slot = i32::from(*units);
            }
        }
    }
    follows
}

/// The best way to each tag of the next word, without that word's own units: units and the tag before.
fn advance(follows: &Follows, so_far: &Column) -> [(i32, usize); TAGS] {
    follows.map(|ways| {
        let mut best = (i32::MIN, OUTSIDE);
        for (before, (units, way)) in so_far.iter().zip(ways).enumerate() {
            let sum = units.saturating_add(way);
            // Of equals the last one, so that a tie is no name.
            best = if sum >= best.0 { (sum, before) } else { best };
        }
        best
    })
}

/// Before the first word there is no name.
const fn start() -> Column {
    let mut column = [NEVER; TAGS];
    column[OUTSIDE] = 0;
    column
}

/// The best chain. Ways are never lost to overflow: a run has [`super::RUN_WORDS_MAX`] words of at most 2^16 units each.
fn viterbi(follows: &Follows, columns: &[Column]) -> Vec<usize> {
    let mut so_far = start();
    let mut ways = Vec::with_capacity(columns.len());
    for column in columns {
        let best = advance(follows, &so_far);
        let mut next = best.map(|(units, _)| units);
        add(&mut next, column);
        let from = best.map(|(_, before)| before);
        ways.push(from);
        so_far = next;
    }
    let last = so_far.iter().enumerate().max_by_key(|(_, units)| **units);
    let mut tag = last.map_or(OUTSIDE, |(tag, _)| tag);
    let mut tags = vec![OUTSIDE; columns.len()];
    for (slot, from) in tags.iter_mut().zip(&ways).rev() {
        *slot = tag;
        tag = from.get(tag).copied().unwrap_or(OUTSIDE);
    }
    tags
}

/// For each word: units of the best chain that has it in a name, less those of the best one that has not.
fn certainty(follows: &Follows, columns: &[Column]) -> Vec<i32> {
    let mut so_far = start();
    let mut ahead = Vec::with_capacity(columns.len());
    for column in columns {
        let mut next = advance(follows, &so_far).map(|(units, _)| units);
        add(&mut next, column);
        ahead.push(next);
        so_far = next;
    }
    let mut behind = [0; TAGS];
    let mut sure = vec![0; columns.len()];
    for ((slot, ahead), column) in sure.iter_mut().zip(&ahead).zip(columns).rev() {
        let whole = |tag: usize| {
            let (front, back) = (ahead.get(tag), behind.get(tag));
            front
                .zip(back)
                .map_or(NEVER, |(front, back): (&i32, &i32)| {
                    front.saturating_add(*back)
                })
        };
        let named = (0..OUTSIDE).map(whole).max().unwrap_or(NEVER);
        *slot = named.saturating_sub(whole(OUTSIDE));
        behind = retreat(follows, &behind, column);
    }
    sure
}

/// The best way from each tag over the word of this column to the end.
fn retreat(follows: &Follows, behind: &Column, column: &Column) -> Column {
    let mut rest = *behind;
    add(&mut rest, column);
    let mut before = [NEVER; TAGS];
    for (ways, units) in follows.iter().zip(rest) {
        for (best, way) in before.iter_mut().zip(ways) {
            *best = (*best).max(units.saturating_add(*way));
        }
    }
    before
}

fn add(sums: &mut Column, units: &Column) {
    for (sum, units) in sums.iter_mut().zip(units) {
        *sum = sum.saturating_add(*units);
    }
}

fn logistic(units: i32, nat: u16) -> f32 {
    // Beyond 20 nats the result is 0 or 1 anyway; within, the cast loses nothing.
    let bound = i32::from(nat) * 20;
    let clamped = i16::try_from(units.clamp(-bound, bound)).unwrap_or(i16::MAX);
    let nats = f32::from(clamped) / f32::from(nat);
    1.0 / (1.0 + (-nats).exp())
}

/// Names by their tags.
fn spans(tags: &[usize], out: &mut Vec<Name>) {
    let mut index = 0;
    while let Some(first) = tags.get(index) {
        let from = index;
        index += 1;
        let Some(kind) = KINDS.into_iter().find(|kind| tag(*kind, true) == *first) else {
            continue;
        };
        while tags.get(index) == Some(&tag(kind, false)) {
            index += 1;
        }
        out.push(Name {
            words: from..index,
            kind,
            score: 0.0,
        });
    }
}
