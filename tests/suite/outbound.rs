//! Requests of plugins to other servers: what was granted arrives, with the operator's secret; everything else
//! ends in the host, in time and with a reason.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
    routing::{any, get},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{Client, Http, Server, ServerBuilder, eventually, guest, run_switchboard};

const SECRET: &str = "k7-of-the-operator";

/// Another party's server, on this machine.
struct Upstream {
    port: u16,
    seen: Arc<Seen>,
}

/// What it has seen, and what it waits for.
struct Seen {
    requests: Mutex<Vec<HashMap<String, String>>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
    let_go: Semaphore,
}

impl Upstream {
    async fn start() -> Self {
        let seen = Arc::new(Seen {
            requests: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            let_go: Semaphore::new(0),
        });
        let router = Router::new()
            .route("/hello", any(hello))
            .route("/elsewhere", get(async || (axum::http::StatusCode::FOUND, [("location", "/hello")], "")))
            .route("/endless", get(endless))
            .route("/slow", get(slow))
            .with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    fn requests(&self) -> Vec<HashMap<String, String>> {
        self.seen.requests.lock().expect("no test panicked here").clone()
    }

    /// A server whose plugin may send requests here.
    fn granted(&self, more: &str) -> ServerBuilder {
        fetcher(&format!(
            "[plugins.fetcher.grants]\nhosts = [\"http://localhost:{}\"]\nnetworks = [\"127.0.0.0/8\", \"::1\"]\n{more}",
            self.port
        ))
    }
}

async fn hello(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> &'static str {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut request: HashMap<_, _> =
        headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    request.insert("(body)".to_owned(), text(&body));
    seen.requests.lock().expect("no test panicked here").push(request);
    "hello"
}

async fn endless() -> Body {
    Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 4096]))))
}

/// Answers when it is let.
async fn slow(State(seen): State<Arc<Seen>>) -> &'static str {
    seen.most.fetch_max(seen.under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    let _turn = seen.let_go.acquire().await;
    seen.under_way.fetch_sub(1, Ordering::SeqCst);
    "late"
}

fn fetcher(config: &str) -> ServerBuilder {
    Server::builder().system().plugin("fetcher", guest("fetcher")).config(config)
}

/// What came of the first request.
async fn fetch(client: &mut Client, payload: Value) -> Value {
    let answer = client.request("fetch", payload).await;
    assert_eq!(answer["type"], "fetch_result", "{answer}");
    answer["payload"]["results"][0].clone()
}

#[tokio::test]
async fn a_granted_host_gets_the_operators_secret_which_is_nowhere_else_to_be_seen() {
    let upstream = Upstream::start().await;
    let secret = format!(
        "[plugins.fetcher.secrets.upstream]\nvalue = \"env:UPSTREAM_KEY\"\nhost = \"http://localhost:{}\"\n",
        upstream.port
    );
    let server = upstream.granted(&secret).environment("UPSTREAM_KEY", SECRET).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let request = json!({
        "url": upstream.url("/hello?q=of-alice"), "method": "POST", "body": "{}",
        "headers": [["x-own", "1"], ["Authorization", "Bearer of-the-plugin"]],
    });
    let answer = fetch(&mut client, request).await;
    assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!("hello")), "{answer}");
    let request = upstream.requests().remove(0);
    assert_eq!(request["authorization"], format!("Bearer {SECRET}"), "the host's own wins");
    assert_eq!((request["x-own"].as_str(), request["(body)"].as_str()), ("1", "{}"));

    server.logged(&["an outbound request was answered", "http://localhost"]).await;
    let series = "switchboard_plugin_outbound_requests_total{plugin=\"fetcher\",outcome=\"answered\"}";
    assert_eq!(server.metric(series).await, 1.0);
    assert_eq!(
        server.metric("switchboard_plugin_outbound_request_duration_seconds_count{plugin=\"fetcher\"}").await,
        1.0
    );
    let config = server.ask_admin("/config").await.text;
    assert!(config.contains("env:UPSTREAM_KEY"), "the reference is shown");
    let file = server.config_file();
    let shown = run_switchboard(&["config", "show", "--config", file.to_str().expect("UTF-8")]);
    let checked = run_switchboard(&["config", "check", "--config", file.to_str().expect("UTF-8")]);
    assert!(
        checked.stderr.contains("plugins.fetcher.secrets.upstream: the environment variable UPSTREAM_KEY is not set")
    );
    let pages = [Http::get(&server.admin("/plugins")).await.text, Http::get(&server.admin("/metrics")).await.text];
    let log = server.log().join("\n");
    for text in [&config, &shown.stdout, &checked.stderr, &pages[0], &pages[1], &log, &answer.to_string()] {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(!log.contains("of-alice") && !log.contains("of-the-plugin"), "a query or a header was logged");
}

