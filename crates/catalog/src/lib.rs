//! What is known of models: which provider a bare model name belongs to, what its tokens cost at a time, how much it
//! takes and gives, which tokenizer it has.

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

/// Beginnings of the names of models whose tokenizer is `o200k_base`, as their maker publishes them.
const O200K: &[&str] = &[
    "gpt-4o",
    "gpt-4.1",
    "gpt-4.5",
    "gpt-5",
    "gpt-oss",
    "chatgpt-4o",
    "o1",
    "o3",
    "o4",
];

/// A tokenizer that is known, and part of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// That of OpenAI's models since GPT-4o.
    O200k,
}

/// The tokenizer of a model, where it is known.
pub fn encoding(model: &str) -> Option<Encoding> {
    let known = O200K.iter().any(|beginning| model.starts_with(beginning));
    known.then_some(Encoding::O200k)
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

    #[test]
    fn a_tokenizer_is_claimed_only_where_it_is_known() {
        assert_eq!(encoding("gpt-5-mini"), Some(Encoding::O200k));
        assert_eq!(encoding("o3-mini"), Some(Encoding::O200k));
        assert_eq!(encoding("gpt-4"), None);
        assert_eq!(encoding("claude-haiku-4-5"), None);
    }
}
