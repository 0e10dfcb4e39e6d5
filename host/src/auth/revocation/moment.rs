//! A second of the calendar, as operators write it: RFC 3339, or a number of Unix seconds.
//!
//! Fractions are rounded up: a bound before which tokens are refused must not move backwards.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use toml::value::{Datetime, Offset};

/// The end of the year 9999: the last second that RFC 3339 can write (section 5.6).
const LATEST: u64 = 253_402_300_799;

const DAY: u64 = 24 * 60 * 60;

/// From the first day of the year 1 to that of 1970, in the calendar of RFC 3339.
const DAYS_BEFORE_1970: u64 = days_before_year(1970);

/// Days of a common year before the first of each month.
const DAYS_BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// Unix seconds between 1970 and the end of 9999. Written as RFC 3339, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// What lies beyond the calendar becomes its last second.
    pub fn from_unix(seconds: u64) -> Self {
        Self(seconds.min(LATEST))
    }

    pub fn as_unix(self) -> u64 {
        self.0
    }

    fn from_number(seconds: f64) -> Result<Self, String> {
        let seconds = seconds.ceil();
        #[expect(clippy::cast_precision_loss, reason = "LATEST is far below 2^53")]
        let latest = LATEST as f64;
        if !(0.0..=latest).contains(&seconds) {
            return Err(format!("{seconds} is not a number of Unix seconds; are these milliseconds?"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and LATEST")]
        Ok(Self(seconds as u64))
    }

    fn from_calendar(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a number of Unix seconds nor a time like 2026-01-31T12:00:00Z");
        let parsed: Datetime = text.parse().map_err(|_| wrong())?;
        let (Some(date), Some(time), Some(offset)) = (parsed.date, parsed.time, parsed.offset) else {
            return Err(wrong());
        };
        // TOML may leave seconds out, and RFC 3339 may not.
        let second = u64::from(time.second.ok_or_else(wrong)?) + u64::from(time.nanosecond.unwrap_or(0) > 0);
        let days = days_of(date.year.into(), date.month.into(), date.day.into()).ok_or_else(wrong)?;
        let local = days * DAY + u64::from(time.hour) * 3600 + u64::from(time.minute) * 60 + second;
        let minutes_east = match offset {
            Offset::Z => 0,
            Offset::Custom { minutes } => i64::from(minutes),
        };
        let seconds = local.checked_add_signed(-minutes_east * 60).ok_or_else(wrong)?;
        Ok(Self::from_unix(seconds))
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) => Self::from_number(number),
            Err(_) => Self::from_calendar(text),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY, self.0 % DAY);
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Days since 1970-01-01, if that is not later.
fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let month_index = usize::try_from(month.checked_sub(1)?).ok()?;
    let before_month = DAYS_BEFORE_MONTH.get(month_index)? + u64::from(month > 2 && is_leap(year));
    (days_before_year(year.max(1)) + before_month + day.checked_sub(1)?).checked_sub(DAYS_BEFORE_1970)
}

/// The reverse.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    // 400 years have 146,097 days; the guess is off by one year at most.
    let mut year = days * 400 / 146_097 + 1;
    if days_before_year(year) > days {
        year -= 1;
    } else if days_before_year(year + 1) <= days {
        year += 1;
    }
    let of_year = days - days_before_year(year);
    let before = |month: u64, days: &u64| days + u64::from(month > 2 && is_leap(year));
    let months = (1..).zip(&DAYS_BEFORE_MONTH).map(|(month, days)| (month, before(month, days)));
    let (month, first) = months.take_while(|(_, first)| *first <= of_year).last().unwrap_or((1, 0));
    (year, month, of_year - first + 1)
}

/// Since the first day of the year 1.
const fn days_before_year(year: u64) -> u64 {
    let years = year - 1;
    years * 365 + years / 4 - years / 100 + years / 400
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of Unix seconds, or a time like 2026-01-31T12:00:00Z")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Moment, E> {
        Moment::from_number(seconds).map_err(E::custom)
    }

    #[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is refused")]
    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Moment, E> {
        self.visit_f64(seconds as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is refused")]
    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Moment, E> {
        self.visit_f64(seconds as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: u64, shown: &str) {
        let moment: Moment = text.parse().unwrap();
        assert_eq!((moment.as_unix(), moment.to_string().as_str()), (seconds, shown), "{text}");
    }

    #[test]
    fn a_time_is_read_from_the_calendar_and_from_seconds() {
        check("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z");
        check("2000-02-29T23:59:59Z", 951_868_799, "2000-02-29T23:59:59Z");
        check("2026-11-21T10:02:36+01:30", 1_795_249_956, "2026-11-21T08:32:36Z");
        check("2026-11-21t08:32:36z", 1_795_249_956, "2026-11-21T08:32:36Z");
        check("9999-12-31T23:59:59Z", LATEST, "9999-12-31T23:59:59Z");
        check("1795249956", 1_795_249_956, "2026-11-21T08:32:36Z");
    }

    #[test]
    fn every_day_is_found_again() {
        for days in (0..LATEST / DAY).step_by(13) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), Some(days), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn fractions_count_as_the_next_second() {
        check("1970-01-01T00:00:00.001Z", 1, "1970-01-01T00:00:01Z");
        check("41.5", 42, "1970-01-01T00:00:42Z");
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "",
            "soon",
            "NaN",
            "-1",
            "1795249956000",
            "2026-11-21",
            "2026-11-21T08:32:36",
            "2026-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn json_takes_both_forms_and_gives_the_calendar() {
        for json in ["1795249956", "1795249955.5", "\"2026-11-21T08:32:36Z\"", "\"1795249956\""] {
            let moment: Moment = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&moment).unwrap(), "\"2026-11-21T08:32:36Z\"", "{json}");
        }
        assert!(serde_json::from_str::<Moment>("true").is_err());
    }
}
