//! What tokens cost, and the cost of a call from its usage. Whole numbers only.
//!
//! Not in a cost, because token counts do not tell: discounts for batch, flex and priority tiers, surcharges for a
//! region, fees for a search or a stored cache, and other prices for audio and image tokens.

use crate::day::Day;
use aplomb_core::money::NanoUsd;
use aplomb_core::usage::Usage;

/// The tokens that a [`Rate`] is for.
const TOKENS: u128 = 1_000_000;

/// Price of a million tokens in nano-dollars, never negative.
///
/// A single token may cost less than a nano-dollar (a cached one of a small model: 0.01 dollars a million is 10
/// nano-dollars, 0.0028 is 2.8), so the price is kept as providers print it and a cost is divided once, at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rate(u64);

impl Rate {
    /// Free of charge.
    pub const FREE: Rate = Rate(0);

    /// From the price of a million tokens; `None` if it is negative.
    pub fn per_million(price: NanoUsd) -> Option<Rate> {
        u64::try_from(price.0).ok().map(Rate)
    }

    /// From the price of a million tokens in millionths of a dollar: `1_250_000` is 1.25 dollars.
    pub(crate) const fn micro_usd(price: u32) -> Rate {
        Rate(price as u64 * 1_000)
    }

    /// The price of a million tokens.
    pub fn price_of_million(self) -> NanoUsd {
        NanoUsd(i64::try_from(self.0).unwrap_or(i64::MAX))
    }

    /// Tokens times price, in millionths of a nano-dollar.
    fn times(self, tokens: u64) -> u128 {
        u128::from(self.0) * u128::from(tokens)
    }
}

/// Prices of the parts of a call's usage.
///
/// A cache price that is absent is not zero: reads and five-minute writes then cost what input costs, and one-hour
/// writes what five-minute writes cost. Reasoning is a part of output and costs the same. For embeddings only `input`
/// counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Input that was neither read from nor written to a cache.
    pub input: Rate,
    /// Input read from a cache.
    pub cache_read: Option<Rate>,
    /// Input written to a cache for five minutes, or without a time of its own.
    pub cache_write_5m: Option<Rate>,
    /// Input written to a cache for an hour.
    pub cache_write_1h: Option<Rate>,
    /// All output, reasoning included.
    pub output: Rate,
}

impl Rates {
    /// Prices of input and output, without cache prices.
    pub const fn new(input: Rate, output: Rate) -> Rates {
        Rates {
            input,
            cache_read: None,
            cache_write_5m: None,
            cache_write_1h: None,
            output,
        }
    }

    /// Everything free of charge.
    pub const FREE: Rates = Rates::new(Rate::FREE, Rate::FREE);

    /// In millionths of a nano-dollar; saturates.
    fn charge(&self, usage: &Usage) -> u128 {
        let write_5m = self.cache_write_5m.unwrap_or(self.input);
        [
            self.input.times(usage.input),
            self.cache_read
                .unwrap_or(self.input)
                .times(usage.cache_read),
            write_5m.times(usage.cache_write_5m),
            self.cache_write_1h
                .unwrap_or(write_5m)
                .times(usage.cache_write_1h),
            self.output.times(usage.output),
        ]
        .into_iter()
        .fold(0, u128::saturating_add)
    }
}

/// Other prices for a call with a long input. They hold for all of the call's tokens, output too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongContext {
    /// Holds if the input, cached or not, is more tokens than this.
    pub above: u64,
    /// The prices then.
    pub rates: Rates,
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A provider's public price page.
    Published {
        /// Its address.
        source: &'static str,
        /// When the entry was last compared with what is public.
        checked: Day,
    },
    /// The operator's own prices.
    Operator,
    /// A provider that is simulated here and costs nothing.
    Simulated,
}

/// What a model's tokens cost at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// The usual prices.
    pub rates: Rates,
    /// Other prices for long inputs, if there are.
    pub long_context: Option<LongContext>,
    /// Who says so.
    pub origin: Origin,
}

