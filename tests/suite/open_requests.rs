//! Requests that outlive their call: left open, gone on with by another message, and called off.

use serde_json::{Value, json};

use crate::harness::{
    Claims, Client, ResumingClient, SECRET, Server, ServerBuilder, eventually, guest, request, token, unix_now,
};

/// A guest that computes for ever is to be ended by what the test does, not by its own limits.
fn with_asks() -> ServerBuilder {
    Server::builder()
        .plugin("asks", guest("asks"))
        .config("[plugins.asks.limits]\ndeadline = \"60s\"\ncpu_time = \"60s\"")
}

fn steps(steps: Value) -> Value {
    json!({ "steps": steps })
}

/// Begins a request and leaves it open; returns its id when its call has ended.
async fn leave_open(server: &Server, client: &mut Client, name: &str) -> String {
    let before = left_open(server).await;
    let left = json!([{ "begin": name }, { "leave_open": { "otherwise": { "late": true } } }]);
    let id = client.send("ask", json!({ "steps": left, "silent": true })).await;
    until_left_open(server, before + 1.0).await;
    id
}

async fn left_open(server: &Server) -> f64 {
    server.metric("switchboard_messages_total{plugin=\"asks\",outcome=\"left_open\"}").await
}

async fn until_left_open(server: &Server, messages: f64) {
    eventually("the call to have ended", async || (left_open(server).await >= messages).then_some(())).await;
}

/// The results of steps that are answered.
async fn results(client: &mut Client, todo: Value) -> Value {
    let answer = client.request("ask", steps(todo)).await;
    assert_eq!(answer["type"], "asked", "{answer}");
    answer["payload"]["results"].clone()
}

/// Goes on with a request, and returns what answers it.
async fn resume(client: &mut Client, name: &str, then: &[Value]) -> Value {
    client.send("ask", steps(json!([&[json!({ "resume": name })], then].concat()))).await;
    client.find("an answer", |frame| frame["type"] == "asked" || frame["type"] == "error").await
}

async fn cancelled_messages(server: &Server) -> f64 {
    server.metric("switchboard_messages_total{plugin=\"asks\",outcome=\"cancelled\"}").await
}

#[tokio::test]
async fn a_later_message_answers_what_was_left_open() {
    let server = with_asks().start().await;
    let mut client = Client::connect(&server, "alice").await;
    let left = leave_open(&server, &mut client, "a").await;
    let answer = resume(&mut client, "a", &[json!({ "send": { "n": 1 } })]).await;
    assert_eq!(answer["correlation_id"], left, "the answer belongs to the request");
    assert_eq!(answer["payload"]["results"], json!(["ok", "ok"]));
    let part = client.expect("asked_part").await;
    assert_eq!((&part["correlation_id"], &part["payload"]["n"]), (&json!(left), &json!(1)));
    // It is answered: nobody finds it, and its name is free.
    assert_eq!(
        results(&mut client, json!([{ "resume": "a" }, { "cancel": "a" }, { "begin": "a" }])).await,
        json!(["unknown", false, "ok"])
    );
}

#[tokio::test]
async fn the_host_answers_when_the_time_is_up() {
    let server = with_asks().start().await;
    let mut client = Client::connect(&server, "alice").await;
    let todo = json!([{ "begin": "a" }, { "leave_open": { "ms": 50, "otherwise": { "late": true } } }]);
    let left = client.send("ask", json!({ "steps": todo, "silent": true })).await;
    let answer = client.answer_to(&left).await;
    assert_eq!((&answer["type"], &answer["payload"]), (&json!("ask"), &json!({ "late": true })));
    assert_eq!(results(&mut client, json!([{ "resume": "a" }])).await, json!(["unknown"]));
}

#[tokio::test]
async fn a_request_that_is_called_off_while_it_waits_gets_nothing_and_is_not_run_again() {
    let server = with_asks().start().await;
    let mut client = Client::connect(&server, "alice").await;
    let left = leave_open(&server, &mut client, "a").await;
    assert_eq!(
        results(&mut client, json!([{ "cancel": "a" }, { "cancel": "a" }, { "begin": "a" }])).await,
        json!([true, false, "ok"])
    );
    let again = json!([{ "begin": "a" }, { "leave_open": { "otherwise": { "late": true } } }]);
    let again = json!({ "type": "ask", "id": left, "payload": { "steps": again, "silent": true } });
    client.send_text(&again.to_string()).await;
    let answer = client.answer_to(&left).await;
    assert_eq!(answer["payload"]["code"], "MESSAGE_INTERRUPTED", "the repeat is the first that hears of it: {answer}");
}

