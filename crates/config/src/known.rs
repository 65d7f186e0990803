//! Providers that are known by name: how they speak, where they are, which variable holds their key.

use crate::file::ProviderKind;

/// One known provider.
#[derive(Debug, Clone, Copy)]
pub struct KnownProvider {
    /// Name in the file.
    pub name: &'static str,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Its address.
    pub base_url: Option<&'static str>,
    /// Variable that holds its key. Providers without one are used only when the file names them.
    pub key_env: Option<&'static str>,
}

const fn compatible(
    name: &'static str,
    base_url: &'static str,
    key_env: &'static str,
) -> KnownProvider {
    KnownProvider {
        name,
        kind: ProviderKind::Openai,
        base_url: Some(base_url),
        key_env: Some(key_env),
    }
}

const fn local(name: &'static str, base_url: &'static str) -> KnownProvider {
    KnownProvider {
        name,
        kind: ProviderKind::Openai,
        base_url: Some(base_url),
        key_env: None,
    }
}

/// All known providers.
pub const KNOWN_PROVIDERS: &[KnownProvider] = &[
    compatible("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    KnownProvider {
        name: "anthropic",
        kind: ProviderKind::Anthropic,
        base_url: Some("https://api.anthropic.com"),
        key_env: Some("ANTHROPIC_API_KEY"),
    },
    compatible("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    compatible(
        "together",
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
    ),
    compatible("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    compatible(
        "deepseek",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
    ),
    compatible(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
    ),
    compatible(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
    ),
    compatible("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    compatible("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    compatible(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
    ),
    local("ollama", "http://127.0.0.1:11434/v1"),
    local("vllm", "http://127.0.0.1:8000/v1"),
    local("llamacpp", "http://127.0.0.1:8080/v1"),
    KnownProvider {
        name: "practice",
        kind: ProviderKind::Practice,
        base_url: None,
        key_env: None,
    },
];

/// The known provider of this name.
pub fn known(name: &str) -> Option<&'static KnownProvider> {
    KNOWN_PROVIDERS.iter().find(|known| known.name == name)
}
