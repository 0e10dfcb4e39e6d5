//! Who may connect at all: origins, the limits in all and per user, the rate by address.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::harness::{Client, Http, Refusal, Server, http_request, request, token, within_patience};

async fn from_origin(server: &Server, origin: &str) -> Result<Client, Refusal> {
    let bearer = format!("Bearer {}", token("alice"));
    Client::open(request(server.url(), &[("authorization", &bearer), ("origin", origin)])).await
}

#[tokio::test]
async fn origins_are_checked_by_pattern_before_the_token() {
    let server = Server::builder()
        .config("[origins]\nenvironment = \"production\"\n[origins.production]\nallow = [\"https://app.example.com\", \"https://*.preview.example.com\", \"http://localhost:*\"]")
        .start()
        .await;
    for origin in [
        "https://app.example.com",
        "https://pr-7.preview.example.com",
        "http://localhost:3000",
        "HTTPS://APP.example.com",
    ] {
        assert!(from_origin(&server, origin).await.is_ok(), "{origin}");
    }
    for origin in [
        "https://evil.com",
        "http://app.example.com",
        "https://app.example.com.evil.com",
        "https://app.example.com:8443",
        "https://preview.example.com",
        "https://evil.com/.preview.example.com",
        "http://localhost.evil.com:3000",
        "null",
        "",
    ] {
        let refusal = from_origin(&server, origin).await.err().unwrap_or_else(|| panic!("{origin:?} got in"));
        assert_eq!((refusal.status, refusal.code()), (403, "ORIGIN_REFUSED"), "{origin:?}");
    }
    // The origin comes first, so that a page of a stranger learns nothing about tokens.
    let refusal = Client::open(request(server.url(), &[("origin", "https://evil.com")])).await.err().expect("refused");
    assert_eq!(refusal.code(), "ORIGIN_REFUSED");
}

