//! YAML text as a tree in which every node knows its place.
//!
//! Anchors, aliases, tags and several documents are refused: a configuration must read the same to everyone, and an
//! alias can blow a small file up to gigabytes.

use crate::diagnostic::{Diagnostic, Place, SourceMap};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Number, Value};
use std::collections::HashMap;

/// Deepest nesting. Chosen: the deepest member of a real file has six levels.
const DEPTH_MAX: usize = 32;

/// A value with its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub place: Place,
    pub data: Data,
}

#[derive(Debug)]
pub(crate) enum Data {
    /// Text; `plain` if it stands without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Member>),
}

#[derive(Debug)]
pub(crate) struct Member {
    pub key: String,
    pub key_place: Place,
    pub value: Node,
}

impl Node {
    /// The scalar as JSON: plain `null`, `true`, numbers; everything else text.
    pub fn scalar(&self) -> Option<Value> {
        let Data::Scalar { text, plain } = &self.data else {
            return None;
        };
        Some(if *plain {
            resolve(text)
        } else {
            Value::String(text.clone())
        })
    }

    pub fn is_null(&self) -> bool {
        self.scalar() == Some(Value::Null)
    }

    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::List(_) => "a list",
            Data::Map(_) => "a section",
            Data::Scalar { .. } => match self.scalar() {
                Some(Value::Null) | None => "nothing",
                Some(Value::Bool(_)) => "a boolean",
                Some(Value::Number(_)) => "a number",
                Some(_) => "text",
            },
        }
    }

    /// As JSON. Scalars become text where `schema` wants text.
    pub fn to_json(&self, schema: &Value) -> Value {
        crate::check::to_json(self, schema, schema)
    }

    pub fn source_map(&self) -> SourceMap {
        let mut places = HashMap::new();
        note(self, String::new(), &mut places);
        SourceMap(places)
    }
}

fn note(node: &Node, path: String, places: &mut HashMap<String, Place>) {
    match &node.data {
        Data::Scalar { .. } => {}
        Data::List(items) => {
            for (index, item) in items.iter().enumerate() {
                note(item, format!("{path}[{index}]"), places);
            }
        }
        Data::Map(members) => {
            for member in members {
                note(&member.value, join(&path, &member.key), places);
            }
        }
    }
    places.insert(path, node.place);
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') => number(text),
        _ => Value::String(text.to_owned()),
    }
}

fn number(text: &str) -> Value {
    if let Ok(whole) = text.parse::<u64>() {
        return whole.into();
    }
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    let float = text
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite())
        .and_then(Number::from_f64);
    float.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn place(span: &Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

/// A list or section whose end has not come.
enum Open {
    List(Place, Vec<Node>),
    Map(Place, Vec<Member>, Option<(String, Place)>),
}

/// Parses one document; an empty text is an empty section.
pub(crate) fn parse(text: &str) -> Result<Node, Vec<Diagnostic>> {
    let mut builder = Builder {
        open: Vec::new(),
        root: None,
        errors: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let place = Place {
                    line: error.marker().line(),
                    column: error.marker().col() + 1,
                };
                builder.errors.push(
                    Diagnostic::error("", format!("not valid YAML: {}", error.info())).at(place),
                );
                return Err(builder.errors);
            }
        };
        if builder.event(event, place(&span)).is_err() {
            return Err(builder.errors);
        }
    }
    if !builder.errors.is_empty() {
        return Err(builder.errors);
    }
    let root = builder.root.filter(|root| !root.is_null());
    Ok(root.unwrap_or(Node {
        place: Place { line: 1, column: 1 },
        data: Data::Map(Vec::new()),
    }))
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    errors: Vec<Diagnostic>,
}

/// The text can't be read on.
struct Stop;

impl Builder {
    fn stop(&mut self, message: &str, place: Place) -> Result<(), Stop> {
        self.errors.push(Diagnostic::error("", message).at(place));
        Err(Stop)
    }

    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), Stop> {
        match event {
            Event::Alias(_) => self.stop(
                "aliases (`*name`) are not supported: write the value out",
                place,
            ),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                self.stop(
                    "anchors (`&name`) are not supported: write the value out",
                    place,
                )
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                self.stop("tags (`!name`) are not supported", place)
            }
            Event::Scalar(text, style, _, None) => {
                let plain = style == ScalarStyle::Plain;
                self.scalar(text.into_owned(), plain, place)
            }
            Event::SequenceStart(..) => self.begin(Open::List(place, Vec::new()), place),
            Event::MappingStart(..) => self.begin(Open::Map(place, Vec::new(), None), place),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(place, items)) => self.add(Node {
                    place,
                    data: Data::List(items),
                }),
                Some(Open::Map(place, members, _)) => self.add(Node {
                    place,
                    data: Data::Map(members),
                }),
                None => Ok(()),
            },
            Event::DocumentStart(_) if self.root.is_some() => {
                self.stop("one document a file: remove the `---` in the middle", place)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, open: Open, place: Place) -> Result<(), Stop> {
        if let Some(Open::Map(_, _, None)) = self.open.last() {
            return self.stop("a key must be plain text", place);
        }
        if self.open.len() >= DEPTH_MAX {
            return self.stop("nested too deeply", place);
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, text: String, plain: bool, place: Place) -> Result<(), Stop> {
        if let Some(Open::Map(_, members, key @ None)) = self.open.last_mut() {
            if let Some(first) = members.iter().find(|member| member.key == text) {
                let shown: String = text.chars().take(64).collect();
                let message = format!(
                    "`{shown}` is given twice; first in line {}",
                    first.key_place.line
                );
                self.errors.push(Diagnostic::error("", message).at(place));
            }
            *key = Some((text, place));
            return Ok(());
        }
        self.add(Node {
            place,
            data: Data::Scalar { text, plain },
        })
    }

    fn add(&mut self, value: Node) -> Result<(), Stop> {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List(_, items)) => items.push(value),
            Some(Open::Map(_, members, key)) => {
                if let Some((key, key_place)) = key.take() {
                    members.push(Member {
                        key,
                        key_place,
                        value,
                    });
                }
            }
        }
        Ok(())
    }
}
