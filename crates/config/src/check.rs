//! Checks a tree against the JSON Schema of the types and collects all that is wrong.

use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::evals::{MoneyRate, Share};
use crate::limits::plans::PriceConfig;
use crate::limits::{
    self, BudgetConfig, LimitRule, MeterConfig, Mistake, PerTimeConfig, PercentConfig,
};
use crate::observe::{AlertCondition, AlertTarget};
use crate::protect::{NetworkSource, RateConfig};
use crate::resilience::HedgeAfter;
use crate::scalar::{ByteSize, Span, Usd};
use crate::secret::Secret;
use crate::validate::{BareCheck, HoldWord, SchemaConfig, StepConfig, Tokens};
use crate::yaml::{Data, Member, Node, join};
use serde_json::{Map, Value};
use std::net::SocketAddr;

/// All errors of `node` against `schema`, which is its own root.
pub(crate) fn check(node: &Node, schema: &Value) -> Vec<Diagnostic> {
    check_at(node, schema, schema, "")
}

/// All errors of one member of a tree, by its path.
pub(crate) fn check_at(node: &Node, schema: &Value, root: &Value, path: &str) -> Vec<Diagnostic> {
    let mut checker = Checker {
        root,
        found: Vec::new(),
    };
    checker.node(node, schema, path);
    checker.found
}

struct Checker<'a> {
    root: &'a Value,
    found: Vec<Diagnostic>,
}

/// Follows `$ref` and takes the part of `anyOf` that is not `null`. Also says whether `null` is allowed.
pub(crate) fn resolve<'a>(schema: &'a Value, root: &'a Value) -> (&'a Value, bool) {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer));
        return found.map_or((schema, false), |found| resolve(found, root));
    }
    if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        let is_null = |option: &&Value| option.get("type").and_then(Value::as_str) == Some("null");
        let nullable = options.iter().any(|option| is_null(&option));
        if let Some(option) = options.iter().find(|option| !is_null(option)) {
            return (resolve(option, root).0, nullable);
        }
    }
    let nullable = schema
        .get("type")
        .and_then(Value::as_array)
        .is_some_and(|kinds| kinds.contains(&"null".into()));
    (schema, nullable)
}

pub(crate) fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|k| *k != "null")
            .unwrap_or(""),
        _ if options(schema).is_some() => "string",
        _ => "",
    }
}

/// Of a schema that wants a word, a text of some format, a list or a section: the part that fits what is written.
pub(crate) fn fitting<'a>(schema: &'a Value, node: &Node) -> &'a Value {
    let section = || variants(schema).find(|variant| kind(variant) == "object");
    let list = || variants(schema).find(|variant| kind(variant) == "array");
    let text = || variants(schema).find(|variant| variant.get("format").is_some());
    match &node.data {
        Data::Map(_) => section().unwrap_or(schema),
        Data::List(_) => list().unwrap_or(schema),
        Data::Scalar { .. } => text().unwrap_or(schema),
    }
}

/// Whether this is the section of a limit, whose members have to fit together.
pub(crate) fn is_limit(schema: &Value) -> bool {
    schema
        .get("format")
        .is_some_and(|format| format == "limit-section")
}

fn variants(schema: &Value) -> impl Iterator<Item = &Value> {
    let all = schema.get("oneOf").and_then(Value::as_array);
    all.into_iter().flatten()
}

/// Names of the sections that may stand instead of a word.
fn sections(schema: &Value) -> impl Iterator<Item = &str> {
    variants(schema)
        .filter_map(|variant| variant.get("properties")?.as_object())
        .flat_map(|members| members.keys().map(String::as_str))
}

/// The words of an enumeration, however it is written.
fn options(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let variants = schema.get("oneOf").and_then(Value::as_array)?;
    Some(
        variants
            .iter()
            .filter_map(|variant| variant.get("const").and_then(Value::as_str))
            .collect(),
    )
}

