//! Five thousand clients lose their sockets at once, and come back as clients should: each after a
//! moment of its own.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;

use crate::harness::{Client, Outcome, ResumingClient, Server, eventually, raise_file_limit, random_u64};

const CLIENTS: usize = 5_000;

/// Over how long clients spread their return.
const JITTER: Duration = Duration::from_secs(5);

/// The figure has to stay far below what a person takes for an outage.
const ALL_BACK_WITHIN: Duration = Duration::from_secs(50);

async fn join(url: String, number: usize) -> ResumingClient {
    let mut client = ResumingClient::of(&url, &format!("storm-{number}")).await;
    let answer = client.request("subscribe", json!({ "topic": "weather" })).await;
    assert_eq!(answer["type"], "subscribed", "{answer}");
    client
}

/// Comes back after its jitter; returns how long after the storm and after its own attempt it was through.
async fn come_back(mut client: ResumingClient, dropped: Instant) -> (ResumingClient, Duration, Duration) {
    let jitter = Duration::from_micros(random_u64() % u64::try_from(JITTER.as_micros()).expect("seconds"));
    tokio::time::sleep(jitter).await;
    let attempted = Instant::now();
    let outcome = client.come_back().await;
    if !matches!(outcome, Outcome::Resumed { .. }) {
        client.fail("the session did not survive the storm");
    }
    (client, dropped.elapsed(), attempted.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_clients_that_are_dropped_at_once_all_resume() {
    raise_file_limit(12_000);
    let server = Server::builder().system().crowd().start().await;
    let url = server.url().to_owned();
    let joining = (0..CLIENTS).map(|number| tokio::spawn(join(url.clone(), number)));
    let mut clients: Vec<ResumingClient> =
        stream::iter(joining).buffered(64).map(|client| client.expect("it joined")).collect().await;
    let mut publisher = Client::connect(&server, "publisher").await;

    let dropped = Instant::now();
    for client in &mut clients {
        client.cut();
    }
    eventually("the storm to be noticed", async || {
        // Reading answers pings.
        publisher.request("ping", json!({})).await;
        (server.metric("switchboard_connections ").await <= 1.0).then_some(())
    })
    .await;
    let missed = json!({ "topic": "weather", "type": "news", "payload": { "what": "the storm" } });
    let receipt = publisher.request("publish", missed).await;
    assert_eq!(receipt["payload"]["receivers"], CLIENTS, "sessions that are away receive: {receipt}");

    let returning = clients.into_iter().map(|client| tokio::spawn(come_back(client, dropped)));
    let returned: Vec<_> = join_all(returning).await.into_iter().map(|client| client.expect("it came back")).collect();
    let all_back = dropped.elapsed();
    let mut durations: Vec<Duration> = Vec::new();
    let mut checks = Vec::new();
    for (mut client, _, took) in returned {
        durations.push(took);
        checks.push(tokio::spawn(async move {
            assert_eq!(client.expect("news").await["payload"]["what"], "the storm");
            let [Outcome::Fresh, Outcome::Resumed { from: 2, to: 2, .. }] = client.outcomes[..] else {
                client.fail("exactly one message was missed")
            };
            assert_eq!(client.request("ping", json!({})).await["seq"], 3);
        }));
    }
    for check in join_all(checks).await {
        check.expect("each has what it missed");
    }
    durations.sort_unstable();
    let at = |percent: usize| durations[(durations.len() - 1) * percent / 100];
    println!(
        "storm: {CLIENTS} clients, jitter {JITTER:?}: all resumed after {all_back:?}; one resumption p50 {:?}, p99 {:?}, longest {:?}",
        at(50),
        at(99),
        at(100)
    );
    assert!(all_back < ALL_BACK_WITHIN, "all were back after {all_back:?}");
}
