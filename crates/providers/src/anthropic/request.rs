//! Requests for the Messages API.
//!
//! A request that is already in this dialect keeps its bytes but for the model name. Any other is written from its
//! neutral form; what has no counterpart is named in [`Encoded::dropped`] or refused with its place.

use crate::encode::{Dropped, Encoded, untranslated};
use aplomb_core::conversation::{
    Conversation, Message, OutputFormat, Part, Reasoning, Role, Source, ToolChoice,
};
use aplomb_core::dialect;
use aplomb_core::error::ApiError;
use aplomb_core::json::{self, Edit};
use aplomb_core::request::{ChatRequest, Operation};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// `max_tokens` where the client gives none; the field is required here. Chosen: every model in service takes it.
pub const MAX_TOKENS_DEFAULT: u64 = 4096;

/// Encodes a request for `model`.
///
/// # Errors
/// A request that has no counterpart in this dialect, with the place.
pub fn encode(chat: &ChatRequest, model: &str) -> Result<Encoded, ApiError> {
    match chat.operation {
        Operation::Messages => Ok(Encoded {
            path: "/v1/messages",
            body: splice(chat, model),
            dropped: Vec::new(),
        }),
        Operation::CountTokens => Ok(Encoded {
            path: "/v1/messages/count_tokens",
            body: splice(chat, model),
            dropped: Vec::new(),
        }),
        Operation::ChatCompletions | Operation::Completions => {
            let conversation = dialect::conversation(chat)?;
            let mut dropped = Vec::new();
            let mut body = translate(&conversation, model, &mut dropped)?;
            if chat.delivery.is_stream() {
                body.insert("stream".into(), true.into());
            }
            Ok(Encoded {
                path: "/v1/messages",
                body: Bytes::from(Value::Object(body).to_string()),
                dropped,
            })
        }
        Operation::Embeddings => Err(ApiError::invalid(
            "model",
            "this model does not serve embeddings",
        )),
    }
}

fn splice(chat: &ChatRequest, model: &str) -> Bytes {
    let edit = Edit {
        range: chat.places.model.clone(),
        text: Value::from(model).to_string(),
    };
    Bytes::from(json::apply(&chat.body, vec![edit]))
}

fn translate(
    from: &Conversation,
    model: &str,
    dropped: &mut Vec<Dropped>,
) -> Result<Map<String, Value>, ApiError> {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    let turns = turns(from)?;
    if turns.is_empty() {
        return Err(ApiError::invalid(
            "messages",
            "this target needs at least one user or assistant message with content",
        ));
    }
    let mut system = blocks(&from.system, "system")?;
    if from.output_format == OutputFormat::JsonObject {
        system.push(
            json!({ "type": "text", "text": "Answer with one JSON object and nothing else." }),
        );
    }
    if !system.is_empty() {
        body.insert("system".into(), Value::Array(system));
    }
    body.insert("messages".into(), Value::Array(turns));
    tools(from, &mut body);
    parameters(from, &mut body, dropped);
    Ok(body)
}

fn tools(from: &Conversation, body: &mut Map<String, Value>) {
    if from.tools.is_empty() {
        return;
    }
    let list = from.tools.iter().map(|tool| {
        let mut schema = tool.parameters.clone();
        if let Value::Object(members) = &mut schema {
            members.entry("type").or_insert_with(|| "object".into());
        }
        let mut item = Map::new();
        item.insert("name".into(), tool.name.as_str().into());
        if let Some(description) = &tool.description {
            item.insert("description".into(), description.as_str().into());
        }
        item.insert("input_schema".into(), schema);
        if let Some(mark) = &tool.cache_control {
            item.insert("cache_control".into(), mark.clone());
        }
        Value::Object(item)
    });
    body.insert("tools".into(), list.collect());
    let mut choice = match &from.tool_choice {
        None | Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        Some(ToolChoice::None) => json!({ "type": "none" }),
        Some(ToolChoice::Required) => json!({ "type": "any" }),
        Some(ToolChoice::Named(name)) => json!({ "type": "tool", "name": name }),
    };
    let one_only = from.parallel_tool_calls == Some(false);
    if let Value::Object(members) = &mut choice
        && one_only
    {
        members.insert("disable_parallel_tool_use".into(), true.into());
    }
    if one_only || from.tool_choice.is_some() {
        body.insert("tool_choice".into(), choice);
    }
}

