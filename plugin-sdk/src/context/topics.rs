//! Publish and subscribe: the interface `topics`.

use serde::Serialize;

use crate::{Context, Error, host, message::object_text};

pub use crate::bindings::switchboard::plugin::topics::{
    Member, Position, Publication, Receipt, SubscribeOptions, Subscription, TopicError,
};

/// Publish and subscribe; see [`Context::topics`].
///
/// Topics are 1 to 256 bytes, in levels separated by `.` or `/`. All methods fail with `TOPIC_INVALID`,
/// `TOPIC_FORBIDDEN` (the caller, or this plugin, may not do that there), `LIMIT_EXCEEDED` or `INTERNAL`.
#[derive(Debug, Clone, Copy)]
pub struct Topics<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

impl<'a> Topics<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// Subscribes the caller's session to a topic, or to a pattern (`*` is one level, `**` the rest). Doing so
    /// again changes nothing. Returns where the topic's history ends.
    ///
    /// # Errors
    ///
    /// See [`Topics`].
    pub fn subscribe(self, topic: &str) -> Result<Position, Error> {
        Ok(host::topics::subscribe(topic)?)
    }

    /// Subscribes from a position on, or with presence:
    ///
    /// ```
    /// # use switchboard_sdk::{Context, Error, Position};
    /// # fn rejoin(ctx: &Context, since: Position) -> Result<bool, Error> {
    /// let subscription = ctx.topics().subscription("room.42").since(since).presence().begin()?;
    /// # Ok(subscription.recovered) }
    /// ```
    pub fn subscription(self, topic: &'a str) -> Subscribing<'a> {
        Subscribing { topic, options: SubscribeOptions { since: None, presence: false } }
    }

    /// Returns whether the session was subscribed.
    ///
    /// # Errors
    ///
    /// See [`Topics`].
    pub fn unsubscribe(self, topic: &str) -> Result<bool, Error> {
        Ok(host::topics::unsubscribe(topic)?)
    }

    /// Publishes to all subscribers of a topic.
    ///
    /// # Errors
    ///
    /// See [`Topics`].
    pub fn publish<P: Serialize + ?Sized>(self, topic: &str, kind: &str, payload: &P) -> Result<Receipt, Error> {
        Ok(host::topics::publish(topic, kind, &object_text(kind, payload)?, false)?)
    }

    /// Publishes to all subscribers but the caller's session.
    ///
    /// # Errors
    ///
    /// See [`Topics`].
    pub fn publish_to_others<P: Serialize + ?Sized>(
        self,
        topic: &str,
        kind: &str,
        payload: &P,
    ) -> Result<Receipt, Error> {
        Ok(host::topics::publish(topic, kind, &object_text(kind, payload)?, true)?)
    }

    /// Who is subscribed.
    ///
    /// # Errors
    ///
    /// See [`Topics`].
    pub fn members(self, topic: &str) -> Result<Vec<Member>, Error> {
        Ok(host::topics::members(topic)?)
    }

    /// The newest publications, oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`Topics`].
    pub fn history(self, topic: &str, limit: u32) -> Result<Vec<Publication>, Error> {
        Ok(host::topics::history(topic, limit)?)
    }
}

/// A subscription that is to begin; see [`Topics::subscription`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `begin`"]
pub struct Subscribing<'a> {
    topic: &'a str,
    options: SubscribeOptions,
}

impl Subscribing<'_> {
    /// What the caller has: what was published since is sent to it, before anything new. If that is no longer
    /// possible, nothing is, and the answer says so. A pattern has no position.
    pub fn since(mut self, position: Position) -> Self {
        self.options.since = Some(position);
        self
    }

    /// The caller is sent `presence_joined` and `presence_left` when others come and go, until it
    /// unsubscribes. A pattern has no presence.
    pub fn presence(mut self) -> Self {
        self.options.presence = true;
        self
    }

    /// Subscribes the caller's session.
    ///
    /// # Errors
    ///
    /// See [`Topics`].
    pub fn begin(self) -> Result<Subscription, Error> {
        Ok(host::topics::subscribe_with(self.topic, &self.options)?)
    }
}

impl From<TopicError> for Error {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Invalid(text) => Self::new("TOPIC_INVALID", text),
            TopicError::Forbidden(text) => Self::new("TOPIC_FORBIDDEN", text).permanent(),
            TopicError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
            TopicError::Other(text) => Self::internal(text),
        }
    }
}
