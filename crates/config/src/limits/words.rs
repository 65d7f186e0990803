//! The words of a rule, with their places.

/// One word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// The text, without quotes.
    pub text: &'a str,
    /// Byte at which it begins.
    pub at: usize,
    /// It stood in quotes, so it is a value whatever it says.
    pub quoted: bool,
}

/// Characters that are words by themselves, whatever stands beside them.
const MARKS: [char; 3] = [',', '=', '!'];

/// Cuts a text into words: at white space, before and after `,`, `=` and `!=`. What stands in double quotes is one word.
/// `Err` is the place of a quote that is not closed. Takes time in proportion to the text.
pub(super) fn words(text: &str) -> Result<Vec<Word<'_>>, usize> {
    let mut words = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let slice = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        if c.is_whitespace() {
            continue;
        }
        if c == '"' {
            let close = rest.find(|(_, c)| *c == '"').ok_or(at)?.0;
            words.push(Word {
                text: slice(at + 1, close),
                at,
                quoted: true,
            });
            continue;
        }
        let end = if c == '!' && rest.next_if(|(_, next)| *next == '=').is_some() {
            at + 2
        } else if MARKS.contains(&c) {
            at + 1
        } else {
            let ends = |next: char| next.is_whitespace() || MARKS.contains(&next) || next == '"';
            while rest.next_if(|(_, next)| !ends(*next)).is_some() {}
            rest.peek().map_or(text.len(), |(at, _)| *at)
        };
        words.push(Word {
            text: slice(at, end),
            at,
            quoted: false,
        });
    }
    Ok(words)
}

/// A value as it is written: in quotes where it would not be one word. A value with a quote in it can't be written.
pub(super) fn quoted(value: &str) -> String {
    let alone = |words: Vec<Word<'_>>| matches!(words.as_slice(), [word] if word.text == value && !word.quoted);
    let plain = words(value).is_ok_and(alone) && !MARKS.iter().any(|mark| value.contains(*mark));
    if plain {
        value.to_owned()
    } else {
        format!("\"{value}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_marks_and_kept_in_quotes() {
        let texts: Vec<&str> = words("1 concurrent where model!=\"a b, c\",shadow")
            .unwrap()
            .iter()
            .map(|word| word.text)
            .collect();
        assert_eq!(
            texts,
            [
                "1",
                "concurrent",
                "where",
                "model",
                "!=",
                "a b, c",
                ",",
                "shadow"
            ]
        );
        assert_eq!(words("a \"b"), Err(2));
        assert_eq!(words("  "), Ok(Vec::new()));
        assert_eq!(quoted("gpt-*"), "gpt-*");
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(quoted("a,b"), "\"a,b\"");
    }
}
