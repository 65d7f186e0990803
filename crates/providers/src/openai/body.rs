//! Whole answers of OpenAI-compatible servers.

use super::error::{self, Malformed};
use super::typed::Typed;
use super::wire::{Answer, is_error};
use crate::decode::{Lane, utf8};
use crate::fault::UpstreamFault;
use aplomb_core::event::{ChatEvent, Facts, Raw};
use aplomb_core::usage::Usage;
use bytes::Bytes;
use serde_json::value::RawValue;

/// Reads a whole body with status 200.
///
/// # Errors
/// The error object it holds, or `Malformed` if it is no answer.
pub fn decode(bytes: &Bytes, lane: Lane, out: &mut Vec<ChatEvent>) -> Result<(), UpstreamFault> {
    let bytes = &utf8(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(error::malformed(Malformed::Empty));
    }
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(error::in_band(bytes));
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let answer: Answer =
        serde_json::from_str(text).map_err(|_| error::malformed(Malformed::Body))?;
    if is_error(answer.error) {
        return Err(error::in_band(bytes));
    }
    let has_choices = answer
        .choices
        .as_ref()
        .is_some_and(|choices| !choices.is_empty());
    if !has_choices && answer.data.is_none() {
        return Err(error::malformed(Malformed::Body));
    }
    out.push(ChatEvent::Start(answer.start(lane)));
    match lane {
        Lane::Native => {
            let facts = facts(&answer);
            out.push(ChatEvent::RawBody(Raw {
                name: None,
                data: bytes.clone(),
                facts,
            }));
        }
        Lane::Typed => Typed::default().answer(&answer, out),
    }
    let usage = answer.usage.map(RawValue::get);
    out.extend(
        usage
            .and_then(Usage::from_openai_text)
            .map(ChatEvent::Usage),
    );
    Ok(())
}

fn facts(answer: &Answer<'_>) -> Facts {
    let choices = || answer.choices.iter().flatten();
    let bytes: usize = choices().map(|choice| choice.output_bytes()).sum();
    Facts {
        content: true,
        output_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        finish: choices().find_map(|choice| choice.finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    fn run(body: &str, lane: Lane) -> Result<Vec<ChatEvent>, FaultKind> {
        let mut out = Vec::new();
        decode(&Bytes::copy_from_slice(body.as_bytes()), lane, &mut out)
            .map_err(|fault| fault.kind)?;
        Ok(out)
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for body in [
            "",
            "  ",
            "{}",
            "<html></html>",
            r#"{"choices":[]}"#,
            "{\"choices\":[{",
            "null",
            "5",
        ] {
            assert_eq!(run(body, Lane::Native), Err(FaultKind::Malformed), "{body}");
        }
    }

    #[test]
    fn errors_inside_a_200_are_faults() {
        assert_eq!(
            run(
                r#"{"error":{"message":"x","code":"insufficient_quota"}}"#,
                Lane::Native
            ),
            Err(FaultKind::Quota)
        );
        assert_eq!(
            run(
                r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#,
                Lane::Native
            ),
            Err(FaultKind::RateLimited)
        );
    }

    #[test]
    fn a_body_passes_with_its_facts() {
        let body = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hey"},"finish_reason":"length"}],"usage":{"prompt_tokens":2,"completion_tokens":1}}"#;
        let events = run(body, Lane::Native).unwrap();
        assert!(
            matches!(&events[1], ChatEvent::RawBody(raw) if raw.data == body && raw.facts.output_bytes == 3)
        );
        assert!(matches!(events[2], ChatEvent::Usage(usage) if usage.input == 2));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_where_nobody_reads_them() {
        let body = Bytes::from_static(
            b"{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"}}],\"x\":\"\xff\"}",
        );
        let mut out = Vec::new();
        decode(&body, Lane::Native, &mut out).unwrap();
        let ChatEvent::RawBody(raw) = &out[1] else {
            panic!("{out:?}")
        };
        let value: serde_json::Value = serde_json::from_slice(&raw.data).unwrap();
        assert_eq!(value["x"], "\u{fffd}");
    }
}
