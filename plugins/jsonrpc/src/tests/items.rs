//! Tools, resources and prompts: what they get, what they give, and how they fail.

use super::*;

#[test]
fn an_item_is_asked_for_with_its_arguments_in_both_eras() {
    let mut host = desk();
    for ask in [legacy, modern] {
        let echo = ask(&mut host, "tools/call", json!({ "name": "echo", "arguments": { "n": 5 } })).answer();
        assert_eq!(
            (&echo["result"]["structuredContent"], &echo["result"]["isError"]),
            (&json!({ "n": 5 }), &json!(false))
        );
        let note = ask(&mut host, "resources/read", json!({ "uri": "test://notes/7" })).answer();
        assert_eq!(note["result"]["contents"][0]["uri"], "test://notes/7");
        let greet = ask(&mut host, "prompts/get", json!({ "name": "greet", "arguments": { "name": "Ada" } })).answer();
        assert_eq!(greet["result"]["messages"][0]["content"]["text"], "Ada");
    }
}

#[test]
fn numbers_keep_their_digits() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"raw","arguments":{"n":1}}}"#;
    let mut host =
        TestHost::new().tool("raw", |arguments| ToolResult::structured("", &arguments).map_err(|_| ToolError::Timeout));
    let answer = host.handle_text::<JsonRpc>(TYPE, text).answer_message().payload.clone();
    assert!(answer.contains(r#""structuredContent":{"n":1}"#), "{answer}");
}

#[test]
fn a_tool_sees_what_the_client_says_of_itself() {
    let mut host = desk();
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": { "roots": { "listChanged": true } } });
    legacy(&mut host, "initialize", params);
    let params = json!({ "name": "object", "_meta": { "own": 1 } });
    let seen = legacy(&mut host, "tools/call", params).answer()["result"]["structuredContent"].clone();
    assert_eq!((&seen["can"], &seen["meta"]), (&json!({ "roots": { "listChanged": true } }), &json!({ "own": 1 })));

    let seen = modern_with(&mut host, "tools/call", json!({ "name": "object" }), json!({ "own": 2 }));
    let seen = seen.answer()["result"]["structuredContent"].clone();
    assert_eq!((&seen["can"], &seen["meta"]["own"]), (&able(), &json!(2)), "nothing of the session");
}

#[test]
fn failures_of_tools_are_results_that_a_model_can_act_on() {
    let mut host = desk();
    for ask in [legacy, modern] {
        for (params, words) in [
            (json!({ "name": "echo", "arguments": { "n": "five" } }), "/n"),
            (json!({ "name": "slow" }), "in time"),
            (json!({ "name": "closed" }), "not for you"),
            (json!({ "name": "busy" }), "Try again in 2 s"),
        ] {
            check_failure(&ask(&mut host, "tools/call", params), words);
        }
    }
}

#[test]
fn what_is_not_there_is_an_error_of_the_request() {
    let mut host = desk();
    for ask in [legacy, modern] {
        check_error(&ask(&mut host, "tools/call", json!({ "name": "nothing" })), -32602, None, "nothing");
        check_error(&ask(&mut host, "prompts/get", json!({ "name": "nothing" })), -32602, None, "nothing");
        for params in [json!({}), json!({ "name": 7 }), json!({ "name": "echo", "arguments": [] })] {
            check_error(&ask(&mut host, "tools/call", params), -32602, None, "params");
        }
        check_error(&ask(&mut host, "prompts/get", json!({ "name": "greet" })), -32602, None, "/name");
        check_error(&ask(&mut host, "prompts/get", json!({ "name": "sad" })), -32603, None, "no prompt today");
        check_error(&ask(&mut host, "prompts/get", json!({ "name": "busy" })), -32603, None, "2 s");
        check_error(&ask(&mut host, "prompts/get", json!({ "name": "closed" })), -32600, None, "not for you");
    }
    for uri in ["test://none", "test://notes/0"] {
        let outcome = legacy(&mut host, "resources/read", json!({ "uri": uri }));
        assert_eq!(check_error(&outcome, -32002, None, uri)["uri"], uri);
        let outcome = modern(&mut host, "resources/read", json!({ "uri": uri }));
        assert_eq!(check_error(&outcome, -32602, None, uri)["uri"], uri);
    }
}

#[test]
fn scopes_that_would_help_are_told_to_whoever_can_get_them() {
    let mut host = desk();
    for ask in [legacy, modern] {
        let outcome = ask(&mut host, "tools/call", json!({ "name": "scoped" }));
        let data = check_error(&outcome, -32600, Some(403), "not for you");
        assert_eq!(data["missingScopes"], json!(["admin", "tools"]));
        assert_eq!(outcome.shown.unwrap().missing_scopes, ["admin", "tools"]);
        let outcome = ask(&mut host, "resources/read", json!({ "uri": "test://scoped" }));
        assert_eq!(outcome.shown.unwrap().missing_scopes, ["admin"]);
    }
}

#[test]
fn progress_is_told_with_the_token_of_the_request() {
    let mut host = desk();
    for token in [json!("t"), json!(0)] {
        for ask in [legacy, |host: &mut TestHost, method: &str, params: Value| {
            let token = params["_meta"]["progressToken"].clone();
            modern_with(host, method, params, json!({ "progressToken": token }))
        }] {
            let params = json!({ "name": "tell", "_meta": { "progressToken": token } });
            let sent = ask(&mut host, "tools/call", params).sent;
            assert_eq!(
                sent[0].payload,
                json!({
                    "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": { "progressToken": token, "progress": 1.0, "total": 2.0, "message": "half" },
                })
            );
        }
    }
    assert!(
        legacy(&mut host, "tools/call", json!({ "name": "tell" }))
            .sent
            .iter()
            .all(|sent| { sent.payload["method"] == "notifications/message" })
    );
    let params = json!({ "name": "tell", "_meta": { "progressToken": {} } });
    check_error(&legacy(&mut host, "tools/call", params), -32602, None, "progressToken");
}

#[test]
fn a_log_line_has_its_logger_and_data() {
    let sent = legacy(&mut desk(), "tools/call", json!({ "name": "tell" })).sent;
    assert_eq!(
        sent[0].payload,
        json!({
            "jsonrpc": "2.0", "method": "notifications/message",
            "params": { "level": "info", "logger": "desk", "data": "line" },
        })
    );
}
