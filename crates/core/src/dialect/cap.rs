//! The bound of an answer's length in a request's body.

use crate::dialect::{head, read};
use crate::error::{ApiError, ErrorCode};
use crate::json::{Edit, apply as edited, insert_member, remove_member};
use crate::request::{ChatRequest, Operation};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Bounds<'a> {
    #[serde(borrow, default)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_completion_tokens: Option<&'a RawValue>,
}

pub(super) fn apply(
    request: &ChatRequest,
    max: u64,
    absent: &'static str,
) -> Result<ChatRequest, ApiError> {
    if matches!(
        request.operation,
        Operation::Embeddings | Operation::CountTokens
    ) {
        return Ok(request.clone());
    }
    let wrong = || ApiError::new(ErrorCode::Internal, "the request body can't be read again");
    let text = std::str::from_utf8(&request.body).map_err(|_| wrong())?;
    let bounds: Bounds<'_> = head::parse(text)?;
    let (older, newer) = (
        head::place(text, bounds.max_tokens),
        head::place(text, bounds.max_completion_tokens),
    );
    let value = max.to_string();
    let mut edits = Vec::new();
    match (older, newer) {
        (Some(range), None) | (None, Some(range)) => edits.push(Edit { range, text: value }),
        (Some(older), Some(newer)) => {
            edits.extend(remove_member(text.as_bytes(), older));
            edits.push(Edit {
                range: newer,
                text: value,
            });
        }
        (None, None) => {
            let member = format!("\"{absent}\":{value}");
            edits.extend(insert_member(text.as_bytes(), &member));
        }
    }
    let body = Bytes::from(edited(text.as_bytes(), edits));
    Ok(ChatRequest {
        model: request.model.clone(),
        ..read(request.operation, body)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let request = read(Operation::ChatCompletions, Bytes::from(body.to_owned())).unwrap();
        let bounded = apply(&request, 7, "max_tokens").unwrap();
        assert_eq!(bounded.body, expected);
        assert_eq!(bounded.max_output_tokens, Some(7));
        let model = bounded.body.get(bounded.places.model.clone()).unwrap();
        assert_eq!(model, b"\"m\"", "places are those of the new body");
    }

    #[test]
    fn one_bound_whatever_there_was() {
        let messages = r#""messages":[{"role":"user","content":"max_tokens"}]"#;
        check(
            &format!(r#"{{{messages},"max_tokens":100,"model":"m"}}"#),
            &format!(r#"{{{messages},"max_tokens":7,"model":"m"}}"#),
        );
        check(
            &format!(r#"{{"max_tokens":1,{messages},"max_completion_tokens":100000,"model":"m"}}"#),
            &format!(r#"{{{messages},"max_completion_tokens":7,"model":"m"}}"#),
        );
        check(
            &format!(r#"{{"model":"m",{messages}}}"#),
            &format!(r#"{{"max_tokens":7,"model":"m",{messages}}}"#),
        );
    }
}
