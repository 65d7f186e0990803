//! Text to word pieces, as BERT's uncased tokenizer does it.
//!
//! # Method
//! Control characters go; Chinese characters stand alone; text is decomposed (NFD), loses its accents (Mn) and capitals; it is
//! cut at spaces and marks; each word is read as the longest pieces from the left (Wu et al., 2016). One difference on
//! purpose: `[SEP]` and its like in a text are that text, never the token.
//!
//! # Cost
//! Linear: a piece is at most [`Vocabulary::longest`] characters long, a word at most [`WORD_CHARS_MAX`].

use super::file::ModelError;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Longer words are one unknown token, as in the original.
const WORD_CHARS_MAX: usize = 100;

/// Pieces by their text, without an allocation for each.
#[derive(Debug)]
pub struct Vocabulary {
    /// All pieces, one after the other.
    text: String,
    /// Where each piece starts in `text`, and where the last one ends.
    starts: Vec<u32>,
    /// Open addressing: a piece's id and 1, or 0. At most half of the places are taken.
    places: Vec<u32>,
    /// Bytes of the longest piece.
    longest: usize,
    unknown: u32,
    first: u32,
    last: u32,
}

/// FNV-1a, a byte at a time, so that a hash can be continued.
fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Vocabulary {
    /// Pieces that stand one a line; a piece's id is its line.
    ///
    /// # Errors
    /// [`ModelError::Vocabulary`] if it is too long, or lacks `[UNK]`, `[CLS]` or `[SEP]`.
    pub fn read(lines: &str) -> Result<Self, ModelError> {
        let wrong = ModelError::Vocabulary;
        let count = lines.split('\n').count();
        u32::try_from(lines.len()).map_err(|_| wrong("it is too long"))?;
        let mut known = Vocabulary {
            text: String::with_capacity(lines.len()),
            starts: Vec::with_capacity(count + 1),
            places: vec![0; (count * 2).next_power_of_two()],
            longest: 0,
            unknown: 0,
            first: 0,
            last: 0,
        };
        known.starts.push(0);
        for (id, piece) in (1..).zip(lines.split('\n')) {
            let place = known.place(piece.as_bytes());
            if let Some(free) = known.places.get_mut(place).filter(|id| **id == 0) {
                *free = id;
            }
            known.text.push_str(piece);
            let end = u32::try_from(known.text.len()).unwrap_or(u32::MAX);
            known.starts.push(end);
            known.longest = known.longest.max(piece.len());
        }
        known.unknown = known.find("[UNK]").ok_or(wrong("no [UNK]"))?;
        known.first = known.find("[CLS]").ok_or(wrong("no [CLS]"))?;
        known.last = known.find("[SEP]").ok_or(wrong("no [SEP]"))?;
        Ok(known)
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn piece(&self, id: u32) -> Option<&[u8]> {
        let id = usize::try_from(id).ok()?;
        let start = usize::try_from(*self.starts.get(id)?).ok()?;
        let end = usize::try_from(*self.starts.get(id + 1)?).ok()?;
        self.text.as_bytes().get(start..end)
    }

    /// Where a text stands among the places, or where it would.
    fn place(&self, text: &[u8]) -> usize {
        let mask = self.places.len().saturating_sub(1);
        let mut place = usize::try_from(hash(text) >> 20).unwrap_or(0) & mask;
        while let Some(taken) = self.places.get(place).filter(|id| **id != 0) {
            if self.piece(taken - 1) == Some(text) {
                break;
            }
            place = (place + 1) & mask;
        }
        place
    }

    /// The id of a piece.
    pub fn find(&self, piece: &str) -> Option<u32> {
        let place = self.place(piece.as_bytes());
        self.places.get(place)?.checked_sub(1)
    }

    /// Whether an id is that of the unknown word.
    pub fn is_unknown(&self, id: u32) -> bool {
        id == self.unknown
    }

    /// Appends the pieces of one word, or the unknown token.
    fn word(&self, word: &str, ids: &mut Vec<u32>) {
        if word.chars().count() > WORD_CHARS_MAX {
            ids.push(self.unknown);
            return;
        }
        let before = ids.len();
        let (mut rest, mut buffer) = (word, String::new());
        while !rest.is_empty() {
            buffer.clear();
            if rest.len() < word.len() {
                buffer.push_str("##");
            }
            let head = buffer.len();
            let end = rest.floor_char_boundary(self.longest);
            buffer.push_str(rest.get(..end).unwrap_or_default());
            let found = loop {
                if buffer.len() == head {
                    break None;
                }
                if let Some(id) = self.find(&buffer) {
                    break Some(id);
                }
                buffer.pop();
            };
            let Some(id) = found else {
                ids.truncate(before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            rest = rest.get(buffer.len() - head..).unwrap_or_default();
        }
    }

    /// Writes the ids of a text to `ids`, with the tokens before and after it: at most `tokens_max`, which is at least 2.
    /// Tells whether the text has more.
    pub fn encode(&self, text: &str, tokens_max: usize, ids: &mut Vec<u32>) -> Cut {
        ids.clear();
        ids.push(self.first);
        let mut word = String::new();
        let clean = text.chars().filter(|one| !is_dropped(*one));
        let spaced = clean.flat_map(|one| {
            let space = is_chinese(one).then_some(' ');
            [space, Some(one), space].into_iter().flatten()
        });
        let plain = spaced.nfd().filter(|one| !is_accent(*one));
        for one in plain.flat_map(char::to_lowercase) {
            let mark = is_mark(one);
            if !mark && !one.is_whitespace() {
                word.push(one);
                continue;
            }
            if !word.is_empty() {
                self.word(&word, ids);
                word.clear();
            }
            if mark {
                self.word(one.encode_utf8(&mut [0; 4]), ids);
            }
            if ids.len() >= tokens_max {
                break;
            }
        }
        if !word.is_empty() {
            self.word(&word, ids);
        }
        let cut = ids.len() >= tokens_max;
        ids.truncate(tokens_max.saturating_sub(1));
        ids.push(self.last);
        if cut { Cut::Yes } else { Cut::No }
    }
}

/// Whether only the front of a text was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    No,
    Yes,
}

fn is_dropped(one: char) -> bool {
    if one.is_ascii() {
        return one.is_ascii_control() && !matches!(one, '\t' | '\n' | '\r');
    }
    one == '\u{fffd}' || one.general_category_group() == GeneralCategoryGroup::Other
}

fn is_accent(one: char) -> bool {
    !one.is_ascii() && one.general_category() == GeneralCategory::NonspacingMark
}

fn is_mark(one: char) -> bool {
    if one.is_ascii() {
        return one.is_ascii_punctuation();
    }
    one.general_category_group() == GeneralCategoryGroup::Punctuation
}

fn is_chinese(one: char) -> bool {
    matches!(u32::from(one),
        0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F
        | 0x2B740..=0x2B81F | 0x2B920..=0x2CEAF | 0x2F800..=0x2FA1F)
}
