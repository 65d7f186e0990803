//! What a request may use, before it is known.
//!
//! Under a limit of tokens it is what such requests usually use: an estimate of the input, and for the output nine of ten
//! recent answers. Under a limit of money it is the most that it can use: a token for each byte of the input, and the bound of the
//! output, which is sent to the provider.

use crate::policy::Route;
use aplomb_catalog::price::Price;
use aplomb_catalog::prices::Prices;
use aplomb_core::request::{ChatRequest, Operation};
use aplomb_core::usage::Usage;
use aplomb_limits::rule::Meter;
use aplomb_providers::call::Kind;
use aplomb_providers::openai::quirks::MaxTokensField;
use serde::Deserialize;
use std::sync::Arc;

/// Output tokens of an answer of which nothing is known. Chosen: a long answer.
const OUTPUT: u64 = 1000;
/// Most output tokens of an answer where neither the client nor the price list says. Chosen: what large models give at most.
const OUTPUT_MAX: u64 = 128_000;
/// Tokens that a provider adds to a request: its framing, and Anthropic's instructions for tools.
const FRAME: u64 = 600;
/// Most tokens that a translation to Anthropic adds for thinking, where the client asks for an effort.
const THINKING: u64 = 16_384;
/// Fewest output tokens to which a bound is lowered. Chosen: a few sentences; less helps nobody.
pub(super) const CLAMP_MIN: u64 = 64;

/// What a request may use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Need {
    input: u64,
    input_max: u64,
    /// Of all choices together.
    output: u64,
    /// Of one choice.
    output_max: u64,
    choices: u64,
    prices: Vec<Price>,
    /// A target whose price is not known.
    pub(super) unpriced: Option<Arc<str>>,
    /// The bound of the output was lowered to this.
    pub(super) clamped: Option<u64>,
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Legacy completions may be made several times and shown once.
fn best_of(request: &ChatRequest) -> u64 {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        best_of: Option<u64>,
    }
    if request.operation != Operation::Completions {
        return 1;
    }
    let body = serde_json::from_slice::<Body>(&request.body).ok();
    body.and_then(|body| body.best_of).unwrap_or(1)
}

impl Need {
    /// What a request for a route may use, where answers like its one recently had `usual` tokens.
    pub(super) fn of(
        request: &ChatRequest,
        route: &Route,
        (prices, at_ms): (&Prices, u64),
        usual: Option<u64>,
    ) -> Self {
        let answers = !matches!(
            request.operation,
            Operation::Embeddings | Operation::CountTokens
        );
        let choices = u64::from(request.choices).max(best_of(request));
        let bound = request.max_output_tokens;
        let mut need = Need {
            input: wide(request.body.len().div_ceil(4)),
            input_max: wide(request.body.len()).saturating_add(FRAME),
            choices,
            ..Need::default()
        };
        if request.operation == Operation::CountTokens {
            return Need { input: 0, ..need };
        }
        for target in &route.targets {
            if matches!(target.provider.kind, Kind::Practice(_)) {
                continue;
            }
            let (provider, model) = (&target.provider.name, &target.model);
            match prices.price(provider, model, at_ms) {
                Some(price) => need.prices.push(price),
                None => need.unpriced = Some(target.name.clone()),
            }
            if answers {
                let limit = prices.limits(provider, model).max_output;
                let most = bound.unwrap_or(limit.unwrap_or(OUTPUT_MAX));
                let thinks = matches!(target.provider.kind, Kind::Anthropic)
                    && request.operation == Operation::ChatCompletions;
                let most = most.saturating_add(if thinks { THINKING } else { 0 });
                need.output_max = need.output_max.max(most);
            }
        }
        if answers {
            let usual = usual.unwrap_or(OUTPUT);
            need.output = bound
                .map_or(usual, |bound| bound.min(usual))
                .saturating_mul(choices);
        }
        need
    }

