//! What plugins offer, by the guest `shelf`, as another plugin uses it for its caller: lists, results that are
//! checked, completions, and the operator's rules.

use serde_json::{Value, json};

use crate::harness::{Claims, Client, Http, Server, eventually, guest};

async fn server(config: &str) -> Server {
    let builder = Server::builder().system().plugin("shelf", guest("shelf")).plugin("browser", guest("browser"));
    builder.config(config).start().await
}

async fn browse(client: &mut Client, asked: Value) -> Value {
    let answer = client.request("browse", asked).await;
    assert_eq!(answer["type"], "browsed", "{answer}");
    answer["payload"].clone()
}

async fn list(client: &mut Client, kind: &str) -> Value {
    browse(client, json!({ "op": "list", "kind": kind })).await
}

async fn call(client: &mut Client, name: &str, arguments: Value) -> Value {
    browse(client, json!({ "op": "get", "kind": "tools", "name": name, "arguments": arguments })).await
}

async fn read(client: &mut Client, uri: &str) -> Value {
    browse(client, json!({ "op": "get", "kind": "resources", "name": uri })).await
}

fn names(listed: &Value, member: &str) -> Vec<String> {
    let items = listed["items"].as_array().expect("a list");
    items.iter().map(|item| item[member].as_str().expect("a name").to_owned()).collect()
}

fn scoped(subject: &str, scopes: &str) -> String {
    Claims::of(subject).with("scope", scopes).sign()
}

#[tokio::test]
async fn everything_that_is_right_is_listed_in_order_and_says_whose_it_is() {
    let server = server("").await;
    let mut client = Client::connect(&server, "alice").await;
    let tools = list(&mut client, "tools").await;
    assert_eq!(names(&tools, "name"), ["add", "ask", "crash", "hold", "regional", "say", "say_list"]);
    assert_eq!((&tools["private"], &tools["items"][0]["x-plugin"]), (&json!(false), &json!("shelf")));
    assert_eq!(tools["items"][4]["inputSchema"]["properties"]["region"]["x-mcp-header"], "Region");
    let resources = list(&mut client, "resources").await;
    assert_eq!(names(&resources, "uri"), ["shelf://book/1", "shelf://cover/1"]);
    assert_eq!(resources["items"][0]["size"], 5);
    let templates = list(&mut client, "resource-templates").await;
    assert_eq!(names(&templates, "uriTemplate"), ["shelf://page/{number}"]);
    assert_eq!(names(&list(&mut client, "prompts").await, "name"), ["greet"]);
    assert_eq!(list(&mut client, "tools").await["generation"], tools["generation"]);
    server.logged(&["never_offered", "x-mcp-header"]).await;
    server.logged(&["never offered", "uri"]).await;
    // A second plugin with the same names: both are told apart, and a URI stays with the first.
    server.install("shelf-2", &guest("shelf"));
    server.plugin_status_when("shelf-2", |status| status["state"] == "serving").await;
    let both = list(&mut client, "tools").await;
    assert_ne!(both["generation"], tools["generation"]);
    assert_eq!(names(&both, "name")[..2], ["shelf-2__add", "shelf-2__ask"]);
    let resources = list(&mut client, "resources").await;
    assert!(names(&resources, "x-plugin").iter().all(|plugin| plugin == "shelf"), "{resources}");
    let sum = call(&mut client, "shelf-2__add", json!({ "a": 1, "b": 2 })).await;
    assert_eq!(sum["result"]["structuredContent"], 3);
    assert_eq!(call(&mut client, "add", json!({ "a": 1, "b": 2 })).await["error"], "unknown");
}

