//! JSON-RPC: ids, what is no request, what is never answered, duplicates.

use super::*;

fn handle(payload: &str) -> Outcome {
    TestHost::new().handle_text::<JsonRpc>(TYPE, payload)
}

#[track_caller]
fn check(payload: &str, id: Option<Value>, code: i32, words: &str) {
    let outcome = handle(payload);
    check_error(&outcome, code, (code == -32600).then_some(400), words);
    assert_eq!(outcome.answer().get("id"), id.as_ref(), "{payload}");
}

#[test]
fn ids_come_back_exactly_as_they_were_written() {
    for id in ["0", "-7", "12345678901234567890123456789", r#""a b""#, r#""\u0061""#, r#""""#] {
        let outcome = handle(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        assert_eq!(outcome.answer_message().payload, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
    let long = format!("{:?}", "x".repeat(5_000));
    let outcome = handle(&format!(r#"{{"jsonrpc":"2.0","id":{long},"method":"ping"}}"#));
    assert!(outcome.answer_message().payload.contains(&long));
}

#[test]
fn ids_that_are_no_strings_and_no_whole_numbers_are_refused_without_an_id() {
    for id in ["null", "1.5", "1e3", "true", "[]", "{}"] {
        check(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#), None, -32600, "`id`");
    }
}

#[test]
fn what_is_no_request_gets_one_error() {
    check("{}", None, -32600, "`jsonrpc`");
    check(r#"{"jsonrpc":"1.0","id":3,"method":"ping"}"#, Some(json!(3)), -32600, "`jsonrpc`");
    check(r#"{"jsonrpc":"2.0","id":3}"#, Some(json!(3)), -32600, "`method`");
    check(r#"{"jsonrpc":"2.0","id":3,"method":7}"#, Some(json!(3)), -32600, "`method`");
    check(r#"{"jsonrpc":"2.0","id":3,"method":"ping","params":1}"#, Some(json!(3)), -32600, "`params`");
    check(r#"{"jsonrpc":"2.0","id":3,"id":4,"method":"ping"}"#, None, -32600, "duplicate");
    check(r#"{"jsonrpc":"2.0","id":3,"method":"tools/list","params":[]}"#, Some(json!(3)), -32602, "object");
}

#[test]
fn notifications_and_responses_are_never_answered() {
    for payload in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":[]}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}"#,
        r#"{"jsonrpc":"2.0","method":"no/such/thing","params":7}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"switchboard-1-0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"switchboard-x","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#,
    ] {
        let outcome = handle(payload);
        assert_eq!(outcome.result, Ok(None), "{payload}");
        assert!(outcome.sent.is_empty(), "{payload}");
    }
}

#[test]
fn an_unknown_method_is_named() {
    check(r#"{"jsonrpc":"2.0","id":"x","method":"no/such"}"#, Some(json!("x")), -32601, "no/such");
}

#[test]
fn an_id_that_is_in_flight_cannot_be_used_again() {
    let mut host = desk().request_under_way("number 1");
    for method in ["ping", "tools/call", "initialize"] {
        check_error(&legacy(&mut host, method, json!({ "name": "echo" })), -32600, None, "under way");
    }
    // The same digits as a string are another id.
    let other = json!({ "jsonrpc": "2.0", "id": "1", "method": "ping" });
    assert_eq!(send(&mut host, other.clone()).answer()["result"], json!({}));
    // An id is free again once it is answered.
    assert_eq!(send(&mut host, other).answer()["result"], json!({}));
}

#[test]
fn a_request_that_is_cancelled_is_ended_by_its_id() {
    let mut host = TestHost::new().request_under_way("text a").request_under_way("number 1");
    send(&mut host, json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "a" } }));
    assert_eq!(host.open_requests(), [("number 1".to_owned(), None)]);
    let escaped = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"x","requestId":1}}"#;
    host.handle_text::<JsonRpc>(TYPE, escaped);
    assert!(host.open_requests().is_empty());
}
