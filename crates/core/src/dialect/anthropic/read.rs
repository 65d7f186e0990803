//! Heads of Anthropic requests: only what the gateway acts on is read, and its types are checked.

use crate::dialect::head;
use crate::error::ApiError;
use crate::json::kind_of;
use crate::request::{ChatRequest, Delivery, Operation, Places};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(default)]
    messages: Option<head::Messages>,
    #[serde(borrow, default)]
    system: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    user_id: Option<&'a RawValue>,
}

fn parse(body: &str) -> Result<Head<'_>, ApiError> {
    head::parse(body)
}

/// `POST /v1/messages`.
pub fn messages(body: &str) -> Result<ChatRequest, ApiError> {
    let parsed = parse(body)?;
    let max: u64 = head::required(parsed.max_tokens, "max_tokens", "a whole number")?;
    if max == 0 {
        return Err(ApiError::invalid("max_tokens", "expected at least 1"));
    }
    let stream = head::optional::<bool>(parsed.stream, "stream", "a boolean")?.unwrap_or(false);
    let delivery = if stream {
        Delivery::Stream {
            include_usage: true,
        }
    } else {
        Delivery::Whole
    };
    let request = common(Operation::Messages, body, &parsed)?;
    Ok(ChatRequest {
        delivery,
        max_output_tokens: Some(max),
        ..request
    })
}

/// `POST /v1/messages/count_tokens`.
pub fn count_tokens(body: &str) -> Result<ChatRequest, ApiError> {
    common(Operation::CountTokens, body, &parse(body)?)
}

fn common(operation: Operation, body: &str, parsed: &Head<'_>) -> Result<ChatRequest, ApiError> {
    let model = head::model(parsed.model)?;
    head::messages(parsed.messages)?;
    if let Some(system) = parsed.system
        && !matches!(system.get().bytes().next(), Some(b'"' | b'['))
    {
        let found = kind_of(system);
        return Err(ApiError::invalid(
            "system",
            format!("expected a string or an array of blocks, found {found}"),
        ));
    }
    head::optional::<Vec<IgnoredAny>>(parsed.tools, "tools", "an array of tools")?;
    head::optional::<f64>(parsed.temperature, "temperature", "a number")?;
    let metadata = head::optional::<Metadata>(parsed.metadata, "metadata", "an object")?;
    let user_id = metadata.and_then(|metadata| metadata.user_id);
    let user = head::optional::<String>(user_id, "metadata.user_id", "a string")?;
    Ok(ChatRequest {
        operation,
        body: Bytes::new(),
        model,
        delivery: Delivery::Whole,
        user: user.filter(|user| !user.is_empty()),
        max_output_tokens: None,
        choices: 1,
        places: Places {
            model: head::place(body, parsed.model).unwrap_or_default(),
            stream_options: None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<ChatRequest, ApiError> {
        messages(body)
    }

    #[test]
    fn a_head_is_read() {
        let request = read(
            r#"{"model":"m","max_tokens":9,"stream":true,"metadata":{"user_id":"u"},"messages":[{"role":"user","content":"x"}]}"#,
        )
        .unwrap();
        assert_eq!(
            (request.max_output_tokens, request.user.as_deref()),
            (Some(9), Some("u"))
        );
        assert!(request.delivery.is_stream());
    }

    #[test]
    fn wrong_types_are_named() {
        for (body, param) in [
            (
                r#"{"model":"m","messages":[{"role":"user"}]}"#,
                "max_tokens",
            ),
            (
                r#"{"model":"m","max_tokens":"1","messages":[{"role":"user"}]}"#,
                "max_tokens",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user"}],"system":5}"#,
                "system",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{}]}"#,
                "messages[0].role",
            ),
        ] {
            assert_eq!(
                read(body).unwrap_err().param.as_deref(),
                Some(param),
                "{body}"
            );
        }
    }
}
