//! What the tools for dates share: how a point in time and a time zone are read, and how they are written.

use jiff::{
    Timestamp, Zoned,
    civil::{Time, Weekday},
    fmt::temporal::{DateTimeParser, Pieces},
    tz::TimeZone,
};
use schemars::JsonSchema;
use serde::Serialize;
use switchboard_sdk::Context;

const WAYS: &str = "write a date as 2026-03-01, a time as 2026-03-01T14:30:00Z or 2026-03-01T14:30:00+02:00, or one of \
    now, today, tomorrow, yesterday";

/// A point in time as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) zoned: Zoned,
    /// Whether only the date was given. It stands for that day's first moment.
    pub(crate) date_only: bool,
}

impl Moment {
    pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Self, String> {
        let text = text.trim();
        let today = now.to_zoned(TimeZone::UTC);
        let day = match text.to_ascii_lowercase().as_str() {
            "now" => return Ok(Self { zoned: today, date_only: false }),
            "today" => Ok(today),
            "tomorrow" => today.tomorrow(),
            "yesterday" => today.yesterday(),
            _ => return Self::parse_written(text).map_err(|fault| format!("{text:?} is no date: {fault}; {WAYS}")),
        };
        let zoned = day.and_then(|day| day.start_of_day()).map_err(|fault| fault.to_string())?;
        Ok(Self { zoned, date_only: true })
    }

    fn parse_written(text: &str) -> Result<Self, jiff::Error> {
        let pieces = Pieces::parse(text)?;
        let date_only = pieces.time().is_none();
        let time = pieces.time().unwrap_or(Time::midnight());
        // RFC 3339 wants an offset; a time without one is read as UTC.
        let zone = pieces.to_time_zone()?.or_else(|| pieces.to_numeric_offset().map(TimeZone::fixed));
        let zoned = pieces.date().to_datetime(time).to_zoned(zone.unwrap_or(TimeZone::UTC))?;
        Ok(Self { zoned, date_only })
    }

    /// As it was written: a date, or RFC 3339.
    pub(crate) fn written(&self) -> String {
        if self.date_only { self.zoned.date().to_string() } else { rfc3339(&self.zoned) }
    }
}

/// The host's clock.
pub(crate) fn now(ctx: &Context) -> Result<Timestamp, String> {
    let milliseconds = i64::try_from(ctx.clock().unix_ms()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).map_err(|fault| format!("the server's clock is wrong: {fault}"))
}

/// `UTC`, an offset such as `+02:00`, or a name such as `Europe/Paris`.
pub(crate) fn time_zone(name: &str) -> Result<TimeZone, String> {
    let name = name.trim();
    if matches!(name, "" | "Z" | "z") || name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    DateTimeParser::new().parse_time_zone(name).map_err(|_| {
        format!("{name:?} is not a known time zone; use UTC, an offset such as +02:00, or a name such as Asia/Tokyo")
    })
}

pub(crate) fn rfc3339(zoned: &Zoned) -> String {
    let timestamp = zoned.timestamp();
    if zoned.time_zone() == &TimeZone::UTC {
        timestamp.to_string()
    } else {
        timestamp.display_with_offset(zoned.offset()).to_string()
    }
}

pub(crate) fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

/// One point in time in all spellings that somebody might want.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Spellings {
    /// The point in time with its offset, as in 2026-03-01T14:30:00+02:00.
    rfc3339: String,
    /// The date in this time zone, as in 2026-03-01.
    date: String,
    /// The time of day in this time zone, as in 14:30:00.
    time: String,
    /// Monday to Sunday.
    weekday: &'static str,
    /// The time zone that was asked for.
    timezone: String,
    /// Unix time in seconds, with the fraction cut off.
    unix_seconds: i64,
    /// Unix time in milliseconds.
    unix_ms: i64,
}

impl Spellings {
    pub(crate) fn of(moment: Timestamp, zone: TimeZone) -> (String, Self) {
        let zoned = moment.to_zoned(zone);
        let timezone = zoned.time_zone().iana_name().map_or_else(|| zoned.offset().to_string(), str::to_owned);
        let spellings = Self {
            rfc3339: rfc3339(&zoned),
            date: zoned.date().to_string(),
            time: zoned.time().to_string(),
            weekday: weekday(zoned.weekday()),
            timezone,
            unix_seconds: moment.as_second(),
            unix_ms: moment.as_millisecond(),
        };
        let text = format!("{}, {} ({})", spellings.weekday, spellings.rfc3339, spellings.timezone);
        (text, spellings)
    }
}

/// What a time zone is when nobody says.
pub(crate) fn utc() -> String {
    "UTC".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Moment {
        Moment::parse(text, "2026-02-28T23:30:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_moment_is_written_as_it_was_read() {
        for text in ["2026-03-01", "2026-03-01T14:30:00Z", "2026-03-01T14:30:00.25+02:00", "2026-03-01T14:30:00-00:30"]
        {
            assert_eq!(read(text).written(), text);
        }
        assert_eq!(read("2026-03-01 14:30").written(), "2026-03-01T14:30:00Z");
    }

    #[test]
    fn words_stand_for_days() {
        assert_eq!(read("now").written(), "2026-02-28T23:30:00Z");
        assert_eq!(read("Today").written(), "2026-02-28");
        assert_eq!(read("tomorrow").written(), "2026-03-01");
        assert_eq!(read(" yesterday ").written(), "2026-02-27");
    }

    #[test]
    fn what_is_no_date_is_refused_with_the_ways_to_write_one() {
        for text in ["2026-02-30", "next week", "", "01/03/2026"] {
            let fault = Moment::parse(text, Timestamp::UNIX_EPOCH).unwrap_err();
            assert!(fault.starts_with(&format!("{text:?} is no date: ")), "{fault}");
            assert!(fault.ends_with(WAYS), "{fault}");
        }
    }

    #[test]
    fn zones_are_names_or_offsets() {
        let noon: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        let (text, spellings) = Spellings::of(noon, time_zone("+05:30").unwrap());
        assert_eq!((spellings.time.as_str(), spellings.timezone.as_str()), ("17:30:00", "+05:30"));
        assert_eq!(text, "Wednesday, 2026-07-01T17:30:00+05:30 (+05:30)");
        assert_eq!(Spellings::of(noon, time_zone("utc").unwrap()).1.rfc3339, "2026-07-01T12:00:00Z");
        assert_eq!(Spellings::of(noon, time_zone("Europe/Paris").unwrap()).1.time, "14:00:00");
        assert!(time_zone("Mars/Olympus").unwrap_err().contains("Mars/Olympus"));
    }
}
