//! A client: a WebSocket that was opened as clients do, and what came in on it.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        handshake::client::{Request, Response},
    },
};

use super::{Server, token, within_patience};

/// An open socket.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Frames that were read while another was awaited.
    unread: VecDeque<Value>,
    ids: Ids,
    /// The payload of `connection_established`.
    pub established: Value,
    /// The answer to the upgrade.
    pub response: Response,
}

/// Ids of messages. They are idempotency keys of the user, so that two clients of one user must never
/// choose the same: what tells them apart is random.
pub struct Ids {
    prefix: String,
    count: u64,
}

impl Default for Ids {
    fn default() -> Self {
        Self { prefix: format!("{:08x}", random_u64() >> 32), count: 0 }
    }
}

impl Ids {
    pub fn next(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.prefix, self.count)
    }
}

/// A random number: the standard library seeds its hashers with one.
pub fn random_u64() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// An upgrade that was answered with something other than 101.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub response: http_parts::Response,
}

/// The parts of a refusal that tests look at.
pub mod http_parts {
    use serde_json::Value;

    #[derive(Debug)]
    pub struct Response {
        pub headers: Vec<(String, String)>,
        pub body: Value,
    }

    impl Response {
        pub fn header(&self, name: &str) -> Option<&str> {
            self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
        }
    }
}

impl Refusal {
    pub fn code(&self) -> &str {
        self.response.body["code"].as_str().unwrap_or("(no code)")
    }
}

impl Client {
    /// Connects as a user, with the token in the Authorization header.
    pub async fn connect(server: &Server, user: &str) -> Self {
        Self::with_token(server, &token(user)).await.expect("the server accepts the token")
    }

    pub async fn with_token(server: &Server, token: &str) -> Result<Self, Refusal> {
        Self::open(request(server.url(), &[("authorization", &format!("Bearer {token}"))])).await
    }

    /// Opens a socket and waits for `connection_established`.
    pub async fn open(request: Request) -> Result<Self, Refusal> {
        let mut client = Self::open_bare(request).await?;
        let first = client.next().await;
        assert_eq!(first["type"], "connection_established", "the first frame was {first}");
        client.established = first["payload"].clone();
        Ok(client)
    }

    /// Opens a socket on which no `connection_established` is expected.
    pub async fn open_bare(request: Request) -> Result<Self, Refusal> {
        let (socket, response) = match within_patience!("the upgrade", connect_async(request)) {
            Ok(opened) => opened,
            Err(tungstenite::Error::Http(response)) => return Err(refusal(&response)),
            Err(other) => panic!("the upgrade failed: {other}"),
        };
        Ok(Self { socket, unread: VecDeque::new(), ids: Ids::default(), established: Value::Null, response })
    }

    pub fn connection_id(&self) -> &str {
        self.established["connection_id"].as_str().expect("a connection id")
    }

    /// Sends a message and returns its id.
    pub async fn send(&mut self, message_type: &str, payload: Value) -> String {
        let id = self.ids.next();
        self.send_text(&json!({ "type": message_type, "payload": payload, "id": id }).to_string()).await;
        id
    }

    pub async fn send_text(&mut self, text: &str) {
        self.send_frame(Message::text(text)).await;
    }

    pub async fn send_frame(&mut self, frame: Message) {
        within_patience!("a frame to be sent", self.socket.send(frame)).expect("the socket is open");
    }

    /// Sends a message and waits for the first frame that answers it.
    pub async fn request(&mut self, message_type: &str, payload: Value) -> Value {
        let id = self.send(message_type, payload).await;
        self.answer_to(&id).await
    }

    /// Waits for a frame with this correlation id; others are kept.
    pub async fn answer_to(&mut self, id: &str) -> Value {
        self.find(&format!("an answer to {id}"), |frame| frame["correlation_id"] == id).await
    }

    /// Waits for a frame of a type; others are kept.
    pub async fn expect(&mut self, message_type: &str) -> Value {
        self.find(&format!("a frame of type {message_type}"), |frame| frame["type"] == message_type).await
    }

    /// Waits for a frame that fits; others are kept.
    pub async fn find(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.unread.iter().position(&fits) {
            return self.unread.remove(index).expect("the index was just found");
        }
        // Over all of them: one that never comes is missed, however many others do.
        let finding = async {
            loop {
                let frame = self.read().await.unwrap_or_else(|code| panic!("closed {code:?}, awaiting {what}"));
                if fits(&frame) {
                    return frame;
                }
                self.unread.push_back(frame);
            }
        };
        within_patience!(what, finding)
    }

    /// What came in while other frames were awaited.
    pub fn unread(&self) -> impl Iterator<Item = &Value> {
        self.unread.iter()
    }

    /// Frames of a type that came in while others were awaited.
    pub fn unread_of(&self, message_type: &str) -> Vec<&Value> {
        self.unread.iter().filter(|frame| frame["type"] == message_type).collect()
    }

    /// Drops frames that came in while others were awaited.
    pub fn forget_unread(&mut self) {
        self.unread.clear();
    }

    /// An id that no other message has.
    pub fn next_id(&mut self) -> String {
        self.ids.next()
    }

    /// The next frame, whatever it is.
    pub async fn next(&mut self) -> Value {
        if let Some(frame) = self.unread.pop_front() {
            return frame;
        }
        within_patience!("a frame", self.read()).unwrap_or_else(|code| panic!("closed with {code:?}"))
    }

    /// Waits for the close, and returns its code: `None` if the connection was cut without one.
    pub async fn closed(&mut self) -> Option<u16> {
        let closing = async {
            loop {
                if let Err(code) = self.read().await {
                    return code;
                }
            }
        };
        within_patience!("the close", closing)
    }

    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
        let _ = self.closed().await;
    }

    /// The socket itself, for tests of the protocol below messages.
    pub fn socket(&mut self) -> &mut WebSocketStream<MaybeTlsStream<TcpStream>> {
        &mut self.socket
    }

    /// The next frame with JSON in it, or the code of the close.
    async fn read(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("the server sends JSON"));
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }
}

/// An upgrade request with these headers.
pub fn request(url: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = url.into_client_request().expect("a URL");
    for (name, value) in headers {
        let name = tungstenite::http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        request.headers_mut().append(name, value.parse().expect("a header value"));
    }
    request
}

fn refusal(response: &tungstenite::http::Response<Option<Vec<u8>>>) -> Refusal {
    let text = |value: &tungstenite::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let body = response.body().as_deref().unwrap_or_default();
    Refusal {
        status: response.status().as_u16(),
        response: http_parts::Response {
            headers: response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: serde_json::from_slice(body).unwrap_or(Value::Null),
        },
    }
}
