//! The host's own, from its sources.

use bytes::Bytes;
use tokio::net::TcpStream;

#[allow(dead_code, unused_imports, reason = "the host uses more of it")]
#[path = "../../../host/src/transport/wire"]
mod wire {
    #[path = "buffer.rs"]
    mod buffer;
    #[path = "close.rs"]
    mod close;
    #[path = "decoder.rs"]
    mod decoder;
    #[path = "deflate.rs"]
    mod deflate;
    #[path = "frame.rs"]
    mod frame;
    #[path = "mask.rs"]
    mod mask;
    #[path = "socket.rs"]
    mod socket;
    #[path = "utf8.rs"]
    mod utf8;

    pub(crate) use frame::Kind;
    pub(crate) use socket::{Event, Sender, Socket};
}

use crate::{GREETING, LIMIT};
use wire::{Event, Kind, Sender, Socket};

pub async fn serve(stream: TcpStream) -> anyhow::Result<()> {
    let mut socket = Socket::new(stream, &[], LIMIT, None);
    let (mut receiver, mut sender) = socket.split();
    sender.message(Kind::Text, &Bytes::from_static(GREETING.as_bytes()), 0, GREETING.as_bytes());
    sender.flush().await?;
    loop {
        echo(receiver.next().await?, &mut sender);
        while let Some(event) = receiver.next_read()? {
            echo(event, &mut sender);
            if sender.is_full() {
                sender.flush().await?;
            }
        }
        sender.flush().await?;
    }
}

fn echo(event: Event<'_>, sender: &mut Sender<'_>) {
    if let Event::Message(kind, bytes) = event {
        // All of it is this client's own.
        sender.message(kind, &Bytes::new(), 0, &bytes);
    }
}
