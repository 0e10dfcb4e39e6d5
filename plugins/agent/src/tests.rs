//! The plugin as a client sees it.

use serde_json::{Value, json};
use switchboard_sdk::{
    ToolError, ToolResult,
    testing::{Outcome, TestHost},
};
use tools::Tools;

use crate::Agent;

fn host() -> TestHost {
    TestHost::new().tools_of::<Tools>()
}

fn say(host: &mut TestHost, content: &str) -> Outcome {
    let outcome = host.handle::<Agent>("user_message", json!({ "content": content, "thread_id": "t" }));
    assert_eq!(outcome.result, Ok(None));
    outcome
}

fn end(outcome: &Outcome) -> &Value {
    let event = outcome.events.last().unwrap();
    assert_eq!(event.kind, "agent_completed");
    &event.payload
}

fn message(outcome: &Outcome) -> &str {
    end(outcome)["message"].as_str().unwrap()
}

fn payload<'a>(outcome: &'a Outcome, kind: &str) -> &'a Value {
    &outcome.events.iter().find(|event| event.kind == kind).unwrap().payload
}

#[test]
fn a_run_tells_what_it_does_in_order() {
    let outcome = say(&mut host(), "calculate (17 + 4) * 2");
    let kinds = outcome.event_types();
    assert_eq!(kinds[..4], ["agent_started", "agent_thinking", "tool_executing", "tool_completed"]);
    assert!(kinds[4..kinds.len() - 1].iter().all(|kind| *kind == "partial_result"));
    assert_eq!(payload(&outcome, "agent_started")["planner"], "embedded");
    let (executing, completed) = (payload(&outcome, "tool_executing"), payload(&outcome, "tool_completed"));
    assert_eq!(executing["tool_call_id"], completed["tool_call_id"]);
    assert_eq!(
        (&executing["name"], &executing["arguments"]["expression"]),
        (&json!("calculator"), &json!("(17 + 4) * 2"))
    );
    assert_eq!(
        (&completed["is_error"], &completed["result"]["structuredContent"]["result"]),
        (&json!(false), &json!(42))
    );
    assert!(completed["duration_ms"].as_f64().is_some());
    let deltas: String = outcome.events.iter().filter_map(|event| event.payload["delta"].as_str()).collect();
    assert_eq!(deltas, message(&outcome));
    assert!(deltas.contains("42"), "{deltas}");
    assert_eq!((&end(&outcome)["status"], &end(&outcome)["tools_used"]), (&json!("success"), &json!(["calculator"])));
}

#[test]
fn a_failure_is_reported_as_one() {
    let outcome = say(&mut host(), "calculate 1 / 0");
    assert_eq!(payload(&outcome, "tool_completed")["error"]["code"], "TOOL_FAILED");
    assert!(message(&outcome).contains("failed"), "{}", message(&outcome));
    assert_eq!(end(&outcome)["status"], "success");

    let mut host = TestHost::new().tool("slow_thing", |_| Err(ToolError::Timeout));
    let outcome = say(&mut host, "slow_thing");
    assert_eq!(payload(&outcome, "tool_completed")["error"]["code"], "TOOL_TIMEOUT");
}

#[test]
fn without_a_fitting_tool_it_says_which_there_are() {
    let outcome = say(&mut host(), "xyzzy plugh");
    assert!(message(&outcome).contains("`convert_units`"), "{}", message(&outcome));
    assert_eq!(end(&outcome)["tools_used"], json!([]));
    let outcome = say(&mut TestHost::new(), "xyzzy");
    assert!(message(&outcome).contains("no tools"), "{}", message(&outcome));
}

#[test]
fn a_thread_is_remembered_and_is_the_users_own() {
    let mut host = host().user("alice");
    say(&mut host, "calculate 2 + 3");
    assert!(message(&say(&mut host, "and times 3?")).ends_with("15"));
    assert!(message(&say(&mut host, "what did I ask before?")).contains("and times 3?"));
    assert!(message(&say(&mut host, "multiply it by 2")).ends_with("30"));
    say(&mut host, "convert it to miles");
    say(&mut host, "convert 5 km to m");
    let again = say(&mut host, "what about 7?");
    assert_eq!(payload(&again, "tool_executing")["arguments"], json!({ "value": 7, "from": "km", "to": "m" }));
    let elsewhere =
        host.handle::<Agent>("user_message", json!({ "content": "what did I ask before?", "thread_id": "u" }));
    assert!(message(&elsewhere).contains("first message"));
    let mut host = host.user("bob");
    assert!(message(&say(&mut host, "what did I ask before?")).contains("first message"));
}

#[test]
fn steps_build_on_one_another_up_to_the_limit() {
    let outcome = say(&mut host(), "calculate 2 + 2 then times 3 then minus 1");
    assert!(message(&outcome).ends_with("11"), "{}", message(&outcome));
    let outcome = say(&mut host().settings(json!({ "max_steps": 1 })), "calculate 2 + 2\ncalculate 3 + 3");
    assert!(message(&outcome).contains("at most 1 times"), "{}", message(&outcome));
    assert_eq!(outcome.event_types().iter().filter(|kind| **kind == "tool_executing").count(), 1);
}

#[test]
fn a_request_can_restrict_the_tools_and_name_the_agent() {
    let mut host = host();
    let mut ask = |payload: Value| host.handle::<Agent>("agent_request", payload);
    let outcome = ask(json!({ "input": { "text": "calculate 1 + 1" }, "tools": ["convert_units"] }));
    assert!(message(&outcome).contains("`convert_units`") && !message(&outcome).contains("`calculator`"));
    let outcome = ask(json!({ "input": { "expression": "1 + 1" }, "agent": "switchboard" }));
    assert_eq!(end(&outcome)["tools_used"], json!(["calculator"]));
    assert_eq!(ask(json!({ "input": "hi", "agent": "nobody" })).refusal().code, "AGENT_UNKNOWN");
    assert_eq!(ask(json!({ "input": 7 })).refusal().code, "PAYLOAD_INVALID");
}

#[test]
fn a_cancelled_run_ends_as_cancelled_wherever_it_is() {
    for events in 1..6 {
        let outcome = say(&mut host().cancel_run_after(events), "calculate 1 + 1");
        assert_eq!(end(&outcome)["status"], "cancelled", "after {events}");
        assert_eq!(outcome.events.len(), events + 1);
    }
}

#[test]
fn only_a_run_of_the_caller_can_be_cancelled() {
    let mut host = TestHost::new().foreign_run("run_9");
    let outcome = host.handle::<Agent>("agent_cancel", json!({ "run_id": "run_9" }));
    assert_eq!((outcome.answer_type(), outcome.answer()), ("agent_cancel_accepted", json!({ "run_id": "run_9" })));
    let unknown = host.handle::<Agent>("agent_cancel", json!({ "run_id": "run_8" }));
    assert_eq!(unknown.refusal().code, "RUN_UNKNOWN");
}

#[test]
fn a_tool_without_a_text_is_no_trouble() {
    let nothing = |_| Ok(ToolResult { content: vec![], ..ToolResult::text("") });
    let outcome = say(&mut TestHost::new().tool("do_nothing", nothing), "do_nothing");
    assert!(message(&outcome).contains("without a text"));
}
