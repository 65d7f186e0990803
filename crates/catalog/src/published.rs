//! Public prices, one table a provider.
//!
//! Numbers are millionths of a US dollar for a million tokens, as price pages print them without the point: 1.25 dollars
//! is `1_250_000`. A row holds from its date on, until the next row of the same model; a first row without a date has held
//! since the model is served. Rows stand in the order of their names, then of their dates.
//!
//! To record a change of prices add a row with its date; rows that held once stay, so that an old call keeps its cost.

use crate::day::{Day, WeekdayHours};
use crate::price::{LongContext, Rate, Rates};
use crate::prices::Limits;

mod anthropic;
mod cerebras;
mod cohere;
mod deepseek;
mod gemini;
mod groq;
mod mistral;
mod openai;
mod xai;

/// All tables.
pub(crate) const SHEETS: &[Sheet] = &[
    anthropic::SHEET,
    cerebras::SHEET,
    cohere::SHEET,
    deepseek::SHEET,
    gemini::SHEET,
    groq::SHEET,
    mistral::SHEET,
    openai::SHEET,
    xai::SHEET,
];

/// The prices of one provider.
pub(crate) struct Sheet {
    /// Its name in the file.
    pub(crate) provider: &'static str,
    /// Its public price page.
    pub(crate) source: &'static str,
    /// When the rows were last compared with what is public.
    pub(crate) checked: Day,
    pub(crate) rows: &'static [Row],
}

/// The prices of one model during one period.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) model: &'static str,
    /// Other names at the same prices, beside those that end in a date.
    pub(crate) also: &'static [&'static str],
    pub(crate) from: Option<Day>,
    pub(crate) rates: Rates,
    pub(crate) long_context: Option<LongContext>,
    /// Other prices outside of the provider's peak hours.
    pub(crate) off_peak: Option<OffPeak>,
    pub(crate) limits: Limits,
    /// If on another day than the table.
    pub(crate) checked: Option<Day>,
}

/// Prices that depend on the hour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OffPeak {
    /// When the usual prices of the row hold.
    pub(crate) peak: WeekdayHours,
    /// The prices at all other times.
    pub(crate) rates: Rates,
}

const fn listed(model: &'static str, rates: Rates) -> Row {
    Row {
        model,
        also: &[],
        from: None,
        rates,
        long_context: None,
        off_peak: None,
        limits: Limits {
            context: None,
            max_output: None,
        },
        checked: None,
    }
}

const fn rates(input: u32, output: u32) -> Rates {
    Rates::new(Rate::micro_usd(input), Rate::micro_usd(output))
}

const fn embedding(input: u32) -> Rates {
    rates(input, 0)
}

impl Rates {
    /// Reading the cache.
    const fn read(mut self, price: u32) -> Rates {
        self.cache_read = Some(Rate::micro_usd(price));
        self
    }

    /// Writing the cache.
    const fn write(mut self, price: u32) -> Rates {
        self.cache_write_5m = Some(Rate::micro_usd(price));
        self
    }

    /// Writing the cache for an hour, where that costs more.
    const fn write_1h(mut self, price: u32) -> Rates {
        self.cache_write_1h = Some(Rate::micro_usd(price));
        self
    }
}

impl Row {
    const fn also(mut self, names: &'static [&'static str]) -> Row {
        self.also = names;
        self
    }

    const fn from(mut self, year: u16, month: u8, day: u8) -> Row {
        self.from = Some(Day::of(year, month, day));
        self
    }

    /// Prices of calls with more input tokens than `above`.
    const fn long(mut self, above: u64, rates: Rates) -> Row {
        self.long_context = Some(LongContext { above, rates });
        self
    }

    /// Prices outside of these hours.
    const fn off_peak(mut self, peak: WeekdayHours, rates: Rates) -> Row {
        self.off_peak = Some(OffPeak { peak, rates });
        self
    }

    const fn context(mut self, tokens: u64) -> Row {
        self.limits.context = Some(tokens);
        self
    }

    const fn max_output(mut self, tokens: u64) -> Row {
        self.limits.max_output = Some(tokens);
        self
    }

    const fn checked(mut self, year: u16, month: u8, day: u8) -> Row {
        self.checked = Some(Day::of(year, month, day));
        self
    }
}

#[cfg(test)]
mod tests;
