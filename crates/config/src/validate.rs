//! The shapes of validators: what an answer is checked for, and what happens when it fails.

use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::file::{ConfigFile, RouteConfig};
use crate::scalar::text_scalar;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::str::FromStr;

/// Most steps of an `on_fail`. Chosen: each may be a call.
const STEPS_MAX: usize = 8;

/// What happens when an answer fails a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepConfig {
    /// The same target is asked again.
    Retry,
    /// The answer goes back to the model with what is wrong with it, and a corrected one is asked for.
    Repair,
    /// It is mended without asking anybody. Tried with each answer, before all other steps.
    Fix,
    /// What is not allowed is cut out of it.
    Filter,
    /// Another target is asked.
    Fallback,
    /// An empty answer goes out in its place, or what `say` says.
    Refrain,
    /// The client gets an error.
    Block,
    /// The answer goes out, and the record and a header say what was wrong.
    Flag,
}

impl StepConfig {
    /// All of them.
    pub const ALL: [StepConfig; 8] = [
        StepConfig::Retry,
        StepConfig::Repair,
        StepConfig::Fix,
        StepConfig::Filter,
        StepConfig::Refrain,
        StepConfig::Fallback,
        StepConfig::Block,
        StepConfig::Flag,
    ];

    /// As it stands in the file.
    pub fn word(self) -> &'static str {
        match self {
            StepConfig::Retry => "retry",
            StepConfig::Repair => "repair",
            StepConfig::Fix => "fix",
            StepConfig::Filter => "filter",
            StepConfig::Refrain => "refrain",
            StepConfig::Fallback => "fallback",
            StepConfig::Block => "block",
            StepConfig::Flag => "flag",
        }
    }

    /// Whether nothing can come after it.
    pub fn is_last(self) -> bool {
        match self {
            StepConfig::Retry
            | StepConfig::Repair
            | StepConfig::Fix
            | StepConfig::Filter
            | StepConfig::Fallback => false,
            StepConfig::Refrain | StepConfig::Block | StepConfig::Flag => true,
        }
    }

    /// Whether it needs an answer of which nothing has gone out.
    pub fn needs_hold(self) -> bool {
        self != StepConfig::Flag
    }
}

impl FromStr for StepConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = StepConfig::ALL.into_iter().find(|step| step.word() == text);
        found.ok_or_else(|| one_of(text, StepConfig::ALL.iter().map(|step| step.word())))
    }
}

/// That a word is none of these.
fn one_of<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> String {
    let shown: String = text.chars().take(64).collect();
    let words: Vec<&str> = words.collect();
    format!("`{shown}` is not one of: {}", words.join(", "))
}

/// What a list in the file may also be written as: a single one of its items.
macro_rules! one_or_list {
    ($type:ident, $item:ty, $name:literal, $format:literal, $about:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum Written {
                    One($item),
                    List(Vec<$item>),
                }
                Ok($type(match Written::deserialize(deserializer)? {
                    Written::One(item) => vec![item],
                    Written::List(items) => items,
                }))
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let item = serde_json::json!({ "type": "string", "format": $format });
                json_schema!({
                    "description": $about,
                    "oneOf": [item, { "type": "array", "items": item, "minItems": 1 }]
                })
            }
        }
    };
}

/// The steps of an `on_fail`, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct OnFailConfig(pub Vec<StepConfig>);

one_or_list!(
    OnFailConfig,
    StepConfig,
    "OnFailConfig",
    "validation-step",
    "Steps in order, each taken once."
);

/// One text or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TextsConfig(pub Vec<String>);

one_or_list!(
    TextsConfig,
    String,
    "TextsConfig",
    "plain-text",
    "A text, or a list of them."
);

/// A JSON Schema: `file:PATH`, or the schema itself as a section.
#[derive(Debug, Clone, PartialEq)]
pub enum SchemaConfig {
    /// A file, relative to the configuration's folder.
    File(String),
    /// In place.
    Inline(Map<String, Value>),
}

