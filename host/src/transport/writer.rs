//! The half of a socket that writes: takes what waits in the outbox and flushes when nothing does.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use switchboard_protocol::{CloseCode, seq_parts};
use tokio::time::timeout;

use super::{
    codec::Codec,
    line::{self, Line},
    wire::{Kind, Sender},
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
    pub async fn run(self, socket: &mut Sender<'_>) -> Written {
        let mut batch = VecDeque::new();
        loop {
            if let Err(end) = self.step(socket, &mut batch).await {
                return end;
            }
        }
    }

    /// Writes what there is, or waits for it.
    async fn step(&self, socket: &mut Sender<'_>, batch: &mut VecDeque<Outgoing>) -> Result<(), Written> {
        let close = self.line.connection.close_code();
        if let Some(code) = close.filter(|code| is_abrupt(*code)) {
            return close_with(socket, code).await;
        }
        let attachment = self.line.attachment();
        let receipt = attachment.take(batch).and_then(|took| took.receipt);
        match close {
            // What is held back for want of a receipt stays with the session.
            Some(code) if batch.is_empty() => return close_with(socket, code).await,
            None if batch.is_empty() && receipt.is_none() => return self.idle(socket, batch).await,
            _ => {}
        }
        // As soon as practical (RFC 6455, section 5.5.3): before what may have come after the ping.
        self.line.take_pongs(|data| socket.pong(data));
        while let Some(frame) = batch.pop_front() {
            self.put(socket, frame);
            if socket.is_full() {
                within(socket.flush()).await?;
            }
        }
        // After the frames that it is about. Heartbeats have their turn here, too: a stream that never
        // runs dry must not starve the ping, or a client that only listens would be taken for lost.
        // One that was asked for meanwhile for another session is that one's, and comes after its frames.
        let is_same = Arc::ptr_eq(&attachment, &self.line.attachment());
        if receipt.is_some() || (is_same && self.line.take_ping()) {
            ping(socket, &attachment);
        }
        self.line.note_sent();
        Ok(())
    }

    fn put(&self, socket: &mut Sender<'_>, frame: Outgoing) {
        let (plain, sent) = match (self.codec, frame.seq) {
            (Codec::Envelope, Some(seq)) => {
                let (shared, tail) = seq_parts(&frame.bytes, seq);
                (shared.len() + tail.len(), socket.message(Kind::Text, &frame.bytes, shared.len(), &tail))
            }
            (codec, _) => {
                let Some((kind, bytes)) = codec.outbound(frame.bytes) else { return };
                (bytes.len(), socket.message(kind, &bytes, bytes.len(), &[]))
            }
        };
        self.metrics.frames_sent.inc();
        self.metrics.bytes_sent.inc_by(sent as u64);
        if sent != plain {
            self.metrics.frames_compressed.inc();
            self.metrics.compression_saved.inc_by(plain.saturating_sub(sent) as u64);
        }
    }

    /// Nothing waits: now is the time to flush, and to sleep.
    async fn idle(&self, socket: &mut Sender<'_>, batch: &mut VecDeque<Outgoing>) -> Result<(), Written> {
        if self.line.take_ping() {
            ping(socket, &self.line.attachment());
        }
        self.line.take_pongs(|data| socket.pong(data));
        within(socket.flush()).await?;
        self.line.note_sent();
        // It may be a while.
        *batch = VecDeque::new();
        self.line.connection.woken().await;
        Ok(())
    }
}

/// Its pong is a receipt for all that was written so far.
fn ping(socket: &mut Sender<'_>, attachment: &Attachment) {
    socket.ping(&line::receipt(attachment.generation, attachment.written()));
}

/// Never returns `Ok`: writing has ended.
async fn close_with(socket: &mut Sender<'_>, code: CloseCode) -> Result<(), Written> {
    socket.close(Some(code.code()), code.reason());
    within(socket.flush()).await?;
    Err(Written::Close(code))
}

/// Whether what waits is not written any more: the client does not take it, or another socket has it.
fn is_abrupt(code: CloseCode) -> bool {
    matches!(code, CloseCode::SlowConsumer | CloseCode::TakenOver)
}

async fn within(write: impl Future<Output = io::Result<()>>) -> Result<(), Written> {
    match timeout(WRITE_LIMIT, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot write");
            Err(Written::Lost)
        }
        Err(_) => Err(Written::Stuck),
    }
}
