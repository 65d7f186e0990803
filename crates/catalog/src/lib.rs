//! What is known of models: which provider a bare model name belongs to, what its tokens cost at a time, how much it
//! takes and gives.
//!
//! Tokenizers join with the rooms that need them.

pub mod day;
pub mod price;
pub mod prices;
mod published;

/// Beginnings of the model names that each provider serves under its own name.
const FAMILIES: &[(&str, &[&str])] = &[
    (
        "openai",
        &[
            "gpt-",
            "chatgpt-",
            "o1",
            "o3",
            "o4",
            "text-embedding-",
            "davinci-",
            "babbage-",
        ],
    ),
    ("anthropic", &["claude-"]),
    (
        "mistral",
        &[
            "mistral-",
            "ministral-",
            "codestral-",
            "pixtral-",
            "magistral-",
        ],
    ),
    ("deepseek", &["deepseek-"]),
    ("xai", &["grok-"]),
    ("gemini", &["gemini-"]),
    ("practice", &["practice"]),
];

/// Whether the provider of this name is known to serve this model.
pub fn serves(provider: &str, model: &str) -> bool {
    let family = FAMILIES.iter().find(|(name, _)| *name == provider);
    family.is_some_and(|(_, beginnings)| {
        beginnings
            .iter()
            .any(|beginning| model.starts_with(beginning))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_belong_to_their_maker() {
        assert!(serves("openai", "gpt-5-mini"));
        assert!(serves("anthropic", "claude-haiku-4-5"));
        assert!(!serves("openai", "claude-haiku-4-5"));
        assert!(!serves("house", "gpt-5"));
    }
}
