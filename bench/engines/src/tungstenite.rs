//! tokio-tungstenite.

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{GREETING, LIMIT, READ_BUFFER, WRITE_BUFFER};

pub async fn serve(stream: TcpStream) -> anyhow::Result<()> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(Some(LIMIT))
        .max_frame_size(Some(LIMIT));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
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