impl SchemaConfig {
    /// Reads a reference to a file.
    ///
    /// # Errors
    /// It is none.
    pub fn reference(text: &str) -> Result<Self, String> {
        match text.strip_prefix("file:").map(str::trim) {
            Some(path) if !path.is_empty() => Ok(SchemaConfig::File(path.to_owned())),
            _ => Err("expected `file:PATH`, or the schema itself as a section".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for SchemaConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => SchemaConfig::reference(&text).map_err(serde::de::Error::custom),
            Value::Object(members) => Ok(SchemaConfig::Inline(members)),
            _ => Err(serde::de::Error::custom("expected a text or a section")),
        }
    }
}

impl Serialize for SchemaConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            SchemaConfig::File(path) => serializer.serialize_str(&format!("file:{path}")),
            SchemaConfig::Inline(members) => members.serialize(serializer),
        }
    }
}

impl JsonSchema for SchemaConfig {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SchemaConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [
            { "type": "string", "format": "schema-reference" },
            { "type": "object", "additionalProperties": {} }
        ] })
    }
}

/// A number's bounds, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BoundsConfig {
    /// Least number. Default: none.
    pub min: Option<u32>,
    /// Greatest number. Default: none.
    pub max: Option<u32>,
}

/// How long an answer may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LengthConfig {
    /// In characters (Unicode code points).
    pub characters: Option<BoundsConfig>,
    /// In words.
    pub words: Option<BoundsConfig>,
    /// In sentences.
    pub sentences: Option<BoundsConfig>,
    /// In tokens of `o200k_base`.
    pub tokens: Option<BoundsConfig>,
}

/// How much an answer must be about its question.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RelevanceConfig {
    /// Least score, 0 to 1. Default 0.35.
    pub min: f32,
}

impl Default for RelevanceConfig {
    fn default() -> Self {
        RelevanceConfig { min: 0.35 }
    }
}

/// How much of an answer must be in the context.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroundingConfig {
    /// Least share of sentences that the context supports, 0 to 1, of those that claim something. Default 0.8.
    pub min: f32,
}

impl Default for GroundingConfig {
    fn default() -> Self {
        GroundingConfig { min: 0.8 }
    }
}

/// Answers that come from the context alone.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedDomainConfig {
    /// What is said where the context has no answer. The model is asked to say it, and it goes out in the place of an answer that is not in the context.
    pub refuse: String,
    /// Least share of sentences that the context supports, 0 to 1, of those that claim something. Default 1.
    #[serde(default = "whole")]
    pub min: f32,
}

fn whole() -> f32 {
    1.0
}

/// A check that needs no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BareCheck {
    /// There is an answer: text, a refusal or a tool call.
    NotEmpty,
    /// The text is one JSON value.
    Json,
    /// The text is what the request's own `response_format` asks for, whether the provider keeps to it or not.
    ResponseFormat,
    /// The text does not begin by refusing.
    NoRefusal,
    /// The answer was not cut off by the bound on its tokens.
    NoTruncation,
    /// The text does not end in a loop.
    NoRepetition,
    /// The text has words that can be spoken.
    NoGibberish,
    /// The text has no characters that nobody sees.
    NoInvisible,
    /// Tools that are called are those of the request, with arguments that fit their schemas.
    ToolArguments,
}

impl BareCheck {
    /// All of them.
    pub const ALL: [BareCheck; 9] = [
        BareCheck::NotEmpty,
        BareCheck::Json,
        BareCheck::ResponseFormat,
        BareCheck::NoRefusal,
        BareCheck::NoTruncation,
        BareCheck::NoRepetition,
        BareCheck::NoGibberish,
        BareCheck::NoInvisible,
        BareCheck::ToolArguments,
    ];

    /// As it stands in the file.
    pub fn word(self) -> &'static str {
        match self {
            BareCheck::NotEmpty => "not_empty",
            BareCheck::Json => "json",
            BareCheck::ResponseFormat => "response_format",
            BareCheck::NoRefusal => "no_refusal",
            BareCheck::NoTruncation => "no_truncation",
            BareCheck::NoRepetition => "no_repetition",
            BareCheck::NoGibberish => "no_gibberish",
            BareCheck::NoInvisible => "no_invisible",
            BareCheck::ToolArguments => "tool_arguments",
        }
    }
}

