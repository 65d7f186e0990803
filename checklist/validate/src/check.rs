//! The checks.

use crate::answer::Choice;
use crate::grounding::Context;
use crate::length::Length;
use crate::mend;
use crate::relevance;
use crate::schema::{self, Schema};
use crate::smells::{self, Words};
use aplomb_core::conversation::{Conversation, Message, OutputFormat, Part, Role};
use aplomb_core::event::FinishReason;
use regex_automata::meta::Regex;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Why an answer fails a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Where in the answer: a JSON pointer, a line and column, a choice.
    pub place: Option<String>,
    /// In words that hold nothing of the answer.
    pub message: String,
    /// Likewise in more words, which may quote it: for the model that wrote it.
    pub detail: Option<String>,
}

impl Failure {
    /// A failure of the whole answer.
    pub fn new(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            ..Failure::default()
        }
    }
}

/// The form that a request itself asks for.
#[derive(Default)]
pub enum Format {
    /// Any.
    #[default]
    Free,
    /// A JSON object.
    Object,
    /// What fits a schema.
    Schema(Box<Schema>),
}

impl Format {
    /// Of a request. A schema that can't be used here asks for an object.
    pub fn of(format: &OutputFormat) -> Self {
        match format {
            OutputFormat::Text => Format::Free,
            OutputFormat::JsonObject => Format::Object,
            OutputFormat::JsonSchema { schema, .. } => match Schema::new(schema) {
                Ok(schema) => Format::Schema(Box::new(schema)),
                Err(_) => Format::Object,
            },
        }
    }

    fn check(&self, text: &str) -> Result<(), Failure> {
        match self {
            Format::Free => Ok(()),
            Format::Object if schema::read(text)?.is_object() => Ok(()),
            Format::Object => Err(Failure::new("it is JSON, but no object")),
            Format::Schema(schema) => schema::fits(schema, text),
        }
    }
}

/// From this share of words on that can't be spoken a text is gibberish. Chosen: prose in ten languages has less than a tenth.
const SENSELESS: f32 = 0.4;

/// What a check looks at besides the answer.
#[derive(Default)]
pub struct Asked {
    /// The form that the request asks for.
    pub format: Format,
    /// The tools on offer, with the schemas of their arguments; none where a schema can't be used here.
    pub tools: BTreeMap<String, Option<Schema>>,
    /// What is asked: the last turn of the user, as far as it is a question.
    pub question: String,
    /// What answers are to be found in; none where no check asks for it.
    pub context: Option<Given>,
}

/// A context as it was given. It is read when the first answer is laid beside it: that takes long, and the thread of a request has no
/// time for it.
pub struct Given {
    text: String,
    read: OnceLock<Context>,
}

impl Given {
    /// Of this text.
    pub fn new(text: String) -> Self {
        Given {
            text,
            read: OnceLock::new(),
        }
    }

    fn context(&self) -> &Context {
        self.read.get_or_init(|| Context::new(&self.text))
    }
}

/// Words before a question that stands behind its context.
const MARKS: &[&str] = &["question:", "frage:", "pregunta:", "domanda:", "query:"];

/// Bytes of a turn above which it holds a context besides its question. Chosen: questions of people are shorter.
const QUESTION_BYTES: usize = 600;

/// The texts of parts, also of what tools gave.
fn texts(parts: &[Part], out: &mut Vec<String>) {
    for part in parts {
        match part {
            Part::Text { text, .. } => out.push(text.clone()),
            Part::ToolResult { content, .. } => texts(content, out),
            Part::File {
                source: aplomb_core::conversation::Source::Text(text),
                ..
            } => out.push(text.clone()),
            _ => {}
        }
    }
}

/// The question in a turn: what stands behind its mark, else the last paragraph of a long one.
fn question(turn: &str) -> &str {
    let lower = turn.to_ascii_lowercase();
    let marked = MARKS
        .iter()
        .filter_map(|mark| Some(lower.rfind(mark)? + mark.len()))
        .max();
    if let Some(at) = marked {
        let behind = turn.get(at..).unwrap_or(turn).trim();
        return behind.split("\n\n").next().unwrap_or(behind);
    }
    if turn.len() < QUESTION_BYTES && !turn.contains("\n\n") {
        return turn.trim();
    }
    let paragraphs = || {
        turn.split("\n\n")
            .map(str::trim)
            .filter(|one| !one.is_empty())
    };
    let asks = paragraphs().filter(|one| one.ends_with('?'));
    asks.last()
        .or_else(|| paragraphs().last())
        .unwrap_or_default()
}

impl Asked {
    /// Of a request.
    pub fn of(conversation: &Conversation) -> Self {
        let tools = conversation.tools.iter();
        let compiled = tools.map(|tool| (tool.name.clone(), Schema::new(&tool.parameters).ok()));
        Asked {
            format: Format::of(&conversation.output_format),
            tools: compiled.collect(),
            ..Asked::default()
        }
    }

