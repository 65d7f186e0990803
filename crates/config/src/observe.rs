//! The part of the file about looking at what happens: alerts; evaluations are in `evals.rs`, metrics and traces for
//! other systems in `telemetry.rs`.

use crate::evals::EvalConfig;
use crate::scalar::{Span, text_scalar};
use crate::secret::Secret;
use crate::telemetry::{MetricsConfig, OtlpConfig};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How the gateway is observed.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObserveConfig {
    /// Rules over the records of the last minutes, and whom they tell.
    pub alerts: Vec<AlertConfig>,
    /// How often the rules are looked at. Default `15s`.
    pub alerts_every: Span,
    /// Evaluations of a sampled share of recorded answers, away from the request path.
    pub evals: Vec<EvalConfig>,
    /// Metrics in the Prometheus format. `/metrics` on the admin listener is always there, with the token.
    pub metrics: MetricsConfig,
    /// Traces and metrics to an OpenTelemetry endpoint. Default: none.
    pub otlp: Option<OtlpConfig>,
}

impl Default for ObserveConfig {
    fn default() -> Self {
        ObserveConfig {
            alerts: Vec::new(),
            alerts_every: Span(Duration::from_secs(15)),
            evals: Vec::new(),
            metrics: MetricsConfig::default(),
            otlp: None,
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertConfig {
    /// The condition, such as `error_rate > 5% for 5m`, `ttft_p95 > 3s for 5m`, `spend_per_minute > 2 USD for 10m`, `thumbs_down_rate > 30% for 1h`, `score.relevance < 0.6 for 1d`, `drift > 0`.
    pub when: AlertCondition,
    /// Only exchanges of this route. Default: all.
    #[serde(default)]
    pub route: Option<String>,
    /// Its name in messages. Default: the condition.
    #[serde(default)]
    pub name: Option<String>,
    /// Who is told: `log`, `webhook:env:NAME`, `slack:env:NAME` (addresses are secrets). Default: the log.
    #[serde(default)]
    pub to: Vec<AlertTarget>,
}

/// What an alert looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    /// Share of exchanges that failed, 0 to 1.
    ErrorRate,
    /// Share of exchanges whose client left, 0 to 1.
    GoneRate,
    /// Quantile (in hundredths) of the time to the first content, in seconds.
    Ttft(u8),
    /// Quantile of the whole time, in seconds.
    Total(u8),
    /// Quantile of the gateway's own time, in seconds.
    Overhead(u8),
    /// Exchanges in a minute.
    RequestsPerMinute,
    /// Tokens in a minute.
    TokensPerMinute,
    /// US dollars in a minute.
    SpendPerMinute,
    /// US dollars within the time of the rule: a budget.
    Spend,
    /// Share of thumbs that point down, 0 to 1.
    ThumbsDownRate,
    /// Requests with which a soft share of a limit was reached.
    LimitsSoft,
    /// Requests that limits refused.
    LimitsRefused,
    /// Mean of a score, 0 to 1.
    Score(String),
    /// Measures (scores, lengths, refusals, languages) whose distribution has shifted on the last whole day.
    Drift,
}

/// `MEASURE > VALUE for SPAN`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertCondition {
    text: String,
    /// What is looked at.
    pub measure: Measure,
    /// True: more than the value is bad. False: less.
    pub above: bool,
    /// In the measure's unit.
    pub value: f64,
    /// How far back the measure reaches.
    pub span: Duration,
}

/// Reaches back so far where the condition does not say.
const SPAN: Duration = Duration::from_secs(300);
/// Farthest reach: the rollups of thirty days.
const SPAN_MAX: Duration = Duration::from_secs(30 * 86_400);

fn measure(name: &str) -> Option<Measure> {
    let quantile = |percent: &str| match percent {
        "50" => Some(50),
        "90" => Some(90),
        "95" => Some(95),
        "99" => Some(99),
        _ => None,
    };
    if let Some(rubric) = name.strip_prefix("score.") {
        return (!rubric.is_empty()).then(|| Measure::Score(rubric.to_owned()));
    }
    let time = name
        .rsplit_once("_p")
        .filter(|(_, percent)| percent.bytes().all(|b| b.is_ascii_digit()));
    if let Some((time, percent)) = time {
        let percent = quantile(percent)?;
        return match time {
            "ttft" => Some(Measure::Ttft(percent)),
            "total" => Some(Measure::Total(percent)),
            "overhead" => Some(Measure::Overhead(percent)),
            _ => None,
        };
    }
    Some(match name {
        "error_rate" => Measure::ErrorRate,
        "gone_rate" => Measure::GoneRate,
        "requests_per_minute" => Measure::RequestsPerMinute,
        "tokens_per_minute" => Measure::TokensPerMinute,
        "spend_per_minute" => Measure::SpendPerMinute,
        "spend" => Measure::Spend,
        "thumbs_down_rate" => Measure::ThumbsDownRate,
        "limits_soft" => Measure::LimitsSoft,
        "limits_refused" => Measure::LimitsRefused,
        "drift" => Measure::Drift,
        _ => return None,
    })
}

/// A value in the unit of its measure: shares and times are converted.
fn value(measure: &Measure, text: &str) -> Result<f64, String> {
    let text = text.trim();
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite() && *n >= 0.0)
    };
    let found = match measure {
        Measure::ErrorRate | Measure::GoneRate | Measure::ThumbsDownRate => {
            match text.strip_suffix('%') {
                Some(percent) => number(percent).map(|n| n / 100.0),
                None => number(text),
            }
            .filter(|share| *share <= 1.0)
            .ok_or("expected a share such as `5%`")
        }
        Measure::Ttft(_) | Measure::Total(_) | Measure::Overhead(_) => text
            .parse::<Span>()
            .map(|span| span.0.as_secs_f64())
            .map_err(|_| "expected a time such as `3s` or `800ms`"),
        Measure::SpendPerMinute | Measure::Spend => {
            number(text.trim_end_matches("USD")).ok_or("expected an amount such as `2 USD`")
        }
        Measure::RequestsPerMinute
        | Measure::TokensPerMinute
        | Measure::LimitsSoft
        | Measure::LimitsRefused
        | Measure::Score(_)
        | Measure::Drift => number(text).ok_or("expected a number"),
    };
    found.map_err(str::to_owned)
}