impl FromStr for BareCheck {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = BareCheck::ALL
            .into_iter()
            .find(|check| check.word() == text);
        found.ok_or_else(|| {
            let words = BareCheck::ALL.iter().map(|check| check.word());
            format!("{}, or a section with one check", one_of(text, words))
        })
    }
}

/// A check that needs no values, as the value of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct BareConfig(pub BareCheck);

impl JsonSchema for BareConfig {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "BareConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "bare-check" })
    }
}

/// One check with its values. The last entry of a list may hold `on_fail` alone: it is the default of the others.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckSection {
    /// A check that needs no values, where an `on_fail` of its own stands beside it: `not_empty`, `json`, `response_format`, `no_refusal`, `no_truncation`, `no_repetition`, `no_gibberish`, `no_invisible` or `tool_arguments`.
    pub check: Option<BareConfig>,
    /// How long the text is.
    pub length: Option<LengthConfig>,
    /// The text is JSON that fits this schema: `file:PATH`, or the schema itself (draft 2020-12, unless it names another one). References lead to places inside it only.
    pub json_schema: Option<SchemaConfig>,
    /// The text has a match of this regular expression. Matching takes time in proportion to the text, so there are no backreferences and no look-around.
    pub regex: Option<String>,
    /// The text has no match of it.
    pub not_regex: Option<String>,
    /// The text contains each of these.
    pub contains: Option<TextsConfig>,
    /// The text contains none of these.
    pub not_contains: Option<TextsConfig>,
    /// The text begins with one of these, white space before it left out.
    pub starts_with: Option<TextsConfig>,
    /// The text ends with one of these, white space after it left out.
    pub ends_with: Option<TextsConfig>,
    /// The text is one of these, white space around it left out.
    pub one_of: Option<TextsConfig>,
    /// The text has none of these words (names of competitors, swear words), also in other case, with digits for letters, doubled letters or marks between them.
    pub banned_words: Option<TextsConfig>,
    /// The text links to these hosts only, or to hosts below them.
    pub links: Option<TextsConfig>,
    /// The text is about the question: the last turn of the user. A lexical score: how much of its words comes back.
    pub relevance: Option<RelevanceConfig>,
    /// The sentences of the text are in the context: the header `x-aplomb-context`, else what stands in the messages besides the question.
    pub grounding: Option<GroundingConfig>,
    /// Likewise, and the model is told to answer from the context only. Without an `on_fail` of its own an answer that fails is replaced by `refuse`, whatever the list says.
    pub closed_domain: Option<ClosedDomainConfig>,
    /// What goes out in the place of an answer, with the step `refrain`. Default: an empty text.
    pub say: Option<String>,
    /// What happens when an answer fails this check: steps in order, each taken once. Default: that of the list, else `block`.
    pub on_fail: Option<OnFailConfig>,
}

impl CheckSection {
    /// Names of the checks in it.
    pub fn checks(&self) -> Vec<&'static str> {
        let all = [
            (self.check.is_some(), "check"),
            (self.length.is_some(), "length"),
            (self.json_schema.is_some(), "json_schema"),
            (self.regex.is_some(), "regex"),
            (self.not_regex.is_some(), "not_regex"),
            (self.contains.is_some(), "contains"),
            (self.not_contains.is_some(), "not_contains"),
            (self.starts_with.is_some(), "starts_with"),
            (self.ends_with.is_some(), "ends_with"),
            (self.one_of.is_some(), "one_of"),
            (self.banned_words.is_some(), "banned_words"),
            (self.links.is_some(), "links"),
            (self.relevance.is_some(), "relevance"),
            (self.grounding.is_some(), "grounding"),
            (self.closed_domain.is_some(), "closed_domain"),
        ];
        let there = all.into_iter().filter(|(there, _)| *there);
        there.map(|(_, name)| name).collect()
    }
}

/// One entry of a validator: a check by its name, or a section with one.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckConfig(pub CheckSection);

impl<'de> Deserialize<'de> for CheckConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(BareCheck),
            Section(Box<CheckSection>),
        }
        Ok(CheckConfig(match Written::deserialize(deserializer)? {
            Written::Word(word) => CheckSection {
                check: Some(BareConfig(word)),
                ..CheckSection::default()
            },
            Written::Section(section) => *section,
        }))
    }
}

