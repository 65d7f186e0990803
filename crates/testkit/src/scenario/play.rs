//! Plays a scenario.

use super::{
    Answer, Chat, Command, DialectName, EndName, Reply, Request, Saw, Scenario, Step, expect,
};
use crate::Dialect;
use crate::check;
use crate::client::{self, Whole, chat_body};
use crate::gateway::{Gateway, Setup};
use crate::upstream::{self, Script, Seen, Upstream};
use crate::wire::{self, Events};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Plays a scenario against a binary.
///
/// # Errors
/// What differs from what it expects, and where.
pub fn run(scenario: &Scenario, binary: &str) -> Result<(), String> {
    expect::that(!scenario.steps.is_empty(), || "it has no steps".to_owned())?;
    let stage: Arc<Mutex<Stage>> = Arc::default();
    let playing = stage.clone();
    let upstream = Upstream::start(move |seen| {
        let stage = playing.lock().unwrap_or_else(PoisonError::into_inner);
        stage.script(seen)
    });
    let config = scenario.config.replace("{url}", &upstream.url());
    let mut setup = Setup::new(binary, &config);
    for line in &scenario.server {
        setup = setup.server(line);
    }
    let theatre = Theatre {
        gateway: setup.start(),
        upstream,
        stage,
    };
    for (number, step) in scenario.steps.iter().enumerate() {
        let outcome = theatre.step(step);
        outcome.map_err(|differs| format!("step {}: {differs}", number + 1))?;
    }
    Ok(())
}

/// What the provider does at present.
#[derive(Default)]
struct Stage {
    replies: Vec<Reply>,
    /// Calls before this step.
    before: usize,
}

impl Stage {
    fn script(&self, seen: &Seen) -> Script {
        let last = self.replies.len().saturating_sub(1);
        let number = seen.number.saturating_sub(self.before).min(last);
        let echo = Reply::default();
        answer_of(self.replies.get(number).unwrap_or(&echo), seen)
    }
}

/// The last text that a provider was sent.
fn prompt(seen: &Seen) -> String {
    let body = seen.json();
    let last = body.get("messages").and_then(Value::as_array);
    let content = last.and_then(|messages| messages.last()?.get("content"));
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect(),
        _ => String::new(),
    }
}

/// The first placeholder of a text.
fn placeholder(text: &str) -> &str {
    let start = text.find('<').unwrap_or(0);
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.find('>').map_or(0, |end| end + 1);
    rest.get(..end).unwrap_or_default()
}

fn filled(template: &str, prompt: &str) -> String {
    template
        .replace("{placeholder}", placeholder(prompt))
        .replace("{prompt}", prompt)
}

fn filled_in(value: &Value, prompt: &str) -> Value {
    match value {
        Value::String(text) => filled(text, prompt).into(),
        Value::Array(items) => items.iter().map(|item| filled_in(item, prompt)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), filled_in(member, prompt)))
            .collect(),
        other => other.clone(),
    }
}

fn answer_of(reply: &Reply, seen: &Seen) -> Script {
    let prompt = prompt(seen);
    let said = filled(reply.say.as_deref().unwrap_or("{prompt}"), &prompt);
    let (bytes, open) = if reply.json.is_some() || reply.status.is_some() {
        let body = reply.json.as_ref().unwrap_or(&Value::Null);
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(
            reply
                .headers
                .iter()
                .map(|(name, value)| (&**name, &**value)),
        );
        let body = filled_in(body, &prompt).to_string();
        let bytes = wire::answer(reply.status.unwrap_or(200), &headers, body.as_bytes());
        (bytes, Vec::new())
    } else if seen.is_stream() {
        let chars: Vec<char> = said.chars().collect();
        let pieces = chars.chunks(reply.piece.unwrap_or(1).max(1));
        let pieces: Vec<String> = pieces.map(|piece| piece.iter().collect()).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let events = Events::text(seen, &pieces);
        let open = [wire::stream_head(), wire::chunk(events.open().as_bytes())].concat();
        (wire::stream_answer(events.join().as_bytes()), open)
    } else {
        let bytes = wire::json_answer(200, &wire::whole(seen.dialect(), &said));
        (bytes, Vec::new())
    };
    match reply.end {
        None => vec![upstream::Step::Send(bytes)],
        Some(end) => vec![
            upstream::Step::Send(open),
            match end {
                EndName::Close => upstream::Step::CloseFin,
                EndName::Reset => upstream::Step::Reset,
                EndName::Stall => upstream::Step::Stall,
            },
        ],
    }
}

