//! The listener for operators, and the command line as its client: who may do what, what is told, and what
//! a person sees.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Client, Http, Server, guest, http_request, operate, repository, run_switchboard, run_switchboard_in,
    within_patience,
};

/// What it printed, if it went well.
fn printed(server: &Server, arguments: &[&str]) -> String {
    let ended = operate(server, arguments);
    assert!(ended.success, "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// Makes a token.
fn token(server: &Server, name: &str, scope: &str) -> String {
    printed(server, &["admin", "token", "create", name, "--scope", scope]).trim().to_owned()
}

async fn ask(server: &Server, method: Method, path: &str, token: &str) -> (u16, String, String) {
    let answer = Http::send(http_request(method, &server.admin(path)).bearer_auth(token)).await;
    let challenge = answer.headers.get("www-authenticate").map(|text| text.to_str().expect("ASCII").to_owned());
    let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), code, challenge.unwrap_or_default())
}

#[tokio::test]
async fn each_route_asks_for_a_token_with_its_scope() {
    let server = Server::start().await;
    for path in ["/metrics", "/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(Http::get(&server.admin(path)).await.status, 200, "{path}");
    }
    for path in ["/plugins", "/config", "/sessions", "/audit", "/revocations", "/tokens", "/plugins/system/logs"] {
        let none = Http::get(&server.admin(path)).await;
        assert_eq!((none.status.as_u16(), &none.json()["code"]), (401, &json!("ADMIN_TOKEN_MISSING")), "{path}");
        assert_eq!(none.headers["www-authenticate"], "Bearer realm=\"switchboard\"");
    }
    let user = crate::harness::token("alice");
    let (status, code, challenge) = ask(&server, Method::GET, "/plugins", &user).await;
    assert_eq!((status, code.as_str()), (401, "ADMIN_TOKEN_INVALID"), "a user's token is no operator's");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");

    let read = token(&server, "dashboard", "read");
    for (method, path, needed) in [
        (Method::PUT, "/plugins/system", "deploy"),
        (Method::POST, "/plugins/system/rollback", "deploy"),
        (Method::POST, "/plugins/system/disable", "deploy"),
        (Method::POST, "/revocations", "admin"),
        (Method::GET, "/tokens", "admin"),
    ] {
        let (status, code, challenge) = ask(&server, method, path, &read).await;
        assert_eq!((status, code.as_str()), (403, "ADMIN_SCOPE_INSUFFICIENT"), "{path}");
        let expected = format!("error=\"insufficient_scope\", scope=\"{needed}\"");
        assert!(challenge.ends_with(&expected), "{path}: {challenge}");
    }
    let status = server.plugin_status("system").await;
    assert_eq!(status["state"], "serving", "{status}");
    let deploy = token(&server, "ci", "deploy");
    assert_eq!(ask(&server, Method::PUT, "/plugins/system", &deploy).await.0, 415, "it gets as far as the body");
    assert_eq!(ask(&server, Method::POST, "/revocations", &deploy).await.0, 403);
    let log = server.log().join("\n");
    assert!(!log.contains(&read) && !log.contains(&server.admin_token()), "a token was logged");
}

#[tokio::test]
async fn tokens_are_made_and_revoked_by_command_and_a_restart_knows() {
    let server = Server::start().await;
    let ci = token(&server, "ci", "deploy");
    let brief =
        printed(&server, &["admin", "token", "create", "guest", "--scope", "read", "--expires", "30d", "--json"]);
    let brief: Value = serde_json::from_str(&brief).expect("JSON");
    assert!(brief["token"].as_str().is_some_and(|token| token.starts_with("sba_")) && brief["expires_at"].is_string());
    let again = operate(&server, &["admin", "token", "create", "ci", "--scope", "read"]);
    assert!(!again.success && again.stderr.contains("OPERATION_CONFLICT"), "{}", again.stderr);

    let server = server.restart().await;
    assert_eq!(ask(&server, Method::GET, "/plugins", &ci).await.0, 200);
    let list = printed(&server, &["admin", "token", "list"]);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(rows, [["NAME", "SCOPE"], ["ci", "deploy"], ["guest", "read"], ["local", "admin"]]);
    assert!(!list.contains("sba_"), "{list}");
    assert!(printed(&server, &["admin", "token", "revoke", "ci"]).starts_with("no longer good: ci"));
    assert_eq!(ask(&server, Method::GET, "/plugins", &ci).await.1, "ADMIN_TOKEN_INVALID");
    let last = operate(&server, &["admin", "token", "revoke", "local"]);
    assert!(!last.success && last.stderr.contains("make another one"), "{}", last.stderr);

    let trail = printed(&server, &["audit"]);
    let line = trail.lines().find(|line| line.contains("admin token revoked")).expect("an audit event");
    assert!(line.contains("by=local") && line.contains("token=ci"), "{line}");
}

