//! The routes as a client meets them: who may use which, what each answers, and that the document says so.

use std::{net::SocketAddr, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{
    auth::{
        operator::{NewToken, Secret},
        revocation::Revocations,
    },
    config::{check, raw::Sources},
};

mod document;
mod fake_desk;
mod streams;

use fake_desk::FakeDesk;

/// A listener with tokens of each scope.
struct Listener {
    address: SocketAddr,
    recent: Arc<Recent>,
    desk: Arc<FakeDesk>,
    draining: CancellationToken,
    tokens: Vec<(Scope, Secret)>,
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("not JSON ({fault}): {}", self.body))
    }
}

impl Listener {
    async fn start() -> Self {
        Self::with_readiness(Ok(())).await
    }

    async fn with_readiness(ready: Result<(), String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let operators = Operators::open(folder.path()).unwrap();
        let create = |scope: Scope| {
            let wanted = NewToken { name: format!("test-{}", scope.as_str()), scope, expires_in_s: None };
            (scope, operators.create(&wanted).unwrap().0)
        };
        let tokens = Scope::ALL.map(create).into();
        let (recent, desk) = (Arc::<Recent>::default(), Arc::new(FakeDesk::default()));
        let (tasks, draining) = (TaskTracker::new(), CancellationToken::new());
        let router = router(Parts {
            metrics: Metrics::new(),
            config: LiveConfig::from_checked(check::check(&Sources::default(), None).unwrap()),
            readiness: Arc::new(move || ready.clone()),
            desk: desk.clone(),
            sessions: Arc::new(fake_desk::sessions),
            revocations: RevocationDesk {
                revocations: Revocations::open(folder.path(), Metrics::new()).unwrap(),
                end_sessions: Arc::new(|| 3),
                tasks: tasks.clone(),
            },
            operators,
            recent: recent.clone(),
            tasks: tasks.clone(),
            draining: draining.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        tasks.spawn(async move {
            let _folder = folder;
            axum::serve(listener, router).await
        });
        Self { address, recent, desk, draining, tokens }
    }

    fn token(&self, scope: Scope) -> &str {
        self.tokens.iter().find(|(of, _)| *of == scope).map(|(_, token)| token.text()).unwrap()
    }

    /// With the token that may do everything.
    async fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.send(method, path, &[("Authorization", &self.bearer(Scope::Admin)), ("Content-Type", kind)], body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("Authorization", &self.bearer(Scope::Read))], b"").await
    }

    fn bearer(&self, scope: Scope) -> String {
        format!("Bearer {}", self.token(scope))
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.open(method, path, headers, body).await;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { without_chunks(body) } else { body.to_owned() };
        Answer { status: head[9..12].parse().unwrap(), head: head.to_ascii_lowercase(), body }
    }

    /// Sends a request, and leaves the answer to be read.
    async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += "Host: localhost\r\n";
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        stream
    }
}

