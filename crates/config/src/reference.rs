//! The JSON Schema for editors, and the reference page, both made from the types.

use crate::file::ConfigFile;
use crate::validate::{BareCheck, StepConfig};
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt::Write;

/// JSON Schema of the file.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(ConfigFile).to_value();
    if let Value::Object(members) = &mut schema {
        members.insert("title".into(), "aplomb.yaml".into());
    }
    schema
}

/// The reference page in Markdown: one table a section, fields in the order of the types.
pub fn reference() -> String {
    let schema = json_schema();
    let mut out = String::from(
        "# Reference of `aplomb.yaml`\n\nMade from the doc comments of the types by `cargo run -p xtask -- reference`; a test keeps it current.\n",
    );
    let mut queue = VecDeque::from([("the file".to_owned(), schema.clone())]);
    while let Some((path, section)) = queue.pop_front() {
        let (text, below) = table(&path, &section, &schema);
        out.push_str(&text);
        queue.extend(below);
    }
    out
}

fn resolve(schema: &Value, root: &Value) -> Value {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer));
        return found.map_or_else(|| schema.clone(), |found| resolve(found, root));
    }
    let options = schema.get("anyOf").and_then(Value::as_array);
    match options
        .into_iter()
        .flatten()
        .find(|o| o.get("type").and_then(Value::as_str) != Some("null"))
    {
        Some(option) => resolve(option, root),
        None => schema.clone(),
    }
}

/// The table of one section, and the sections below it.
fn table(path: &str, section: &Value, root: &Value) -> (String, Vec<(String, Value)>) {
    let (mut out, mut queue) = (String::new(), Vec::new());
    let Some(fields) = section.get("properties").and_then(Value::as_object) else {
        return (out, queue);
    };
    let about = section
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let _ = write!(
        &mut out,
        "\n## `{path}`\n\n{about}\n\n| field | value | meaning |\n| --- | --- | --- |\n"
    );
    for (name, field) in fields {
        let inner = resolve(field, root);
        let below = if path == "the file" {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let meaning = field
            .get("description")
            .or_else(|| inner.get("description"))
            .and_then(Value::as_str);
        let _ = writeln!(
            &mut out,
            "| `{name}` | {} | {} |",
            value(&inner, root),
            meaning.unwrap_or_default().replace('\n', " ")
        );
        let entry = inner
            .get("additionalProperties")
            .filter(|entry| entry.is_object())
            .map(|entry| resolve(entry, root));
        match entry {
            Some(entry) => queue.push((format!("{below}.<name>"), entry)),
            None => {
                queue.extend(sections(&below, &inner, root));
                queue.push((below, inner));
            }
        }
    }
    (out, queue)
}

/// Sections that may stand in a list, or in the place of a word or number.
fn sections(path: &str, field: &Value, root: &Value) -> Vec<(String, Value)> {
    let (path, field) = match field.get("items") {
        Some(item) => (format!("{path}[]"), resolve(item, root)),
        None => (path.to_owned(), field.clone()),
    };
    let variants = field.get("oneOf").and_then(Value::as_array);
    let mut found = Vec::new();
    for variant in variants.into_iter().flatten() {
        let Some(members) = variant.get("properties").and_then(Value::as_object) else {
            continue;
        };
        match members.iter().next() {
            // A section by its name, instead of a word.
            Some((name, section)) if members.len() == 1 => {
                found.push((format!("{path}.{name}"), resolve(section, root)));
            }
            _ => found.push((path.clone(), variant.clone())),
        }
    }
    found
}

/// Words in the form of the page.
fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

fn steps() -> String {
    words(StepConfig::ALL.iter().map(|step| step.word()))
}

fn bare_checks() -> String {
    words(BareCheck::ALL.iter().map(|check| check.word()))
}

fn value(schema: &Value, root: &Value) -> String {
    if let Some(variants) = schema
        .get("oneOf")
        .or_else(|| schema.get("enum"))
        .and_then(Value::as_array)
    {
        let words = variants
            .iter()
            .filter_map(|v| v.get("const").unwrap_or(v).as_str());
        let sections = variants
            .iter()
            .filter_map(|v| v.get("properties")?.as_object())
            .map(|members| match members.keys().next() {
                Some(name) if members.len() == 1 => format!("section `{name}`"),
                _ => "section".to_owned(),
            });
        let texts = variants
            .iter()
            .filter(|variant| variant.get("format").is_some())
            .map(|variant| value(variant, root));
        let lists = variants
            .iter()
            .filter(|variant| variant.get("items").is_some())
            .map(|_| "list of them".to_owned());
        return words
            .map(|word| format!("`{word}`"))
            .chain(texts)
            .chain(lists)
            .chain(sections)
            .collect::<Vec<_>>()
            .join(", ");
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|k| *k != "null")
            .unwrap_or_default(),
        other => other.and_then(Value::as_str).unwrap_or_default(),
    };
    match (schema.get("format").and_then(Value::as_str), kind) {
        (Some("time-span"), _) => "time span".into(),
        (Some("byte-size"), _) => "size".into(),
        (Some("usd"), _) => "US dollars".into(),
        (Some("network"), _) => "network".into(),
        (Some("rate"), _) => "rate".into(),
        (Some("alert-condition"), _) => "condition".into(),
        (Some("alert-target"), _) => "`log`, `webhook:…` or `slack:…`".into(),
        (Some("hedge-after"), _) => "`p95` or time span".into(),
        (Some("share"), _) => "share".into(),
        (Some("secret-reference"), _) => "secret reference".into(),
        (Some("socket-address"), _) => "address".into(),
        (Some("validation-step"), _) => steps(),
        (Some("hold"), _) => "`first_token`, `whole`".into(),
        (Some("token-count"), _) => "tokens".into(),
        (Some("bare-check"), _) => bare_checks(),
        (Some("schema-reference"), _) => "`file:PATH`".into(),
        (Some("target"), _) => "`provider/model`".into(),
        (Some("limit-rule"), _) => "rule".into(),
        (Some("limit-share"), _) => "percent".into(),
        (Some("limit-budget"), _) => "US dollars over a time".into(),
        (Some("limit-rate"), _) => "number over a time".into(),
        (Some("limit-price"), _) => "US dollars for a period".into(),
        (Some("base-url"), _) => "URL".into(),
        (_, "array") => {
            let item = resolve(schema.get("items").unwrap_or(&Value::Null), root);
            format!("list of {}", value(&item, root))
        }
        (_, "object")
            if schema
                .get("additionalProperties")
                .is_some_and(Value::is_object) =>
        {
            "sections by name".into()
        }
        (_, "object") => "section".into(),
        (_, "integer") => "whole number".into(),
        (_, "string") => "text".into(),
        (_, other) => other.into(),
    }
}
