//! The full neutral form of an Anthropic request.

use crate::conversation::{
    Conversation, Message, OutputFormat, Part, Reasoning, Role, Source, Tool, ToolChoice,
};
use crate::dialect::head;
use crate::error::ApiError;
use serde_json::{Map, Value};

type Members = Map<String, Value>;

/// `POST /v1/messages` and `/v1/messages/count_tokens`.
pub fn messages(body: &[u8]) -> Result<Conversation, ApiError> {
    let mut members: Members =
        serde_json::from_slice(body).map_err(|error| head::malformed(&error))?;
    let mut conversation = Conversation {
        choices: 1,
        ..Conversation::default()
    };
    conversation.system = content(members.remove("system"), "system")?;
    let Some(Value::Array(turns)) = members.remove("messages") else {
        return Err(ApiError::invalid(
            "messages",
            "expected an array of messages",
        ));
    };
    for (index, turn) in turns.into_iter().enumerate() {
        conversation
            .messages
            .push(message(turn, &format!("messages[{index}]"))?);
    }
    conversation.tools = tools(members.remove("tools"))?;
    tool_choice(&mut conversation, members.remove("tool_choice"))?;
    parameters(&mut conversation, &mut members);
    conversation.rest = members;
    Ok(conversation)
}

fn message(turn: Value, at: &str) -> Result<Message, ApiError> {
    let Value::Object(mut turn) = turn else {
        return Err(ApiError::invalid(at, "expected an object"));
    };
    let role = match turn.get("role").and_then(Value::as_str) {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => {
            return Err(ApiError::invalid(
                format!("{at}.role"),
                "expected user or assistant",
            ));
        }
    };
    let parts = content(turn.remove("content"), &format!("{at}.content"))?;
    Ok(Message {
        role,
        name: None,
        parts,
    })
}

fn content(value: Option<Value>, at: &str) -> Result<Vec<Part>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text)]),
        Some(Value::Array(blocks)) => blocks
            .into_iter()
            .enumerate()
            .map(|(index, block)| part(block, &format!("{at}[{index}]")))
            .collect(),
        Some(_) => Err(ApiError::invalid(
            at,
            "expected a string or an array of blocks",
        )),
    }
}

fn string(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn part(mut block: Value, at: &str) -> Result<Part, ApiError> {
    let need = |name: &str| {
        string(&block, name).ok_or_else(|| {
            ApiError::invalid(
                format!("{at}.{name}"),
                "this field is required; expected a string",
            )
        })
    };
    let kind = need("type")?;
    let cache_control = block.get("cache_control").cloned();
    match kind.as_str() {
        "text" => Ok(Part::Text {
            text: need("text")?,
            cache_control,
        }),
        "image" => Ok(Part::Image {
            source: source(&block, at)?,
            detail: None,
            cache_control,
        }),
        "document" => Ok(Part::File {
            source: source(&block, at)?,
            name: string(&block, "title"),
            cache_control,
        }),
        "tool_use" => {
            let input = block
                .get("input")
                .cloned()
                .unwrap_or_else(|| Value::Object(Members::new()));
            Ok(Part::ToolCall {
                id: need("id")?,
                name: need("name")?,
                arguments: input.to_string(),
                cache_control,
            })
        }
        "tool_result" => {
            let id = need("tool_use_id")?;
            let is_error = block
                .get("is_error")
                .and_then(Value::as_bool)
                .unwrap_or(false);
            let inner = block.get_mut("content").map(Value::take);
            Ok(Part::ToolResult {
                id,
                content: content(inner, &format!("{at}.content"))?,
                is_error,
                cache_control,
            })
        }
        "thinking" => Ok(Part::Reasoning {
            text: need("thinking")?,
            signature: string(&block, "signature"),
        }),
        "redacted_thinking" => Ok(Part::RedactedReasoning {
            data: need("data")?,
        }),
        _ => Ok(Part::Other { kind, value: block }),
    }
}

fn source(block: &Value, at: &str) -> Result<Source, ApiError> {
    let wrong = || {
        ApiError::invalid(
            format!("{at}.source"),
            "expected a source of type base64, url, file or text",
        )
    };
    let source = block.get("source").ok_or_else(wrong)?;
    let need = |name: &str| string(source, name).ok_or_else(wrong);
    match source.get("type").and_then(Value::as_str) {
        Some("base64") => Ok(Source::Base64 {
            media_type: need("media_type")?,
            data: need("data")?,
        }),
        Some("url") => Ok(Source::Url(need("url")?)),
        Some("file") => Ok(Source::FileId(need("file_id")?)),
        Some("text") => Ok(Source::Text(need("data")?)),
        _ => Err(wrong()),
    }
}

fn tools(value: Option<Value>) -> Result<Vec<Tool>, ApiError> {
    let Some(Value::Array(items)) = value else {
        return Ok(Vec::new());
    };
    let mut tools = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or("custom");
        if kind != "custom" {
            let kind: String = kind.chars().take(48).collect();
            let message = format!(
                "a tool of type `{kind}` runs at Anthropic and has no counterpart at this target"
            );
            return Err(ApiError::invalid(format!("tools[{index}].type"), message));
        }
        let Some(name) = string(item, "name") else {
            return Err(ApiError::invalid(
                format!("tools[{index}].name"),
                "this field is required; expected a string",
            ));
        };
        tools.push(Tool {
            name,
            description: string(item, "description"),
            parameters: item
                .get("input_schema")
                .cloned()
                .unwrap_or_else(|| Value::Object(Members::new())),
            strict: item.get("strict").and_then(Value::as_bool),
            cache_control: item.get("cache_control").cloned(),
        });
    }
    Ok(tools)
}

