//! The life of one socket, from the 101 to the last byte, in the one task that owns it.
//!
//! Reader and writer are two futures of that task. When the first of them ends, the other gets a
//! bounded time; then the closing handshake is made, also with a client that broke the protocol: it
//! is read out for a moment, because closing a TCP connection over unread bytes resets it, and the
//! reset overtakes the close frame. The session goes on without waiting for any of that.

use std::{io, sync::Arc, time::Duration};

use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;
use switchboard_protocol::CloseCode;
use tokio::{net::TcpStream, time::timeout};

use super::{
    Edge,
    codec::Codec,
    line::Line,
    reader::{Ending, Reader, read_out},
    wire::{Deflate, Socket},
    writer::{Writer, Written},
};
use crate::{
    admission::{ConnectionSlot, UserSlot},
    session::{Attachment, Order, state::Event},
    telemetry::{Metrics, metrics::Close},
};

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
    /// What compresses its messages, if its client speaks that.
    pub deflate: Option<Deflate>,
    /// Its places, among all and among those of its user, which are free for others when this is dropped.
    pub _slots: (ConnectionSlot, UserSlot),
}

/// How it ended, in the words of metrics and of plugins.
struct End {
    code: u16,
    reason: &'static str,
    /// Nobody comes back.
    is_final: bool,
}

/// Whatever this future holds at any time, each idle connection has room for: what is large is behind a pointer, or gone before
/// the wait. Arguments keep their room, even those that were handed on.
pub(crate) async fn serve(edge: Arc<Edge>, upgraded: Box<Upgraded>, admitted: Box<Admitted>) {
    let limit = edge.config.load().limits.max_frame_bytes;
    let mut socket = match socket(*upgraded, limit, admitted.deflate) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "the connection cannot become a socket"),
    };
    let line = &admitted.line;
    let open = Open::new(&edge.metrics);
    edge.dispatcher.open(&line.attachment().session);
    tracing::info!(session_id = %line.attachment().session.id, "connected");
    if edge.shutdown.is_draining() {
        // It came too late to be told with the others.
        line.connection.order(Order::Leave);
    }
    let (ending, reachable) = converse(&edge, line, admitted.codec, &mut socket).await;

    let end = End::of(ending);
    line.connection.advance(Event::SocketGone);
    // First of all, so that a client which is on its way back already finds its session.
    leave(&edge, &line.attachment(), &end);
    drop(open);
    edge.metrics.closes.get_or_create(&Close { code: end.code }).inc();
    tracing::info!(
        code = end.code,
        reason = end.reason,
        seconds = line.connection.opened_at.elapsed().as_secs(),
        "disconnected"
    );
    // Its places are free for others, while it closes.
    drop(admitted);
    if reachable {
        shake_hands(socket, ending).await;
    }
}

/// The TCP connection beneath, which nobody else has an eye on any more.
fn socket(upgraded: Upgraded, limit: usize, deflate: Option<Deflate>) -> io::Result<Socket> {
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => Ok(Socket::new(io.into_inner(), &read_buf, limit, deflate)),
        Err(_) => Err(io::Error::other("it did not come from the host's own listener")),
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

/// Reads and writes until one of the two has ended. Says whether the client can be reached still.
async fn converse(edge: &Edge, line: &Line, codec: Codec, socket: &mut Socket) -> (Ending, bool) {
    let (mut receiver, mut sender) = socket.split();
    let writer = Writer { line, codec, metrics: &edge.metrics }.run(&mut sender);
    let mut reader = Reader::new(edge, line, codec);
    let reader = reader.run(&mut receiver);
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

/// What is left of the closing handshake, within bounds.
async fn shake_hands(mut socket: Socket, ending: Ending) {
    let (mut receiver, mut sender) = socket.split();
    let is_readable = match ending {
        // What a client says to the end is not listened to, but it is read: to close over bytes that were not read resets.
        Ending::Broken(_) | Ending::Lost => true,
        Ending::Closing(_) => read_out(&mut receiver, CLOSING_HANDSHAKE).await,
        Ending::Left(code) => {
            sender.close(code, "");
            matches!(timeout(CLOSING_HANDSHAKE, sender.flush()).await, Ok(Ok(())))
        }
    };
    if is_readable && let Err(error) = socket.end(CLOSING_HANDSHAKE).await {
        tracing::debug!(%error, "the connection broke while it was closed");
    }
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
