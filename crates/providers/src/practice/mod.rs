//! The practice provider: a simulation inside the gateway that needs no key and no network.
//!
//! It says that it is a simulation. Its answers depend on the seed, the model and the conversation alone, so the same
//! request gives the same answer. Pauses are part of the plan; the caller sleeps.

mod answer;
pub mod embeddings;
mod schema;
mod words;

use crate::fault::UpstreamFault;
use aplomb_core::conversation::{Conversation, Part, Role};
use aplomb_core::error::UpstreamError;
use aplomb_core::event::ChatEvent;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How the simulation behaves.
#[derive(Debug, Clone)]
pub struct PracticeSettings {
    /// Everything that looks random follows from it.
    pub seed: u64,
    /// Pause before the first token.
    pub first_token: Duration,
    /// Pace of the tokens after it; 0 means no pauses.
    pub tokens_per_second: u32,
    /// Relative spread of pauses, 0 to 1.
    pub jitter: f64,
    /// Share of calls that fail with a provider's typical error, 0 to 1.
    pub error_rate: f64,
}

/// The simulated provider.
#[derive(Debug)]
pub struct Practice {
    settings: PracticeSettings,
    calls: AtomicU64,
}

/// The plan of one answer: events, each with the pause before it.
#[derive(Debug)]
pub struct PracticeAnswer(VecDeque<(Duration, ChatEvent)>);

impl PracticeAnswer {
    /// The next event and the pause before it.
    pub fn next_event(&mut self) -> Option<(Duration, ChatEvent)> {
        self.0.pop_front()
    }
}

impl Practice {
    /// A provider with these settings.
    pub fn new(settings: PracticeSettings) -> Self {
        Practice {
            settings,
            calls: AtomicU64::new(0),
        }
    }

    /// Plans the answer to a conversation.
    ///
    /// # Errors
    /// A simulated failure, at the configured rate: 429, 500, 503 or 529.
    pub fn answer(
        &self,
        conversation: &Conversation,
        model: &str,
    ) -> Result<PracticeAnswer, UpstreamFault> {
        self.maybe_fail()?;
        let seed = digest(self.settings.seed, conversation, model);
        let events = answer::events(conversation, model, seed);
        let mut random = fastrand::Rng::with_seed(seed ^ 0x7061_6365);
        let mut first = true;
        let paced = events.into_iter().map(|event| {
            let pause = if !takes_time(&event) {
                Duration::ZERO
            } else if std::mem::take(&mut first) {
                self.spread(self.settings.first_token, &mut random)
            } else {
                self.spread(self.token_pause(), &mut random)
            };
            (pause, event)
        });
        Ok(PracticeAnswer(paced.collect()))
    }

    fn maybe_fail(&self) -> Result<(), UpstreamFault> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut random =
            fastrand::Rng::with_seed(self.settings.seed ^ call.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if random.f64() >= self.settings.error_rate {
            return Ok(());
        }
        let (status, kind) = match random.u8(0..4) {
            0 => (429, "rate_limit_error"),
            1 => (500, "api_error"),
            2 => (503, "api_error"),
            _ => (529, "overloaded_error"),
        };
        let facets = UpstreamError {
            status,
            kind: Some(kind.to_owned()),
            ..UpstreamError::default()
        };
        let wait = (status == 429).then_some(Duration::from_secs(1));
        Err(UpstreamFault::upstream(
            facets,
            format!("simulated failure of the practice provider ({status})"),
            wait,
        ))
    }

    fn token_pause(&self) -> Duration {
        match self.settings.tokens_per_second {
            0 => Duration::ZERO,
            rate => Duration::from_secs(1) / rate,
        }
    }

    fn spread(&self, pause: Duration, random: &mut fastrand::Rng) -> Duration {
        let factor = 1.0 + self.settings.jitter.clamp(0.0, 1.0) * (random.f64() * 2.0 - 1.0);
        pause.mul_f64(factor.max(0.0))
    }
}

fn takes_time(event: &ChatEvent) -> bool {
    !matches!(
        event,
        ChatEvent::Start(_) | ChatEvent::Usage(_) | ChatEvent::Finish { .. }
    )
}

/// Tokens of a text as this provider counts them: one for every four bytes begun.
pub fn tokens(text: &str) -> u64 {
    u64::try_from(text.len().div_ceil(4)).unwrap_or(u64::MAX)
}

/// Input tokens of a conversation as this provider counts them.
pub fn input_tokens(conversation: &Conversation) -> u64 {
    let parts = conversation.system.iter().chain(
        conversation
            .messages
            .iter()
            .flat_map(|message| &message.parts),
    );
    let tools = conversation
        .tools
        .iter()
        .map(|tool| tokens(&tool.name) + tokens(&tool.parameters.to_string()));
    parts.map(part_tokens).sum::<u64>() + tools.sum::<u64>() + 3
}

fn part_tokens(part: &Part) -> u64 {
    match part {
        Part::Text { text, .. } | Part::Refusal { text } | Part::Reasoning { text, .. } => {
            tokens(text)
        }
        // Chosen: what OpenAI charges for a picture at low detail.
        Part::Image { .. } | Part::File { .. } | Part::Other { .. } => 85,
        Part::ToolCall {
            name, arguments, ..
        } => tokens(name) + tokens(arguments),
        Part::ToolResult { content, .. } => content.iter().map(part_tokens).sum(),
        Part::RedactedReasoning { data } => tokens(data),
    }
}

/// The text of the last turn of the user.
fn last_user_text(conversation: &Conversation) -> String {
    let turn = conversation
        .messages
        .iter()
        .rev()
        .find(|message| message.role == Role::User);
    turn.map(|message| text_of(&message.parts))
        .unwrap_or_default()
}

fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.clone()),
        Part::ToolResult { content, .. } => Some(text_of(content)),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn digest(seed: u64, conversation: &Conversation, model: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, model, format!("{conversation:?}")).hash(&mut hasher);
    hasher.finish()
}
