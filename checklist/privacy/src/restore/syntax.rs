//! Where in a JSON text we are, so that a value put there is escaped as often as its place needs.
//!
//! Arguments of tool calls are JSON; a string in them may hold JSON again. The text comes in pieces of any cut.

/// Reads JSON source character by character. On text that is no JSON it never fails; its answer is then of no use, and
/// matters only for values with quotes, backslashes or control characters.
#[derive(Debug, Default)]
pub struct Json {
    in_string: bool,
    escape: Escape,
    inside: Inside,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After a backslash.
    Begun,
    /// Within `\uXXXX`, with so many digits to come.
    Unicode(u8),
}

/// What the open string holds.
#[derive(Debug, Default)]
enum Inside {
    /// Nothing but white space so far.
    #[default]
    Unknown,
    Text,
    Json(Box<Json>),
}

impl Json {
    /// Goes over the next piece.
    pub fn advance(&mut self, piece: &str) {
        piece.chars().for_each(|c| self.step(c));
    }

    /// How often a value has to be escaped here: once in a string, twice in a string of a JSON text in a string.
    pub fn levels(&self) -> usize {
        if !self.in_string {
            return 0;
        }
        match &self.inside {
            Inside::Json(json) => 1 + json.levels(),
            Inside::Unknown | Inside::Text => 1,
        }
    }

    fn step(&mut self, c: char) {
        if !self.in_string {
            if c == '"' {
                self.in_string = true;
                self.inside = Inside::Unknown;
            }
            return;
        }
        match self.escape {
            Escape::None if c == '\\' => self.escape = Escape::Begun,
            Escape::None if c == '"' => self.in_string = false,
            Escape::None => self.content(c),
            Escape::Begun if c == 'u' => self.escape = Escape::Unicode(4),
            Escape::Begun => {
                self.escape = Escape::None;
                self.content(match c {
                    'n' | 'r' | 't' | 'b' | 'f' => ' ',
                    plain => plain,
                });
            }
            Escape::Unicode(1) => {
                self.escape = Escape::None;
                // Quotes and backslashes have shorter escapes, which every encoder uses.
                self.content('x');
            }
            Escape::Unicode(digits) => self.escape = Escape::Unicode(digits.saturating_sub(1)),
        }
    }

    /// A character of the open string, escapes undone.
    fn content(&mut self, c: char) {
        match &mut self.inside {
            Inside::Json(json) => json.step(c),
            Inside::Text => {}
            Inside::Unknown if c.is_whitespace() => {}
            Inside::Unknown if c == '{' || c == '[' => self.inside = Inside::Json(Box::default()),
            Inside::Unknown => self.inside = Inside::Text,
        }
    }
}

/// A value as it stands in a JSON string, escaped `levels` times.
pub fn escaped(value: &str, levels: usize) -> String {
    let mut text = value.to_owned();
    for _ in 0..levels {
        let literal = serde_json::Value::from(text).to_string();
        let inner = literal.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
        text = inner.unwrap_or_default().to_owned();
    }
    text
}

/// The value that stands in a JSON string, escaped `levels` times; as it is where it has no or faulty escapes.
pub fn unescaped(value: &str, levels: usize) -> String {
    let mut text = value.to_owned();
    for _ in 0..levels {
        let source = text.contains('\\').then(|| format!("\"{text}\""));
        match source.and_then(|source| serde_json::from_str(&source).ok()) {
            Some(inner) => text = inner,
            None => break,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: usize) {
        let mut whole = Json::default();
        whole.advance(source);
        let mut single = Json::default();
        source
            .chars()
            .for_each(|c| single.advance(c.encode_utf8(&mut [0; 4])));
        assert_eq!(
            (whole.levels(), single.levels()),
            (expected, expected),
            "{source}"
        );
    }

    #[test]
    fn levels_follow_the_quotes() {
        check("", 0);
        check(r#"{"a": "#, 0);
        check(r#"{"a": "x"#, 1);
        check(r#"{"a": "x\""#, 1);
        check(r#"{"a": "x\\""#, 0);
        check(r#"{"a": "\u0022"#, 1);
    }

    #[test]
    fn json_in_a_string_counts_twice() {
        check(r#"{"a": "{\"b\": \"x"#, 2);
        check(r#"{"a": "{\"b\": \"x\""#, 1);
        check(r#"{"a": "{\"b\": \"x\\\""#, 2);
        check(r#"{"a": "he said \"x"#, 1);
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        assert_eq!(escaped("a\"b", 0), "a\"b");
        assert_eq!(escaped("a\"b", 1), r#"a\"b"#);
        assert_eq!(escaped("a\"b", 2), r#"a\\\"b"#);
        for levels in 0..3 {
            assert_eq!(unescaped(&escaped("a\"\\b", levels), levels), "a\"\\b");
        }
        assert_eq!(unescaped(r"a\q", 1), r"a\q");
    }
}
