//! Anthropic. Prices of the cache are parts of the input price, see [`claude`]; newer models read it for less.

use super::{Sheet, listed, rates};
use crate::day::Day;
use crate::price::Rates;

/// Reading the cache costs a tenth of input, writing it for five minutes 5/4, for an hour twice as much as input.
///
/// Source: the page on prompt caching, "Pricing". Models that are not written with it have cache prices of their own.
const fn claude(input: u32, output: u32) -> Rates {
    rates(input, output)
        .read(input / 10)
        .write(input / 4 * 5)
        .write_1h(input * 2)
}

pub(super) const SHEET: Sheet = Sheet {
    provider: "anthropic",
    source: "https://platform.claude.com/docs/en/about-claude/pricing",
    checked: Day::of(2026, 10, 24),
    rows: &[
        listed("claude-3-5-haiku", claude(800_000, 4_000_000))
            .also(&["claude-3-5-haiku-latest"])
            .context(200_000)
            .max_output(8_192),
        listed("claude-3-5-sonnet", claude(3_000_000, 15_000_000))
            .also(&["claude-3-5-sonnet-latest"])
            .context(200_000)
            .max_output(8_192),
        listed("claude-3-7-sonnet", claude(3_000_000, 15_000_000))
            .also(&["claude-3-7-sonnet-latest"])
            .context(200_000)
            .max_output(64_000),
        listed(
            "claude-3-haiku",
            rates(250_000, 1_250_000)
                .read(30_000)
                .write(300_000)
                .write_1h(500_000),
        )
        .context(200_000)
        .max_output(4_096),
        listed("claude-3-opus", claude(15_000_000, 75_000_000))
            .also(&["claude-3-opus-latest"])
            .context(200_000)
            .max_output(4_096),
        listed("claude-3-sonnet", claude(3_000_000, 15_000_000))
            .context(200_000)
            .max_output(4_096),
        listed("claude-fable-5", claude(10_000_000, 50_000_000))
            .context(1_000_000)
            .max_output(128_000),
        listed(
            "claude-fable-5-1",
            rates(10_000_000, 50_000_000)
                .read(250_000)
                .write(12_500_000)
                .write_1h(20_000_000),
        )
        .context(1_000_000)
        .max_output(128_000),
        listed("claude-haiku-4-5", claude(1_000_000, 5_000_000))
            .context(200_000)
            .max_output(64_000),
        listed("claude-haiku-5-5", claude(100_000, 500_000))
            .long(100_000, claude(500_000, 2_500_000)),
        listed("claude-opus-4", claude(15_000_000, 75_000_000))
            .also(&["claude-opus-4-0"])
            .context(200_000)
            .max_output(32_000),
        listed("claude-opus-4-1", claude(15_000_000, 75_000_000))
            .context(200_000)
            .max_output(32_000),
        listed("claude-opus-4-5", claude(5_000_000, 25_000_000))
            .context(200_000)
            .max_output(64_000),
        listed("claude-opus-4-6", claude(5_000_000, 25_000_000))
            .long(200_000, claude(10_000_000, 37_500_000))
            .context(1_000_000)
            .max_output(128_000),
        listed("claude-opus-4-6", claude(5_000_000, 25_000_000))
            .from(2026, 3, 13)
            .context(1_000_000)
            .max_output(128_000),
        listed("claude-opus-4-7", claude(5_000_000, 25_000_000))
            .context(1_000_000)
            .max_output(128_000),
        listed("claude-opus-4-8", claude(5_000_000, 25_000_000))
            .context(1_000_000)
            .max_output(128_000),
        listed("claude-opus-5", claude(5_000_000, 25_000_000)).context(1_000_000),
        listed(
            "claude-opus-5-5",
            rates(4_000_000, 20_000_000)
                .read(200_000)
                .write(5_000_000)
                .write_1h(8_000_000),
        )
        .context(1_000_000)
        .max_output(128_000),
        listed("claude-sonnet-4", claude(3_000_000, 15_000_000))
            .also(&["claude-sonnet-4-0"])
            .long(200_000, claude(6_000_000, 22_500_000))
            .context(200_000)
            .max_output(64_000),
        listed("claude-sonnet-4-5", claude(3_000_000, 15_000_000))
            .long(200_000, claude(6_000_000, 22_500_000))
            .context(200_000)
            .max_output(64_000),
        listed("claude-sonnet-4-6", claude(3_000_000, 15_000_000))
            .long(200_000, claude(6_000_000, 22_500_000))
            .context(1_000_000)
            .max_output(64_000),
        listed("claude-sonnet-4-6", claude(3_000_000, 15_000_000))
            .from(2026, 3, 13)
            .context(1_000_000)
            .max_output(64_000),
        listed("claude-sonnet-5", claude(2_000_000, 10_000_000))
            .context(1_000_000)
            .max_output(128_000),
        listed("claude-sonnet-5-5", claude(2_000_000, 10_000_000))
            .context(1_000_000)
            .max_output(128_000),
        listed(
            "claude-sonnet-5-5",
            rates(2_000_000, 10_000_000)
                .read(100_000)
                .write(2_500_000)
                .write_1h(4_000_000),
        )
        .from(2026, 10, 7)
        .context(1_000_000)
        .max_output(128_000),
    ],
};
