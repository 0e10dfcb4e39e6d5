//! Tokens that an operator revokes: whose sockets close, what is refused afterwards, and what is kept.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Claims, Client, Http, Options, ResumingClient, Server, eventually, expect_refusal, http_request, request,
    run_switchboard, subscribe, unix_now, within_patience,
};

/// The close code of a revoked token.
const TOKEN_REVOKED: Option<u16> = Some(4005);

/// A token of a minute ago.
fn aged(subject: &str) -> Claims {
    Claims::of(subject).with("iat", unix_now() - 60)
}

/// A token that a revocation of this second does not cover.
fn newer(subject: &str) -> Claims {
    Claims::of(subject).with("iat", unix_now() + 30)
}

async fn open(server: &Server, claims: &Claims) -> Client {
    Client::with_token(server, &claims.sign()).await.expect("the token is good")
}

async fn refused(server: &Server, claims: &Claims) -> String {
    let refusal = Client::with_token(server, &claims.sign()).await.err().expect("the token is refused");
    assert_eq!(refusal.status, 401, "{refusal:?}");
    refusal.code().to_owned()
}

async fn post(server: &Server, body: &Value) -> Http {
    Http::send(server.admin_request(Method::POST, "/revocations").json(body)).await
}

/// Revokes, and returns the answer.
async fn revoke(server: &Server, body: Value) -> Value {
    let answer = post(server, &body).await;
    assert_eq!(answer.status, 201, "{body}: {}", answer.text);
    answer.json()
}

async fn listed(server: &Server) -> Vec<Value> {
    server.ask_admin("/revocations").await.json()["revocations"].as_array().expect("a list").clone()
}

/// Waits for the close, however many heartbeats come before it.
async fn closed(client: &mut Client) -> Option<u16> {
    within_patience!("the close", client.closed())
}

