//! Streams of notifications of the modern era.

use super::*;
use switchboard_sdk::Subject;

fn listen(host: &mut TestHost, id: Value, notifications: Value) -> Outcome {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "_meta": meta, "notifications": notifications });
    send(host, json!({ "jsonrpc": "2.0", "id": id, "method": "subscriptions/listen", "params": params }))
}

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

#[test]
fn a_stream_is_acknowledged_with_what_it_will_tell() {
    let mut host = desk();
    let wanted = json!({
        "toolsListChanged": true, "promptsListChanged": false, "somethingElse": true,
        "resourceSubscriptions": ["test://note", "test://none", "test://notes/7"],
    });
    let outcome = listen(&mut host, json!("s"), wanted);
    assert_eq!((&outcome.result, outcome.left_open), (&Ok(None), true));
    assert_eq!(outcome.sent.len(), 1);
    assert_eq!(
        outcome.sent[0].payload,
        json!({
            "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": {
                "_meta": { SUBSCRIPTION: "s" },
                "notifications": { "toolsListChanged": true, "resourceSubscriptions": ["test://note", "test://notes/7"] },
            },
        })
    );
    let told = |subject: &Subject| host.change(subject).into_iter().map(|sent| sent.payload).collect::<Vec<_>>();
    let mut told = told;
    assert_eq!(
        told(&Subject::Tools),
        [json!({
            "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": { "_meta": { SUBSCRIPTION: "s" } },
        })]
    );
    assert_eq!(
        told(&Subject::Resource("test://note".into())),
        [json!({
            "jsonrpc": "2.0", "method": "notifications/resources/updated",
            "params": { "_meta": { SUBSCRIPTION: "s" }, "uri": "test://note" },
        })]
    );
    for other in [Subject::Prompts, Subject::Resources, Subject::Resource("test://locked".into())] {
        assert_eq!(told(&other), [] as [Value; 0]);
    }
}

#[test]
fn streams_beside_each_other_are_told_apart_by_their_ids() {
    let mut host = desk();
    let big = r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"subscriptions/listen","params":{"_meta":{
        "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},
        "notifications":{"toolsListChanged":true}}}"#;
    assert!(host.handle_text::<JsonRpc>(TYPE, big).left_open);
    assert!(listen(&mut host, json!(7), json!({ "toolsListChanged": true })).left_open);
    assert_eq!(host.change(&Subject::Tools).len(), 2);
    check_error(&listen(&mut host, json!(7), json!({})), -32600, None, "under way");
    send(&mut host, json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } }));
    assert_eq!(host.change(&Subject::Tools).len(), 1);
    assert_eq!(host.open_requests(), [("number 12345678901234567890123".to_owned(), None)], "no time is set");
}

#[test]
fn a_filter_is_there_and_well_formed() {
    let mut host = desk();
    for notifications in
        [json!(null), json!([true]), json!({ "toolsListChanged": "yes" }), json!({ "resourceSubscriptions": [7] })]
    {
        let outcome = listen(&mut host, json!(1), notifications);
        check_error(&outcome, -32602, None, "params");
        assert!(outcome.sent.is_empty());
    }
    let many: Vec<String> = (0..1_001).map(|number| format!("test://notes/{number}")).collect();
    check_error(&listen(&mut host, json!(1), json!({ "resourceSubscriptions": many })), -32602, None, "1000");
    let outcome = listen(&mut host, json!(1), json!({}));
    assert_eq!(outcome.sent[0].payload["params"]["notifications"], json!({}));
}
