//! One message from when it is taken in until its client knows what became of it: exactly one outcome,
//! remembered for a repeat, whatever happens to the call.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use switchboard_protocol::{ClientMessage, ErrorCode, MessageType, unix_seconds};

use super::{
    Dispatcher,
    context::Request,
    deliver::{self, Deliver},
    reply::{self, Reply},
    work::{Over, Work, Working},
};
use crate::{
    plugin::{GuestMessage, call_metrics::ANSWERED, failure::CallFailure},
    session::{
        Session,
        answers::{Begun, Bounds, Key, Origin, Remembered, StoredAnswer, Ticket},
        exchange::End,
        requests::OpenRequest,
    },
};

/// The word for a message in metrics that its client, or another message, called off.
pub(super) const CANCELLED: &str = "cancelled";

/// What was sent last to the caller, and its number: the answer of a handler that has no other.
pub(super) type Last = Option<(StoredAnswer, u64)>;

/// How a call ended; `None` if it was interrupted.
pub(super) type Outcome = Option<Result<Option<GuestMessage>, CallFailure>>;

/// Who waits for the same answer.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    session: Arc<Session>,
    correlation_id: Option<Arc<str>>,
}

/// The duty to say what became of a message. If it is dropped before that was said, the client is told
/// that nobody knows.
pub(super) struct Handling {
    pub session: Arc<Session>,
    pub request: Arc<OpenRequest>,
    pub last: Last,
    pub(super) deliver: Arc<Deliver>,
    message_type: MessageType,
    /// `None` for a message that is not remembered.
    ticket: Option<Ticket<Asker>>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waits,
    Runs,
    Told,
}

impl Dispatcher {
    /// Enters a message into the record. `None`: it is there already, and is answered from it.
    pub(super) fn take_in(
        &self,
        session: &Arc<Session>,
        message: &ClientMessage<'_>,
        request: &Request,
    ) -> Option<Handling> {
        let correlation_id = request.correlation_id.clone();
        let ticket = match message.id.as_deref().filter(|_| session.resumable) {
            None => None,
            Some(id) => Some(self.remember(session, id, message, &correlation_id)?),
        };
        Some(Handling {
            session: session.clone(),
            request: session.open_request(correlation_id),
            last: None,
            deliver: self.deliver.clone(),
            message_type: request.message_type.clone(),
            ticket,
            stage: Stage::Waits,
        })
    }

    fn remember(
        &self,
        session: &Arc<Session>,
        id: &str,
        message: &ClientMessage<'_>,
        correlation_id: &Option<Arc<str>>,
    ) -> Option<Ticket<Asker>> {
        let key = Key::of(&session.principal(), id, message.message_type.as_str(), message.payload_text());
        let connection_id = session.connection_id();
        let origin = Origin { session_id: session.id.clone(), connection_id: connection_id.clone(), seq: None };
        let asker = Asker { session: session.clone(), correlation_id: correlation_id.clone() };
        let bounds = Bounds::from(&self.config.load().sessions);
        match self.deliver.answers.begin(key, origin, &asker, &bounds, Instant::now()) {
            Begun::New(ticket) => {
                session.note_client_id(id);
                return Some(ticket);
            }
            Begun::Joined => {}
            Begun::Answered { answer, origin } => {
                // A client that comes back may ask again before it has read the replay that holds the answer.
                let is_on_its_way = origin.session_id == session.id
                    && origin.connection_id != connection_id
                    && origin.seq.is_some_and(|seq| session.replays(seq));
                if !is_on_its_way {
                    self.deliver.answer_again(&asker, &answer);
                }
            }
        }
        None
    }
}

impl Handling {
    /// The call begins. Returns what it acts through.
    pub fn start(&mut self) -> Working {
        self.stage = Stage::Runs;
        let (deliver, session) = (self.deliver.clone(), self.session.clone());
        Working(Work::new(deliver, session, self.request.clone(), self.ticket.is_some()))
    }

