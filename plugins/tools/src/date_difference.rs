//! `date_difference`: how long it is from one date to another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchboard_sdk::Context;
use time::OffsetDateTime;

use crate::{
    datetime::{self, Moment},
    offline::OfflineTool,
};

pub(crate) struct DateDifference;

const SECONDS_PER_DAY: i64 = 86_400;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Where to start: a date (`2026-03-01`), a time (`2026-03-01T14:30:00Z`), or `now`, `today`, `tomorrow`, `yesterday`
    /// (in UTC).
    #[schemars(length(min = 1, max = 64), example = &"2026-03-01")]
    from: String,
    /// Where to end, written in the same ways.
    #[schemars(length(min = 1, max = 64), example = &"2026-12-24")]
    to: String,
}

/// All numbers are negative or zero if `to` lies before `from`.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// All of it in days, without the begun one.
    days: i64,
    /// All of it in seconds.
    total_seconds: i64,
    /// All of it by the calendar: the largest units first.
    calendar: Calendar,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
struct Calendar {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
}

impl OfflineTool for DateDifference {
    const NAME: &'static str = "date_difference";
    const TITLE: &'static str = "Difference between dates";
    const DESCRIPTION: &'static str = "Find the difference between two dates or times: how many days between two dates, \
        how long until or since a date, how old something is. Returns days, seconds, and years, months and days by the \
        calendar.";

    type Arguments = Arguments;
    type Answer = Answer;

    fn call(ctx: &Context, Arguments { from, to }: Arguments) -> Result<(String, Answer), String> {
        difference(&from, &to, datetime::now(ctx)?)
    }
}

fn difference(from: &str, to: &str, now: OffsetDateTime) -> Result<(String, Answer), String> {
    let (from, to) = (Moment::parse(from, now)?, Moment::parse(to, now)?);
    // Both at the offset of `from`: a calendar needs one midnight.
    let end = to.at.checked_to_offset(from.at.offset()).ok_or("the years go from -9999 to 9999")?;
    let calendar = Calendar::between(from.at, end).ok_or("the years go from -9999 to 9999")?;
    let total_seconds = (end - from.at).whole_seconds();
    let days = total_seconds / SECONDS_PER_DAY;
    let text =
        format!("From {} to {}: {} ({})", from.written(), to.written(), counted(days, "day"), calendar.in_words());
    Ok((text, Answer { days, total_seconds, calendar }))
}

impl Calendar {
    /// As many whole months as fit, and what is left; all of one sign.
    fn between(from: OffsetDateTime, to: OffsetDateTime) -> Option<Self> {
        let mut months = datetime::month_index(to) - datetime::month_index(from);
        let reached = datetime::add_months(from, months)?;
        if from <= to && reached > to {
            months -= 1;
        } else if from > to && reached < to {
            months += 1;
        }
        let rest = to - datetime::add_months(from, months)?;
        Some(Self {
            years: months / datetime::MONTHS_PER_YEAR,
            months: months % datetime::MONTHS_PER_YEAR,
            days: rest.whole_days(),
            hours: rest.whole_hours() % 24,
            minutes: rest.whole_minutes() % 60,
            seconds: rest.whole_seconds() % 60,
        })
    }

    fn in_words(&self) -> String {
        let parts = [
            (self.years, "year"),
            (self.months, "month"),
            (self.days, "day"),
            (self.hours, "hour"),
            (self.minutes, "minute"),
            (self.seconds, "second"),
        ];
        let words: Vec<String> =
            parts.into_iter().filter(|(count, _)| *count != 0).map(|(count, unit)| counted(count, unit)).collect();
        if words.is_empty() { "no difference".to_owned() } else { words.join(", ") }
    }
}

fn counted(count: i64, unit: &str) -> String {
    let plural = if count.abs() == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(from: &str, to: &str) -> (String, Answer) {
        difference(from, to, datetime::from_unix_ms(1_772_366_400_000).unwrap()).unwrap()
    }

    #[test]
    fn days_are_counted_and_the_calendar_is_told() {
        let (text, answer) = between("2024-02-28", "2025-03-01");
        assert_eq!(text, "From 2024-02-28 to 2025-03-01: 367 days (1 year, 1 day)");
        assert_eq!((answer.days, answer.total_seconds), (367, 367 * SECONDS_PER_DAY));
    }

    #[test]
    fn backwards_is_negative() {
        let (text, answer) = between("2026-03-01", "2026-02-28");
        assert_eq!((text.as_str(), answer.days), ("From 2026-03-01 to 2026-02-28: -1 day (-1 day)", -1));
    }

    #[test]
    fn months_are_whole_or_not_counted() {
        assert!(between("2026-01-31", "2026-02-28").0.ends_with("28 days (1 month)"));
        assert!(between("2026-01-15", "2026-02-14T23:00:00Z").0.ends_with("30 days (30 days, 23 hours)"));
        assert!(between("2026-02-15", "2026-01-14T00:00:00Z").0.ends_with("-32 days (-1 month, -1 day)"));
    }

    #[test]
    fn offsets_are_respected() {
        assert_eq!(between("2026-03-01T12:00:00+02:00", "2026-03-01T12:00:00Z").1.total_seconds, 7200);
        assert_eq!(between("now", "2026-03-01T12:00:00Z").0.split_once(": ").unwrap().1, "0 days (no difference)");
    }
}