async fn assert_open(client: &mut Client) {
    assert_eq!(client.request("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn each_kind_closes_its_own_sockets_at_once_and_nobody_elses() {
    let server = Server::builder().system().start().await;
    let now = unix_now();
    let in_acme = |claims: Claims| claims.with("tenant", "acme");
    let alice_7 = aged("alice").with("jti", "7");
    let alice_8 = aged("alice").with("jti", "8");
    let alice_of_acme = in_acme(aged("alice"));
    let bob_of_acme = in_acme(aged("bob"));
    let bob = aged("bob");
    let carol = Claims::of("carol").with("iat", now - 7_200);
    let dave = newer("dave");
    let all = [&alice_7, &alice_8, &alice_of_acme, &bob_of_acme, &bob, &carol, &dave];
    let mut left = Vec::new();
    for claims in all {
        left.push((claims.clone(), open(&server, claims).await));
    }
    // What is asked for, and how many of those that are left it ends, always from the front.
    for (body, ended) in [
        (json!({ "jti": "7", "reason": "shown on a screen" }), 1),
        (json!({ "sub": "alice" }), 1),
        (json!({ "sub": "alice", "tenant": "acme" }), 1),
        (json!({ "tenant": "acme", "issued_before": now }), 1),
        (json!({ "sub": "bob", "issued_before": now }), 1),
        (json!({ "issued_before": now - 3_600 }), 1),
    ] {
        let answer = revoke(&server, body.clone()).await;
        assert_eq!(answer["sessions_ended"], ended, "{body}");
        let (claims, mut client) = left.remove(0);
        assert_eq!(closed(&mut client).await, TOKEN_REVOKED, "{body}");
        assert_eq!(refused(&server, &claims).await, "JWT_REVOKED", "{body}");
        for (_, client) in &mut left {
            assert_open(client).await;
        }
    }
    assert_eq!(left.len(), 1, "the newest of all is still there");
    assert_eq!(listed(&server).await.len(), 6);
    assert!(server.metric("switchboard_revocations ").await >= 6.0);
    crate::harness::eventually("the closes to be counted", async || {
        (server.metric("switchboard_closes_total{code=\"4005\"}").await >= 6.0).then_some(())
    })
    .await;
    let line = server.logged(&["switchboard::audit", "revocation", "shown on a screen"]).await;
    let line: Value = serde_json::from_str(&line).expect("a log line is JSON");
    let text = line.to_string();
    for part in ["127.0.0.1:", "\"sessions_ended\":1", "\"token_id\":\"7\"", "revoked"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!server.log().join("\n").contains("eyJ"), "a token was logged");
}

#[tokio::test]
async fn all_sessions_of_a_user_end_and_a_newer_token_gets_in() {
    let server = Server::start().await;
    let (mut phone, mut laptop) = (open(&server, &aged("alice")).await, open(&server, &aged("alice")).await);
    // Its age was the token's of the start, and is that of the newer one by now.
    let mut refreshed = open(&server, &aged("alice")).await;
    let answer = refreshed.request("refresh_token", json!({ "token": newer("alice").sign() })).await;
    assert_eq!(answer["type"], "token_refreshed", "{answer}");

    assert_eq!(revoke(&server, json!({ "sub": "alice" })).await["sessions_ended"], 2);
    assert_eq!((closed(&mut phone).await, closed(&mut laptop).await), (TOKEN_REVOKED, TOKEN_REVOKED));
    assert_open(&mut refreshed).await;
    assert_open(&mut open(&server, &newer("alice")).await).await;
    assert_eq!(refused(&server, &aged("alice")).await, "JWT_REVOKED");
    assert_eq!(refused(&server, &Claims::of("alice")).await, "JWT_REVOKED", "without `iat` it is the oldest");
}

#[tokio::test]
async fn a_session_whose_client_is_away_ends_too_and_does_not_come_back_with_a_newer_token() {
    let server = Server::start().await;
    let mut away = ResumingClient::connect(server.url(), &aged("alice").sign(), Options::default()).await;
    subscribe(&mut away, "room").await;
    away.cut();
    eventually("the cut to be noticed", async || (server.metric("switchboard_connections ").await < 1.0).then_some(()))
        .await;
    assert_eq!(revoke(&server, json!({ "sub": "alice" })).await["sessions_ended"], 1);
    away.token = newer("alice").sign();
    expect_refusal(&mut away, "unknown_session").await;
}

#[tokio::test]
async fn a_token_of_the_very_second_is_refused_and_one_of_the_next_is_good() {
    let server = Server::start().await;
    let answer = revoke(&server, json!({ "sub": "alice" })).await;
    let time = |answer: &Value, field: &str| answer["revocation"][field].as_str().expect("a time").to_owned();
    let revoked_at = time(&answer, "revoked_at");
    let now = unix_now();
    for second in now - 5..=now + 2 {
        // The server writes times down such that their order is that of their texts.
        let known = revoke(&server, json!({ "sub": format!("nobody-{second}"), "issued_before": second })).await;
        let covered = time(&known, "issued_before") <= revoked_at;
        let token = Claims::of("alice").with("iat", second).sign();
        assert_eq!(Client::with_token(&server, &token).await.is_err(), covered, "{second}: {known} {revoked_at}");
    }
}

#[tokio::test]
async fn a_connection_cannot_be_refreshed_with_a_revoked_token() {
    let server = Server::start().await;
    let spare = aged("alice").with("jti", "spare");
    let mut client = open(&server, &aged("alice").with("jti", "current")).await;
    assert_eq!(revoke(&server, json!({ "jti": "spare" })).await["sessions_ended"], 0);
    let answer = client.request("refresh_token", json!({ "token": spare.sign() })).await;
    assert_eq!((&answer["type"], &answer["payload"]["code"]), (&json!("error"), &json!("JWT_REVOKED")));
    assert_open(&mut client).await;
}

#[tokio::test]
async fn a_ticket_is_no_way_around_a_revocation() {
    let server = Server::start().await;
    let bearer = format!("Bearer {}", aged("alice").sign());
    let ask = || http_request(Method::POST, &server.http("/ws/ticket")).header("authorization", &bearer);
    let ticket = Http::send(ask()).await.json()["ticket"].as_str().expect("a ticket").to_owned();
    revoke(&server, json!({ "sub": "alice" })).await;
    let refusal =
        Client::open(request(&format!("{}?ticket={ticket}", server.url()), &[])).await.err().expect("refused");
    assert_eq!((refusal.status, refusal.code()), (401, "JWT_REVOKED"));
    let none = Http::send(ask()).await;
    assert_eq!((none.status.as_u16(), &none.json()["code"]), (401, &json!("JWT_REVOKED")));
}

#[tokio::test]
async fn a_restart_keeps_what_is_revoked_until_it_is_taken_back() {
    let server = Server::start().await;
    let claims = aged("alice").with("jti", "7");
    let id = revoke(&server, json!({ "jti": "7", "reason": "lost" })).await["revocation"]["id"].clone();
    let before = listed(&server).await;
    let server = server.restart().await;
    assert_eq!(listed(&server).await, before);
    assert_eq!(refused(&server, &claims).await, "JWT_REVOKED");
    assert!((server.metric("switchboard_revocations ").await - 1.0).abs() < f64::EPSILON);

    let path = format!("/revocations/{}", id.as_str().expect("an id"));
    assert_eq!(Http::send(server.admin_request(Method::DELETE, &path)).await.status, 200);
    assert_eq!(Http::send(server.admin_request(Method::DELETE, &path)).await.status, 404);
    assert_open(&mut open(&server, &claims).await).await;
    assert!(listed(&server.restart().await).await.is_empty());
}

#[tokio::test]
async fn a_server_whose_list_is_damaged_does_not_start_and_says_what_to_do() {
    let server = Server::start().await;
    revoke(&server, json!({ "jti": "7" })).await;
    let list = server.data_dir().join("revocations.json");
    let folder = server.config_file().parent().expect("a folder").display().to_string();
    let good = std::fs::read_to_string(&list).expect("the list is read");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&list).expect("the list").permissions());
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(&list, &good[..good.len() / 2]).expect("the list is damaged");
    let flag = |name: &str| format!("{folder}/{name}");
    for _ in 0..2 {
        let ended = run_switchboard(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
            &flag("data"),
            "--plugin-dir",
            &flag("plugins"),
            "--config",
            &flag("switchboard.toml"),
        ]);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        for part in ["revocations.json", "Restore a copy", "move it away"] {
            assert!(ended.stderr.contains(part), "{part} is not in {}", ended.stderr);
        }
    }
    std::fs::write(&list, good).expect("the list is restored");
    assert_eq!(listed(&server.restart().await).await.len(), 1);
}

