//! Goes over every string of a request in a fixed order, with what it is and where it comes from.

use super::splice::splice;
use super::surface::{Surface, Zone, is_known_part, is_media_part};
use serde_json::{Map, Value};

/// Fewest digits of a JSON number that is looked at. Chosen: identifiers have more, amounts rarely.
const NUMBER_DIGITS_MIN: usize = 7;

/// Whose words a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The application's: system and developer messages, tool definitions.
    Instructions,
    /// The conversation's.
    Conversation,
}

/// One text.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// What it is.
    pub surface: Surface,
    /// Key of the JSON member that holds it, inside free data.
    pub key: Option<&'a str>,
    /// Whose words it is.
    pub origin: Origin,
    /// Which one it is of adjacent text parts.
    pub run: Option<usize>,
}

/// What is done at each place.
pub trait Visitor {
    /// A text; true if it was changed.
    fn text(&mut self, slot: Slot<'_>, text: &mut String) -> bool;
    /// Texts of adjacent parts, before each of them is a text of its own.
    fn run(&mut self, _: Slot<'_>, _: &[&str]) {}
    /// A picture, sound or file, by the type of its part.
    fn media(&mut self, kind: &str);
    /// A part of a type that nobody here knows.
    fn unknown_part(&mut self, kind: &str);
}

/// Goes over a request body; true if something was changed.
pub fn visit(body: &mut Value, visitor: &mut impl Visitor) -> bool {
    let mut walk = Walk::new(visitor);
    match body {
        Value::Object(members) => walk.members(members, Zone::Root),
        _ => false,
    }
}

/// Goes over free data, such as arguments of a call; true if something was changed.
pub fn visit_data(value: &mut Value, visitor: &mut impl Visitor) -> bool {
    Walk::new(visitor).value("", value, Zone::Data)
}

struct Walk<'v, V> {
    visitor: &'v mut V,
    origin: Origin,
    /// Number of the part at hand among adjacent text parts.
    run: Option<usize>,
}

impl<'v, V: Visitor> Walk<'v, V> {
    fn new(visitor: &'v mut V) -> Self {
        Walk {
            visitor,
            origin: Origin::Conversation,
            run: None,
        }
    }

