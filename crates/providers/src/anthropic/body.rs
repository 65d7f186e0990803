//! Whole answers of the Messages API.

use super::error::{in_band, malformed};
use crate::decode::{Lane, utf8};
use crate::fault::UpstreamFault;
use aplomb_core::event::{ChatEvent, Facts, FinishReason, Raw, Start};
use aplomb_core::usage::Usage;
use bytes::Bytes;
use serde_json::{Map, Value};

/// Reads a whole body with status 200.
///
/// # Errors
/// The error object it holds, or `Malformed` if it is no message.
pub fn decode(bytes: &Bytes, lane: Lane, out: &mut Vec<ChatEvent>) -> Result<(), UpstreamFault> {
    let bytes = &utf8(bytes);
    let message: Value = serde_json::from_slice(bytes)
        .map_err(|_| malformed("the provider sent a body that is not a valid answer"))?;
    if message.get("error").is_some_and(|error| !error.is_null()) {
        return Err(in_band(bytes));
    }
    let Some(blocks) = message.get("content").and_then(Value::as_array) else {
        return Err(malformed(
            "the provider sent a body that is not a valid answer",
        ));
    };
    let text = |name: &str| {
        message
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    out.push(ChatEvent::Start(Start {
        id: text("id"),
        model: text("model"),
        created: 0,
        extra: Map::new(),
    }));
    let reason = message.get("stop_reason").and_then(Value::as_str);
    let sequence = message
        .get("stop_sequence")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let finish = reason.map(|reason| FinishReason::from_anthropic(reason, sequence));
    match lane {
        Lane::Native => {
            let output = blocks
                .iter()
                .map(|block| block.to_string().len())
                .sum::<usize>();
            let facts = Facts {
                content: true,
                output_bytes: u32::try_from(output).unwrap_or(u32::MAX),
                finish,
            };
            out.push(ChatEvent::RawBody(Raw {
                name: None,
                data: bytes.clone(),
                facts,
            }));
        }
        Lane::Typed => {
            typed(blocks, out);
            out.extend(finish.map(|reason| ChatEvent::Finish { choice: 0, reason }));
        }
    }
    if let Some(usage) = message.get("usage").filter(|usage| usage.is_object()) {
        let mut counts = Usage::default();
        counts.merge_anthropic(usage);
        out.push(ChatEvent::Usage(counts));
    }
    Ok(())
}

fn typed(blocks: &[Value], out: &mut Vec<ChatEvent>) {
    let mut tool = 0;
    for block in blocks {
        let text = |name: &str| {
            block
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        match block.get("type").and_then(Value::as_str) {
            Some("text") => out.push(ChatEvent::Text {
                choice: 0,
                text: text("text"),
                logprobs: None,
            }),
            Some("thinking") => {
                out.push(ChatEvent::Reasoning {
                    choice: 0,
                    text: text("thinking"),
                });
                if !text("signature").is_empty() {
                    out.push(ChatEvent::ReasoningSignature {
                        choice: 0,
                        signature: text("signature"),
                    });
                }
            }
            Some("redacted_thinking") => out.push(ChatEvent::RedactedReasoning {
                choice: 0,
                data: text("data"),
            }),
            Some("tool_use") => {
                out.push(ChatEvent::ToolStart {
                    choice: 0,
                    tool,
                    id: text("id"),
                    name: text("name"),
                });
                let fragment = block.get("input").cloned().unwrap_or_default().to_string();
                out.push(ChatEvent::ToolArguments {
                    choice: 0,
                    tool,
                    fragment,
                });
                tool += 1;
            }
            // Blocks of tools that ran at the provider have no counterpart elsewhere.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    #[test]
    fn a_message_is_read_both_ways() {
        let body = Bytes::from_static(
            br#"{"id":"msg_1","model":"c","content":[{"type":"text","text":"hi"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4}}"#,
        );
        let mut out = Vec::new();
        decode(&body, Lane::Typed, &mut out).unwrap();
        assert!(out.contains(&ChatEvent::ToolArguments {
            choice: 0,
            tool: 0,
            fragment: "{\"a\":1}".into()
        }));
        assert!(out.contains(&ChatEvent::Finish {
            choice: 0,
            reason: FinishReason::ToolCalls
        }));
        let mut out = Vec::new();
        decode(&body, Lane::Native, &mut out).unwrap();
        assert!(matches!(&out[1], ChatEvent::RawBody(raw) if raw.data == body));
    }

    #[test]
    fn what_is_no_message_is_a_fault() {
        for (body, kind) in [
            ("", FaultKind::Malformed),
            ("{}", FaultKind::Malformed),
            (
                r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#,
                FaultKind::RateLimited,
            ),
        ] {
            let fault = decode(&Bytes::from(body), Lane::Native, &mut Vec::new()).unwrap_err();
            assert_eq!(fault.kind, kind, "{body}");
        }
    }
}