#[tokio::test]
async fn arguments_and_results_are_held_against_what_the_tool_says() {
    let server = server("").await;
    let mut client = Client::connect(&server, "alice").await;
    assert_eq!(call(&mut client, "add", json!({ "a": 2, "b": 3 })).await["result"]["structuredContent"], 5);
    let wrong = call(&mut client, "add", json!({ "a": 2, "b": "3" })).await;
    assert_eq!(wrong["error"], "invalid_arguments");
    assert!(wrong["text"].as_str().expect("a text").contains("/b"), "{wrong}");
    assert_eq!(call(&mut client, "nobody", json!({})).await["error"], "unknown");
    let text = json!([{ "type": "text", "text": "x" }]);
    let right = call(&mut client, "say", json!({ "content": text, "structuredContent": [1, null] })).await;
    assert_eq!(right["result"]["structuredContent"], json!([1, null]));
    for (tool, lie, problem) in [
        ("say", json!({ "content": [{ "type": "text" }] }), "`content[0]`: `text`"),
        ("say", json!({ "content": [{ "type": "image", "data": "?", "mimeType": "image/png" }] }), "base64"),
        ("say", json!({ "resultType": "later" }), "`resultType`"),
        ("say", json!({ "resultType": "input_required" }), "`inputRequests`"),
        ("say", json!({ "resultType": "input_required", "inputRequests": { "a": { "method": "x" } } }), "clients can"),
        ("say_list", json!({ "content": text }), "no `structuredContent`"),
        ("say_list", json!({ "content": text, "structuredContent": {} }), "`outputSchema` at /"),
    ] {
        let told = call(&mut client, tool, lie).await;
        assert!(told["error"] == "failed" && told["text"].as_str().expect("a text").contains(problem), "{told}");
    }
    let crashed = call(&mut client, "crash", json!({})).await;
    assert!(crashed["error"] == "failed" && crashed["text"].as_str().expect("a text").contains("crash"), "{crashed}");
    assert_eq!(call(&mut client, "add", json!({ "a": 0, "b": 0 })).await["result"]["structuredContent"], 0);
}

#[tokio::test]
async fn a_tool_can_ask_first_and_is_told_what_was_answered() {
    let server = server("").await;
    let mut client = Client::connect(&server, "alice").await;
    let asking = call(&mut client, "ask", json!({})).await["result"].clone();
    assert_eq!((&asking["resultType"], &asking["requestState"]), (&json!("input_required"), &json!("asked")));
    let again = json!({ "op": "get", "kind": "tools", "name": "ask", "state": "asked",
        "responses": { "name": { "action": "accept" } } });
    let told = browse(&mut client, again).await["result"]["content"][0]["text"].to_string();
    assert!(told.contains("accept") && told.contains("browser"), "{told}");
    let plain = browse(&mut client, json!({ "op": "call", "kind": "tools", "name": "ask" })).await;
    assert!(plain["error"].as_str().expect("no result").contains("ask the user"), "{plain}");
}

#[tokio::test]
async fn resources_are_read_by_their_uri_or_by_a_template() {
    let server = server("").await;
    let mut client = Client::connect(&server, "alice").await;
    assert_eq!(read(&mut client, "shelf://book/1").await["result"]["contents"][0]["text"], "A book.");
    assert_eq!(read(&mut client, "shelf://cover/1").await["result"]["contents"][0]["blob"], "AAEC/w==");
    assert_eq!(read(&mut client, "shelf://page/2").await["result"]["contents"][0]["text"], "A page.");
    // Not there, says the plugin; no template fits; a value that leads elsewhere; no URI.
    for uri in ["shelf://page/3", "shelf://page/1/x", "shelf://page/..", "page"] {
        assert_eq!(read(&mut client, uri).await["error"], "unknown", "{uri}");
    }
}

#[tokio::test]
async fn prompts_and_completions_are_checked_by_what_they_take() {
    let server = server("").await;
    let mut client = Client::connect(&server, "alice").await;
    let get = |arguments: Value| json!({ "op": "get", "kind": "prompts", "name": "greet", "arguments": arguments });
    let got = browse(&mut client, get(json!({ "name": "Bob" }))).await;
    assert_eq!(got["result"]["messages"][0]["content"]["text"], "Greet Bob.");
    for wrong in [json!({}), json!({ "name": 1 }), json!({ "name": "Bob", "style": null })] {
        assert_eq!(browse(&mut client, get(wrong)).await["error"], "invalid_arguments");
    }
    for (kind, name, argument) in [("prompts", "greet", "style"), ("templates", "shelf://page/{number}", "number")] {
        let asked = json!({ "op": "complete", "kind": kind, "name": name, "argument": argument, "value": "a" });
        let completion = browse(&mut client, asked).await["completion"].clone();
        assert_eq!((&completion["values"][7], &completion["hasMore"]), (&json!("a7"), &json!(true)));
        assert_eq!(completion["values"].as_array().map(Vec::len), Some(100));
    }
    let asked = json!({ "op": "complete", "kind": "prompts", "name": "greet", "argument": "no such", "value": "" });
    assert_eq!(browse(&mut client, asked).await["error"], "invalid_arguments");
}

