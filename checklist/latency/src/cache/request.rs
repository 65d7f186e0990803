//! What the cache reads of a request's body: whether its answer may be kept, and what makes it the same as another one.

use super::key::{Digest, Keyer};
use aplomb_core::request::Operation;
use serde_json::Value;

/// Members that say how an answer travels, or on whose behalf it is asked; the scope decides about the latter.
const NOT_ASKED: [&str; 4] = ["stream", "stream_options", "user", "safety_identifier"];

/// Which requests a cache serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Highest temperature.
    pub temperature_max: f64,
    /// Requests that offer tools too, if the model does not use them.
    pub tools: bool,
}

/// A request that a cache may serve.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its body without what does not matter.
    body: Value,
}

/// The question of a request, apart from all that stands before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The last user turn.
    pub text: String,
    /// Messages before it, instructions not counted.
    pub turns: usize,
    /// The body without the question.
    rest: Value,
}

impl Asked {
    /// Reads a body.
    ///
    /// # Errors
    /// Why the cache passes over it, as one of few words.
    pub fn read(operation: Operation, body: &[u8], limits: &Limits) -> Result<Self, &'static str> {
        match operation {
            Operation::ChatCompletions | Operation::Completions | Operation::Messages => {}
            Operation::CountTokens | Operation::Embeddings => return Err("operation"),
        }
        let mut body: Value = serde_json::from_slice(body).map_err(|_| "body")?;
        let flag = |name: &str| body.get(name).and_then(Value::as_bool) == Some(true);
        let set = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
        let number = |name: &str| body.get(name).and_then(Value::as_f64);
        if number("n").is_some_and(|n| n > 1.0) || number("best_of").is_some_and(|n| n > 1.0) {
            return Err("choices");
        }
        if flag("store") {
            return Err("store");
        }
        if flag("logprobs") || number("logprobs").is_some() || flag("echo") {
            return Err("logprobs");
        }
        if set("modalities") || set("audio") || set("web_search_options") {
            return Err("media");
        }
        if number("temperature").is_some_and(|t| t > limits.temperature_max) {
            return Err("temperature");
        }
        let offers = ["tools", "functions", "mcp_servers"].iter().any(|name| {
            let list = body.get(name).and_then(Value::as_array);
            list.is_some_and(|list| !list.is_empty())
        });
        if offers && !limits.tools {
            return Err("tools");
        }
        messages(&body)?;
        strip(&mut body);
        Ok(Asked { body })
    }

    /// Reads any body, also one whose answer is not kept; `None` if it is no JSON.
    pub fn of_any(body: &[u8]) -> Option<Self> {
        let mut body: Value = serde_json::from_slice(body).ok()?;
        strip(&mut body);
        Some(Asked { body })
    }

    /// The key of the same request from whoever shares `scope`.
    pub fn key(&self, mut scope: Keyer) -> Digest {
        scope.text("request");
        scope.value(&self.body);
        scope.finish()
    }

    /// The last user turn; `None` if the request does not end with one that is text.
    pub fn question(&self) -> Option<Question> {
        if let Some(prompt) = self.body.get("prompt") {
            let text = prompt.as_str()?.to_owned();
            let mut rest = self.body.clone();
            rest.as_object_mut()?.shift_remove("prompt");
            return Some(Question {
                text,
                turns: 0,
                rest,
            });
        }
        let mut rest = self.body.clone();
        let messages = rest.get_mut("messages")?.as_array_mut()?;
        let instructs = |message: &Value| {
            let role = message.get("role").and_then(Value::as_str);
            matches!(role, Some("system" | "developer"))
        };
        let mut last = messages.pop()?;
        if last.get("role").and_then(Value::as_str) != Some("user") {
            return None;
        }
        let turns = messages.iter().filter(|m| !instructs(m)).count();
        let text = match last.as_object_mut()?.shift_remove("content")? {
            Value::String(text) => text,
            Value::Array(parts) => joined(&parts)?,
            _ => return None,
        };
        // What else the turn has, such as a name, belongs to what must be identical.
        messages.push(last);
        Some(Question { text, turns, rest })
    }
}

impl Question {
    /// The key of all that must be identical before questions are compared.
    pub fn namespace(&self, mut scope: Keyer) -> Digest {
        scope.text("namespace");
        scope.value(&self.rest);
        scope.finish()
    }
}

/// Takes out what does not matter.
fn strip(body: &mut Value) {
    let Value::Object(members) = body else { return };
    members.retain(|name, _| !NOT_ASKED.contains(&name.as_str()));
    if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
        metadata.retain(|name, _| name != "user_id");
        if metadata.is_empty() {
            members.shift_remove("metadata");
        }
    }
}

