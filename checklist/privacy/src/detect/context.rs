//! What stands around a value: words before and after, the JSON key, the table header.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};

use super::Hint;
use super::bytes::{at, before, cut};
use super::table::Tables;
use super::words::{Topic, WORDS};

/// How far before a value a word may end, in bytes. Labels such as
/// "social security number of the applicant is" are about this long.
const REACH_BEFORE: usize = 48;
/// How far after a value a word may start: "123-45-6789 (SSN)".
const REACH_AFTER: usize = 24;

/// A known word in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub start: usize,
    pub end: usize,
    /// Set of [`Topic::bit`].
    pub topics: u64,
    pub word: &'static str,
}

/// A word that names a value, and how far away it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    pub word: &'static str,
    /// Bytes between word and value, with a surcharge for weaker places.
    pub distance: usize,
    /// The word stands behind the value.
    pub after: bool,
}

impl Near {
    /// How much a name at this distance adds to a score, `0.0..=0.4`.
    pub(super) fn bonus(self) -> f32 {
        let distance = u16::try_from(self.distance.min(90)).unwrap_or(90);
        0.4 * (1.0 - f32::from(distance) / 100.0)
    }
}

/// The automaton over all context words; built once.
#[derive(Debug)]
pub(super) struct Words {
    automaton: AhoCorasick,
    /// Topics and spelling, by pattern.
    entries: Vec<(u64, &'static str)>,
}

impl Words {
    pub(super) fn new() -> Result<Self, BuildError> {
        let mut merged: HashMap<String, (u64, &'static str)> = HashMap::new();
        for (topic, list) in WORDS {
            for word in list.split('|') {
                for spelling in spellings(word) {
                    merged.entry(spelling).or_insert((0, word)).0 |= topic.bit();
                }
            }
        }
        let mut sorted: Vec<_> = merged.into_iter().collect();
        sorted.sort();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::DFA))
            .build(sorted.iter().map(|(spelling, _)| spelling))?;
        let entries = sorted.into_iter().map(|(_, entry)| entry).collect();
        Ok(Self { automaton, entries })
    }

    /// All words of the text that stand on their own, in order.
    pub(super) fn find(&self, bytes: &[u8], hits: &mut Vec<Hit>) {
        for found in self.automaton.find_iter(bytes) {
            let Some(&(topics, word)) = self.entries.get(found.pattern().as_usize()) else {
                continue;
            };
            if stands_alone(bytes, found.range()) {
                hits.push(Hit {
                    start: found.start(),
                    end: found.end(),
                    topics,
                    word,
                });
            }
        }
    }

    /// Topics of a key such as `customerSsn` or `date_of_birth`.
    pub(super) fn key(&self, key: &str) -> Option<Hit> {
        let mut hits = Vec::new();
        self.find(key.as_bytes(), &mut hits);
        let topics = hits.iter().fold(0, |topics, hit| topics | hit.topics);
        hits.last().map(|hit| Hit { topics, ..*hit })
    }
}

/// The automaton folds ASCII case only: words of other scripts are listed capitalised and in
/// upper case too, and spaces of labels also as `_` and `-`.
fn spellings(word: &str) -> Vec<String> {
    let mut all = vec![word.to_owned()];
    if !word.is_ascii() {
        let mut letters = word.chars();
        let capital: String = letters
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .chain(letters)
            .collect();
        all.extend([capital, word.to_uppercase()]);
    }
    if word.is_ascii() && word.contains(' ') {
        all.extend([
            word.replace(' ', "_"),
            word.replace(' ', "-"),
            word.replace(' ', ""),
        ]);
    }
    all.sort();
    all.dedup();
    all
}

