//! What every provider's decoder has in common.

use crate::fault::UpstreamFault;
use aplomb_core::event::ChatEvent;
use aplomb_core::sse::SseEvent;
use bytes::Bytes;

/// Whether the provider's bytes may be passed on as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Same dialect and same form on both sides: events carry the provider's bytes (`Raw`, `RawBody`).
    Native,
    /// The answer is written anew: typed events.
    Typed,
}

/// Whether more events are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Go on reading.
    Continue,
    /// The answer is complete; whatever the upstream still sends is ignored.
    Done,
}

/// Turns one provider's stream into [`ChatEvent`]s and checks that it is whole.
///
/// `on_event` runs once per server-sent event. It emits `Start` before anything else, and `Usage` once, last,
/// when the answer completes. An error means that the answer is broken here; nothing may be emitted after it.
pub trait StreamDecoder: Send {
    /// Takes one event.
    ///
    /// # Errors
    /// The upstream's error object, or `Malformed` for what is no event of this dialect.
    fn on_event(
        &mut self,
        event: SseEvent,
        out: &mut Vec<ChatEvent>,
    ) -> Result<Step, UpstreamFault>;

    /// The upstream's bytes ended without `Step::Done`. Completes the answer if it is whole (a missing
    /// `[DONE]` or `message_stop` after a finish reason).
    ///
    /// # Errors
    /// `Cut` if a finish reason is missing; `Malformed` if nothing came at all.
    fn on_end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), UpstreamFault>;
}

/// The bytes as UTF-8, with U+FFFD for what is none, as stream events have it: a whole answer that passes as it is must
/// be JSON for every client. Costs one scan; copies only what is wrong.
pub fn utf8(bytes: &Bytes) -> Bytes {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.clone(),
        Err(_) => Bytes::from(String::from_utf8_lossy(bytes).into_owned()),
    }
}