#[tokio::test]
async fn a_call_that_computes_or_waits_for_ever_is_ended_with_its_request() {
    let server = with_asks().start().await;
    let mut client = Client::connect(&server, "alice").await;
    for (number, how) in ["spin", "hold"].into_iter().enumerate() {
        let id = client.send("ask", steps(json!([{ "begin": how }, { "send": {} }, how]))).await;
        client.answer_to(&id).await;
        assert_eq!(results(&mut client, json!([{ "cancel": how }, { "begin": how }])).await, json!([true, "ok"]));
        eventually("the call to end", async || {
            let running = server.metric("switchboard_plugin_calls_in_flight{plugin=\"asks\"}").await;
            let counted = cancelled_messages(&server).await;
            (running == 0.0 && counted >= number as f64 + 1.0).then_some(())
        })
        .await;
        results(&mut client, json!([])).await;
        assert!(!client.unread().any(|frame| frame["correlation_id"] == id), "nothing came of it");
    }
    let dropped = "switchboard_plugin_calls_total{plugin=\"asks\",outcome=\"abandoned\"}";
    assert_eq!(server.metric(dropped).await, 2.0, "no limit of their own ended them");
}

#[tokio::test]
async fn to_call_off_what_another_message_works_on_ends_that_one_too() {
    let server = with_asks().start().await;
    let mut client = Client::connect(&server, "alice").await;
    let left = leave_open(&server, &mut client, "a").await;
    let by = client.send("ask", steps(json!([{ "resume": "a" }, { "send": {} }, "spin"]))).await;
    assert_eq!(client.expect("asked_part").await["correlation_id"], left);
    assert_eq!(results(&mut client, json!([{ "cancel": "a" }])).await, json!([true]));
    eventually("the call to end", async || (cancelled_messages(&server).await >= 1.0).then_some(())).await;
    results(&mut client, json!([])).await;
    assert!(!client.unread().any(|frame| frame["correlation_id"] == left || frame["correlation_id"] == by));
}

#[tokio::test]
async fn no_other_session_finds_a_request_not_even_of_the_same_user() {
    let server = with_asks().start().await;
    let mut owner = Client::connect(&server, "alice").await;
    let left = leave_open(&server, &mut owner, "a").await;
    for user in ["alice", "mallory"] {
        let mut other = Client::connect(&server, user).await;
        assert_eq!(
            results(&mut other, json!([{ "cancel": "a" }, { "resume": "a" }, { "begin": "a" }])).await,
            json!([false, "unknown", "ok"])
        );
    }
    assert_eq!(resume(&mut owner, "a", &[]).await["correlation_id"], left);
}

#[tokio::test]
async fn names_are_held_by_one_request_at_a_time_and_have_a_form() {
    let server = with_asks().start().await;
    let mut client = Client::connect(&server, "alice").await;
    leave_open(&server, &mut client, "a").await;
    let long = "n".repeat(257);
    let todo = json!([{ "leave_open": { "otherwise": {} } }, { "begin": "a" }, { "begin": "" }, { "begin": long }, { "begin": "b" },
        { "begin": "c" }, { "leave_open": { "otherwise": [] } }, { "leave_open": { "otherwise": { "long": "x".repeat(70_000) } } }]);
    assert_eq!(
        results(&mut client, todo).await,
        json!(["unknown", "under_way", "invalid", "invalid", "ok", "limit_exceeded", "invalid", "limit_exceeded"])
    );
    // One that ends takes no name with it, however many there were.
    for number in 0..200 {
        assert_eq!(results(&mut client, json!([{ "begin": format!("n{number}") }])).await, json!(["ok"]));
    }
}

#[tokio::test]
async fn so_many_may_be_open_and_the_session_goes_on() {
    let server = with_asks().setting("limits.max_in_flight", "3").start().await;
    let mut client = Client::connect(&server, "alice").await;
    for name in ["a", "b", "c"] {
        leave_open(&server, &mut client, name).await;
    }
    let one_more = json!([{ "begin": "d" }, { "leave_open": { "otherwise": {} } }]);
    assert_eq!(results(&mut client, one_more.clone()).await, json!(["ok", "limit_exceeded"]));
    assert_eq!(results(&mut client, json!([{ "cancel": "b" }])).await, json!([true]));
    assert_eq!(results(&mut client, one_more).await, json!(["ok", "ok"]), "its answer came after all");
}

#[tokio::test]
async fn a_call_that_fails_answers_and_leaves_nothing_open() {
    let server = with_asks().start().await;
    let mut client = Client::connect(&server, "alice").await;
    for (how, code) in [("crash", "PLUGIN_CRASHED"), ("refuse", "NOT_TODAY")] {
        let todo = json!([{ "begin": "a" }, { "leave_open": { "otherwise": {} } }, how]);
        let answer = client.request("ask", steps(todo)).await;
        assert_eq!(answer["payload"]["code"], code, "{answer}");
        // The request that a failing call goes on with fails with it.
        let left = leave_open(&server, &mut client, "a").await;
        let failed = resume(&mut client, "a", &[json!(how)]).await;
        assert_eq!((&failed["payload"]["code"], &failed["correlation_id"]), (&json!(code), &json!(left)));
    }
    assert_eq!(results(&mut client, json!([{ "begin": "a" }])).await, json!(["ok"]));
}

