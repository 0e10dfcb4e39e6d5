//! `day_of_week`: where a date stands in its week and in its year.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchboard_sdk::Context;
use time::OffsetDateTime;

use crate::{
    datetime::{self, Moment},
    offline::OfflineTool,
};

pub(crate) struct DayOfWeek;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The date, as `2026-03-01`, or `today`, `tomorrow`, `yesterday` (in UTC).
    #[schemars(length(min = 1, max = 64), example = &"2026-03-01")]
    date: String,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The date, as in 2026-03-01.
    date: String,
    /// Monday to Sunday.
    weekday: String,
    /// 1 for Monday to 7 for Sunday.
    weekday_number: u8,
    /// The week's number by ISO 8601.
    iso_week: u8,
    /// The year that this week belongs to; in the first and last days of a year it can be another.
    iso_week_year: i32,
    /// 1 to 366.
    day_of_year: u16,
    /// Whether the year has a 29 February.
    leap_year: bool,
}

impl OfflineTool for DayOfWeek {
    const NAME: &'static str = "day_of_week";
    const TITLE: &'static str = "Day of the week";
    const DESCRIPTION: &'static str = "Find the day of the week (weekday) of a date: which weekday a date falls on, its \
        ISO week number, its day of the year, and whether the year is a leap year.";

    type Arguments = Arguments;
    type Answer = Answer;

    fn call(ctx: &Context, Arguments { date }: Arguments) -> Result<(String, Answer), String> {
        describe(&date, datetime::now(ctx)?)
    }
}

fn describe(date: &str, now: OffsetDateTime) -> Result<(String, Answer), String> {
    let date = Moment::parse(date, now)?.at.date();
    let (iso_week_year, iso_week, weekday) = date.to_iso_week_date();
    let answer = Answer {
        date: datetime::date(date),
        weekday: weekday.to_string(),
        weekday_number: weekday.number_from_monday(),
        iso_week,
        iso_week_year,
        day_of_year: date.ordinal(),
        leap_year: time::util::is_leap_year(date.year()),
    };
    let Answer { date, weekday, iso_week, iso_week_year, day_of_year, .. } = &answer;
    let text = format!("{date} is a {weekday} (week {iso_week} of {iso_week_year}, day {day_of_year} of the year)");
    Ok((text, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_knows_its_week() {
        let (text, answer) = describe("2027-01-01", OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(text, "2027-01-01 is a Friday (week 53 of 2026, day 1 of the year)");
        assert_eq!((answer.weekday_number, answer.leap_year), (5, false));
        assert_eq!(describe("today", OffsetDateTime::UNIX_EPOCH).unwrap().1.weekday, "Thursday");
    }

    #[test]
    fn a_time_counts_on_the_day_of_its_own_offset() {
        assert_eq!(describe("2026-03-01T01:00:00+02:00", OffsetDateTime::UNIX_EPOCH).unwrap().1.date, "2026-03-01");
    }
}
