//! `parse_time`: one point in time, read from any usual spelling and written in all of them.

use schemars::JsonSchema;
use serde::Deserialize;
use switchboard_sdk::Context;
use time::OffsetDateTime;

use crate::{
    datetime::{self, Moment, Spellings},
    offline::OfflineTool,
};

pub(crate) struct ParseTime;

/// Unix times from here on are milliseconds: as seconds they would lie after the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

const MS_PER_SECOND: i128 = 1000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// A timestamp as in RFC 3339 (`2026-03-01T14:30:00+02:00`), a date (`2026-03-01`), or a Unix time in seconds or
    /// milliseconds (`1772375400`).
    #[schemars(length(min = 1, max = 64), example = &"2026-03-01T14:30:00+02:00")]
    time: String,
    /// The time zone of the answer: `UTC`, or an offset such as `+02:00`.
    #[serde(default = "datetime::utc")]
    #[schemars(length(max = 64), example = &"-05:00")]
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
        Spellings::of(moment, datetime::time_zone(&timezone)?)
    }
}

fn read(time: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let Ok(unix) = time.parse::<i64>() else {
        return Ok(Moment::parse(time, now)?.at);
    };
    let factor = if unix.unsigned_abs() >= FIRST_MILLISECONDS { 1 } else { MS_PER_SECOND };
    datetime::from_unix_ms(i128::from(unix) * factor).map_err(|problem| format!("{time:?} is no Unix time: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_read() {
        let epoch = OffsetDateTime::UNIX_EPOCH;
        for time in ["2026-03-01T14:30:00+02:00", "2026-03-01T12:30", "1772368200", "1772368200000"] {
            assert_eq!(read(time, epoch).unwrap().unix_timestamp(), 1_772_368_200, "{time}");
        }
        assert_eq!(read("-1", epoch).unwrap().unix_timestamp(), -1);
        assert!(read("9223372036854775807", epoch).unwrap_err().contains("is no Unix time"));
    }
}
