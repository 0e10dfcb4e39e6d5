//! `switchboard connect`: a socket at the terminal. Lines in become messages, messages in become lines.
//!
//! It speaks the public protocol and nothing else, so what it shows is what any client would see. It
//! does not come back by itself when the connection is lost.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
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

use super::token;
use crate::auth::keys::key_exists;

mod line;
mod show;

/// A server that takes longer to answer the handshake is not there.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// For the other side to answer our close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// After the end of input, a topic that never falls silent must not keep a script waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Lines that were read and not sent yet. A slow server makes the reading wait.
const LINES_AHEAD: usize = 16;

/// Open a socket: each line of standard input is sent, each message that arrives is printed.
///
/// A line is a whole envelope, `TYPE {payload}`, or just `TYPE`:
///
///   {"type":"ping","payload":{"data":"hi"},"id":"1"}
///   ping {"data":"hi"}
///   ping
///
/// Without a token, one is signed with the key in the data folder, as `switchboard token` does.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ConnectArgs {
    /// The endpoint [default: `$SWITCHBOARD_URL`, else ws://127.0.0.1:8080/ws]
    #[arg(default_value_t = default_url(), hide_default_value = true)]
    url: String,
    /// The token to show. By default $SWITCHBOARD_TOKEN, else one signed with the local key.
    #[arg(long)]
    token: Option<String>,
    /// Whose token to sign when there is none.
    #[arg(long, value_name = "SUB", default_value = "local")]
    sub: String,
    /// Where the local key is [default: `$SWITCHBOARD_DATA_DIR`, else `./.switchboard`]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A WebSocket subprotocol to ask for.
    #[arg(long, value_name = "NAME")]
    subprotocol: Option<String>,
    /// Print frames as they are.
    #[arg(long)]
    json: bool,
    /// At the end of input, leave when nothing has arrived for this long: `500ms`, `1s`, `2m`.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = line::parse_wait)]
    wait: Duration,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn run(args: ConnectArgs) -> anyhow::Result<()> {
    let token = token_of(&args)?;
    let socket = open(request(&args, &token)?).await.with_context(|| format!("cannot connect to {}", args.url))?;
    Conversation { socket, json: args.json, wait: args.wait }.run().await
}

/// Where a host on its defaults is, unless the environment names another.
fn default_url() -> String {
    const DEFAULT_URL: &str = "ws://127.0.0.1:8080/ws";
    std::env::var("SWITCHBOARD_URL").ok().filter(|url| !url.is_empty()).unwrap_or_else(|| DEFAULT_URL.to_owned())
}

/// From the flag, the environment, or the local key.
fn token_of(args: &ConnectArgs) -> anyhow::Result<String> {
    let given = args.token.clone().or_else(|| std::env::var("SWITCHBOARD_TOKEN").ok());
    match given.filter(|token| !token.is_empty()) {
        Some(token) => Ok(token),
        None => local_token(args),
    }
}

/// Signed with the key of a server that was started here; none is made for one that never was.
fn local_token(args: &ConnectArgs) -> anyhow::Result<String> {
    let data_dir = args.data_dir.clone().unwrap_or_else(token::default_data_dir);
    if !key_exists(&data_dir) {
        let data_dir = data_dir.display();
        bail!(
            "there is no key in {data_dir} to sign a token with: give --token, set SWITCHBOARD_TOKEN, or name the server's --data-dir"
        );
    }
    token::sign_for(&args.sub, &data_dir)
}

fn request(args: &ConnectArgs, token: &str) -> anyhow::Result<Request> {
    if args.url.starts_with("wss:") {
        bail!("this client speaks no TLS; connect to the ws:// address of the host itself");
    }
    if !args.url.starts_with("ws://") {
        bail!("{} is no address of a socket; it looks like ws://127.0.0.1:8080/ws", args.url);
    }
    let mut request = args.url.as_str().into_client_request().with_context(|| format!("{} is no address", args.url))?;
    let mut bearer = header_value(header::AUTHORIZATION, &format!("Bearer {token}"))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    if let Some(name) = &args.subprotocol {
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
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => Err(refusal(&response)),
        Ok(Err(fault)) => Err(fault.into()),
        Err(_) => bail!("no answer within {} s", HANDSHAKE_PATIENCE.as_secs()),
    }
}

fn refusal(response: &Response<Option<Vec<u8>>>) -> anyhow::Error {
    let body = response.body().as_deref().unwrap_or_default();
    anyhow!("{}", show::refusal(response.status().as_u16(), body))
}

/// What woke the conversation.
enum Event {
    Line(Option<std::io::Result<String>>),
    Frame(Option<Result<Message, tungstenite::Error>>),
    Interrupted,
    Idle,
}

