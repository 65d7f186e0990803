//! Several choices from a provider that gives one a call: as many calls, their answers merged into one.
//!
//! The merged answer keeps the contract of a single one: `Start` first and once, `Usage` once and last (the sum: each
//! call is charged), and the first fault of any call is the fault of all.

use crate::fault::{FaultKind, UpstreamFault};
use crate::stream::EventStream;
use aplomb_core::event::ChatEvent;
use aplomb_core::usage::Usage;
use std::task::{Context, Poll};

/// The answers of several calls, each of which is one choice.
pub(crate) struct Several {
    /// By choice; `None` once it is whole.
    parts: Vec<Option<EventStream>>,
    started: bool,
    usage: Option<Usage>,
}

impl Several {
    /// Merges these answers; their order is the order of the choices.
    pub(crate) fn new(parts: Vec<EventStream>) -> Self {
        Several {
            parts: parts.into_iter().map(Some).collect(),
            started: false,
            usage: None,
        }
    }

    /// Appends the events that are there. `Ok(false)`: all answers are whole.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<ChatEvent>,
    ) -> Poll<Result<bool, UpstreamFault>> {
        let before = out.len();
        let mut open = false;
        for (choice, part) in (0..).zip(&mut self.parts) {
            while let Some(stream) = part {
                match stream.poll_next(cx) {
                    Poll::Pending => break,
                    Poll::Ready(None) => *part = None,
                    Poll::Ready(Some(Err(fault))) => return Poll::Ready(Err(fault)),
                    Poll::Ready(Some(Ok(event))) => {
                        take(&mut self.started, &mut self.usage, choice, event, out)
                    }
                }
            }
            open |= part.is_some();
        }
        if !open {
            out.extend(self.usage.take().map(ChatEvent::Usage));
            return Poll::Ready(Ok(false));
        }
        if out.len() > before {
            Poll::Ready(Ok(true))
        } else {
            Poll::Pending
        }
    }

    /// The calls stood still for too long: true if every one of them is whole but for its closing mark.
    pub(crate) fn complete(&mut self, kind: FaultKind, out: &mut Vec<ChatEvent>) -> bool {
        for (choice, part) in (0..).zip(&mut self.parts) {
            if let Some(stream) = part {
                let Some(events) = stream.complete(kind) else {
                    return false;
                };
                for event in events {
                    take(&mut self.started, &mut self.usage, choice, event, out);
                }
            }
        }
        out.extend(self.usage.take().map(ChatEvent::Usage));
        true
    }
}

fn take(
    started: &mut bool,
    usage: &mut Option<Usage>,
    choice: u32,
    event: ChatEvent,
    out: &mut Vec<ChatEvent>,
) {
    match event {
        ChatEvent::Start(_) if std::mem::replace(started, true) => {}
        ChatEvent::Usage(one) => {
            *usage = Some(match usage.take() {
                Some(sum) => sum.plus(&one),
                None => one,
            });
        }
        event => out.push(event.with_choice(choice)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aplomb_core::event::{FinishReason, Start};
    use std::task::Waker;

    fn answer(text: &str) -> EventStream {
        EventStream::whole(vec![
            ChatEvent::Start(Start::default()),
            ChatEvent::Text {
                choice: 0,
                text: text.into(),
                logprobs: None,
            },
            ChatEvent::Finish {
                choice: 0,
                reason: FinishReason::Stop,
            },
            ChatEvent::Usage(Usage {
                input: 3,
                output: 1,
                ..Usage::default()
            }),
        ])
    }

    #[test]
    fn answers_become_choices_of_one() {
        let mut several = Several::new(vec![answer("a"), answer("b")]);
        let mut out = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let polled = several.poll(&mut cx, &mut out);
        assert!(matches!(polled, Poll::Ready(Ok(false))));
        assert!(matches!(out.first(), Some(ChatEvent::Start(_))));
        let texts: Vec<_> = out
            .iter()
            .filter_map(|event| match event {
                ChatEvent::Text { choice, text, .. } => Some((*choice, text.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(texts, [(0, "a"), (1, "b")]);
        let starts = out
            .iter()
            .filter(|event| matches!(event, ChatEvent::Start(_)));
        assert_eq!(starts.count(), 1);
        assert!(
            matches!(out.last(), Some(ChatEvent::Usage(usage)) if (usage.input, usage.output) == (6, 2))
        );
    }
}
