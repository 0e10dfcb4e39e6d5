//! Revision 2026-07-28: what every request has to say, and every result says.

use super::*;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

#[test]
fn a_request_that_does_not_say_what_it_has_to_is_malformed() {
    let info = "io.modelcontextprotocol/clientInfo";
    for (meta, words) in [
        (json!({ CAPABILITIES: {} }), VERSION),
        (json!({ info: {} }), VERSION),
        (json!({ VERSION: 7, CAPABILITIES: {} }), VERSION),
        (json!({ VERSION: "2026-07-28" }), CAPABILITIES),
        (json!({ VERSION: "2026-07-28", CAPABILITIES: [] }), CAPABILITIES),
        (json!({ VERSION: "2026-07-28", CAPABILITIES: null, info: {} }), CAPABILITIES),
    ] {
        let outcome = legacy(&mut TestHost::new(), "tools/list", json!({ "_meta": meta }));
        check_error(&outcome, -32602, Some(400), words);
    }
}

#[test]
fn another_version_is_refused_with_those_that_are_supported() {
    let ask = |version: &str| {
        let params = json!({ "_meta": { VERSION: version } });
        let data = check_error(&legacy(&mut TestHost::new(), "tools/list", params), -32022, Some(400), version);
        assert_eq!(data["requested"], version);
        data["supported"].clone()
    };
    assert_eq!(ask("2027-01-01"), json!(["2026-07-28", "2025-11-25", "2025-06-18"]));
    // It cannot be had in this way.
    assert_eq!(ask("2025-11-25"), json!(["2026-07-28", "2025-06-18"]));
}

#[test]
fn what_was_removed_is_unknown() {
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "no/such",
        "sampling/createMessage",
    ] {
        let params = json!({ "uri": "test://note", "level": "info", "protocolVersion": "2025-11-25" });
        check_error(&modern(&mut desk(), method, params), -32601, Some(404), method);
    }
}

#[test]
fn discovery_tells_versions_and_capabilities() {
    let result = modern(&mut TestHost::new(), "server/discover", json!({})).answer()["result"].clone();
    assert_eq!(result["supportedVersions"], json!(["2026-07-28", "2025-11-25", "2025-06-18"]));
    assert_eq!(result["capabilities"]["tools"], json!({ "listChanged": true }));
    assert_eq!(result["capabilities"]["resources"], json!({ "listChanged": true, "subscribe": true }));
    assert_eq!(result["cacheScope"], "public");
    assert!(result["ttlMs"].as_u64().is_some());
}

#[test]
fn every_result_says_its_type_and_who_answers() {
    let mut host = desk();
    for (method, params) in [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("prompts/list", json!({})),
        ("tools/call", json!({ "name": "object" })),
        ("tools/call", json!({ "name": "slow" })),
        ("resources/read", json!({ "uri": "test://note" })),
        ("prompts/get", json!({ "name": "greet", "arguments": { "name": "Ada" } })),
        (
            "completion/complete",
            json!({
                "ref": { "type": "ref/prompt", "name": "greet" }, "argument": { "name": "name", "value": "" },
            }),
        ),
    ] {
        let outcome = modern(&mut host, method, params);
        let result = &outcome.answer()["result"];
        assert_eq!(result["resultType"], "complete", "{method}: {result}");
        let info = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!((&info["name"], info["version"].is_string()), (&json!("switchboard"), true), "{method}: {result}");
        assert_eq!(outcome.shown, None);
    }
    let result = modern(&mut host, "tools/call", json!({ "name": "object" })).answer()["result"].clone();
    assert_eq!(result["_meta"]["own"], true, "what the tool says of itself stays");
}

#[test]
fn lists_and_contents_say_how_long_they_keep_and_for_whom() {
    let mut host = desk().settings(json!({ "list_fresh_seconds": 7 }));
    let hints = |host: &mut TestHost, method: &str| {
        let result = modern(host, method, json!({ "uri": "test://note" })).answer()["result"].clone();
        (result["ttlMs"].as_u64().unwrap(), result["cacheScope"].as_str().unwrap().to_owned())
    };
    let lists = ["tools/list", "resources/list", "resources/templates/list", "prompts/list"];
    for method in lists {
        assert_eq!(hints(&mut host, method), (7000, "public".to_owned()), "{method}");
    }
    // Nobody but the plugin knows whether a content depends on who reads it.
    assert_eq!(hints(&mut host, "resources/read"), (0, "private".to_owned()));
    let mut host = host.private_lists();
    for method in lists {
        assert_eq!(hints(&mut host, method), (7000, "private".to_owned()), "{method}");
    }
}

#[test]
fn log_lines_come_only_to_those_who_ask() {
    let mut host = desk();
    let told = |host: &mut TestHost, more: Value| -> Vec<Value> {
        let sent = modern_with(host, "tools/call", json!({ "name": "tell" }), more).sent;
        sent.iter().map(|sent| sent.payload["params"]["level"].clone()).collect()
    };
    let level = "io.modelcontextprotocol/logLevel";
    assert_eq!(told(&mut host, json!({})), [] as [Value; 0]);
    assert_eq!(told(&mut host, json!({ level: "info" })), ["info", "error"]);
    let outcome = modern_with(&mut host, "tools/call", json!({ "name": "tell" }), json!({ level: "loud" }));
    check_error(&outcome, -32602, None, "log level");
    // What a legacy client of the same session wants, is nothing to it.
    legacy(&mut host, "logging/setLevel", json!({ "level": "debug" }));
    assert_eq!(told(&mut host, json!({})), [] as [Value; 0]);
}