/// The chunks of a body (RFC 9112, section 7.1), put together.
fn without_chunks(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole += &rest[..size];
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

const JSON: &str = "application/json";
const WASM: &str = "application/wasm";

#[tokio::test]
async fn what_machines_scrape_and_probe_needs_no_token() {
    let listener = Listener::start().await;
    for (path, expected) in [
        ("/metrics", "# EOF"),
        ("/healthz", r#"{"status":"ok"}"#),
        ("/readyz", r#"{"status":"ready"}"#),
        ("/openapi.json", "\"openapi\":\"3.1.0\""),
    ] {
        let answer = listener.send("GET", path, &[], b"").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(expected), "{path}: {}", answer.body);
    }
    assert!(listener.send("GET", "/metrics", &[], b"").await.head.contains(OPENMETRICS));
}

#[tokio::test]
async fn a_host_that_is_not_ready_says_why() {
    let listener = Listener::with_readiness(Err("the plugin `agent` is required and failed".to_owned())).await;
    let answer = listener.send("GET", "/readyz", &[], b"").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("`agent` is required"), "{}", answer.body);
    assert_eq!(listener.send("GET", "/healthz", &[], b"").await.status, 200);
}

#[tokio::test]
async fn without_a_token_or_with_a_wrong_one_nothing_is_told() {
    let listener = Listener::start().await;
    let none = listener.send("GET", "/plugins", &[], b"").await;
    assert_eq!((none.status, &none.json()["code"]), (401, &json!("ADMIN_TOKEN_MISSING")));
    assert!(none.head.contains("www-authenticate: bearer realm=\"switchboard\"\r\n"), "{}", none.head);
    let other = Secret::random().unwrap();
    for token in [other.text(), "eyJhbGciOi.J9.x"] {
        let wrong = listener.send("GET", "/plugins", &[("Authorization", &format!("Bearer {token}"))], b"").await;
        assert_eq!((wrong.status, &wrong.json()["code"]), (401, &json!("ADMIN_TOKEN_INVALID")));
        assert!(wrong.head.contains("error=\"invalid_token\""), "{}", wrong.head);
    }
}

#[tokio::test]
async fn too_many_wrong_tokens_are_told_to_wait_and_a_good_one_still_passes() {
    let listener = Listener::start().await;
    let wrong = async || listener.send("GET", "/plugins", &[("Authorization", "Bearer x")], b"").await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(wrong().await.status);
    }
    assert_eq!((statuses[9], statuses[10]), (401, 429));
    let answer = wrong().await;
    assert!(answer.head.contains("retry-after:") && answer.json()["code"] == "RATE_LIMITED", "{}", answer.body);
    assert_eq!(listener.get("/plugins").await.status, 200);
}

