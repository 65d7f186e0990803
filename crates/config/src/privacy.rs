//! The shapes of the privacy room: policies by kind, recognizers of one's own, agreements with providers.

use crate::scalar::Span;
use crate::secret::Secret;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What happens to a value of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionConfig {
    /// Nothing, and nothing is noted.
    Allow,
    /// It travels; that it did is noted.
    Flag,
    /// A placeholder travels; the answer gets the value back.
    Mask,
    /// Its kind travels; nothing is put back.
    Redact,
    /// A keyed digest travels, the same for the same value; nothing is put back.
    Hash,
    /// A made-up value of the same form travels; the answer gets the true one back.
    Surrogate,
    /// The request is refused.
    Block,
}

/// What happens to pictures, sound and files, which are not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImagesConfig {
    /// The request is refused.
    #[default]
    Refuse,
    /// They travel.
    Pass,
    /// They travel, and that they did is noted.
    Log,
}

/// What happens when the check itself can't be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnErrorConfig {
    /// The request is refused.
    #[default]
    Refuse,
    /// The request travels unchecked, and that it did is noted.
    Pass,
}

/// What happens to personal data that the model invents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputConfig {
    /// It is not looked for.
    #[default]
    Ignore,
    /// It is noted.
    Flag,
    /// Its kind stands in its place. Text is held back up to the last space.
    Redact,
}

/// How names of people, places and organisations are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NamesConfig {
    /// By lists, titles and the words around them, in all languages.
    #[default]
    Rules,
    /// In the same way, and in English text also by a small model that runs in this process.
    Model,
}

/// What a provider must have agreed to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequireConfig {
    /// Region in which the provider must process, such as `eu`.
    pub region: Option<String>,
    /// `false`: the provider must not train on what it sees.
    pub trains: Option<bool>,
    /// `true`: the provider must keep nothing (zero data retention).
    pub zdr: Option<bool>,
    /// A data-processing agreement must be there (`signed` or `own`). Default: only if another requirement is given.
    pub dpa: Option<bool>,
    /// Longest time the provider may keep what it sees.
    pub retention: Option<Span>,
}

/// One privacy policy. Beside the fields below it has one member a kind (`email: mask`), with `"*"` for all others.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PrivacyConfig {
    /// Start from a set made for a field: what is written here goes before it.
    pub preset: Option<PresetConfig>,
    /// Where requests of this policy may go.
    pub require: RequireConfig,
    /// Pictures, sound and files. Default `refuse`.
    pub images: ImagesConfig,
    /// A part of an unknown type, or a detector that fails. Default `refuse`.
    pub on_error: OnErrorConfig,
    /// Personal data in the answer that was not in the request. Default `ignore`.
    pub output: OutputConfig,
    /// How names of people, places and organisations are found. Default `rules`; `model` finds more of them in English text and is slower (`docs/privacy.md` says by how much).
    pub names: NamesConfig,
    /// Kinds that are treated otherwise inside code fences. Names of people, places and organisations are left alone there.
    pub code: IndexMap<String, ActionConfig>,
    /// A server that speaks Presidio's analyzer API and is asked besides the built-in detection.
    pub analyzer: Option<AnalyzerConfig>,
    /// Classes of data: what a provider must have agreed to for a request in which some kinds are found.
    pub classes: IndexMap<String, ClassConfig>,
    /// What happens to each kind, in lower case: `email`, `phone`, `credit_card`, `secret`, `person`, ...; `"*"` for those not named. Without `"*"`: `mask`, but `location` and `organization` are only flagged.
    #[serde(flatten)]
    pub kinds: IndexMap<String, ActionConfig>,
}

/// A server that speaks Presidio's analyzer API.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnalyzerConfig {
    /// Its address, such as `http://127.0.0.1:5002`; `/analyze` is added.
    #[schemars(extend("format" = "base-url"))]
    pub url: String,
    /// Key for `Authorization: Bearer`, where it needs one.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// Language that is told to it. Default `en`.
    #[serde(default = "english")]
    pub language: String,
    /// Longest wait for all texts of a request. Default `800ms`; then `on_error` decides.
    #[serde(default = "analyzer_timeout")]
    pub timeout: Span,
    /// Least score that counts, 0 to 1. Default 0.5.
    #[serde(default = "analyzer_score")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score_min: f64,
}

fn english() -> String {
    "en".to_owned()
}

fn analyzer_timeout() -> Span {
    Span(Duration::from_millis(800))
}

fn analyzer_score() -> f64 {
    0.5
}

/// One class of data, such as health.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassConfig {
    /// Kinds any of which shows it, in lower case.
    pub kinds: Vec<String>,
    /// What a provider must have agreed to.
    pub require: RequireConfig,
}

/// A set of actions made for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresetConfig {
    /// Health: everything is masked, secrets and pictures are refused, and the provider must not train.
    Medical,
    /// Finance: account and card numbers never come back in plain text, secrets are refused, the rest is masked.
    Financial,
}

/// Something of one's own to be found.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecognizerConfig {
    /// Its name, for messages.
    pub name: String,
    /// Kind that it finds: one of the built-in ones, or a new one such as `TICKET`. Default: its name.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Regular expression (linear time: no look-around, no back-references).
    #[serde(default)]
    pub pattern: Option<String>,
    /// Words that are found as they are, in any case.
    #[serde(default)]
    pub words: Vec<String>,
    /// Words one of which must stand near it.
    #[serde(default)]
    pub context: Vec<String>,
    /// Check of the digits, such as `luhn`.
    #[serde(default)]
    pub validator: Option<String>,
}

/// State of the data-processing agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DpaConfig {
    /// There is none.
    #[default]
    None,
    /// Signed with the provider.
    Signed,
    /// The provider is the operator.
    Own,
}

/// What was agreed with a provider about the data it sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgreementConfig {
    /// Data-processing agreement. Default `none`.
    pub dpa: DpaConfig,
    /// Where it processes, such as `eu` or `us`.
    pub region: Option<String>,
    /// How long it keeps what it sees. Not given: not known, which no requirement accepts.
    pub retention: Option<Span>,
    /// Whether it trains on what it sees. Not given: not known.
    pub trains: Option<bool>,
    /// Whether it keeps nothing at all (zero data retention).
    pub zdr: Option<bool>,
}
