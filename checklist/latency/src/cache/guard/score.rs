//! What is neither refused nor plain, weighed: a logistic regression over a few facts of a pair.

use super::veto::{Pair, share};

/// Facts that are weighed.
pub const FACTS: usize = 15;

/// Their names, in order.
pub const NAMES: [&str; FACTS] = [
    "cosine",
    "frame",
    "lone_less",
    "lone_more",
    "names_one",
    "numbers_one",
    "asks_differ",
    "asks_less",
    "asks_reason",
    "asks_how",
    "inversions",
    "covered",
    "units_one",
    "yes_no",
    "yes_no_asks",
];

/// Fitted on `data/pairs/tuned.jsonl` by `train/guard_fit.py 0.047`.
const WEIGHTS: [f32; FACTS] = [
    13.624, -5.378, -0.130, -0.198, -0.536, 0.963, -1.184, -0.848, -1.406, 0.883, -0.235, -1.802,
    0.929, -1.539, -1.854,
];

const BIAS: f32 = -5.081;

/// The bit of questions for a way to do something, which a yes or no may ask for as well.
const HOW: u16 = 1 << 8;

/// Facts of a pair; its order does not matter.
pub fn evidence(pair: &Pair<'_>, cosine: f32) -> [f32; FACTS] {
    let (one, other) = (pair.one, pair.other);
    let content = |words: &[super::Word]| words.iter().filter(|word| word.content).count();
    let all = content(&one.words) + content(&other.words);
    let (ones, others) = (pair.lone.0.len(), pair.lone.1.len());
    let names = |words: &[&super::Word]| words.iter().any(|word| word.capital);
    let asks = one.asks ^ other.asks;
    let shared = one.asks & other.asks;
    let bit = |at: u16| flag(asks & (1 << at) != 0);
    let both = one.asks != 0 && other.asks != 0;
    let opening = |of: &super::Features| {
        of.words.first().is_some_and(|word| {
            [
                "is", "are", "do", "does", "did", "can", "may", "will", "was", "should", "must",
            ]
            .contains(&word.own.as_str())
        })
    };
    [
        cosine,
        pair.frame(),
        count(ones.min(others)),
        count(ones.max(others)),
        flag(names(&pair.lone.0) != names(&pair.lone.1)),
        flag(one.numbers.is_empty() != other.numbers.is_empty()),
        flag(both && shared == 0),
        flag(asks != 0),
        bit(4),
        bit(8),
        count(pair.inversions().min(3)),
        1.0 - share(ones + others, all),
        flag(one.units != other.units || one.dates != other.dates),
        flag(opening(one) != opening(other)),
        flag(
            (opening(one) && !opening(other) && other.asks & !one.asks & !HOW != 0)
                || (opening(other) && !opening(one) && one.asks & !other.asks & !HOW != 0),
        ),
    ]
}

fn flag(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

fn count(words: usize) -> f32 {
    f32::from(u8::try_from(words.min(6)).unwrap_or(6))
}

/// 0 to 1; weights and bias are laid so that the strict threshold is 0.90.
pub fn score(evidence: &[f32; FACTS]) -> f32 {
    let sum: f32 = evidence
        .iter()
        .zip(WEIGHTS)
        .map(|(fact, weight)| fact * weight)
        .sum();
    let chance = 1.0 / (1.0 + (-(sum + BIAS)).exp());
    chance.min(0.97)
}
