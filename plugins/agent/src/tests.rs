//! The plugin as a client sees it, with the tools that ship.

use serde_json::{Value, json};
use switchboard_sdk::{
    Tool, ToolError, ToolResult,
    testing::{Outcome, TestHost},
};
use tools::Tools;

use crate::Agent;

fn host() -> TestHost {
    TestHost::new().tools_of::<Tools>()
}

fn say(host: &mut TestHost, content: &str) -> Outcome {
    host.handle::<Agent>("user_message", json!({ "content": content, "thread_id": "t" }))
}

fn last(outcome: &Outcome) -> &Value {
    &outcome.events.last().unwrap().payload
}

#[track_caller]
fn check(request: &str, tool: &str, reported: &str) {
    let outcome = say(&mut host(), request);
    let called: Vec<&Value> =
        outcome.events.iter().filter(|e| e.kind == "tool_executing").map(|e| &e.payload["name"]).collect();
    assert_eq!(called, [tool], "{request}: {:#?}", outcome.events);
    let content = last(&outcome)["content"].as_str().unwrap();
    assert!(content.contains(reported), "{request}: {content}");
}

#[test]
fn the_events_of_a_run_come_in_order_and_are_numbered() {
    let outcome = say(&mut host(), "What is 2 * (3 + 4)?");
    assert_eq!(outcome.result, Ok(None));
    let expected =
        ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "partial_result", "agent_completed"];
    assert_eq!(outcome.event_types(), expected);
    for (index, event) in outcome.events.iter().enumerate() {
        assert_eq!(event.payload["seq"], index + 1);
        assert_eq!((&event.payload["run_id"], &event.payload["thread_id"]), (&json!("run_1"), &json!("t")));
    }
    assert_eq!(outcome.events[0].payload["planner"], "embedded");
    assert_eq!(outcome.events[2].payload["arguments"], json!({ "expression": "2 * (3 + 4)" }));
    assert_eq!(outcome.events[3].payload["result"]["structuredContent"]["value"], 14.0);
    assert_eq!(outcome.events[2].payload["tool_call_id"], outcome.events[3].payload["tool_call_id"]);
    assert_eq!(last(&outcome)["status"], "success");
    assert_eq!(outcome.events[4].payload["delta"], last(&outcome)["content"]);
}

