//! The corners of JSON-RPC 2.0, the same over HTTP, a socket and envelopes: ids, malformed requests, notifications.

use serde_json::{Value, json};

use crate::harness::{
    Server,
    doors::{HttpDoor, SocketDoor},
    guest,
};

/// A message, and what has to come of it.
struct Case {
    message: &'static str,
    outcome: Outcome,
}

enum Outcome {
    /// A result, with this very text as its id.
    Result(&'static str),
    /// An error with one of these codes, and with this very text as its id, if it had a good one.
    Error(&'static [i64], Option<&'static str>),
    Nothing,
}

const INVALID: &[i64] = &[-32600];

/// A request whose parameters have no form at all may be called either.
const NO_PARAMETERS: &[i64] = &[-32600, -32602];

fn cases() -> Vec<Case> {
    use Outcome::{Error, Nothing, Result};
    let cases = [
        // Ids are handed back as they were written.
        (r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#, Result("0")),
        (r#"{"jsonrpc":"2.0","id":-7,"method":"ping"}"#, Result("-7")),
        (r#"{"jsonrpc":"2.0","id":"","method":"ping"}"#, Result(r#""""#)),
        (r#"{"jsonrpc":"2.0","id":"1","method":"ping"}"#, Result(r#""1""#)),
        (r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#, Result("9007199254740993")),
        (
            r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}"#,
            Result("123456789012345678901234567890"),
        ),
        // Members have no order, names may be escaped, and unknown ones are ignored.
        (r#" { "method" : "ping" , "id" : 2 , "jsonrpc" : "2.0" } "#, Result("2")),
        (r#"{"jsonrpc":"2.0","id":3,"\u006dethod":"p\u0069ng"}"#, Result("3")),
        (r#"{"jsonrpc":"2.0","id":4,"method":"ping","params":{},"extra":[1]}"#, Result("4")),
        // What is no request.
        ("{}", Error(INVALID, None)),
        (r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#, Error(INVALID, Some("5"))),
        (r#"{"id":6,"method":"ping"}"#, Error(INVALID, Some("6"))),
        (r#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#, Error(INVALID, Some("7"))),
        (r#"{"jsonrpc":"2.0","id":8}"#, Error(INVALID, Some("8"))),
        (r#"{"jsonrpc":"2.0","id":9,"method":7}"#, Error(INVALID, Some("9"))),
        (r#"{"jsonrpc":"2.0","id":10,"method":null}"#, Error(INVALID, Some("10"))),
        // What is no id.
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Error(INVALID, None)),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Error(INVALID, None)),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, Error(INVALID, None)),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, Error(INVALID, None)),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, Error(INVALID, None)),
        // What is no parameters, no method, no tool.
        (r#"{"jsonrpc":"2.0","id":11,"method":"ping","params":7}"#, Error(NO_PARAMETERS, Some("11"))),
        (r#"{"jsonrpc":"2.0","id":12,"method":"tools/call","params":[1]}"#, Error(NO_PARAMETERS, Some("12"))),
        (r#"{"jsonrpc":"2.0","id":13,"method":"no/such/method"}"#, Error(&[-32601], Some("13"))),
        (r#"{"jsonrpc":"2.0","id":14,"method":""}"#, Error(&[-32601, -32600], Some("14"))),
        (r#"{"jsonrpc":"2.0","id":15,"method":"tools/call","params":{}}"#, Error(&[-32602], Some("15"))),
        (
            r#"{"jsonrpc":"2.0","id":16,"method":"tools/call","params":{"name":"no_such_tool"}}"#,
            Error(&[-32602], Some("16")),
        ),
        (
            r#"{"jsonrpc":"2.0","id":17,"method":"prompts/get","params":{"name":"no_such_prompt"}}"#,
            Error(&[-32602], Some("17")),
        ),
        // Nobody is told anything of a notification, whatever it says, nor of an answer to nothing.
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, Nothing),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"unheard"}}"#, Nothing),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}"#, Nothing),
        (r#"{"jsonrpc":"2.0","method":"no/such/notification"}"#, Nothing),
        (r#"{"jsonrpc":"2.0","method":"ping"}"#, Nothing),
        (r#"{"jsonrpc":"2.0","id":"unasked","result":{}}"#, Nothing),
        (r#"{"jsonrpc":"2.0","id":"unasked","error":{"code":-1,"message":"no"}}"#, Nothing),
    ];
    cases.into_iter().map(|(message, outcome)| Case { message, outcome }).collect()
}

/// Those that are no JSON object: an envelope cannot hold them.
fn no_objects() -> Vec<Case> {
    let cases = [
        ("[]", INVALID),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#, INVALID),
        ("null", INVALID),
        ("7", INVALID),
        (r#""ping""#, INVALID),
        ("{", &[-32700]),
        ("this is not JSON", &[-32700]),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} and more"#, &[-32700]),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, &[-32700]),
    ];
    cases.into_iter().map(|(message, codes)| Case { message, outcome: Outcome::Error(codes, None) }).collect()
}

/// Panics unless these messages are what has to come.
fn judge(case: &Case, answers: &[String]) {
    let what = case.message;
    let (id, codes) = match (&case.outcome, answers) {
        (Outcome::Nothing, answers) => return assert!(answers.is_empty(), "{what}: {answers:?}"),
        (Outcome::Result(id), [_]) => (Some(*id), &[][..]),
        (Outcome::Error(codes, id), [_]) => (*id, *codes),
        (_, answers) => panic!("{what}: not one answer, but {answers:?}"),
    };
    let raw = &answers[0];
    let answer: Value = serde_json::from_str(raw).unwrap_or_else(|_| panic!("{what}: {raw}"));
    let answer = if answer["type"] == "jsonrpc" { &answer["payload"] } else { &answer };
    assert_eq!(answer["jsonrpc"], "2.0", "{what}: {raw}");
    match id {
        Some(id) => assert!(raw.contains(&format!(r#""id":{id}"#)), "{what}: another id than {id} in {raw}"),
        None => assert!(answer.get("id").is_none(), "{what}: clients refuse an error with a null id: {raw}"),
    }
    if codes.is_empty() {
        assert!(answer["result"].is_object() && answer.get("error").is_none(), "{what}: {raw}");
        return;
    }
    let code = answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{what}: {raw}"));
    assert!(codes.contains(&code) && answer.get("result").is_none(), "{what}: {raw}");
    assert!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{what}: {raw}");
}

async fn server() -> Server {
    let limits = "[plugin_defaults.limits]\ncpu_time = \"200s\"\ndeadline = \"200s\"";
    let builder = Server::builder().shipped(&["system", "jsonrpc"]).plugin("conformance", guest("conformance"));
    builder.config(limits).crowd().start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_corner_is_the_same_over_http() {
    let server = server().await;
    let door = HttpDoor::legacy(&server, "alice").await;
    for case in cases().iter().chain(&no_objects()) {
        let posted = door.post(case.message, &[]).await;
        judge(case, &posted.messages);
        let expected: &[u16] = match case.outcome {
            Outcome::Nothing => &[202],
            Outcome::Result(_) => &[200],
            Outcome::Error(_, _) => &[200, 400, 404],
        };
        assert!(expected.contains(&posted.status.as_u16()), "{}: {posted:?}", case.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_corner_is_the_same_on_a_bare_socket() {
    let server = server().await;
    let mut door = SocketDoor::bare(&server, "alice").await;
    for case in cases().iter().chain(&no_objects()) {
        ask(&mut door, case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_corner_is_the_same_in_envelopes() {
    let server = server().await;
    let mut door = SocketDoor::in_envelopes(&server, "alice").await;
    for case in cases() {
        ask(&mut door, &case).await;
    }
}

/// Whatever comes before the answer to a request that is sent afterwards belongs to the case: one session's messages are
/// answered one after another only if each waits for the one before, so the case's own answer is awaited first.
async fn ask(door: &mut SocketDoor, case: &Case) {
    door.send(case.message).await;
    let mut answers = Vec::new();
    if !matches!(case.outcome, Outcome::Nothing) {
        answers.push(door.next().await);
    }
    door.send(r#"{"jsonrpc":"2.0","id":"the-next","method":"ping"}"#).await;
    loop {
        let frame = door.next().await;
        if frame.contains(r#""id":"the-next""#) {
            break;
        }
        answers.push(frame);
    }
    judge(case, &answers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_in_flight_is_refused_and_free_again_afterwards() {
    let server = server().await;
    for in_envelopes in [false, true] {
        let mut door = if in_envelopes {
            SocketDoor::in_envelopes(&server, "alice").await
        } else {
            SocketDoor::bare(&server, "alice").await
        };
        let endless = json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call",
            "params": { "name": "test_endless", "arguments": {}, "_meta": { "progressToken": "p" } } });
        door.send(&endless.to_string()).await;
        let progress = door.next().await;
        assert!(progress.contains("notifications/progress"), "{progress}");

        door.send(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await;
        let refused = door.next().await;
        assert!(refused.contains("-32600"), "{refused}");
        // Another type of id is another id.
        door.send(r#"{"jsonrpc":"2.0","id":"5","method":"ping"}"#).await;
        let answer = door.next().await;
        assert!(answer.contains(r#""id":"5""#) && answer.contains("result"), "{answer}");

        door.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#).await;
        crate::harness::eventually("the cancelled call to end", async || {
            let under_way = server.metric("switchboard_plugin_calls_in_flight{plugin=\"conformance\"}").await;
            (under_way == 0.0).then_some(())
        })
        .await;
        door.send(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await;
        let answer = door.next().await;
        assert!(answer.contains(r#""id":5"#) && answer.contains("result"), "{answer}");
    }
}
