//! Recognizers that the operator writes: a pattern or a list of words, words that must stand
//! near, and one of our checks.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use regex_automata::meta::Regex;
use serde::{Deserialize, Serialize};

use super::bytes::{at, before, digits_of, is_word};
use super::entity::{Entity, EntityKind, Strength};
use super::validate::{self, americas, asia, bank, europe, nordic};

/// Size limit of one compiled pattern, in bytes: a pattern that needs more is a mistake.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// A recognizer as written in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustomRecognizer {
    /// Kind of what is found, `EMPLOYEE_ID`. A built-in name adds to that kind.
    pub kind: String,
    /// Regular expression without look-around. Example: `EMP-[0-9]{6}`.
    pub pattern: Option<String>,
    /// Words or phrases, matched whole and in any ASCII case.
    pub words: Vec<String>,
    /// If not empty, one of these must stand within 48 bytes before or 24 after.
    pub context: Vec<String>,
    /// Check that the digits (or letters and digits) must pass: `luhn`, `verhoeff`, `mod97`,
    /// `iso7064`, `iban`, `card`, or the name of a national number in lower case.
    pub validator: Option<String>,
    /// Score of a finding, `0.0..=1.0`; 0 means 0.8.
    pub score: f32,
}

/// Whether a recognizer can be used.
///
/// # Errors
/// What is wrong with it.
pub fn try_out(custom: &CustomRecognizer) -> Result<(), CustomError> {
    Compiled::new(custom).map(|_| ())
}

/// Why a custom recognizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CustomError {
    #[error("recognizer without a kind: set `kind`, for example `EMPLOYEE_ID`")]
    NoKind,
    #[error("recognizer `{kind}` finds nothing: set `pattern` or `words`")]
    Empty { kind: String },
    #[error("recognizer `{kind}`: pattern does not compile: {reason}")]
    Pattern { kind: String, reason: String },
    #[error("recognizer `{kind}`: pattern matches the empty text")]
    MatchesNothing { kind: String },
    #[error("recognizer `{kind}`: word list does not compile: {reason}")]
    Words { kind: String, reason: String },
    #[error("recognizer `{kind}`: no validator `{validator}`; known are {known}")]
    Validator {
        kind: String,
        validator: String,
        known: String,
    },
    #[error("recognizer `{kind}`: score {score} is not between 0 and 1")]
    Score { kind: String, score: f32 },
}

impl CustomError {
    /// The member of the recognizer that is wrong, as it is called in the file; none if that is the whole.
    pub fn member(&self) -> Option<&'static str> {
        match self {
            CustomError::Pattern { .. } | CustomError::MatchesNothing { .. } => Some("pattern"),
            CustomError::Words { .. } => Some("words"),
            CustomError::Validator { .. } => Some("validator"),
            CustomError::NoKind | CustomError::Empty { .. } | CustomError::Score { .. } => None,
        }
    }
}

/// What a check takes.
#[derive(Clone, Copy)]
enum Check {
    Digits(fn(&[u8]) -> bool),
    Text(fn(&[u8]) -> bool),
}

const CHECKS: &[(&str, Check)] = &[
    ("luhn", Check::Digits(validate::luhn)),
    ("verhoeff", Check::Digits(validate::verhoeff)),
    ("iso7064", Check::Digits(validate::iso7064_mod11_10)),
    ("card", Check::Digits(bank::card)),
    ("iban", Check::Text(bank::iban)),
    ("aba", Check::Digits(bank::aba)),
    ("us_ssn", Check::Digits(americas::ssn)),
    ("us_npi", Check::Digits(americas::npi)),
    ("br_cpf", Check::Digits(americas::cpf)),
    ("br_cnpj", Check::Digits(americas::cnpj)),
    ("ca_sin", Check::Digits(americas::sin)),
    ("uk_nhs", Check::Digits(europe::nhs)),
    ("nl_bsn", Check::Digits(europe::nl_bsn)),
    ("pt_nif", Check::Digits(europe::pt_nif)),
    ("pl_pesel", Check::Digits(europe::pl_pesel)),
    ("de_tax_id", Check::Digits(europe::de_tax_id)),
    ("es_nif", Check::Text(europe::es_nif)),
    ("se_personnummer", Check::Digits(nordic::personnummer)),
    ("in_aadhaar", Check::Digits(asia::aadhaar)),
    ("au_tfn", Check::Digits(asia::tfn)),
    ("sg_nric", Check::Text(asia::nric)),
];

