//! A text cut into the pieces that are encoded one by one.

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};

/// Words with an apostrophe's ending, numbers of up to three digits, marks, and line breaks.
///
/// It is the published pattern of `o200k_base`. The look-ahead in it ("spaces, but not the last one before a word") is
/// written as two patterns: one that takes a space too many, which is then given back, and one for a single space.
const WORDS: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"|\s*[\r\n]+",
    r"|\s+$",
);
const SPACES_BEFORE_ONE: &str = r"\s+\s";
const SPACES: &str = r"\s+";
/// Place of the pattern whose last character is given back.
const GIVES_BACK: usize = 1;

/// The compiled pattern.
#[derive(Debug)]
pub(super) struct Splitter(Regex);

impl Splitter {
    /// `None` if the pattern can't be compiled.
    pub(super) fn new() -> Option<Self> {
        Regex::new_many(&[WORDS, SPACES_BEFORE_ONE, SPACES])
            .ok()
            .map(Splitter)
    }

    /// The pieces of `text`; together they are all of it.
    pub(super) fn pieces<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
            let piece = rest.get(..self.first(rest)).unwrap_or(rest);
            at += piece.len();
            Some(piece)
        })
    }

    /// Length of the first piece of `rest`, which is not empty.
    fn first(&self, rest: &str) -> usize {
        let input = Input::new(rest).anchored(Anchored::Yes);
        let Some(found) = self.0.search(&input) else {
            // The pattern knows every character; should it ever not, one is taken as it is.
            return rest.chars().next().map_or(rest.len(), char::len_utf8);
        };
        if found.pattern().as_usize() != GIVES_BACK {
            return found.end();
        }
        let taken = rest.get(..found.end()).unwrap_or(rest);
        let last = taken.chars().next_back().map_or(0, char::len_utf8);
        taken.len() - last
    }
}
