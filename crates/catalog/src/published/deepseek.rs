//! DeepSeek. Nothing is listed before 5 September 2025: prices depended on the hour until then. Prices that changed
//! within a day are listed from its beginning.
//!
//! Since August 2026 they depend on the hour again. China's public holidays are off-peak too and not known here: a call in
//! a peak hour of such a day is counted at the peak price, twice its own.

use super::{Sheet, listed, rates};
use crate::day::{Day, WeekdayHours};

/// Hours of the higher price, UTC.
const PEAK: WeekdayHours = WeekdayHours(&[(1, 4), (6, 10)]);

pub(super) const SHEET: Sheet = Sheet {
    provider: "deepseek",
    source: "https://api-docs.deepseek.com/quick_start/pricing",
    checked: Day::of(2026, 7, 2),
    rows: &[
        listed("deepseek-chat", rates(560_000, 1_680_000).read(70_000))
            .from(2025, 9, 5)
            .context(128_000)
            .max_output(8_000),
        listed("deepseek-chat", rates(280_000, 420_000).read(28_000))
            .from(2025, 9, 29)
            .context(128_000)
            .max_output(8_000),
        listed("deepseek-chat", rates(140_000, 280_000).read(28_000))
            .from(2026, 4, 24)
            .context(1_000_000)
            .max_output(384_000),
        listed("deepseek-chat", rates(140_000, 280_000).read(2_800))
            .from(2026, 4, 26)
            .context(1_000_000)
            .max_output(384_000),
        listed("deepseek-flash", rates(300_000, 1_200_000).read(6_000))
            .from(2026, 9, 10)
            .off_peak(PEAK, rates(150_000, 600_000).read(3_000))
            .context(1_000_000)
            .max_output(384_000)
            .checked(2026, 10, 27),
        listed("deepseek-reasoner", rates(560_000, 1_680_000).read(70_000))
            .from(2025, 9, 5)
            .context(128_000)
            .max_output(64_000),
        listed("deepseek-reasoner", rates(280_000, 420_000).read(28_000))
            .from(2025, 9, 29)
            .context(128_000)
            .max_output(64_000),
        listed("deepseek-reasoner", rates(140_000, 280_000).read(28_000))
            .from(2026, 4, 24)
            .context(1_000_000)
            .max_output(384_000),
        listed("deepseek-reasoner", rates(140_000, 280_000).read(2_800))
            .from(2026, 4, 26)
            .context(1_000_000)
            .max_output(384_000),
        listed("deepseek-v4-flash", rates(140_000, 280_000).read(28_000))
            .from(2026, 4, 24)
            .context(1_000_000)
            .max_output(384_000),
        listed("deepseek-v4-flash", rates(140_000, 280_000).read(2_800))
            .from(2026, 4, 26)
            .context(1_000_000)
            .max_output(384_000),
        listed("deepseek-v4-flash", rates(440_000, 1_320_000).read(14_000))
            .also(&["deepseek-chat", "deepseek-reasoner"])
            .from(2026, 8, 16)
            .off_peak(PEAK, rates(220_000, 660_000).read(7_000))
            .context(1_000_000)
            .max_output(384_000)
            .checked(2026, 8, 21),
        listed("deepseek-v4-flash", rates(300_000, 1_200_000).read(6_000))
            .also(&["deepseek-chat", "deepseek-reasoner"])
            .from(2026, 9, 10)
            .off_peak(PEAK, rates(150_000, 600_000).read(3_000))
            .context(1_000_000)
            .max_output(384_000)
            .checked(2026, 10, 27),
        listed("deepseek-v4-pro", rates(1_740_000, 3_480_000).read(145_000))
            .from(2026, 4, 24)
            .context(1_000_000)
            .max_output(384_000),
        listed("deepseek-v4-pro", rates(435_000, 870_000).read(3_625))
            .from(2026, 4, 26)
            .context(1_000_000)
            .max_output(384_000),
        listed("deepseek-v4-pro", rates(1_320_000, 3_960_000).read(44_000))
            .from(2026, 8, 16)
            .off_peak(PEAK, rates(660_000, 1_980_000).read(22_000))
            .context(1_000_000)
            .max_output(384_000)
            .checked(2026, 10, 27),
    ],
};
