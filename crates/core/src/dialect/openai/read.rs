//! Heads of OpenAI requests: only what the gateway acts on is read, and its types are checked.

use crate::dialect::head;
use crate::error::ApiError;
use crate::json::present;
use crate::request::{ChatRequest, Delivery, Operation, Places};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

/// Members with a meaning here or with a type worth checking. All others pass unread.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(default)]
    messages: Option<head::Messages>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow, default)]
    n: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    top_p: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response_format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
    #[serde(borrow, default)]
    safety_identifier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default)]
    include_usage: Option<&'a RawValue>,
}

fn parse(body: &str) -> Result<Head<'_>, ApiError> {
    head::parse(body)
}

/// `POST /v1/chat/completions`.
pub fn chat(body: &str) -> Result<ChatRequest, ApiError> {
    let parsed = parse(body)?;
    head::messages(parsed.messages)?;
    common(Operation::ChatCompletions, body, &parsed)
}

/// `POST /v1/completions`.
pub fn completions(body: &str) -> Result<ChatRequest, ApiError> {
    let parsed = parse(body)?;
    if parsed.prompt.is_none() {
        return Err(ApiError::invalid(
            "prompt",
            "this field is required; expected a string",
        ));
    }
    common(Operation::Completions, body, &parsed)
}

/// `POST /v1/embeddings`.
pub fn embeddings(body: &str) -> Result<ChatRequest, ApiError> {
    let parsed = parse(body)?;
    match parsed.input.map(|raw| (raw, raw.get().bytes().next())) {
        None => {
            return Err(ApiError::invalid(
                "input",
                "this field is required; expected a string or an array",
            ));
        }
        Some((_, Some(b'"' | b'['))) => {}
        Some((raw, _)) => {
            let found = crate::json::kind_of(raw);
            return Err(ApiError::invalid(
                "input",
                format!("expected a string or an array, found {found}"),
            ));
        }
    }
    let request = common(Operation::Embeddings, body, &parsed)?;
    Ok(ChatRequest {
        delivery: Delivery::Whole,
        ..request
    })
}

fn common(operation: Operation, body: &str, parsed: &Head<'_>) -> Result<ChatRequest, ApiError> {
    let choices =
        head::optional::<u32>(parsed.n, "n", "a whole number from 1 to 128")?.unwrap_or(1);
    if choices == 0 || choices > 128 {
        return Err(ApiError::invalid(
            "n",
            "expected a whole number from 1 to 128",
        ));
    }
    head::optional::<f64>(parsed.temperature, "temperature", "a number")?;
    head::optional::<f64>(parsed.top_p, "top_p", "a number")?;
    head::optional::<Vec<IgnoredAny>>(parsed.tools, "tools", "an array of tools")?;
    head::optional::<std::collections::HashMap<&str, IgnoredAny>>(
        parsed.response_format,
        "response_format",
        "an object",
    )?;
    let whole = "a whole number";
    let older = head::optional::<u64>(parsed.max_tokens, "max_tokens", whole)?;
    let newer =
        head::optional::<u64>(parsed.max_completion_tokens, "max_completion_tokens", whole)?;
    Ok(ChatRequest {
        operation,
        body: Bytes::new(),
        model: head::model(parsed.model)?,
        delivery: delivery(parsed)?,
        user: user(parsed)?,
        max_output_tokens: newer.or(older),
        choices,
        places: Places {
            model: head::place(body, parsed.model).unwrap_or_default(),
            stream_options: head::place(body, parsed.stream_options),
        },
    })
}

fn delivery(parsed: &Head<'_>) -> Result<Delivery, ApiError> {
    let stream = head::optional::<bool>(parsed.stream, "stream", "a boolean")?.unwrap_or(false);
    let options =
        head::optional::<StreamOptions>(parsed.stream_options, "stream_options", "an object")?;
    let asked = options.and_then(|options| options.include_usage);
    let include_usage = head::optional::<bool>(asked, "stream_options.include_usage", "a boolean")?
        .unwrap_or(false);
    Ok(if stream {
        Delivery::Stream { include_usage }
    } else {
        Delivery::Whole
    })
}

fn user(parsed: &Head<'_>) -> Result<Option<String>, ApiError> {
    let user = head::optional::<String>(parsed.user, "user", "a string")?;
    let identifier =
        head::optional::<String>(parsed.safety_identifier, "safety_identifier", "a string")?;
    let metadata = head::optional::<Value>(parsed.metadata, "metadata", "an object")?;
    let in_metadata = metadata
        .as_ref()
        .and_then(|m| m.get("user_id"))
        .and_then(Value::as_str)
        .map(str::to_owned);
    Ok(user
        .or(identifier)
        .or(in_metadata)
        .filter(|user| !user.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<ChatRequest, ApiError> {
        chat(body)
    }

    #[track_caller]
    fn check_refused(body: &str, expected: &str) {
        assert_eq!(read(body).unwrap_err().public, expected);
    }

    #[test]
    fn a_head_is_read() {
        let request = read(
            r#"{"model":"chat","messages":[{"role":"user","content":"hi"}],"stream":true,
                "stream_options":{"include_usage":true},"n":2,"max_tokens":5,"metadata":{"user_id":"u1"},"x_custom":{}}"#,
        )
        .unwrap();
        assert_eq!(request.model, "chat");
        assert_eq!(
            request.delivery,
            Delivery::Stream {
                include_usage: true
            }
        );
        assert_eq!((request.choices, request.max_output_tokens), (2, Some(5)));
        assert_eq!(request.user.as_deref(), Some("u1"));
    }

    #[test]
    fn wrong_types_are_named_with_what_was_found() {
        check_refused(
            r#"{"messages":[{"role":"user"}]}"#,
            "model: this field is required; expected a string",
        );
        check_refused(
            r#"{"model":5,"messages":[{"role":"user"}]}"#,
            "model: expected a string, found a number",
        );
        check_refused(
            r#"{"model":"m","messages":"x"}"#,
            "messages: expected an array of messages, found a string",
        );
        check_refused(
            r#"{"model":"m","messages":[]}"#,
            "messages: expected at least one message",
        );
        check_refused(
            r#"{"model":"m","messages":[1]}"#,
            "messages[0]: expected an object, found a number",
        );
        check_refused(
            r#"{"model":"m","messages":[{"role":"user"}],"stream":"yes"}"#,
            "stream: expected a boolean, found a string",
        );
        check_refused(
            r#"{"model":"m","messages":[{"role":"user"}],"n":0}"#,
            "n: expected a whole number from 1 to 128",
        );
    }

    #[test]
    fn broken_json_names_the_place_and_no_text() {
        for body in [
            "",
            "{",
            "[1,2]",
            "nonsense secret",
            r#"{"model":"m","model":"n"}"#,
            r#""text""#,
        ] {
            let error = read(body).unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(!error.public.contains("secret"), "{}", error.public);
            assert!(error.public.contains("line 1"), "{}", error.public);
        }
    }
}
