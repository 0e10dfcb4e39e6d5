//! Requests in words, on the tools that ship.

use serde_json::{Value, json};
use switchboard_sdk::{HeardTool, testing::TestHost};

use super::*;

fn tools() -> Vec<HeardTool> {
    let listed = TestHost::new().list_tools::<tools::Tools>();
    listed.into_iter().map(|tool| serde_json::from_value(tool).unwrap()).collect()
}

#[track_caller]
fn check(request: &str, expected: &[(&str, Value)]) {
    let steps = plan(request, &tools(), &Thread::default());
    let calls: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Call(Call { tool, arguments }) => (tool.as_str(), Value::Object(arguments.clone())),
            other => panic!("{request}: {other:?}"),
        })
        .collect();
    assert_eq!(calls, expected, "{request}");
}

#[test]
fn arithmetic_goes_to_the_calculator() {
    for (request, expression) in [
        ("calculate (17 + 4) * 2", "(17 + 4) * 2"),
        ("what's 15% of 80?", "15 / 100 * 80"),
        ("how much is 3 times 4?", "3 * 4"),
        ("calculator: 2^10", "2 ^ 10"),
        ("multiply 6 by 7", "(6) * (7)"),
    ] {
        check(request, &[("calculator", json!({ "expression": expression }))]);
    }
    let later = json!({ "date": "2026-03-01", "amount": 3, "unit": "days" });
    check("add 3 days to 2026-03-01", &[("date_add", later)]);
}

#[test]
fn units_dates_json_and_texts_go_where_they_belong() {
    let miles = json!({ "value": 5, "from": "km", "to": "miles" });
    check("5 km to miles", &[("convert_units", miles.clone())]);
    check("convert 5 km into miles, please", &[("convert_units", json!({ "value": 5, "from": "km", "to": "miles" }))]);
    check("How many miles are 5 km?", &[("convert_units", miles)]);
    check("72.5F in celsius", &[("convert_units", json!({ "value": 72.5, "from": "F", "to": "celsius" }))]);
    check("which weekday is 2026-03-01?", &[("day_of_week", json!({ "date": "2026-03-01" }))]);
    let between = json!({ "from": "2026-01-01", "to": "2026-03-01" });
    check("how many days between 2026-01-01 and 2026-03-01?", &[("date_difference", between)]);
    let until = json!({ "from": "today", "to": "2026-12-24" });
    check("how many days until 2026-12-24?", &[("date_difference", until)]);
    let ago = json!({ "date": "2026-03-01", "amount": -3, "unit": "weeks" });
    check("which date is 3 weeks before 2026-03-01?", &[("date_add", ago)]);
    check("what time is it in Asia/Tokyo?", &[("current_time", json!({ "timezone": "Asia/Tokyo" }))]);
    check("what time is it?", &[("current_time", json!({}))]);
    let query = json!({ "data": { "a": [1] }, "query": "$.a[0]" });
    check(r#"get $.a[0] from the JSON {"a": [1]}"#, &[("json_query", query)]);
    check("count the words in \"one two\"", &[("text_statistics", json!({ "text": "one two" }))]);
    check("count the words: one and two", &[("text_statistics", json!({ "text": "one and two" }))]);
}

#[test]
fn several_clauses_are_several_calls() {
    check(
        "calculate 2 + 2 and convert 5 km to miles",
        &[
            ("calculator", json!({ "expression": "2 + 2" })),
            ("convert_units", json!({ "value": 5, "from": "km", "to": "miles" })),
        ],
    );
    let steps = plan("calculate 2 + 2 then times 3", &tools(), &Thread::default());
    assert_eq!(steps[1], Step::Later("times 3".to_owned()));
}

#[test]
fn a_tool_that_is_named_gets_what_follows_or_says_what_it_lacks() {
    let mut tool = HeardTool {
        name: "wait_slowly".to_owned(),
        description: String::new(),
        input_schema: json!({ "type": "object", "properties": { "ms": { "type": "integer" } }, "required": ["ms"] }),
        plugin: String::new(),
    };
    let call = |arguments: Value| {
        Step::Call(Call { tool: "wait_slowly".into(), arguments: arguments.as_object().unwrap().clone() })
    };
    let thread = Thread::default();
    assert_eq!(plan("wait_slowly 30000", &[tool.clone()], &thread), [call(json!({ "ms": 30000 }))]);
    assert_eq!(plan(r#"wait_slowly {"ms": 5}"#, &[tool.clone()], &thread), [call(json!({ "ms": 5 }))]);
    let missing = Missing { tool: "wait_slowly".into(), names: vec!["ms".into()] };
    assert_eq!(plan("wait_slowly", &[tool.clone()], &thread), [Step::Missing(missing)]);
    tool.input_schema = json!({ "properties": { "text": { "type": "string" } }, "required": ["text"] });
    assert_eq!(plan("wait_slowly for 5 cats", &[tool], &thread), [call(json!({ "text": "5 cats" }))]);
}

#[test]
fn what_fits_nothing_calls_nothing() {
    for request in ["xyzzy plugh", "hello", "hello and goodbye", "{", "???", "5"] {
        assert_eq!(plan(request, &tools(), &Thread::default()), [Step::Unknown(request.to_owned())], "{request}");
    }
    assert_eq!(plan("what did I ask before?", &tools(), &Thread::default()), [Step::Recall]);
}
