//! Topics over real sockets: positions and recovery, presence, rules.

use serde_json::{Value, json};

use crate::harness::{Claims, Client, Server, eventually};

async fn publish(client: &mut Client, topic: &str, n: usize) -> Value {
    let published = client.request("publish", json!({ "topic": topic, "type": "chat", "payload": { "n": n } })).await;
    assert_eq!(published["type"], "published", "{published}");
    published["payload"].clone()
}

async fn subscribe_since(client: &mut Client, topic: &str, offset: &Value, epoch: &Value) -> Value {
    let subscribed = client.request("subscribe", json!({ "topic": topic, "offset": offset, "epoch": epoch })).await;
    assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
    subscribed["payload"].clone()
}

/// The code of an error, or the type of another answer.
fn outcome(answer: &Value) -> &str {
    answer["payload"]["code"].as_str().or(answer["type"].as_str()).unwrap_or_default()
}

async fn with_claims(server: &Server, claims: Claims) -> Client {
    Client::with_token(server, &claims.sign()).await.expect("the server accepts the token")
}

#[tokio::test]
async fn a_subscriber_gets_what_it_missed_or_is_told_that_it_cannot() {
    let server = Server::builder().system().config("[limits]\ntopic_history = 5").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut first = Value::Null;
    for n in 1..=8 {
        first = publish(&mut alice, "room", n).await;
    }
    let epoch = first["epoch"].clone();
    for (offset, epoch, missed) in [
        (json!(3), &epoch, Some(4..9)),
        (json!(7), &epoch, Some(8..9)),
        (json!(8), &epoch, Some(9..9)),
        (json!(2), &epoch, None),
        (json!(9), &epoch, None),
        (json!(7), &json!("another"), None),
    ] {
        let mut bob = Client::connect(&server, "bob").await;
        let answer = subscribe_since(&mut bob, "room", &offset, epoch).await;
        assert_eq!(answer["recovered"], missed.is_some(), "{offset} {answer}");
        assert_eq!((&answer["offset"], &answer["epoch"]), (&json!(8), &first["epoch"]));
        let chats: Vec<_> = bob.unread_of("chat").iter().map(|chat| chat["offset"].clone()).collect();
        let expected: Vec<_> = missed.into_iter().flatten().map(|offset: u64| json!(offset)).collect();
        assert_eq!((&chats, &answer["replayed"]), (&expected, &json!(expected.len())), "they come before the answer");
        bob.close().await;
    }
    let mut bob = Client::connect(&server, "bob").await;
    for (payload, code) in [
        (json!({ "topic": "room.*", "offset": 1, "epoch": "x" }), "TOPIC_INVALID"),
        (json!({ "topic": "room.*", "presence": true }), "TOPIC_INVALID"),
        (json!({ "topic": "room", "offset": 1 }), "PAYLOAD_INVALID"),
        (json!({ "topic": "room", "epoch": "x" }), "PAYLOAD_INVALID"),
    ] {
        let answer = bob.request("subscribe", payload).await;
        assert_eq!(outcome(&answer), code, "{answer}");
    }
}

