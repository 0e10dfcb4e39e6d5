//! Revisions 2025-11-25 and 2025-06-18, but for requests of the server.

use super::*;
use switchboard_sdk::Subject;

#[test]
fn a_client_gets_the_revision_that_it_asks_for_or_the_newest() {
    for (asked, offered) in [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        let params = json!({ "protocolVersion": asked, "capabilities": {} });
        let result = legacy(&mut TestHost::new(), "initialize", params).answer()["result"].clone();
        assert_eq!(result["protocolVersion"], offered);
        assert_eq!(result["serverInfo"]["name"], "switchboard");
        let mut members: Vec<&String> = result.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, ["capabilities", "protocolVersion", "serverInfo"], "strict clients know no others");
    }
    for params in [json!({}), json!([]), json!({ "protocolVersion": 7 })] {
        check_error(&legacy(&mut TestHost::new(), "initialize", params), -32602, None, "params");
    }
}

#[test]
fn instructions_are_told_in_both_eras() {
    let mut host = TestHost::new().settings(json!({ "instructions": "Be kind." }));
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
    assert_eq!(legacy(&mut host, "initialize", params).answer()["result"]["instructions"], "Be kind.");
    assert_eq!(modern(&mut host, "server/discover", json!({})).answer()["result"]["instructions"], "Be kind.");
}

#[test]
fn every_capability_that_is_told_has_its_methods() {
    let mut host = desk();
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
    let capabilities = legacy(&mut host, "initialize", params).answer()["result"]["capabilities"].clone();
    for (capability, method, params) in [
        ("tools", "tools/list", json!({})),
        ("tools", "tools/call", json!({ "name": "echo" })),
        ("resources", "resources/list", json!({})),
        ("resources", "resources/templates/list", json!({})),
        ("resources", "resources/read", json!({ "uri": "test://note" })),
        ("resources", "resources/subscribe", json!({ "uri": "test://note" })),
        ("resources", "resources/unsubscribe", json!({ "uri": "test://note" })),
        ("prompts", "prompts/list", json!({})),
        ("prompts", "prompts/get", json!({ "name": "greet", "arguments": { "name": "Ada" } })),
        ("logging", "logging/setLevel", json!({ "level": "debug" })),
        (
            "completions",
            "completion/complete",
            json!({
                "ref": { "type": "ref/prompt", "name": "greet" }, "argument": { "name": "name", "value": "" },
            }),
        ),
    ] {
        assert!(capabilities[capability].is_object(), "{capability}");
        let answer = legacy(&mut host, method, params).answer();
        assert!(answer["result"].is_object(), "{method}: {answer}");
    }
}

#[test]
fn what_only_the_modern_era_has_stands_in_no_result() {
    let mut host = desk();
    for (method, params) in [
        ("ping", json!({})),
        ("tools/list", json!({})),
        ("tools/call", json!({ "name": "object" })),
        ("resources/read", json!({ "uri": "test://note" })),
        ("prompts/get", json!({ "name": "greet", "arguments": { "name": "Ada" } })),
    ] {
        let result = legacy(&mut host, method, params).answer()["result"].clone();
        for member in ["resultType", "ttlMs", "cacheScope"] {
            assert_eq!(result.get(member), None, "{method}: {result}");
        }
    }
}

#[test]
fn methods_of_the_modern_era_say_what_is_missing() {
    for method in ["server/discover", "subscriptions/listen"] {
        check_error(&legacy(&mut TestHost::new(), method, json!({})), -32602, Some(400), "protocolVersion");
    }
}

#[test]
fn structured_content_is_an_object_or_left_out() {
    let mut host = desk();
    let result = legacy(&mut host, "tools/call", json!({ "name": "list" })).answer()["result"].clone();
    assert_eq!((result.get("structuredContent"), &result["content"][0]["text"]), (None, &json!("[]")));
    let tools = legacy(&mut host, "tools/list", json!({})).answer()["result"]["tools"].clone();
    let schemas: Vec<_> = tools.as_array().unwrap().iter().filter(|tool| tool.get("outputSchema").is_some()).collect();
    assert_eq!(schemas.len(), 1, "{tools}");
    assert_eq!(schemas[0]["name"], "object");

    let result = modern(&mut host, "tools/call", json!({ "name": "list" })).answer()["result"].clone();
    assert_eq!(result["structuredContent"], json!([1]));
}

#[test]
fn the_level_of_log_lines_is_remembered_for_the_session() {
    let mut host = desk();
    let levels = |host: &mut TestHost| -> Vec<Value> {
        let sent = legacy(host, "tools/call", json!({ "name": "tell" })).sent;
        sent.iter().map(|sent| sent.payload["params"]["level"].clone()).collect()
    };
    assert_eq!(levels(&mut host), ["info", "error"]);
    assert_eq!(legacy(&mut host, "logging/setLevel", json!({ "level": "error" })).answer()["result"], json!({}));
    assert_eq!(levels(&mut host), ["error"]);
    for params in [json!({ "level": "loud" }), json!({ "level": 7 }), json!({})] {
        check_error(&legacy(&mut host, "logging/setLevel", params), -32602, None, "level");
    }
    let mut host = host.user("bob");
    assert_eq!(levels(&mut host), ["info", "error"]);
}

#[test]
fn an_initialized_client_is_told_of_changed_lists() {
    let mut host = desk();
    assert!(host.change(&Subject::Tools).is_empty());
    send(&mut host, json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    for (subject, method) in [
        (Subject::Tools, "notifications/tools/list_changed"),
        (Subject::Prompts, "notifications/prompts/list_changed"),
        (Subject::Resources, "notifications/resources/list_changed"),
    ] {
        let sent = host.change(&subject);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].payload, json!({ "jsonrpc": "2.0", "method": method }));
    }
}

#[test]
fn a_subscription_lasts_until_it_is_ended() {
    let mut host = desk();
    let note = Subject::Resource("test://note".into());
    let params = json!({ "uri": "test://note" });
    assert_eq!(legacy(&mut host, "resources/subscribe", params.clone()).answer()["result"], json!({}));
    let expected = json!({
        "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": "test://note" },
    });
    assert_eq!(host.change(&note)[0].payload, expected);
    for _ in 0..2 {
        assert_eq!(legacy(&mut host, "resources/unsubscribe", params.clone()).answer()["result"], json!({}));
        assert!(host.change(&note).is_empty());
    }
    let unknown = legacy(&mut host, "resources/subscribe", json!({ "uri": "test://none" }));
    assert_eq!(check_error(&unknown, -32002, None, "test://none")["uri"], "test://none");
    check_error(&legacy(&mut host, "resources/subscribe", json!({})), -32602, None, "uri");
}