/// A compiled recognizer.
pub(super) struct Compiled {
    kind: EntityKind,
    pattern: Option<Regex>,
    words: Option<AhoCorasick>,
    context: Option<AhoCorasick>,
    check: Option<Check>,
    score: f32,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Compiled {
    /// # Errors
    /// [`CustomError`] names the recognizer and what is wrong with it.
    pub(super) fn new(custom: &CustomRecognizer) -> Result<Self, CustomError> {
        let kind = custom.kind.trim().to_owned();
        if kind.is_empty() {
            return Err(CustomError::NoKind);
        }
        if custom.pattern.is_none() && custom.words.is_empty() {
            return Err(CustomError::Empty { kind });
        }
        if !(0.0..=1.0).contains(&custom.score) {
            return Err(CustomError::Score {
                kind,
                score: custom.score,
            });
        }
        Ok(Self {
            pattern: custom
                .pattern
                .as_deref()
                .map(|pattern| compile(&kind, pattern))
                .transpose()?,
            words: list(&kind, &custom.words)?,
            context: list(&kind, &custom.context)?,
            check: custom
                .validator
                .as_deref()
                .map(|name| check(&kind, name))
                .transpose()?,
            kind: EntityKind::parse(&kind)
                .unwrap_or_else(|| EntityKind::Custom(Arc::from(kind.to_ascii_uppercase()))),
            score: if custom.score == 0.0 {
                0.8
            } else {
                custom.score
            },
        })
    }

    pub(super) fn find(&self, text: &str, out: &mut Vec<Entity>) {
        if let Some(pattern) = &self.pattern {
            for found in pattern.find_iter(text) {
                self.push(text, found.start(), found.end(), out);
            }
        }
        if let Some(words) = &self.words {
            for found in words.find_iter(text) {
                let (left, right) = (
                    before(text.as_bytes(), found.start()),
                    at(text.as_bytes(), found.end()),
                );
                if !is_word(left) && !is_word(right) {
                    self.push(text, found.start(), found.end(), out);
                }
            }
        }
    }

    fn push(&self, text: &str, start: usize, end: usize, out: &mut Vec<Entity>) {
        let value = text.get(start..end).unwrap_or_default();
        if value.is_empty() || !self.passes(value) || !self.is_named(text, start, end) {
            return;
        }
        let strength = match (self.check, &self.context) {
            (Some(_), _) => Strength::Checksum,
            _ => Strength::Context,
        };
        out.push(
            Entity::new(start..end, self.kind.clone(), strength, self.score)
                .because("custom recognizer", None),
        );
    }

    fn passes(&self, value: &str) -> bool {
        match self.check {
            None => true,
            Some(Check::Digits(check)) => check(&digits_of(value.as_bytes())),
            Some(Check::Text(check)) => {
                let text: Vec<u8> = value.bytes().filter(u8::is_ascii_alphanumeric).collect();
                check(&text.to_ascii_uppercase())
            }
        }
    }

    fn is_named(&self, text: &str, start: usize, end: usize) -> bool {
        let Some(context) = &self.context else {
            return true;
        };
        let from = text.floor_char_boundary(start.saturating_sub(48));
        let to = text.ceil_char_boundary((end + 24).min(text.len()));
        let around = [text.get(from..start), text.get(end..to)];
        around
            .into_iter()
            .flatten()
            .any(|part| context.is_match(part))
    }
}

fn compile(kind: &str, pattern: &str) -> Result<Regex, CustomError> {
    let config = Regex::config()
        .nfa_size_limit(Some(PATTERN_SIZE_MAX))
        .hybrid_cache_capacity(PATTERN_SIZE_MAX);
    let regex = Regex::builder().configure(config).build(pattern);
    let regex = regex.map_err(|error| {
        let reason = error
            .syntax_error()
            .map_or_else(|| error.to_string(), ToString::to_string);
        CustomError::Pattern {
            kind: kind.to_owned(),
            reason,
        }
    })?;
    if regex.is_match("") {
        return Err(CustomError::MatchesNothing {
            kind: kind.to_owned(),
        });
    }
    Ok(regex)
}

fn list(kind: &str, words: &[String]) -> Result<Option<AhoCorasick>, CustomError> {
    let words: Vec<&str> = words
        .iter()
        .map(|word| word.trim())
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return Ok(None);
    }
    let built = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(words);
    built.map(Some).map_err(|error| CustomError::Words {
        kind: kind.to_owned(),
        reason: error.to_string(),
    })
}

fn check(kind: &str, name: &str) -> Result<Check, CustomError> {
    let found = CHECKS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
    found.map(|&(_, check)| check).ok_or_else(|| {
        let known: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        CustomError::Validator {
            kind: kind.to_owned(),
            validator: name.to_owned(),
            known: known.join(", "),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(pattern: &str) -> CustomRecognizer {
        CustomRecognizer {
            kind: "badge".into(),
            pattern: Some(pattern.into()),
            ..CustomRecognizer::default()
        }
    }

    #[track_caller]
    fn check_found(recognizer: &CustomRecognizer, text: &str, expected: &[&str]) {
        let mut out = Vec::new();
        Compiled::new(recognizer).unwrap().find(text, &mut out);
        let values: Vec<&str> = out
            .iter()
            .map(|entity| &text[entity.range.clone()])
            .collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn patterns_lists_context_and_checks() {
        check_found(
            &custom("B-[0-9]{3}"),
            "B-123 and B-456",
            &["B-123", "B-456"],
        );
        let near = CustomRecognizer {
            context: vec!["badge".into()],
            ..custom("[0-9]{3}")
        };
        check_found(&near, "badge 123", &["123"]);
        check_found(&near, "line 123", &[]);
        let luhn = CustomRecognizer {
            validator: Some("luhn".into()),
            ..custom("[0-9]{11}")
        };
        check_found(&luhn, "79927398713 79927398714", &["79927398713"]);
        let words = CustomRecognizer {
            kind: "project".into(),
            words: vec!["Blue Fox".into()],
            ..CustomRecognizer::default()
        };
        check_found(&words, "the blue fox, bluefox", &["blue fox"]);
    }

    #[test]
    fn mistakes_are_named() {
        let message = |custom: &CustomRecognizer| Compiled::new(custom).unwrap_err().to_string();
        assert!(message(&custom("(")).contains("`badge`: pattern does not compile"));
        assert!(message(&custom("a*")).contains("empty text"));
        assert!(message(&CustomRecognizer::default()).contains("set `kind`"));
        let unknown = CustomRecognizer {
            validator: Some("lun".into()),
            ..custom("a")
        };
        assert!(message(&unknown).contains("no validator `lun`; known are luhn"));
    }
}
