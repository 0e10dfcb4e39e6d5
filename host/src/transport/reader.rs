//! The half of a socket that reads, and that everything which happens to a connection meets in:
//! frames, handlers that finish, heartbeats, the token's end, eviction, the host's shutdown.
//!
//! Backpressure: when the session has as many unfinished messages as it may, one more frame is read
//! and held, and then nothing (TCP tells the client to wait). WebSocket pings and closes come after
//! what was not read, so this must not last: if no handler finishes within [`PATIENCE`], the held
//! message and those after it are answered with `TOO_MANY_IN_FLIGHT` until one does.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use switchboard_protocol::CloseCode;
use tokio::time::{sleep_until, timeout};

use super::{
    Edge,
    codec::{Codec, Inbound},
    heartbeat::Heartbeat,
    line::{self, Line},
    wire::{Event as Wire, Fault, Kind, ReadError, Receiver},
};
use crate::{
    admission::MessageRate,
    auth::expiry::{Due, Expiry},
    dispatch::{ResumeAsked, Step},
    session::{Attachment, Frame, Order, Session, Told, handlers::Finished, state::Event},
};

/// How long a client waits silently for one of its own messages to finish.
const PATIENCE: Duration = Duration::from_secs(1);

/// Frames in a row that are wrong before the connection is closed: a client with a bug notices earlier,
/// one that probes is stopped.
const MAX_FAULTS: u32 = 100;

/// By how many more messages may come too fast than come in time. A whole burst can have been under way
/// before its client heard the first refusal; who goes on at more than twice the rate does not listen.
const MAX_TOO_FAST: u32 = 1_000;

/// How long plugins do not hear of a session whose client says nothing: it may be about to resume an
/// earlier one, which takes it a round trip.
const TIME_TO_RESUME: Duration = Duration::from_secs(1);

/// Frames that are taken one after the other while nobody causes trouble, about as many as may be unfinished. Then everything
/// else has its turn: handlers that have finished, clocks, the writer, other connections.
const FRAMES_AT_ONCE: usize = 32;

/// And for how long, unless one message alone takes longer.
const TURN: Duration = Duration::from_millis(1);

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client sent a close frame, with this code.
    Left(Option<u16>),
    /// The connection broke.
    Lost,
    /// The host closes. The socket can still be read.
    Closing(CloseCode),
    /// The client broke the protocol, and nothing more can be read.
    Broken(CloseCode),
}

pub(crate) struct Reader<'a> {
    edge: &'a Edge,
    line: &'a Line,
    /// The line's own.
    attachment: Attachment,
    /// Of the session's handlers.
    finished: Finished,
    codec: Codec,
    rate: MessageRate,
    heartbeat: Heartbeat,
    expiry: Expiry,
    /// The `exp` that `expiry` follows.
    expires_at: u64,
    /// Nothing was taken in yet.
    is_first: bool,
    /// Until when a client that resumes is waited for, before plugins hear of its fresh session.
    may_resume_until: Option<Instant>,
    /// Read, and not taken in because the inbox is full; and by when it is refused.
    held: Option<(Bytes, Instant)>,
    /// Patience ran out, and no handler has finished since.
    stalled: bool,
    /// More had come in than is taken at once.
    busy: bool,
    faults: u32,
    too_fast: u32,
}

impl<'a> Reader<'a> {
    pub fn new(edge: &'a Edge, line: &'a Line, codec: Codec) -> Self {
        let attachment = Attachment::clone(&line.attachment());
        let expires_at = attachment.session.principal().expires_at;
        let now = Instant::now();
        let wait = if attachment.session.resumable { TIME_TO_RESUME } else { Duration::ZERO };
        Self {
            edge,
            line,
            codec,
            rate: edge.admission.message_rate(&attachment.session.principal()),
            finished: attachment.session.handlers.finished(),
            attachment,
            heartbeat: Heartbeat::new(now),
            expiry: Expiry::new(expires_at),
            expires_at,
            is_first: true,
            may_resume_until: Some(now + wait),
            held: None,
            stalled: false,
            busy: false,
            faults: 0,
            too_fast: 0,
        }
    }

    fn session(&self) -> &Arc<Session> {
        &self.attachment.session
    }

    fn close(&self, code: CloseCode) {
        self.line.connection.close(code);
    }

    pub async fn run(&mut self, socket: &mut Receiver<'_>) -> Ending {
        let line = self.line;
        let told = line.connection.told(None);
        let alarm = sleep_until(self.watch().into());
        tokio::pin!(told, alarm);
        loop {
            if let Some((_, until)) = &self.held
                && alarm.deadline() > (*until).into()
            {
                alarm.as_mut().reset((*until).into());
            }
            if std::mem::take(&mut self.busy) || self.session().is_filling() {
                // The writer is in the same task: without a turn of its own, answers that come faster
                // than it gets one would look like a client that does not read.
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                told = &mut told => match told {
                    Told::Close(code) => return Ending::Closing(code),
                    Told::Order(Order::Leave) => return self.leave().await,
                    Told::Order(Order::Abandon) => {
                        self.close(CloseCode::ServiceRestart);
                        return Ending::Closing(CloseCode::ServiceRestart);
                    }
                },
                () = self.finished.next(), if self.held.is_some() || self.stalled => self.make_room(),
                () = &mut alarm => {
                    self.give_up();
                    let next = self.watch();
                    alarm.as_mut().reset(next.into());
                }
                came = socket.next(), if self.held.is_none() => {
                    self.heartbeat.heard(Instant::now());
                    let ending = match came {
                        Ok(event) => self.read(event),
                        Err(error) => Some(self.broken(&error)),
                    };
                    if let Some(ending) = ending.or_else(|| self.read_on(socket)) {
                        return ending;
                    }
                }
            }
        }
    }

