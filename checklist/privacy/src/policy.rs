//! What a route does with what is found: compiled, never changed.

use crate::detect::entity::EntityKind;
use std::collections::HashMap;

/// What happens to a value of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nothing, and nothing is noted.
    Allow,
    /// It travels; that it did is noted.
    Flag,
    /// A placeholder travels; the answer gets the value back.
    Mask,
    /// `<EMAIL>` travels; nothing is put back.
    Redact,
    /// A keyed digest travels, the same for the same value; nothing is put back.
    Hash,
    /// A made-up value of the same form travels; the answer gets the true one back.
    Surrogate,
    /// The request is refused.
    Block,
}

impl Action {
    /// Name in the file, in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Flag => "flag",
            Action::Mask => "mask",
            Action::Redact => "redact",
            Action::Hash => "hash",
            Action::Surrogate => "surrogate",
            Action::Block => "block",
        }
    }
}

/// What happens to pictures, sound and files: they are not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Media {
    /// The request is refused.
    #[default]
    Refuse,
    /// They travel.
    Pass,
    /// They travel, and that they did is noted.
    Log,
}

/// What happens when the check itself fails: a part of an unknown type, a detector's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The request is refused.
    #[default]
    Refuse,
    /// The request travels as it is, and that it did is noted.
    Pass,
}

/// What happens to personal data that the model invents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// It is not looked for.
    #[default]
    Ignore,
    /// It is noted.
    Flag,
    /// It is replaced by its kind.
    Redact,
}

/// The rules of one policy by its name in the file.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// By kind.
    pub actions: HashMap<EntityKind, Action>,
    /// For kinds that are not named.
    pub default: Action,
    /// Inside code fences: kinds that are found by their looks alone are left as they are.
    pub code: HashMap<EntityKind, Action>,
    /// Pictures, sound, files.
    pub media: Media,
    /// Failures of the check.
    pub on_error: OnError,
    /// The model's own inventions.
    pub output: Output,
}

/// Kinds that are left alone in code unless the file says otherwise: class names are no people.
pub const QUIET_IN_CODE: [EntityKind; 3] = [
    EntityKind::Person,
    EntityKind::Location,
    EntityKind::Organization,
];

impl Profile {
    /// A policy that treats every kind alike.
    pub fn all(name: &str, default: Action) -> Self {
        Profile {
            name: name.to_owned(),
            actions: HashMap::new(),
            default,
            code: HashMap::new(),
            media: Media::default(),
            on_error: OnError::default(),
            output: Output::default(),
        }
    }

    /// What happens to a value of this kind.
    pub fn action(&self, kind: &EntityKind, in_code: bool) -> Action {
        if in_code {
            if let Some(action) = self.code.get(kind) {
                return *action;
            }
            if QUIET_IN_CODE.contains(kind) {
                return Action::Allow;
            }
        }
        self.actions.get(kind).copied().unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_quiet_about_names_only() {
        let profile = Profile::all("p", Action::Mask);
        assert_eq!(profile.action(&EntityKind::Person, false), Action::Mask);
        assert_eq!(profile.action(&EntityKind::Person, true), Action::Allow);
        assert_eq!(profile.action(&EntityKind::Secret, true), Action::Mask);
    }
}