impl FromStr for AlertCondition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (condition, span) = match text.split_once(" for ") {
            None => (text, SPAN),
            Some((condition, span)) => (condition, span.trim().parse::<Span>()?.0),
        };
        if span < Duration::from_secs(60) || span > SPAN_MAX {
            return Err("expected a time from `1m` to `30d` behind `for`".to_owned());
        }
        let at = condition
            .find(['<', '>'])
            .ok_or("expected a condition such as `error_rate > 5% for 5m`")?;
        let (name, rest) = (
            condition.get(..at).unwrap_or_default().trim(),
            condition.get(at..).unwrap_or_default(),
        );
        let measure = measure(name).ok_or_else(|| {
            format!(
                "`{name}` is not known; expected one of error_rate, gone_rate, ttft_p50/p90/p95/p99, total_p95, overhead_p95, requests_per_minute, \
                 tokens_per_minute, spend_per_minute, spend, thumbs_down_rate, limits_soft, limits_refused, score.NAME, drift"
            )
        })?;
        let value = value(&measure, rest.get(1..).unwrap_or_default())?;
        Ok(AlertCondition {
            text: text.trim().to_owned(),
            above: rest.starts_with('>'),
            measure,
            value,
            span,
        })
    }
}

impl fmt::Display for AlertCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Who is told of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertTarget {
    /// The process's log.
    Log,
    /// JSON to an address.
    Webhook(Secret),
    /// A message to a Slack-compatible address.
    Slack(Secret),
}

impl FromStr for AlertTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "log" => Ok(AlertTarget::Log),
            Some(("webhook", secret)) => Ok(AlertTarget::Webhook(secret.parse()?)),
            Some(("slack", secret)) => Ok(AlertTarget::Slack(secret.parse()?)),
            _ => Err("expected `log`, `webhook:env:NAME` or `slack:env:NAME`".to_owned()),
        }
    }
}

impl fmt::Display for AlertTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlertTarget::Log => f.write_str("log"),
            AlertTarget::Webhook(secret) => write!(f, "webhook:{secret}"),
            AlertTarget::Slack(secret) => write!(f, "slack:{secret}"),
        }
    }
}

text_scalar!(
    AlertCondition,
    "alert-condition",
    "A condition: `error_rate > 5% for 5m`."
);
text_scalar!(
    AlertTarget,
    "alert-target",
    "`log`, `webhook:env:NAME` or `slack:env:NAME`."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let read = |text: &str| text.parse::<AlertCondition>().unwrap();
        let slow = read("ttft_p95 > 800ms for 10m");
        assert_eq!(
            (slow.measure, slow.above, slow.value, slow.span),
            (Measure::Ttft(95), true, 0.8, Duration::from_secs(600))
        );
        assert_eq!(
            (read("error_rate>5%").value, read("error_rate > 0.05").span),
            (0.05, SPAN)
        );
        assert_eq!(
            read("score.relevance < 0.6 for 1d").measure,
            Measure::Score("relevance".into())
        );
        assert_eq!(read("spend > 20 USD for 1d").value, 20.0);
        assert_eq!(
            read("requests_per_minute > 100").measure,
            Measure::RequestsPerMinute
        );
        for (bad, expected) in [
            ("error_rate", "expected a condition such as"),
            ("errors > 5%", "`errors` is not known"),
            ("ttft_p97 > 1s", "is not known"),
            ("error_rate > 500%", "expected a share"),
            ("ttft_p95 > 3", "expected a time such as `3s`"),
            ("error_rate > 5% for 5s", "from `1m` to `30d`"),
            ("spend > much", "expected an amount"),
        ] {
            let error = bad.parse::<AlertCondition>().unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
        }
        assert_eq!(
            "slack:env:HOOK".parse::<AlertTarget>().unwrap().to_string(),
            "slack:env:HOOK"
        );
        assert!(
            "webhook:https://hooks.example/secret"
                .parse::<AlertTarget>()
                .is_err()
        );
    }
}
