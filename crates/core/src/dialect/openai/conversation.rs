//! The full neutral form of an OpenAI request.

use crate::conversation::{
    Conversation, Message, OutputFormat, Part, Reasoning, Role, Source, Tool, ToolChoice,
};
use crate::dialect::head;
use crate::error::ApiError;
use serde_json::{Map, Value};

type Members = Map<String, Value>;

fn parse(body: &[u8]) -> Result<Members, ApiError> {
    serde_json::from_slice(body).map_err(|error| head::malformed(&error))
}

/// `POST /v1/chat/completions`.
pub fn chat(body: &[u8]) -> Result<Conversation, ApiError> {
    let mut members = parse(body)?;
    let mut conversation = Conversation {
        choices: 1,
        ..Conversation::default()
    };
    let turns = match members.remove("messages") {
        Some(Value::Array(turns)) => turns,
        _ => {
            return Err(ApiError::invalid(
                "messages",
                "expected an array of messages",
            ));
        }
    };
    for (index, turn) in turns.into_iter().enumerate() {
        add_turn(&mut conversation, turn, &format!("messages[{index}]"))?;
    }
    parameters(&mut conversation, &mut members)?;
    conversation.rest = members;
    Ok(conversation)
}

/// `POST /v1/completions`: the prompt becomes one user turn.
pub fn completions(body: &[u8]) -> Result<Conversation, ApiError> {
    let mut members = parse(body)?;
    let prompt = match members.remove("prompt") {
        Some(Value::String(text)) => text,
        Some(Value::Array(mut items))
            if items.len() == 1 && items.first().is_some_and(Value::is_string) =>
        {
            items
                .pop()
                .and_then(|item| item.as_str().map(str::to_owned))
                .unwrap_or_default()
        }
        _ => {
            return Err(ApiError::invalid(
                "prompt",
                "this target takes one string; token ids and lists do not translate",
            ));
        }
    };
    let mut conversation = Conversation {
        choices: 1,
        ..Conversation::default()
    };
    conversation.messages.push(Message {
        role: Role::User,
        name: None,
        parts: vec![Part::text(prompt)],
    });
    parameters(&mut conversation, &mut members)?;
    // `logprobs` is a number in this API.
    conversation.logprobs = members
        .get("logprobs")
        .and_then(Value::as_u64)
        .and_then(|n| u32::try_from(n).ok());
    conversation.rest = members;
    Ok(conversation)
}

fn add_turn(conversation: &mut Conversation, turn: Value, at: &str) -> Result<(), ApiError> {
    let Value::Object(mut turn) = turn else {
        return Err(ApiError::invalid(at, "expected an object"));
    };
    let role = turn
        .get("role")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let name = turn.get("name").and_then(Value::as_str).map(str::to_owned);
    match role.as_str() {
        "system" | "developer" => {
            let parts = content(turn.remove("content"), at)?;
            if conversation.messages.is_empty() {
                conversation.system.extend(parts);
            } else {
                conversation.messages.push(Message {
                    role: Role::System,
                    name,
                    parts,
                });
            }
        }
        "user" => {
            let parts = content(turn.remove("content"), at)?;
            conversation.messages.push(Message {
                role: Role::User,
                name,
                parts,
            });
        }
        "assistant" => {
            let parts = assistant(turn, at)?;
            conversation.messages.push(Message {
                role: Role::Assistant,
                name,
                parts,
            });
        }
        "tool" | "function" => {
            let id = turn
                .get("tool_call_id")
                .or_else(|| turn.get("name"))
                .and_then(Value::as_str);
            let Some(id) = id.map(str::to_owned) else {
                return Err(ApiError::invalid(
                    format!("{at}.tool_call_id"),
                    "this field is required; expected a string",
                ));
            };
            let result = Part::ToolResult {
                id,
                content: content(turn.remove("content"), at)?,
                is_error: false,
                cache_control: turn.remove("cache_control"),
            };
            conversation.messages.push(Message {
                role: Role::User,
                name: None,
                parts: vec![result],
            });
        }
        other => {
            let message = format!(
                "unknown role `{}`",
                other.chars().take(32).collect::<String>()
            );
            return Err(ApiError::invalid(format!("{at}.role"), message));
        }
    }
    Ok(())
}