#[tokio::test]
async fn refusals_are_errors_of_the_wire() {
    let listener = Listener::start().await;
    for (method, path, host, status, code) in [
        ("GET", "/nothing", "localhost", 404, "NOT_FOUND"),
        ("GET", "/plugins/absent", "localhost", 404, "NOT_FOUND"),
        ("GET", "/plugins/%ff", "localhost", 404, "NOT_FOUND"),
        ("POST", "/config", "localhost", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/sessions?limit=many", "localhost", 400, "PAYLOAD_INVALID"),
        ("GET", "/audit?of=me", "localhost", 400, "PAYLOAD_INVALID"),
        ("GET", "/config", "evil.example", 403, "HOST_REFUSED"),
        ("GET", "/healthz", "evil.example", 403, "HOST_REFUSED"),
        ("GET", "/config", "localhost.evil.example:9090", 403, "HOST_REFUSED"),
    ] {
        let headers = [("Authorization", listener.bearer(Scope::Read)), ("Host", host.to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = listener.send(method, path, &headers, b"").await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{method} {path} {host}");
        assert!(answer.json()["recoverable"].is_boolean() && answer.json()["help"].is_string(), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_operation_knows_who_asked_for_it_and_why() {
    let listener = Listener::start().await;
    let bearer = listener.bearer(Scope::Deploy);
    let deploy = [("Authorization", bearer.as_str()), ("Content-Type", WASM)];
    let answer = listener.send("PUT", "/plugins/echo?canary=10&why=faster%20now", &deploy, b"component").await;
    assert_eq!((answer.status, &answer.json()["plugin"]), (200, &json!("echo")), "{}", answer.body);
    for (path, body) in [
        ("promote", r#"{"why":"good"}"#),
        ("rollback", r#"{"to":"abcdef12","why":"bad"}"#),
        ("pin", r#"{"session_id":"s1","digest":"abcdef12"}"#),
        ("unpin", r#"{"session_id":"s1"}"#),
        ("disable", r#"{"why":"noise"}"#),
        ("enable", r#"{"why":"silence"}"#),
    ] {
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", JSON)];
        let answer = listener.send("POST", &format!("/plugins/echo/{path}"), &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    assert_eq!(listener.send("POST", "/plugins/echo/promote", &[deploy[0]], b"").await.status, 200, "without a body");
    let expected = [
        "deploy echo 9 bytes Some(10) by test-deploy: faster now",
        "promote echo by test-deploy: good",
        "rollback echo Some(\"abcdef12\") by test-deploy: bad",
        "pin echo s1 abcdef12 by test-deploy: ",
        "unpin echo s1 by test-deploy: ",
        "enabled echo false by test-deploy: noise",
        "enabled echo true by test-deploy: silence",
        "promote echo by test-deploy: ",
    ];
    assert_eq!(*listener.desk.orders.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_token_that_may_deploy_drops_nothing_that_users_have() {
    let listener = Listener::start().await;
    for (scope, status) in [(Scope::Read, 403), (Scope::Deploy, 403), (Scope::Admin, 200)] {
        let bearer = listener.bearer(scope);
        let answer = listener.send("DELETE", "/plugins/echo/state", &[("Authorization", &bearer)], b"").await;
        assert_eq!(answer.status, status, "{scope:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said_and_nothing_is_done() {
    let listener = Listener::start().await;
    let long = format!("/plugins/echo?why={}", "x".repeat(501));
    for (method, path, kind, body, status) in [
        ("PUT", "/plugins/echo?canary=100", WASM, "x", 400),
        ("PUT", "/plugins/echo?canary=some", WASM, "x", 400),
        ("PUT", "/plugins/echo?percent=10", WASM, "x", 400),
        ("PUT", &long, WASM, "x", 400),
        ("PUT", "/plugins/echo", "text/plain", "x", 415),
        ("PUT", "/plugins/echo", "", "x", 415),
        ("POST", "/plugins/echo/promote", "text/plain", "{}", 415),
        ("POST", "/plugins/echo/promote", JSON, "{", 400),
        ("POST", "/plugins/echo/rollback", JSON, r#"{"version":"1"}"#, 400),
        ("POST", "/plugins/echo/pin", JSON, "{}", 400),
        ("POST", "/plugins/echo/pin", "", "", 415),
    ] {
        let answer = listener.ask(method, path, kind, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    assert!(listener.desk.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_component_of_a_version_comes_as_it_was_deployed() {
    let listener = Listener::start().await;
    let answer = listener.get("/plugins/echo/versions/abcdef12").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "abcdef12"));
    assert!(answer.head.contains("content-type: application/wasm"), "{}", answer.head);
}

#[tokio::test]
async fn an_operation_goes_on_when_its_client_leaves() {
    let listener = Listener::start().await;
    let bearer = listener.bearer(Scope::Deploy);
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", WASM)];
    let client = listener.open("PUT", "/plugins/slow", &headers, b"component").await;
    listener.desk.begun.notified().await;
    drop(client);
    listener.desk.go_on.notify_one();
    listener.desk.ended.notified().await;
}

#[tokio::test]
async fn tokens_are_made_shown_once_listed_and_revoked() {
    let listener = Listener::start().await;
    let made = listener.ask("POST", "/tokens", JSON, br#"{"name":"ci","scope":"deploy","expires_in_s":60}"#).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let with = |token: &str| [("Authorization".to_owned(), format!("Bearer {token}"))];
    let ask = async |path: &str| {
        let headers = with(&token);
        let headers = headers.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        listener.send("GET", path, &headers, b"").await.status
    };
    assert_eq!((ask("/plugins").await, ask("/tokens").await), (200, 403));
    let listed = listener.ask("GET", "/tokens", "", b"").await;
    assert!(listed.body.contains("\"ci\"") && !listed.body.contains(&token), "{}", listed.body);
    assert_eq!(listener.ask("POST", "/tokens", JSON, br#"{"name":"ci","scope":"read"}"#).await.status, 409);
    assert_eq!(listener.ask("POST", "/tokens", JSON, br#"{"name":"a b","scope":"read"}"#).await.status, 400);
    assert_eq!(listener.ask("DELETE", "/tokens/ci", "", b"").await.status, 200);
    assert_eq!((ask("/plugins").await, listener.ask("DELETE", "/tokens/ci", "", b"").await.status), (401, 404));
}
