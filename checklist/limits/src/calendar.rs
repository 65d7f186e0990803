//! Periods of the calendar: days, weeks, months and years of a time zone, from an hour, day or month on.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// A kind of period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From an hour, 0 to 23.
    Day,
    /// From a day of the week, 1 (Monday) to 7.
    Week,
    /// From a day of the month, 1 to 28.
    Month,
    /// From the first day of a month, 1 to 12.
    Year,
}

/// Periods that follow one another.
#[derive(Debug, Clone)]
pub struct Calendar {
    unit: Unit,
    zone: TimeZone,
    anchor: i8,
}

/// One period, in milliseconds since the Unix epoch: from its first moment up to the first one of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub start: u64,
    /// The first moment after it.
    pub end: u64,
}

impl Period {
    /// All time.
    pub const ALL: Period = Period {
        start: 0,
        end: u64::MAX,
    };
}

impl Calendar {
    /// Periods of a time zone by its IANA name.
    ///
    /// # Errors
    /// There is no such time zone.
    pub fn new(unit: Unit, zone: &str, anchor: Option<u8>) -> Result<Self, String> {
        let zone = TimeZone::get(zone).map_err(|_| format!("there is no time zone `{zone}`"))?;
        let first = match unit {
            Unit::Day => 0,
            Unit::Week | Unit::Month | Unit::Year => 1,
        };
        Ok(Calendar {
            unit,
            zone,
            anchor: anchor
                .and_then(|anchor| i8::try_from(anchor).ok())
                .unwrap_or(first),
        })
    }

    /// The period that a moment is in. Beyond the years that the calendar knows there is one period.
    pub fn period(&self, at_ms: u64) -> Period {
        self.find(at_ms).unwrap_or(Period::ALL)
    }

    fn find(&self, at_ms: u64) -> Option<Period> {
        let now = Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?;
        let today = now.to_zoned_datetime(self.zone.clone()).date();
        let mut start = self.on_or_before(today)?;
        if self.moment(start)? > at_ms {
            // Today, but later.
            start = start.checked_sub(self.step()).ok()?;
        }
        let mut next = start.checked_add(self.step()).ok()?;
        // A step of the clock may have moved either end.
        while self.moment(next)? <= at_ms {
            start = next;
            next = start.checked_add(self.step()).ok()?;
        }
        Some(Period {
            start: self.moment(start)?,
            end: self.moment(next)?,
        })
    }

    fn step(&self) -> Span {
        match self.unit {
            Unit::Day => 1.day(),
            Unit::Week => 7.days(),
            Unit::Month => 1.month(),
            Unit::Year => 1.year(),
        }
    }

    /// The last day, up to this one, on which a period begins.
    fn on_or_before(&self, day: Date) -> Option<Date> {
        match self.unit {
            Unit::Day => Some(day),
            Unit::Week => {
                let of_week = day.weekday().to_monday_one_offset();
                let back = (of_week - self.anchor).rem_euclid(7);
                day.checked_sub(back.days()).ok()
            }
            Unit::Month => {
                let start = Date::new(day.year(), day.month(), self.anchor).ok()?;
                if start > day {
                    start.checked_sub(1.month()).ok()
                } else {
                    Some(start)
                }
            }
            Unit::Year => {
                let start = Date::new(day.year(), self.anchor, 1).ok()?;
                if start > day {
                    start.checked_sub(1.year()).ok()
                } else {
                    Some(start)
                }
            }
        }
    }

    /// The moment on that day at which a period begins.
    fn moment(&self, day: Date) -> Option<u64> {
        let hour = if self.unit == Unit::Day {
            self.anchor
        } else {
            0
        };
        let begins = day
            .at(hour, 0, 0, 0)
            .to_zoned_datetime(self.zone.clone())
            .ok()?;
        u64::try_from(begins.timestamp().as_millisecond()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        let moment: Timestamp = text.parse().unwrap();
        u64::try_from(moment.as_millisecond()).unwrap()
    }

    #[track_caller]
    fn check(unit: Unit, zone: &str, anchor: Option<u8>, at: &str, (start, end): (&str, &str)) {
        let calendar = Calendar::new(unit, zone, anchor).unwrap();
        let expected = Period {
            start: ms(start),
            end: ms(end),
        };
        assert_eq!(calendar.period(ms(at)), expected);
    }

    #[test]
    fn periods_of_each_kind() {
        let utc = "UTC";
        check(
            Unit::Month,
            utc,
            None,
            "2026-02-28T23:59:59Z",
            ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        );
        check(
            Unit::Month,
            utc,
            Some(15),
            "2026-01-14T00:00:00Z",
            ("2025-12-15T00:00:00Z", "2026-01-15T00:00:00Z"),
        );
        check(
            Unit::Week,
            utc,
            None,
            "2026-11-25T12:00:00Z",
            ("2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        );
        check(
            Unit::Week,
            utc,
            Some(4),
            "2026-11-25T12:00:00Z",
            ("2026-11-19T00:00:00Z", "2026-11-26T00:00:00Z"),
        );
        check(
            Unit::Day,
            utc,
            Some(6),
            "2026-11-25T05:59:59Z",
            ("2026-11-24T06:00:00Z", "2026-11-25T06:00:00Z"),
        );
        check(
            Unit::Year,
            utc,
            Some(4),
            "2026-03-31T00:00:00Z",
            ("2025-04-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        );
    }

    #[test]
    fn days_follow_the_zone_through_a_change_of_its_clock() {
        let berlin = "Europe/Berlin";
        check(
            Unit::Day,
            berlin,
            None,
            "2026-03-29T12:00:00Z",
            ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        );
        check(
            Unit::Month,
            berlin,
            None,
            "2026-10-31T23:30:00Z",
            ("2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
        );
        // 02:00 does not exist on that day.
        let calendar = Calendar::new(Unit::Day, berlin, Some(2)).unwrap();
        let mut at = ms("2026-03-27T00:00:00Z");
        for _ in 0..5 {
            let period = calendar.period(at);
            assert!(period.start <= at && at < period.end, "{period:?}");
            assert_eq!(calendar.period(period.end).start, period.end);
            at = period.end;
        }
    }

    #[test]
    fn a_zone_that_does_not_exist_is_refused() {
        assert!(Calendar::new(Unit::Day, "Europe/Berlim", None).is_err());
    }
}
