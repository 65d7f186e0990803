//! Asking a model from inside the gateway: how judges and evaluations reach providers without knowing them.
//!
//! The pipeline implements [`Ask`] over its routes. A question is no user traffic: it leaves no record, so it is never
//! sampled, judged or counted as one, and nothing that asks can come to ask about its own questions.

use crate::money::NanoUsd;
use crate::request::Operation;
use crate::usage::Usage;
use serde_json::{Map, Value};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// One question to a model.
#[derive(Debug, Clone)]
pub struct Question {
    /// A route, or `provider/model`.
    pub model: String,
    /// Which dialect `body` is in.
    pub operation: Operation,
    /// The request's members; `model` and `stream` are set by whoever asks.
    pub body: Map<String, Value>,
    /// Route whose privacy rules hold besides those of `model`: where the text comes from.
    pub rules_of: Option<String>,
    /// Kinds of personal data that were found in the text before it was masked, such as `EMAIL`.
    pub kinds: Vec<String>,
    /// Longest wait for the whole answer.
    pub timeout: Duration,
}

/// What the model said, in the masked zone: nothing is restored.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Text of the first choice.
    pub text: String,
    /// Tool calls it wants, as `name(arguments)`.
    pub calls: Vec<String>,
    /// `provider/model` that answered.
    pub target: String,
    /// Tokens.
    pub usage: Usage,
    /// What it cost, targets that broke off before included; `None` where a price is not known.
    pub cost: Option<NanoUsd>,
    /// Why it ended, as OpenAI says it.
    pub finish: Option<&'static str>,
    /// Time to the whole answer.
    pub took: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskFault {
    /// There is no such model here.
    Unknown,
    /// Privacy does not let the text go there.
    Refused,
    /// It took too long.
    Timeout,
    /// The provider failed.
    Failed,
}

impl AskFault {
    /// Name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            AskFault::Unknown => "unknown",
            AskFault::Refused => "refused",
            AskFault::Timeout => "timeout",
            AskFault::Failed => "failed",
        }
    }
}

/// A question without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AskError {
    /// The class.
    pub fault: AskFault,
    /// For people: no text of the question, no addresses, no keys.
    pub message: String,
    /// The most that providers may charge for what was tried.
    pub cost: NanoUsd,
}

/// A future that may go to another thread.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Told, AskError>> + Send + 'a>>;

/// Asks models. Dropping the future ends the call.
pub trait Ask: Send + Sync {
    /// Asks a question; each target of the model is tried once, in order.
    ///
    /// # Errors
    /// No target answered in time, or none may see the text.
    fn ask(&self, question: Question) -> Asking<'_>;

    /// The most that a question can cost, all its targets together. Counts a token for each byte of the body and all output
    /// tokens that the body allows.
    ///
    /// # Errors
    /// A price is not known, or there is no such model.
    fn most(&self, question: &Question) -> Result<NanoUsd, AskError>;
}
