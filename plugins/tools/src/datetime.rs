//! What the tools for dates share: how a point in time and a time zone are read, and how they are written.
//!
//! Time zones are offsets from UTC. Their names are not known here, because the rules behind them change every
//! year, and a plugin that carried old ones would be wrong without noticing.

use schemars::JsonSchema;
use serde::Serialize;
use switchboard_sdk::Context;
use time::{Date, Duration, Month, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

const WAYS: &str = "write a date as 2026-03-01, a time as 2026-03-01T14:30:00Z or 2026-03-01T14:30:00+02:00, or one of \
    now, today, tomorrow, yesterday";

/// As in 2026-03-01.
const DATE_LENGTH: usize = 10;

/// As in +02:00, without the seconds that no offset has any more.
const OFFSET_LENGTH: usize = 6;

pub(crate) const MONTHS_PER_YEAR: i64 = 12;

const NANOSECONDS_PER_MS: i128 = 1_000_000;

/// A point in time as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: OffsetDateTime,
    /// Whether only the date was given. It stands for that day's first moment.
    pub(crate) date_only: bool,
}

impl Moment {
    pub(crate) fn parse(text: &str, now: OffsetDateTime) -> Result<Self, String> {
        let text = text.trim();
        let days = match text.to_ascii_lowercase().as_str() {
            "now" => return Ok(Self { at: now, date_only: false }),
            "yesterday" => -1,
            "today" => 0,
            "tomorrow" => 1,
            _ => return written(text).map_err(|problem| format!("{text:?} is no date: {problem}; {WAYS}")),
        };
        let today = now.replace_time(time::Time::MIDNIGHT);
        let at = today.checked_add(Duration::days(days)).ok_or("there is no such day")?;
        Ok(Self { at, date_only: true })
    }

    /// As it was written: a date, or RFC 3339.
    pub(crate) fn written(&self) -> String {
        if self.date_only { date(self.at.date()) } else { rfc3339(self.at) }
    }
}

/// A date, or RFC 3339 with some patience: a space for the `T`, no seconds, no offset (which is then UTC).
fn written(text: &str) -> Result<Moment, String> {
    let (date, rest) = text.split_at_checked(DATE_LENGTH).ok_or("it is too short")?;
    if rest.is_empty() {
        return Ok(Moment { at: parse_rfc3339(&format!("{date}T00:00:00Z"))?, date_only: true });
    }
    let rest = rest.strip_prefix(['T', 't', ' ']).ok_or("after the date follows a `T`")?;
    let (time, offset) = rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()));
    let seconds = if time.matches(':').count() == 1 { ":00" } else { "" };
    let offset = if offset.is_empty() { "Z" } else { offset };
    Ok(Moment { at: parse_rfc3339(&format!("{date}T{time}{seconds}{offset}"))?, date_only: false })
}

fn parse_rfc3339(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|fault| fault.to_string())
}

/// The host's clock.
pub(crate) fn now(ctx: &Context) -> Result<OffsetDateTime, String> {
    from_unix_ms(ctx.clock().unix_ms().into())
}

pub(crate) fn from_unix_ms(milliseconds: i128) -> Result<OffsetDateTime, String> {
    OffsetDateTime::from_unix_timestamp_nanos(milliseconds * NANOSECONDS_PER_MS)
        .map_err(|_| "the years go from -9999 to 9999".to_owned())
}

/// `UTC`, or an offset such as `+02:00`, also as `UTC+2:00` has it.
pub(crate) fn time_zone(name: &str) -> Result<UtcOffset, String> {
    let trimmed = name.trim().to_ascii_uppercase();
    let offset = trimmed.trim_start_matches("UTC").trim_start_matches("GMT");
    let offset = if offset.is_empty() { "Z" } else { offset };
    parse_rfc3339(&format!("2000-01-01T00:00:00{offset}")).map(OffsetDateTime::offset).map_err(|_| {
        format!(
            "{name:?} is not a known time zone: use UTC, or an offset such as +02:00 (names of places have none here)"
        )
    })
}

/// Empty outside the years 0 to 9999, which RFC 3339 cannot write.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

