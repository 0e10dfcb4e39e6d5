//! One socket of a [`ResumingClient`](super::ResumingClient): how it is opened, and how it ends.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{Duration, Instant},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, protocol::CloseFrame},
};

use crate::harness::{PATIENCE, random_u64, request};

/// How long a client waits at first before it asks again a server that is not there yet, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Between 0 and 1, so that not all clients ask at the same moment.
fn unit() -> f64 {
    f64::from(u32::try_from(random_u64() >> 32).expect("32 bits")) / f64::from(u32::MAX)
}

/// An open socket.
pub struct Link(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came in.
pub enum Arrival {
    Frame(Value),
    /// The socket has ended, with this close code if there was a close frame.
    End(Option<u16>),
    /// Nothing until the deadline.
    Nothing,
}

impl Link {
    /// Opens a socket, again and again while the server is away or has no room; returns a refusal that
    /// no repetition changes.
    pub async fn open(url: &str, token: &str) -> Result<Self, String> {
        let begun = Instant::now();
        let bearer = format!("Bearer {token}");
        let mut wait = FIRST_WAIT;
        loop {
            let attempt = tokio::time::timeout(PATIENCE, connect_async(request(url, &[("authorization", &bearer)])));
            let fault = match attempt.await {
                Ok(Ok((socket, _))) => return Ok(Self(socket)),
                Ok(Err(tungstenite::Error::Http(answer))) if !matches!(answer.status().as_u16(), 429 | 503) => {
                    let body = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                    return Err(format!("the upgrade was answered {}: {body}", answer.status()));
                }
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => "no answer to the upgrade".to_owned(),
            };
            if begun.elapsed() > PATIENCE {
                return Err(format!("no connection within {PATIENCE:?}; at last: {fault}"));
            }
            // Not synchronisation: the server is on its way back, and clients do not hammer at its door.
            tokio::time::sleep(wait.mul_f64(0.5 + unit())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// The next frame with JSON in it. Nothing is lost when the deadline comes first.
    pub async fn read(&mut self, deadline: Instant) -> Arrival {
        loop {
            match tokio::time::timeout_at(deadline, self.0.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => match serde_json::from_str(&text) {
                    Ok(frame) => return Arrival::Frame(frame),
                    Err(fault) => panic!("the server sent what is not JSON ({fault}): {text}"),
                },
                Ok(Some(Ok(Message::Close(frame)))) => return Arrival::End(frame.map(|frame| frame.code.into())),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_)) | None) => return Arrival::End(None),
                Err(_) => return Arrival::Nothing,
            }
        }
    }

    /// Whether it was written. If not, the next read says how the socket ended.
    pub async fn write(&mut self, text: String) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.0.send(Message::text(text))).await, Ok(Ok(())))
    }

    /// Ends the connection with a reset, as a crash of the client's machine does.
    pub fn reset(self) {
        if let MaybeTlsStream::Plain(stream) = self.0.get_ref() {
            let _ = stream.set_zero_linger();
        }
    }

    /// Closes with a code, and waits for the end.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let _ = self.0.close(Some(frame)).await;
        let deadline = Instant::now() + PATIENCE;
        while let Arrival::Frame(_) = self.read(deadline).await {}
    }
}