#[tokio::test]
async fn an_operator_who_lost_every_token_gets_back_in() {
    let mut server = Server::start().await;
    let (old, list) = (server.admin_token(), server.data_dir().join("admin-tokens.json"));
    server.terminate();
    server.ended().await;
    std::fs::remove_file(list).expect("the list is there");
    let server = server.start_again().await;
    assert_ne!(server.admin_token(), old);
    assert_eq!(ask(&server, Method::GET, "/plugins", &old).await.0, 401);
    assert_eq!(server.ask_admin("/plugins").await.status, 200);
}

#[tokio::test]
async fn without_a_token_a_command_says_where_it_looked() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = run_switchboard_in(folder.path(), &["plugin", "list", "--admin", "http://127.0.0.1:1"], "");
    assert_eq!(ended.code, Some(1));
    for part in ["--token-file", "SWITCHBOARD_ADMIN_TOKEN", ".switchboard/admin.token", "admin token create"] {
        assert!(ended.stderr.contains(part), "{part} is not in {}", ended.stderr);
    }
}

#[tokio::test]
async fn plugins_are_listed_for_people_and_for_machines() {
    let server = Server::builder().system().plugin("impostor", guest("stranger")).start().await;
    server.plugin_status_when("impostor", |status| status["state"] == "failed").await;
    let list = printed(&server, &["plugin", "list"]);
    let system: Vec<&str> = list.lines().find(|line| line.starts_with("system")).expect("a row").split("  ").collect();
    assert!(system.iter().any(|cell| cell.trim() == "serving"), "{list}");
    let failed = server.plugin_status("impostor").await;
    let reason = failed["last_error"]["reason"].as_str().expect("a reason");
    assert!(list.contains(reason.lines().next().expect("a line")), "{list}");
    let json: Value = serde_json::from_str(&printed(&server, &["plugin", "list", "--json"])).expect("JSON");
    assert_eq!(json, server.ask_admin("/plugins").await.json());
}

#[tokio::test]
async fn versions_are_deployed_tried_promoted_and_rolled_back_by_command() {
    let server = Server::start().await;
    let [one, two] = ["echo-v1", "echo-v2"].map(|name| guest(name).display().to_string());
    let deployed = printed(&server, &["plugin", "deploy", &one, "--name", "echo"]);
    assert!(deployed.starts_with("echo 1.0.0 (") && deployed.contains(") serves, after "), "{deployed}");
    let mut client = Client::connect(&server, "alice").await;
    let version = async |client: &mut Client| client.request("echo", json!({})).await["payload"]["version"].clone();
    assert_eq!(version(&mut client).await, "1.0.0");

    let tried = printed(&server, &["plugin", "deploy", &two, "--name", "echo", "--canary", "1", "--why", "faster"]);
    assert!(tried.contains("as the canary") && tried.contains("plugin promote echo"), "{tried}");
    assert!(printed(&server, &["plugin", "list"]).contains("1.0.0, canary 2.0.0 1%"));
    let session = client.established["session_id"].as_str().expect("an id").to_owned();
    printed(&server, &["plugin", "pin", "echo", "--session", &session, "--to", "2.0.0"]);
    assert_eq!(version(&mut client).await, "2.0.0", "whatever share its user is in");
    printed(&server, &["plugin", "unpin", "echo", "--session", &session]);
    assert!(printed(&server, &["plugin", "promote", "echo", "--why", "it is"]).contains("echo 2.0.0"));
    assert_eq!(version(&mut client).await, "2.0.0");
    assert!(printed(&server, &["plugin", "rollback", "echo"]).contains("echo 1.0.0"));
    assert_eq!(version(&mut client).await, "1.0.0");

    let versions = printed(&server, &["plugin", "versions", "echo"]);
    assert!(versions.lines().any(|line| line.contains("1.0.0") && line.contains("active")), "{versions}");
    let stored = server.ask_admin("/plugins/echo/versions/2.0.0").await;
    assert_eq!(stored.status, 200, "{}", stored.text);
    printed(&server, &["plugin", "disable", "echo"]);
    assert_eq!(client.request("echo", json!({})).await["payload"]["code"], "PLUGIN_DISABLED");
    printed(&server, &["plugin", "enable", "echo"]);
    assert_eq!(version(&mut client).await, "1.0.0");

    let late = operate(&server, &["plugin", "promote", "echo"]);
    assert!(!late.success && late.stderr.contains("OPERATION_CONFLICT"), "{}", late.stderr);
    let trail = printed(&server, &["audit", "--plugin", "echo"]);
    let promoted = trail.lines().find(|line| line.contains("operation=promote outcome=done")).unwrap_or(&trail);
    assert!(promoted.contains("by=local") && promoted.contains("why=\"it is\""), "{promoted}");
}