#[tokio::test]
async fn what_is_not_granted_is_refused_by_name_and_the_refusal_is_audited() {
    let upstream = Upstream::start().await;
    let server = upstream.granted("").start().await;
    let mut client = Client::connect(&server, "alice").await;
    for (url, host) in [
        ("https://evil.example/?q=of-alice".to_owned(), "evil.example"),
        (format!("http://localhost:{}@evil.example/", upstream.port), "a user or password"),
        (format!("http://127.0.0.1:{}/hello", upstream.port), "127.0.0.1"),
        (format!("https://localhost:{}/hello", upstream.port), "localhost"),
        (upstream.url("/hello").replace("localhost", "localhost.evil.example"), "localhost.evil.example"),
    ] {
        let refused = fetch(&mut client, json!({ "url": url })).await;
        let code = if host.contains(' ') { "HTTP_REQUEST_INVALID" } else { "HTTP_NOT_GRANTED" };
        assert_eq!(refused["error"], code, "{url}: {refused}");
        assert!(refused["text"].as_str().expect("a text").contains(host), "{refused}");
    }
    let line = server.logged(&["switchboard::audit", "WARN", "an outbound request was refused", "evil.example"]).await;
    assert!(line.contains(client.connection_id()), "{line}");
    assert!(!server.log().join("\n").contains("of-alice"), "a query was logged");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_name_of_this_machine_is_refused_until_the_network_is_granted() {
    let upstream = Upstream::start().await;
    let config = format!("[plugins.fetcher.grants]\nhosts = [\"http://localhost:{}\"]\n", upstream.port);
    let server = fetcher(&config).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let refused = fetch(&mut client, json!({ "url": upstream.url("/hello") })).await;
    assert_eq!(refused["error"], "HTTP_NOT_GRANTED", "{refused}");
    let text = refused["text"].as_str().expect("a text");
    assert!(text.contains("loopback") && text.contains("`networks`") && !text.contains("127.0.0.1"), "{refused}");
    assert!(upstream.requests().is_empty());
    server.edit_config(|text| format!("{text}networks = [\"127.0.0.0/8\"]\n"));
    eventually("the grant to be in force", async || {
        (fetch(&mut client, json!({ "url": upstream.url("/hello") })).await["status"] == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn redirects_endless_answers_and_too_many_requests_end_at_their_bounds() {
    let upstream = Upstream::start().await;
    let limits = "[plugins.fetcher.limits]\nmax_outbound_requests = 3\nmax_outbound_response_bytes = \"64KiB\"\n";
    let server = upstream.granted(limits).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let redirect = fetch(&mut client, json!({ "url": upstream.url("/elsewhere") })).await;
    assert_eq!(redirect["status"], 302, "{redirect}");
    assert!(upstream.requests().is_empty(), "the redirect was followed");

    let endless = fetch(&mut client, json!({ "url": upstream.url("/endless") })).await;
    assert_eq!(endless["error"], "HTTP_TOO_LARGE", "{endless}");

    let answer = client.request("fetch", json!({ "url": upstream.url("/hello"), "times": 5 })).await;
    let results = answer["payload"]["results"].as_array().expect("results");
    assert!(results[..3].iter().all(|result| result["status"] == 200), "{answer}");
    assert!(results[3..].iter().all(|result| result["error"] == "LIMIT_EXCEEDED"), "{answer}");
    assert!(answer.to_string().contains("max_outbound_requests"), "{answer}");
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_no_more_than_the_time_of_the_call() {
    let upstream = Upstream::start().await;
    let server = upstream.granted("[plugins.fetcher.limits]\ndeadline = \"2s\"\n").start().await;
    let mut client = Client::connect(&server, "alice").await;
    let late = fetch(&mut client, json!({ "url": upstream.url("/slow"), "timeout_ms": 50 })).await;
    assert_eq!(late["error"], "HTTP_TIMEOUT", "{late}");
    // A tenth of the time is kept for the plugin. A machine that stands still just then takes it away, but not each time.
    let mut answers = Vec::new();
    let says_so = |answer: &Value| answer["payload"]["results"][0]["error"] == "HTTP_TIMEOUT";
    while !answers.iter().any(says_so) {
        assert!(answers.len() < 5, "the plugin has time left to say so: {answers:?}");
        answers.push(client.request("fetch", json!({ "url": upstream.url("/slow") })).await);
    }
    assert_eq!(client.request("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn requests_at_one_time_are_bounded_for_all_calls_together() {
    let upstream = Upstream::start().await;
    let limits =
        "[plugins.fetcher.limits]\nmax_concurrent_outbound_requests = 2\nmax_wait = \"30s\"\ndeadline = \"60s\"\n";
    let server = upstream.granted(limits).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(client.send("fetch", json!({ "url": upstream.url("/slow") })).await);
    }
    let seen = &upstream.seen;
    eventually("two requests", async || (seen.under_way.load(Ordering::SeqCst) == 2).then_some(())).await;
    assert_eq!(client.request("ping", json!({})).await["type"], "pong", "who waits holds nobody up");
    seen.let_go.add_permits(6);
    for id in ids {
        assert_eq!(client.answer_to(&id).await["payload"]["results"][0]["body"], "late");
    }
    assert_eq!(seen.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn without_a_host_or_its_secret_the_plugin_is_refused_at_load() {
    let server = fetcher("").start().await;
    let failed = |stage: &'static str| move |status: &Value| status["last_error"]["stage"] == stage;
    let status = server.plugin_status_when("fetcher", failed("grants")).await;
    let reason = status["last_error"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("`http`") && reason.contains("hosts = ["), "{reason}");

    let secret = "[plugins.fetcher.grants]\nhosts = [\"http://a.example\"]\n\
                  [plugins.fetcher.secrets.key]\nvalue = \"file:not-yet\"\nhost = \"http://a.example\"\n";
    server.edit_config(|text| format!("{text}{secret}"));
    let status = server.plugin_status_when("fetcher", failed("secrets")).await;
    let reason = status["last_error"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("[plugins.fetcher.secrets.key]") && reason.contains("not-yet"), "{reason}");
    let file = server.config_file().with_file_name("not-yet");
    std::fs::write(file, SECRET).expect("written");
    server.edit_config(|text| text.replace("a.example", "b.example"));
    server.plugin_status_when("fetcher", |status| status["state"] == "serving").await;
}

#[tokio::test]
async fn requests_in_the_way_of_wasi_take_the_same_way() {
    let upstream = Upstream::start().await;
    let config = format!(
        "[plugins.wasi-fetcher.grants]\nhosts = [\"http://localhost:{0}\"]\nnetworks = [\"127.0.0.0/8\"]\n\
         [plugins.wasi-fetcher.limits]\nmax_outbound_request_bytes = 5000\n\
         [plugins.wasi-fetcher.secrets.key]\nvalue = \"env:UPSTREAM_KEY\"\nhost = \"http://localhost:{0}\"\n",
        upstream.port
    );
    let builder = Server::builder().plugin("wasi-fetcher", guest("wasi-fetcher")).config(&config);
    let server = builder.environment("UPSTREAM_KEY", SECRET).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let mut ask = async |authority: &str, path: &str, body: &str| {
        let payload = json!({ "authority": authority, "path": path, "body": body });
        let answer = client.request("wasi_fetch", payload).await;
        assert_eq!(answer["type"], "wasi_fetch_result", "{answer}");
        answer["payload"].clone()
    };
    let own = format!("localhost:{}", upstream.port);
    let body = "x".repeat(4_500);
    assert_eq!(ask(&own, "/hello", &body).await, json!({ "status": 200, "body": "hello" }));
    let request = upstream.requests().remove(0);
    assert_eq!((request["authorization"].as_str(), &request["(body)"]), (&*format!("Bearer {SECRET}"), &body));
    for (authority, error) in [("evil.example", "HttpRequestDenied"), ("127.0.0.1", "HttpRequestDenied")] {
        let refused = ask(authority, "/hello", "").await;
        assert!(refused["error"].as_str().is_some_and(|text| text.contains(error)), "{refused}");
    }
    let large = ask(&own, "/hello", &"x".repeat(20_000)).await;
    assert!(large["error"].is_string(), "{large}");
    assert_eq!(upstream.requests().len(), 1);
    server.logged(&["switchboard::audit", "evil.example", "wasi-fetcher"]).await;
}
