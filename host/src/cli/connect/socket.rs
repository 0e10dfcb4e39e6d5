//! A client's end of a socket: opened with a token, and closed with a goodbye.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        handshake::client::Request,
        http::{HeaderName, HeaderValue, Response, header},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::show;

/// A server that takes longer to answer the handshake is not there.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// For the other side to answer our close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Shows a token to a host, and asks for a subprotocol if one is named.
    pub async fn open(url: &str, token: &str, subprotocol: Option<&str>) -> anyhow::Result<Self> {
        let request = request(url, token, subprotocol)?;
        open(request).await.with_context(|| format!("cannot connect to {url}"))
    }

    pub async fn send(&mut self, frame: String) -> anyhow::Result<()> {
        self.0.send(Message::text(frame)).await.context("the connection was lost")
    }

    /// The next frame with text, or `None` for a sign of life. The end of the socket is a fault, since it was
    /// not this side that ended it. To drop the future loses nothing.
    pub async fn next(&mut self) -> anyhow::Result<Option<String>> {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
            Some(Ok(Message::Binary(bytes))) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Some(Ok(Message::Close(close))) => {
                // Flushes the answer to the close, which the engine has queued.
                let _ = timeout(CLOSE_PATIENCE, self.0.flush()).await;
                let close = close.as_ref().map(|close| (u16::from(close.code), close.reason.as_str()));
                Err(anyhow!("{}", show::closed(close)))
            }
            Some(Ok(_)) => Ok(None),
            Some(Err(fault)) => Err(anyhow!(fault).context("the connection was lost")),
            None => bail!("the connection was lost"),
        }
    }

    /// Says goodbye and waits a moment for the other side to do so, too.
    pub async fn leave(mut self) {
        let farewell = async {
            let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            self.0.close(Some(close)).await?;
            while let Some(frame) = self.0.next().await {
                frame?;
            }
            Ok::<(), tungstenite::Error>(())
        };
        // Everything has been said; how the other side takes it changes nothing.
        let _ = timeout(CLOSE_PATIENCE, farewell).await;
    }
}

fn request(url: &str, token: &str, subprotocol: Option<&str>) -> anyhow::Result<Request> {
    if url.starts_with("wss:") {
        bail!("this client speaks no TLS; connect to the ws:// address of the host itself");
    }
    if !url.starts_with("ws://") {
        bail!("{url} is no address of a socket; it looks like ws://127.0.0.1:8080/ws");
    }
    let mut request = url.into_client_request().with_context(|| format!("{url} is no address"))?;
    let mut bearer = header_value(header::AUTHORIZATION, &format!("Bearer {token}"))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    if let Some(name) = subprotocol {
        let value = header_value(header::SEC_WEBSOCKET_PROTOCOL, name)?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    Ok(request)
}

/// The text itself may be a secret, and is not repeated.
fn header_value(name: HeaderName, text: &str) -> anyhow::Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| anyhow!("the value for `{name}` has characters that a header cannot carry"))
}

async fn open(request: Request) -> anyhow::Result<Socket> {
    match timeout(HANDSHAKE_PATIENCE, connect_async(request)).await {
        Ok(Ok((socket, _))) => Ok(Socket(socket)),
        Ok(Err(tungstenite::Error::Http(response))) => Err(refusal(&response)),
        Ok(Err(fault)) => Err(fault.into()),
        Err(_) => bail!("no answer within {} s", HANDSHAKE_PATIENCE.as_secs()),
    }
}

fn refusal(response: &Response<Option<Vec<u8>>>) -> anyhow::Error {
    let body = response.body().as_deref().unwrap_or_default();
    anyhow!("{}", show::refusal(response.status().as_u16(), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_travels_in_the_header_and_is_marked_as_secret() {
        let request = request("ws://127.0.0.1:1/ws", "a.b.c", Some("mcp")).expect("a request");
        let bearer = &request.headers()[header::AUTHORIZATION];
        assert!(bearer.is_sensitive() && bearer == "Bearer a.b.c");
        assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], "mcp");
    }

    #[test]
    fn addresses_and_tokens_that_cannot_work_are_named_without_the_token() {
        assert!(request("wss://h/ws", "t", None).is_err());
        assert!(request("nonsense", "t", None).is_err());
        let fault = request("ws://h/ws", "secret\n", None).expect_err("no header");
        assert!(!format!("{fault:#}").contains("secret"), "{fault:#}");
    }
}
