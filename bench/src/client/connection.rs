//! One socket: its opening handshake, what is left of a frame or a response that has not come in whole, and what could not
//! be written yet.

use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    time::Instant,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use super::{
    engine::Driver,
    frame::{self, Head},
    http,
    upgrade::{self, Hello, Response},
};

/// Masks what is answered by itself: pongs and closes.
const MASK: [u8; 4] = [0x1d, 0x42, 0xe7, 0x90];

/// What a close frame says that gives no reason.
const NO_CODE: u16 = 1005;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Before it was a WebSocket, or as the response to a request, with this status.
    Refused(u16),
    /// The server sent a close frame.
    Code(u16),
    /// What came is neither a frame nor a response.
    Broken,
    /// Without a close frame.
    Lost(io::ErrorKind),
}

impl Closed {
    /// What it is counted under.
    pub fn word(self) -> String {
        match self {
            Self::Refused(status) => format!("HTTP {status}"),
            Self::Code(code) => format!("closed {code}"),
            Self::Broken => "broken stream".to_owned(),
            Self::Lost(kind) => format!("lost: {kind}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    /// Not there yet; requests are to follow.
    Connecting,
    Requests,
}

pub struct Connection {
    /// Its place in the engine.
    pub id: usize,
    stream: TcpStream,
    phase: Phase,
    /// What came in of a frame, until the rest is there.
    partial: Vec<u8>,
    out: Vec<u8>,
    /// How much of `out` was written.
    written: usize,
    /// Whether what is sent waits for the end of a turn, to be written together.
    burst: bool,
}

impl Connection {
    /// Begins a WebSocket.
    pub fn open(id: usize, to: SocketAddr, hello: &Hello<'_>, burst: bool, registry: &Registry) -> io::Result<Self> {
        let mut connection = Self::begin(id, to, Phase::Opening, burst, registry)?;
        hello.append(&mut connection.out);
        Ok(connection)
    }

    /// Begins a connection for requests, one at a time.
    pub fn for_requests(id: usize, to: SocketAddr, burst: bool, registry: &Registry) -> io::Result<Self> {
        Self::begin(id, to, Phase::Connecting, burst, registry)
    }

    fn begin(id: usize, to: SocketAddr, phase: Phase, burst: bool, registry: &Registry) -> io::Result<Self> {
        let mut stream = TcpStream::connect(to)?;
        registry.register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { id, stream, phase, partial: Vec::new(), out: Vec::new(), written: 0, burst })
    }

    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Requests)
    }

    /// Sends a whole frame: now, or with what else this turn brings.
    pub fn send(&mut self, frame: &[u8]) {
        self.out.extend_from_slice(frame);
        if !self.burst {
            // What is wrong with the socket is met when it is read.
            let _ = self.flush();
        }
    }

    /// Says goodbye; the server ends the connection. There is no such word between requests.
    pub fn close(&mut self, code: u16) {
        if self.phase != Phase::Open {
            return;
        }
        frame::append(&mut self.out, frame::CLOSE, &code.to_be_bytes(), MASK);
        let _ = self.flush();
    }

    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                // A socket that is not connected yet says the same as a full one.
                Err(fault) if matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                    return Ok(());
                }
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Something happened before it was open. Returns why it will never be; else, what is sent is not to wait for more.
    pub fn connected(&mut self, writable: bool, driver: &mut impl Driver) -> Option<io::ErrorKind> {
        if writable {
            let _ = self.stream.set_nodelay(true);
        }
        let fault = self.stream.take_error().ok().flatten().map(|fault| fault.kind());
        if fault.is_none() && writable && self.phase == Phase::Connecting {
            self.phase = Phase::Requests;
            driver.opened(self, Instant::now());
        }
        fault
    }

    pub fn deregister(&mut self, registry: &Registry) {
        let _ = registry.deregister(&mut self.stream);
    }

    /// Reads all that is there. The buffer is the engine's, for all connections.
    pub fn read(&mut self, buffer: &mut Vec<u8>, driver: &mut impl Driver) -> Result<(), Closed> {
        loop {
            let carried = self.partial.len();
            if buffer.len() < 2 * carried {
                buffer.resize(2 * carried, 0);
            }
            buffer[..carried].copy_from_slice(&self.partial);
            let room = buffer.len() - carried;
            match self.stream.read(&mut buffer[carried..]) {
                Ok(0) => return Err(Closed::Lost(io::ErrorKind::UnexpectedEof)),
                Ok(count) => {
                    let filled = &buffer[..carried + count];
                    let used = self.take(filled, driver)?;
                    self.partial.clear();
                    self.partial.extend_from_slice(&filled[used..]);
                    if count < room {
                        return Ok(());
                    }
                }
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(Closed::Lost(fault.kind())),
            }
        }
    }

    /// Takes what is whole. Returns how much that was.
    fn take(&mut self, bytes: &[u8], driver: &mut impl Driver) -> Result<usize, Closed> {
        let now = Instant::now();
        let mut used = 0;
        if self.phase == Phase::Requests {
            return self.take_responses(bytes, driver, now);
        }
        if self.phase == Phase::Opening {
            match upgrade::response(bytes) {
                Response::Partial => return Ok(0),
                Response::Refused(status) => return Err(Closed::Refused(status)),
                Response::Open { end } => used = end,
            }
            self.phase = Phase::Open;
            driver.opened(self, now);
        }
        loop {
            match frame::head(&bytes[used..]) {
                Head::Partial => return Ok(used),
                Head::Broken => return Err(Closed::Broken),
                Head::Frame { opcode, start, end } => {
                    let payload = &bytes[used + start..used + end];
                    used += end;
                    match opcode {
                        frame::TEXT | frame::BINARY => driver.message(self, payload, now),
                        // At once, whatever else waits: the server measures how far its client is by it.
                        frame::PING => {
                            frame::append(&mut self.out, frame::PONG, payload, MASK);
                            let _ = self.flush();
                        }
                        frame::PONG => {}
                        frame::CLOSE => {
                            let code = payload.first_chunk().map_or(NO_CODE, |code| u16::from_be_bytes(*code));
                            return Err(Closed::Code(code));
                        }
                        _ => return Err(Closed::Broken),
                    }
                }
            }
        }
    }

    /// A refusal ends the connection, which is counted: no figure is worth anything that has one in it.
    fn take_responses(&mut self, bytes: &[u8], driver: &mut impl Driver, now: Instant) -> Result<usize, Closed> {
        let mut used = 0;
        loop {
            match http::response(&bytes[used..]) {
                http::Response::Partial => return Ok(used),
                http::Response::Broken => return Err(Closed::Broken),
                http::Response::Whole { status, .. } if !(200..300).contains(&status) => {
                    return Err(Closed::Refused(status));
                }
                http::Response::Whole { body, end, .. } => {
                    used += end;
                    driver.message(self, &body, now);
                }
            }
        }
    }
}