fn tool_choice(conversation: &mut Conversation, value: Option<Value>) -> Result<(), ApiError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(());
    };
    conversation.tool_choice = Some(match value.get("type").and_then(Value::as_str) {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("any") => ToolChoice::Required,
        Some("tool") => ToolChoice::Named(string(&value, "name").unwrap_or_default()),
        _ => {
            return Err(ApiError::invalid(
                "tool_choice.type",
                "expected auto, any, tool or none",
            ));
        }
    });
    if value
        .get("disable_parallel_tool_use")
        .and_then(Value::as_bool)
        == Some(true)
    {
        conversation.parallel_tool_calls = Some(false);
    }
    Ok(())
}

fn parameters(conversation: &mut Conversation, members: &mut Members) {
    for known in ["model", "stream"] {
        members.remove(known);
    }
    let number = |value: Option<Value>| value.as_ref().and_then(Value::as_f64);
    let whole = |value: Option<Value>| value.as_ref().and_then(Value::as_u64);
    conversation.max_output_tokens = whole(members.remove("max_tokens"));
    conversation.temperature = number(members.remove("temperature"));
    conversation.top_p = number(members.remove("top_p"));
    conversation.top_k = whole(members.remove("top_k"));
    if let Some(Value::Array(stop)) = members.remove("stop_sequences") {
        conversation.stop = stop
            .into_iter()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect();
    }
    conversation.user = members
        .remove("metadata")
        .as_ref()
        .and_then(|metadata| string(metadata, "user_id"));
    let config = members.remove("output_config").unwrap_or_default();
    let format = config
        .get("format")
        .cloned()
        .or_else(|| members.remove("output_format"));
    if let Some(schema) = format.as_ref().and_then(|format| format.get("schema")) {
        let schema = schema.clone();
        conversation.output_format = OutputFormat::JsonSchema {
            name: "answer".into(),
            schema,
            strict: Some(true),
        };
    }
    let thinking = members.remove("thinking").unwrap_or_default();
    conversation.reasoning = match thinking.get("type").and_then(Value::as_str) {
        Some("enabled") => thinking
            .get("budget_tokens")
            .and_then(Value::as_u64)
            .map(Reasoning::Budget),
        Some("adaptive") => {
            Some(string(&config, "effort").map_or(Reasoning::Adaptive, Reasoning::Effort))
        }
        Some("disabled") => None,
        _ => string(&config, "effort").map(Reasoning::Effort),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_are_read() {
        let body = json!({"model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true}, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "x"}, {"type": "tool_use", "id": "a", "name": "f", "input": {"b": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": [{"type": "text", "text": "no"}]}]},
        ]});
        let conversation = messages(body.to_string().as_bytes()).unwrap();
        assert_eq!(conversation.reasoning, Some(Reasoning::Budget(2000)));
        assert_eq!(
            (conversation.tool_choice, conversation.parallel_tool_calls),
            (Some(ToolChoice::Required), Some(false))
        );
        assert!(matches!(
            &conversation.system[0],
            Part::Text {
                cache_control: Some(_),
                ..
            }
        ));
        assert!(
            matches!(&conversation.messages[0].parts[1], Part::ToolCall { arguments, .. } if arguments == "{\"b\":1}")
        );
        assert!(
            matches!(&conversation.messages[1].parts[0], Part::ToolResult { is_error: true, content, .. } if content.len() == 1)
        );
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        let body = json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]});
        let error = messages(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("messages[0].content[0].text"));
    }
}
