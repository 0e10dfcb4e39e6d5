//! `current_time`: what models know least about, the present.

use schemars::JsonSchema;
use serde::Deserialize;
use switchboard_sdk::Context;

use crate::{
    datetime::{self, Spellings},
    offline::OfflineTool,
};

pub(crate) struct CurrentTime;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The time zone of the answer: `UTC`, or an offset such as `+02:00`.
    #[serde(default = "datetime::utc")]
    #[schemars(length(max = 64), example = &"+09:00")]
    timezone: String,
}

impl OfflineTool for CurrentTime {
    const NAME: &'static str = "current_time";
    const TITLE: &'static str = "Current time";
    const DESCRIPTION: &'static str = "Get the current time and today's date: what time is it now, which day is today, \
        in UTC or at another offset from it. Returns date, time, weekday and Unix time.";

    type Arguments = Arguments;
    type Answer = Spellings;

    fn call(ctx: &Context, Arguments { timezone }: Arguments) -> Result<(String, Spellings), String> {
        Spellings::of(datetime::now(ctx)?, datetime::time_zone(&timezone)?)
    }
}
