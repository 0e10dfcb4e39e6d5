//! The half of a socket that writes: takes what waits in the outbox and flushes when nothing does.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, stream::SplitSink};
use switchboard_protocol::{CloseCode, with_seq};
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

use super::{
    codec::Codec,
    line::{self, Line},
    websocket::Socket,
};
use crate::{
    session::{Attachment, Outgoing},
    telemetry::Metrics,
};

/// A client that takes nothing for this long is as slow as one that overflows its outbox.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

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
    pub line: &'a Line,
    pub codec: Codec,
    pub metrics: &'a Metrics,
}

impl Writer<'_> {
    pub async fn run(self, sink: &mut SplitSink<Socket, Message>) -> Written {
        let mut batch = VecDeque::new();
        loop {
            if let Err(end) = self.step(sink, &mut batch).await {
                return end;
            }
        }
    }

    /// Writes what there is, or waits for it.
    async fn step(&self, sink: &mut SplitSink<Socket, Message>, batch: &mut VecDeque<Outgoing>) -> Result<(), Written> {
        let close = self.line.connection.close_code();
        if let Some(code) = close.filter(|code| is_abrupt(*code)) {
            return self.close(sink, code).await;
        }
        let attachment = self.line.attachment();
        let receipt = attachment.take(batch).and_then(|took| took.receipt);
        match close {
            // What is held back for want of a receipt stays with the session.
            Some(code) if batch.is_empty() => return self.close(sink, code).await,
            None if batch.is_empty() && receipt.is_none() => return self.idle(sink).await,
            _ => {}
        }
        for frame in batch.drain(..) {
            self.feed(sink, frame).await?;
        }
        // After the frames that it is about. Heartbeats have their turn here, too: a stream that never
        // runs dry must not starve the ping, or a client that only listens would be taken for lost.
        // One that was asked for meanwhile for another session is that one's, and comes after its frames.
        let is_same = Arc::ptr_eq(&attachment, &self.line.attachment());
        if receipt.is_some() || (is_same && self.line.take_ping()) {
            self.ping(sink, &attachment).await?;
        }
        self.line.note_sent();
        Ok(())
    }

    async fn feed(&self, sink: &mut SplitSink<Socket, Message>, frame: Outgoing) -> Result<(), Written> {
        let Some((kind, bytes)) = self.encode(frame) else { return Ok(()) };
        self.metrics.frames_sent.inc();
        self.metrics.bytes_sent.inc_by(bytes.len() as u64);
        within(sink.feed(message(kind, bytes))).await
    }

    fn encode(&self, frame: Outgoing) -> Option<(Data, Bytes)> {
        match (self.codec, frame.seq) {
            (Codec::Envelope, Some(seq)) => Some((Data::Text, with_seq(&frame.bytes, seq).into())),
            (codec, _) => codec.outbound(frame.bytes),
        }
    }

    /// Its pong is a receipt for all that was written so far.
    async fn ping(&self, sink: &mut SplitSink<Socket, Message>, attachment: &Attachment) -> Result<(), Written> {
        let data = line::receipt(attachment.generation, attachment.written());
        within(sink.feed(Message::Ping(data))).await
    }

    /// Nothing waits: now is the time to flush, and to sleep.
    async fn idle(&self, sink: &mut SplitSink<Socket, Message>) -> Result<(), Written> {
        if self.line.take_ping() {
            self.ping(sink, &self.line.attachment()).await?;
        }
        within(sink.flush()).await?;
        self.line.note_sent();
        self.line.connection.woken().await;
        Ok(())
    }

    /// Never returns `Ok`: writing has ended.
    async fn close(&self, sink: &mut SplitSink<Socket, Message>, code: CloseCode) -> Result<(), Written> {
        let reason = Utf8Bytes::from_static(code.reason());
        within(sink.feed(Message::Close(Some(CloseFrame { code: code.code().into(), reason })))).await?;
        within(sink.flush()).await?;
        Err(Written::Close(code))
    }
}

/// Whether what waits is not written any more: the client does not take it, or another socket has it.
fn is_abrupt(code: CloseCode) -> bool {
    matches!(code, CloseCode::SlowConsumer | CloseCode::TakenOver)
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
