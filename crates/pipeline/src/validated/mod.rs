//! Validators in a request's way: an answer that fails is an attempt that failed, in the one loop of attempts.
//!
//! With a hold of `whole` nothing goes out before the answer is whole, also of streams: so a stream that breaks off, or whose
//! text fails a check, is asked for again like any other failure.

mod compile;
mod hold;
mod look;

pub(crate) use compile::{check, compile};
pub(crate) use look::{Fate, error};

use aplomb_config::validate::{HoldConfig, HoldWord};
use aplomb_core::error::ApiError;
use aplomb_core::masked::Masked;
use aplomb_core::request::{ChatRequest, Operation};
use aplomb_privacy::room;
use aplomb_validate::policy::Validation;
use aplomb_validate::watch::Window;
use std::sync::Arc;

/// A request with what its route's validators tell models before everything else.
///
/// # Errors
/// Its body can't be read again.
pub(crate) fn instructed(
    checking: &Checking,
    request: Masked<ChatRequest>,
) -> Result<Masked<ChatRequest>, ApiError> {
    let checks = checking.validation(request.get().operation);
    let Some(instruction) = checks.and_then(|checks| checks.instruction()) else {
        return Ok(request);
    };
    let longer = room::instructed(&request, &instruction)?;
    Ok(longer.unwrap_or(request))
}

/// Who reads what a call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One client.
    Own,
    /// Several.
    Shared,
}

/// When a stream may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hold {
    /// As it comes.
    #[default]
    FirstToken,
    /// Window by window.
    Window(Window),
    /// When it is whole.
    Whole,
}

/// When an answer may go out, and what it is checked for.
#[derive(Clone, Default)]
pub struct Checking {
    /// When its stream may go out.
    hold: Hold,
    /// Its route's validators; none where it has none.
    validation: Option<Arc<Validation>>,
}

impl Checking {
    fn new(hold: Option<HoldConfig>, validation: Option<Validation>) -> Self {
        let tokens = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let hold = match hold {
            Some(HoldConfig::Word(HoldWord::FirstToken)) => Hold::FirstToken,
            Some(HoldConfig::Word(HoldWord::Whole)) => Hold::Whole,
            Some(HoldConfig::Window(window)) => Hold::Window(Window {
                tokens: tokens(window.window.0),
                overlap: tokens(window.overlap.0),
            }),
            None if validation.is_some() => Hold::Whole,
            None => Hold::FirstToken,
        };
        Checking {
            hold,
            validation: validation.map(Arc::new),
        }
    }

    /// Whether answers go out as they come and nobody looks at them.
    pub(crate) fn is_idle(&self) -> bool {
        self.hold == Hold::FirstToken && self.validation.is_none()
    }

    /// When the stream of a request may go out.
    fn hold(&self, request: &ChatRequest, call: Kind) -> Hold {
        match self.hold {
            // The parts of a stream that several read, or of one with several choices, are not released one by one.
            Hold::Window(_) if call == Kind::Shared || request.choices > 1 => Hold::Whole,
            Hold::FirstToken if call == Kind::Shared && self.validation.is_some() => Hold::Whole,
            hold => hold,
        }
    }

    /// The validators for the answers of an operation.
    pub fn validation(&self, operation: Operation) -> Option<&Arc<Validation>> {
        let answers = match operation {
            Operation::ChatCompletions | Operation::Completions | Operation::Messages => true,
            Operation::CountTokens | Operation::Embeddings => false,
        };
        self.validation.as_ref().filter(|_| answers)
    }
}
