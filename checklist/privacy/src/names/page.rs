//! A stretch of text with its tokens, and the questions that all rules ask of them.

use std::ops::Range;

use super::fold::Key;
use super::lexicon::{Lexicon, PHRASE_WORDS_MAX};
use super::table::role;
use super::token::{self, EDGE, Gap, Kind, Token};
use super::{Found, NameKind};

/// A block of the text as tokens. Offsets are those of the block.
pub struct Page<'a> {
    pub text: &'a str,
    pub tokens: Vec<Token>,
    pub lexicon: &'a Lexicon,
    /// Tokens that rules on bare words leave alone: code fences, code lines, e-mail addresses.
    muted: Vec<bool>,
}

/// A phrase that ends before `next`, and what it announces.
#[derive(Debug, Clone, Copy)]
pub struct Cue {
    pub roles: u32,
    pub first: usize,
    pub next: usize,
}

impl<'a> Page<'a> {
    pub fn new(text: &'a str, lexicon: &'a Lexicon) -> Self {
        let mut tokens = token::split(text, |key| lexicon.word(key));
        tokens
            .iter_mut()
            .filter(|token| surname_shaped(text, token))
            .for_each(|token| token.roles |= role::LAST);
        let muted = super::mute::muted(text, &tokens);
        Self {
            text,
            tokens,
            lexicon,
            muted,
        }
    }

    pub fn at(&self, index: usize) -> Token {
        self.tokens.get(index).copied().unwrap_or(EDGE)
    }

    /// The token before this place.
    pub fn before(&self, index: usize) -> Token {
        index.checked_sub(1).map_or(EDGE, |before| self.at(before))
    }

    pub fn muted(&self, index: usize) -> bool {
        self.muted.get(index).copied().unwrap_or(false)
    }

    pub fn word(&self, token: Token) -> &'a str {
        self.text.get(token.range()).unwrap_or_default()
    }

    /// Bytes from one token to before another.
    pub fn bytes(&self, from: usize, to: usize) -> Range<usize> {
        self.at(from).start..self.before(to).end.max(self.at(from).start)
    }

    /// A finding over these tokens.
    pub fn found(
        &self,
        tokens: Range<usize>,
        kind: NameKind,
        score: f32,
        reason: &'static str,
    ) -> Found {
        Found {
            range: self.bytes(tokens.start, tokens.end),
            kind,
            score,
            reason,
        }
    }

    /// Whether a sentence, a line or a quotation starts here.
    pub fn starts(&self, index: usize) -> bool {
        let before = self.before(index);
        self.at(index).gap >= Gap::Line
            || before.kind == Kind::Edge
            || before.is_mark(".!?:;\"“”„«»‘(['*>-–—•|#¿¡")
    }

    /// Whether the word is part of something that no prose name is part of: a path, a call, an address, a tag.
    pub fn wired(&self, from: usize, to: usize) -> bool {
        let (before, after, beyond) = (self.before(from), self.at(to), self.at(to + 1));
        let left = self.at(from).glued() && before.is_mark("./\\@#$_=&%+~`-");
        let right = after.glued()
            && (after.is_mark("/\\@_=&%(`[{$~")
                || (after.is_mark(".-")
                    && beyond.glued()
                    && (beyond.is_word() || beyond.kind == Kind::Ident))
                || (after.is_mark(":") && beyond.glued() && !beyond.is_mark("\"“„«'")));
        left || right
    }

    /// The longest cue phrase that ends with the word at `index`.
    pub fn cue(&self, index: usize) -> Option<Cue> {
        let mut words = [0_u64; PHRASE_WORDS_MAX];
        let mut best = None;
        let mut place = index;
        for count in 1..=PHRASE_WORDS_MAX {
            let token = self.at(place);
            if !token.is_word() {
                break;
            }
            let slot = PHRASE_WORDS_MAX - count;
            if let Some(word) = words.get_mut(slot) {
                *word = token.key;
            }
            let key = words
                .iter()
                .skip(slot)
                .fold(0, |phrase, word| Key::join(phrase, *word));
            let roles = self.lexicon.phrase(key);
            if roles != 0 {
                best = Some(Cue {
                    roles,
                    first: place,
                    next: index + 1,
                });
            }
            match self.word_before(place) {
                Some(earlier) => place = earlier,
                None => break,
            }
        }
        best
    }

    /// The word before this one, across blanks, apostrophes and hyphens.
    fn word_before(&self, index: usize) -> Option<usize> {
        if self.at(index).gap >= Gap::Line {
            return None;
        }
        let before = index.checked_sub(1)?;
        if !self.at(before).is_mark("'’-.") {
            return Some(before);
        }
        if self.at(before).gap >= Gap::Line {
            None
        } else {
            before.checked_sub(1)
        }
    }

    /// Roles of the longest known place that starts here, and where it ends.
    pub fn place(&self, index: usize) -> Option<(usize, u32)> {
        let first = self.at(index);
        let single = first.roles & (role::PLACE | role::MAJOR);
        let mut best = if single == 0 {
            None
        } else {
            Some((index + 1, single))
        };
        if !first.is(role::PLACE_START) {
            return best;
        }
        let (mut phrase, mut place) = (Key::join(0, first.key), index);
        for _ in 1..PHRASE_WORDS_MAX {
            let Some(next) = self.word_after(place) else {
                break;
            };
            place = next;
            phrase = Key::join(phrase, self.at(place).key);
            let roles = self.lexicon.phrase(phrase) & (role::PLACE | role::MAJOR);
            if roles != 0 {
                best = Some((place + 1, roles));
            }
        }
        best
    }

    /// The word after this one, across a blank, an apostrophe or a hyphen.
    fn word_after(&self, index: usize) -> Option<usize> {
        let (next, beyond) = (self.at(index + 1), self.at(index + 2));
        if next.gap >= Gap::Line {
            None
        } else if next.is_word() {
            Some(index + 1)
        } else {
            (next.is_mark("'’-.") && beyond.gap < Gap::Line && beyond.is_word())
                .then_some(index + 2)
        }
    }
}

/// Endings that make a capitalised word a surname in some language.
const SURNAME_ENDINGS: &[&str] = &[
    "ovich",
    "ović",
    "ević",
    "enko",
    "chuk",
    "shvili",
    "adze",
    "wicz",
    "owski",
    "ewski",
    "owska",
    "ewska",
    "opoulos",
    "opoulou",
    "sson",
    "dóttir",
    "dottir",
    "oğlu",
    "oglu",
    "ova",
    "eva",
    "ová",
    "nen",
    "ssen",
    "escu",
    "yan",
    "ов",
    "ова",
    "ев",
    "ева",
    "ёв",
    "ский",
    "ская",
    "енко",
    "чук",
    "ову",
    "еву",
    "овым",
    "евым",
    "овой",
    "евой",
    "ского",
    "скому",
    "ским",
    "ской",
    "скую",
    "ович",
    "швили",
    "ян",
    "ин",
    "ина",
    "ιδης",
    "οπουλος",
    "άκης",
];

/// An unlisted capitalised word with the ending of a surname.
fn surname_shaped(text: &str, token: &Token) -> bool {
    let candidate = token.roles == 0 && token.kind == Kind::Title && token.len() > 6;
    candidate
        && text
            .get(token.range())
            .is_some_and(|word| SURNAME_ENDINGS.iter().any(|ending| word.ends_with(ending)))
}
