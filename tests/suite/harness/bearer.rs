//! A proxy on the loopback that gives every HTTP request a token, for programs that cannot.
//!
//! One request for each connection: it says so to both sides, so that the head of a request is all that it has to
//! read. Everything else passes as it comes, `Host` and `Origin` among it, and an answer streams through it.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// More than any head that the programs of the tests send.
const MAX_HEAD: usize = 32 * 1024;

/// A running proxy, which ends when it is dropped.
pub struct Bearer {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Bearer {
    /// Listens on a free port, and forwards to `target`, `127.0.0.1:PORT`, with this token.
    pub async fn start(target: &str, token: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let target: SocketAddr = target.parse().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, target, token.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, _tasks: tasks }
    }

    /// `http://localhost:PORT` and a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.address.port())
    }
}

/// Whoever ends first ends the other: there is nothing more to tell them.
async fn forward(mut client: TcpStream, target: SocketAddr, token: String) {
    let Some((head, rest)) = head(&mut client).await else { return };
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let head = with_token(&head, &token);
    if server.write_all(head.as_bytes()).await.is_ok() && server.write_all(&rest).await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

/// The head of the first request, without its last line break, and what came after it.
async fn head(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            read.truncate(end + 2);
            return Some((String::from_utf8(read).ok()?, rest));
        }
        if read.len() > MAX_HEAD || client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

fn with_token(head: &str, token: &str) -> String {
    let named = |line: &&str, name: &str| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
    let lines = head.split_inclusive("\r\n").filter(|line| !named(line, "connection"));
    let head: String = lines.collect();
    format!("{head}Connection: close\r\nAuthorization: Bearer {token}\r\n\r\n")
}

#[test]
fn a_head_gets_the_token_and_loses_only_its_say_on_the_connection() {
    let head = "POST /mcp HTTP/1.1\r\nHost: evil.example\r\nconnection: keep-alive\r\nOrigin: http://evil.example\r\n";
    let expected = "POST /mcp HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nConnection: close\r\n\
                    Authorization: Bearer abc\r\n\r\n";
    assert_eq!(with_token(head, "abc"), expected);
}
