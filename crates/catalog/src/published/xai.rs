//! xAI. Models whose long-context prices could not be confirmed are not listed.

use super::{Sheet, listed, rates};
use crate::day::Day;

pub(super) const SHEET: Sheet = Sheet {
    provider: "xai",
    source: "https://docs.x.ai/docs/models",
    checked: Day::of(2026, 7, 2),
    rows: &[
        listed("grok-2-1212", rates(2_000_000, 10_000_000))
            .also(&["grok-2", "grok-2-latest"])
            .context(131_072)
            .checked(2025, 6, 2),
        listed("grok-3", rates(3_000_000, 15_000_000).read(750_000))
            .also(&["grok-3-beta", "grok-3-latest"])
            .context(131_072)
            .checked(2025, 6, 2),
        listed("grok-3-fast", rates(5_000_000, 25_000_000).read(1_250_000))
            .also(&["grok-3-fast-beta", "grok-3-fast-latest"])
            .context(131_072)
            .checked(2025, 6, 2),
        listed("grok-3-mini", rates(300_000, 500_000).read(75_000))
            .also(&["grok-3-mini-beta", "grok-3-mini-latest"])
            .context(131_072)
            .checked(2025, 6, 2),
        listed("grok-3-mini-fast", rates(600_000, 4_000_000).read(150_000))
            .also(&["grok-3-mini-fast-beta", "grok-3-mini-fast-latest"])
            .context(131_072)
            .checked(2025, 6, 2),
        listed(
            "grok-4.20-0309-non-reasoning",
            rates(1_250_000, 2_500_000).read(200_000),
        )
        .long(200_000, rates(2_500_000, 5_000_000).read(400_000))
        .context(1_000_000)
        .max_output(30_000),
        listed(
            "grok-4.20-0309-reasoning",
            rates(1_250_000, 2_500_000).read(200_000),
        )
        .long(200_000, rates(2_500_000, 5_000_000).read(400_000))
        .context(1_000_000)
        .max_output(30_000),
        listed(
            "grok-4.20-multi-agent-0309",
            rates(1_250_000, 2_500_000).read(200_000),
        )
        .long(200_000, rates(2_500_000, 5_000_000).read(400_000))
        .context(1_000_000)
        .max_output(30_000),
        listed("grok-4.3", rates(1_250_000, 2_500_000).read(200_000))
            .long(200_000, rates(2_500_000, 5_000_000).read(400_000))
            .context(1_000_000)
            .max_output(30_000),
        listed("grok-4.5", rates(2_000_000, 6_000_000).read(500_000))
            .also(&["grok-4.5-latest"])
            .long(200_000, rates(4_000_000, 12_000_000).read(1_000_000))
            .context(500_000)
            .checked(2026, 7, 13),
        listed("grok-4.6", rates(2_000_000, 6_000_000).read(500_000))
            .long(200_000, rates(4_000_000, 12_000_000).read(1_000_000))
            .context(500_000)
            .checked(2026, 9, 29),
        listed("grok-4.7", rates(2_000_000, 6_000_000).read(500_000))
            .long(200_000, rates(4_000_000, 12_000_000).read(1_000_000))
            .context(500_000)
            .checked(2026, 9, 29),
        listed("grok-build-0.1", rates(1_000_000, 2_000_000).read(200_000))
            .long(200_000, rates(2_000_000, 4_000_000).read(400_000))
            .context(256_000)
            .max_output(256_000),
    ],
};
