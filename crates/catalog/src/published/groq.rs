//! Groq.

use super::{Sheet, listed, rates};
use crate::day::Day;

pub(super) const SHEET: Sheet = Sheet {
    provider: "groq",
    source: "https://groq.com/pricing",
    checked: Day::of(2026, 7, 2),
    rows: &[
        listed("deepseek-r1-distill-llama-70b", rates(750_000, 990_000))
            .context(131_072)
            .checked(2025, 8, 12),
        listed("gemma2-9b-it", rates(200_000, 200_000)).checked(2025, 8, 12),
        listed("llama-3.1-8b-instant", rates(50_000, 80_000))
            .context(131_072)
            .max_output(131_072),
        listed("llama-3.3-70b-versatile", rates(590_000, 790_000))
            .context(131_072)
            .max_output(32_768),
        listed(
            "meta-llama/llama-4-maverick-17b-128e-instruct",
            rates(200_000, 600_000),
        )
        .context(131_072)
        .checked(2025, 8, 12),
        listed(
            "meta-llama/llama-4-scout-17b-16e-instruct",
            rates(110_000, 340_000),
        )
        .context(131_072)
        .max_output(8_192),
        listed("meta-llama/llama-guard-4-12b", rates(200_000, 200_000))
            .context(131_072)
            .checked(2025, 8, 12),
        listed("meta-llama/llama-prompt-guard-2-22m", rates(30_000, 30_000))
            .context(512)
            .max_output(512),
        listed("meta-llama/llama-prompt-guard-2-86m", rates(40_000, 40_000))
            .context(512)
            .max_output(512),
        listed(
            "moonshotai/kimi-k2-instruct",
            rates(1_000_000, 3_000_000).read(500_000),
        )
        .context(131_072)
        .checked(2025, 8, 12),
        listed("openai/gpt-oss-120b", rates(150_000, 600_000).read(75_000))
            .context(131_072)
            .max_output(65_536),
        listed("openai/gpt-oss-20b", rates(75_000, 300_000).read(37_500))
            .context(131_072)
            .max_output(65_536),
        listed("openai/gpt-oss-safeguard-20b", rates(75_000, 300_000))
            .context(131_072)
            .max_output(65_536),
        listed("qwen/qwen3-32b", rates(290_000, 590_000))
            .context(131_072)
            .max_output(40_960),
    ],
};
