//! What is read from the text of a request, away from its path: counts, language, and the parts that are kept.

use crate::record::Texts;
use crate::transcript::Transcript;
use aplomb_core::request::Operation;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Characters of a head: what lists show of a text.
pub const HEAD_CHARS: usize = 200;
/// Most bytes that the language is guessed from.
const LANGUAGE_BYTES: usize = 400;

/// How much of the text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kept {
    /// Nothing, as the route says.
    #[default]
    None,
    /// All of it.
    Whole,
    /// The heads: the queue was more than half full.
    Head,
    /// Nothing: the queue was full.
    Lost,
}

impl Kept {
    /// Name in records.
    pub fn name(self) -> &'static str {
        match self {
            Kept::None => "none",
            Kept::Whole => "whole",
            Kept::Head => "head",
            Kept::Lost => "lost",
        }
    }
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompt {
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Tools on offer.
    pub tools: usize,
    /// Messages of the conversation.
    pub messages: usize,
    /// Characters of text in the request.
    pub chars: usize,
    /// Characters of text in the answer.
    pub answer_chars: usize,
    /// Language of the last user message.
    pub language: Option<&'static str>,
    /// How much is kept.
    pub kept: Kept,
    /// The text that is kept.
    pub text: Option<Text>,
}

/// The text of one exchange as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// Instructions before the conversation; stored once for all exchanges that share them.
    pub system: String,
    /// The rest of the conversation: JSON array of messages, or the plain prompt or input.
    pub messages: String,
    /// Tools on offer: JSON array, or empty.
    pub tools: String,
    /// What was answered: the first choice's text.
    pub output: String,
    /// Further parts of the answer as JSON: other choices, tool calls, reasoning. Empty where there are none.
    pub output_more: String,
    /// Beginning of the last user message.
    pub prompt_head: String,
    /// Beginning of the answer.
    pub output_head: String,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(borrow, default)]
    system: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    top_p: Option<&'a RawValue>,
}

struct Message<'a> {
    raw: &'a RawValue,
    role: Cow<'a, str>,
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: &RawValue = Deserialize::deserialize(deserializer)?;
        let fields: Option<Fields<'_>> = serde_json::from_str(raw.get()).ok();
        let (role, content) = fields.map_or((Cow::Borrowed(""), None), |fields| {
            (fields.role, fields.content)
        });
        Ok(Message { raw, role, content })
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

/// The text of a content member, parts joined by newlines. Token ids, and shapes that nobody knows, have none.
fn plain(content: Option<&RawValue>) -> String {
    let text = content.map(RawValue::get).unwrap_or_default();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).unwrap_or_default(),
        Some(b'[') => {
            let parts: Result<Vec<Part<'_>>, _> = serde_json::from_str(text);
            match parts {
                Ok(parts) => {
                    let texts: Vec<&str> = parts
                        .iter()
                        .filter_map(|part| part.text.as_deref())
                        .collect();
                    texts.join("\n")
                }
                Err(_) => serde_json::from_str::<Vec<Cow<'_, str>>>(text)
                    .map_or_else(|_| String::new(), |texts| texts.join("\n")),
            }
        }
        _ => String::new(),
    }
}

fn number(raw: Option<&RawValue>) -> Option<f64> {
    serde_json::from_str(raw?.get()).ok()
}

/// The beginning of a text, on one line.
pub fn head(text: &str) -> String {
    let mut head = String::new();
    for (n, c) in text.trim_start().chars().enumerate() {
        if n == HEAD_CHARS {
            break;
        }
        head.push(if c.is_whitespace() { ' ' } else { c });
    }
    head.truncate(head.trim_end().len());
    head
}

