//! JSON strings whose characters may be cut in two.
//!
//! Some servers cut their answer between the two halves of a surrogate pair and send each half as an escape of its
//! own. A strict parser refuses that; here the first half waits for the second.

/// First half of a surrogate pair that ended a string, kept per choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carry(Option<u16>);

/// The text of a JSON string literal (quotes included); `None` if it is no string.
///
/// Halves that never find their other half become U+FFFD.
pub fn decode(literal: &str, carry: &mut Carry) -> Option<String> {
    let inner = literal.trim().strip_prefix('"')?.strip_suffix('"')?;
    if carry.0.is_none() && !inner.contains('\\') {
        return Some(inner.to_owned());
    }
    let mut units = Units {
        out: String::with_capacity(inner.len()),
        carry,
    };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.char(c);
            continue;
        }
        match chars.next()? {
            'u' => {
                let hex: String = chars.by_ref().take(4).collect();
                units.unit(u16::from_str_radix(&hex, 16).ok()?);
            }
            'n' => units.char('\n'),
            't' => units.char('\t'),
            'r' => units.char('\r'),
            'b' => units.char('\u{8}'),
            'f' => units.char('\u{c}'),
            plain => units.char(plain),
        }
    }
    Some(units.out)
}

struct Units<'a> {
    out: String,
    carry: &'a mut Carry,
}

impl Units<'_> {
    fn char(&mut self, c: char) {
        if self.carry.0.take().is_some() {
            self.out.push(char::REPLACEMENT_CHARACTER);
        }
        self.out.push(c);
    }

    fn unit(&mut self, unit: u16) {
        match (self.carry.0.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let pair = char::decode_utf16([high, unit]).next();
                self.out.push(
                    pair.and_then(Result::ok)
                        .unwrap_or(char::REPLACEMENT_CHARACTER),
                );
            }
            (before, unit) => {
                if before.is_some() {
                    self.out.push(char::REPLACEMENT_CHARACTER);
                }
                match unit {
                    0xd800..=0xdbff => self.carry.0 = Some(unit),
                    _ => self.out.push(
                        char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER),
                    ),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_was_cut_in_two_is_joined() {
        let mut carry = Carry::default();
        assert_eq!(decode(r#""a\ud83d""#, &mut carry).unwrap(), "a");
        assert_eq!(decode(r#""\ude00b""#, &mut carry).unwrap(), "\u{1f600}b");
        assert_eq!(carry, Carry::default());
    }

    #[test]
    fn a_half_alone_is_replaced() {
        let mut carry = Carry::default();
        assert_eq!(
            decode(r#""\ude00\ud83dx""#, &mut carry).unwrap(),
            "\u{fffd}\u{fffd}x"
        );
    }

    #[test]
    fn escapes_are_those_of_json() {
        let literal = r#""\"\\\/\b\f\n\r\t\u00e9é""#;
        let expected: String = serde_json::from_str(literal).unwrap();
        assert_eq!(decode(literal, &mut Carry::default()).unwrap(), expected);
        assert_eq!(decode("null", &mut Carry::default()), None);
    }
}