fn joined(parts: &[Value]) -> Option<String> {
    let texts = parts.iter().map(|part| part.get("text")?.as_str());
    let texts: Vec<&str> = texts.collect::<Option<_>>()?;
    Some(texts.join("\n"))
}

/// Pictures, sound, files, and calls of tools in the history.
fn messages(body: &Value) -> Result<(), &'static str> {
    let messages = body.get("messages").and_then(Value::as_array);
    for message in messages.into_iter().flatten() {
        let role = message.get("role").and_then(Value::as_str);
        if matches!(role, Some("tool" | "function")) || message.get("tool_calls").is_some() {
            return Err("tools");
        }
        let parts = message.get("content").and_then(Value::as_array);
        for part in parts.into_iter().flatten() {
            match part.get("type").and_then(Value::as_str) {
                Some("text" | "thinking" | "redacted_thinking" | "refusal") => {}
                Some("tool_use" | "tool_result") => return Err("tools"),
                _ => return Err("media"),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIMITS: Limits = Limits {
        temperature_max: 1.0,
        tools: false,
    };

    fn read(body: &Value) -> Result<Asked, &'static str> {
        let body = body.to_string();
        Asked::read(Operation::ChatCompletions, body.as_bytes(), &LIMITS)
    }

    fn key(body: &Value) -> Digest {
        read(body).unwrap().key(Keyer::new(b"s", "t"))
    }

    fn body() -> Value {
        json!({"model": "chat", "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "what is a cat"},
            {"role": "assistant", "content": "an animal"},
            {"role": "user", "content": "and a dog"},
        ]})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut body = body();
        body[name] = value;
        body
    }

    #[test]
    fn delivery_and_user_do_not_matter_and_all_else_does() {
        let base = key(&body());
        for (name, value) in [
            ("stream", json!(true)),
            ("stream_options", json!({"include_usage": true})),
            ("user", json!("u")),
            ("safety_identifier", json!("u")),
            ("metadata", json!({"user_id": "u"})),
        ] {
            assert_eq!(base, key(&with(name, value)), "{name}");
        }
        for (name, value) in [
            ("temperature", json!(0.5)),
            ("model", json!("other")),
            ("max_tokens", json!(5)),
            ("seed", json!(1)),
            ("metadata", json!({"team": "a"})),
            ("response_format", json!({"type": "json_object"})),
            ("unheard_of", json!(1)),
            (
                "messages",
                json!([{"role": "user", "content": "and a dog"}]),
            ),
        ] {
            assert_ne!(base, key(&with(name, value)), "{name}");
        }
    }

    #[test]
    fn what_is_passed_over_has_a_reason() {
        let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
        let call =
            json!([{"role": "assistant", "tool_calls": []}, {"role": "tool", "content": "1"}]);
        for (name, value, why) in [
            ("n", json!(2), "choices"),
            ("store", json!(true), "store"),
            ("logprobs", json!(true), "logprobs"),
            ("temperature", json!(1.2), "temperature"),
            ("tools", json!([{"type": "function"}]), "tools"),
            ("messages", image, "media"),
            ("messages", call, "tools"),
            ("modalities", json!(["audio"]), "media"),
        ] {
            assert_eq!(read(&with(name, value)).unwrap_err(), why, "{name}");
        }
        let embeddings = Asked::read(Operation::Embeddings, b"{}", &LIMITS);
        assert_eq!(embeddings.unwrap_err(), "operation");
        assert!(read(&with("tools", json!([]))).is_ok());
    }

    #[test]
    fn a_question_stands_apart_from_what_is_before_it() {
        let question = |body: &Value| read(body).unwrap().question().unwrap();
        let space = |body: &Value| question(body).namespace(Keyer::new(b"s", "t"));
        let mut other = body();
        other["messages"][3]["content"] = json!([{"type": "text", "text": "and a fox"}]);
        assert_eq!(question(&other).text, "and a fox");
        assert_eq!(
            (question(&body()).text.as_str(), question(&body()).turns),
            ("and a dog", 2)
        );
        assert_eq!(space(&body()), space(&other));
        other["messages"][1]["content"] = json!("what is a cow");
        assert_ne!(space(&body()), space(&other));
        let mut named = body();
        named["messages"][3]["name"] = json!("ada");
        assert_ne!(space(&body()), space(&named));
        let ends = json!([{"role": "assistant", "content": "hm"}]);
        assert!(read(&with("messages", ends)).unwrap().question().is_none());
    }
}
