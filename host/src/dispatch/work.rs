//! What a call that handles a message acts through: its effects, and the request that it answers.
//!
//! A call works on its own message, or on one that an earlier call left open. Whatever becomes of the
//! call, [`Work::end`] or the drop of [`Working`] takes back what it had been given, so that nothing of
//! a request stays in a sandbox that is kept for the next call.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use switchboard_protocol::MessageType;
use tokio_util::sync::CancellationToken;

use super::{
    deliver::Deliver,
    handling::{Handling, Last, stored},
    left_open::{Leave, Parked},
};
use crate::{
    plugin::{
        effects::{
            CallContext, Caller, Effects, Emission, SubscribeOptions, Target, ToolError, TopicError, TopicMember,
            TopicPosition, TopicPublication, TopicSubscription, Unreachable,
        },
        offers::Offers,
        request::{Request, RequestError},
    },
    session::{
        Session,
        exchange::Shown,
        requests::{OpenRequest, RequestFault, Taken},
    },
};

/// The longest `otherwise`: an answer that was made before anything was known has little to say, and
/// each request that is left open holds one.
const MAX_OTHERWISE_BYTES: usize = 64 << 10;

pub(super) struct Work {
    deliver: Arc<Deliver>,
    /// Whether what was sent last is to be remembered.
    remembers: bool,
    /// `None` once the call has ended.
    now: Mutex<Option<Now>>,
}

struct Now {
    session: Arc<Session>,
    own: Arc<OpenRequest>,
    /// What is answered at the moment; `None` for its own.
    resumed: Option<Handling>,
    leave: Option<Leave>,
    last: Last,
    /// What was sent to the caller since the request is to be left open. Bounded as all that a call sends.
    held: Vec<(Caller, Emission)>,
}

/// What a call leaves behind.
#[derive(Default)]
pub(super) struct Over {
    pub resumed: Option<Handling>,
    pub leave: Option<Leave>,
    /// What it sent last for the request that it worked on.
    pub last: Last,
    /// What is still to be sent.
    pub held: Vec<(Caller, Emission)>,
}

/// Held by whoever makes the call.
pub(super) struct Working(pub Arc<Work>);

impl Drop for Working {
    fn drop(&mut self) {
        drop(self.0.end());
    }
}

impl Work {
    pub fn new(deliver: Arc<Deliver>, session: Arc<Session>, own: Arc<OpenRequest>, remembers: bool) -> Arc<Self> {
        let now = Now { session, own, resumed: None, leave: None, last: None, held: Vec::new() };
        Arc::new(Self { deliver, remembers, now: Mutex::new(Some(now)) })
    }

    /// The call has ended; whatever is asked of it from here on is too late.
    pub fn end(&self) -> Over {
        let now = self.lock().take();
        now.map(|Now { resumed, leave, last, held, .. }| Over { resumed, leave, last, held }).unwrap_or_default()
    }

    /// Whether nothing is sent any more for what it works on.
    fn is_over(&self) -> bool {
        self.lock().as_ref().is_none_or(|now| now.own.is_ended() || now.current().is_ended())
    }

    /// What it works on.
    fn current(&self) -> Option<Arc<OpenRequest>> {
        self.lock().as_ref().map(|now| now.current().clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Now>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn current(&self) -> &Arc<OpenRequest> {
        self.resumed.as_ref().map_or(&self.own, |handling| &handling.request)
    }
}

impl Request for Work {
    fn begin(&self, name: &str) -> Result<(), RequestError> {
        let current = self.current().ok_or(RequestError::Unknown)?;
        Ok(current.begin(name)?)
    }

    fn cancel(&self, name: &str) -> bool {
        // Without the lock: it may be this call that ends.
        let requests = self.lock().as_ref().map(|now| now.session.requests.clone());
        requests.is_some_and(|requests| requests.cancel(name))
    }

    fn leave_open(&self, for_ms: u32, otherwise: String) -> Result<(), RequestError> {
        if otherwise.len() > MAX_OTHERWISE_BYTES {
            let problem = format!("`otherwise` has {} bytes, and {MAX_OTHERWISE_BYTES} are allowed", otherwise.len());
            return Err(RequestError::LimitExceeded(problem));
        }
        let mut now = self.lock();
        let now = now.as_mut().filter(|now| now.current().has_name()).ok_or(RequestError::Unknown)?;
        let place = match now.leave.take() {
            Some(Leave { place, .. }) => place,
            None => now.session.requests.place()?,
        };
        let until = (for_ms > 0).then(|| Instant::now() + Duration::from_millis(for_ms.into()));
        now.leave = Some(Leave { place, until, otherwise });
        Ok(())
    }

    fn resume(&self, name: &str) -> Result<Option<Arc<str>>, RequestError> {
        let mut now = self.lock();
        let now = now.as_mut().ok_or(RequestError::Unknown)?;
        if now.resumed.is_some() {
            return Err(RequestError::LimitExceeded("a call goes on with one request, and this one does".into()));
        }
        let Taken { request, duty } = now.session.requests.take(name, &now.own)?;
        let parked: Box<dyn Any> = duty;
        // There are no other duties.
        let parked = parked.downcast::<Parked>().map_err(|_| RequestError::Unknown)?;
        let Parked { mut handling, .. } = *parked;
        now.last = handling.last.take();
        now.resumed = Some(handling);
        now.leave = None;
        Ok(request.correlation_id.clone())
    }

    fn show(&self, status: u16, missing_scopes: Vec<String>) {
        if let Some(current) = self.current() {
            current.show(Shown { status, missing_scopes });
        }
    }

    fn ended(&self) -> CancellationToken {
        self.current().map_or_else(cancelled, |current| current.ended().clone())
    }
}

fn cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

impl From<RequestFault> for RequestError {
    fn from(fault: RequestFault) -> Self {
        match fault {
            RequestFault::UnderWay => Self::UnderWay,
            RequestFault::Unknown => Self::Unknown,
            RequestFault::LimitExceeded(text) => Self::LimitExceeded(text),
        }
    }
}

/// [`Deliver`], with an eye on what goes to the caller.
impl Effects for Work {
    fn send(&self, caller: &Caller, emission: Emission) -> Result<u32, Unreachable> {
        if emission.to != Target::Caller {
            return self.deliver.send(caller, emission);
        }
        if self.is_over() {
            return Err(Unreachable);
        }
        if let Some(now) = self.lock().as_mut().filter(|now| now.leave.is_some()) {
            // A client that answers at once has to find the request left open, which it is when the call has ended.
            now.held.push((caller.clone(), emission));
            return Ok(1);
        }
        let note = self.remembers.then(|| stored(&emission.message_type, &emission.payload));
        let (reached, seq) = self.deliver.emit(caller, &emission)?;
        if let (Some(note), Some(now)) = (note, self.lock().as_mut()) {
            now.last = Some((note, seq));
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