#[tokio::test]
async fn web_pages_cannot_revoke() {
    let server = Server::start().await;
    let own = server.admin("").replace("/revocations", "");
    let send = async |method: Method, headers: &[(&str, &str)]| {
        let mut request = server.admin_request(method, "/revocations").body(r#"{"sub":"alice"}"#);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = Http::send(request).await;
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{answer:?}");
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let json = ("content-type", "application/json");
    for (headers, status, code) in [
        (vec![json, ("origin", "https://evil.example")], 403, "ORIGIN_REFUSED"),
        (vec![json, ("origin", "null")], 403, "ORIGIN_REFUSED"),
        (vec![json, ("origin", "http://127.0.0.1:1")], 403, "ORIGIN_REFUSED"),
        (vec![json, ("origin", &own), ("origin", "https://evil.example")], 403, "ORIGIN_REFUSED"),
        (vec![json, ("host", "evil.example")], 403, "HOST_REFUSED"),
        (vec![], 415, "MEDIA_TYPE_UNSUPPORTED"),
        (vec![("content-type", "text/plain")], 415, "MEDIA_TYPE_UNSUPPORTED"),
        (vec![("content-type", "application/x-www-form-urlencoded")], 415, "MEDIA_TYPE_UNSUPPORTED"),
        (vec![("content-type", "text/plain; a=application/json")], 415, "MEDIA_TYPE_UNSUPPORTED"),
    ] {
        assert_eq!(send(Method::POST, &headers).await, (status, code.to_owned()), "{headers:?}");
    }
    // The preflight that a page's browser sends ahead gets no permission.
    let preflight = [("origin", own.as_str()), ("access-control-request-method", "DELETE")];
    assert_eq!(send(Method::OPTIONS, &preflight).await.0, 405);
    assert!(listed(&server).await.is_empty());
    let charset = ("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(send(Method::POST, &[charset, ("origin", &own)]).await.0, 201);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_and_changes_nothing() {
    let server = Server::start().await;
    for (body, status, code) in [
        (json!({}), 400, "PAYLOAD_INVALID"),
        (json!([]), 400, "PAYLOAD_INVALID"),
        (json!({ "subject": "alice" }), 400, "PAYLOAD_INVALID"),
        (json!({ "jti": aged("alice").sign() }), 400, "PAYLOAD_INVALID"),
        (json!({ "issued_before": unix_now() * 1000 }), 400, "PAYLOAD_INVALID"),
        (json!({ "reason": "x".repeat(20_000), "jti": "7" }), 413, "MESSAGE_TOO_LARGE"),
    ] {
        let answer = post(&server, &body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (status, &json!(code)), "{}", answer.text);
        assert!(answer.json()["help"].as_str().is_some_and(|help| help.contains("jti")), "{}", answer.text);
    }
    let broken = server.admin_request(Method::POST, "/revocations").header("content-type", "application/json");
    assert_eq!(Http::send(broken.body("{")).await.json()["code"], "INVALID_JSON");
    assert!(listed(&server).await.is_empty());
    assert!(!server.data_dir().join("revocations.json").exists());
    assert!(!server.log().join("\n").contains("eyJ"), "a token was logged");
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_claimed_to_be_revoked() {
    let server = Server::start().await;
    let mut client = open(&server, &aged("alice")).await;
    // A folder in its place cannot be replaced by a file.
    std::fs::create_dir_all(server.data_dir().join("revocations.json/full")).expect("a folder");
    let answer = post(&server, &json!({ "sub": "alice" })).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (500, &json!("INTERNAL_ERROR")));
    assert!(answer.json()["help"].as_str().is_some_and(|help| help.contains("server.data_dir")), "{}", answer.text);
    assert_open(&mut client).await;
    assert!(listed(&server).await.is_empty());
}

#[tokio::test]
async fn handshakes_that_race_with_a_revocation_do_not_outlive_it() {
    let server = Server::start().await;
    for round in 0..20 {
        let claims = aged("alice").with("jti", format!("token-{round}"));
        let token = claims.sign();
        let (opened, answer) = tokio::join!(
            Client::with_token(&server, &token),
            revoke(&server, json!({ "jti": format!("token-{round}") }))
        );
        match opened {
            Ok(mut client) => assert_eq!(closed(&mut client).await, TOKEN_REVOKED, "{answer}"),
            Err(refusal) => assert_eq!(refusal.code(), "JWT_REVOKED"),
        }
    }
}

#[tokio::test]
async fn the_command_revokes_lists_and_takes_back() {
    let server = Server::start().await;
    let mut client = open(&server, &aged("alice")).await;
    let admin = server.admin("");
    let data_dir = server.data_dir().display().to_string();
    let data_dir = ["--data-dir", &data_dir];
    let run =
        |arguments: &[&str]| run_switchboard(&[&["revoke", "--admin", &admin], &data_dir[..], arguments].concat());

    let revoked = run(&["--sub", "alice", "--reason", "left the company"]);
    assert!(revoked.success, "{}", revoked.stderr);
    assert!(revoked.stdout.contains("revoked: tokens of \"alice\"") && revoked.stdout.contains("sessions ended: 1"));
    assert_eq!(closed(&mut client).await, TOKEN_REVOKED);

    let list = run(&["--list"]).stdout;
    assert!(list.contains("alice") && list.contains("left the company"), "{list}");
    let id = list.split_whitespace().next().expect("an id");
    assert!(run(&["--undo", id]).stdout.starts_with("no longer revoked"));
    assert_eq!(run(&["--list"]).stdout, "");

    let unknown = run(&["--undo", id]);
    assert!(!unknown.success && unknown.stderr.contains("GET /revocations"), "{}", unknown.stderr);
    let nobody = run_switchboard(&[&["revoke", "--list", "--admin", "http://127.0.0.1:1"], &data_dir[..]].concat());
    assert!(!nobody.success && nobody.stderr.contains("no host answers"), "{}", nobody.stderr);
    let other = run_switchboard(&[&["revoke", "--list", "--admin", &server.http("")], &data_dir[..]].concat());
    assert!(!other.success && other.stderr.contains("NOT_FOUND"), "{}", other.stderr);
    assert_eq!(run(&["--jti", "7", "--sub", "alice"]).code, Some(2));
}