pub(crate) fn date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The same day so many months later, or that month's last. None outside the calendar.
pub(crate) fn add_months(at: OffsetDateTime, months: i64) -> Option<OffsetDateTime> {
    let index = month_index(at).checked_add(months)?;
    let year = i32::try_from(index.div_euclid(MONTHS_PER_YEAR)).ok()?;
    let month = Month::try_from(u8::try_from(index.rem_euclid(MONTHS_PER_YEAR) + 1).ok()?).ok()?;
    let day = at.day().min(month.length(year));
    Some(at.replace_date(Date::from_calendar_date(year, month, day).ok()?))
}

/// Months since the beginning of the year 0.
pub(crate) fn month_index(at: OffsetDateTime) -> i64 {
    i64::from(at.year()) * MONTHS_PER_YEAR + i64::from(u8::from(at.month())) - 1
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
    weekday: String,
    /// UTC, or the offset from it.
    timezone: String,
    /// Unix time in seconds, with the fraction cut off.
    unix_seconds: i64,
    /// Unix time in milliseconds.
    unix_ms: i64,
}

impl Spellings {
    pub(crate) fn of(at: OffsetDateTime, zone: UtcOffset) -> Result<(String, Self), String> {
        let local = at.checked_to_offset(zone).ok_or("the years go from -9999 to 9999")?;
        let rfc3339 = rfc3339(local);
        if rfc3339.is_empty() {
            return Err(format!("RFC 3339 cannot write the year {}", local.year()));
        }
        let (hour, minute, second) = local.to_hms();
        let spellings = Self {
            date: date(local.date()),
            time: format!("{hour:02}:{minute:02}:{second:02}"),
            weekday: local.weekday().to_string(),
            timezone: if zone.is_utc() { utc() } else { zone.to_string().chars().take(OFFSET_LENGTH).collect() },
            unix_seconds: local.unix_timestamp(),
            unix_ms: i64::try_from(local.unix_timestamp_nanos() / NANOSECONDS_PER_MS).unwrap_or(i64::MAX),
            rfc3339,
        };
        Ok((format!("{}, {}", spellings.weekday, spellings.rfc3339), spellings))
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
        Moment::parse(text, parse_rfc3339("2026-02-28T23:30:00Z").unwrap()).unwrap()
    }

    #[test]
    fn a_moment_is_written_as_it_was_read() {
        for text in ["2026-03-01", "2026-03-01T14:30:00Z", "2026-03-01T14:30:00.25+02:00", "2026-03-01T14:30:00-00:30"]
        {
            assert_eq!(read(text).written(), text);
        }
        assert_eq!(read("2026-03-01 14:30").written(), "2026-03-01T14:30:00Z");
        assert_eq!(read("2026-03-01t14:30-05:00").written(), "2026-03-01T14:30:00-05:00");
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
        for text in ["2026-02-30", "next week", "", "01/03/2026", "2026-03-01T25:00", "2026-03-01x", "äöüäöüäöü"]
        {
            let fault = Moment::parse(text, OffsetDateTime::UNIX_EPOCH).unwrap_err();
            assert!(fault.starts_with(&format!("{text:?} is no date: ")), "{fault}");
            assert!(fault.ends_with(WAYS), "{fault}");
        }
    }

    #[test]
    fn zones_are_offsets() {
        let noon = read("2026-07-01T12:00:00Z").at;
        let (text, spellings) = Spellings::of(noon, time_zone("+05:30").unwrap()).unwrap();
        assert_eq!((spellings.time.as_str(), spellings.timezone.as_str()), ("17:30:00", "+05:30"));
        assert_eq!(text, "Wednesday, 2026-07-01T17:30:00+05:30");
        assert_eq!(Spellings::of(noon, time_zone("utc").unwrap()).unwrap().1.timezone, "UTC");
        assert_eq!(time_zone("UTC-03:00").unwrap(), time_zone("-03:00").unwrap());
        assert!(time_zone("Mars/Olympus").unwrap_err().starts_with("\"Mars/Olympus\" is not a known time zone"));
    }
}