impl Serialize for CheckConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for CheckConfig {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CheckConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = CheckSection::json_schema(generator);
        json_schema!({ "oneOf": [{ "type": "string", "format": "bare-check" }, section] })
    }
}

/// One validator: its checks in order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ValidatorConfig(#[schemars(length(min = 1, max = 64))] pub Vec<CheckConfig>);

impl ValidatorConfig {
    /// What happens to entries that say nothing of it.
    pub fn default_on_fail(&self) -> OnFailConfig {
        let last = self.0.last().map(|entry| &entry.0);
        let alone = last.filter(|entry| entry.checks().is_empty());
        alone
            .and_then(|entry| entry.on_fail.clone())
            .unwrap_or_else(|| OnFailConfig(vec![StepConfig::Block]))
    }

    /// Entries that check something, with their numbers and what happens when they fail.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &CheckSection, OnFailConfig)> {
        let default = self.default_on_fail();
        let checks = self.0.iter().enumerate();
        checks
            .map(|(index, entry)| (index, &entry.0))
            .filter(|(_, entry)| !entry.checks().is_empty())
            .map(move |(index, entry)| {
                let on_fail = entry
                    .on_fail
                    .clone()
                    .unwrap_or_else(|| match entry.closed_domain {
                        Some(_) => OnFailConfig(vec![StepConfig::Refrain]),
                        None => default.clone(),
                    });
                (index, entry, on_fail)
            })
    }
}

/// A number of tokens: `64 tokens`, or `64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens(pub u32);

impl FromStr for Tokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().strip_suffix("tokens").unwrap_or(text).trim();
        let read = number.parse().ok().filter(|number| *number <= WINDOW_MAX);
        read.map(Tokens).ok_or_else(|| {
            format!("expected a number of tokens up to {WINDOW_MAX}, such as `64 tokens`")
        })
    }
}

impl std::fmt::Display for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.0)
    }
}

text_scalar!(Tokens, "token-count", "A number of tokens: `64 tokens`.");

/// Longest window. Chosen: longer than most answers; whoever wants more holds the whole.
const WINDOW_MAX: u32 = 4096;

/// Streams that are released window by window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Text that is gathered before a look, about four bytes a token.
    pub window: Tokens,
    /// Its end that is held until the next look, so that no match is cut. Default `16 tokens`; at least as long as the longest text that `not_contains` or a `not_regex` with a longest match forbids.
    #[serde(default = "overlap")]
    pub overlap: Tokens,
}

fn overlap() -> Tokens {
    Tokens(16)
}

/// When the content of an answer may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum HoldConfig {
    /// At one moment.
    Word(HoldWord),
    /// After a look at each window.
    Window(WindowConfig),
}

/// When the first content of an answer may go out, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldWord {
    /// As soon as it comes.
    FirstToken,
    /// When the answer is whole: until then it can fail and be asked for again.
    Whole,
}

impl FromStr for HoldWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "first_token" => Ok(HoldWord::FirstToken),
            "whole" => Ok(HoldWord::Whole),
            _ => Err(format!(
                "{}, or a section with `window`",
                one_of(text, ["first_token", "whole"].into_iter())
            )),
        }
    }
}

impl<'de> Deserialize<'de> for HoldConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(HoldWord),
            Window(WindowConfig),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Word(word) => HoldConfig::Word(word),
            Written::Window(window) => HoldConfig::Window(window),
        })
    }
}

impl JsonSchema for HoldConfig {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HoldConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = WindowConfig::json_schema(generator);
        json_schema!({ "oneOf": [{ "type": "string", "format": "hold" }, section] })
    }
}

pub(crate) fn sense(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    for (name, validator) in &file.validate {
        for index in 0..validator.0.len() {
            entry((name, validator), index, found);
        }
        if validator.entries().next().is_none() {
            let path = format!("validate.{name}");
            found.push(Diagnostic::error(path, "checks nothing"));
        }
    }
    for (name, route) in &file.routes {
        attached(file, name, route, found);
    }
}

