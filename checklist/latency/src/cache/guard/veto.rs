//! Reasons for which two questions cannot have the same answer.

use super::lexicon::LEXICON;
use super::normal::Word;
use super::{Features, alike};

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Veto {
    /// Numbers on both sides that are not the same.
    Number,
    /// Units that are not the same.
    Unit,
    /// Weekdays, months or seasons that are not the same.
    Date,
    /// A version, a name of a file, an address or a placeholder that only one has.
    Code,
    /// One says what the other denies.
    Polarity,
    /// Two words changed places, or `from` became `to`.
    Order,
    /// A name for another.
    Name,
    /// One word for another in the same sentence.
    Slot,
}

impl Veto {
    /// In answers and counts.
    pub fn name(self) -> &'static str {
        match self {
            Veto::Number => "number",
            Veto::Unit => "unit",
            Veto::Date => "date",
            Veto::Code => "code",
            Veto::Polarity => "polarity",
            Veto::Order => "order",
            Veto::Name => "name",
            Veto::Slot => "slot",
        }
    }
}

/// Two questions laid side by side.
#[derive(Debug)]
pub struct Pair<'a> {
    pub(super) one: &'a Features,
    pub(super) other: &'a Features,
    /// Places of words that match: each word at most once.
    pub(super) matched: Vec<(usize, usize)>,
    /// Content words of one and of the other without a match.
    pub(super) lone: (Vec<&'a Word>, Vec<&'a Word>),
}

impl<'a> Pair<'a> {
    /// Matches the words of two questions.
    pub fn of(one: &'a Features, other: &'a Features) -> Self {
        let (one, other) = if key(one) <= key(other) {
            (one, other)
        } else {
            (other, one)
        };
        let mut taken = vec![false; other.words.len()];
        let mut matched = Vec::new();
        let mut lone = Vec::new();
        let tests: [fn(&Word, &Word) -> bool; 2] = [|a, b| a.own == b.own, alike];
        let mut open: Vec<usize> = (0..one.words.len()).collect();
        for test in tests {
            open.retain(|at| {
                let Some(word) = one.words.get(*at) else {
                    return false;
                };
                let found = other.words.iter().enumerate().find(|(place, candidate)| {
                    taken.get(*place) == Some(&false)
                        && (word.content == candidate.content)
                        && test(word, candidate)
                });
                let Some((place, _)) = found else { return true };
                if let Some(slot) = taken.get_mut(place) {
                    *slot = true;
                }
                matched.push((*at, place));
                false
            });
        }
        lone.extend(
            open.iter()
                .filter_map(|at| one.words.get(*at))
                .filter(|word| word.content),
        );
        let rest = other.words.iter().zip(&taken);
        let rest = rest
            .filter(|(word, taken)| word.content && !**taken)
            .map(|(word, _)| word);
        matched.sort_unstable();
        Pair {
            one,
            other,
            matched,
            lone: (lone, rest.collect()),
        }
    }

    /// The first reason that holds.
    pub fn veto(&self) -> Option<Veto> {
        let (one, other) = (self.one, self.other);
        let tests = [
            (Veto::Code, one.codes != other.codes),
            (Veto::Number, differ(&one.numbers, &other.numbers)),
            (Veto::Unit, each_lacks(&one.units, &other.units)),
            (Veto::Date, differ(&one.dates, &other.dates)),
            (Veto::Polarity, self.polarity() % 2 == 1),
            (
                Veto::Order,
                self.turned() || self.direction() || self.passive(),
            ),
            (Veto::Name, self.names()),
            (Veto::Slot, self.slot()),
        ];
        tests
            .into_iter()
            .find(|(_, holds)| *holds)
            .map(|(veto, _)| veto)
    }

    /// Whether nothing that is asked differs: greetings, articles, case, one slip of the pen.
    pub fn is_light(&self) -> bool {
        let (ones, others) = (said(self.one), said(self.other));
        let same = |(a, b): &(&&Word, &&Word)| a.text == b.text;
        let changed = || ones.iter().zip(&others).filter(|pair| !same(pair));
        !ones.is_empty()
            && ones.len() == others.len()
            && self.one.codes == self.other.codes
            && self.one.numbers == self.other.numbers
            && changed().count() <= 1
            && changed().all(|(a, b)| super::slipped(a, b))
    }

    fn polarity(&self) -> usize {
        let negations = self.one.negations.abs_diff(self.other.negations);
        usize::from(negations) + usize::from(self.opposites())
    }

    /// Whether a word of one has its opposite in the other, neither being in both.
    fn opposites(&self) -> bool {
        let missing = |from: &'a Features, to: &Features| -> Vec<&'a Word> {
            let held = |word: &Word| to.words.iter().any(|w| w.own == word.own);
            from.words.iter().filter(|word| !held(word)).collect()
        };
        let ones = missing(self.one, self.other);
        let others = missing(self.other, self.one);
        ones.iter().any(|a| {
            others
                .iter()
                .any(|b| LEXICON.opposite(&a.own, &b.own) || LEXICON.opposite(&a.stem, &b.stem))
        })
    }

