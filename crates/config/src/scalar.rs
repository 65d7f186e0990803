//! Values that are written as short texts: times, sizes.

use aplomb_core::money::NanoUsd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A time span: `250ms`, `15s`, `2m30s`, `3h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Longest time span: ten years.
const SPAN_MAX_MS: u64 = 86_400_000 * 3650;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a time span such as `250ms`, `15s`, `2m30s` or `3h`".to_owned();
        let mut total = Duration::ZERO;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let count: u64 = rest
                .get(..digits)
                .and_then(|n| n.parse().ok())
                .ok_or_else(wrong)?;
            let tail = rest.get(digits..).unwrap_or_default();
            let end = tail
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(tail.len());
            let (unit, next) = (
                tail.get(..end).unwrap_or_default(),
                tail.get(end..).unwrap_or_default(),
            );
            let ms: u64 = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            // More than ten years is ten years, however it is written.
            total = (total + Duration::from_millis(count.saturating_mul(ms).min(SPAN_MAX_MS)))
                .min(Duration::from_millis(SPAN_MAX_MS));
            rest = next;
        }
        Ok(Span(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_millis();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, ms) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ] {
            if left >= ms {
                write!(f, "{}{unit}", left / ms)?;
                left %= ms;
            }
        }
        Ok(())
    }
}

/// A number of bytes: `512KiB`, `10MiB`, `1GiB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a size such as `512KiB`, `10MiB` or a number of bytes".to_owned();
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let count: usize = text
            .get(..digits)
            .and_then(|n| n.parse().ok())
            .ok_or_else(wrong)?;
        let unit = match text.get(digits..).unwrap_or_default().trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        count.checked_mul(unit).map(ByteSize).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("GiB", 1usize << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// An amount in US dollars: `1.25` or `1.25 USD`, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub NanoUsd);

impl FromStr for Usd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_end_matches("USD").trim_end();
        let amount: NanoUsd = number
            .parse()
            .map_err(|error| format!("expected an amount such as `1.25 USD`: {error}"))?;
        if amount < NanoUsd::ZERO {
            return Err("expected an amount of at least 0".to_owned());
        }
        Ok(Usd(amount))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD", self.0)
    }
}

/// Serde and schema for a type that is written as text of a named format.
macro_rules! text_scalar {
    ($type:ty, $format:literal, $description:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "description": $description })
            }
        }
    };
}
pub(crate) use text_scalar;

text_scalar!(
    Span,
    "time-span",
    "A time span: `250ms`, `15s`, `2m30s`, `3h`."
);
text_scalar!(
    ByteSize,
    "byte-size",
    "A size: `512KiB`, `10MiB`, or bytes."
);

text_scalar!(Usd, "usd", "An amount in US dollars: `1.25` or `1.25 USD`.");

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: a sum of long spans was longer than what it was written as.
    #[test]
    fn a_span_beyond_ten_years_is_ten_years_however_it_is_written() {
        for text in ["4000d4000d", "49444d4444444944d1s", "3650d", "99999999999d"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>(), Ok(span), "{text}");
            assert_eq!(span.to_string(), "3650d", "{text}");
        }
    }

    #[test]
    fn spans_and_sizes_are_read_and_written() {
        for (text, ms) in [
            ("250ms", 250),
            ("2m30s", 150_000),
            ("3h", 10_800_000),
            ("0s", 0),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(ms));
            assert_eq!(span.to_string(), text);
        }
        for (text, bytes) in [("10MiB", 10 << 20), ("512KiB", 512 << 10), ("17", 17)] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size, ByteSize(bytes));
            assert_eq!(size.to_string(), text);
        }
        let price: Usd = "1.25 USD".parse().unwrap();
        assert_eq!(
            (price.0, price.to_string()),
            (NanoUsd(1_250_000_000), "1.25 USD".into())
        );
        assert_eq!("1.25".parse::<Usd>(), Ok(price));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "s", "5", "5x", "-1s", "1.5s", "5 s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["", "-1", "1.5 EUR", "USD", "1e3"] {
            assert!(text.parse::<Usd>().is_err(), "{text}");
        }
        for text in ["", "MiB", "10MB", "99999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