fn assistant(mut turn: Members, at: &str) -> Result<Vec<Part>, ApiError> {
    let mut parts = reasoning_parts(&mut turn);
    parts.extend(content(turn.remove("content"), at)?);
    if let Some(Value::String(text)) = turn.remove("refusal") {
        parts.push(Part::Refusal { text });
    }
    if let Some(Value::Array(calls)) = turn.remove("tool_calls") {
        for (index, call) in calls.into_iter().enumerate() {
            parts.push(tool_call(&call, &format!("{at}.tool_calls[{index}]"))?);
        }
    }
    if let Some(call @ Value::Object(_)) = turn.remove("function_call") {
        let (name, arguments) = function(&call);
        parts.push(Part::ToolCall {
            id: name.clone(),
            name,
            arguments,
            cache_control: None,
        });
    }
    Ok(parts)
}

/// Reasoning of earlier turns, in the spellings that servers use. Only blocks with a signature can be replayed
/// to Anthropic; the encoder decides.
fn reasoning_parts(turn: &mut Members) -> Vec<Part> {
    if let Some(Value::Array(blocks)) = turn.remove("thinking_blocks") {
        let text =
            |block: &Value, key: &str| block.get(key).and_then(Value::as_str).map(str::to_owned);
        return blocks
            .iter()
            .filter_map(|block| match block.get("type").and_then(Value::as_str) {
                Some("redacted_thinking") => Some(Part::RedactedReasoning {
                    data: text(block, "data")?,
                }),
                _ => Some(Part::Reasoning {
                    text: text(block, "thinking")?,
                    signature: text(block, "signature"),
                }),
            })
            .collect();
    }
    let plain = turn
        .remove("reasoning_content")
        .or_else(|| turn.remove("reasoning"));
    match plain {
        Some(Value::String(text)) if !text.is_empty() => vec![Part::Reasoning {
            text,
            signature: None,
        }],
        _ => Vec::new(),
    }
}

fn function(call: &Value) -> (String, String) {
    let name = call
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let arguments = match call.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        // Some clients send the object itself.
        Some(other) => other.to_string(),
    };
    (name, arguments)
}

fn tool_call(call: &Value, at: &str) -> Result<Part, ApiError> {
    let Some(called) = call.get("function") else {
        return Err(ApiError::invalid(
            format!("{at}.function"),
            "this field is required; expected an object",
        ));
    };
    let (name, arguments) = function(called);
    let id = call
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Ok(Part::ToolCall {
        id,
        name,
        arguments,
        cache_control: None,
    })
}

fn content(value: Option<Value>, at: &str) -> Result<Vec<Part>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text)]),
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| part(item, &format!("{at}.content[{index}]")))
            .collect(),
        Some(_) => Err(ApiError::invalid(
            format!("{at}.content"),
            "expected a string or an array of parts",
        )),
    }
}

fn part(item: Value, at: &str) -> Result<Part, ApiError> {
    let text_of = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let kind = text_of(item.get("type")).ok_or_else(|| {
        ApiError::invalid(
            format!("{at}.type"),
            "this field is required; expected a string",
        )
    })?;
    let cache_control = item.get("cache_control").cloned();
    let missing = |field: &str| {
        ApiError::invalid(
            format!("{at}.{field}"),
            "this field is required; expected a string",
        )
    };
    match kind.as_str() {
        "text" | "input_text" | "output_text" => Ok(Part::Text {
            text: text_of(item.get("text")).ok_or_else(|| missing("text"))?,
            cache_control,
        }),
        "refusal" => Ok(Part::Refusal {
            text: text_of(item.get("refusal")).ok_or_else(|| missing("refusal"))?,
        }),
        "image_url" => {
            let image = item.get("image_url");
            let url = text_of(image.and_then(|image| image.get("url")).or(image))
                .ok_or_else(|| missing("image_url.url"))?;
            let detail = text_of(image.and_then(|image| image.get("detail")));
            Ok(Part::Image {
                source: source_of_url(url),
                detail,
                cache_control,
            })
        }
        "file" => {
            let file = item.get("file");
            let member = |name: &str| text_of(file.and_then(|file| file.get(name)));
            let source = match (member("file_data"), member("file_id")) {
                (Some(data), _) => source_of_url(data),
                (None, Some(id)) => Source::FileId(id),
                (None, None) => return Err(missing("file.file_data")),
            };
            Ok(Part::File {
                source,
                name: member("filename"),
                cache_control,
            })
        }
        _ => Ok(Part::Other { kind, value: item }),
    }
}

