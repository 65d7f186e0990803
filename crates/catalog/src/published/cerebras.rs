//! Cerebras.

use super::{Sheet, listed, rates};
use crate::day::Day;

pub(super) const SHEET: Sheet = Sheet {
    provider: "cerebras",
    source: "https://www.cerebras.ai/pricing",
    checked: Day::of(2026, 7, 2),
    rows: &[
        listed("gpt-oss-120b", rates(350_000, 750_000))
            .context(131_072)
            .max_output(40_960),
        listed("llama-3.3-70b", rates(850_000, 1_200_000)).context(128_000),
        listed("llama3.1-8b", rates(100_000, 100_000)).context(32_768),
        listed("qwen-3-32b", rates(400_000, 800_000)).context(131_072),
        listed("zai-glm-4.7", rates(2_250_000, 2_750_000))
            .context(131_072)
            .max_output(40_960),
    ],
};