impl Prompt {
    /// Reads a request and its answer; keeps as much of the text as is said.
    pub fn read(texts: &Texts, kept: Kept) -> Prompt {
        let body: Option<Body<'_>> = serde_json::from_slice(&texts.request).ok();
        let mut prompt = Prompt {
            kept,
            ..Prompt::default()
        };
        let mut text = Text::default();
        let mut last = String::new();
        if let Some(body) = &body {
            prompt.temperature = number(body.temperature);
            prompt.top_p = number(body.top_p);
            prompt.tools = body
                .tools
                .and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok())
                .map_or(0, |tools| tools.len());
            prompt.messages = body.messages.as_ref().map_or(0, Vec::len);
            last = prompt.conversation(body, &mut text);
        }
        prompt.language = language(&last);
        text.prompt_head = head(&last);
        prompt.answer(&texts.answer, &mut text);
        prompt.keep(text);
        prompt
    }

    fn keep(&mut self, text: Text) {
        self.text = match self.kept {
            Kept::Whole => Some(text),
            Kept::Head => Some(Text {
                prompt_head: text.prompt_head,
                output_head: text.output_head,
                ..Text::default()
            }),
            Kept::None | Kept::Lost => None,
        };
    }

    /// Splits a request into instructions and the rest; gives the last user message.
    fn conversation(&mut self, body: &Body<'_>, text: &mut Text) -> String {
        let mut last = String::new();
        if let Some(system) = body.system {
            text.system = plain(Some(system));
            self.chars += text.system.chars().count();
        }
        let messages = body.messages.as_deref().unwrap_or_default();
        let leads = |message: &&Message<'_>| matches!(&*message.role, "system" | "developer");
        let leading = messages.iter().take_while(leads).count();
        let mut rest = Vec::with_capacity(messages.len());
        for (at, message) in messages.iter().enumerate() {
            let said = plain(message.content);
            self.chars += said.chars().count();
            if at < leading {
                if !text.system.is_empty() {
                    text.system.push_str("\n\n");
                }
                text.system.push_str(&said);
            } else {
                rest.push(message.raw.get());
                if message.role == "user" && !said.is_empty() {
                    last = said;
                }
            }
        }
        if !rest.is_empty() {
            text.messages = format!("[{}]", rest.join(","));
        }
        if let Some(input) = body.prompt.or(body.input) {
            last = plain(Some(input));
            self.chars += last.chars().count();
            text.messages.clone_from(&last);
        }
        text.tools = body
            .tools
            .map_or_else(String::new, |raw| raw.get().to_owned());
        last
    }

    fn answer(&mut self, answer: &Transcript, text: &mut Text) {
        let mut choices = answer.texts.values();
        text.output = choices.next().cloned().unwrap_or_default();
        let others: Vec<&String> = choices.collect();
        let calls: Vec<Value> = answer
            .calls
            .values()
            .map(|call| json!({ "name": call.name, "arguments": call.arguments }))
            .collect();
        self.answer_chars = answer.texts.values().map(|text| text.chars().count()).sum();
        text.output_head = match calls.first() {
            Some(call) if text.output.is_empty() => head(&format!(
                "{}({})",
                call["name"].as_str().unwrap_or_default(),
                call["arguments"].as_str().unwrap_or_default()
            )),
            _ => head(&text.output),
        };
        if others.is_empty() && calls.is_empty() && answer.reasoning.is_empty() {
            return;
        }
        let mut more = serde_json::Map::new();
        if !others.is_empty() {
            more.insert("choices".into(), json!(others));
        }
        if !calls.is_empty() {
            more.insert("tool_calls".into(), calls.into());
        }
        if !answer.reasoning.is_empty() {
            more.insert("reasoning".into(), answer.reasoning.as_str().into());
        }
        text.output_more = Value::Object(more).to_string();
    }
}

/// Last user message of recorded messages: of a JSON array, or the plain prompt itself.
pub(crate) fn last_user_text(messages: &str) -> String {
    let Ok(list) = serde_json::from_str::<Vec<Message<'_>>>(messages) else {
        return messages.to_owned();
    };
    let mut said = list
        .iter()
        .rev()
        .filter(|message| message.role == "user")
        .map(|message| plain(message.content));
    said.find(|text| !text.is_empty()).unwrap_or_default()
}

/// Language of a text, where it can be told: by its script where that says it, else by its letters.
pub(crate) fn language(text: &str) -> Option<&'static str> {
    let mut end = text.len().min(LANGUAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end)?;
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if letters < 8 {
        return None;
    }
    if let Some(script) = script(text, letters) {
        return Some(script);
    }
    Some(whichlang::detect_language(text).three_letter_code())
}