    /// What is taken of a meter under a limit. An answer whose length nobody knows is not taken for longer than the limit.
    pub(super) fn amount(&self, meter: Meter, limit: u64) -> u64 {
        let output = |limit: u64| self.output.min(limit.max(1));
        match meter {
            Meter::Requests | Meter::Concurrent => 1,
            Meter::InputTokens => self.input,
            Meter::OutputTokens if self.output == 0 => 0,
            Meter::OutputTokens => output(limit),
            Meter::Tokens if self.output == 0 => self.input,
            Meter::Tokens => self
                .input
                .saturating_add(output(limit.saturating_sub(self.input))),
            Meter::Cost => self.cost(self.clamped.unwrap_or(self.output_max)),
        }
    }

    /// The most that it costs with so many output tokens for each choice, in nano-dollars.
    fn cost(&self, output: u64) -> u64 {
        let usage = Usage {
            input: self.input_max,
            output: output.saturating_mul(self.choices),
            ..Usage::default()
        };
        let costs = self.prices.iter().map(|price| price.cost(&usage).0);
        u64::try_from(costs.max().unwrap_or(0)).unwrap_or(0)
    }

    /// What it will probably cost, in nano-dollars.
    pub(super) fn usual_cost(&self) -> u64 {
        let most = self.clamped.unwrap_or(u64::MAX);
        let usage = Usage {
            input: self.input,
            output: self.output.min(most.saturating_mul(self.choices)),
            ..Usage::default()
        };
        let costs = self.prices.iter().map(|price| price.cost(&usage).0);
        u64::try_from(costs.max().unwrap_or(0)).unwrap_or(0)
    }

    /// What so many output tokens more cost at most.
    pub(super) fn cost_of_more(&self, output: u64, more: u64) -> u64 {
        let after = self.cost(output.saturating_add(more));
        after.saturating_sub(self.cost(output))
    }

    /// Lowers the bound of the output to what so much money pays for. False where that is too little to be of use.
    pub(super) fn clamp(&mut self, nano: u64) -> bool {
        let (mut low, mut high) = (0, self.clamped.unwrap_or(self.output_max));
        if self.cost(low) > nano {
            return false;
        }
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.cost(middle) <= nano {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        let lower = low >= CLAMP_MIN && low < self.clamped.unwrap_or(self.output_max);
        if lower {
            self.clamped = Some(low);
        }
        lower
    }

    /// Output tokens of all choices that were reserved for limits of tokens, and those that were paid for.
    pub(super) fn reserved(&self) -> (u64, u64) {
        let most = self.clamped.unwrap_or(self.output_max);
        (self.output, most.saturating_mul(self.choices))
    }
}

/// The name of the bound of the output that the first target of a route knows.
pub(super) fn bound_name(route: &Route, operation: Operation) -> &'static str {
    let kind = route.targets.first().map(|target| &target.provider.kind);
    match kind {
        Some(Kind::OpenAi(quirks))
            if operation == Operation::ChatCompletions
                && quirks.max_tokens_field == MaxTokensField::MaxCompletionTokens =>
        {
            "max_completion_tokens"
        }
        _ => "max_tokens",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need() -> Need {
        let price = Prices::published().price("openai", "gpt-5-mini", 1_764_000_000_000);
        Need {
            input: 250,
            input_max: 1600,
            output: 400,
            output_max: 4096,
            choices: 2,
            prices: vec![price.unwrap()],
            ..Need::default()
        }
    }

    #[test]
    fn a_bound_is_lowered_to_what_is_left_and_not_below_use() {
        let mut one = need();
        let all = one.amount(Meter::Cost, 0);
        assert!(!one.clamp(all), "nothing has to be lowered");
        let half = all / 2;
        assert!(one.clamp(half));
        let bound = one.clamped.unwrap();
        assert!(one.cost(bound) <= half && one.cost(bound + 1) > half);
        assert_eq!(one.amount(Meter::Cost, 0), one.cost(bound));
        let mut poor = need();
        assert!(!poor.clamp(poor.cost(CLAMP_MIN) - 1));
        assert!(!poor.clamp(0));
    }

    #[test]
    fn an_estimate_is_not_more_than_a_limit_unless_the_input_is() {
        let one = need();
        assert_eq!(one.amount(Meter::Tokens, 10_000), 650);
        assert_eq!(one.amount(Meter::Tokens, 300), 300);
        assert_eq!(one.amount(Meter::Tokens, 200), 251);
        assert_eq!(one.amount(Meter::OutputTokens, 100), 100);
    }
}
