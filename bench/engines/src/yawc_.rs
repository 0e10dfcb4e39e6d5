//! yawc.

use std::{future::poll_fn, task::Poll};

use futures_util::SinkExt as _;
use tokio::net::TcpStream;
use yawc::{Frame, OpCode, Options, Role, WebSocket};

use crate::{GREETING, LIMIT, READ_BUFFER, WRITE_BUFFER};

pub async fn serve(stream: TcpStream) -> anyhow::Result<()> {
    let options = Options::default()
        .with_limits(LIMIT, LIMIT)
        .with_read_buffer_capacity(READ_BUFFER)
        .with_write_buffer_capacity(WRITE_BUFFER)
        .with_utf8();
    let mut socket = WebSocket::from_stream(stream, Role::Server, options)?;
    socket.send(Frame::text(GREETING)).await?;
    loop {
        let mut next = Some(socket.next_frame().await?);
        while let Some(frame) = next {
            if matches!(frame.opcode(), OpCode::Text | OpCode::Binary) {
                let (opcode, _, payload) = frame.into_parts();
                let echo = if opcode == OpCode::Text { Frame::text(payload) } else { Frame::binary(payload) };
                socket.feed(echo).await?;
            }
            next = match poll_fn(|context| Poll::Ready(socket.poll_next_frame(context))).await {
                Poll::Ready(frame) => Some(frame?),
                Poll::Pending => None,
            };
        }
        socket.flush().await?;
    }
}
