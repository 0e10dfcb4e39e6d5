//! Requests to a server on this machine, under names that mean what a test wants them to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Mutex,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::Notify,
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::{Config, check, raw::Sources};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers every request with the same bytes, once it is let.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Notify>,
    go: Arc<Semaphore>,
}

impl Server {
    async fn start(answer: &str, go: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            arrived: Arc::default(),
            go: Arc::new(Semaphore::new(go)),
        };
        let (requests, arrived, go) = (server.requests.clone(), server.arrived.clone(), server.go.clone());
        let answer = answer.to_owned();
        let tasks = TaskTracker::new();
        tasks.clone().spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (requests, arrived, go) = (requests.clone(), arrived.clone(), go.clone());
                let answer = answer.clone();
                tasks.spawn(async move {
                    let mut seen = Vec::new();
                    while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
                        let mut part = [0; 4096];
                        match socket.read(&mut part).await {
                            Ok(0) | Err(_) => return,
                            Ok(length) => seen.extend_from_slice(&part[..length]),
                        }
                    }
                    requests.lock().unwrap().push(String::from_utf8_lossy(&seen).to_ascii_lowercase());
                    arrived.notify_one();
                    let turn = go.acquire().await;
                    let _ = socket.write_all(answer.as_bytes()).await;
                    drop(turn);
                });
            }
        });
        server
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\nX-A: 2\r\nconnection: close\r\n\r\nhello";

/// `*.here` is this machine, `*.cloud` where clouds keep credentials, and nothing else is anywhere.
fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    match name.rsplit('.').next() {
        Some("here") => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
        Some("cloud") => Ok(vec![IpAddr::from([169, 254, 169, 254])]),
        _ => Err(io::Error::other("no such name")),
    }
}

fn config(text: &str) -> PluginConfig {
    let config: Config = check::check(&Sources::default(), Some(text.as_bytes())).unwrap().config;
    config.plugin("p").clone()
}

fn egress(text: &str) -> Arc<Egress> {
    Egress::new("p".into(), &config(text), Metrics::new(), lookup).unwrap()
}

/// Everything on this machine under `*.here`, at the port of the server.
fn granted(server: &Server, more: &str) -> Arc<Egress> {
    let port = server.address.port();
    egress(&format!(
        "[plugins.p.grants]\nhosts = [\"http://*.here:{port}\", \"http://*.cloud:{port}\"]\nnetworks = [\"127.0.0.0/8\"]\n{more}"
    ))
}

