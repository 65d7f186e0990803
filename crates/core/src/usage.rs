//! Token counts in one normal form, whatever the provider calls them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where a token count comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider reported it.
    Provider,
    /// Counted here with the model's own tokenizer, because the provider said nothing.
    Counted,
    /// Derived here from the size of the text, because the provider said nothing and the text could not be counted.
    #[default]
    Estimated,
}

/// Tokens of one upstream call, in parts that never overlap.
///
/// OpenAI's `prompt_tokens` is `input + cache_read + cache_write_5m + cache_write_1h`; Anthropic's
/// `input_tokens` is `input` alone. `reasoning` is a part of `output`, not an addition to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens that were neither read from nor written to a provider's prompt cache.
    pub input: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input tokens written to the provider's prompt cache for five minutes.
    pub cache_write_5m: u64,
    /// Input tokens written to the provider's prompt cache for an hour.
    pub cache_write_1h: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Output tokens spent on reasoning; a part of `output`.
    pub reasoning: u64,
    /// Who counted.
    pub source: UsageSource,
}

/// The usual form of an OpenAI `usage` object.
#[derive(Deserialize)]
struct OpenAiUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_cache_hit_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize, Default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl OpenAiUsage {
    fn normal(self) -> Option<Usage> {
        if self.prompt_tokens.is_none() && self.completion_tokens.is_none() {
            return None;
        }
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let completion = self.completion_tokens_details.unwrap_or_default();
        let cache_read = prompt.cached_tokens.or(self.prompt_cache_hit_tokens);
        let (cache_read, cache_write) = (
            cache_read.unwrap_or(0),
            prompt.cache_write_tokens.unwrap_or(0),
        );
        let cached = cache_read.saturating_add(cache_write);
        Some(Usage {
            input: self.prompt_tokens.unwrap_or(0).saturating_sub(cached),
            cache_read,
            cache_write_5m: cache_write,
            cache_write_1h: 0,
            output: self.completion_tokens.unwrap_or(0),
            reasoning: completion.reasoning_tokens.unwrap_or(0),
            source: UsageSource::Provider,
        })
    }
}

fn number(value: &Value, path: &[&str]) -> Option<u64> {
    let found = path.iter().try_fold(value, |at, key| at.get(key))?;
    // Some servers send whole numbers as floats.
    found.as_u64().or_else(|| {
        let float = found.as_f64()?;
        format!("{float:.0}").parse().ok()
    })
}

