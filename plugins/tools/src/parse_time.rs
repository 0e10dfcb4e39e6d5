//! `parse_time`: one point in time, read from any usual spelling and written in all of them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use switchboard_sdk::Context;

use crate::{
    datetime::{self, Moment, Spellings},
    offline::OfflineTool,
};

pub(crate) struct ParseTime;

/// Unix times from here on are milliseconds: as seconds they would lie after the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// A timestamp as in RFC 3339 (`2026-03-01T14:30:00+02:00`), a date (`2026-03-01`), or a Unix time in seconds or
    /// milliseconds (`1772375400`).
    #[schemars(length(min = 1, max = 64), example = &"2026-03-01T14:30:00+02:00")]
    time: String,
    /// The time zone of the answer: `UTC`, an offset such as `+02:00`, or a name such as `Europe/Paris`.
    #[serde(default = "datetime::utc")]
    #[schemars(length(max = 64), example = &"America/New_York")]
    timezone: String,
}

impl OfflineTool for ParseTime {
    const NAME: &'static str = "parse_time";
    const TITLE: &'static str = "Parse a timestamp";
    const DESCRIPTION: &'static str = "Parse a timestamp (RFC 3339, ISO 8601 date or Unix epoch time) and show the same \
        moment in another time zone. Use it to turn a Unix timestamp into a date, a date into a Unix timestamp, or a \
        time from one time zone to another. Returns date, time, weekday and Unix time.";

    type Arguments = Arguments;
    type Answer = Spellings;

    fn call(ctx: &Context, Arguments { time, timezone }: Arguments) -> Result<(String, Spellings), String> {
        let moment = read(time.trim(), datetime::now(ctx)?)?;
        Ok(Spellings::of(moment, datetime::time_zone(&timezone)?))
    }
}

fn read(time: &str, now: Timestamp) -> Result<Timestamp, String> {
    // Eight digits could be a date without hyphens; a Unix time of today has ten.
    let unix = if time.len() == 8 { None } else { time.parse::<i64>().ok() };
    match unix {
        Some(unix) if unix.unsigned_abs() >= FIRST_MILLISECONDS => Timestamp::from_millisecond(unix),
        Some(unix) => Timestamp::from_second(unix),
        None => return Ok(Moment::parse(time, now)?.zoned.timestamp()),
    }
    .map_err(|fault| format!("{time:?} is no Unix time: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_read() {
        let expected: Timestamp = "2026-03-01T12:30:00Z".parse().unwrap();
        for time in ["2026-03-01T14:30:00+02:00", "2026-03-01T12:30", "1772368200", "1772368200000"] {
            assert_eq!(read(time, Timestamp::UNIX_EPOCH), Ok(expected), "{time}");
        }
        assert_eq!(read("-1", expected).unwrap().to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(read("20260301", expected).unwrap().to_string(), "2026-03-01T00:00:00Z");
        assert!(read("999999999999999999", expected).unwrap_err().contains("is no Unix time"));
    }
}
