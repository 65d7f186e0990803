//! What was decided, as plain data.

use crate::check::Failure;
use crate::policy::Step;
use std::sync::Arc;

/// A check of a validator, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The validator.
    pub validator: Arc<str>,
    /// The check.
    pub check: &'static str,
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.validator, self.check)
    }
}

/// How an answer fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// It passes all checks.
    #[default]
    Pass,
    /// It has begun to go out, and nothing is wrong with it so far.
    Open,
    /// It failed some, and was mended.
    Fix,
    /// It failed some, and what was not allowed was cut out.
    Filter,
    /// It fails some, and goes out all the same.
    Flag,
    /// It fails some, and another text went out in its place.
    Refrain,
    /// It is not delivered.
    Block,
}

impl Outcome {
    /// Its name in records, headers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Open => "open",
            Outcome::Fix => "fix",
            Outcome::Filter => "filter",
            Outcome::Flag => "flag",
            Outcome::Refrain => "refrain",
            Outcome::Block => "block",
        }
    }
}

/// A step that was taken, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Whose check failed.
    pub by: By,
    /// What was done.
    pub step: Step,
}

/// What became of a request's answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How the last one fared.
    pub outcome: Outcome,
    /// Checks that it fails, or did before it was mended.
    pub by: Vec<By>,
    /// Steps on the way to it.
    pub steps: Vec<Taken>,
    /// Answers that were looked at.
    pub tries: u32,
}

/// Why an answer is not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Whose check.
    pub by: By,
    /// Why.
    pub failure: Failure,
    /// Answers that were looked at.
    pub tries: u32,
}

impl Blocked {
    /// In words for the client.
    pub fn message(&self) -> String {
        let place = self.failure.place.as_ref();
        let place = place.map_or(String::new(), |place| format!(" ({place})"));
        let tries = match self.tries {
            1 => String::new(),
            tries => format!(", after {tries} tries"),
        };
        format!(
            "the answer fails the check `{}` of the validator `{}`{tries}: {}{place}",
            self.by.check, self.by.validator, self.failure.message
        )
    }
}