impl Price {
    /// What a call costs, rounded once, to the nearest nano-dollar, half up. Saturates at the range of [`NanoUsd`].
    ///
    /// The usage must be that of one upstream call: the length of the input decides about long-context prices, so a
    /// sum of several calls can cost more than the calls did.
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        let charge = self.rates_for(usage).charge(usage);
        let nanos = charge.saturating_add(TOKENS / 2) / TOKENS;
        NanoUsd(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// The prices that hold for an input of this length.
    fn rates_for(&self, usage: &Usage) -> &Rates {
        match &self.long_context {
            Some(long) if usage.input_total() > long.above => &long.rates,
            _ => &self.rates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(rates: Rates, long_context: Option<LongContext>) -> Price {
        let origin = Origin::Operator;
        Price {
            rates,
            long_context,
            origin,
        }
    }

    fn rates(input: u32, output: u32) -> Rates {
        Rates::new(Rate::micro_usd(input), Rate::micro_usd(output))
    }

    #[test]
    fn cache_prices_that_are_absent_fall_back_to_input() {
        let usage = Usage {
            cache_read: 1_000,
            cache_write_5m: 100,
            cache_write_1h: 10,
            ..Usage::default()
        };
        let mut rates = rates(2_000_000, 8_000_000);
        assert_eq!(price(rates, None).cost(&usage), NanoUsd(1_110 * 2_000));
        rates.cache_write_5m = Some(Rate::micro_usd(2_500_000));
        let expected = 1_000 * 2_000 + 110 * 2_500;
        assert_eq!(price(rates, None).cost(&usage), NanoUsd(expected));
    }

    #[test]
    fn long_prices_begin_above_the_limit_and_count_cached_input() {
        let rates_short = rates(1_000_000, 10_000_000);
        let long = LongContext {
            above: 200_000,
            rates: rates(2_000_000, 15_000_000),
        };
        let price = price(rates_short, Some(long));
        let mut usage = Usage {
            input: 100_000,
            cache_read: 60_000,
            cache_write_5m: 30_000,
            cache_write_1h: 10_000,
            output: 1_000,
            ..Usage::default()
        };
        assert_eq!(
            price.cost(&usage),
            NanoUsd(200_000 * 1_000 + 1_000 * 10_000)
        );
        usage.cache_read += 1;
        assert_eq!(
            price.cost(&usage),
            NanoUsd(200_001 * 2_000 + 1_000 * 15_000)
        );
    }

    #[test]
    fn parts_of_a_nano_dollar_are_rounded_once() {
        let price = price(rates(2_800, 0), None);
        let cost = |input| {
            price
                .cost(&Usage {
                    input,
                    ..Usage::default()
                })
                .0
        };
        // 2.8, 5.6 and 14 nano-dollars.
        assert_eq!((cost(1), cost(2), cost(5)), (3, 6, 14));
        assert_eq!(cost(1_000_000), 2_800_000);
    }

    #[test]
    fn reasoning_is_not_charged_twice() {
        let price = price(rates(1_000_000, 4_000_000), None);
        let usage = Usage {
            output: 100,
            reasoning: 90,
            ..Usage::default()
        };
        assert_eq!(price.cost(&usage), NanoUsd(100 * 4_000));
    }

    #[test]
    fn a_price_is_not_negative() {
        assert_eq!(Rate::per_million(NanoUsd(-1)), None);
        let rate = Rate::per_million(NanoUsd(75_000_000)).unwrap();
        assert_eq!(rate, Rate::micro_usd(75_000));
        assert_eq!(rate.price_of_million(), NanoUsd(75_000_000));
    }

    proptest! {
        /// Monotone in tokens, and no input panics.
        #[test]
        fn more_tokens_never_cost_less(rate: u64, input: u64, output: u64, more: u64) {
            let rates = Rates::new(Rate(rate), Rate(rate / 2));
            let price = price(rates, None);
            let usage = Usage { input, output, ..Usage::default() };
            let bigger = Usage { cache_read: more, ..usage };
            prop_assert!(price.cost(&usage) >= NanoUsd::ZERO);
            prop_assert!(price.cost(&bigger) >= price.cost(&usage));
        }
    }
}