/// Whether a word is not part of a longer one. `camelCase` and `_` part words; letters of
/// other scripts are not looked at, they may carry endings or follow without a space.
fn stands_alone(bytes: &[u8], range: Range<usize>) -> bool {
    let (first, last) = (at(bytes, range.start), before(bytes, range.end));
    let (left, right) = (before(bytes, range.start), at(bytes, range.end));
    let left_open = left.is_ascii_alphabetic()
        && first.is_ascii_alphabetic()
        && !(left.is_ascii_lowercase() && first.is_ascii_uppercase());
    let right_open = right.is_ascii_alphabetic()
        && last.is_ascii_alphabetic()
        && !(last.is_ascii_lowercase() && right.is_ascii_uppercase());
    // Two-byte letters of Latin script continue a word of Latin script.
    let accent_left = (0x80..0xC0).contains(&left)
        && first.is_ascii_alphabetic()
        && latin_before(bytes, range.start);
    let accent_right = (0xC3..=0xC5).contains(&right) && last.is_ascii_alphabetic();
    !(left_open || right_open || accent_left || accent_right)
}

fn latin_before(bytes: &[u8], index: usize) -> bool {
    index
        .checked_sub(2)
        .is_some_and(|i| (0xC3..=0xC5).contains(&at(bytes, i)))
}

/// One text under inspection: the bytes and everything known about their surroundings.
pub(super) struct Scan<'t> {
    pub text: &'t str,
    pub bytes: &'t [u8],
    /// Sorted by start, not overlapping.
    pub hits: Vec<Hit>,
    /// What the JSON key of the text says.
    pub key: Option<Hit>,
    pub in_code: bool,
    /// Union of the topics of all hits and of the key.
    present: u64,
    tables: OnceCell<Tables>,
}