fn parameters(from: &Conversation, body: &mut Map<String, Value>, dropped: &mut Vec<Dropped>) {
    let mut max = from.max_output_tokens.unwrap_or(MAX_TOKENS_DEFAULT).max(1);
    if let Some(budget) = budget(from, dropped) {
        // The bound covers thinking and answer; the client meant the answer.
        max = max.saturating_add(budget);
        body.insert(
            "thinking".into(),
            json!({ "type": "enabled", "budget_tokens": budget }),
        );
        dropped.extend(from.temperature.map(|_| "temperature".into()));
        dropped.extend(from.top_p.map(|_| "top_p".into()));
    } else {
        sampling(from, body, dropped);
    }
    body.insert("max_tokens".into(), max.into());
    let stop: Vec<&String> = from
        .stop
        .iter()
        .filter(|text| !text.trim().is_empty())
        .collect();
    if !stop.is_empty() {
        body.insert("stop_sequences".into(), json!(stop));
    }
    if let OutputFormat::JsonSchema { schema, .. } = &from.output_format {
        let format = json!({ "type": "json_schema", "schema": schema });
        body.insert("output_config".into(), json!({ "format": format }));
    }
    if let Some(user) = &from.user {
        body.insert("metadata".into(), json!({ "user_id": user }));
    }
    dropped.extend(from.logprobs.map(|_| "logprobs".into()));
    dropped.extend(untranslated(&from.rest));
}

fn sampling(from: &Conversation, body: &mut Map<String, Value>, dropped: &mut Vec<Dropped>) {
    if let Some(temperature) = from.temperature {
        if temperature > 1.0 {
            dropped.push("temperature".into());
        }
        body.insert("temperature".into(), temperature.clamp(0.0, 1.0).into());
    }
    match (from.top_p, from.temperature) {
        // Models in service refuse the two together.
        (Some(_), Some(_)) => dropped.push("top_p".into()),
        (Some(top_p), None) => {
            body.insert("top_p".into(), top_p.into());
        }
        (None, _) => {}
    }
    if let Some(top_k) = from.top_k {
        body.insert("top_k".into(), top_k.into());
    }
}

/// Tokens for thinking, where it is asked for and can be had.
fn budget(from: &Conversation, dropped: &mut Vec<Dropped>) -> Option<u64> {
    let budget = match from.reasoning.as_ref()? {
        Reasoning::Budget(tokens) => Some((*tokens).max(1024)),
        Reasoning::Effort(effort) => budget_of(effort),
        Reasoning::Adaptive => None,
    }?;
    if can_think(from) {
        return Some(budget);
    }
    dropped.push("reasoning_effort".into());
    None
}

/// The API refuses thinking together with a forced call, and within a round of calls that was begun without it.
fn can_think(from: &Conversation) -> bool {
    let forced = matches!(
        from.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    );
    let is_call = |part: &Part| matches!(part, Part::ToolCall { .. });
    let is_thought = |part: &Part| {
        matches!(
            part,
            Part::Reasoning {
                signature: Some(_),
                ..
            } | Part::RedactedReasoning { .. }
        )
    };
    let answers_call = from.messages.last().is_some_and(|last| {
        let is_result = |part: &Part| matches!(part, Part::ToolResult { .. });
        last.parts.iter().any(is_result)
    });
    let mut turns = from.messages.iter().rev();
    let caller = turns.find(|turn| turn.role == Role::Assistant);
    let unthinking = answers_call
        && caller.is_some_and(|turn| {
            turn.parts.iter().any(is_call) && !turn.parts.iter().any(is_thought)
        });
    !forced && !unthinking
}

/// Chosen: the smallest budget the API takes, then steps of four.
fn budget_of(effort: &str) -> Option<u64> {
    match effort {
        "none" => None,
        "minimal" | "low" => Some(1024),
        "medium" => Some(4096),
        _ => Some(16_384),
    }
}

/// Turns alternate: neighbours of one role are joined, results of tools come first in theirs.
fn turns(from: &Conversation) -> Result<Vec<Value>, ApiError> {
    let mut merged: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for (index, message) in from.messages.iter().enumerate() {
        let (role, content) = turn(message, &format!("messages[{index}]"))?;
        if content.is_empty() {
            continue;
        }
        match merged.last_mut() {
            Some((last, blocks)) if *last == role => blocks.extend(content),
            _ => merged.push((role, content)),
        }
    }
    for (_, blocks) in &mut merged {
        blocks
            .sort_by_key(|block| block.get("type").and_then(Value::as_str) != Some("tool_result"));
    }
    Ok(merged
        .into_iter()
        .map(|(role, content)| json!({ "role": role, "content": content }))
        .collect())
}