/// One way in which a request is made.
struct Take {
    request: client::Request,
    /// Dialect and delivery of a chat.
    chat: Option<(Dialect, bool)>,
    name: String,
}

struct Theatre {
    gateway: Gateway,
    upstream: Upstream,
    stage: Arc<Mutex<Stage>>,
}

impl Theatre {
    fn step(&self, step: &Step) -> Result<(), String> {
        match (&step.request, &step.command) {
            (Some(request), None) => {
                for take in self.takes(request)? {
                    let outcome = self.take(step, &take);
                    outcome.map_err(|differs| format!("{}: {differs}", take.name))?;
                }
            }
            (None, Some(command)) => self.command(command)?,
            (None, None) => {}
            (Some(_), Some(_)) => return Err("a step is a request or a command".to_owned()),
        }
        for (name, expected) in &step.metrics {
            let found = self.gateway.metric(name);
            let same = found.is_some_and(|found| found.total_cmp(expected).is_eq());
            expect::that(same, || {
                format!("the metric {name}: expected {expected}, found {found:?}")
            })?;
        }
        let Some(kept) = &step.kept else {
            return Ok(());
        };
        let mut all = self.gateway.log().join("\n");
        read_all(&self.gateway.data_file(""), &mut all)?;
        expect::parts("what is kept", &all, &kept.contains, &kept.lacks)
    }

    /// The ways in which a request is made.
    fn takes(&self, request: &Request) -> Result<Vec<Take>, String> {
        let address = if request.admin {
            self.gateway.admin
        } else {
            self.gateway.data
        };
        let finished = |mut one: client::Request| {
            for (name, value) in &request.headers {
                one = one.header(name, value);
            }
            one
        };
        let Some(chat) = &request.chat else {
            let path = request.path.as_deref().ok_or("it has no path")?;
            let mut one = if request.admin {
                self.gateway.admin_get(path)
            } else {
                client::Request::new(address, request.method.as_deref().unwrap_or("POST"), path)
            };
            if !request.body.is_null() {
                one = one.body(request.body.to_string().as_bytes());
            }
            return Ok(vec![Take {
                request: finished(one),
                chat: None,
                name: path.to_owned(),
            }]);
        };
        let mut takes = Vec::new();
        for dialect in Dialect::ALL {
            for stream in [true, false] {
                let named = match dialect {
                    Dialect::OpenAi => DialectName::Openai,
                    Dialect::Anthropic => DialectName::Anthropic,
                };
                let wanted = request.dialect.is_none_or(|dialect| dialect == named)
                    && request.stream.is_none_or(|wanted| wanted == stream);
                if wanted {
                    let body = body_of(chat, dialect, stream, &request.body);
                    takes.push(Take {
                        request: finished(client::Request::post(address, dialect.path(), &body)),
                        chat: Some((dialect, stream)),
                        name: format!(
                            "{}, {}",
                            dialect.name(),
                            if stream { "streamed" } else { "whole" }
                        ),
                    });
                }
            }
        }
        expect::that(!takes.is_empty(), || "no chat is asked".to_owned())?;
        Ok(takes)
    }

    fn take(&self, step: &Step, take: &Take) -> Result<(), String> {
        let before = self.upstream.seen().len();
        {
            let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
            stage.replies.clone_from(&step.provider);
            stage.before = before;
        }
        let whole = take.request.whole();
        if let Some(answer) = &step.answer {
            answered(answer, take.chat, &whole)?;
        }
        let seen = self.upstream.seen();
        if let Some(saw) = &step.provider_saw {
            provider_saw(saw, seen.get(before..).unwrap_or_default())?;
        }
        if step.record.is_empty() {
            return Ok(());
        }
        let id = whole.header("x-aplomb-request-id").unwrap_or_default();
        let record = self
            .gateway
            .wait_record("its record", |record| record["id"] == id);
        expect::members("the record's", &record, &step.record)
    }

