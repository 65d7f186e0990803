//! Days of the calendar and hours of the week, UTC: when a price holds.

use std::fmt;
use std::str::FromStr;

const MS_A_DAY: u64 = 24 * MS_AN_HOUR;
const MS_AN_HOUR: u64 = 3_600_000;

/// A day of the Gregorian calendar, UTC. As text `2025-09-05`; earlier days compare as less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

/// The text names no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayError;

impl fmt::Display for DayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a day: write it like `2025-09-05`")
    }
}

impl std::error::Error for DayError {}

impl Day {
    /// The day of this date, if there is one.
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Day> {
        if year <= 9999 && day >= 1 && day <= days_in(year, month) {
            Some(Day { year, month, day })
        } else {
            None
        }
    }

    /// A day as written in this crate's own tables; a test checks that each of them exists.
    pub(crate) const fn of(year: u16, month: u8, day: u8) -> Day {
        Day { year, month, day }
    }

    /// The day of a moment in milliseconds since the Unix epoch. Moments past the year 9999 count as its last day.
    pub fn at_ms(ms: u64) -> Day {
        civil(ms / MS_A_DAY).unwrap_or(Day::of(9999, 12, 31))
    }
}

/// Some hours of Monday to Friday, UTC, each from its first up to its second one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WeekdayHours(pub(crate) &'static [(u64, u64)]);

impl WeekdayHours {
    /// Whether a moment in milliseconds since the Unix epoch is in them.
    pub(crate) fn include(&self, ms: u64) -> bool {
        // The epoch was a Thursday.
        let since_monday = (ms / MS_A_DAY + 3) % 7;
        let hour = ms % MS_A_DAY / MS_AN_HOUR;
        since_monday < 5 && self.0.iter().any(|(from, to)| (*from..*to).contains(&hour))
    }
}

/// Days of a month; none where there is no such month.
const fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// The date of a day counted from 1970-01-01.
fn civil(days: u64) -> Option<Day> {
    let date = aplomb_core::civil::date(days);
    let small = |number: u64| u8::try_from(number).ok();
    Day::new(
        u16::try_from(date.year).ok()?,
        small(date.month)?,
        small(date.day)?,
    )
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Day, DayError> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let plain = part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse::<u16>().ok())?
        };
        let date = (part(4), part(2), part(2));
        let (Some(year), Some(month), Some(day), None) = (date.0, date.1, date.2, parts.next())
        else {
            return Err(DayError);
        };
        let small = |number: u16| u8::try_from(number).map_err(|_| DayError);
        Day::new(year, small(month)?, small(day)?).ok_or(DayError)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_fall_on_days() {
        for (ms, text) in [
            (0, "1970-01-01"),
            (MS_A_DAY - 1, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_757_030_399_999, "2025-09-04"),
            (1_757_030_400_000, "2025-09-05"),
            (4_107_542_400_000, "2100-03-01"),
            (253_402_300_799_999, "9999-12-31"),
            (u64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Day::at_ms(ms).to_string(), text);
        }
    }

    #[test]
    fn hours_of_weekdays() {
        // 2026-10-16 was a Friday.
        let friday = 1_792_108_800_000;
        assert_eq!(Day::at_ms(friday).to_string(), "2026-10-16");
        let hours = WeekdayHours(&[(1, 4), (6, 10)]);
        let include =
            |day: u64, hour: u64| hours.include(friday + day * MS_A_DAY + hour * MS_AN_HOUR);
        let friday: Vec<u64> = (0..24).filter(|hour| include(0, *hour)).collect();
        assert_eq!(friday, [1, 2, 3, 6, 7, 8, 9]);
        assert!(!(0..24).any(|hour| include(1, hour) || include(2, hour)));
        assert!(include(3, 1) && include(7, 9));
    }

    #[test]
    fn days_are_read_strictly() {
        assert_eq!("2024-02-29".parse(), Ok(Day::of(2024, 2, 29)));
        for text in [
            "2023-02-29",
            "2100-02-29",
            "2025-13-01",
            "2025-00-01",
            "2025-04-31",
            "2025-04-00",
            "2025-4-1",
            "2025-04",
            "2025-04-01-02",
            "+025-04-01",
            "20250401",
            "",
        ] {
            assert_eq!(text.parse::<Day>(), Err(DayError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_next_day_is_later_and_reads_back(days in 0u64..2_932_896) {
            let (day, next) = (Day::at_ms(days * MS_A_DAY), Day::at_ms((days + 1) * MS_A_DAY));
            prop_assert!(day < next);
            prop_assert_eq!(day.to_string().parse(), Ok(day));
        }
    }
}
