//! A stream that is checked while it goes out: text is released only after the checks have seen it together with what came after.
//!
//! Text is looked at window by window. After a look all goes out but its end, as long as the longest match that a check forbids:
//! so a match that a border cuts is whole at the next look, and nothing of it is out. Where an expression has no longest match,
//! that holds for matches up to the overlap. Checks of the whole text come at the end, with the last words and the finish held.

use crate::answer::Answer;
use crate::course::{Course, Late};
use aplomb_core::event::ChatEvent;
use std::collections::VecDeque;

/// About so many bytes are a token.
const TOKEN_BYTES: usize = 4;

/// How much is looked at together and held, in tokens. 0 and 0: all goes out as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Gathered before a look.
    pub tokens: usize,
    /// Held after it.
    pub overlap: usize,
}

impl Window {
    /// Bytes of text after which its first look comes.
    pub fn bytes(self) -> usize {
        self.tokens.saturating_mul(TOKEN_BYTES)
    }
}

/// One stream on its way out. It has one choice; its memory is bounded by whoever bounds the answer.
pub struct Watch {
    /// Its way through the validators.
    pub course: Box<Course>,
    window: usize,
    overlap: usize,
    /// What is held, in order.
    held: VecDeque<ChatEvent>,
    /// The text in it.
    text: String,
    /// So much of that no check has seen.
    fresh: usize,
    /// The end of the text that is out.
    tail: String,
    /// The answer as it goes out, but for the text that is held.
    answer: Answer,
    finished: bool,
}

/// The last place at or before `at` where a text can be cut.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

fn text_event(text: String) -> ChatEvent {
    ChatEvent::Text {
        choice: 0,
        text,
        logprobs: None,
    }
}

impl Watch {
    /// Of a stream whose first content may go out.
    pub fn new(course: Box<Course>, window: Window) -> Self {
        let overlap = window.overlap.saturating_mul(TOKEN_BYTES);
        let reach = match window {
            Window {
                tokens: 0,
                overlap: 0,
            } => 0,
            _ => course.reach(),
        };
        Watch {
            window: window.bytes(),
            overlap: overlap.max(reach),
            course,
            held: VecDeque::new(),
            text: String::new(),
            fresh: 0,
            tail: String::new(),
            answer: Answer::default(),
            finished: false,
        }
    }

    /// Takes the next event, and gives what may go out.
    ///
    /// # Errors
    /// The answer ends here.
    pub fn on_event(
        &mut self,
        event: ChatEvent,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), Box<Late>> {
        if let ChatEvent::Text { text, .. } = &event {
            self.text.push_str(text);
            self.fresh += text.len();
        } else {
            self.answer.on_event(&event);
        }
        self.finished |= event.finish().is_some();
        self.held.push_back(event);
        if self.finished || self.fresh < self.window {
            if self.text.is_empty() && !self.finished {
                out.extend(self.held.drain(..));
            }
            return Ok(());
        }
        self.look()?;
        self.release(out);
        Ok(())
    }

    /// The answer is whole: gives the rest of it.
    ///
    /// # Errors
    /// It ends without that.
    pub fn on_end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), Box<Late>> {
        self.look()?;
        let mut answer = std::mem::take(&mut self.answer);
        answer
            .choices
            .entry(0)
            .or_default()
            .text
            .push_str(&self.text);
        self.course.late(answer)?;
        out.extend(self.held.drain(..));
        Ok(())
    }

    /// Looks at what is held, together with the end of what is out.
    fn look(&mut self) -> Result<(), Box<Late>> {
        self.fresh = 0;
        let together = format!("{}{}", self.tail, self.text);
        let cut = self.course.begun(&together, &self.text)?;
        if let Some(text) = cut {
            // What is left of the text comes in the place of its first piece.
            let mut left = Some(text_event(text.clone()));
            let events = std::mem::take(&mut self.held).into_iter();
            self.held = events
                .filter_map(|event| match event {
                    ChatEvent::Text { .. } => left.take(),
                    other => Some(other),
                })
                .collect();
            self.text = text;
        }
        Ok(())
    }

    /// Lets out all but the end.
    fn release(&mut self, out: &mut Vec<ChatEvent>) {
        let mut left = boundary(&self.text, self.text.len().saturating_sub(self.overlap));
        let gone = self.text.get(..left).unwrap_or_default();
        self.answer
            .choices
            .entry(0)
            .or_default()
            .text
            .push_str(gone);
        self.tail.push_str(gone);
        let kept = self.tail.len().saturating_sub(self.overlap);
        self.tail = self.tail.split_off(boundary(&self.tail, kept));
        self.text = self.text.split_off(left);
        while let Some(event) = self.held.pop_front() {
            match event {
                ChatEvent::Text { text, .. } if text.len() > left => {
                    let (now, later) = text.split_at(boundary(&text, left));
                    if !now.is_empty() {
                        out.push(text_event(now.to_owned()));
                    }
                    self.held.push_front(text_event(later.to_owned()));
                    return;
                }
                ChatEvent::Text { ref text, .. } => {
                    left -= text.len();
                    out.push(event);
                }
                other => out.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests;
