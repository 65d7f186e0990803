//! Requests for OpenAI-compatible servers.
//!
//! A request that is already in this dialect keeps its bytes but for the model name and, on streams, the wish for
//! usage. Any other is written from its neutral form.

use super::quirks::{MaxTokensField, Quirks};
use crate::encode::{Dropped, Encoded, untranslated};
use aplomb_core::conversation::{
    Conversation, Message, OutputFormat, Part, Reasoning, Role, Source, ToolChoice,
};
use aplomb_core::dialect;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::json::{self, Edit};
use aplomb_core::request::{ChatRequest, Delivery, Operation};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Encodes a request for `model` at a server with `quirks`.
///
/// # Errors
/// A request that has no counterpart in this dialect, with the place.
pub fn encode(chat: &ChatRequest, model: &str, quirks: &Quirks) -> Result<Encoded, ApiError> {
    let path = match chat.operation {
        Operation::ChatCompletions | Operation::Messages => "/chat/completions",
        Operation::Completions => "/completions",
        Operation::Embeddings => "/embeddings",
        Operation::CountTokens => {
            return Err(ApiError::new(
                ErrorCode::Internal,
                "token counts are not asked of this provider",
            ));
        }
    };
    if chat.operation == Operation::Messages {
        let conversation = dialect::conversation(chat)?;
        let (body, dropped) = translate(&conversation, chat, model, quirks)?;
        return Ok(Encoded {
            path,
            body: Bytes::from(body.to_string()),
            dropped,
        });
    }
    Ok(Encoded {
        path,
        body: splice(chat, model, quirks),
        dropped: Vec::new(),
    })
}

fn splice(chat: &ChatRequest, model: &str, quirks: &Quirks) -> Bytes {
    let mut edits = Vec::new();
    let named = Value::from(model).to_string();
    let model_at = &chat.places.model;
    if chat.body.get(model_at.clone()) != Some(named.as_bytes()) {
        edits.push(Edit {
            range: model_at.clone(),
            text: named,
        });
    }
    if chat.delivery.is_stream() {
        edits.extend(stream_options(chat, quirks));
    }
    if edits.is_empty() {
        return chat.body.clone();
    }
    Bytes::from(json::apply(&chat.body, edits))
}

/// The gateway always wants to know the usage, where the server can say it.
fn stream_options(chat: &ChatRequest, quirks: &Quirks) -> Option<Edit> {
    let Some(range) = chat.places.stream_options.clone() else {
        let member = r#""stream_options":{"include_usage":true}"#;
        return if quirks.stream_usage {
            json::insert_member(&chat.body, member)
        } else {
            None
        };
    };
    if !quirks.stream_usage {
        return json::remove_member(&chat.body, range);
    }
    let given = chat.body.get(range.clone()).unwrap_or_default();
    let mut options: Map<String, Value> = serde_json::from_slice(given).unwrap_or_default();
    if options.get("include_usage") == Some(&Value::Bool(true)) {
        return None;
    }
    options.insert("include_usage".into(), true.into());
    Some(Edit {
        range,
        text: Value::Object(options).to_string(),
    })
}

fn translate(
    conversation: &Conversation,
    chat: &ChatRequest,
    model: &str,
    quirks: &Quirks,
) -> Result<(Value, Vec<Dropped>), ApiError> {
    let mut body = Map::new();
    let mut dropped = Vec::new();
    body.insert("model".into(), model.into());
    body.insert(
        "messages".into(),
        Value::Array(messages(conversation, quirks)?),
    );
    if !conversation.tools.is_empty() {
        body.insert("tools".into(), tools(conversation));
        if let Some(choice) = &conversation.tool_choice {
            body.insert("tool_choice".into(), tool_choice(choice));
        }
        if conversation.parallel_tool_calls == Some(false) {
            body.insert("parallel_tool_calls".into(), false.into());
        }
    }
    sampling(&mut body, conversation, quirks, &mut dropped);
    match &conversation.output_format {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => {
            body.insert("response_format".into(), json!({ "type": "json_object" }));
        }
        OutputFormat::JsonSchema {
            name,
            schema,
            strict,
        } => {
            let format =
                json!({ "name": name, "schema": schema, "strict": strict.unwrap_or(true) });
            body.insert(
                "response_format".into(),
                json!({ "type": "json_schema", "json_schema": format }),
            );
        }
    }
    if let Delivery::Stream { .. } = chat.delivery {
        body.insert("stream".into(), true.into());
        if quirks.stream_usage {
            body.insert("stream_options".into(), json!({ "include_usage": true }));
        }
    }
    dropped.extend(untranslated(&conversation.rest));
    Ok((Value::Object(body), dropped))
}

