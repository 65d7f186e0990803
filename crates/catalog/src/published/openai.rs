//! OpenAI. Cached input is read at its own price; writing it costs more than input from `gpt-5.6` on.
//!
//! Prices for writing a cache are those of its usual time; longer ones cost more and are not told apart here. The price
//! of `gpt-5.6-sol` since August 2026 was announced to last until 21 November 2026 at least.

use super::{Sheet, embedding, listed, rates};
use crate::day::Day;

pub(super) const SHEET: Sheet = Sheet {
    provider: "openai",
    source: "https://developers.openai.com/api/docs/pricing",
    checked: Day::of(2026, 7, 2),
    rows: &[
        listed("chatgpt-4o-latest", rates(5_000_000, 15_000_000))
            .context(128_000)
            .max_output(16_384),
        listed(
            "codex-mini-latest",
            rates(1_500_000, 6_000_000).read(375_000),
        ),
        listed("gpt-3.5-turbo", rates(500_000, 1_500_000))
            .also(&["gpt-3.5-turbo-0125"])
            .context(16_385)
            .max_output(4_096),
        listed("gpt-3.5-turbo-1106", rates(1_000_000, 2_000_000))
            .context(16_385)
            .max_output(4_096),
        listed("gpt-3.5-turbo-instruct", rates(1_500_000, 2_000_000)),
        listed("gpt-4", rates(30_000_000, 60_000_000))
            .also(&["gpt-4-0613"])
            .context(8_192)
            .max_output(8_192),
        listed("gpt-4-turbo", rates(10_000_000, 30_000_000))
            .also(&[
                "gpt-4-turbo-preview",
                "gpt-4-0125-preview",
                "gpt-4-1106-preview",
            ])
            .context(128_000)
            .max_output(4_096),
        listed("gpt-4.1", rates(2_000_000, 8_000_000).read(500_000))
            .context(1_047_576)
            .max_output(32_768),
        listed("gpt-4.1-mini", rates(400_000, 1_600_000).read(100_000))
            .context(1_047_576)
            .max_output(32_768),
        listed("gpt-4.1-nano", rates(100_000, 400_000).read(25_000))
            .context(1_047_576)
            .max_output(32_768),
        listed(
            "gpt-4.5-preview",
            rates(75_000_000, 150_000_000).read(37_500_000),
        ),
        listed("gpt-4o", rates(2_500_000, 10_000_000).read(1_250_000))
            .context(128_000)
            .max_output(16_384),
        listed("gpt-4o-2024-05-13", rates(5_000_000, 15_000_000))
            .context(128_000)
            .max_output(4_096),
        listed("gpt-4o-mini", rates(150_000, 600_000).read(75_000))
            .context(128_000)
            .max_output(16_384),
        listed("gpt-5", rates(1_250_000, 10_000_000).read(125_000))
            .context(400_000)
            .max_output(128_000),
        listed(
            "gpt-5-chat-latest",
            rates(1_250_000, 10_000_000).read(125_000),
        )
        .context(400_000)
        .max_output(128_000),
        listed("gpt-5-codex", rates(1_250_000, 10_000_000).read(125_000))
            .context(400_000)
            .max_output(128_000),
        listed("gpt-5-mini", rates(250_000, 2_000_000).read(25_000))
            .context(400_000)
            .max_output(128_000),
        listed("gpt-5-nano", rates(50_000, 400_000).read(5_000))
            .context(400_000)
            .max_output(128_000),
        listed("gpt-5-pro", rates(15_000_000, 120_000_000))
            .context(400_000)
            .max_output(272_000),
        listed("gpt-5.1", rates(1_250_000, 10_000_000).read(125_000))
            .context(400_000)
            .max_output(128_000),
        listed(
            "gpt-5.1-chat-latest",
            rates(1_250_000, 10_000_000).read(125_000),
        )
        .context(128_000)
        .max_output(16_384),
        listed("gpt-5.1-codex", rates(1_250_000, 10_000_000).read(125_000))
            .context(400_000)
            .max_output(128_000),
        listed(
            "gpt-5.1-codex-max",
            rates(1_250_000, 10_000_000).read(125_000),
        )
        .context(400_000)
        .max_output(128_000),
        listed("gpt-5.1-codex-mini", rates(250_000, 2_000_000).read(25_000))
            .context(400_000)
            .max_output(128_000),
        listed("gpt-5.2", rates(1_750_000, 14_000_000).read(175_000))
            .context(400_000)
            .max_output(128_000),
        listed(
            "gpt-5.2-chat-latest",
            rates(1_750_000, 14_000_000).read(175_000),
        )
        .context(128_000)
        .max_output(16_384),
        listed("gpt-5.2-codex", rates(1_750_000, 14_000_000).read(175_000))
            .context(400_000)
            .max_output(128_000),
        listed("gpt-5.2-pro", rates(21_000_000, 168_000_000))
            .context(400_000)
            .max_output(128_000),
        listed(
            "gpt-5.3-chat-latest",
            rates(1_750_000, 14_000_000).read(175_000),
        )
        .context(128_000)
        .max_output(16_384),
        listed("gpt-5.3-codex", rates(1_750_000, 14_000_000).read(175_000))
            .context(400_000)
            .max_output(128_000),
        listed("gpt-5.4", rates(2_500_000, 15_000_000).read(250_000))
            .long(272_000, rates(5_000_000, 22_500_000).read(500_000))
            .context(1_050_000)
            .max_output(128_000),
        listed("gpt-5.4-mini", rates(750_000, 4_500_000).read(75_000))
            .context(400_000)
            .max_output(128_000),
        listed("gpt-5.4-nano", rates(200_000, 1_250_000).read(20_000))
            .context(400_000)
            .max_output(128_000),
        listed("gpt-5.4-pro", rates(30_000_000, 180_000_000))
            .long(272_000, rates(60_000_000, 270_000_000))
            .context(1_050_000)
            .max_output(128_000),
        listed("gpt-5.5", rates(5_000_000, 30_000_000).read(500_000))
            .long(272_000, rates(10_000_000, 45_000_000).read(1_000_000))
            .context(1_050_000)
            .max_output(128_000),
        listed("gpt-5.5-pro", rates(30_000_000, 180_000_000))
            .long(272_000, rates(60_000_000, 270_000_000))
            .context(1_050_000)
            .max_output(128_000),
        listed(
            "gpt-5.6-luna",
            rates(1_000_000, 6_000_000).read(100_000).write(1_250_000),
        )
        .long(
            272_000,
            rates(2_000_000, 9_000_000).read(200_000).write(2_500_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 8, 2),
        listed(
            "gpt-5.6-luna",
            rates(200_000, 1_200_000).read(20_000).write(250_000),
        )
        .from(2026, 7, 30)
        .long(
            272_000,
            rates(400_000, 1_800_000).read(40_000).write(500_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 8, 2),
        listed(
            "gpt-5.6-sol",
            rates(5_000_000, 30_000_000).read(500_000).write(6_250_000),
        )
        .long(
            272_000,
            rates(10_000_000, 45_000_000)
                .read(1_000_000)
                .write(12_500_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 8, 2),
        listed(
            "gpt-5.6-sol",
            rates(4_000_000, 20_000_000).read(400_000).write(5_000_000),
        )
        .from(2026, 8, 21)
        .long(
            272_000,
            rates(8_000_000, 30_000_000).read(800_000).write(10_000_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 9, 24),
        listed(
            "gpt-5.6-terra",
            rates(2_500_000, 15_000_000).read(250_000).write(3_125_000),
        )
        .long(
            272_000,
            rates(5_000_000, 22_500_000).read(500_000).write(6_250_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 8, 2),
        listed(
            "gpt-5.6-terra",
            rates(2_000_000, 12_000_000).read(200_000).write(2_500_000),
        )
        .from(2026, 7, 30)
        .long(
            272_000,
            rates(4_000_000, 18_000_000).read(400_000).write(5_000_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 8, 2),
        listed(
            "gpt-6-astra",
            rates(10_000_000, 50_000_000)
                .read(1_000_000)
                .write(12_500_000),
        )
        .long(
            272_000,
            rates(20_000_000, 75_000_000)
                .read(2_000_000)
                .write(25_000_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 9, 24),
        listed(
            "gpt-6-luna",
            rates(100_000, 500_000).read(10_000).write(125_000),
        )
        .long(272_000, rates(200_000, 750_000).read(20_000).write(250_000))
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 9, 24),
        listed(
            "gpt-6-sol",
            rates(2_000_000, 10_000_000).read(200_000).write(2_500_000),
        )
        .long(
            272_000,
            rates(4_000_000, 15_000_000).read(400_000).write(5_000_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 9, 24),
        listed(
            "gpt-6.1-sol",
            rates(2_000_000, 10_000_000).read(100_000).write(2_500_000),
        )
        .long(
            272_000,
            rates(4_000_000, 15_000_000).read(200_000).write(5_000_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 9, 30),
        listed(
            "gpt-6.1-terra",
            rates(1_000_000, 5_000_000).read(50_000).write(1_250_000),
        )
        .long(
            272_000,
            rates(2_000_000, 7_500_000).read(100_000).write(2_500_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 10, 27),
        listed(
            "gpt-6.2-astra",
            rates(8_000_000, 40_000_000).read(400_000).write(10_000_000),
        )
        .long(
            272_000,
            rates(16_000_000, 60_000_000)
                .read(800_000)
                .write(20_000_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 11, 18),
        listed(
            "gpt-6.2-sol",
            rates(2_000_000, 10_000_000).read(100_000).write(2_500_000),
        )
        .long(
            272_000,
            rates(4_000_000, 15_000_000).read(200_000).write(5_000_000),
        )
        .context(1_050_000)
        .max_output(128_000)
        .checked(2026, 11, 18),
        listed("o1", rates(15_000_000, 60_000_000).read(7_500_000))
            .context(200_000)
            .max_output(100_000),
        listed("o1-mini", rates(1_100_000, 4_400_000).read(550_000))
            .context(128_000)
            .max_output(65_536),
        listed("o1-pro", rates(150_000_000, 600_000_000))
            .context(200_000)
            .max_output(100_000),
        listed("o3", rates(10_000_000, 40_000_000).read(2_500_000))
            .context(200_000)
            .max_output(100_000),
        listed("o3", rates(2_000_000, 8_000_000).read(500_000))
            .from(2025, 6, 10)
            .context(200_000)
            .max_output(100_000),
        listed(
            "o3-deep-research",
            rates(10_000_000, 40_000_000).read(2_500_000),
        )
        .context(200_000)
        .max_output(100_000),
        listed("o3-mini", rates(1_100_000, 4_400_000).read(550_000))
            .context(200_000)
            .max_output(100_000),
        listed("o3-pro", rates(20_000_000, 80_000_000))
            .context(200_000)
            .max_output(100_000),
        listed("o4-mini", rates(1_100_000, 4_400_000).read(275_000))
            .context(200_000)
            .max_output(100_000),
        listed(
            "o4-mini-deep-research",
            rates(2_000_000, 8_000_000).read(500_000),
        )
        .context(200_000)
        .max_output(100_000),
        listed("text-embedding-3-large", embedding(130_000)).context(8_191),
        listed("text-embedding-3-small", embedding(20_000)).context(8_191),
        listed("text-embedding-ada-002", embedding(100_000)).context(8_191),
    ],
};
