//! Google Gemini. Text prices: where audio costs more, its tokens are not told apart here.

use super::{Sheet, embedding, listed, rates};
use crate::day::Day;

pub(super) const SHEET: Sheet = Sheet {
    provider: "gemini",
    source: "https://ai.google.dev/gemini-api/docs/pricing",
    checked: Day::of(2026, 7, 2),
    rows: &[
        listed("gemini-1.5-flash", rates(75_000, 300_000).read(18_750))
            .long(128_000, rates(150_000, 600_000).read(37_500))
            .context(1_000_000)
            .max_output(8_192),
        listed("gemini-1.5-flash-8b", rates(37_500, 150_000).read(10_000))
            .long(128_000, rates(75_000, 300_000).read(20_000))
            .context(1_000_000)
            .max_output(8_192),
        listed("gemini-1.5-pro", rates(1_250_000, 5_000_000).read(312_500))
            .long(128_000, rates(2_500_000, 10_000_000).read(625_000))
            .context(2_000_000)
            .max_output(8_192),
        listed("gemini-2.0-flash", rates(100_000, 400_000).read(25_000))
            .also(&["gemini-2.0-flash-001"])
            .context(1_048_576)
            .max_output(8_192),
        listed("gemini-2.0-flash-lite", rates(75_000, 300_000))
            .also(&["gemini-2.0-flash-lite-001"])
            .context(1_048_576)
            .max_output(8_192),
        listed("gemini-2.5-flash", rates(300_000, 2_500_000).read(30_000))
            .context(1_048_576)
            .max_output(65_536),
        listed(
            "gemini-2.5-flash-lite",
            rates(100_000, 400_000).read(10_000),
        )
        .context(1_048_576)
        .max_output(65_536),
        listed("gemini-2.5-pro", rates(1_250_000, 10_000_000).read(125_000))
            .long(200_000, rates(2_500_000, 15_000_000).read(250_000))
            .context(1_048_576)
            .max_output(65_536),
        listed(
            "gemini-3-flash-preview",
            rates(500_000, 3_000_000).read(50_000),
        )
        .context(1_048_576)
        .max_output(65_536),
        listed(
            "gemini-3-pro-preview",
            rates(2_000_000, 12_000_000).read(200_000),
        )
        .long(200_000, rates(4_000_000, 18_000_000).read(400_000))
        .context(1_048_576)
        .max_output(65_536),
        listed(
            "gemini-3.1-flash-lite",
            rates(250_000, 1_500_000).read(25_000),
        )
        .context(1_048_576)
        .max_output(65_536),
        listed(
            "gemini-3.1-flash-lite-preview",
            rates(250_000, 1_500_000).read(25_000),
        )
        .context(1_048_576)
        .max_output(65_536),
        listed(
            "gemini-3.1-pro-preview",
            rates(2_000_000, 12_000_000).read(200_000),
        )
        .long(200_000, rates(4_000_000, 18_000_000).read(400_000))
        .context(1_048_576)
        .max_output(65_536),
        listed(
            "gemini-3.1-pro-preview-customtools",
            rates(2_000_000, 12_000_000).read(200_000),
        )
        .long(200_000, rates(4_000_000, 18_000_000).read(400_000))
        .context(1_048_576)
        .max_output(65_536),
        listed(
            "gemini-3.5-flash",
            rates(1_500_000, 9_000_000).read(150_000),
        )
        .context(1_048_576)
        .max_output(65_536),
        listed(
            "gemini-3.5-flash-lite",
            rates(300_000, 2_500_000).read(30_000),
        )
        .context(1_000_000)
        .checked(2026, 7, 22),
        listed("gemini-3.6-flash", rates(750_000, 3_750_000).read(75_000))
            .context(1_000_000)
            .checked(2026, 10, 7),
        listed(
            "gemini-3.6-flash",
            rates(1_500_000, 7_500_000).read(150_000),
        )
        .from(2027, 1, 1)
        .context(1_000_000)
        .checked(2026, 10, 7),
        listed("gemini-3.7-flash", rates(750_000, 3_750_000).read(75_000))
            .context(1_000_000)
            .checked(2026, 10, 7),
        listed(
            "gemini-3.7-flash",
            rates(1_500_000, 7_500_000).read(150_000),
        )
        .from(2027, 1, 1)
        .context(1_000_000)
        .checked(2026, 10, 7),
        listed("gemini-3.8-flash", rates(750_000, 3_750_000).read(75_000))
            .context(1_000_000)
            .checked(2026, 10, 7),
        listed(
            "gemini-3.8-flash",
            rates(1_500_000, 7_500_000).read(150_000),
        )
        .from(2027, 1, 1)
        .context(1_000_000)
        .checked(2026, 10, 7),
        listed(
            "gemini-4-hydrogen",
            rates(1_500_000, 7_500_000).read(75_000),
        )
        .context(1_048_576)
        .checked(2026, 11, 19),
        listed("gemini-4-neon", rates(3_000_000, 15_000_000).read(150_000))
            .context(1_048_576)
            .max_output(65_536)
            .checked(2026, 11, 19),
        listed("gemini-embedding-001", embedding(150_000)).context(2_048),
    ],
};
