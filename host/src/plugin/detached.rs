//! Calls on nobody's behalf: the host asks for a list of tools, or for a self-test.
//!
//! There is no client to send to and no topic to join, and other plugins' tools are out of reach, so
//! that to ask a plugin for its tools never asks another for its own.

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use switchboard_protocol::MessageType;

use super::{
    effects::{
        CallContext, Caller, CallerSession, Effects, Emission, SubscribeOptions, ToolError, TopicError, TopicMember,
        TopicPosition, TopicPublication, TopicSubscription, Transport, Unreachable,
    },
    offers::Offers,
};
use crate::auth::Principal;

/// What connection and session are called when there is none.
const NOBODY: &str = "internal";

/// Made once: each instance that waits for its next call holds one.
static NOBODYS: LazyLock<CallContext> = LazyLock::new(|| {
    // A subject that no verified token has.
    let principal = Principal::named(None, "");
    let caller = Caller {
        connection_id: NOBODY.into(),
        session_id: NOBODY.into(),
        session: Arc::new(Detached),
        principal: Arc::new(principal),
        transport: Transport::Internal,
        through: None,
    };
    CallContext::new(caller, Instant::now(), Arc::new(Detached))
});

/// The circumstances of a call that the host makes for itself.
pub(crate) fn context(deadline: Instant) -> CallContext {
    CallContext { deadline, ..NOBODYS.clone() }
}

/// Whether a call is made on nobody's behalf.
pub(super) fn is_nobody(caller: &Caller) -> bool {
    caller.transport == Transport::Internal && *caller.session_id == *NOBODY
}

#[derive(Debug)]
struct Detached;

impl CallerSession for Detached {
    /// There is no session that could.
    fn is_over(&self) -> bool {
        false
    }
}

fn no_topics<T>() -> Result<T, TopicError> {
    Err(TopicError::Forbidden("this call has no caller whose topics they could be".into()))
}

fn no_tools<'a>() -> BoxFuture<'a, Result<String, ToolError>> {
    let fault = ToolError::Forbidden("this call has no caller with whose rights tools could be used".into());
    std::future::ready(Err(fault)).boxed()
}

impl Effects for Detached {
    fn send(&self, _: &Caller, _: Emission) -> Result<u32, Unreachable> {
        Err(Unreachable)
    }

    fn subscribe(&self, _: &Caller, _: &str, _: SubscribeOptions) -> Result<TopicSubscription, TopicError> {
        no_topics()
    }

    fn unsubscribe(&self, _: &Caller, _: &str) -> Result<bool, TopicError> {
        no_topics()
    }

    fn publish(
        &self,
        _: &Caller,
        _: &str,
        _: MessageType,
        _: String,
        _: bool,
    ) -> Result<(TopicPosition, u32), TopicError> {
        no_topics()
    }

    fn members(&self, _: &Caller, _: &str) -> Result<Vec<TopicMember>, TopicError> {
        no_topics()
    }

    fn history(&self, _: &Caller, _: &str, _: u32) -> Result<Vec<TopicPublication>, TopicError> {
        no_topics()
    }

    fn list_tools<'a>(&'a self, _: &'a CallContext) -> BoxFuture<'a, Result<String, ToolError>> {
        no_tools()
    }

    fn call_tool<'a>(&'a self, _: &'a CallContext, _: &'a str, _: String) -> BoxFuture<'a, Result<String, ToolError>> {
        no_tools()
    }

    fn offers(&self) -> Option<&dyn Offers> {
        None
    }

    fn stats(&self) -> String {
        "{}".into()
    }
}