#[tokio::test]
async fn a_replay_that_a_client_could_not_take_is_not_begun() {
    let limits = "[limits]\nmax_outbound_bytes = \"32KiB\"\n";
    let server = Server::builder().system().config(limits).start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut last = Value::Null;
    for n in 0..10 {
        let payload = json!({ "topic": "room", "payload": { "n": n, "text": "x".repeat(4000) } });
        last = alice.request("publish", payload).await["payload"].clone();
    }
    let mut bob = Client::connect(&server, "bob").await;
    let answer = subscribe_since(&mut bob, "room", &json!(1), &last["epoch"]).await;
    assert_eq!((&answer["recovered"], &answer["replayed"]), (&json!(false), &json!(0)));
    assert_eq!(bob.request("ping", json!({})).await["type"], "pong", "the socket goes on");
    bob.request("unsubscribe", json!({ "topic": "room" })).await;
    let answer = subscribe_since(&mut bob, "room", &json!(8), &last["epoch"]).await;
    assert_eq!((&answer["recovered"], &answer["replayed"]), (&json!(true), &json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_joins_what_is_published_meanwhile_without_a_gap() {
    let server = Server::builder().system().config("[limits]\ntopic_history = 1000").start().await;
    let mut publisher = Client::connect(&server, "alice").await;
    let begun = publish(&mut publisher, "room", 0).await;
    let publishing = tokio::spawn(async move {
        for n in 1..400 {
            publish(&mut publisher, "room", n).await;
        }
        publisher
    });
    let (mut position, mut seen) = (json!(1), 1);
    while seen < 400 {
        let mut bob = Client::connect(&server, "bob").await;
        let answer = subscribe_since(&mut bob, "room", &position, &begun["epoch"]).await;
        assert_eq!(answer["recovered"], true, "{answer}");
        for _ in 0..50.min(400 - seen) {
            let chat = bob.expect("chat").await;
            seen += 1;
            assert_eq!(chat["offset"], seen, "offsets rise by one");
            position = chat["offset"].clone();
        }
        bob.close().await;
    }
    publishing.await.expect("all is published").close().await;
}

#[tokio::test]
async fn presence_is_told_to_those_who_asked_and_not_about_themselves() {
    let server = Server::start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let mut again = Client::connect(&server, "bob").await;
    alice.request("subscribe", json!({ "topic": "room", "presence": true })).await;
    bob.request("subscribe", json!({ "topic": "room" })).await;
    let joined = alice.expect("presence_joined").await;
    let expected = json!({ "topic": "room", "user_id": "bob", "connection_id": bob.connection_id(), "members": 2 });
    assert_eq!(joined["payload"], expected);
    again.request("subscribe", json!({ "topic": "room", "presence": true })).await;
    let joined = alice.expect("presence_joined").await;
    assert_eq!((&joined["payload"]["members"], &joined["payload"]["user_id"]), (&json!(3), &json!("bob")));
    let gone = again.connection_id().to_owned();
    again.close().await;
    let left = alice.expect("presence_left").await;
    assert_eq!((&left["payload"]["members"], &left["payload"]["connection_id"]), (&json!(2), &json!(gone)));
    bob.request("unsubscribe", json!({ "topic": "room" })).await;
    assert_eq!(alice.expect("presence_left").await["payload"]["members"], 1);
    bob.request("ping", json!({})).await;
    assert!(alice.unread_of("presence_joined").is_empty() && bob.unread_of("presence_left").is_empty());
}

const RULES: &str = r#"
[topics]
rules = [
    "allow publish announcements.** if scope announce",
    "deny publish announcements.**",
    "allow all team.{claim.team}.**",
    "allow subscribe team.** if claim role = auditor",
    "deny all team.**",
    "allow all own.{sub}",
    "deny all own.*",
]
"#;

#[tokio::test]
async fn rules_look_at_scopes_claims_and_verbs() {
    let server = Server::builder().system().config(RULES).start().await;
    let mut clients = [
        with_claims(&server, Claims::of("alice").with("scope", "announce").with("team", "red")).await,
        with_claims(&server, Claims::of("bob").with("team", json!(["blue", "green"]))).await,
        with_claims(&server, Claims::of("carol").with("role", "auditor")).await,
    ];
    let (alice, bob, carol) = (0, 1, 2);
    for (client, topic, subscribe, publish) in [
        (alice, "announcements.all", "subscribed", "published"),
        (bob, "announcements.all", "subscribed", "TOPIC_FORBIDDEN"),
        (alice, "team.red.chat", "subscribed", "published"),
        (alice, "team.blue.chat", "TOPIC_FORBIDDEN", "TOPIC_FORBIDDEN"),
        (bob, "team.green.chat", "subscribed", "published"),
        (carol, "team.red.chat", "subscribed", "TOPIC_FORBIDDEN"),
        (alice, "own.alice", "subscribed", "published"),
        (bob, "own.alice", "TOPIC_FORBIDDEN", "TOPIC_FORBIDDEN"),
        (bob, "user.alice", "TOPIC_FORBIDDEN", "published"),
        (bob, "elsewhere", "subscribed", "published"),
    ] {
        let client = &mut clients[client];
        let answer = client.request("subscribe", json!({ "topic": topic })).await;
        assert_eq!(outcome(&answer), subscribe, "{topic} {answer}");
        let present = client.request("presence", json!({ "topic": topic })).await;
        assert_eq!(outcome(&present) == "presence_state", subscribe == "subscribed", "{topic} {present}");
        let answer = client.request("publish", json!({ "topic": topic })).await;
        assert_eq!(outcome(&answer), publish, "{topic} {answer}");
    }
    let denied = clients[bob].request("publish", json!({ "topic": "announcements.all" })).await["payload"].to_string();
    assert!(denied.contains("deny publish announcements.**") && !denied.contains("if scope"), "{denied}");
}

#[tokio::test]
async fn a_pattern_shows_nothing_that_its_subscriber_may_not_read_by_name() {
    let server = Server::builder().system().config(RULES).start().await;
    let mut alice = with_claims(&server, Claims::of("alice").with("team", "red")).await;
    let mut bob = with_claims(&server, Claims::of("bob").with("team", "blue")).await;
    let mut other = with_claims(&server, Claims::of("dora").with("tenant", "other").with("team", "blue")).await;
    for topic in ["**", "team.*.chat"] {
        assert_eq!(bob.request("subscribe", json!({ "topic": topic })).await["type"], "subscribed");
        assert_eq!(other.request("subscribe", json!({ "topic": topic })).await["type"], "subscribed");
    }
    for (n, topic) in ["team.red.chat", "own.alice", "user.alice", "open"].into_iter().enumerate() {
        publish(&mut alice, topic, n).await;
    }
    assert_eq!(bob.expect("chat").await["topic"], "open", "nothing came before it");
    publish(&mut bob, "team.blue.chat", 9).await;
    assert_eq!(bob.expect("chat").await["topic"], "team.blue.chat");
    other.request("ping", json!({})).await;
    assert!(other.unread_of("chat").is_empty(), "another tenant heard it");
}

#[tokio::test]
async fn a_changed_rule_holds_at_once_and_ends_what_it_forbids() {
    let server = Server::start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    bob.request("subscribe", json!({ "topic": "room.1" })).await;
    bob.request("subscribe", json!({ "topic": "room.*" })).await;
    publish(&mut alice, "room.1", 1).await;
    bob.expect("chat").await;
    server.edit_config(|text| text + "\n[topics]\nrules = [\"deny subscribe room.1\"]\n");
    let told = bob.find("the end of the subscription", |frame| outcome(frame) == "TOPIC_FORBIDDEN").await;
    assert!(told["payload"]["error"].as_str().is_some_and(|text| text.contains("room.1")), "{told}");
    publish(&mut alice, "room.1", 2).await;
    publish(&mut alice, "room.2", 3).await;
    assert_eq!(bob.expect("chat").await["topic"], "room.2");
    let refused = bob.request("subscribe", json!({ "topic": "room.1" })).await;
    assert_eq!(outcome(&refused), "TOPIC_FORBIDDEN", "{refused}");

    server.edit_config(|text| text.replace("deny subscribe room.1", "deny publish room.1"));
    eventually("the new rule", async || {
        let answer = alice.request("publish", json!({ "topic": "room.1" })).await;
        (outcome(&answer) == "TOPIC_FORBIDDEN").then_some(())
    })
    .await;
    assert_eq!(bob.request("subscribe", json!({ "topic": "room.1" })).await["type"], "subscribed");
}

#[tokio::test]
async fn a_wrong_rule_is_refused_with_its_place_and_the_old_ones_stay() {
    let server = Server::builder().system().config("[topics]\nrules = [\"deny publish a\"]").start().await;
    server.edit_config(|text| text.replace("deny publish a", "deny write a"));
    server.logged(&["topics.rules", "deny write a", "subscribe, publish or all"]).await;
    let mut alice = Client::connect(&server, "alice").await;
    let refused = alice.request("publish", json!({ "topic": "a" })).await;
    assert_eq!(outcome(&refused), "TOPIC_FORBIDDEN", "{refused}");
}

#[tokio::test]
async fn one_user_cannot_use_up_the_topics_of_all() {
    let server = Server::builder().system().config("[topics]\nmax_per_user = 3").start().await;
    let mut mallory = Client::connect(&server, "mallory").await;
    for n in 0..3 {
        publish(&mut mallory, &format!("t{n}"), n).await;
    }
    let refused = mallory.request("publish", json!({ "topic": "t3" })).await;
    assert_eq!(outcome(&refused), "LIMIT_EXCEEDED", "{refused}");
    let mut alice = Client::connect(&server, "alice").await;
    publish(&mut alice, "t3", 0).await;
    publish(&mut mallory, "t3", 0).await;
}

#[tokio::test]
async fn a_sender_that_excludes_itself_gets_no_copy_and_others_do() {
    let server = Server::start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut elsewhere = Client::connect(&server, "alice").await;
    for (client, topic) in [(&mut alice, "room"), (&mut elsewhere, "**")] {
        client.request("subscribe", json!({ "topic": topic })).await;
    }
    let payload = json!({ "topic": "room", "type": "chat", "exclude_self": true });
    assert_eq!(alice.request("publish", payload).await["payload"]["receivers"], 1);
    assert_eq!(elsewhere.expect("chat").await["offset"], 1, "another session of the user is another receiver");
    alice.request("ping", json!({})).await;
    assert!(alice.unread_of("chat").is_empty());
}