fn sampling(
    body: &mut Map<String, Value>,
    from: &Conversation,
    quirks: &Quirks,
    dropped: &mut Vec<Dropped>,
) {
    if let Some(max) = from.max_output_tokens {
        let name = match quirks.max_tokens_field {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        };
        body.insert(name.into(), max.into());
    }
    if let Some(temperature) = from.temperature {
        body.insert("temperature".into(), temperature.into());
    }
    if let Some(top_p) = from.top_p {
        body.insert("top_p".into(), top_p.into());
    }
    if from.top_k.is_some() {
        dropped.push("top_k".into());
    }
    match from.stop.as_slice() {
        [] => {}
        // OpenAI takes four at most.
        [first, second, third, fourth, _, ..] => {
            dropped.push("stop_sequences".into());
            body.insert("stop".into(), json!([first, second, third, fourth]));
        }
        few => {
            body.insert("stop".into(), json!(few));
        }
    }
    match &from.reasoning {
        None => {}
        Some(Reasoning::Effort(effort)) => {
            body.insert("reasoning_effort".into(), effort.as_str().into());
        }
        Some(Reasoning::Adaptive) => {
            body.insert("reasoning_effort".into(), "medium".into());
        }
        Some(Reasoning::Budget(tokens)) => {
            body.insert("reasoning_effort".into(), effort_of(*tokens).into());
        }
    }
    if let Some(user) = &from.user {
        body.insert("user".into(), user.as_str().into());
    }
}

/// Chosen: the borders lie between the budgets that the Anthropic encoder gives to the efforts.
fn effort_of(budget: u64) -> &'static str {
    match budget {
        0..=2_048 => "low",
        2_049..=8_192 => "medium",
        _ => "high",
    }
}

fn tools(conversation: &Conversation) -> Value {
    conversation
        .tools
        .iter()
        .map(|tool| {
            let mut function = Map::new();
            function.insert("name".into(), tool.name.as_str().into());
            if let Some(description) = &tool.description {
                function.insert("description".into(), description.as_str().into());
            }
            function.insert("parameters".into(), tool.parameters.clone());
            if let Some(strict) = tool.strict {
                function.insert("strict".into(), strict.into());
            }
            json!({ "type": "function", "function": function })
        })
        .collect()
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({ "type": "function", "function": { "name": name } }),
    }
}

fn messages(conversation: &Conversation, quirks: &Quirks) -> Result<Vec<Value>, ApiError> {
    let instructions = if quirks.developer_role {
        "developer"
    } else {
        "system"
    };
    let mut out = Vec::new();
    if !conversation.system.is_empty() {
        out.push(
            json!({ "role": instructions, "content": content(&conversation.system, "system")? }),
        );
    }
    for (index, message) in conversation.messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        match message.role {
            Role::System => {
                out.push(json!({ "role": instructions, "content": content(&message.parts, &at)? }))
            }
            Role::User => user_turn(message, &at, &mut out)?,
            Role::Assistant => out.push(assistant_turn(message, &at)?),
        }
    }
    Ok(out)
}

/// Results of tools become messages of their own, before what the user says in the same turn.
fn user_turn(message: &Message, at: &str, out: &mut Vec<Value>) -> Result<(), ApiError> {
    let mut said = Vec::new();
    for part in &message.parts {
        match part {
            Part::ToolResult {
                id,
                content: parts,
                is_error,
                ..
            } => {
                let mut text = content(parts, at)?;
                if *is_error && let Value::String(text) = &mut text {
                    // OpenAI has no field for it; the model must still learn that the call failed.
                    text.insert_str(0, "Error: ");
                }
                out.push(json!({ "role": "tool", "tool_call_id": id, "content": text }));
            }
            other => said.push(other.clone()),
        }
    }
    if !said.is_empty() {
        out.push(json!({ "role": "user", "content": content(&said, at)? }));
    }
    Ok(())
}

