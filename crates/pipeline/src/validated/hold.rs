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

/// Reads the rest of an answer.
///
/// Cancel safe: dropping the future ends the upstream call.
///
/// # Errors
/// It broke off, stood still for longer than `idle`, or is larger than a whole answer may be.
pub(crate) async fn gather(
    begun: &mut Begun,
    idle: Duration,
    deadline: Instant,
) -> Result<(), UpstreamFault> {
    let mut bytes = begun.held.iter().map(size).fold(0, usize::saturating_add);
    loop {
        let until = deadline.min(Instant::now() + idle);
        let next = timeout_at(until, poll_fn(|cx| begun.events.poll_next(cx))).await;
        match next {
            Ok(None) => return Ok(()),
            Ok(Some(event)) => {
                let event = event?;
                bytes = bytes.saturating_add(size(&event));
                if bytes > BODY_BYTES_MAX {
                    return Err(UpstreamFault::new(
                        FaultKind::TooLarge,
                        "the provider's answer is too large to be held",
                    ));
                }
                begun.held.push_back(event);
            }
            // It is given up, or it is whole but for its closing mark: the next round tells.
            Err(_) if Instant::now() >= deadline => begun.events.give_up(FaultKind::Total),
            Err(_) => begun.events.give_up(FaultKind::Idle),
        }
    }
}
