//! `date_add`: a date so and so much later, or earlier.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchboard_sdk::Context;
use time::{Duration, OffsetDateTime};

use crate::{
    datetime::{self, Moment},
    offline::OfflineTool,
};

pub(crate) struct DateAdd;

const SECONDS_PER_DAY: i64 = 86_400;

/// Those that RFC 3339 can write.
const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Where to start: a date (`2026-03-01`), a time (`2026-03-01T14:30:00Z`), or `now`, `today`, `tomorrow`, `yesterday`
    /// (in UTC).
    #[schemars(length(min = 1, max = 64), example = &"2026-03-01")]
    date: String,
    /// How many units later; negative for earlier.
    #[schemars(example = 30)]
    amount: i64,
    /// The unit of `amount`. A month later is the same day of the next month, or that month's last.
    unit: Unit,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
    Weeks,
    Months,
    Years,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The date, or the time if one was given or the unit is shorter than a day.
    date: String,
    /// Monday to Sunday.
    weekday: String,
}

impl OfflineTool for DateAdd {
    const NAME: &'static str = "date_add";
    const TITLE: &'static str = "Add to a date";
    const DESCRIPTION: &'static str = "Add days, weeks, months, years, hours, minutes or seconds to a date, or subtract \
        them with a negative amount: which date is 90 days from now, 3 weeks after or 2 months before a date. Returns \
        the date and its weekday.";

    type Arguments = Arguments;
    type Answer = Answer;

    fn call(ctx: &Context, arguments: Arguments) -> Result<(String, Answer), String> {
        add(&arguments, datetime::now(ctx)?)
    }
}

fn add(Arguments { date, amount, unit }: &Arguments, now: OffsetDateTime) -> Result<(String, Answer), String> {
    let start = Moment::parse(date, now)?;
    let end = later(start.at, *amount, *unit).filter(|end| YEARS.contains(&end.year())).ok_or_else(|| {
        format!("{amount} is too much for {}: the result has to lie in the years 0 to 9999", start.written())
    })?;
    let date_only = start.date_only && !matches!(unit, Unit::Seconds | Unit::Minutes | Unit::Hours);
    let end = Moment { at: end, date_only };
    let answer = Answer { date: end.written(), weekday: end.at.weekday().to_string() };
    Ok((format!("{}, {}", answer.weekday, answer.date), answer))
}

fn later(start: OffsetDateTime, amount: i64, unit: Unit) -> Option<OffsetDateTime> {
    let seconds = match unit {
        Unit::Seconds => 1,
        Unit::Minutes => 60,
        Unit::Hours => 3600,
        Unit::Days => SECONDS_PER_DAY,
        Unit::Weeks => 7 * SECONDS_PER_DAY,
        Unit::Months => return datetime::add_months(start, amount),
        Unit::Years => return datetime::add_months(start, amount.checked_mul(datetime::MONTHS_PER_YEAR)?),
    };
    start.checked_add(Duration::seconds(amount.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(date: &str, amount: i64, unit: Unit) -> Result<String, String> {
        let arguments = Arguments { date: date.into(), amount, unit };
        add(&arguments, OffsetDateTime::UNIX_EPOCH).map(|(_, answer)| answer.date)
    }

    #[test]
    fn days_stay_days_and_hours_become_times() {
        assert_eq!(sum("2026-02-27", 3, Unit::Days).unwrap(), "2026-03-02");
        assert_eq!(sum("2026-03-01", -1, Unit::Weeks).unwrap(), "2026-02-22");
        assert_eq!(sum("2026-03-01", 36, Unit::Hours).unwrap(), "2026-03-02T12:00:00Z");
        assert_eq!(sum("2026-03-01T23:59:59+02:00", 1, Unit::Seconds).unwrap(), "2026-03-02T00:00:00+02:00");
        assert_eq!(sum("now", -90, Unit::Minutes).unwrap(), "1969-12-31T22:30:00Z");
    }

    #[test]
    fn months_end_with_their_last_day() {
        assert_eq!(sum("2026-01-31", 1, Unit::Months).unwrap(), "2026-02-28");
        assert_eq!(sum("2024-02-29", 1, Unit::Years).unwrap(), "2025-02-28");
    }

    #[test]
    fn what_leads_out_of_the_calendar_is_refused() {
        for amount in [10_000, i64::MAX, i64::MIN] {
            assert!(sum("2026-01-31", amount, Unit::Years).unwrap_err().contains("too much for 2026-01-31"));
        }
    }
}