    /// Finds the question in a conversation, and the context: what was given with it, or what stands in it besides.
    #[must_use]
    pub fn with_context(
        mut self,
        conversation: &Conversation,
        given: Option<&str>,
        instruction: Option<&str>,
    ) -> Self {
        let mut known = Vec::new();
        texts(&conversation.system, &mut known);
        let mut last = None;
        for Message { role, parts, .. } in &conversation.messages {
            let mut turn = Vec::new();
            texts(parts, &mut turn);
            match role {
                Role::Assistant => {}
                Role::System => known.append(&mut turn),
                Role::User => {
                    if parts.iter().any(|part| matches!(part, Part::Text { .. })) {
                        last = Some(known.len());
                    }
                    known.push(turn.join("\n\n"));
                }
            }
        }
        if let Some(turn) = last.and_then(|at| known.get_mut(at)) {
            self.question = question(turn).to_owned();
            if let Some(at) = turn.rfind(&self.question) {
                turn.replace_range(at..at + self.question.len(), "");
            }
        }
        known.retain(|text| Some(text.as_str()) != instruction);
        self.context = Some(match given {
            Some(given) => Given::new(given.to_owned()),
            None => Given::new(known.join("\n")),
        });
        self
    }

    /// Whether the context supports so much of a text.
    fn grounds(&self, text: &str, min: f32) -> Result<(), Failure> {
        let Some(given) = &self.context else {
            return Ok(());
        };
        let found = given.context().ground(text);
        let Some((first, ..)) = found.unsupported().next().filter(|_| found.share() < min) else {
            return Ok(());
        };
        let reasons: Vec<String> = found
            .unsupported()
            .take(8)
            .map(|(number, _, reason)| format!("{number}: {}", reason.name()))
            .collect();
        let quoted: Vec<String> = found
            .unsupported()
            .take(8)
            .map(|(_, sentence, reason)| format!("\"{}\" ({})", sentence.text, reason.name()))
            .collect();
        Err(Failure {
            place: Some(format!("sentence {first}")),
            message: format!(
                "{:.0} % of its claims are in the context; not its sentences {}",
                found.share() * 100.0,
                reasons.join(", ")
            ),
            detail: Some(format!(
                "the context does not support this: {}",
                quoted.join("; ")
            )),
        })
    }

    /// Whether tools are called as they are described.
    fn calls(&self, choice: &Choice) -> Result<(), Failure> {
        for (number, call) in &choice.tools {
            let inside = |mut failure: Failure| {
                let place = failure.place.take();
                let place = place.map_or(String::new(), |place| format!(", {place}"));
                failure.place = Some(format!("tool call {number}{place}"));
                failure
            };
            let Some(schema) = self.tools.get(&call.name) else {
                let message = "it calls a tool that is not on offer";
                return Err(inside(Failure::new(message)));
            };
            let arguments = match call.arguments.trim() {
                "" => "{}",
                arguments => arguments,
            };
            let fits = match schema {
                Some(schema) => schema::fits(schema, arguments),
                None => schema::read(arguments).map(|_| ()),
            };
            fits.map_err(inside)?;
        }
        Ok(())
    }
}

/// One check, compiled.
pub enum Check {
    /// There is an answer.
    NotEmpty,
    /// The text has this length.
    Length(Length),
    /// The text is JSON.
    Json,
    /// The text is JSON that fits a schema.
    Schema(Box<Schema>),
    /// The text has the form that the request asks for.
    ResponseFormat,
    /// The text has a match.
    Regex(Regex),
    /// The text has no match; with the bytes of the longest one, where there is a longest.
    NotRegex(Regex, Option<usize>),
    /// The text contains all of these.
    Contains(Vec<String>),
    /// The text contains none of these.
    NotContains(Vec<String>),
    /// The text begins with one of these.
    StartsWith(Vec<String>),
    /// The text ends with one of these.
    EndsWith(Vec<String>),
    /// The text is one of these.
    OneOf(Vec<String>),
    /// The text does not begin by refusing.
    NoRefusal,
    /// The answer was not cut off.
    NoTruncation,
    /// The text does not end in a loop.
    NoRepetition,
    /// The text has words that can be spoken.
    NoGibberish,
    /// The text has no characters that nobody sees.
    NoInvisible,
    /// Tools are called as the request describes them.
    ToolArguments,
    /// The text has none of these words.
    BannedWords(Words),
    /// The text links to these hosts only.
    Links(Vec<String>),
    /// The text is about the question.
    Relevance(f32),
    /// So much of the text is in the context.
    Grounding(f32),
    /// Likewise, or the text is this refusal.
    ClosedDomain(String, f32),
}

fn unless(wrong: bool, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if wrong {
        return Err(Failure::new(message()));
    }
    Ok(())
}

