//! How long a text is, in several units.

use aplomb_config::validate::{BoundsConfig, LengthConfig};
use aplomb_models::tokens::Tokenizer;

/// What a length is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode code points.
    Characters,
    /// Runs without white space that have a letter or digit.
    Words,
    /// Runs with a letter or digit that end in a full stop, question or exclamation mark, or with the text.
    Sentences,
    /// Tokens of `o200k_base`.
    Tokens,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Characters => "characters",
            Unit::Words => "words",
            Unit::Sentences => "sentences",
            Unit::Tokens => "tokens",
        }
    }

    /// So many of it are in a text.
    pub fn count(self, text: &str) -> usize {
        match self {
            Unit::Characters => text.chars().count(),
            Unit::Words => words(text),
            Unit::Sentences => sentences(text).count(),
            // Without the vocabulary: about four bytes a token.
            Unit::Tokens => {
                Tokenizer::shared().map_or(text.len().div_ceil(4), |known| known.count(text))
            }
        }
    }
}

fn words(text: &str) -> usize {
    let says = |word: &&str| word.chars().any(char::is_alphanumeric);
    text.split_whitespace().filter(says).count()
}

/// The sentences of a text. A mark ends one where white space or the end follows, so that `3.14` and `e.g.x` stay whole.
pub fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let pieces = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (sentence, after) = rest.split_at(end_of_sentence(rest));
        rest = after;
        Some(sentence.trim())
    });
    pieces.filter(|sentence| sentence.chars().any(char::is_alphanumeric))
}

fn end_of_sentence(text: &str) -> usize {
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let wide = matches!(character, '。' | '！' | '？');
        let mark = matches!(character, '.' | '!' | '?' | '…');
        if character == '\n' || wide || mark && next.is_none_or(char::is_whitespace) {
            return at + character.len_utf8();
        }
    }
    text.len()
}

/// Bounds of a text's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Length(Vec<(Unit, BoundsConfig)>);

impl Length {
    /// As written.
    pub fn new(config: &LengthConfig) -> Self {
        let all = [
            (Unit::Characters, config.characters),
            (Unit::Words, config.words),
            (Unit::Sentences, config.sentences),
            (Unit::Tokens, config.tokens),
        ];
        let written = all
            .into_iter()
            .filter_map(|(unit, bounds)| Some((unit, bounds?)));
        let length = Length(written.collect());
        if config.tokens.is_some() {
            // Read now rather than with the first answer.
            let _ = Tokenizer::shared();
        }
        length
    }

    /// What is wrong with the length of a text.
    pub fn wrong(&self, text: &str) -> Option<String> {
        self.0.iter().find_map(|(unit, bounds)| {
            let count = unit.count(text);
            let name = unit.name();
            let least = bounds.min.filter(|min| count < wide(*min));
            let most = bounds.max.filter(|max| count > wide(*max));
            match (least, most) {
                (Some(min), _) => Some(format!("it has {count} {name}, at least {min} are needed")),
                (_, Some(max)) => Some(format!("it has {count} {name}, at most {max} are allowed")),
                (None, None) => None,
            }
        })
    }
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_counted() {
        let text = "Pi is 3.14, e.g. here. Is it?  Yes!\n- one\n---";
        assert_eq!(Unit::Words.count(text), 9);
        let found: Vec<&str> = sentences(text).collect();
        assert_eq!(
            found,
            ["Pi is 3.14, e.g.", "here.", "Is it?", "Yes!", "- one"]
        );
        assert_eq!(Unit::Characters.count("äöü"), 3);
        assert_eq!(Unit::Tokens.count("hello world"), 2);
        assert_eq!(Unit::Sentences.count("今日は。明日は？"), 2);
        assert_eq!(Unit::Sentences.count(" \n .. "), 0);
    }

    #[test]
    fn the_first_bound_that_is_broken_is_told_with_numbers() {
        let bounds = |min, max| Some(BoundsConfig { min, max });
        let length = Length::new(&LengthConfig {
            words: bounds(Some(2), None),
            characters: bounds(None, Some(9)),
            ..LengthConfig::default()
        });
        let wrong = |text| length.wrong(text);
        let few = "it has 1 words, at least 2 are needed";
        let many = "it has 10 characters, at most 9 are allowed";
        assert_eq!(wrong("one").as_deref(), Some(few));
        assert_eq!(wrong("one two th").as_deref(), Some(many));
        assert_eq!(wrong("one two"), None);
    }
}
