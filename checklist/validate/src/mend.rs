//! Mends a text without asking anybody: what is around JSON is taken away, and small faults of it are put right.
//!
//! What comes of it is checked again by whoever asked for it. Nothing is invented, and nothing half is kept: a text, number or
//! word that is cut off goes, with its name, and what was open is closed. So a cut list may be shorter than it was meant to be;
//! whoever minds says so in the schema.

use serde_json::{Map, Number, Value};

/// Deepest nesting, as for JSON everywhere here.
const DEPTH_MAX: usize = 127;

/// Most places where JSON may begin that are tried. Chosen: prose has few brackets before the answer.
const BEGINNINGS: usize = 32;

/// The text inside a fence, if the whole text is one fenced block.
pub fn unfenced(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("```")?;
    let (_, inner) = inner.split_once('\n')?;
    let inner = inner.trim_end().strip_suffix("```")?;
    (!inner.contains("```")).then(|| inner.trim())
}

/// Texts that may be the JSON that was meant, the most faithful first: each is JSON.
pub fn candidates(text: &str) -> Vec<String> {
    let trimmed = text.trim().trim_start_matches('\u{feff}').trim();
    let inner = fenced_block(trimmed);
    let (mut good, mut mended) = (Vec::new(), Vec::new());
    for source in inner.into_iter().chain([trimmed]) {
        if serde_json::from_str::<Value>(source).is_ok() {
            good.push(source.to_owned());
            continue;
        }
        values(source, &mut good, &mut mended);
    }
    good.sort_by_key(|value| std::cmp::Reverse(value.len()));
    good.extend(mended);
    good.dedup();
    good
}

/// The values that stand in a text: good ones, and those with faults. Nothing is taken out of the inside of another one.
fn values(text: &str, good: &mut Vec<String>, mended: &mut Vec<String>) {
    let mut from = 0;
    for at in beginnings(text) {
        let Some(rest) = text.get(at..).filter(|_| at >= from) else {
            continue;
        };
        if let Some(value) = whole_value(rest) {
            good.push(value.to_owned());
            from = at + value.len();
        } else if let Some((value, length)) = lenient(rest) {
            mended.push(value.to_string());
            from = at + length;
        }
    }
}

/// The first fenced block of a text.
fn fenced_block(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("```")?;
    let (_, inner) = after.split_once('\n')?;
    Some(
        inner
            .split_once("```")
            .map_or(inner, |(inner, _)| inner)
            .trim(),
    )
}

/// Where an object or a list may begin.
fn beginnings(text: &str) -> impl Iterator<Item = usize> {
    let places = text.char_indices().filter(|(_, c)| matches!(c, '{' | '['));
    places.map(|(at, _)| at).take(BEGINNINGS)
}

/// The good JSON value that a text begins with.
fn whole_value(text: &str) -> Option<&str> {
    let mut values =
        serde_json::Deserializer::from_str(text).into_iter::<&serde_json::value::RawValue>();
    let raw = values.next()?.ok()?;
    // A raw value is not checked for depth.
    serde_json::from_str::<Value>(raw.get()).ok()?;
    Some(raw.get())
}

/// Reads the value that a text begins with, with patience: single quotes, names without quotes, commas too many or too few,
/// comments, line ends in texts, `True`, `None`, and an end that comes too early.
///
/// With the value, its length in the text.
pub fn lenient(text: &str) -> Option<(Value, usize)> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    match reader.value()? {
        Read::Whole(value) | Read::Cut(Some(value)) => Some((value, reader.at)),
        Read::Cut(None) => None,
    }
}

