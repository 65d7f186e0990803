//! The validators of a route, compiled.

use crate::answer::Answer;
use crate::check::{Asked, Check, Failure};
use crate::length::Length;
use crate::schema::Schema;
use crate::smells::Words;
use crate::verdict::By;
use aplomb_config::validate::{
    BareCheck, BareConfig, CheckSection, SchemaConfig, StepConfig, TextsConfig, ValidatorConfig,
};
use regex_automata::meta::{Config, Regex};
use serde_json::Value;
use std::sync::Arc;

/// Largest expression as a program. Chosen: what the crate `regex` allows too.
const REGEX_BYTES: usize = 10 << 20;

/// What happens when an answer fails a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The same target is asked again.
    Retry,
    /// The answer goes back to the model with what is wrong with it.
    Repair,
    /// It is mended here.
    Fix,
    /// What is not allowed is cut out of it.
    Filter,
    /// Another target is asked.
    Fallback,
    /// Another text goes out in its place.
    Refrain,
    /// The client gets an error.
    Block,
    /// The answer goes out, and it is told what is wrong with it.
    Flag,
}

impl Step {
    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            Step::Retry => "retry",
            Step::Repair => "repair",
            Step::Fix => "fix",
            Step::Filter => "filter",
            Step::Refrain => "refrain",
            Step::Fallback => "fallback",
            Step::Block => "block",
            Step::Flag => "flag",
        }
    }
}

impl From<StepConfig> for Step {
    fn from(config: StepConfig) -> Self {
        match config {
            StepConfig::Retry => Step::Retry,
            StepConfig::Repair => Step::Repair,
            StepConfig::Fix => Step::Fix,
            StepConfig::Filter => Step::Filter,
            StepConfig::Refrain => Step::Refrain,
            StepConfig::Fallback => Step::Fallback,
            StepConfig::Block => Step::Block,
            StepConfig::Flag => Step::Flag,
        }
    }
}

/// One check with what happens when it fails.
pub struct Rule {
    /// Whose it is.
    pub by: By,
    /// What is checked.
    pub check: Check,
    /// Number of its steps in [`Validation::plans`]: those who share a list take its steps together.
    pub plan: usize,
    /// What goes out in the place of an answer that fails it.
    pub say: String,
}

/// The validators of a route, in order.
#[derive(Default)]
pub struct Validation {
    /// All checks.
    pub rules: Vec<Rule>,
    /// What happens when they fail.
    pub plans: Vec<Vec<Step>>,
}

/// Reads a file that the configuration names.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// What is wrong with an entry: its place below the validator, and why.
pub type Wrong = (String, String);