    /// The call has ended. Returns the word for it in metrics.
    pub fn end(self, work: &Working, request: &Request, outcome: Outcome) -> &'static str {
        let Over { resumed, leave, last, held } = work.0.end();
        let Some(outcome) = outcome else {
            // The one that it went on with was called off, or is told that nobody knows.
            drop(resumed);
            self.cancelled();
            return CANCELLED;
        };
        let mut handling = match resumed {
            Some(resumed) => {
                self.silence();
                resumed
            }
            None => self,
        };
        handling.last = last;
        let (open, deliver) = (handling.request.clone(), handling.deliver.clone());
        let send_held = || {
            for (caller, emission) in held {
                if open.is_ended() || deliver.emit(&caller, &emission).is_err() {
                    return;
                }
            }
        };
        if let (Ok(None), Some(leave)) = (&outcome, leave) {
            let word = handling.leave(leave);
            send_held();
            return word;
        }
        send_held();
        match outcome {
            Ok(Some(answer)) => handling.answer(request, &answer),
            Ok(None) => handling.silence(),
            Err(failure) => handling.failure(request, &failure),
        }
    }

    /// The handler's answer.
    fn answer(mut self, request: &Request, answer: &GuestMessage) -> &'static str {
        match deliver::answer(&self.session, self.request.correlation_id.as_deref(), answer) {
            Ok(frame) => {
                let stored = self.ticket.as_ref().map(|_| stored(&answer.message_type, &answer.payload));
                let (session, open) = (self.session.clone(), self.request.clone());
                let push = || session.push_to(open.correlation_id.as_deref(), frame).ok();
                self.tell(stored, false, End::Answered, push).map_or(CANCELLED, |()| ANSWERED)
            }
            Err(failure) => self.failure(request, &failure),
        }
    }

    /// The handler said nothing more than it had sent already.
    fn silence(mut self) -> &'static str {
        let (stored, seq) = self.last.take().unzip();
        self.tell(stored, false, End::Silent, || seq).map_or(CANCELLED, |()| "silent")
    }

    /// The sandbox has told the operator already.
    fn failure(mut self, request: &Request, failure: &CallFailure) -> &'static str {
        match reply::call(failure, &request.version.name) {
            Some(reply) => self.tell_error(reply).map_or(CANCELLED, |()| failure.outcome()),
            // The terminal event of the run has told it.
            None => {
                self.silence();
                failure.outcome()
            }
        }
    }

    /// No call has answered it: what its plugin gave for that is the answer.
    pub fn otherwise(mut self, payload: String) {
        let message_type = self.message_type.clone();
        let answer = GuestMessage {
            message_type,
            payload,
            id: None,
            correlation_id: None,
            timestamp: unix_seconds(SystemTime::now()),
        };
        match deliver::answer(&self.session, self.request.correlation_id.as_deref(), &answer) {
            Ok(frame) => {
                let stored = self.ticket.as_ref().map(|_| stored(&answer.message_type, &answer.payload));
                let (session, open) = (self.session.clone(), self.request.clone());
                let push = || session.push_to(open.correlation_id.as_deref(), frame).ok();
                self.tell(stored, false, End::Answered, push);
            }
            // It was JSON when it was given, and is far smaller than what a session holds.
            Err(_) => drop(self),
        }
    }

    /// Its request was called off, and nobody hears more of it; but who asks the same again is told that
    /// nobody knows whether it took effect.
    pub fn cancelled(mut self) {
        self.stage = Stage::Told;
        self.request.finish();
        self.close_ticket();
    }

    fn tell_error(&mut self, reply: Reply) -> Option<()> {
        let is_forgotten = reply.is_about_a_message_that_did_not_run();
        let stored = self.ticket.as_ref().and_then(|_| stored_error(&reply));
        let (deliver, session, request) = (self.deliver.clone(), self.session.clone(), self.request.clone());
        let push = || deliver.error(&session, reply, request.correlation_id.as_deref());
        self.tell(stored, is_forgotten, End::Answered, push)
    }

    /// It is in the record before the client hears of it, who may ask again at once. `None`: the request
    /// was called off before.
    fn tell(
        &mut self,
        stored: Option<StoredAnswer>,
        forget: bool,
        how: End,
        push: impl FnOnce() -> Option<u64>,
    ) -> Option<()> {
        self.stage = Stage::Told;
        if !self.request.finish() {
            self.close_ticket();
            return None;
        }
        let Some(ticket) = self.ticket.take() else {
            push();
            self.request.finished(how);
            return Some(());
        };
        let key = ticket.key();
        let askers = if forget { ticket.forget() } else { ticket.finish(stored.clone(), None, Instant::now()) };
        if let Some(seq) = push().filter(|_| !forget) {
            self.deliver.answers.locate(key, seq);
        }
        self.request.finished(how);
        self.deliver.answer_all(askers, stored);
        Some(())
    }

    fn close_ticket(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let stored = stored_error(&reply::interrupted());
            let askers = ticket.finish(stored.clone(), None, Instant::now());
            self.deliver.answer_all(askers, stored);
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        match self.stage {
            Stage::Told => {}
            Stage::Runs => drop(self.tell_error(reply::interrupted())),
            // There was no room for it, which the client is told by whoever found that out; or the host
            // stops before its turn has come.
            Stage::Waits if self.session.handlers.is_abandoned() => drop(self.tell_error(reply::not_begun())),
            Stage::Waits => {}
        }
    }
}

const ERROR: &str = "error";

impl Deliver {
    fn answer_all(&self, askers: Vec<Asker>, stored: Option<StoredAnswer>) {
        let Some(answer) = stored else { return };
        let answer = Remembered::Message(Arc::new(answer));
        askers.iter().for_each(|asker| self.answer_again(asker, &answer));
    }

    fn answer_again(&self, asker: &Asker, answer: &Remembered) {
        let correlation_id = asker.correlation_id.as_deref();
        let code = match answer {
            Remembered::Silent => return,
            Remembered::Message(answer) => return self.stored(&asker.session, answer, correlation_id),
            Remembered::NotKept => ErrorCode::AnswerNotKept,
            Remembered::Interrupted => ErrorCode::MessageInterrupted,
        };
        self.error(&asker.session, Reply::new(code, code.meaning()), correlation_id);
    }
}

pub(super) fn stored(message_type: &MessageType, payload: &str) -> StoredAnswer {
    let timestamp = unix_seconds(SystemTime::now());
    StoredAnswer { message_type: message_type.as_str().into(), payload: payload.into(), timestamp }
}

fn stored_error(reply: &Reply) -> Option<StoredAnswer> {
    let payload = serde_json::to_string(&reply.payload).ok()?;
    Some(StoredAnswer { message_type: ERROR.into(), payload: payload.into(), timestamp: reply.payload.timestamp })
}
