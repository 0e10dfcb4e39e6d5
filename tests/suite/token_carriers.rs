//! Where a token may travel, in every spelling, and what the server echoes.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Claims, Client, Http, Server, http_request, request, token};

async fn open_with_protocols(server: &Server, offered: &str) -> Result<Client, crate::harness::Refusal> {
    Client::open(request(server.url(), &[("sec-websocket-protocol", offered)])).await
}

#[tokio::test]
async fn the_authorization_header_works_in_any_case_of_its_scheme() {
    let server = Server::start().await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let header = format!("{scheme} {}", token("alice"));
        let client = Client::open(request(server.url(), &[("authorization", &header)])).await.expect(scheme);
        assert_eq!(client.established["user_id"], "alice", "{scheme}");
        assert!(client.response.headers().get("sec-websocket-protocol").is_none(), "nothing was offered");
    }
}

#[tokio::test]
async fn every_spelling_of_the_subprotocol_works_and_the_token_is_never_echoed() {
    let server = Server::start().await;
    let jwt = token("alice");
    let forms = [
        jwt.clone(),
        STANDARD.encode(&jwt),
        STANDARD_NO_PAD.encode(&jwt),
        URL_SAFE.encode(&jwt),
        URL_SAFE_NO_PAD.encode(&jwt),
    ];
    for form in &forms {
        for (offered, echoed) in [
            (format!("jwt.{form}, switchboard.v1"), "switchboard.v1"),
            (format!("switchboard.v1, jwt-auth.{form}"), "switchboard.v1"),
            (format!("jwt, {form}"), "jwt"),
            (format!("jwt-auth, jwt.{form}"), "jwt-auth"),
            (format!("jwt-auth,jwt.{form},switchboard.v1"), "switchboard.v1"),
        ] {
            let client = open_with_protocols(&server, &offered)
                .await
                .unwrap_or_else(|refusal| panic!("{offered}: {} {}", refusal.status, refusal.response.body));
            assert_eq!(client.established["user_id"], "alice", "{offered}");
            assert_eq!(client.response.headers()["sec-websocket-protocol"], echoed, "{offered}");
        }
    }
}

#[tokio::test]
async fn a_client_that_offers_only_the_token_gets_in_or_a_code_but_never_its_token_back() {
    let server = Server::start().await;
    // A WebSocket client has to fail when nothing that it offered is selected, so the raw answer is read.
    let offered = format!("jwt.{}", token("alice"));
    let answer = upgrade_by_hand(&server, &offered).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(!answer.contains("eyJ"), "{answer}");
}

async fn upgrade_by_hand(server: &Server, offered: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let authority = server.url().trim_start_matches("ws://").trim_end_matches("/ws").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&authority).await.expect("the server listens");
    let text = format!(
        "GET /ws HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {offered}\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.expect("the request is sent");
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0];
        let count = crate::harness::within_patience!("the answer", stream.read(&mut byte)).expect("an answer");
        assert_ne!(count, 0, "the answer ended early: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&byte);
    }
    String::from_utf8(answer).expect("headers in ASCII")
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_by_default_and_works_when_config_allows_it() {
    let server = Server::start().await;
    let url = format!("{}?token={}", server.url(), token("alice"));
    let refusal = Client::open(request(&url, &[])).await.err().expect("refused");
    assert_eq!(refusal.status, 401);
    assert!(refusal.response.body["error"].as_str().expect("a text").contains("query"), "{refusal:?}");

    let secret = server.config_file().with_file_name("secret");
    let keys = format!("keys = [\"file:{}\"]", secret.display());
    let lenient = Server::builder().system().auth(&format!("{keys}\ntoken_in_query = true")).start().await;
    let url = format!("{}?token={}", lenient.url(), token("alice"));
    let client = Client::open(request(&url, &[])).await.expect("accepted");
    assert_eq!(client.established["user_id"], "alice");
}