#[tokio::test]
async fn a_plugin_without_a_file_is_removed_by_command_and_one_with_a_file_by_that() {
    let server = Server::builder().plugin("state-probe", guest("state-probe")).start().await;
    let one = guest("echo-v1").display().to_string();
    printed(&server, &["plugin", "deploy", &one, "--name", "echo"]);
    let mut client = Client::connect(&server, "alice").await;
    assert_eq!(client.request("echo", json!({})).await["payload"]["version"], "1.0.0");
    let said = printed(&server, &["plugin", "remove", "echo", "--why", "nobody needs it"]);
    assert_eq!(said.trim(), "echo is removed");
    assert_eq!(client.request("echo", json!({})).await["payload"]["code"], "UNKNOWN_MESSAGE_TYPE");
    assert_eq!(server.ask_admin("/plugins/echo/versions").await.status, 404);
    let trail = printed(&server, &["audit", "--plugin", "echo"]);
    let removed = trail.lines().find(|line| line.contains("operation=remove outcome=done")).unwrap_or(&trail);
    assert!(removed.contains("by=local") && removed.contains("why=\"nobody needs it\""), "{removed}");
    let refused = operate(&server, &["plugin", "remove", "state-probe"]);
    assert!(!refused.success && refused.stderr.contains("remove the file"), "{}", refused.stderr);
    let unknown = operate(&server, &["plugin", "remove", "echo"]);
    assert!(!unknown.success && unknown.stderr.contains("there is no plugin"), "{}", unknown.stderr);
}

#[tokio::test]
async fn a_component_that_does_not_fit_is_refused_in_the_words_of_the_check() {
    let server = Server::start().await;
    let file = guest("stranger").display().to_string();
    let (deployed, checked) =
        (operate(&server, &["plugin", "deploy", &file]), run_switchboard(&["plugin", "check", &file]));
    assert!(!deployed.success && !checked.success);
    let misfit = checked.stdout.lines().find(|line| line.trim_start().starts_with("at ")).expect("a reason");
    assert!(deployed.stderr.contains(misfit), "{misfit}\nis not in\n{}", deployed.stderr);
    let body = std::fs::read(&file).expect("the component");
    let put = server.admin_request(Method::PUT, "/plugins/stranger").header("content-type", "application/wasm");
    let answer = Http::send(put.body(body)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (422, &json!("COMPONENT_UNFIT")));
}

#[tokio::test]
async fn sessions_are_listed_with_their_users() {
    let server = Server::start().await;
    let alice = Client::connect(&server, "alice").await;
    let _bob = Client::connect(&server, "bob").await;
    let listed = server.ask_admin("/sessions?user=alice").await.json();
    assert_eq!(listed["total"], 1, "{listed}");
    let session = &listed["sessions"][0];
    assert_eq!((&session["id"], &session["user"]), (&alice.established["session_id"], &json!("alice")));
    assert_eq!((&session["connected"], session["connection_id"].as_str()), (&json!(true), Some(alice.connection_id())));
    let one = server.ask_admin("/sessions?limit=1").await.json();
    assert_eq!((&one["total"], one["sessions"].as_array().map(Vec::len)), (&json!(2), Some(1)));
}

