//! A TCP connection that has been upgraded, and its two halves. One task has both.

use std::{borrow::Cow, future::poll_fn, io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::timeout,
};

use super::{
    buffer::{CHUNK, Input, Output},
    decoder::{Content, Decoder, Found, Step},
    deflate::{Deflate, with_deflated},
    frame::{Fault, Kind, MAX_CONTROL, Opcode, put_head},
};

#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    deflate: Option<Deflate>,
    decoder: Decoder,
    input: Input,
    output: Output,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Message(Kind, Cow<'a, [u8]>),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    /// With the client's code, if it gave one. Nothing comes after it.
    Close(Option<u16>),
}

/// Why nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the client broke the protocol: {0}")]
    Fault(#[from] Fault),
    #[error("the connection broke: {0}")]
    Lost(#[from] io::Error),
}

impl Socket {
    /// `read` came in behind the request. `limit` is what a message may have at most, in bytes, before it was compressed.
    pub fn new(stream: TcpStream, read: &[u8], limit: usize, deflate: Option<Deflate>) -> Self {
        let decoder = Decoder::new(limit, deflate.is_some());
        Self { stream, deflate, decoder, input: Input::holding(read), output: Output::default() }
    }

    pub fn split(&mut self) -> (Receiver<'_>, Sender<'_>) {
        let (read, write) = self.stream.split();
        let receiver = Receiver { half: read, decoder: &mut self.decoder, input: &mut self.input };
        (receiver, Sender { half: write, deflate: self.deflate, output: &mut self.output })
    }

    /// Ends the connection, with time for the client to read what was written: to close over bytes that were not read
    /// would reset it.
    pub async fn end(mut self, limit: Duration) -> io::Result<()> {
        let farewell = async {
            self.stream.shutdown().await?;
            // Taken now, because what a future keeps for its end is there from its beginning.
            let mut ignored = Vec::with_capacity(CHUNK);
            while self.stream.read_buf(&mut ignored).await? > 0 {
                ignored.clear();
            }
            Ok(())
        };
        timeout(limit, farewell).await.unwrap_or(Ok(()))
    }
}

pub(crate) struct Receiver<'a> {
    half: ReadHalf<'a>,
    decoder: &'a mut Decoder,
    input: &'a mut Input,
}

impl Receiver<'_> {
    /// Waits for what comes next. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<Event<'_>, ReadError> {
        loop {
            match self.decoder.step(self.input)? {
                Step::Found(found) => return Ok(found.into_event(self.input)),
                Step::Wants(wanted) => self.fill(wanted).await?,
            }
        }
    }

    /// What has come in already.
    pub fn next_read(&mut self) -> Result<Option<Event<'_>>, Fault> {
        match self.decoder.step(self.input)? {
            Step::Found(found) => Ok(Some(found.into_event(self.input))),
            Step::Wants(_) => Ok(None),
        }
    }

    async fn fill(&mut self, wanted: usize) -> io::Result<()> {
        match poll_fn(|context| self.input.poll_fill(&mut self.half, wanted, context)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Found {
    fn into_event(self, input: &Input) -> Event<'_> {
        match self {
            Self::Message(kind, Content::There(range)) => Event::Message(kind, Cow::Borrowed(input.at(range))),
            Self::Message(kind, Content::Assembled(bytes)) => Event::Message(kind, Cow::Owned(bytes)),
            Self::Ping(range) => Event::Ping(input.at(range)),
            Self::Pong(range) => Event::Pong(input.at(range)),
            Self::Close(code) => Event::Close(code),
        }
    }
}

pub(crate) struct Sender<'a> {
    half: WriteHalf<'a>,
    deflate: Option<Deflate>,
    output: &'a mut Output,
}

impl Sender<'_> {
    /// Lays out a message: the beginning of one that others may get as well, up to `length`, and a tail that only this
    /// client gets. A text is to be UTF-8 as a whole. Returns how many bytes its payload takes.
    pub fn message(&mut self, kind: Kind, message: &Bytes, length: usize, tail: &[u8]) -> usize {
        let opcode = Opcode::Message(kind);
        let plain: [&[u8]; 2] = [&message[..length], tail];
        match self.deflate.filter(|deflate| length >= deflate.min_bytes) {
            Some(deflate) => with_deflated(deflate, (message, length), tail, |parts| match parts {
                Some(parts) => self.put(opcode, true, parts),
                None => self.put(opcode, false, &plain),
            }),
            None => self.put(opcode, false, &plain),
        }
    }

    /// A control frame carries no more than 125 bytes; what is beyond is left out.
    pub fn ping(&mut self, data: &[u8]) {
        self.put(Opcode::Ping, false, &[&data[..data.len().min(MAX_CONTROL)]]);
    }

    pub fn pong(&mut self, data: &[u8]) {
        self.put(Opcode::Pong, false, &[&data[..data.len().min(MAX_CONTROL)]]);
    }

    /// The last frame. Its reason has less than 124 bytes.
    pub fn close(&mut self, code: Option<u16>, reason: &str) {
        match code {
            Some(code) => self.put(Opcode::Close, false, &[&code.to_be_bytes(), reason.as_bytes()]),
            None => self.put(Opcode::Close, false, &[]),
        };
    }

    fn put(&mut self, opcode: Opcode, is_compressed: bool, parts: &[&[u8]]) -> usize {
        let out = self.output.bytes();
        let length = parts.iter().map(|part| part.len()).sum();
        put_head(out, opcode, is_compressed, length);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        length
    }

    /// Whether so much is laid out that it should be written.
    pub fn is_full(&self) -> bool {
        self.output.is_full()
    }

    /// Writes what is laid out. What was not written stays if the wait is given up.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.output.poll_flush(&mut self.half, context)).await
    }
}