fn entry((name, validator): (&str, &ValidatorConfig), index: usize, found: &mut Vec<Diagnostic>) {
    let Some(CheckConfig(section)) = validator.0.get(index) else {
        return;
    };
    let path = format!("validate.{name}[{index}]");
    let mut error = |path: String, message: String| found.push(Diagnostic::error(path, message));
    let checks = section.checks();
    let is_last = index + 1 == validator.0.len();
    match checks.as_slice() {
        [_] => {}
        [] if section.on_fail.is_none() => error(path.clone(), "checks nothing".to_owned()),
        [] if is_last => {}
        [] => {
            let message =
                "an entry with `on_fail` alone is the default of the list: it stands last";
            error(path.clone(), message.to_owned());
        }
        several => {
            let names = several.join("`, `");
            let message = format!("one entry is one check, and this one has `{names}`");
            error(path.clone(), message);
        }
    }
    if let Some(length) = &section.length {
        length_sense(length, &format!("{path}.length"), &mut error);
    }
    let shares = [
        ("relevance", section.relevance.map(|it| it.min)),
        ("grounding", section.grounding.map(|it| it.min)),
        (
            "closed_domain",
            section.closed_domain.as_ref().map(|it| it.min),
        ),
    ];
    for (name, min) in shares {
        if min.is_some_and(|min| !(0.0..=1.0).contains(&min)) {
            error(
                format!("{path}.{name}.min"),
                "expected a number from 0 to 1".to_owned(),
            );
        }
    }
    if let Some(OnFailConfig(steps)) = &section.on_fail {
        let path = format!("{path}.on_fail");
        let last = steps.iter().position(|step| step.is_last());
        if let (Some(at), Some(step)) = (last, last.and_then(|at| steps.get(at)))
            && at + 1 < steps.len()
        {
            let message = format!("nothing can come after `{}`", step.word());
            error(path.clone(), message);
        }
        if steps.len() > STEPS_MAX {
            let message = format!("has more than {STEPS_MAX} steps");
            error(path, message);
        }
    }
}

fn length_sense(length: &LengthConfig, path: &str, error: &mut impl FnMut(String, String)) {
    let all = [
        ("characters", length.characters),
        ("words", length.words),
        ("sentences", length.sentences),
        ("tokens", length.tokens),
    ];
    if all.iter().all(|(_, bounds)| bounds.is_none()) {
        let message = "expected one of: characters, words, sentences, tokens";
        error(path.to_owned(), message.to_owned());
    }
    for (unit, bounds) in all {
        let Some(bounds) = bounds else { continue };
        let at = format!("{path}.{unit}");
        match (bounds.min, bounds.max) {
            (None, None) => error(at, "expected `min`, `max` or both".to_owned()),
            (Some(min), Some(max)) if min > max => {
                error(at, "`min` is greater than `max`".to_owned());
            }
            _ => {}
        }
    }
}

/// Validators that a route names, and how they go together with its hold.
fn attached(file: &ConfigFile, name: &str, route: &RouteConfig, found: &mut Vec<Diagnostic>) {
    for (index, validator) in route.validate.iter().enumerate() {
        let path = format!("routes.{name}.validate[{index}]");
        if !file.validate.contains_key(validator) {
            let known = file.validate.keys().map(String::as_str);
            let suggestion = did_you_mean(validator, known);
            let message = format!("there is no validator `{validator}`");
            found.push(Diagnostic::error(path, message).suggest(suggestion));
        }
    }
    if route.hold != Some(HoldConfig::Word(HoldWord::FirstToken)) {
        return;
    }
    let named = route
        .validate
        .iter()
        .filter_map(|name| file.validate.get_key_value(name));
    for (validator, config) in named {
        let acts = config.entries().find_map(|(_, _, OnFailConfig(steps))| {
            steps.into_iter().find(|step| step.needs_hold())
        });
        if let Some(step) = acts {
            let message = format!(
                "with `first_token` the answer is out before it is checked, and `{validator}` has the step `{}`: use `whole`, or a `window`",
                step.word()
            );
            found.push(Diagnostic::error(format!("routes.{name}.hold"), message));
        }
    }
}