    fn command(&self, command: &Command) -> Result<(), String> {
        let arguments: Vec<&str> = command.run.iter().map(String::as_str).collect();
        let setup = self.gateway.setup();
        let out = setup.command(&arguments).output();
        let out = out.map_err(|error| format!("{arguments:?}: {error}"))?;
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        let mut all = stdout.clone();
        let _ = write!(all, "{}", String::from_utf8_lossy(&out.stderr));
        expect::that(out.status.success() != command.fails, || {
            format!("{arguments:?} ended with {}: {all}", out.status)
        })?;
        expect::parts("its output", &all, &command.contains, &command.lacks)?;
        if !command.json.is_empty() {
            let value = serde_json::from_str(&stdout)
                .map_err(|error| format!("its output is no JSON ({error}): {stdout}"))?;
            expect::members("its output's", &value, &command.json)?;
        }
        let Some(file) = &command.save else {
            return Ok(());
        };
        let written = std::fs::write(setup.dir().join(file), stdout);
        written.map_err(|error| format!("{file}: {error}"))
    }
}

fn body_of(chat: &Chat, dialect: Dialect, stream: bool, more: &Value) -> Value {
    let mut body = chat_body(dialect, &chat.model, stream);
    body["messages"] = json!([{ "role": "user", "content": chat.text }]);
    match (dialect, &chat.system) {
        (_, None) => {}
        (Dialect::Anthropic, Some(text)) => body["system"] = json!(text),
        (Dialect::OpenAi, Some(text)) => {
            body["messages"] = json!([{ "role": "system", "content": text },
                { "role": "user", "content": chat.text }]);
        }
    }
    match (dialect, &chat.end_user) {
        (_, None) => {}
        (Dialect::OpenAi, Some(id)) => body["user"] = json!(id),
        (Dialect::Anthropic, Some(id)) => body["metadata"] = json!({ "user_id": id }),
    }
    for (name, member) in more.as_object().into_iter().flatten() {
        body[name] = member.clone();
    }
    body
}

fn answered(answer: &Answer, chat: Option<(Dialect, bool)>, whole: &Whole) -> Result<(), String> {
    let body = whole.text();
    let status = answer.status.unwrap_or(200);
    expect::that(whole.status == status, || {
        format!("expected status {status}, found {}: {body}", whole.status)
    })?;
    expect::headers("the header", |name| whole.header(name), &answer.headers)?;
    expect::parts("the answer", &body, &[], &answer.lacks)?;
    if !answer.json.is_empty() {
        expect::members("the answer's", &whole.json(), &answer.json)?;
    }
    let Some((dialect, stream)) = chat.filter(|_| whole.status == 200) else {
        return expect::parts("the answer", &body, &answer.contains, &[]);
    };
    let said = if stream {
        let events = crate::sse::events(&whole.body).map_err(|error| format!("{error}: {body}"))?;
        check::stream(dialect, &events)?
    } else {
        check::whole(dialect, &whole.json())?
    };
    expect::parts("the text", &said.text, &answer.contains, &answer.lacks)?;
    let expected = answer.text.as_ref().unwrap_or(&said.text);
    expect::that(said.text == *expected, || {
        format!("expected the text {expected:?}, found {:?}", said.text)
    })
}

fn provider_saw(saw: &Saw, seen: &[Seen]) -> Result<(), String> {
    let calls = saw.calls.unwrap_or(1);
    expect::that(seen.len() == calls, || {
        format!(
            "expected {calls} calls at the provider, found {}",
            seen.len()
        )
    })?;
    for one in seen {
        let body = String::from_utf8_lossy(&one.body).into_owned();
        expect::headers(
            "the provider's header",
            |name| one.header(name),
            &saw.headers,
        )?;
        expect::parts("what the provider saw", &body, &saw.contains, &saw.lacks)?;
    }
    Ok(())
}

/// Adds the bytes of all files of a folder to a text.
fn read_all(folder: &Path, all: &mut String) -> Result<(), String> {
    let error = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.is_dir() {
            read_all(&path, all)?;
        } else {
            // A file may go while it is looked for.
            let bytes = std::fs::read(&path).unwrap_or_default();
            all.push_str(&String::from_utf8_lossy(&bytes));
            all.push('\n');
        }
    }
    Ok(())
}
