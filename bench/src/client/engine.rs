//! The event loop: sockets of one thread, and who decides what they say.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

use super::{
    connection::{Closed, Connection},
    timer::Timer,
    upgrade::Hello,
};

/// Events that are taken at once.
const EVENTS: usize = 1024;

/// What is read at once.
const BUFFER: usize = 256 * 1024;

/// How often the end is looked for if nothing happens.
const PULSE: Duration = Duration::from_millis(20);

/// RFC 6455, section 7.4.1.
const NORMAL: u16 = 1000;

/// No connection has this place.
const TIMER: Token = Token(usize::MAX);

/// Decides what connections say. All of it runs on the engine's thread.
pub trait Driver {
    /// The handshake is done; nothing has come in yet.
    fn opened(&mut self, _connection: &mut Connection, _now: Instant) {}

    /// A message has come in.
    fn message(&mut self, connection: &mut Connection, text: &[u8], now: Instant);

    /// It is gone, and its place with it.
    fn closed(&mut self, _id: usize, _how: Closed, _now: Instant) {}

    /// Does what is due. Returns when to ask again; `None` waits for something to come in.
    fn due(&mut self, _engine: &mut Engine, _now: Instant) -> Option<Instant> {
        None
    }

    /// Whether nothing is left to do.
    fn is_done(&self) -> bool;
}

impl<D: Driver + ?Sized> Driver for &mut D {
    fn opened(&mut self, connection: &mut Connection, now: Instant) {
        (**self).opened(connection, now);
    }

    fn message(&mut self, connection: &mut Connection, text: &[u8], now: Instant) {
        (**self).message(connection, text, now);
    }

    fn closed(&mut self, id: usize, how: Closed, now: Instant) {
        (**self).closed(id, how, now);
    }

    fn due(&mut self, engine: &mut Engine, now: Instant) -> Option<Instant> {
        (**self).due(engine, now)
    }

    fn is_done(&self) -> bool {
        (**self).is_done()
    }
}

pub struct Engine {
    poll: Poll,
    timer: Timer,
    connections: Vec<Option<Connection>>,
    vacant: Vec<usize>,
    to: SocketAddr,
    burst: bool,
    buffer: Vec<u8>,
    /// Connections that were given something to send outside their own turn.
    touched: Vec<usize>,
    abandoned: Arc<AtomicBool>,
}

/// Ends an engine's run from another thread.
#[derive(Debug, Clone)]
pub struct Abandon(Arc<AtomicBool>);

impl Abandon {
    pub fn now(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Engine {
    pub fn new(to: SocketAddr, burst: bool) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        Ok(Self {
            poll,
            timer,
            connections: Vec::new(),
            vacant: Vec::new(),
            to,
            burst,
            buffer: vec![0; BUFFER],
            touched: Vec::new(),
            abandoned: Arc::default(),
        })
    }

    /// Begins a WebSocket, and returns its place.
    pub fn open(&mut self, path: &str, token: &str, subprotocol: Option<&str>) -> io::Result<usize> {
        let host = self.to.to_string();
        let hello = Hello { host: &host, path, token, subprotocol };
        self.put(|id, engine| Connection::open(id, engine.to, &hello, engine.burst, engine.poll.registry()))
    }

    /// Begins a connection for requests over HTTP, and returns its place.
    pub fn open_for_requests(&mut self) -> io::Result<usize> {
        self.put(|id, engine| Connection::for_requests(id, engine.to, engine.burst, engine.poll.registry()))
    }

    fn put(&mut self, open: impl FnOnce(usize, &Self) -> io::Result<Connection>) -> io::Result<usize> {
        let id = self.vacant.last().copied().unwrap_or(self.connections.len());
        let connection = open(id, self)?;
        if self.vacant.pop().is_some() {
            self.connections[id] = Some(connection);
        } else {
            self.connections.push(Some(connection));
        }
        Ok(id)
    }

    /// Sends a whole frame. What is sent in one turn of a burst is written together.
    pub fn send(&mut self, id: usize, frame: &[u8]) {
        if let Some(Some(connection)) = self.connections.get_mut(id) {
            connection.send(frame);
            if self.burst {
                self.touched.push(id);
            }
        }
    }

    /// The places of those that are open.
    pub fn places(&self) -> Vec<usize> {
        self.connections.iter().flatten().filter(|one| one.is_open()).map(|one| one.id).collect()
    }

    /// For when what it is run for has failed elsewhere.
    pub fn abandon(&self) -> Abandon {
        Abandon(self.abandoned.clone())
    }

    /// Cuts every connection, as if its client's network had gone.
    pub fn cut_all(&mut self) {
        self.connections.clear();
        self.vacant.clear();
    }

    /// Cuts one of them.
    pub fn cut(&mut self, id: usize) {
        if let Some(connection) = self.connections.get_mut(id).and_then(Option::take) {
            drop(connection);
            self.vacant.push(id);
        }
    }

    /// Says goodbye; the server ends the connection.
    pub fn leave(&mut self, id: usize, code: u16) {
        if let Some(Some(connection)) = self.connections.get_mut(id) {
            connection.close(code);
        }
    }

    /// Ends every connection as a client does that will not come back.
    pub fn leave_all(&mut self) {
        for connection in self.connections.iter_mut().flatten() {
            connection.close(NORMAL);
        }
    }

    /// Runs until the driver is done, or until then.
    pub fn run(&mut self, driver: &mut impl Driver, until: Instant) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut set = None;
        loop {
            let now = Instant::now();
            let due = driver.due(self, now);
            self.flush_touched();
            if driver.is_done() || now >= until || self.abandoned.load(Relaxed) {
                return Ok(());
            }
            if due != set {
                if let Some(due) = due {
                    self.timer.set(due.saturating_duration_since(now))?;
                }
                set = due;
            }
            match self.poll.poll(&mut events, Some(PULSE.min(until - now))) {
                Err(fault) if fault.kind() != io::ErrorKind::Interrupted => return Err(fault),
                _ => {}
            }
            for event in &events {
                if event.token() == TIMER {
                    set = None;
                } else {
                    self.turn(event.token().0, event.is_writable(), driver);
                }
            }
        }
    }

    fn flush_touched(&mut self) {
        while let Some(id) = self.touched.pop() {
            if let Some(Some(connection)) = self.connections.get_mut(id) {
                let _ = connection.flush();
            }
        }
    }

    /// One connection's turn: it reads what is there, and writes what that caused.
    fn turn(&mut self, id: usize, writable: bool, driver: &mut impl Driver) {
        let Some(Some(connection)) = self.connections.get_mut(id) else { return };
        let fault = if connection.is_open() { None } else { connection.connected(writable, driver) };
        let read = match fault {
            Some(kind) => Err(Closed::Lost(kind)),
            None => {
                let _ = connection.flush();
                connection.read(&mut self.buffer, driver)
            }
        };
        let _ = connection.flush();
        if let Err(how) = read {
            connection.deregister(self.poll.registry());
            self.connections[id] = None;
            self.vacant.push(id);
            driver.closed(id, how, Instant::now());
        }
    }
}