#[tokio::test]
async fn two_carriers_at_once_are_refused() {
    let server = Server::start().await;
    let jwt = token("alice");
    let bearer = format!("Bearer {jwt}");
    let protocol = format!("jwt.{jwt}, switchboard.v1");
    let with_query = format!("{}?ticket=abc", server.url());
    for (url, headers) in [
        (server.url(), vec![("authorization", bearer.as_str()), ("sec-websocket-protocol", protocol.as_str())]),
        (with_query.as_str(), vec![("authorization", bearer.as_str())]),
        (with_query.as_str(), vec![("sec-websocket-protocol", protocol.as_str())]),
        (server.url(), vec![("authorization", bearer.as_str()), ("authorization", bearer.as_str())]),
    ] {
        let refusal = Client::open(request(url, &headers)).await.err().expect("refused");
        assert_eq!((refusal.status, refusal.code()), (401, "AUTH_CARRIER_CONFLICT"), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_ticket_opens_one_connection_and_no_second() {
    let server = Server::start().await;
    let answer = Http::send(http_request(Method::POST, &server.http("/ws/ticket")).bearer_auth(token("alice"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let ticket = answer.json()["ticket"].as_str().expect("a ticket").to_owned();
    let url = format!("{}?ticket={ticket}", server.url());

    let client = Client::open(request(&url, &[])).await.expect("the first use is accepted");
    assert_eq!(client.established["user_id"], "alice");
    let refusal = Client::open(request(&url, &[])).await.err().expect("the second use is refused");
    assert_eq!((refusal.status, refusal.code()), (401, "TICKET_INVALID"));
}

#[tokio::test]
async fn of_many_who_use_one_ticket_at_the_same_time_one_gets_in() {
    let server = Server::start().await;
    let answer = Http::send(http_request(Method::POST, &server.http("/ws/ticket")).bearer_auth(token("alice"))).await;
    let url = format!("{}?ticket={}", server.url(), answer.json()["ticket"].as_str().expect("a ticket"));
    let attempts = futures_util::future::join_all((0..20).map(|_| Client::open(request(&url, &[])))).await;
    assert_eq!(attempts.iter().filter(|attempt| attempt.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_ticket_is_only_given_for_a_valid_token_in_the_header() {
    let server = Server::start().await;
    let without = Http::request(Method::POST, &server.http("/ws/ticket")).await;
    assert_eq!((without.status.as_u16(), without.json()["code"].clone()), (401, json!("JWT_TOKEN_MISSING")));
    assert!(without.headers["www-authenticate"].to_str().expect("ASCII").starts_with("Bearer"));
    let expired = Claims::of("alice").with("exp", 1000).sign();
    let answer = Http::send(http_request(Method::POST, &server.http("/ws/ticket")).bearer_auth(expired)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (401, json!("JWT_EXPIRED")));
}

#[tokio::test]
async fn no_part_of_a_token_or_ticket_is_ever_logged() {
    let server = Server::builder()
        .system()
        .auth("keys = [\"env:TEST_SECRET\"]\ntoken_in_query = true")
        .environment("TEST_SECRET", std::str::from_utf8(crate::harness::SECRET).expect("ASCII"))
        .start()
        .await;
    let jwt = token("alice");
    let answer = Http::send(http_request(Method::POST, &server.http("/ws/ticket")).bearer_auth(&jwt)).await;
    let ticket = answer.json()["ticket"].as_str().expect("a ticket").to_owned();
    for url in [format!("{}?token={jwt}", server.url()), format!("{}?ticket={ticket}", server.url())] {
        let mut client = Client::open(request(&url, &[])).await.expect("accepted");
        assert_eq!(client.request("ping", json!({ "data": "a secret of the user" })).await["type"], "pong");
        let connection = client.connection_id().to_owned();
        client.close().await;
        server.logged(&[&connection, "clos"]).await;
    }
    let log = server.log().join("\n");
    for (index, part) in jwt.split('.').enumerate().skip(1) {
        assert!(!log.contains(part), "part {index} of the token was logged");
    }
    assert!(!log.contains(&ticket), "the ticket was logged");
    assert!(!log.contains("a secret of the user"), "a payload was logged");
}
