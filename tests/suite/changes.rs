//! Whoever watches what plugins offer hears of it when that has changed, once, and only then.

use serde_json::{Value, json};

use crate::harness::{Claims, Client, ResumingClient, Server, eventually, guest};

async fn server(config: &str) -> Server {
    Server::builder().plugin("lookout", guest("lookout")).config(config).start().await
}

async fn ask(client: &mut Client, message_type: &str, payload: Value) -> Value {
    let answer = client.request(message_type, payload).await;
    assert_eq!(answer["type"], "done", "{answer}");
    answer["payload"].clone()
}

async fn watch(client: &mut Client, subject: &str) {
    ask(client, "watch", json!({ "subject": subject, "note": { "of": subject } })).await;
}

async fn offer(client: &mut Client, tools: &[&str]) {
    ask(client, "offer", json!({ "tools": tools, "times": 1 })).await;
}

/// What is heard next, and that it is all that was heard.
async fn heard(client: &mut Client) -> Value {
    let changed = client.expect("changed").await;
    assert_eq!(client.unread_of("changed"), Vec::<&Value>::new(), "once");
    changed
}

#[tokio::test]
async fn a_plugin_that_comes_or_goes_is_heard_of_once_and_one_without_tools_never() {
    let server = server("").await;
    let (mut alice, mut bob) = (Client::connect(&server, "alice").await, Client::connect(&server, "bob").await);
    watch(&mut alice, "tools").await;
    watch(&mut bob, "prompts").await;
    server.install("nested", &guest("nested"));
    assert_eq!(heard(&mut alice).await["payload"], json!({ "of": "tools" }));
    server.install("echo", &guest("echo-v1"));
    server.plugin_status_when("echo", |status| status["state"] == "serving").await;
    std::fs::remove_file(server.plugin_file("nested")).unwrap();
    heard(&mut alice).await;
    // Had the plugin without tools been heard of, it would have been before this.
    offer(&mut bob, &["a"]).await;
    heard(&mut alice).await;
    assert!(bob.unread_of("changed").is_empty(), "there are no prompts");
}

#[tokio::test]
async fn a_list_that_is_as_it_was_is_no_change_however_often_its_plugin_says_so() {
    let server = server("").await;
    let mut alice = Client::connect(&server, "alice").await;
    watch(&mut alice, "tools").await;
    ask(&mut alice, "offer", json!({ "tools": [], "times": 900 })).await;
    offer(&mut alice, &["a"]).await;
    heard(&mut alice).await;
    assert_eq!(ask(&mut alice, "unwatch", json!({ "subject": "tools" })).await["did"], true);
    assert_eq!(ask(&mut alice, "unwatch", json!({ "subject": "tools" })).await["did"], false);
    let mut bob = Client::connect(&server, "bob").await;
    watch(&mut bob, "tools").await;
    offer(&mut alice, &["b"]).await;
    heard(&mut bob).await;
    assert!(alice.request("leave", json!({ "subject": "tools" })).await["payload"]["did"] == false);
    assert!(alice.unread_of("changed").is_empty(), "it no longer watches");
}

#[tokio::test]
async fn what_a_request_watches_belongs_to_it_and_ends_with_it() {
    let server = server("").await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = alice.send("watch", json!({ "subject": "tools", "name": "n" })).await;
    // In a lane of its own: it is known once the request can be gone on with.
    let mut bob = Client::connect(&server, "bob").await;
    watch(&mut bob, "tools").await;
    let mut names = ["a", "b"].iter().cycle();
    let changed = eventually("the request to be told", async || {
        offer(&mut bob, &[names.next().unwrap()]).await;
        heard(&mut bob).await;
        alice.request("unwatch", json!({ "subject": "prompts" })).await;
        alice.unread_of("changed").first().map(|changed| (*changed).clone())
    })
    .await;
    assert_eq!(changed["correlation_id"], id.as_str());
    assert_eq!(ask(&mut alice, "leave", json!({ "subject": "tools", "name": "n" })).await["did"], true);
    alice.forget_unread();
    offer(&mut bob, &["c"]).await;
    heard(&mut bob).await;
    ask(&mut alice, "unwatch", json!({ "subject": "prompts" })).await;
    assert!(alice.unread_of("changed").is_empty(), "the request has ended");
}

#[tokio::test]
async fn whoever_may_not_use_a_tool_hears_of_it_with_the_token_that_may() {
    let server = server("[tools]\nrules = [\"secret scope s\"]").await;
    let with_scope = || Claims::of("bob").with("scope", "s").sign();
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let mut carol = Client::with_token(&server, &with_scope()).await.unwrap();
    for client in [&mut alice, &mut bob, &mut carol] {
        watch(client, "tools").await;
    }
    offer(&mut alice, &["secret"]).await;
    heard(&mut carol).await;
    assert_eq!(bob.request("refresh_token", json!({ "token": with_scope() })).await["type"], "token_refreshed");
    heard(&mut bob).await;
    offer(&mut bob, &["open"]).await;
    for client in [&mut alice, &mut bob, &mut carol] {
        // Alice had heard of nothing before.
        heard(client).await;
    }
    server.edit_config(|config| config.replace("secret scope s", "open scope s"));
    heard(&mut alice).await;
}

#[tokio::test]
async fn a_resource_is_heard_of_when_its_plugin_says_so_or_is_another_version() {
    let server = server("").await;
    let mut alice = Client::connect(&server, "alice").await;
    watch(&mut alice, "lookout://weather").await;
    let refused = alice.request("watch", json!({ "subject": "lookout://nowhere" })).await;
    assert_eq!(refused["payload"]["code"], "RESOURCE_NOT_FOUND", "{refused}");
    ask(&mut alice, "change", json!({ "subject": "lookout://sea" })).await;
    ask(&mut alice, "change", json!({ "subject": "lookout://weather" })).await;
    assert_eq!(heard(&mut alice).await["payload"], json!({ "of": "lookout://weather" }));
    server.edit_config(|config| config + "\n[plugins.lookout.limits]\nmax_log_lines = 7\n");
    heard(&mut alice).await;
    std::fs::remove_file(server.plugin_file("lookout")).unwrap();
    heard(&mut alice).await;
}

#[tokio::test]
async fn a_session_that_outlives_a_restart_goes_on_watching() {
    let server = server("").await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let watched = alice.request("watch", json!({ "subject": "tools", "note": { "of": "tools" } })).await;
    assert_eq!(watched["type"], "done", "{watched}");
    let server = server.restart().await;
    let mut bob = Client::connect(&server, "bob").await;
    offer(&mut bob, &["a"]).await;
    assert_eq!(alice.expect("changed").await["payload"], json!({ "of": "tools" }));
}