    /// Takes what has come in with the last frame, as long as nothing is wrong with it. Returns how reading ended, if it
    /// did.
    fn read_on(&mut self, socket: &mut Receiver<'_>) -> Option<Ending> {
        let until = Instant::now() + TURN;
        for _ in 1..FRAMES_AT_ONCE {
            if self.held.is_some() {
                return None;
            }
            let is_suspect = self.faults > 0 || self.too_fast > 0;
            if is_suspect || self.session().is_filling() || Instant::now() >= until {
                break;
            }
            let ending = match socket.next_read() {
                Ok(event) => self.read(event?),
                Err(fault) => Some(self.broken(&fault.into())),
            };
            if ending.is_some() {
                return ending;
            }
        }
        self.busy = true;
        None
    }

    /// One step of the WebSocket. Returns how reading ended, if it did.
    fn read(&mut self, event: Wire<'_>) -> Option<Ending> {
        match event {
            Wire::Message(kind, bytes) => self.frame(kind, &bytes),
            Wire::Pong(data) => self.pong(data),
            Wire::Ping(data) => self.line.answer_ping(data),
            Wire::Close(code) => return Some(Ending::Left(code)),
        }
        None
    }

    /// A sign of life, and a receipt.
    fn pong(&self, data: &[u8]) {
        if let Some((generation, seq)) = line::read_receipt(data)
            && generation == self.attachment.generation
        {
            self.attachment.confirm(seq);
        }
    }

    fn frame(&mut self, kind: Kind, frame: &[u8]) {
        self.edge.metrics.frames_received.inc();
        self.edge.metrics.bytes_received.inc_by(frame.len() as u64);
        if let Some(echo) = self.codec.echo(kind, frame) {
            // A client that is leaving gets no echo.
            let _ = self.session().push(Frame::kept(echo));
            return;
        }
        // Before looking, so that one which finishes in between is not missed.
        self.finished.forget();
        if !self.session().handlers.is_full() {
            self.stalled = false;
            self.take(frame);
        } else if self.stalled {
            self.refuse_overflow(frame);
        } else {
            self.held = Some((Bytes::copy_from_slice(frame), Instant::now() + PATIENCE));
        }
    }

    fn take(&mut self, frame: &[u8]) {
        let step = match self.codec.inbound(frame) {
            Inbound::Frame(envelope) => self.edge.dispatcher.handle_frame(&self.attachment, &mut self.rate, &envelope),
            Inbound::Fault(error) => {
                self.edge.dispatcher.jsonrpc(self.session(), &error);
                Step::Refused
            }
        };
        if let Step::Resume(asked) = step {
            return self.resume(&asked);
        }
        self.is_first = false;
        self.begin();
        match step {
            Step::Run(lane, job) => {
                self.was_good();
                if self.session().handlers.accept(lane, job).is_err() {
                    self.refuse_overflow(frame);
                }
            }
            Step::Done => self.was_good(),
            Step::Unserved | Step::Resume(_) => {}
            Step::Refused => {
                self.faults += 1;
                self.stop_abuse();
            }
            Step::TooFast => {
                self.too_fast += 1;
                self.stop_abuse();
            }
        }
    }

    fn was_good(&mut self) {
        self.faults = 0;
        self.too_fast = self.too_fast.saturating_sub(1);
    }

    fn stop_abuse(&self) {
        if self.faults >= MAX_FAULTS || self.too_fast >= MAX_TOO_FAST {
            self.close(CloseCode::PolicyViolation);
        }
    }

    /// The client wants to go on with an earlier session, which it can only say first of all.
    fn resume(&mut self, asked: &ResumeAsked) {
        if !std::mem::take(&mut self.is_first) {
            let in_time = self.rate.check(None);
            match in_time {
                Ok(()) => self.faults += 1,
                Err(_) => self.too_fast += 1,
            }
            self.edge.dispatcher.refuse_resume(self.session(), asked, in_time);
            return self.stop_abuse();
        }
        match self.edge.dispatcher.resume(self.session(), &self.line.connection, asked) {
            Some(attachment) => {
                self.may_resume_until = None;
                self.finished = attachment.session.handlers.finished();
                self.attachment = attachment.clone();
                self.line.attach(attachment);
                if self.edge.shutdown.is_draining() {
                    // The session may have been told before, on a socket that it has no more.
                    self.line.connection.order(Order::Leave);
                }
            }
            None => self.begin(),
        }
    }

