//! Validators in a request's way: an answer that fails is an attempt that failed, in the one loop of attempts.
//!
//! With a hold of `whole` nothing goes out before the answer is whole, also of streams: so a stream that breaks off, or whose
//! text fails a check, is asked for again like any other failure.

mod compile;
mod hold;
mod look;

pub(crate) use compile::{check, compile};
pub(crate) use look::Fate;

use aplomb_config::validate::HoldConfig;
use aplomb_core::request::Operation;
use aplomb_validate::policy::Validation;
use std::sync::Arc;

/// When an answer may go out, and what it is checked for.
#[derive(Clone, Default)]
pub struct Checking {
    /// Whether its stream is held until it is whole.
    whole: bool,
    /// Its route's validators; none where it has none.
    validation: Option<Arc<Validation>>,
}

impl Checking {
    fn new(hold: Option<HoldConfig>, validation: Option<Validation>) -> Self {
        let whole = match hold {
            Some(HoldConfig::FirstToken) => false,
            Some(HoldConfig::Whole) => true,
            None => validation.is_some(),
        };
        Checking {
            whole,
            validation: validation.map(Arc::new),
        }
    }

    /// The validators for the answers of an operation.
    pub(crate) fn validation(&self, operation: Operation) -> Option<&Arc<Validation>> {
        let answers = match operation {
            Operation::ChatCompletions | Operation::Completions | Operation::Messages => true,
            Operation::CountTokens | Operation::Embeddings => false,
        };
        self.validation.as_ref().filter(|_| answers)
    }
}