fn assistant_turn(message: &Message, at: &str) -> Result<Value, ApiError> {
    let mut said = Vec::new();
    let mut calls = Vec::new();
    for part in &message.parts {
        match part {
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => {
                let arguments = if arguments.is_empty() {
                    "{}"
                } else {
                    arguments
                };
                calls.push(json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }));
            }
            // Signed reasoning belongs to the provider that made it; this dialect has no place for it.
            Part::Reasoning { .. } | Part::RedactedReasoning { .. } => {}
            other => said.push(other.clone()),
        }
    }
    let mut turn = Map::new();
    turn.insert("role".into(), "assistant".into());
    let text = if said.is_empty() {
        Value::Null
    } else {
        content(&said, at)?
    };
    turn.insert("content".into(), text);
    if !calls.is_empty() {
        turn.insert("tool_calls".into(), Value::Array(calls));
    }
    Ok(Value::Object(turn))
}

/// One text is a string, everything else a list of parts.
fn content(parts: &[Part], at: &str) -> Result<Value, ApiError> {
    if let [Part::Text { text, .. }] = parts {
        return Ok(text.as_str().into());
    }
    if parts.is_empty() {
        return Ok("".into());
    }
    let items: Result<Vec<Value>, ApiError> = parts
        .iter()
        .enumerate()
        .map(|(index, item)| part(item, &format!("{at}.content[{index}]")))
        .collect();
    items.map(Value::Array)
}

fn part(part: &Part, at: &str) -> Result<Value, ApiError> {
    let refused =
        |what: &str| ApiError::invalid(at, format!("{what} has no counterpart at this target"));
    match part {
        Part::Text { text, .. } | Part::Refusal { text } => {
            Ok(json!({ "type": "text", "text": text }))
        }
        Part::Image { source, detail, .. } => {
            let mut image = Map::new();
            image.insert(
                "url".into(),
                data_url(source)
                    .ok_or_else(|| refused("this image source"))?
                    .into(),
            );
            if let Some(detail) = detail {
                image.insert("detail".into(), detail.as_str().into());
            }
            Ok(json!({ "type": "image_url", "image_url": image }))
        }
        Part::File {
            source: Source::Text(text),
            ..
        } => Ok(json!({ "type": "text", "text": text })),
        Part::File {
            source: Source::FileId(id),
            ..
        } => Ok(json!({ "type": "file", "file": { "file_id": id } })),
        Part::File {
            source: source @ Source::Base64 { .. },
            name,
            ..
        } => {
            let name = name.as_deref().unwrap_or("document.pdf");
            Ok(
                json!({ "type": "file", "file": { "filename": name, "file_data": data_url(source) } }),
            )
        }
        Part::File {
            source: Source::Url(_),
            ..
        } => Err(refused("a file by URL")),
        Part::Other { kind, .. } => Err(refused(&format!("a part of type `{kind}`"))),
        Part::ToolCall { .. } | Part::ToolResult { .. } => {
            Err(refused("a tool call in this place"))
        }
        Part::Reasoning { .. } | Part::RedactedReasoning { .. } => {
            Err(refused("reasoning in this place"))
        }
    }
}

fn data_url(source: &Source) -> Option<String> {
    match source {
        Source::Url(url) => Some(url.clone()),
        Source::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
        Source::FileId(_) | Source::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(body: &str, model: &str, quirks: &Quirks) -> String {
        let chat = dialect::read(
            Operation::ChatCompletions,
            Bytes::copy_from_slice(body.as_bytes()),
        )
        .unwrap();
        String::from_utf8(encode(&chat, model, quirks).unwrap().body.to_vec()).unwrap()
    }

    #[test]
    fn a_request_in_this_dialect_keeps_its_bytes() {
        let body =
            r#"{ "messages":[{"role":"user","content":"hi"}], "model" : "chat","x_custom":1.50}"#;
        let expected =
            r#"{ "messages":[{"role":"user","content":"hi"}], "model" : "m1","x_custom":1.50}"#;
        assert_eq!(native(body, "m1", &Quirks::of("x")), expected);
    }

    #[test]
    fn streams_ask_for_usage_where_the_server_can_say_it() {
        let body = r#"{"stream":true,"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        assert!(
            native(body, "m", &Quirks::of("vllm"))
                .starts_with(r#"{"stream_options":{"include_usage":true},"#)
        );
        assert_eq!(native(body, "m", &Quirks::of("mistral")), body);
        let body = r#"{"stream":true,"stream_options":{"include_usage":false,"x":1},"model":"m","messages":[{"role":"user"}]}"#;
        assert!(
            native(body, "m", &Quirks::of("vllm"))
                .contains(r#""stream_options":{"include_usage":true,"x":1}"#)
        );
        assert!(!native(body, "m", &Quirks::of("mistral")).contains("stream_options"));
    }
}
