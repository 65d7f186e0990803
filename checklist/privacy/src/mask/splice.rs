//! A changed JSON document that keeps every byte of the original which did not have to change: numbers with all their
//! digits, escapes, white space. What a provider caches by its bytes stays the same, and nothing is rounded.

use serde_json::Value;
use std::iter::Peekable;
use std::ops::Range;

/// `source` with the texts of `changed`, a document of the same form in which strings and keys may differ and numbers
/// may have become strings. `None` if the forms differ: in the source a key stands twice.
pub fn splice(source: &str, changed: &Value) -> Option<String> {
    let mut splice = Splice {
        source,
        at: 0,
        done: 0,
        out: String::with_capacity(source.len()),
    };
    splice.value(changed)?;
    splice.keep(source.len());
    Some(splice.out)
}

struct Splice<'s> {
    source: &'s str,
    at: usize,
    /// Up to here the source is in the output.
    done: usize,
    out: String,
}

impl Splice<'_> {
    /// The next byte that is no white space.
    fn byte(&mut self) -> Option<u8> {
        let rest = self.source.as_bytes().get(self.at..)?;
        self.at += rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.source.as_bytes().get(self.at).copied()
    }

    fn keep(&mut self, end: usize) {
        let kept = self.source.get(self.done..end).unwrap_or_default();
        self.out.push_str(kept);
        self.done = end;
    }

    fn replace(&mut self, range: Range<usize>, text: &str) {
        self.keep(range.start);
        self.out.push_str(&Value::from(text).to_string());
        self.done = range.end;
    }

    fn value(&mut self, changed: &Value) -> Option<()> {
        match (self.byte()?, changed) {
            (b'{', Value::Object(members)) => {
                let mut members = members.iter().peekable();
                self.list(b'}', &mut members, |this, (key, member)| {
                    this.string(key)?;
                    this.byte().filter(|byte| *byte == b':')?;
                    this.at += 1;
                    this.value(member)
                })
            }
            (b'[', Value::Array(items)) => {
                let mut items = items.iter().peekable();
                self.list(b']', &mut items, Self::value)
            }
            (b'"', Value::String(text)) => self.string(text),
            (b'{' | b'[' | b'"', _) => None,
            (_, changed) => {
                self.scalar(changed);
                Some(())
            }
        }
    }

    /// From an opening bracket to its `close`, with as many items in between as there are.
    fn list<T>(
        &mut self,
        close: u8,
        items: &mut Peekable<impl Iterator<Item = T>>,
        mut each: impl FnMut(&mut Self, T) -> Option<()>,
    ) -> Option<()> {
        self.at += 1;
        if self.byte()? == close {
            self.at += 1;
            return items.next().is_none().then_some(());
        }
        loop {
            let item = items.next()?;
            self.byte()?;
            each(self, item)?;
            let byte = self.byte()?;
            self.at += 1;
            if byte == close {
                return items.next().is_none().then_some(());
            }
        }
    }

    fn string(&mut self, text: &str) -> Option<()> {
        let start = self.at;
        let mut end = start + 1;
        loop {
            let rest = self.source.as_bytes().get(end..)?;
            end += memchr::memchr2(b'"', b'\\', rest)?;
            if self.source.as_bytes().get(end) == Some(&b'"') {
                break;
            }
            end += 2;
        }
        let inner = self.source.get(start + 1..end)?;
        self.at = end + 1;
        let same = inner == text
            || (memchr::memchr(b'\\', inner.as_bytes()).is_some()
                && serde_json::from_str::<String>(self.source.get(start..self.at)?)
                    .is_ok_and(|source| source == text));
        if !same {
            self.replace(start..self.at, text);
        }
        Some(())
    }

    /// A number or a word; a number may have become a string.
    fn scalar(&mut self, changed: &Value) {
        let start = self.at;
        let rest = self.source.as_bytes().get(start..).unwrap_or_default();
        let ends = |byte: &u8| b",]}".contains(byte) || byte.is_ascii_whitespace();
        self.at += rest.iter().take_while(|byte| !ends(byte)).count();
        if let Value::String(text) = changed {
            self.replace(start..self.at, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(source: &str, changed: &Value, expected: Option<&str>) {
        assert_eq!(splice(source, changed).as_deref(), expected, "{source}");
    }

    #[test]
    fn what_is_not_changed_keeps_its_bytes() {
        let source = "\n{ \"a\\u0062\" : [1.50, 12345678901234567890123 ,\"x\\/\"], \"c\":{ }, \"d\": [ ],\"e\":null }\n";
        let value: Value = serde_json::from_str(source).unwrap();
        check(source, &value, Some(source));
    }

    #[test]
    fn strings_keys_and_numbers_are_replaced() {
        let source = r#"{"a": "x\"y", "k" :[4111, true], "z":"\u0041"}"#;
        let changed = json!({"a": "<\"A>", "<K>": ["<N>", true], "z": "A"});
        let expected = r#"{"a": "<\"A>", "<K>" :["<N>", true], "z":"\u0041"}"#;
        check(source, &changed, Some(expected));
    }

    #[test]
    fn a_key_that_stands_twice_is_told() {
        for source in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            r#"[{"a":1,"\u0061":2}]"#,
        ] {
            let value: Value = serde_json::from_str(source).unwrap();
            check(source, &value, None);
        }
    }
}