/// A `data:` URI with base64 content is taken apart; everything else stays a URL.
fn source_of_url(url: String) -> Source {
    let parts = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(','));
    if let Some((head, data)) = parts
        && let Some(media_type) = head.strip_suffix(";base64")
    {
        let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
        return Source::Base64 {
            media_type,
            data: data.to_owned(),
        };
    }
    Source::Url(url)
}

fn parameters(conversation: &mut Conversation, members: &mut Members) -> Result<(), ApiError> {
    for known in ["model", "stream", "stream_options"] {
        members.remove(known);
    }
    let number = |value: Option<Value>| value.as_ref().and_then(Value::as_f64);
    let whole = |value: Option<Value>| value.as_ref().and_then(Value::as_u64);
    conversation.temperature = number(members.remove("temperature"));
    conversation.top_p = number(members.remove("top_p"));
    conversation.top_k = whole(members.remove("top_k"));
    let older = whole(members.remove("max_tokens"));
    conversation.max_output_tokens = whole(members.remove("max_completion_tokens")).or(older);
    conversation.choices = whole(members.remove("n"))
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(1);
    conversation.stop = strings(members.remove("stop"));
    conversation.parallel_tool_calls = members
        .remove("parallel_tool_calls")
        .and_then(|value| value.as_bool());
    if let Some(Value::String(effort)) = members.remove("reasoning_effort") {
        conversation.reasoning = Some(Reasoning::Effort(effort));
    }
    if members.get("logprobs") == Some(&Value::Bool(true)) {
        members.remove("logprobs");
        let top = whole(members.remove("top_logprobs")).unwrap_or(0);
        conversation.logprobs = Some(u32::try_from(top).unwrap_or(0));
    }
    let user = members.remove("user");
    let identifier = members.remove("safety_identifier");
    conversation.user = user
        .or(identifier)
        .and_then(|value| value.as_str().map(str::to_owned));
    conversation.output_format = output_format(members.remove("response_format"))?;
    conversation.tools = tools(members)?;
    conversation.tool_choice = tool_choice(members)?;
    Ok(())
}

fn strings(value: Option<Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many
            .into_iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

fn output_format(value: Option<Value>) -> Result<OutputFormat, ApiError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(OutputFormat::Text);
    };
    match value.get("type").and_then(Value::as_str) {
        Some("text") => Ok(OutputFormat::Text),
        Some("json_object") => Ok(OutputFormat::JsonObject),
        Some("json_schema") => {
            let format = value.get("json_schema");
            let Some(schema) = format.and_then(|format| format.get("schema")).cloned() else {
                return Err(ApiError::invalid(
                    "response_format.json_schema.schema",
                    "this field is required; expected an object",
                ));
            };
            let name = format
                .and_then(|format| format.get("name"))
                .and_then(Value::as_str)
                .unwrap_or("answer");
            let strict = format
                .and_then(|format| format.get("strict"))
                .and_then(Value::as_bool);
            Ok(OutputFormat::JsonSchema {
                name: name.to_owned(),
                schema,
                strict,
            })
        }
        _ => Err(ApiError::invalid(
            "response_format.type",
            "expected text, json_object or json_schema",
        )),
    }
}

