//! The two API dialects on the client's side: requests read, answers written.
//!
//! Reading gives a [`ChatRequest`] (the head only) and, on demand, a neutral [`Conversation`]. Writing takes
//! [`ChatEvent`]s, raw or typed, and gives canonical server-sent events or one JSON body. A writer never
//! invents a finish reason: what ends without one ends with an error event.

pub mod anthropic;
mod cap;
mod head;
pub mod openai;
mod turns;

use crate::conversation::Conversation;
use crate::error::ApiError;
use crate::event::ChatEvent;
use crate::request::{ChatRequest, Operation};
use bytes::{Bytes, BytesMut};

/// Reads and checks the head of a request body. `body` has been depth-checked ([`crate::json::check_depth`]).
///
/// # Errors
/// [`ApiError`] with code `InvalidRequest`, naming the field and what was found in it.
pub fn read(operation: Operation, body: Bytes) -> Result<ChatRequest, ApiError> {
    // Members that nobody here looks at travel as they are, so the parser alone would let them pass.
    let text = std::str::from_utf8(&body).map_err(|error| {
        let place = error.valid_up_to();
        ApiError::invalid(
            "",
            format!("the request body is not valid UTF-8 (byte {place})"),
        )
    })?;
    let head = match operation {
        Operation::ChatCompletions => openai::read::chat(text),
        Operation::Completions => openai::read::completions(text),
        Operation::Embeddings => openai::read::embeddings(text),
        Operation::Messages => anthropic::read::messages(text),
        Operation::CountTokens => anthropic::read::count_tokens(text),
    }?;
    Ok(ChatRequest { body, ..head })
}

/// A request with one bound of its output, whatever it had before: of two names for it, servers may follow either.
///
/// `absent` is the name that is written where there is none.
///
/// # Errors
/// The body is not that of the request.
pub fn with_max_output(
    request: &ChatRequest,
    max: u64,
    absent: &'static str,
) -> Result<ChatRequest, ApiError> {
    cap::apply(request, max, absent)
}

/// The same conversation with two turns more: what the model said (left out where it is empty), and what the user says to it.
/// `None` for requests that have no turns.
///
/// # Errors
/// The body is not that of the request.
pub fn continued(
    request: &ChatRequest,
    said: &str,
    wish: &str,
) -> Result<Option<ChatRequest>, ApiError> {
    turns::continued(request, said, wish)
}

/// A request with an instruction before its first turn, after those that it has; `None` for operations that take none.
///
/// # Errors
/// The body is not that of the request.
pub fn instructed(
    request: &ChatRequest,
    instruction: &str,
) -> Result<Option<ChatRequest>, ApiError> {
    turns::instructed(request, instruction)
}

/// The neutral form of a chat request, for a target that speaks another dialect.
///
/// # Errors
/// [`ApiError`] naming the member that has a wrong type, or that an embeddings request is no conversation.
pub fn conversation(request: &ChatRequest) -> Result<Conversation, ApiError> {
    match request.operation {
        Operation::ChatCompletions => openai::conversation::chat(&request.body),
        Operation::Completions => openai::conversation::completions(&request.body),
        Operation::Messages | Operation::CountTokens => {
            anthropic::conversation::messages(&request.body)
        }
        Operation::Embeddings => Err(ApiError::invalid(
            "model",
            "this model does not serve embeddings",
        )),
    }
}

/// What a writer needs to know besides the events.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Record id, for errors and where the provider gives no id of its own.
    pub request_id: String,
    /// Model name as asked for, where the provider names none.
    pub model: String,
    /// Seconds since the Unix epoch, where the provider gives none.
    pub created: u64,
    /// OpenAI: the client asked for a usage chunk.
    pub include_usage: bool,
}

/// Writes one streamed answer as server-sent events.
pub enum StreamWriter {
    /// `chat.completion.chunk`s, ended by `[DONE]`.
    Chat(openai::write::ChatWriter),
    /// Legacy `text_completion` chunks, ended by `[DONE]`.
    Completion(openai::write::CompletionWriter),
    /// The Messages state machine, ended by `message_stop`.
    Messages(anthropic::write::MessagesWriter),
}

impl StreamWriter {
    /// A writer for the dialect of `operation`.
    pub fn new(operation: Operation, envelope: Envelope) -> Self {
        match operation {
            Operation::ChatCompletions | Operation::Embeddings => {
                StreamWriter::Chat(openai::write::ChatWriter::new(envelope))
            }
            Operation::Completions => {
                StreamWriter::Completion(openai::write::CompletionWriter::new(envelope))
            }
            Operation::Messages | Operation::CountTokens => {
                StreamWriter::Messages(anthropic::write::MessagesWriter::new(envelope))
            }
        }
    }

    /// Writes one event.
    pub fn write(&mut self, event: ChatEvent, out: &mut BytesMut) {
        match self {
            StreamWriter::Chat(writer) => writer.write(event, out),
            StreamWriter::Completion(writer) => writer.write(event, out),
            StreamWriter::Messages(writer) => writer.write(event, out),
        }
    }

    /// Ends an answer that is complete.
    pub fn end(&mut self, out: &mut BytesMut) {
        match self {
            StreamWriter::Chat(writer) => writer.end(out),
            StreamWriter::Completion(writer) => writer.end(out),
            StreamWriter::Messages(writer) => writer.end(out),
        }
    }

    /// Ends an answer that broke off: one error event, nothing after it.
    pub fn fail(&mut self, error: &ApiError, out: &mut BytesMut) {
        match self {
            StreamWriter::Chat(_) | StreamWriter::Completion(_) => {
                openai::write::error_event(error, out)
            }
            StreamWriter::Messages(writer) => writer.fail(error, out),
        }
    }
}

/// Folds the events of a complete answer into one JSON body in the dialect of `operation`.
pub fn fold(operation: Operation, envelope: Envelope, events: Vec<ChatEvent>) -> Bytes {
    match operation {
        Operation::ChatCompletions | Operation::Embeddings => openai::fold::chat(envelope, events),
        Operation::Completions => openai::fold::completion(envelope, events),
        Operation::Messages | Operation::CountTokens => anthropic::fold::message(envelope, events),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_text_is_refused_wherever_it_breaks() {
        let body = b"{\"model\":\"m\",\"messages\":[],\"input\":\"\",\"x\":\"\xff\"}";
        for operation in [
            Operation::ChatCompletions,
            Operation::Completions,
            Operation::Messages,
            Operation::CountTokens,
            Operation::Embeddings,
        ] {
            let error = read(operation, Bytes::from_static(body)).unwrap_err();
            let expected = "the request body is not valid UTF-8 (byte 43)";
            assert_eq!(error.public, expected, "{operation:?}");
        }
    }
}