fn get(url: String) -> Outgoing {
    Outgoing { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new(), timeout: None }
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

#[tokio::test]
async fn an_answer_comes_back_whole_with_every_header() {
    let server = Server::start(ANSWER, 1).await;
    let egress = granted(&server, "");
    let answer = egress.send(get(server.url("a.here", "/v1?q=1")), soon()).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hello"[..]));
    assert_eq!(answer.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    let request = server.requests().remove(0);
    assert!(request.starts_with("get /v1?q=1 http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: a.here:{}\r\n", server.address.port())), "{request}");
    assert!(!request.contains("accept-encoding") && !request.contains("referer"), "{request}");
    let metrics = egress.metrics.render();
    assert!(metrics.contains("plugin_outbound_requests_total{plugin=\"p\",outcome=\"answered\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_name_that_resolves_to_what_is_not_granted_is_refused_and_its_address_is_not_told() {
    let server = Server::start(ANSWER, 1).await;
    let told = granted(&server, "").send(get(server.url("meta.cloud", "/")), soon()).await.unwrap_err();
    assert_eq!(told.outcome(), "not_granted");
    assert!(told.to_string().contains("its address is link-local") && !told.to_string().contains("169.254"), "{told}");
    let port = server.address.port();
    let closed = egress(&format!("[plugins.p.grants]\nhosts = [\"http://a.here:{port}\"]"));
    let told = closed.send(get(server.url("a.here", "/")), soon()).await.unwrap_err();
    assert!(told.to_string().contains("its address is loopback"), "{told}");
    let told = closed.send(get(server.url("nowhere.here", "/")), soon()).await.unwrap_err();
    assert!(matches!(told, EgressFault::HostNotGranted(_)), "{told}");
    assert_eq!(server.requests(), [""; 0], "nothing was sent");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_a_dead_end_is_unreachable() {
    let elsewhere = Server::start(ANSWER, 1).await;
    let location = elsewhere.url("b.here", "/");
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let server = Server::start(&redirect, 1).await;
    let answer = granted(&server, "").send(get(server.url("a.here", "/")), soon()).await.unwrap();
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (302, location.as_str()));
    assert_eq!(elsewhere.requests(), [""; 0]);

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let dead = egress(&format!(
        "[plugins.p.grants]\nhosts = [\"http://a.here:{free}\", \"http://a.gone\"]\nnetworks = [\"127.0.0.0/8\"]"
    ));
    for url in [format!("http://a.here:{free}/s3cret"), "http://a.gone/s3cret".to_owned()] {
        let told = dead.send(get(url), soon()).await.unwrap_err();
        assert_eq!(told.outcome(), "unreachable", "{told}");
        assert!(!told.to_string().contains("s3cret") && !told.to_string().contains("127.0.0.1"), "{told}");
    }
}

#[tokio::test]
async fn a_secret_goes_to_its_own_host_alone_and_replaces_what_the_plugin_has_set() {
    let server = Server::start(ANSWER, 4).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "s3cret\n").unwrap();
    let secrets = format!(
        "[plugins.p.secrets.a]\nvalue = \"file:{0}\"\nhost = \"http://a.here:{1}\"\n\
         [plugins.p.secrets.b]\nvalue = \"file:{0}\"\nhost = \"http://a.here:{1}\"\nheader = \"x-api-key\"\n",
        file.display(),
        server.address.port()
    );
    let egress = granted(&server, &secrets);
    for host in ["a.here", "b.here"] {
        let own = vec![("Authorization".to_owned(), b"mine".to_vec()), ("authorization".to_owned(), b"again".to_vec())];
        let answer = egress.send(Outgoing { headers: own, ..get(server.url(host, "/")) }, soon()).await.unwrap();
        assert!(!format!("{answer:?}").contains("s3cret"));
    }
    let [with, without] = <[String; 2]>::try_from(server.requests()).unwrap();
    assert!(with.contains("authorization: bearer s3cret\r\n") && with.contains("x-api-key: s3cret\r\n"), "{with}");
    assert!(!with.contains("mine") && !with.contains("again"), "{with}");
    assert!(without.contains("authorization: mine\r\n") && !without.contains("s3cret"), "{without}");
}

#[test]
fn every_secret_that_cannot_be_read_is_named() {
    let text = "[plugins.p.grants]\nhosts = [\"a.example\", \"b.example\"]\n\
                [plugins.p.secrets.one]\nvalue = \"env:NO_SUCH_VARIABLE_IS_SET\"\nhost = \"a.example\"\n\
                [plugins.p.secrets.two]\nvalue = \"file:/no/such/file\"\nhost = \"b.example\"\n";
    let failure = Egress::new("p".into(), &config(text), Metrics::new(), lookup).err().unwrap();
    assert_eq!(failure.stage, Stage::Secrets);
    for part in
        ["[plugins.p.secrets.one]: the environment variable NO_SUCH", "[plugins.p.secrets.two]: the file /no/such/file"]
    {
        assert!(failure.reason.contains(part), "{}", failure.reason);
    }
}

#[tokio::test]
async fn answers_and_bodies_are_bounded_and_an_endless_one_is_cut_off() {
    let endless =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", "3e8\r\n".to_owned() + &"x".repeat(1000));
    let server = Server::start(&endless, 1).await;
    let limits = "[plugins.p.limits]\nmax_outbound_response_bytes = 500\nmax_outbound_request_bytes = 10\n";
    let told = granted(&server, limits).send(get(server.url("a.here", "/")), soon()).await.unwrap_err();
    assert!(matches!(&told, EgressFault::TooLarge(text) if text.contains("max_outbound_response_bytes")), "{told}");

    let large = Outgoing { body: vec![b'x'; 11], ..get(server.url("a.here", "/")) };
    let told = granted(&server, limits).send(large, soon()).await.unwrap_err();
    assert!(matches!(&told, EgressFault::TooLarge(text) if text.contains("max_outbound_request_bytes")), "{told}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_request_ends_with_its_own_time_or_a_little_before_its_call() {
    let server = Server::start(ANSWER, 0).await;
    let egress = granted(&server, "");
    let timeout = Some(Duration::from_millis(50));
    let told = egress.send(Outgoing { timeout, ..get(server.url("a.here", "/")) }, soon()).await.unwrap_err();
    assert_eq!(told, EgressFault::TimedOut);

    let now = Instant::now();
    let after = |millis| now + Duration::from_millis(millis);
    assert_eq!(give_up_at(now, after(1_000), None), after(900));
    assert_eq!(give_up_at(now, after(10_000), None), after(9_750));
    assert_eq!(give_up_at(now, after(1_000), Some(Duration::from_millis(10))), after(10));
    assert_eq!(give_up_at(now, after(1_000), Some(Duration::MAX)), after(900));
    assert_eq!(give_up_at(now, now, None), now);
}

#[tokio::test]
async fn requests_of_one_plugin_wait_for_each_other_and_a_dropped_one_makes_room() {
    let server = Server::start(ANSWER, 0).await;
    let egress = granted(&server, "[plugins.p.limits]\nmax_concurrent_outbound_requests = 2\nmax_wait = \"20ms\"\n");
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (egress, request) = (egress.clone(), get(server.url("a.here", "/")));
        waiting.spawn(async move { egress.send(request, soon()).await });
        server.arrived.notified().await;
    }
    let told = egress.send(get(server.url("a.here", "/")), soon()).await.unwrap_err();
    assert!(
        matches!(&told, EgressFault::LimitExceeded(text) if text.contains("max_concurrent_outbound_requests")),
        "{told}"
    );
    waiting.shutdown().await;
    server.go.add_permits(10);
    assert_eq!(egress.send(get(server.url("a.here", "/")), soon()).await.unwrap().status, 200);
    let metrics = egress.metrics.render();
    assert!(metrics.contains("plugin_outbound_requests_total{plugin=\"p\",outcome=\"abandoned\"} 2"), "{metrics}");
}

#[tokio::test]
async fn a_plugin_without_hosts_has_no_way_out() {
    let metrics = Metrics::new();
    assert!(Egress::prepare(&"p".into(), &config(""), &metrics).await.unwrap().is_none());
    let hosts = "[plugins.p.grants]\nhosts = [\"http://a.example\"]";
    assert!(Egress::prepare(&"p".into(), &config(hosts), &metrics).await.unwrap().is_some());
}
