//! What many tests of sessions do: subscribe to a topic, publish numbers to it, and expect them in order.

use serde_json::json;

use super::{Client, Outcome, ResumingClient};

/// Subscribes, and sees that it worked.
pub async fn subscribe(client: &mut ResumingClient, topic: &str) {
    let answer = client.request("subscribe", json!({ "topic": topic })).await;
    assert_eq!(answer["type"], "subscribed", "{answer}");
}

/// Publishes a number with as many bytes beside it.
pub async fn publish(client: &mut Client, topic: &str, n: u64, bytes: usize) {
    let payload = json!({ "n": n, "filler": "x".repeat(bytes) });
    let answer = client.request("publish", json!({ "topic": topic, "type": "news", "payload": payload })).await;
    assert_eq!(answer["type"], "published", "{answer}");
}

/// Waits for these numbers, one after the other.
pub async fn expect_news(client: &mut ResumingClient, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let news = client.expect("news").await;
        if news["payload"]["n"] != n {
            client.fail(&format!("expected number {n}, got seq {}, offset {}", news["seq"], news["offset"]));
        }
    }
}

/// Sees the session refused for this reason, and the fresh one work from its first `seq` on.
pub async fn expect_refusal(client: &mut ResumingClient, reason: &str) {
    let outcome = client.come_back().await;
    if outcome != (Outcome::Failed { reason: reason.to_owned() }) {
        client.fail(&format!("expected to be refused as {reason}, got {outcome:?}"));
    }
    let pong = client.request("ping", json!({})).await;
    assert_eq!((&pong["type"], &pong["seq"]), (&json!("pong"), &json!(1)), "a fresh session: {pong}");
}

/// Whether exactly these were replayed.
pub fn resumed(from: u64, to: u64) -> impl Fn(&Outcome) -> bool {
    move |outcome| matches!(outcome, Outcome::Resumed { from: f, to: t, .. } if (*f, *t) == (from, to))
}
