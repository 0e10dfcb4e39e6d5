//! The life of one socket, from the 101 to the last byte, in the one task that owns it.
//!
//! Reader and writer are two futures of that task. When the first of them ends, the other gets a
//! bounded time; then the closing handshake is made, also with a client that broke the protocol: it
//! is read out for a moment, because closing a TCP connection over unread bytes resets it, and the
//! reset overtakes the close frame. The session goes on without waiting for any of that.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use switchboard_protocol::CloseCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{
    Edge,
    codec::Codec,
    line::Line,
    reader::{Ending, Reader, read_out},
    writer::{Writer, Written},
};
use crate::{
    admission::{ConnectionSlot, UserSlot},
    config::LimitConfig,
    session::{Attachment, Order, state::Event},
    telemetry::{Metrics, metrics::Close},
};

pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The engine clears the whole read buffer before each read, and each idle socket keeps one.
const READ_BUFFER: usize = 4 * 1024;

/// What is collected before a write to the kernel.
const WRITE_BUFFER: usize = 8 * 1024;

/// For what waits in the outbox, and the close frame, once it is decided that the socket closes.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// For the client's side of the closing handshake.
const CLOSING_HANDSHAKE: Duration = Duration::from_secs(2);

/// RFC 6455's name, in metrics, for a connection that ended without a close frame.
const ABNORMAL: u16 = 1006;

/// Codes of a client that does not come back.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;

/// A request that passed every check.
pub(crate) struct Admitted {
    /// With the session that is the socket's until it resumes another.
    pub line: Line,
    pub codec: Codec,
    pub connection_slot: ConnectionSlot,
    pub user_slot: UserSlot,
}

/// How it ended, in the words of metrics and of plugins.
struct End {
    code: u16,
    reason: &'static str,
    /// Nobody comes back.
    is_final: bool,
}

pub(crate) async fn serve(edge: Arc<Edge>, upgraded: Upgraded, admitted: Admitted) {
    let Admitted { line, codec, connection_slot, user_slot } = admitted;
    let config = edge.config.load();
    let socket =
        Socket::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(engine_config(&config.limits))).await;
    let open = Open::new(&edge.metrics);
    edge.dispatcher.open(&line.attachment().session);
    tracing::info!(session_id = %line.attachment().session.id, "connected");
    if edge.shutdown.is_draining() {
        // It came too late to be told with the others.
        line.connection.order(Order::Leave);
    }
    let (sink, stream) = socket.split();
    let mut halves = Halves { sink, stream };
    let (ending, reachable) = converse(&edge, &line, codec, &mut halves, user_slot.evicted()).await;

    let end = End::of(ending);
    line.connection.advance(Event::SocketGone);
    // First of all, so that a client which is on its way back already finds its session.
    leave(&edge, &line.attachment(), &end);
    drop((open, connection_slot, user_slot));
    edge.metrics.closes.get_or_create(&Close { code: end.code }).inc();
    tracing::info!(
        code = end.code,
        reason = end.reason,
        seconds = line.connection.opened_at.elapsed().as_secs(),
        "disconnected"
    );
    if reachable && let Ok(socket) = halves.sink.reunite(halves.stream) {
        shake_hands(socket, ending).await;
    }
}

/// The session waits for its client to come back, unless nobody will.
fn leave(edge: &Edge, attachment: &Attachment, end: &End) {
    if end.is_final || !attachment.session.resumable {
        edge.dispatcher.end(attachment, end.reason);
    } else {
        edge.dispatcher.detach(attachment, end.reason);
    }
}

struct Halves {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
}

/// Reads and writes until one of the two has ended. Says whether the client can be reached still.
async fn converse(
    edge: &Edge,
    line: &Line,
    codec: Codec,
    halves: &mut Halves,
    evicted: tokio_util::sync::CancellationToken,
) -> (Ending, bool) {
    let writer = Writer { line, codec, metrics: &edge.metrics }.run(&mut halves.sink);
    let reader = Reader::new(edge, line, codec).run(&mut halves.stream, evicted);
    tokio::pin!(writer, reader);
    tokio::select! {
        biased;
        ending = &mut reader => match ending {
            // Nothing can be written after the client's close frame, or to nobody.
            Ending::Left(_) => (ending, true),
            Ending::Lost => (ending, false),
            Ending::Closing(_) | Ending::Broken(_) => {
                let written = timeout(LAST_WRITES, writer).await.unwrap_or(Written::Stuck);
                (ending, matches!(written, Written::Close(_)))
            }
        },
        written = &mut writer => match written {
            Written::Close(code) => (Ending::Closing(code), true),
            Written::Lost => (Ending::Lost, false),
            Written::Stuck => (Ending::Closing(CloseCode::SlowConsumer), false),
        },
    }
}

/// The client's side of the closing handshake, within bounds.
async fn shake_hands(mut socket: Socket, ending: Ending) {
    let readable = match ending {
        Ending::Broken(_) => true,
        _ => read_out(&mut socket, CLOSING_HANDSHAKE).await,
    };
    // The engine has ended, or reads no further: what is left is TCP.
    let tcp = socket.get_mut();
    let farewell = async {
        tcp.shutdown().await?;
        let mut ignored = [0; 1024];
        while readable && tcp.read(&mut ignored).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    if let Ok(Err(error)) = timeout(CLOSING_HANDSHAKE, farewell).await {
        tracing::debug!(%error, "the connection broke while it was closed");
    }
}

fn engine_config(limits: &LimitConfig) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        // It holds one batch and one frame, whose size the session bounds: a write waits until there is room.
        .max_write_buffer_size(usize::MAX)
        .max_message_size(Some(limits.max_frame_bytes))
        .max_frame_size(Some(limits.max_frame_bytes))
}

impl End {
    fn of(ending: Ending) -> Self {
        match ending {
            Ending::Left(code) => {
                // RFC 6455, section 7.4.1: done, going away (a page that was left), or no code at all,
                // which is what a browser sends for `close()`.
                let is_final = matches!(code, None | Some(NORMAL | GOING_AWAY));
                Self { code: CloseCode::Normal.code(), reason: if is_final { "closed" } else { "lost" }, is_final }
            }
            Ending::Lost => Self { code: ABNORMAL, reason: "lost", is_final: false },
            Ending::Closing(code) | Ending::Broken(code) => {
                Self { code: code.code(), reason: word(code), is_final: is_final(code) }
            }
        }
    }
}

/// Whether a session is not to be resumed after the host closed its socket: whoever comes back has to
/// be somebody else, or to begin anew.
fn is_final(code: CloseCode) -> bool {
    matches!(
        code,
        CloseCode::Normal | CloseCode::IdentityMismatch | CloseCode::TokenRevoked | CloseCode::PolicyViolation
    )
}

fn word(code: CloseCode) -> &'static str {
    match code {
        CloseCode::HeartbeatTimeout => "timeout",
        CloseCode::TokenExpired => "expired",
        CloseCode::Evicted => "evicted",
        CloseCode::ServiceRestart => "draining",
        _ => "closed",
    }
}

/// Counts an open connection for as long as it lives, however it ends.
struct Open<'a>(&'a Metrics);

impl<'a> Open<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}