#[test]
fn requests_find_the_tool_that_fits() {
    check("What is 2 * (3 + 4)?", "calculate", "= 14");
    check("how much is 15% of 80", "calculate", "= 12");
    check("convert 5 km to miles", "convert_units", "3.10685596118667 mi");
    check("What is 20 celsius in fahrenheit?", "convert_units", "68 °F");
    check("how many words are in \"to be or not to be\"", "text_statistics", "6 words");
    check("count the words of this text: one two three", "text_statistics", "3 words");
    check("what time is it now?", "current_time", "2026-01-01T00:00:00Z");
    check("which weekday is 2026-11-21?", "date_info", "Saturday");
    check("how many days lie between 2026-01-01 and 2026-03-01", "date_difference", "59 days");
    check("add 2 weeks to 2026-02-28", "date_add", "2026-03-14");
    check("subtract 3 days from today", "date_add", "2025-12-29");
    check(r#"find $.a[1] in {"a": ["x", "y"]}"#, "json_query", "\"y\"");
}

#[test]
fn a_request_of_several_steps_is_carried_out_one_by_one() {
    let outcome = say(&mut host(), "calculate 2 + 3, then convert that km to m");
    assert_eq!(last(&outcome)["content"], "2 + 3 = 5\n5 km = 5000 m");
    assert_eq!(last(&outcome)["tool_calls"], 2);
}

#[test]
fn what_no_tool_can_do_is_said_gracefully() {
    let outcome = say(&mut host(), "write a poem about the sea");
    assert_eq!(outcome.event_types(), ["agent_started", "agent_thinking", "partial_result", "agent_completed"]);
    assert_eq!(last(&outcome)["status"], "success");
    assert!(last(&outcome)["content"].as_str().unwrap().contains("`calculate`"), "{}", last(&outcome));

    let outcome = say(&mut host(), "please use calculate");
    assert!(last(&outcome)["content"].as_str().unwrap().contains("`expression`"), "{}", last(&outcome));

    let outcome = say(&mut TestHost::new(), "1 + 1");
    assert!(last(&outcome)["content"].as_str().unwrap().contains("none"), "{}", last(&outcome));
}

#[test]
fn a_tool_that_fails_is_reported_and_the_run_goes_on() {
    let broken = Tool::with_schema("launch_rocket", "Launches a rocket.", json!({ "type": "object" }));
    let mut host = host().described_tool(broken, |_| Err(ToolError::Timeout));
    let outcome = say(&mut host, "launch the rocket; 1 + 1");
    assert_eq!(outcome.events[3].payload["is_error"], true);
    let content = last(&outcome)["content"].as_str().unwrap();
    assert_eq!(content, "`launch_rocket` failed: the tool did not finish in time\n1 + 1 = 2");
    assert_eq!((&last(&outcome)["tool_errors"], &last(&outcome)["status"]), (&json!(1), &json!("success")));
}

#[test]
fn a_request_may_name_its_agent_and_limit_its_tools() {
    let request = json!({ "agent": "clerk", "input": "1 + 1", "tools": ["convert_units"] });
    let outcome = host().handle::<Agent>("agent_request", request);
    assert_eq!(outcome.events[0].payload["agent"], "clerk");
    assert!(!outcome.event_types().contains(&"tool_executing"));

    let outcome = host().handle::<Agent>("agent_request", json!({ "input": "1 + 1", "tools": ["nothing"] }));
    assert_eq!(outcome.event_types(), ["agent_completed"]);
    assert_eq!(
        (&last(&outcome)["status"], &last(&outcome)["error"]["code"]),
        (&json!("error"), &json!("TOOL_UNKNOWN"))
    );
}

#[test]
fn a_cancelled_run_stops_wherever_it_is_and_ends_once() {
    for events in 0..7 {
        let outcome = say(&mut host().cancel_run_after(events), "1 + 1; 2 + 2");
        assert_eq!(outcome.result, Ok(None));
        assert_eq!(last(&outcome)["status"], "cancelled");
        assert_eq!(outcome.events.len(), events + 1);
        assert_eq!(outcome.event_types().iter().filter(|kind| **kind == "agent_completed").count(), 1);
    }
}

#[test]
fn a_run_is_cancelled_by_its_id() {
    let mut host = TestHost::new().foreign_run("run_7");
    let outcome = host.handle::<Agent>("agent_cancel", json!({ "run_id": "run_7" }));
    assert_eq!((outcome.answer_type(), outcome.answer()), ("agent_cancelling", json!({ "run_id": "run_7" })));
    let outcome = host.handle::<Agent>("agent_cancel", json!({ "run_id": "run_7" }));
    assert_eq!(outcome.refusal().code, "RUN_UNKNOWN");
}

#[test]
fn a_thread_remembers_and_belongs_to_its_user() {
    let mut host = host().user("alice");
    say(&mut host, "1 + 1");
    assert_eq!(last(&say(&mut host, "again"))["content"], "1 + 1 = 2");

    let mut host = host.user("bob");
    let outcome = say(&mut host, "again");
    assert_eq!(outcome.events[0].payload["earlier_entries"], 0);
    assert_eq!(last(&outcome)["tool_calls"], 0);
}

#[test]
fn tools_of_strangers_are_used_by_what_they_say_of_themselves() {
    let schema = json!({
        "type": "object",
        "properties": { "city": { "type": "string" }, "when": { "type": "string", "format": "date" } },
        "required": ["city"],
    });
    let weather = Tool::with_schema("get_weather", "The weather forecast for a city.", schema);
    let mut host = host().described_tool(weather, |arguments| Ok(ToolResult::text(arguments.to_string())));
    let outcome = say(&mut host, "What will the weather be in \"Oslo\" tomorrow?");
    assert_eq!(last(&outcome)["content"], r#"{"city":"Oslo","when":"2026-01-02"}"#);
}

#[test]
fn payloads_that_do_not_fit_never_reach_the_planner() {
    for (kind, payload) in [
        ("user_message", json!({})),
        ("user_message", json!({ "content": "" })),
        ("user_message", json!({ "content": "x", "thread_id": "t".repeat(129) })),
        ("agent_request", json!({ "content": "x" })),
        ("agent_cancel", json!({ "run_id": 1 })),
    ] {
        assert_eq!(host().handle::<Agent>(kind, payload).refusal().code, "PAYLOAD_INVALID");
    }
}
