//! The plugin as a client sees it.

use serde_json::{Value, json};
use switchboard_sdk::testing::TestHost;

use crate::System;

#[test]
fn a_ping_is_answered_with_its_data_and_the_servers_time() {
    let pong = TestHost::new().handle::<System>("ping", json!({ "data": { "n": [1, null] } }));
    assert_eq!(pong.answer_type(), "pong");
    assert_eq!(pong.answer(), json!({ "data": { "n": [1, null] }, "server_time": 1_767_225_600.0 }));
    assert_eq!(TestHost::new().handle::<System>("ping", json!({})).answer().get("data"), None);
}

#[test]
fn a_subscriber_is_present_until_it_unsubscribes() {
    let mut host = TestHost::new().user("alice");
    let subscribed = host.handle::<System>("subscribe", json!({ "topic": "room.1" }));
    assert_eq!(subscribed.answer_type(), "subscribed");
    let expected = json!({ "topic": "room.1", "offset": 0, "epoch": "test", "recovered": false, "replayed": 0 });
    assert_eq!(subscribed.answer(), expected);

    let mut host = host.user("bob");
    let present = host.handle::<System>("presence", json!({ "topic": "room.1" })).answer();
    assert_eq!(present["members"], json!([{ "connection_id": "ws_alice", "user_id": "alice" }]));
    assert_eq!(present["count"], 1);

    let mut host = host.user("alice");
    for was_subscribed in [true, false] {
        let answer = host.handle::<System>("unsubscribe", json!({ "topic": "room.1" })).answer();
        assert_eq!(answer["was_subscribed"], was_subscribed);
    }
}

#[test]
fn a_publication_has_a_type_and_a_payload_even_if_none_is_given() {
    let mut host = TestHost::new();
    host.handle::<System>("subscribe", json!({ "topic": "news" }));
    let outcome = host.handle::<System>("publish", json!({ "topic": "news" }));
    assert_eq!(outcome.answer(), json!({ "topic": "news", "offset": 1, "epoch": "test", "receivers": 1 }));
    assert_eq!((outcome.published[0].kind.as_str(), &outcome.published[0].payload), ("topic_message", &json!({})));

    let publish = json!({ "topic": "news", "type": "headline", "payload": { "text": "hi" }, "exclude_self": true });
    let outcome = host.handle::<System>("publish", publish);
    assert_eq!(outcome.answer()["receivers"], 0);
    assert_eq!((outcome.published[0].kind.as_str(), &outcome.published[0].payload["text"]), ("headline", &json!("hi")));
}

#[test]
fn a_position_is_offset_and_epoch_together_and_says_what_was_missed() {
    let mut host = TestHost::new();
    for _ in 0..3 {
        host.handle::<System>("publish", json!({ "topic": "news" }));
    }
    for (since, recovered, replayed) in [
        (json!({ "offset": 1, "epoch": "test" }), true, 2),
        (json!({ "offset": 1, "epoch": "another" }), false, 0),
        (json!({ "offset": 4, "epoch": "test" }), false, 0),
    ] {
        host.handle::<System>("unsubscribe", json!({ "topic": "news" }));
        let mut payload = since.clone();
        payload["topic"] = "news".into();
        let answer = host.handle::<System>("subscribe", payload).answer();
        assert_eq!((&answer["recovered"], &answer["replayed"]), (&json!(recovered), &json!(replayed)), "{since}");
        assert_eq!(answer["offset"], 3);
    }
    for half in [json!({ "topic": "news", "offset": 1 }), json!({ "topic": "news", "epoch": "test" })] {
        assert_eq!(host.handle::<System>("subscribe", half).refusal().code, "PAYLOAD_INVALID");
    }
    let pattern = json!({ "topic": "news.*", "offset": 1, "epoch": "test" });
    assert_eq!(host.handle::<System>("subscribe", pattern).refusal().code, "TOPIC_INVALID");
}

#[test]
fn presence_is_told_to_who_asks_for_it_until_it_unsubscribes() {
    let mut host = TestHost::new().user("alice");
    host.handle::<System>("subscribe", json!({ "topic": "room" }));
    assert!(host.presence_subscriptions().is_empty());
    host.handle::<System>("subscribe", json!({ "topic": "room", "presence": true }));
    assert_eq!(host.presence_subscriptions()["session_alice"], ["room"]);
    host.handle::<System>("unsubscribe", json!({ "topic": "room" }));
    assert!(host.presence_subscriptions().is_empty());
}

#[test]
fn what_the_host_does_not_allow_is_refused_with_its_reason() {
    let mut host = TestHost::new().forbid_topic("secret");
    for (kind, topic, code) in [
        ("subscribe", "secret", "TOPIC_FORBIDDEN"),
        ("publish", "secret", "TOPIC_FORBIDDEN"),
        ("presence", "room..1", "TOPIC_INVALID"),
        ("publish", "room.*", "TOPIC_INVALID"),
        ("subscribe", "", "PAYLOAD_INVALID"),
    ] {
        let outcome = host.handle::<System>(kind, json!({ "topic": topic }));
        assert_eq!(outcome.refusal().code, code, "{kind} {topic}");
    }
    let reserved = host.handle::<System>("publish", json!({ "topic": "t", "type": "error" }));
    assert!(reserved.refusal().message.contains("\"error\""), "{}", reserved.refusal());
}

fn ask(host: &mut TestHost, action: &str) -> Value {
    let outcome = host.handle::<System>("system", json!({ "action": action, "data": 7 }));
    assert_eq!(outcome.answer_type(), "system_response");
    assert_eq!(outcome.answer()["action"], action);
    outcome.answer()["result"].clone()
}

#[test]
fn every_action_answers() {
    let mut host = TestHost::new().user("alice").tenant("acme").scope("chat").claims(json!({ "plan": "pro" }));
    let whoami = ask(&mut host, "whoami");
    assert_eq!((&whoami["user_id"], &whoami["tenant"]), (&json!("alice"), &json!("acme")));
    assert_eq!((&whoami["scopes"], &whoami["claims"]["plan"]), (&json!(["chat"]), &json!("pro")));
    assert_eq!(ask(&mut host, "echo")["data"], 7);
    assert_eq!(ask(&mut host, "time")["unix_ms"], 1_767_225_600_000_u64);
    assert_eq!(ask(&mut host, "stats")["connections"], 1);
    for action in ask(&mut host, "help")["actions"].as_object().unwrap().keys() {
        ask(&mut host, action);
    }
}

#[test]
fn an_unknown_action_is_refused_with_the_path() {
    let outcome = TestHost::new().handle::<System>("system", json!({ "action": "dance" }));
    assert_eq!(outcome.refusal().code, "PAYLOAD_INVALID");
    assert!(outcome.refusal().message.contains("action"), "{}", outcome.refusal());
}