#[tokio::test]
async fn what_a_users_scopes_do_not_allow_is_hidden_and_refused_by_every_way() {
    let rules = "[tools]\nrules = [\"shelf__say*\", \"shelf__* scope books.use\", \"* scope more\"]\n\
        [resources]\nrules = [\"shelf://cover/* scope covers\", \"shelf://page/2 scope pages scope more\"]\n\
        [prompts]\nrules = [\"greet scope books.use\"]";
    let server = server(rules).await;
    let mut alice = Client::with_token(&server, &scoped("alice", "books.use pages")).await.expect("a connection");
    let mut bob = Client::with_token(&server, &scoped("bob", "covers")).await.expect("a connection");
    let (hers, his) = (list(&mut alice, "tools").await, list(&mut bob, "tools").await);
    assert_eq!(names(&hers, "name").len(), 7);
    assert_eq!(names(&his, "name"), ["say", "say_list"]);
    assert!(hers["private"] == true && his["private"] == true && hers["generation"] != his["generation"]);
    assert_eq!(list(&mut bob, "prompts").await["items"], json!([]));
    assert_eq!(names(&list(&mut alice, "resources").await, "uri"), ["shelf://book/1"]);
    let refused = call(&mut bob, "add", json!({ "a": 1, "b": 1 })).await;
    assert_eq!((&refused["error"], &refused["more"]), (&json!("forbidden"), &json!(["books.use"])));
    let refused = browse(&mut bob, json!({ "op": "call", "kind": "tools", "name": "add" })).await;
    assert!(refused["error"].as_str().expect("no result").contains("books.use"), "{refused}");
    assert_eq!(call(&mut alice, "add", json!({ "a": 1, "b": 1 })).await["result"]["structuredContent"], 2);
    assert_eq!(read(&mut alice, "shelf://cover/1").await["more"], json!(["covers"]));
    // What is read by a template is a resource of its own.
    assert_eq!(read(&mut alice, "shelf://page/2").await["more"], json!(["more"]));
    assert_eq!(read(&mut alice, "shelf://page/1").await["result"]["contents"][0]["text"], "A page.");
    // The rules are live.
    server.edit_config(|text| text.replace("scope books.use", "scope another"));
    eventually("the new rules", async || {
        let refused = call(&mut alice, "add", json!({ "a": 1, "b": 1 })).await;
        (refused["more"] == json!(["another"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rates_numbers_and_timeouts_are_for_each_user_and_tool() {
    let rules = "[tools]\nrules = [\"add rate 2/h\", \"hold concurrent 1\"]\n\
        [plugins.shelf.limits]\ncpu_time = \"60s\"\ndeadline = \"60s\"\n[plugins.browser.limits]\ndeadline = \"60s\"";
    let server = server(rules).await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let numbers = json!({ "a": 1, "b": 1 });
    for _ in 0..2 {
        assert_eq!(call(&mut alice, "add", numbers.clone()).await["result"]["structuredContent"], 2);
    }
    let limited = call(&mut alice, "add", numbers.clone()).await;
    assert_eq!(limited["error"], "limited");
    assert!(limited["more"].as_u64().expect("a time") > 1_000_000, "{limited}");
    assert_eq!(call(&mut bob, "add", numbers).await["result"]["structuredContent"], 2);
    // One that is under way keeps her from the next, and nobody else.
    let held = json!({ "op": "get", "kind": "tools", "name": "hold", "arguments": { "ms": 60_000 } });
    alice.send("browse", held).await;
    server.logged(&["the tool holds"]).await;
    let limited = call(&mut alice, "hold", json!({ "ms": 0 })).await;
    assert_eq!(limited["error"], "limited", "{limited}");
    assert_eq!(call(&mut bob, "hold", json!({ "ms": 0 })).await["result"]["content"][0]["text"], "held");
}

#[tokio::test]
async fn a_rule_can_give_a_tool_less_time_than_its_plugin_has() {
    let rules = "[tools]\nrules = [\"hold timeout 50ms\"]\n[plugins.shelf.limits]\ncpu_time = \"60s\"\ndeadline = \"60s\"\n\
        [plugins.browser.limits]\ndeadline = \"60s\"";
    let server = server(rules).await;
    let mut alice = Client::connect(&server, "alice").await;
    assert_eq!(call(&mut alice, "hold", json!({ "ms": 60_000 })).await["error"], "timeout");
}

#[tokio::test]
async fn each_use_is_measured_and_audited_without_its_arguments() {
    let server = server("[tools]\nrules = [\"crash scope never\"]").await;
    let mut client = Client::connect(&server, "alice").await;
    call(&mut client, "add", json!({ "a": 31_337, "b": 1 })).await;
    call(&mut client, "add", json!({ "a": "a secret of the user" })).await;
    call(&mut client, "crash", json!({})).await;
    read(&mut client, "shelf://page/1").await;
    for labels in [
        r#"mcp_method_name="tools/call",gen_ai_tool_name="add",gen_ai_prompt_name="",error_type="""#,
        r#"mcp_method_name="tools/call",gen_ai_tool_name="add",gen_ai_prompt_name="",error_type="invalid_arguments""#,
        r#"mcp_method_name="tools/call",gen_ai_tool_name="crash",gen_ai_prompt_name="",error_type="forbidden""#,
        r#"mcp_method_name="resources/read",gen_ai_tool_name="",gen_ai_prompt_name="",error_type="""#,
    ] {
        let series = format!("switchboard_mcp_server_operation_duration_seconds_count{{{labels}}}");
        assert!(server.metric(&series).await >= 1.0, "{series}");
    }
    let trail: Http = server.ask_admin("/audit?kind=use").await;
    let events = trail.json()["events"].as_array().expect("events").clone();
    assert_eq!(events.len(), 4, "{events:?}");
    let outcomes: Vec<&str> = events.iter().filter_map(|event| event["fields"]["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["ok", "forbidden", "invalid_arguments", "ok"]);
    let first = &events[3]["fields"];
    assert_eq!(
        (&first["subject"], &first["plugin"], &first["via"]),
        (&json!("alice"), &json!("shelf"), &json!("browser"))
    );
    assert_eq!(first["arguments_sha256"].as_str().map(str::len), Some(64));
    assert_eq!(first["digest"].as_str().map(str::len), Some(64));
    let log = server.log().join("\n");
    assert!(!log.contains("31337") && !log.contains("a secret of the user"), "arguments were logged");
}

#[tokio::test]
async fn a_plugin_that_lists_without_end_or_too_much_takes_nothing_from_the_others() {
    let builder = Server::builder().system().plugin("shelf", guest("shelf")).plugin("shelf-2", guest("shelf"));
    let settings = "[plugins.shelf.settings]\nendless = true\nmore_tools = 300\n\
        [plugins.shelf.limits]\ncpu_time = \"200ms\"\n[plugins.browser.limits]\ndeadline = \"60s\"";
    let server = builder.plugin("browser", guest("browser")).config(settings).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let prompts = list(&mut client, "prompts").await;
    assert_eq!(names(&prompts, "x-plugin"), ["shelf-2"], "and the other one keeps the short name");
    assert_eq!(names(&prompts, "name"), ["greet"]);
    // 256 of one plugin, one of which is wrong, and those of the other.
    let tools = list(&mut client, "tools").await;
    assert_eq!(names(&tools, "name").len(), 255 + 7);
    server.logged(&["308 entries are listed"]).await;
}