impl Checker<'_> {
    fn error(&mut self, node: &Node, path: &str, message: impl Into<String>) {
        self.found
            .push(Diagnostic::error(path, message).at(node.place));
    }

    fn node(&mut self, node: &Node, schema: &Value, path: &str) {
        let (schema, nullable) = resolve(schema, self.root);
        if node.is_null() && nullable {
            return;
        }
        let schema = fitting(schema, node);
        match kind(schema) {
            "object" => self.section(node, schema, path),
            "array" => self.list(node, schema, path),
            "string" => self.text(node, schema, path),
            "integer" | "number" => self.number(node, schema, path),
            "boolean" if !matches!(node.scalar(), Some(Value::Bool(_))) => {
                let message = format!("expected true or false, found {}", node.kind());
                self.error(node, path, message);
            }
            _ => {}
        }
    }

    fn section(&mut self, node: &Node, schema: &Value, path: &str) {
        let Data::Map(members) = &node.data else {
            // `routes:` with nothing below it is an empty section.
            if !node.is_null() || schema.get("required").is_some() {
                self.error(
                    node,
                    path,
                    format!("expected a section, found {}", node.kind()),
                );
            }
            return;
        };
        let before = self.found.len();
        let empty = Map::new();
        let known = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let others = schema
            .get("additionalProperties")
            .filter(|others| others.is_object());
        for member in members {
            let at = join(path, &member.key);
            match known.get(&member.key).or(others) {
                Some(schema) => self.node(&member.value, schema, &at),
                None => self.unknown(member, known, path),
            }
        }
        for name in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !members.iter().any(|member| member.key == name) {
                self.error(node, path, format!("`{name}` is missing"));
            }
        }
        if is_limit(schema)
            && self.found.len() == before
            && let Err(error) =
                serde_json::from_value::<LimitRule>(to_json(node, schema, self.root))
        {
            self.error(node, path, error.to_string());
        }
    }

    fn unknown(&mut self, member: &Member, known: &Map<String, Value>, path: &str) {
        let shown: String = member.key.chars().take(64).collect();
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let suggestion = did_you_mean(&member.key, names.iter().copied());
        let place = if path.is_empty() {
            "the file".to_owned()
        } else {
            format!("`{path}`")
        };
        let suggestion =
            suggestion.or_else(|| Some(format!("{place} knows: {}", names.join(", "))));
        let diagnostic = Diagnostic::error(path, format!("unknown field `{shown}`"));
        self.found
            .push(diagnostic.at(member.key_place).suggest(suggestion));
    }

    fn list(&mut self, node: &Node, schema: &Value, path: &str) {
        let Data::List(items) = &node.data else {
            if !node.is_null() {
                self.error(
                    node,
                    path,
                    format!("expected a list, found {}", node.kind()),
                );
            }
            return;
        };
        let bound = |name: &str| {
            schema
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        if let Some(least) = bound("minItems").filter(|least| items.len() < *least) {
            self.error(
                node,
                path,
                format!("expected at least {least} in this list"),
            );
        }
        if let Some(most) = bound("maxItems").filter(|most| items.len() > *most) {
            self.error(
                node,
                path,
                format!(
                    "expected at most {most} in this list, found {}",
                    items.len()
                ),
            );
        }
        let item_schema = schema.get("items").unwrap_or(&Value::Null);
        for (index, item) in items.iter().enumerate() {
            self.node(item, item_schema, &format!("{path}[{index}]"));
        }
    }

    fn text(&mut self, node: &Node, schema: &Value, path: &str) {
        let Data::Scalar { text, .. } = &node.data else {
            return self.error(node, path, format!("expected text, found {}", node.kind()));
        };
        if node.is_null() {
            return self.error(node, path, "expected text, found nothing");
        }
        if let Some(words) = options(schema) {
            if !words.contains(&text.as_str()) {
                let shown: String = text.chars().take(64).collect();
                let mut message = format!("`{shown}` is not one of: {}", words.join(", "));
                for section in sections(schema) {
                    message.push_str(&format!(", or a section `{section}`"));
                }
                let suggestion = did_you_mean(text, words);
                self.found.push(
                    Diagnostic::error(path, message)
                        .at(node.place)
                        .suggest(suggestion),
                );
            }
            return;
        }
        let format = schema
            .get("format")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(read) = limit_format(format) {
            if let Err(mistake) = read(text) {
                self.limit(node, path, mistake);
            }
        } else if let Err(message) = check_format(format, text) {
            self.error(node, path, message);
        }
    }

    /// What is wrong in a text that is a rule, with the place of the word.
    fn limit(&mut self, node: &Node, path: &str, mistake: Mistake) {
        let mut place = node.place;
        if let Data::Scalar { text, plain } = &node.data
            && !text.contains('\n')
        {
            let before = text.get(..mistake.at).unwrap_or_default();
            place.column += before.chars().count() + usize::from(!plain);
        }
        let error = Diagnostic::error(path, mistake.message).at(place);
        self.found.push(error.suggest(mistake.suggestion));
    }

    fn number(&mut self, node: &Node, schema: &Value, path: &str) {
        let whole = kind(schema) == "integer";
        let number = node.scalar().and_then(|value| {
            if whole {
                value.as_i64().map(|n| n.to_string())
            } else {
                value.as_f64().map(|n| n.to_string())
            }
        });
        let Some(number) = number.and_then(|text| text.parse::<f64>().ok()) else {
            let expected = if whole { "a whole number" } else { "a number" };
            return self.error(
                node,
                path,
                format!("expected {expected}, found {}", node.kind()),
            );
        };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        match (bound("minimum"), bound("maximum")) {
            (Some(low), _) if number < low => {
                self.error(node, path, format!("must be at least {low}"))
            }
            (_, Some(high)) if number > high => {
                self.error(node, path, format!("must be at most {high}"))
            }
            _ => {}
        }
    }
}

