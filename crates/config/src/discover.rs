//! A configuration without a file: the providers whose keys stand in the environment.

use crate::file::{ConfigFile, ProviderConfig};
use crate::known::KNOWN_PROVIDERS;
use crate::secret::Environment;

/// What the environment gave.
#[derive(Debug)]
pub struct Discovered {
    /// A configuration with these providers and no routes: `provider/model` and listed model names work.
    pub file: ConfigFile,
    /// One line each, for people: `openai (OPENAI_API_KEY)`.
    pub found: Vec<String>,
}

/// Looks for the keys of known providers.
pub fn discover(env: &dyn Environment) -> Discovered {
    let mut file = ConfigFile::default();
    let mut found = Vec::new();
    for known in KNOWN_PROVIDERS {
        let Some(variable) = known
            .key_env
            .filter(|name| env.get(name).is_some_and(|value| !value.is_empty()))
        else {
            continue;
        };
        let api_key = format!("env:{variable}").parse().ok();
        file.providers.insert(
            known.name.to_owned(),
            ProviderConfig {
                api_key,
                ..ProviderConfig::default()
            },
        );
        found.push(format!("{} ({variable})", known.name));
    }
    Discovered { file, found }
}
