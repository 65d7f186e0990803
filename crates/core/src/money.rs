//! Money: a whole number of nano-dollars inside, a decimal string outside.
//!
//! A price list knows fractions of a cent per thousand tokens; binary floats cannot hold them and sums of them drift.
//! 64 bits of nano-dollars reach 9.2 billion dollars either way. Additions saturate at that end rather than wrap: a
//! counter that has reached it stays there. JSON numbers are floats to most readers, so an amount is written as a string.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// Decimal places of a nano-dollar.
const PLACES: usize = 9;

/// An amount in nano-dollars (US dollars x 10^-9). Negative amounts are refunds and corrections.
///
/// As text it is a plain decimal number of dollars without an exponent, a sign only where it is negative, and no zeros
/// at the end: `0.0012345`, `12`, `-0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NanoUsd(pub i64);

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not digits with at most one point between them.
    #[error("not a decimal number of dollars: write it like `12.5`")]
    NotDecimal,
    /// More than nine places after the point that are not zero.
    #[error("finer than a nano-dollar: nine places after the point are kept")]
    TooFine,
    /// Beyond 9.2 billion dollars.
    #[error("an amount beyond 9.2 billion dollars")]
    TooLarge,
}

impl NanoUsd {
    /// Nothing.
    pub const ZERO: NanoUsd = NanoUsd(0);
    /// The largest amount, where additions stop.
    pub const MAX: NanoUsd = NanoUsd(i64::MAX);
    /// Nano-dollars in a dollar.
    pub const PER_USD: i64 = 1_000_000_000;

    /// The sum, or `None` beyond the range.
    #[must_use]
    pub const fn checked_add(self, other: NanoUsd) -> Option<NanoUsd> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(NanoUsd(sum)),
            None => None,
        }
    }

    /// The difference, or `None` beyond the range.
    #[must_use]
    pub const fn checked_sub(self, other: NanoUsd) -> Option<NanoUsd> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(NanoUsd(difference)),
            None => None,
        }
    }

    /// The sum, or the end of the range.
    #[must_use]
    pub const fn saturating_add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }

    /// The difference, or the end of the range.
    #[must_use]
    pub const fn saturating_sub(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_sub(other.0))
    }
}

/// Adds up, stopping at the end of the range.
impl std::iter::Sum for NanoUsd {
    fn sum<I: Iterator<Item = NanoUsd>>(amounts: I) -> NanoUsd {
        amounts.fold(NanoUsd::ZERO, NanoUsd::saturating_add)
    }
}

/// Dollars without a currency sign, e.g. `0.0012345`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        let unit = Self::PER_USD.unsigned_abs();
        let (dollars, rest) = (size / unit, size % unit);
        let mut text = dollars.to_string();
        if rest > 0 {
            let fraction = format!("{rest:0PLACES$}");
            text.push('.');
            text.push_str(fraction.trim_end_matches('0'));
        }
        f.pad_integral(self.0 >= 0, "", &text)
    }
}

impl FromStr for NanoUsd {
    type Err = MoneyError;

    /// Reads what [`Display`](fmt::Display) writes, and zeros before and after it.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let size = nanos(digits)?;
        let signed = if negative { -size } else { size };
        let amount = i64::try_from(signed).map_err(|_| MoneyError::TooLarge)?;
        Ok(NanoUsd(amount))
    }
}

/// Nano-dollars of a decimal number without a sign.
fn nanos(text: &str) -> Result<i128, MoneyError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(MoneyError::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > PLACES {
        return Err(MoneyError::TooFine);
    }
    let number = |text: &str| text.parse::<u64>().map_err(|_| MoneyError::TooLarge);
    let rest = number(&format!("{fraction:0<PLACES$}"))?;
    Ok(i128::from(number(whole)?) * i128::from(NanoUsd::PER_USD) + i128::from(rest))
}

impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NanoUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_as_text() {
        for (amount, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (1_234_500, "0.0012345"),
            (12_000_000_000, "12"),
            (12_500_000_000, "12.5"),
            (-500_000_000, "-0.5"),
            (i64::MAX, "9223372036.854775807"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            assert_eq!(NanoUsd(amount).to_string(), text);
            assert_eq!(text.parse(), Ok(NanoUsd(amount)));
        }
    }

    #[test]
    fn zeros_around_an_amount_change_nothing() {
        for text in ["0.001234500", "00.0012345", "0.00123450000000000000"] {
            assert_eq!(text.parse(), Ok(NanoUsd(1_234_500)), "{text}");
        }
        assert_eq!("-0".parse(), Ok(NanoUsd::ZERO));
    }

    #[test]
    fn what_is_no_amount_says_why() {
        for text in [
            "", "-", ".", "1.", ".5", "+1", "1e3", " 1", "1,5", "1.2.3", "--1", "$1", "1_0", "NaN",
        ] {
            assert_eq!(
                text.parse::<NanoUsd>(),
                Err(MoneyError::NotDecimal),
                "{text}"
            );
        }
        assert_eq!("0.0000000001".parse::<NanoUsd>(), Err(MoneyError::TooFine));
        for text in ["9223372036.854775808", "99999999999999999999999"] {
            assert_eq!(text.parse::<NanoUsd>(), Err(MoneyError::TooLarge), "{text}");
        }
    }

    #[test]
    fn additions_end_at_the_range() {
        let one = NanoUsd(1);
        assert_eq!(NanoUsd::MAX.checked_add(one), None);
        assert_eq!(NanoUsd::MAX.saturating_add(one), NanoUsd::MAX);
        assert_eq!(one.checked_sub(NanoUsd(3)), Some(NanoUsd(-2)));
        assert_eq!(
            [NanoUsd::MAX, one, one].into_iter().sum::<NanoUsd>(),
            NanoUsd::MAX
        );
    }

    #[test]
    fn json_holds_a_string() {
        let text = serde_json::to_string(&NanoUsd(1_234_500)).unwrap();
        assert_eq!(text, r#""0.0012345""#);
        let read = |text: &str| serde_json::from_str::<NanoUsd>(text);
        assert_eq!(read(&text).unwrap(), NanoUsd(1_234_500));
        assert_eq!(read(r#""0\u002e5""#).unwrap(), NanoUsd(500_000_000));
        assert!(read("0.5").is_err());
        assert!(read(r#""half""#).is_err());
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(
            format!("{:>6}|{:<6}|", NanoUsd(500_000_000), NanoUsd(0)),
            "   0.5|0     |"
        );
    }

    proptest! {
        #[test]
        fn text_and_back(amount: i64) {
            prop_assert_eq!(NanoUsd(amount).to_string().parse(), Ok(NanoUsd(amount)));
        }

        #[test]
        fn any_text_is_an_amount_or_an_error(text in ".{0,30}") {
            if let Ok(amount) = text.parse::<NanoUsd>() {
                prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            }
        }
    }
}
