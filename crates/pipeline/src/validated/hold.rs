//! Reads an answer to its end before anything of it goes out.

use crate::attempt::Begun;
use aplomb_core::event::ChatEvent;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use aplomb_providers::stream::BODY_BYTES_MAX;
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Memory of an event besides its text. Chosen: a little more than its size.
const EVENT_BYTES: usize = 160;

fn size(event: &ChatEvent) -> usize {
    let text = usize::try_from(event.output_bytes()).unwrap_or(usize::MAX);
    text.saturating_add(EVENT_BYTES)
}

/// Bytes of visible text.
fn text(event: &ChatEvent) -> usize {
    match event {
        ChatEvent::Text { text, .. } => text.len(),
        _ => 0,
    }
}

/// Reads the rest of an answer, or so many bytes of its text. Whether it is whole.
///
/// Cancel safe: dropping the future ends the upstream call.
///
/// # Errors
/// It broke off, stood still for longer than `idle`, or is larger than a whole answer may be.
pub(crate) async fn gather(
    begun: &mut Begun,
    enough: usize,
    (idle, deadline): (Duration, Instant),
) -> Result<bool, UpstreamFault> {
    let mut texts: usize = begun.held.iter().map(text).sum();
    let mut bytes = begun.held.iter().map(size).fold(0, usize::saturating_add);
    while texts < enough {
        let until = deadline.min(Instant::now() + idle);
        let next = timeout_at(until, poll_fn(|cx| begun.events.poll_next(cx))).await;
        match next {
            Ok(None) => return Ok(true),
            Ok(Some(event)) => {
                let event = event?;
                bytes = bytes.saturating_add(size(&event));
                if bytes > BODY_BYTES_MAX {
                    return Err(UpstreamFault::new(
                        FaultKind::TooLarge,
                        "the provider's answer is too large to be held",
                    ));
                }
                texts += text(&event);
                begun.held.push_back(event);
            }
            // It is given up, or it is whole but for its closing mark: the next round tells.
            Err(_) if Instant::now() >= deadline => begun.events.give_up(FaultKind::Total),
            Err(_) => begun.events.give_up(FaultKind::Idle),
        }
    }
    Ok(false)
}