#[tokio::test]
async fn the_host_answers_what_is_open_before_it_stops_and_also_whoever_is_away() {
    let server = with_asks().start().await;
    let mut client = Client::connect(&server, "alice").await;
    let mut away = ResumingClient::of(server.url(), "bob").await;
    let left = leave_open(&server, &mut client, "a").await;
    let todo = json!([{ "begin": "a" }, { "leave_open": { "otherwise": { "late": true } } }]);
    let missed = away.send("ask", json!({ "steps": todo, "silent": true })).await;
    until_left_open(&server, 2.0).await;
    away.cut();
    server.terminate();
    assert_eq!(client.answer_to(&left).await["payload"], json!({ "late": true }));
    assert_eq!(client.closed().await, Some(1012));
    let mut server = server;
    assert!(server.ended().await.success());
    let server = server.start_again().await;
    away.url = server.url().to_owned();
    assert_eq!(away.answer_to(&missed).await["payload"], json!({ "late": true }));
}

#[tokio::test]
async fn what_is_open_is_answered_before_a_token_s_end_closes_the_socket() {
    let auth = "keys = [\"env:TEST_SECRET\"]\nleeway = \"0s\"\nexpiry_notice = \"1s\"\nexpiry_grace = \"0s\"";
    let secret = std::str::from_utf8(SECRET).expect("ASCII");
    let server = with_asks().auth(auth).environment("TEST_SECRET", secret).start().await;
    let short = Claims::of("alice").with("exp", unix_now() + 4).sign();
    let mut client = Client::with_token(&server, &short).await.expect("accepted");
    let left = leave_open(&server, &mut client, "a").await;
    assert_eq!(client.answer_to(&left).await["payload"], json!({ "late": true }));
    assert_eq!(client.closed().await, Some(4105));
}

#[tokio::test]
async fn a_session_that_lost_its_socket_goes_on_with_what_it_left_open() {
    let server = with_asks().start().await;
    let mut client = ResumingClient::of(server.url(), "alice").await;
    let todo = json!([{ "begin": "a" }, { "leave_open": { "otherwise": { "late": true } } }]);
    let left = client.send("ask", json!({ "steps": todo, "silent": true })).await;
    until_left_open(&server, 1.0).await;
    client.cut();
    client.send("ask", steps(json!([{ "resume": "a" }]))).await;
    assert_eq!(client.answer_to(&left).await["payload"]["results"], json!(["ok"]));
}

#[tokio::test]
async fn who_joined_a_request_that_was_left_open_hears_its_answer_too() {
    let server = with_asks().start().await;
    let (mut one, mut two) = (Client::connect(&server, "alice").await, Client::connect(&server, "alice").await);
    let left = leave_open(&server, &mut one, "a").await;
    let repeat = json!([{ "begin": "a" }, { "leave_open": { "otherwise": { "late": true } } }]);
    let repeat = json!({ "type": "ask", "id": left, "payload": { "steps": repeat, "silent": true } });
    two.send_text(&repeat.to_string()).await;
    eventually("the repeat to be seen", async || {
        (server.metric("switchboard_repeated_messages_total{outcome=\"joined\"}").await >= 1.0).then_some(())
    })
    .await;
    assert_eq!(resume(&mut one, "a", &[]).await["correlation_id"], left);
    let answer = two.answer_to(&left).await;
    assert_eq!((&answer["type"], &answer["payload"]["results"]), (&json!("asked"), &json!(["ok"])));
}

#[tokio::test]
async fn on_a_bare_socket_errors_and_the_host_s_answer_carry_the_first_request_s_id() {
    let server = with_asks().start().await;
    let bearer = format!("Bearer {}", token("alice"));
    let headers = [("authorization", bearer.as_str()), ("sec-websocket-protocol", "mcp")];
    let mut client = Client::open_bare(request(server.url(), &headers)).await.expect("accepted");
    let rpc = |id: u32, todo: Value, silent: bool| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "x", "params": { "steps": todo, "silent": silent } }).to_string()
    };
    let otherwise = json!({ "jsonrpc": "2.0", "id": 1, "result": "late" });
    client.send_text(&rpc(1, json!([{ "begin": "1" }, { "leave_open": { "otherwise": otherwise } }]), true)).await;
    until_left_open(&server, 1.0).await;
    client.send_text(&rpc(2, json!([{ "resume": "1" }, "crash"]), false)).await;
    let failed = client.next().await;
    assert_eq!(failed["id"], 1, "{failed}");
    assert_eq!(failed["error"]["data"]["code"], "PLUGIN_CRASHED", "{failed}");

    let otherwise = json!({ "jsonrpc": "2.0", "id": 3, "result": "late" });
    client
        .send_text(&rpc(3, json!([{ "begin": "3" }, { "leave_open": { "ms": 20, "otherwise": otherwise } }]), true))
        .await;
    assert_eq!(client.next().await, otherwise);
}
