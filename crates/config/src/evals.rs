//! The part of the file about evaluations of answers.

use crate::scalar::{Span, Usd, text_scalar};
use aplomb_core::money::NanoUsd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One evaluation. Its scores join the records; `aplomb eval report` shows them with their agreement with people.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    /// Its name in scores. Samples follow from it and the record's id: the same answers on every node.
    pub name: String,
    /// Routes whose answers are judged, as they stand in the file. They must record text.
    #[schemars(length(min = 1, max = 64))]
    pub routes: Vec<String>,
    /// Share of answers that is judged, such as `5%`. Default `5%`.
    #[serde(default)]
    pub sample: Share,
    /// Checks without a model: `empty`, `refusal`, `length`, `repetition`, `language_match`.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Least characters of an answer, for the rule `length`. Default 1.
    #[serde(default)]
    pub chars_min: Option<u64>,
    /// Most characters of an answer, for the rule `length`. Default: no bound.
    #[serde(default)]
    pub chars_max: Option<u64>,
    /// What the judge is asked: `relevance`, `groundedness`, `helpfulness`, `refusal`, `toxicity`, or a statement of several words, with a name before it if you like (`tone: The answer is polite`).
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub rubrics: Vec<String>,
    /// Who judges: `provider/model` or a route. It sees text as it was recorded, and must have agreed to all that the judged routes require of their providers. Its price must be known.
    #[serde(default)]
    pub judge: Option<String>,
    /// What the judge may cost, such as `3 USD per 1d`; judging stops when it is used up. Needed with a judge. Windows begin at multiples of their length since 1970 (UTC).
    #[serde(default)]
    pub budget: Option<MoneyRate>,
    /// Longest wait for a verdict. Default `60s`.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Most output tokens of a verdict, reasoning included. Default 1024.
    #[serde(default = "output_tokens")]
    #[schemars(range(min = 16, max = 65536))]
    pub max_output_tokens: u64,
}

fn timeout() -> Span {
    Span(Duration::from_secs(60))
}

fn output_tokens() -> u64 {
    1024
}

/// A share: `5%` or `0.05`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);

impl Default for Share {
    fn default() -> Self {
        Share(0.05)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (number, scale) = match text.strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let share = number.parse::<f64>().ok().filter(|_| plain);
        share
            .map(|number| number / scale)
            .filter(|share| (0.0..=1.0).contains(share))
            .map(Share)
            .ok_or_else(|| "expected a share such as `5%` or `0.05`".to_owned())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Thousandths of a percent are enough, and hide what division leaves behind.
        write!(f, "{}%", (self.0 * 1e5).round() / 1e3)
    }
}

/// Money in a window of time: `3 USD per 1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoneyRate {
    /// Most money of a window.
    pub amount: NanoUsd,
    /// Length of the window.
    pub window: Duration,
}

impl FromStr for MoneyRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = "expected money per time, such as `3 USD per 1d`";
        let (amount, window) = text.split_once(" per ").ok_or(wrong)?;
        let amount: Usd = amount.parse()?;
        let window: Span = window.parse()?;
        if window.0.is_zero() {
            return Err(wrong.to_owned());
        }
        Ok(MoneyRate {
            amount: amount.0,
            window: window.0,
        })
    }
}

impl fmt::Display for MoneyRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD per {}", self.amount, Span(self.window))
    }
}

text_scalar!(Share, "share", "A share: `5%` or `0.05`.");
text_scalar!(
    MoneyRate,
    "money-rate",
    "Money in a window of time: `3 USD per 1d`."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_rates_are_read_and_written() {
        for (text, share) in [
            ("5%", 0.05),
            ("0.05", 0.05),
            ("100%", 1.0),
            ("0.5 %", 0.005),
            ("1", 1.0),
        ] {
            assert_eq!(text.parse(), Ok(Share(share)), "{text}");
        }
        assert_eq!(Share(0.07).to_string(), "7%");
        for text in ["", "%", "101%", "-1%", "2", "NaN", "1e-2", "five"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        let rate: MoneyRate = "3 USD per 1d".parse().unwrap();
        assert_eq!(
            (rate.amount, rate.window.as_secs()),
            (NanoUsd(3_000_000_000), 86_400)
        );
        assert_eq!(rate.to_string(), "3 USD per 1d");
        for text in [
            "3 USD",
            "3 USD per",
            "3 USD per 0s",
            "x per 1d",
            "3 per day",
        ] {
            assert!(text.parse::<MoneyRate>().is_err(), "{text}");
        }
    }
}
