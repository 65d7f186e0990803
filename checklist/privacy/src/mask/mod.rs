//! Takes personal data out of a request before anything else sees it.
//!
//! Two rounds over the same texts in the same order: the first finds, the second replaces. In between, what was found in
//! one text is looked for in all: a name that one message introduces is the same name in the next.

mod known;
mod parts;
pub(crate) mod splice;
pub mod surface;
mod surrogate;
pub(crate) mod visit;

use crate::detect::entity::{Entity, EntityKind};
use crate::detect::{Detector, Hint};
use crate::placeholder::{Minter, label};
use crate::policy::{Action, Media, OnError, Profile};
use crate::private::Private;
use crate::restore::syntax::{Json, unescaped};
use crate::vault::{Restore, Taken, Vault};
use bytes::Bytes;
use known::Known;
use serde_json::Value;
use splice::splice;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use surface::Surface;
use visit::{Origin, Slot, Visitor, visit};

/// What was found and done: numbers and kinds, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How often each kind met each action.
    pub counts: BTreeMap<(String, &'static str), u32>,
    /// Pictures, sound and files that travelled without a look.
    pub media: u32,
    /// Parts of unknown type that travelled.
    pub unknown_parts: u32,
}

/// Why a request may not travel. Safe for the client: names kinds, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A kind whose action is `block`.
    #[error("the request holds personal data that may not leave: {}", .0.join(", "))]
    Blocked(Vec<String>),
    /// A picture, sound or file, which is not looked into.
    #[error(
        "a part of type `{0}` can't be checked for personal data, and this route refuses what is not checked"
    )]
    Media(String),
    /// A part that nobody here knows.
    #[error(
        "a part of the unknown type `{0}` can't be checked for personal data, and this route refuses what is not checked"
    )]
    UnknownPart(String),
    /// The body is no JSON that can be gone over.
    #[error("the request can't be checked for personal data: {0}")]
    Unreadable(String),
}

/// A request without personal data.
#[derive(Debug)]
pub struct MaskedBody {
    /// The body; the same bytes as before where nothing had to be replaced.
    pub body: Bytes,
    /// What stands behind the placeholders.
    pub vault: Vault,
    /// What was found.
    pub report: Report,
}

/// Findings of somebody else, by text.
#[derive(Debug, Default)]
pub struct More(HashMap<Private, Vec<Entity>>);

impl More {
    /// Adds what was found in a text. Ranges that are not of the text are left out.
    pub fn add(&mut self, text: &str, mut found: Vec<Entity>) {
        found.retain(|entity| {
            text.get(entity.range.clone())
                .is_some_and(|t| !t.is_empty())
        });
        self.0.insert(Private::new(text), found);
    }

    /// What the detector found, and what was found elsewhere where it found nothing.
    fn join(&self, text: &str, found: Vec<Entity>) -> Vec<Entity> {
        let mut all = found;
        for entity in self.0.get(text).into_iter().flatten() {
            let range = &entity.range;
            let apart = |one: &Entity| one.range.end <= range.start || one.range.start >= range.end;
            if all.iter().all(apart) {
                all.push(entity.clone());
            }
        }
        all.sort_by_key(|entity| entity.range.start);
        all
    }
}

/// The texts of a request body that are looked at, each once.
///
/// # Errors
/// The body is no JSON.
pub fn texts(body: &[u8]) -> Result<BTreeSet<String>, Refusal> {
    struct Collect(BTreeSet<String>);
    impl Visitor for Collect {
        fn text(&mut self, slot: Slot<'_>, text: &mut String) -> bool {
            if slot.surface != Surface::Signed && !text.trim().is_empty() {
                self.0.insert(text.clone());
            }
            false
        }
        fn media(&mut self, _: &str) {}
        fn unknown_part(&mut self, _: &str) {}
    }
    let mut value: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::Unreadable(format!("line {}", error.line())))?;
    let mut collect = Collect(BTreeSet::new());
    visit(&mut value, &mut collect);
    Ok(collect.0)
}

