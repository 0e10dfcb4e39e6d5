//! Tools that are useful without any network: arithmetic, dates, text, JSON and units.
//!
//! Read it as an example of a plugin that only offers tools: each has a file of its own, with its arguments, its
//! answer and its description, and stands in the one table below. The first line of every description says what
//! the tool is for in the words that people use when they need it, since that is what agents choose by.

mod calculator;
mod convert_units;
mod current_time;
mod date_add;
mod date_difference;
mod datetime;
mod day_of_week;
mod json_query;
mod number;
mod offline;
mod parse_time;
mod text_statistics;

use serde_json::Value;
use switchboard_sdk::{Context, Error, Manifest, Plugin, Tool, ToolResult};

use crate::offline::Entry;

const TOOLS: [Entry; 9] = [
    Entry::of::<calculator::Calculator>(),
    Entry::of::<current_time::CurrentTime>(),
    Entry::of::<date_add::DateAdd>(),
    Entry::of::<date_difference::DateDifference>(),
    Entry::of::<day_of_week::DayOfWeek>(),
    Entry::of::<parse_time::ParseTime>(),
    Entry::of::<text_statistics::TextStatistics>(),
    Entry::of::<json_query::JsonQuery>(),
    Entry::of::<convert_units::ConvertUnits>(),
];

/// The plugin. It remembers nothing, so it has no fields.
#[derive(Debug, Default)]
pub struct Tools;

impl Plugin for Tools {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().tools()
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        Ok(TOOLS.iter().map(Entry::describe).collect())
    }

    fn call_tool(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<ToolResult, Error> {
        match TOOLS.iter().find(|tool| tool.name() == name) {
            Some(tool) => tool.call(ctx, arguments),
            None => Err(Error::new("UNKNOWN_TOOL", format!("`tools` has no tool {name:?}"))),
        }
    }
}

switchboard_sdk::register_plugin!(Tools);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use switchboard_sdk::testing::TestHost;

    use super::*;

    #[track_caller]
    fn call(name: &str, arguments: Value) -> ToolResult {
        TestHost::new().call_tool::<Tools>(name, arguments).unwrap()
    }

    #[test]
    fn every_tool_answers_with_a_text_and_a_value_that_fits_its_schema() {
        let calls = [
            ("calculator", json!({ "expression": "2 * (3 + 4)" }), "14"),
            ("current_time", json!({}), "Thursday, 2026-01-01T00:00:00Z"),
            ("date_add", json!({ "date": "today", "amount": 90, "unit": "days" }), "Wednesday, 2026-04-01"),
            (
                "date_difference",
                json!({ "from": "today", "to": "2026-12-24" }),
                "From 2026-01-01 to 2026-12-24: 357 days (11 months, 23 days)",
            ),
            (
                "day_of_week",
                json!({ "date": "2026-03-01" }),
                "2026-03-01 is a Sunday (week 9 of 2026, day 60 of the year)",
            ),
            ("parse_time", json!({ "time": "1772368200", "timezone": "+02:00" }), "Sunday, 2026-03-01T14:30:00+02:00"),
            (
                "text_statistics",
                json!({ "text": "One. Two!" }),
                "words: 2, characters: 9, sentences: 2, lines: 1, paragraphs: 1",
            ),
            ("json_query", json!({ "data": "{\"a\": [1, 2]}", "query": "$.a[1]" }), "2"),
            ("convert_units", json!({ "value": 5, "from": "km", "to": "miles" }), "5 km = 3.10685596118667 mi"),
        ];
        let descriptions = TestHost::new().list_tools::<Tools>();
        assert_eq!(calls.len(), descriptions.len());
        for ((name, arguments, text), description) in calls.into_iter().zip(descriptions) {
            assert_eq!(description["name"], name);
            let result = call(name, arguments);
            assert_eq!((result.joined_text().as_str(), result.is_error), (text, false), "{name}");
            let schema = jsonschema::validator_for(&description["outputSchema"]).unwrap();
            schema.validate(&result.structured_content.unwrap()).unwrap();
        }
    }

    #[test]
    fn every_schema_is_closed_flat_and_explained() {
        for tool in TestHost::new().list_tools::<Tools>() {
            let schema = &tool["inputSchema"];
            assert_eq!(schema["additionalProperties"], false, "{tool}");
            assert_eq!(tool["annotations"], json!({ "readOnlyHint": true, "openWorldHint": false }));
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string() && property.get("$ref").is_none(), "{name}: {property}");
            }
        }
    }

    #[test]
    fn a_fault_is_a_result_that_a_model_can_act_on() {
        let result = call("calculator", json!({ "expression": "2 *" }));
        assert!(result.is_error && result.structured_content.is_none());
        assert!(result.joined_text().starts_with("at position 4: "));
        assert!(TestHost::new().call_tool::<Tools>("calculator", json!({ "expresion": "2" })).is_err());
        assert!(TestHost::new().call_tool::<Tools>("abacus", json!({})).is_err());
    }
}
