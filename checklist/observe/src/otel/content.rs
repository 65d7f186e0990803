//! What was said, in the form of the GenAI conventions' message attributes: JSON texts.
//!
//! Works on the masked zone's text. Long texts are cut: backends refuse spans of megabytes.

use crate::transcript::Transcript;
use serde_json::{Map, Value, json};

/// Most bytes of text in one attribute. Chosen: common backends take spans of a megabyte.
const BYTES_MAX: usize = 64 * 1024;
const CUT: &str = " [cut]";

/// The attributes of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    /// `gen_ai.system_instructions`.
    pub(crate) system: Option<String>,
    /// `gen_ai.input.messages`.
    pub(crate) messages: Option<String>,
}

/// Bytes that may still be written.
struct Budget(usize);

impl Budget {
    fn text(&mut self, text: &str) -> String {
        if text.len() <= self.0 {
            self.0 -= text.len();
            return text.to_owned();
        }
        let mut end = self.0;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.0 = 0;
        format!("{}{CUT}", text.get(..end).unwrap_or_default())
    }

    fn part(&mut self, text: &str) -> Value {
        json!({ "type": "text", "content": self.text(text) })
    }
}

/// Reads the conversation of a request of either dialect.
pub(crate) fn input(body: &[u8]) -> Input {
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) else {
        return Input::default();
    };
    let mut budget = Budget(BYTES_MAX);
    let mut system = body
        .get("system")
        .map(|content| parts(content, &mut budget))
        .unwrap_or_default();
    let mut messages = Vec::new();
    for message in body
        .get("messages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let role = text_of(message, "role");
        let mut said = message
            .get("content")
            .map(|content| parts(content, &mut budget))
            .unwrap_or_default();
        if matches!(role, "system" | "developer") {
            system.append(&mut said);
            continue;
        }
        said.extend(calls(message, &mut budget));
        if role == "tool" {
            said = vec![
                json!({ "type": "tool_call_response", "id": message.get("tool_call_id"), "response": said }),
            ];
        }
        messages.push(json!({ "role": role, "parts": said }));
    }
    if let Some(prompt) = body.get("prompt").or_else(|| body.get("input")) {
        messages.push(json!({ "role": "user", "parts": parts(prompt, &mut budget) }));
    }
    let text = |list: Vec<Value>| (!list.is_empty()).then(|| Value::from(list).to_string());
    Input {
        system: text(system),
        messages: text(messages),
    }
}

fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The parts of a content member.
fn parts(content: &Value, budget: &mut Budget) -> Vec<Value> {
    match content {
        Value::String(text) => vec![budget.part(text)],
        Value::Array(list) => list.iter().map(|item| part(item, budget)).collect(),
        _ => Vec::new(),
    }
}

fn part(item: &Value, budget: &mut Budget) -> Value {
    if let Some(text) = item.as_str() {
        return budget.part(text);
    }
    match text_of(item, "type") {
        "text" => budget.part(text_of(item, "text")),
        "tool_use" => call(
            item.get("id"),
            text_of(item, "name"),
            &item.get("input").unwrap_or(&Value::Null).to_string(),
            budget,
        ),
        "tool_result" => {
            let said = item
                .get("content")
                .map(|content| parts(content, budget))
                .unwrap_or_default();
            json!({ "type": "tool_call_response", "id": item.get("tool_use_id"), "response": said })
        }
        // Pictures, sound and files: only that they were there.
        other => json!({ "type": other }),
    }
}

fn call(id: Option<&Value>, name: &str, arguments: &str, budget: &mut Budget) -> Value {
    let mut part = Map::new();
    part.insert("type".into(), "tool_call".into());
    if let Some(id) = id {
        part.insert("id".into(), id.clone());
    }
    part.insert("name".into(), name.into());
    let text = budget.text(arguments);
    let arguments = serde_json::from_str(&text).unwrap_or(Value::String(text));
    part.insert("arguments".into(), arguments);
    Value::Object(part)
}

/// Tool calls of an assistant's message.
fn calls(message: &Value, budget: &mut Budget) -> Vec<Value> {
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let calls = calls.into_iter().flatten();
    calls
        .map(|one| {
            let function = one.get("function").unwrap_or(&Value::Null);
            call(
                one.get("id"),
                text_of(function, "name"),
                text_of(function, "arguments"),
                budget,
            )
        })
        .collect()
}

/// `gen_ai.output.messages` of an answer; none if nothing was said.
pub(crate) fn output(answer: &Transcript, finish: Option<&'static str>) -> Option<String> {
    let mut budget = Budget(BYTES_MAX);
    let mut choices: Vec<u32> = answer.texts.keys().copied().collect();
    choices.extend(answer.calls.keys().map(|(choice, _)| *choice));
    choices.sort_unstable();
    choices.dedup();
    let message = |choice: &u32| {
        let mut parts: Vec<Value> = answer
            .texts
            .get(choice)
            .map(|text| budget.part(text))
            .into_iter()
            .collect();
        for ((of, _), made) in &answer.calls {
            if of == choice {
                parts.push(call(None, &made.name, &made.arguments, &mut budget));
            }
        }
        json!({ "role": "assistant", "parts": parts, "finish_reason": finish })
    };
    let messages: Vec<Value> = choices.iter().map(message).collect();
    (!messages.is_empty()).then(|| Value::from(messages).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> (Value, Value) {
        let input = input(body.to_string().as_bytes());
        let json = |text: Option<String>| {
            text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
        };
        (json(input.system), json(input.messages))
    }

    #[test]
    fn both_dialects_become_parts() {
        let (system, messages) = read(json!({ "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "Hi" }, { "type": "image_url", "image_url": {} }] },
            { "role": "assistant", "tool_calls": [{ "id": "c1", "function": { "name": "f", "arguments": "{\"a\":1}" } }] },
            { "role": "tool", "tool_call_id": "c1", "content": "done" },
        ]}));
        assert_eq!(system, json!([{ "type": "text", "content": "Be brief." }]));
        assert_eq!(
            messages[0]["parts"],
            json!([{ "type": "text", "content": "Hi" }, { "type": "image_url" }])
        );
        assert_eq!(
            messages[1]["parts"][0],
            json!({ "type": "tool_call", "id": "c1", "name": "f", "arguments": { "a": 1 } })
        );
        assert_eq!(messages[2]["parts"][0]["response"][0]["content"], "done");
        let (system, messages) = read(json!({ "system": "Sé breve", "messages": [
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "f", "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": "ok" }] },
        ]}));
        assert_eq!(system[0]["content"], "Sé breve");
        assert_eq!(messages[0]["parts"][0]["name"], "f");
        assert_eq!(messages[1]["parts"][0]["type"], "tool_call_response");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let (_, messages) = read(json!({ "prompt": "é".repeat(BYTES_MAX) }));
        let text = messages[0]["parts"][0]["content"].as_str().unwrap();
        assert!(text.ends_with("é [cut]") && text.len() <= BYTES_MAX + CUT.len());
    }

    #[test]
    fn answers_are_messages_by_choice() {
        let mut answer = Transcript::default();
        assert_eq!(output(&answer, None), None);
        answer.texts.insert(0, "Hello".into());
        let text = output(&answer, Some("stop")).unwrap();
        let expected = json!([{ "role": "assistant", "parts": [{ "type": "text", "content": "Hello" }], "finish_reason": "stop" }]);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