/// Masks a request body of either dialect. `more`: what was found elsewhere.
///
/// # Errors
/// What the policy refuses.
pub fn mask(
    detector: &Detector,
    profile: &Profile,
    minter: &Minter,
    more: &More,
    body: &Bytes,
) -> Result<MaskedBody, Refusal> {
    let mut value: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::Unreadable(format!("line {}", error.line())))?;
    let mut finder = Finder::new(detector, profile, more);
    let cleaned = visit(&mut value, &mut finder);
    let Finder {
        mut texts,
        mut report,
        refusal,
        blocked,
        ..
    } = finder;
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    if !blocked.is_empty() {
        return Err(Refusal::Blocked(blocked));
    }
    let known = Known::of(texts.iter().flat_map(|text| &text.spans));
    let mut replacer = Replacer {
        profile,
        minter,
        known: &known,
        taken: Taken::new(body),
        texts: std::mem::take(&mut texts).into_iter(),
        vault: Vault::default(),
        report: &mut report,
    };
    let changed = visit(&mut value, &mut replacer) || cleaned;
    let vault = replacer.vault;
    // Where a key stands twice, only the last value was looked at: only that one may travel.
    let body = match std::str::from_utf8(body).map(|text| splice(text, &value)) {
        Ok(Some(text)) if changed => Bytes::from(text),
        Ok(Some(_)) => body.clone(),
        Ok(None) | Err(_) => Bytes::from(value.to_string()),
    };
    Ok(MaskedBody {
        body,
        vault,
        report,
    })
}

/// A value in a text, and what happens to it.
#[derive(Debug, Clone)]
struct Span {
    range: Range<usize>,
    kind: EntityKind,
    action: Action,
    /// More than its range holds, where the value goes on in the next part.
    value: Private,
    /// The rest of a value that began in a part before: nothing stands there any more.
    is_rest: bool,
}

/// What was found in one text.
#[derive(Debug, Default)]
struct TextFindings {
    spans: Vec<Span>,
}

/// First round.
struct Finder<'a> {
    detector: &'a Detector,
    profile: &'a Profile,
    more: &'a More,
    texts: Vec<TextFindings>,
    /// Values that go over the borders of adjacent parts, by part.
    crossing: Vec<Vec<Span>>,
    report: Report,
    refusal: Option<Refusal>,
    blocked: Vec<String>,
}

impl<'a> Finder<'a> {
    fn new(detector: &'a Detector, profile: &'a Profile, more: &'a More) -> Self {
        Finder {
            detector,
            profile,
            more,
            texts: Vec::new(),
            crossing: Vec::new(),
            report: Report::default(),
            refusal: None,
            blocked: Vec::new(),
        }
    }

    /// What the policy replaces in a text, of the findings that `counts` takes.
    fn find(
        &mut self,
        slot: Slot<'_>,
        text: &str,
        counts: impl Fn(&Range<usize>) -> bool,
    ) -> Vec<Span> {
        let hint = Hint {
            json_key: slot.key,
            in_code: false,
        };
        let fences = fences(text);
        let mut spans = Vec::new();
        for entity in self.more.join(text, self.detector.detect(text, hint)) {
            if !counts(&entity.range) {
                continue;
            }
            let in_code = fences
                .iter()
                .any(|fence| fence.contains(&entity.range.start));
            let action = self.profile.action(&entity.kind, in_code);
            let value = text.get(entity.range.clone()).unwrap_or_default();
            match action {
                Action::Allow => continue,
                Action::Block => {
                    let name = entity.kind.name().to_owned();
                    if !self.blocked.contains(&name) {
                        self.blocked.push(name);
                    }
                }
                Action::Flag => self.report.add(&entity.kind, action),
                Action::Mask | Action::Redact | Action::Hash | Action::Surrogate => {
                    spans.push(Span {
                        range: entity.range.clone(),
                        value: Private::new(value),
                        kind: entity.kind,
                        action,
                        is_rest: false,
                    });
                }
            }
        }
        spans
    }
}

impl Report {
    fn add(&mut self, kind: &EntityKind, action: Action) {
        let key = (kind.name().to_owned(), action.name());
        *self.counts.entry(key).or_default() += 1;
    }

    /// How often an action was taken, over all kinds.
    pub fn total(&self, action: Action) -> u32 {
        let of = self
            .counts
            .iter()
            .filter(|((_, name), _)| *name == action.name());
        of.map(|(_, count)| *count).sum()
    }
}

impl Visitor for Finder<'_> {
    fn text(&mut self, slot: Slot<'_>, text: &mut String) -> bool {
        let mut spans = match slot.surface {
            Surface::Signed => Vec::new(),
            _ => self.find(slot, text, |_| true),
        };
        let crossing = slot.run.and_then(|part| self.crossing.get_mut(part));
        if let Some(crossing) = crossing.filter(|crossing| !crossing.is_empty()) {
            spans = parts::merged(spans, std::mem::take(crossing), text);
        }
        self.texts.push(TextFindings { spans });
        false
    }

    fn run(&mut self, slot: Slot<'_>, texts: &[&str]) {
        let borders = parts::borders(texts);
        let crosses = |range: &Range<usize>| parts::crosses(&borders, range);
        let spans = self.find(slot, &texts.concat(), crosses);
        self.crossing = parts::shares(texts, &spans);
    }

    fn media(&mut self, kind: &str) {
        match self.profile.media {
            Media::Refuse => {
                self.refusal
                    .get_or_insert_with(|| Refusal::Media(short(kind)));
            }
            Media::Log => self.report.media += 1,
            Media::Pass => {}
        }
    }

    fn unknown_part(&mut self, kind: &str) {
        match self.profile.on_error {
            OnError::Refuse => {
                self.refusal
                    .get_or_insert_with(|| Refusal::UnknownPart(short(kind)));
            }
            OnError::Pass => self.report.unknown_parts += 1,
        }
    }
}

