//! What is kept of an answer, how it is gathered from the events of one, and how it becomes events again.

use aplomb_core::event::{ChatEvent, FinishReason, Start};
use aplomb_core::usage::Usage;
use std::time::Duration;

/// Largest answer that is kept, in bytes of text. Chosen: a long article; what is longer is rarely asked for twice.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What a piece of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Visible text.
    Text,
    /// Reasoning.
    Reasoning,
}

/// A complete, plain answer as the provider said it: placeholders are not restored.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `provider/model` that gave it.
    pub target: Box<str>,
    /// It comes from the practice provider.
    pub simulated: bool,
    /// Model as the provider named it.
    pub model: Box<str>,
    /// What was said, pieces of one voice joined.
    pub parts: Vec<(Voice, Box<str>)>,
    /// How it ended: [`FinishReason::Stop`] or [`FinishReason::StopSequence`].
    pub finish: FinishReason,
    /// Token counts, where the provider gave some.
    pub usage: Option<Usage>,
    /// How long its first content took.
    pub ttft: Duration,
    /// How long the rest took; nothing for an answer that came whole.
    pub rest: Duration,
    /// Pieces in which it came.
    pub pieces: u32,
}

impl Answer {
    /// Bytes of memory.
    pub fn size(&self) -> usize {
        let parts: usize = self.parts.iter().map(|(_, text)| text.len()).sum();
        size_of::<Answer>()
            + self.target.len()
            + self.model.len()
            + parts
            + self.parts.len() * size_of::<(Voice, Box<str>)>()
    }

    /// The visible text.
    pub fn text(&self) -> String {
        let visible = self.parts.iter().filter(|(voice, _)| *voice == Voice::Text);
        visible.map(|(_, text)| &**text).collect()
    }

    /// All events of the answer. It gets an id and a time of its own where it is written.
    pub fn events(&self) -> Vec<ChatEvent> {
        let parts = self.parts.iter();
        self.around(
            parts
                .map(|(voice, text)| said(*voice, text.to_string()))
                .collect(),
        )
    }

