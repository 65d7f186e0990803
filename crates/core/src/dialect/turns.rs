//! Further turns at the end of a conversation, in a request's body.

use crate::dialect::{head, read};
use crate::error::{ApiError, ErrorCode};
use crate::json::{Edit, apply};
use crate::request::{ChatRequest, Operation};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Turns<'a> {
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, default)]
    system: Option<&'a RawValue>,
}

/// Where an instruction goes, and as what.
fn instruction(request: &ChatRequest, text: &str, wish: &str) -> Result<Option<Edit>, ApiError> {
    let wrong = || ApiError::new(ErrorCode::Internal, "the request body can't be read again");
    let turns: Turns<'_> = head::parse(text)?;
    let messages = head::place(text, turns.messages).ok_or_else(wrong)?;
    Ok(Some(match (request.operation, turns.system) {
        (Operation::ChatCompletions, _) => {
            let empty = turns.messages.is_some_and(|raw| {
                raw.get()
                    .get(1..)
                    .is_some_and(|rest| rest.trim_start() == "]")
            });
            let comma = if empty { "" } else { "," };
            let turn = json!({ "role": "system", "content": wish });
            let at = messages.start + 1;
            Edit {
                range: at..at,
                text: format!("{turn}{comma}"),
            }
        }
        (Operation::Messages, None) => {
            // Beside the member that is surely there.
            let at = text.find('{').map_or(0, |at| at + 1);
            Edit {
                range: at..at,
                text: format!("\"system\":{},", json!(wish)),
            }
        }
        (Operation::Messages, Some(raw)) => {
            let range = head::place(text, turns.system).ok_or_else(wrong)?;
            let system = match serde_json::from_str(raw.get()) {
                Ok(Value::Array(mut blocks)) => {
                    blocks.push(json!({ "type": "text", "text": wish }));
                    Value::Array(blocks)
                }
                Ok(Value::String(own)) => {
                    json!([{ "type": "text", "text": own }, { "type": "text", "text": wish }])
                }
                _ => json!(wish),
            };
            Edit {
                range,
                text: system.to_string(),
            }
        }
        (Operation::Completions | Operation::Embeddings | Operation::CountTokens, _) => {
            return Ok(None);
        }
    }))
}

pub(super) fn instructed(
    request: &ChatRequest,
    wish: &str,
) -> Result<Option<ChatRequest>, ApiError> {
    let wrong = |_| ApiError::new(ErrorCode::Internal, "the request body can't be read again");
    if !matches!(
        request.operation,
        Operation::ChatCompletions | Operation::Messages
    ) {
        return Ok(None);
    }
    let text = std::str::from_utf8(&request.body).map_err(wrong)?;
    let Some(edit) = instruction(request, text, wish)? else {
        return Ok(None);
    };
    let body = Bytes::from(apply(text.as_bytes(), vec![edit]));
    Ok(Some(ChatRequest {
        model: request.model.clone(),
        ..read(request.operation, body)?
    }))
}

pub(super) fn continued(
    request: &ChatRequest,
    said: &str,
    wish: &str,
) -> Result<Option<ChatRequest>, ApiError> {
    match request.operation {
        Operation::ChatCompletions | Operation::Messages => {}
        Operation::Completions | Operation::Embeddings | Operation::CountTokens => return Ok(None),
    }
    let wrong = || ApiError::new(ErrorCode::Internal, "the request body can't be read again");
    let text = std::str::from_utf8(&request.body).map_err(|_| wrong())?;
    let turns: Turns<'_> = head::parse(text)?;
    let place = head::place(text, turns.messages).ok_or_else(wrong)?;
    let end = place.end.checked_sub(1).ok_or_else(wrong)?;
    let mut more = String::new();
    // The Messages API takes no empty turns, and both take two turns of the user.
    if !said.trim().is_empty() {
        let turn = json!({ "role": "assistant", "content": said.trim_end() });
        more.push_str(&format!(",{turn}"));
    }
    more.push_str(&format!(",{}", json!({ "role": "user", "content": wish })));
    let edit = Edit {
        range: end..end,
        text: more,
    };
    let body = Bytes::from(apply(text.as_bytes(), vec![edit]));
    Ok(Some(ChatRequest {
        model: request.model.clone(),
        ..read(request.operation, body)?
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(operation: Operation, said: &str, body: &str, expected: Option<&str>) {
        let request = read(operation, Bytes::from(body.to_owned())).unwrap();
        let longer = continued(&request, said, "again").unwrap();
        assert_eq!(
            longer.as_ref().map(|one| &one.body[..]),
            expected.map(str::as_bytes)
        );
        if let Some(longer) = longer {
            let model = longer.body.get(longer.places.model.clone()).unwrap();
            assert_eq!(model, b"\"m\"", "places are those of the new body");
        }
    }

    #[test]
    fn turns_come_at_the_end_and_all_else_stays() {
        let turn = r#"{"role":"user","content":"]"}"#;
        check(
            Operation::ChatCompletions,
            "no \"good\" ",
            &format!(r#"{{"messages": [ {turn} ], "x": 1e2, "model":"m"}}"#),
            Some(&format!(
                r#"{{"messages": [ {turn} ,{{"role":"assistant","content":"no \"good\""}},{{"role":"user","content":"again"}}], "x": 1e2, "model":"m"}}"#
            )),
        );
        check(
            Operation::Messages,
            " ",
            &format!(r#"{{"model":"m","max_tokens":5,"messages":[{turn}]}}"#),
            Some(&format!(
                r#"{{"model":"m","max_tokens":5,"messages":[{turn},{{"role":"user","content":"again"}}]}}"#
            )),
        );
    }

    #[test]
    fn an_instruction_stands_before_the_first_turn() {
        let turn = r#"{"role":"user","content":"q"}"#;
        let rule = r#"{"role":"system","content":"rule"}"#;
        for (operation, body, expected) in [
            (
                Operation::ChatCompletions,
                format!(r#"{{"model":"m","messages":[{turn}]}}"#),
                format!(r#"{{"model":"m","messages":[{rule},{turn}]}}"#),
            ),
            (
                Operation::Messages,
                format!(r#"{{"model":"m","max_tokens":5,"messages":[{turn}]}}"#),
                format!(r#"{{"system":"rule","model":"m","max_tokens":5,"messages":[{turn}]}}"#),
            ),
            (
                Operation::Messages,
                format!(r#"{{"model":"m","system":"own","max_tokens":5,"messages":[{turn}]}}"#),
                format!(
                    r#"{{"model":"m","system":[{{"text":"own","type":"text"}},{{"text":"rule","type":"text"}}],"max_tokens":5,"messages":[{turn}]}}"#
                ),
            ),
        ] {
            let request = read(operation, Bytes::from(body)).unwrap();
            let found = instructed(&request, "rule").unwrap().unwrap();
            let (found, expected): (Value, Value) = (
                serde_json::from_slice(&found.body).unwrap(),
                serde_json::from_str(&expected).unwrap(),
            );
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_bare_prompt_has_no_turns() {
        check(
            Operation::Completions,
            "x",
            r#"{"model":"m","prompt":"p"}"#,
            None,
        );
    }
}
