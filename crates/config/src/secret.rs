//! Secrets are references in the file; their text lives in a type that prints nothing.

use crate::scalar::text_scalar;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A reference to a secret: `env:NAME` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret(String);

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env" | "file", name)) if !name.trim().is_empty() => Ok(Secret(text.to_owned())),
            // The value is not repeated: it may be the secret itself.
            _ => Err("a secret must be a reference: `env:NAME` or `file:PATH`; it never stands in the file itself".to_owned()),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_scalar!(
    Secret,
    "secret-reference",
    "A reference to a secret: `env:NAME` or `file:PATH`."
);

/// Why a secret can't be had. Never holds its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The environment has no such variable, or it is empty.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file can't be read.
    #[error("the file {0} can't be read: {1}")]
    File(String, String),
    /// The file or variable is empty.
    #[error("{0} is empty")]
    Empty(String),
}

/// Text of a secret. Prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        SecretText(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where variables come from.
pub trait Environment {
    /// The value of a variable.
    fn get(&self, name: &str) -> Option<String>;

    /// The text of a secret's file.
    ///
    /// # Errors
    /// It can't be read.
    fn file(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// The environment of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Environment for HashMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        HashMap::get(self, name).cloned()
    }
}

impl Secret {
    /// The reference as written.
    pub fn reference(&self) -> &str {
        &self.0
    }

    /// Looks the secret up. Relative files are relative to `base_dir`, the folder of the configuration file.
    ///
    /// # Errors
    /// It is not there, or empty. One line end at its end is dropped.
    pub fn resolve(
        &self,
        env: &dyn Environment,
        base_dir: &Path,
    ) -> Result<SecretText, SecretError> {
        let text = match self.0.split_once(':') {
            Some(("env", name)) => env
                .get(name)
                .ok_or_else(|| SecretError::Unset(name.to_owned()))?,
            Some((_, path)) => env
                .file(&base_dir.join(path))
                .map_err(|error| SecretError::File(path.to_owned(), error.kind().to_string()))?,
            None => String::new(),
        };
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| {
            text.strip_suffix('\r').unwrap_or(text)
        });
        if text.is_empty() {
            Err(SecretError::Empty(self.0.clone()))
        } else {
            Ok(SecretText(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_looked_up_and_never_shown() {
        let env = HashMap::from([("KEY".to_owned(), "s3cret\n".to_owned())]);
        let secret: Secret = "env:KEY".parse().unwrap();
        let text = secret.resolve(&env, Path::new(".")).unwrap();
        assert_eq!(
            (text.expose(), format!("{text:?}").as_str()),
            ("s3cret", "[secret]")
        );
        assert!(
            "sk-123"
                .parse::<Secret>()
                .unwrap_err()
                .find("sk-123")
                .is_none()
        );
        let missing: Secret = "env:NONE".parse().unwrap();
        assert_eq!(
            missing.resolve(&env, Path::new(".")),
            Err(SecretError::Unset("NONE".into()))
        );
        let missing: Secret = "file:none".parse().unwrap();
        assert!(matches!(
            missing.resolve(&env, Path::new("/nonexistent")),
            Err(SecretError::File(..))
        ));
    }
}