    /// The fresh session is used: from here on, plugins know of it.
    fn begin(&mut self) {
        if self.may_resume_until.take().is_some() {
            self.edge.dispatcher.begin(self.session());
        }
    }

    /// A handler has finished.
    fn make_room(&mut self) {
        self.stalled = false;
        if let Some((frame, _)) = self.held.take() {
            // What came in while nothing was read is only seen now.
            self.heartbeat.heard(Instant::now());
            self.take(&frame);
        }
    }

    /// Refuses the message that is held, if its time is up.
    fn give_up(&mut self) {
        let now = Instant::now();
        if let Some((frame, _)) = self.held.take_if(|(_, until)| now >= *until) {
            self.stalled = true;
            self.heartbeat.heard(Instant::now());
            self.refuse_overflow(&frame);
        }
    }

    fn refuse_overflow(&self, frame: &[u8]) {
        match self.codec.inbound(frame) {
            Inbound::Frame(envelope) => self.edge.dispatcher.refuse_overflow(self.session(), &envelope),
            Inbound::Fault(error) => self.edge.dispatcher.jsonrpc(self.session(), &error),
        }
    }

    /// Looks at the clocks; returns when to look again.
    fn watch(&mut self) -> Instant {
        let config = self.edge.config.load();
        let now = Instant::now();
        let beat = self.heartbeat.beat(now, self.line.sent(), config.heartbeat.interval, config.heartbeat.grace);
        if beat.lost && self.held.is_none() {
            self.close(CloseCode::HeartbeatTimeout);
        }
        if beat.ping {
            self.line.ask_for_ping();
            self.line.connection.wake();
        }
        if beat.message {
            self.edge.dispatcher.heartbeat(self.session());
        }
        if self.may_resume_until.is_some_and(|until| now >= until) {
            self.begin();
        }
        let begin = self.may_resume_until.unwrap_or(beat.next);
        beat.next.min(begin).min(now + self.watch_token(&config.auth)).max(now + MIN_WATCH)
    }

    /// Tells the client that its token ends, or closes; returns how long nothing else is to be done.
    fn watch_token(&mut self, auth: &crate::config::AuthConfig) -> Duration {
        let exp = self.session().principal().expires_at;
        if exp != self.expires_at {
            self.expires_at = exp;
            self.expiry = Expiry::new(exp);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let due = self.expiry.due(now, auth.expiry_notice, auth.expiry_grace);
        match due {
            _ if !due.after(now).is_zero() => due.after(now).min(MAX_WATCH),
            Due::Notify { .. } => {
                self.expiry.notified();
                self.edge.dispatcher.token_expiring(self.session(), exp);
                Duration::ZERO
            }
            Due::Close { .. } => {
                self.edge.dispatcher.give_up_requests(self.session());
                self.close(CloseCode::TokenExpired);
                MAX_WATCH
            }
        }
    }

    /// The host shuts down: nothing more is read, what was read is finished.
    async fn leave(&mut self) -> Ending {
        let connection = &self.line.connection;
        connection.advance(Event::Leaving);
        self.edge.dispatcher.finish_requests(self.session());
        let window = self.edge.config.load().server.reconnect_window;
        self.edge.dispatcher.reconnect(self.session(), window.mul_f64(rand::random::<f64>()));
        let finish = async {
            let handlers = self.session().handlers.clone();
            while !handlers.is_idle() || self.held.is_some() {
                self.finished.next().await;
                self.make_room();
            }
        };
        tokio::select! {
            told = connection.told(Some(Order::Leave)) => if let Told::Close(code) = told {
                return Ending::Closing(code);
            },
            () = finish => {}
        }
        // All is done, or the host has no time left.
        connection.close(CloseCode::ServiceRestart);
        Ending::Closing(CloseCode::ServiceRestart)
    }

    /// What the end of reading means (RFC 6455, section 7.4.1).
    fn broken(&self, error: &ReadError) -> Ending {
        let code = match error {
            ReadError::Lost(error) => {
                tracing::debug!(%error, "the connection broke");
                return Ending::Lost;
            }
            ReadError::Fault(Fault::TooBig { .. }) => CloseCode::MessageTooBig,
            ReadError::Fault(Fault::Utf8) => CloseCode::InvalidUtf8,
            ReadError::Fault(Fault::Protocol(_)) => CloseCode::ProtocolError,
        };
        tracing::info!(%error, code = code.code(), "the client's frame cannot be read");
        self.close(code);
        Ending::Broken(code)
    }
}

/// Clocks are looked at no more often than this, whatever the settings say.
const MIN_WATCH: Duration = Duration::from_millis(10);

/// And no less often: a wall clock that was set, or a token with a shorter life, is noticed in time.
const MAX_WATCH: Duration = Duration::from_secs(60);

/// Reads on after the host's close frame, until the client's own has come, or nothing can come any more. Says
/// whether that happened in time.
pub(crate) async fn read_out(socket: &mut Receiver<'_>, limit: Duration) -> bool {
    let end = async { while !matches!(socket.next().await, Ok(Wire::Close(_)) | Err(_)) {} };
    timeout(limit, end).await.is_ok()
}