/// A table cell under a header with a known word.
pub(super) struct Cell {
    pub range: Range<usize>,
    pub header: Hit,
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str, words: &Words, hint: Hint<'_>) -> Self {
        let mut hits = Vec::new();
        words.find(text.as_bytes(), &mut hits);
        let key = hint.json_key.and_then(|key| words.key(key));
        let present = hits
            .iter()
            .chain(&key)
            .fold(0, |topics, hit| topics | hit.topics);
        let tables = OnceCell::new();
        Self {
            text,
            bytes: text.as_bytes(),
            hits,
            key,
            in_code: hint.in_code,
            present,
            tables,
        }
    }

    /// Whether any word of a topic is in the text or its key.
    pub(super) fn has(&self, topic: Topic) -> bool {
        self.present & topic.bit() != 0
    }

    /// The nearest word of a topic that can belong to the value at `range`.
    pub(super) fn near(&self, range: &Range<usize>, topic: Topic) -> Option<Near> {
        self.near_any(range, topic.bit())
    }

    /// As [`Self::near`], for a set of topics.
    pub(super) fn near_any(&self, range: &Range<usize>, topics: u64) -> Option<Near> {
        if self.present & topics == 0 {
            return None;
        }
        let key = self.key.filter(|hit| hit.topics & topics != 0);
        let key = key.map(|hit| Near {
            word: hit.word,
            distance: 2,
            after: false,
        });
        let choices = [
            self.label_before(range, topics),
            self.label_after(range, topics),
            key,
        ];
        let nearest = choices
            .into_iter()
            .flatten()
            .min_by_key(|near| near.distance);
        // Only a label right beside the value says more than the head of its column.
        match nearest {
            Some(near) if near.distance <= 8 => Some(near),
            _ => self.header(range, topics).or(nearest),
        }
    }

    /// The word directly before a value, of any topic, with nothing but label punctuation
    /// between.
    pub(super) fn label(&self, start: usize) -> Option<&Hit> {
        let hit = self.hits_before(start).next()?;
        let gap = cut(self.bytes, hit.end..start);
        let linking = gap.len() <= 16
            && gap
                .iter()
                .all(|b| !b.is_ascii_digit() && !b"\n;".contains(b));
        let quiet = gap.iter().filter(|b| b.is_ascii_alphabetic()).count() <= 7;
        (linking && quiet).then_some(hit)
    }

    /// Whether the value at `start` is named as something that is no personal data.
    pub(super) fn is_thing(&self, start: usize) -> bool {
        let noise = Topic::Thing.bit() | Topic::Amount.bit();
        if matches!(before(self.bytes, start), b'#' | b'$') {
            return true;
        }
        if self.key.is_some_and(|hit| hit.topics & !noise == 0) && self.label(start).is_none() {
            return true;
        }
        self.label(start)
            .is_some_and(|hit| hit.topics & noise != 0 && hit.topics & !noise == 0)
    }

    /// Where the last word of a topic within 80 bytes before `start` ends; 0 if there is none.
    pub(super) fn last_label(&self, start: usize, topic: Topic) -> usize {
        let mut reachable = self
            .hits_before(start)
            .take_while(|hit| start - hit.end <= 80);
        reachable
            .find(|hit| hit.topics & topic.bit() != 0)
            .map_or(0, |hit| hit.end)
    }

    fn hits_before(&self, start: usize) -> impl Iterator<Item = &Hit> {
        let count = self.hits.partition_point(|hit| hit.end <= start);
        self.hits.get(..count).unwrap_or_default().iter().rev()
    }

    fn label_before(&self, range: &Range<usize>, topics: u64) -> Option<Near> {
        let reachable = self
            .hits_before(range.start)
            .take_while(|hit| range.start - hit.end <= REACH_BEFORE);
        let mut named_otherwise = 0;
        for hit in reachable {
            if hit.topics & topics != 0 {
                let gap = cut(self.bytes, hit.end..range.start);
                let lines = if memchr::memchr(b'\n', gap).is_some() {
                    8
                } else {
                    0
                };
                // With another number in between, the word more likely names that one.
                let other = if gap.iter().any(u8::is_ascii_digit) {
                    30
                } else {
                    0
                };
                let distance = gap.len() + lines + other + named_otherwise;
                return Some(Near {
                    word: hit.word,
                    distance,
                    after: false,
                });
            }
            // Each other label in between makes it less likely that this one is meant.
            named_otherwise += 6;
        }
        None
    }

    fn label_after(&self, range: &Range<usize>, topics: u64) -> Option<Near> {
        let first = self.hits.partition_point(|hit| hit.start < range.end);
        let rest = self.hits.get(first..).unwrap_or_default().iter();
        let hit = rest
            .take_while(|hit| hit.start - range.end <= REACH_AFTER)
            .find(|hit| hit.topics & topics != 0)?;
        let gap = cut(self.bytes, range.end..hit.start);
        let other_line = gap.iter().any(|b| b"\n,.;".contains(b));
        // A word after a value more often belongs to the next value: "(SSN)" is the exception.
        (!other_line).then_some(Near {
            word: hit.word,
            distance: gap.len() + 12,
            after: true,
        })
    }

    /// The word in the head of the column that the value stands in.
    fn header(&self, range: &Range<usize>, topics: u64) -> Option<Near> {
        let tables = self.tables.get_or_init(|| Tables::new(self.bytes));
        let cell = tables.header_cell(self.bytes, range.start)?;
        let first = self.hits.partition_point(|hit| hit.start < cell.start);
        let in_cell = self.hits.get(first..).unwrap_or_default().iter();
        in_cell
            .take_while(|hit| hit.end <= cell.end)
            .find(|hit| hit.topics & topics != 0)
            .map(|hit| Near {
                word: hit.word,
                distance: 4,
                after: false,
            })
    }

    /// All table cells under headers with a word of the topics.
    pub(super) fn cells_under(&self, topics: u64) -> Vec<Cell> {
        if self.present & topics == 0 || memchr::memchr(b'\n', self.bytes).is_none() {
            return Vec::new();
        }
        let tables = self.tables.get_or_init(|| Tables::new(self.bytes));
        let named = self.hits.iter().filter(|hit| hit.topics & topics != 0);
        let cells = named.flat_map(|hit| {
            tables
                .column(self.bytes, hit.start)
                .into_iter()
                .map(|range| Cell {
                    range,
                    header: *hit,
                })
        });
        cells.collect()
    }
}
