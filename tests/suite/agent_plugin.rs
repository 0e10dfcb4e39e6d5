//! Agent runs: the events in order, tools, threads, cancelling, and one terminal event whatever happens.

use serde_json::{Value, json};

use crate::harness::{Client, Server, guest};

/// Reads the events of one run to its end.
async fn events_of_run(client: &mut Client) -> Vec<Value> {
    let mut events = vec![client.expect("agent_started").await];
    let run = events[0]["payload"]["run_id"].clone();
    loop {
        let event = client.find("an event of the run", |frame| frame["payload"]["run_id"] == run).await;
        let ended = event["type"] == "agent_completed";
        events.push(event);
        if ended {
            return events;
        }
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

fn check_stamps(events: &[Value]) {
    for (index, event) in events.iter().enumerate() {
        let payload = &event["payload"];
        assert_eq!(payload["seq"], index + 1, "{event}");
        assert_eq!(payload["run_id"], events[0]["payload"]["run_id"]);
        assert_eq!(payload["thread_id"], events[0]["payload"]["thread_id"]);
        assert!(payload["timestamp"].as_f64().is_some(), "{event}");
    }
    let terminal = types(events).iter().filter(|name| **name == "agent_completed").count();
    assert_eq!(terminal, 1, "{events:?}");
}

#[tokio::test]
async fn a_request_runs_through_tools_to_one_terminal_event() {
    let server = Server::start_with(&["system", "agent", "tools"]).await;
    let mut client = Client::connect(&server, "alice").await;
    for (message_type, payload) in [
        ("user_message", json!({ "content": "calculate (17 + 4) * 2" })),
        ("agent_request", json!({ "input": "calculate (17 + 4) * 2" })),
    ] {
        client.send(message_type, payload).await;
        let events = events_of_run(&mut client).await;
        check_stamps(&events);
        let names = types(&events);
        assert_eq!((names.first(), names.last()), (Some(&"agent_started"), Some(&"agent_completed")), "{names:?}");
        let executing = names.iter().position(|name| *name == "tool_executing").expect("a tool was called");
        let completed = names.iter().position(|name| *name == "tool_completed").expect("it ended");
        assert!(executing < completed);
        assert_eq!(events[executing]["payload"]["tool_call_id"], events[completed]["payload"]["tool_call_id"]);
        assert!(events[completed]["payload"].to_string().contains("42"), "{}", events[completed]);
        assert_eq!(events.last().expect("an end")["payload"]["status"], "success");
        assert!(events.iter().any(|e| e["type"] == "partial_result" && e["payload"]["delta"].is_string()), "{names:?}");
    }
    client.request("ping", json!({})).await;
    assert!(client.unread_of("agent_completed").is_empty(), "nothing follows the terminal event");
}

#[tokio::test]
async fn what_no_tool_fits_is_answered_all_the_same() {
    let server = Server::start_with(&["system", "agent", "tools"]).await;
    let mut client = Client::connect(&server, "alice").await;
    client.send("user_message", json!({ "content": "xyzzy plugh" })).await;
    let events = events_of_run(&mut client).await;
    check_stamps(&events);
    assert!(
        ["success", "error"].contains(&events.last().expect("an end")["payload"]["status"].as_str().expect("a status"))
    );
}

#[tokio::test]
async fn a_long_run_does_not_delay_a_ping_and_can_be_cancelled() {
    let server = Server::builder()
        .shipped(&["system", "agent"])
        .plugin("slow", guest("slow"))
        .config("[plugins.agent.limits]\ndeadline = \"60s\"\ncpu_time = \"60s\"\n[plugins.slow.limits]\ndeadline = \"60s\"\ncpu_time = \"60s\"")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    client.send("agent_request", json!({ "input": "wait_slowly 30000", "tools": ["wait_slowly"] })).await;
    client.expect("tool_executing").await;
    let run = client.request("ping", json!({})).await;
    assert_eq!(run["type"], "pong", "while the run goes on");

    let mut stranger = Client::connect(&server, "mallory").await;
    let run_id = last_run(&client);
    let refused = stranger.request("agent_cancel", json!({ "run_id": run_id })).await;
    assert_eq!(refused["type"], "error", "another user's run cannot be cancelled: {refused}");

    client.send("agent_cancel", json!({ "run_id": run_id })).await;
    let end = client.expect("agent_completed").await;
    assert_eq!(end["payload"]["status"], "cancelled", "{end}");
}

fn last_run(client: &Client) -> Value {
    client.unread_of("agent_started").last().expect("a run was started")["payload"]["run_id"].clone()
}

#[tokio::test]
async fn a_run_that_is_interrupted_gets_its_terminal_event_from_the_host() {
    let server = Server::builder()
        .shipped(&["system", "agent"])
        .plugin("slow", guest("slow"))
        .config("[plugins.agent.limits]\ndeadline = \"1s\"")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    client.send("agent_request", json!({ "input": "wait_slowly 30000", "tools": ["wait_slowly"] })).await;
    let events = events_of_run(&mut client).await;
    check_stamps(&events);
    let end = events.last().expect("an end");
    assert!(["timeout", "error"].contains(&end["payload"]["status"].as_str().expect("a status")), "{end}");
    client.request("ping", json!({})).await;
    assert!(client.unread_of("agent_completed").is_empty());
}

#[tokio::test]
async fn runs_of_one_thread_are_serial_and_threads_are_the_users_own() {
    let server = Server::start_with(&["system", "agent", "tools"]).await;
    let mut client = Client::connect(&server, "alice").await;
    let mut other = Client::connect(&server, "bob").await;
    for content in ["calculate 1 + 1", "calculate 2 + 2", "calculate 3 + 3"] {
        client.send("user_message", json!({ "content": content, "thread_id": "t" })).await;
    }
    let mut open: Option<Value> = None;
    for _ in 0..3 {
        loop {
            let event = client.find("an event of a run", |frame| frame["payload"]["run_id"].is_string()).await;
            let run = event["payload"]["run_id"].clone();
            match &open {
                None => assert_eq!(event["type"], "agent_started", "{event}"),
                Some(current) => assert_eq!(*current, run, "two runs of one thread overlap"),
            }
            open = Some(run);
            if event["type"] == "agent_completed" {
                open = None;
                break;
            }
        }
    }
    other.send("user_message", json!({ "content": "what did I ask before?", "thread_id": "t" })).await;
    let events = events_of_run(&mut other).await;
    assert!(!json!(events).to_string().contains("2 + 2"), "another user's thread was seen: {events:?}");
}