impl Usage {
    /// All input tokens, cached or not.
    pub fn input_total(&self) -> u64 {
        [
            self.input,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// The sum of two calls' counts; the source is the first one's.
    #[must_use]
    pub fn plus(&self, other: &Usage) -> Usage {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        Usage {
            input: sum(self.input, other.input),
            cache_read: sum(self.cache_read, other.cache_read),
            cache_write_5m: sum(self.cache_write_5m, other.cache_write_5m),
            cache_write_1h: sum(self.cache_write_1h, other.cache_write_1h),
            output: sum(self.output, other.output),
            reasoning: sum(self.reasoning, other.reasoning),
            source: self.source,
        }
    }

    /// Reads an OpenAI `usage` object from its text. `None` if it holds no token count.
    pub fn from_openai_text(text: &str) -> Option<Self> {
        match serde_json::from_str::<OpenAiUsage>(text) {
            Ok(usage) => usage.normal(),
            // Floats, and members that are no objects: rare, and read with more patience.
            Err(_) => Usage::from_openai(&serde_json::from_str(text).ok()?),
        }
    }

    /// Reads an OpenAI `usage` object. `None` if it holds no token count.
    pub fn from_openai(usage: &Value) -> Option<Self> {
        let prompt = number(usage, &["prompt_tokens"]);
        let completion = number(usage, &["completion_tokens"]);
        if prompt.is_none() && completion.is_none() {
            return None;
        }
        let details = "prompt_tokens_details";
        let cache_read = number(usage, &[details, "cached_tokens"])
            .or_else(|| number(usage, &["prompt_cache_hit_tokens"]))
            .unwrap_or(0);
        let cache_write = number(usage, &[details, "cache_write_tokens"]).unwrap_or(0);
        let cached = cache_read.saturating_add(cache_write);
        Some(Usage {
            input: prompt.unwrap_or(0).saturating_sub(cached),
            cache_read,
            cache_write_5m: cache_write,
            cache_write_1h: 0,
            output: completion.unwrap_or(0),
            reasoning: number(usage, &["completion_tokens_details", "reasoning_tokens"])
                .unwrap_or(0),
            source: UsageSource::Provider,
        })
    }

    /// Writes the OpenAI form (`prompt_tokens` with its details).
    pub fn to_openai(&self) -> Value {
        let (input, output) = (self.input_total(), self.output);
        json!({
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input.saturating_add(output),
            "prompt_tokens_details": {
                "cached_tokens": self.cache_read,
                "cache_write_tokens": self.cache_write_5m.saturating_add(self.cache_write_1h),
            },
            "completion_tokens_details": { "reasoning_tokens": self.reasoning },
        })
    }

    /// Takes over what an Anthropic `usage` object says. Its counts are cumulative: later ones replace
    /// earlier ones, and a field that is absent keeps its value.
    pub fn merge_anthropic(&mut self, usage: &Value) {
        let mut set = |field: &mut u64, path: &[&str]| {
            if let Some(count) = number(usage, path) {
                *field = count;
                self.source = UsageSource::Provider;
            }
        };
        set(&mut self.input, &["input_tokens"]);
        set(&mut self.cache_read, &["cache_read_input_tokens"]);
        set(&mut self.output, &["output_tokens"]);
        set(
            &mut self.reasoning,
            &["output_tokens_details", "thinking_tokens"],
        );
        let five = number(usage, &["cache_creation", "ephemeral_5m_input_tokens"]);
        let hour = number(usage, &["cache_creation", "ephemeral_1h_input_tokens"]);
        if five.is_some() || hour.is_some() {
            self.cache_write_5m = five.unwrap_or(0);
            self.cache_write_1h = hour.unwrap_or(0);
        } else if let Some(all) = number(usage, &["cache_creation_input_tokens"]) {
            self.cache_write_5m = all;
        }
    }

    /// Writes the Anthropic form (`input_tokens` without the cached ones).
    pub fn to_anthropic(&self) -> Value {
        json!({
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_write_5m.saturating_add(self.cache_write_1h),
            "cache_read_input_tokens": self.cache_read,
            "output_tokens": self.output,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_prompt_tokens_include_the_cached_ones() {
        let usage = Usage::from_openai(&json!({
            "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 60},
            "completion_tokens_details": {"reasoning_tokens": 5},
        }))
        .unwrap();
        assert_eq!(
            (usage.input, usage.cache_read, usage.output, usage.reasoning),
            (40, 60, 20, 5)
        );
        assert_eq!(usage.to_openai()["prompt_tokens"], 100);
        assert_eq!(usage.to_anthropic()["input_tokens"], 40);
    }

    #[test]
    fn both_readers_of_openai_usage_agree() {
        for text in [
            r#"{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":5}}"#,
            r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":4,"prompt_tokens_details":null}"#,
            r#"{"prompt_tokens":9.0,"completion_tokens":2,"prompt_tokens_details":[]}"#,
            r#"{"completion_tokens":0}"#,
            "{}",
            "null",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            let patient = Usage::from_openai(&value);
            assert_eq!(Usage::from_openai_text(text), patient, "{text}");
        }
    }

    #[test]
    fn anthropic_counts_are_cumulative() {
        let mut usage = Usage::default();
        usage.merge_anthropic(&json!({"input_tokens": 10, "cache_read_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}, "output_tokens": 1}));
        usage.merge_anthropic(&json!({"output_tokens": 42}));
        assert_eq!(
            (usage.input, usage.output, usage.input_total()),
            (10, 42, 22)
        );
        assert_eq!(usage.to_openai()["prompt_tokens"], 22);
    }

    #[test]
    fn an_empty_usage_is_no_usage() {
        assert_eq!(Usage::from_openai(&json!({})), None);
        assert_eq!(Usage::from_openai(&Value::Null), None);
    }
}