#[tokio::test]
async fn cors_follows_the_same_list() {
    let server = Server::start().await;
    let get = |origin: &'static str| http_request(Method::GET, &server.http("/ws/config")).header("origin", origin);
    let allowed = Http::send(get("http://localhost:5173")).await;
    assert_eq!(allowed.headers["access-control-allow-origin"], "http://localhost:5173");
    let refused = Http::send(get("https://evil.com")).await;
    assert!(!refused.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn beyond_the_limit_of_connections_in_all_a_newcomer_is_refused_until_one_leaves() {
    let server = Server::builder().config("[limits]\nmax_connections = 2").start().await;
    let first = Client::connect(&server, "alice").await;
    let _second = Client::connect(&server, "bob").await;
    let refusal = Client::with_token(&server, &token("carol")).await.err().expect("refused");
    assert_eq!((refusal.status, refusal.code()), (503, "CONNECTION_LIMIT_REACHED"));
    assert!(refusal.response.header("retry-after").is_some());
    first.close().await;
    crate::harness::eventually("the place to be free", async || {
        Client::with_token(&server, &token("carol")).await.ok()
    })
    .await;
}

#[tokio::test]
async fn the_oldest_connection_of_a_user_gives_way() {
    let server = Server::builder()
        .system()
        .config("[limits]\nmax_connections_per_user = 2\non_user_limit = \"evict_oldest\"")
        .start()
        .await;
    let mut oldest = Client::connect(&server, "alice").await;
    let mut second = Client::connect(&server, "alice").await;
    let mut other = Client::connect(&server, "bob").await;
    let mut newest = Client::connect(&server, "alice").await;
    assert_eq!(oldest.closed().await, Some(4003));
    for client in [&mut second, &mut other, &mut newest] {
        assert_eq!(client.request("ping", json!({})).await["type"], "pong");
    }
}

#[tokio::test]
async fn or_the_new_one_is_refused_by_config() {
    let server =
        Server::builder().config("[limits]\nmax_connections_per_user = 1\non_user_limit = \"refuse\"").start().await;
    let _first = Client::connect(&server, "alice").await;
    let refusal = Client::with_token(&server, &token("alice")).await.err().expect("refused");
    assert_eq!((refusal.status, refusal.code()), (429, "USER_CONNECTION_LIMIT_REACHED"));
    let _other = Client::connect(&server, "bob").await;
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_when_to_come_back() {
    let server = Server::builder().config("[limits]\nhandshakes_per_second = 1\nhandshake_burst = 3").start().await;
    let mut refusals = Vec::new();
    for _ in 0..10 {
        match Client::with_token(&server, &token("alice")).await {
            Ok(client) => client.close().await,
            Err(refusal) => refusals.push(refusal),
        }
    }
    let refusal = refusals.first().expect("ten handshakes at once are more than three and one a second");
    assert_eq!((refusal.status, refusal.code()), (429, "HANDSHAKE_RATE_LIMITED"));
    let wait = refusal.response.body["retry_after_ms"].as_u64().expect("a wait");
    assert!((1..=1500).contains(&wait), "{wait}");
}

/// Connections in the HTTP phase at one time.
const PLACES: usize = 1024;

/// After which the server ends a connection that sent no request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// A connection from another address of this machine on which nothing was said so far.
async fn silent(server: &Server, from: [u8; 4]) -> TcpStream {
    let address: SocketAddr = server.http("").trim_start_matches("http://").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((from, 0))).expect("all of 127.0.0.0/8 is this machine");
    within_patience!("a connection", socket.connect(address)).expect("the server listens")
}

/// The first line of the answer to a request; `None` if the connection was closed before.
async fn answer_to_request(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await.ok()?;
    let mut answer = [0; 1024];
    let length = within_patience!("an answer", stream.read(&mut answer)).ok()?;
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    text.lines().next().map(str::to_owned)
}

#[tokio::test]
async fn an_address_that_opens_connections_and_says_nothing_delays_nobody_else() {
    let server = Server::start().await;
    let started = Instant::now();
    let mut hostile = Vec::new();
    for _ in 0..PLACES + 100 {
        hostile.push(silent(&server, [127, 0, 0, 2]).await);
    }
    let filled = Instant::now();
    let mut client = Client::connect(&server, "alice").await;
    assert_eq!(client.request("ping", json!({})).await["type"], "pong");
    let (waited, all) = (filled.elapsed(), started.elapsed());
    assert!(all < HEAD_LIMIT, "the connections were there all the time, for {all:?}");
    assert!(waited < HEAD_LIMIT / 2, "{waited:?}");
    assert!(server.metric("switchboard_http_evictions_total").await >= 100.0);
    server.logged(&["all places for requests are taken", "127.0.0.2"]).await;
    // The oldest went, and those that came last are as good as any.
    assert_eq!(answer_to_request(&mut hostile[0]).await, None);
    assert_eq!(answer_to_request(&mut hostile[PLACES + 99]).await.as_deref(), Some("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_whole_office_behind_one_address_may_have_the_places_that_nobody_needs() {
    let server = Server::start().await;
    let mut office = Vec::new();
    for _ in 0..PLACES - 100 {
        office.push(silent(&server, [127, 0, 0, 3]).await);
    }
    assert_eq!(Http::get(&server.http("/healthz")).await.status, 200);
    assert_eq!(answer_to_request(&mut office[0]).await.as_deref(), Some("HTTP/1.1 200 OK"));
    assert_eq!(server.metric("switchboard_http_evictions_total").await, 0.0);
}

#[tokio::test]
async fn more_requests_at_once_from_one_address_than_there_are_places_are_answered() {
    let server = Server::start().await;
    let request = async || {
        let mut stream = silent(&server, [127, 0, 0, 4]).await;
        answer_to_request(&mut stream).await.is_some()
    };
    let answers = futures_util::future::join_all((0..PLACES + 200).map(|_| request())).await;
    let silenced = answers.into_iter().filter(|answered| !answered).count();
    // Only a machine that is too busy to send a request soon after it connected makes it more than none.
    let evicted = server.metric("switchboard_http_evictions_total").await;
    assert!(silenced as f64 <= evicted, "{silenced} of them, and {evicted} had to make room");
}
