//! Tokens that a provider did not count: of answers that were cut, and of servers that report no usage.

use aplomb_catalog::{Encoding, encoding};
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_models::tokens::Tokenizer;
use aplomb_observe::record::Texts;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Most bytes that are counted where a request ends: less than 1 ms of text, 15 ms of the worst there is.
const BYTES_MAX: usize = 32 * 1024;
/// Tokens that frame each message, its role included, and the whole conversation, as OpenAI documents them.
const MESSAGE: usize = 4;
const CONVERSATION: usize = 3;

/// A request of text alone. Tools, images and named speakers are framed in ways that are not documented.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
    #[serde(borrow, default)]
    prompt: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    input: Option<Cow<'a, str>>,
    #[serde(default)]
    tools: Option<IgnoredAny>,
    #[serde(default)]
    functions: Option<IgnoredAny>,
    #[serde(default)]
    response_format: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(rename = "role")]
    _role: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

/// Tokens of an exchange in the model's own tokenizer. `None` where it is not known, where there is more in the exchange
/// than plain text, and where that is too long to be counted here: then they are estimated.
pub(crate) fn count(model: &str, texts: &Texts) -> Option<Usage> {
    let Encoding::O200k = encoding(model)?;
    let answer = &texts.answer;
    let plain = answer.calls.is_empty() && answer.reasoning.is_empty() && !answer.truncated;
    if !plain || texts.size() > BYTES_MAX {
        return None;
    }
    let body: Body<'_> = serde_json::from_slice(&texts.request).ok()?;
    if body.tools.is_some() || body.functions.is_some() || body.response_format.is_some() {
        return None;
    }
    let tokenizer = Tokenizer::shared()?;
    let output: usize = answer
        .texts
        .values()
        .map(|text| tokenizer.count(text))
        .sum();
    Some(Usage {
        input: u64::try_from(asked(&body, tokenizer)?).ok()?,
        output: u64::try_from(output).ok()?,
        source: UsageSource::Counted,
        ..Usage::default()
    })
}

fn asked(body: &Body<'_>, tokenizer: &Tokenizer) -> Option<usize> {
    if let Some(text) = body.prompt.as_ref().or(body.input.as_ref()) {
        return Some(tokenizer.count(text));
    }
    if body.messages.is_empty() {
        return None;
    }
    let said = body.messages.iter();
    let said: usize = said
        .map(|message| MESSAGE + tokenizer.count(&message.content))
        .sum();
    Some(said + CONVERSATION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aplomb_core::event::ChatEvent;
    use aplomb_observe::transcript::Transcript;

    fn texts(request: &str, answer: &str) -> Texts {
        let mut transcript = Transcript::default();
        transcript.on_event(&ChatEvent::Text {
            choice: 0,
            text: answer.to_owned(),
            logprobs: None,
        });
        Texts {
            request: request.to_owned().into(),
            answer: transcript,
            ..Texts::default()
        }
    }

    #[test]
    fn plain_text_is_counted_as_openai_counts_it() {
        // OpenAI's cookbook: "hello world" is two tokens; a message adds four, the conversation three.
        let request = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hello world"}]}"#;
        let usage = count("gpt-4o", &texts(request, "hello")).unwrap();
        assert_eq!((usage.input, usage.output), (9, 1));
        assert_eq!(usage.source, UsageSource::Counted);
        let request = r#"{"model":"gpt-4o","prompt":"hello world"}"#;
        assert_eq!(count("gpt-4o", &texts(request, "")).unwrap().input, 2);
    }

    #[test]
    fn what_is_framed_in_unknown_ways_is_not_counted() {
        let plain = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
        assert!(count("claude-haiku-4-5", &texts(plain, "hi")).is_none());
        for request in [
            r#"{"messages":[{"role":"user","content":"hi"}],"tools":[]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#,
            r#"{"messages":[{"role":"user","name":"ann","content":"hi"}]}"#,
            r#"{"messages":[]}"#,
            "no JSON",
        ] {
            assert!(
                count("gpt-4o", &texts(request, "hi")).is_none(),
                "{request}"
            );
        }
        assert!(count("gpt-4o", &texts(plain, &"a ".repeat(20_000))).is_none());
    }
}
