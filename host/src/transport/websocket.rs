//! The life of one socket, from the 101 to the last byte, in the one task that owns it.
//!
//! Reader and writer are two futures of that task. When the first of them ends, the other gets a
//! bounded time; then the closing handshake is made, also with a client that broke the protocol: it
//! is read out for a moment, because closing a TCP connection over unread bytes resets it, and the
//! reset overtakes the close frame. Handlers that are still under way finish after that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use switchboard_protocol::CloseCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use super::{
    Edge,
    codec::Codec,
    reader::{Ending, Reader, read_out},
    running::Running,
    writer::{Traffic, Writer, Written},
};
use crate::{
    admission::{ConnectionSlot, UserSlot},
    config::LimitConfig,
    session::{Order, Session},
    telemetry::{Metrics, metrics::Close},
};

pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The engine clears the whole read buffer before each read, and each idle socket keeps one.
const READ_BUFFER: usize = 4 * 1024;

/// What is collected before a write to the kernel.
const WRITE_BUFFER: usize = 8 * 1024;

/// Room for the engine's own frames (pong, close) and frame heads.
const WRITE_SLACK: usize = 4 * 1024;

/// For what waits in the outbox, and the close frame, once it is decided that the socket closes.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// For the client's side of the closing handshake.
const CLOSING_HANDSHAKE: Duration = Duration::from_secs(2);

/// RFC 6455's name, in metrics, for a connection that ended without a close frame.
const ABNORMAL: u16 = 1006;

/// A request that passed every check.
pub(crate) struct Admitted {
    pub session: Arc<Session>,
    pub codec: Codec,
    pub connection_slot: ConnectionSlot,
    pub user_slot: UserSlot,
}

/// How it ended, in the words of metrics and of plugins.
struct End {
    code: u16,
    reason: &'static str,
}

pub(crate) async fn serve(edge: Arc<Edge>, upgraded: Upgraded, admitted: Admitted) {
    let Admitted { session, codec, connection_slot, user_slot } = admitted;
    let config = edge.config.load();
    let mut running = Running::new(config.limits.max_in_flight);
    let socket =
        Socket::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(engine_config(&config.limits))).await;
    let open = Open::new(&edge.metrics);
    edge.dispatcher.open(&session);
    tracing::info!(session_id = %session.id, "connected");
    if edge.shutdown.is_draining() {
        // It came too late to be told with the others.
        session.order(Order::Leave);
    }
    let end = converse(&edge, &session, codec, socket, &mut running, user_slot.evicted()).await;

    edge.dispatcher.detach(&session);
    drop((open, connection_slot, user_slot));
    edge.metrics.closes.get_or_create(&Close { code: end.code }).inc();
    tracing::info!(
        code = end.code,
        reason = end.reason,
        seconds = session.opened_at.elapsed().as_secs(),
        "disconnected"
    );
    tokio::select! {
        () = running.finish() => {}
        _ = session.ordered(Some(Order::Leave)) => tracing::warn!("handlers were abandoned"),
    }
    edge.dispatcher.forget(&session, end.reason);
}

async fn converse(
    edge: &Edge,
    session: &Arc<Session>,
    codec: Codec,
    socket: Socket,
    running: &mut Running,
    evicted: tokio_util::sync::CancellationToken,
) -> End {
    let traffic = Traffic::new(Instant::now());
    let (mut sink, mut stream) = socket.split();
    let (ending, reachable) = {
        let writer = Writer { session, codec, traffic: &traffic, metrics: &edge.metrics }.run(&mut sink);
        let reader = Reader::new(edge, session, codec, &traffic, running).run(&mut stream, evicted);
        tokio::pin!(writer, reader);
        tokio::select! {
            biased;
            ending = &mut reader => match ending {
                // Nothing can be written after the client's close frame, or to nobody.
                Ending::Left => (ending, true),
                Ending::Lost | Ending::Abandoned => (ending, false),
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
    };
    // Nothing is pushed from here on, whoever still knows the session.
    session.outbox.close(CloseCode::Normal);
    if reachable && let Ok(socket) = sink.reunite(stream) {
        shake_hands(socket, ending).await;
    }
    End::of(ending)
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
        // A single frame can be as large as all that may wait.
        .max_write_buffer_size(WRITE_BUFFER + limits.max_outbound_bytes + WRITE_SLACK)
        .max_message_size(Some(limits.max_frame_bytes))
        .max_frame_size(Some(limits.max_frame_bytes))
}

impl End {
    fn of(ending: Ending) -> Self {
        match ending {
            Ending::Left => Self { code: CloseCode::Normal.code(), reason: "closed" },
            Ending::Lost => Self { code: ABNORMAL, reason: "lost" },
            Ending::Abandoned => Self { code: ABNORMAL, reason: "draining" },
            Ending::Closing(code) | Ending::Broken(code) => Self { code: code.code(), reason: word(code) },
        }
    }
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
