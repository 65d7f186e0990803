//! The dated price catalogue: what a provider's model costs at a time.
//!
//! A name is looked up among the operator's own prices first, then among the published ones, and in each of them as it
//! is written, then without the date at its end (`gpt-5-mini-2025-08-07` is `gpt-5-mini`), then as `*`, the entry for
//! every model of a provider. The first entry with a price for that time decides. Beginnings of names never match: a
//! model that nobody has entered has no price, and a call to it has no cost rather than a cost of zero.
//!
//! Providers are named as in the file. One that is published here under another name, or a model served by the
//! operator, needs the operator's price.

use crate::day::Day;
use crate::price::{LongContext, Origin, Price, Rates};
use crate::published::{OffPeak, Row, SHEETS, Sheet};
use std::borrow::Cow;
use std::collections::HashMap;

/// Stands for every model of a provider.
const EVERY_MODEL: &str = "*";

/// A price that the operator sets; goes before the published ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The provider's name in the file.
    pub provider: String,
    /// The model, or `*` for every model of the provider that has no entry of its own here.
    pub model: String,
    /// The first day of this price, UTC. Without one it has always held. Several entries for a model are its periods.
    pub from: Option<Day>,
    /// The prices.
    pub rates: Rates,
    /// Other prices for long inputs.
    pub long_context: Option<LongContext>,
}

/// How much a model takes and gives, in tokens, where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Input and output together.
    pub context: Option<u64>,
    /// Output of one call.
    pub max_output: Option<u64>,
}

/// All known prices. Built once; a lookup allocates nothing.
#[derive(Debug, Clone)]
pub struct Prices {
    operator: Names,
    published: Names,
}

impl Prices {
    /// The prices that come with this version. Every model of the provider `practice`, which is simulated, is known to
    /// cost nothing.
    pub fn published() -> Prices {
        let mut published = Names::default();
        for sheet in SHEETS {
            published.add_sheet(sheet);
        }
        let free = Price {
            rates: Rates::FREE,
            long_context: None,
            origin: Origin::Simulated,
        };
        let always = Period::always(None, free);
        published.add("practice".into(), EVERY_MODEL.into(), always);
        let operator = Names::default();
        Prices {
            operator,
            published,
        }
    }

    /// Adds the operator's prices. Of two for the same model and day the later one in the list holds.
    #[must_use]
    pub fn with_overrides(mut self, overrides: impl IntoIterator<Item = Override>) -> Prices {
        for own in overrides {
            let price = Price {
                rates: own.rates,
                long_context: own.long_context,
                origin: Origin::Operator,
            };
            let period = Period::always(own.from, price);
            self.operator
                .add(own.provider.into(), own.model.into(), period);
        }
        self
    }

    /// What the model costs at a moment in milliseconds since the Unix epoch, that of the call. `None` if that is not
    /// known.
    pub fn price(&self, provider: &str, model: &str, at_ms: u64) -> Option<Price> {
        let day = Day::at_ms(at_ms);
        let then = |listing: &Listing| Some(listing.on(day)?.price_at(at_ms));
        self.operator
            .find(provider, model, then)
            .or_else(|| self.published.find(provider, model, then))
    }

    /// How much the model takes and gives, as published last.
    pub fn limits(&self, provider: &str, model: &str) -> Limits {
        let limits = |listing: &Listing| Some(listing.periods.last()?.limits);
        self.published
            .find(provider, model, limits)
            .unwrap_or_default()
    }
}

/// A provider's listings by model.
type Models = HashMap<Cow<'static, str>, Listing>;

/// Listings by provider, then by model. A dozen providers are found sooner by looking through them than by hashing.
#[derive(Debug, Clone, Default)]
struct Names(Vec<(Cow<'static, str>, Models)>);

impl Names {
    fn add_sheet(&mut self, sheet: &'static Sheet) {
        for row in sheet.rows {
            let period = Period::published(sheet, row);
            for name in [row.model].iter().chain(row.also) {
                self.add(sheet.provider.into(), Cow::Borrowed(name), period);
            }
        }
    }

    fn add(&mut self, provider: Cow<'static, str>, model: Cow<'static, str>, period: Period) {
        let known = self.0.iter_mut().find(|(name, _)| *name == provider);
        match known {
            Some((_, models)) => models.entry(model).or_default().add(period),
            None => {
                let mut models = Models::default();
                models.entry(model).or_default().add(period);
                self.0.push((provider, models));
            }
        }
    }

    /// What `read` says of the nearest entry for which it says something.
    fn find<T>(
        &self,
        provider: &str,
        model: &str,
        read: impl Fn(&Listing) -> Option<T>,
    ) -> Option<T> {
        let (_, models) = self.0.iter().find(|(name, _)| name == provider)?;
        let named = |name: &str| models.get(name).and_then(&read);
        named(model)
            .or_else(|| named(undated(model)?))
            .or_else(|| named(EVERY_MODEL))
    }
}

/// What is known of one name.
#[derive(Debug, Clone, Default)]
struct Listing {
    /// By their first day, the earliest first.
    periods: Vec<Period>,
}

#[derive(Debug, Clone, Copy)]
struct Period {
    /// `None` comes before every day.
    from: Option<Day>,
    price: Price,
    off_peak: Option<OffPeak>,
    limits: Limits,
}

impl Period {
    /// At every hour the same.
    fn always(from: Option<Day>, price: Price) -> Period {
        Period {
            from,
            price,
            off_peak: None,
            limits: Limits::default(),
        }
    }

    fn published(sheet: &Sheet, row: &Row) -> Period {
        let price = Price {
            rates: row.rates,
            long_context: row.long_context,
            origin: Origin::Published {
                source: sheet.source,
                checked: row.checked.unwrap_or(sheet.checked),
            },
        };
        Period {
            from: row.from,
            price,
            off_peak: row.off_peak,
            limits: row.limits,
        }
    }

    fn price_at(&self, ms: u64) -> Price {
        match &self.off_peak {
            Some(OffPeak { peak, rates }) if !peak.include(ms) => Price {
                rates: *rates,
                ..self.price
            },
            _ => self.price,
        }
    }
}

impl Listing {
    fn add(&mut self, period: Period) {
        let at = self
            .periods
            .partition_point(|known| known.from < period.from);
        match self.periods.get_mut(at) {
            Some(known) if known.from == period.from => *known = period,
            _ => self.periods.insert(at, period),
        }
    }

    fn on(&self, day: Day) -> Option<&Period> {
        let begun = |period: &&Period| period.from.is_none_or(|from| from <= day);
        self.periods.iter().rev().find(begun)
    }
}

/// The name without `-YYYY-MM-DD` or `-YYYYMMDD` at its end, if it ends so.
fn undated(model: &str) -> Option<&str> {
    ["-0000-00-00", "-00000000"].into_iter().find_map(|shape| {
        let (name, end) = model.split_at_checked(model.len().checked_sub(shape.len())?)?;
        let fits = |(byte, shape): (u8, u8)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        };
        let dated = end.bytes().zip(shape.bytes()).all(fits);
        (dated && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests;