/// Texts of the configuration, for a message.
fn quoted(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("`{text}`")).collect();
    quoted.join(", ")
}

/// Whether a text is this refusal, but for case and marks.
fn is_refusal(text: &str, refuse: &str) -> bool {
    let bare = |text: &str| {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    bare(text) == bare(refuse)
}

/// A text without the matches of an expression.
fn without(text: &str, regex: &Regex) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for found in regex.find_iter(text) {
        out.push_str(text.get(from..found.start()).unwrap_or_default());
        from = found.end();
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

impl Check {
    /// Its name, as in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Check::NotEmpty => "not_empty",
            Check::Length(_) => "length",
            Check::Json => "json",
            Check::Schema(_) => "json_schema",
            Check::ResponseFormat => "response_format",
            Check::Regex(_) => "regex",
            Check::NotRegex(..) => "not_regex",
            Check::Contains(_) => "contains",
            Check::NotContains(_) => "not_contains",
            Check::StartsWith(_) => "starts_with",
            Check::EndsWith(_) => "ends_with",
            Check::OneOf(_) => "one_of",
            Check::NoRefusal => "no_refusal",
            Check::NoTruncation => "no_truncation",
            Check::NoRepetition => "no_repetition",
            Check::NoGibberish => "no_gibberish",
            Check::NoInvisible => "no_invisible",
            Check::ToolArguments => "tool_arguments",
            Check::BannedWords(_) => "banned_words",
            Check::Links(_) => "links",
            Check::Relevance(_) => "relevance",
            Check::Grounding(_) => "grounding",
            Check::ClosedDomain(..) => "closed_domain",
        }
    }

    /// Whether it looks at the request besides the answer.
    pub fn needs_request(&self) -> bool {
        matches!(self, Check::ResponseFormat | Check::ToolArguments) || self.needs_context()
    }

    /// Whether it lays the answer beside what was asked or given.
    pub fn needs_context(&self) -> bool {
        matches!(
            self,
            Check::Relevance(_) | Check::Grounding(_) | Check::ClosedDomain(..)
        )
    }

    /// Looks at one choice. Checks of the text do not apply where the model called tools instead.
    ///
    /// # Errors
    /// Why it fails.
    pub fn run(&self, choice: &Choice, asked: &Asked) -> Result<(), Failure> {
        match self {
            Check::NotEmpty => {
                let nothing = choice.text.trim().is_empty() && choice.refusal.trim().is_empty();
                let empty = nothing && choice.tools.is_empty();
                return unless(empty, || "it is empty".to_owned());
            }
            Check::NoTruncation => {
                let cut = choice.finish == Some(FinishReason::Length);
                return unless(cut, || {
                    "it was cut off by the bound on its tokens".to_owned()
                });
            }
            Check::NoRefusal if !choice.refusal.trim().is_empty() => {
                return Err(Failure::new("the model refused"));
            }
            Check::ToolArguments => return asked.calls(choice),
            _ => {}
        }
        if choice.only_calls() {
            return Ok(());
        }
        self.text(&choice.text, asked)
    }

    /// What is wrong with a text that is not whole yet; most checks can't tell.
    pub fn begun(&self, text: &str) -> Option<Failure> {
        match self {
            Check::NotRegex(..) | Check::NotContains(_) | Check::NoInvisible => {
                self.text(text, &Asked::default()).err()
            }
            _ => None,
        }
    }

    /// Bytes of the longest text that it forbids, where there is a longest.
    pub fn reach(&self) -> Option<usize> {
        match self {
            Check::NotRegex(_, longest) => *longest,
            Check::NotContains(texts) => texts.iter().map(String::len).max(),
            _ => None,
        }
    }

    /// A text that is mended for this check, which has to pass it; none where that can't be done.
    pub fn fix(&self, text: &str, asked: &Asked) -> Option<String> {
        let tried = match self {
            Check::Json | Check::Schema(_) | Check::ResponseFormat => mend::candidates(text),
            Check::OneOf(texts) => mend::nearest(text, texts)
                .map(str::to_owned)
                .into_iter()
                .collect(),
            Check::Regex(_) | Check::StartsWith(_) | Check::EndsWith(_) => {
                let bare = mend::unfenced(text).unwrap_or(text).trim();
                vec![bare.to_owned()]
            }
            Check::NoInvisible => vec![smells::visible(text)],
            Check::NotEmpty
            | Check::NoRefusal
            | Check::NoTruncation
            | Check::NoRepetition
            | Check::NoGibberish
            | Check::ToolArguments
            | Check::BannedWords(_)
            | Check::Links(_)
            | Check::Relevance(_)
            | Check::Grounding(_)
            | Check::ClosedDomain(..)
            | Check::Length(_)
            | Check::NotRegex(..)
            | Check::Contains(_)
            | Check::NotContains(_) => Vec::new(),
        };
        let passes = |mended: &String| self.text(mended, asked).is_ok();
        tried.into_iter().find(passes)
    }

    /// A text without what this check does not allow; none where nothing can be cut out.
    pub fn filter(&self, text: &str) -> Option<String> {
        let cut = match self {
            Check::NotRegex(regex, _) => without(text, regex),
            Check::NoInvisible => smells::visible(text),
            Check::NotContains(texts) => texts.iter().fold(text.to_owned(), |text, needle| {
                text.replace(needle.as_str(), "")
            }),
            _ => return None,
        };
        (cut != text).then_some(cut)
    }

    fn text(&self, text: &str, asked: &Asked) -> Result<(), Failure> {
        match self {
            Check::NotEmpty | Check::NoTruncation | Check::ToolArguments => Ok(()),
            Check::NoRefusal => unless(smells::refuses(text), || "the model refused".to_owned()),
            Check::NoRepetition => {
                if let Some(times) = smells::repeats(text) {
                    let message = format!("its end says the same words {times} times");
                    return Err(Failure::new(message));
                }
                smells::run(text).map_or(Ok(()), |length| {
                    Err(Failure::new(format!("it has one character {length} times")))
                })
            }
            Check::NoGibberish => {
                let share = smells::senseless(text).unwrap_or(0.0);
                unless(share > SENSELESS, || {
                    format!("{:.0} % of its words can't be spoken", share * 100.0)
                })
            }
            Check::NoInvisible => smells::invisible(text).map_or(Ok(()), |at| {
                Err(Failure {
                    place: Some(format!("byte {at}")),
                    ..Failure::new("it has a character that nobody sees")
                })
            }),
            Check::BannedWords(words) => words.find(text).map_or(Ok(()), |(at, word)| {
                Err(Failure {
                    place: Some(format!("byte {at}")),
                    ..Failure::new(format!("it has the word `{word}`"))
                })
            }),
            Check::Links(allowed) => {
                let hosts = smells::hosts(text).into_iter();
                let mut others = hosts.filter(|(_, host)| !smells::is_among(host, allowed));
                others.next().map_or(Ok(()), |(at, host)| {
                    Err(Failure {
                        place: Some(format!("byte {at}")),
                        message: "it links to a host that is not allowed".to_owned(),
                        detail: Some(format!("it links to {host}, which is not allowed")),
                    })
                })
            }
            Check::Relevance(min) => {
                let score = relevance::score(&asked.question, text);
                unless(score < *min, || {
                    format!("its score as an answer to the question is {score:.2}")
                })
            }
            Check::Grounding(min) => asked.grounds(text, *min),
            Check::ClosedDomain(refuse, _) if is_refusal(text, refuse) => Ok(()),
            Check::ClosedDomain(_, min) => asked.grounds(text, *min),
            Check::Length(length) => length
                .wrong(text)
                .map_or(Ok(()), |message| Err(Failure::new(message))),
            Check::Json => schema::read(text).map(|_| ()),
            Check::Schema(schema) => schema::fits(schema, text),
            Check::ResponseFormat => asked.format.check(text),
            Check::Regex(regex) => unless(!regex.is_match(text), || {
                "it has no match of the expression".to_owned()
            }),
            Check::NotRegex(regex, _) => match regex.find(text) {
                None => Ok(()),
                Some(found) => Err(Failure {
                    place: Some(format!("byte {}", found.start())),
                    ..Failure::new("it has a match of the expression")
                }),
            },
            Check::Contains(texts) => {
                let lacking = texts.iter().find(|needle| !text.contains(needle.as_str()));
                lacking.map_or(Ok(()), |needle| {
                    Err(Failure::new(format!("it does not contain `{needle}`")))
                })
            }
            Check::NotContains(texts) => {
                let there = texts
                    .iter()
                    .find_map(|needle| Some((needle, text.find(needle.as_str())?)));
                there.map_or(Ok(()), |(needle, at)| {
                    Err(Failure {
                        place: Some(format!("byte {at}")),
                        ..Failure::new(format!("it contains `{needle}`"))
                    })
                })
            }
            Check::StartsWith(texts) => {
                let text = text.trim_start();
                let good = texts.iter().any(|head| text.starts_with(head.as_str()));
                unless(!good, || {
                    format!("it does not begin with {}", quoted(texts))
                })
            }
            Check::EndsWith(texts) => {
                let text = text.trim_end();
                let good = texts.iter().any(|tail| text.ends_with(tail.as_str()));
                unless(!good, || format!("it does not end with {}", quoted(texts)))
            }
            Check::OneOf(texts) => {
                let good = texts.iter().any(|one| one.trim() == text.trim());
                unless(!good, || format!("it is not one of {}", quoted(texts)))
            }
        }
    }
}