    /// The events with the pauses before them, at the pace at which they came: the first content at once (whoever replays it
    /// waits for `ttft`), the rest spread evenly over `rest`.
    pub fn paced(&self) -> Vec<(Duration, ChatEvent)> {
        let total: usize = self.parts.iter().map(|(_, text)| text.len()).sum();
        let pieces = usize::try_from(self.pieces).unwrap_or(1).max(1);
        let size = total.div_ceil(pieces).max(1);
        let mut cut = Vec::new();
        for (voice, text) in &self.parts {
            cut.extend(
                slices(text, size)
                    .into_iter()
                    .map(|piece| said(*voice, piece)),
            );
        }
        let gaps = u32::try_from(cut.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.rest.checked_div(gaps).unwrap_or_default();
        let mut first = true;
        let events = self.around(cut).into_iter().map(|event| {
            let speaks = matches!(event, ChatEvent::Text { .. } | ChatEvent::Reasoning { .. });
            let first = speaks && std::mem::take(&mut first);
            match (speaks, first) {
                (true, false) => (pause, event),
                (true, true) | (false, _) => (Duration::ZERO, event),
            }
        });
        events.collect()
    }

    fn around(&self, said: Vec<ChatEvent>) -> Vec<ChatEvent> {
        let mut events = Vec::with_capacity(said.len() + 3);
        events.push(ChatEvent::Start(Start {
            model: self.model.to_string(),
            ..Start::default()
        }));
        events.extend(said);
        events.push(ChatEvent::Finish {
            choice: 0,
            reason: self.finish.clone(),
        });
        events.extend(self.usage.map(ChatEvent::Usage));
        events
    }
}

fn said(voice: Voice, text: String) -> ChatEvent {
    match voice {
        Voice::Text => ChatEvent::Text {
            choice: 0,
            text,
            logprobs: None,
        },
        Voice::Reasoning => ChatEvent::Reasoning { choice: 0, text },
    }
}

/// Cuts a text into pieces of about `size` bytes, between characters.
fn slices(text: &str, size: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::with_capacity(size + 4);
    for c in text.chars() {
        piece.push(c);
        if piece.len() >= size {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// Gathers an answer while it passes. It holds no more than [`ANSWER_BYTES_MAX`]: a longer answer is not kept.
#[derive(Debug, Default)]
pub struct Collector {
    model: String,
    parts: Vec<(Voice, String)>,
    bytes: usize,
    pieces: u32,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    unfit: Option<&'static str>,
}

/// What is known of an answer besides its events.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// `provider/model`.
    pub target: String,
    /// It comes from the practice provider.
    pub simulated: bool,
    /// How long its first content took.
    pub ttft: Duration,
    /// How long the rest took.
    pub rest: Duration,
}

impl Collector {
    /// Takes the next event.
    pub fn on_event(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::Start(start) => self.model.clone_from(&start.model),
            ChatEvent::Text {
                choice: 0,
                text,
                logprobs: None,
            } => self.say(Voice::Text, text),
            ChatEvent::Reasoning { choice: 0, text } => self.say(Voice::Reasoning, text),
            ChatEvent::Finish { choice: 0, reason } => self.finish = Some(reason.clone()),
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            ChatEvent::Text { logprobs, .. } if logprobs.is_some() => self.leave("logprobs"),
            ChatEvent::Text { .. } | ChatEvent::Reasoning { .. } | ChatEvent::Finish { .. } => {
                self.leave("choices");
            }
            ChatEvent::Refusal { .. } => self.leave("refusal"),
            ChatEvent::ReasoningSignature { .. } | ChatEvent::RedactedReasoning { .. } => {
                self.leave("signed_reasoning");
            }
            ChatEvent::ToolStart { .. } | ChatEvent::ToolArguments { .. } => self.leave("tools"),
            ChatEvent::Raw(_) | ChatEvent::RawBody(_) => self.leave("form"),
        }
    }

    fn leave(&mut self, why: &'static str) {
        self.unfit.get_or_insert(why);
        self.parts = Vec::new();
    }

    fn say(&mut self, voice: Voice, text: &str) {
        if self.unfit.is_some() || text.is_empty() {
            return;
        }
        self.bytes += text.len();
        self.pieces = self.pieces.saturating_add(1);
        if self.bytes > ANSWER_BYTES_MAX {
            return self.leave("size");
        }
        match self.parts.last_mut() {
            Some((last, said)) if *last == voice => said.push_str(text),
            _ => self.parts.push((voice, text.to_owned())),
        }
    }

    /// The visible text so far; nothing if the answer is none that is kept.
    pub fn said(&self) -> String {
        let visible = self.parts.iter().filter(|(voice, _)| *voice == Voice::Text);
        visible.map(|(_, text)| text.as_str()).collect()
    }

    /// The answer, after its last event.
    ///
    /// # Errors
    /// Why it is not kept: it has more than plain text, is too long, empty, or did not end by itself.
    pub fn finish(self, origin: Origin) -> Result<Answer, &'static str> {
        if let Some(why) = self.unfit {
            return Err(why);
        }
        let finish = match self.finish {
            Some(stop @ (FinishReason::Stop | FinishReason::StopSequence(_))) => stop,
            Some(_) => return Err("finish"),
            None => return Err("incomplete"),
        };
        if !self.parts.iter().any(|(voice, _)| *voice == Voice::Text) {
            return Err("empty");
        }
        let parts = self.parts.into_iter();
        Ok(Answer {
            target: origin.target.into(),
            simulated: origin.simulated,
            model: self.model.into(),
            parts: parts.map(|(voice, text)| (voice, text.into())).collect(),
            finish,
            usage: self.usage,
            ttft: origin.ttft,
            rest: origin.rest,
            pieces: self.pieces,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ChatEvent {
        said(Voice::Text, text.to_owned())
    }

    fn finish(reason: FinishReason) -> ChatEvent {
        ChatEvent::Finish { choice: 0, reason }
    }

    fn gathered(events: &[ChatEvent]) -> Result<Answer, &'static str> {
        let mut collector = Collector::default();
        events.iter().for_each(|event| collector.on_event(event));
        collector.finish(Origin {
            target: "up/m".into(),
            simulated: false,
            ttft: Duration::from_millis(40),
            rest: Duration::from_millis(30),
        })
    }

    #[test]
    fn a_plain_answer_is_kept_and_told_again() {
        let think = ChatEvent::Reasoning {
            choice: 0,
            text: "hm".into(),
        };
        let end = finish(FinishReason::Stop);
        let answer = gathered(&[think, text("né"), text("e "), text("so"), end]).unwrap();
        assert_eq!(answer.text(), "née so");
        assert_eq!(answer.events().len(), 4);
        let paced = answer.paced();
        let told: String = paced
            .iter()
            .filter_map(|(_, event)| match event {
                ChatEvent::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(told, "née so");
        let sum: Duration = paced.iter().map(|(pause, _)| *pause).sum();
        let all = answer.rest;
        assert!(
            sum <= all && sum + Duration::from_millis(1) > all,
            "{sum:?}"
        );
    }

    #[test]
    fn what_is_not_plain_and_complete_is_not_kept() {
        let stop = || finish(FinishReason::Stop);
        let tool = ChatEvent::ToolStart {
            choice: 0,
            tool: 0,
            id: "c".into(),
            name: "f".into(),
        };
        let other = ChatEvent::Text {
            choice: 1,
            text: "x".into(),
            logprobs: None,
        };
        for (events, why) in [
            (vec![text("a")], "incomplete"),
            (vec![text("a"), finish(FinishReason::Length)], "finish"),
            (
                vec![text("a"), finish(FinishReason::ContentFilter)],
                "finish",
            ),
            (vec![text("a"), tool, stop()], "tools"),
            (vec![text("a"), other, stop()], "choices"),
            (vec![stop()], "empty"),
            (
                vec![text(&"a".repeat(ANSWER_BYTES_MAX + 1)), stop()],
                "size",
            ),
        ] {
            assert_eq!(gathered(&events).unwrap_err(), why);
        }
    }
}
