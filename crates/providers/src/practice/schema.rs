//! A value that fits a JSON Schema, as far as schemas for tools and answers commonly go.

use serde_json::{Map, Value, json};

/// Deepest nesting that is filled in; recursive schemas end there.
const DEPTH_MAX: usize = 8;

/// A value for `schema`. Deterministic for the state of `random`.
pub fn value_for(schema: &Value, random: &mut fastrand::Rng) -> Value {
    fill(schema, schema, random, 0)
}

fn fill(schema: &Value, root: &Value, random: &mut fastrand::Rng, depth: usize) -> Value {
    if let Some(fixed) = schema.get("const").or_else(|| schema.get("default")) {
        return fixed.clone();
    }
    if let Some(options) = schema.get("enum").and_then(Value::as_array) {
        return random.choice(options).cloned().unwrap_or_default();
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer));
        return if depth > DEPTH_MAX {
            Value::Null
        } else {
            fill(found.unwrap_or(&Value::Null), root, random, depth + 1)
        };
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(options) = schema.get(choice).and_then(Value::as_array) {
            // The last option ends recursion where there is one: schemas write `null` last.
            let option = if depth > DEPTH_MAX {
                options.last()
            } else {
                options.first()
            };
            return fill(option.unwrap_or(&Value::Null), root, random, depth + 1);
        }
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        return fill(&merged(schema, parts), root, random, depth + 1);
    }
    match kind(schema) {
        "object" => object(schema, root, random, depth),
        "array" => array(schema, root, random, depth),
        "string" => Value::String(string(schema, random)),
        "integer" => whole(schema, random).into(),
        "number" => number(schema, random),
        "boolean" => random.bool().into(),
        _ => Value::Null,
    }
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|k| *k != "null")
            .unwrap_or("null"),
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

fn merged(schema: &Value, parts: &[Value]) -> Value {
    let mut all = schema.as_object().cloned().unwrap_or_default();
    all.remove("allOf");
    for part in parts.iter().filter_map(Value::as_object) {
        for (name, value) in part {
            match (all.get_mut(name), value) {
                (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.clone()),
                _ => {
                    all.insert(name.clone(), value.clone());
                }
            }
        }
    }
    Value::Object(all)
}

fn object(schema: &Value, root: &Value, random: &mut fastrand::Rng, depth: usize) -> Value {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut members = Map::new();
    for (name, part) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if depth < DEPTH_MAX || required.contains(&name.as_str()) {
            members.insert(name.clone(), fill(part, root, random, depth + 1));
        }
    }
    Value::Object(members)
}

fn bound(schema: &Value, name: &str) -> Option<usize> {
    schema
        .get(name)
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
}

fn array(schema: &Value, root: &Value, random: &mut fastrand::Rng, depth: usize) -> Value {
    let least = bound(schema, "minItems").unwrap_or(1).min(64);
    let count = if depth >= DEPTH_MAX {
        bound(schema, "minItems").unwrap_or(0).min(64)
    } else {
        least
    };
    let item = schema
        .get("items")
        .cloned()
        .unwrap_or_else(|| json!({ "type": "string" }));
    (0..count.min(bound(schema, "maxItems").unwrap_or(usize::MAX)))
        .map(|_| fill(&item, root, random, depth + 1))
        .collect()
}

fn string(schema: &Value, random: &mut fastrand::Rng) -> String {
    let format = schema
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let fixed = match format {
        "date" => Some("2025-01-31".to_owned()),
        "date-time" => Some("2025-01-31T12:00:00Z".to_owned()),
        "time" => Some("12:00:00Z".to_owned()),
        "email" => Some("practice@example.com".to_owned()),
        "uri" | "url" => Some("https://example.com/practice".to_owned()),
        "uuid" => Some("00000000-0000-4000-8000-000000000000".to_owned()),
        "ipv4" => Some("192.0.2.1".to_owned()),
        "hostname" => Some("example.com".to_owned()),
        _ => None,
    };
    if let Some(text) = fixed {
        return text;
    }
    let words = ["practice", "sample", "simulated", "example"];
    let mut text = (*random.choice(&words).unwrap_or(&"practice")).to_owned();
    let least = bound(schema, "minLength").unwrap_or(0).min(10_000);
    while text.chars().count() < least {
        text.push('x');
    }
    text.chars()
        .take(bound(schema, "maxLength").unwrap_or(usize::MAX))
        .collect()
}

fn limits(schema: &Value) -> (f64, f64) {
    let get = |name: &str| schema.get(name).and_then(Value::as_f64);
    let low = get("minimum").or_else(|| get("exclusiveMinimum").map(|n| n + 1.0));
    let high = get("maximum").or_else(|| get("exclusiveMaximum").map(|n| n - 1.0));
    let low = low.unwrap_or_else(|| high.map_or(1.0, |high| high - 10.0));
    (low, high.unwrap_or(low + 10.0).max(low))
}

fn number(schema: &Value, random: &mut fastrand::Rng) -> Value {
    if schema.get("multipleOf").is_some() {
        return whole(schema, random).into();
    }
    let (low, high) = limits(schema);
    // Quarters are exact in binary, so the text of the number stays short.
    json!(
        ((low + (high - low) * random.f64()) * 4.0)
            .round()
            .clamp(low * 4.0, high * 4.0)
            / 4.0
    )
}

fn whole(schema: &Value, random: &mut fastrand::Rng) -> i64 {
    let (low, high) = limits(schema);
    let text = |n: f64| format!("{n:.0}").parse::<i64>().unwrap_or(0);
    let (low, high) = (text(low.ceil()), text(high.floor()));
    let step = schema
        .get("multipleOf")
        .and_then(Value::as_i64)
        .filter(|step| *step > 0)
        .unwrap_or(1);
    let number = random.i64(low..=high.max(low));
    let down = number - number.rem_euclid(step);
    if down >= low { down } else { down + step }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(schema: &Value, value: &Value) -> bool {
        match kind(schema) {
            "object" => {
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                required
                    .iter()
                    .all(|name| value.get(name.as_str().unwrap()).is_some())
                    && value
                        .as_object()
                        .unwrap()
                        .iter()
                        .all(|(name, part)| fits(&schema["properties"][name], part))
            }
            "array" => value
                .as_array()
                .unwrap()
                .iter()
                .all(|item| fits(&schema["items"], item)),
            "integer" => value.as_i64().is_some_and(|n| {
                n >= schema["minimum"].as_i64().unwrap_or(i64::MIN)
                    && n <= schema["maximum"].as_i64().unwrap_or(i64::MAX)
            }),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            _ => {
                schema
                    .get("enum")
                    .is_none_or(|e| e.as_array().unwrap().contains(value))
                    && value.is_string()
            }
        }
    }

    #[test]
    fn values_fit_their_schema() {
        let schema = json!({"type": "object", "required": ["a", "b"], "properties": {
            "a": {"type": "integer", "minimum": 5, "maximum": 7}, "b": {"enum": ["x", "y"]},
            "c": {"type": "array", "items": {"type": "number"}, "minItems": 3}, "d": {"type": ["null", "string"]},
            "e": {"type": "object", "properties": {"f": {"type": "boolean"}}}}});
        for seed in 0..50 {
            let value = value_for(&schema, &mut fastrand::Rng::with_seed(seed));
            assert!(fits(&schema, &value), "{value}");
            assert_eq!(value["c"].as_array().unwrap().len(), 3);
        }
    }

    #[test]
    fn recursion_ends() {
        let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "required": ["next"], "properties": {
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}}});
        assert!(value_for(&schema, &mut fastrand::Rng::with_seed(1)).is_object());
    }
}
