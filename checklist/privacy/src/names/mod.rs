//! Names of people, places and organisations, found by rules, and in English on request by a model besides.
//!
//! # What it does
//! Evidence comes from lists (first names, surnames, countries, cities), from titles and cues in sixteen languages,
//! from keys and column headers, and from e-mail addresses of the same text. A person found once is found everywhere
//! in the text, also by first name or surname alone.
//!
//! # What it does not
//! Rules do not understand: a rare name without any cue is missed, and a word that is a name elsewhere can be taken
//! for one. Bare capitalised words are never organisations. Prose rules are off inside code; keys still count there.
//!
//! # Cost
//! One pass over the text and one more if a person was found; linear in its length. Lists take about 3 MiB, once
//! per process. The trade-off: exact look-ups of single words, and no fuzzy matching, keep a text of 250 bytes
//! in the microseconds. With the model ([`Names::with_model`]) English prose takes some five times as long; the weights take 2 MiB.

mod caseless;
mod chain;
mod column;
mod context;
mod cue;
mod email;
mod english;
mod field;
mod fold;
mod han_run;
mod hangul;
mod ideograph;
mod lexicon;
mod mute;
mod org;
mod page;
mod person;
mod place;
mod resolve;
mod spread;
mod table;
mod token;

#[cfg(test)]
mod tests;

use std::ops::Range;

use aplomb_models::names::{ModelError, NameModel};
use lexicon::Lexicon;
use page::Page;

pub use english::ProseWord;

/// Texts are worked on in blocks of about this size, so that tokens of a long text never exist all at once.
/// Measured: from 16 KiB up the speed does not change.
const BLOCK_BYTES: usize = 64 * 1024;

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    Person,
    Location,
    Organization,
}

/// One name in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Bytes of the name alone: no title, no quotes. Always at character boundaries.
    pub range: Range<usize>,
    pub kind: NameKind,
    /// Strength of the evidence in `0.0..=1.0`: 0.4 to 0.5 one weak sign, 0.9 a title, a key or a full listed name.
    pub score: f32,
    /// Which rule spoke: `title`, `list`, `cue`, `key`, `column`, `email`, `spread`, ...
    pub reason: &'static str,
}

/// The finder. Cheap to copy: the lists belong to the process.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    lexicon: &'static Lexicon,
    model: Option<&'static NameModel>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    /// A finder over the embedded lists, which the first call in a process builds (tens of milliseconds).
    pub fn new() -> Self {
        Self {
            lexicon: Lexicon::shared(),
            model: None,
        }
    }

    /// The same finder with the local model, which reads English prose besides.
    ///
    /// # Errors
    /// [`ModelError`] if the embedded weights can't be read.
    pub fn with_model(mut self) -> Result<Self, ModelError> {
        self.model = Some(NameModel::shared()?);
        Ok(self)
    }

    /// The paragraphs of a text, word for word, as the model sees them: what it is trained on. Texts beyond 64 KiB are
    /// cut there.
    pub fn prose(&self, text: &str) -> Vec<Vec<ProseWord>> {
        let first = blocks(text).into_iter().next().unwrap_or_default();
        let page = Page::new(text.get(first).unwrap_or_default(), self.lexicon);
        let stretches = english::stretches(&page).into_iter();
        stretches.map(|stretch| stretch.words).collect()
    }

    /// Appends the names of `text` to `out`, in the order of the text and without overlaps.
    ///
    /// * `emails`: byte ranges of e-mail addresses in `text`. They give names away (`jane.doe@…`), and nothing is
    ///   found inside them. Ranges that do not fit the text are ignored.
    pub fn find(&self, text: &str, emails: &[Range<usize>], out: &mut Vec<Found>) {
        let mut found = Vec::new();
        let mut known = email::known(text, emails, self.lexicon);
        let blocks = blocks(text);
        let mut pages = Vec::new();
        for block in &blocks {
            let page = Page::new(text.get(block.clone()).unwrap_or_default(), self.lexicon);
            let mut here = Vec::new();
            rules(&page, &mut here);
            if let Some(model) = self.model {
                english::find(&page, model, &mut here);
            }
            known.learn(&page, &here);
            found.extend(here.into_iter().map(|name| shift(name, block.start)));
            if blocks.len() == 1 {
                pages.push(page);
            }
        }
        column::find(text, self.lexicon, &mut found);
        if !known.is_empty() {
            for block in &blocks {
                let page = pages.pop().unwrap_or_else(|| {
                    Page::new(text.get(block.clone()).unwrap_or_default(), self.lexicon)
                });
                let mut here = Vec::new();
                known.find(&page, &mut here);
                found.extend(here.into_iter().map(|name| shift(name, block.start)));
            }
        }
        resolve::resolve(text, emails, found, out);
    }
}

/// All rules that look at one block alone.
fn rules(page: &Page, out: &mut Vec<Found>) {
    person::find(page, out);
    cue::find(page, out);
    field::find(page, out);
    place::find(page, out);
    org::find(page, out);
    // The scripts of these have no ASCII letters.
    if !page.text.is_ascii() {
        ideograph::find(page, out);
        hangul::find(page, out);
        caseless::find(page, out);
    }
}

fn shift(mut name: Found, by: usize) -> Found {
    name.range = name.range.start + by..name.range.end + by;
    name
}

/// Cuts a text at line ends, or at blanks where lines are too long.
fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut start = 0;
    while text.len() - start > BLOCK_BYTES {
        let window = text
            .as_bytes()
            .get(start..start + BLOCK_BYTES)
            .unwrap_or_default();
        let line = memchr::memrchr(b'\n', window)
            .or_else(|| memchr::memrchr(b' ', window))
            .map(|place| start + place + 1);
        let mut end = line.unwrap_or(start + BLOCK_BYTES);
        while !text.is_char_boundary(end) {
            end += 1;
        }
        cuts.push(start..end);
        start = end;
    }
    cuts.push(start..text.len());
    cuts
}
