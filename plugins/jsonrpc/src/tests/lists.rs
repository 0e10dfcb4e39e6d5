//! Lists, page by page, and completion.

use super::*;

#[test]
fn what_is_listed_is_handed_on_without_the_hosts_own_member() {
    let mut host = desk();
    for (method, member, count) in [
        ("tools/list", "tools", 8),
        ("resources/list", "resources", 2),
        ("resources/templates/list", "resourceTemplates", 1),
        ("prompts/list", "prompts", 2),
    ] {
        for answer in [legacy(&mut host, method, json!({})), modern(&mut host, method, json!({}))] {
            let result = answer.answer()["result"].clone();
            let items = result[member].as_array().unwrap();
            assert_eq!(items.len(), count, "{result}");
            assert!(items.iter().all(|item| item.get("x-plugin").is_none()), "{result}");
            assert_eq!(result.get("nextCursor"), None);
        }
    }
    let tools = legacy(&mut host, "tools/list", json!({})).answer()["result"]["tools"].clone();
    let echo = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "echo").unwrap();
    assert_eq!(echo["inputSchema"]["$comment"], "kept");
}

#[test]
fn pages_hold_every_entry_once() {
    let host = ["b", "c", "a", "e", "d"].into_iter().fold(TestHost::new(), any_tool);
    let mut host = host.settings(json!({ "page_size": 2 }));
    let (mut names, mut cursor) = (Vec::new(), None);
    for left in [true, true, false] {
        let params = cursor.take().map_or_else(|| json!({}), |cursor: Value| json!({ "cursor": cursor }));
        let result = legacy(&mut host, "tools/list", params).answer()["result"].clone();
        names.extend(result["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()));
        cursor = result.get("nextCursor").cloned();
        assert_eq!(cursor.is_some(), left);
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_cursor_is_good_for_the_list_that_it_came_with() {
    let host = ["a", "b"].into_iter().fold(TestHost::new(), any_tool);
    let host = ["a", "b"]
        .into_iter()
        .fold(host, |host, name| host.prompt(&Prompt::new(name, ""), |_| Ok(PromptResult::user(""))));
    let mut host = host.settings(json!({ "page_size": 1 }));
    let cursor = legacy(&mut host, "tools/list", json!({})).answer()["result"]["nextCursor"].clone();
    assert!(legacy(&mut host, "tools/list", json!({ "cursor": cursor })).answer()["result"].is_object());
    let check = |host: &mut TestHost, method: &str, cursor: Value, words: &str| {
        check_error(&legacy(host, method, json!({ "cursor": cursor })), -32602, None, words);
    };
    check(&mut host, "prompts/list", cursor.clone(), "another list");
    let text = cursor.as_str().unwrap();
    for nonsense in ["", "nonsense", "tools.1", &text.replacen('1', "2", 1), &text.replacen('1', "0", 1), "tools.-1.x"]
    {
        check(&mut host, "tools/list", nonsense.into(), "");
    }
    check(&mut host, "tools/list", json!(7), "params");
    let mut host = any_tool(host, "c");
    check(&mut host, "tools/list", cursor, "has changed");
}

#[test]
fn arguments_are_completed_with_what_is_known() {
    let mut host = desk();
    for (of, expected) in [
        (json!({ "type": "ref/prompt", "name": "greet" }), "greet name Az"),
        (json!({ "type": "ref/resource", "uri": "test://notes/{number}" }), "test://notes/{number} name Az"),
    ] {
        let params = json!({
            "ref": of, "argument": { "name": "name", "value": "A" }, "context": { "arguments": { "z": "" } },
        });
        for outcome in
            [legacy(&mut host, "completion/complete", params.clone()), modern(&mut host, "completion/complete", params)]
        {
            let completion = outcome.answer()["result"]["completion"].clone();
            assert_eq!(completion, json!({ "values": [expected], "total": 1, "hasMore": false }));
        }
    }
    let argument = json!({ "name": "name", "value": "A" });
    for params in [
        json!({ "ref": { "type": "ref/prompt", "name": "none" }, "argument": argument }),
        json!({ "ref": { "type": "ref/resource", "uri": "test://none" }, "argument": argument }),
        json!({ "ref": { "type": "ref/tool", "name": "echo" }, "argument": argument }),
        json!({ "ref": { "type": "ref/prompt", "uri": "greet" }, "argument": argument }),
        json!({ "ref": { "type": "ref/prompt", "name": "greet" } }),
        json!({ "ref": ["ref/prompt", "greet", null], "argument": argument }),
        json!({ "ref": { "type": "ref/prompt", "name": "greet" }, "argument": argument, "context": { "arguments": 7 } }),
    ] {
        check_error(&legacy(&mut host, "completion/complete", params), -32602, None, "");
    }
}