/// Scripts whose languages the letter model does not know.
fn script(text: &str, letters: usize) -> Option<&'static str> {
    const SCRIPTS: [(&str, u32, u32); 14] = [
        ("Grek", 0x370, 0x3ff),
        ("Armn", 0x530, 0x58f),
        ("Hebr", 0x590, 0x5ff),
        ("Beng", 0x980, 0x9ff),
        ("Guru", 0xa00, 0xa7f),
        ("Gujr", 0xa80, 0xaff),
        ("Taml", 0xb80, 0xbff),
        ("Telu", 0xc00, 0xc7f),
        ("Knda", 0xc80, 0xcff),
        ("Mlym", 0xd00, 0xd7f),
        ("Thai", 0xe00, 0xe7f),
        ("Geor", 0x10a0, 0x10ff),
        ("Ethi", 0x1200, 0x137f),
        ("Khmr", 0x1780, 0x17ff),
    ];
    SCRIPTS
        .iter()
        .find(|(_, from, to)| {
            let inside = text
                .chars()
                .filter(|c| (*from..=*to).contains(&u32::from(*c)))
                .count();
            inside * 2 > letters
        })
        .map(|(name, ..)| *name)
}

/// The kind of body that has a text: all but what only counts.
pub fn has_text(operation: Operation) -> bool {
    operation != Operation::CountTokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(body: &'static str) -> Prompt {
        let texts = Texts {
            request: Bytes::from_static(body.as_bytes()),
            ..Texts::default()
        };
        Prompt::read(&texts, Kept::Whole)
    }

    #[test]
    fn instructions_are_taken_apart_from_the_conversation() {
        let prompt = read(
            r#"{"model":"m","temperature":0.5,"tools":[{},{}],"messages":[{"role":"system","content":"Be brief."},
                {"role":"user","content":[{"type":"text","text":"Where is"},{"type":"image_url"},{"type":"text","text":"the station?"}]}]}"#,
        );
        let text = prompt.text.as_ref().unwrap();
        assert_eq!(text.system, "Be brief.");
        assert!(text.messages.starts_with(r#"[{"role":"user""#) && text.messages.ends_with(']'));
        assert_eq!(text.prompt_head, "Where is the station?");
        assert_eq!(
            (prompt.messages, prompt.tools, prompt.temperature),
            (2, 2, Some(0.5))
        );
        assert_eq!((prompt.language, prompt.chars), (Some("eng"), 30));
        let anthropic = read(
            r#"{"system":[{"type":"text","text":"Sé breve"}],"messages":[{"role":"user","content":"¿Dónde está la estación?"}]}"#,
        );
        assert_eq!(anthropic.text.unwrap().system, "Sé breve");
        assert_eq!(anthropic.language, Some("spa"));
    }

    #[test]
    fn prompts_and_inputs_are_plain_text() {
        let many = read(r#"{"input":["one","two"]}"#);
        assert_eq!(many.text.unwrap().messages, "one\ntwo");
        assert_eq!(
            read(r#"{"prompt":"Once upon"}"#).text.unwrap().prompt_head,
            "Once upon"
        );
        assert_eq!(read(r#"{"input":[1,2]}"#).chars, 0);
    }

    #[test]
    fn what_is_no_request_reads_as_nothing() {
        for body in [
            "",
            "nonsense",
            "[1]",
            r#"{"messages":5}"#,
            r#"{"messages":[7,{"role":3}]}"#,
        ] {
            assert_eq!(read(body).chars, 0, "{body}");
        }
    }

    #[test]
    fn heads_are_short_and_on_one_line() {
        let text = "é\n".repeat(300);
        assert_eq!(head(&text).chars().count(), HEAD_CHARS - 1);
        assert!(!head(&text).contains('\n'));
    }

    #[test]
    fn scripts_are_told_apart() {
        assert_eq!(language("Πού είναι ο σταθμός;"), Some("Grek"));
        assert_eq!(language("สถานีรถไฟอยู่ที่ไหน"), Some("Thai"));
        assert_eq!(language("12345 67"), None);
    }
}