#[tokio::test]
async fn what_a_plugin_remembers_is_shown_and_dropped_by_command() {
    let server = Server::builder().plugin("state-probe", guest("state-probe")).start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let set = json!({ "op": "set", "scope": "user", "key": "colour", "value": "green" });
    alice.request("state_probe", set).await;
    let shown = printed(&server, &["plugin", "state", "state-probe"]);
    let user = shown.lines().find(|line| line.starts_with("user")).unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(user.split_whitespace().skip(2).collect::<Vec<_>>(), ["1", "1"], "an entry, of one owner: {shown}");

    let said = printed(&server, &["plugin", "forget", "state-probe", "--scope", "user", "--why", "asked for by alice"]);
    assert!(said.starts_with("state-probe forgot 1 entries of user"), "{said}");
    let get = json!({ "op": "get", "scope": "user", "key": "colour" });
    assert_eq!(alice.request("state_probe", get).await["payload"]["value"], json!(null));
    assert!(printed(&server, &["audit"]).contains("asked for by alice"));
    let refused = operate(&server, &["plugin", "forget", "state-probe", "--scope", "everything"]);
    assert!(!refused.success && refused.stderr.contains("connection, user, plugin"), "{}", refused.stderr);
}

#[tokio::test]
async fn the_log_of_a_plugin_is_followed_whatever_the_hosts_own_filter_lets_through() {
    let server = Server::builder().plugin("talks", guest("lifecycle")).setting("logging.filter", "error").start().await;
    let mut stream =
        within_patience!("the stream", server.admin_request(Method::GET, "/plugins/talks/logs?follow=true").send())
            .expect("an answer");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    // The guest writes a line when a session ends.
    Client::connect(&server, "alice").await.close().await;
    let mut text = String::new();
    while !text.contains("\"writer\":\"plugin\"") {
        let chunk = within_patience!("a line", stream.chunk()).expect("the stream goes on").expect("it has not ended");
        text += &String::from_utf8_lossy(&chunk);
    }
    assert!(text.contains("event: line\ndata: {\"time\":"), "{text}");
    assert!(text.contains("\"writer\":\"host\""), "its loading is in it as well: {text}");
    let shown = printed(&server, &["plugin", "logs", "talks", "--level", "info"]);
    assert!(shown.contains("(host) a plugin version takes traffic"), "{shown}");
    let misfit = guest("stranger").display().to_string();
    assert!(!operate(&server, &["plugin", "deploy", &misfit, "--name", "talks"]).success);
    let shown = printed(&server, &["plugin", "logs", "talks", "--level", "warn"]);
    assert!(shown.contains("(host) a deployment was refused") && shown.contains("imports"), "{shown}");
    let none = operate(&server, &["plugin", "logs", "absent"]);
    assert!(!none.success && none.stderr.contains("GET /plugins"), "{}", none.stderr);
}

#[tokio::test]
async fn who_follows_a_log_does_not_hold_up_the_end_of_the_host() {
    let mut server = Server::start().await;
    let stream = server.admin_request(Method::GET, "/plugins/system/logs?follow=true").send().await.expect("an answer");
    server.terminate();
    let rest = within_patience!("the end of the stream", stream.text()).expect("it ends in good order");
    assert!(rest.is_empty() || rest.starts_with("event: ") || rest.starts_with(':'), "{rest}");
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn the_served_description_is_the_one_of_the_repository() {
    let server = Server::start().await;
    let served = Http::get(&server.admin("/openapi.json")).await.json();
    let file = std::fs::read_to_string(repository().join("schema/openapi.json")).expect("the file");
    assert_eq!(served, serde_json::from_str::<Value>(&file).expect("JSON"));
    let paths: Vec<&String> = served["paths"].as_object().expect("paths").keys().collect();
    for path in paths.iter().filter(|path| !path.contains('{')) {
        assert_ne!(server.ask_admin(path).await.status, 404, "{path}");
    }
}