/// Says what is wrong with a text.
type Reading = fn(&str) -> Result<(), Mistake>;

/// How a text of a limit is read.
fn limit_format(format: &str) -> Option<Reading> {
    Some(match format {
        "limit-rule" => |text| text.parse::<LimitRule>().map(|_| ()),
        "limit-share" => |text| text.parse::<PercentConfig>().map(|_| ()),
        "limit-budget" => |text| text.parse::<BudgetConfig>().map(|_| ()),
        "limit-rate" => |text| text.parse::<PerTimeConfig>().map(|_| ()),
        "limit-price" => |text| text.parse::<PriceConfig>().map(|_| ()),
        "limit-amount" => |text| {
            let number = limits::amount(text, MeterConfig::Requests);
            number
                .or(limits::amount(text, MeterConfig::Cost))
                .map(|_| ())
        },
        "limit-window" => |text| limits::window(text).map(|_| ()),
        "limit-scopes" => |text| limits::scopes(text).map(|_| ()),
        "limit-conditions" => |text| limits::conditions(text).map(|_| ()),
        "limit-exceed" => |text| limits::exceed(text).map(|_| ()),
        _ => return None,
    })
}

fn check_format(format: &str, text: &str) -> Result<(), String> {
    match format {
        "time-span" => text.parse::<Span>().map(|_| ()),
        "byte-size" => text.parse::<ByteSize>().map(|_| ()),
        "usd" => text.parse::<Usd>().map(|_| ()),
        "hedge-after" => text.parse::<HedgeAfter>().map(|_| ()),
        "share" => text.parse::<Share>().map(|_| ()),
        "network" => text.parse::<NetworkSource>().map(|_| ()),
        "rate" => text.parse::<RateConfig>().map(|_| ()),
        "money-rate" => text.parse::<MoneyRate>().map(|_| ()),
        "alert-condition" => text.parse::<AlertCondition>().map(|_| ()),
        "alert-target" => text.parse::<AlertTarget>().map(|_| ()),
        "validation-step" => text.parse::<StepConfig>().map(|_| ()),
        "hold" => text.parse::<HoldWord>().map(|_| ()),
        "token-count" => text.parse::<Tokens>().map(|_| ()),
        "bare-check" => text.parse::<BareCheck>().map(|_| ()),
        "schema-reference" => SchemaConfig::reference(text).map(|_| ()),
        "secret-reference" => text.parse::<Secret>().map(|_| ()),
        "socket-address" => text
            .parse::<SocketAddr>()
            .map(|_| ())
            .map_err(|_| "expected an address with a port, such as `127.0.0.1:4100`".to_owned()),
        "target" => match text.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => Ok(()),
            _ => Err("expected a target as `provider/model`".to_owned()),
        },
        "key-hash" => {
            let hex = text.strip_prefix("hash:").unwrap_or_default();
            if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                Ok(())
            } else {
                Err("expected `hash:` and 64 hex digits, as `aplomb keys hash` prints them; a key itself never stands in the file".to_owned())
            }
        }
        _ => Ok(()),
    }
}

/// A checked tree as JSON, scalars in the type that the schema wants.
pub(crate) fn to_json(node: &Node, schema: &Value, root: &Value) -> Value {
    let schema = fitting(resolve(schema, root).0, node);
    match &node.data {
        Data::List(items) => {
            let item = schema.get("items").unwrap_or(&Value::Null);
            items.iter().map(|node| to_json(node, item, root)).collect()
        }
        Data::Map(members) => {
            let known = schema.get("properties");
            let others = schema.get("additionalProperties").unwrap_or(&Value::Null);
            let value = |member: &Member| {
                let schema = known
                    .and_then(|known| known.get(&member.key))
                    .unwrap_or(others);
                to_json(&member.value, schema, root)
            };
            Value::Object(
                members
                    .iter()
                    .map(|member| (member.key.clone(), value(member)))
                    .collect(),
            )
        }
        Data::Scalar { text, .. } => match kind(schema) {
            "string" if !node.is_null() => Value::String(text.clone()),
            "object" if node.is_null() => Value::Object(Map::new()),
            "array" if node.is_null() => Value::Array(Vec::new()),
            _ => node.scalar().unwrap_or_default(),
        },
    }
}
