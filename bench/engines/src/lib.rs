//! An echo server for each WebSocket engine that is compared. All else is the same: the runtime, the listener, one task for
//! each socket, bounds of 1 MiB, buffers of the same size where they can be chosen, and a flush when nothing more has come in.
//!
//! It is started as the generator starts a host: it says where it listens, is ready at once, and greets whoever connects.

use std::io::Write as _;

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub mod fast;
pub mod own;
pub mod tokio_websockets_;
pub mod tungstenite;
pub mod yawc_;

/// Of a message and of a frame.
pub const LIMIT: usize = 1 << 20;

/// What the host had configured for its engine.
pub const READ_BUFFER: usize = 4 * 1024;
pub const WRITE_BUFFER: usize = 8 * 1024;

/// What the generator takes for the beginning of a session.
pub const GREETING: &str = r#"{"type":"connection_established","payload":{}}"#;

/// The answer to the key of RFC 6455's example, which the generator always sends.
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Serves until it is killed.
pub fn run<F>(serve: fn(TcpStream) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port is free")?;
        let address = listener.local_addr()?;
        println!(r#"{{"url":"ws://{address}/ws","admin_url":"http://{address}"}}"#);
        std::io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                if let Ok(Some(stream)) = shake_hands(stream).await {
                    // How it ended is the generator's business, which counts what it did not get.
                    let _ = serve(stream).await;
                }
            });
        }
    })
}

/// `None` for whoever asks whether the server is ready.
async fn shake_hands(mut stream: TcpStream) -> anyhow::Result<Option<TcpStream>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        anyhow::ensure!(stream.read_buf(&mut head).await? > 0, "the client left");
    }
    if head.starts_with(b"GET /readyz") {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
        return Ok(None);
    }
    stream.write_all(SWITCHED).await?;
    Ok(Some(stream))
}
