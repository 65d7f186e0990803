//! Dates of the Gregorian calendar and days counted from 1970-01-01.
//!
//! Method: Howard Hinnant, "chrono-compatible low-level date algorithms". Years begin in March there, so that the leap day is
//! a year's last.

/// A date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// From 1970 on.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
}

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;
/// Days of 400 years.
const ERA: u64 = 146_097;
/// Last day that is counted; far beyond any clock, and no arithmetic overflows before it.
const LAST: u64 = u64::MAX / 2;

/// The date of a day counted from 1970-01-01.
pub fn date(day: u64) -> Civil {
    let days = day.min(LAST) + EPOCH;
    let (era, of_era) = (days / ERA, days % ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let (month, next_year) = match from_march {
        0..=9 => (from_march + 3, 0),
        _ => (from_march - 9, 1),
    };
    Civil {
        year: year_of_era + era * 400 + next_year,
        month,
        day: of_year - (153 * from_march + 2) / 5 + 1,
    }
}

/// The day of a date, counted from 1970-01-01. `None` for a date that does not exist, or is before that day or after the year
/// 9999.
pub fn day(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let from_march = (month + 9) % 12;
    let year_of_march = year - u64::from(month <= 2);
    let (era, year_of_era) = (year_of_march / 400, year_of_march % 400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let found = era * ERA + of_era - EPOCH;
    let same = Civil { year, month, day };
    (date(found) == same).then_some(found)
}

/// Seconds since the Unix epoch of an IMF-fixdate such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
pub fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let of_month: u64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = u64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut time = parts
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let ends = parts.next() == Some("GMT") && parts.next().is_none() && time.next().is_none();
    // 60 is a leap second.
    if !ends || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(day(year, month, of_month)? * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_has_one_date_and_dates_follow_each_other() {
        let mut before = date(0);
        assert_eq!((before.year, before.month, before.day), (1970, 1, 1));
        for number in 1..=2_932_896 {
            let now = date(number);
            let next_day =
                now.year == before.year && now.month == before.month && now.day == before.day + 1;
            let next_month = now.day == 1 && before.day >= 28;
            assert!(next_day || next_month, "{before:?} {now:?}");
            assert_eq!(day(now.year, now.month, now.day), Some(number));
            before = now;
        }
        assert_eq!((before.year, before.month, before.day), (9999, 12, 31));
        assert!(date(u64::MAX).year > 9999);
    }

    #[test]
    fn dates_that_do_not_exist_have_no_day() {
        for (year, month, of_month) in [
            (2023, 2, 29),
            (2100, 2, 29),
            (2024, 4, 31),
            (2024, 13, 1),
            (2024, 0, 1),
            (2024, 1, 0),
            (1969, 12, 31),
            (10_000, 1, 1),
        ] {
            assert_eq!(day(year, month, of_month), None);
        }
        assert_eq!(day(2000, 2, 29), Some(11_016));
    }

    #[test]
    fn http_dates_are_read_as_a_whole() {
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        for wrong in [
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 GMT later",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:01 GMT",
            "06 Nov 1994 08:49:37 GMT",
            "",
        ] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }
}
