//! What a plugin asks of a client of the legacy era: requests of the server, and the client's answers.

use std::time::Duration;

use super::*;

fn session(capabilities: &Value) -> TestHost {
    let mut host = desk();
    legacy(&mut host, "initialize", json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities }));
    host
}

fn call(host: &mut TestHost, name: &str) -> Outcome {
    let params = json!({ "name": name });
    send(host, json!({ "jsonrpc": "2.0", "id": "call", "method": "tools/call", "params": params }))
}

fn reply(host: &mut TestHost, id: &Value, result: Value) -> Outcome {
    send(host, json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

#[track_caller]
fn check_waiting(outcome: &Outcome) {
    assert_eq!((&outcome.result, outcome.left_open), (&Ok(None), true), "{:?}", outcome.sent);
    assert_eq!(outcome.request.as_deref(), Some("text call"));
}

#[test]
fn a_tool_asks_round_by_round_until_it_has_what_it_needs() {
    let mut host = session(&able());
    let first = call(&mut host, "ask");
    check_waiting(&first);
    let question = &first.sent[0].payload;
    assert_eq!((&question["jsonrpc"], &question["method"]), (&json!("2.0"), &json!("elicitation/create")));
    assert_eq!(question["params"]["message"], "Who?");
    assert_eq!(question["params"].get("mode"), None, "revision 2025-06-18 knows no modes");
    assert!(question["id"].is_string());

    let second = reply(&mut host, &question["id"], json!({ "action": "accept", "content": {} }));
    check_waiting(&second);
    let question = &second.sent[0].payload;
    assert_eq!(question["method"], "roots/list");

    let third = reply(&mut host, &question["id"], json!({ "roots": [] }));
    assert_eq!((third.request.as_deref(), third.left_open), (Some("text call"), false));
    let answer = third.answer();
    assert_eq!(answer["id"], "call");
    assert_eq!(answer["result"]["structuredContent"]["responses"], json!({ "roots": { "roots": [] } }));
    assert_eq!(answer["result"]["structuredContent"]["state"], "round 2");
    assert_eq!(answer["result"].get("resultType"), None);
    assert!(host.open_requests().is_empty());
    // What is answered once more is ignored.
    assert_eq!(reply(&mut host, &question["id"], json!({ "roots": [] })).result, Ok(None));
}

#[test]
fn several_questions_are_asked_at_once_and_answered_in_any_order() {
    let mut host = session(&able());
    let asked = call(&mut host, "ask_all").sent;
    let by_method = |method: &str, mode: Option<&str>| {
        let found = asked
            .iter()
            .find(|sent| sent.payload["method"] == method && sent.payload["params"]["mode"].as_str() == mode);
        found.unwrap().payload.clone()
    };
    let (form, page) = (by_method("elicitation/create", None), by_method("elicitation/create", Some("url")));
    let (model, roots) = (by_method("sampling/createMessage", None), by_method("roots/list", None));
    assert!(page["params"]["elicitationId"].is_string() && form["params"].get("elicitationId").is_none());
    assert_eq!(roots.get("params"), None);

    assert_eq!(reply(&mut host, &roots["id"], json!({ "roots": [] })).result, Ok(None));
    // Twice the same, which is ignored, and one that the user left.
    assert_eq!(reply(&mut host, &roots["id"], json!({ "roots": [1] })).result, Ok(None));
    assert_eq!(reply(&mut host, &form["id"], json!({ "action": "decline" })).result, Ok(None));
    let refused = json!({ "code": -1, "message": "User rejected sampling request" });
    let refused = json!({ "jsonrpc": "2.0", "id": model["id"], "error": refused });
    assert_eq!(send(&mut host, refused).result, Ok(None));
    assert_eq!(host.open_requests().len(), 1);
    let failed = json!({ "jsonrpc": "2.0", "id": page["id"], "error": { "code": -32600, "message": "no" } });
    let answer = send(&mut host, failed).answer();
    assert_eq!(
        answer["result"]["structuredContent"]["responses"],
        json!({
            "form": { "action": "decline" },
            "page": { "action": "cancel" },
            "model": { "error": { "code": -1, "message": "User rejected sampling request" } },
            "roots": { "roots": [] },
        })
    );
}

#[test]
fn results_that_are_none_are_told_as_errors() {
    for (result, seen) in [
        (
            json!({ "result": null }),
            json!({ "error": { "code": -32603, "message": "the client's result was not an object" } }),
        ),
        (
            json!({ "result": "x" }),
            json!({ "error": { "code": -32603, "message": "the client's result was not an object" } }),
        ),
        (json!({ "error": 7 }), json!({ "error": { "code": -32603, "message": "the client refused" } })),
    ] {
        let mut host = session(&able());
        let asked = legacy(&mut host, "resources/read", json!({ "uri": "test://locked" })).sent;
        let mut answer = json!({ "jsonrpc": "2.0", "id": asked[0].payload["id"] });
        answer.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
        let outcome = send(&mut host, answer);
        assert_eq!(outcome.answer()["result"]["contents"][0]["uri"], "test://locked", "{seen}");
    }
}

#[test]
fn what_the_client_cannot_do_is_not_asked() {
    let mut host = session(&json!({ "sampling": {}, "elicitation": {} }));
    let outcome = call(&mut host, "ask_all");
    check_failure(&outcome, "cannot do: elicitation, roots, sampling");
    assert!(outcome.sent.is_empty());
    let outcome = legacy(&mut host, "resources/read", json!({ "uri": "test://locked" }));
    check_error(&outcome, -32603, None, "roots");
    // Nobody said what it can do.
    check_failure(&call(&mut desk(), "ask"), "elicitation");
}

#[test]
fn resources_and_prompts_ask_too() {
    let mut host = session(&able());
    let params = json!({ "name": "greet", "arguments": { "name": "ask" } });
    let asked = legacy(&mut host, "prompts/get", params).sent;
    let answer = reply(&mut host, &asked[0].payload["id"], json!({ "roots": [] })).answer();
    assert_eq!(answer["result"]["messages"][0]["content"]["text"], "ask");
}

#[test]
fn a_tool_that_only_wants_to_be_asked_again_is() {
    let mut host = session(&json!({}));
    assert_eq!(call(&mut host, "wait").answer()["result"]["structuredContent"]["state"], "later");
}

#[test]
fn a_tool_that_always_asks_comes_to_an_end() {
    let mut host = session(&able());
    let mut outcome = call(&mut host, "ask_forever");
    let mut rounds = 0;
    while outcome.left_open {
        rounds += 1;
        assert!(rounds <= 100);
        let id = outcome.sent[0].payload["id"].clone();
        outcome = reply(&mut host, &id, json!({ "roots": [] }));
    }
    check_failure(&outcome, "without an end");
}

#[test]
fn a_client_that_does_not_answer_in_time_gets_a_failure_from_the_host() {
    let host = session(&able());
    let mut host = host.settings(json!({ "input_wait_seconds": 10 }));
    let asked = call(&mut host, "ask").sent;
    assert_eq!(host.open_requests(), [("text call".to_owned(), Some(Duration::from_secs(10)))]);
    host.advance(Duration::from_secs(10));
    let answers = host.answered_by_host();
    assert_eq!((&answers[0]["id"], &answers[0]["result"]["isError"]), (&json!("call"), &json!(true)));
    assert_eq!(answers[0]["result"].get("resultType"), None);
    // Too late.
    assert_eq!(reply(&mut host, &asked[0].payload["id"], json!({ "action": "cancel" })).result, Ok(None));
}

#[test]
fn a_request_that_is_cancelled_while_it_waits_is_not_gone_on_with() {
    let mut host = session(&able());
    let asked = call(&mut host, "ask").sent;
    send(
        &mut host,
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "call" } }),
    );
    let outcome = reply(&mut host, &asked[0].payload["id"], json!({ "action": "accept", "content": {} }));
    assert_eq!((outcome.result, outcome.sent.len()), (Ok(None), 0));
}

#[test]
fn nobody_answers_for_another_session() {
    let mut host = session(&able());
    let asked = call(&mut host, "ask").sent;
    let mut host = host.user("mallory");
    assert_eq!(reply(&mut host, &asked[0].payload["id"], json!({ "action": "accept" })).result, Ok(None));
    let mut host = host.user("tester");
    assert_eq!(host.open_requests().len(), 1);
    check_waiting(&reply(&mut host, &asked[0].payload["id"], json!({ "action": "accept" })));
}
