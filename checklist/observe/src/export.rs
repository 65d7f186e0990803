//! Recorded exchanges as training data: JSON lines in OpenAI's chat format, or pairs of a preferred and a worse answer.
//!
//! Only text that a privacy policy has masked goes out, unless the operator says otherwise; what was erased is not there.

use crate::store::embedded::ask::{AskError, Filter, Reader};
use aplomb_core::id::RequestId;
use serde_json::{Map, Value, json};
use std::io::Write;

/// Form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `{"messages": [...]}` with the answer last.
    Chat,
    /// `{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}` from corrections.
    Preference,
}

/// What goes out.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which exchanges.
    pub filter: Filter,
    /// Form of the lines.
    pub form: Form,
    /// Least score by rubric.
    pub scores: Vec<(String, f64)>,
    /// Text of routes without a privacy policy too.
    pub unmasked: bool,
    /// Most lines.
    pub limit: usize,
}

/// What went out, and what did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines.
    pub written: usize,
    /// Exchanges without text.
    pub without_text: usize,
    /// Exchanges whose text no policy masked.
    pub unmasked: usize,
    /// Exchanges that did not fit, or have no correction.
    pub unfit: usize,
}

/// Why an export ended.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What it is written to.
    #[error("the export can't be written: {0}")]
    Write(#[from] std::io::Error),
}

/// Writes lines, newest first.
///
/// # Errors
/// The store can't be read, or the lines can't be written.
pub fn export(
    reader: &Reader,
    options: &Options,
    out: &mut dyn Write,
) -> Result<Counts, ExportError> {
    let mut counts = Counts::default();
    let mut filter = Filter {
        limit: Some(1_000),
        ..options.filter.clone()
    };
    loop {
        let page = reader.list(&filter)?;
        for row in &page {
            if counts.written >= options.limit {
                return Ok(counts);
            }
            let id = row
                .get("id")
                .and_then(Value::as_str)
                .and_then(RequestId::parse);
            let Some(one) = id.map(|id| reader.one(id, None)).transpose()?.flatten() else {
                continue;
            };
            if let Some(line) = line(&one, options, &mut counts) {
                writeln!(out, "{line}")?;
                counts.written += 1;
            }
        }
        match page
            .last()
            .and_then(|row| row.get("id"))
            .and_then(Value::as_str)
        {
            Some(last) => filter.before = Some(last.to_owned()),
            None => return Ok(counts),
        }
    }
}

fn line(one: &Value, options: &Options, counts: &mut Counts) -> Option<Value> {
    let messages = messages(one.get("text")?);
    let Some(messages) =
        messages.filter(|_| one.get("text_kept").and_then(Value::as_str) == Some("whole"))
    else {
        counts.without_text += 1;
        return None;
    };
    if !options.unmasked && one.get("text_form").and_then(Value::as_str) != Some("masked") {
        counts.unmasked += 1;
        return None;
    }
    let line = scored(one, &options.scores).then(|| match options.form {
        Form::Chat => chat(one, messages),
        Form::Preference => preference(one, messages),
    });
    let line = line.flatten();
    counts.unfit += usize::from(line.is_none());
    line
}

/// Whether the last score of each rubric is high enough.
fn scored(one: &Value, least: &[(String, f64)]) -> bool {
    let scores = one
        .get("scores")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    least.iter().all(|(rubric, least)| {
        let of = |score: &&Value| score.get("rubric").and_then(Value::as_str) == Some(rubric);
        let last = scores
            .iter()
            .rfind(of)
            .and_then(|score| score.get("score"))
            .and_then(Value::as_f64);
        last.is_some_and(|score| score >= *least)
    })
}

/// The request's messages in OpenAI's form. `None`: there is no conversation in the text, or one with parts that have no
/// text.
fn messages(text: &Value) -> Option<Vec<Value>> {
    let mut messages = Vec::new();
    if let Some(system) = text
        .get("system")
        .and_then(Value::as_str)
        .filter(|system| !system.is_empty())
    {
        messages.push(json!({ "role": "system", "content": system }));
    }
    match text.get("messages")? {
        Value::Array(list) => {
            for message in list {
                messages.extend(turn(message)?);
            }
        }
        Value::String(prompt) if !prompt.is_empty() => {
            messages.push(json!({ "role": "user", "content": prompt }))
        }
        _ => return None,
    }
    (!messages.is_empty()).then_some(messages)
}

/// One message; blocks of the Messages API become OpenAI's members.
fn turn(message: &Value) -> Option<Vec<Value>> {
    let Some(blocks) = message.get("content").and_then(Value::as_array) else {
        return Some(vec![message.clone()]);
    };
    let (mut texts, mut calls, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for block in blocks {
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "text" => texts.push(text("text")),
            "tool_use" => calls.push(json!({ "id": text("id"), "type": "function",
                "function": { "name": text("name"), "arguments": block.get("input").unwrap_or(&Value::Null).to_string() } })),
            "tool_result" => results.push(json!({ "role": "tool", "tool_call_id": text("tool_use_id"), "content": result_text(block) })),
            _ => return None,
        }
    }
    let mut turns = results;
    if !texts.is_empty() || !calls.is_empty() {
        let mut turn = Map::new();
        turn.insert(
            "role".into(),
            message.get("role").cloned().unwrap_or(Value::Null),
        );
        let content = if texts.is_empty() {
            Value::Null
        } else {
            texts.join("\n").into()
        };
        turn.insert("content".into(), content);
        if !calls.is_empty() {
            turn.insert("tool_calls".into(), calls.into());
        }
        turns.push(Value::Object(turn));
    }
    Some(turns)
}

fn result_text(block: &Value) -> String {
    match block.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<&str> = parts
                .iter()
                .filter_map(|part| part.get("text")?.as_str())
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The answer as an assistant's message; `None` if nothing was said.
fn answer(one: &Value) -> Option<Value> {
    let text = one.get("text")?;
    let output = text
        .get("output")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let calls = text
        .pointer("/output_more/tool_calls")
        .and_then(Value::as_array);
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    message.insert(
        "content".into(),
        if output.is_empty() {
            Value::Null
        } else {
            output.into()
        },
    );
    if let Some(calls) = calls {
        let numbered = (1..).zip(calls).map(
            |(n, call)| json!({ "id": format!("call_{n}"), "type": "function", "function": call }),
        );
        message.insert("tool_calls".into(), numbered.collect());
    }
    (!output.is_empty() || calls.is_some()).then_some(Value::Object(message))
}

fn chat(one: &Value, mut messages: Vec<Value>) -> Option<Value> {
    let done = one.get("outcome").and_then(Value::as_str) == Some("done");
    messages.push(answer(one).filter(|_| done)?);
    let tools = one.pointer("/text/tools").filter(|tools| tools.is_array());
    let mut line = json!({ "messages": messages });
    if let (Some(tools), Value::Object(members)) = (tools, &mut line) {
        members.insert("tools".into(), tools.clone());
    }
    Some(line)
}

/// The last correction is preferred to what was said.
fn preference(one: &Value, messages: Vec<Value>) -> Option<Value> {
    let feedback = one.get("feedback").and_then(Value::as_array)?;
    let correction = feedback
        .iter()
        .rev()
        .find_map(|given| given.get("correction")?.as_str())?;
    let worse = answer(one)?;
    Some(json!({
        "input": { "messages": messages },
        "preferred_output": [{ "role": "assistant", "content": correction }],
        "non_preferred_output": [worse],
    }))
}
