//! Canaries, as users and operators see them: who gets the new version, and what becomes of one that is worse.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually, guest, operate};

/// Of whom a tenth gets the canary. Shares are drawn by a hash, so this tells whether the draw is fair.
const CROWD: usize = 500;

/// Of the deployed canary.
const PERCENT: usize = 10;

/// Who talks while a canary fails.
const TALKERS: usize = 40;

/// Within which a canary that is worse has to be gone.
const WINDOW: Duration = Duration::from_secs(60);

const JUDGED: &str = "[plugins.echo.canary]\nwindow = \"60s\"\nmin_calls = 40\n";

fn deploy_canary(server: &Server, name: &str, percent: usize) {
    let (component, percent) = (guest(name).display().to_string(), percent.to_string());
    let ended = operate(server, &["plugin", "deploy", &component, "--name", "echo", "--canary", &percent]);
    assert!(ended.success, "{}", ended.stderr);
}

async fn version(client: &mut Client) -> String {
    let answer = client.request("echo", json!({})).await;
    answer["payload"]["version"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Which version each user of a crowd gets on a new connection.
async fn drawn(server: &Server) -> Vec<String> {
    let mut drawn = Vec::new();
    for number in 0..CROWD {
        let mut client = Client::connect(server, &format!("user-{number}")).await;
        drawn.push(version(&mut client).await);
        client.close().await;
    }
    drawn
}

fn share(drawn: &[String]) -> usize {
    drawn.iter().filter(|version| *version == "2.0.0").count()
}

#[tokio::test]
async fn ten_per_cent_of_users_are_the_same_ten_per_cent_over_reconnects_and_restarts() {
    let server = Server::builder().plugin("echo", guest("echo-v1")).crowd().start().await;
    deploy_canary(&server, "echo-v2", PERCENT);
    let first = drawn(&server).await;
    // Four standard deviations of a fair draw are 27 of 500.
    let (expected, margin) = (CROWD * PERCENT / 100, 27);
    assert!(share(&first).abs_diff(expected) <= margin, "{} of {CROWD}", share(&first));
    assert_eq!(drawn(&server).await, first, "over reconnects");
    let server = server.restart().await;
    assert_eq!(drawn(&server).await, first, "over a restart");

    deploy_canary(&server, "echo-v2", 2 * PERCENT);
    let more = drawn(&server).await;
    assert!(share(&more).abs_diff(2 * expected) <= 2 * margin, "{} of {CROWD}", share(&more));
    let lost = first.iter().zip(&more).filter(|(before, now)| *before == "2.0.0" && *now != "2.0.0").count();
    assert_eq!(lost, 0, "a larger share takes nobody's version away");
}

/// Everyone asks in turn, with what makes the canary fail or dawdle, until it is gone. Says why the host took it away.
async fn taken_away(server: &Server, payload: impl Fn(usize) -> Value) -> String {
    let mut clients = Vec::new();
    for number in 0..TALKERS {
        clients.push(Client::connect(server, &format!("user-{number}")).await);
    }
    deploy_canary(server, "echo-worse", 30);
    let begun = Instant::now();
    let mut on_canary = Vec::new();
    for client in &mut clients {
        on_canary.push(version(client).await == "3.0.0");
    }
    let chosen = on_canary.iter().filter(|chosen| **chosen).count();
    assert!((1..TALKERS).contains(&chosen), "{chosen} users of the canary");

    let mut asked = 0;
    eventually("the canary to be taken away", async || {
        for (client, chosen) in clients.iter_mut().zip(&on_canary) {
            asked += 1;
            let answer = client.request("echo", payload(asked)).await;
            if !chosen {
                assert_eq!(answer["payload"]["version"], "1.0.0", "a user of the active version saw {answer}");
            }
        }
        let versions = server.ask_admin("/plugins/echo/versions").await.json();
        let roles = versions["versions"].as_array().expect("a list").iter().map(|version| version["role"].clone());
        (!roles.into_iter().any(|role| role == "canary")).then_some(())
    })
    .await;
    assert!(begun.elapsed() < WINDOW, "it was there for {:?}", begun.elapsed());
    for client in &mut clients {
        assert_eq!(version(client).await, "1.0.0");
    }
    let events = server.ask_admin("/audit").await.json();
    let events = events.as_array().or_else(|| events["events"].as_array()).expect("a list");
    let rollback = events.iter().find(|event| event["fields"]["operation"] == "rollback").expect("an audit event");
    assert_eq!((&rollback["fields"]["by"], &rollback["fields"]["outcome"]), (&json!("host"), &json!("done")));
    rollback["fields"]["why"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn a_canary_that_fails_more_is_gone_within_the_window_and_nobody_else_saw_it() {
    let server = Server::builder().plugin("echo", guest("echo-v1")).config(JUDGED).crowd().start().await;
    // Every other call, so that its circuit stays closed: it is the comparison that finds it out.
    let why = taken_away(&server, |asked| json!({ "asked": asked, "crash": asked % 2 == 0 })).await;
    assert!(why.contains("failed"), "{why}");
}

#[tokio::test]
async fn a_canary_that_is_slower_is_gone_within_the_window() {
    let server = Server::builder().plugin("echo", guest("echo-v1")).config(JUDGED).crowd().start().await;
    let why = taken_away(&server, |asked| json!({ "asked": asked, "dawdle": 50 })).await;
    assert!(why.contains("ms"), "{why}");
}