fn short(kind: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    kind.chars().filter(plain).take(48).collect()
}

/// Second round.
struct Replacer<'a> {
    profile: &'a Profile,
    minter: &'a Minter,
    known: &'a Known,
    taken: Taken,
    texts: std::vec::IntoIter<TextFindings>,
    vault: Vault,
    report: &'a mut Report,
}

impl Visitor for Replacer<'_> {
    fn text(&mut self, slot: Slot<'_>, text: &mut String) -> bool {
        let mut spans = self.texts.next().unwrap_or_default().spans;
        let fences = fences(text);
        self.known.add_to(&mut spans, text, |kind, at| {
            let in_code = fences.iter().any(|fence| fence.contains(&at));
            self.profile.action(kind, in_code)
        });
        if spans.is_empty() {
            return false;
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        let mut json = text
            .trim_start()
            .starts_with(['{', '['])
            .then(Json::default);
        for mut span in spans {
            let between = text.get(done..span.range.start).unwrap_or_default();
            out.push_str(between);
            if let Some(json) = &mut json {
                json.advance(between);
                span.value = Private::new(&unescaped(&span.value, json.levels()));
            }
            done = span.range.end;
            if span.is_rest {
                continue;
            }
            out.push_str(&self.stand_in(slot, &span));
            self.report.add(&span.kind, span.action);
        }
        out.push_str(text.get(done..).unwrap_or_default());
        *text = out;
        true
    }

    // Decided in the first round.
    fn media(&mut self, _: &str) {}
    fn unknown_part(&mut self, _: &str) {}
}

impl Replacer<'_> {
    /// What travels instead of a value.
    fn stand_in(&mut self, slot: Slot<'_>, span: &Span) -> String {
        let text = match span.action {
            Action::Redact => format!("<{}>", label(&span.kind)),
            Action::Hash => {
                let name = self.minter.hash(&span.kind, &span.value);
                self.vault.keep(&name);
                format!("<{name}>")
            }
            Action::Surrogate => match self.surrogate(slot, span) {
                Some(text) => text,
                None => self.placeholder(slot, span),
            },
            Action::Mask | Action::Allow | Action::Flag | Action::Block => {
                self.placeholder(slot, span)
            }
        };
        if slot.surface != Surface::Name {
            return text;
        }
        // Providers take letters, digits, `_` and `-` there; models then call the speaker by it.
        let bare = text.trim_matches(|c| "<>".contains(c));
        if matches!(span.action, Action::Mask | Action::Surrogate) {
            let restore = may_restore(slot, &span.kind);
            self.vault.surrogate(bare, &span.value, restore);
        }
        bare.to_owned()
    }

    fn placeholder(&mut self, slot: Slot<'_>, span: &Span) -> String {
        let text = self
            .vault
            .placeholder(self.minter, &span.kind, &span.value, &self.taken);
        self.vault.allow(&text, may_restore(slot, &span.kind));
        text
    }

    fn surrogate(&mut self, slot: Slot<'_>, span: &Span) -> Option<String> {
        let text = surrogate::surrogate(self.minter, &span.kind, &span.value)?;
        self.vault
            .surrogate(&text, &span.value, may_restore(slot, &span.kind));
        Some(text)
    }
}

/// A secret never comes back in a call's arguments, and one of the instructions never at all: the conversation could
/// ask for it.
fn may_restore(slot: Slot<'_>, kind: &EntityKind) -> Restore {
    let secret = matches!(kind, EntityKind::Secret | EntityKind::UrlCredentials);
    match (secret, slot.origin) {
        (false, _) => Restore::Everywhere,
        (true, Origin::Conversation) => Restore::TextOnly,
        (true, Origin::Instructions) => Restore::Never,
    }
}

/// Code fences of Markdown: from a line that begins with three backticks or tildes to the next such line.
fn fences(text: &str) -> Vec<Range<usize>> {
    let mut fences = Vec::new();
    let mut open = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let mark = line.trim_start();
        if mark.starts_with("```") || mark.starts_with("~~~") {
            match open.take() {
                None => open = Some(at),
                Some(start) => fences.push(start..at),
            }
        }
        at += line.len();
    }
    fences.extend(open.map(|start| start..text.len()));
    fences
}