    /// A text that is none of several adjacent ones.
    fn slot<'s>(&self, surface: Surface, key: Option<&'s str>) -> Slot<'s> {
        Slot {
            surface,
            key,
            origin: self.origin,
            run: None,
        }
    }

    fn members(&mut self, members: &mut Map<String, Value>, zone: Zone) -> bool {
        let zone = self.enter(members, zone);
        let mut changed = zone == Zone::Data && self.keys(members);
        for (key, member) in members {
            let outer = self.origin;
            if zone == Zone::Root && matches!(key.as_str(), "system" | "tools" | "functions") {
                self.origin = Origin::Instructions;
            }
            changed |= self.value(key, member, zone);
            self.origin = outer;
        }
        changed
    }

    /// Keys of free data that can be values.
    fn keys(&mut self, members: &mut Map<String, Value>) -> bool {
        if !members.keys().any(|key| can_be_value(key)) {
            return false;
        }
        let slot = self.slot(Surface::Text, None);
        let mut changed = false;
        let mut renamed = Map::new();
        for (mut key, member) in std::mem::take(members) {
            changed |= can_be_value(&key) && self.visitor.text(slot, &mut key);
            // Two values that are redacted to the same sign stay two members.
            while renamed.contains_key(&key) {
                key.push('_');
            }
            renamed.insert(key, member);
        }
        *members = renamed;
        changed
    }

    /// What the members of an object say of it before they are looked at.
    fn enter(&mut self, members: &Map<String, Value>, zone: Zone) -> Zone {
        let text = |key: &str| members.get(key).and_then(Value::as_str);
        let kind = text("type");
        match zone {
            Zone::Message => {
                self.origin = match text("role") {
                    Some("system" | "developer") => Origin::Instructions,
                    _ => Origin::Conversation,
                };
                zone
            }
            Zone::Part { .. } => {
                if let Some(kind) = kind {
                    self.part(kind, members);
                }
                let signed = members.get("signature").is_some_and(Value::is_string);
                Zone::Part { signed }
            }
            // A document whose source is text is text; one of parts has parts.
            Zone::Media if kind == Some("text") => Zone::Data,
            Zone::Media if kind == Some("content") => Zone::Part { signed: false },
            zone => zone,
        }
    }

    fn part(&mut self, kind: &str, members: &Map<String, Value>) {
        let source = members.get("source").and_then(|source| source.get("type"));
        let is_text = matches!(source.and_then(Value::as_str), Some("text" | "content"));
        if is_media_part(kind) && !is_text {
            self.visitor.media(kind);
        } else if !is_media_part(kind) && !is_known_part(kind) {
            self.visitor.unknown_part(kind);
        }
    }

    fn value(&mut self, key: &str, value: &mut Value, zone: Zone) -> bool {
        match value {
            Value::String(text) => self.string(key, text, zone),
            // Text as token ids is text all the same, and nobody here can read it.
            Value::Array(items) if is_token_ids(key, items, zone) => {
                self.visitor.unknown_part("token_ids");
                false
            }
            Value::Array(items) if matches!(zone.below(key), Zone::Part { .. }) => {
                self.parts(key, items, zone)
            }
            Value::Array(items) => {
                let mut changed = false;
                for item in items {
                    changed |= self.item(key, item, zone);
                }
                changed
            }
            Value::Object(members) => {
                let outer = self.origin;
                let changed = self.members(members, zone.below(key));
                self.origin = outer;
                changed
            }
            Value::Number(_) if zone == Zone::Data => self.number(key, value),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Parts of a message. Adjacent texts are told together first, since a value may go over their border.
    fn parts(&mut self, key: &str, items: &mut [Value], zone: Zone) -> bool {
        let mut changed = false;
        let mut rest = items;
        while !rest.is_empty() {
            let texts: Vec<&str> = rest.iter().map_while(text_part).collect();
            let count = texts.len().max(1);
            if count > 1 {
                let slot = self.slot(Surface::Text, None);
                self.visitor.run(slot, &texts);
            }
            let (run, tail) = rest.split_at_mut(count);
            for (number, item) in run.iter_mut().enumerate() {
                self.run = (count > 1).then_some(number);
                changed |= self.item(key, item, zone);
            }
            self.run = None;
            rest = tail;
        }
        changed
    }

    /// An item of the list `key`: a text as the member would be, or an object.
    fn item(&mut self, key: &str, item: &mut Value, zone: Zone) -> bool {
        let outer = self.origin;
        let changed = match item {
            Value::Object(members) => self.members(members, zone.below(key)),
            other => self.value(key, other, zone),
        };
        self.origin = outer;
        changed
    }

    fn string(&mut self, key: &str, text: &mut String, zone: Zone) -> bool {
        let surface = match zone.surface(key) {
            Surface::Structure | Surface::Media => return false,
            Surface::Json => return self.json(text),
            surface => surface,
        };
        let mut slot = self.slot(surface, (zone == Zone::Data).then_some(key));
        let in_part = key == "text" && matches!(zone, Zone::Part { .. });
        slot.run = self.run.filter(|_| in_part);
        self.visitor.text(slot, text)
    }

    /// JSON in a string is looked at value by value; what is no JSON is a text.
    fn json(&mut self, text: &mut String) -> bool {
        match serde_json::from_str::<Value>(text) {
            Ok(mut value @ (Value::Object(_) | Value::Array(_))) => {
                let changed = self.value("", &mut value, Zone::Data);
                // Where a key stands twice, only the last value was looked at.
                let spliced = splice(text, &value);
                let twice = spliced.is_none();
                if changed || twice {
                    *text = spliced.unwrap_or_else(|| value.to_string());
                }
                changed || twice
            }
            _ => {
                let slot = self.slot(Surface::Text, None);
                self.visitor.text(slot, text)
            }
        }
    }

    /// A number that is replaced becomes a string: no placeholder is a number.
    fn number(&mut self, key: &str, value: &mut Value) -> bool {
        let mut text = value.to_string();
        if text.bytes().filter(u8::is_ascii_digit).count() < NUMBER_DIGITS_MIN {
            return false;
        }
        let slot = self.slot(Surface::Text, Some(key));
        let changed = self.visitor.text(slot, &mut text);
        if changed {
            *value = Value::String(text);
        }
        changed
    }
}

/// The text of a part that is one.
fn text_part(part: &Value) -> Option<&str> {
    let kind = part.get("type")?.as_str()?;
    let is_text = matches!(kind, "text" | "input_text" | "output_text");
    part.get("text").filter(|_| is_text)?.as_str()
}

fn is_token_ids(key: &str, items: &[Value], zone: Zone) -> bool {
    zone == Zone::Root && matches!(key, "input" | "prompt") && items.iter().any(Value::is_number)
}

/// Whether a key may be somebody's own rather than a name of the program's: it is no plain word.
fn can_be_value(key: &str) -> bool {
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    digits >= NUMBER_DIGITS_MIN || key.contains(['@', ' ']) || !key.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Default)]
    struct Upper {
        media: Vec<String>,
        unknown: Vec<String>,
        instructions: Vec<String>,
    }

    impl Visitor for Upper {
        fn text(&mut self, slot: Slot<'_>, text: &mut String) -> bool {
            if slot.origin == Origin::Instructions {
                self.instructions.push(text.clone());
            }
            let upper = format!("{}!", text.to_uppercase());
            *text = upper;
            true
        }
        fn media(&mut self, kind: &str) {
            self.media.push(kind.to_owned());
        }
        fn unknown_part(&mut self, kind: &str) {
            self.unknown.push(kind.to_owned());
        }
    }

    #[test]
    fn an_openai_request() {
        let mut body = json!({
            "model": "m", "user": "u", "stop": ["a"], "metadata": {"k": "v", "n": 123_456_789, "small": 12},
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "name": "bob", "content": [
                    {"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "data:x"}}, {"type": "odd", "x": "y"}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":{\"b\":[\"z\"]}}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": "r"}],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d",
                "parameters": {"type": "object", "properties": {"to": {"type": "string", "enum": ["e"]}}, "required": ["to"]}}}]
        });
        let mut upper = Upper::default();
        assert!(visit(&mut body, &mut upper));
        assert_eq!(
            body,
            json!({
                "model": "m", "user": "U!", "stop": ["A!"], "metadata": {"k": "V!", "n": "123456789!", "small": 12},
                "messages": [
                    {"role": "system", "content": "S!"},
                    {"role": "user", "name": "BOB!", "content": [
                        {"type": "text", "text": "T!"}, {"type": "image_url", "image_url": {"url": "data:x"}}, {"type": "odd", "x": "Y!"}]},
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":{\"b\":[\"Z!\"]}}"}}]},
                    {"role": "tool", "tool_call_id": "c", "content": "R!"}],
                "tools": [{"type": "function", "function": {"name": "f", "description": "D!",
                    "parameters": {"type": "object", "properties": {"to": {"type": "string", "enum": ["E!"]}}, "required": ["to"]}}}]
            })
        );
        assert_eq!(upper.media, ["image_url"]);
        assert_eq!(upper.unknown, ["odd"]);
        assert_eq!(upper.instructions, ["s", "d", "e"]);
    }

    #[test]
    fn token_ids_are_not_passed_over() {
        for input in [json!([1, 2]), json!([[1, 2], [3]]), json!(["a", [3]])] {
            let mut upper = Upper::default();
            visit(&mut json!({ "model": "m", "input": input }), &mut upper);
            assert!(!upper.unknown.is_empty(), "{input}");
        }
        let mut upper = Upper::default();
        visit(
            &mut json!({ "model": "m", "input": ["a"], "n": 2 }),
            &mut upper,
        );
        assert!(upper.unknown.is_empty());
    }

    #[test]
    fn an_anthropic_request() {
        let mut body = json!({
            "model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "metadata": {"user_id": "u"},
            "messages": [
                {"role": "user", "content": [
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVB"}}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "th", "signature": "sig"},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"name": "n", "deep": {"x": "y"}}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}]}]}]
        });
        let mut upper = Upper::default();
        assert!(visit(&mut body, &mut upper));
        let text = body.to_string();
        for kept in [
            "\"ephemeral\"",
            "\"sig\"",
            "\"t\"",
            "\"name\":\"f\"",
            "\"JVB\"",
            "\"user\"",
        ] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
        for changed in ["S!", "U!", "D!", "TH!", "N!", "Y!", "R!"] {
            assert!(text.contains(changed), "{changed}: {text}");
        }
        assert_eq!(upper.media, ["document"]);
        assert_eq!(upper.unknown, [] as [&str; 0]);
    }
}
