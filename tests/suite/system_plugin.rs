//! The `system` plugin over real sockets: ping, topics, presence, system actions.

use serde_json::json;

use crate::harness::{Claims, Client, Server};

#[tokio::test]
async fn ping_answers_pong_with_the_data_and_the_correlation() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    client.send_text(r#"{"type":"ping","id":"a","correlation_id":"b","payload":{"data":{"n":1}}}"#).await;
    let pong = client.answer_to("b").await;
    assert_eq!((&pong["type"], &pong["payload"]["data"]), (&json!("pong"), &json!({ "n": 1 })));
}

#[tokio::test]
async fn publications_reach_subscribers_in_order_with_positions_and_nobody_else() {
    let server = Server::start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let mut carol = Client::connect(&server, "carol").await;
    for (client, topic) in [(&mut alice, "room.1"), (&mut bob, "room.*"), (&mut carol, "room.2")] {
        assert_eq!(client.request("subscribe", json!({ "topic": topic })).await["type"], "subscribed");
    }
    for n in 0..20 {
        let receipt = alice
            .request(
                "publish",
                json!({ "topic": "room.1", "type": "chat", "payload": { "n": n }, "exclude_self": n % 2 == 0 }),
            )
            .await;
        assert_eq!(receipt["type"], "published", "{receipt}");
    }
    for n in 0..20 {
        let chat = bob.expect("chat").await;
        assert_eq!(chat["payload"]["n"], n);
        assert_eq!((&chat["topic"], &chat["offset"]), (&json!("room.1"), &json!(n + 1)));
        assert!(chat["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()));
    }
    for n in (1..20).step_by(2) {
        assert_eq!(alice.expect("chat").await["payload"]["n"], n, "exclude_self left out the even ones");
    }
    assert_eq!(bob.request("unsubscribe", json!({ "topic": "room.*" })).await["type"], "unsubscribed");
    alice.request("publish", json!({ "topic": "room.1", "type": "chat", "payload": { "n": 99 } })).await;
    alice.request("publish", json!({ "topic": "room.2", "type": "chat", "payload": { "n": 100 } })).await;
    assert_eq!(carol.expect("chat").await["payload"]["n"], 100, "carol sees her room only");
    bob.request("ping", json!({})).await;
    assert!(bob.unread_of("chat").is_empty(), "bob has left");
}

#[tokio::test]
async fn presence_lists_members_until_they_leave() {
    let server = Server::start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    alice.request("subscribe", json!({ "topic": "room" })).await;
    bob.request("subscribe", json!({ "topic": "room" })).await;
    let presence = alice.request("presence", json!({ "topic": "room" })).await.to_string();
    assert!(presence.contains("alice") && presence.contains("bob"), "{presence}");
    bob.close().await;
    crate::harness::eventually("bob to be gone", async || {
        let presence = alice.request("presence", json!({ "topic": "room" })).await.to_string();
        (!presence.contains("bob") && presence.contains("alice")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tenants_never_meet_in_a_topic() {
    let server = Server::start().await;
    let of = |user: &str, tenant: &str| Claims::of(user).with("tenant", tenant).sign();
    let mut red = Client::with_token(&server, &of("alice", "red")).await.expect("accepted");
    let mut blue = Client::with_token(&server, &of("alice", "blue")).await.expect("accepted");
    red.request("subscribe", json!({ "topic": "room" })).await;
    blue.request("subscribe", json!({ "topic": "room" })).await;
    red.request("publish", json!({ "topic": "room", "type": "chat", "payload": { "from": "red" } })).await;
    assert_eq!(red.expect("chat").await["payload"]["from"], "red");
    let presence = blue.request("presence", json!({ "topic": "room" })).await;
    assert!(!presence.to_string().contains(red.connection_id()), "{presence}");
    assert!(blue.unread_of("chat").is_empty(), "the other tenant heard it");
}

#[tokio::test]
async fn system_actions_answer_from_the_verified_identity() {
    let server = Server::start().await;
    let claims = Claims::of("alice").with("tenant", "red").with("scope", "chat tools");
    let mut client = Client::with_token(&server, &claims.sign()).await.expect("accepted");
    let who = client.request("system", json!({ "action": "whoami", "user": "root" })).await.to_string();
    for expected in ["alice", "red", "chat", "tools", client.connection_id()] {
        assert!(who.contains(expected), "{who}");
    }
    let echo = client.request("system", json!({ "action": "echo", "data": { "deep": [1] } })).await;
    assert!(echo.to_string().contains(r#"{"deep":[1]}"#), "{echo}");
    let stats = client.request("system", json!({ "action": "stats" })).await.to_string();
    assert!(stats.contains("connections") && stats.contains("system"), "{stats}");
    let unknown = client.request("system", json!({ "action": "reboot" })).await;
    assert_eq!(unknown["type"], "error", "{unknown}");
    assert!(unknown["payload"].to_string().contains("whoami"), "it names what there is: {unknown}");
}
