//! The plugin as a client sees it: requests in, responses out.

use serde_json::{Value, json};
use switchboard_sdk::{
    Tool, ToolError, ToolResult,
    testing::{Outcome, TestHost},
};

use crate::JsonRpc;

fn send(payload: &str) -> Outcome {
    TestHost::new().handle_text::<JsonRpc>("jsonrpc", payload)
}

fn answer(payload: &str) -> String {
    send(payload).answer_message().payload.clone()
}

#[track_caller]
fn check_error(payload: &str, id: Option<Value>, code: i32, words: &str) {
    let answer: Value = send(payload).answer();
    assert_eq!(answer["error"]["code"], code, "{payload} -> {answer}");
    assert_eq!(answer.get("id"), id.as_ref(), "{payload} -> {answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{payload} -> {answer}");
}

fn toolbox() -> TestHost {
    let echo = Tool::with_schema(
        "echo",
        "Says it back.",
        json!({ "type": "object", "properties": { "n": { "type": "number" } }, "$comment": "kept" }),
    );
    TestHost::new()
        .described_tool(echo, |arguments| ToolResult::structured("done", &arguments).map_err(|_| ToolError::Timeout))
        .tool("slow", |_| Err(ToolError::Timeout))
        .tool("private", |_| Err(ToolError::Forbidden("the scope `admin` is missing".into())))
}

fn request(host: &mut TestHost, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    host.handle::<JsonRpc>("jsonrpc", request).answer()
}