struct Conversation {
    socket: Socket,
    json: bool,
    wait: Duration,
}

impl Conversation {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut lines = Some(standard_input());
        let mut leave_at = None;
        let mut latest = None;
        loop {
            match next(&mut self.socket, &mut lines, leave_at).await {
                Event::Line(line) => match line.transpose().context("standard input cannot be read")? {
                    Some(line) => self.send(&line).await?,
                    None => {
                        lines = None;
                        latest = Some(Instant::now() + LONGEST_WAIT);
                        leave_at = Some(Instant::now() + self.wait);
                    }
                },
                Event::Frame(frame) => {
                    let counts = self.receive(frame).await?;
                    // Heartbeats come for ever, and answer nothing.
                    if let (Some(latest), true) = (latest, counts) {
                        leave_at = Some((Instant::now() + self.wait).min(latest));
                    }
                }
                Event::Interrupted | Event::Idle => return self.leave().await,
            }
        }
    }

    async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        match line::to_frame(line) {
            Ok(Some(frame)) => self.socket.send(Message::text(frame)).await.context("the connection was lost"),
            Ok(None) => Ok(()),
            Err(problem) => {
                eprintln!("not sent: {problem}");
                Ok(())
            }
        }
    }

    /// Prints what arrived. Whether it was more than a sign of life; the end of the socket is a fault,
    /// since it was not this side that ended it.
    async fn receive(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> anyhow::Result<bool> {
        match frame {
            Some(Ok(Message::Text(text))) => Ok(show::frame(&text, self.json)?),
            Some(Ok(Message::Binary(bytes))) => Ok(show::frame(&String::from_utf8_lossy(&bytes), self.json)?),
            Some(Ok(Message::Close(close))) => {
                // Flushes the answer to the close, which the engine has queued.
                let _ = timeout(CLOSE_PATIENCE, self.socket.flush()).await;
                Err(anyhow!(
                    "{}",
                    show::closed(close.as_ref().map(|close| (u16::from(close.code), close.reason.as_str())))
                ))
            }
            Some(Ok(_)) => Ok(false),
            Some(Err(fault)) => Err(anyhow!(fault).context("the connection was lost")),
            None => bail!("the connection was lost"),
        }
    }

    /// Says goodbye and waits a moment for the other side to do so, too.
    async fn leave(mut self) -> anyhow::Result<()> {
        let farewell = async {
            let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            self.socket.close(Some(close)).await?;
            while let Some(frame) = self.socket.next().await {
                frame?;
            }
            Ok::<(), tungstenite::Error>(())
        };
        // Everything has been said; how the other side takes it changes nothing.
        let _ = timeout(CLOSE_PATIENCE, farewell).await;
        Ok(())
    }
}

type InputLines = mpsc::Receiver<std::io::Result<String>>;

/// Standard input, read on a thread of its own: such a read cannot be cancelled, and a runtime would
/// wait for it before the program may end.
fn standard_input() -> InputLines {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next thing to happen. Each branch loses nothing when another is first.
async fn next(socket: &mut Socket, lines: &mut Option<InputLines>, leave_at: Option<Instant>) -> Event {
    let line = async {
        match lines {
            Some(lines) => lines.recv().await,
            None => std::future::pending().await,
        }
    };
    let idle = async {
        match leave_at {
            Some(moment) => sleep_until(moment).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        frame = socket.next() => Event::Frame(frame),
        line = line => Event::Line(line),
        _ = tokio::signal::ctrl_c() => Event::Interrupted,
        () = idle => Event::Idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(url: &str) -> ConnectArgs {
        ConnectArgs {
            url: url.to_owned(),
            token: None,
            sub: "local".to_owned(),
            data_dir: None,
            subprotocol: Some("mcp".to_owned()),
            json: false,
            wait: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_token_travels_in_the_header_and_is_marked_as_secret() {
        let request = request(&args("ws://127.0.0.1:1/ws"), "a.b.c").expect("a request");
        let bearer = &request.headers()[header::AUTHORIZATION];
        assert!(bearer.is_sensitive() && bearer == "Bearer a.b.c");
        assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], "mcp");
    }

    #[test]
    fn addresses_and_tokens_that_cannot_work_are_named_without_the_token() {
        assert!(request(&args("wss://h/ws"), "t").is_err());
        assert!(request(&args("nonsense"), "t").is_err());
        let fault = request(&args("ws://h/ws"), "secret\n").expect_err("no header");
        assert!(!format!("{fault:#}").contains("secret"), "{fault:#}");
    }
}
