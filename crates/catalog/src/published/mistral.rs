//! Mistral. Names that end in `latest` move: their dates are those of the move.

use super::{Sheet, embedding, listed, rates};
use crate::day::Day;

pub(super) const SHEET: Sheet = Sheet {
    provider: "mistral",
    source: "https://mistral.ai/pricing",
    checked: Day::of(2026, 7, 2),
    rows: &[
        listed("codestral-latest", rates(300_000, 900_000))
            .also(&["codestral-2508"])
            .context(256_000)
            .max_output(4_096),
        listed("devstral-2512", rates(400_000, 2_000_000))
            .also(&["devstral-latest"])
            .context(262_144)
            .max_output(262_144),
        listed("devstral-medium-2507", rates(400_000, 2_000_000))
            .context(128_000)
            .max_output(128_000),
        listed("devstral-small-2505", rates(100_000, 300_000))
            .context(128_000)
            .max_output(128_000),
        listed("devstral-small-2507", rates(100_000, 300_000))
            .context(128_000)
            .max_output(128_000),
        listed("magistral-medium-latest", rates(2_000_000, 5_000_000))
            .context(128_000)
            .max_output(16_384),
        listed("magistral-small", rates(500_000, 1_500_000))
            .also(&["magistral-small-latest"])
            .context(128_000),
        listed("ministral-14b-2512", rates(200_000, 200_000)).checked(2026, 6, 9),
        listed("ministral-3b-2410", rates(40_000, 40_000)).context(128_000),
        listed("ministral-3b-2512", rates(100_000, 100_000)).checked(2026, 6, 9),
        listed("ministral-8b-2410", rates(100_000, 100_000)).context(128_000),
        listed("mistral-embed", embedding(100_000)).context(8_000),
        listed("mistral-large-2411", rates(2_000_000, 6_000_000))
            .context(131_072)
            .max_output(16_384),
        listed("mistral-large-2512", rates(500_000, 1_500_000))
            .also(&["mistral-large-latest"])
            .context(262_144)
            .max_output(262_144),
        listed("mistral-medium-2505", rates(400_000, 2_000_000))
            .context(131_072)
            .max_output(131_072),
        listed("mistral-medium-2508", rates(400_000, 2_000_000))
            .context(262_144)
            .max_output(262_144),
        listed("mistral-medium-2604", rates(1_500_000, 7_500_000))
            .also(&["mistral-medium-3.5"])
            .context(262_144)
            .max_output(262_144),
        listed("mistral-medium-latest", rates(400_000, 2_000_000)).context(131_072),
        listed("mistral-medium-latest", rates(1_500_000, 7_500_000))
            .from(2026, 5, 22)
            .context(262_144),
        listed("mistral-small-2506", rates(100_000, 300_000))
            .context(128_000)
            .max_output(16_384),
        listed("mistral-small-2603", rates(150_000, 600_000))
            .also(&["mistral-small-latest"])
            .context(256_000)
            .max_output(256_000),
        listed("open-mistral-7b", rates(250_000, 250_000))
            .context(8_000)
            .max_output(8_000),
        listed("open-mistral-nemo", rates(150_000, 150_000))
            .also(&["mistral-nemo", "open-mistral-nemo-2407"])
            .context(128_000)
            .max_output(128_000),
        listed("open-mixtral-8x22b", rates(2_000_000, 6_000_000))
            .context(64_000)
            .max_output(64_000),
        listed("open-mixtral-8x7b", rates(700_000, 700_000))
            .context(32_000)
            .max_output(32_000),
        listed("pixtral-12b", rates(150_000, 150_000))
            .also(&["pixtral-12b-2409"])
            .context(128_000)
            .max_output(128_000),
        listed("pixtral-large-latest", rates(2_000_000, 6_000_000))
            .also(&["pixtral-large-2411"])
            .context(128_000)
            .max_output(128_000),
    ],
};
