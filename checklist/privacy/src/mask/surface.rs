//! Which strings of a request are text, and which are structure.
//!
//! Text is the rule and structure the exception: a member that nobody here has heard of is looked at like any text.

/// What a string of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Text; may hold anything.
    Text,
    /// Text of a thinking block that the provider signed: changing it breaks the signature, so only values that are
    /// known from elsewhere in the request are replaced.
    Signed,
    /// JSON in a string.
    Json,
    /// The name of a speaker, which may hold only letters, digits, `_` and `-`.
    Name,
    /// A picture, sound or file, or a link to one.
    Media,
    /// Model names, roles, ids and the like.
    Structure,
}

/// Where in the body a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The body itself.
    Root,
    /// An item of `messages`.
    Message,
    /// An item of `content` or `system`.
    Part { signed: bool },
    /// Below `image_url`, `source`, `input_audio`, `file`.
    Media,
    /// An item of `tools`, or `response_format`.
    Tool,
    /// An item of `citations`.
    Citation,
    /// A JSON Schema.
    Schema,
    /// A call of a tool, but for its arguments.
    Call,
    /// Free data: arguments, metadata, whatever is not known.
    Data,
}

impl Zone {
    /// What a string member is.
    pub fn surface(self, key: &str) -> Surface {
        match self {
            Zone::Root => root(key),
            Zone::Message => match key {
                "role" | "tool_call_id" | "type" | "id" => Surface::Structure,
                "name" => Surface::Name,
                _ => Surface::Text,
            },
            Zone::Part { signed } => part(key, signed),
            Zone::Media => media(key),
            Zone::Citation => match key {
                "type" | "encrypted_index" | "file_id" => Surface::Structure,
                _ => Surface::Text,
            },
            Zone::Tool => match key {
                "type" | "name" | "tool_choice" => Surface::Structure,
                _ => Surface::Text,
            },
            Zone::Schema => match key {
                "type" | "format" | "pattern" | "$ref" | "$schema" | "$id" | "required" => {
                    Surface::Structure
                }
                _ => Surface::Text,
            },
            Zone::Call => match key {
                "type" | "id" | "name" => Surface::Structure,
                "arguments" => Surface::Json,
                _ => Surface::Text,
            },
            Zone::Data => Surface::Text,
        }
    }

    /// The zone of an object, or of the objects in an array, that is a member here.
    pub fn below(self, key: &str) -> Zone {
        match (self, key) {
            (Zone::Root, "messages") => Zone::Message,
            (Zone::Root, "system") | (Zone::Message | Zone::Part { .. }, "content") => {
                Zone::Part { signed: false }
            }
            (Zone::Root, "tools" | "functions" | "response_format" | "tool_choice") => Zone::Tool,
            (Zone::Root, "output_config") => Zone::Tool,
            (Zone::Message, "tool_calls" | "function_call") | (Zone::Call, "function") => {
                Zone::Call
            }
            (Zone::Message, "thinking_blocks" | "reasoning_details") => {
                Zone::Part { signed: false }
            }
            (
                Zone::Part { .. },
                "image_url" | "source" | "input_audio" | "file" | "video_url" | "audio_url",
            ) => Zone::Media,
            (Zone::Message, "audio") => Zone::Media,
            (Zone::Part { .. }, "citations") => Zone::Citation,
            (Zone::Tool, "parameters" | "input_schema" | "schema") => Zone::Schema,
            (Zone::Tool, _) => Zone::Tool,
            (Zone::Schema, _) => Zone::Schema,
            (_, "cache_control") => Zone::Tool,
            _ => Zone::Data,
        }
    }
}

fn root(key: &str) -> Surface {
    match key {
        "model" | "service_tier" | "reasoning_effort" | "verbosity" | "tool_choice"
        | "encoding_format" | "function_call" | "truncation" | "modalities" | "container"
        | "anthropic_version" => Surface::Structure,
        _ => Surface::Text,
    }
}

fn part(key: &str, signed: bool) -> Surface {
    match key {
        "type" | "id" | "tool_use_id" | "media_type" | "signature" | "encrypted_content"
        | "encrypted_index" | "name" | "data" | "detail" | "file_id" => Surface::Structure,
        "image_url" => Surface::Media,
        "thinking" if signed => Surface::Signed,
        _ => Surface::Text,
    }
}

fn media(key: &str) -> Surface {
    match key {
        "type" | "media_type" | "detail" | "format" => Surface::Structure,
        "url" | "data" | "file_data" | "file_id" | "id" => Surface::Media,
        _ => Surface::Text,
    }
}

/// Types of parts that are text, or hold texts in members that are looked at.
pub fn is_known_part(kind: &str) -> bool {
    matches!(
        kind,
        "text"
            | "input_text"
            | "output_text"
            | "refusal"
            | "thinking"
            | "redacted_thinking"
            | "tool_use"
            | "tool_result"
            | "server_tool_use"
            | "mcp_tool_use"
            | "mcp_tool_result"
            | "search_result"
            | "tool_reference"
    ) || kind.starts_with("reasoning.")
        || ["_result", "_result_error", "_output"]
            .iter()
            .any(|end| kind.ends_with(end))
}

/// Types of parts that are pictures, sound or files.
pub fn is_media_part(kind: &str) -> bool {
    matches!(
        kind,
        "image"
            | "image_url"
            | "input_image"
            | "input_audio"
            | "audio"
            | "video"
            | "video_url"
            | "file"
            | "input_file"
            | "document"
            | "container_upload"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_text() {
        assert_eq!(Zone::Root.surface("x_custom"), Surface::Text);
        assert_eq!(Zone::Root.below("x_custom").surface("type"), Surface::Text);
        assert_eq!(Zone::Message.surface("x_note"), Surface::Text);
    }

    #[test]
    fn structure_is_where_it_belongs() {
        assert_eq!(Zone::Root.surface("model"), Surface::Structure);
        let message = Zone::Root.below("messages");
        assert_eq!(message.surface("role"), Surface::Structure);
        let call = message.below("tool_calls").below("function");
        assert_eq!(call.surface("arguments"), Surface::Json);
        assert_eq!(call.surface("name"), Surface::Structure);
        let part = message.below("content");
        assert_eq!(part.below("input").surface("name"), Surface::Text);
        assert_eq!(part.below("source").surface("data"), Surface::Media);
    }
}
