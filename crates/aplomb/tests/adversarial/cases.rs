//! The shape of a case, and what cases are made of.

use aplomb_testkit::Dialect;
use aplomb_testkit::upstream::{Script, Seen, Step};
use aplomb_testkit::wire::{self, Events};
use serde_json::Value;

/// The text that cases answer with: several bytes a character, so that splits hit within one.
pub const PIECES: &[&str] = &["Hello ", "wörld ", "日本 🎉."];
/// What the second target answers with.
pub const GOOD: &[&str] = &["from ", "the second"];

pub const BOTH: &[Dialect] = &Dialect::ALL;
pub const OPENAI: &[Dialect] = &[Dialect::OpenAi];
pub const ANTHROPIC: &[Dialect] = &[Dialect::Anthropic];

/// What the client must have asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Both,
    Stream,
    Whole,
}

/// What must come of it.
pub enum Expect {
    /// The whole answer with this text.
    Whole(String),
    /// The whole answer with these tool calls.
    Tools(Vec<(String, Value)>),
    /// An error with one of these statuses before anything was sent; mended by a second target.
    Early(&'static [u16]),
    /// An error with this status and code; a second target would not do better, or is not asked.
    Coded(u16, &'static str),
    /// Content, then one error event. Asked for whole: as `Early` with 502.
    Cut,
    /// As `Cut`, or as `Early` with 502: what came first is up to the network.
    Broken,
}

pub struct Case {
    pub name: &'static str,
    pub about: &'static str,
    pub providers: &'static [Dialect],
    pub form: Form,
    pub script: fn(&Seen) -> Script,
    pub expect: Expect,
    /// It stands still: its routes have short timeouts.
    pub stalls: bool,
}

/// A case for both kinds of provider.
pub fn case(
    name: &'static str,
    about: &'static str,
    form: Form,
    expect: Expect,
    script: fn(&Seen) -> Script,
) -> Case {
    Case {
        name,
        about,
        providers: BOTH,
        form,
        script,
        expect,
        stalls: false,
    }
}

impl Case {
    pub fn only(mut self, providers: &'static [Dialect]) -> Self {
        self.providers = providers;
        self
    }

    pub fn stalling(mut self) -> Self {
        self.stalls = true;
        self
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = crate::odd::all();
    cases.extend(crate::faults::all());
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    cases
}

pub fn text() -> Expect {
    Expect::Whole(PIECES.concat())
}

/// The good stream's events.
pub fn events(seen: &Seen) -> Events {
    Events::text(seen, PIECES)
}

/// The good answer's body, in the form asked for.
pub fn body(seen: &Seen) -> Vec<u8> {
    if seen.is_stream() {
        events(seen).join().into_bytes()
    } else {
        wire::whole(seen.dialect(), &PIECES.concat())
            .to_string()
            .into_bytes()
    }
}

/// Its content type.
pub fn content_type(seen: &Seen) -> &'static str {
    if seen.is_stream() {
        "text/event-stream; charset=utf-8"
    } else {
        "application/json"
    }
}

pub fn send(bytes: impl Into<Vec<u8>>) -> Script {
    vec![Step::Send(bytes.into())]
}

/// A complete chunked stream with this text.
pub fn stream(text: &str) -> Script {
    send(wire::stream_answer(text.as_bytes()))
}

/// The beginning of a chunked stream.
pub fn opened(text: &str) -> Vec<u8> {
    [wire::stream_head(), wire::chunk(text.as_bytes())].concat()
}

/// `length` bytes promised, the rest of `body` never sent.
pub fn short(seen: &Seen, sent: &[u8]) -> Vec<u8> {
    let length = (sent.len() + 500).to_string();
    let mut bytes = wire::head(
        200,
        &[
            ("content-type", content_type(seen)),
            ("content-length", &length),
        ],
    );
    bytes.extend_from_slice(sent);
    bytes
}