fn tools(members: &mut Members) -> Result<Vec<Tool>, ApiError> {
    let mut tools = Vec::new();
    if let Some(Value::Array(items)) = members.remove("tools") {
        for (index, item) in items.iter().enumerate() {
            let at = format!("tools[{index}]");
            let Some(function) = item.get("function") else {
                let kind: String = item
                    .get("type")
                    .and_then(Value::as_str)
                    .unwrap_or("unknown")
                    .chars()
                    .take(32)
                    .collect();
                return Err(ApiError::invalid(
                    at,
                    format!("a tool of type `{kind}` has no counterpart at this target"),
                ));
            };
            let mut tool = tool(function, &at)?;
            tool.cache_control = item.get("cache_control").cloned();
            tools.push(tool);
        }
    }
    if let Some(Value::Array(items)) = members.remove("functions") {
        for (index, item) in items.iter().enumerate() {
            tools.push(tool(item, &format!("functions[{index}]"))?);
        }
    }
    Ok(tools)
}

fn tool(function: &Value, at: &str) -> Result<Tool, ApiError> {
    let name = function
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(ApiError::invalid(
            format!("{at}.function.name"),
            "this field is required; expected a string",
        ));
    };
    Ok(Tool {
        name: name.to_owned(),
        description: function
            .get("description")
            .and_then(Value::as_str)
            .map(str::to_owned),
        parameters: function
            .get("parameters")
            .cloned()
            .unwrap_or_else(|| Value::Object(Members::new())),
        strict: function.get("strict").and_then(Value::as_bool),
        cache_control: None,
    })
}

fn tool_choice(members: &mut Members) -> Result<Option<ToolChoice>, ApiError> {
    let value = members
        .remove("tool_choice")
        .or_else(|| members.remove("function_call"));
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(ApiError::invalid(
                "tool_choice",
                "expected auto, none, required or a function",
            )),
        },
        Some(value) => {
            let name = value
                .get("function")
                .unwrap_or(&value)
                .get("name")
                .and_then(Value::as_str);
            match name {
                Some(name) => Ok(Some(ToolChoice::Named(name.to_owned()))),
                None => Err(ApiError::invalid(
                    "tool_choice.function.name",
                    "this field is required; expected a string",
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Conversation {
        chat(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn leading_instructions_are_the_system_and_later_ones_stay_in_place() {
        let conversation = read(&json!({"model": "m", "messages": [
            {"role": "system", "content": "a"}, {"role": "developer", "content": "b"},
            {"role": "user", "content": "c"}, {"role": "system", "content": "d"},
        ]}));
        assert_eq!(conversation.system, vec![Part::text("a"), Part::text("b")]);
        assert_eq!(
            conversation
                .messages
                .iter()
                .map(|m| m.role)
                .collect::<Vec<_>>(),
            [Role::User, Role::System]
        );
    }

    #[test]
    fn tools_images_and_results_are_read() {
        let conversation = read(
            &json!({"model": "m", "tool_choice": {"type": "function", "function": {"name": "f"}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "ok"},
            ]}),
        );
        assert_eq!(
            conversation.tool_choice,
            Some(ToolChoice::Named("f".into()))
        );
        assert_eq!(
            conversation.messages[0].parts,
            vec![Part::Image {
                source: Source::Base64 {
                    media_type: "image/png".into(),
                    data: "AAAA".into()
                },
                detail: Some("low".into()),
                cache_control: None
            }]
        );
        assert!(
            matches!(&conversation.messages[1].parts[0], Part::ToolCall { id, .. } if id == "c1")
        );
        assert!(
            matches!(&conversation.messages[2].parts[0], Part::ToolResult { id, .. } if id == "c1")
        );
    }

    #[test]
    fn unknown_members_are_kept_and_known_ones_are_not_repeated() {
        let conversation = read(
            &json!({"model": "m", "seed": 4, "n": 2, "stop": "x", "messages": [{"role": "user", "content": "c"}]}),
        );
        assert_eq!(Value::Object(conversation.rest), json!({"seed": 4}));
        assert_eq!(
            (conversation.choices, conversation.stop),
            (2, vec!["x".to_owned()])
        );
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        let body = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]}]});
        assert_eq!(
            chat(body.to_string().as_bytes())
                .unwrap_err()
                .param
                .as_deref(),
            Some("messages[0].content[1].type")
        );
        let body = json!({"messages": [{"role": "robot", "content": "a"}]});
        assert_eq!(
            chat(body.to_string().as_bytes())
                .unwrap_err()
                .param
                .as_deref(),
            Some("messages[0].role")
        );
    }
}
