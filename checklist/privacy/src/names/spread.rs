//! A person found once is found everywhere in the text.
//!
//! Words of found names are remembered by key, and any capitalised word with such a key is a name too. Names in
//! scripts without blanks are remembered as strings and searched for.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use aho_corasick::{AhoCorasick, MatchKind};

use super::chain::{first_rank, last_rank};
use super::page::Page;
use super::table::role;
use super::token::{Gap, Kind, Token};
use super::{Found, NameKind};

/// Names remembered of one text. Beyond it the text is a directory, where each line has its own evidence.
const WORDS_MAX: usize = 4096;
const STRINGS_MAX: usize = 256;
/// Up to so many names one search each is cheaper than building an automaton.
const SEARCHES_MAX: usize = 12;
/// A weaker finding is not spread: one doubtful word would become many.
const SCORE_MIN: f32 = 0.55;
/// From here on a name is also taken in small letters.
const SURE: f32 = 0.7;

/// The people a text has shown so far.
#[derive(Debug, Default)]
pub struct Known {
    words: HashMap<u64, Word, BuildHasherDefault<AsIs>>,
    strings: Vec<String>,
}

/// Keys are hashes already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[derive(Debug, Clone, Copy)]
struct Word {
    reason: &'static str,
    /// Also a word: not taken where a sentence starts.
    ambiguous: bool,
    /// Sure enough to be taken in small letters too.
    sure: bool,
}

impl Known {
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.strings.is_empty()
    }

    /// Remembers one word by its key, found with this score.
    pub fn add(&mut self, key: u64, roles: u32, score: f32, reason: &'static str) {
        let ambiguous =
            roles & (role::COMMON | role::MAJOR | role::BRAND) != 0 && roles & role::GIVEN == 0;
        if roles & role::STOP == 0 && self.words.len() < WORDS_MAX {
            let sure = score >= SURE;
            self.words
                .entry(key)
                .and_modify(|word| word.sure |= sure)
                .or_insert(Word {
                    reason,
                    ambiguous,
                    sure,
                });
        }
    }

    /// Remembers the people among what was found on a page.
    pub fn learn(&mut self, page: &Page, found: &[Found]) {
        for name in found
            .iter()
            .filter(|name| name.kind == NameKind::Person && name.score >= SCORE_MIN)
        {
            let from = page
                .tokens
                .partition_point(|token| token.start < name.range.start);
            for token in page
                .tokens
                .iter()
                .skip(from)
                .take_while(|token| token.end <= name.range.end)
            {
                self.learn_word(*token, name.score);
            }
            let text = page.text.get(name.range.clone()).unwrap_or_default();
            let blankless = text
                .chars()
                .next()
                .is_some_and(|letter| letter > '\u{2fff}');
            if blankless
                && text.chars().nth(1).is_some()
                && self.strings.len() < STRINGS_MAX
                && !self.strings.iter().any(|known| known == text)
            {
                self.strings.push(text.to_owned());
            }
        }
    }

    fn learn_word(&mut self, token: Token, score: f32) {
        let cased = matches!(token.kind, Kind::Title | Kind::Upper | Kind::Caseless)
            || (token.kind == Kind::Lower && first_rank(token).max(last_rank(token)) == 2);
        if cased && token.len() > 2 && !token.is(role::PARTICLE | role::TITLE | role::SUFFIX) {
            self.add(token.key, token.roles, score, "spread");
        }
    }

    /// Finds everyone known on a page.
    pub fn find(&self, page: &Page, out: &mut Vec<Found>) {
        if !self.words.is_empty() {
            self.find_words(page, out);
        }
        if !self.strings.is_empty() {
            self.find_strings(page, out);
        }
    }

    fn find_words(&self, page: &Page, out: &mut Vec<Found>) {
        let mut index = 0;
        while index < page.tokens.len() {
            let Some(word) = self.matching(page, index) else {
                index += 1;
                continue;
            };
            let from = index;
            index += 1;
            while let Some(next) = self.next(page, index) {
                index = next;
            }
            if !(page.wired(from, index)
                || page.at(index).is(role::TAIL | role::LEGAL | role::HEAD)
                    && page.at(index).is_capital()
                    && page.at(index).gap <= Gap::Space)
            {
                out.push(page.found(from..index, NameKind::Person, 0.5, word.reason));
            }
        }
    }

    /// The known word at this place.
    fn matching(&self, page: &Page, index: usize) -> Option<Word> {
        let token = page.at(index);
        let shown = matches!(token.kind, Kind::Title | Kind::Upper | Kind::Caseless);
        let small = token.kind == Kind::Lower
            && token.len() > 3
            && !token.is(role::COMMON | role::BRAND | role::MAJOR | role::PLACE)
            && first_rank(token).max(last_rank(token)) == 2;
        if page.muted(index) || !(shown || small) {
            return None;
        }
        let word = self.words.get(&token.key)?;
        let doubtful = word.ambiguous && (page.starts(index) || token.kind == Kind::Upper);
        (!doubtful && (shown || word.sure)).then_some(*word)
    }

    /// Goes on over a blank or a hyphen to the next known word.
    fn next(&self, page: &Page, index: usize) -> Option<usize> {
        let token = page.at(index);
        if token.is_mark("-") && token.glued() && page.at(index + 1).glued() {
            return self.matching(page, index + 1).map(|_| index + 2);
        }
        (token.gap == Gap::Space && self.matching(page, index).is_some()).then_some(index + 1)
    }

    fn find_strings(&self, page: &Page, out: &mut Vec<Found>) {
        let text = page.text;
        let mut hit = |range| {
            out.push(Found {
                range,
                kind: NameKind::Person,
                score: 0.5,
                reason: "spread",
            })
        };
        if self.strings.len() <= SEARCHES_MAX {
            for name in &self.strings {
                memchr::memmem::find_iter(text.as_bytes(), name.as_bytes())
                    .for_each(|start| hit(start..start + name.len()));
            }
            return;
        }
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&self.strings);
        if let Ok(search) = search {
            search.find_iter(text).for_each(|found| hit(found.range()));
        }
    }
}
