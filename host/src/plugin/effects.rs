//! What a call may cause outside the sandbox, in the sandbox's own words.
//!
//! `plugin` knows neither sessions nor sockets nor topics. Whoever dispatches messages implements
//! [`Effects`] and hands it to each call.

use std::{fmt, sync::Arc, time::Instant};

use futures_util::future::BoxFuture;
use switchboard_protocol::MessageType;

use super::{
    offers::{Inputs, Notices, Offers},
    request::Request,
    rollout::share::Who,
};
use crate::auth::Principal;

/// A session as calls on its behalf know it. They may outlive it, and must leave nothing behind then.
pub(crate) trait CallerSession: fmt::Debug + Send + Sync {
    /// Whether it has ended for good. That comes before anything which plugins keep for it is dropped: who puts something
    /// there and finds this false has it dropped with the rest.
    fn is_over(&self) -> bool;
}

/// On whose behalf a call is made.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub connection_id: Arc<str>,
    pub session_id: Arc<str>,
    pub session: Arc<dyn CallerSession>,
    pub principal: Arc<Principal>,
    pub transport: Transport,
    /// The plugin that chose what this call is about, on the caller's behalf: one that published. `None` where a client itself
    /// is behind it.
    pub through: Option<Arc<str>>,
}

impl Caller {
    pub fn who(&self) -> Who<'_> {
        Who::new(&self.principal, &self.session_id)
    }
}

/// Where the caller's message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Websocket,
    StreamableHttp,
    Internal,
}

/// Everything about a call but its arguments.
#[derive(Clone)]
pub(crate) struct CallContext {
    pub caller: Caller,
    /// What messages to the caller are marked with.
    pub correlation_id: Option<Arc<str>>,
    /// By when the whole call has to be over.
    pub deadline: Instant,
    /// Names of the plugins whose calls led to this one, outermost first.
    pub chain: Vec<Arc<str>>,
    /// The agent run that this call is made within.
    pub run: Option<RunIds>,
    /// That of a message which is being handled, and of no call that it makes.
    pub request: Option<Arc<dyn Request>>,
    /// What the caller sent beside the arguments.
    pub inputs: Arc<Inputs>,
    pub notices: Notices,
    pub effects: Arc<dyn Effects>,
}

impl CallContext {
    /// The outermost plugin that this call came through, if it came through one.
    pub fn through(&self) -> Option<&Arc<str>> {
        self.caller.through.as_ref().or_else(|| self.chain.first())
    }

    /// Of a call that nothing led to but the caller itself.
    pub fn new(caller: Caller, deadline: Instant, effects: Arc<dyn Effects>) -> Self {
        Self {
            caller,
            correlation_id: None,
            deadline,
            chain: Vec::new(),
            run: None,
            request: None,
            inputs: Arc::default(),
            notices: Notices::default(),
            effects,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunIds {
    pub run_id: Arc<str>,
    pub thread_id: Arc<str>,
}

/// A message that a plugin sends.
#[derive(Debug, Clone)]
pub(crate) struct Emission {
    pub to: Target,
    /// Never a reserved type.
    pub message_type: MessageType,
    /// The text of a JSON object.
    pub payload: String,
    pub delivery: Delivery,
    pub correlation_id: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Caller,
    /// Within the caller's tenant.
    Connection(String),
    /// Within the caller's tenant.
    User(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Kept,
    /// Of several of one type that wait, only the newest is delivered.
    Volatile,
}

/// No such connection, or a user without connections.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("nobody is there to receive it")]
pub(crate) struct Unreachable;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicPosition {
    pub offset: u64,
    pub epoch: String,
}

/// How a subscription is to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SubscribeOptions {
    /// What the subscriber has: what it missed since is replayed.
    pub since: Option<TopicPosition>,
    /// Whether it is told who comes and goes.
    pub presence: bool,
}

/// How a subscription began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicSubscription {
    /// Where the topic's history ends.
    pub position: TopicPosition,
    /// A position was given, and nothing is missing since.
    pub recovered: bool,
    pub replayed: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TopicPublication {
    pub offset: u64,
    pub message_type: MessageType,
    /// The text of a JSON object.
    pub payload: Arc<str>,
    /// Subject of the publisher.
    pub publisher: Arc<str>,
    /// Unix seconds.
    pub timestamp: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicMember {
    pub connection_id: Arc<str>,
    pub subject: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TopicError {
    /// Not in the form of a topic or pattern.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    LimitExceeded(String),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ToolError {
    #[error("there is no tool {0:?}")]
    UnknownTool(String),
    /// Names the path.
    #[error("{0}")]
    InvalidArguments(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    Failed(String),
    #[error("the tool did not finish in time")]
    Timeout,
    /// Names the circle, or the depth.
    #[error("{0}")]
    Cycle(String),
}

/// The host's side of the imports that reach beyond the sandbox. Limits and grants of the calling
/// plugin have been checked before any of these is called; access rules of topics have not.
pub(crate) trait Effects: Send + Sync + 'static {
    /// Queues a message; returns for how many connections.
    fn send(&self, caller: &Caller, emission: Emission) -> Result<u32, Unreachable>;

    fn subscribe(
        &self,
        caller: &Caller,
        topic: &str,
        options: SubscribeOptions,
    ) -> Result<TopicSubscription, TopicError>;

    fn unsubscribe(&self, caller: &Caller, topic: &str) -> Result<bool, TopicError>;

    /// Returns the position of the publication, and for how many connections it was queued.
    fn publish(
        &self,
        caller: &Caller,
        topic: &str,
        message_type: MessageType,
        payload: String,
        exclude_caller: bool,
    ) -> Result<(TopicPosition, u32), TopicError>;

    fn members(&self, caller: &Caller, topic: &str) -> Result<Vec<TopicMember>, TopicError>;

    /// The newest publications, oldest first.
    fn history(&self, caller: &Caller, topic: &str, limit: u32) -> Result<Vec<TopicPublication>, TopicError>;

    /// A JSON array of MCP `Tool` objects, each with an additional member `x-plugin`.
    fn list_tools<'a>(&'a self, context: &'a CallContext) -> BoxFuture<'a, Result<String, ToolError>>;

    /// Calls a tool of another plugin. `context.chain` ends with the plugin that asks.
    fn call_tool<'a>(
        &'a self,
        context: &'a CallContext,
        name: &'a str,
        arguments: String,
    ) -> BoxFuture<'a, Result<String, ToolError>>;

    /// The way to what plugins offer; `None` for a call on nobody's behalf.
    fn offers(&self) -> Option<&dyn Offers>;

    /// The JSON object of `host-info.stats`.
    fn stats(&self) -> String;
}

#[cfg(test)]
pub(crate) mod test_session {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::CallerSession;

    /// A session that goes on until it is told to end.
    #[derive(Debug, Default)]
    pub struct TestSession(AtomicBool);

    pub static GOES_ON: TestSession = TestSession(AtomicBool::new(false));

    impl TestSession {
        pub fn end(&self) {
            self.0.store(true, Ordering::Release);
        }
    }

    impl CallerSession for TestSession {
        fn is_over(&self) -> bool {
            self.0.load(Ordering::Acquire)
        }
    }
}