#[test]
fn ids_come_back_exactly_as_they_were_written() {
    for id in ["0", "-7", "12345678901234567890123456789", r#""a b""#, r#""\u0061""#, r#""""#] {
        let answer = answer(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
}

#[test]
fn ids_that_are_no_strings_and_no_whole_numbers_are_refused_without_an_id() {
    for id in ["null", "1.5", "1e3", "true", "[]", "{}"] {
        check_error(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#), None, -32600, "`id`");
    }
}

#[test]
fn what_is_no_request_gets_one_error() {
    check_error("{}", None, -32600, "`jsonrpc`");
    check_error(r#"{"jsonrpc":"1.0","id":3,"method":"ping"}"#, Some(json!(3)), -32600, "`jsonrpc`");
    check_error(r#"{"jsonrpc":"2.0","id":3}"#, Some(json!(3)), -32600, "`method`");
    check_error(r#"{"jsonrpc":"2.0","id":3,"method":7}"#, Some(json!(3)), -32600, "`method`");
    check_error(r#"{"jsonrpc":"2.0","id":3,"method":"ping","params":1}"#, Some(json!(3)), -32600, "`params`");
    check_error(r#"{"jsonrpc":"2.0","id":3,"id":4,"method":"ping"}"#, None, -32600, "duplicate");
}

#[test]
fn notifications_and_responses_are_never_answered() {
    for payload in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"no/such/thing","params":7}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#,
    ] {
        assert_eq!(send(payload).result, Ok(None), "{payload}");
    }
}

#[test]
fn an_unknown_method_is_named() {
    check_error(r#"{"jsonrpc":"2.0","id":"x","method":"no/such"}"#, Some(json!("x")), -32601, "no/such");
}

#[test]
fn a_client_gets_the_revision_that_it_asks_for_or_the_newest() {
    for (asked, offered) in [("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"), ("1999-01-01", "2025-11-25")] {
        let answer =
            request(&mut TestHost::new(), "initialize", json!({ "protocolVersion": asked, "capabilities": {} }));
        assert_eq!(answer["result"]["protocolVersion"], offered);
        assert_eq!(answer["result"]["serverInfo"]["name"], "switchboard");
    }
    check_error(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#, Some(json!(1)), -32602, "protocolVersion");
    check_error(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":[]}"#, Some(json!(1)), -32602, "object");
}

#[test]
fn tools_are_listed_verbatim_without_the_hosts_own_member() {
    let answer = request(&mut toolbox(), "tools/list", json!({}));
    let tool = &answer["result"]["tools"][0];
    assert_eq!(tool["inputSchema"]["$comment"], "kept");
    assert_eq!(tool.get("x-plugin"), None);
    assert_eq!(answer["result"].get("nextCursor"), None);
}

#[test]
fn pages_hold_every_tool_once() {
    let mut host = toolbox().settings(json!({ "page_size": 2 }));
    let first = request(&mut host, "tools/list", json!({}));
    let cursor = first["result"]["nextCursor"].as_str().unwrap().to_owned();
    let second = request(&mut host, "tools/list", json!({ "cursor": cursor }));
    let names: Vec<&Value> = [&first, &second]
        .iter()
        .flat_map(|page| page["result"]["tools"].as_array().unwrap())
        .map(|tool| &tool["name"])
        .collect();
    assert_eq!(names, ["echo", "slow", "private"]);
    assert_eq!(second["result"].get("nextCursor"), None);

    let mut host = host.tool("another", |_| Ok(ToolResult::text("")));
    let stale = request(&mut host, "tools/list", json!({ "cursor": cursor }));
    assert_eq!(stale["error"]["code"], -32602);
    assert!(stale["error"]["message"].as_str().unwrap().contains("changed"));
    let nonsense = request(&mut host, "tools/list", json!({ "cursor": "nonsense" }));
    assert_eq!(nonsense["error"]["code"], -32602);
}

#[test]
fn a_tool_is_called_with_its_arguments() {
    let answer = request(&mut toolbox(), "tools/call", json!({ "name": "echo", "arguments": { "n": 5 } }));
    assert_eq!(answer["result"]["structuredContent"], json!({ "n": 5 }));
    assert_eq!(answer["result"]["isError"], false);
}

#[test]
fn failures_are_results_that_a_model_can_act_on() {
    for (params, words) in [
        (json!({ "name": "echo", "arguments": { "n": "five" } }), "/n"),
        (json!({ "name": "slow" }), "in time"),
        (json!({ "name": "private" }), "the scope `admin` is missing"),
    ] {
        let answer = request(&mut toolbox(), "tools/call", params);
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains(words), "{answer}");
    }
}

#[test]
fn an_unknown_tool_is_an_error_of_the_request() {
    let answer = request(&mut toolbox(), "tools/call", json!({ "name": "nothing" }));
    assert_eq!(answer["error"]["code"], -32602);
    assert!(answer["error"]["message"].as_str().unwrap().contains("nothing"));
}

#[test]
fn an_id_that_is_in_flight_cannot_be_used_again() {
    // The tool makes a second request with the same id, as a client would while it waits for the first.
    let host = TestHost::new().tools_of::<Reentrant>();
    let answer = request(&mut { host }, "tools/call", json!({ "name": "again" }));
    assert_eq!(answer["result"]["structuredContent"]["taken"], true);
    // Afterwards the id is free.
    let mut host = toolbox();
    for _ in 0..2 {
        assert_eq!(request(&mut host, "tools/call", json!({ "name": "echo" }))["result"]["isError"], false);
    }
}

/// A tool that looks at what its caller has in flight.
#[derive(Default)]
struct Reentrant;

impl switchboard_sdk::Plugin for Reentrant {
    fn manifest() -> switchboard_sdk::Manifest {
        switchboard_sdk::Manifest::new("jsonrpc", "0.0.0").tools()
    }

    fn tools(&mut self, _ctx: &switchboard_sdk::Context) -> Result<Vec<Tool>, switchboard_sdk::Error> {
        Ok(vec![Tool::with_schema("again", "", json!({ "type": "object" }))])
    }

    fn call_tool(
        &mut self,
        ctx: &switchboard_sdk::Context,
        _name: &str,
        _arguments: Value,
    ) -> Result<ToolResult, switchboard_sdk::Error> {
        let payload = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"again"}}"#;
        let message = switchboard_sdk::Message {
            kind: "jsonrpc".into(),
            payload: payload.into(),
            id: None,
            correlation_id: None,
            timestamp: 0.0,
        };
        let answer = switchboard_sdk::Plugin::handle(&mut JsonRpc, ctx, message)?.unwrap();
        let answer: Value = answer.payload()?;
        ToolResult::structured("", &json!({ "taken": answer["error"]["code"] == -32600 }))
    }
}
