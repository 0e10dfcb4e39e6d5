//! fastwebsockets. It writes each frame by itself, so that a buffered writer is put beneath it.

use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Role, WebSocket, WebSocketError};
use futures_util::FutureExt as _;
use tokio::{io::BufWriter, net::TcpStream};

use crate::{GREETING, LIMIT, WRITE_BUFFER};

pub async fn serve(stream: TcpStream) -> anyhow::Result<()> {
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_max_message_size(LIMIT);
    socket.set_writev(false);
    let (read, mut write) = socket.split(|stream| {
        let (read, write) = stream.into_split();
        (read, BufWriter::with_capacity(WRITE_BUFFER, write))
    });
    let mut read = FragmentCollectorRead::new(read);
    write.write_frame(Frame::text(GREETING.as_bytes().into())).await?;
    write.flush().await?;
    // The generator sends no control frame that would want an answer.
    let mut ignore = |_: Frame<'_>| async { Ok::<_, WebSocketError>(()) };
    loop {
        let mut next = Some(read.read_frame(&mut ignore).await?);
        while let Some(frame) = next {
            if matches!(frame.opcode, OpCode::Text | OpCode::Binary) {
                write.write_frame(Frame::new(true, frame.opcode, None, frame.payload)).await?;
            }
            next = read.read_frame(&mut ignore).now_or_never().transpose()?;
        }
        write.flush().await?;
    }
}