impl Validation {
    /// Adds a validator.
    ///
    /// # Errors
    /// All entries that can't be compiled. Nothing is added then.
    pub fn add(
        &mut self,
        name: &str,
        config: &ValidatorConfig,
        read: ReadFile<'_>,
    ) -> Result<(), Vec<Wrong>> {
        let name: Arc<str> = name.into();
        let default = config.default_on_fail();
        let mut rules = Vec::new();
        let mut plans: Vec<Vec<Step>> = vec![steps(&default.0)];
        let mut wrong = Vec::new();
        for (index, entry, on_fail) in config.entries() {
            let check = match compile(entry, read) {
                Ok(check) => check,
                Err((member, message)) => {
                    wrong.push((format!("[{index}].{member}"), message));
                    continue;
                }
            };
            let own = entry.on_fail.is_some() || entry.closed_domain.is_some();
            if own {
                plans.push(steps(&on_fail.0));
            }
            let by = By {
                validator: name.clone(),
                check: check.name(),
            };
            let plan = if own { plans.len() - 1 } else { 0 };
            let plan = self.plans.len() + plan;
            let refuse = entry.closed_domain.as_ref().map(|it| it.refuse.clone());
            let say = entry.say.clone().or(refuse).unwrap_or_default();
            rules.push(Rule {
                by,
                check,
                plan,
                say,
            });
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        self.rules.extend(rules);
        self.plans.extend(plans);
        Ok(())
    }

    /// All checks that an answer fails, by their numbers, whatever would be done about it.
    pub fn audit(&self, answer: &Answer, asked: &Asked) -> Vec<(usize, Failure)> {
        let rules = self.rules.iter().enumerate();
        let failed = rules.filter_map(|(number, rule)| {
            let mut choices = answer.choices.values();
            let failure = choices.find_map(|choice| rule.check.run(choice, asked).err())?;
            Some((number, failure))
        });
        failed.collect()
    }

    /// Whether a check lays the answer beside what was asked or given.
    pub fn needs_context(&self) -> bool {
        self.rules.iter().any(|rule| rule.check.needs_context())
    }

    /// What models are told before everything else, for closed domains.
    pub fn instruction(&self) -> Option<String> {
        let mut refusals = self.rules.iter().filter_map(|rule| match &rule.check {
            Check::ClosedDomain(refuse, _) => Some(refuse),
            _ => None,
        });
        refusals.next().map(|refuse| {
            format!("Answer only from the context that is given in this conversation, and add nothing to it. If the answer is not in it, say exactly this and nothing else: {refuse}")
        })
    }

    /// Whether a check looks at the request besides the answer.
    pub fn needs_request(&self) -> bool {
        self.rules.iter().any(|rule| rule.check.needs_request())
    }
}

fn steps(config: &[StepConfig]) -> Vec<Step> {
    config.iter().copied().map(Step::from).collect()
}

fn compile(entry: &CheckSection, read: ReadFile<'_>) -> Result<Check, (&'static str, String)> {
    let texts = |config: &TextsConfig| config.0.clone();
    let named = |member| move |message| (member, message);
    Ok(match entry {
        CheckSection {
            check: Some(BareConfig(check)),
            ..
        } => match check {
            BareCheck::NotEmpty => Check::NotEmpty,
            BareCheck::Json => Check::Json,
            BareCheck::ResponseFormat => Check::ResponseFormat,
            BareCheck::NoRefusal => Check::NoRefusal,
            BareCheck::NoTruncation => Check::NoTruncation,
            BareCheck::NoRepetition => Check::NoRepetition,
            BareCheck::NoGibberish => Check::NoGibberish,
            BareCheck::NoInvisible => Check::NoInvisible,
            BareCheck::ToolArguments => Check::ToolArguments,
        },
        CheckSection {
            length: Some(length),
            ..
        } => Check::Length(Length::new(length)),
        CheckSection {
            json_schema: Some(config),
            ..
        } => Check::Schema(Box::new(
            schema(config, read).map_err(named("json_schema"))?,
        )),
        CheckSection {
            regex: Some(it), ..
        } => Check::Regex(regex(it).map_err(named("regex"))?),
        CheckSection {
            not_regex: Some(it),
            ..
        } => Check::NotRegex(regex(it).map_err(named("not_regex"))?, longest(it)),
        CheckSection {
            contains: Some(it), ..
        } => Check::Contains(texts(it)),
        CheckSection {
            not_contains: Some(it),
            ..
        } => Check::NotContains(texts(it)),
        CheckSection {
            starts_with: Some(it),
            ..
        } => Check::StartsWith(texts(it)),
        CheckSection {
            ends_with: Some(it),
            ..
        } => Check::EndsWith(texts(it)),
        CheckSection {
            one_of: Some(it), ..
        } => Check::OneOf(texts(it)),
        CheckSection {
            banned_words: Some(it),
            ..
        } => Check::BannedWords(Words::new(&it.0)),
        CheckSection {
            links: Some(it), ..
        } => Check::Links(texts(it)),
        CheckSection {
            relevance: Some(it),
            ..
        } => Check::Relevance(it.min),
        CheckSection {
            grounding: Some(it),
            ..
        } => Check::Grounding(it.min),
        CheckSection {
            closed_domain: Some(it),
            ..
        } => Check::ClosedDomain(it.refuse.clone(), it.min),
        _ => return Err(("check", "checks nothing".to_owned())),
    })
}

fn schema(config: &SchemaConfig, read: ReadFile<'_>) -> Result<Schema, String> {
    let value = match config {
        SchemaConfig::Inline(members) => Value::Object(members.clone()),
        SchemaConfig::File(path) => {
            let text = read(path)?;
            let wrong = |error| format!("the file {path} is not JSON: {error}");
            serde_json::from_str(&text).map_err(wrong)?
        }
    };
    Schema::new(&value)
}

/// Bytes of the longest match of an expression that compiles, where there is a longest.
fn longest(text: &str) -> Option<usize> {
    let parsed = regex_automata::util::syntax::parse(text).ok()?;
    parsed.properties().maximum_len()
}

/// Compiles an expression, for matching in linear time.
fn regex(text: &str) -> Result<Regex, String> {
    let config = Config::new().nfa_size_limit(Some(REGEX_BYTES));
    let built = Regex::builder().configure(config).build(text);
    built.map_err(|error| {
        let why = match (error.syntax_error(), error.size_limit()) {
            (Some(syntax), _) => syntax.to_string(),
            (_, Some(_)) => "it is too large".to_owned(),
            _ => error.to_string(),
        };
        // The parser draws the expression over several lines, and says what is wrong in the last one.
        let last = why.lines().last().unwrap_or_default();
        format!(
            "the expression can't be used: {}",
            last.trim_start_matches("error: ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_explode_or_look_around_are_refused() {
        for (text, word) in [
            ("(a", "unclosed group"),
            ("(?=a)", "look-around"),
            (r"(a)\1", "backreferences"),
            ("(((a{1000}){1000}){1000})", "too large"),
        ] {
            let error = regex(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        // The classic of backtracking engines, on a text of a megabyte.
        let slow = regex("(a+)+$").unwrap();
        let text = "a".repeat(1 << 20) + "b";
        assert!(!slow.is_match(&text));
    }
}
