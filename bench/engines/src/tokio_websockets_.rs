//! tokio-websockets.

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

use crate::{GREETING, LIMIT, WRITE_BUFFER};

pub async fn serve(stream: TcpStream) -> anyhow::Result<()> {
    let mut socket = ServerBuilder::new()
        .config(Config::default().flush_threshold(WRITE_BUFFER))
        .limits(Limits::default().max_payload_len(Some(LIMIT)))
        .serve(stream);
    socket.send(Message::text(GREETING)).await?;
    while let Some(message) = socket.next().await {
        let mut next = Some(Some(message));
        while let Some(Some(message)) = next {
            let message = message?;
            if message.is_text() || message.is_binary() {
                socket.feed(message).await?;
            }
            next = socket.next().now_or_never();
        }
        socket.flush().await?;
    }
    Ok(())
}