fn turn(message: &Message, at: &str) -> Result<(&'static str, Vec<Value>), ApiError> {
    let content = blocks(&message.parts, &format!("{at}.content"))?;
    Ok(match message.role {
        Role::User => ("user", content),
        Role::Assistant => ("assistant", content),
        // Instructions in the middle keep their place; this API has them only at the start.
        Role::System => {
            let text: String = message
                .parts
                .iter()
                .filter_map(|part| {
                    if let Part::Text { text, .. } = part {
                        Some(text.as_str())
                    } else {
                        None
                    }
                })
                .collect();
            (
                "user",
                vec![json!({ "type": "text", "text": format!("<system>\n{text}\n</system>") })],
            )
        }
    })
}

fn blocks(parts: &[Part], at: &str) -> Result<Vec<Value>, ApiError> {
    let mut out = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        out.extend(block(part, &format!("{at}[{index}]"))?);
    }
    // Thinking must stand first in its turn.
    out.sort_by_key(|block| {
        !matches!(
            block.get("type").and_then(Value::as_str),
            Some("thinking" | "redacted_thinking")
        )
    });
    Ok(out)
}

fn marked(mut block: Value, cache_control: Option<&Value>) -> Option<Value> {
    if let (Value::Object(members), Some(mark)) = (&mut block, cache_control) {
        members.insert("cache_control".into(), mark.clone());
    }
    Some(block)
}

/// One block, or none where the part says nothing.
fn block(part: &Part, at: &str) -> Result<Option<Value>, ApiError> {
    Ok(match part {
        Part::Text { text, .. } | Part::Refusal { text } if text.is_empty() => None,
        Part::Text {
            text,
            cache_control,
        } => marked(
            json!({ "type": "text", "text": text }),
            cache_control.as_ref(),
        ),
        Part::Refusal { text } => Some(json!({ "type": "text", "text": text })),
        Part::Image {
            source,
            cache_control,
            ..
        } => marked(
            json!({ "type": "image", "source": source_block(source) }),
            cache_control.as_ref(),
        ),
        Part::File {
            source,
            name,
            cache_control,
        } => {
            let mut document = json!({ "type": "document", "source": source_block(source) });
            if let (Value::Object(members), Some(name)) = (&mut document, name) {
                members.insert("title".into(), name.as_str().into());
            }
            marked(document, cache_control.as_ref())
        }
        Part::ToolCall {
            id,
            name,
            arguments,
            cache_control,
        } => {
            let input = if arguments.trim().is_empty() {
                json!({})
            } else {
                arguments_object(arguments, at)?
            };
            marked(
                json!({ "type": "tool_use", "id": call_id(id), "name": name, "input": input }),
                cache_control.as_ref(),
            )
        }
        Part::ToolResult {
            id,
            content,
            is_error,
            cache_control,
        } => {
            let mut result = Map::new();
            result.insert("type".into(), "tool_result".into());
            result.insert("tool_use_id".into(), call_id(id).into());
            result.insert("content".into(), Value::Array(blocks(content, at)?));
            if *is_error {
                result.insert("is_error".into(), true.into());
            }
            marked(Value::Object(result), cache_control.as_ref())
        }
        Part::Reasoning {
            text,
            signature: Some(signature),
        } => Some(json!({ "type": "thinking", "thinking": text, "signature": signature })),
        // Unsigned reasoning is refused by the API.
        Part::Reasoning {
            signature: None, ..
        } => None,
        Part::RedactedReasoning { data } => {
            Some(json!({ "type": "redacted_thinking", "data": data }))
        }
        Part::Other { kind, .. } => {
            let kind: String = kind.chars().take(48).collect();
            return Err(ApiError::invalid(
                at,
                format!("a part of type `{kind}` has no counterpart at this target"),
            ));
        }
    })
}

/// The API takes letters, digits, `_` and `-` in ids.
fn call_id(id: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    id.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

fn arguments_object(arguments: &str, at: &str) -> Result<Value, ApiError> {
    match serde_json::from_str::<Value>(arguments) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(ApiError::invalid(
            at,
            "the arguments of this tool call are not a JSON object",
        )),
    }
}

fn source_block(source: &Source) -> Value {
    match source {
        Source::Url(url) => json!({ "type": "url", "url": url }),
        Source::Base64 { media_type, data } => {
            json!({ "type": "base64", "media_type": media_type, "data": data })
        }
        Source::FileId(id) => json!({ "type": "file", "file_id": id }),
        Source::Text(text) => json!({ "type": "text", "media_type": "text/plain", "data": text }),
    }
}