    /// Pairs of content words whose order is not the same.
    pub(super) fn inversions(&self) -> usize {
        let content = |at: usize| self.one.words.get(at).is_some_and(|word| word.content);
        let places: Vec<usize> = self
            .matched
            .iter()
            .filter(|(a, _)| content(*a))
            .map(|(_, b)| *b)
            .collect();
        let later = |at: usize| places.get(at + 1..).unwrap_or_default();
        places
            .iter()
            .enumerate()
            .map(|(at, place)| later(at).iter().filter(|l| *l < place).count())
            .sum()
    }

    /// Two words stand in each other's place, each beside what stood beside the other.
    fn turned(&self) -> bool {
        let word = |words: &'a [Word], at: usize| words.get(at).map(|word| word.own.as_str());
        let (ones, others) = (self.one.words.as_slice(), self.other.words.as_slice());
        let even = ["between", "and", "or", "difference", "vs"];
        let symmetric = |words: &[Word]| words.iter().any(|w| even.contains(&w.own.as_str()));
        if symmetric(ones) && symmetric(others) {
            return false;
        }
        let article = |at: &usize, words: &[Word]| {
            let found = words.get(*at).map(|word| word.text.as_str());
            found.is_some_and(|text| ["a", "an", "the"].contains(&text))
        };
        let ahead = |at: usize, words: &'a [Word]| {
            let before = (0..at).rev().find(|place| !article(place, words));
            before.and_then(|place| word(words, place))
        };
        let near = |a: usize, b: usize| {
            let before = ahead(a, ones);
            let after = word(ones, a + 1);
            (before.is_some() && before == ahead(b, others))
                || (after.is_some() && after == word(others, b + 1))
        };
        let spoken = |at: usize| {
            ones.get(at)
                .is_some_and(|w| w.content || ["i", "me", "my"].contains(&w.own.as_str()))
        };
        let crossing = self.matched.iter().enumerate();
        let mut pairs = crossing.flat_map(|(at, first)| {
            self.matched
                .get(at + 1..)
                .unwrap_or_default()
                .iter()
                .map(move |second| (first, second))
        });
        pairs.any(|((i, k), (j, l))| {
            k > l && spoken(*i) && spoken(*j) && near(*i, *l) && near(*j, *k)
        })
    }

    /// `from X` on one side, `to X` on the other.
    fn direction(&self) -> bool {
        let behind = |of: &'a Features, what: &str| -> Vec<&'a str> {
            let pairs = of.words.windows(2);
            let found = pairs.filter_map(|pair| match pair {
                [before, word] if before.own == what && word.content => Some(word.own.as_str()),
                _ => None,
            });
            found.collect()
        };
        let crosses = |a: &'a Features, b: &'a Features| {
            let (from, to) = (behind(a, "from"), behind(b, "to"));
            let still = behind(b, "from");
            from.iter()
                .any(|word| to.contains(word) && !still.contains(word))
        };
        crosses(self.one, self.other) || crosses(self.other, self.one)
    }

    /// Two names in one order, but `by` stands before the second of one side only.
    fn passive(&self) -> bool {
        let by = |of: &Features| {
            let mut pairs = of.words.windows(2);
            pairs.any(|pair| matches!(pair, [by, name] if by.text == "by" && name.capital))
        };
        by(self.one) != by(self.other)
            && self.inversions() == 0
            && self.lone.0.is_empty()
            && self.lone.1.is_empty()
    }

    fn names(&self) -> bool {
        let names = |words: &[&Word]| words.iter().any(|word| word.capital);
        names(&self.lone.0) && names(&self.lone.1)
    }

    /// One content word for another, all others equal and in order.
    fn slot(&self) -> bool {
        let single = self.lone.0.len() == 1 && self.lone.1.len() == 1;
        single && self.inversions() == 0 && self.frame() >= 0.6
    }

    /// Share of words that both have, 0 to 1.
    pub(super) fn frame(&self) -> f32 {
        let all = self.one.words.len() + self.other.words.len();
        share(2 * self.matched.len(), all)
    }
}

pub(super) fn share(part: usize, all: usize) -> f32 {
    let narrow = |count: usize| f32::from(u16::try_from(count).unwrap_or(u16::MAX));
    if all == 0 {
        0.0
    } else {
        narrow(part) / narrow(all)
    }
}

/// Words without what is only polite, and without articles.
fn said(of: &Features) -> Vec<&Word> {
    let spoken = of
        .words
        .iter()
        .filter(|word| !LEXICON.filler.contains(word.text.as_str()));
    spoken.collect()
}

fn key(of: &Features) -> ([u8; 32], usize) {
    (of.whole, of.words.len())
}

fn differ(one: &[String], other: &[String]) -> bool {
    !one.is_empty() && !other.is_empty() && one != other
}

fn each_lacks(one: &[String], other: &[String]) -> bool {
    one.iter().any(|unit| !other.contains(unit)) && other.iter().any(|unit| !one.contains(unit))
}
