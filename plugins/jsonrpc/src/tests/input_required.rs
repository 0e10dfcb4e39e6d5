//! What a plugin asks of a client of the modern era, and what the client brings when it asks again.

use std::time::Duration;

use super::*;

fn call(host: &mut TestHost, name: &str, more: Value) -> Outcome {
    let mut params = json!({ "name": name });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    modern(host, "tools/call", params)
}

#[test]
fn a_tool_asks_and_is_asked_again_until_it_has_what_it_needs() {
    let mut host = desk();
    let first = call(&mut host, "ask", json!({})).answer()["result"].clone();
    assert_eq!(first["resultType"], "input_required");
    assert_eq!(first["inputRequests"]["name"]["method"], "elicitation/create");
    assert_eq!(first["inputRequests"]["name"]["params"]["message"], "Who?");
    assert!(first["_meta"]["io.modelcontextprotocol/serverInfo"].is_object());
    assert_eq!(first.get("content"), None);
    let state = first["requestState"].as_str().unwrap();
    assert!(!state.contains("round"));

    let answer = json!({ "name": { "action": "accept", "content": {} } });
    let second = call(&mut host, "ask", json!({ "inputResponses": answer, "requestState": state }));
    let second = second.answer()["result"].clone();
    assert_eq!(second["inputRequests"], json!({ "roots": { "method": "roots/list" } }));
    assert_ne!(second["requestState"], state);

    let answer = json!({ "roots": { "roots": [] }, "unknown": {} });
    let more = json!({ "inputResponses": answer, "requestState": second["requestState"] });
    let third = call(&mut host, "ask", more).answer()["result"].clone();
    assert_eq!(third["resultType"], "complete");
    let seen = &third["structuredContent"];
    assert_eq!((&seen["state"], &seen["responses"]), (&json!("round 2"), &answer));
}

#[test]
fn resources_and_prompts_ask_too() {
    let mut host = desk();
    let locked = modern(&mut host, "resources/read", json!({ "uri": "test://locked" })).answer()["result"].clone();
    assert_eq!((&locked["resultType"], locked.get("ttlMs")), (&json!("input_required"), None));
    assert_eq!(locked.get("requestState"), None, "a plugin that gave no state gets none");
    let params = json!({ "uri": "test://locked", "inputResponses": { "roots": { "roots": [] } } });
    let read = modern(&mut host, "resources/read", params).answer()["result"].clone();
    assert_eq!((&read["resultType"], &read["contents"][0]["text"]), (&json!("complete"), &json!("text")));

    let params = json!({ "name": "greet", "arguments": { "name": "ask" } });
    let asked = modern(&mut host, "prompts/get", params).answer()["result"].clone();
    assert_eq!(asked["resultType"], "input_required");
}

#[test]
fn a_tool_may_only_want_to_be_asked_again() {
    let mut host = desk();
    let first = call(&mut host, "wait", json!({})).answer()["result"].clone();
    assert_eq!((&first["resultType"], first.get("inputRequests")), (&json!("input_required"), None));
    let second = call(&mut host, "wait", json!({ "requestState": first["requestState"] })).answer();
    assert_eq!(second["result"]["structuredContent"]["state"], "later");
}

#[test]
fn a_state_is_good_for_the_request_user_and_time_that_it_was_given_for() {
    let mut host = desk().settings(json!({ "input_wait_seconds": 60 }));
    let arguments = json!({ "a": [1, "x y"], "b": {} });
    let first = call(&mut host, "ask", json!({ "arguments": arguments })).answer()["result"].clone();
    let state = first["requestState"].as_str().unwrap().to_owned();
    let again = |host: &mut TestHost, name: &str, arguments: &Value, state: &str| {
        call(host, name, json!({ "arguments": arguments, "requestState": state }))
    };
    let ok = again(&mut host, "ask", &arguments, &state).answer();
    assert_eq!(ok["result"]["resultType"], "input_required", "{ok}");
    for (name, arguments, state) in [
        ("ask", &json!({ "a": [1, "xy"], "b": {} }), state.as_str()),
        ("ask", &json!({}), state.as_str()),
        ("wait", &arguments, state.as_str()),
        ("ask", &arguments, &format!("{state}-TAMPERED")),
        ("ask", &arguments, ""),
        ("ask", &arguments, "round 1"),
    ] {
        check_error(&again(&mut host, name, arguments, state), -32602, None, "requestState");
    }
    let plain = call(&mut host, "ask", json!({})).answer()["result"]["requestState"].clone();
    let params = json!({ "name": "ask", "requestState": plain });
    check_error(&modern(&mut host, "prompts/get", params), -32602, None, "requestState");
    let mut host = host.user("mallory");
    check_error(&again(&mut host, "ask", &arguments, &state), -32602, None, "requestState");
    let mut host = host.user("tester");
    host.advance(Duration::from_secs(61));
    check_error(&again(&mut host, "ask", &arguments, &state), -32602, None, "time");
}

#[test]
fn a_state_is_good_however_the_arguments_are_spaced() {
    let mut host = desk();
    let request = |arguments: &str, more: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"wait","arguments":{arguments},{more}
            "_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        )
    };
    let first = host.handle_text::<JsonRpc>(TYPE, &request(r#"{"a":[1,2]}"#, "")).answer();
    let more = format!(r#""requestState":{},"#, first["result"]["requestState"]);
    let second = host.handle_text::<JsonRpc>(TYPE, &request("{ \"a\": [1,\n 2] }", &more)).answer();
    assert_eq!(second["result"]["resultType"], "complete", "{second}");
}

#[test]
fn what_the_client_brings_has_to_be_well_formed() {
    let mut host = desk();
    for (more, words) in [
        (json!({ "inputResponses": null }), "inputResponses"),
        (json!({ "inputResponses": [] }), "inputResponses"),
        (json!({ "inputResponses": { "name": 12345 } }), "inputResponses"),
        (json!({ "inputResponses": { "name": null } }), "inputResponses"),
        (json!({ "requestState": null }), "requestState"),
        (json!({ "requestState": {} }), "requestState"),
    ] {
        check_error(&call(&mut host, "ask", more), -32602, None, words);
    }
}

#[test]
fn nothing_is_asked_that_the_client_cannot_do() {
    let mut host = desk();
    for (can, missing) in [
        (json!({}), json!({ "elicitation": { "url": {} }, "sampling": { "tools": {} }, "roots": {} })),
        (
            json!({ "elicitation": {}, "sampling": {}, "roots": {} }),
            json!({ "elicitation": { "url": {} }, "sampling": { "tools": {} } }),
        ),
        (
            json!({ "elicitation": { "url": {} }, "sampling": { "tools": {} }, "roots": {} }),
            json!({ "elicitation": { "form": {} } }),
        ),
    ] {
        let more = json!({ "io.modelcontextprotocol/clientCapabilities": can });
        let outcome = modern_with(&mut host, "tools/call", json!({ "name": "ask_all" }), more);
        let data = check_error(&outcome, -32021, Some(400), "ask_all");
        assert_eq!(data["requiredCapabilities"], missing, "{can}");
    }
    let outcome = modern_with(
        &mut host,
        "tools/call",
        json!({ "name": "ask" }),
        json!({
            "io.modelcontextprotocol/clientCapabilities": {},
        }),
    );
    assert_eq!(check_error(&outcome, -32021, Some(400), "")["requiredCapabilities"], json!({ "elicitation": {} }));
    let asked = call(&mut host, "ask_all", json!({})).answer()["result"]["inputRequests"].clone();
    assert_eq!(asked.as_object().unwrap().len(), 4, "{asked}");
}