/// A value, or what is left of one that the end of the text cut off.
enum Read {
    Whole(Value),
    Cut(Option<Value>),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.next();
        }
        there
    }

    /// White space and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let comment = if trimmed.starts_with("//") {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                return;
            };
            self.at += comment;
        }
    }

    /// `None`: there is no value that anybody could read.
    fn value(&mut self) -> Option<Read> {
        self.space();
        match self.peek() {
            None => Some(Read::Cut(None)),
            Some('{' | '[') => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return None;
                }
                let read = match self.next() {
                    Some('{') => self.object(),
                    _ => self.list(),
                };
                self.depth -= 1;
                read
            }
            Some(quote @ ('"' | '\'' | '“')) => {
                self.next();
                Some(match self.string(closing(quote)) {
                    Some(text) => Read::Whole(Value::String(text)),
                    None => Read::Cut(None),
                })
            }
            Some(_) => self.word(),
        }
    }

    fn object(&mut self) -> Option<Read> {
        let mut members = Map::new();
        loop {
            self.space();
            match self.peek() {
                None => return Some(Read::Cut(Some(Value::Object(members)))),
                Some('}') => {
                    self.next();
                    return Some(Read::Whole(Value::Object(members)));
                }
                Some(',') => {
                    self.next();
                    continue;
                }
                Some(_) => {}
            }
            let Some(name) = self.name() else {
                return self
                    .rest()
                    .is_empty()
                    .then_some(Read::Cut(Some(Value::Object(members))));
            };
            self.space();
            if !self.take(':') {
                return self
                    .rest()
                    .is_empty()
                    .then_some(Read::Cut(Some(Value::Object(members))));
            }
            match self.value()? {
                Read::Whole(value) => {
                    members.insert(name, value);
                }
                Read::Cut(value) => {
                    if let Some(value) = value {
                        members.insert(name, value);
                    }
                    return Some(Read::Cut(Some(Value::Object(members))));
                }
            }
        }
    }

    fn list(&mut self) -> Option<Read> {
        let mut items = Vec::new();
        loop {
            self.space();
            match self.peek() {
                None => return Some(Read::Cut(Some(Value::Array(items)))),
                Some(']') => {
                    self.next();
                    return Some(Read::Whole(Value::Array(items)));
                }
                Some(',') => {
                    self.next();
                    continue;
                }
                Some(_) => {}
            }
            match self.value()? {
                Read::Whole(value) => items.push(value),
                Read::Cut(value) => {
                    items.extend(value);
                    return Some(Read::Cut(Some(Value::Array(items))));
                }
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        match self.peek()? {
            quote @ ('"' | '\'' | '“') => {
                self.next();
                self.string(closing(quote))
            }
            _ => {
                let rest = self.rest();
                let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
                let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
                self.at += end;
                (end > 0).then(|| rest.get(..end).unwrap_or_default().to_owned())
            }
        }
    }

    /// The rest of a text up to its quote; `None` if it is cut off. A quote that no comma, colon, bracket or end follows belongs
    /// to the text.
    fn string(&mut self, quote: char) -> Option<String> {
        let mut out = String::new();
        loop {
            match self.next()? {
                '\\' => out.push(self.escape()?),
                character if character == quote => {
                    let after = self.rest().trim_start();
                    let ends = after
                        .chars()
                        .next()
                        .is_none_or(|next| matches!(next, ',' | ':' | '}' | ']' | '/'));
                    if ends {
                        return Some(out);
                    }
                    out.push(character);
                }
                character => out.push(character),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let high = self.unit()?;
                if !(0xd800..0xdc00).contains(&high) {
                    return Some(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                if !self.rest().starts_with("\\u") {
                    return Some(char::REPLACEMENT_CHARACTER);
                }
                self.at += 2;
                let low = self.unit()?;
                let pair = 0x10000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => other,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(unit)
    }

    /// A number, or one of few words. At the very end of the text it may be cut off.
    fn word(&mut self) -> Option<Read> {
        let rest = self.rest();
        let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']' | ':' | '/');
        let end = rest.find(ends).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        let cut = end == rest.len();
        self.at += end;
        let value = match word {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            "null" | "None" | "undefined" | "NaN" => Value::Null,
            number => match number.trim_start_matches('+').parse::<Number>() {
                Ok(number) => Value::Number(number),
                Err(_) if cut => return Some(Read::Cut(None)),
                Err(_) => return None,
            },
        };
        Some(if cut && self.depth > 0 {
            Read::Cut(None)
        } else {
            Read::Whole(value)
        })
    }
}

fn closing(quote: char) -> char {
    if quote == '“' { '”' } else { quote }
}

/// The one of these texts that another one is, but for case and marks around it.
pub fn nearest<'a>(text: &str, texts: &'a [String]) -> Option<&'a str> {
    let bare = |text: &str| {
        let inner = text.trim_matches(|c: char| !c.is_alphanumeric());
        inner.to_lowercase()
    };
    let wanted = bare(text);
    let mut same = texts.iter().filter(|one| bare(one) == wanted);
    let found = same.next().filter(|_| !wanted.is_empty())?;
    same.next().is_none().then_some(found.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = candidates(text);
        assert_eq!(
            found.first().map(String::as_str),
            Some(expected),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_around_json_goes() {
        let object = r#"{"a": 1}"#;
        for text in [
            format!("Sure, here you are:\n{object}\nAnything else?"),
            format!("```json\n{object}\n```"),
            format!("Here:\n\n```\n{object}\n```\nDone."),
            format!("\u{feff} {object} "),
            format!("[note] the answer is {object}"),
        ] {
            check(&text, object);
        }
        assert_eq!(candidates("no value here"), Vec::<String>::new());
    }

    #[test]
    fn small_faults_are_put_right() {
        check(
            "{'a': 1, b: True, \"c\": None,}",
            r#"{"a":1,"b":true,"c":null}"#,
        );
        check("{\"a\": \"x\ny\"}", r#"{"a":"x\ny"}"#);
        check("{\"a\": 1 \"b\": [1 2,, 3]}", r#"{"a":1,"b":[1,2,3]}"#);
        check(
            "{\"a\": 1, // one\n /* two */ \"b\": 2}",
            r#"{"a":1,"b":2}"#,
        );
        check(
            r#"{"a": "he said "yes" to it"}"#,
            r#"{"a":"he said \"yes\" to it"}"#,
        );
        check(r#"{'a': "\u00e4 \ud83d\ude00"}"#, r#"{"a":"ä 😀"}"#);
    }

    #[test]
    fn nothing_half_is_kept() {
        check(r#"{"a": 1, "b": "INV-12"#, r#"{"a":1}"#);
        check(r#"{"a": 1, "b": 12"#, r#"{"a":1}"#);
        check(r#"{"a": [{"b": 1}, {"b": "x"#, r#"{"a":[{"b":1},{}]}"#);
        check(r#"{"a": {"b": tr"#, r#"{"a":{}}"#);
        check(r#"{"a": 1, "b"#, r#"{"a":1}"#);
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(candidates(&deep), Vec::<String>::new());
        let open = "{\"a\": [1, ".repeat(20) + &"x".repeat(1 << 20);
        let _ = candidates(&open);
    }

    #[test]
    fn one_of_few_words_is_found_by_its_letters() {
        let words = ["positive", "negative"].map(str::to_owned);
        assert_eq!(nearest("**Positive.**", &words), Some("positive"));
        assert_eq!(nearest("positive or negative", &words), None);
        assert_eq!(nearest("", &words), None);
    }
}
