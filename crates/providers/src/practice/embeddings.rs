//! Simulated embeddings: unit vectors that depend on the text alone.

use super::tokens;
use aplomb_core::error::ApiError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Dimensions where the request names none.
const DIMENSIONS: u64 = 64;

/// Answers an OpenAI embeddings request.
///
/// # Errors
/// An `input` or `dimensions` that the API does not allow.
pub fn answer(body: &[u8], model: &str) -> Result<Value, ApiError> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let inputs = inputs(request.get("input").unwrap_or(&Value::Null))?;
    let dimensions = request
        .get("dimensions")
        .and_then(Value::as_u64)
        .unwrap_or(DIMENSIONS);
    if !(1..=4096).contains(&dimensions) {
        return Err(ApiError::invalid(
            "dimensions",
            "expected a whole number from 1 to 4096",
        ));
    }
    let base64 = request.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, dimensions);
            let embedding = if base64 {
                STANDARD.encode(bytes(&vector)).into()
            } else {
                json!(vector)
            };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    let used: u64 = inputs.iter().map(|text| tokens(text)).sum();
    Ok(json!({ "object": "list", "model": model, "data": data,
        "usage": { "prompt_tokens": used, "total_tokens": used } }))
}

fn inputs(input: &Value) -> Result<Vec<String>, ApiError> {
    let wrong = || {
        ApiError::invalid(
            "input",
            "expected a string, an array of strings or of token ids",
        )
    };
    match input {
        Value::String(text) if !text.is_empty() => Ok(vec![text.clone()]),
        Value::Array(items) if items.iter().all(Value::is_u64) && !items.is_empty() => {
            Ok(vec![input.to_string()])
        }
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Array(_) => Ok(item.to_string()),
                _ => Err(wrong()),
            })
            .collect(),
        _ => Err(wrong()),
    }
}

fn vector(text: &str, dimensions: u64) -> Vec<f64> {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mut random = fastrand::Rng::with_seed(hasher.finish());
    let raw: Vec<f64> = (0..dimensions).map(|_| random.f64() * 2.0 - 1.0).collect();
    let length = raw
        .iter()
        .map(|x| x * x)
        .sum::<f64>()
        .sqrt()
        .max(f64::MIN_POSITIVE);
    raw.into_iter().map(|x| x / length).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the API's packed form has single precision"
)]
fn bytes(vector: &[f64]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|x| (*x as f32).to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_equal_unit_vectors() {
        let answer = answer(br#"{"input":["a","b","a"]}"#, "m").unwrap();
        let at = |i: usize| answer["data"][i]["embedding"].clone();
        assert_eq!(at(0), at(2));
        assert_ne!(at(0), at(1));
        let length: f64 = at(0)
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap().powi(2))
            .sum();
        assert!((length - 1.0).abs() < 1e-9);
    }

    #[test]
    fn base64_holds_the_same_numbers() {
        let packed = answer(
            br#"{"input":"a","encoding_format":"base64","dimensions":3}"#,
            "m",
        )
        .unwrap();
        let bytes = STANDARD
            .decode(packed["data"][0]["embedding"].as_str().unwrap())
            .unwrap();
        let plain = answer(br#"{"input":"a","dimensions":3}"#, "m").unwrap();
        let first = f32::from_le_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(bytes.len(), 12);
        assert!(
            (f64::from(first) - plain["data"][0]["embedding"][0].as_f64().unwrap()).abs() < 1e-6
        );
    }

    #[test]
    fn wrong_inputs_are_refused() {
        for body in [
            r#"{"input":""}"#,
            r#"{"input":[]}"#,
            r#"{"input":[{}]}"#,
            r#"{"input":"a","dimensions":0}"#,
        ] {
            assert!(answer(body.as_bytes(), "m").is_err(), "{body}");
        }
    }
}
