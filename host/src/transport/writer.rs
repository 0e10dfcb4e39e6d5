//! The half of a socket that writes: takes what waits in the outbox and flushes when nothing does.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{SinkExt as _, stream::SplitSink};
use switchboard_protocol::CloseCode;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    protocol::{
        CloseFrame,
        frame::{
            Frame as WireFrame,
            coding::{Data, OpCode},
        },
    },
};

use super::{codec::Codec, websocket::Socket};
use crate::{
    session::{Session, outbox::Taken},
    telemetry::Metrics,
};

/// A client that takes nothing for this long is as slow as one that overflows its outbox.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// What the two halves of a socket tell each other.
#[derive(Debug)]
pub(crate) struct Traffic {
    sent: Mutex<Instant>,
    ping: AtomicBool,
}

impl Traffic {
    pub fn new(now: Instant) -> Self {
        Self { sent: Mutex::new(now), ping: AtomicBool::new(false) }
    }

    /// When something was last written.
    pub fn sent(&self) -> Instant {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a WebSocket ping. The caller wakes the writer.
    pub fn ask_for_ping(&self) {
        self.ping.store(true, Ordering::Relaxed);
    }

    fn note_sent(&self) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// How writing ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// With the close frame.
    Close(CloseCode),
    /// The socket is gone.
    Lost,
    /// The client takes nothing.
    Stuck,
}

pub(crate) struct Writer<'a> {
    pub session: &'a Session,
    pub codec: Codec,
    pub traffic: &'a Traffic,
    pub metrics: &'a Metrics,
}

impl Writer<'_> {
    pub async fn run(self, sink: &mut SplitSink<Socket, Message>) -> Written {
        let mut batch = VecDeque::new();
        loop {
            let step = match self.session.outbox.take(&mut batch) {
                Taken::Frames => self.feed(sink, &mut batch).await,
                Taken::Nothing => self.idle(sink).await,
                Taken::Close(code) => {
                    return self.close(sink, code).await.err().unwrap_or(Written::Close(code));
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn feed(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        batch: &mut VecDeque<crate::session::Frame>,
    ) -> Result<(), Written> {
        // Here, too: a stream that never lets the outbox run empty must not starve the ping, or a client
        // that only listens would be taken for lost.
        self.ping(sink).await?;
        for frame in batch.drain(..) {
            let Some((kind, bytes)) = self.codec.outbound(frame.bytes) else { continue };
            self.metrics.frames_sent.inc();
            self.metrics.bytes_sent.inc_by(bytes.len() as u64);
            within(sink.feed(message(kind, bytes))).await?;
        }
        self.traffic.note_sent();
        Ok(())
    }

    async fn ping(&self, sink: &mut SplitSink<Socket, Message>) -> Result<(), Written> {
        if self.traffic.ping.swap(false, Ordering::Relaxed) {
            within(sink.feed(Message::Ping(Bytes::new()))).await?;
        }
        Ok(())
    }

    /// Nothing waits: now is the time to flush, and to sleep.
    async fn idle(&self, sink: &mut SplitSink<Socket, Message>) -> Result<(), Written> {
        self.ping(sink).await?;
        within(sink.flush()).await?;
        self.traffic.note_sent();
        self.session.outbox.wait().await;
        Ok(())
    }

    async fn close(&self, sink: &mut SplitSink<Socket, Message>, code: CloseCode) -> Result<(), Written> {
        let reason = Utf8Bytes::from_static(code.reason());
        within(sink.feed(Message::Close(Some(CloseFrame { code: code.code().into(), reason })))).await?;
        within(sink.flush()).await
    }
}

/// As a frame, because the bytes of a text are known to be UTF-8: they were written by a JSON encoder.
fn message(kind: Data, bytes: Bytes) -> Message {
    Message::Frame(WireFrame::message(bytes, OpCode::Data(kind), true))
}

async fn within(write: impl Future<Output = Result<(), Error>>) -> Result<(), Written> {
    match timeout(WRITE_LIMIT, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot write");
            Err(Written::Lost)
        }
        Err(_) => Err(Written::Stuck),
    }
}
