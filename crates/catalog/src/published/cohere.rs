//! Cohere.

use super::{Sheet, embedding, listed, rates};
use crate::day::Day;

pub(super) const SHEET: Sheet = Sheet {
    provider: "cohere",
    source: "https://cohere.com/pricing",
    checked: Day::of(2026, 7, 2),
    rows: &[
        listed("command-a-03-2025", rates(2_500_000, 10_000_000))
            .context(256_000)
            .max_output(8_000),
        listed("command-a-plus-05-2026", rates(2_500_000, 10_000_000))
            .context(128_000)
            .max_output(64_000),
        listed("command-a-reasoning-08-2025", rates(2_500_000, 10_000_000))
            .context(256_000)
            .max_output(32_000),
        listed("command-a-translate-08-2025", rates(2_500_000, 10_000_000))
            .context(8_000)
            .max_output(8_000),
        listed("command-a-vision-07-2025", rates(2_500_000, 10_000_000))
            .context(128_000)
            .max_output(8_000),
        listed("command-r-08-2024", rates(150_000, 600_000))
            .context(128_000)
            .max_output(4_000),
        listed("command-r-plus-08-2024", rates(2_500_000, 10_000_000))
            .context(128_000)
            .max_output(4_000),
        listed("command-r7b-12-2024", rates(37_500, 150_000))
            .context(128_000)
            .max_output(4_000),
        listed("command-r7b-arabic-02-2025", rates(37_500, 150_000))
            .context(128_000)
            .max_output(4_000),
        listed("embed-v4.0", embedding(120_000)).context(128_000),
    ],
};
