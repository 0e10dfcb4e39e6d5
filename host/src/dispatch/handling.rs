//! One message from when it is taken in until its client knows what became of it: exactly one outcome,
//! remembered for a repeat, whatever happens to the call.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use futures_util::future::BoxFuture;
use switchboard_protocol::{ClientMessage, ErrorCode, MessageType, unix_seconds};

use super::{
    Dispatcher,
    context::Request,
    deliver::{self, Deliver},
    reply::{self, Reply},
};
use crate::{
    plugin::{
        GuestMessage,
        effects::{
            CallContext, Caller, Effects, Emission, SubscribeOptions, Target, ToolError, TopicError, TopicMember,
            TopicPosition, TopicPublication, TopicSubscription, Unreachable,
        },
        failure::CallFailure,
        offers::Offers,
    },
    session::{
        Session,
        answers::{Begun, Bounds, Key, Origin, Remembered, StoredAnswer, Ticket},
        exchange::End,
        requests::OpenRequest,
    },
};

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
    deliver: Arc<Deliver>,
    request: Arc<OpenRequest>,
    /// `None` for a message that is not remembered.
    ticket: Option<Ticket<Asker>>,
    last: Arc<LastEmission>,
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
            deliver: self.deliver.clone(),
            request: session.open_request(correlation_id),
            ticket,
            last: Arc::default(),
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
    pub fn start(&mut self) -> Arc<dyn Effects> {
        self.stage = Stage::Runs;
        if self.ticket.is_none() {
            return self.deliver.clone();
        }
        Arc::new(Recording { deliver: self.deliver.clone(), last: self.last.clone() })
    }

    /// The handler's answer. Returns the word for it in metrics.
    pub fn answer(mut self, request: &Request, answer: GuestMessage) -> &'static str {
        match deliver::answer(&self.session, request, &answer) {
            Ok(frame) => {
                let stored = self.ticket.as_ref().map(|_| stored(&answer.message_type, &answer.payload));
                let session = self.session.clone();
                let request = self.request.clone();
                self.tell(stored, false, || session.push_to(request.correlation_id.as_deref(), frame).ok());
                "answered"
            }
            Err(failure) => self.failure(request, &failure),
        }
    }

    /// The handler said nothing more than it had sent already.
    pub fn silence(mut self) -> &'static str {
        let (stored, seq) = self.last.take();
        self.tell(stored, false, || seq);
        "silent"
    }

    /// The sandbox has told the operator already. Returns the word for it in metrics.
    pub fn failure(mut self, request: &Request, failure: &CallFailure) -> &'static str {
        match reply::call(failure, &request.version.name) {
            Some(reply) => self.tell_error(reply),
            // The terminal event of the run has told it.
            None => {
                self.silence();
            }
        }
        failure.outcome()
    }

    fn tell_error(&mut self, reply: Reply) {
        let is_forgotten = reply.is_about_a_message_that_did_not_run();
        let stored = self.ticket.as_ref().and_then(|_| {
            let payload = serde_json::to_string(&reply.payload).ok()?;
            Some(StoredAnswer {
                message_type: ERROR.into(),
                payload: payload.into(),
                timestamp: reply.payload.timestamp,
            })
        });
        let (deliver, session, correlation_id) =
            (self.deliver.clone(), self.session.clone(), self.request.correlation_id.clone());
        self.tell(stored, is_forgotten, || deliver.error(&session, reply, correlation_id.as_deref()));
    }

    /// It is in the record before the client hears of it, who may ask again at once.
    fn tell(&mut self, stored: Option<StoredAnswer>, forget: bool, push: impl FnOnce() -> Option<u64>) {
        self.stage = Stage::Told;
        self.request.finish();
        let Some(ticket) = self.ticket.take() else {
            self.request.finished(if push().is_some() { End::Answered } else { End::Silent });
            return;
        };
        let key = ticket.key();
        let askers = if forget { ticket.forget() } else { ticket.finish(stored.clone(), None, Instant::now()) };
        if let Some(seq) = push().filter(|_| !forget) {
            self.deliver.answers.locate(key, seq);
        }
        self.deliver.answer_all(askers, stored);
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        match self.stage {
            Stage::Told => {}
            Stage::Runs => self.tell_error(reply::interrupted()),
            // There was no room for it, which the client is told by whoever found that out; or the host
            // stops before its turn has come.
            Stage::Waits if self.session.handlers.is_abandoned() => self.tell_error(reply::not_begun()),
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

fn stored(message_type: &MessageType, payload: &str) -> StoredAnswer {
    let timestamp = unix_seconds(SystemTime::now());
    StoredAnswer { message_type: message_type.as_str().into(), payload: payload.into(), timestamp }
}

/// What a call sent last to its caller: the answer of a handler that has no other.
#[derive(Debug, Default)]
struct LastEmission(Mutex<Option<(StoredAnswer, u64)>>);

impl LastEmission {
    fn note(&self, emission: StoredAnswer, seq: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((emission, seq));
    }

    fn take(&self) -> (Option<StoredAnswer>, Option<u64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unzip()
    }
}

/// [`Deliver`], with an eye on what goes to the caller.
struct Recording {
    deliver: Arc<Deliver>,
    last: Arc<LastEmission>,
}

impl Effects for Recording {
    fn send(&self, caller: &Caller, emission: Emission) -> Result<u32, Unreachable> {
        let note = (emission.to == Target::Caller).then(|| stored(&emission.message_type, &emission.payload));
        let (reached, seq) = self.deliver.emit(caller, &emission)?;
        if let Some(note) = note {
            self.last.note(note, seq);
        }
        Ok(reached)
    }

    fn subscribe(
        &self,
        caller: &Caller,
        topic: &str,
        options: SubscribeOptions,
    ) -> Result<TopicSubscription, TopicError> {
        self.deliver.subscribe(caller, topic, options)
    }

    fn unsubscribe(&self, caller: &Caller, topic: &str) -> Result<bool, TopicError> {
        self.deliver.unsubscribe(caller, topic)
    }

    fn publish(
        &self,
        caller: &Caller,
        topic: &str,
        message_type: MessageType,
        payload: String,
        exclude_caller: bool,
    ) -> Result<(TopicPosition, u32), TopicError> {
        self.deliver.publish(caller, topic, message_type, payload, exclude_caller)
    }

    fn members(&self, caller: &Caller, topic: &str) -> Result<Vec<TopicMember>, TopicError> {
        self.deliver.members(caller, topic)
    }

    fn history(&self, caller: &Caller, topic: &str, limit: u32) -> Result<Vec<TopicPublication>, TopicError> {
        self.deliver.history(caller, topic, limit)
    }

    fn list_tools<'a>(&'a self, context: &'a CallContext) -> BoxFuture<'a, Result<String, ToolError>> {
        self.deliver.list_tools(context)
    }

    fn call_tool<'a>(
        &'a self,
        context: &'a CallContext,
        name: &'a str,
        arguments: String,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        self.deliver.call_tool(context, name, arguments)
    }

    fn offers(&self) -> Option<&dyn Offers> {
        self.deliver.offers()
    }

    fn stats(&self) -> String {
        self.deliver.stats()
    }
}
