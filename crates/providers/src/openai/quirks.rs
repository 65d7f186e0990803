//! Where OpenAI-compatible servers differ from each other.

/// Name of the member that bounds output tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensField {
    /// The older name, which most compatible servers know.
    MaxTokens,
    /// The newer name, which OpenAI's reasoning models insist on.
    MaxCompletionTokens,
}

/// What a server accepts. Used where the gateway itself writes a member; the client's own members pass as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Accepts `stream_options.include_usage`. Without it the gateway can only estimate streamed usage.
    pub stream_usage: bool,
    /// How output tokens are bounded in translated requests.
    pub max_tokens_field: MaxTokensField,
    /// Knows the role `developer`; otherwise translated instructions use `system`.
    pub developer_role: bool,
}

impl Quirks {
    /// The quirks of a provider by its name in the configuration; unknown names get the common denominator.
    pub fn of(provider: &str) -> Self {
        let common = Quirks {
            stream_usage: true,
            max_tokens_field: MaxTokensField::MaxTokens,
            developer_role: false,
        };
        match provider {
            "openai" => Quirks {
                max_tokens_field: MaxTokensField::MaxCompletionTokens,
                developer_role: true,
                ..common
            },
            // Mistral reports usage on the last chunk of every stream and refuses unknown members.
            "mistral" => Quirks {
                stream_usage: false,
                ..common
            },
            _ => common,
        }
    }
}
